#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Unix targets: programs of a host under the library, the sockets of a monitor (programs/vmm.c, which vmm.sh tests), and
# programs in the guest behind it.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need /usr/bin/python3
python=/usr/bin/python3
path=$work/v.sock

# [PROGRAM]... as somebody without privilege
nobody() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	fi
}

# RULES PROGRAM [ARG]...: a program of the host. What carries vsock targets is none of its business.
host() {
	host_rules=$1
	shift
	timeout -k 10 $((PATIENCE * SCALE)) "$IP2VSOCK" -r "$host_rules" -- "$@"
}

# --- what programs see that play both ends, beside TCP

# ROAD PROGRAM CASE ADDRESS PORT: what it prints. A monitor does not pass the ports of clients on, and the guest knows another
# end of the connection than the host.
both_ends() {
	over "$1" "$programs/$2" "$3" "$4" "$5" 127.0.0.2 </dev/null 2>&1 |
		sed 's/\(ports agree\|client.s own\|right port\|server sees it\|the client.s name\): \(yes\|no\)/\1: ?/'
}

# What cannot be the same: the host sees sockets of AF_UNIX, which are hung up where TCP is half closed, and refused at once,
# and SHUT_RD is told to the peer. On a machine with much else to do the monitor may answer after connect() has returned:
# send() and recv() do not look after such attempts, nor tell what became of them.
apart='^(stream events-after-peer-closed|nonblock refused-events|shutdown sends-to-an-end-that-does-not-read)$'
apart_when_late='^(sends refused-says-send|sends sends-at-once|sends receives-at-once|data refused-says-recv)$'

# PROGRAM ADDRESS: all its cases but those, each at ports of its own
port=10000
plays() {
	for case in $("$programs/$1" -l); do
		! printf '%s\n' "$1 $case" | grep -qE "$apart|$apart_when_late" || continue
		printf '%s\n' "unix $1 $case" | grep -qE "${TEST_ONLY:-.}" || continue
		port=$((port + 20))
		is "$(both_ends "$road" "$1" "$case" "$2" $port)" "$(both_ends plain "$1" "$case" "$2" $((port + 10)))" \
			"$1 $case $2 through a monitor over $road"
	done
}

beside_tcp() {
	cp "$map" usual.map
	sed "s|vsock local:|unix $path:|" usual.map >"$map"
	# Guest and host have one CID, as the two ends of the programs have.
	if [ "$road" = realm ]; then
		monitor vmm.log "$road" -h 1 "$path"
		programs_beside='stream nonblock carry registered dups retry process sends data shutdown'
	else
		monitor vmm.log "$road" "$path"
		programs_beside='stream nonblock registered retry'
	fi
	for program in $programs_beside; do
		plays "$program" 127.0.0.1
	done
	plays stream ::1
	counts=$(monitor_counts vmm.log "$monitor")
	like "$counts" '[1-9]*; open: 0' "nothing of it is left over $road"
	cp usual.map "$map"
}

# --- servers: in the guest, and on the host

cat >server.py <<'END'
"""Echoes what comes, after it has said who it takes the client for, if "who" comes first: server.py PORT [ADDRESS]"""
import socket, sys, threading

def serve(connection, address):
    with connection:
        data = connection.recv(65536)
        if data[:3] == b"who":
            data = b"%s %d %s\n" % (address[0].encode(), address[1], str(connection.getpeername() == address).encode())
        while data:
            connection.sendall(data)
            data = connection.recv(65536)

place = sys.argv[2] if len(sys.argv) > 2 else "0.0.0.0"
listener = socket.create_server((place, int(sys.argv[1])), family=socket.AF_INET6 if ":" in place else socket.AF_INET,
                                backlog=200, reuse_port=False)
print("ready", listener.getsockname()[:2], flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept()[:2], daemon=True).start()
END
cat >client.py <<'END'
"""client.py ADDRESS PORT TEXT [NUMBER]: says TEXT on so many connections at a time; what comes back, each line once"""
import collections, socket, sys

address, port, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
clients = [socket.create_connection((address, port)) for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 1)]
for client in clients:
    client.sendall(text)
    client.shutdown(socket.SHUT_WR)
answers = [client.makefile().read().strip() for client in clients]
if text == b"who":
    seen = [answer.split() for answer in answers]
    answers = [" ".join((words[0], words[2])) for words in seen]
    print(len({words[1] for words in seen}), "ports", all(0 < int(words[1]) < 65536 for words in seen))
