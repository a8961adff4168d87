#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# UDP in Java, which has AF_INET6 sockets in its default mode and IPv4 addresses v4-mapped.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need java

echo 'listen udp *:* vsock any:*' >>"$map"
clients=$(scaled 50)
[ "$clients" -ge 10 ] || clients=10
# One compilation, where there is a compiler; the launcher compiles as well, for each start.
talk=$srcdir/tests/programs/JavaDatagrams.java
if command -v javac >/dev/null 2>&1 && javac -d "$work" "$talk" 2>javac.log; then
	talk=JavaDatagrams
fi

# MODE...
java_over() {
	over "$road" java -cp "$work" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$@" 2>&1
}

serve() { # KIND PORT
	start server.log "$road" java -cp "$work" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$talk" serve "$1" "$2"
	ok "java listens ($1) over $road" wait_for 60 grep -q '^listening' server.log
	no_udp "java ($1) over $road" "$2"
	is "$(java_over "$talk" visit "$host" "$2" "$clients")" "good: $clients sockets, $clients channels" \
		"$clients sockets and channels ask a $1 over $road"
	is "$(java_over -Djava.net.preferIPv4Stack=true "$talk" visit "$host" "$2" 10)" 'good: 10 sockets, 10 channels' \
		"sockets of IPv4 ask a $1 over $road"
	server_end "$server"
	# A JVM that is told to end says so by its exit, not by words.
	is "$(cat server.log)" 'listening, port right: true' "the $1 has nothing to complain of over $road"
}

for road in $ROADS; do
	closed "$road" && continue
	host=$(host_over "$road")
	serve socket 8071
	serve channel 8072
	is "$(java_over "$talk" refused "$host" 8079)" refused "a server that is not there is unreachable over $road"
done
finish
