#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# socat, netcat and memcached by UDP; nginx as a proxy of UDP, and with haproxy as a sender of logs.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need socat nc memcached nginx haproxy rsyslogd dnsmasq dig curl /usr/bin/python3

echo 'listen udp *:* vsock any:*' >>"$map"
mkdir tmp

# What socat hears of PORT in answer to WORD. It always waits for so many seconds, as UDP knows no end.
socat_patience=$((SCALE > 1 ? 5 : 1))
socat_ask() { # PORT WORD
	echo "$2" | over "$road" socat -t "$socat_patience" - "UDP:$host:$1" 2>&1
}

socat_answers() { # PORT
	[ "$(socat_ask "$1" word)" = 'heard word' ]
}

# One datagram (RECVFROM), or one peer, to whom the socket is connected (LISTEN), and as relays from one to another.
socats() {
	for kind in RECVFROM LISTEN; do
		for i in 1 2 3; do
			start socat.log "$road" socat -T $((10 * SCALE)) "UDP4-$kind:9101,reuseaddr" \
				SYSTEM:'read -r word; echo "heard $word"'
			ok "socat UDP-$kind answers over $road (client $i)" wait_for 60 socat_answers 9101
			server_end "$server"
		done
	done
	start end.log "$road" socat -u UDP4-RECV:9103 "CREATE:$work/end.got"
	end=$server
	start relay.log "$road" socat -u UDP4-RECV:9104 "UDP4-SENDTO:$host:9103"
	ok "socat relays from one socket to another over $road" wait_for 60 relayed
	no_udp "socat over $road" 9103
	no_udp "socat over $road" 9104
	: >end.got
	for i in 1 2 3 4 5 6 7 8; do
		echo "word $i" | over "$road" socat -u - "UDP-SENDTO:$host:9104"
	done
	wait_for 20 grep -q 'word 8' end.got
	is "$(tr -d '\0' <end.got | grep -a word)" "$(seq 8 | sed 's/^/word /')" "8 datagrams through socat over $road"
	server_end "$server"
	server_end "$end"
}

# One child for each datagram, which the parent has only looked at (RECVFROM), or for each peer, to whom the child connects
# the socket while the parent binds another one to the port (LISTEN).
forking_socats() {
	for kind in RECVFROM LISTEN; do
		port=$([ $kind = LISTEN ] && echo 9106 || echo 9107)
		start socat.log "$road" socat -T $((10 * SCALE)) "UDP4-$kind:$port,reuseaddr,fork" \
			SYSTEM:'read -r word; echo "heard $word"'
		ok "socat UDP-$kind,fork answers over $road" wait_for 60 socat_answers "$port"
		for i in 1 2 3 4; do
			socat_ask "$port" "word $i"
		done >socats.got
		is "$(cat socats.got)" "$(seq 4 | sed 's/^/heard word /')" "four socats ask socat UDP-$kind,fork over $road"
		server_end "$server"
	done
}

relayed() {
	echo first | over "$road" socat -u - "UDP-SENDTO:$host:9104"
	grep -q first end.got
}

netcat() {
	mkfifo speak
	(exec_over "$road" nc -u -l -p 9105) <speak >listen.got 2>listen.err &
	listener=$!
	servers="$servers $listener"
	exec 9>speak
	mkfifo ask
	exec 8<>ask
	netcat_asks
	wait_for 60 netcat_hears
	ok "nc -l hears over $road" grep -q hello listen.got
	no_udp "nc over $road" 9105
	echo answer >&9
	ok "nc hears an answer over $road" wait_for 20 grep -q '^answer$' asker.got
	head -c 1000 file | tr -dc a-z | tee word >&8
	echo >&8
	ok "and goes on over $road" wait_for 20 grep -q "^$(cat word)$" listen.got
	exec 8>&- 9>&-
	server_end "$asker"
	server_end "$listener"
	is "$(cat listen.err asker.err)" '' "nc has nothing to complain of over $road"
	rm -f speak ask listen.got asker.got
}

