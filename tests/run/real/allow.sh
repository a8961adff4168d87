#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A thousand clients at once, half of them on the list of the listener: nginx, redis and a pre-fork server serve those,
# have never seen the others, and are quiet while only others come.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need nginx redis-server redis-cli
case " $ROADS " in
*' realm '*) ;;
*) skip_all "only in a realm do clients on one machine have CIDs of their own" ;;
esac

# The server is CID 3, the clients are 4 to 13; 5, 7, 8, 9 and 12 are on the list.
rules='connect 10.0.0.3:* vsock 3:*; listen *:* vsock any:* allow=3,5,7-9,12'
cids='4 5 6 7 8 9 10 11 12 13'
clients=$(scaled 100)
knocks=$(scaled 500)

client() { # CID COUNT [once]
	IP2VSOCK_CID=$1 "$IP2VSOCK" -u "$realm" -r "$rules" -- timeout -k 10 $((PATIENCE * SCALE)) \
		"$programs/callers" 10.0.0.3 "$port" "$2" "$question" "$answer" ${3:+"$3"} 2>&1
}

start_server() { # NAME PROGRAM [ARG]...: with its refusals in NAME.log
	server_name=$1
	shift
	# Workers of nginx are somebody else.
	: >"$server_name.log"
	chmod 666 "$server_name.log"
	IP2VSOCK_CID=3 "$IP2VSOCK" -u "$realm" -r "$rules" --log "info:$work/$server_name.log" -- "$@" </dev/null >"$server_name.out" 2>&1 &
	server=$!
	servers="$servers $server"
	ok "$server_name is there" wait_for 60 client_is_served
}

client_is_served() {
	[ "$(client 3 1)" = 'served 1, closed 0, other 0' ]
}

refusals() {
	grep -c 'is not allowed, closed$' "$server_name.log"
}

# What --stats says of it, of all processes of the server together.
denied() {
	"$IP2VSOCK" --stats "$server" 2>&1 | awk '/listen .* allow=/ { n += $4 } END { print n + 0 }'
}

# The processes of a server.
pids() {
	echo "$server"
	pgrep -P "$server"
}

