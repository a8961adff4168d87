#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# include/vmci_sockets.h: old programs compile with it, and the guide's programs (programs/guide.h) say the same natively, by
# it, and as AF_INET programs under ip2vsock, each also to the other. The header's functions ask this machine's vsock, so
# that they are called in the VM only.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
: "${CC:=cc}"
include=$srcdir/include

# As such programs were: no header but that one, and its way to ask for everything.
cat >old.c <<'END'
#include "vmci_sockets.h"

int main(void)
{
	int vmciFd;
	int af = VMCISock_GetAFValueFd(&vmciFd);
	struct sockaddr_vm addr, peer;
	socklen_t len = sizeof addr, peerLen = sizeof peer, optLen;
	unsigned long long size = 32768, was = 0;
	char buf[32];
	ssize_t n;
	int listener, client, server, i;
	struct stat st;
	fd_set set;

	if (af < 0) {
		fprintf(stderr, "family: %s\n", strerror(errno));
		return 1;
	}
	listener = socket(af, SOCK_STREAM, 0);
	client = socket(af, SOCK_STREAM, 0);
	if (listener == -1 || client == -1) {
		perror("socket");
		return 1;
	}
	optLen = sizeof was;
	if (setsockopt(client, af, SO_VMCI_BUFFER_SIZE, (void *)&size, sizeof size) == -1 ||
	    getsockopt(client, af, SO_VMCI_BUFFER_SIZE, (void *)&was, &optLen) == -1)
		perror("buffer size");
	printf("buffer: %lu\n", (unsigned long)was);
	memset(&addr, 0, sizeof addr);
	addr.svm_family = af;
	addr.svm_cid = VMADDR_CID_ANY;
	addr.svm_port = VMADDR_PORT_ANY;
	if (bind(listener, (struct sockaddr *)&addr, sizeof addr) == -1 || listen(listener, 1) == -1 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) == -1) {
		perror("bind");
		return 1;
	}
	addr.svm_cid = VMADDR_CID_LOCAL;
	if (connect(client, (struct sockaddr *)&addr, sizeof addr) == -1) {
#ifdef SO_VMCI_DISCONNECT_CAUSE
		optLen = sizeof i;
		getsockopt(client, af, SO_VMCI_DISCONNECT_CAUSE, &i, &optLen);
#endif
		perror("connect");
		return 1;
	}
	FD_ZERO(&set);
	FD_SET(listener, &set);
	i = select(listener + 1, &set, NULL, NULL, NULL);
	server = accept(listener, (struct sockaddr *)&peer, &peerLen);
	printf("select: %d, from CID %u\n", i, peer.svm_cid);
	sprintf(buf, "%s", "well met");
	send(client, buf, strlen(buf), 0);
	memset(buf, 0, sizeof buf);
	n = recv(server, buf, sizeof buf - 1, 0);
	printf("heard: %s, %d bytes\n", buf, (int)n);
	if (ioctl(server, FIONREAD, &i) == 0 && i > 0)
		puts("something is left");
	if (fstat(server, &st) == 0 && S_ISSOCK(st.st_mode) && fcntl(server, F_GETFL) != -1)
		puts("open");
	close(server);
	close(client);
	close(listener);
	if (VMCISock_GetLocalCID() == VMADDR_CID_ANY)
		puts("no CID");
	VMCISock_ReleaseAFValueFd(vmciFd);
	return 0;
}
END

# --- the header

constants() { # PREFIX-OF-OPTIONS PREFIX-OF-VERSIONS INVALID
	cat <<END
int main(void)
{
	const unsigned version = 0x010203fcu;
	printf("%d %d %d\n", $1_BUFFER_SIZE, $1_BUFFER_MIN_SIZE, $1_BUFFER_MAX_SIZE);
	printf("%d %d %d %d\n", $1_PEER_HOST_VM_ID, $1_TRUSTED, (int)$1_CONNECT_TIMEOUT, $1_NONBLOCK_TXRX);
	printf("%u %u %u %u\n", $2_EPOCH(version), $2_MAJOR(version), $2_MINOR(version), $3);
	printf("%u %u %u %u %u\n", VMADDR_CID_ANY, VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL, VMADDR_CID_HOST, VMADDR_PORT_ANY);
	return 0;
}
END
}