netcat_asks() {
	(exec_over "$road" nc -u "$host" 9105) <ask >asker.got 2>asker.err 8>&- 9>&- &
	asker=$!
	servers="$servers $asker"
}

# What is sent before the listener is there is lost, and whoever sent it ends when he is told so.
netcat_hears() {
	process_runs "$asker" || netcat_asks
	echo hello >&8
	grep -q hello listen.got
}

# memcached's UDP: eight bytes before each datagram, and answers of several datagrams; four threads read one socket.
cat >memcached.py <<'END'
import random, socket, struct, sys, threading

host, patience = sys.argv[1], float(sys.argv[2])
good = []

class Client:
    def __init__(self, number):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, 11212))
        self.socket.settimeout(patience)
        self.request = number * 1000

    def ask(self, command):
        """What is lost is asked again."""
        for _ in range(10):
            self.request += 1
            self.socket.send(struct.pack("!4H", self.request, 0, 1, 0) + command)
            parts = {}
            try:
                while not parts or len(parts) < count:
                    request, part, count, _ = struct.unpack("!4H", (data := self.socket.recv(2000))[:8])
                    if request == self.request:
                        parts[part] = data[8:]
            except socket.timeout:
                continue
            return b"".join(parts[i] for i in range(count))
        raise TimeoutError

def work(number):
    client = Client(number)
    for i in range(20):
        key, value = b"k%d" % number, b"%d-%d" % (number, i)
        if client.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)) != b"STORED\r\n":
            return
        if client.ask(b"get %s\r\n" % key) != b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value):
            return
    # An answer of many datagrams; a question has to fit into one.
    for i in range(1, 21):
        part = random.Random(number * 100 + i).randbytes(1000)
        if client.ask(b"%s p%d 0 0 1000\r\n%s\r\n" % (b"set" if i == 1 else b"append", number, part)) != b"STORED\r\n":
            return
    wanted = b"".join(random.Random(number * 100 + i).randbytes(1000) for i in range(1, 21))
    if client.ask(b"get p%d\r\n" % number) == b"VALUE p%d 0 20000\r\n%s\r\nEND\r\n" % (number, wanted):
        good.append(number)

threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("good:", len(good))
END

memcached_answers() {
	over "$road" /usr/bin/python3 -c "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('$host', 11212))
s.settimeout($SCALE)
s.send(bytes([0, 1, 0, 0, 0, 1, 0, 0]) + b'version\r\n')
assert s.recv(1000)[8:].startswith(b'VERSION ')"
}

memcached_by_udp() {
	start memcached.log "$road" memcached -p 0 -U 11212 -t 4 -l 0.0.0.0 -u root
	ok "memcached answers by UDP over $road" wait_for 60 memcached_answers
	no_udp "memcached over $road" 11212
	is "$(over "$road" /usr/bin/python3 memcached.py "$host" $((2 * SCALE)) 2>&1)" 'good: 8' \
		"eight clients set, get and append by UDP over $road"
	server_end "$server"
}

dig_through() { # PORT
	[ "$(over "$road" dig +short +notcp +tries=1 +time=$((3 * SCALE)) @"$host" -p "$1" one.example 2>&1)" = 192.0.2.1 ]
}

dig_20() { # PORT
	dig_pids=
	for i in $(seq 20); do
		dig_through "$1" &
		dig_pids="$dig_pids $!"
	done
	dig_bad=0
	for i in $dig_pids; do
		wait "$i" || dig_bad=$((dig_bad + 1))
	done
	echo "$dig_bad failed"
	[ "$dig_bad" = 0 ]
}

heard() { # TAG COUNT
	[ "$(grep -c "^$1|" log.got)" -ge "$2" ]
}

