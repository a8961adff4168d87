#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every case of every differential program: what it prints on plain TCP it prints on every other road.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# PROGRAM ADDRESS...: all its cases at these addresses. diff.sh PROGRAM... runs only some of them.
differential='
stream 127.0.0.1 ::1
nonblock 127.0.0.1 ::1
carry 127.0.0.1 ::1
registered 127.0.0.1 ::1
dups 127.0.0.1 ::1
names 127.0.0.1 ::1 ::ffff:127.0.0.1
retry 127.0.0.1 ::ffff:127.0.0.1
bound 127.0.0.1 ::1
families ::1
process 127.0.0.1 ::1
threads 127.0.0.1 ::1
reuse 127.0.0.1
options 127.0.0.1 ::1
others 127.0.0.1
fastopen 127.0.0.1
'

# Ten ports for every run, so that TIME_WAIT of one is not in the way of the next.
port=10000
next_port() {
	port=$((port + 10))
	[ "$port" -lt 32000 ] || port=10000
}

run_case() { # ROAD PROGRAM CASE ADDRESS
	next_port
	over "$1" "$programs/$2" "$3" "$4" "$port" 127.0.0.2 </dev/null 2>&1
	echo "exit $?"
}

# The same output proves nothing where the library is not at work: an address without route must lead somewhere.
for road in $ROADS; do
	closed "$road" || is "$(over "$road" "$programs/knock" 10.0.0.3 9999 connect)" 'connect: ECONNREFUSED' \
		"the library is at work over $road"
done

wanted_programs=" $* "
printf '%s\n' "$differential" >"$work/differential"
while read -r program addresses; do
	[ -n "$program" ] || continue
	case $wanted_programs in
	"  " | *" $program "*) ;;
	*) continue ;;
	esac
	for case in $("$programs/$program" -l); do
		# Patterns: cases that a sanitizer itself cannot run, and the only ones that are wanted.
		! printf '%s\n' "$program $case" | grep -qE "${TEST_EXCEPT:-^\$}" || continue
		printf '%s\n' "$program $case" | grep -qE "${TEST_ONLY:-.}" || continue
		for address in $addresses; do
			run_case plain "$program" "$case" "$address" >"$work/plain"
			for road in $ROADS; do
				name="$program $case $address over $road"
				reason=$(road_closed "$road")
				if [ -n "$reason" ]; then
					skip "$name" "$reason"
					continue
				fi
				run_case "$road" "$program" "$case" "$address" >"$work/got"
				if [ "$(tail -n 1 "$work/plain")" != 'exit 0' ]; then
					fail "$name" "on plain TCP: $(cat "$work/plain")"
				elif cmp -s "$work/plain" "$work/got"; then
					pass "$name"
				else
					fail "$name" "$(diff -U 1 "$work/plain" "$work/got" | tail -n +3)"
				fi
			done
		done
	done
done <"$work/differential"
finish
