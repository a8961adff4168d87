#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Instructions that the library adds to one call on a descriptor that is not ours, and to connect where no rule matches.
# usage: calls.sh LIBRARY DIRECTORY
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
mkdir -p bench
: "${CC:=gcc}"
# Without lazy binding, which would be counted in one run and not in the other.
$CC -O2 -fno-builtin -Wl,-z,now -o bench/calls "$here/calls.c"
# None of them matches.
rules='connect 10.0.0.3:* vsock 3:*; listen *:80 vsock any:80'

# instructions LIBRARY CALL COUNT
instructions()
{
	LD_PRELOAD=$1 IP2VSOCK_RULES=$rules IP2VSOCK_REALM=bench \
		valgrind --tool=callgrind --callgrind-out-file=/dev/null bench/calls "$2" "$3" 2>&1 |
		sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p'
}

# each LIBRARY CALL: of one call
each()
{
	echo $((($(instructions "$1" "$2" 300) - $(instructions "$1" "$2" 100)) / 200))
}

failed=0
socket=0
for call in $(bench/calls); do
	added=$(($(each "$library" "$call") - $(each '' "$call")))
	case $call in
	read | write | poll | select | epoll_wait) most=1 ;;
	send | recv) added=$((added - 1)) most=8 ;; # a read or a write is counted with it
	sendto | recvfrom) added=$((added - 1)) most=40 ;;
	sendmsg | recvmsg) added=$((added - 1)) most=60 ;;
	socket) most=164 socket=$added ;;
	socket+connect) call=connect added=$((added - socket)) most=370 ;;
	recv-nothing) most=60 ;;
	getsockname) most=44 ;;
	*) most=40 ;;
	esac
	echo "# $call: +$added instructions (at most $most)"
	[ "$added" -le "$most" ] || failed=1
done
exit $failed
