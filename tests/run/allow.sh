#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# allow=: a listener serves the CIDs of its list, and the program does not notice that others came. The measure is plain
# TCP: a server behaves there as it does with a list, while strangers knock at the one and not at the other.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# 32 pieces, the most that there can be.
list=3,5,7-9,12
for cid in $(seq 101 2 155); do
	list=$list,$cid
done

# The friend, CID 5, is shown by the address that a client has on plain TCP. 127.0.0.9 is for everybody.
rules() { # [OPTION]
	cat <<END
connect 127.0.0.1:*   vsock 3:*
connect [::1]:*       vsock 3:*
connect [fd00::3]:*   vsock 3:*
connect 10.0.0.6:*    vsock 6:*
connect [fd00::6]:*   vsock 6:*
listen  127.0.0.9:*   vsock any:*
listen  *:*           vsock any:*  ${1-}
host    127.0.0.1     5
host    ::1           5
END
}

# On AF_VSOCK everybody here is CID 1. That others are not let in is seen at the end.
vsock_rules() { # [OPTION]
	cat <<END
connect 127.0.0.1:*   vsock local:*
connect [::1]:*       vsock local:*
listen  127.0.0.9:*   vsock any:*
listen  *:*           vsock any:*  ${1-}
END
}

rules "allow=$list" >realm.map
vsock_rules allow=local >map

as() { # CID PROGRAM [ARG]...: as that CID of the realm
	as_cid=$1
	shift
	# shellcheck disable=SC2086 # a command and its options
	IP2VSOCK_CID=$as_cid "$IP2VSOCK" -u "$realm" -f "$work/realm.map" -- timeout -k 10 $((PATIENCE * SCALE)) ${TEST_UNDER-} "$@"
}

port=17000
next_port() {
	port=$((port + 10))
}

# Programs that a sanitizer runs leave out what it does not do.
left_out() { # PROGRAM CASE
	echo "$1 $2" | grep -qE "${TEST_EXCEPT:-^\$}"
}

# --- with a list, and on plain TCP

guarded() { # ROAD PROGRAM CASE ADDRESS
	guarded_road=$1
	shift
	case $guarded_road in
	realm)
		case $3 in
		*:*) stranger=fd00::6 ;;
		*) stranger=10.0.0.6 ;;
		esac
		UNGUARDED=$(rules | tr '\n' ';') STRANGER_AT=$stranger as 3 "$programs/$1" "$2" "$3" $port '5 6' 2>&1
		;;
	vsock)
		UNGUARDED=$(vsock_rules | tr '\n' ';') over vsock "$programs/$1" "$2" "$3" $port 1 2>&1
		;;
	esac
}

compare() { # PROGRAM CASE ADDRESS
	# Ten ports for every run, so that TIME_WAIT of one is not in the way of the next.
	next_port
	wanted=$(over plain "$programs/$1" "$2" "$3" $port 5 2>&1)
	for road in $ROADS; do
		closed "$road" && continue
		next_port
		is "$(guarded "$road" "$1" "$2" "$3")" "$wanted" "$1 $2, $3, over $road"
	done
}

# The longest list leaves no room for all options that there are: see below.
for program in guarded guardhands guardudp; do
	for case in $("$programs/$program" -l); do
		[ "$case" != options-without-end ] || continue
		left_out $program "$case" && continue
		for address in 127.0.0.1 ::1; do
			compare $program "$case" $address
		done
	done
done

# --- what plain TCP cannot show

