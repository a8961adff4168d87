# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the suites of others share: they are run over a road, and what does not pass there is run natively as well.
#
# A suite's script defines
#   suite_units            a command that prints the units of the suite, one a line: a module, a file, a group of tests
#   suite_unit ROAD UNIT [TEST]...
#                          a command that runs a unit, or only some of its tests, and prints pass, fail or skip and the name of
#                          the test on a line for each; what else it has to say goes to standard error
# and ends with `run_suite`.
#
# Environment, besides what tests/run/lib.sh reads:
#   UNITS   only these units (a regular expression that matches the whole name)
#   LOGS    a directory for what the tests say (else nobody sees it)

. "$(dirname "$0")/../run/lib.sh"

suites=$srcdir/tests/suites
suite=$(basename "$0" .sh) # its name, which the file `known` uses
LOGS=${LOGS:-$work/logs}
mkdir -p "$LOGS"
passed=0
skipped=0

# Ends the script: nothing was tested. That is a failure where nothing may be skipped.
suite_skip() { # REASON
	if [ "${CI-}" = true ]; then
		echo "not ok 1 - $suite: $1"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
	echo "ok 1 - $suite # SKIP $1"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

# The seconds that a single test may take.
patience() {
	echo "$((60 * (SCALE > 5 ? 5 : SCALE)))"
}

# ROAD PROGRAM [ARG]...: runs the program as the caller's own process, with nothing on its input.
on_road() {
	(exec_over "$@") </dev/null
}

# UNIT TEST ROAD: prints why it is known to fail there; fails when it is not known.
known_reason() {
	awk -v suite="$suite" -v unit="$1" -v test="$2" -v road="$3" '
		$1 == suite && $2 == unit && $3 == test && index("," substr($4, 1, length($4) - 1) ",", "," road ",") {
			sub(/^[^:]*: /, "")
			print
			found = 1
			exit
		}
		END { exit !found }' "$suites/known"
}

# UNIT ROAD TEST: a test that passed natively and not on the road is tried again, alone, for the machine may be busy.
# Succeeds when it passes, or is found not to pass natively each time.
passes_again() {
	for again in 1 2; do
		if suite_unit "$2" "$1" "$3" 2>>"$log-$2.log" | grep -qxF "pass $3"; then
			return 0
		fi
		suite_unit plain "$1" "$3" 2>>"$log-plain.log" | grep -qxF "pass $3" || return 0
	done
	return 1
}

run_unit() { # ROAD UNIT
	log=$LOGS/$suite-$(echo "$2" | tr / -)
	(suite_unit "$1" "$2") >"$work/road" 2>"$log-$1.log"
	count=$(grep -c '^pass ' "$work/road")
	passed=$((passed + count))
	grep -v '^pass ' "$work/road" | cut -d ' ' -f 2- >"$work/not-passed"
	: >"$work/plain"
	if [ -s "$work/not-passed" ]; then
		# shellcheck disable=SC2046 # names without blanks
		(suite_unit plain "$2" $(cat "$work/not-passed")) >"$work/plain" 2>"$log-plain.log"
	fi
	worse=0
	explained=0
	for test in $(grep '^pass ' "$work/plain" | cut -d ' ' -f 2-); do
		grep -qxF "pass $test" "$work/road" && continue
		if reason=$(known_reason "$2" "$test" "$1"); then
			explained=$((explained + 1))
			echo "# known: $2 $test: $reason"
			continue
		fi
		if passes_again "$2" "$1" "$test"; then
			echo "# passed when tried again: $2 $test"
			passed=$((passed + 1))
			continue
		fi
		worse=$((worse + 1))
		tests=$((tests + 1))
		failed=$((failed + 1))
		echo "not ok $tests - $suite $2 $test passes natively and not over the road $1"
	done
	both=$(($(wc -l <"$work/not-passed") - worse - explained))
	tests=$((tests + 1))
	if [ "$count" -eq 0 ] && [ "$both" -eq 0 ] && [ "$explained" -eq 0 ]; then
		failed=$((failed + 1))
		echo "not ok $tests - $suite $2 over $1: no test ran"
		return
	fi
	echo "ok $tests - $suite $2 over $1: $count passed, $worse failed only here, $explained known to, $both not natively either"
	# What is known to fail and does not fail is news.
	for test in $(awk -v suite="$suite" -v unit="$2" '$1 == suite && $2 == unit { print $3 }' "$suites/known"); do
		known_reason "$2" "$test" "$1" >/dev/null && grep -qxF "pass $test" "$work/road" &&
			echo "# no longer: $2 $test passes over the road $1, but tests/suites/known knows it"
	done
}

run_suite() {
	for road in $ROADS; do
		if [ "$road" != plain ] && [ -n "$(road_closed "$road")" ]; then
			suite_skip "$(road_closed "$road")"
		fi
		for unit in $(suite_units); do
			echo "$unit" | grep -qxE "${UNITS:-.*}" || continue
			run_unit "$road" "$unit"
		done
	done
	echo "1..$tests"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}
