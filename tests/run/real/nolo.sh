#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs that reach servers by name where there is no network, no resolv.conf, and not even lo is up.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need unshare curl python3
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
PATH=$PATH:$bin

lo_is_up() {
	[ "$(($(cat /sys/class/net/lo/flags) & 1))" = 1 ]
}

# Nothing is up in a new network namespace. (/sys shows the one that it was mounted in.)
if [ -z "${IP2VSOCK_TEST_NOLO-}" ]; then
	export IP2VSOCK_TEST_NOLO=tried
	user=-r
	[ "$(id -u)" != 0 ] || user=
	# shellcheck disable=SC2086 # an option or none
	unshare $user -n -m true 2>/dev/null || skip_all "no namespaces of our own"
	trap - EXIT
	cd / && rm -rf "$work"
	# shellcheck disable=SC2086
	exec unshare $user -n -m sh "$test_dir/real/nolo.sh"
fi
mount -t sysfs sys /sys 2>/dev/null
! lo_is_up || {
	fail "lo is down here"
	finish
}
pass "lo is down here"

: >"$work/resolv.conf"
printf 'hosts: files dns\nservices: files\n' >"$work/nsswitch.conf"
echo '127.0.0.1 localhost' >"$work/hosts"
for file in resolv.conf nsswitch.conf hosts; do
	[ ! -e "/etc/$file" ] || mount --bind "$work/$file" "/etc/$file" || {
		fail "/etc/$file is ours"
		finish
	}
done
is "$(over plain curl -sS --noproxy '*' http://db.vm:8000/ 2>&1)" 'curl: (6) Could not resolve host: db.vm' \
	"without the library the name is not known"

# ROAD RULES COMMAND...
by() {
	by_road=$1 by_rules=$2
	shift 2
	case $by_road in
	realm) timeout "$((60 * SCALE))" "$IP2VSOCK" -u "$realm" -r "$by_rules" -- "$@" 2>&1 ;;
	vsock) timeout "$((60 * SCALE))" "$IP2VSOCK" -r "$by_rules" -- "$@" 2>&1 ;;
	esac
}

# The rule with a name, and those without: -c 1, and one for its port.
with_every_rule() { # ROAD PORT WANTED NAME COMMAND...
	every_road=$1 every_port=$2 every_wanted=$3 every_name=$4
	shift 4
	for rule in 'host 10.0.0.3 1 db.vm' "connect db.vm:$every_port vsock 1:*" 'connect tcp *:* vsock 1:*' \
		"connect *:$every_port vsock 1:*"; do
		is "$(by "$every_road" "$rule" "$@")" "$every_wanted" "$every_name over $every_road: $rule"
	done
}

web() { # ROAD
	start web.log "$1" /usr/bin/python3 -u -m http.server 8000 --bind 0.0.0.0 --directory "$work"
	ready "a web server over $1" "$1" 10.0.0.3 8000 || return
	with_every_rule "$1" 8000 '127.0.0.1 localhost' curl curl -sS --noproxy '*' http://db.vm:8000/hosts
	with_every_rule "$1" 8000 '127.0.0.1 localhost' Python /usr/bin/python3 -c 'import urllib.request
print(urllib.request.urlopen("http://db.vm:8000/hosts").read().decode().strip())'
	server_end "$server"
}

# PostgreSQL does not run as root.
postgres() { # ROAD
	cat >>"$work/data/db/postgresql.conf" <<END
listen_addresses = '*'
port = 5432
unix_socket_directories = ''
fsync = off
log_hostname = on
END
	start postgres.log "$1" setpriv --reuid nobody --regid nogroup --clear-groups "$bin/postgres" -D "$work/data/db"
	ready "postgres over $1" "$1" 10.0.0.3 5432 || return
	with_every_rule "$1" 5432 42 psql psql -h db.vm -U test -d postgres -Atqc 'select 40 + 2'
	kill -INT "$server"
	server_end "$server"
}

if [ "$(id -u)" = 0 ] && command -v initdb >/dev/null && setpriv --reuid nobody --regid nogroup --clear-groups true; then
	mkdir data
	chown nobody data
	setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$work/data" \
		initdb -D "$work/data/db" -U test -A trust -N --no-instructions --locale C >initdb.log 2>&1
	is $? 0 initdb
else
	skip psql "needs initdb, and root who may become nobody"
fi
for road in $ROADS; do
	closed "$road" && continue
	web "$road"
	[ ! -e data ] || postgres "$road"
done
finish
