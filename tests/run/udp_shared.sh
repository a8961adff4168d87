#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A server that forks for each client answers from the address that the client knows it by, also where that is not the
# one that its CID has by itself.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$map" <<'END'
connect 127.0.0.0/28:*    vsock local:*
listen  *:*               vsock any:*
END

port=15000
for road in $ROADS; do
	closed "$road" && continue
	is "$(over "$road" "$programs/udpshared" child-answers 127.0.0.2 $port 127.0.0.1 2>&1)" \
		"from where it was sent to: yes
from where it was sent to: yes" "a child answers for its parent over $road"
	port=$((port + 10))
done
finish
