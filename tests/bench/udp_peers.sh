#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# One UDP server and up to 10 000 clients over the library: what a peer costs in memory and a datagram in time must stay
# flat, and with fewer descriptors than peers all must be answered still.
# usage: udp_peers.sh LIBRARY DIRECTORY [unix|vsock] (vsock only in the test VM)
# Fails where a datagram of the most peers costs GROWTH times one of the fewest, or a peer more than MEMORY KiB.
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
if [ "${3:-unix}" = vsock ] && [ "${IP2VSOCK_TEST_VSOCK-}" != yes ]; then
	echo "real AF_VSOCK only inside the test VM" >&2
	exit 2
fi
mkdir -p bench
: "${CC:=gcc}" "${PEERS:=100 1000 10000}" "${DATAGRAMS:=30000}" "${GROWTH:=4}" "${MEMORY:=0.5}" "${DESCRIPTORS:=1024}"
[ -n "$(find bench/udp_peers -newer "$here/udp_peers.c" 2>/dev/null)" ] || $CC -O2 -o bench/udp_peers "$here/udp_peers.c"

port=$((20000 + $$ % 2000 * 10))
rules='connect udp 127.0.0.1:* vsock local:*; listen udp *:* vsock any:*'
if [ "${3:-unix}" = unix ]; then
	export IP2VSOCK_REALM=bench-$$
fi

# run COMMAND PEERS [LIMIT]
run()
{
	port=$((port + 1))
	peers=$1
	shift
	# Less is not needed for the steady rounds, and one of them there must be.
	"$@" bench/udp_peers 127.0.0.1 $port "$peers" $((DATAGRAMS / peers + 1)) $limit
}

ours()
{
	env IP2VSOCK_RULES="$rules" LD_PRELOAD="$library" "$@"
}

failed=0
limit=
least=
# judge GROWTH WHAT TIME MEMORY KERNEL SENT ANSWERED WANTED
judge()
{
	awk -v most="$1" -v what="$2" -v time="$3" -v memory="$4" -v kernel="$5" -v sent="$6" -v answered="$7" -v wanted="$8" \
		-v least="$least" -v room="$MEMORY" 'BEGIN {
		growth = least ? time / least : 1
		bad = most && growth > most || memory > room && least || answered != wanted
		printf "# %s: %d ns a datagram (%.1f times), %.3f KiB a peer, %.1f KiB of the kernel, %d of %d answered, %d sent%s\n",
			what, time, growth, memory, kernel, answered, wanted, sent, bad ? ": too bad" : ""
		exit bad
	}' || failed=1
}

for peers in $PEERS; do
	# shellcheck disable=SC2046 # six numbers
	judge 0 "UDP, $peers peers" $(run "$peers")
done
for peers in $PEERS; do
	got=$(run "$peers" ours)
	# shellcheck disable=SC2086 # six numbers
	judge "$GROWTH" "over the library, $peers peers" $got
	[ -n "$least" ] || least=${got%% *}
done
limit=$DESCRIPTORS
DATAGRAMS=$peers
# shellcheck disable=SC2046 # six numbers
judge 0 "over the library, $peers peers, $limit descriptors" $(run "$peers" ours)
exit $failed
