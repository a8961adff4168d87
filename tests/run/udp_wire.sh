#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Datagrams on the wire are as ip2vsock.7 says: a program that speaks so without the library is understood by unmodified UDP
# programs, and whoever speaks otherwise is not.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
speaker=$srcdir/tests/programs/udp_wire.py

cat >"$map" <<'END'
connect 10.0.0.3:4802  vsock local:4802
connect 10.0.0.4:*     vsock local:*
listen  *:*            vsock any:*
END
sed 's/^connect 10.0.0.3.*/connect 10.0.0.3:* vsock 3:*/' "$map" >of_realm

speak() { # MODE CASE
	timeout $((PATIENCE * SCALE)) python3 "$speaker" "$1" "$road_name" "$2" 2>&1
}

# CASE ANSWERS SERVED: what the speaker is told, and what the UDP server has seen, in which PEER is the speaker's address.
talks() {
	: >"$work/server"
	is "$(speak talk "$1")" "$2" "a native speaker, $1, over $road"
	[ $# -lt 3 ] || wait_for 10 served "$3"
	[ $# -lt 3 ] || is "$(cat "$work/server")" "$(with_peer "$3")" "and what the UDP server sees"
}

with_peer() {
	printf '%s\n' "$1" | sed "s/PEER/$peer/"
}

served() {
	[ "$(cat "$work/server")" = "$(with_peer "$1")" ]
}

# CASE QUESTIONS SPEAKER CLIENT: what the speaker sees, and what a UDP client is told that asks these questions.
listens() {
	listens_case=$1
	speak listen "$listens_case" >speaker.log &
	listens_pid=$!
	wait_for 20 grep -q ready speaker.log
	# shellcheck disable=SC2086 # words
	listens_got=$(over "$road" python3 "$speaker" ask 10.0.0.3 4802 $2 2>&1)
	wait $listens_pid
	is "$listens_got" "$4" "a UDP client of a native speaker, $listens_case, over $road"
	is "$(sed 1d speaker.log)" "$3" "and what the speaker sees"
}

wire() {
	start server "$road" python3 -u "$speaker" serve 4801
	wait_for 30 grep -q ready "$work/server" || fail "a UDP server" "$(cat "$work/server")"

	talks one "b'ONE'" '3 one from PEER 40000'
	talks both-ways "b'NUMBER 0'
b'NUMBER 1'
b'NUMBER 2'" '8 number 0 from PEER 12345
8 number 1 from PEER 12345
8 number 2 from PEER 12345'
	talks many-at-once True
	talks byte-by-byte "b'SLOWLY' b'AND MORE'" '6 slowly from PEER 50000
8 and more from PEER 50000'
	talks sizes '0 True
1 True
1472 True
65507 True' '0  from PEER 40000
1 x from PEER 40000
1472 xxxxxxxxxxxxxxxx from PEER 40000
65507 xxxxxxxxxxxxxxxx from PEER 40000'
	talks wide-port "b'WIDE'"
	talks comes-again "b'FIRST'
b'SECOND'" '5 first from PEER 41000
6 second from PEER 41000'
	talks foreign end
	talks version-two end
	talks reserved-bytes end
	talks reserved-length "b'BEFORE'
end" '6 before from PEER 40000'
	talks hello-only "b'ONE'" '3 one from PEER 40000'
	talks broken-off "b'WHOLE'
b'ONE'" '5 whole from PEER 40000
3 one from PEER 40000'
	process_runs "$server"
	is $? 0 "the server has seen nothing that would end it"

	listens answers 'hello again' "b'i2vU\\x01\\x00\\x00\\x00' True
end" 'answer olleh
answer niaga'
	listens talks-nonsense 'first second' "b'first'
end
b'second'
end" 'first BlockingIOError
answer dnoces'
	listens closes 'first second' "b'first'
b'second'
end" 'first BlockingIOError
answer dnoces'
	is "$(over "$road" python3 "$speaker" ask 10.0.0.4 4803 hello 2>&1)" 'hello ConnectionRefusedError' \
		"nobody who speaks it over $road: refused, as on UDP"
}

# The example of the manual as it stands there, but for where the server is.
example() {
	start example "$road" python3 -u "$speaker" serve 514
	wait_for 30 grep -q ready "$work/example" || fail "a UDP server" "$(cat "$work/example")"
	sed -n '/^import socket/,/^\.Ed/p' "$srcdir/man/ip2vsock.7" | sed '/^\.Ed/d; s/\\e/\\/g' >as-printed
	if [ "$road" = realm ]; then
		sed "s/AF_VSOCK/AF_UNIX/; s,^s.connect((2\(.*\)))\$,s.bind('\\\\0ip2vsock/$realm/3_77777')\\
s.connect('\\\\0ip2vsock/$realm/1_%d' % (0\1)[1])," as-printed >example.py
	else
		sed 's/connect((2,/connect((1,/' as-printed >example.py
	fi
	echo 'print(answer)' >>example.py
	is "$(timeout $((PATIENCE * SCALE)) python3 example.py 2>&1)" "b'<13>HELLO'" "the example of the manual works over $road"
}

# FROM: what both programs of datagrams say of the eight
eight() {
	for size in 5 5 0 0 1400 1400 65507 65507; do
		echo "$size bytes, good, from $1"
	done
}

# A program of the stream library, with sizes up to the largest.
library_speaks() {
	export IP2VSOCK_CID=$library_peer # of a realm; 1 would be the library's own there
	start answers "$road" "$programs/datagrams" udp answer 4803 8
	unset IP2VSOCK_CID
	wait_for 20 grep -q ready "$work/answers" || fail "a UDP server" "$(cat "$work/answers")"
	is "$("$programs/records" "$library_realm" 3 ask "$library_peer" 4803 2>&1)" "$(eight "CID $library_peer:4803")" "the stream library asks a UDP server over $road"
	is "$(cat "$work/answers")" "ready
$(eight "$peer")" "and what the UDP server sees"
	start records plain "$programs/records" "$library_realm" 3 answer 4802 8
	wait_for 20 grep -q ready "$work/records" || fail "the stream library listens" "$(cat "$work/records")"
	is "$(over "$road" "$programs/datagrams" udp ask 10.0.0.3 4802)" "$(eight 10.0.0.3:4802)" \
		"a UDP client asks the stream library over $road"
	is "$(cat "$work/records")" "ready
$(eight 'CID 1')" "and what the stream library sees"
}

for road in $ROADS; do
	closed "$road" && continue
	library_realm=- library_peer=1
	case $road in
	realm)
		library_realm=$realm library_peer=5
		road_name=$realm
		peer=198.18.0.3
		mv of_realm "$map"
		;;
	*)
		road_name=$road
		peer=127.0.0.1
		;;
	esac
	wire
	library_speaks
	example
done
finish
