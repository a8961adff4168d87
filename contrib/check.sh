#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs what the tests need, builds, and runs every test: unit, differential, real programs, and real AF_VSOCK in a VM.
set -u

usage()
{
	cat <<-END
	usage: sh contrib/check.sh [--no-install] [--keep] [STEP]...

	Steps (all of them when none is named; build comes first in any case):
	  build       gcc with warnings as errors; shellcheck
	  check       make check: unit tests, differential and real programs over a realm
	  cost        instructions and time that the library adds to programs
	  clang       the same build with clang, and its unit tests
	  sanitizers  address+undefined and thread builds, valgrind
	  dist        make distcheck
	  vm          the integration tests again over real AF_VSOCK, in a VM
	  newer       vsock datagrams, and UDP over AF_VSOCK on a newer kernel, in a VM
	  nested      streams between a guest and its host, both ways, in a VM inside a VM
	  suites      a test suite that others wrote (CPython's), over a realm; part of it over AF_VSOCK with vm

	  --no-install  install nothing; what is missing fails its step
	  --keep        keep the build directory and the logs

	The vsock of this machine is never touched: real AF_VSOCK is used inside a VM only.
	END
}

install=yes
keep=no
steps=""
while [ $# -gt 0 ]; do
	case $1 in
	--no-install) install=no ;;
	--keep) keep=yes ;;
	-h | --help) usage; exit 0 ;;
	build | check | cost | clang | sanitizers | dist | vm | newer | nested | suites) steps="$steps $1" ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
: "${steps:=build check cost clang sanitizers dist suites vm newer nested}"

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/ip2vsock-check.XXXXXX") || exit 1
# Some tests run programs as another user.
chmod 755 "$work"
jobs=$(nproc 2>/dev/null || echo 2)
passed=0
failed=0
skipped=0

