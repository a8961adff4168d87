#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# TFTP: the server answers each request from a port of its own, which it binds to the address that was asked.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need in.tftpd tftp atftp curl
[ "$(id -u)" = 0 ] || skip_all "in.tftpd runs as root only"

# The server's child answers who is shown as 127.0.0.1 by a socket that has heard nothing of it.
printf '%s\n' 'connect udp 127.0.0.1:* vsock local:*' 'listen udp *:* vsock any:*' >>"$map"
head -c 5000000 /dev/urandom >file
mkdir -m 777 root
cp file root/file
chmod 644 root/file

# The clients give up after some seconds of silence, and say so.
quiet() { # NAME COMMAND...
	quiet_name=$1
	shift
	ok "$quiet_name over $road" over "$road" "$@"
}

same() { # NAME FILE
	is "$(sha256sum <"$2")" "$(sha256sum <file)" "$1 are the same over $road"
	rm -f "$2"
}

transfers() {
	quiet "tftp gets 5 MB" tftp -m binary "$host" 6969 -c get file got
	same "5 MB that tftp got" got
	quiet "tftp puts 5 MB" tftp -m binary "$host" 6969 -c put file there
	same "5 MB that tftp put" root/there
	for size in 1428 65464 8; do
		part="file"
		if [ "$size" = 8 ]; then
			head -c 2000 file >root/part
			part=root/part
		fi
		quiet "atftp gets with blocks of $size" atftp --option "blksize $size" --get \
			--remote-file "${part#root/}" --local-file got "$host" 6969
		is "$(sha256sum <got)" "$(sha256sum <"$part")" "what it got is the same over $road"
		quiet "atftp puts with blocks of $size" atftp --option "blksize $size" --put \
			--remote-file there --local-file "$part" "$host" 6969
		is "$(sha256sum <root/there)" "$(sha256sum <"$part")" "what it put is the same over $road"
		rm -f got root/there
	done
	quiet "curl gets with blocks of 8192" curl -sS --tftp-blksize 8192 -o got "tftp://$host:6969/file"
	same "5 MB that curl got" got
	quiet "curl puts" curl -sS -T file "tftp://$host:6969/there"
	same "5 MB that curl put" root/there
}

# Five at the same time, each from a port of its own at both ends.
five() {
	five_pids=
	for i in 1 2 3 4 5; do
		over "$road" curl -sS --tftp-blksize 1428 -o "five.$i" "tftp://$host:6969/file" &
		five_pids="$five_pids $!"
	done
	for i in $five_pids; do
		wait "$i"
	done
	is "$(sha256sum five.? | sort | cut -d ' ' -f 1 | uniq -c | tr -s ' ')" " 5 $(sha256sum <file | cut -d ' ' -f 1)" \
		"five at the same time get 5 MB each over $road"
	rm -f five.?
}

got_ready() {
	over "$road" curl -sS -m $((5 * SCALE)) -o ready "tftp://$host:6969/file"
}

serve() {
	host=$(host_over "$road")
	start tftpd.log "$road" in.tftpd --foreground --verbose --address :6969 --user root --create \
		--permissive --secure "$work/root"
	ok "in.tftpd answers over $road" wait_for 60 got_ready
	no_udp "in.tftpd over $road" 6969
	transfers
	five
	like "$(over "$road" tftp -m binary "$host" 6969 -c get nothing got 2>&1)" 'Error code 1: File not found' \
		"a file that is not there is an error over $road"
	server_end "$server"
	is "$(cat tftpd.log)" '' "in.tftpd has nothing to complain of over $road"
}

for road in $ROADS; do
	closed "$road" || serve
done
finish
