#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Datagrams of an ordinary UDP program over the library, beside the same over UDP, over native SEQPACKET and over a pair
# of socat relays: the round trip, what a receiver gets of a flood, and instructions, in one run, taking turns.
# usage: udp.sh LIBRARY DIRECTORY [unix|vsock] (vsock only in the test VM)
# Fails where the library has less than LEAST of native SEQPACKET's received rate or takes more than MOST of its time.
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
native=${3:-unix}
if [ "$native" = vsock ] && [ "${IP2VSOCK_TEST_VSOCK-}" != yes ]; then
	echo "real AF_VSOCK only inside the test VM" >&2
	exit 2
fi
mkdir -p bench
: "${CC:=gcc}" "${TURNS:=5}" "${ROUNDS:=3000}" "${MILLISECONDS:=200}" "${SIZES:=64 1400 8192}" "${LEAST:=0.8}" "${MOST:=1.3}"
: "${KINDS:=udp native ours relay}" "${STYLES:=block poll}"
# No compiler in the VM needs to be waited for.
[ -n "$(find bench/udp -newer "$here/udp.c" 2>/dev/null)" ] || $CC -O2 -o bench/udp "$here/udp.c"
command -v socat >/dev/null || KINDS=$(printf '%s\n' "$KINDS" | sed 's/ *relay//')
times=$PWD/bench/udp.times
pin=
valgrind=

# Exactly what this script started.
started=
end_all()
{
	for pid in $started; do
		kill "$pid" 2>/dev/null || :
	done
	started=
	wait
}
trap end_all EXIT
trap 'exit 1' HUP INT TERM

# become KIND ROLE [ARG]...: this process is one side of a conversation.
become()
{
	become_kind=$1
	shift
	if [ "$become_kind" = ours ]; then
		export LD_PRELOAD="$library" IP2VSOCK_RULES='connect udp 127.0.0.1:* vsock local:*; listen udp *:* vsock any:*'
		[ "$native" = vsock ] || export IP2VSOCK_REALM=bench-$$
	fi
	# shellcheck disable=SC2086 # commands of several words
	exec $pin $valgrind bench/udp "$@"
}

# client KIND ROLE [ARG]...
client()
{
	client_role=$2
	client_at=$(where "$1" $((port + 1)))
	client_kind=$1
	shift 2
	# shellcheck disable=SC2086 # carrier and port
	(become "$client_kind" "$client_role" $client_at "$@")
}

# where KIND RELAY: the carrier and the port of this kind of server, or of the relay before it.
port=$((20000 + $$ % 2000 * 10))
where()
{
	case $1 in
	udp) echo inet $port ;;
	native) echo "$native" $port ;;
	ours) echo inet $port ;;
	relay) echo inet "$2" ;;
	esac
}

# What is UDP on both sides of a relay is a record between them, as 5 is SOCK_SEQPACKET: a stream would glue datagrams
# together. A conversation of UDP has no end but silence.
relay()
{
	case $native in
	unix)
		near=ABSTRACT-CONNECT:ip2vsock-relay-$port,type=5
		far=ABSTRACT-LISTEN:ip2vsock-relay-$port,type=5,fork ;;
	vsock)
		near=VSOCK-CONNECT:1:$((port + 1)),type=5
		far=VSOCK-LISTEN:$((port + 1)),type=5,fork ;;
	esac
	socat -T 5 -b 65536 "$far" "UDP:127.0.0.1:$((port + 2))" 2>/dev/null &
	started="$started $!"
	socat -T 5 -b 65536 "UDP-LISTEN:$((port + 1)),bind=127.0.0.1,fork" "$near" 2>/dev/null &
	started="$started $!"
}

# server KIND [poll]
server()
{
	# shellcheck disable=SC2046 # carrier and port
	(become "$1" serve $(where "$1" $((port + 2))) ${2+"$2"}) &
	started="$started $!"
	if [ "$1" = relay ]; then
		relay
		sleep 0.2
	fi
}

# Round trips are steady when the two that take turns share a processor; a flood is from one to another where there are two.
one=$(taskset -cp $$ | sed 's/.*[ ,-]//')

