#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A connection through the socket of a monitor beside one of a client that does the handshake by hand, in turn, as ratios.
# usage: handshake.sh LIBRARY DIRECTORY [unix|vsock] (how the guest is reached; vsock only in the test VM)
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
road=${3:-unix}
if [ "$road" = vsock ] && [ "${IP2VSOCK_TEST_VSOCK-}" != yes ]; then
	echo "real AF_VSOCK only inside the test VM" >&2
	exit 2
fi
[ -x tests/programs/vmm ] || {
	echo "no tests/programs/vmm in $2 (make check-programs)" >&2
	exit 2
}
mkdir -p bench
: "${CC:=gcc}" "${ROUNDS:=31}" "${CONNECTIONS:=500}"
# No compiler in the VM needs to be waited for.
[ -x bench/handshake ] || $CC -O2 -o bench/handshake "$here/handshake.c"

case $road in
unix)
	realm=bench-$$
	guest="-r $realm"
	;;
vsock)
	realm=vsock
	guest=-v
	;;
esac
directory=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock-bench.XXXXXX")
path=$directory/v.sock
processes=
# shellcheck disable=SC2086 # a list of words
trap 'kill $processes 2>/dev/null; rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT PIPE TERM

# The last one started has said that it is ready, or has ended.
ready() { # FILE
	processes="$processes $!"
	until grep -q ready "$1"; do
		kill -0 $! || exit 1
		sleep 0.05
	done
}
: >"$directory/guest"
: >"$directory/monitor"
bench/handshake serve "$realm" 5000 >"$directory/guest" &
ready "$directory/guest"
# shellcheck disable=SC2086 # an option and its value
tests/programs/vmm $guest "$path" >"$directory/monitor" &
ready "$directory/monitor"

rules="connect 10.0.0.9:* unix $path:*"
for _ in $(seq "$ROUNDS"); do
	for way in once peek bytes; do
		bench/handshake $way "$path" 5000 "$CONNECTIONS"
	done | tr '\n' ' '
	LD_PRELOAD=$library IP2VSOCK_RULES=$rules bench/handshake inet 10.0.0.9 5000 "$CONNECTIONS"
done >bench/handshake.times

# The median of what a column of the table, or two of them divided, say: EXPRESSION of awk
median()
{
	awk "{ print $1 }" bench/handshake.times | sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

# TEXT FIELD: the first of the columns, of which every second is of this kind
ratios()
{
	for way in 0:once 2:peek 4:bytes; do
		column=$((${way%:*} + $2))
		printf '# %s, over %s: by hand (%s) %.1f us, ours %.1f us (%.2f)\n' "$1" "$road" "${way#*:}" \
			"$(median "\$$column / 1000")" "$(median "\$$((6 + $2)) / 1000")" "$(median "\$$((6 + $2)) / \$$column")"
	done
}

ratios "socket, connect and handshake" 1
ratios "and echo, close" 2
