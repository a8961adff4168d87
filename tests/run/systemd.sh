#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Services that systemd starts for a listener of vsock (of a realm, of a monitor's unix socket) and that know TCP alone: what
# they see is what they see when systemd listens on TCP. Real programs, and real units, are in real/systemd.sh.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need systemd-socket-activate /usr/bin/python3 perl

port=15000
next_port() {
	port=$((port + 10))
}

# ADDRESS: a map whose listeners are there, and whose clients find them there
map_of() {
	cat <<-END
	listen  tcp $1:*         vsock any:*
	connect tcp 127.0.0.1:*  vsock local:*
	connect tcp [::1]:*      vsock local:*
	END
}

# ROAD ADDRESS: what systemd listens on at $port
listens_on() {
	case $1 in
	plain) echo "$2:$port" ;;
	realm) echo "@ip2vsock/$realm/1_$port" ;;
	vsock) echo "vsock::$port" ;;
	esac
}

# LOG ROAD ADDRESS WAY OPTIONS PROGRAM [ARG]...: systemd-socket-activate with these options, which has no library itself. Its
# program has it by the wrapper, by the environment, or not at all (native), as WAY says.
activate() {
	log=$1 by_road=$2 at=$3 way=$4 options=$5
	shift 5
	case $by_road-$way in
	plain-* | *-native) ;;
	realm-wrapper) set -- "$IP2VSOCK" -v -u "$realm" -f "$map" -- "$@" ;;
	vsock-wrapper) set -- "$IP2VSOCK" -v -f "$map" -- "$@" ;;
	*-environment)
		options="-E LD_PRELOAD=$library -E IP2VSOCK_FILE=$map -E IP2VSOCK_LOG=info $options"
		[ "$by_road" = vsock ] || options="-E IP2VSOCK_REALM=$realm $options"
		;;
	esac
	# shellcheck disable=SC2086 # a list of words
	start "$log" plain systemd-socket-activate -E SCALE -l "$(listens_on "$by_road" "$at")" $options "$@"
	wait_for 20 grep -q '^Listening on ' "$work/$log" || tail -n 20 "$work/$log"
}

# ROAD ADDRESS: what a client is told
client() {
	over "$1" "$programs/activated" client "$2" "$port" 2>&1
}

# CASE ROAD LISTENER CLIENT [WAY [OPTIONS]]: what three clients of a case are told, the first of which starts the service
told() {
	activate "told.$port" "$2" "$3" "${5:-wrapper}" "${6-}" "$programs/activated" "$1" "$4" "$port"
	for told_client in 1 2 3; do
		echo "client $told_client"
		client "$2" "$4"
	done
	server_end "$server"
	grep -E '^(died|usage|ip2vsock: )' "told.$port"
}

# --- the same over every road

# CASE LISTENER CLIENT [WAY [OPTIONS]]
same() {
	next_port
	told "$1" plain "$2" "$3" none "${5-}" >wanted
	is "$(grep -c '^client' wanted) $(grep -cE 'died|ECONN' wanted)" '3 0' "$1, $2: three clients are served on plain TCP"
	for road in $ROADS; do
		closed "$road" && continue
		next_port
		told "$1" "$road" "$2" "$3" "${4:-wrapper}" "${5-}" >got
		is "$(cat got)" "$(cat wanted)" "$1, $2, by the ${4:-wrapper}: the service sees the same over $road"
	done
}

map_of '*' >"$map"
for case in $("$programs/activated" -l | grep -vE '^(client|9-.*|several|connection.*)$'); do
	same "$case" 0.0.0.0 127.0.0.1
done
for case in looked-at accepted left-to-a-child; do
	same "$case" 0.0.0.0 127.0.0.1 environment
done
for case in connection connection-peer-first; do
	same "$case" 0.0.0.0 127.0.0.1 wrapper -a
	same "$case" 0.0.0.0 127.0.0.1 environment -a
done
for case in connection-is-standard connection-is-copied connection-is-moved connection-with-flags connection-goes-to-a-shell; do
	same "$case" 0.0.0.0 127.0.0.1 wrapper '-a --inetd'
	same "$case" 0.0.0.0 127.0.0.1 environment '-a --inetd'