measure()
{
	for style in $STYLES; do
		poll=${style#block}
		port=$((port + 5))
		for kind in $KINDS; do
			pin="taskset -c $one"
			# shellcheck disable=SC2086 # nothing or a word
			server "$kind" $poll
			for size in $SIZES; do
				got=$(client "$kind" rtt "$size" "$ROUNDS" $poll)
				echo "$kind $style rtt $size $got"
			done
			end_all
		done
		port=$((port + 5))
		for kind in $KINDS; do
			pin=
			# shellcheck disable=SC2086 # nothing or a word
			server "$kind" $poll
			for size in $SIZES; do
				got=$(client "$kind" flood "$size" "$MILLISECONDS" $poll)
				echo "$kind $style flood $size $got"
			done
			end_all
		done
	done
}

for _ in $(seq "$TURNS"); do
	measure
done >"$times"
failed=0

# What else the machine does only adds time: the best of all turns is shown.
awk -v least="$LEAST" -v most="$MOST" -v native="$native" '
	$3 == "rtt" {
		key = $2 " " $4
		if (!((key, $1) in time) || $5 < time[key, $1])
			time[key, $1] = $5
		keys[key]
	}
	$3 == "flood" {
		key = $2 " " $4
		if (!((key, $1) in rate) || $7 > rate[key, $1]) {
			rate[key, $1] = $7
			loss[key, $1] = 100 * (1 - $6 / $5)
		}
	}
	function ratio(ours, native) {
		return native ? ours / native : 0
	}
	function microseconds(kind) {
		return (key, kind) in time ? sprintf("%.1f", time[key, kind] / 1000) : "none"
	}
	function thousands(kind) {
		return (key, kind) in rate ? sprintf("%.1f (%.0f %% lost)", rate[key, kind] / 1000, loss[key, kind]) : "none"
	}
	END {
		for (key in keys) {
			split(key, word)
			what = word[2] " bytes, " (word[1] == "poll" ? "poll first" : "blocking")
			slower = ratio(time[key, "ours"], time[key, "native"])
			faster = ratio(rate[key, "ours"], rate[key, "native"])
			printf "# round trip of %s: UDP %s us, %s SEQPACKET %s us, ours %s us (%.2f, at most %s), relays %s us\n",
				what, microseconds("udp"), native, microseconds("native"), microseconds("ours"), slower, most,
				microseconds("relay")
			printf "# thousands received a second of %s: UDP %s, %s SEQPACKET %s, ours %s (%.2f, at least %s), relays %s\n",
				what, thousands("udp"), native, thousands("native"), thousands("ours"), faster, least,
				thousands("relay")
			missed += slower > most || faster < least
		}
		exit missed != 0
	}' "$times" >"$times.shown" || failed=1
sort "$times.shown"

# collected FILE: the last process in it, which is the one that became the program.
collected()
{
	sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p' "$1" | tail -n 1
}

# instructions KIND ROLE COUNT: of a process that sends, or receives, so many datagrams one by one. The other one is in
# time whatever valgrind does to this one.
instructions()
{
	port=$((port + 1))
	[ "$2" = send ] || valgrind=$callgrind
	server "$1" 2>"$times.callgrind"
	valgrind=
	client "$1" rtt 64 1 >/dev/null
	if [ "$2" = send ]; then
		valgrind=$callgrind
		client "$1" send 64 "$3" 0 2>"$times.callgrind"
		valgrind=
	else
		client "$1" send 64 "$3" 500
		client "$1" end
		wait "${started##* }" || :
		started=
	fi
	end_all
	collected "$times.callgrind"
}

each()
{
	trap end_all EXIT
	few=$(instructions "$1" "$2" 200)
	many=$(instructions "$1" "$2" 1200)
	echo $(((many - few) / 1000))
}

callgrind='valgrind --tool=callgrind --callgrind-out-file=/dev/null'
pin=
for role in send receive; do
	[ "${CALLGRIND-yes}" = yes ] || break
	line="# instructions to $role one datagram:"
	for kind in udp native ours; do
		got=$(each $kind $role)
		line="$line $kind $got"
	done
	echo "$line"
done
exit $failed
