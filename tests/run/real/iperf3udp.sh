#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# iperf3 -u: its server connects the socket that a test came in on, and binds a new one to the same port.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need iperf3 /usr/bin/python3

echo 'listen udp *:* vsock any:*' >>"$map"
# The slower a machine is, the less it is asked to carry; the control connection is TCP.
rate=$(scaled 20000000)

# What iperf3 says in JSON: one line of figures for who reads, one of facts.
cat >verdict.py <<'END'
import json, sys
with open(sys.argv[1]) as file:
    result = json.load(file)
length = int(sys.argv[2])
end = result["end"]
streams = [stream["udp"] for stream in end["streams"]]
packets = sum(stream["packets"] for stream in streams)
lost = sum(stream["lost_packets"] for stream in streams)
received = sum(stream["bytes"] for stream in streams)
order = sum(stream["out_of_order"] for stream in streams)
print("# %d datagrams of %d bytes, %d lost (%.2f %%), %d out of order, %.1f Mbit/s" % (
    packets, length, lost, 100 * lost / max(packets, 1), order,
    sum(stream["bits_per_second"] for stream in streams) / 1e6))
print(result.get("error", "no error"), len(streams), "streams,",
      "every stream sent" if all(stream["packets"] > 2 for stream in streams) else "a stream sent nothing",
      "whole" if received % length == 0 else "in parts",
      "in order" if order == 0 else "out of order",
      "few lost" if lost <= packets / 10 else "many lost")
END

iperf() {
	host=$(host_over "$road")
	start iperf3.log "$road" iperf3 -s -p 5203 --forceflush
	ok "iperf3 listens over $road" wait_for 60 grep -q 'Server listening' iperf3.log
	for options in '-l 1400' '-l 1400 -R' '-l 1400 -P 4' '-l 1400 -R -P 4' '-l 1400 --bidir' '-l 60000' '-l 60000 -R' \
		'-l 16 -b 200K'; do
		streams=1
		each=$rate
		case $options in
		*'-P 4') streams=4 each=$((rate / 4)) ;;
		*--bidir) streams=2 each=$((rate / 2)) ;;
		esac
		# shellcheck disable=SC2086 # words
		over "$road" iperf3 -u -c "$host" -p 5203 -t 1 -J -b "$each" $options >result 2>result.err
		length=${options#-l }
		/usr/bin/python3 verdict.py result "${length%% *}" >verdict 2>&1
		sed -n "s/^#.*/& (-u $options over $road)/p" verdict
		is "$(grep -v '^#' verdict)" "no error $streams streams, every stream sent whole in order few lost" \
			"iperf3 -u $options over $road"
	done
	no_udp "iperf3 over $road" 5203
	server_end "$server"
	is "$(grep -ic error iperf3.log)" 0 "the server saw no error over $road"
}

for road in $ROADS; do
	closed "$road" || iperf
done
finish