for answer, count in sorted(collections.Counter(answers).items()):
    print(count, answer)
END

# LOG PROGRAM [ARG]...: in the guest. Sets $server.
guest_starts() {
	guest_log=$1
	shift
	: >"$guest_log"
	start "$guest_log" "$road" "$@"
	wait_for 30 grep -q ready "$guest_log" || fail "a server in the guest" "$(cat "$guest_log")"
}

# LOG RULES PROGRAM [ARG]...: on the host. Sets $server.
host_starts() {
	host_log=$1
	host_rules=$2
	shift 2
	: >"$host_log"
	(exec "$IP2VSOCK" -r "$host_rules" -- "$@") </dev/null >"$work/$host_log" 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 30 host_ready_or_gone
}

host_ready_or_gone() {
	process_is_gone "$server" || grep -q ready "$work/$host_log"
}

# --- from the host to the guest

connected='connect: ok
took: no time
socket: own name AF_INET 127.0.0.1 port ephemeral
socket: peer name AF_INET 10.0.0.9 port +0
descriptors left: 0'
later='connect: EINPROGRESS
took: no time
events: OUT
SO_ERROR: ok
in all: no time
socket: own name AF_INET 127.0.0.1 port ephemeral
socket: peer name AF_INET 10.0.0.9 port +0
descriptors left: 0'

# OPTION...: one connection to the guest's port 5000, at the socket $at, by a rule with options $with. (Where a failed socket
# is bound, TCP says only if it went on.)
dialled() {
	host "connect 10.0.0.9:5000 unix ${at:-$path}:5000 ${with-}; connect 10.0.0.9:* unix $path:*" \
		"$programs/dial" "$@" 10.0.0.9 5000 2>&1 | sed '/^failed: own name/d'
}

# TEXT WHAT: of "WHAT: 0.5 s", a line of the text, 500; else 0
wanted_ms() {
	echo "0$(printf '%s\n' "$1" | sed -n "s/^$2: \\([0-9]\\)\\.\\([0-9]\\) s\$/\\1\\200/p")"
}

# NAME OPTION... WANTED
dials() {
	dials_name=$1
	shift
	dials_options=
	while [ $# -gt 1 ]; do
		dials_options="$dials_options $1"
		shift
	done
	# shellcheck disable=SC2086 # words
	is "$(dialled -t "$(wanted_ms "$1" took)" -a "$(wanted_ms "$1" 'in all')" $dials_options)" "$1" "$dials_name over $road"
}

to_the_guest() {
	rules="connect 10.0.0.9:* unix $path:*; connect [2001:db8::9]:* unix $path:*"
	monitor vmm.log "$road" "$path"
	guest_starts guest.log "$python" server.py 5000
	dials 'a blocking connect' "$connected"
	dials 'a non-blocking connect, poll' -n "$later"
	dials 'a non-blocking connect, an epoll that knew the socket before' -e "$later"
	is "$(host "$rules" "$programs/dial" -n 2001:db8::9 5000 2>&1)" \
		"$(printf '%s\n' "$later" | sed 's/AF_INET 10.0.0.9/AF_INET6 2001:db8::9/; s/AF_INET 127.0.0.1/AF_INET6 ::1/')" \
		"IPv6 over $road"
	case $road in
	realm) seen=198.18.0.2 ;;
	vsock) seen=127.0.0.1 ;;
	esac
	is "$(host "$rules" "$python" client.py 10.0.0.9 5000 who 100 2>&1)" "100 ports True
100 $seen True" "100 at the same time over $road: the guest sees 100 ports of its host"
	is "$(host "$rules" "$python" client.py 10.0.0.9 5000 hello 100 2>&1)" '100 hello' "and 100 are answered over $road"
	is "$(host "$rules" "$programs/dial" 10.0.0.9 5001 2>&1)" 'connect: ECONNREFUSED
took: no time
socket: own name AF_INET 0.0.0.0 port 0
socket: getpeername: ENOTCONN
descriptors left: 0' "nobody listens on that port of the guest, over $road"
	like "$("$IP2VSOCK" -v -r "$rules" -- "$programs/knock" 10.0.0.9 5001 connect 2>&1)" \
		'*nobody listens on that port of the guest*' "and the log says so over $road"
	like "$(monitor_counts vmm.log "$monitor")" '20[4-9] made, 2 refused; *; open: 0' "nothing of it is left over $road"

	# What comes with the answer is the guest's, to the byte.
	monitor vmm.log "$road" -m 'banner=220 ready
