#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In a storm of datagrams, with receivers that die and senders that are interrupted, none arrives that was not sent, none
# changed, none twice. How many are lost is shown, and differs: UDP promises nothing.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$map" <<'END'
connect udp 127.0.0.1:* vsock local:*
listen  udp *:*         vsock any:*
END

wanted='ended well: 9 of 9
corrupt: 0
twice: 0
refused and arrived: 0
tiny ones nobody sent: 0
from nobody: 0
calm: 360 of 360 arrived
calm: 18 of 18 were answered'

# That the checks see what they are to see.
is "$(over plain "$programs/integrity" spoiled 127.0.0.1 33900 2>/dev/null)" 'ended well: 9 of 9
corrupt: yes
twice: yes
refused and arrived: yes' "datagrams that are wrong are found out"

# storm ROAD
storm() {
	is "$(over "$1" "$programs/integrity" storm 127.0.0.1 33910 2>"$work/figures")" "$wanted" "a storm over $1"
	sed 's/^/# /' "$work/figures"
}

storm plain
for road in $ROADS; do
	closed "$road" || storm "$road"
done
finish
