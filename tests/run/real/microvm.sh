#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Real programs through the sockets of a monitor: those of the host reach nginx, sshd and redis in the guest, and those of
# the guest nginx on the host.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need nginx curl ssh sshd ssh-keygen redis-server redis-cli redis-benchmark
path=$work/v.sock

mkdir site tmp
head -c "$(scaled 50000000)" /dev/urandom >site/big
head -c 100000 site/big >site/part
echo 'it works' >site/index.html
sum=$(sha256sum <site/big)
part_sum=$(sha256sum <site/part)

# FILE PORT: an nginx.conf
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
	server { listen $2; location = /seen { return 200 "\$remote_addr"; } }
}
END
}

# PROGRAM [ARG]...: of the host
rules="connect 10.0.0.9:* unix $path:*; listen *:8080 unix $path:8080"
host() {
	timeout -k 10 $((PATIENCE * SCALE)) "$IP2VSOCK" -r "$rules" -- "$@"
}

# PROGRAM [ARG]...: of the guest
guest() {
	over "$road" "$@"
}

# WHO URL COUNT: so many connections at the same time, by one process; all of them succeed, and every byte is right.
at_once() {
	rm -rf got
	mkdir got
	"$1" curl -sS --no-progress-meter --parallel --parallel-immediate --parallel-max "$3" -H 'Connection: close' -o 'got/#1' \
		-w '%{http_code} %{num_connects}\n' "$2?[1-$3]" 2>&1 | sort | uniq -c | tr -s ' '
	sha256sum got/* | grep -c "^${part_sum%% *} "
}

# The same by a process for each of them.
apart() {
	rm -rf got
	mkdir got
	apart_pids=
	for i in $(seq "$3"); do
		"$1" curl -sS -o "got/$i" "$2" 2>&1 &
		apart_pids="$apart_pids $!"
	done
	for i in $apart_pids; do
		wait "$i" || echo "exit $?"
	done
	sha256sum got/* | grep -c "^${part_sum%% *} "
}

# WHO HOST:PORT SEEN: what nginx serves.
serves() {
	is "$("$1" curl -sS "http://$2/" 2>&1)" 'it works' "curl of the $1 gets a page over $road"
	is "$("$1" curl -sS "http://$2/big" 2>&1 | sha256sum)" "$sum" "and a large file over $road"
	is "$("$1" curl -sS "http://$2/seen" 2>&1)" "$3" "nginx sees $3 over $road"
	is "$(at_once "$1" "http://$2/part" 100)" " 100 200 1
100" "100 connections at the same time by one curl of the $1 over $road"
	is "$(apart "$1" "http://$2/part" $((100 / (SCALE > 4 ? 4 : 1))))" $((100 / (SCALE > 4 ? 4 : 1))) \
		"and by a process for each over $road"
}

complaints() { # FILE
	grep -E '\[(alert|crit|emerg|error)\]' "$1"
}

web_in_the_guest() {
	configure guest.conf 8010
	start guest.log "$road" nginx -c "$work/guest.conf" -p "$work" -e stderr
	ready "nginx answers in the guest over $road" "$road" 10.0.0.3 8010 || return
	case $road in
	realm) serves host 10.0.0.9:8010 198.18.0.2 ;;
	vsock) serves host 10.0.0.9:8010 127.0.0.1 ;;
	esac
	is "$(host curl -sS http://10.0.0.9:8019/ 2>&1 | sed 's/after [0-9]* ms/after N ms/')" \
		"curl: (7) Failed to connect to 10.0.0.9 port 8019 after N ms: Couldn't connect to server" \
		"a port where nobody listens over $road"
	server_end "$server"
	is "$(complaints guest.log)" '' "nginx has nothing to complain of over $road"
}

web_on_the_host() {
	configure host.conf 8080
	(exec "$IP2VSOCK" -r "$rules" -- nginx -c "$work/host.conf" -p "$work" -e stderr) >host.log 2>&1 &
	nginx=$!
	servers="$servers $nginx"
	# Without asking it: the monitor counts who is refused.
	wait_for 60 grep -q " 00010000 0001 01 .* ${path}_8080\$" /proc/net/unix # listens, proc(5)
	ok "nginx answers on the host over $road" wait_for 60 guest curl -sS http://10.0.0.2:8080/
	serves guest 10.0.0.2:8080 10.0.0.9
	old=$(pgrep -P "$nginx" | sort | tr '\n' ' ')
	kill -HUP "$nginx"
	ok "nginx has new workers over $road" wait_for 20 workers_differ
	is "$(at_once guest http://10.0.0.2:8080/part 20)" " 20 200 1
20" "which serve over $road"
	server_end "$nginx"
	is "$(complaints host.log)" '' "nginx has nothing to complain of over $road"
}

workers_differ() {
	new=$(pgrep -P "$nginx" | sort | tr '\n' ' ')
	[ -n "$new" ] && [ "$new" != "$old" ]
}

# Its server speaks first, what it says comes with the monitor's answer or just after.
shell() {
	user=$(id -un)
	case $(getent passwd "$user") in
	*/nologin | */false)
		skip "ssh over $road" "$user has no shell to log in with"
		return
		;;
	esac
	[ -e host_key ] || ssh-keygen -q -t ed25519 -N '' -f host_key
	[ -e user_key ] || ssh-keygen -q -t ed25519 -N '' -f user_key
	[ "$(id -u)" != 0 ] || [ -d /run/sshd ] || mkdir -m 0755 /run/sshd
	printf '%s\n' "Port 2222" "HostKey $work/host_key" "AuthorizedKeysFile $work/user_key.pub" 'StrictModes no' 'UsePAM no' \
		'PermitRootLogin prohibit-password' "PidFile $work/sshd.pid" >sshd_config
	start sshd.log "$road" "$(command -v sshd)" -D -e -f "$work/sshd_config"
	ready "sshd answers in the guest over $road" "$road" 10.0.0.3 2222 || return
	: >said
	for i in $(seq $((30 / (SCALE > 4 ? 4 : 1)))); do
		host ssh -F none -p 2222 -i user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
			-o BatchMode=yes "$user@10.0.0.9" "sha256sum; exit 7" <site/part >>said 2>&1
		echo "exit $?" >>said
	done
	is "$(sort said | uniq -c | tr -s ' ')" " $i ${part_sum%% *} -
 $i exit 7" "$i times ssh over $road"
	server_end "$server"
}

