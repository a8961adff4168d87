#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Java as server and client in its default mode: AF_INET6 sockets for everything, IPv4 addresses v4-mapped.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need java

clients=$(scaled 50)
[ "$clients" -ge 10 ] || clients=10
# One compilation, where there is a compiler; the launcher compiles as well, for each start.
talk=$srcdir/tests/programs/JavaTalk.java
if command -v javac >/dev/null 2>&1 && javac -d "$work" "$talk" 2>javac.log; then
	talk=JavaTalk
fi

# MODE...
java_over() {
	over "$road" java -cp "$work" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$@" 2>&1
}

talk() {
	start server.log "$road" java -cp "$work" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$talk" serve 8040
	# Its own word that it is ready: it complains of a connection that is closed at once.
	ok "java listens over $road" wait_for 60 grep -q '^listening' server.log
	no_tcp "java over $road" 10.0.0.3 8040
	is "$(cat server.log)" 'listening, port right: true' "java knows its port over $road"
	is "$(java_over "$talk" visit 10.0.0.3 8040 "$clients")" "good: $clients streams, $clients channels" \
		"$clients clients, by streams and by channels, over $road"
	is "$(java_over -Djava.net.preferIPv4Stack=true "$talk" visit 10.0.0.3 8040 10)" "good: 10 streams, 10 channels" \
		"clients with IPv4 sockets over $road"
	is "$(java_over "$talk" visit ::1 8040 10)" "good: 10 streams, 10 channels" "clients by ::1 over $road"
	like "$(java_over "$talk" visit 10.0.0.3 8049 1)" '*java.net.ConnectException*refused*' \
		"a server that is not there is refused over $road"
	server_end "$server"
	# A JVM that is told to end says so by its exit, not by words.
	is "$(grep -v '^listening' server.log)" '' "the server has nothing to complain of over $road"
}

for road in $ROADS; do
	closed "$road" || talk
done
finish
