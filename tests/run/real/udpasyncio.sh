#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# UDP in Python: asyncio's datagram endpoints and plain sockets, 500 clients of one server, and ends that start again.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need /usr/bin/python3

echo 'listen udp *:* vsock any:*' >>"$map"
talk=$srcdir/tests/programs/udp_talk.py

talk() {
	over "$road" /usr/bin/python3 "$talk" "$@" 2>&1
}

serve() { # KIND PORT NAME
	start "$3.log" "$road" /usr/bin/python3 "$talk" serve "$1" "$2" "$3"
	ok "$3 ($1) listens over $road" wait_for 60 grep -q listening "$3.log"
}

many() { # KIND PORT
	serve "$1" "$2" "server-$1"
	no_udp "$1 over $road" "$2"
	for kind in plain asyncio; do
		is "$(talk visit $kind "$host" "$2" 500)" 'good: 500' "500 clients ($kind) of one server ($1) over $road"
	done
	server_end "$server"
	is "$(cat "server-$1.log")" "listening ('0.0.0.0', $2)" "the server ($1) has nothing to complain of over $road"
}

# Clients that go on asking while the server is killed and another takes its place, three times.
restarted() {
	: >pound
	start pound.log "$road" /usr/bin/python3 "$talk" pound "$host" 8053 20 "$work/pound"
	clients=$server
	serve plain 8053 first
	ok "the first server answers all over $road" wait_for 60 grep -q '^all heard first' pound.log
	for name in second third; do
		killed=$server
		kill -KILL "$killed"
		wait_for 10 process_is_gone "$killed"
		# Nobody is there for a while.
		sleep 0.5
		serve asyncio 8053 $name
		ok "the $name answers all that it finds over $road" wait_for 60 grep -q "^all heard $name" pound.log
		server_end "$killed"
	done
	rm pound
	wait_for 60 process_is_gone "$clients"
	is "$(tail -n 1 pound.log)" 'nothing wrong' "no client was told anything wrong over $road"
	server_end "$clients"
	server_end "$server"
}

# A client that is killed, and another at once with its port.
same_port() {
	serve plain 8054 patient
	for i in 1 2 3 4 5; do
		is "$(talk from "$host" 8054 8055 20)" 'answers: 20' "client $i of 5 with one port is answered over $road"
	done
	: >held
	start held.log "$road" /usr/bin/python3 "$talk" from "$host" 8054 8055 1000000
	held=$server
	sleep $((SCALE > 1 ? 5 : 1))
	kill -KILL "$held"
	wait_for 10 process_is_gone "$held"
	is "$(talk from "$host" 8054 8055 20)" 'answers: 20' "so is one whose predecessor was killed over $road"
	server_end "$held"
	is "$(cat held.log)" '' "the predecessor was told nothing wrong over $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" && continue
	host=$(host_over "$road")
	many plain 8051
	many asyncio 8052
	restarted
	same_port
done
finish
