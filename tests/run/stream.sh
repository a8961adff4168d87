#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The stream library beside the preload library: a program that knows vsock on one side, one of AF_INET on the other.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
streams=$programs/streams
path=$work/v.sock
bulk=$(scaled 4000000)
crowd=$(scaled 100)

# LOG COMMAND...: starts a server that says when it is ready. Sets $server.
serves() {
	serves_log=$work/$1
	shift
	: >"$serves_log"
	"$@" </dev/null >"$serves_log" 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 20 ready_or_over && grep -q ready "$serves_log" || fail "a server: $*" "$(cat "$serves_log")"
}

ready_or_over() {
	grep -q ready "$serves_log" || process_is_gone "$server"
}

# It has ended of itself; what it has said since it was ready, each line once with how often.
has_said() { # LOG
	wait_for 20 process_is_gone "$server" || echo 'it has not ended'
	server_end "$server"
	sed '/^ready$/d' "$work/$1" | sort | uniq -c | sed 's/^ *//'
}

# CID PROGRAM [ARG]...: a program of AF_INET with that CID, under the preload library
inet() {
	inet_cid=$1
	shift
	env ${inet_realm:+IP2VSOCK_CID=$inet_cid} timeout -k 10 $((PATIENCE * SCALE)) \
		"$IP2VSOCK" -f "$map" ${inet_realm:+-u "$inet_realm"} -- "$@"
}

# CID [ARG]...: a program of the stream library
native() {
	native_cid=$1
	shift
	timeout -k 10 $((PATIENCE * SCALE)) "$streams" ${inet_realm:+-r "$inet_realm" -c "$native_cid"} "$@"
}

# On the road vsock both are CID 1.
the_road() {
	case $road in
	realm)
		inet_realm=$realm
		there=4
		seen=198.18.0.4
		to=3
		;;
	vsock)
		inet_realm=
		there=1
		seen=127.0.0.1
		to=local
		;;
	esac
	cat >"$map" <<-END
		connect 10.0.0.3:* vsock $to:*
		connect 127.0.0.1:* vsock local:*
		listen *:* vsock any:*
	END
}

to_a_stream_server() {
	serves server.log native 3 serve 'vsock any:5001' $((crowd + 3))
	is "$(inet 4 "$streams" inet-ask 10.0.0.3 5001 hello 2>&1)" hello "a word and a half closed connection over $road"
	is "$(inet 4 "$streams" inet-pour 10.0.0.3 5001 "$bulk" 2>&1)" "$bulk bytes, the same" "many bytes there and back over $road"
	is "$(inet 4 "$streams" inet-ask 10.0.0.3 5001 many "$crowd" 2>&1 | uniq -c | sed 's/^ *//')" "$crowd many" \
		"$crowd clients at once over $road"
	is "$(native 4 ask "vsock $to:5001" again 2>&1)" again "and one of the stream library over $road"
	is "$(has_said server.log)" "$crowd CID $there: 4 bytes, end
1 CID $there: $bulk bytes, end
2 CID $there: 5 bytes, end
1 denied: 0" "the server has seen their CID over $road"
}

to_an_inet_server() {
	serves server.log inet 3 "$streams" inet-serve 5002 $((crowd + 2))
	is "$(native 4 ask "vsock $to:5002" hello 2>&1)" hello "a word to a server of AF_INET over $road"
	is "$(native 4 pour "vsock $to:5002" "$bulk" 2>&1)" "$bulk bytes, the same" "many bytes there and back over $road"
	is "$(native 4 ask "vsock $to:5002" many "$crowd" 2>&1 | uniq -c | sed 's/^ *//')" "$crowd many" "$crowd at once over $road"
	is "$(has_said server.log)" "$crowd $seen: 4 bytes, end
1 $seen: $bulk bytes, end
1 $seen: 5 bytes, end" "the server has seen the address that stands for it over $road"
	[ "$road" = realm ] || return 0
	serves server.log inet 3 "$streams" inet-serve 5002 1
	is "$(native 9 ask 'vsock 3:5002' hello 2>&1)" hello 'a CID that no rule names'
	is "$(has_said server.log)" '1 198.18.0.9: 5 bytes, end' 'is shown by an address that stands for it'
	echo 'host 10.9.0.77 77 guest' >>"$map"
	serves server.log inet 3 "$streams" inet-serve 5002 1
	is "$(native 77 ask 'vsock 3:5002' hello 2>&1)" hello 'a CID that a host line names'
	is "$(has_said server.log)" '1 10.9.0.77: 5 bytes, end' 'is shown by it'
}

# CID COUNT: what the server with a list has counted: one client served, so many sent away
who_came() {
	is "$(has_said server.log)" "1 CID $1: 5 bytes, end
1 denied: $2" "and the server has counted over $road"
}

named_by() { # LIST CID
	serves server.log native 3 serve "vsock any:5003 allow=$1" 1
	is "$(inet 9 "$streams" inet-ask 10.0.0.3 5003 hello 2>&1)" hello "a client that the list names over $road"
	who_came "$2" 0
}