in_a_realm() {
	next_port
	is "$(as 3 "$programs/guardhands" closed-while-a-thread-waits 127.0.0.1 $port '5 6' 2>&1)" \
		'the number is used again: yes
accept: EINVAL' "a list that is closed while a thread waits lets nobody in"
	next_port
	is "$(as 3 "$programs/guardhands" with-faulty-rules 127.0.0.1 $port '5 6' 2>faulty)" 'executed: EAGAIN
and again: EAGAIN
child: exit 0' "a program whose rules cannot be read lets nobody in"
	like "$(cat faulty)" '*the mapping cannot be used*' "and says why"
	next_port
	is "$(as 3 "$programs/guarded" options-without-end 127.0.0.1 $port '5 6' 2>&1)" 'bind: ENOBUFS
still unbound: yes' "where there is no room for the list nobody listens"
	next_port
	is "$(guarded realm guarded nonblocking fd00::3 | sed 's/fd69:7032:7673::5/::1/')" \
		"$(over plain "$programs/guarded" nonblocking ::1 $port 5 2>&1)" "a list beside an address that is remembered there, too"

	# The blocking case has 25 strangers and 5 friends.
	next_port
	(IP2VSOCK_LOG=info:$work/log guarded realm guarded blocking 127.0.0.1) >/dev/null
	is "$(grep -c "): CID 6 is not allowed, closed\$" log) $(grep -c 'is not allowed' log)" '25 25' "one line for each at level info"
	next_port
	is "$(guarded realm guarded blocking 127.0.0.1 | grep -c 'not allowed')" 0 "and none without it"

	# Each of these is a machine of its own but CID 3, which is the server's.
	rules allow=local,host,9-11 >realm.map
	next_port
	IP2VSOCK_CID=3 "$IP2VSOCK" -u "$realm" -f "$work/realm.map" -- "$programs/callers" serve 127.0.0.1 $port 1 >/dev/null 2>&1 &
	server=$!
	servers="$servers $server"
	ok "a server with a list of words" wait_for 20 called 3 'served 1, closed 0, other 0'
	for cid in 2 9 10 11; do
		ok "CID $cid is on it" called $cid 'served 1, closed 0, other 0'
	done
	for cid in 0 4 8 12 4294967294; do
		ok "CID $cid is not" called $cid 'served 0, closed 1, other 0'
	done
	is "$(unnamed)" "b''" "who does not say which CID he is, is not on any list"
	ok "and the server goes on" called 9 'served 1, closed 0, other 0'
	server_end "$server"

	# With TCP beside it.
	rules "allow=$list fallback=inet" >realm.map
	for case in blocking rooms nonblocking time-limit time-limit-without-waiting interrupted restarted loop-by-poll \
		loop-by-select loop-by-epoll-level loop-by-epoll-edge prefork; do
		left_out guarded $case && continue
		next_port
		wanted=$(over plain "$programs/guarded" $case 127.0.0.1 $port 5 2>&1)
		next_port
		is "$(guarded realm guarded $case 127.0.0.1)" "$wanted" "guarded $case, with TCP beside it"
	done
	next_port
	IP2VSOCK_CID=3 "$IP2VSOCK" -u "$realm" -f "$work/realm.map" -- "$programs/callers" serve 127.0.0.1 $port 2 >/dev/null 2>&1 &
	server=$!
	servers="$servers $server"
	ok "a server with TCP beside its list" wait_for 20 called 5 'served 1, closed 0, other 0'
	is "$(over plain "$programs/callers" 127.0.0.1 $port 10 hello hello)" 'served 10, closed 0, other 0' \
		"who comes by the network has no CID, and is served"
	ok "a stranger is not" called 6 'served 0, closed 1, other 0'
	server_end "$server"
}

called() { # CID OUTCOME
	[ "$(as "$1" "$programs/callers" 127.0.0.1 $port 1 hello hello 2>&1)" = "$2" ]
}

# A client without the library.
unnamed() {
	timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("\0ip2vsock/%s/3_%s" % (sys.argv[1], sys.argv[2]))
try:
    s.send(b"hello")
    print(s.recv(10))
except OSError:
    print(b"")' "$realm" $port 2>&1
}

# The only CID there is, and it is not on the list.
in_a_vm() {
	vsock_rules allow=5,7-9 >map
	next_port
	export IP2VSOCK_LOG="info:$work/vsock.log"
	start server vsock "$programs/callers" serve 127.0.0.1 $port 4
	unset IP2VSOCK_LOG
	ok "a server of others over vsock" wait_for 20 refused 1
	before=$(grep -c 'CID 1 is not allowed, closed' vsock.log)
	ok "50 are sent away over vsock" refused 50
	is $(($(grep -c 'CID 1 is not allowed, closed' vsock.log) - before)) 50 "each with a line over vsock"
	is "$(cat server)" '' "and the program has seen nobody over vsock"
	server_end "$server"
	strangers_alone nobody-is-a-friend 'child: EAGAIN
its copy: EAGAIN
child: exit 0
parent: EAGAIN
executed: EAGAIN
and again: EAGAIN
executed: exit 0
executed: EAGAIN
and again: EAGAIN
executed with other rules: exit 0'
	strangers_alone nobody-is-a-friend-of-a-receiver 'receiver: EAGAIN
child: exit 0'
	strangers_alone closed-while-a-thread-waits 'the number is used again: yes
accept: EINVAL'
	next_port
	(echo "listen udp *:$port vsock any:$port allow=5" && vsock_rules) >map
	is "$(over vsock "$programs/guardudp" strangers-answer 127.0.0.1 $port '5 1' 2>&1)" \
		"$(over plain "$programs/guardudp" strangers-answer 127.0.0.1 $port 5 2>&1)" "datagrams of strangers, and their answers, over vsock"
}

# CASE TEXT: of strangers, as all are on AF_VSOCK.
strangers_alone() {
	next_port
	is "$(UNGUARDED=$(vsock_rules | tr '\n' ';') over vsock "$programs/guardhands" "$1" 127.0.0.1 $port '5 1' 2>&1)" "$2" "$1 over vsock"
}

refused() { # COUNT
	[ "$(over vsock "$programs/callers" 127.0.0.1 $port "$1" hello hello)" = "served 0, closed $1, other 0" ]
}

for road in $ROADS; do
	closed "$road" && continue
	case $road in
	realm) in_a_realm ;;
	vsock) in_a_vm ;;
	esac
done

# --- what is told of it

rule='listen *:80 vsock any:80 allow=host,3,7-9,local'
like "$("$IP2VSOCK" -r "$rule" --check)" "$rule *" "--check prints the list"
like "$("$IP2VSOCK" -r "$rule" --explain 'listen tcp 0.0.0.0:80')" "*$rule*allow   only the CIDs*" "and so does --explain"
finish
