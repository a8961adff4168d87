#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# curl and python3 -m http.server.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need /usr/bin/python3 curl

mkdir site
head -c "$(scaled 20000000)" /dev/urandom >site/big
echo 'it works' >site/index.html

http() {
	start server.log "$road" /usr/bin/python3 -m http.server --directory site 8000
	ready "http.server answers over $road" "$road" 10.0.0.3 8000 || return
	no_tcp "http.server over $road" 10.0.0.3 8000
	is "$(over "$road" curl -sS http://10.0.0.3:8000/ 2>&1)" 'it works' "curl gets a page over $road"
	is "$(over "$road" curl -sS -o got -w '%{http_code} %{remote_ip} %{remote_port}' http://10.0.0.3:8000/big 2>&1)" \
		'200 10.0.0.3 8000' "curl gets a large file over $road"
	ok "the file is the same over $road" cmp got site/big
	is "$(over "$road" curl -sS -o /dev/null -w '%{http_code}' http://10.0.0.3:8000/none 2>&1)" 404 \
		"curl sees an error page over $road"
	is "$(over "$road" curl -sS http://127.0.0.1:8000/ 2>&1)" 'it works' "curl by 127.0.0.1 over $road"
	is "$(over "$road" curl -g -sS 'http://[::1]:8000/' 2>&1)" 'it works' "curl by ::1 over $road"
	over "$road" curl -sS http://10.0.0.3:8001/ >curl.out 2>&1
	is "$?" 7 "curl to a port without server fails over $road"
	like "$(cat curl.out)" '*connect to server*' "and says that over $road"
	is "$(grep -c 'GET / HTTP/1.1" 200' server.log)" 3 "the server has logged three visits over $road"
	like "$(grep 'GET /big' server.log)" '*127.0.0.1 - -*' "with the address of this machine over $road"
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" || http
done
finish
