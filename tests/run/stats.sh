#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# --stats: what is counted for each rule, and by whom; files of counters, whatever is in their place; whose counters
# one may see.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

tally=$programs/tally
file=$work/counters
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged='setpriv --reuid 65534 --regid 65534 --clear-groups'
as=

cat >stats.map <<'END'
connect tcp 127.0.0.1:*    vsock local:*
connect udp 127.0.0.1:*    vsock local:*
connect 10.66.0.0/16:*     reject EHOSTUNREACH
listen  *:26666            reject
listen  *:*                vsock any:*
END

# [OPTION]... -- PROGRAM [ARG]...: over a road, with its time limit.
under() { # ROAD ...
	under_road=$1
	shift
	[ "$under_road" = vsock ] || set -- -u "$realm" "$@"
	# shellcheck disable=SC2086 # a command and its options
	timeout -k 10 $((PATIENCE * SCALE)) $as "$IP2VSOCK" "$@"
}

told() {
	"$@" 2>&1
	echo "status $?"
}

stats() { # [PID]
	"$IP2VSOCK" --stats "$@" 2>&1
}

stats_of_file() { # [FILE]
	IP2VSOCK_STATS=${1-$file} "$IP2VSOCK" --stats 2>&1
}

# TEXT RULE: used, failed and refused of the rule, as --stats has told.
counts() {
	printf '%s\n' "$1" | awk -v rule="$2" '
		$1 ~ /^[0-9]+$/ {
			numbers = $1 " " $2 " " $3
			rest = $4 + $5 + $6
			for (i = 0; i < 6; i++) sub(/^ *[0-9]+ /, "")
			sub(/^ /, "")
			sub(/ *# .*/, "")
			if ($0 == rule) { print numbers (rest ? " and more" : ""); found = 1 }
		}
		END { if (!found) print "none" }'
}

# Starts a tally that waits when it has done its steps; its input is a fifo, so that a line ends the wait.
linger() { # ROAD [OPTION]... -- PROGRAM [ARG]...
	rm -f fifo lingered
	mkfifo fifo
	sleep 1000 >fifo &
	holder=$!
	servers="$servers $holder"
	under "$@" wait <fifo >lingered 2>&1 &
	servers="$servers $!"
	wait_for 60 grep -q ready lingered || fail "a program to look at" "$(cat lingered)"
	lingering=$(sed -n 's/^ready //p' lingered)
}

# How many, and what.
at_once() { # COUNT [OPTION]... -- PROGRAM [ARG]...
	at_once_pids=
	for _ in $(seq "$1"); do
		(shift && under realm "$@") &
		at_once_pids="$at_once_pids $!"
	done
	# shellcheck disable=SC2086 # words
	wait $at_once_pids
}

go_on() {
	echo >fifo
}

# --- what is counted

for road in $ROADS; do
	closed "$road" && continue
	port=26000
	rm -f "$file"
	export IP2VSOCK_STATS="$file"
	under "$road" -f stats.map -- "$tally" 127.0.0.1 $port listen connect=7 close connect=3 connect=1 >/dev/null
	said=$(stats)
	is "$(counts "$said" 'listen *:* vsock any:*')" '1 0 0' "a listener over $road is counted once"
	is "$(counts "$said" 'connect tcp 127.0.0.1:* vsock local:*')" '11 4 0' "so are connections, and those that fail"
	is "$(counts "$said" 'connect udp 127.0.0.1:* vsock local:*')" none "what was never used is not shown"

	under "$road" -f stats.map -- "$tally" 127.0.0.1 $((port + 1)) listen listen >/dev/null
	is "$(counts "$(stats)" 'listen *:* vsock any:*')" '3 1 0' "the port that is taken over $road is a failure"

	# Whoever connects without waiting, and asks for the outcome, has made one call.
	under "$road" -f stats.map -- "$programs/nonblock" connect-again-to-ask 127.0.0.1 $((port + 10)) >/dev/null
	like "$(counts "$(stats)" 'connect tcp 127.0.0.1:* vsock local:*')" '12 *' "connect again over $road is not another"

	rm -f "$file"
	under "$road" -f stats.map -- "$tally" 127.0.0.1 $((port + 20)) udp-bind udp-connect=5 sendto=9 close >/dev/null
	said=$(stats)
	is "$(counts "$said" 'listen *:* vsock any:*')" '1 0 0' "a UDP socket that is bound over $road is counted"
	is "$(counts "$said" 'connect udp 127.0.0.1:* vsock local:*')" '6 0 0' \
		"so is each that is connected, and one that sends, once for its peer"

	for family in 127.0.0.1 ::1; do
		rm -f "$file"
		under "$road" --strict -r 'connect 10.0.0.3:* vsock local:*' -- "$programs/knock" $family 26100 \
			connect nonblock fastopen bind udp-connect udp-bind udp-sendto udp-sendmsg udp-sendmmsg >/dev/null
		is "$(counts "$(stats)" 'default reject')" '0 0 9' "--strict counts what it refuses over $road, to $family"
	done
	rm -f "$file"
	under "$road" -f stats.map -- "$programs/knock" 10.66.0.1 9 connect fastopen udp-connect udp-sendto udp-sendmmsg >/dev/null
	under "$road" -f stats.map -- "$programs/knock" 127.0.0.1 26666 bind udp-bind >/dev/null
	is "$(stats | tail -n +2)" 'used failed refused denied retried fallback  rule
   0      0       5      0       0        0  connect 10.66.0.0/16:* reject EHOSTUNREACH # '"$work"'/stats.map:3
   0      0       2      0       0        0  listen *:26666 reject EACCES             # '"$work"'/stats.map:4' \
		"each rule counts for itself over $road, and the table is as the manual shows it"
	unset IP2VSOCK_STATS

	# A prefork server: what children of fork do is counted with what their parent did.
	linger "$road" -f stats.map -- "$tally" 127.0.0.1 $((port + 30)) listen children=4
	said=$(stats "$lingering")
	is "$(counts "$said" 'connect tcp 127.0.0.1:* vsock local:*')" '400 0 0' "children of fork count with their parent over $road"
	is "$(counts "$said" 'listen *:* vsock any:*')" '1 0 0' "and what it did before"
	like "$said" "process $lingering (tally), since 20??-*" "the process has a name, and its counters a beginning"
	go_on
done

# --- without a file: memory of the program

refuse='connect 127.0.0.1:* reject ECONNREFUSED'

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200
descriptors=$(find "/proc/$lingering/fd/" -type l | wc -l)
memories=$(grep -c 'rw-s' "/proc/$lingering/maps")
go_on
linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 threads=8 say
is "$(sed -n 1p lingered)" 'calls: 8000' "eight threads are refused a thousand times each"
is "$(counts "$(stats "$lingering")" "$refuse")" '0 0 8000' "and each time is counted, the first ones too"
like "
$(stats)" "*
$(stats "$lingering")*" "without a PID it is found"
is "$(find "/proc/$lingering/fd/" -type l | wc -l)" "$descriptors" "no descriptor is left open for it"
is "$(grep -c 'rw-s' "/proc/$lingering/maps")" $((memories + 1)) "one piece of memory is shared"
go_on

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 vfork=20
is "$(counts "$(stats "$lingering")" "$refuse")" '0 0 20' "a child of vfork counts in its parent's memory"
go_on

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 "signals=$(scaled 500)" say
is "calls: $(counts "$(stats "$lingering")" "$refuse" | cut -d ' ' -f 3)" "$(sed -n 1p lingered)" \
	"a handler that interrupts the counting counts"
go_on

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=5 exec connect=2
is "$(counts "$(stats "$lingering")" "$refuse")" '0 0 2' "after exec counting begins anew"
go_on

# Two programs, one with children that stay: each table once, with all who share it.
linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=1
one=$lingering
cat >family.py <<'END'
import os, socket, sys
def refused():
    with socket.socket() as s:
        s.connect_ex(("127.0.0.1", 1))
refused()
read, write = os.pipe()
children = []
for i in range(2):
    pid = os.fork()
    if not pid:
        refused()
        os.write(write, b".")
        sys.stdin.read()
        os._exit(0)
    children.append(pid)
for child in children:
    os.read(read, 1)
print(os.getpid(), *children, flush=True)
sys.stdin.read()
END
if command -v python3 >/dev/null 2>&1; then
	mkfifo family
	sleep 1000 >family &
	servers="$servers $!"
	"$IP2VSOCK" -u "$realm" -r "$refuse" -- python3 family.py <family >family.pids 2>&1 &
	servers="$servers $!"
	wait_for 60 grep -q '[0-9]' family.pids
	said=$(stats)
	like "$said" "*processes $(cat family.pids) (python3), since *" "who shares counters is shown with them, once"
	like "$said" "*process $one (tally), since *" "beside another"
	is "$(printf '%s\n' "$said" | grep -cE "^process.* ($one|$(tr ' ' '|' <family.pids)) ")" 2 "and none of them twice"
	is "$(stats "$(cut -d ' ' -f 3 family.pids)" | tail -n +2)" "$(printf '%s\n' "$said" | sed -n "/^processes $(cat family.pids) (python3)/,/^\$/p" |
		sed '1d; /^$/d')" "each of them can be asked"
	kill "$(cut -d ' ' -f 1 family.pids)" "$(cut -d ' ' -f 2 family.pids)" "$(cut -d ' ' -f 3 family.pids)"
