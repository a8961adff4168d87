#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# iperf3 forward and reverse, with four streams.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need iperf3 /usr/bin/python3

# What iperf3 says in JSON, in words: no error, both ends moved bytes, and as many streams as asked for.
verdict() {
	/usr/bin/python3 - "$1" <<'END'
import json, sys
with open(sys.argv[1]) as file:
    result = json.load(file)
end = result["end"]
print(result.get("error", "no error"), len(end["streams"]), "streams",
      "sent" if end["sum_sent"]["bytes"] > 100000 else "nothing sent",
      "received" if end["sum_received"]["bytes"] > 100000 else "nothing received")
END
}

iperf() {
	# Its own word that it is ready: a connection without a test is an error to it.
	start iperf3.log "$road" iperf3 -s -p 5201 --forceflush
	ok "iperf3 listens over $road" wait_for 60 grep -q 'Server listening' iperf3.log
	no_tcp "iperf3 over $road" 10.0.0.3 5201
	for options in '' '-R' '-P 4' '-R -P 4' '--bidir'; do
		# shellcheck disable=SC2086 # words
		over "$road" iperf3 -c 10.0.0.3 -p 5201 -t 1 -J $options >result 2>&1
		streams=1
		case $options in
		*'-P 4') streams=4 ;;
		--bidir) streams=2 ;;
		esac
		is "$(verdict result 2>&1)" "no error $streams streams sent received" "iperf3 $options over $road"
	done
	server_end "$server"
	is "$(grep -ic error iperf3.log)" 0 "the server saw no error over $road"
}

for road in $ROADS; do
	closed "$road" || iperf
done
finish