' "$path"
	dials 'a banner behind the answer' -r 99 "$(printf '%s\n' "$connected" | sed '$i\
read: "220 ready\\x0a", the end')"
	dials 'a banner behind the answer, non-blocking' -n -r 99 \
		"$(printf '%s\n' "$later" | sed 's/events: OUT/events: IN OUT/; $i\
read: "220 ready\\x0a", the end')"
	server_end "$monitor"
	server_end "$server"
}

# --- what may go wrong

# What a failed attempt leaves: a socket that can be connected elsewhere, and nothing else.
left='failed: getpeername: ENOTCONN
elsewhere: ok
socket: own name AF_INET 127.0.0.1 port ephemeral
socket: peer name AF_INET 10.0.0.9 port +1
descriptors left: 0'

# NAME OPTION... ERRNO TIME: connect says so after that time, and that is all.
fails() {
	fails_name=$1
	shift
	fails_options=
	while [ $# -gt 2 ]; do
		fails_options="$fails_options $1"
		shift
	done
	# shellcheck disable=SC2086 # words
	dials "$fails_name" $fails_options -o 5001 "connect: $1
took: $2
$left"
}

# NAME OPTION... ERRNO TIME ERRNO TIME: connect says the first after that time, and goes on to the second.
goes_on() {
	goes_on_name=$1
	shift
	goes_on_options=
	while [ $# -gt 4 ]; do
		goes_on_options="$goes_on_options $1"
		shift
	done
	# shellcheck disable=SC2086 # words
	dials "$goes_on_name" $goes_on_options -o 5001 "connect: $1
took: $2
events: OUT HUP
SO_ERROR: $3
in all: $4
$left"
}

other_ends() {
	like "$(monitor_counts other.log "$monitor")" '*; open: 0' "nothing of it is left over $road"
}

# MANNER NAME: a monitor of that manner refuses. A non-blocking socket is told at once or, on a slow machine, later.
refuses() {
	at=$work/other.sock
	monitor other.log "$road" -m "$1" "$at"
	fails "$2" ECONNREFUSED 'no time'
	is "$(dialled -n -o 5001 | sed '/^connect: EINPROGRESS/d; /^took:/d; /^events:/d; /^in all:/d; s/^SO_ERROR:/connect:/')" \
		"connect: ECONNREFUSED
$left" "$2, non-blocking over $road"
	other_ends
}

# MANNER NAME ERRNO TIME: it fails after that time. A non-blocking socket is told later.
fails_late() {
	at=$work/other.sock
	monitor other.log "$road" -m "$1" "$at"
	fails "$2" "$3" "$4"
	goes_on "$2, non-blocking" -n EINPROGRESS 'no time' "$3" "$4"
	goes_on "$2, epoll" -e EINPROGRESS 'no time' "$3" "$4"
	other_ends
}

times_out() { # MANNER NAME TIME
	fails_late "$1" "$2" ETIMEDOUT "$3"
}

# MANNER NAME TIME: it works after that time.
works() {
	at=$work/other.sock
	monitor other.log "$road" -m "$1" "$at"
	dials "$2" "$(printf '%s\n' "$connected" | sed "s/took: no time/took: $3/")"
	dials "$2, non-blocking" -n "$(printf '%s\n' "$later" | sed "s/in all: no time/in all: $3/")"
	dials "$2, epoll" -e "$(printf '%s\n' "$later" | sed "s/in all: no time/in all: $3/")"
	server_end "$monitor"
}

# NAME: somebody without privilege may not connect.
forbidden() {
	is "$(nobody "$IP2VSOCK" -r "connect 10.0.0.9:* unix $at:*" -- "$programs/knock" 10.0.0.9 5000 connect nonblock 2>&1)" \
		'connect: EACCES
nonblock: EACCES' "$1 over $road"
}

goes_wrong() {
	monitor vmm.log "$road" "$path"
	usual=$monitor
	guest_starts guest.log "$python" server.py 5000
	guest_server=$server
	guest_starts guest1.log "$python" server.py 5001
	with=

	at=$work/absent.sock
	fails 'no such file' EHOSTUNREACH 'no time'
	fails 'no such file, non-blocking' -n EHOSTUNREACH 'no time'
	at=$work/absent/v.sock
	fails 'no such directory' EHOSTUNREACH 'no time'
	at=$work/map/v.sock
	fails 'a directory that is a file' EHOSTUNREACH 'no time'
	at=$work/map
	fails 'no socket' EHOSTUNREACH 'no time'
	at=$work/dead.sock
	monitor dead.log "$road" "$at"
	kill -KILL "$monitor"
	wait_for 10 process_is_gone "$monitor"
	fails 'a monitor that was killed' EHOSTUNREACH 'no time'
	fails 'a monitor that was killed, non-blocking' -n EHOSTUNREACH 'no time'

	at=$work/closed.sock
	monitor closed.log "$road" "$at"
	chmod 0 "$at"
	forbidden 'a socket that one may not write to'
	chmod 777 "$at"
	mkdir closed
	mv "$at" closed/v.sock
	at=$work/closed/v.sock
	is "$(nobody "$IP2VSOCK" -r "connect 10.0.0.9:* unix $at:*" -- "$programs/knock" 10.0.0.9 5000 connect 2>&1)" 'connect: ok' \
		"a socket that one may write to over $road"
	chmod 0 closed
	forbidden 'a directory that one may not search'
	chmod 700 closed
	rm -r closed
	server_end "$monitor"

	refuses close 'a port where nobody listens'
	refuses drop 'a monitor with too many connections'
	at=$work/other.sock
	monitor other.log "$road" -m drop "$at"
	# shellcheck disable=SC2046 # words
	is "$(host "connect 10.0.0.9:* unix $at:*" "$programs/knock" 10.0.0.9 5000 $(yes connect | head -n 300) 2>&1 |
		sort | uniq -c | tr -s ' ')" ' 300 connect: ECONNREFUSED' "closed before or after the request, 300 times over $road"
	server_end "$monitor"
	refuses half 'half an answer'
	refuses garbage 'no answer but something else'
	refuses overlong 'an answer without end'
	refuses no-number 'an answer without number'
	for answer in 'OK five' 'OK -5' 'OK 5x' ' OK 5' 'ok 5' 'OK  5' 'NO 5' 'OK 5 ' ''; do
		refuses "say=$answer
" "the answer \"$answer\""
	done
	works late=500 'an answer that comes late' '0.5 s'
	works slowly=40 'an answer that comes in pieces' '0.5 s'
	fails_late leave=500 'a refusal that comes late' ECONNREFUSED '0.5 s'
	times_out late=2600 'an answer that comes too late' '2.0 s'
	times_out silent 'no answer' '2.0 s'
	times_out full 'a full backlog' '2.0 s'

	with=timeout=500ms
	times_out silent 'no answer within the time of the rule' '0.5 s'
	times_out full 'a full backlog for the time of the rule' '0.5 s'
	with=timeout=4s
	works late=2500 'an answer within the time of the rule' '2.5 s'
	with=

	# A guest that boots: no file, a file, a monitor without a guest that listens, and all of it.
	for option in -n ''; do
		at=$work/boots.sock
		with=retry=20s
		dialled $option >booting &
		booting=$!
		sleep 0.3
		monitor boots0.log "$road" -m close "$at"
		kill -KILL "$monitor"
		sleep 0.3
		rm "$at"
		monitor boots.log "$road" -m close "$at"
		sleep 0.3
		server_end "$monitor"
		monitor boots.log "$road" "$at"
		wait $booting
		like "$(cat booting)" "*: ok
*
socket: peer name AF_INET 10.0.0.9 port +0
descriptors left: 0" "a guest that boots is reached by a ${option:+non-}blocking client over $road"
		like "$(monitor_counts boots.log "$monitor")" '1 made, *; open: 0' "with one connection over $road"
	done
	with=

	# A blocking call that ends before the attempt does.
	at=$work/other.sock
	for manner in silent full; do
		monitor other.log "$road" -m $manner "$at"
		goes_on "SO_SNDTIMEO, $manner" -l 500 EINPROGRESS '0.5 s' ETIMEDOUT '2.0 s'
		fails "a longer SO_SNDTIMEO, $manner" -l 5000 ETIMEDOUT '2.0 s'
		goes_on "a signal, $manner" -i 500 EINTR '0.5 s' ETIMEDOUT '2.0 s'
		other_ends
	done
	monitor other.log "$road" -m late=1000 "$at"
	for option in -l -i; do
		error=EINPROGRESS
		[ $option = -l ] || error=EINTR
		dials "a blocking call that ends early ($error), and works later" $option 500 \
			"$(printf '%s\n' "$later" | sed "s/EINPROGRESS/$error/; s/took: .*/took: 0.5 s/; s/in all: .*/in all: 1.0 s/")"
	done
	other_ends
	server_end "$guest_server"
	server_end "$server"
	like "$(monitor_counts vmm.log "$usual")" '*; open: 0' "nothing of the usual one is left over $road"
}

# --- from the guest to the host

# NAME ADDRESS PORT NUMBER WANTED: what so many clients in the guest at the same time are told of themselves.
guest_is() {
	is "$(over "$road" "$python" client.py "$2" "$3" who "$4" 2>&1)" "$5" "$1 over $road"
}

from_the_guest() {
	monitor vmm.log "$road" -g 8443 -g 8444 -g 8445 "$path"
	host_starts host.log "connect 10.0.0.9:22 unix $path:22; listen *:8443 unix $path:8443" "$python" server.py 8443
	with_rule=$server
	host_starts host1.log "listen *:80 unix $path:8444" "$python" server.py 80
	without_rule=$server
	host_starts host2.log "connect 10.0.0.9:22 unix $path:22; connect [2001:db8::9]:22 unix $path:22;
		listen *:8445 unix $path:8445" "$python" server.py 8445 ::
	for number in 8443 8444 8445; do
		ok "a socket is where the monitor looks for port $number over $road" [ -S "${path}_$number" ]
	done
	like "$(cat host.log host1.log host2.log)" "ready ('0.0.0.0', 8443)
ready ('0.0.0.0', 80)
ready ('::', 8445)" "and have the names that the program gave them over $road"
	guest_is 'the guest is the address of the rule that leads to it' 10.0.0.2 8443 50 '50 ports True
50 10.0.0.9 True'
	guest_is 'that of its family' 10.0.0.2 8445 1 '1 ports True
1 2001:db8::9 True'
	got=$(over "$road" "$python" client.py 10.0.0.2 8444 who 50 2>&1)
	like "$got" '50 ports True
50 [12][0-9]*.* True' "without such a rule it is the same for all over $road"
	like "$got" '* 198.1[89].* True' "and a stand-in over $road"
	guest_is 'and again' 10.0.0.2 8444 50 "$got"
	is "$(over "$road" "$python" client.py 10.0.0.2 8443 hello 100 2>&1)" '100 hello' "100 are answered over $road"
	server_end "$server"
	server_end "$with_rule"
	server_end "$without_rule"
	like "$(monitor_counts vmm.log "$monitor")" '0 made, 0 refused; from the guest: 251 made, 0 refused; open: 0' \
		"nothing of it is left over $road"
}

# --- what is in the way of a listener

# NAME WANTED: what a program is told that binds to $path_8443.
binds() {
	is "$(host "listen *:8443 unix $path:8443" "$programs/knock" 0.0.0.0 8443 bind 2>&1)" "bind: $2" "$1"
}

# Somebody listens there (an inode), and is answered by.
untouched() { # NAME COMMAND...
	before=$(stat -c '%i %F %s' "$path"_8443)
	binds "$1" EADDRINUSE
	is "$(stat -c '%i %F %s' "$path"_8443)" "$before" "and it is left alone"
}

cat >native.py <<'END'
"""native.py PATH [listen]: has that socket, without the library; then waits"""
import socket, sys, time
there = socket.socket(socket.AF_UNIX)
there.bind(sys.argv[1])
if sys.argv[2:]:
    there.listen()
print("ready", flush=True)
time.sleep(1000)
END

in_the_way() {
	rules="listen *:8443 unix $path:8443"
	rm -f "$path"_8443
	binds 'nothing is in the way' ok
	ok 'the socket stays when its listener is gone' [ -S "$path"_8443 ]
	binds 'a stale socket is replaced' ok
	host_starts host.log "$rules" "$python" server.py 8443
	untouched 'somebody listens'
	is "$(talk_to "$path"_8443)" hello 'and goes on'
	kill -KILL "$server"
	wait_for 10 process_is_gone "$server"
	for _ in 1 2 3; do
		host_starts host.log "$rules" "$python" server.py 8443
		is "$(talk_to "$path"_8443)" hello 'a server that was killed starts again'
		kill -KILL "$server"
		wait_for 10 process_is_gone "$server"
	done
	for state in '' listen; do
		rm -f "$path"_8443
		: >native.log
		"$python" native.py "$path"_8443 $state >native.log &
		native=$!
		servers="$servers $native"
		wait_for 10 grep -q ready native.log
		untouched "a program without the library ${state:-is bound}"
		server_end "$native"
	done
	rm -f "$path"_8443
	echo important >"$path"_8443
	untouched 'a file'
	ln -sf map "$path"_8443
	untouched 'a symbolic link'
	ln -sf nowhere "$path"_8443
	untouched 'a symbolic link that leads nowhere'
	rm "$path"_8443
	mkdir "$path"_8443
	untouched 'a directory'
	rmdir "$path"_8443
	is "$(host "listen *:8443 unix $work/absent/v.sock:8443" "$programs/knock" 0.0.0.0 8443 bind 2>&1)" 'bind: EADDRNOTAVAIL' \
		'no such directory'
	mkdir -m 555 readonly
	is "$(nobody "$IP2VSOCK" -r "listen *:8443 unix $work/readonly/v.sock:8443" -- "$programs/knock" 0.0.0.0 8443 bind 2>&1)" \
		'bind: EACCES' 'a directory that one may not write to'
	is "$(ls -A readonly)" '' 'and nothing is there'
	mkdir -m 777 sticky
	chmod 1777 sticky
	"$python" -c 'import socket; socket.socket(socket.AF_UNIX).bind("sticky/v.sock_8443")'
	if [ "$(id -u)" = 0 ]; then
		is "$(nobody "$IP2VSOCK" -r "listen *:8443 unix $work/sticky/v.sock:8443" -- "$programs/knock" 0.0.0.0 8443 bind 2>&1)" \
			'bind: EADDRINUSE' "somebody else's stale socket, which one may not remove"
	else
		skip "somebody else's stale socket, which one may not remove" 'needs root'
	fi
	is "$(host "$rules" "$python" race.py "$path" 200 2>&1)" '200 rounds of 4: 200 times one' 'of several at once one succeeds'
	rm -f "$path"_8443
	is "$(host "$rules" "$python" race.py "$path" 200 fresh 2>&1)" '200 rounds of 4: 200 times one' 'and where nothing was before'
}

talk_to() { # PATH: without the library
	"$python" -c '
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"hello")
print(client.recv(100).decode())' "$1" 2>&1
}