else
	need python3
fi
go_on

# More rules than there is room for.
awk 'BEGIN { for (port = 27001; port <= 27300; port++) print "connect 127.0.0.1:" port " reject ECONNREFUSED" }' >many.map
linger realm -f many.map -- "$tally" 127.0.0.1 27001 sweep=300 sweep=300
said=$(stats "$lingering")
is "$(printf '%s\n' "$said" | grep -c '^ *0 *0 *2 .* connect 127.0.0.1:')" 254 "of 300 rules 254 have counters of their own"
is "$(counts "$said" 'other rules')" '0 0 92' "and the others one together"
is "$(counts "$said" 'connect 127.0.0.1:27254 reject ECONNREFUSED')" '0 0 2' "those that came first have them"
go_on

linger realm -r "$refuse" --strict -- "$tally" 127.0.0.2 9
is "$(told "$IP2VSOCK" --stats "$lingering")" "ip2vsock: --stats \"$lingering\": this process, tally, has counted nothing yet
status 125" "who has counted nothing"
go_on

# A mapping that cannot be used refuses everything.
said=$("$programs/without" env "LD_PRELOAD=$library" IP2VSOCK_RULES=nonsense IP2VSOCK_STATS="$work/bad" IP2VSOCK_LOG=off \
	"$programs/knock" 127.0.0.1 9 connect bind; stats_of_file "$work/bad")