done
same connection-is-shut 0.0.0.0 127.0.0.1 wrapper '-a --inetd'
for at in 127.0.0.1 '[::1]'; do
	map_of "$at" >"$map"
	host=$(echo "$at" | tr -d '[]')
	for case in looked-at accepted-by-name edge-triggered; do
		same "$case" "$at" "$host"
	done
	same connection-is-standard "$at" "$host" wrapper '-a --inetd'
done

# Beside sockets that are TCP, and unix sockets of others.
map_of '*' >"$map"
for road in plain $ROADS; do
	closed "$road" && continue
	rm -f beside.sock
	next_port
	told several "$road" 0.0.0.0 127.0.0.1 wrapper \
		"-l 127.0.0.2:$((port + 5)) -l $work/beside.sock --fdname=web:tcp:local" >"several.$road"
done
is "$(grep -c '^echo: hello$' several.plain)" 3 "several sockets: three clients are served on plain TCP"
for road in $ROADS; do
	closed "$road" || is "$(cat "several.$road")" "$(cat several.plain)" "several sockets: the service sees the same over $road"
done

# --- what is left alone

# Tells its client of what family its sockets are, and how the client is named.
cat >families.py <<'END'
import socket

listener = socket.socket(fileno=3)
connection, address = listener.accept()
while connection.recv(100):
    pass
connection.sendall(b"%d %d %s\n" % (listener.family, connection.family, type(address[0]).__name__.encode()))
END

# NAME ROAD COMMAND...: a service, started by COMMAND, that must find what it finds without the library
left_alone() {
	left_name=$1 left_road=$2
	shift 2
	next_port
	activate "left.$port" "$left_road" '' environment '' "$@" /usr/bin/python3 "$work/families.py"
	is "$(client "$left_road" 127.0.0.1)" "$native" "$left_name: left alone over $left_road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" && continue
	map_of '*' >"$map"
	next_port
	activate "native.$port" "$road" '' native '' /usr/bin/python3 "$work/families.py"
	native=$(client "$road" 127.0.0.1)
	server_end "$server"
	case $road in
	realm) like "$native" '1 1 *' "without the library the service sees unix sockets" ;;
	vsock) like "$native" '40 40 *' "without the library the service sees vsock sockets" ;;
	esac
	left_alone 'LISTEN_PID of another process' "$road" env LISTEN_PID=999999999
	left_alone 'no LISTEN_PID' "$road" env -u LISTEN_PID
	left_alone 'no LISTEN_FDS' "$road" env -u LISTEN_FDS
	for wrong in 0 '' x 1x -1 99999999999; do
		left_alone "LISTEN_FDS=\"$wrong\"" "$road" env "LISTEN_FDS=$wrong"
	done
	left_alone IP2VSOCK_DISABLE "$road" env IP2VSOCK_DISABLE=1
	[ "$road" != realm ] || left_alone 'another realm' realm env IP2VSOCK_REALM=other
	sed 's/^listen .*/listen tcp *:1-99 vsock any:1-99/' "$map" >other.map
	left_alone 'no rule for this port' "$road" env IP2VSOCK_FILE="$work/other.map"
	like "$(grep '^ip2vsock' "left.$port")" '*]: descriptor 3 stays a socket of '*": no listen rule leads there" \
		'and that is said at level info'
	sed '/^listen/d' "$map" >other.map
	left_alone 'no listen rule' "$road" env IP2VSOCK_FILE="$work/other.map"
	sed "1i listen *:$((port + 10)) inet" "$map" >other.map
	left_alone 'an earlier rule that says inet' "$road" env IP2VSOCK_FILE="$work/other.map"
done

# Sockets that the program makes itself, where a listener was handed over, and where its input was.
own_socket() { # FD
	LISTEN_FDS=1 /bin/sh -c 'LISTEN_PID=$$ exec "$@"' sh /usr/bin/python3 -c '
import os
import socket
import sys

fd, port = int(sys.argv[1]), 14900
os.closerange(fd, fd + 1)
own = socket.socket(socket.AF_VSOCK)
own.bind((socket.VMADDR_CID_ANY, port))
own.listen()
client = socket.socket(socket.AF_VSOCK)
client.connect((1, port))
accepted, (cid, _) = own.accept()
print(own.fileno() - fd, own.getsockname(), own.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))
print(accepted.getsockname(), cid, accepted.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))' "$1" </dev/null 2>&1
}
case " $ROADS " in
*' vsock '*)
	if ! closed vsock; then
		map_of '*' >"$map"
		for fd in 0 3; do
			is "$(export LD_PRELOAD="$library" IP2VSOCK_FILE="$map" && own_socket $fd)" "$(own_socket $fd)" \
				"a program's own vsock sockets, from descriptor $fd on, are left alone"
		done
	fi
	;;
