#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Node's own tests of net, http, https, tls, cluster and what else makes sockets, from the source of Debian's nodejs. Where
# node has another version some of them fail natively, and say nothing about us.
. "$(dirname "$0")/lib.sh"
. "$suites/source.sh"

command -v node >/dev/null || suite_skip "node is not installed"
source_of nodejs || suite_skip "$source_problem"

suite_units() {
	printf '%s\n' net http https tls cluster http2 child-process-fork dgram inspector tcp worker
}

# Each test is a program, and a unit those whose names begin with it.
suite_unit() {
	unit_road=$1
	unit_prefix=$2
	shift 2
	if [ $# -eq 0 ]; then
		# shellcheck disable=SC2046 # names
		set -- $(cd "$source" && ls test/parallel/test-"$unit_prefix"-*.js test/sequential/test-"$unit_prefix"-*.js 2>/dev/null)
	fi
	for one; do
		# What a test wants to be run with stands in its first lines.
		# shellcheck disable=SC2046
		set -- $(sed -n 's,^// Flags: ,,p' "$source/$one")
		if (cd "$source" && exec_over "$unit_road" timeout -k 5 "$(patience)" node "$@" "$one") >"$work/said" 2>&1 </dev/null; then
			if grep -q '^1\.\.0 # Skipped' "$work/said"; then echo "skip $one"; else echo "pass $one"; fi
		else
			echo "fail $one"
			echo "--- $one" >&2
			cat "$work/said" >&2
		fi
	done
}

run_suite
