# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the integration tests share: TAP, a directory of their own, roads, servers, waiting.
#
# A test file begins with `. "$(dirname "$0")/lib.sh"`, says ok, is, like or skip for each fact, and ends with `finish`.
# The harness gives
#   IP2VSOCK   the wrapper of the build tree        (default tests/ip2vsock)
#   programs   where the test programs were built   (default tests/programs)
#   srcdir     the top of the source                (default: from where this file is)
#   ROADS      the roads to take besides plain TCP: realm, vsock (default realm)
#   TEST_UNDER a command that the programs run under, such as valgrind (not on plain TCP)
#   SCALE      how many times slower than a usual machine this one is (default 1, or 10 on the road vsock)
#   CLIENTS    another target of 127.0.0.1 and ::1 on these roads
#   LISTENERS  options of the rule for listeners there
#   PATIENCE   how many seconds a program may take on a usual machine (default 120)

set -u

case $0 in
*/real/*) test_dir=$(cd "$(dirname "$0")/.." && pwd) ;;
*) test_dir=$(cd "$(dirname "$0")" && pwd) ;;
esac
srcdir=$(cd "${srcdir:-$test_dir/../..}" && pwd) || exit 99
programs=$(cd "${programs:-tests/programs}" 2>/dev/null && pwd) || {
	echo "Bail out! programs=DIR, where the test programs were built, is missing"
	exit 99
}
IP2VSOCK=${IP2VSOCK:-tests/ip2vsock}
case $IP2VSOCK in
/*) ;;
*) IP2VSOCK=$PWD/$IP2VSOCK ;;
esac
[ -x "$IP2VSOCK" ] || {
	echo "Bail out! IP2VSOCK=FILE, the wrapper of the build tree, is missing"
	exit 99
}
library=$(sed -n "s/^w_library='\(.*\)'$/\1/p" "$IP2VSOCK")
ROADS=${ROADS:-realm}
case " $ROADS " in
*' vsock '*) SCALE=${SCALE:-10} ;;
*) SCALE=${SCALE:-1} ;;
esac
PATIENCE=${PATIENCE:-120}
export srcdir programs IP2VSOCK ROADS SCALE PATIENCE
unset IP2VSOCK_RULES IP2VSOCK_FILE IP2VSOCK_REALM IP2VSOCK_LOG IP2VSOCK_CID IP2VSOCK_STATS IP2VSOCK_DISABLE
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
export LC_ALL=C

# Where there is a network the test moves into a network namespace that has only lo: the tests use addresses of
# other machines, and what escapes the library must have nowhere to go.
network_exists() {
	[ "$(wc -l </proc/net/route)" -gt 1 ]
}
if network_exists && [ -z "${IP2VSOCK_TEST_LONELY-}" ]; then
	export IP2VSOCK_TEST_LONELY=tried
	if "$programs/lonely" true 2>/dev/null; then
		exec "$programs/lonely" sh "$0" "$@"
	fi
fi

# --- TAP

tests=0
failed=0

pass() { # NAME
	tests=$((tests + 1))
	echo "ok $tests - $1"
}

fail() { # NAME [TEXT]
	tests=$((tests + 1))
	failed=$((failed + 1))
	echo "not ok $tests - $1"
	[ $# -lt 2 ] || printf '%s\n' "$2" | head -n 60 | sed 's/^/#   /'
}

skip() { # NAME REASON
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# NAME COMMAND...: the command succeeds. What it says is shown when it does not.
ok() {
	ok_name=$1
	shift
	if ok_output=$("$@" 2>&1); then
		pass "$ok_name"
	else
		fail "$ok_name" "$* (exit $?)
$ok_output"
	fi
}

is() { # GOT WANTED NAME
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		printf '%s\n' "$1" >"$work/is.got"
		printf '%s\n' "$2" >"$work/is.wanted"
		fail "$3" "$(diff -U 2 "$work/is.wanted" "$work/is.got" | tail -n +3)"
	fi
}

like() { # GOT PATTERN NAME, the pattern as in case
	# shellcheck disable=SC2254 # it is a pattern
	case $1 in
	$2) pass "$3" ;;
	*) fail "$3" "got: $1
wanted: $2" ;;
	esac
}

finish() {
	echo "1..$tests"
	[ "$failed" = 0 ] && exit 0
	exit 1
}

skip_all() { # REASON
	echo "1..0 # SKIP $1"
	exit 0
}

# A program that these tests are about. Nothing may be missing where nothing may be skipped.
need() { # PROGRAM...
	for need_program in "$@"; do
		command -v "$need_program" >/dev/null 2>&1 && continue
		if [ "${CI-}" = true ]; then
			fail "$need_program is installed"
			finish
		fi
		skip_all "$need_program is not installed"
	done
}

# --- a directory, and the processes started, which are gone at exit

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock-test.XXXXXX") || exit 99
chmod 755 "$work"
# Ten letters: the port in a realm's addresses then ends where a sockaddr_in6 does, and a cut shows.
realm=$(printf 'test-%05d' $(($$ % 100000)))
map=$work/map
servers=

at_exit() {
	status=$?
	trap - EXIT
	for server in $servers; do
		server_end "$server"
	done
	rm -rf "$work"
	exit "$status"
}
trap at_exit EXIT
trap 'exit 99' HUP INT TERM
cd "$work" || exit 99

# Still there, and not only waiting to be waited for.
process_runs() { # PID
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	'' | Z* | X*) return 1 ;;
	esac
}

process_is_gone() {
	! process_runs "$1"
}

server_end() { # PID
	kill "$1" 2>/dev/null
	wait_for 10 process_is_gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	servers=$(printf '%s\n' "$servers" | sed "s/ $1\$//; s/ $1 / /")
}

# --- time

# A number of rounds, bytes, clients, less on a slow machine.
scaled() {
	scaled_number=$(($1 / SCALE))
	[ "$scaled_number" -gt 0 ] || scaled_number=1
	echo "$scaled_number"
}

# SECONDS COMMAND...: asks again and again until it succeeds or time is up. (Seconds of a usual machine.)
wait_for() {
	wait_end=$(($(date +%s) + $1 * SCALE))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$wait_end" ] || return 1
		sleep 0.05
	done
}

# --- roads

# 127.0.0.1 and ::1 go to this machine's CID, so does 10.0.0.3, to which there is no route; 127.0.0.2 is left alone.
cat >"$map" <<END
connect 127.0.0.2:*       inet
listen  127.0.0.2:*       inet
connect tcp 127.0.0.1:*   ${CLIENTS:-vsock local:*}
connect tcp [::1]:*       ${CLIENTS:-vsock local:*}
connect 10.0.0.3:*        vsock local:*
listen  tcp *:*           vsock any:* ${LISTENERS-}
END

# Why this road cannot be taken; nothing when it can.
road_closed() { # ROAD
	[ "$1" = vsock ] || return 0
	if [ "${IP2VSOCK_TEST_VSOCK-}" != yes ]; then
		echo "real AF_VSOCK only inside the test VM"
	elif ! grep -q '^vsock_loopback ' /proc/modules; then
		echo "no vsock_loopback"
	fi
}

# ROAD PROGRAM [ARG]...: becomes the program.
exec_over() {
	exec_road=$1
	shift
	case $exec_road in
	plain) exec "$@" ;;
	realm) exec "$IP2VSOCK" -u "$realm" -f "$map" -- "$@" ;;
	vsock)
		[ -z "$(road_closed vsock)" ] || exit 99
		exec "$IP2VSOCK" -f "$map" -- "$@"
		;;
	*)
		echo "no road \"$exec_road\"" >&2
		exit 99
		;;
	esac
}

# The same in a process of its own, which fails with status 124 when it has not ended after PATIENCE seconds.
over() {
	(
		over_road=$1
		over_limit=$((PATIENCE * SCALE))
		shift
		case $over_road in
		plain) exec timeout -k 10 "$over_limit" "$@" ;;
		esac
		# shellcheck disable=SC2086 # a command, such as valgrind and its options
		exec_over "$over_road" timeout -k 10 "$over_limit" ${TEST_UNDER-} "$@"
	)
}

# LOG ROAD PROGRAM [ARG]...: starts a server that ends with the test; its output goes to $work/LOG. Sets $server.
start() {
	start_log=$work/$1
	shift
	(exec_over "$@") </dev/null >"$start_log" 2>&1 &
	server=$!
	servers="$servers $server"
}

# A connection can be made.
answers() { # ROAD ADDRESS PORT
	over "$1" "$programs/knock" "$2" "$3" connect
}

# A server is ready when its port answers; it has failed when its process is gone.
ready() { # NAME ROAD ADDRESS PORT
	if wait_for 60 ready_or_gone "$server" "$2" "$3" "$4" && process_runs "$server"; then
		pass "$1"
		return 0
	fi
	fail "$1" "$(tail -n 20 "$start_log")"
	return 1
}

ready_or_gone() {
	process_is_gone "$1" || answers "$2" "$3" "$4"
}

# How many TCP listeners there are in this network namespace.
tcp_listeners() {
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A"' | wc -l
}

# That program has no TCP listener, and the address does not work without the library.
no_tcp() { # NAME ADDRESS PORT
	is "$(awk '$4 == "0A" { split($2, at, ":"); print at[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		grep -ci "^$(printf %04X "$3")\$")" 0 "$1: no TCP listener has this port"
	no_tcp_got=$(over plain "$programs/knock" "$2" "$3" connect 2>&1)
	case $2 in
	10.*) no_tcp_wanted='connect: ENETUNREACH' ;;
	*) no_tcp_wanted='connect: ECONNREFUSED' ;;
	esac
	if network_exists; then
		skip "$1: without the library $2 does not work" "there is a network here and no way out of it"
	else
		is "$no_tcp_got" "$no_tcp_wanted" "$1: without the library $2 does not work"
	fi
}

# Where a server is reached by this road.
host_over() { # ROAD
	case $1 in
	plain) echo 127.0.0.1 ;;
	*) echo 10.0.0.3 ;;
	esac
}

# That no UDP socket has this port, and the address does not work without the library.
no_udp() { # NAME PORT
	[ "$road" != plain ] || return 0
	is "$(awk '{ split($2, at, ":"); print at[2] }' /proc/net/udp /proc/net/udp6 2>/dev/null |
		grep -ci "^$(printf %04X "$2")\$")" 0 "$1: no UDP socket has port $2"
	if network_exists; then
		skip "$1: without the library 10.0.0.3 does not work" "there is a network here and no way out of it"
	else
		is "$(over plain "$programs/knock" 10.0.0.3 "$2" udp-connect udp-sendto 2>&1)" 'udp-connect: ENETUNREACH
udp-sendto: ENETUNREACH' "$1: without the library 10.0.0.3 does not work"
	fi
}

# For `closed "$road" || test`: one skip with the reason when this road cannot be taken.
closed() { # ROAD
	closed_reason=$(road_closed "$1")
	[ -n "$closed_reason" ] || return 1
	skip "the road $1" "$closed_reason"
}

# --- a virtual machine monitor, whose guest is CID 1 of the road

# LOG ROAD [OPTION]... PATH: starts one (programs/vmm.c). Sets $monitor.
monitor() {
	monitor_log=$work/$1
	case $2 in
	realm) monitor_guest="-r $realm" ;;
	vsock) monitor_guest=-v ;;
	esac
	shift 2
	: >"$monitor_log"
	# shellcheck disable=SC2086 # an option and its value
	"$programs/vmm" $monitor_guest "$@" </dev/null >"$monitor_log" 2>&1 &
	monitor=$!
	servers="$servers $monitor"
	wait_for 20 monitor_ready_or_gone && process_runs "$monitor" || fail "a monitor" "$(cat "$monitor_log")"
}

monitor_ready_or_gone() {
	process_is_gone "$monitor" || grep -q ready "$monitor_log"
}

# NAME LOG PID: it ends; prints what it has counted.
monitor_counts() {
	server_end "$2"
	sed -n 's/^to the guest: //p' "$work/$1"
}
