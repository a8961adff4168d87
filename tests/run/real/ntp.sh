#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# chronyd as a server of a clock that is always right, and as a client that asks once; neither touches the clock.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need chronyd /usr/bin/python3
[ "$(id -u)" = 0 ] || skip_all "chronyd runs as root only"

echo 'listen udp *:* vsock any:*' >>"$map"

chrony_user=$(id -un)
common="cmdport 0
bindcmdaddress /"

# [PORT]: asks four times, and says what it would have done.
offset() {
	printf '%s\n' "$common" "pidfile $work/client.pid" \
		"server $host port ${1:-1123} iburst minpoll 0 maxpoll 0 maxsamples 4" >client.conf
	over "$road" chronyd -x -Q -t $((3 * SCALE)) -u "$chrony_user" -f "$work/client.conf" 2>&1
}

wrong_by() {
	offset "$@" | sed -n 's/.*System clock wrong by -\{0,1\}\([0-9.]*\) seconds.*/\1/p'
}

# Both look at the same clock: a hundredth of a second is what a slow machine may take.
right() {
	right_by=$(wrong_by)
	echo "$right_by"
	[ -n "$right_by" ] && awk -v by="$right_by" -v scale="$SCALE" 'BEGIN { exit !(by < 0.01 * scale) }'
}

# An answer, field by field: mode 4 (server), stratum 5, our time stamp in it, and its time stamps in order.
cat >ask.py <<'END'
import socket, struct, sys, time

asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(float(sys.argv[3]))
asker.connect((sys.argv[1], int(sys.argv[2])))
mine = struct.pack("!2I", 0x12345678, 0x9abcdef0)
asker.send(bytes([4 << 3 | 3]) + bytes(39) + mine)
answer = asker.recv(1000)
now = time.time() + 2208988800
received, sent = (word / 2**32 for word in struct.unpack("!2Q", answer[32:48]))
print(len(answer), "mode", answer[0] & 7, "version", answer[0] >> 3 & 7, "stratum", answer[1], answer[24:32] == mine,
      now - 60 < received <= sent < now + 1)
END

serve() {
	host=$(host_over "$road")
	printf '%s\n' "$common" "pidfile $work/server.pid" 'local stratum 5' 'port 1123' 'allow' >server.conf
	start chronyd.log "$road" chronyd -x -d -u "$chrony_user" -f "$work/server.conf"
	ok "chronyd answers over $road" wait_for 60 right
	no_udp "chronyd over $road" 1123
	is "$(over "$road" /usr/bin/python3 ask.py "$host" 1123 $((10 * SCALE)) 2>&1)" '48 mode 4 version 4 stratum 5 True True' \
		"its answer is a server's over $road"
	ok "chronyd finds its clock right over $road" right
	like "$(offset)" '*(ignored)*' "and leaves it alone over $road"
	is "$(wrong_by 1129)" '' "where no server is there is no answer over $road"
	ok "the server is still there over $road" process_runs "$server"
	server_end "$server"
	is "$(grep -iE 'error|fatal|could not' chronyd.log)" '' "chronyd has nothing to complain of over $road"
}

for road in $ROADS; do
	closed "$road" || serve
done
finish