# FILE FIELDS: the sum over all processes and threads of a server, of FIELDS that an awk script adds to n
sum() {
	for sum_pid in $(pids); do
		cat "/proc/$sum_pid/task"/*/"$1"
	done 2>/dev/null | awk "$2"' END { print n + 0 }'
}

# How often it has waited, and gone on.
waits() {
	sum status '$1 == "voluntary_ctxt_switches:" { n += $2 }'
}

ticks() {
	sum stat '{ sub(/.*\) /, ""); n += $12 + $13 }'
}

descriptors() {
	for descriptors_pid in $(pids); do
		ls "/proc/$descriptors_pid/fd"
	done | wc -l
}

# All at once: what the clients of each CID are told.
mixed() {
	mixed_before=$(refusals)
	mixed_denied=$(denied)
	for cid in $cids; do
		client "$cid" "$clients" >"told.$cid" &
		eval "mixed_$cid=\$!"
	done
	for cid in $cids; do
		eval "wait \$mixed_$cid"
	done
	for cid in $cids; do
		echo "$cid $(cat "told.$cid")"
	done >told
	for cid in $cids; do
		case $cid in
		5 | 7 | 8 | 9 | 12) echo "$cid served $clients, closed 0, other 0" ;;
		*) echo "$cid served 0, closed $clients, other 0" ;;
		esac
	done >wanted
	is "$(cat told)" "$(cat wanted)" "$server_name: $((10 * clients)) clients at once, half of them on the list"
	is $(($(refusals) - mixed_before)) $((5 * clients)) "$server_name: one line for each who is not"
	is $(($(denied) - mixed_denied)) $((5 * clients)) "$server_name: and they are counted"
}

# Only strangers come, one after the other, each when the last one is gone; and then nobody.
quiet() { # WAITS: of the server for one stranger
	quiet_descriptors=$(descriptors)
	quiet_waits=$(waits)
	quiet_ticks=$(ticks)
	is "$(client 6 "$knocks" once)" "served 0, closed $knocks, other 0" "$server_name: strangers alone"
	quiet_waits=$(($(waits) - quiet_waits))
	quiet_ticks=$(($(ticks) - quiet_ticks))
	ok "$server_name: it woke $quiet_waits times for $knocks of them, $1 for one at most" \
		[ "$quiet_waits" -le $(($1 * knocks + 100)) ]
	# A generous millisecond for each, of hundredths of a second.
	ok "$server_name: and worked for $quiet_ticks ticks" [ "$quiet_ticks" -le $((knocks * SCALE * $(getconf CLK_TCK) / 1000 + 5)) ]
	is "$(descriptors)" "$quiet_descriptors" "$server_name: no descriptor is left"
	quiet_waits=$(waits)
	quiet_ticks=$(ticks)
	sleep 2
	quiet_waits=$(($(waits) - quiet_waits))
	ok "$server_name: it woke $quiet_waits times while nobody came" [ "$quiet_waits" -le 100 ]
	ok "$server_name: and did nothing" [ $(($(ticks) - quiet_ticks)) -le 10 ]
	ok "$server_name: it still serves" client_is_served
}

# --- nginx

port=8020
question='GET / HTTP/1.0\r\n\r\n'
answer='it works'
# It writes a line when it has answered.
logged() { # NAME LINES
	wait_for 10 logs "$1" "$2"
	grep -c . "$1.access"
}

logs() {
	[ "$(grep -c . "$1.access")" = "$2" ]
}

nginx_is_tested() { # NAME LISTEN EVENTS
	mkdir -p site tmp
	cat >"$1.conf" <<-END
		worker_processes 2;
		daemon off;
		pid $work/$1.pid;
		error_log stderr notice;
		worker_rlimit_nofile 4096;
		events { worker_connections 2048; $3 }
		http {
			access_log $work/$1.access;
			client_body_temp_path $work/tmp/body;
			proxy_temp_path $work/tmp/proxy;
			fastcgi_temp_path $work/tmp/fastcgi;
			uwsgi_temp_path $work/tmp/uwsgi;
			scgi_temp_path $work/tmp/scgi;
			server { listen $2; location / { return 200 "it works"; } }
		}
	END
	start_server "$1" nginx -c "$work/$1.conf" -p "$work" -e stderr
	is "$(logged "$1" 1)" 1 "$1: its log has the first"
	mixed
	is "$(logged "$1" $((5 * clients + 1)))" $((5 * clients + 1)) "$1: and those who are on the list"
	is "$(awk '{ print $1 }' "$1.access" | sort -u | tr '\n' ' ')" '127.0.0.1 198.18.0.12 198.18.0.5 198.18.0.7 198.18.0.8 198.18.0.9 ' \
		"$1: by the addresses of their CIDs"
	# Both workers may wake for one.
	quiet 4
	server_end "$server"
	is "$(grep -E '\[(alert|crit|emerg|error)\]' "$1.out")" '' "$1: nothing to complain of"
	port=$((port + 1))
}
nginx_is_tested nginx "$port" ''
nginx_is_tested nginx-reuseport "$port reuseport" 'multi_accept on;'

# --- redis

port=6390
question='PING\r\n'
answer='+PONG'
received() {
	IP2VSOCK_CID=3 "$IP2VSOCK" -u "$realm" -r "$rules" -- redis-cli -h 10.0.0.3 -p $port info stats 2>&1 |
		tr -d '\r' | sed -n 's/^total_connections_received://p'
}
start_server redis redis-server --port $port --save '' --appendonly no --maxclients 2000 --protected-mode no --dir "$work"
before=$(received)
mixed
# redis-cli is a client as well.
is $(($(received) - before)) $((5 * clients + 1)) "redis: it has counted those who are on the list"
quiet 2
server_end "$server"

# --- processes that wait in accept

port=8030
question=hello
answer=hello
start_server prefork "$programs/callers" serve 0.0.0.0 $port 4
before=$(grep -c served prefork.out)
mixed
is $(($(grep -c served prefork.out) - before)) $((5 * clients)) "prefork: it has served those who are on the list"
quiet 2
server_end "$server"
finish