# nginx passes UDP on, serves pages and tells rsyslog of each; haproxy passes them on and tells as well.
proxies() {
	cat >rsyslog.conf <<-END
	global(workDirectory="$work" net.enableDNS="off" processInternalMessages="off")
	module(load="imudp")
	template(name="line" type="string" string="%programname%|%fromhost-ip%|%msg:2:\$%\\n")
	input(type="imudp" address="0.0.0.0" port="5145")
	action(type="omfile" file="$work/log.got" template="line")
	END
	start rsyslog.log "$road" rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid"
	rsyslog=$server
	echo '192.0.2.1 one.example' >one.hosts
	start dnsmasq.log "$road" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --log-facility=- --port=5306 --addn-hosts="$work/one.hosts"
	dnsmasq=$server
	ok "dnsmasq answers over $road" wait_for 60 dig_through 5306
	module=
	[ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ] || module='load_module /usr/lib/nginx/modules/ngx_stream_module.so;'
	cat >nginx.conf <<-END
	$module
	worker_processes 2;
	daemon off;
	pid $work/nginx.pid;
	error_log stderr notice;
	events { worker_connections 512; }
	stream {
		proxy_timeout 10s;
		proxy_responses 1;
		server { listen 5307 udp; proxy_pass $host:5306; }
		server { listen 5308 udp reuseport; proxy_pass $host:5306; }
	}
	http {
		log_format line '\$request \$status';
		access_log syslog:server=$host:5145,tag=page,nohostname line;
		client_body_temp_path $work/tmp/body;
		proxy_temp_path $work/tmp/proxy;
		fastcgi_temp_path $work/tmp/fastcgi;
		uwsgi_temp_path $work/tmp/uwsgi;
		scgi_temp_path $work/tmp/scgi;
		server { listen 8081; return 200 "page\\n"; }
	}
	END
	start nginx.log "$road" nginx -c "$work/nginx.conf" -p "$work" -e stderr
	nginx=$server
	for port in 5307 5308; do
		ok "nginx passes UDP on over $road (port $port)" wait_for 60 dig_through $port
		no_udp "nginx over $road" $port
		ok "20 digs at the same time through nginx over $road (port $port)" dig_20 $port
	done
	cat >haproxy.conf <<-END
	global
		log $host:5145 format rfc3164 local0
		log-tag balance
	defaults
		mode http
		log global
		log-format "%[capture.req.uri] %ST"
		timeout connect 20s
		timeout client 20s
		timeout server 20s
	listen all
		bind :8082
		server one $host:8081
	END
	start haproxy.log "$road" haproxy -db -f "$work/haproxy.conf"
	haproxy=$server
	ready "haproxy answers over $road" "$road" "$host" 8082
	is "$(over "$road" curl -sS "http://$host:8082/page-[1-50]" 2>&1 | sort | uniq -c | tr -s ' ')" ' 50 page' \
		"50 pages through haproxy and nginx over $road"
	wait_for 20 heard page 50
	is "$(grep '^page|' log.got | sort -V)" "$(seq 50 | sed 's|.*|page\|127.0.0.1\|GET /page-& HTTP/1.1 200|')" \
		"rsyslog hears of each from nginx over $road"
	wait_for 20 heard balance 50
	is "$(grep '^balance|.*page-' log.got | sort -V)" "$(seq 50 | sed 's|.*|balance\|127.0.0.1\|/page-& 200|')" \
		"rsyslog hears of each from haproxy over $road"
	for pid in "$haproxy" "$nginx" "$dnsmasq" "$rsyslog"; do
		server_end "$pid"
	done
	is "$(grep -E '\[(alert|crit|emerg|error)\]' nginx.log)" '' "nginx has nothing to complain of over $road"
	rm -f log.got
}

head -c 4000 /dev/urandom >file
for road in $ROADS; do
	closed "$road" && continue
	host=$(host_over "$road")
	socats
	forking_socats
	netcat
	memcached_by_udp
	proxies
done
finish
