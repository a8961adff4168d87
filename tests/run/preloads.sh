#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Beside other libraries: ones that call before anybody has started, that hook the same calls, that replace malloc,
# or that are loaded so that nobody can hook theirs.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# Other addresses than loopback must have nowhere to go.
network_exists && skip_all "there is a network here and no way out of it"
modules=$programs/.libs

# ROAD LIBRARIES PROGRAM [ARG]...: with these preloaded instead of what the wrapper chose.
with() {
	with_road=$1
	with_preload=$2
	shift 2
	over "$with_road" env LD_PRELOAD="$with_preload" "$@" 2>&1
}

port=9000
cases='stream names-at-both-ends
process exec-with-listener
process vfork-child-uses-sockets
threads thirty-two-first-calls'
more_cases="$cases
stream half-close-by-client
process prefork-server
reuse everything-closed-at-start
registered level
names errors"

# NAME PRELOAD OTHER-LIBRARY: programs say what they say on plain TCP, where only the other library is there.
same() {
	printf '%s\n' "$cases" >cases
	while read -r program case; do
		wanted=$(with plain "$3" "$programs/$program" "$case" 127.0.0.1 $((port += 10)) </dev/null)
		is "$(with "$road" "$2" "$programs/$program" "$case" 127.0.0.1 $((port += 10)) </dev/null)" "$wanted" \
			"$1: $program $case over $road"
	done <cases
}

# FILE: the library of that name, on the usual paths.
find_library() {
	for find_path in /usr/lib/*/$1 /usr/lib/$1 /usr/lib64/$1; do
		[ ! -e "$find_path" ] || {
			echo "$find_path"
			return
		}
	done
}

both_orders() { # NAME LIBRARY
	same "before $1" "$library:$2" "$2"
	same "behind $1" "$2:$library" "$2"
}

beside() { # NAME FILE
	beside_found=$(find_library "$2")
	if [ -n "$beside_found" ]; then
		both_orders "$1" "$beside_found"
	elif [ "${CI-}" = true ]; then
		fail "$1 is installed"
	else
		skip "beside $1 over $road" "not installed"
	fi
}

beside_others() {
	like "$(with "$road" "$modules/early_module.so:$library" "$programs/stream" names-at-both-ends 127.0.0.1 8990)" \
		"early: ECONNREFUSED
$("$programs/stream" names-at-both-ends 127.0.0.1 8980)" "a constructor that runs first is served over $road"
	like "$(with "$road" "$library:$modules/early_module.so" "$programs/stream" names-at-both-ends 127.0.0.1 8970)" \
		"early: ECONNREFUSED
$("$programs/stream" names-at-both-ends 127.0.0.1 8960)" "and one that runs last over $road"
	few_cases=$cases
	cases=$more_cases
	both_orders "a library with the same hooks" "$modules/shim_module.so"
	cases=$few_cases
	beside jemalloc 'libjemalloc.so.2'
	beside tcmalloc 'libtcmalloc_minimal.so.4'
	export MODULE="$modules/apart_module.so"
	for case in deepbind namespace; do
		wanted=$("$programs/apart" $case 127.0.0.1 8950)
		like "$wanted" '*ENETUNREACH' "a module loaded apart ($case) on plain TCP"
		got=$(over "$road" "$programs/apart" $case 127.0.0.1 8940 2>&1)
		is "$(printf '%s\n' "$got" | grep -v '^accepted')" "$(printf '%s\n' "$wanted" | grep -v '^accepted')" \
			"a module loaded apart ($case) uses the program's connections over $road, and has none of its own"
		[ "$road" = realm ] || is "$got" "$wanted" "what it accepted has its names over $road"
	done
}

for road in $ROADS; do
	closed "$road" || beside_others
done
finish
