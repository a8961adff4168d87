#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# dig asks dnsmasq and unbound; unbound asks dnsmasq, and a server on the network, from the sockets it has.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need dig dnsmasq unbound /usr/bin/python3

echo 'listen udp *:* vsock any:*' >>"$map"

# One dnsmasq is carried, another (at 127.0.0.2) nothing but the network leads to.
{
	echo '192.0.2.1 one.carried.example'
	seq 0 399 | awk '{ printf "192.0.%d.%d many.carried.example\n", 2 + $1 / 200, $1 % 200 + 1 }'
} >carried.hosts
sed 's/carried/plain/; s/^192[.]0/198.51/' carried.hosts >plain.hosts
many=$(sed -n 's/ many.*//p' carried.hosts | sort | sha256sum)
# 200 addresses of 16 bytes each: more than 1232 bytes, and less than 4096.
local_data=$(seq 1 200 | sed "s/.*/	local-data: 'large.local.example. A 203.0.113.&'/")
large=$(seq 1 200 | sed 's/^/203.0.113./' | sort | sha256sum)

dnsmasq_of() { # LOG ROAD PORT HOSTS [OPTION]...
	dnsmasq_log=$1 dnsmasq_road=$2 dnsmasq_port=$3 dnsmasq_hosts=$4
	shift 4
	start "$dnsmasq_log" "$dnsmasq_road" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
		--user=root --pid-file= --log-facility=- --cache-size=0 --edns-packet-max=4096 \
		--port="$dnsmasq_port" --addn-hosts="$work/$dnsmasq_hosts" "$@"
}

configure_unbound() { # [OPTION]
	cat <<END
server:
	directory: "$work"
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	logfile: ""
	interface: 0.0.0.0
	port: 5302
	do-ip6: no
	access-control: 0.0.0.0/0 allow
	do-not-query-localhost: no
	module-config: "iterator"
	max-udp-size: 4096
	edns-buffer-size: 4096
	msg-cache-size: 0
	rrset-cache-size: 0
	$*
	local-zone: "local.example." static
	local-data: "one.local.example. A 203.0.113.1"
$local_data
forward-zone:
	name: "carried.example."
	forward-addr: $host@5301
forward-zone:
	name: "plain.example."
	forward-addr: 127.0.0.2@5301
remote-control:
	control-enable: no
END
}

# PORT ARG...: what dig says; it gives up soon, for who wants to ask again.
ask() {
	ask_port=$1
	shift
	over "$road" dig +tries=1 +time=$((5 * SCALE)) @"$host" -p "$ask_port" "$@" 2>&1
}

answered() { # PORT NAME ADDRESS
	[ "$(ask "$1" +short "$2")" = "$3" ]
}

# PORT NAME ADDRESS COUNT: so many digs at the same time have the right answer.
parallel() {
	parallel_pids=
	for i in $(seq "$4"); do
		answered "$1" "$2" "$3" &
		parallel_pids="$parallel_pids $!"
	done
	parallel_bad=0
	for i in $parallel_pids; do
		wait "$i" || parallel_bad=$((parallel_bad + 1))
	done
	[ "$parallel_bad" = 0 ]
}

# What every server has to do: SERVER PORT NAME ADDRESS
questions() {
	is "$(ask "$2" +short +notcp "$3")" "$4" "dig asks $1 over $road"
	is "$(ask "$2" +short +tcp "$3")" "$4" "dig +tcp asks $1 over $road"
	is "$(ask "$2" "$3" | grep -oE 'status: [A-Z]*|flags: qr[a-z ]*|SERVER: .*')" \
		"$(ask "$2" +noedns "$3" | grep -oE 'status: [A-Z]*|flags: qr[a-z ]*|SERVER: .*')" \
		"the same with and without EDNS of $1 over $road"
	like "$(ask "$2" "$3" | grep SERVER)" "*SERVER: $host#$2($host) (UDP)" "dig knows who answered ($1) over $road"
	ok "20 digs at the same time ask $1 over $road" parallel "$2" "$3" "$4" 20
	# One process, one question after the other.
	# shellcheck disable=SC2046 # words
	is "$(ask "$2" +short +notcp $(seq 50 | sed "s/.*/$3/") | sort | uniq -c | tr -s ' ')" " 50 $4" \
		"50 questions of one dig to $1 over $road"
}