# COMPILER STANDARD: the header alone and twice, and an old program.
compiles() {
	case $2 in
	*++*) compiles_language=c++ ;;
	*) compiles_language=c ;;
	esac
	compiles_with="-std=$2 -x $compiles_language -O2 -Wall -Wextra -Werror -pedantic"
	# shellcheck disable=SC2086 # words
	{
		# What a careful program asks for besides.
		"$1" $compiles_with -I"$include" -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -c -o /dev/null alone.c &&
			# The program's own: select(2), and sizes of a type that C89 has not.
			"$1" $compiles_with -I"$include" -D_DEFAULT_SOURCE -Wno-long-long -c -o /dev/null old.c
	}
}

# COMPILER LANGUAGE: two files of one program may both include it.
links_twice() {
	printf '#include "vmci_sockets.h"\nint one(void);\nint one(void) { return VMCISock_GetAFValue(); }\n' >one.c
	printf '%s\n' '#include "vmci_sockets.h"' 'int one(void);' \
		'int main(int argc, char **argv) { (void)argv; return argc > 1 ? one() + VMCISock_GetAFValue() : 0; }' >two.c
	"$1" -Wall -Wextra -Werror -I"$include" -x "$2" -o twice one.c two.c && ./twice
}

# LANGUAGE STANDARD...
all_compile() {
	all_language=$1
	shift
	for compiler in $(compilers "$all_language"); do
		for standard in "$@"; do
			ok "$compiler compiles it as $standard" compiles "$compiler" "$standard"
		done
		ok "two files of one program include it ($compiler)" links_twice "$compiler" "$all_language"
	done
}

compilers() { # LANGUAGE
	case $1 in
	c) compilers_all='gcc clang' ;;
	c++) compilers_all='g++ clang++' ;;
	esac
	for compilers_one in $compilers_all; do
		# clang++ needs the library of g++.
		! echo '#include <stdio.h>' | "$compilers_one" -x "$1" -fsyntax-only - 2>/dev/null || echo "$compilers_one"
	done
}

case " $ROADS " in
*' vsock '*) ;; # that machine is slow
*)
	printf '#include <vmci_sockets.h>\n#include <vmci_sockets.h>\ntypedef int something;\n' >alone.c
	need gcc
	all_compile c c89 gnu89 c99 gnu11
	if [ -n "$(compilers c++)" ] || [ "${CI-}" = true ]; then
		need g++
		all_compile c++ c++98 c++17
	else
		skip "it compiles as C++" "no C++ compiler is installed"
	fi
	if command -v musl-gcc >/dev/null 2>&1; then
		# The kernel's headers are not musl's; the names of its own come first.
		ok "musl-gcc compiles it" musl-gcc -Wall -Wextra -Werror -I"$include" -idirafter /usr/include \
			-idirafter "/usr/include/$("$CC" -print-multiarch)" -c -o /dev/null old.c
	else
		skip "musl-gcc compiles it" "musl-gcc is not installed"
	fi
	{
		echo '#include "vmci_sockets.h"'
		constants SO_VMCI VMCI_SOCKETS_VERSION VMCI_SOCKETS_INVALID_VERSION
	} >ours.c
	{
		printf '#include <%s>\n' stdio.h sys/socket.h sys/time.h linux/vm_sockets.h
		constants SO_VM_SOCKETS VM_SOCKETS_VERSION VM_SOCKETS_INVALID_VERSION
	} >linux.c
	ok "a program prints the constants" "$CC" -I"$include" -o ours ours.c
	ok "and one with Linux's names" "$CC" -o linux linux.c
	is "$(./ours)" "$(./linux)" "they are the same"
	printf '#include "vmci_sockets.h"\nSO_VMCI_DISCONNECT_CAUSE\n' >cause.c
	is "$("$CC" -I"$include" -E cause.c | tail -n 1)" SO_VMCI_DISCONNECT_CAUSE "what Linux has not is not defined"
	;;
esac

# --- the guide's programs

cat >>"$map" <<'END'
connect udp 127.0.0.1:* vsock local:*
listen  udp *:*         vsock any:*
END

clients=20
port=26000

# LOG ROAD PROGRAM WHAT...: a server of one of the two programs; is ready.
serving() {
	serving_log=$1
	serving_road=$2
	serving_program=$3
	shift 3
	start "$serving_log" "$serving_road" "$programs/$serving_program" "$@"
	wait_for 20 grep -q ready "$work/$serving_log" || fail "$serving_program $1 is ready" "$(cat "$work/$serving_log")"
}

host_of() { # PROGRAM
	case $1 in
	guide_inet) echo 127.0.0.1 ;;
	guide_vmci) echo 1 ;;
	esac
}

