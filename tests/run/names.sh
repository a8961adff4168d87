#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Names: the same answers as from /etc/hosts, field by field; and names that nobody knows, where a rule for every
# address takes them.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need unshare ip python3 getent

if [ "$(id -u)" = 0 ]; then
	user=
else # root of a namespace
	user=-r
fi
# shellcheck disable=SC2086 # an option or none
unshare $user -n -m true 2>/dev/null || skip_all "no namespaces for files of our own in /etc"

road=${ROADS%% *}
case $road in
realm) over_map="-u $realm" ;;
*) over_map= ;;
esac
reason=$(road_closed "$road")
[ -z "$reason" ] || skip_all "$reason"

# --- a small world: files of our own in /etc, and a network namespace with nothing in it, lo down

mkdir "$work/etc"
: >"$work/etc/resolv.conf"
echo 'multi on' >"$work/etc/host.conf"
printf 'hosts: files\nservices: files\n' >"$work/etc/nsswitch.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$work/etc/hosts"

# COMMAND...: there. $before is run first.
before=:
in_world() {
	# shellcheck disable=SC2016,SC2086
	WORK_ETC=$work/etc BEFORE=$before unshare $user -n -m sh -c '
		for file in hosts host.conf nsswitch.conf resolv.conf gai.conf; do
			[ ! -e "$WORK_ETC/$file" ] || [ ! -e "/etc/$file" ] ||
				mount --bind "$WORK_ETC/$file" "/etc/$file" || exit 99
		done
		eval "$BEFORE" || exit 99
		exec "$@"' world "$@"
}

# RULES COMMAND...: there, with these rules.
mapped() {
	mapped_rules=$1
	shift
	# shellcheck disable=SC2086
	in_world "$IP2VSOCK" $over_map -r "$mapped_rules" -- "$@"
}

# --- the mapping against /etc/hosts

names_map=$test_dir/names.map
with_hosts() { # PROGRAM CASE
	# An address of each family, because of AI_ADDRCONFIG: vsock needs none.
	before='ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip address add 2001:db8::1/128 dev lo nodad'
	cp "$work/etc/hosts" "$work/hosts.bare"
	sed -n 's/^host \([^ ]*\) *[0-9]* *\([a-z]\)/\1 \2/p' "$names_map" >>"$work/etc/hosts"
	in_world "$programs/$1" "$2" 127.0.0.1 80 2>&1
	echo "exit $?"
	cat "$work/hosts.bare" >"$work/etc/hosts"
	before=:
}

for program in resolve lookup; do
	for case in $("$programs/$program" -l); do
		! printf '%s\n' "$program $case" | grep -qE "${TEST_EXCEPT:-^\$}" || continue
		printf '%s\n' "$program $case" | grep -qE "${TEST_ONLY:-.}" || continue
		with_hosts "$program" "$case" >"$work/wanted"
		# shellcheck disable=SC2086
		in_world "$IP2VSOCK" $over_map -f "$names_map" -- "$programs/$program" "$case" 127.0.0.1 80 >"$work/got" 2>&1
		echo "exit $?" >>"$work/got"
		if [ "$(tail -n 1 "$work/wanted")" != 'exit 0' ]; then
			fail "$program $case" "with /etc/hosts: $(tail -n 5 "$work/wanted")"
		elif cmp -s "$work/wanted" "$work/got"; then
			pass "$program $case: $(wc -l <"$work/wanted") lines as with /etc/hosts"
		else
			fail "$program $case" "$(diff -U 2 "$work/wanted" "$work/got" | tail -n +3)"
		fi
	done
done

# --- what /etc/hosts does not have

# FAMILY PORT NAME...: for each the addresses, or the error.
cat >"$work/ask.py" <<'EOF'
import socket, sys
family = {"unspec": 0, "inet": socket.AF_INET, "inet6": socket.AF_INET6}[sys.argv[1]]
for name in sys.argv[3:]:
    try:
        found = socket.getaddrinfo(name, sys.argv[2] or None, family, socket.SOCK_STREAM)
        print(*[entry[4][0] for entry in found])
    except socket.gaierror as error:
        print(next(word for word in dir(socket) if word.startswith("EAI_") and getattr(socket, word) == error.errno))
    except UnicodeError:
        print("Python itself does not take it")
