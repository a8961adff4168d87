#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shows what ip2vsock does: builds it, then runs an unmodified web server and curl over it.
#
#     sh contrib/demo.sh [--vsock]
#
# Without --vsock everything goes over a realm, which is local unix sockets, and the machine's own
# vsock is not touched. Nothing stays behind but the packages it says it installs.
set -u

usage='usage: sh contrib/demo.sh [--vsock]
  --vsock   use this machine'\''s own vsock, on the local CID 1 (needs the module vsock_loopback)'

transport=realm
for argument in "$@"; do
	case $argument in
	--vsock) transport=vsock ;;
	-h | --help)
		echo "$usage"
		exit 0
		;;
	*)
		echo "$usage" >&2
		exit 2
		;;
	esac
done

say() {
	printf '\n%s\n' "$*"
}

fail() {
	printf '\ndemo: %s\n' "$1" >&2
	exit 1
}

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
server=

finish() {
	status=$?
	trap - EXIT
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null
		wait "$server" 2>/dev/null
	fi
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# --- what is needed

# Words of packages, by their names on Debian.
missing() {
	for pair in gcc:gcc make:make autoconf:autoreconf automake:automake libtool:libtoolize \
		pkg-config:pkg-config curl:curl python3:python3; do
		command -v "${pair#*:}" >/dev/null 2>&1 || echo "${pair%%:*}"
	done
	command -v gcc >/dev/null 2>&1 &&
		echo '#include <stdio.h>' | gcc -E -x c - >/dev/null 2>&1 || echo libc6-dev
	[ -e /usr/include/uthash.h ] || [ -e /usr/local/include/uthash.h ] || echo uthash-dev
}

packages=$(missing | tr '\n' ' ')
if [ -n "$packages" ]; then
	root=
	[ "$(id -u)" = 0 ] || root=sudo
	if ! command -v apt-get >/dev/null 2>&1; then
		fail "please install these first: $packages
  Fedora, openSUSE: gcc make autoconf automake libtool pkgconf uthash-devel curl python3
  Arch:             gcc make autoconf automake libtool pkgconf uthash curl python"
	elif [ -n "$root" ] && ! command -v sudo >/dev/null 2>&1; then
		fail "please install these first, as root: apt-get install $packages"
	fi
	say "These packages are missing and will be installed: $packages"
	# shellcheck disable=SC2086 # one word each
	install() {
		$root apt-get -q update &&
			$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $packages
	}
	if ! install >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		fail 'the packages could not be installed'
	fi
fi

# --- build it, in a copy, so that this folder stays as it is

say "Building ip2vsock in $work (log: $work/log)"
build() {
	mkdir "$work/source" "$work/build" && cd "$top" || return
	tar -cf "$work/source.tar" --exclude=./.git --exclude=./build --exclude=./autom4te.cache . || return
	cd "$work/source" && tar -xf "$work/source.tar" || return
	[ ! -e Makefile ] || make distclean || return
	[ -x configure ] || autoreconf -fi || return
	cd "$work/build" && ../source/configure --prefix="$work/prefix" --disable-tests && make -j2 && make install
}
if ! (build) >"$work/log" 2>&1; then
	tail -n 30 "$work/log" >&2
	fail 'the build failed'
fi
PATH=$work/prefix/bin:$PATH
export PATH
ip2vsock --version || fail 'the wrapper does not run'

# --- a port that nobody has

listening() { # every local TCP port as in /proc: "ADDRESS:PORT STATE"
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print $2 }'
}
port=8000
while listening | grep -qi ":$(printf '%04X' "$port")\$"; do
	port=$((port + 1))
done

if [ "$transport" = realm ]; then
	# Two machines in one: the server lives as CID 3, curl as CID 2.
	cid=3
	server_line="IP2VSOCK_CID=3 ip2vsock -u demo-$$ -l python3 -m http.server $port"
	client="IP2VSOCK_CID=2 ip2vsock -u demo-$$"
else
	cid=local
	server_line="ip2vsock -r 'listen *:$port vsock local:$port' python3 -m http.server $port"
	client=ip2vsock
fi

# --- the web server

mkdir "$work/web" && cd "$work/web" || exit 1
echo 'Hello from the other side of a vsock.' >index.html
say 'An unmodified web server, told to listen on vsock:'
echo "\$ $server_line &"
eval "exec env PYTHONUNBUFFERED=1 $server_line" >"$work/server" 2>&1 &
server=$!
tries=0
until grep -qs '^Serving' "$work/server"; do
	tries=$((tries + 1))
	if ! kill -0 "$server" 2>/dev/null || [ "$tries" -gt 100 ]; then
		cat "$work/server" >&2
		[ "$transport" = realm ] || echo 'Is the module vsock_loopback loaded?' >&2
		fail 'the web server did not start'
	fi
	sleep 0.1 2>/dev/null || sleep 1
done
cat "$work/server"

# --- curl

# Runs what it shows.
try() {
	echo "\$ $1"
	eval "$1"
}

say 'And an unmodified curl, asking for an address, then for a name, that no network knows:'
rule="'host 10.0.0.3 $cid web.vm'"
for where in "10.0.0.3:$port" "web.vm:$port"; do
	line="$client -r $rule curl -sS --noproxy '*' http://$where/"
	echo "\$ $line"
	eval "$line" >"$work/answer" || fail "curl failed with status $?"
	cat "$work/answer"
	cmp -s index.html "$work/answer" || fail 'this is not what the server has'
done

say 'This is what the server saw; curl has an IP address for it:'
grep GET "$work/server" || fail 'the server saw nothing'

say 'How the address was decided:'
try "$client -r $rule --explain 'connect web.vm:$port'" || fail 'no explanation'

# --- the proof

say 'Is it really no TCP? The same curl on its own:'
if try "curl -sS --noproxy '*' --max-time 5 http://127.0.0.1:$port/" 2>&1; then
	fail 'that should have been refused'
else
	status=$?
	[ "$status" = 7 ] || fail "curl ended with status $status, 7 (could not connect) was expected"
fi

say "And the sockets of the server (process $server), compared with the TCP sockets of the system:"
sockets=0 tcp=0
for fd in "/proc/$server/fd"/*; do
	inode=$(readlink "$fd")
	case $inode in
	'socket:['*) ;;
	*) continue ;;
	esac
	inode=${inode#socket:\[}
	inode=${inode%\]}
	sockets=$((sockets + 1))
	if awk -v inode="$inode" '$10 == inode { found = 1 } END { exit !found }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null; then
		tcp=$((tcp + 1))
		kind=TCP
	elif line=$(awk -v inode="$inode" '$7 == inode { print $8; found = 1 } END { exit !found }' /proc/net/unix); then
		kind="unix ${line:-without a name}"
	else
		kind='neither TCP nor unix'
	fi
	echo "socket $inode: $kind"
done
[ "$sockets" -gt 0 ] || fail 'the server has no socket that could be looked at'
[ "$tcp" = 0 ] || fail "$tcp of them are TCP"
echo "$sockets of its sockets looked at, 0 of them TCP"

if [ "$transport" = realm ]; then
	say 'It works. With --vsock this demo uses the kernel'\''s vsock instead of unix sockets.'
else
	say 'It works.'
fi
