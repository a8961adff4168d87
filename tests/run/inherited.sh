#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Servers that are handed their sockets: over exec by inetd's two ways, and by systemd's. What the server sees of its
# listener and its connections is what it sees on plain TCP.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need /usr/bin/python3 systemd-socket-activate

handed="/usr/bin/python3 $srcdir/tests/programs/handed.py"
environment='-E LD_PRELOAD -E IP2VSOCK_FILE -E IP2VSOCK_RULES -E IP2VSOCK_REALM -E IP2VSOCK_CID'
port=14000

# WAY ROAD ADDRESS: the server, started by somebody else
launch() {
	log=launch-$1-$2-$port
	# shellcheck disable=SC2086 # lists of words
	case $1 in
	inetd-wait) start "$log" "$2" $handed inetd wait "$3" "$port" 3 $handed listener 0 3 ;;
	inetd-nowait) start "$log" "$2" $handed inetd nowait "$3" "$port" 3 $handed connection 0 ;;
	systemd-listener) start "$log" "$2" systemd-socket-activate $environment -l "$(bracket "$3"):$port" $handed listener 3 3 ;;
	systemd-connection)
		start "$log" "$2" systemd-socket-activate $environment -a -l "$(bracket "$3"):$port" $handed connection 3
		;;
	systemd-inetd)
		start "$log" "$2" systemd-socket-activate $environment -a --inetd -l "$(bracket "$3"):$port" $handed connection 0
		;;
	esac
}

bracket() { # ADDRESS
	case $1 in
	*:*) echo "[$1]" ;;
	*) echo "$1" ;;
	esac
}

client() { # ROAD ADDRESS
	# shellcheck disable=SC2086 # a list of words
	over "$1" $handed client "$2" "$port" 2>&1
}

client_answered() { # ROAD ADDRESS
	client "$1" "$2" >first
	grep -q '^echo: hello$' first
}

# WAY ROAD ADDRESS: what three clients are told, one after the other
told() {
	port=$((port + 1))
	launch "$1" "$2" "$3"
	wait_for 20 client_answered "$2" "$3" || tail -n 20 "$work/$log"
	cat first
	client "$2" "$3"
	client "$2" "$3"
	server_end "$server"
}

for way in inetd-wait inetd-nowait systemd-listener systemd-connection systemd-inetd; do
	for address in 127.0.0.1 ::1; do
		told "$way" plain "$address" >wanted
		is "$(grep -c '^echo: hello$' wanted)" 3 "$way, $address: three clients are served on plain TCP"
		for road in $ROADS; do
			closed "$road" && continue
			told "$way" "$road" "$address" >got
			is "$(cat got)" "$(cat wanted)" "$way, $address: the server sees the same over $road"
		done
	done
done
finish
