#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# nginx with two workers as a server, and as a reverse proxy: it adds its sockets to epoll before it connects.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need nginx curl /usr/bin/python3

mkdir site tmp
head -c 50000000 /dev/urandom >site/big
head -c "$(scaled 50000000)" site/big >site/part
echo 'it works' >site/index.html
sum=$(sha256sum <site/big)
part_sum=$(sha256sum <site/part)

# FILE SERVERS: an nginx.conf
configure() {
	cat >"$1" <<END
worker_processes 2;
daemon off;
pid $work/$1.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
	access_log off;
	root $work/site;
	client_body_temp_path $work/tmp/$1.body;
	proxy_temp_path $work/tmp/$1.proxy;
	fastcgi_temp_path $work/tmp/$1.fastcgi;
	uwsgi_temp_path $work/tmp/$1.uwsgi;
	scgi_temp_path $work/tmp/$1.scgi;
	$2
}
END
}

parallel() { # COUNT URL: every download has the right checksum
	parallel_pids=
	for i in $(seq "$1"); do
		(over "$road" curl -sS -o "parallel.$i" "$2" && [ "$(sha256sum <"parallel.$i")" = "$part_sum" ]) 2>>parallel.err &
		parallel_pids="$parallel_pids $!"
	done
	parallel_bad=0
	for i in $parallel_pids; do
		wait "$i" || parallel_bad=$((parallel_bad + 1))
	done
	rm -f parallel.[0-9]*
	cat parallel.err
	[ "$parallel_bad" = 0 ]
}

serves() {
	configure server.conf "sendfile on; server { listen 8010; location = /seen { return 200 \"\$remote_addr\"; } }"
	start nginx.log "$road" nginx -c "$work/server.conf" -p "$work" -e stderr
	nginx=$server
	ready "nginx answers over $road" "$road" 10.0.0.3 8010 || return
	no_tcp "nginx over $road" 10.0.0.3 8010
	is "$(over "$road" curl -sS http://10.0.0.3:8010/ 2>&1)" 'it works' "curl gets a page of nginx over $road"
	is "$(over "$road" curl -sS http://10.0.0.3:8010/big 2>&1 | sha256sum)" "$sum" "and 50 MB over $road"
	like "$(over "$road" curl -sS http://10.0.0.3:8010/seen 2>&1)" '127.0.0.1' "nginx sees a peer of this machine over $road"
	ok "20 curls at the same time over $road" parallel 20 http://10.0.0.3:8010/part
	is "$(over "$road" curl -sS 'http://10.0.0.3:8010/?[1-50]' 2>&1 | sort | uniq -c | tr -s ' ')" ' 50 it works' \
		"50 requests on one connection over $road"
	# New workers take the listener over, old ones go.
	old=$(pgrep -P "$nginx" | sort | tr '\n' ' ')
	kill -HUP "$nginx"
	ok "nginx has new workers over $road" wait_for 20 workers_differ
	is "$(over "$road" curl -sS http://10.0.0.3:8010/ 2>&1)" 'it works' "and goes on over $road"
	proxies
	server_end "$nginx"
	is "$(grep -E '\[(alert|crit|emerg|error)\]' nginx.log)" '' "nginx has nothing to complain of over $road"
}

workers_differ() {
	new=$(pgrep -P "$nginx" | sort | tr '\n' ' ')
	[ -n "$new" ] && [ "$new" != "$old" ]
}

proxies() {
	configure proxy.conf "
	upstream kept { server 10.0.0.3:8010; keepalive 4; }
	server {
		listen 8011;
		location /nginx/ { proxy_pass http://10.0.0.3:8010/; }
		location /kept/ { proxy_pass http://kept/; proxy_http_version 1.1; proxy_set_header Connection ''; }
		location /python/ { proxy_pass http://10.0.0.3:8012/; }
		location /nobody/ { proxy_pass http://10.0.0.3:8019/; }
	}"
	start python.log "$road" /usr/bin/python3 -m http.server --directory site 8012
	python=$server
	ready "the upstream answers over $road" "$road" 10.0.0.3 8012
	start proxy.log "$road" nginx -c "$work/proxy.conf" -p "$work" -e stderr
	proxy=$server
	ready "the proxy answers over $road" "$road" 10.0.0.3 8011 || return
	for way in nginx kept python; do
		is "$(over "$road" curl -sS "http://10.0.0.3:8011/$way/big" 2>&1 | sha256sum)" "$sum" \
			"50 MB through the proxy ($way) over $road"
	done
	ok "20 curls at the same time through the proxy over $road" parallel 20 \
		http://10.0.0.3:8011/kept/part
	is "$(over "$road" curl -sS -o /dev/null -w '%{http_code}' http://10.0.0.3:8011/nobody/ 2>&1)" 502 \
		"an upstream that is not there is a 502 over $road"
	like "$(grep -E '\[(alert|crit|emerg|error)\]' proxy.log)" '*connect()*failed (111: Connection refused)*:8019*' \
		"and nginx names the reason over $road"
	is "$(grep -E '\[(alert|crit|emerg|error)\]' proxy.log | grep -vc :8019)" 0 "nothing else went wrong over $road"
	server_end "$proxy"
	server_end "$python"
}

# A listener for each worker, all with SO_REUSEPORT.
shares() {
	configure shared.conf "server { listen 8014 reuseport; }"
	start shared.log "$road" nginx -c "$work/shared.conf" -p "$work" -e stderr
	nginx=$server
	ready "nginx with reuseport answers over $road" "$road" 10.0.0.3 8014 || return
	no_tcp "nginx with reuseport over $road" 10.0.0.3 8014
	ok "20 curls at the same time are served with reuseport over $road" parallel 20 http://10.0.0.3:8014/part
	old=$(pgrep -P "$nginx" | sort | tr '\n' ' ')
	kill -HUP "$nginx"
	ok "nginx with reuseport has new workers over $road" wait_for 20 workers_differ
	ok "and goes on with reuseport over $road" parallel 20 http://10.0.0.3:8014/part
	server_end "$nginx"
	is "$(grep -E '\[(alert|crit|emerg|error)\]' shared.log)" '' "nothing to complain of with reuseport over $road"
}

for road in $ROADS; do
	closed "$road" && continue
	serves
	shares
done
finish
