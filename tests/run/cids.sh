#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# How peers are shown: other CIDs never as loopback, each as an address of its own that stays; and the addresses of
# IPv6 with their scopes.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need /usr/bin/python3 ip

# --- CIDs: the processes of a realm have them, whatever this machine has

rules='connect 10.0.0.3:* vsock 3:*; connect [2001:db8::3]:* vsock 3:*; listen tcp *:* vsock any:*'
python=/usr/bin/python3

in_realm() { # CID PROGRAM [ARG]...
	in_realm_cid=$1
	shift
	IP2VSOCK_CID=$in_realm_cid "$IP2VSOCK" -u "$realm" -r "$rules${more+; $more}" -- "$@"
}

# Tells each client whom it takes it for, by accept and by getpeername, and where it takes itself to be.
server() { # ADDRESS PORT
	cat >server.py <<-'END'
		import socket, sys
		listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
		while True:
		    connection, address = listener.accept()
		    again = "" if connection.getpeername() == address else " but %s" % connection.getpeername()
		    connection.sendall(("%s %d%s at %s" % (*address[:2], again, connection.getsockname()[0])).encode())
		    connection.close()
	END
	IP2VSOCK_CID=3 "$IP2VSOCK" -u "$realm" -r "$rules${more+; $more}" -- "$python" server.py "$1" "$2" >server.log 2>&1 &
	servers="$servers $!"
	wait_for 20 asked 3 "$1" "$2" || tail server.log
}

asked() { # CID ADDRESS PORT: what the server says of a client with that CID; its port is "own" when it is the client's
	case $2 in
	*:*) asked_address=2001:db8::3 ;;
	*) asked_address=10.0.0.3 ;;
	esac
	in_realm "$1" "$python" -c '
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
port = client.getsockname()[1]
print(client.makefile().read().replace(" %d" % port, " own"), "client at", client.getsockname()[0], "to", *client.getpeername()[:2])' \
		"$asked_address" "$3" 2>&1
}

# [PROGRAM]... as somebody without privilege
nobody() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	fi
}

realm_shows() {
	server 0.0.0.0 15000
	is "$(asked 3 0.0.0.0 15000)" '127.0.0.1 own at 127.0.0.1 client at 127.0.0.1 to 10.0.0.3 15000' \
		"a peer with the own CID is on this machine"
	for cid in 1 2 4 5 300 65534; do
		shown=198.18.$((cid / 256)).$((cid % 256))
		is "$(asked "$cid" 0.0.0.0 15000)" "$shown own at 127.0.0.1 client at 127.0.0.1 to 10.0.0.3 15000" "CID $cid is shown as $shown"
		is "$(asked "$cid" 0.0.0.0 15000)" "$shown own at 127.0.0.1 client at 127.0.0.1 to 10.0.0.3 15000" "and again"
	done
	is "$(asked 65535 0.0.0.0 15000)" '240.0.255.255 own at 127.0.0.1 client at 127.0.0.1 to 10.0.0.3 15000' "CID 65535"
	is "$(asked 4294967294 0.0.0.0 15000 | sed 's/ .*//; s/^2[45][0-9]\..*/far/')" far "the largest CID"

	server :: 15001
	is "$(asked 3 :: 15001)" '::1 own at ::1 client at ::1 to 2001:db8::3 15001' \
		"IPv6: the own CID is on this machine"
	for cid in 1 2 4 65536; do
		shown=$(printf 'fd69:7032:7673::%x:%x' $((cid / 65536)) $((cid % 65536)) | sed 's/::0:/::/')
		is "$(asked "$cid" :: 15001 | sed 's/ own .*//')" "$shown" "IPv6: CID $cid is shown as $shown"
	done

	# a host line names the address
	more='host 10.9.9.4 4 four.vm'
	server 0.0.0.0 15002
	is "$(asked 4 0.0.0.0 15002 | sed 's/ own .*//')" 10.9.9.4 "a CID with a host line is shown as its address"
	is "$(asked 5 0.0.0.0 15002 | sed 's/ own .*//')" 198.18.0.5 "another one is not"
	unset more

	# ports that only the privileged may have

	start_port=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
	low=$(nobody "$programs/knock" 127.0.0.1 999 bind)
	is "$(nobody "$IP2VSOCK" -u "$realm" -f "$map" -- "$programs/knock" 127.0.0.1 999 bind)" "$low" \
		"a low port without privilege is as on TCP: $low (unprivileged from $start_port)"
	is "$(nobody "$IP2VSOCK" -u "$realm" -f "$map" -- "$programs/knock" 127.0.0.1 1024 bind)" 'bind: ok' "the first free port: ok"
	if [ "$(id -u)" = 0 ]; then
		is "$(over realm "$programs/knock" 127.0.0.1 999 bind)" 'bind: ok' "a low port as root: ok"
	fi
}
case " $ROADS " in
*' realm '*) realm_shows ;;
esac

# --- a port that another process has

cat >reuse.py <<'END'
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    listener.bind(("127.0.0.1", int(sys.argv[1])))
except OSError as error:
    sys.exit(error.strerror)
listener.listen()
print("listening", flush=True)
while True:
    listener.accept()[0].close()
END
for road in $ROADS; do
	closed "$road" && continue
	start "first-$road" "$road" "$python" -u reuse.py 15010
	ready "the first process has its port over $road" "$road" 127.0.0.1 15010
	is "$(over "$road" "$python" reuse.py 15010 2>&1)" 'Address already in use' \
		"SO_REUSEPORT in another process is refused over $road, not a listener that nobody reaches"
	server_end "$server"
done

# --- scopes, in a network namespace where lo has a link-local address

cat >>"$map" <<'END'
connect [fe80::7]:*  vsock local:*
END
cat >lonely.sh <<'END'
ip link set lo up && ip -6 address add fe80::7/64 dev lo nodad || exit
# The kernel makes the route a moment later, which a busy machine notices.
for try in 1 2 3 4 5 6 7 8 9 10; do
	ip -6 route get fe80::7 oif lo 2>/dev/null | grep -q fe80::7 && break
	sleep 0.2
done
exec "$@"
END
scopes() { # ROAD CASE
	over "$1" "$programs/lonely" sh "$work/lonely.sh" "$programs/scopes" "$2" ::1 16000 2>&1
}
for case in $("$programs/scopes" -l); do
	wanted=$(scopes plain "$case")
	like "$wanted" '*talk: there again*' "$case on plain TCP"
	for road in $ROADS; do
		closed "$road" || is "$(scopes "$road" "$case")" "$wanted" "$case over $road"
	done
done
finish