serve() {
	host=$(host_over "$road")
	# Everywhere, which leaves no room for another at 127.0.0.2 when both are on the network.
	everywhere=
	[ "$road" != plain ] || everywhere="--bind-interfaces --listen-address=$host"
	# shellcheck disable=SC2086 # words
	dnsmasq_of dnsmasq.log "$road" 5301 carried.hosts $everywhere
	dnsmasq=$server
	ok "dnsmasq answers over $road" wait_for 60 answered 5301 one.carried.example 192.0.2.1
	no_udp "dnsmasq over $road" 5301
	questions dnsmasq 5301 one.carried.example 192.0.2.1
	is "$(ask 5301 +notcp nobody.carried.example | grep -o 'status: [A-Z]*')" 'status: REFUSED' \
		"dnsmasq does not know all over $road"
	is "$(ask 5301 +short many.carried.example | sort | sha256sum)" "$many" \
		"400 addresses are truncated, and come by TCP over $road"
	like "$(ask 5301 +ignore +bufsize=4096 many.carried.example | grep -o 'flags: [a-z ]*;')" '*tc*' \
		"they are truncated over $road"

	# Reached by the network alone, by programs that reach the others over the road.
	dnsmasq_of plain.log plain 5301 plain.hosts --bind-interfaces --listen-address=127.0.0.2
	plain=$server
	ok "a dnsmasq on the network answers" wait_for 60 \
		sh -c '[ "$(dig +short +tries=1 +time=5 @127.0.0.2 -p 5301 one.plain.example)" = 198.51.2.1 ]'
	two_servers

	for option in '' 'interface-automatic: yes' 'udp-connect: no' 'so-reuseport: no'; do
		unbound_with "$option"
	done
	server_end "$plain"
	server_end "$dnsmasq"
	nobody
}

unbound_with() { # OPTION
	configure_unbound "$1" >unbound.conf
	start unbound.log "$road" unbound -d -p -c "$work/unbound.conf"
	name="unbound${1:+ ($1)}"
	ok "$name answers over $road" wait_for 60 answered 5302 one.local.example 203.0.113.1
	no_udp "$name over $road" 5302
	is "$(ask 5302 +short +ignore +notcp +bufsize=4096 large.local.example | sort | sha256sum)" "$large" \
		"a datagram with 200 addresses of $name over $road"
	is "$(ask 5302 +short one.carried.example)" 192.0.2.1 "$name asks dnsmasq over $road"
	is "$(ask 5302 +short many.carried.example | sort | sha256sum)" "$many" "$name asks dnsmasq again by TCP over $road"
	is "$(ask 5302 +short one.plain.example)" 198.51.2.1 "$name asks a server on the network over $road"
	if [ -z "$1" ]; then
		questions "$name" 5302 one.local.example 203.0.113.1
		ok "20 digs at the same time through $name to dnsmasq over $road" \
			parallel 5302 one.carried.example 192.0.2.1 20
		ok "20 digs at the same time through $name to the network over $road" \
			parallel 5302 one.plain.example 198.51.2.1 20
	fi
	server_end "$server"
	is "$(grep -E 'error|fatal' unbound.log)" '' "$name has nothing to complain of over $road"
}

# One process that asks both, by two sockets (dig) and by one.
two_servers() {
	is "$(over "$road" dig -p 5301 +notcp one.carried.example @"$host" +short one.plain.example @127.0.0.2 +short 2>&1)" \
		'192.0.2.1
198.51.2.1' "one dig asks a server over $road and one on the network"
	cat >two.py <<'END'
import socket, struct, sys

def question(number, name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)

servers = [((sys.argv[1], 5301), "one.carried.example", "192.0.2.1"),
           (("127.0.0.2", 5301), "one.plain.example", "198.51.2.1")]
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(float(sys.argv[2]))
right = 0
for number in range(50):
    # Both are asked before either is listened to.
    for i, (address, name, _) in enumerate(servers):
        asker.sendto(question(2 * number + i, name), address)
    seen = {}
    for _ in servers:
        answer, sender = asker.recvfrom(512)
        seen[sender] = (struct.unpack("!H", answer[:2])[0], socket.inet_ntoa(answer[-4:]))
    right += seen == {address: (2 * number + i, wanted) for i, (address, _, wanted) in enumerate(servers)}
print("right:", right)
END
	is "$(over "$road" /usr/bin/python3 two.py "$host" $((10 * SCALE)) 2>&1)" 'right: 50' \
		"one socket asks a server over $road and one on the network"
}

nobody() {
	like "$(ask 5309 +notcp one.carried.example)" '*communications error to *#5309: connection refused*' \
		"a server that is not there is refused over $road"
	# dig asks the next server when the first is not there.
	is "$(over "$road" dig +short +notcp +tries=1 @127.0.0.2 -p 5309 one.plain.example 2>&1 | grep -c refused)" 1 \
		"so is one on the network over $road"
}

for road in $ROADS; do
	closed "$road" || serve
done
finish
