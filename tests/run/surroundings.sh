#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad surroundings: no mapping, a faulty one, a kernel without AF_VSOCK. (Descriptors that run out: exhaust.sh; a CID
# or a device that is not there: vsock.sh.)
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# The runtime of a sanitizer build stays first, where the caller has put it.
sanitizer=$(printf '%s\n' "${LD_PRELOAD-}" | tr ' ' ':' | tr ':' '\n' | grep -E '/(libasan|libtsan|libubsan|libclang_rt)' | tr '\n' ':')

# [NAME=VALUE]... PROGRAM [ARG]...: with the library and without the wrapper, on a kernel without AF_VSOCK, so that
# nothing of it is touched whatever the library does. Fills $said and $told (standard output and error).
bare() {
	said=$("$programs/without" env LD_PRELOAD="$sanitizer$library" "$@" 2>told)
	status=$?
	told=$(cat told)
}

echo 'connect *:* vsock 3:*' >good
echo 'connect 10.0.0.3 vsock' >faulty

# Each way to have no usable mapping: every call that could reach a network fails, and one line says why.
for setting in IP2VSOCK_FILE=/nonexistent/map "IP2VSOCK_FILE=$work/faulty" "IP2VSOCK_FILE=$work/good:/nonexistent/map" \
	"IP2VSOCK_FILE=$work" 'IP2VSOCK_RULES=connect bogus' 'IP2VSOCK_REALM=not/a/name' 'IP2VSOCK_CID=x' 'NOTHING=set'; do
	case $setting in
	IP2VSOCK_REALM* | IP2VSOCK_CID*) set -- "$setting" 'IP2VSOCK_RULES=connect 10.0.0.3:* vsock 3:*' IP2VSOCK_REALM=x "$setting" ;;
	*) set -- "$setting" ;;
	esac
	name=$(printf '%s' "$setting" | sed "s|$work/*||g")
	bare "$@" "$programs/knock" 127.0.0.1 4999 connect bind nonblock fastopen connect
	is "$said" "connect: EACCES
bind: EACCES
nonblock: EACCES
fastopen: EACCES
connect: EACCES" "$name: connect and bind fail with EACCES"
	like "$told" 'ip2vsock*: network calls fail with EACCES, *' "$name: the reason is told"
	is "$(printf '%s\n' "$told" | wc -l)" 1 "$name: once"
	bare "$@" "$programs/knock" ::1 4999 connect bind
	is "$said" "connect: EACCES
bind: EACCES" "$name: IPv6 as well"
	bare "$@" sh -c 'echo undisturbed; exit 7'
	is "$said $told $status" "undisturbed  7" "$name: a program that uses no sockets is undisturbed"
	bare "$@" "$programs/others" unix-abstract 127.0.0.1 4999
	is "$said $told $status" "$("$programs/others" unix-abstract 127.0.0.1 4999)  0" \
		"$name: a program that uses unix sockets is undisturbed"
	bare "$@" IP2VSOCK_DISABLE=1 "$programs/knock" 127.0.0.1 4999 connect bind
	is "$said$told" "connect: ECONNREFUSED
bind: ok" "$name: and with IP2VSOCK_DISABLE=1 the library keeps out"
	bare "$@" IP2VSOCK_LOG=off "$programs/knock" 127.0.0.1 4999 connect
	is "$said$told" "connect: EACCES" "$name: IP2VSOCK_LOG=off is silent"
done
bare IP2VSOCK_FILE=/nonexistent IP2VSOCK_LOG="error:$work/log" "$programs/knock" 127.0.0.1 4999 connect
is "$told" '' "with a log file nothing is told on stderr"
like "$(cat log 2>&1)" 'ip2vsock*/nonexistent*' "but in the file"

# A child of a program that failed fails as well, and says so itself.
bare IP2VSOCK_FILE=/nonexistent sh -c "$programs/knock 127.0.0.1 4999 connect; $programs/knock 127.0.0.1 4999 connect"
is "$said" "connect: EACCES
connect: EACCES" "children fail in the same way"
is "$(printf '%s\n' "$told" | wc -l)" 2 "and tell it, each once"