is "$(counts "$said" 'the mapping cannot be used')" '0 0 2' "a faulty mapping is seen in the counters"

# --- a file, which programs share one after the other and at the same time

rm -f "$file"
export IP2VSOCK_STATS="$file"
under realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=5 exec connect=2 exec connect=1
is "$(counts "$(stats)" "$refuse")" '0 0 8' "a file counts on after exec"
is "$(stat -c %a "$file")" 600 "it is for its owner"
like "$(stats)" "file $file, since 20??-*" "and --stats says that it is a file"
for _ in 1 2; do
	at_once 20 -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=100
done
is "$(counts "$(stats)" "$refuse")" '0 0 4008' "twenty processes add to it at once, twice"
for i in 1 2 3 4 5; do
	rm -f "$file"
	at_once 20 -f many.map -- "$tally" 127.0.0.1 27001 sweep=10
	is "$(stats | grep -c '^ *0 *0 *20 .* connect 127.0.0.1:')" 10 "and begin it at once ($i)"
done

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=4
like "$(stats "$lingering")" "process $lingering (tally), file $file, since 20*" "a process that counts in a file says so"
rm "$file"
go_on
linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=1
is "$(counts "$(stats)" "$refuse")" '0 0 1' "a file that is removed begins anew"
go_on

# Killed in whatever they do.
rm -f "$file"
for i in $(seq "$(scaled 40)"); do
	"$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300 sweep=300 &
	killed=$!
	[ $((i % 4)) = 0 ] && wait_for 5 test -s "$file"
	sleep "0.0$((i % 5))"
	kill -KILL $killed 2>/dev/null
	wait $killed 2>/dev/null
