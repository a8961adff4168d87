#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Python's asyncio as a server, with 200 clients at the same time.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need /usr/bin/python3

clients=200

talk() {
	start server.log "$road" /usr/bin/python3 "$srcdir/tests/programs/asyncio_talk.py" serve 8030
	# Its own word that it is ready: it complains of a connection that is closed at once.
	ok "asyncio listens over $road" wait_for 60 grep -q listening server.log
	no_tcp "asyncio over $road" 10.0.0.3 8030
	is "$(over "$road" /usr/bin/python3 "$srcdir/tests/programs/asyncio_talk.py" visit 10.0.0.3 8030 "$clients" 2>&1)" \
		"good: $clients" "$clients clients over $road"
	is "$(over "$road" /usr/bin/python3 "$srcdir/tests/programs/asyncio_talk.py" visit ::1 8030 20 2>&1)" \
		'good: 20' "20 clients by ::1 over $road"
	like "$(over "$road" /usr/bin/python3 "$srcdir/tests/programs/asyncio_talk.py" visit 10.0.0.3 8039 1 2>&1)" \
		'*ConnectionRefusedError*' "a server that is not there is refused over $road"
	is "$(cat server.log)" listening "the server has nothing to complain of over $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || talk
done
finish
