#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# libevent's own tests, from the source of Debian's libevent.
. "$(dirname "$0")/lib.sh"
. "$suites/source.sh"

source_of libevent || suite_skip "$source_problem"
regress=$source/test/regress
[ -x "$regress" ] || (
	cd "$source" && ./configure -q --disable-samples --disable-shared && make && make -C test regress
) >"$LOGS/libevent-build.log" 2>&1 || suite_skip "libevent cannot be built here (Debian packages gcc make)"

suite_units() {
	"$regress" --list-tests | sed -n 's,^    \([^/]*\)/.*,\1,p' | sort -u
}

suite_unit() {
	unit_road=$1
	unit_group=$2
	shift 2
	# shellcheck disable=SC2046 # names
	[ $# -gt 0 ] || set -- $("$regress" --list-tests | sed -n "s,^    \($unit_group/[^ ]*\).*,\1,p")
	for one; do
		if on_road "$unit_road" timeout -k 5 "$(patience)" "$regress" "$one" >"$work/said" 2>&1; then
			if grep -q 'SKIPPED\|DISABLED' "$work/said"; then echo "skip $one"; else echo "pass $one"; fi
		else
			echo "fail $one"
			cat "$work/said" >&2
		fi
	done
}

run_suite
