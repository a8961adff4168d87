#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# libuv's own tests, from the source of Debian's libuv1.
. "$(dirname "$0")/lib.sh"
. "$suites/source.sh"

source_of libuv1 || suite_skip "$source_problem"
uv=$source/test/run-tests
[ -x "$uv" ] || (
	cd "$source" && sh autogen.sh && ./configure -q --disable-shared && make test/run-tests
) >"$LOGS/libuv-build.log" 2>&1 || suite_skip "libuv cannot be built here (Debian packages gcc make automake libtool)"

# Its tests refuse to be run by root, and write into the current directory, where they want test/fixtures.
mkdir "$work/cwd"
chmod 777 "$work/cwd"
ln -s "$source/test" "$work/cwd/test"
as_nobody() {
	[ "$(id -u)" != 0 ] || set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	cd "$work/cwd" && HOME=$work/cwd exec "$@"
}

suite_units() {
	echo all
}

# Without what has nothing to do with sockets and takes long.
all_tests() {
	(as_nobody "$uv" --list) | awk '/^[a-z]/ { print $1 }' | sort -u |
		grep -vE '^(fs_|threadpool|hrtime|timer|platform|metrics|random|idna|utf8|wtf8|dlerror|strscpy|env_|title|tty)'
}

suite_unit() {
	unit_road=$1
	shift 2
	# shellcheck disable=SC2046 # names
	[ $# -gt 0 ] || set -- $(all_tests)
	for one; do
		if (as_nobody_over "$unit_road" timeout -k 5 "$(patience)" "$uv" "$one") >"$work/said" 2>&1 </dev/null; then
			if grep -q '^ok .*# SKIP' "$work/said"; then echo "skip $one"; else echo "pass $one"; fi
		else
			echo "fail $one"
			cat "$work/said" >&2
		fi
	done
}

as_nobody_over() { # ROAD PROGRAM [ARG]...
	nobody_road=$1
	shift
	case $nobody_road in
	plain) as_nobody "$@" ;;
	realm) as_nobody "$IP2VSOCK" -u "$realm" -f "$map" -- "$@" ;;
	vsock) as_nobody "$IP2VSOCK" -f "$map" -- "$@" ;;
	esac
}

run_suite