EOF
ask() { # RULES NAME [FAMILY [PORT]]
	mapped "$1" /usr/bin/python3 "$work/ask.py" "${3:-unspec}" "${4-}" "$2" 2>&1
}
ask_each() { # RULES NAME...
	each_rules=$1
	shift
	mapped "$each_rules" /usr/bin/python3 "$work/ask.py" inet '' "$@" 2>&1
}

isnt() { # GOT UNWANTED NAME
	if [ "$1" != "$2" ]; then
		pass "$3"
	else
		fail "$3" "got: $1"
	fi
}

host='host 10.0.0.3 3 db.vm'
is "$(ask "$host" db.vm.)" 10.0.0.3 "a dot at the end of a name of the mapping"
is "$(ask 'connect cache.vm:* vsock 5:*' cache.vm | cut -d . -f 1,2)" 198.19 "a name of a rule, without a host line"
is "$(ask "$host" nosuch.vm)" EAI_NONAME "a name that nobody knows, and no rule for every address"

# --- names that nobody knows

every='connect *:* vsock 3:*'
invented=$(ask "$every" db.vm)
like "$invented" '198.19.*.*' "a rule for every address: db.vm has an address"
is "$(ask "$every" db.vm)" "$invented" "the same one in another process"
is "$(ask "$every" DB.vm.)" "$invented" "and for DB.vm."
is "$(ask "$every" db.vm inet 5432)" "$invented" "with a port"
got=$(ask "$every" web.vm)
like "$got" '198.19.*.*' "web.vm has one as well"
isnt "$got" "$invented" "which is another"
v6=$(ask "$every" db.vm inet6)
like "$v6" 'fd69:7032:7673:1::*' "asked for IPv6: an IPv6 one"
is "$(ask "$every" db.vm inet6)" "$v6" "always the same"
is "$(mapped "$every" getent ahostsv4 db.vm | head -n 1 | tr -s ' ')" "$invented STREAM db.vm" "getent(1): getaddrinfo"
is "$(mapped "$every" getent hosts db.vm | tr -s ' ')" "$v6 db.vm" "getent(1): gethostbyname2, of IPv6 first"
is "$(mapped "$every" /usr/bin/python3 -c 'import socket; print(socket.gethostbyname_ex("db.vm"))')" \
	"('db.vm', [], ['$invented'])" "gethostbyname_r"
is "$(ask "connect cache.vm:* vsock 5:*; $every" cache.vm | cut -d . -f 1,2)" 198.19 \
	"a name of a rule keeps its address"

# Who has this address already has it.
got=$(ask "host $invented 7 taken.vm; $every" db.vm)
like "$got" '198.19.*.*' "where the address is a host's, another is found"
isnt "$got" "$invented" "which is not that one"

port='connect *:5432 vsock 3:*'
is "$(ask "$port" db.vm inet 5432)" "$invented" "a rule for every address and one port: this port"
is "$(ask "$port" db.vm inet postgresql)" "$invented" "by its name"
is "$(ask "$port" db.vm inet 80)" EAI_NONAME "another port: nobody knows the name"
is "$(ask "$port" db.vm)" "$invented" "no port said yet"

for rules in 'connect *:* inet' 'connect *:* reject' "connect *:* inet; $every" 'connect 0.0.0.0/0:* vsock 3:*' \
	"connect 198.19.0.0/16:* reject; $every" 'listen *:* vsock any:*'; do
	is "$(ask "$rules" db.vm)" EAI_NONAME "not with: $rules"
done

is "$(IP2VSOCK_LOG=info ask "$every" db.vm inet 80 | sed 's/[0-9][0-9]*\]/PID]/')" \
	"ip2vsock[PID]: nobody knows \"db.vm\", a rule for every address takes it: $invented
$invented" "the log says so, once"

set -- nosuch.invalid invalid 1.2.3.4. 1.2.3.256 0x7f.2.x..y a..b .vm 'a b' '' "$(uname -n)" \
	"$(printf '%063d.%064d.vm' 0 0)" x.localhost
