#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No datagram for a mapped address leaves on the network, in whatever way it is sent: in a network namespace where there
# is a way to every address, a witness looks at all packets. What is not mapped does leave, in all the same ways.

# A namespace to give orders in: lib.sh's, where the user stays who it is, is not enough.
if [ -z "${UDP_LEAK-}" ]; then
	export UDP_LEAK=inside IP2VSOCK_TEST_LONELY=tried
	for how in -n -rn; do
		unshare $how true 2>/dev/null && exec unshare $how sh "$0" "$@"
	done
	UDP_LEAK=outside
fi
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need ip unshare
if [ "$UDP_LEAK" = outside ]; then
	[ "${CI-}" != true ] || fail "there is a network namespace for this test"
	skip_all "no network namespace to give orders in"
fi

# Everything that is not on this machine goes out by a wire that nobody listens at. Without such a thing, everything is
# on this machine.
ip link set lo up
if ip link add out type veth peer name wire 2>/dev/null; then
	ip link set out arp off
	ip link set wire up
	ip link set out up
	ip address add 192.0.2.1/24 dev out
	ip -6 address add 2001:db8::1/64 dev out nodad
	ip route add default dev out
	ip -6 route add default dev out
else
	ip route add local default dev lo
	ip -6 route add local default dev lo
fi

port=4999
cat >"$map" <<'END'
connect 10.0.0.3:*     vsock local:*
connect 127.0.0.1:*    vsock local:*
connect [fd00::3]:*    vsock local:*
connect [::1]:*        vsock local:*
connect 10.0.0.4:*     reject
listen  *:*            vsock any:*
END

# An address of the same kind that no rule matches.
other_of() { # ADDRESS
	case $1 in
	::ffff:*) echo ::ffff:10.0.0.8 ;;
	*:*) echo fd00::8 ;;
	*) echo 10.0.0.8 ;;
	esac
}

ways() { # ADDRESS
	"$programs/leak" -l "$1" | sort
}

# ADDRESS COMMAND...: sends to the address, in every way, by this command. What left is in the file `left`, what the sender
# saw in `said`.
send_by() {
	send_address=$1
	shift
	rm -f left
	timeout $((PATIENCE * SCALE)) "$programs/witness" left "$@" "$programs/leak" "$send_address" $port \
		"$(other_of "$send_address")" >said 2>complained
}

# NAME: the sender went through all its ways, and nothing left.
stays() {
	is "$(sed 's/:.*//' said | sort)" "$(ways "$send_address")" "$1: tried in every way"
	if [ -e left ]; then
		is "$(cat left)" '' "$1: nothing leaves"
	else
		fail "$1: nothing leaves" "no witness: $(cat said complained)"
	fi
}

for address in 10.0.0.9 fd00::9 ::ffff:10.0.0.9 127.0.0.1 ::1 ::ffff:127.0.0.1; do
	send_by $address env
	is "$(cat left)" "$(ways $address)" "the witness sees datagrams to $address, sent in every way"
	is "$(grep -v ': ok$' said)" '' "and all of them were sent"
done

# ROAD [OPTION]...: sets how_sent to the command, for words without blanks.
by_road() {
	how_sent=$IP2VSOCK
	[ "$1" != realm ] || how_sent="$how_sent -u $realm"
	shift
	how_sent="$how_sent -q $* --"
}

nobody_there() {
	for address in 10.0.0.3 fd00::3 ::ffff:10.0.0.3 127.0.0.1 ::1 ::ffff:127.0.0.1; do
		send_by $address $how_sent
		stays "$address, nobody is there, over $road"
	done
}

# The ways in which all that moves data is a call of the C library for this very socket, and nothing but the address is
# in question. They all arrive, from each address, so that it is not for being lost that nothing leaves.
arriving='bound broadcaster child child-of-connected confirm connect-send connect-send-flags connect-sendmmsg connect-sendmsg connect-sendto
	connect-sendto-named connect-write connect-writev copy dissolved dontwait elsewhere-first high-number long-address
	name-while-connected nonblocking number-connect number-connect-sendto number-sendmmsg number-sendmsg number-sendto
	second-connect sendmmsg sendmmsg-to-two sendmsg sendto signal-handler unaligned-address unknown-socket'

