#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The wrapper and the tool behind it: options, order, messages, exit statuses, the environment.
# shellcheck disable=SC1003,SC2016 # what is quoted is for inner shells, or to be left alone
. "$(dirname "$0")/lib.sh"

has() { # TEXT PART NAME
	case $1 in
	*"$2"*) pass "$3" ;;
	*) fail "$3" "got: $1
wanted in it: $2" ;;
	esac
}

# No settings of whoever runs this.
HOME=$work/home XDG_CONFIG_HOME=$work/config
mkdir "$HOME" "$XDG_CONFIG_HOME"
export HOME XDG_CONFIG_HOME
system_file=$(sed -n "s/^w_system_file='\(.*\)'$/\1/p" "$IP2VSOCK")

# Prints the value of a variable that the program was given, or "unset".
show='eval "if [ \"\${$1+set}\" ]; then printf \"%s\\n\" \"\$$1\"; else echo unset; fi"'
rules_of() { "$IP2VSOCK" "$@" -- sh -c "$show" sh IP2VSOCK_RULES 2>&1; }
variable_of() {
	variable=$1
	shift
	"$IP2VSOCK" "$@" -- sh -c "$show" sh "$variable" 2>&1
}
# Everything it says, and its status.
told() {
	"$@" 2>&1
	echo "status $?"
}

cat >web.map <<'END'
# the web
host     10.0.0.3  3  web.vm www
connect  10.8.0.0/16:8000-8099  vsock 4:9000-9099
connect  cache.vm:*  vsock 5:*
connect  10.66.0.0/16:*  reject EHOSTUNREACH
connect  *:53  inet
listen   *:80  vsock any:80
END
echo 'listen *:81 vsock any:81' >other.map

# --- options become rules, in order

is "$(rules_of -c 3)" 'connect tcp *:* vsock 3:*' '-c CID keeps the port'
is "$(rules_of -c host:80)" 'connect tcp *:* vsock host:80' '-c CID:PORT'
is "$(rules_of -c3)" 'connect tcp *:* vsock 3:*' '-c3'
is "$(rules_of --connect 3)" 'connect tcp *:* vsock 3:*' '--connect 3'
is "$(rules_of --connect=3:8)" 'connect tcp *:* vsock 3:8' '--connect=3:8'
is "$(rules_of -l)" 'listen tcp *:* vsock any:*' '-l before --'
is "$(rules_of -l '*')" 'listen tcp *:* vsock any:*' "-l '*'"
is "$("$IP2VSOCK" -l sh -c "$show" sh IP2VSOCK_RULES)" 'listen tcp *:* vsock any:*' '-l leaves the program alone'
is "$(rules_of -l 80=8080)" 'listen tcp *:80 vsock any:8080' '-l PORT=PORT'
is "$(rules_of -l 127.0.0.1:80=8080)" 'listen tcp 127.0.0.1:80 vsock any:8080' '-l ADDR:PORT=PORT'
is "$(rules_of -l '[::1]:80=8080')" 'listen tcp [::1]:80 vsock any:8080' '-l [IPv6]:PORT=PORT'
is "$(rules_of -l '*:80-89=90-99')" 'listen tcp *:80-89 vsock any:90-99' '-l with ranges'
is "$(rules_of -l80=80)" 'listen tcp *:80 vsock any:80' '-l80=80'
is "$(rules_of --listen --strict)" 'default reject
listen tcp *:* vsock any:*' '--listen before another option'
is "$(rules_of --listen=80=81)" 'listen tcp *:80 vsock any:81' '--listen=80=81'
is "$(rules_of --listen 80=81)" 'listen tcp *:80 vsock any:81' '--listen 80=81'
is "$(rules_of -r 'connect 10.0.0.3:80 vsock 3:80')" 'connect 10.0.0.3:80 vsock 3:80' '-r'
is "$(rules_of -f web.map)" "include \"$work/web.map\"" '-f makes the path absolute'
is "$(rules_of --file=./web.map --rule='connect *:1 inet')" "include \"$work/./web.map\"
connect *:1 inet" '--file= and --rule='
is "$(rules_of -r 'connect *:1 inet' -f web.map -c 3 -f other.map -l -r 'connect *:2 inet # last')" \
	"connect *:1 inet