is "$(ask_each "$every" "$@")" "$(ask_each "$host" "$@")" "never invented: $*"
is "$(ask "$every" localhost)" "$(ask "$host" localhost)" "localhost stays"
is "$(ask "$every" 10.0.0.1 inet6)" EAI_ADDRFAMILY "a number in the wrong family stays an error"
echo '10.9.8.7 known.vm' >>"$work/etc/hosts"
is "$(ask "$every" known.vm)" 10.9.8.7 "what the resolver knows is its answer"
is "$(ask "$host" known.vm)" 10.9.8.7 "whatever the mapping has"
is "$(mapped "$every" /usr/bin/python3 -c 'import socket
for flags in socket.AI_PASSIVE, socket.AI_NUMERICHOST:
    try:
        print(socket.getaddrinfo("db.vm", 80, 0, socket.SOCK_STREAM, 0, flags))
    except socket.gaierror as error:
        print(error.errno == socket.EAI_NONAME)')" 'True
True' "neither for a listener nor where a number is asked for"

# --- a DNS server that says nothing, and counts

printf 'hosts: files dns\nservices: files\n' >"$work/etc/nsswitch.conf"
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$work/etc/resolv.conf"
cat >"$work/silent.py" <<'EOF'
import os, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.setblocking(False)

def queries():
    count = 0
    try:
        while server.recv(512):
            count += 1
    except BlockingIOError:
        return count

for what in sys.argv[1:]:
    os.environ["WHAT"] = what
    os.system("""exec "$IP2VSOCK" $OVER_MAP -r "$RULES" -- /usr/bin/python3 -c '
import os, socket
try:
    print(eval(os.environ["WHAT"]))
except (socket.gaierror, socket.herror) as error:
    print(error.strerror)'""")
    print("queries:", "some" if queries() else "none", flush=True)
EOF
before='ip link set lo up'
silent() { # RULES EXPRESSION...
	RULES=$1 OVER_MAP=$over_map
	shift
	export RULES OVER_MAP
	in_world /usr/bin/python3 "$work/silent.py" "$@" 2>&1
}
is "$(silent "$host; host 10.0.0.4 4; $every" 'socket.getaddrinfo("db.vm", 80)[0][4]' \
	'socket.getnameinfo(("10.0.0.3", 80), socket.NI_NUMERICSERV)' \
	'socket.getnameinfo(("::ffff:10.0.0.3", 80), socket.NI_NUMERICSERV)' \
	'socket.gethostbyaddr("::ffff:10.0.0.3")' \
	'socket.getnameinfo(("10.0.0.4", 80), socket.NI_NUMERICSERV)' \
	'socket.getnameinfo(("198.18.0.3", 80), 0)' \
	'socket.getnameinfo(("198.18.0.3", 80), socket.NI_NAMEREQD)' \
	'socket.gethostbyaddr("198.18.0.3")' \
	"socket.getnameinfo((\"$invented\", 80), 0)" \
	'socket.getnameinfo(("240.1.2.3", 22), 0)' \
	'socket.getnameinfo(("fd69:7032:7673::3", 22), 0)' \
	"socket.getnameinfo((\"$v6\", 22), 0)")" "('10.0.0.3', 80)
queries: none
('db.vm', '80')
queries: none
('db.vm', '80')
queries: none
('db.vm', [], ['::ffff:10.0.0.3'])
queries: none
('10.0.0.4', '80')
queries: none
('198.18.0.3', 'http')
queries: none
Name or service not known
queries: none
Unknown host
queries: none
('$invented', 'http')
queries: none
('240.1.2.3', 'ssh')
queries: none
('fd69:7032:7673::3', 'ssh')
queries: none
('$v6', 'ssh')
queries: none" "addresses that mean something here only: no DNS query"
is "$(silent "$every" 'socket.getaddrinfo("db.vm", 80, 0, 1)[0][4][0]')" "$invented
queries: some" "a name that nobody knows: DNS is asked first"
is "$(silent "connect 198.18.0.0/15:* inet; $every" 'socket.getnameinfo(("198.18.0.3", 80), 0)')" \
	"Temporary failure in name resolution
queries: some" "a rule that leaves the range to the network: DNS is asked"
before=:
finish