not_named_by() { # LIST
	serves server.log native 3 serve "vsock any:5003 allow=$1" 1
	# It has an end, or an error if that was there before it had spoken.
	is "$(inet 9 "$streams" inet-ask 10.0.0.3 5003 hello 2>&1 | grep -vE '^(|(send|recv): .*)$')" '' \
		"a client that the list does not name is not answered over $road"
	is "$(native 4 ask "vsock $to:5003" hello 2>&1)" hello "one that it names over $road"
	who_came 4 1
}

# The program itself, below a shell and timeout(1)
kill_server() {
	program=$server
	while child=$(pgrep -P "$program" | head -n 1) && [ -n "$child" ]; do
		program=$child
	done
	kill -KILL "$program"
	server_end "$server"
}

killed() {
	serves server.log native 3 serve 'vsock any:5004' 1
	inet 4 "$streams" inet-pour 10.0.0.3 5004 4000000000 >client.log 2>&1 &
	client=$!
	servers="$servers $client"
	sleep "$SCALE"
	kill_server
	ok "a client of AF_INET ends when the server is killed over $road" wait_for 20 process_is_gone "$client"
	server_end "$client"
	serves server.log native 3 serve 'vsock any:5004' 2
	is "$(inet 4 "$streams" inet-ask 10.0.0.3 5004 hello 2>&1)" hello "a server that was killed starts again over $road"
	(exec env ${inet_realm:+IP2VSOCK_CID=4} timeout -s KILL "$SCALE" "$IP2VSOCK" -f "$map" ${inet_realm:+-u "$inet_realm"} -- \
		"$streams" inet-pour 10.0.0.3 5004 4000000000 >client.log 2>&1)
	# Its child has sent on, until nobody took the answers.
	like "$(has_said server.log)" "*1 CID $there: 5 bytes, end*1 denied: 0" \
		"and sees the end of a client that was killed over $road"
	serves server.log inet 3 "$streams" inet-serve 5004 1
	native 4 pour "vsock $to:5004" 4000000000 >client.log 2>&1 &
	client=$!
	servers="$servers $client"
	sleep "$SCALE"
	kill_server
	ok "a client of the stream library ends when a server of AF_INET is killed over $road" wait_for 20 process_is_gone "$client"
	server_end "$client"
}

# Behind a monitor, whose guest is CID 1: the host's program is of the stream library, the guest's of AF_INET.
monitored() {
	monitor vmm.log "$road" -g 5007 "$path"
	serves server.log inet 1 "$streams" inet-serve 5006 2
	is "$("$streams" ask "unix $path:5006" hello 2>&1)" hello "a word to the guest behind a monitor over $road"
	is "$("$streams" pour "unix $path:5006" "$bulk" 2>&1)" "$bulk bytes, the same" "many bytes to it and back over $road"
	has_said server.log >/dev/null
	serves server.log "$streams" serve "unix $path:5007" 2
	cp "$map" usual.map
	echo 'connect 10.0.0.2:* vsock host:*' >"$map"
	[ "$road" = realm ] || echo 'connect 10.0.0.2:* vsock local:*' >"$map"
	is "$(inet 1 "$streams" inet-ask 10.0.0.2 5007 hello 2>&1)" hello "a word from the guest over $road"
	is "$(inet 1 "$streams" inet-pour 10.0.0.2 5007 "$bulk" 2>&1)" "$bulk bytes, the same" "many bytes from it over $road"
	cp usual.map "$map"
	is "$(has_said server.log)" "1 denied: 0
1 unix $path:*: $bulk bytes, end
1 unix $path:*: 5 bytes, end" "the server names the monitor's socket over $road"
	is "$(ls "$path"_5007 2>&1)" "ls: cannot access '${path}_5007': No such file or directory" "which is gone with it over $road"
	server_end "$monitor"
}

# The stream library itself, in programs that are run under the preload library
together() {
	serves server.log inet 3 "$streams" ${inet_realm:+-r "$inet_realm" -c 3} serve 'vsock any:5008' 3
	is "$(inet 4 "$streams" ${inet_realm:+-r "$inet_realm" -c 4} ask "vsock $to:5008" hello 2>&1)" hello \
		"both sides of the stream library under the preload library over $road"
	is "$(inet 4 "$streams" ${inet_realm:+-r "$inet_realm" -c 4} pour "vsock $to:5008" "$bulk" 2>&1)" "$bulk bytes, the same" \
		"and many bytes over $road"
	is "$(inet 4 "$streams" inet-ask 10.0.0.3 5008 hello 2>&1)" hello "a client of AF_INET beside it over $road"
	is "$(has_said server.log)" "1 CID $there: $bulk bytes, end
2 CID $there: 5 bytes, end
1 denied: 0" "the server is not disturbed over $road"
	[ "$road" = vsock ] || return 0
	serves server.log "$IP2VSOCK" -l -c local -- "$streams" serve 'vsock any:5009' 1
	is "$("$IP2VSOCK" -l -c local -- "$streams" ask 'vsock local:5009' hello 2>&1)" hello "with mappings of everything over $road"
	has_said server.log >/dev/null
}

for road in $ROADS; do
	closed "$road" && continue
	the_road
	to_a_stream_server
	to_an_inet_server
	if [ "$road" = realm ]; then
		not_named_by 4,host
		named_by 5-9 9
	else
		named_by local 1
	fi
	killed
	monitored
	together
done
finish
