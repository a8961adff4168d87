#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What becomes of a connection, and when, by the state of the peer and the options of the rule: timeout=, retry=, fallback=;
# for clients that block, that poll, and that were registered with epoll before.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need python3

port=7600
cat >"$work/late.py" <<'END'
import socket, sys, time
time.sleep(float(sys.argv[1]))
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[2], int(sys.argv[3])))
s.listen()
s.settimeout(30)
while True:
    c, _ = s.accept()
    try:
        c.sendall(b"hello")
    except OSError:
        pass  # whoever only wanted to be connected has gone
    c.close()
END

# How the road reaches the peer's CID, and one that nobody has.
peer=1 absent=77 wrapper="$IP2VSOCK"
case $ROADS in
*vsock*) ;;
*)
	peer=9
	wrapper="$IP2VSOCK -u $realm"
	;;
esac

reads='-r 5' # of dial, or nothing: it is enough to be connected

# OPTIONS TARGET MODE MS: what the client is told, on one line.
outcome() {
	case $3 in
	block) outcome_mode="-t $4" ;;
	poll) outcome_mode="-n -a $4" ;;
	epoll) outcome_mode="-e -a $4" ;;
	esac
	# shellcheck disable=SC2086 # words
	timeout 100 $wrapper -q -r "connect 127.0.0.1:* $2 $1" -- ${TEST_UNDER-} "$programs/dial" $outcome_mode $reads 127.0.0.1 "$port" 2>&1 |
		tee -a "$work/said" | awk -v reads="$reads" '
		/^connect: / && $2 != "EINPROGRESS" && $2 != "ok" { error = $2 }
		/^SO_ERROR: / && $2 != "ok" { error = $2 }
		/^(connect|SO_ERROR): ok$/ && !reads { came = "connected" }
		/hello/ { came = "hello" }
		/^read: "hel", the end$/ { came = "hel, the end" }
		/^(took|in all): .* s$/ { time = $(NF - 1) }
		/^descriptors left: / && $3 != 0 { left = " " $3 " descriptors left" }
		END { print (came ? came : error) (time ? " after " time : "") left }'
}

# NAME OPTIONS TARGET MS WANTED
each() {
	for each_mode in block poll epoll; do
		is "$(outcome "$2" "$3" "$each_mode" "$4")" "$5" "$1, ${2:-no option}, $each_mode"
	done
}

# Is killed when it has said the half of it.
cat >"$work/cut.py" <<'END'
import os, signal, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
print("ready", flush=True)
c, _ = s.accept()
c.sendall(b"hel")
os.kill(os.getpid(), signal.SIGKILL)
END

# By the road to a peer that is killed. Sets $server.
cut_peer() {
	: >cut.log
	(IP2VSOCK_CID=$peer exec $wrapper -q -l -- python3 "$work/cut.py" 127.0.0.1 "$port") >cut.log 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 20 grep -q ready cut.log
}

is_served() {
	[ "$(outcome '' "vsock $peer:*" block 0)" = hello ]
}

# By the road to a peer that comes after SECONDS. Sets $server.
late_peer() {
	(IP2VSOCK_CID=$peer exec $wrapper -q -l -- python3 "$work/late.py" "$1" 127.0.0.1 "$port") >/dev/null 2>&1 &
	server=$!
	servers="$servers $server"
}

