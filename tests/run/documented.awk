# SPDX-License-Identifier: LGPL-2.1-or-later
# Looks a difference up in the file `differences`, which describes the format.
#
#     awk -v program=P -v case_name=C -v road=R -v delta=FILE -f documented.awk differences
#
# FILE holds the lines of `diff -U 0` that begin with - or +. Exit 0: a block allows this, its reason is printed.
# 1: blocks speak of this case, none of them allows it; their reasons are printed. 2: no block speaks of it.
# With -v list=yes instead: prints "PROGRAM CASE ROAD" of every block, and complains of what is no block (exit 3).

function block_end() {
	if (speaks) {
		spoken = spoken (spoken == "" ? "" : "; ") reason
		if (text == wanted && !allowed) {
			allowed = 1
			why = reason
		}
	}
	speaks = 0
	text = ""
}

function complain(what) {
	printf "differences:%d: %s\n", FNR, what
	faulty = 1
}

BEGIN {
	while (delta != "" && (getline line < delta) > 0)
		wanted = wanted line "\n"
}

/^#/ || /^[ \t]*$/ { next }

/^[-+]/ {
	if (reason == "")
		complain("a line that belongs to no block")
	text = text $0 "\n"
	next
}

{
	block_end()
	reason = ""
	colon = index($0, ": ")
	if (!colon || split(substr($0, 1, colon - 1), head, " ") != 3) {
		complain("expected PROGRAM CASE ROAD[,ROAD]: REASON")
		next
	}
	reason = substr($0, colon + 2)
	count = split(head[3], roads, ",")
	for (i = 1; i <= count; i++) {
		if (list)
			print head[1], head[2], roads[i]
		if (head[1] == program && head[2] == case_name && roads[i] == road)
			speaks = 1
	}
}

END {
	block_end()
	if (list)
		exit faulty ? 3 : 0
	print allowed ? why : spoken
	exit allowed ? 0 : spoken != "" ? 1 : 2
}