# The wrapper does not even start the program.
is "$("$IP2VSOCK" -f faulty -- echo started 2>/dev/null; echo $?)" 125 "the wrapper starts nothing with a faulty mapping"
is "$("$IP2VSOCK" -f /nonexistent -- echo started 2>/dev/null; echo $?)" 125 "or without its file"

# A kernel without AF_VSOCK (module not loaded, or forbidden in a container).
said=$("$programs/without" "$IP2VSOCK" -f "$map" -- "$programs/knock" 10.0.0.3 4999 connect nonblock bind connect 2>told)
is "$said" "connect: ENETUNREACH
nonblock: ENETUNREACH
bind: ENETUNREACH
connect: ENETUNREACH" "without AF_VSOCK what is mapped to it fails with ENETUNREACH"
like "$(cat told)" 'ip2vsock*: this kernel has no AF_VSOCK*' "and one line says why"
is "$(wc -l <told)" 1 "once"
is "$("$programs/without" "$IP2VSOCK" -f "$map" -- "$programs/knock" 10.0.0.3 4999 udp-connect udp-sendto udp-sendmsg udp-sendmmsg 2>told)" \
	"udp-connect: ENETUNREACH
udp-sendto: ENETUNREACH
udp-sendmsg: ENETUNREACH
udp-sendmmsg: ENETUNREACH" "and so do datagrams"
is "$(wc -l <told)" 1 "which is said once"
is "$("$programs/without" "$IP2VSOCK" -f "$map" -- "$programs/knock" 127.0.0.2 4999 connect bind 2>&1)" \
	"connect: ECONNREFUSED
bind: ok" "and what is not mapped works as ever"
is "$("$programs/without" "$IP2VSOCK" -f "$map" -- sh -c 'echo undisturbed; exit 7' 2>&1; echo $?)" "undisturbed
7" "a program that uses no sockets is undisturbed"

# The realm needs nothing of it.
is "$("$programs/without" "$IP2VSOCK" -u "$realm" -f "$map" -- "$programs/stream" half-close-by-client 127.0.0.1 9000 2>&1)" \
	"$("$programs/stream" half-close-by-client 127.0.0.1 9010)" "the realm works where there is no AF_VSOCK"

# rejected by rule and by default
is "$("$IP2VSOCK" -u "$realm" -r 'connect 127.0.0.1:* reject EHOSTUNREACH; connect 127.0.0.2:* reject; listen *:* reject' -- \
	"$programs/knock" 127.0.0.1 4999 connect nonblock bind udp-connect udp-sendto 2>/dev/null)" \
	"connect: EHOSTUNREACH
nonblock: EHOSTUNREACH
bind: EACCES
udp-connect: EHOSTUNREACH
udp-sendto: EHOSTUNREACH" "reject gives the error it names"
is "$("$IP2VSOCK" -u "$realm" --strict -r 'connect 10.0.0.3:* vsock 1:*' -- \
	"$programs/knock" 127.0.0.1 4999 connect nonblock udp-sendto udp-sendmsg udp-sendmmsg 2>/dev/null)" \
	"connect: ECONNREFUSED
nonblock: ECONNREFUSED
udp-sendto: ECONNREFUSED
udp-sendmsg: ECONNREFUSED
udp-sendmmsg: ECONNREFUSED" "--strict refuses what no rule matches"
# --- another library whose connect and close are made of syscall(), before ours and behind it

cat >made.c <<'END'
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
int connect(int fd, const struct sockaddr *sa, socklen_t len) { return (int)syscall(SYS_connect, fd, sa, len); }
int close(int fd) { return (int)syscall(SYS_close, fd); }
END
if ${CC:-cc} -shared -fPIC -o made.so made.c 2>/dev/null; then
	for preload in "$library:$work/made.so" "$work/made.so:$library"; do
		is "$(env LD_PRELOAD="$preload" IP2VSOCK_REALM="$realm" IP2VSOCK_FILE="$map" timeout 60 "$programs/calls" usual-names 10.0.0.3 9990 2>&1 |
			grep -E '^(connect|send|recv|close|end)')" "connect: ok
send 5
recv 5: hello
close: ok
end 0" "a connect made of syscall(), in the order $(printf '%s' "$preload" | sed 's|[^:]*/||g')"
	done
else
	skip 'a connect made of syscall()' 'no compiler'
fi
finish
