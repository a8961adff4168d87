#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# With --strict nothing leaves that no rule names, by any call and from programs people use: in a network namespace where
# there is a way to every address, all frames are counted. Without it they do leave, in all the same ways.

# Namespaces to give orders in, with files of our own in /etc: lib.sh's, where the user stays who it is, are not enough.
if [ -z "${STRICT-}" ]; then
	export STRICT=inside IP2VSOCK_TEST_LONELY=tried
	for how in -nm -rnm; do
		unshare $how true 2>/dev/null && exec unshare $how sh "$0" "$@"
	done
	STRICT=outside
fi
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need ip unshare python3 getent
if [ "$STRICT" = outside ]; then
	[ "${CI-}" != true ] || fail "there are namespaces for this test"
	skip_all "no namespaces to give orders in"
fi

# --- a small world: names are asked of a server that does not answer, and everything goes out by a wire

mkdir etc
printf 'nameserver 192.0.2.53\noptions timeout:1 attempts:1\n' >etc/resolv.conf
printf 'hosts: files dns\nnetworks: files dns\n' >etc/nsswitch.conf
printf '127.0.0.1 localhost\n::1 localhost\n192.0.2.77 known.test\n' >etc/hosts
for file in resolv.conf nsswitch.conf hosts; do
	[ -e "/etc/$file" ] && mount --bind "etc/$file" "/etc/$file" || {
		[ "${CI-}" != true ] || fail "/etc/$file can be another"
		skip_all "no /etc/$file of our own"
	}
done

sysctl=/proc/sys/net
# The kernel's own frames, those of groups above all, come at once or not at all, and it asks for an address once.
silence() { # INTERFACE
	for setting in router_solicitations:0 accept_ra:0 accept_dad:0 mldv2_unsolicited_report_interval:1; do
		echo "${setting#*:}" >"$sysctl/ipv6/conf/$1/${setting%:*}"
	done
	echo 1 >"$sysctl/ipv4/conf/$1/igmpv3_unsolicited_report_interval"
	for version in ipv4 ipv6; do
		echo 1 >"$sysctl/$version/neigh/$1/mcast_solicit"
		echo 50 >"$sysctl/$version/neigh/$1/retrans_time_ms"
	done
}
ip link set lo up
if ip link add out type veth peer name wire 2>/dev/null; then
	echo 1 >"$sysctl/ipv6/conf/wire/disable_ipv6"
	ip link set wire up
elif ! ip link add out type dummy 2>/dev/null; then
	[ "${CI-}" != true ] || fail "there is a wire"
	skip_all "neither veth nor dummy interfaces here"
fi
silence out
ip link set out up
ip address add 192.0.2.1/24 dev out
ip -6 address add 2001:db8::1/64 dev out nodad
ip route add default dev out
ip -6 route add default dev out
for address in 192.0.2.9 192.0.2.53 2001:db8::9; do
	ip neighbour add $address lladdr 02:00:00:00:00:09 dev out nud permanent
done
# Who orders here may ping by datagrams.
echo '0 0' >"$sysctl/ipv4/ping_group_range"

is_quiet() {
	"$programs/frames" quiet sleep 0.3 && [ ! -s quiet ]
}

# COMMAND...: what left while it ran is in the file `left`, what it said in `said`; its status is that of the command.
watch() {
	rm -f left
	"$programs/frames" left "$@" </dev/null >said 2>&1
}

outlaw=$programs/outlaw
road=${ROADS%% *}
reason=$(road_closed "$road")
[ -z "$reason" ] || skip_all "$reason"
over_road=$IP2VSOCK
[ "$road" != realm ] || over_road="$IP2VSOCK -u $realm"
ok "the network is quiet by itself" wait_for 30 is_quiet

# --- every way there is

# Of names it is the question that is seen, and who asked.
question_of() { # WAY
	case $1 in
	address-host) echo 101.2.0.192.in-addr.arpa ;;
	address-host-r) echo 102.2.0.192.in-addr.arpa ;;
	address-name) echo 103.2.0.192.in-addr.arpa ;;
	address-name6) echo 4.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa ;;
	net-address) echo 0.1.0.10.in-addr.arpa ;;
	net-address-r) echo 0.2.0.10.in-addr.arpa ;;
	own-id) uname -n ;;
	name-* | dns-* | net-* | trusted) echo "$1.outlaw.test" ;;
	esac
}

