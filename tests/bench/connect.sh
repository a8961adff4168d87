#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A retargeted connection and stream beside native ones on the same transport, side by side in one run, as ratios.
# usage: connect.sh LIBRARY DIRECTORY [unix|vsock] (vsock only in the test VM)
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
native=${3:-unix}
if [ "$native" = vsock ] && [ "${IP2VSOCK_TEST_VSOCK-}" != yes ]; then
	echo "real AF_VSOCK only inside the test VM" >&2
	exit 2
fi
mkdir -p bench
: "${CC:=gcc}" "${ROUNDS:=7}" "${CONNECTIONS:=200}" "${MEGABYTES:=200}"
# No compiler in the VM needs to be waited for.
[ -x bench/connect ] || $CC -O2 -o bench/connect "$here/connect.c"

rules='connect tcp 127.0.0.1:* vsock local:*; listen tcp *:* vsock any:*'
port=20000
: >bench/connect.times
for _ in $(seq "$ROUNDS"); do
	port=$((port + 3))
	echo "native $(bench/connect "$native" $port "$CONNECTIONS" "$MEGABYTES")"
	case $native in
	unix) echo "ours $(LD_PRELOAD=$library IP2VSOCK_RULES=$rules IP2VSOCK_REALM=bench-$$ \
		bench/connect inet $((port + 1)) "$CONNECTIONS" "$MEGABYTES")" ;;
	vsock) echo "ours $(LD_PRELOAD=$library IP2VSOCK_RULES=$rules \
		bench/connect inet $((port + 1)) "$CONNECTIONS" "$MEGABYTES")" ;;
	esac
	echo "tcp $(bench/connect inet $((port + 2)) "$CONNECTIONS" "$MEGABYTES")"
done >bench/connect.times

# least KIND FIELD: what else the machine does only adds.
least()
{
	sed -n "s/^$1 //p" bench/connect.times | cut -d ' ' -f "$2" | sort -n | head -n 1
}

# ratio TEXT FIELD
ratio()
{
	awk -v what="$1" -v ours="$(least ours "$2")" -v native="$(least native "$2")" -v tcp="$(least tcp "$2")" 'BEGIN {
		printf "# %s: native %.1f us, ours %.1f us (%.2f), TCP on loopback %.1f us\n",
			what, native / 1000, ours / 1000, ours / native, tcp / 1000
	}'
}

ratio "connect, echo, close over $native" 1
ratio "one megabyte over $native" 2
