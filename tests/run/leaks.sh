#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is mapped never reaches the network, by any call: the kernel's own counters of this network namespace say so.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# Both protocols of 127.0.0.1, where without the library everything would work.
cat >"$map" <<'END'
connect 127.0.0.1:* vsock local:*
connect [::1]:*     vsock local:*
connect 127.0.0.2:* reject
listen  *:*         vsock any:*
END

# TCP connections begun, TCP segments sent, UDP datagrams sent, those to ports without listener among them.
counters() {
	awk '$1 == "Tcp:" && $2 ~ /^[0-9]/ { print "tcp", $6, $12 }
		$1 == "Udp:" && $2 ~ /^[0-9]/ { print "udp", $5 }' /proc/net/snmp
	awk '$1 == "Udp6OutDatagrams" { print "udp6", $2 }' /proc/net/snmp6 2>/dev/null
}

# The counters do count: one datagram, one connection.
before=$(counters)
"$programs/knock" 127.0.0.1 9 udp-sendto connect >/dev/null 2>&1
after=$(counters)
[ "$before" != "$after" ]
is $? 0 "the counters see what goes out without the library"

nothing_leaves() { # NAME PROGRAM [ARG]...
	leaves_name=$1
	shift
	leaves_before=$(counters)
	leaves_got=$(over "$road" "$@" 2>/dev/null)
	is "$(counters)" "$leaves_before" "$leaves_name over $road: nothing goes out"
}

udp='udp-connect: ok
udp-sendto: ok
udp-sendmsg: ok
udp-sendmmsg: ok'

leaks() {
	for address in 127.0.0.1 ::1 ::ffff:127.0.0.1; do
		nothing_leaves "TCP to $address" "$programs/knock" $address 9 connect nonblock fastopen connect
		is "$leaves_got" "connect: ECONNREFUSED
nonblock: ECONNREFUSED
fastopen: ECONNREFUSED
connect: ECONNREFUSED" "TCP to $address over $road is refused, nobody listens there"
		nothing_leaves "UDP to $address" "$programs/knock" $address 9 udp-connect udp-sendto udp-sendmsg udp-sendmmsg
		is "$leaves_got" "$udp" "UDP to $address over $road is sent to nobody, as on a network"
	done
	nothing_leaves "what is rejected" "$programs/knock" 127.0.0.2 9 connect nonblock fastopen udp-sendto udp-sendmsg
	is "$leaves_got" "connect: ECONNREFUSED
nonblock: ECONNREFUSED
fastopen: ECONNREFUSED
udp-sendto: ECONNREFUSED
udp-sendmsg: ECONNREFUSED" "what is rejected over $road is refused"
	nothing_leaves "a stream" "$programs/stream" bulk-to-server 127.0.0.1 32500
	like "$leaves_got" '*20971520 bytes, 0 wrong*' "and it arrives over $road"
	nothing_leaves "fast open" "$programs/fastopen" arrives 127.0.0.1 32510
	like "$leaves_got" '*arrived: early*' "and it arrives over $road"
	nothing_leaves "a server with children" "$programs/process" prefork-server 127.0.0.1 32520
	nothing_leaves "epoll before connect" "$programs/registered" level 127.0.0.1 32530
	nothing_leaves "IPv6" "$programs/stream" half-close-by-client ::1 32540
}

for road in $ROADS; do
	if network_exists; then
		skip "leaks over $road" "this network namespace has other traffic"
	else
		closed "$road" || leaks
	fi
done
finish