# What a kernel does not have cannot leave.
is_unknown_here() {
	grep -qE ': (EPROTONOSUPPORT|ESOCKTNOSUPPORT|EAFNOSUPPORT|EPROTO|ENOSYS)$' said && [ ! -s left ]
}

asking=
for way in $("$outlaw" -l); do
	case $way in
	local-*) continue ;;
	esac
	if [ -n "$(question_of "$way")" ]; then
		asking="$asking $way"
		continue
	fi
	watch timeout $((2 * SCALE)) "$outlaw" -g "$outlaw" "$way"
	if [ -s left ]; then
		pass "$way: seen, without the library"
	elif is_unknown_here; then
		pass "$way: not in this kernel ($(cat said))"
	else
		fail "$way: seen, without the library" "$(cat said)"
	fi
done
# All at once: each waits for an answer.
# shellcheck disable=SC2086 # words
watch timeout $((10 * SCALE)) "$outlaw" -g "$outlaw" $asking
for way in $asking; do
	ok "$way: its question is seen, without the library" grep -qxF "dns $(question_of "$way")" left
done
ok "it is quiet again" wait_for 30 is_quiet

everything=$("$outlaw" -l)
# NAME COMMAND...: all ways at once by this command, and nothing leaves.
nothing_leaves() {
	leaves_name=$1
	shift
	# shellcheck disable=SC2086 # words
	watch timeout $((30 * SCALE)) "$outlaw" -g "$@" "$outlaw" $everything
	cp said "said.all"
	if [ ! -e left ]; then
		fail "$leaves_name: nothing leaves" "no witness: $(cat said)"
	elif [ ! -s left ]; then
		pass "$leaves_name: nothing leaves"
	else
		for way in $everything; do
			watch timeout $((10 * SCALE)) "$outlaw" -g "$@" "$outlaw" "$way"
			[ ! -s left ] || sed "s/^/$way: /" left
		done >culprits
		fail "$leaves_name: nothing leaves" "$(cat culprits)"
	fi
}

# NAME PATTERN [ERROR]: what the ways were told whose names match it.
are_told() {
	is "$(grep -E "^($2): " said.all | sort)" "$("$outlaw" -e ${3-} | grep -E "^($2): " | sort)" "$1: what each way is told"
}

# shellcheck disable=SC2086 # words
nothing_leaves "--strict" $over_road -q --strict --
are_told "--strict" '.*'
# shellcheck disable=SC2086
nothing_leaves "--strict, rules for others" $over_road -q --strict \
	-r 'connect 10.0.0.3:* vsock local:*; listen *:7 vsock any:7; connect 10.0.0.9:* inet' --
are_told "--strict, rules for others" '.*'
# shellcheck disable=SC2086
nothing_leaves "default reject EHOSTUNREACH" $over_road -q -r 'default reject EHOSTUNREACH' --
are_told "default reject EHOSTUNREACH" '.*' EHOSTUNREACH
# Rules retarget TCP and UDP. What else goes to such an address must not go there by the network.
others='(given-|received-)?(raw|ping|udplite|packet|sctp|dccp|l2tp|smc|uring|join|remote)(4|6|-.*)?'
# shellcheck disable=SC2086
nothing_leaves "--strict, all addresses mapped" $over_road -q --strict -r 'connect *:* vsock local:*; listen *:* vsock any:*' --
are_told "--strict, all addresses mapped" "$others"
for mapping in /nonexistent "$work/faulty"; do
	echo 'connect everything' >faulty
	nothing_leaves "$(basename "$mapping") as the mapping" env LD_PRELOAD="$library" IP2VSOCK_REALM="$realm" IP2VSOCK_FILE="$mapping" \
		ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
	sed -n 's/^\(join[^:]*\): EACCES$/\1: ENODEV/; /^ip2vsock\[/d; p' said.all >said.join && mv said.join said.all
	are_told "$(basename "$mapping") as the mapping" '.*' EACCES