include \"$work/web.map\"
connect tcp *:* vsock 3:*
include \"$work/other.map\"
listen tcp *:* vsock any:*
connect *:2 inet # last" 'the order of the options is the order of the rules'
is "$(rules_of -c 3 --strict)" 'default reject
connect tcp *:* vsock 3:*' '--strict comes first wherever it stands'
is "$(rules_of --strict)" 'default reject' '--strict alone is rules enough'
is "$(rules_of -r "connect \"it's.vm\":1 inet" 2>&1 | head -c 8)" 'ip2vsock' 'an apostrophe in a rule reaches the tool'
is "$(rules_of -r "connect *:1 inet # it's 'it'")" "connect *:1 inet # it's 'it'" 'apostrophes are kept'
is "$(rules_of -r 'connect *:1 inet # $(touch x) `touch x` \')" 'connect *:1 inet # $(touch x) `touch x` \' \
	'a rule is never run by the shell'
ok 'and nothing was' test ! -e x
is "$(rules_of -r 'connect *:1 inet; connect *:2 inet
connect *:3 inet')" 'connect *:1 inet; connect *:2 inet
connect *:3 inet' 'several statements in one -r'
mkdir 'a b'
cp web.map "a b/it's; #1.map"
is "$(rules_of -f "a b/it's; #1.map")" "include \"$work/a b/it's; #1.map\"" 'a file name with blanks, ; and #'

# --- the other variables

is "$(variable_of IP2VSOCK_REALM -c 3 -u demo)" demo '-u'
is "$(variable_of IP2VSOCK_REALM -c 3 --realm=a.B_c-9)" a.B_c-9 '--realm='
is "$(variable_of IP2VSOCK_REALM -c 3)" unset 'no realm when none is said'
is "$(variable_of IP2VSOCK_LOG -c 3)" unset 'no log level when none is said'
is "$(variable_of IP2VSOCK_LOG -c 3 -v)" info '-v'
is "$(variable_of IP2VSOCK_LOG -c 3 -v -v)" debug '-v -v'
is "$(variable_of IP2VSOCK_LOG -c 3 -vv)" debug '-vv'
is "$(variable_of IP2VSOCK_LOG -c 3 -q)" off '-q'
is "$(variable_of IP2VSOCK_LOG -c 3 --log debug)" debug '--log LEVEL'
is "$(variable_of IP2VSOCK_LOG -c 3 --log=info:log)" "info:$work/log" '--log LEVEL:FILE makes the path absolute'
is "$(variable_of IP2VSOCK_FILE -c 3)" unset 'IP2VSOCK_FILE is not set'
is "$(level=7 rules=8 w=9 "$IP2VSOCK" -c 3 -v sh -c 'echo $level $rules $w')" '7 8 9' \
	"the program's own variables are not touched"
is "$("$IP2VSOCK" -c 3 env | grep -c '^w_')" 0 'and none of ours is left'

# --- LD_PRELOAD

is "$(variable_of LD_PRELOAD -c 3)" "$library${LD_PRELOAD:+:$LD_PRELOAD}" 'the library is preloaded'
other=$work/libother.so
echo 'int ip2vsock_test_other;' | ${CC:-cc} -shared -fPIC -x c -o "$other" - 2>/dev/null
if [ -e "$other" ] && [ -z "${LD_PRELOAD-}" ]; then
	is "$(LD_PRELOAD=$other variable_of LD_PRELOAD -c 3)" "$library:$other" 'before what is there'
	is "$(LD_PRELOAD="$other $library" variable_of LD_PRELOAD -c 3)" "$library:$other" 'never twice'
	is "$(LD_PRELOAD=$other variable_of LD_PRELOAD -c 3 "$IP2VSOCK" -c 4)" "$library:$other" \
		'nor inside another wrapper'
else
	skip 'LD_PRELOAD with other libraries' 'no compiler, or something is preloaded already'
fi

# --- the program

