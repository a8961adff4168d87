#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Inside a test VM: unmodified curl and web servers, once from guest to host and once from host to guest; and the guide's
# programs (programs/guide.h), natively by vmci_sockets.h at one end and as programs of AF_INET at the other.
# The environment is that of tests/run/lib.sh. The guest is CID 3 of the VM's vsock; for it the VM is CID 2.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../run/lib.sh"

case " $ROADS " in
*' vsock '*) ;;
*) skip_all "the road vsock is not asked for" ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
shared=${IP2VSOCK%/*}/guest-host.$$ # the inner VM does not see this one's /tmp
mkdir -p "$shared" || exit 99
trap 'rm -rf "$shared"; at_exit' EXIT
python=/usr/bin/python3

mkdir "$work/host"
head -c 300000 /dev/urandom >"$work/host/file"
(cd "$work/host" && exec "$IP2VSOCK" -v -l -- "$python" -u -m http.server 8000) >"$work/host.log" 2>&1 &
servers="$servers $!"

# What the guide's programs say on plain TCP, where there is one machine.
guide_clients() { # ROAD PROGRAM HOST PORT
	over "$1" "$programs/$2" crowd "$3" "$4" 3 16384 2>&1
	over "$1" "$programs/$2" visit "$3" "$4" 100000 2>&1
}
guide_is_ready() {
	wait_for 20 grep -q ready "$work/$1" || fail "$1 is ready" "$(cat "$work/$1")"
}
start guide.plain plain "$programs/guide_inet" serve poll 8100 4
guide_is_ready guide.plain
guide_said=$(guide_clients plain guide_inet 127.0.0.1 8100)
wait_for 20 process_is_gone "$server"
guide_heard=$(cat "$work/guide.plain")
of_machine() { # CID TEXT
	printf '%s\n' "$2" | sed "s/machine 1:/machine $1:/"
}
start guide.vmci plain "$programs/guide_vmci" serve select 8100 4
guide_is_ready guide.vmci
# The stream library on one side, UDP on the other.
start records.udp plain "$IP2VSOCK" -r 'listen udp *:* vsock any:*' -- "$programs/datagrams" udp answer 8110 8
start records.library plain "$programs/records" - 0 answer 8111 8
for records_log in records.udp records.library; do
	guide_is_ready $records_log
done
start guide.inet plain "$IP2VSOCK" -l -- "$programs/guide_inet" serve poll 8101 4
guide_is_ready guide.inet

# The guest fetches a file of the host and serves it again. It says so by asking the host for "ready", and ends when
# somebody asks for "end": nobody polls, because the two share one emulated processor. In there an interpreter takes
# minutes to start, nginx seconds.
cat >"$shared/nginx.conf" <<END
daemon off;
master_process off;
user root;
pid /tmp/nginx.pid;
events { }
http {
	access_log /tmp/access.log;
	client_body_temp_path /tmp/nginx; proxy_temp_path /tmp/nginx; fastcgi_temp_path /tmp/nginx;
	uwsgi_temp_path /tmp/nginx; scgi_temp_path /tmp/nginx;
	server { listen 8001; root /tmp; }
}
END
cat >"$shared/guest.sh" <<END
set -u
cd /tmp || exit 1
guide() { # PROGRAM HOST PORT
	"\$1" crowd "\$2" "\$3" 3 16384 2>&1
	"\$1" visit "\$2" "\$3" 100000 2>&1
}
if [ "\${1-}" = under ]; then # ip2vsock
	guide "$programs/guide_inet" 10.0.0.2 8100
	exit
fi
outside() {
	"$IP2VSOCK" -r 'host 10.0.0.2 host outside.vm' -- curl -sS --retry 5 --retry-connrefused "\$@"
}
outside -o file http://outside.vm:8000/file || exit 1
echo "guest: \$(wc -c <file) bytes"
sha256sum <file
"$programs/guide_vmci" values | sed 's/^/vmci: /'
"$IP2VSOCK" -r 'host 10.0.0.2 host' -- sh "$shared/guest.sh" under | sed 's/^/to VMCI: /'
"$programs/records" - 0 ask 2 8110 2>&1 | sed 's/^/library: /'
"$IP2VSOCK" -r 'host 10.0.0.2 host' -- "$programs/datagrams" udp ask 10.0.0.2 8111 2>&1 | sed 's/^/UDP: /'
guide "$programs/guide_vmci" 2 8101 | sed 's/^/from VMCI: /'
"$programs/guide_vmci" serve select 8102 4 >guide.vmci 2>&1 &
vmci=\$!
"$IP2VSOCK" -l -- "$programs/guide_inet" serve poll 8103 4 >guide.inet 2>&1 &
inet=\$!
while kill -0 "\$vmci" && kill -0 "\$inet" && ! { grep -q ready guide.vmci && grep -q ready guide.inet; }; do sleep 1; done
"$IP2VSOCK" -l -- nginx -e stderr -p /tmp -c "$shared/nginx.conf" &
server=\$!
until [ -s nginx.pid ] || ! kill -0 "\$server"; do sleep 1; done
outside -o /dev/null http://outside.vm:8000/ready
until grep -q 'GET /end' access.log || ! kill -0 "\$server"; do sleep 2; done
cat access.log
kill "\$server"
sed 's/^/VMCI: /' guide.vmci
sed 's/^/inet: /' guide.inet
END

(cd "$shared" && exec "$here/nested" -t 900 3 sh ./guest.sh) >"$work/guest.log" 2>&1 &
guest=$!
servers="$servers $guest"

inside() {
	"$IP2VSOCK" -c 3 -- curl -sS "$@"
}
guest_is_ready() {
	sleep 1
	grep -q 'GET /ready' "$work/host.log" || process_is_gone "$guest"
}
wait_for 90 guest_is_ready
ok "host to guest: curl fetches from nginx in the guest" inside -o "$work/back" http://10.0.0.3:8001/file
ok "host to guest: the file is the same" cmp "$work/host/file" "$work/back"
is "$(over plain "$IP2VSOCK" -c 3 -- "$programs/guide_inet" crowd 10.0.0.3 8102 3 16384 2>&1
	over plain "$IP2VSOCK" -c 3 -- "$programs/guide_inet" visit 10.0.0.3 8102 100000 2>&1)" \
	"$(of_machine 3 "$guide_said")" "host to guest: AF_INET clients, a VMCI server"
is "$(guide_clients plain guide_vmci 3 8103)" "$(of_machine 3 "$guide_said")" "host to guest: VMCI clients, an AF_INET server"
inside -o /dev/null http://10.0.0.3:8001/end
wait_for 30 process_is_gone "$guest"
like "$(cat "$work/guest.log")" "*guest: 300000 bytes*$(sha256sum <"$work/host/file")*" "guest to host: the file is the same"
like "$(cat "$work/host.log")" '*198.18.0.3*GET /file*' "the host's server sees the guest as 198.18.0.3"
like "$(cat "$work/guest.log")" '*198.18.0.2*GET /file*' "the guest's server sees the host as 198.18.0.2"
from_guest() { # PREFIX
	sed -n "s/^$1: //p" "$work/guest.log"
}
is "$(from_guest 'to VMCI')" "$(of_machine 2 "$guide_said")" "guest to host: AF_INET clients, a VMCI server"
is "$(cat "$work/guide.vmci")" "$(of_machine 3 "$guide_heard")" "which hears all of it from CID 3"
is "$(from_guest 'from VMCI')" "$(of_machine 2 "$guide_said")" "guest to host: VMCI clients, an AF_INET server"
is "$(cat "$work/guide.inet")" "$(of_machine 3 "$guide_heard")" "which hears all of it from 198.18.0.3"
eight() { # FROM
	for size in 5 5 0 0 1400 1400 65507 65507; do
		echo "$size bytes, good, from $1"
	done
}
is "$(from_guest library)" "$(eight CID\ 2:8110)" "guest to host: the stream library asks a UDP server"
is "$(cat "$work/records.udp")" "ready
$(eight 198.18.0.3)" "which hears it from 198.18.0.3"
is "$(from_guest UDP)" "$(eight 10.0.0.2:8111)" "guest to host: a UDP client asks the stream library"
is "$(cat "$work/records.library")" "ready
$(eight 'CID 3')" "which hears it from CID 3"
is "$(from_guest VMCI)" "$(of_machine 2 "$guide_heard")" "the guest's VMCI server has heard all of it from CID 2"
is "$(from_guest inet)" "$(of_machine 2 "$guide_heard")" "the guest's AF_INET server from 198.18.0.2"
like "$(from_guest vmci)" '*family: 40*device: open,*CID: 3, EDOM*' "the header's functions in the guest"
is "$(tcp_listeners)" 0 "no TCP listener in the host"
sed 's/^/# guest: /' "$work/guest.log"
finish