done

# What rules leave alone does leave, and nothing beside it.
# RULE WAY WANTED-LEFT
leaves() {
	# shellcheck disable=SC2086
	watch timeout $((10 * SCALE)) "$outlaw" -g $over_road -q --strict -r "$1" -- "$outlaw" "$2"
	is "$(cat left)" "$3" "$1: $2 sends ${3:-nothing}"
}
leaves 'connect tcp 192.0.2.9:* inet' tcp4 tcp
leaves 'connect tcp 192.0.2.9:* inet' fastopen-sendmsg tcp
leaves 'connect tcp 192.0.2.9:* inet' udp-sendto4 ''
leaves 'connect udp 192.0.2.9:* inet' udp-sendto4 udp
leaves 'connect udp 192.0.2.9:* inet' given-udp-unspecified udp
leaves 'connect udp 192.0.2.9:* inet' raw-header ''
leaves 'connect 192.0.2.9:* inet' given-raw-message ''
leaves 'connect *:53 inet' name-addrinfo ''
leaves 'connect udp 224.0.0.99:* inet' join4 'ip 2'
leaves 'connect udp 224.0.0.99:* inet' join6 ''
leaves 'listen tcp *:* inet; connect tcp *:* inet' listen-unbound tcp

# --- what the log says

# WAY...: the log of them, one after the other, without what changes from run to run.
log_of() {
	for way; do
		# shellcheck disable=SC2086
		timeout $((10 * SCALE)) "$outlaw" -g $over_road --log info:log --strict -- "$outlaw" "$way" >said 2>&1
	done
	sed 's/^ip2vsock\[[0-9]*\]/ip2vsock[PID]/; / socket(/!s/(\([0-9][0-9]*\)\([,)]\)/(FD\2/' log
}
told_of='tcp4 fastopen-sendmsg udp-sendto4 udp-sendmmsg raw-icmp packet-datagram smc uring-connect listen4 listen-unbound6 join4
	given-raw received-packet name-addrinfo name-host address-name dns-query dns-send-of remote-shell local-name local-unix'
# shellcheck disable=SC2086 # words
is "$(export IP2VSOCK_STATS="$work/counters"; log_of $told_of)" \
	'ip2vsock[PID]: connect(FD, 192.0.2.9:4999) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: sendmsg(FD, 192.0.2.9:4999) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: sendto(FD, 192.0.2.9:4999) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: sendto(FD, [2001:db8::9]:4999) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: socket(AF_INET, SOCK_RAW, 1) -> reject = -1 EACCES
ip2vsock[PID]: socket(AF_PACKET, SOCK_DGRAM, 0) -> reject = -1 EACCES
ip2vsock[PID]: socket(43, SOCK_STREAM, 0) -> reject = -1 EACCES
ip2vsock[PID]: io_uring_setup() -> reject = -1 ENOSYS
ip2vsock[PID]: bind(FD, 0.0.0.0:0) -> reject = -1 EACCES
ip2vsock[PID]: listen(FD, [::]:0) -> reject = -1 EACCES
ip2vsock[PID]: setsockopt(FD, 224.0.0.99:0) -> reject = -1 ENODEV
ip2vsock[PID]: sendto(FD, 192.0.2.9:4999) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: sendto(FD) -> reject = -1 ECONNREFUSED
ip2vsock[PID]: getaddrinfo("name-addrinfo.outlaw.test") -> reject
ip2vsock[PID]: gethostbyname("name-host.outlaw.test") -> reject
ip2vsock[PID]: getnameinfo("192.0.2.103") -> reject
ip2vsock[PID]: res_query("dns-query.outlaw.test") -> reject
ip2vsock[PID]: res_nsend() -> reject = -1 ECONNREFUSED
ip2vsock[PID]: rcmd("127.0.0.1") -> reject' "each attempt is one line at info level"
is "$(IP2VSOCK_STATS=$work/counters "$IP2VSOCK" --stats | awk '/default reject/ { print $1, $2, $3 }')" "0 0 $(wc -l <log)" \
	"and is counted"

