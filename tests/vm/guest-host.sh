#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Inside a test VM: unmodified curl and web servers, once from guest to host and once from host to guest.
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
outside() {
	"$IP2VSOCK" -r 'host 10.0.0.2 host outside.vm' -- curl -sS --retry 5 --retry-connrefused "\$@"
}
outside -o file http://outside.vm:8000/file || exit 1
echo "guest: \$(wc -c <file) bytes"
sha256sum <file
"$IP2VSOCK" -l -- nginx -e stderr -p /tmp -c "$shared/nginx.conf" &
server=\$!
until [ -s nginx.pid ] || ! kill -0 "\$server"; do sleep 1; done
outside -o /dev/null http://outside.vm:8000/ready
until grep -q 'GET /end' access.log || ! kill -0 "\$server"; do sleep 2; done
cat access.log
kill "\$server"
END

(cd "$shared" && exec "$here/nested" -t 600 3 sh ./guest.sh) >"$work/guest.log" 2>&1 &
guest=$!
servers="$servers $guest"

inside() {
	"$IP2VSOCK" -c 3 -- curl -sS "$@"
}
guest_is_ready() {
	sleep 1
	grep -q 'GET /ready' "$work/host.log" || process_is_gone "$guest"
}
wait_for 60 guest_is_ready
ok "host to guest: curl fetches from nginx in the guest" inside -o "$work/back" http://10.0.0.3:8001/file
ok "host to guest: the file is the same" cmp "$work/host/file" "$work/back"
inside -o /dev/null http://10.0.0.3:8001/end
wait_for 30 process_is_gone "$guest"
like "$(cat "$work/guest.log")" "*guest: 300000 bytes*$(sha256sum <"$work/host/file")*" "guest to host: the file is the same"
like "$(cat "$work/host.log")" '*198.18.0.3*GET /file*' "the host's server sees the guest as 198.18.0.3"
like "$(cat "$work/guest.log")" '*198.18.0.2*GET /file*' "the guest's server sees the host as 198.18.0.2"
is "$(tcp_listeners)" 0 "no TCP listener in the host"
sed 's/^/# guest: /' "$work/guest.log"
finish
