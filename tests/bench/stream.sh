#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Connections and bytes by the stream library beside the same by hand, over unix sockets, in one run, as ratios.
# usage: stream.sh DIRECTORY (where libvsockstream.a was built)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
mkdir -p bench
: "${CC:=gcc}" "${ROUNDS:=9}" "${CONNECTIONS:=300}" "${MEGABYTES:=400}"
$CC -O2 -I"$here/../../include" -D_GNU_SOURCE -o bench/stream "$here/stream.c" libvsockstream.a

: >bench/stream.times
for _ in $(seq "$ROUNDS"); do
	echo "hand $(bench/stream hand bench-$$ "$CONNECTIONS" "$MEGABYTES")"
	echo "library $(bench/stream library bench-$$ "$CONNECTIONS" "$MEGABYTES")"
done >bench/stream.times

# least KIND FIELD: what else the machine does only adds.
least()
{
	sed -n "s/^$1 //p" bench/stream.times | cut -d ' ' -f "$2" | sort -n | head -n 1
}

# ratio TEXT FIELD
ratio()
{
	awk -v what="$1" -v hand="$(least hand "$2")" -v library="$(least library "$2")" 'BEGIN {
		printf "# %s: by hand %.1f us, by the library %.1f us (%.2f)\n", what, hand / 1000, library / 1000, library / hand
	}'
}

ratio "connect, echo, close" 1
ratio "one megabyte" 2