# --- names

printf 'host 10.0.0.3 1 mapped.test\nconnect *:7 vsock 1:7\n' >names.map
cat >names.py <<'END'
import os, socket, sys
def ask(name, port=80):
    try:
        return socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror as error:
        return error.strerror
print(ask("known.test"), ask("mapped.test"), ask("192.0.2.3"), ask("www.outlaw.test"))
invented = ask("www.outlaw.test", 7)
print(invented.rsplit(".", 2)[0], socket.gethostbyname("www.outlaw.test") == invented)
for line in "hosts: dns", "hosts: dns files":
    with open("/etc/nsswitch.conf", "w") as file:
        file.write(line + "\n")
    print(ask("known.test"), ask("other.outlaw.test"))
END
names_said='192.0.2.77 10.0.0.3 192.0.2.3 Name or service not known
198.19 True
192.0.2.77 Name or service not known
192.0.2.77 Name or service not known'
cp etc/nsswitch.conf nsswitch.conf.kept
# shellcheck disable=SC2086
watch $over_road -q --strict -f names.map -- /usr/bin/python3 names.py
cat nsswitch.conf.kept >etc/nsswitch.conf
is "$(cat said)" "$names_said" "names of /etc/hosts and the mapping are known, and those that a rule takes, whatever becomes of nsswitch.conf"
is "$(cat left)" '' "and nobody is asked"

# The daemon that keeps names would ask for others. It may be asked for its memory, not for names.
cat >nscd.py <<'END'
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("/run/nscd/socket")
server.listen(8)
while True:
    client = server.accept()[0]
    request = client.recv(512)
    if int.from_bytes(request[4:8], "little") in (4, 5, 6, 7, 14):  # GETHOSTBY..., GETAI of nscd/nscd-client.h
        print("asked", flush=True)
    client.close()
END
mount -t tmpfs none /run && mkdir /run/nscd
/usr/bin/python3 nscd.py >asked &
nscd=$!
servers="$servers $nscd"
wait_for 10 test -S /run/nscd/socket
timeout 10 getent hosts known.test >said
is "$(sort -u asked)" asked "nscd is asked for names, without the library"
: >asked
for name in known.test www.outlaw.test; do
	for database in hosts ahosts; do
		# shellcheck disable=SC2086
		timeout $((10 * SCALE)) $over_road -q --strict -- getent $database $name
	done
done >said
is "$(cat asked)" '' "and with --strict it is not"
is "$(sed 's/ .*//' said | sort -u)" 192.0.2.77 "who is known is found"
server_end $nscd
umount /run

# A C library that is told nothing: its own file of names, numbers, and nothing else.
musl_names() {
	cat >musl.c <<'END'
#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void ask(const char *name, int family)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list;
	int error = getaddrinfo(name, "80", &hints, &list);
	struct hostent *host = gethostbyname2(name, family ? family : AF_INET);
	char text[64] = "";

	printf("%s:", name);
	for (; !error && list; list = list->ai_next) {
		getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
		printf(" %s", text);
	}
	printf("%s, %s\n", error == EAI_NONAME ? " none" : error ? " error" : "",
	       host ? inet_ntop(host->h_addrtype, host->h_addr_list[0], text, sizeof text) : "none");
}

static void ask_address(const char *number)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct hostent *host;
	char name[256] = "none";

	inet_pton(AF_INET, number, &at.sin_addr);
	host = gethostbyaddr(&at.sin_addr, 4, AF_INET);
	getnameinfo((struct sockaddr *)&at, sizeof at, name, sizeof name, NULL, 0, 0);
	printf("%s: %s, %s\n", number, name, host ? host->h_name : "none");
}