done
"$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300
before=$(stats)
"$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300
after=$(stats)
sum() { awk '$1 ~ /^[0-9]+$/ { sum += $3 } END { print sum }'; }
is $(($(printf '%s\n' "$after" | sum) - $(printf '%s\n' "$before" | sum))) 300 "after writers were killed it counts as before"
is "$(printf '%s\n' "$after" | grep -c ' connect 127.0.0.1:27[0-9]* reject ECONNREFUSED  *# ')" 254 "and each rule has its name, once"

mkdir elsewhere
IP2VSOCK_STATS=relative "$IP2VSOCK" -r "$refuse" -- "$tally" 127.0.0.1 1 chdir="$work/elsewhere" connect=3 >/dev/null
is "$(counts "$(stats_of_file relative)" "$refuse")" '0 0 3' "a relative name is where the command was given"
like "$(IP2VSOCK_DISABLE=1 IP2VSOCK_STATS=$work/disabled "$IP2VSOCK" -r "$refuse" -- "$tally" 127.0.0.1 1 connect=3 say
	ls disabled 2>&1)" 'calls: 3*No such file*' "IP2VSOCK_DISABLE=1 counts nothing"
: >empty
chmod 640 empty
IP2VSOCK_STATS=$work/empty "$IP2VSOCK" -r "$refuse" -- "$tally" 127.0.0.1 1 connect=3
is "$(counts "$(stats_of_file empty)" "$refuse") $(stat -c %a empty)" '0 0 3 640' "an empty file is good, and keeps its permissions"
# A beginning that was cut off.
head -c 65536 /dev/zero >zeroes
IP2VSOCK_STATS=$work/zeroes "$IP2VSOCK" -r "$refuse" -- "$tally" 127.0.0.1 1 connect=3
is "$(counts "$(stats_of_file zeroes)" "$refuse")" '0 0 3' "so is one of zeroes"

# --- what cannot be such a file: it is left alone, and the program is not disturbed

# NAME FILE REASON [COMMAND]...: not usable; the command runs the program.
unusable() {
	unusable_name=$1 unusable_file=$2 unusable_why=$3
	shift 3
	sum_before=none
	[ ! -f "$unusable_file" ] || sum_before=$(cksum 2>/dev/null <"$unusable_file")
	said=$(IP2VSOCK_STATS=$unusable_file timeout 60 "$@" "$IP2VSOCK" -r "$refuse" -- "$programs/knock" 127.0.0.1 26300 \
		connect bind connect 2>told </dev/null)
	is "$said" 'connect: ECONNREFUSED
bind: ok
connect: ECONNREFUSED' "$unusable_name: the program does as it would"
	is "$(sed 's/^ip2vsock\[[0-9]*\]/ip2vsock[PID]/' told)" \
		"ip2vsock[PID]: nothing is counted, IP2VSOCK_STATS cannot be used: \"$unusable_file\": $unusable_why" \
		"$unusable_name: one line says why"
	[ "$sum_before" = none ] || is "$(cksum 2>/dev/null <"$unusable_file")" "$sum_before" "$unusable_name: it is left alone"
}
mkdir "$work/d"
mkfifo "$work/p"
echo 'hello, world' >"$work/t"
{ printf '\0\0\0\0\0\0\0\0'; echo 'not only zeroes'; } >"$work/z"
head -c 65536 /dev/urandom >"$work/r"
{ head -c 40000 /dev/zero; head -c 25536 /dev/urandom; } >"$work/h"
head -c 65537 /dev/zero >"$work/l"
head -c 4096 "$file" >"$work/s"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$work/u" 2>/dev/null
unusable "a directory" "$work/d" "it is not a regular file"
unusable "a fifo" "$work/p" "it is not a regular file"
unusable "a device" /dev/null "it is not a regular file"
[ ! -S "$work/u" ] || unusable "a socket" "$work/u" "it is not a regular file"
unusable "a text" "$work/t" "it is not a file of counters"
unusable "a short file" "$work/z" "it is not a file of counters"
unusable "a file of that size" "$work/r" "it is not a file of counters"
unusable "one with zeroes in front" "$work/h" "it is not a file of counters"
unusable "a file that is too long" "$work/l" "it is not a file of counters"
unusable "a file that was cut short" "$work/s" "it is not a file of counters"
unusable "no such directory" "$work/none/x" "ENOENT"
unusable "a file in the place of a directory" "$work/t/x" "ENOTDIR"
unusable "a limit for files" "$work/n" "it would be larger than files may be here" sh -c 'ulimit -f 1 && exec "$@"' sh
is "$(told stats_of_file "$work/p")" "ip2vsock: IP2VSOCK_STATS \"$work/p\": not a regular file
status 125" "a fifo has nothing to show"
is "$(told stats_of_file "$work/t")" "ip2vsock: IP2VSOCK_STATS \"$work/t\": not a file of counters
status 125" "nor has a text"
is "$(told stats_of_file "$work/none")" "ip2vsock: IP2VSOCK_STATS \"$work/none\": No such file or directory
status 125" "nor what does not exist"
: >nothing
is "$(told stats_of_file "$work/nothing")" "ip2vsock: IP2VSOCK_STATS \"$work/nothing\": nothing is counted there yet
status 125" "nor an empty file"
is "$(IP2VSOCK_STATS=$work/d "$IP2VSOCK" -q -r "$refuse" -- "$tally" 127.0.0.1 1 connect=3 say 2>&1)" 'calls: 3' \
	"-q says nothing of it"