unreached=ECONNREFUSED
[ "$peer" = 9 ] || unreached=EHOSTUNREACH
states() {
	each "a port that is closed" '' "vsock $peer:*" 0 ECONNREFUSED
	each "a port that is closed" timeout=300ms "vsock $peer:*" 0 ECONNREFUSED
	each "a port that is closed" retry=1s "vsock $peer:*" 1000 'ECONNREFUSED after 1.0'
	each "a port that is closed, and no network" fallback=inet "vsock $peer:*" 0 ECONNREFUSED
	each "a CID that is absent" '' "vsock $absent:*" 0 "$unreached"
	each "a CID that is absent" retry=1s "vsock $absent:*" 1000 "$unreached after 1.0"

	late_peer 1.5
	is "$(outcome retry=20s "vsock $peer:*" block 1500 | cut -c 1-5)" hello "a peer that comes late, retry=20s, block"
	each "a peer that is there" retry=20s "vsock $peer:*" 0 hello
	each "a peer that is there" 'timeout=1s fallback=inet' "vsock $peer:*" 0 hello
	server_end "$server"
	port=$((port + 1))
	late_peer 1.5
	is "$(outcome retry=20s "vsock $peer:*" epoll 1500 | cut -c 1-5)" hello "a peer that comes late, retry=20s, epoll"
	server_end "$server"
	port=$((port + 1))

	late_peer 0
	wait_for 20 is_served
	kill -STOP "$server" # the kernel takes its connections
	reads=
	for options in '' timeout=1s retry=20s fallback=inet; do
		each "a peer that is stopped" "$options" "vsock $peer:*" 0 connected
	done
	reads='-r 5'
	kill -CONT "$server"
	for mode in block poll epoll; do
		kill -STOP "$server"
		(sleep 1; kill -CONT "$server") &
		is "$(outcome 'timeout=500ms retry=20s fallback=inet' "vsock $peer:*" $mode 0)" hello "a listener that is slow, $mode"
	done
	server_end "$server"
	port=$((port + 1))

	# What is lost with a connection is not tried again, by no option.
	for options in '' 'timeout=1s retry=20s fallback=inet'; do
		for mode in block poll epoll; do
			cut_peer
			is "$(outcome "$options" "vsock $peer:*" $mode 0)" 'hel, the end' "a peer that is killed, ${options:-no option}, $mode"
			server_end "$server"
			port=$((port + 1))
		done
	done

	usual=$wrapper
	wrapper="$programs/without $IP2VSOCK"
	each "no AF_VSOCK here" '' 'vsock 3:*' 0 ENETUNREACH
	each "no AF_VSOCK here" timeout=300ms 'vsock 3:*' 0 ENETUNREACH
	each "no AF_VSOCK here" retry=1s 'vsock 3:*' 1000 'ENETUNREACH after 1.0'
	each "no AF_VSOCK here, and no network" fallback=inet 'vsock 3:*' 0 ECONNREFUSED
	wrapper=$usual

	python3 "$work/late.py" 0 127.0.0.1 "$port" >/dev/null 2>&1 &
	server=$!
	servers="$servers $server"
	wait_for 20 answers plain 127.0.0.1 "$port"
	each "a port that is closed, and the network" fallback=inet "vsock $peer:*" 0 hello
	each "a CID that is absent, and the network" fallback=inet "vsock $absent:*" 0 hello
	each "a CID that is absent, and the network" 'retry=1s fallback=inet' "vsock $absent:*" 1000 'hello after 1.0'
	each "a monitor that is absent, and the network" fallback=inet "unix $work/none:*" 0 hello
	wrapper="$programs/without $IP2VSOCK"
	each "no AF_VSOCK here, and the network" fallback=inet 'vsock 3:*' 0 hello
	wrapper=$usual
	# shellcheck disable=SC2086 # words
	is "$($wrapper -r "connect 127.0.0.1:* vsock $absent:* fallback=inet" -- "$programs/dial" -r 5 127.0.0.1 "$port" 2>&1 |
		grep -c "fails with $unreached, using the network instead")" 1 "the reason is told"
	server_end "$server"

	# A monitor that takes connections and says nothing.
	python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(600)' "$work/silent" &
	server=$!
	servers="$servers $server"
	wait_for 20 [ -S "$work/silent" ]
	each "a monitor that is silent" '' "unix $work/silent:*" 2000 'ETIMEDOUT after 2.0'
	each "a monitor that is silent" timeout=500ms "unix $work/silent:*" 500 'ETIMEDOUT after 0.5'
	server_end "$server"
	each "a monitor that is gone" '' "unix $work/silent:*" 0 EHOSTUNREACH
	each "a monitor that is gone" retry=1s "unix $work/silent:*" 1000 'EHOSTUNREACH after 1.0'
}

for road in $ROADS; do
	closed "$road" || states
done
finish
