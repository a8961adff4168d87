#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Descriptors run out in the middle of replacing a socket. Plain TCP needs none there, so the outcome is written here.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

state='O_NONBLOCK no, FD_CLOEXEC yes, SO_KEEPALIVE 1, SO_DOMAIN 2, SO_ERROR 0'
fresh='after: own name AF_INET 0.0.0.0 port 0
after: getpeername: ENOTCONN'

wanted() { # CASE
	case $1 in
	connect-without-room)
		echo "one more: EMFILE
connect: ENOBUFS
after: $state
$fresh
one more: EMFILE
registration is there: ADD: EEXIST
connect with room: ok
talk: there again
event 1, data 77
in the end: $state"
		;;
	first-call-without-room)
		echo 'one more: EMFILE
connect: ENOBUFS
connect with room: ok
talk: there again'
		;;
	connect-unmatched-without-room)
		echo 'one more: EMFILE
connect to an unmatched address: ok
talk: there again'
		;;
	bind-without-room)
		echo "one more: EMFILE
bind: ENOBUFS
after: $state
$fresh
bind with room: ok
listen: ok
talk: there again
in the end: $state"
		;;
	listen-without-room)
		echo 'one more: EMFILE
listen: ENOBUFS
listen with room: ok
port is 0: no'
		;;
	accept-without-room)
		echo 'one more: EMFILE
accept: EMFILE
talk: there again'
		;;
	connect-with-room-for-one)
		echo 'one more: EMFILE
connect: ok
one more: ok
talk: there again'
		;;
	*) echo "no expectation for $1" ;;
	esac
}

port=32000
exhaust() {
	for case in $("$programs/exhaust" -l); do
		port=$((port + 10))
		is "$(over "$road" "$programs/exhaust" "$case" 127.0.0.1 $port 2>&1)" "$(wanted "$case")" "$case over $road"
	done
}

for road in $ROADS; do
	closed "$road" || exhaust
done
finish
