#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What only real AF_VSOCK can go through: a CID that is not there, low ports, /dev/vsock that nobody may open.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

case " $ROADS " in
*' vsock '*) ;;
*) skip_all "the road vsock is not asked for" ;;
esac
reason=$(road_closed vsock)
[ -z "$reason" ] || skip_all "$reason"

cat >>"$map" <<'END'
connect 10.0.9.9:*   vsock 4711:*
connect 10.0.0.2:*   vsock host:*
END

# [PROGRAM] as somebody without privilege
nobody() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	fi
}

is "$(over vsock "$programs/knock" 10.0.0.3 7777 connect nonblock connect)" "connect: ECONNREFUSED
nonblock: ECONNREFUSED
connect: ECONNREFUSED" "nobody listens: ECONNREFUSED"
is "$(over vsock "$programs/knock" 10.0.9.9 7777 connect nonblock connect)" "connect: EHOSTUNREACH
nonblock: EHOSTUNREACH
connect: EHOSTUNREACH" "an unknown CID: EHOSTUNREACH"

# The ports that only root may take. TCP asks for the same privilege.
is "$(nobody "$IP2VSOCK" -f "$map" -- "$programs/knock" 127.0.0.1 999 bind)" 'bind: EACCES' "a low port without privilege: EACCES"
is "$(nobody "$IP2VSOCK" -f "$map" -- "$programs/knock" 127.0.0.1 1024 bind)" 'bind: ok' "the first free port: ok"
if [ "$(id -u)" = 0 ]; then
	is "$(over vsock "$programs/knock" 127.0.0.1 999 bind)" 'bind: ok' "a low port as root: ok"
fi

# Nobody needs /dev/vsock.
[ "$(id -u)" != 0 ] || mode=$(stat -c %a /dev/vsock 2>/dev/null) || mode=
if [ -n "${mode-}" ] && chmod 000 /dev/vsock 2>/dev/null; then
	is "$(nobody "$IP2VSOCK" -f "$map" -- "$programs/stream" blocking-echo 127.0.0.1 20000)" "last: line 19 of twenty
server: exit 0" "a user who may not open /dev/vsock talks all the same"
	is "$(nobody "$IP2VSOCK" -f "$map" -- "$programs/stream" names-at-both-ends 127.0.0.1 20010)" \
		"$("$programs/stream" names-at-both-ends 127.0.0.1 20020)" "and sees the same addresses"
	chmod "$mode" /dev/vsock
else
	skip "a user who may not open /dev/vsock" "needs root"
fi
mv /dev/vsock /dev/vsock.away 2>/dev/null && {
	is "$(over vsock "$programs/stream" blocking-echo 127.0.0.1 20030)" "last: line 19 of twenty
server: exit 0" "where there is no /dev/vsock as well"
	mv /dev/vsock.away /dev/vsock
}

# A program's own AF_VSOCK sockets are not ours: their addresses stay what they are.
native() {
	over "$1" /usr/bin/python3 - "$2" <<'END'
import socket, sys
port = int(sys.argv[1])
server = socket.socket(socket.AF_VSOCK)
server.bind((socket.VMADDR_CID_ANY, port))
server.listen()
client = socket.socket(socket.AF_VSOCK)
client.connect((1, port))
accepted, peer = server.accept()
print(server.family, server.getsockname()[1] - port, accepted.family, peer[0], peer == accepted.getpeername())
print(client.getpeername()[0], client.getpeername()[1] - port, accepted.getsockname()[0])
print(client.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_VSOCK, client.getsockopt(40, 2, 8).hex())
for option in (socket.TCP_NODELAY,):
    try:
        client.setsockopt(socket.IPPROTO_TCP, option, 1)
        print("set")
    except OSError as error:
        print(error.errno)
client.close()
print(accepted.recv(1))
try:
    socket.socket(socket.AF_VSOCK).connect((1, port + 1))
except OSError as error:
    print(error.errno)
END
}
is "$(native vsock 21000 2>&1)" "$(native plain 21010 2>&1)" "a program's own vsock sockets are left alone"

# One end with the library, the other native.
over vsock "$programs/knock" 10.0.0.3 21020 connect >early 2>&1
start native.log plain /usr/bin/python3 -u -c '
import socket
server = socket.socket(socket.AF_VSOCK)
server.bind((socket.VMADDR_CID_ANY, 21020))
server.listen()
print("listening")
while True:
    connection, (cid, port) = server.accept()
    connection.sendall(b"%d %s\n" % (cid, b"16 bits" if port < 65536 else b"32 bits"))
    connection.close()'
is "$(cat early)" 'connect: ECONNREFUSED' "nobody is there before the native server"
ok "the native server listens" wait_for 30 grep -q listening native.log
is "$(over vsock /usr/bin/python3 -c '
import socket
print(socket.create_connection(("10.0.0.3", 21020)).makefile().read().strip())' 2>&1)" '1 16 bits' \
	"a client with the library reaches a native server, from a port of 16 bits"
start mapped.log vsock /usr/bin/python3 -u -c '
import socket
server = socket.create_server(("0.0.0.0", 21030))
print("listening", flush=True)
while True:
    connection, (address, port) = server.accept()
    again = connection.getpeername() == (address, port)
    connection.sendall(b"%s %s %s\n" % (address.encode(), b"16 bits" if 0 < port < 65536 else b"wrong", str(again).encode()))
    connection.close()'
ok "the server with the library listens" wait_for 30 grep -q listening mapped.log
is "$(/usr/bin/python3 -c '
import socket
client = socket.socket(socket.AF_VSOCK)
client.connect((1, 21030))
print(client.makefile().read().strip())' 2>&1)" '127.0.0.1 16 bits True' \
	"a native client, with a port of 32 bits, reaches a server with the library"

# A CID that has a transport and no guest: connects are queued and never answered. What TCP says where the peer is
# silent is said here.
{
	echo 'listen  10.0.9.8:* inet'
	echo 'connect 10.0.9.8:* vsock 4712:*'
	cat "$map"
} >map.silent && mv map.silent "$map"
/usr/bin/python3 -u -c '
import fcntl, struct, time
guest = open("/dev/vhost-vsock", "rb+", buffering=0)
fcntl.ioctl(guest, 0xaf01)  # VHOST_SET_OWNER
fcntl.ioctl(guest, 0x4008af60, struct.pack("Q", 4712))  # VHOST_VSOCK_SET_GUEST_CID
print("silent")
time.sleep(100000)' >silent.log 2>&1 &
servers="$servers $!"
ok "there is a CID that does not answer" wait_for 30 grep -q silent silent.log
port=22000
for case in $("$programs/silent" -l); do
	! printf '%s\n' "silent $case" | grep -qvE "${TEST_ONLY:-.}" || continue
	port=$((port + 20))
	is "$(over vsock "$programs/silent" "$case" 10.0.9.8 $((port + 10)) 127.0.0.2 2>&1)" \
		"$(over plain "$programs/silent" "$case" 127.0.0.1 "$port" 127.0.0.2 2>&1)" "a silent peer: $case"
done
finish