esac

# --- many clients, who wait before anybody has looked at the listener

cat >workers.py <<'END'
import os
import socket
import time

time.sleep(float(os.environ["SCALE"]))
for _ in range(2):
    os.fork()
listener = socket.socket(fileno=3)
while True:
    connection, (address, port) = listener.accept()
    while connection.recv(100):
        pass
    again = connection.getpeername() == (address, port)
    connection.sendall(b"%s %s %d\n" % (connection.getsockname()[0].encode(), address.encode(), again))
    connection.close()
END

for road in $ROADS; do
	closed "$road" && continue
	next_port
	activate "workers.$port" "$road" '' wrapper '' /usr/bin/python3 "$work/workers.py"
	clients=$(scaled 200)
	client_pids=
	number=0
	while [ $number -lt "$clients" ]; do
		client "$road" 127.0.0.1 >"many.$number" &
		client_pids="$client_pids $!"
		number=$((number + 1))
	done
	# shellcheck disable=SC2086 # a list of words
	wait $client_pids
	is "$(cat many.* | grep . | sort | uniq -c | awk '{ $1 = $1; print }')" "$clients 127.0.0.1 127.0.0.1 1" \
		"$clients clients at once are TCP clients over $road"
	rm -f many.*
	server_end "$server"
done

# --- who may connect

refusals_are() { # NUMBER LOG
	[ "$(grep -c 'CID 1 is not allowed, closed$' "$2")" = "$1" ]
}

for road in $ROADS; do
	closed "$road" && continue
	for options in '' '-a --inetd'; do
		case=looked-at
		[ -z "$options" ] || case=connection-is-standard
		map_of '*' | sed '/^listen/s/$/ allow=1/' >"$map"
		next_port
		is "$(told $case "$road" '' 127.0.0.1 wrapper "$options" | grep -c 'echo: hello')" 3 \
			"who is on the list is served ($case, over $road)"
		map_of '*' | sed '/^listen/s/$/ allow=3/' >"$map"
		next_port
		is "$(told $case "$road" '' 127.0.0.1 wrapper "$options" | grep -c 'echo: hello')" 0 \
			"who is not is closed ($case, over $road)"
		ok "and that is said each time" wait_for 10 refusals_are 3 "told.$port"
	done
done

# --- the next process that serves a listener has another mapping

# Holds a listener, and hands it to a shell for each line of its input, which is a command.
cat >holder.py <<'END'
import socket
import subprocess
import sys

listener = socket.socket(socket.AF_VSOCK if sys.argv[1] == "vsock" else socket.AF_UNIX)
listener.bind((socket.VMADDR_CID_ANY, int(sys.argv[2])) if sys.argv[1] == "vsock" else "\0" + sys.argv[2])
listener.listen(100)
print("Listening on it", flush=True)
for line in sys.stdin:
    subprocess.run(["/bin/sh", "-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec " + line], stdin=listener)
    print("next", flush=True)
END
cat >once.py <<'END'
import socket

listener = socket.socket(fileno=3)
listener.settimeout(5)
try:
    connection, address = listener.accept()
    connection.settimeout(None)
    while connection.recv(100):
        pass
    family = {socket.AF_INET: "AF_INET", socket.AF_INET6: "AF_INET6"}.get(connection.family, "another family")
    connection.sendall(b"%s %s" % (family.encode(), str(listener.getsockname()[0]).encode() if family != "another family" else b""))
except TimeoutError:
    pass
END

