#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The library as it is, in programs built for musl: some of the differential programs once more, both runs with musl.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need musl-gcc
: "${CC:=cc}"

case " $ROADS " in
*' vsock '*) list=stream ;; # that machine is slow
*) list='stream carry dups names options bound process data sends udp udpwait' ;;
esac
# musl's accept4() takes EINVAL for a kernel without it and waits in accept(), and its sendmsg() follows what cannot be a
# pointer, with plain TCP as well.
export TEST_EXCEPT='^(names accept4-flags|data pointers-that-are-none)$'

# Where errors have no names, this gives them: those that the programs print.
{
	echo '#include <errno.h>'
	echo 'const char *strerrorname_np(int error) { switch (error) {'
	for name in EPERM EINTR EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EINVAL EMFILE ENOTTY EPIPE ENOTSOCK EDESTADDRREQ \
		EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL \
		ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETIMEDOUT ECONNREFUSED EHOSTUNREACH \
		EALREADY EINPROGRESS ENOENT ENODEV ENXIO ERANGE EEXIST EDOM ENFILE; do
		echo "case $name: return \"$name\";"
	done
	echo 'default: return "another error"; } }'
} >errors.c
echo 'const char *strerrorname_np(int);' >errors.h

# The kernel's headers are not musl's; the names of its own come first.
mkdir musl
cp "$programs"/* musl
for program in knock $list; do
	musl-gcc -O1 -w -D_GNU_SOURCE -include errors.h -idirafter /usr/include \
		-idirafter "/usr/include/$("$CC" -print-multiarch)" -o "musl/$program" "$srcdir/tests/programs/$program.c" \
		errors.c -lpthread 2>cc.log && grep -q '/ld-musl-' "musl/$program" && continue
	fail "$program is built for musl" "$(head -n 20 cc.log)"
	finish
done
# shellcheck disable=SC2086 # words
programs=$work/musl sh "$test_dir/diff.sh" $list
exit
