#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a connection costs a client in system calls, and a crowd of clients at a short backlog.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# ROAD PORT: how many system calls ten connections are: those of eleven without those of one.
ten() {
	over "$1" strace -o one.trace "$programs/crowd" one 127.0.0.1 "$2" >one.said 2>&1 &&
		over "$1" strace -o eleven.trace "$programs/crowd" eleven 127.0.0.1 $(($2 + 10)) >eleven.said 2>&1 ||
		cat one.said eleven.said
	echo "$(cat one.said eleven.said) $(($(wc -l <eleven.trace) - $(wc -l <one.trace)))"
}

# A thousand clients of TCP would be at it for a minute, waiting between their SYNs: here the outcome is known.
for road in $ROADS; do
	closed "$road" && continue
	is "$(over "$road" "$programs/crowd" thousand-at-once 127.0.0.1 31000 2>&1)" 'visits lost: 0' \
		"a thousand clients at once over $road at a backlog of 5"
	is "$(over "$road" "$programs/crowd" thirty-two-again-and-again 127.0.0.1 31010 2>&1)" 'visits lost: 0' \
		"thirty-two clients again and again over $road at a backlog of 5"
done

if [ -n "${TEST_UNDER-}" ] || nm -D "$library" 2>/dev/null | grep -qE ' __(asan|tsan|ubsan|msan)_'; then
	skip "system calls of a connection" "they are not the program's own alone here"
	finish
fi
need strace
# socket connect sendto recvfrom close
is "$(ten plain 31100)" 'visits: ok
visits: ok 50' "ten connections of TCP are 50 system calls of the client"
# socket socket bind setsockopt connect dup3 close sendto recvfrom close
for road in $ROADS; do
	closed "$road" || is "$(ten "$road" 31200)" 'visits: ok
visits: ok 100' "over $road they are 100"
done
finish