# MODE SERVER'S-ROAD SERVER CLIENTS'-ROAD CLIENT: prints what each says.
streams() {
	port=$((port + 1))
	serving served "$2" "$3" serve "$1" $port $((clients + 1))
	over "$4" "$programs/$5" crowd "$(host_of "$5")" $port $clients 16384 2>&1
	over "$4" "$programs/$5" visit "$(host_of "$5")" $port 300000 2>&1
	wait_for 20 process_is_gone "$server"
	cat "$work/served"
}

# The same for datagrams.
datagrams() {
	port=$((port + 1))
	serving served "$1" "$2" answer $port 8
	over "$3" "$programs/$4" ask "$(host_of "$4")" $port 2>&1
	wait_for 20 process_is_gone "$server"
	cat "$work/served"
}

# NAME SERVER'S-ROAD SERVER CLIENTS'-ROAD CLIENT
say_the_same() {
	for mode in select poll; do
		is "$(streams $mode "$2" "$3" "$4" "$5")" "$wanted" "$1, by $mode"
		port=$((port + 1))
	done
}

wanted=$(streams select plain guide_inet plain guide_inet)
port=$((port + 1))
is "$(printf '%s\n' "$wanted" | grep -c ', the same$')" $((clients + 1)) "on plain TCP all of it comes back"
is "$(printf '%s\n' "$wanted" | sed -n '/^buffers/,/^from/p')" 'buffers as asked for: yes
bound to any machine: yes, the port asked for: yes, size as always: yes
ready
from machine 1: 0 bytes, 00000001' "and the server has what it asked for"
is "$(streams poll plain guide_inet plain guide_inet)" "$wanted" "by select as by poll"
port=$((port + 1))
wanted_datagrams=$(datagrams plain guide_inet plain guide_inet)
is "$(printf '%s\n' "$wanted_datagrams" | grep -c '^from machine 1: 65507 bytes, ')" 4 "on plain UDP large datagrams come back"

for road in $ROADS; do
	closed "$road" && continue
	port=$((port + 10))
	say_the_same "AF_INET server and clients over $road" "$road" guide_inet "$road" guide_inet
	is "$(datagrams "$road" guide_inet "$road" guide_inet)" "$wanted_datagrams" "datagrams over $road"
	[ "$road" = vsock ] || continue
	port=$((port + 10))
	say_the_same "VMCI server and clients" plain guide_vmci plain guide_vmci
	say_the_same "VMCI server, AF_INET clients" plain guide_vmci vsock guide_inet
	say_the_same "AF_INET server, VMCI clients" vsock guide_inet plain guide_vmci

	is "$(over plain "$programs/guide_vmci" buffers)" 'at first: 262144, from 128 to 262144
buffers as asked for: yes
then: 65536, from 32768 to 131072
more than there may be: 131072, from 32768 to 131072
less than there must be: 32768, from 32768 to 131072
seconds to connect: 7
a size in an int: EINVAL' "sizes of buffers are set and read back"
	is "$(over plain "$programs/guide_vmci" visit 1 $port 1)" 'connect: ECONNRESET' "nobody is there, natively"
	is "$(over vsock "$programs/guide_inet" visit 127.0.0.1 $port 1)" 'connect: ECONNREFUSED' "and for a program of AF_INET"

	cid=$(/usr/bin/python3 -c '
import fcntl, struct
with open("/dev/vsock") as device:
    print(struct.unpack("i", fcntl.ioctl(device, 0x7b9, b"    "))[0])')
	version=$(cut -d . -f 1-3 /sys/module/vsock/version)
	values() { # DEVICE CLOSED-BY-EXEC CID
		cat <<END
family: 40
device: $1, closed by exec: $2
family without a device: 40, 40
errno: EDOM
version: $version
CID: $3
CID of a UUID: -1, EOPNOTSUPP
descriptors left open: 0
END
	}
	is "$(over plain "$programs/guide_vmci" values)" "$(values open yes "$cid, EDOM")" "what the header's functions return"
	is "$(over vsock "$programs/guide_vmci" values)" "$(values open yes "$cid, EDOM")" "and under ip2vsock"
	like "$("$IP2VSOCK" --doctor 2>&1)" "*own CID: $cid,*" "the doctor knows the same CID"
	if mv /dev/vsock /dev/vsock.away 2>/dev/null; then
		is "$(over plain "$programs/guide_vmci" values)" "$(values none no '-1, ENOENT')" "and where there is no /dev/vsock"
		mv /dev/vsock.away /dev/vsock
	else
		skip "where there is no /dev/vsock" "needs root"
	fi

	ok "an old program is compiled" "$CC" -I"$include" -o old old.c
	is "$(over plain ./old)" 'buffer: 32768
select: 1, from CID 1
heard: well met, 8 bytes
open' "and does its work"
done
finish