# Somebody else's file.
: >secret
chmod 0 secret
# shellcheck disable=SC2086 # a command and its options
unusable "a file that may not be written" "$work/secret" EACCES $unprivileged

# The program goes on when the file is emptied or cut, where memory of it would be a SIGBUS.
for size in 0 1 4096 40000; do
	rm -f "$file"
	linger realm -f many.map -- "$tally" 127.0.0.1 27001 sweep=200 wait sweep=200 connect=3 say
	truncate -s $size "$file"
	go_on
	wait_for 60 grep -q calls lingered
	is "$(grep -v ip2vsock lingered)" "ready $lingering
calls: 403
ready $lingering" "a file cut to $size bytes ends no program"
	is "$(grep -c 'nothing is counted any more' lingered)" 1 "and that is said once"
	go_on
done
rm -f "$file"
linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=5 wait connect=5
: >"$file"
"$IP2VSOCK" -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=2
go_on
wait_for 60 sh -c '[ "$(grep -c ready lingered)" = 2 ]'
is "$(counts "$(stats)" "$refuse")" '0 0 2' "one that was emptied and begun by another is not that program's any more"
go_on

# A disk without room, in a mount namespace of its own.
if unshare -rm true 2>/dev/null; then
	cat >full.sh <<'END'
mkdir -p full && mount -t tmpfs -o size=12k,mode=777 none full || exit 77
dd if=/dev/zero of=full/other bs=4096 count="$1" 2>/dev/null
shift
IP2VSOCK_STATS=$PWD/full/counters "$@"
END
	said=$(unshare -rm sh full.sh 3 "$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300 say 2>&1)
	like "$said" "*nothing is counted, *: ENOSPC
calls: 300" "a full disk"
	said=$(unshare -rm sh full.sh 2 "$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300 say 2>&1)
	like "$said" "*nothing is counted, *: there is no room for it
calls: 300" "a disk with little room"
	said=$(unshare -rm sh full.sh 1 "$IP2VSOCK" -f many.map -- "$tally" 127.0.0.1 27001 sweep=300 say 2>&1)
	like "$said" "*nothing is counted any more, *its disk is full
calls: 300" "a disk that becomes full"
else
	skip "a full disk" "no mount namespaces here"
fi
unset IP2VSOCK_STATS

# --- whose

trouble() { # PID MESSAGE NAME
	is "$(told "$IP2VSOCK" --stats "$1")" "ip2vsock: $2
status 125" "$3"
}
for wrong in x 12x '' 0 01x 4294967297 99999999999999999999 1.5; do
	trouble "$wrong" "--stats \"$wrong\": not a process ID" "\"$wrong\" is no PID"
done
sleep 0 &
gone=$!
wait $gone
trouble "$gone" "--stats \"$gone\": no such process" "a process that is gone"
trouble $$ "--stats \"$$\": this process, $(cat /proc/$$/comm), does not run under ip2vsock" "a process without the library"
is "$(told "$IP2VSOCK" --stats 1 2)" 'ip2vsock: --stats takes one process ID, not "1 2"
status 125' "two PIDs are too many"
is "$(told "$IP2VSOCK" --stats --check)" 'ip2vsock: --stats is asked alone, not with --check, --explain or --doctor
status 125' "and other questions"
if unshare -rmpf --mount-proc true 2>/dev/null; then
	is "$(told unshare -rmpf --mount-proc "$IP2VSOCK" --stats)" 'ip2vsock: no process here has counted anything
status 0' "where nobody counts there is nothing to show"
else
	skip "nobody counts" "no PID namespaces here"
fi

linger realm -r "$refuse" -- "$tally" 127.0.0.1 26200 connect=1
if [ -n "$unprivileged" ]; then
	# shellcheck disable=SC2086 # a command and its options
	is "$(told $unprivileged "$IP2VSOCK" --stats "$lingering")" \
		"ip2vsock: --stats \"$lingering\": no permission to look into this process, tally
status 125" "another user's process"
	# shellcheck disable=SC2086 # a command and its options
	is "$($unprivileged "$IP2VSOCK" --stats 2>&1 | grep -cw "$lingering")" 0 "and it is not among one's own"
else
	like "$(told "$IP2VSOCK" --stats 1)" 'ip2vsock: --stats "1": no permission to look into this process, *
status 125' "another user's process"
fi
go_on

# Where one's own processes may be seen but not looked into, as a hardened kernel has it: their memory is covered.
cat >hidden.sh <<'END'
drop='setpriv --bounding-set=-all --inh-caps=-all'
$drop "$IP2VSOCK" -r "$1" -- "$2" 127.0.0.1 1 connect=1 wait <fifo >ready &
until grep -qs ready ready; do sleep 0.05; done
pid=$(sed -n 's/^ready //p' ready)
mount --bind secret "/proc/$pid/mem"
$drop "$IP2VSOCK" --stats "$pid"
$drop "$IP2VSOCK" --stats
umount "/proc/$pid/mem"
mount --bind nothing "/proc/$pid/mem"
$drop "$IP2VSOCK" --stats "$pid"
umount "/proc/$pid/mem"
$drop "$IP2VSOCK" --stats "$pid"
kill "$pid"
END
if unshare -rmpf --mount-proc true 2>/dev/null; then
	rm -f fifo
	mkfifo fifo
	sleep 1000 >fifo &
	servers="$servers $!"
	said=$(unshare -rmpf --mount-proc sh hidden.sh "$refuse" "$tally" 2>&1 |
		sed 's/^process [0-9]*/process PID/; s/"[0-9]*"/PID/; s/ (kernel.yama.*//; s/since .*/since/')
	is "$said" "ip2vsock: --stats PID: no permission to look into this process, tally
ip2vsock: no permission to look into 1 process
ip2vsock: --stats PID: this process, tally, has counted nothing yet
process PID (tally), since
used failed refused denied retried fallback  rule
   0      0       1      0       0        0  $refuse  # IP2VSOCK_RULES:1" "memory that may not be read, that holds no table, that does"
else
	skip "a process whose memory may not be read" "no namespaces here"
fi

# What other programs have written is nothing that a terminal obeys.
escape=$(printf 'a\033[31mb')
echo "$refuse" >"$escape"
said=$(IP2VSOCK_STATS=$work/escape IP2VSOCK_FILE=$work/$escape LD_PRELOAD=$library "$tally" 127.0.0.1 1 connect=1
	stats_of_file escape)
printf '%s\n' "$said" >escaped
ok "control characters are shown, not sent" grep -qF 'a\x1b[31mb:1' escaped
finish