missing() {
	case $send_address in
	::ffff:*) echo v4-address v4-connect ;;
	*:*) ;;
	*) echo unspecified-family ;;
	esac | {
		read -r more
		for way in $arriving ${more-}; do
			grep -qx "<leak $way>" "$start_log" || echo "$way"
		done
	}
}

all_arrived() {
	[ -z "$(missing)" ]
}

somebody_there() {
	for address in 10.0.0.3 fd00::3 ::ffff:10.0.0.3 127.0.0.1 ::1 ::ffff:127.0.0.1; do
		start "server.$address" "$road" "$programs/leak" -s 0.0.0.0 $port
		wait_for 20 grep -q ready "$start_log"
		send_by $address $how_sent
		stays "$address, somebody is there, over $road"
		wait_for 5 all_arrived
		is "$(missing)" '' "and it arrives"
		server_end "$server"
	done
}

# Where the library cannot have the descriptors that it needs.
no_descriptors() {
	for limit in 4 5 6 7 9; do
		# shellcheck disable=SC2016 # the inner shell's
		send_by 10.0.0.3 $how_sent sh -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n $0 && exec "$@"' $limit
		stays "10.0.0.3 with $limit descriptors at most, over $road"
	done
}

other_mappings() {
	send_by 10.0.0.4 $how_sent
	stays "10.0.0.4, which is rejected, over $road"
	# Addresses by which CIDs are shown: nobody else has them, and they need no rule.
	for address in 198.18.0.3 fd69:7032:7673::3; do
		send_by $address $how_sent
		stays "$address, which stands for a CID, over $road"
	done

	printf '%s\n' 'connect *:* vsock local:*' >everything
	by_road "$road" -f everything
	for address in 10.0.0.9 255.255.255.255 224.0.0.5 ff02::5 0.0.0.0; do
		send_by $address $how_sent
		stays "$address where everything is mapped, over $road"
	done
	printf '%s\n' 'connect udp *:* vsock local:*' >datagrams
	by_road "$road" -f datagrams
	send_by 10.0.0.9 $how_sent
	stays "10.0.0.9 where all datagrams are mapped, over $road"
	by_road "$road" --strict -f "$map"
	for address in 10.0.0.9 fd00::9; do
		send_by $address $how_sent
		stays "$address, which no rule matches, with --strict over $road"
	done

	printf '%s\n' 'connect tcp *:* vsock local:*' >streams
	by_road "$road" -f streams
	send_by 10.0.0.9 $how_sent
	is "$(cat left)" "$(ways 10.0.0.9)" "datagrams leave where only streams are mapped, over $road"
}

unmapped() {
	for address in 10.0.0.9 fd00::9 ::ffff:10.0.0.9; do
		send_by $address env
		mv said said.plain
		send_by $address $how_sent
		is "$(cat left)" "$(ways $address)" "what goes to $address, which no rule matches, leaves in every way over $road"
		is "$(cat said)" "$(cat said.plain)" "and is told the same"
	done
}

for road in $ROADS; do
	closed "$road" && continue
	by_road "$road" -f "$map"
	nobody_there
	somebody_there
	unmapped
	no_descriptors
	other_mappings
done

# Rules that cannot be read are as if everything was forbidden.
printf '%s\n' 'connect everything' >faulty
for file in /nonexistent "$work/faulty"; do
	for address in 10.0.0.3 10.0.0.9 fd00::9 127.0.0.1 198.18.0.3; do
		send_by $address env LD_PRELOAD="$library" IP2VSOCK_REALM="$realm" IP2VSOCK_FILE="$file" \
			ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
		stays "$address with rules in $(basename "$file")"
		is "$(grep -v ': EACCES$' said)" '' "and every way is EACCES"
	done
done
finish