int main(void)
{
	unsigned char answer[512];

	ask("known.test", AF_UNSPEC);
	ask("KNOWN.test", AF_INET6);
	ask("two.test", AF_UNSPEC);
	ask("two.test", AF_INET6);
	ask("mapped.test", AF_INET);
	ask("192.0.2.3", AF_UNSPEC);
	ask("2001:db8::3", AF_INET6);
	ask("www.outlaw.test", AF_UNSPEC);
	ask_address("192.0.2.77");
	ask_address("192.0.2.78");
	printf("res_query: %d\n", res_query("www.outlaw.test", 1, 1, answer, sizeof answer));
	return 0;
}
END
	cp etc/hosts hosts.kept
	{
		echo '# 192.0.2.1 www.outlaw.test'
		printf 'no-number www.outlaw.test\n%02000d www.outlaw.test\n' 0
		printf '2001:db8::2\tone.test two.test# www.outlaw.test\n192.0.2.2 two.test'
	} >>etc/hosts
	musl-gcc -D_GNU_SOURCE -w -o musl musl.c && watch $over_road -q --strict -r 'host 10.0.0.3 1 mapped.test' -- ./musl
	cat hosts.kept >etc/hosts
	is "$(cat said)" 'known.test: 192.0.2.77, 192.0.2.77
KNOWN.test: none, none
two.test: 2001:db8::2 192.0.2.2, 192.0.2.2
two.test: 2001:db8::2, 2001:db8::2
mapped.test: 10.0.0.3, 10.0.0.3
192.0.2.3: 192.0.2.3, 192.0.2.3
2001:db8::3: 2001:db8::3, 2001:db8::3
www.outlaw.test: none, none
192.0.2.77: known.test, known.test
192.0.2.78: 192.0.2.78, none
res_query: -1' "musl: names of /etc/hosts and the mapping are known"
	is "$(cat left)" '' "musl: nobody is asked"
	watch timeout $((2 * SCALE)) ./musl
	like "$(cat left)" 'dns *' "musl: its questions are seen, without the library"
}
if command -v musl-gcc >/dev/null 2>&1; then
	musl_names
elif [ "${CI-}" = true ]; then
	fail "musl-gcc is installed"
else
	skip "names with musl" "musl-gcc is not installed"
fi

# --- programs people use