finish()
{
	[ "$keep" = yes ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- what the tests need

packages="gcc g++ make autoconf automake libtool pkg-config check uthash-dev clang libclang-rt-14-dev shellcheck
valgrind strace qemu-system-x86 busybox-static kmod cpio curl python3 nginx-light redis-server redis-tools
postgresql postgresql-contrib iperf3 openssh-server openssh-client rsync iproute2 util-linux procps systemd systemd-journal-remote
musl-tools liburing-dev libcap2-bin gron libjemalloc2 libtcmalloc-minimal4
libpython3.11-testsuite dpkg-dev memcached
iputils-ping iputils-arping iputils-tracepath traceroute wget openssl perl
bind9-dnsutils dnsmasq-base unbound rsyslog tftp-hpa tftpd-hpa atftp socat netcat-openbsd libnginx-mod-stream haproxy"

missing_packages()
{
	for package in $packages; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' || echo "$package"
	done
	# Not by package name: another version may be there already.
	command -v node >/dev/null || echo nodejs
	command -v java >/dev/null && command -v javac >/dev/null || echo openjdk-17-jdk-headless
	# It would take the place of another program that sets the clock, which only a machine for tests can do without.
	command -v chronyd >/dev/null ||
		{ [ "${CI:-}" != true ] && { [ -e /lib/systemd/systemd-timesyncd ] || command -v ntpd >/dev/null; }; } ||
		echo chrony
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts servers when it installs them. Nobody asked for that here.
install_quietly()
{
	policy=/usr/sbin/policy-rc.d
	made=no
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" && made=yes
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
	status=$?
	[ "$made" = no ] || as_root rm -f "$policy"
	return $status
}

install_needed()
{
	if ! command -v apt-get >/dev/null; then
		echo "This system has no apt-get. The tests need what these Debian packages hold:"
		echo "$packages nodejs openjdk-17-jdk-headless chrony"
		return
	fi
	missing=$(missing_packages | tr '\n' ' ')
	[ -n "${missing% }" ] || return
	echo "Installing: $missing"
	as_root apt-get update -q >"$work/apt.log" 2>&1
	# shellcheck disable=SC2086 # a list of words
	if ! install_quietly $missing >>"$work/apt.log" 2>&1; then
		tail -n 20 "$work/apt.log"
		echo "check.sh: cannot install the packages above, going on without"
	fi
}

# --- steps: each is one or more parts, with a log of its own

# part NAME COMMAND...: runs it, says how it went, and shows the end of its log when it failed.
part()
{
	name=$1
	shift
	log=$work/$(echo "$name" | tr ' /' '--').log
	start=$(date +%s)
	if "$@" >"$log" 2>&1 </dev/null; then
		verdict=ok
	else
		verdict=FAILED
	fi
	report "$name" "$verdict" "$log" $(($(date +%s) - start))
}

# LOG: each failure once, and what its test says of it (in automake's log it stands a second time).
what_failed()
{
	awk '/^not ok/ { sub(/^not ok [0-9]+/, "not ok"); show = !seen[$0]++; of = 0; if (show) print; next }
		/^FAIL/ { next }
		/^#  / { if (show && of++ < 20) print; next }
		{ show = 0 }
		/error:|^ERROR:|WARNING: ThreadSanitizer|runtime error/ && !seen[$0]++ { print FNR ": " $0 }' "$1"
}

# report NAME VERDICT LOG SECONDS: one line, and what the log counts.
report()
{
	printf '%-34s %-6s %4ds\n' "$1" "$2" "$4"
	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$3" | tail -n 1)
	# shellcheck disable=SC2086 # three numbers
	set -- "$1" "$2" "$3" "$4" ${counts:-0 0 0}
	passed=$((passed + $5))
	failed=$((failed + $6))
	skipped=$((skipped + $7))
	if [ "$2" = ok ] && [ "$5" -eq 0 ]; then
		passed=$((passed + 1))
	elif [ "$2" != ok ]; then
		[ "$6" -gt 0 ] || failed=$((failed + 1))
		what_failed "$3" | head -n 150
		tail -n 25 "$3" | sed 's/^/    /'
	fi
	grep -E '^ok .*# (SKIP|skip)' "$3" | sed 's/^/    skipped: /'
}

# configured NAME OPTIONS...: builds the tree in $work/NAME.
configured()
{
	directory=$work/$1
	shift
	mkdir -p "$directory" && cd "$directory" && "$work/src/configure" -q "$@" && make -j "$jobs"
}

# The tree is copied, so that the user's is left as it is.
copy_tree()
{
	cd "$top" || return
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read -f -
	else
		tar -c -f - .
	fi | tar -x -C "$work/src" -f -
}

regenerate()
{
	cd "$work/src" && autoreconf -fi
}

lint_commands()
{
	cd "$work/src" && shellcheck -s sh contrib/*.sh .ci/run src/cli/ip2vsock.in
}

# What lib.sh defines and who calls a function is not seen across files.
lint_tests()
{
	cd "$work/src" && shellcheck -s sh -S warning -e SC1091,SC2154 tests/run/*.sh tests/run/all tests/run/real/*.sh \
		tests/bench/*.sh tests/suites/*.sh tests/vm/run tests/vm/kernel tests/vm/nested tests/vm/*.sh
}

step_build()
{
	mkdir -p "$work/src"
	part "copy of the tree" copy_tree
	part "autoreconf" regenerate
	part "gcc build, warnings are errors" configured gcc --enable-werror CC=gcc
	part "gcc build without unwind tables" configured bare --enable-werror CC=gcc --disable-tests \
		CFLAGS="-O2 -fno-asynchronous-unwind-tables"
	part "shellcheck: commands" lint_commands
	part "shellcheck: tests" lint_tests
	part "test programs" make -C "$work/gcc" -j "$jobs" check-programs
}

# The counts of make check's summary, as the one line that report() reads.
make_check()
{
	make -C "$1" check VERBOSE=yes CHECK_VERBOSE=1
	status=$?
	sed -n 's/^# \(PASS\|FAIL\|SKIP\|ERROR\): *\([0-9]*\)$/\1 \2/p' "$1/test-suite.log" |
		awk '{ n[$1] = $2 } END { print n["PASS"] + 0 " passed, " n["FAIL"] + n["ERROR"] " failed, " n["SKIP"] + 0 " skipped" }'
	return $status
}

step_check()
{
	part "make check" make_check "$work/gcc"
}

step_cost()
{
	part "cost of an exec" sh "$work/src/tests/bench/exec.sh" "$work/gcc/.libs/libip2vsock.so" "$work/gcc"
	sed -n 's/^# /    /p' "$work/cost-of-an-exec.log"
	part "cost of a call" sh "$work/src/tests/bench/calls.sh" "$work/gcc/.libs/libip2vsock.so" "$work/gcc"
	sed -n 's/^# /    /p' "$work/cost-of-a-call.log"
	part "cost of a connection" sh "$work/src/tests/bench/connect.sh" "$work/gcc/.libs/libip2vsock.so" "$work/gcc"
	sed -n 's/^# /    /p' "$work/cost-of-a-connection.log"
	part "cost of a handshake" sh "$work/src/tests/bench/handshake.sh" "$work/gcc/.libs/libip2vsock.so" "$work/gcc"
	sed -n 's/^# /    /p' "$work/cost-of-a-handshake.log"
	part "stack of the hooks" sh "$work/src/tests/bench/stack.sh"
}

step_clang()
{
	part "clang build, warnings are errors" configured clang --enable-werror CC=clang
	part "clang unit tests" make -C "$work/clang" check-unit
}

step_sanitizers()
{
	part "address, undefined: build" configured asan --with-sanitizer=address,undefined CC=gcc
	part "address, undefined: unit tests" make -C "$work/asan" check-unit
	# Our library comes before the runtime, which is fine for both. A sanitizer has handlers of its own, without
	# SA_RESTART, so that a call does not go on after a signal; and the address sanitizer takes a thread that is cancelled
	# for an underflow.
	part "address, undefined: programs" env ASAN_OPTIONS=verify_asan_link_order=0 UBSAN_OPTIONS=halt_on_error=1 TEST_EXCEPT="odd bad-pointers|udpcontrol bad-addresses|data pointers-that|udpwait poll-of-too-many|udpcalls restarted|udpshared cancel-" \
		make -C "$work/asan" check-programs-run
	part "thread: build" configured tsan --with-sanitizer=thread CC=gcc
	# Bad pointers end the sanitizers themselves. ThreadSanitizer keeps signals back while a thread waits in a call,
	# and takes descriptors that change hands for races.
	part "thread: programs" env TEST_EXCEPT='process handler-|numbers |odd bad-pointers|data pointers-that|udpwait poll-of-too-many|udpcalls restarted|udpshared cancel-' make -C "$work/tsan" check-programs-run
	part "valgrind: unit tests" make -C "$work/gcc" check-unit-valgrind
	# Without the cases that hand bad addresses to the kernel on purpose, and one with fewer descriptors than valgrind has.
	part "valgrind: programs" env TEST_ONLY='^(carry|dups|names|registered|retry|udp|udpwait) ' \
		TEST_EXCEPT='^names .*(null|faults|errors)|udpwait (poll-of-too-many|poll-of-all|select-reports)' \
		make -C "$work/gcc" check-programs-run TEST_UNDER="valgrind -q --error-exitcode=99"
}

step_dist()
{
	part "make distcheck" make -C "$work/gcc" distcheck
}

# What lies below the current directory is all that the VM sees of this machine's /tmp. vm_options: of tests/vm/run.
vm_options=""
in_vm()
{
	# shellcheck disable=SC2086 # a list of words
	cd "$work" && sh "$work/src/tests/vm/run" -t 5400 $vm_options -w "$work/gcc/tests" -e IP2VSOCK_TEST_VSOCK=yes -e ROADS=vsock -e CI="${CI:-}" \
		-e IP2VSOCK="$work/gcc/tests/ip2vsock" -e programs="$work/gcc/tests/programs" -e srcdir="$work/src" \
		-e builddir="$work/gcc" -- "$@"
}

# Not again, and ten times slower, what has nothing to do with the road.
step_vm()
{
	part "VM: tests over AF_VSOCK" in_vm sh "$work/src/tests/run/all" -x '^(cli|doctor|documented|library|names|readme|scan|stats|strict|vmm|real/allow)$'
	part "VM: suite of CPython" in_vm env \
		UNITS='test_(epoll|select|poll|socketserver|asynchat|httplib|ftplib|socket)|test_asyncio[.]test_s(ock_lowlevel|treams|erver)' \
		sh "$work/src/tests/suites/cpython.sh"
}

# Linux as it will be. Where no such kernel is to be had this is said, also where nothing may be skipped: what can be
# reached from here is not what is tested.
newer=bookworm-backports
step_newer()
{
	vm_options=--vmci
	part "VM: the kernel's own datagrams" in_vm sh "$work/src/tests/vm/datagrams.sh"
	if sh "$work/src/tests/vm/kernel" "$newer" >"$work/newer.log" 2>&1; then
		vm_options="-k $newer"
		part "VM, newer kernel: vsock, UDP" in_vm sh "$work/src/tests/run/all" -k '^(vmci|vsock|udp_.*)$'
		vm_options="-k $newer --vmci"
		part "VM, newer kernel: own datagrams" in_vm sh "$work/src/tests/vm/datagrams.sh"
	else
		printf '%-34s left out: %s\n' "VM, newer kernel" "$(tail -n 1 "$work/newer.log")"
	fi
	vm_options=""
}

step_nested()
{
	part "VM in VM: guest and host" in_vm sh "$work/src/tests/vm/guest-host.sh"
}

# suite NAME UNITS
suite()
{
	env IP2VSOCK="$work/gcc/tests/ip2vsock" programs="$work/gcc/tests/programs" srcdir="$work/src" \
		UNITS="$2" sh "$work/src/tests/suites/$1.sh"
}

# CPython's tests are a package like others. The other suites need sources, which are not to be had everywhere.
step_suites()
{
	part "suite of CPython" suite cpython 'test_(epoll|select|poll|selectors|[a-x]*server|[a-z]*lib|async[a-z]*|wsgiref|ssl|socket)|test_asyncio[.].*'
}

# The VM has one processor and takes as long as all the rest: it runs beside it. The other VMs come after the rest.
in_background()
{
	passed=0
	failed=0
	skipped=0
	step_vm
	echo "$passed $failed $skipped" >"$work/background.counts"
}

[ "$install" = no ] || install_needed
step_build
background=""
case " $steps " in
*' vm '*)
	in_background >"$work/background.out" 2>&1 &
	background=$!
	;;
esac
for step in $steps; do
	case $step in build | vm) ;; *) "step_$step" ;; esac
done
if [ -n "$background" ]; then
	wait "$background"
	cat "$work/background.out"
	read -r more_passed more_failed more_skipped <"$work/background.counts" || more_failed=1
	passed=$((passed + ${more_passed:-0}))
	failed=$((failed + ${more_failed:-0}))
	skipped=$((skipped + ${more_skipped:-0}))
fi
[ "$keep" = no ] || echo "kept: $work"
echo "$passed passed, $failed failed, $skipped skipped"
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
	echo "check.sh: nothing may be skipped here"
	exit 1
fi
[ "$failed" -eq 0 ]
