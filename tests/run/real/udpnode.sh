#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Node's dgram as a server and as clients, and its resolver, which has UDP sockets of its own (c-ares).
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need node dnsmasq

echo 'listen udp *:* vsock any:*' >>"$map"
talk=$srcdir/tests/programs/node_dgram.js
clients=$(scaled 300)

talk() {
	over "$road" node "$talk" "$@" 2>&1
}

resolves() {
	[ "$(talk resolve "$host" 5305 one.example)" = "$wanted" ]
}

serve() {
	host=$(host_over "$road")
	start server.log "$road" node "$talk" serve 8060
	ok "node listens over $road" wait_for 60 grep -q listening server.log
	no_udp "node over $road" 8060
	is "$(talk visit "$host" 8060 "$clients")" "good: $clients" "$clients clients over $road"
	is "$(talk refused "$host" 8069)" ECONNREFUSED "only a connected client hears that nobody is there over $road"
	server_end "$server"
	is "$(cat server.log)" 'listening IPv4 0.0.0.0 8060, buffers: true' "the server has nothing to complain of over $road"

	echo '192.0.2.1 one.example' >one.hosts
	wanted=$(seq 20 | sed 's/.*/192.0.2.1/' | paste -s -d ' ')
	start dnsmasq.log "$road" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --log-facility=- --port=5305 --addn-hosts="$work/one.hosts"
	ok "20 questions of node's resolver to dnsmasq over $road" wait_for 60 resolves
	no_udp "dnsmasq over $road" 5305
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || serve
done
finish