# PROGRAM|NAME|COMMAND, as sh takes it.
cat >programs.list <<'END'
curl|by IPv4|curl -s -m 1 http://192.0.2.9/
curl|by IPv6|curl -s -m 1 'http://[2001:db8::9]/'
curl|by name|curl -s -m 1 http://www.outlaw.test/
curl|by a proxy|curl -s -m 1 -x socks5h://192.0.2.9:1080 http://www.outlaw.test/
curl|TFTP|curl -s -m 1 tftp://192.0.2.9/file
wget|by IPv4|wget -q -T 1 -t 1 -O - http://192.0.2.9/
wget|by name|wget -q -T 1 -t 1 -O - http://www.outlaw.test/
python3|urllib|/usr/bin/python3 -c 'import urllib.request as u; u.urlopen("http://192.0.2.9/", timeout=1)'
python3|urllib by name|/usr/bin/python3 -c 'import urllib.request as u; u.urlopen("http://www.outlaw.test/", timeout=1)'
python3|a datagram|/usr/bin/python3 -c 'from socket import *; socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("192.0.2.9", 9))'
python3|a raw socket|/usr/bin/python3 -c 'from socket import *; socket(AF_INET, SOCK_RAW, 253).sendto(b"x", ("192.0.2.9", 0))'
python3|a group|/usr/bin/python3 -c 'from socket import *; socket(AF_INET, SOCK_DGRAM).setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, inet_aton("224.0.0.251") + inet_aton("192.0.2.1"))'
python3|asyncio|/usr/bin/python3 -c 'import asyncio as a; a.run(a.wait_for(a.open_connection("192.0.2.9", 80), 1))'
python3|asyncio by name|/usr/bin/python3 -c 'import asyncio as a; a.run(a.wait_for(a.open_connection("www.outlaw.test", 80), 1))'
dig|UDP|dig +time=1 +tries=1 @192.0.2.53 www.outlaw.test
dig|TCP|dig +tcp +time=1 +tries=1 @192.0.2.53 www.outlaw.test
dig|by resolv.conf|dig +time=1 +tries=1 www.outlaw.test
host|by resolv.conf|host -W 1 -R 1 www.outlaw.test
nslookup|by resolv.conf|nslookup -timeout=1 -retry=1 www.outlaw.test
nc|TCP|nc -w 1 192.0.2.9 80
nc|UDP|echo x | nc -u -w 1 192.0.2.9 9
nc|by name|nc -w 1 www.outlaw.test 80
socat|TCP|socat -T 1 - tcp:192.0.2.9:80,connect-timeout=1
socat|UDP|echo x | socat -t 0.1 - udp:192.0.2.9:9
socat|UDP over IPv6|echo x | socat -t 0.1 - 'udp6-sendto:[2001:db8::9]:9'
socat|IP|echo x | socat -t 0.1 - ip4-sendto:192.0.2.9:253
socat|a group|echo x | socat -t 0.1 - udp4-datagram:224.0.0.251:5353,ip-add-membership=224.0.0.251:192.0.2.1
socat|frames|head -c 64 /dev/zero | socat -t 0.1 - interface:out
ping|IPv4|ping -c 1 -W 1 192.0.2.9
ping|IPv6|ping -6 -c 1 -W 1 2001:db8::9
arping|a stranger|arping -c 1 -w 1 -I out 192.0.2.12
traceroute|UDP|traceroute -n -m 1 -w 1 -q 1 192.0.2.9
traceroute|ICMP|traceroute -I -n -m 1 -w 1 -q 1 192.0.2.9
tracepath|UDP|timeout 1 tracepath -n -m 1 192.0.2.9
ssh|by IPv4|ssh -F none -o BatchMode=yes -o ConnectTimeout=1 192.0.2.9 true
ssh|by name|ssh -F none -o BatchMode=yes -o ConnectTimeout=1 www.outlaw.test true
node|http|node -e 'require("http").get("http://192.0.2.9/").on("error", e => process.exit(1)); setTimeout(() => process.exit(2), 1000)'
node|by name|node -e 'require("dns").lookup("www.outlaw.test", e => process.exit(1))'
node|a resolver of its own|node -e 'require("dns").resolve4("www.outlaw.test", e => process.exit(1)); setTimeout(() => process.exit(2), 1000)'
node|a datagram|node -e 'require("dgram").createSocket("udp4").send("x", 9, "192.0.2.9", e => process.exit(1))'
redis-cli|by IPv4|timeout 1 redis-cli -h 192.0.2.9 ping
getent|a name|getent hosts www.outlaw.test
getent|any address|getent ahosts www.outlaw.test
getent|an address|getent hosts 192.0.2.99
getent|a network|getent networks www.outlaw.test
perl|by IPv4|perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "192.0.2.9:80", Timeout => 1) or die "$@\n"'
perl|by name|perl -e 'gethostbyname("www.outlaw.test") or die "no name\n"'
bash|/dev/tcp|timeout 1 bash -c 'echo x >/dev/tcp/192.0.2.9/80'
bash|/dev/udp|bash -c 'echo x >/dev/udp/192.0.2.9/9'
openssl|s_client|timeout 1 openssl s_client -connect 192.0.2.9:443
iperf3|UDP|timeout 1 iperf3 -u -c 192.0.2.9 -t 1
tftp|UDP|timeout 1 tftp 192.0.2.9 -c get file
logger|UDP|logger -n 192.0.2.9 -P 514 -d hello
rsync|by IPv4|timeout 1 rsync rsync://192.0.2.9/
END

# COMMAND...: for each program of the list that is installed, with $program, $name and $command.
each_program() {
	while IFS='|' read -r program name command; do
		command -v "$program" >/dev/null 2>&1 && "$@"
	done <programs.list
}

program_is_seen() {
	watch timeout $((5 * SCALE)) sh -c "$command"
	ok "$program, $name: seen, without the library" test -s left
}

# It may say what it likes, and must not wait for an answer.
program_is_refused() {
	# shellcheck disable=SC2086
	watch timeout $((PATIENCE * SCALE)) $over_road -q --strict -- sh -c "$command"
	program_status=$?
	if [ ! -e left ] || [ -s left ]; then
		fail "$program, $name: nothing leaves" "$(cat left said)"
	elif [ $program_status -ge 124 ] && [ $program_status != 255 ]; then
		fail "$program, $name: nothing leaves, and it ends by itself" "status $program_status: $(cat said)"
	else
		pass "$program, $name: nothing leaves"
	fi
}

