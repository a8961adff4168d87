# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads what gcc -fcallgraph-info=su writes, and prints for each hook the bytes of stack on its deepest path through
# this library, with the path, whether or not it can be taken. What libc needs behind a call by pointer is not counted; nor is what happens once,
# in settings_load().
#
#     awk -f stack.awk hooks *.ci		hooks: one name a line

function quoted(line, name) {
	if (!match(line, name ": \"[^\"]*\""))
		return ""
	return substr(line, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}

# Static functions are titled FILE:NAME.
function plain(title) {
	sub(/^.*:/, "", title)
	return title
}

function deepest(title,    i, n, call, depth, best, via) {
	if (title in known)
		return known[title]
	if (title in busy || plain(title) == "settings_load")
		return 0
	busy[title] = 1
	n = split(calls[title], call, "\n")
	for (i = 1; i < n; i++) {
		depth = deepest(call[i])
		if (depth > best) {
			best = depth
			via = call[i]
		}
	}
	delete busy[title]
	next_of[title] = via
	# The return address of a call is the caller's: 8 bytes.
	return known[title] = own[title] + best + 8
}

FNR == NR { hook[$1]; next }

/^node:/ {
	title = quoted($0, "title")
	label = quoted($0, "label")
	if (match(label, /[0-9]+ bytes/))
		own[title] = substr(label, RSTART) + 0
}

/^edge:/ { calls[quoted($0, "sourcename")] = calls[quoted($0, "sourcename")] quoted($0, "targetname") "\n" }

END {
	for (name in hook) {
		if (!(name in own)) {
			printf "%s has no frame\n", name
			continue
		}
		path = name
		bytes = deepest(name)
		for (title = next_of[name]; title != ""; title = next_of[title])
			path = path " " plain(title)
		printf "%d %s\n", bytes, path
	}
}