cat >race.py <<'END'
"""race.py PATH ROUNDS [fresh]: four processes at once listen on port 8443, one of them with success, which is then the one reached"""
import errno, os, socket, sys

path, rounds, fresh = sys.argv[1] + "_8443", int(sys.argv[2]), len(sys.argv) > 3
good = 0
for round in range(rounds):
    if fresh and os.path.exists(path):
        os.unlink(path)
    go_read, go = os.pipe()
    end_read, end = os.pipe()
    said_read, said = os.pipe()
    for me in range(4):
        if os.fork() == 0:
            try:
                os.close(go)
                os.close(end)
                os.read(go_read, 1)
                listener = socket.socket()
                listener.bind(("0.0.0.0", 8443))
                if me & 1:
                    os.sched_yield()
                listener.listen()
                os.write(said, b"%d" % me)
                os.close(said)
                os.read(end_read, 1)
                listener.settimeout(20)
                listener.accept()[0].send(b"%d" % me)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    print(error, flush=True)
            finally:
                os._exit(0)
    for fd in go, go_read, end_read, said:
        os.close(fd)
    winners = b""
    while len(winners) < 5:
        # The others have closed their ends by their deaths.
        more = os.read(said_read, 10)
        if not more:
            break
        winners += more
    os.close(said_read)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    os.close(end)
    good += len(winners) == 1 and client.recv(10) == winners
    client.close()
    for _ in range(4):
        os.wait()
print(rounds, "rounds of 4:", good, "times one")
END

case " $ROADS " in
*' realm '*) in_the_way ;;
esac
for road in $ROADS; do
	closed "$road" && continue
	case $road in
	realm) echo 'connect 10.0.0.2:* vsock host:*' >>"$map" ;;
	vsock) echo 'connect 10.0.0.2:* vsock local:*' >>"$map" ;;
	esac
	beside_tcp
	to_the_guest
	goes_wrong
	from_the_guest
done
finish
