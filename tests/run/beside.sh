#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# fallback=inet of listeners: vsock and TCP from one descriptor. buffer=, and ports for the privileged.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need /usr/bin/python3
python=/usr/bin/python3

# [PROGRAM]... as somebody without privilege
nobody() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	fi
}

# --- programs that play both ends, beside TCP

# Of its two addresses one is reached by TCP, the other by the road; 127.0.0.3 no rule says anything of.
cp "$map" usual.map
cat >two.map <<'END'
connect tcp 127.0.0.1:*   inet
connect tcp [::1]:*       inet
connect tcp 127.0.0.2:*   vsock local:*
listen  tcp 127.0.0.3:*   inet
listen  tcp *:*           vsock any:* fallback=inet
END

# PROGRAM ADDRESS [PATTERN]: its cases of these names
port=26000
plays() {
	for case in $("$programs/$1" -l); do
		printf '%s\n' "$case" | grep -qE "${3:-.}" || continue
		printf '%s\n' "$1 $case" | grep -qE "${TEST_ONLY:-.}" || continue
		! printf '%s\n' "$1 $case" | grep -qE "${TEST_EXCEPT:-^\$}" || continue
		port=$((port + 20))
		is "$(over "$road" "$programs/$1" "$case" "$2" $port 127.0.0.2 </dev/null 2>&1)" \
			"$(over plain "$programs/$1" "$case" "$2" $((port + 10)) 127.0.0.2 </dev/null 2>&1)" \
			"$1 $case $2 over $road"
	done
}

# NAME DIFFERENCES FIRST_PORT: what diff.sh compares, where listeners have both.
compared() {
	compared_said=$(LISTENERS='fallback=inet' FIRST_PORT=$3 DIFFERENCES=$2 TEST_ONLY=$listening ROADS=$road sh "$test_dir/diff.sh" 2>&1)
	is "$(printf '%s\n' "$compared_said" | grep -A 20 '^not ok')" '' "$1 over $road"
	like "$compared_said" '*comparisons: [1-9][0-9]*' "and there are such cases over $road"
}

# Of programs that know one road: what is about listeners.
listening='^(dups (copy-before-bind|closing)|registered listener-|process (exec-with-(listener|bound)|prefork|forking|child-closes)'
listening="$listening|shutdown (listener-(is|listens|by|wakes-every)|wildcard|another)|reuseport|bound .*(listen|use|twice|kept|bound|port)"
listening="$listening|families|names accept|carry accepted|options (info|identity)|odd (backlogs|bind)|addresses dissolve-(listen|bound)"
listening="$listening|threads accept|allopts socket-accepted)"

both_ends() {
	cp two.map "$map"
	plays besidelife 127.0.0.1
	plays beside 127.0.0.1
	plays besidelife ::1 '^(prefork|vfork|executed|duplicates|port-0|taken|shared|listens|bound)'
	plays beside ::1 '^(accept|poll|epoll-level|names|options)$'
	cp usual.map "$map"
	compared 'clients of vsock find listeners that have both as they were' "$test_dir/differences" 1000
	export CLIENTS=inet
	compared 'clients of TCP find listeners that have both as they were' /dev/null 12000
	unset CLIENTS
}

# --- servers and clients that are apart

# Says who it takes the client for, and echoes.
cat >server.py <<'END'
"""server.py ADDRESS PORT [CHOICE]..."""
import os, socket, sys, threading

def serve(connection, address):
    with connection:
        data = connection.recv(100)
        connection.sendall(address[0].encode() + b" " + data)

place, port, choices = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
listener = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if ":" in place:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "v6only" in choices)
listener.bind((place, port))
listener.listen(200)
print("ready", listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept()[:2], daemon=True).start()
END
cat >client.py <<'END'
"""client.py ADDRESS PORT: what the server says, or why not"""
import socket, sys

try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as client:
        client.sendall(b"hello")
        print(client.makefile().read() or "closed")
except (BrokenPipeError, ConnectionResetError):
    print("closed")
except OSError as error:
    print(type(error).__name__)
END

# In a realm the server is CID 5; real vsock has no other CIDs here than that of this machine.
choose_road() {
	road=$1
	if [ "$road" = realm ]; then
		realm_option="-u $realm"
		server_cid=5
		peer=198.18.0.7
	else
		realm_option=
		server_cid=local
		peer=127.0.0.1
	fi
}

