#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# redis-server, redis-cli and redis-benchmark with 50 clients.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need redis-server redis-cli redis-benchmark

redis() {
	start redis.log "$road" redis-server --port 6379 --save '' --appendonly no --dir "$work"
	ready "redis answers over $road" "$road" 10.0.0.3 6379 || return
	no_tcp "redis over $road" 10.0.0.3 6379
	is "$(over "$road" redis-cli -h 10.0.0.3 ping 2>&1)" PONG "redis-cli over $road"
	head -c 1000000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >value
	is "$(over "$road" redis-cli -h 10.0.0.3 -x set key <value 2>&1)" OK "a value of 2 MB is set over $road"
	over "$road" redis-cli -h 10.0.0.3 --raw get key 2>&1 | tr -d '\n' >got
	ok "and is the same when it comes back over $road" cmp got value
	like "$(over "$road" redis-cli -h 10.0.0.3 client list 2>&1)" '*addr=127.0.0.1:*laddr=*:6379*' \
		"redis sees a peer of this machine over $road"
	for pipeline in 1 16; do
		over "$road" redis-benchmark -h 10.0.0.3 -p 6379 -c 50 -P $pipeline -n "$(scaled 20000)" -t ping,set,get,lrange_100 \
			--csv >bench 2>&1
		is "$?" 0 "redis-benchmark -c 50 -P $pipeline over $road"
		# One line for each test, all of them numbers, nothing else said.
		is "$(grep -c '^"[A-Z].*","[0-9.]*"' bench) $(grep -ic error bench)" '6 0' "with numbers and no error over $road"
	done
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || redis
done
finish
