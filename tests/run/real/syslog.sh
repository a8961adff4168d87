#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# logger sends to rsyslog by UDP; an rsyslog in between passes on to one that is carried and to one on the network.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need logger rsyslogd

echo 'listen udp *:* vsock any:*' >>"$map"

# Lines that are all different, and of all lengths up to about 900 bytes.
seq 1 1000 | awk '{ printf "line %d:", $1; for (i = 0; i < $1 % 90; i++) printf "%010d", $1 * 7919 + i
	print "" }' >lines

# NAME ADDRESS PORT: what it hears from the network is written to NAME.got; $actions, to where else.
rsyslog_of() {
	cat >"$1.conf" <<END
global(workDirectory="$work" net.enableDNS="off" processInternalMessages="off")
module(load="imudp")
template(name="line" type="string" string="%programname%|%fromhost-ip%|%msg:2:\$%\\n")
input(type="imudp" address="$2" port="$3" ruleset="all")
ruleset(name="all") {
	action(type="omfile" file="$work/$1.got" template="line")
	$actions
}
END
}

rsyslog_start() { # NAME ROAD
	start "$1.log" "$2" rsyslogd -n -f "$work/$1.conf" -i "$work/$1.pid"
}

# Slower than a server reads: UDP loses what finds no room, everywhere.
log() { # LOGGER'S OPTION...
	while read -r first && read -r second && read -r third && read -r fourth; do
		printf '%s\n' "$first" "$second" "$third" "$fourth"
		sleep 0.01
	done <lines | over "$road" logger --udp --rfc3164 --size 2048 "$@" 2>&1
}

# NAME HOST PORT ROAD: one line has arrived.
hears() {
	over "$4" logger --udp --rfc3164 -n "$2" -P "$3" -t ready ready
	grep -q '^ready|' "$1.got"
}

# NAME TAG: as many lines as were sent.
all_heard() {
	[ "$(grep -c "^$2|" "$1.got")" -ge 1000 ]
}

# Nothing is missing, doubled or changed.
arrive() { # NAME TAG SENDER TEXT
	wait_for 20 all_heard "$1" "$2"
	is "$(grep "^$2|" "$1.got" | cut -d '|' -f 2 | sort -u)" "$3" "$4: the sender's address over $road"
	grep "^$2|" "$1.got" | cut -d '|' -f 3 >"$1.lines"
	is "$(sha256sum <"$1.lines")" "$(sha256sum <lines)" "$4: 1000 lines, in order, over $road"
}

serve() {
	host=$(host_over "$road")
	actions=
	rsyslog_of server 0.0.0.0 5140
	rsyslog_start server "$road"
	central=$server
	ok "rsyslog hears over $road" wait_for 60 hears server "$host" 5140 "$road"
	no_udp "rsyslog over $road" 5140
	is "$(log -n "$host" -P 5140 -t direct)" '' "logger has nothing to say over $road"
	arrive server direct 127.0.0.1 "logger to rsyslog"

	# A burst may lose lines, but not change or double them.
	over "$road" logger --udp --rfc3164 --size 2048 -n "$host" -P 5140 -t burst -f lines
	over "$road" logger --udp --rfc3164 -n "$host" -P 5140 -t after after
	wait_for 20 grep -q '^after|' server.got
	sed -n 's/^burst|127[.]0[.]0[.]1|//p' server.got >burst
	echo "# $(wc -l <burst) of 1000 lines of a burst arrived over $road"
	is "$(sort burst | uniq -d)" '' "no line of a burst is there twice over $road"
	is "$(sort burst lines | uniq -d | wc -l)" "$(wc -l <burst)" "and those that arrived are whole over $road"
	ok "some did arrive over $road" test -s burst

	# Another on the network, and one in between that passes on to both.
	rsyslog_of network 127.0.0.2 5141
	rsyslog_start network plain
	network=$server
	ok "an rsyslog on the network hears" wait_for 60 hears network 127.0.0.2 5141 plain
	actions="action(type=\"omfwd\" target=\"$host\" port=\"5140\" protocol=\"udp\")
	action(type=\"omfwd\" target=\"127.0.0.2\" port=\"5141\" protocol=\"udp\")"
	rsyslog_of between 0.0.0.0 5142
	rsyslog_start between "$road"
	between=$server
	ok "an rsyslog in between hears over $road" wait_for 60 hears between "$host" 5142 "$road"
	no_udp "the one in between over $road" 5142
	log -n "$host" -P 5142 -t relayed
	arrive between relayed 127.0.0.1 "to the one in between"
	arrive server relayed 127.0.0.1 "passed on to one that is carried"
	arrive network relayed 127.0.0.1 "passed on to one on the network"

	for name in "$between" "$network" "$central"; do
		server_end "$name"
	done
	is "$(cat server.log network.log between.log)" '' "rsyslog has nothing to complain of over $road"
	rm -f server.got network.got between.got
}

for road in $ROADS; do
	closed "$road" || serve
done
finish
