#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# How much stack a hook needs, by its deepest path through the library: sh tests/bench/stack.sh. Programs have threads
# with 16 KiB and signal stacks of 8 KiB, of which libc wants some. Fails beyond LIMIT (default 4096) bytes.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock-stack.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

for file in "$top"/src/preload/*.c "$top"/src/core/*.c "$top"/src/transport/*.c; do
	${CC:-gcc} -std=gnu11 -O2 -fPIC -fvisibility=hidden -fno-stack-protector -U_FORTIFY_SOURCE -D_GNU_SOURCE \
		-DHAVE_LINUX_VM_SOCKETS_H=1 -I"$top/include" -I"$top/src" -fcallgraph-info=su -c "$file" \
		-o "$(basename "$file" .c).o" || exit 1
done
sed -n 's/^HOOK .*[ *]\([a-z0-9_]*\)(.*/\1/p' "$top"/src/preload/hook_*.c | sort -u >hooks
awk -f "$top/tests/bench/stack.awk" hooks ./*.ci | sort -rn >depths
awk -v limit="${LIMIT:-4096}" -v hooks="$(wc -l <hooks)" '
	$1 !~ /^[0-9]+$/ || $1 > limit { print "not ok - " $0; bad = 1; next }
	{ seen++ }
	NR <= 5 { print "# " $0 }
	END { if (!bad && seen == hooks) print "ok - " seen " hooks, " limit " bytes at most"; else exit 1 }' depths
