#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every case of every differential program: what it prints on plain TCP it prints on every other road, but for what
# the file differences says (or the one that DIFFERENCES names).
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

# PROGRAM ADDRESS...: all its cases at these addresses. diff.sh PROGRAM... runs only some of them.
differential='
stream 127.0.0.1 ::1
nonblock 127.0.0.1 ::1
carry 127.0.0.1 ::1
registered 127.0.0.1 ::1
dups 127.0.0.1 ::1
many 127.0.0.1
names 127.0.0.1 ::1 ::ffff:127.0.0.1
retry 127.0.0.1 ::ffff:127.0.0.1
addresses 127.0.0.1 ::1
backlog 127.0.0.1
bound 127.0.0.1 ::1
families ::1
process 127.0.0.1 ::1
bare 127.0.0.1 ::1
threads 127.0.0.1 ::1
blocked 127.0.0.1
numbers 127.0.0.1
reuse 127.0.0.1
options 127.0.0.1 ::1
allopts 127.0.0.1 ::1
ioctls 127.0.0.1 ::1
others 127.0.0.1
sandbox 127.0.0.1
fastopen 127.0.0.1
shutdown 127.0.0.1 ::1
reuseport 127.0.0.1 ::1
odd 127.0.0.1 ::1
data 127.0.0.1 ::1
calls 127.0.0.1 ::1
sends 127.0.0.1 ::1
udp 127.0.0.1 ::1
udpcalls 127.0.0.1 ::1
udpcontrol 127.0.0.1 ::1 ::ffff:127.0.0.1
udppeers 127.0.0.1 ::1
udpprocs 127.0.0.1 ::1
udpsizes 127.0.0.1 ::1
udpwait 127.0.0.1 ::1
udperrors 127.0.0.1 ::1
udpfamilies ::1
udpnames 127.0.0.1 ::1 ::ffff:127.0.0.1
udpshared 127.0.0.1
udpworkers 127.0.0.1 ::1
'

differences=${DIFFERENCES:-$test_dir/differences}
for file in cases compared identical documented; do
	: >"$work/$file"
done

# Ten ports for every run, so that TIME_WAIT of one is not in the way of the next.
port=${FIRST_PORT:-10000}
next_port() {
	port=$((port + 10))
	[ "$port" -lt 32000 ] || port=10000
}

# Programs of datagrams have the same addresses mapped for those, which is not so for the others.
streams=$map
sed 's/ tcp / /' "$map" >"$work/datagrams"

# How many datagrams the kernel's UDP has sent in this network namespace.
datagrams_sent() {
	awk '$1 == "Udp:" && seen { sent += $5 } $1 == "Udp:" { seen = 1 } $1 == "Udp6OutDatagrams" { sent += $2 }
		END { print sent }' /proc/net/snmp /proc/net/snmp6 2>/dev/null
}

run_case() { # ROAD PROGRAM CASE ADDRESS
	next_port
	case $2 in
	udp*) map=$work/datagrams ;;
	*) map=$streams ;;
	esac
	sent_before=$(datagrams_sent)
	over "$1" "$programs/$2" "$3" "$4" "$port" 127.0.0.2 </dev/null 2>&1
	status=$?
	# Where nobody else sends, each of them is one that should have gone over the road.
	case $1:$2 in
	plain:*) ;;
	*:udp*) network_exists || [ "$(datagrams_sent)" = "$sent_before" ] ||
		echo "$(($(datagrams_sent) - sent_before)) datagrams left by the kernel's UDP" ;;
	esac
	[ "$status" != 124 ] || echo "no end after $((PATIENCE * SCALE)) s"
	echo "exit $status"
}

look_up() { # PROGRAM CASE ROAD
	awk -v program="$1" -v case_name="$2" -v road="$3" -v delta="$work/delta" \
		-f "$test_dir/documented.awk" "$differences"
}

