#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the library adds to a program that uses no sockets, beside an empty preload library: at most 10 000 instructions.
# usage: exec.sh LIBRARY DIRECTORY
set -eu

library=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
mkdir -p bench
: "${CC:=gcc}"
echo 'int main(void) { return 0; }' >bench/nothing.c
echo 'int nothing_at_all;' >bench/empty.c
$CC -O2 -o bench/nothing bench/nothing.c
$CC -O2 -shared -fPIC -nostdlib -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,--hash-style=gnu -o bench/empty.so bench/empty.c
$CC -O2 -o bench/exec "$here/exec.c"

# instructions [LIBRARY]
instructions()
{
	LD_PRELOAD=${1:-} valgrind --tool=callgrind --callgrind-out-file=/dev/null bench/nothing 2>&1 |
		sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p'
}

base=$(instructions)
empty=$(($(instructions "$PWD/bench/empty.so") - base))
ours=$(($(instructions "$library") - base))
echo "# instructions added: empty library $empty, ours $ours (at most 10000)"
bench/exec bench/nothing "$PWD/bench/empty.so" "$library"
[ "$ours" -le 10000 ]
