#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Node.js as server and client: libuv accepts with NULL, and until there is nobody left.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need node

clients=$(scaled 200)
[ "$clients" -ge 40 ] || clients=40

talk() {
	start server.log "$road" node "$srcdir/tests/programs/node_talk.js" serve 8020
	ready "node answers over $road" "$road" 10.0.0.3 8020 || return
	no_tcp "node over $road" 10.0.0.3 8020
	is "$(cat server.log)" 'listening, port right: true' "node knows its port over $road"
	is "$(over "$road" node "$srcdir/tests/programs/node_talk.js" visit 10.0.0.3 8020 "$clients" 2>&1)" "good answers: $clients" \
		"$clients requests over $road"
	is "$(over "$road" node "$srcdir/tests/programs/node_talk.js" visit ::1 8020 20 2>&1)" 'good answers: 20' \
		"20 requests by ::1 over $road"
	like "$(over "$road" node "$srcdir/tests/programs/node_talk.js" visit 10.0.0.3 8029 1 2>&1)" '*ECONNREFUSED*' \
		"a server that is not there is refused over $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || talk
done
finish
