#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# memcached: one thread accepts and hands connections to four others.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need memcached python3

# Eight connections, each sets and gets its own values and counts together with the others.
cat >"$work/client.py" <<'END_OF_CLIENT'
import socket, sys, threading

rounds = int(sys.argv[1])
good = []

def work(number):
    stream = socket.create_connection(("10.0.0.3", 11211)).makefile("rwb")
    def ask(request, lines=1):
        stream.write(request)
        stream.flush()
        return [stream.readline().strip() for _ in range(lines)]
    for i in range(rounds):
        value = b"%d-%d" % (number, i)
        if ask(b"set k%d 0 0 %d\r\n%s\r\n" % (number, len(value), value)) != [b"STORED"]:
            return
        if ask(b"get k%d\r\n" % number, 3)[1:] != [value, b"END"]:
            return
        ask(b"incr all 1\r\n")
    large = bytes(range(33, 123)) * 10000
    ask(b"set large%d 0 0 %d\r\n%s\r\n" % (number, len(large), large))
    if ask(b"get large%d\r\n" % number, 3)[1] == large:
        good.append(number)

first = socket.create_connection(("10.0.0.3", 11211)).makefile("rwb")
first.write(b"set all 0 0 1\r\n0\r\n")
first.flush()
first.readline()
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
first.write(b"get all\r\n")
first.flush()
print(len(good), [first.readline().strip() for _ in range(3)][1].decode())
END_OF_CLIENT

memcached_over() {
	# It refuses to run as root unless it is told to be somebody.
	start memcached.log "$road" memcached -U 0 -p 11211 -t 4 -l 0.0.0.0 -u root
	ready "memcached answers over $road" "$road" 10.0.0.3 11211 || return
	no_tcp "memcached over $road" 10.0.0.3 11211
	rounds=$(scaled 200)
	is "$(over "$road" python3 "$work/client.py" "$rounds" 2>&1)" "8 $((8 * rounds))" \
		"eight clients set, get and count over $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || memcached_over
done
finish