# ROAD MAP: what a client of the next process is told
next_told() {
	printf '%s\n' "$2" >"$work/next.map"
	case $1 in
	realm) set -- "$1" -u "$realm" ;;
	*) set -- "$1" ;;
	esac
	next_road=$1
	shift
	echo "'$IP2VSOCK' $* -f '$work/next.map' -- /usr/bin/python3 '$work/once.py'" >&5
	client "$next_road" 127.0.0.1 2>&1 | grep -v '^died'
	next_count=$((next_count + 1))
	wait_for 20 next_is_over
}

next_is_over() {
	[ "$(grep -c '^next' "$work/holder.log")" = "$next_count" ]
}

for road in $ROADS; do
	closed "$road" && continue
	map_of '*' >"$map"
	next_port
	next_count=0
	rm -f commands
	mkfifo commands
	case $road in
	realm) name=ip2vsock/$realm/1_$port ;;
	vsock) name=$port ;;
	esac
	/usr/bin/python3 holder.py "$road" "$name" <commands >holder.log 2>&1 &
	servers="$servers $!"
	exec 5>commands
	wait_for 20 grep -q Listening holder.log
	for try in '*:* vsock any:* allow=1|AF_INET 0.0.0.0' '*:* vsock any:* allow=3|' '*:* vsock any:*|AF_INET 0.0.0.0' \
		'*:1 vsock any:1|another family ' '10.0.0.1:* vsock any:*|AF_INET 10.0.0.1' '*:* vsock any:* allow=3|' \
		'[::]:* vsock any:* allow=1|AF_INET6 ::'; do
		is "$(next_told "$road" "listen ${try%|*}" | tr -d '\n')" "${try#*|}" "next is listen ${try%|*}, over $road"
		next_count=$((next_count + 1))
	done
	exec 5>&-
done

# --- a mapping that cannot be used

for road in $ROADS; do
	closed "$road" && continue
	map_of '*' >"$map"
	next_port
	echo 'listen nothing' >faulty.map
	activate "faulty.$port" "$road" '' environment '' env IP2VSOCK_FILE="$work/faulty.map" /usr/bin/python3 -c '
import socket
connection, _ = socket.socket(fileno=3).accept()
connection.sendall(b"served")'
	is "$(client "$road" 127.0.0.1 | grep -c served)" 0 "nobody is served where the mapping cannot be used, over $road"
	wait_for 20 grep -q Error "faulty.$port"
	like "$(cat "faulty.$port")" "*]: network calls fail with EACCES, *PermissionError: *Errno 13*" "and the service is told"
	server_end "$server"
done

# --- the unix socket of a monitor, at which a guest's connections arrive

cat >"$map" <<END
listen  tcp *:*         unix $work/monitor.sock:*
connect tcp 10.0.0.9:*  unix $work/monitor.sock:*
END

told_as_guest() { # CASE OPTIONS
	next_port
	# shellcheck disable=SC2086 # a list of words
	start "guest.$port" plain systemd-socket-activate -E SCALE -l "$work/monitor.sock_$port" $2 \
		"$IP2VSOCK" -v -f "$map" -- "$programs/activated" "$1" 127.0.0.1 "$port"
	wait_for 20 grep -q '^Listening on ' "guest.$port"
	for guest in 1 2 3; do
		echo "client $guest"
		/usr/bin/python3 -c '
import socket, sys
guest = socket.socket(socket.AF_UNIX)
guest.connect(sys.argv[1])
guest.sendall(b"hello")
guest.shutdown(socket.SHUT_WR)
print(guest.makefile().read())' "$work/monitor.sock_$port"
	done
	server_end "$server"
}
for case in accepted accepted-by-name left-to-workers connection-is-standard; do
	options=
	[ $case != connection-is-standard ] || options='-a --inetd'
	next_port
	told $case plain 0.0.0.0 127.0.0.1 none "$options" >wanted
	told_as_guest $case "$options" >got
	# Where the guest dialled, the monitor does not tell.
	is "$(sed 's/\(connection\|standard [a-z]*\): at [^,]*,/\1: at an address,/' got)" \
		"$(sed 's/from AF_INET 127.0.0.1/from AF_INET 10.0.0.9/; s/^accepted: AF_INET 127.0.0.1/accepted: AF_INET 10.0.0.9/
		s/\(connection\|standard [a-z]*\): at [^,]*,/\1: at an address,/' wanted)" "$case: a guest is shown by its address"
done
finish