is "$("$IP2VSOCK" -c 3 printf '[%s]' '' 'a b' '*' "c
d" -c -- "'" '"' '\')" "[][a b][*][c
d][-c][--]['][\"][\\]" 'arguments are passed as they are'
told "$IP2VSOCK" -c 3 sh -c 'exit 7' >out
is "$(cat out)" 'status 7' "the status is the program's"
is "$(told "$IP2VSOCK" -c 3 nosuch-program)" 'ip2vsock: nosuch-program: not found
status 127' 'a program that is not there: 127'
is "$(told "$IP2VSOCK" -c 3 ./nosuch)" 'ip2vsock: ./nosuch: not found
status 127' 'nor under a path: 127'
is "$(told "$IP2VSOCK" -c 3 '')" 'ip2vsock: : not found
status 127' 'an empty name: 127'
is "$(told "$IP2VSOCK" -c 3 ./web.map)" 'ip2vsock: ./web.map: cannot be executed
status 126' 'a file that is no program: 126'
is "$(told "$IP2VSOCK" -c 3 "$work")" "ip2vsock: $work: cannot be executed
status 126" 'a directory: 126'
mkdir first second
echo 'not a program' >first/tool
printf '#!/bin/sh\necho "tool $*"\n' >second/tool
chmod +x second/tool
is "$(PATH=$work/first:$work/second:$PATH "$IP2VSOCK" -c 3 tool x)" 'tool x' \
	'PATH is searched on after a file that cannot be executed'
is "$(PATH=$work/first:$PATH told "$IP2VSOCK" -c 3 tool)" 'ip2vsock: tool: cannot be executed
status 126' 'which is a 126 if nothing better comes'
is "$(cd second && PATH=:$PATH "$IP2VSOCK" -c 3 tool y)" 'tool y' 'an empty entry of PATH is this directory'
is "$(told "$IP2VSOCK" -c 3 fail)" 'ip2vsock: fail: not found
status 127' "the wrapper's own functions are no programs"
is "$("$IP2VSOCK" -c 3 -- printf %s -x)" -x '-- ends the options'
is "$("$IP2VSOCK" -c 3 printf %s --strict)" --strict 'and so does the first word that is none'
"$IP2VSOCK" -c 3 sh -c 'echo $$' >out &
wait $!
is "$(cat out)" "$!" 'the wrapper becomes the program'
printf '#!/bin/sh\n' >setuid-script
cp "$(command -v env)" setuid
if [ "$(id -u)" = 0 ] && chown 65534 setuid setuid-script && chmod 4755 setuid setuid-script; then
	reason='./setuid is set-user-ID or set-group-ID and runs without preloaded libraries: its sockets are not retargeted'
	is "$(told "$IP2VSOCK" -c 3 ./setuid true)" "ip2vsock: warning: $reason
status 0" "somebody else's set-user-ID program is warned of"
	is "$(told "$IP2VSOCK" -c 3 --strict ./setuid true)" "ip2vsock: --strict: $reason
status 125" 'and with --strict refused'
	is "$(told "$IP2VSOCK" -c 3 -q ./setuid true; IP2VSOCK_LOG=off told "$IP2VSOCK" -c 3 ./setuid true)" 'status 0
status 0' 'nothing is said when nothing is to be logged'
	is "$(told "$IP2VSOCK" -c 3 ./setuid-script)" 'status 0' 'a script is not set-user-ID, whatever its mode'
else
	skip "somebody else's set-user-ID program" 'needs root'
fi

# --- where rules come from when no option says

if [ -e "$system_file" ]; then
	skip 'no rules at all' "there is a $system_file here"
else
	is "$(told "$IP2VSOCK" true)" \
		"ip2vsock: no rules: give -c, -l, -r or -f, or write $XDG_CONFIG_HOME/ip2vsock.conf or $system_file
status 125" 'no rules at all'
fi
cp other.map "$XDG_CONFIG_HOME/ip2vsock.conf"
is "$(rules_of)" "include \"$XDG_CONFIG_HOME/ip2vsock.conf\"" "the user's ip2vsock.conf"
is "$(rules_of --strict)" "default reject
include \"$XDG_CONFIG_HOME/ip2vsock.conf\"" 'with --strict'
is "$(rules_of -u demo)" "include \"$XDG_CONFIG_HOME/ip2vsock.conf\"" 'and -u'
mkdir "$HOME/.config"
mv "$XDG_CONFIG_HOME/ip2vsock.conf" "$HOME/.config"
is "$(unset XDG_CONFIG_HOME && rules_of)" "include \"$HOME/.config/ip2vsock.conf\"" 'without XDG_CONFIG_HOME'
rm "$HOME/.config/ip2vsock.conf"
is "$(IP2VSOCK_RULES='connect *:9 inet' rules_of)" 'connect *:9 inet' 'rules of the environment are kept'
is "$(IP2VSOCK_FILE=web.map:$work/other.map rules_of)" "include \"$work/web.map\"
include \"$work/other.map\"" 'and so are files, absolute'
is "$(IP2VSOCK_FILE=web.map variable_of IP2VSOCK_FILE)" unset 'as rules'
is "$(IP2VSOCK_RULES='connect *:9 inet' rules_of --strict)" 'default reject
connect *:9 inet' '--strict is added to them'
is "$(IP2VSOCK_RULES='connect *:9 inet' rules_of -c 3)" 'connect tcp *:* vsock 3:*' 'rules of options replace them'
is "$(rules_of -c 3 "$IP2VSOCK")" 'connect tcp *:* vsock 3:*' 'a wrapper inside a wrapper keeps the rules'
is "$(rules_of -c 3 "$IP2VSOCK" -c 4)" 'connect tcp *:* vsock 4:*' 'unless it has some'
is "$(rules_of --strict -c 3 "$IP2VSOCK" --strict)" 'default reject
connect tcp *:* vsock 3:*' '--strict inside --strict is said once'
is "$(told "$IP2VSOCK" --strict -r 'default inet' touch ran)" \
	'ip2vsock: -r "default inet": default is given twice (--strict gives one)
status 125' '--strict and another default contradict each other'
is "$(rules_of --strict -r 'default reject')" 'default reject' 'the same one does not'
is "$(IP2VSOCK_RULES='connect *:9' told "$IP2VSOCK" touch ran)" \
	'ip2vsock: IP2VSOCK_RULES:1:12: target is missing (vsock, inet, reject or unix)
status 125' 'a mistake in the environment has a place, too'

# --- mistakes: all of them are shown, and nothing is run

cat >bad.map <<'END'
connect 10.0.0.300:5 vsock 3:5
conect *:1 inet
connect *:80-90 vsock 3:1-3
connect *:1 vsock hots:1
listen *:1 vsock any:1 alow=3
connect 10.0.0.1/8:1 inet
host 10.0.0.1 3 db
host 10.0.0.1 4 db
connect *:70000 inet
connect *:1 reject EWHAT
default nothing
END
told "$IP2VSOCK" -f bad.map touch ran >out
is "$(grep -c '^ip2vsock: bad\.map:[0-9]*:[0-9]*: ' out)" 10 'ten mistakes are ten messages, each with its place'
is "$(sed -n 's/^ip2vsock: bad\.map:\([0-9]*:[0-9]*\): .*/\1/p' out | tr '\n' ' ')" \
	'1:9 2:1 3:25 4:19 5:24 6:9 8:6 9:11 10:20 11:9 ' 'and these are the places'
is "$(sed -n '$p' out)" 'status 125' 'with status 125'
is "$(grep -vc '^ip2vsock: bad\.map\|^status' out)" 0 'and nothing else'
told "$IP2VSOCK" -c hots -l 80=http -r 'connect 10.0.0.300:5 vsock 3:5' -r 'a
b' -u 'bad name' -c '' -c 3: -c '3; x' -l=80 -f nosuch.map touch ran >out
is "$(cat out)" 'ip2vsock: -c "hots": unknown CID "hots" (host, local, hypervisor or a number)
ip2vsock: -l "80=http": "http" is not a port (a number, a range such as 80-90, or "*")
ip2vsock: -r "connect 10.0.0.300:5 vsock 3:5":1:9: "10.0.0.300" is not an IPv4 address
ip2vsock: -r "a\nb":1:1: unknown statement "a" (host, connect, listen, default or include)
ip2vsock: -r "a\nb":2:1: unknown statement "b" (host, connect, listen, default or include)
ip2vsock: -u "bad name": not a realm name, expected 1 to 64 letters, digits, '\''.'\'', '\''_'\'' or '\''-'\''
ip2vsock: -c "": expected CID[:PORT], as in -c 3 or -c host:8080
ip2vsock: -c "3:": expected CID[:PORT], as in -c 3 or -c host:8080
ip2vsock: -c "3; x": expected CID[:PORT], as in -c 3 or -c host:8080
ip2vsock: -l "=80": expected [ADDR:]PORT=PORT or *, as in -l 127.0.0.1:8080=80
ip2vsock: -f "nosuch.map": cannot read this file: No such file or directory
status 125' 'mistakes in options name the option'
ok 'no program was run by any of them' test ! -e ran

long=a1234567890123456789012345678901234567890123456789012345678901234
has "$(told "$IP2VSOCK" -c 3 -u "$long" true)" 'not a realm name' 'a realm name of 65 characters'
is "$(variable_of IP2VSOCK_REALM -c 3 -u "${long#a}")" "${long#a}" 'and one of 64'
has "$(told "$IP2VSOCK" -c 3 -u '' true)" 'not a realm name' 'an empty realm name'
has "$(told "$IP2VSOCK" -c 3 -u a/b true)" 'not a realm name' 'a realm name with a slash'
has "$(IP2VSOCK_REALM='a b' told "$IP2VSOCK" -c 3 true)" 'IP2VSOCK_REALM "a b": not a realm name' 'in the environment'
is "$(IP2VSOCK_CID=x told "$IP2VSOCK" -c 3 true)" \
	'ip2vsock: IP2VSOCK_CID "x": not a CID, expected a number below 4294967295
status 125' 'a CID that is none'
has "$(IP2VSOCK_CID=4294967295 told "$IP2VSOCK" -c 3 true)" 'not a CID' 'nor is the "any" CID one'
is "$(IP2VSOCK_CID=4294967294 told "$IP2VSOCK" -c 3 true)" 'status 0' 'the largest CID'

is "$(told "$IP2VSOCK" -f "$work" true)" "ip2vsock: -f \"$work\": cannot read this file: Is a directory
status 125" '-f with a directory'
mkfifo fifo
is "$(told "$IP2VSOCK" -f fifo true)" \
	'ip2vsock: -f "fifo": not a regular file; each program reads the rules again, a pipe can be read only once
status 125' '-f with a pipe'
is "$(echo 'connect *:1 inet' | told "$IP2VSOCK" -f /dev/stdin true | sed -n '$p')" 'status 125' '-f /dev/stdin with a pipe'
is "$(rules_of -f /dev/stdin <web.map)" "include \"$work/web.map\"" 'with a file it is that file'
cp web.map 'a"b.map'
has "$(told "$IP2VSOCK" -f 'a"b.map' true)" 'double quote' 'a file name with a double quote is refused'
cp web.map secret.map
chmod 0 secret.map
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged='setpriv --reuid 65534 --regid 65534 --clear-groups'
# shellcheck disable=SC2086 # a command and its options
is "$(told $unprivileged "$IP2VSOCK" -f secret.map true)" 'ip2vsock: -f "secret.map": cannot read this file: Permission denied
status 125' 'a file that may not be read'

# --- wrong use

usage() { # MESSAGE NAME ARGUMENTS...
	message=$1 name=$2
	shift 2
	is "$(told "$IP2VSOCK" "$@")" "ip2vsock: $message
status 125" "$name"
}
usage 'no program given (try ip2vsock --help)' 'no program' -c 3
usage 'no program given (try ip2vsock --help)' 'nothing at all'
usage 'unknown option "-x" (try ip2vsock --help)' 'an unknown letter' -x true
usage 'unknown option "--nosuch" (try ip2vsock --help)' 'an unknown word' --nosuch true
usage '"--strict" is not an option with an argument (try ip2vsock --help)' 'an argument too many' --strict=yes true
usage '-c needs an argument (try ip2vsock --help)' 'an argument too few' -c
usage '--explain needs an argument (try ip2vsock --help)' 'for a long option, too' --explain
usage '--log "loud": unknown level "loud" (off, error, info or debug)' 'an unknown level' -c 3 --log loud true
usage '--log "info:": no file name after the colon' 'a log without a name' -c 3 --log info: true
usage '--log "info:no/such": cannot create this file' 'a log in no directory' -c 3 --log info:no/such true
usage '--log "info:second": is a directory' 'a log that is a directory' -c 3 --log info:second true
usage '--stats "x": not a process ID' '--stats' --stats x
usage '--stats takes one process ID, not "1 2"' '--stats, one PID too many' --stats 1 2
has "$("$IP2VSOCK" --help)" 'usage: ip2vsock [options] [--] program' '--help'
is "$("$IP2VSOCK" -h)" "$("$IP2VSOCK" --help)" '-h'
has "$("$IP2VSOCK" --version)" 'ip2vsock ' '--version'
sed "s,^w_library=.*,w_library='$work/nosuch.so'," "$IP2VSOCK" >broken
is "$(told sh ./broken -c 3 true)" "ip2vsock: cannot read $work/nosuch.so: is ip2vsock installed completely?
status 125" 'no library'
sed "s,^w_ctl=.*,w_ctl='$work/nosuch'," "$IP2VSOCK" >broken
is "$(told sh ./broken -c 3 true)" "ip2vsock: cannot run $work/nosuch: is ip2vsock installed completely?
status 125" 'no tool'
sed "s,^w_library=.*,w_library='$work/a b/lib.so'," "$IP2VSOCK" >broken
touch 'a b/lib.so'
is "$(told sh ./broken -c 3 true)" "ip2vsock: $work/a b/lib.so: LD_PRELOAD cannot name a path with a blank or colon
status 125" 'a library that cannot be preloaded'

# --- --check and --explain

is "$(told "$IP2VSOCK" -f web.map -c 3 -r 'connect *:9 inet' -u demo --check touch ran)" \
	'# in realm demo as CID 1
host 10.0.0.3 3 web.vm www                      # web.map:2
connect 10.8.0.0/16:8000-8099 vsock 4:9000-9099 # web.map:3
connect cache.vm:* vsock 5:*                    # web.map:4
#   cache.vm is 198.19.226.250
connect 10.66.0.0/16:* reject EHOSTUNREACH      # web.map:5
connect *:53 inet                               # web.map:6
listen *:80 vsock any:80                        # web.map:7
connect tcp *:* vsock 3:*                       # -c 3
connect *:9 inet                                # -r
default inet                                    # not said
status 0' '--check prints the rules as understood'
"$IP2VSOCK" -f web.map --strict --check >understood
is "$("$IP2VSOCK" -f understood --check | sed 's/ *#.*//')" "$(sed 's/ *#.*//' understood)" \
	'which is a mapping that says the same'
is "$(told "$IP2VSOCK" -f bad.map --check | sed -n '$p')" 'status 125' '--check with mistakes'
is "$(told "$IP2VSOCK" -f web.map --explain 'connect tcp 10.0.0.3:5432' --explain 10.66.1.1:1 \
	--explain '10.8.1.1:8042' --explain 'udp WEB.vm:5' --explain 'connect [::ffff:10.0.0.3]:1' touch ran)" \
	'connect tcp 10.0.0.3:5432
  rule    web.map:2: host 10.0.0.3 3
  result  goes to vsock 3:5432
  peer    is shown as 10.0.0.3:5432
connect tcp 10.66.1.1:1
  rule    web.map:5: connect 10.66.0.0/16:* reject EHOSTUNREACH
  result  refused with EHOSTUNREACH (No route to host)
connect tcp 10.8.1.1:8042
  rule    web.map:3: connect 10.8.0.0/16:8000-8099 vsock 4:9000-9099
  result  goes to vsock 4:9042
  peer    is shown as 10.8.1.1:8042
connect udp 10.0.0.3:5
  rule    web.map:2: host 10.0.0.3 3
  result  goes to vsock 3:5
  carrier a connection to vsock 3:1430519813
  peer    is shown as 10.0.0.3:5
connect tcp 10.0.0.3:1
  rule    web.map:2: host 10.0.0.3 3
  result  goes to vsock 3:1
  peer    is shown as 10.0.0.3:1
status 0' '--explain: connections'
is "$(told "$IP2VSOCK" -f web.map -u demo --explain 'listen tcp 0.0.0.0:80' --explain 'listen udp 0.0.0.0:80' \
	--explain 'listen [::1]:81')" \
	'listen tcp 0.0.0.0:80
  rule    web.map:7: listen *:80 vsock any:80
  result  listens on vsock any:80 of realm demo
  peers   are shown by their CID, CID 3 for example as 10.0.0.3
listen udp 0.0.0.0:80
  rule    web.map:7: listen *:80 vsock any:80
  result  listens on vsock any:80 of realm demo
  carrier connections to vsock any:1430519888
  peers   are shown by their CID, CID 3 for example as 10.0.0.3
listen tcp [::1]:81
  rule    none matches; default inet
  result  left to the network
status 0' '--explain: listeners'
is "$(told "$IP2VSOCK" -f web.map --strict --explain 1.1.1.1:5 --explain 'listen 1.1.1.1:5')" \
	'connect tcp 1.1.1.1:5
  rule    none matches; --strict: default reject
  result  refused with ECONNREFUSED (Connection refused)
listen tcp 1.1.1.1:5
  rule    none matches; --strict: default reject
  result  refused with EACCES (Permission denied)
status 0' '--explain: the default'
is "$(told "$IP2VSOCK" -f web.map --explain 'nosuch.vm:1' --explain '10.0.0.3:1')" \
	'ip2vsock: --explain "nosuch.vm:1": unknown name "nosuch.vm" (no rule mentions it)
connect tcp 10.0.0.3:1
  rule    web.map:2: host 10.0.0.3 3
  result  goes to vsock 3:1
  peer    is shown as 10.0.0.3:1
status 125' '--explain: a question that is none'
has "$(told "$IP2VSOCK" -f web.map --explain 'connect 10.0.0.3')" 'has no port' '--explain: no port'
ok '--check and --explain run nothing' test ! -e ran

finish
