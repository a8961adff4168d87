#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The judge of diff.sh judged: what differs undocumented fails, and so does a documented difference that is gone or
# another than the file says.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

road=${ROADS%% *}
closed "$road" && finish
mkdir fake
for program in knock lonely; do
	ln -s "$programs/$program" "fake/$program"
done

# A program in place of a real one, whose cases see whether the library is there.
cat >fake/stream <<'END'
#!/bin/sh
said() { # ON-PLAIN-TCP WITH-THE-LIBRARY
	if [ -n "${IP2VSOCK_RULES-}" ]; then echo "$2"; else echo "$1"; fi
}
[ "$1" != -l ] || exec printf '%s\n' same differs twice hangs fails
echo first
case $1 in
differs) said "" "+ - a  b" ;;
twice) said one two; echo between; said three four ;;
hangs) [ -z "${IP2VSOCK_RULES-}" ] || exec sleep 60 ;;
fails) exit 3 ;;
esac
echo last
END
chmod 755 fake/stream

# CASE BLOCKS [PATIENCE]: what diff.sh says of it. It runs at two addresses.
judged() {
	printf '%s\n' "$2" >blocks
	DIFFERENCES=$work/blocks programs=$work/fake ROADS=$road TEST_ONLY="^stream $1\$" PATIENCE=${3:-120} \
		IP2VSOCK_TEST_LONELY=tried sh "$test_dir/diff.sh" stream
}

# TEXT: "ok CASE ..." or "not ok CASE ..." of one address.
verdict() {
	printf '%s\n' "$1" | sed -n "s/^\\(.*ok\\) [0-9]* - stream \\([a-z]*\\) 127.0.0.1 over $road/\\1 \\2/p"
}

said=$(judged same '')
is "$(verdict "$said")" 'ok same' "what is the same passes"
like "$said" "*cases: 1, comparisons: 2*over $road: 2 identical, 0 different as documented, 2 in all*" "and is counted"

said=$(judged same "stream same $road: a reason
-first
+second")
is "$(verdict "$said")" 'not ok same' "a documented difference that is gone fails"
like "$said" '*no longer differs: a reason*' "and that is said"

is "$(verdict "$(judged same "stream same $road: only some kernels
stream same $road: the others
-first
+second")")" 'ok same' "a block without lines allows that nothing differs"

is "$(verdict "$(judged differs '')")" 'not ok differs' "what differs undocumented fails"

block='
-
++ - a  b'
said=$(judged differs "# a comment

stream differs $road: a reason: such$block")
is "$(verdict "$said")" 'ok differs differs as documented: a reason: such' "what differs as documented passes"
like "$said" "*over $road: 0 identical, 2 different as documented, 2 in all*documented: a reason: such (2)*" "and is counted"

is "$(verdict "$(judged differs "stream differs realm,vsock: two roads$block")")" \
	'ok differs differs as documented: two roads' "a block may be of several roads"
other=vsock
[ "$road" = realm ] || other=realm
is "$(verdict "$(judged differs "stream differs $other: another road$block")")" 'not ok differs' \
	"a block of another road allows nothing"
is "$(verdict "$(judged differs "stream twice $road: another case$block")")" 'not ok differs' "nor does one of another case"

for wrong in '
-
++ - a b' '
-' '
++ - a  b' '
-
++ - a  b
+more'; do
	said=$(judged differs "stream differs $road: a reason$wrong")
	is "$(verdict "$said")" 'not ok differs' "what differs otherwise than documented fails"
	like "$said" '*documented otherwise: a reason*' "and that is said"
done

is "$(verdict "$(judged twice "stream twice $road: one kernel
-one
+zwei
stream twice $road: another kernel
-one
+two
-three
+four")")" 'ok twice differs as documented: another kernel' "several blocks are alternatives"
is "$(verdict "$(judged twice "stream twice $road: a half
-one
+two
stream twice $road: the other half
-three
+four")")" 'not ok twice' "and not parts"

is "$(verdict "$(judged fails "stream fails $road: a reason")")" 'not ok fails' "a case that fails on plain TCP fails"
said=$(judged hangs '' 1)
is "$(verdict "$said")" 'not ok hangs' "a case that hangs fails"
like "$said" "*no end after $SCALE s*" "and that is said"

for faulty in "stream nothing $road" "nothing same $road" 'stream same vsok'; do
	like "$(judged same "$faulty: a reason")" '*not ok 1 - documented differences*#   *no *' \
		"a block of \"$faulty\" is a mistake"
done
for faulty in 'stream same: a reason' "stream same $road a reason" '-a line of no block' 'words'; do
	like "$(judged same "$faulty")" '*not ok 1 - documented differences*differences:1: *' "and so is \"$faulty\""
done

# The table of README: lines that begin with a tab name programs with cases, or files.
table_is_of_tests() {
	table_status=0
	sed -n 's/^\t//p' "$srcdir/tests/README" | grep -v '^Missing' | tr ';' '\n' >table
	while read -r program cases; do
		case $program in
		*/*.sh) [ -e "$srcdir/tests/run/$program" ] || [ -e "$srcdir/tests/$program" ] ;;
		*.sh) [ -e "$srcdir/tests/run/$program" ] ;;
		unit/*) [ -e "$srcdir/tests/$program.c" ] ;;
		*) [ -x "$programs/$program" ] ;;
		esac || {
			echo "no test \"$program\""
			table_status=1
			continue
		}
		for case in $(printf '%s\n' "$cases" | tr ',' ' '); do
			"$programs/$program" -l | grep -qFx -e "$case" || {
				echo "$program has no case \"$case\""
				table_status=1
			}
		done
	done <table
	[ -s table ] && return $table_status
}
ok "README names tests that there are" table_is_of_tests
finish