# LOG RULES PROGRAM [ARG]...: starts a server, which says when it is ready. Sets $server.
serves() {
	serves_log=$1
	serves_rules=$2
	shift 2
	(
		export IP2VSOCK_CID=5
		# shellcheck disable=SC2086 # words
		exec "$IP2VSOCK" $realm_option -r "$serves_rules" -- "$@"
	) </dev/null >"$work/$serves_log" 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 30 ready_or_over
}

ready_or_over() {
	process_is_gone "$server" || grep -q ready "$work/$serves_log"
}

# CID PORT: as that CID, by the road
by_vsock() {
	# shellcheck disable=SC2086 # words
	IP2VSOCK_CID=$1 timeout -k 10 $((PATIENCE * SCALE)) "$IP2VSOCK" $realm_option \
		-r "connect 10.0.0.1:* vsock $server_cid:*" -- "$python" client.py 10.0.0.1 "$2" 2>&1
}

by_tcp() { # ADDRESS PORT
	timeout -k 10 $((PATIENCE * SCALE)) "$python" client.py "$1" "$2" 2>&1
}

# NAME CID BY-VSOCK BY-TCP PORT: what a client of either road is told
told() {
	is "$(by_vsock "$2" "$5"), $(by_tcp 127.0.0.1 "$5")" "$3, $4" "$1 over $road"
}

both='listen *:* vsock any:* fallback=inet'

addresses() {
	serves server.log "$both" "$python" server.py 0.0.0.0 9001
	told 'a server at 0.0.0.0 has clients of both' 7 "$peer hello" '127.0.0.1 hello' 9001
	is "$(by_tcp 127.0.0.5 9001)" '127.0.0.1 hello' 'at every address'
	kill -KILL "$server"
	wait_for 10 process_is_gone "$server"
	told 'a server that is killed has none' 7 ConnectionRefusedError ConnectionRefusedError 9001
	serves server.log "$both" "$python" server.py 0.0.0.0 9001
	told 'and the next one has them at once' 7 "$peer hello" '127.0.0.1 hello' 9001
	serves second.log "$both" "$python" server.py 0.0.0.0 9001
	like "$(cat second.log)" '*Address already in use*' "a second one has to go elsewhere over $road"
	server_end "$server"
	serves server.log "$both" "$python" server.py 127.0.0.1 9002
	told 'a server at 127.0.0.1 has clients of both' 7 "$peer hello" '127.0.0.1 hello' 9002
	is "$(by_tcp 127.0.0.5 9002)" 'ConnectionRefusedError' "but there alone over $road"
	serves server.log "$both" "$python" server.py :: 9003
	[ "$road" = realm ] && six=fd69:7032:7673::7 || six=::ffff:127.0.0.1
	told 'a server at :: has clients of both' 7 "$six hello" '::ffff:127.0.0.1 hello' 9003
	is "$(by_tcp ::1 9003)" '::1 hello' "of both versions over $road"
	serves server.log "$both" "$python" server.py :: 9004 v6only
	[ "$road" = realm ] && six=fd69:7032:7673::7 || six=::1
	told 'a server for IPv6 only' 7 "$six hello" 'ConnectionRefusedError' 9004
	is "$(by_tcp ::1 9004)" '::1 hello' "has clients of IPv6 over $road"
	serves server.log "$both" "$python" server.py 0.0.0.0 0
	chosen=$(sed -n 's/^ready //p' server.log)
	told 'a port that the system chooses is the same for both' 7 "$peer hello" '127.0.0.1 hello' "$chosen"

	# TCP cannot listen there, vsock can.
	serves server.log 'listen 10.1.2.3:* vsock any:* fallback=inet' "$python" -c '
import socket
kept = [socket.create_server(("10.1.2.3", port)) for port in (9005, 9006)]
print("ready", flush=True)
import time
time.sleep(1000)'
	is "$(grep -c 'fallback=inet: this machine has not the address' server.log)" 1 \
		"an address that is not here is said once, for two listeners, over $road"
	is "$(tcp_listeners)" "$(cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A"' | grep -cv ':\(232D\|232E\) ')" \
		"and has no TCP listener over $road"
	# shellcheck disable=SC2086 # words
	is "$(IP2VSOCK_CID=7 "$IP2VSOCK" $realm_option -r "connect 10.0.0.1:* vsock $server_cid:*" -- \
		"$programs/knock" 10.0.0.1 9006 connect 2>&1)" 'connect: ok' "but one on the road $road"
	server_end "$server"
}