# Its clients connect at once, without blocking: more than the monitor's backlog holds.
database() {
	start redis.log "$road" redis-server --port 6379 --save '' --appendonly no --dir "$work" --tcp-backlog 511
	ready "redis answers in the guest over $road" "$road" 10.0.0.3 6379 || return
	is "$(guest redis-cli -h 127.0.0.1 config set protected-mode no)" OK "redis trusts programs of the guest alone, and then all over $road"
	is "$(host redis-cli -h 10.0.0.9 ping 2>&1)" PONG "redis-cli over $road"
	for clients in 50 400; do
		host redis-benchmark -h 10.0.0.9 -p 6379 -c $clients -P 4 -n "$(scaled 20000)" -t ping,set --csv >bench 2>&1
		is "$? $(grep -c '^"[A-Z].*","[0-9.]*"' bench) $(grep -ic error bench)" '0 3 0' "redis-benchmark -c $clients over $road"
	done
	server_end "$server"
}

for road in $ROADS; do
	closed "$road" && continue
	case $road in
	realm) echo 'connect 10.0.0.2:* vsock host:*' >>"$map" ;;
	vsock) echo 'connect 10.0.0.2:* vsock local:*' >>"$map" ;;
	esac
	monitor vmm.log "$road" -g 8080 "$path"
	web_in_the_guest
	web_on_the_host
	shell
	database
	like "$(monitor_counts vmm.log "$monitor")" '*; from the guest: *, 0 refused; open: 0' "nothing of it is left over $road"
	rm -f "$path"_8080
	is "$(find . -name 'v.sock*')" '' "nor a socket over $road"
done
finish
