#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# PostgreSQL, psql and pgbench with 8 clients.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
PATH=$PATH:$bin
need initdb postgres psql pgbench

# PostgreSQL does not run as root.
as_user() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	fi
}
mkdir data
[ "$(id -u)" != 0 ] || chown nobody data

as_user env HOME="$work/data" initdb -D "$work/data/db" -U test -A trust -N --no-instructions --locale C >initdb.log 2>&1 || {
	fail "initdb" "$(tail -n 5 initdb.log)"
	finish
}

postgres() {
	cat >>"$work/data/db/postgresql.conf" <<END
listen_addresses = '*'
port = 5432
unix_socket_directories = ''
fsync = off
max_connections = 30
END
	# shellcheck disable=SC2046 # words
	start postgres.log "$road" $([ "$(id -u)" != 0 ] ||
		echo setpriv --reuid nobody --regid nogroup --clear-groups) "$bin/postgres" -D "$work/data/db"
	ok "postgres answers over $road" wait_for 60 sql 'select 1'
	no_tcp "postgres over $road" 10.0.0.3 5432
	is "$(sql 'select 40 + 2')" 42 "psql over $road"
	like "$(sql "select host(inet_client_addr()) || ' ' || host(inet_server_addr()) || ' ' || inet_server_port()")" \
		'127.0.0.1 * 5432' "postgres knows the addresses over $road"
	is "$(sql "select length(repeat('x', 5000000))")" 5000000 "a long string over $road"
	seq 1 "$(scaled 100000)" >numbers
	sql 'create table numbers (n int)' >/dev/null
	over "$road" psql -h 10.0.0.3 -U test -d postgres -qc '\copy numbers from numbers' 2>&1
	over "$road" psql -h 10.0.0.3 -U test -d postgres -qc '\copy numbers to got' 2>&1
	ok "copy there and back is the same over $road" cmp numbers got
	sql 'drop table numbers' >/dev/null
	over "$road" pgbench -h 10.0.0.3 -U test -q -i -s 1 postgres >init 2>&1
	is "$?" 0 "pgbench prepares over $road"
	over "$road" pgbench -h 10.0.0.3 -U test -n -c 8 -j 2 -t "$(scaled 200)" postgres >bench 2>&1
	is "$?" 0 "pgbench -c 8 over $road"
	like "$(cat bench)" "*actually processed: $((8 * $(scaled 200)))/$((8 * $(scaled 200)))*failed transactions: 0 *" \
		"every transaction was processed over $road"
	over "$road" pgbench -h 10.0.0.3 -U test -n -C -S -c 8 -t "$(scaled 40)" postgres >bench 2>&1
	is "$?" 0 "pgbench with a connection for each transaction over $road"
	ok "the server sees every connection end over $road" wait_for 20 alone
	kill -INT "$server"
	server_end "$server"
	# The first who ask may be told to wait, and the last may still be closing.
	is "$(grep -E 'PANIC|FATAL|ERROR' postgres.log | grep -v -e 'is starting up' -e 'due to administrator command')" '' "nothing went wrong over $road"
}

# The one that asks is the only client.
alone() {
	[ "$(sql "select count(*) from pg_stat_activity where backend_type = 'client backend'")" = 1 ]
}

sql() {
	over "$road" psql -h 10.0.0.3 -U test -d postgres -Atqc "$1" 2>&1
}

for road in $ROADS; do
	closed "$road" || postgres
done
finish
