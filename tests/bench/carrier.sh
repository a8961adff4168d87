#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What could carry datagrams, measured over AF_VSOCK in the test VM: once on the kernel of this system, and once on
# that of each suite named. usage: carrier.sh DIRECTORY [SUITE]... (bookworm-backports)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
shift
mkdir -p bench
: "${CC:=gcc}"
$CC -O2 -o bench/carrier "$here/carrier.c"
measure="uname -r
	for what in unread fragment trip rate 'rate 4194304' loss 'loss 1048576'; do bench/carrier \$what; done"
sh "$here/../vm/run" sh -c "$measure"
for suite; do
	sh "$here/../vm/run" -k "$suite" sh -c "$measure"
done
