#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Inside a test VM with vsock datagrams (run --vmci): UDP programs and programs of AF_VSOCK talk to each other, and UDP
# programs among themselves, without any connection. The environment is that of tests/run/lib.sh.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../run/lib.sh"

case " $ROADS " in
*' vsock '*) ;;
*) skip_all "the road vsock is not asked for" ;;
esac
grep -q '^vmw_vsock_vmci_transport ' /proc/modules || skip_all "no vmw_vsock_vmci_transport"

cat >"$map" <<'END'
host    10.0.0.2 2
connect udp 10.0.0.3:* vsock local:*
connect udp 10.0.1.0/24:* vsock host:*
listen  udp *:* vsock any:*
END

# started LOG ROAD KIND PORT COUNT: a server that answers COUNT datagrams.
started() {
	start "$1" "$2" "$programs/datagrams" "$3" answer "$4" "$5"
	wait_for 20 grep -q ready "$work/$1" || fail "$1 is ready" "$(cat "$work/$1")"
}

streams() {
	ss -H -a --vsock | awk '/^v_str *LISTEN/ { listeners++ } /^v_str *ESTAB/ { connections++ }
		END { print listeners + 0, "listeners,", connections + 0, "connections" }'
}

heard() { # FROM
	for size in 5 5 0 0 1400 1400 65507 65507; do
		echo "$size bytes, good, from $1"
	done
}
served() { # FROM
	echo ready
	heard "$1"
}

echo "# $(uname -r)"
started native plain vsock 7000 8
is "$(over vsock "$programs/datagrams" udp ask 10.0.0.2 7000)" "$(heard 10.0.0.2:7000)" "a UDP client asks a program of AF_VSOCK"
is "$(cat "$work/native")" "$(served 'CID 2')" "which hears it from CID 2"

started udp vsock udp 7001 8
is "$(over plain "$programs/datagrams" vsock ask 2 7001)" "$(heard 'CID 2:7001')" "a program of AF_VSOCK asks a UDP server"
is "$(cat "$work/udp")" "$(served 10.0.0.2)" "which hears it from the host's address"

started both vsock udp 7002 9
is "$(over vsock "$programs/datagrams" udp ask 10.0.0.2 7002)" "$(heard 10.0.0.2:7002)" "a UDP client asks a UDP server"
is "$(streams)" '1 listeners, 0 connections' "without a connection"
over plain "$programs/datagrams" vsock ask 2 7002 >/dev/null 2>&1 &
wait_for 20 process_is_gone "$server"
is "$(sed -n '$p' "$work/both")" '5 bytes, good, from 10.0.0.2' "and a stranger the same server"

started range vsock udp 7003 8
is "$(over vsock "$programs/datagrams" udp ask 10.0.1.77 7003)" "$(heard 10.0.1.77:7003)" \
	"one address of many: it is the one that answers"

started link vsock udp 7004 9
is "$(over vsock "$programs/datagrams" udp ask 10.0.0.3 7004)" "$(heard 10.0.0.3:7004)" \
	"a CID without datagrams: by a connection"

is "$(over plain "$programs/datagrams" udp call 127.0.0.1 7999)" 'recvfrom: ECONNREFUSED' "nobody there, on plain UDP"
is "$(over vsock "$programs/datagrams" udp call 10.0.0.2 7999)" 'recvfrom: ECONNREFUSED' "nobody there"

start taken plain "$programs/datagrams" vsock take 7005
wait_for 20 grep -q ready "$work/taken"
is "$(over vsock "$programs/datagrams" udp take 7005)" 'bind: EADDRINUSE' "a port that a program of AF_VSOCK has"

# The guide's pair (programs/guide.h), each half natively by vmci_sockets.h, and as a program of UDP.
guide() { # ROAD PROGRAM ROAD PROGRAM HOST PORT
	start guide "$1" "$programs/$2" answer "$6" 8
	wait_for 20 grep -q ready "$work/guide" || fail "$2 is ready" "$(cat "$work/guide")"
	over "$3" "$programs/$4" ask "$5" "$6" 2>&1
	wait_for 20 process_is_gone "$server"
	cat "$work/guide"
}
wanted=$(guide plain guide_inet plain guide_inet 127.0.0.1 7020 | sed 's/machine 1:/machine 2:/')
is "$(printf '%s\n' "$wanted" | grep -c '^from machine 2: 65507 bytes, ')" 4 "the guide's programs, on plain UDP"
is "$(guide plain guide_vmci plain guide_vmci 2 7021)" "$wanted" "VMCI both"
is "$(guide plain guide_vmci vsock guide_inet 10.0.0.2 7022)" "$wanted" "a VMCI server, a UDP client"
is "$(guide vsock guide_inet plain guide_vmci 2 7023)" "$wanted" "a UDP server, a VMCI client"
is "$(guide vsock guide_inet vsock guide_inet 10.0.0.2 7024)" "$wanted" "UDP both"

# A list without the only CID there is: strangers are heard if they answer.
cat >"$map" <<'END'
connect udp 127.0.0.1:* vsock host:*
listen  udp *:7010 vsock any:7010 allow=9
listen  udp *:* vsock any:*
END
is "$(over vsock "$programs/guardudp" strangers-answer 127.0.0.1 7010 '9 2' 2>&1)" \
	"$(over plain "$programs/guardudp" strangers-answer 127.0.0.1 7010 9 2>&1)" "strangers are not heard, unless they answer"

# What they print on plain UDP they print here.
cat >"$map" <<'END'
connect udp 127.0.0.1:* vsock host:*
listen  udp *:* vsock any:*
END
port=10000
for program in udp udpcalls udppeers udpsizes udpwait; do
	for case in $("$programs/$program" -l); do
		port=$((port + 10))
		over plain "$programs/$program" "$case" 127.0.0.1 $port 127.0.0.2 >"$work/wanted" 2>&1
		is "$(over vsock "$programs/$program" "$case" 127.0.0.1 $port 127.0.0.2 2>&1)" "$(cat "$work/wanted")" "$program $case"
	done
done
is "$(over vsock "$programs/integrity" storm 127.0.0.1 9900 2>/dev/null | grep -v calm)" 'ended well: 9 of 9
corrupt: 0
twice: 0
refused and arrived: 0
tiny ones nobody sent: 0
from nobody: 0' "a storm"
finish