# Privileges: of the port on either side.
privileged() {
	# shellcheck disable=SC2086 # words
	for case in 'listen *:8081 vsock any:80,8081' 'listen *:80 vsock any:8082 fallback=inet,80' \
		'listen *:8083 vsock any:80 fallback=inet,8083'; do
		is "$(nobody "$IP2VSOCK" $realm_option -r "${case%,*}" -- "$programs/knock" 0.0.0.0 "${case#*,}" bind 2>&1)" \
			'bind: EACCES' "${case%,*}: not without privilege over $road"
	done
	# shellcheck disable=SC2086 # words
	is "$(nobody "$IP2VSOCK" $realm_option -r 'listen *:80 vsock any:8084' -- "$programs/knock" 0.0.0.0 80 bind 2>&1)" \
		'bind: ok' "a port of one's own behind a low one of TCP over $road"
	if [ "$(id -u)" = 0 ]; then
		serves server.log 'listen *:80 vsock any:81 fallback=inet' "$python" server.py 0.0.0.0 80
		is "$(by_vsock 7 81), $(by_tcp 127.0.0.1 80)" "$peer hello, 127.0.0.1 hello" "with privilege over $road"
		server_end "$server"
	fi
}

allowed() {
	[ "$road" = realm ] || return 0
	serves server.log 'listen *:* vsock any:* allow=3,host fallback=inet' "$python" server.py 0.0.0.0 9011
	told 'who is allowed, and TCP' 3 '198.18.0.3 hello' '127.0.0.1 hello' 9011
	told 'who is not, and TCP' 4 closed '127.0.0.1 hello' 9011
	for i in 1 2 3 4 5 6; do
		by_vsock 4 9011 >"refused.$i" &
	done
	is "$(by_tcp 127.0.0.1 9011) $(by_vsock 2 9011)" '127.0.0.1 hello 198.18.0.2 hello' 'who waits among them over realm'
	wait_for 20 test "$(cat refused.* | wc -l)" = 6
	server_end "$server"
}

# A listener of a monitor's: PATH_PORT, and TCP.
of_monitor() {
	serves server.log "listen *:* unix $work/v.sock:* fallback=inet" "$python" server.py 0.0.0.0 9021
	like "$("$python" -c '
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"hello")
print(client.makefile().read())' "$work/v.sock_9021"), $(by_tcp 127.0.0.1 9021)" '198.19.*.* hello, 127.0.0.1 hello' \
		"a unix target, and TCP"
	# The port is taken on TCP: neither is left.
	serves second.log "listen *:* unix $work/w.sock:* fallback=inet" "$python" server.py 0.0.0.0 9021
	like "$(cat second.log)" '*Address already in use*' "a port that is taken on TCP is taken"
	is "$(ls "$work"/w.sock* 2>&1)" "ls: cannot access '$work/w.sock*': No such file or directory" "and leaves no file"
	server_end "$server"
}

# --- where TCP does not go along

apart() {
	for way in pass-listener spawn-with-listener; do
		is "$(LISTENERS=fallback=inet && sed "s/ vsock any:\*/& fallback=inet/" usual.map >"$map" &&
			over "$road" "$programs/process" $way 127.0.0.1 $((port += 10)) 2>&1)" \
			"$(over plain "$programs/process" $way 127.0.0.1 $((port + 5)) 2>&1)" \
			"$way: what comes by $road is served"
	done
	cp usual.map "$map"
	is "$(over "$road" "$programs/knock" 10.0.0.3 9031 connect 2>&1)" 'connect: ECONNREFUSED' "(nobody there)"

	# A program that closes what it did not open, by calls that nobody sees.
	cp two.map "$map"
	like "$(over "$road" "$programs/besidelife" closed-unseen 127.0.0.1 $((port += 20)) 127.0.0.2 2>&1)" \
		'*the program has closed the TCP listener, there is vsock alone
second: yes
idle: yes
accepted: yes' "a TCP listener that the program closes is missed, no more, over $road"
	cp usual.map "$map"

	# Datagrams go by the road alone.
	serves server.log "$both" "$python" -c '
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 9032))
print("ready", flush=True)
while True:
    data, address = server.recvfrom(100)
    server.sendto(address[0].encode() + b" " + data, address)'
	no_udp "a server of datagrams over $road" 9032
	# shellcheck disable=SC2086 # words
	is "$(IP2VSOCK_CID=7 "$IP2VSOCK" $realm_option -r "connect 10.0.0.1:* vsock $server_cid:*" -- "$python" -c '
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.sendto(b"hello", ("10.0.0.1", 9032))
print(client.recv(100).decode())' 2>&1)" "$peer hello" "and has those of $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" && continue
	choose_road "$road"
	both_ends
	addresses
	privileged
	allowed
	of_monitor
	apart
done
finish