# PROGRAM CASE ADDRESS ROAD: compares $work/got with $work/plain.
judge() {
	judge_name="$1 $2 $3 over $4"
	diff -U 0 "$work/plain" "$work/got" | sed '1,2d; /^@@/d' >"$work/delta"
	reason=$(look_up "$1" "$2" "$4")
	found=$?
	if [ "$(tail -n 1 "$work/plain")" != 'exit 0' ]; then
		fail "$judge_name" "on plain TCP: $(cat "$work/plain")"
	elif [ ! -s "$work/delta" ] && [ "$found" = 1 ]; then
		fail "$judge_name" "no longer differs: $reason"
	elif [ ! -s "$work/delta" ]; then
		pass "$judge_name"
		echo "$4" >>"$work/identical"
	elif [ "$found" = 0 ]; then
		pass "$judge_name differs as documented: $reason"
		printf '%s\t%s\n' "$4" "$reason" >>"$work/documented"
	else
		fail "$judge_name" "${reason:+documented otherwise: $reason
}$(diff -U 1 "$work/plain" "$work/got" | tail -n +3)"
	fi
}

# What was compared and what came out, for people.
summarize() {
	echo "# cases: $(sort -u "$work/cases" | wc -l), comparisons: $(wc -l <"$work/compared")"
	for road in $ROADS; do
		echo "# over $road: $(grep -cx "$road" "$work/identical") identical," \
			"$(grep -c "^$road	" "$work/documented") different as documented," \
			"$(grep -cx "$road" "$work/compared") in all"
	done
	cut -f 2 "$work/documented" | sort | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/# documented: \2 (\1)/'
}

# A block of a case that does not exist would never be looked at.
blocks_are_of_cases() {
	awk -v list=yes -f "$test_dir/documented.awk" "$differences" >"$work/blocks" || {
		cat "$work/blocks"
		return 1
	}
	blocks_status=0
	while read -r program case road; do
		case $road in realm | vsock) ;; *)
			echo "$program $case: no road \"$road\""
			blocks_status=1
			;;
		esac
		case $differential in
		*"
$program "*) ;;
		*)
			echo "no program \"$program\""
			blocks_status=1
			continue
			;;
		esac
		"$programs/$program" -l | grep -qFx -e "$case" || {
			echo "$program has no case \"$case\""
			blocks_status=1
		}
	done <"$work/blocks"
	return $blocks_status
}
ok "documented differences are of cases there are" blocks_are_of_cases

# The same output proves nothing where the library is not at work: an address without route must lead somewhere.
for road in $ROADS; do
	closed "$road" || is "$(over "$road" "$programs/knock" 10.0.0.3 9999 connect)" 'connect: ECONNREFUSED' \
		"the library is at work over $road"
done

wanted_programs=" $* "
printf '%s\n' "$differential" >"$work/differential"
while read -r program addresses; do
	[ -n "$program" ] || continue
	case $wanted_programs in
	"  " | *" $program "*) ;;
	*) continue ;;
	esac
	for case in $("$programs/$program" -l); do
		# Patterns: cases that a sanitizer itself cannot run, and the only ones that are wanted.
		! printf '%s\n' "$program $case" | grep -qE "${TEST_EXCEPT:-^\$}" || continue
		printf '%s\n' "$program $case" | grep -qE "${TEST_ONLY:-.}" || continue
		for address in $addresses; do
			run_case plain "$program" "$case" "$address" >"$work/plain"
			for road in $ROADS; do
				reason=$(road_closed "$road")
				if [ -n "$reason" ]; then
					skip "$program $case $address over $road" "$reason"
					continue
				fi
				run_case "$road" "$program" "$case" "$address" >"$work/got"
				echo "$program $case" >>"$work/cases"
				echo "$road" >>"$work/compared"
				judge "$program" "$case" "$address" "$road"
			done
		done
	done
done <"$work/differential"
summarize
finish