for program in $(cut -d '|' -f 1 programs.list | uniq); do
	command -v "$program" >/dev/null 2>&1 && continue
	if [ "${CI-}" = true ]; then
		fail "$program is installed"
	else
		skip "$program" "not installed"
	fi
done
each_program program_is_seen
ok "it is quiet once more" wait_for 30 is_quiet
each_program program_is_refused

# Static programs would not know of it.
if command -v busybox >/dev/null 2>&1 && ! ldd "$(command -v busybox)" >/dev/null 2>&1; then
	# shellcheck disable=SC2086
	watch $over_road --strict -- busybox wget -q -O - http://192.0.2.9/
	is "$? $(cat left)" '125 ' "busybox, which is static, is not started"
fi

# Those that listen are told when they start.
listeners() {
	# shellcheck disable=SC2086
	for command in '/usr/bin/python3 -m http.server 8000' 'nc -l 8000' 'socat tcp-listen:8000 -' 'socat udp-recv:8000 -' \
		'nc -u -l 8000' 'redis-server --port 8000 --save ""'; do
		command -v "${command%% *}" >/dev/null 2>&1 || continue
		watch timeout $((5 * SCALE)) $over_road -q --strict -- sh -c "exec $command"
		listener_status=$?
		[ $listener_status != 124 ]
		is "$?$(cat left)" 0 "$command: ends at once, status $listener_status"
	done
}
listeners

# --- and yet they reach whom they are to reach

mkdir site
echo 'over there' >site/page
echo 'host 10.0.0.3 1 web.test' >peers.map
echo 'listen udp *:* vsock any:*' >listen.map
# LOG OPTIONS COMMAND
start_peer() {
	# shellcheck disable=SC2086
	(cd site && exec $over_road -q --strict $2 -- sh -c "exec $3") >"$1" 2>&1 &
	server=$!
	servers="$servers $server"
}
start_peer web -l '/usr/bin/python3 -m http.server 8000'
start_peer echo '-f ../listen.map' 'socat -t 1 udp-recvfrom:7,fork exec:cat'
# shellcheck disable=SC2086
wait_for 60 $over_road -q --strict -f peers.map -- "$programs/knock" 10.0.0.3 8000 connect

reaches() { # PROGRAM NAME WANTED COMMAND
	command -v "$1" >/dev/null 2>&1 || return 0
	# shellcheck disable=SC2086
	watch timeout $((PATIENCE * SCALE)) $over_road -q --strict -f peers.map -- sh -c "$4"
	is "$(cat said)" "$3" "$1 reaches its peer $2"
	is "$(cat left)" '' "and nothing leaves"
}
reaches curl 'by name' 'over there' 'curl -s http://web.test:8000/page'
reaches curl 'by address' 'over there' 'curl -s http://10.0.0.3:8000/page'
reaches wget 'by name' 'over there' 'wget -q -O - http://web.test:8000/page'
reaches python3 'by name' 'over there' \
	"/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen(\"http://web.test:8000/page\").read().decode(), end=\"\")'"
reaches node 'by name' 'over there' "node -e 'require(\"http\").get(\"http://web.test:8000/page\", r => r.pipe(process.stdout))'"
cat >get.sh <<'END'
exec 3<>/dev/tcp/web.test/8000
printf 'GET /page HTTP/1.0\r\n\r\n' >&3
tail -n 1 <&3
END
reaches bash 'by /dev/tcp' 'over there' 'bash get.sh'
cat >get.pl <<'END'
use IO::Socket::INET;
my $s = IO::Socket::INET->new("web.test:8000") or die $@;
print $s "GET /page HTTP/1.0\r\n\r\n";
my $last;
$last = $_ while <$s>;
print $last;
END
reaches perl 'by name' 'over there' 'perl get.pl'
reaches socat 'over UDP' x 'echo x | socat -t 2 - udp:web.test:7'
reaches nc 'over UDP' x 'echo x | nc -u -w 1 10.0.0.3 7'
finish
