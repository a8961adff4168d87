#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs that systemd starts for a listener: sshd in both ways, the gateway of the journal, a web server, perl and cat. The
# units of contrib/systemd are checked, and in the VM systemd itself runs them.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need systemd-socket-activate systemd-analyze /usr/bin/python3 perl curl sshd ssh ssh-keygen

gatewayd=/lib/systemd/systemd-journal-gatewayd
[ -x $gatewayd ] || need systemd-journal-gatewayd
units=$srcdir/contrib/systemd
port=16000

cat >"$map" <<'END'
listen  tcp *:*          vsock any:*
connect tcp 127.0.0.1:*  vsock local:*
END

# LOG ROAD WAY OPTIONS PROGRAM [ARG]...: the program, by the wrapper or with the library in its environment
activate() {
	port=$((port + 1))
	log=$1.$port by_road=$2 way=$3 options=$4
	shift 4
	case $by_road-$way in
	plain-*) at=127.0.0.1:$port ;;
	realm-*) at=@ip2vsock/$realm/1_$port ;;
	vsock-*) at=vsock::$port ;;
	esac
	case $by_road-$way in
	plain-*) ;;
	realm-wrapper) set -- "$IP2VSOCK" -u "$realm" -f "$map" -- "$@" ;;
	vsock-wrapper) set -- "$IP2VSOCK" -f "$map" -- "$@" ;;
	*-environment)
		options="-E LD_PRELOAD=$library -E IP2VSOCK_FILE=$map $options"
		[ "$by_road" = vsock ] || options="-E IP2VSOCK_REALM=$realm $options"
		;;
	esac
	# shellcheck disable=SC2086 # a list of words
	start "$log" plain systemd-socket-activate -l "$at" $options "$@"
	wait_for 20 grep -q '^Listening on ' "$log" || tail -n 20 "$log"
}

ssh-keygen -q -t ed25519 -N '' -f host_key
ssh-keygen -q -t ed25519 -N '' -f user_key
cp user_key.pub authorized_keys
cat >sshd_config <<END
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
PidFile none
LogLevel VERBOSE
END
[ "$(id -u)" != 0 ] || [ -d /run/sshd ] || mkdir -m 0755 /run/sshd

# PROGRAM [ARG]...: what ssh, run by PROGRAM, is told of its connection
ssh_by() {
	"$@" ssh -q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i "$work/user_key" \
		-p "$port" 127.0.0.1 'echo "$SSH_CONNECTION"' 2>&1 </dev/null | sed 's/ [0-9]* 127/ from 127/; s/ [0-9]*$//'
}

sshd_over() { # ROAD OPTIONS ARGUMENT
	activate sshd "$1" wrapper "$2" "$(command -v sshd)" "$3" -e -f "$work/sshd_config"
	ssh_by over "$1"
	ssh_by over "$1"
	server_end "$server"
	sed -n 's/^Connection from \(.*\) port [0-9]* on \(.*\) port [0-9]* .*/sshd: from \1 to \2/p' "$log"
}

files_over() { # ROAD
	mkdir -p files
	echo 'a page' >files/index.html
	activate files "$1" environment '' env -C "$work/files" "$units/serve-files"
	over "$1" curl -sS "http://127.0.0.1:$port/" "http://127.0.0.1:$port/index.html" "http://127.0.0.1:$port/none" 2>&1
	server_end "$server"
	sed -n 's/^\([0-9.]*\) - - .*\("GET.*\)/server: \1 \2/p' "$log"
}

journal_over() { # ROAD
	mkdir -p journal
	activate journal "$1" environment '' $gatewayd -D "$work/journal"
	over "$1" curl -sS "http://127.0.0.1:$port/machine" 2>&1 | sed 's/"usage".*//'
	over "$1" curl -sS "http://127.0.0.1:$port/browse" 2>&1
	server_end "$server"
}

perl_over() { # ROAD
	activate perl "$1" wrapper '' perl -MIO::Socket::INET -e '
		my $listener = IO::Socket::INET->new_from_fd(3, "+<") or die "new_from_fd: $!";
		for (1 .. 2) {
			my $connection = $listener->accept or die "accept: $!";
			1 while <$connection>;
			printf $connection "%s %s %s\n", $connection->sockhost, $connection->peerhost,
				$connection->sockport == $listener->sockport ? "the same port" : "another port";
			close $connection;
		}'
	over "$1" "$programs/activated" client 127.0.0.1 "$port"
	over "$1" "$programs/activated" client 127.0.0.1 "$port"
	server_end "$server"
}

cat_over() { # ROAD
	activate cat "$1" wrapper '-a --inetd' cat
	over "$1" "$programs/activated" client 127.0.0.1 "$port"
	over "$1" "$programs/activated" client 127.0.0.1 "$port"
	server_end "$server"
}

# PATTERN PROGRAM [ARG]...: what it says on plain TCP is like this, and the same on every road
same() {
	pattern=$1 program=$2
	shift 2
	"${program}_over" plain "$@" >wanted
	like "$(cat wanted)" "$pattern" "$program $*: answers on plain TCP"
	for road in $ROADS; do
		closed "$road" && continue
		"${program}_over" "$road" "$@" >got
		is "$(cat got)" "$(cat wanted)" "$program $*: the same over $road"
	done
}

same '127.0.0.1 from 127.0.0.1*127.0.0.1 from 127.0.0.1*sshd: from 127.0.0.1 to 127.0.0.1*' sshd '-a --inetd' -i
same '127.0.0.1 from 127.0.0.1*127.0.0.1 from 127.0.0.1*sshd: from 127.0.0.1 to 127.0.0.1*' sshd '' -D
same '*a page*a page*404*server: 127.0.0.1 "GET /none*' files
same '*"machine_id"*<title>Journal</title>*' journal
same '127.0.0.1 127.0.0.1 the same port*127.0.0.1 127.0.0.1 the same port*' perl
same 'hello*hello*' cat

# --- the units of contrib/systemd, with the paths of this build

here=$work/conf/systemd/user
mkdir -p "$here"
cp -r "$units/." "$here"
find "$here" -type f -exec sed -i "s|/usr/local/bin/ip2vsock|$IP2VSOCK|; s|/usr/local/bin/serve-files|$units/serve-files|
	s|/usr/local/lib/libip2vsock.so|$library|" {} +

# UNIT: what systemd says of it, which is nothing if it is right
verified() {
	SYSTEMD_UNIT_PATH=$here: systemd-analyze verify --man=no "$1" 2>&1 | grep -E "$1|${1%.*}|$here"
}

for unit in "$here"/*.socket "$here"/*.service; do
	unit=${unit##*/}
	is "$(verified "$unit")" '' "$unit has no mistake"
done
for drop_in in "$here"/*.d; do
	unit=${drop_in##*/}
	unit=${unit%.d}
	SYSTEMD_UNIT_PATH=$here: systemctl cat "$unit" >/dev/null 2>&1
	is "$(verified "$unit")" '' "what is added to $unit has no mistake"
	cp -r "$drop_in" kept
	printf 'Faulty=yes\n' | tee -a "$drop_in"/*.conf >/dev/null
	like "$(verified "$unit")" '*Faulty*' "and one would be seen"
	rm -rf "$drop_in"
	mv kept "$drop_in"
done

# --- systemd itself, where it changes nothing: in the VM, with everything installed where the units say

case " $ROADS " in
*' vsock '*) closed vsock && finish ;;
*) finish ;;
esac
sed "s|^w_library=.*|w_library=/usr/local/lib/libip2vsock.so|; s|^w_ctl=.*|w_ctl=/usr/local/libexec/ip2vsock-ctl|" \
	"$IP2VSOCK" >ip2vsock
mkdir -p /usr/local/libexec
install -m 755 "$(sed -n "s/^w_ctl='\(.*\)'\$/\1/p" "$IP2VSOCK")" /usr/local/libexec/
install -m 755 "$library" /usr/local/lib/
install -m 755 ip2vsock "$units/serve-files" /usr/local/bin/
cp -r "$units/." "$here"
sed -i "s|sshd -i|sshd -i -f $work/sshd_config|" "$here/vsock-ssh@.service"
sed '/^User=/d' /lib/systemd/system/systemd-journal-gatewayd.service >"$here/systemd-journal-gatewayd.service"
cp /lib/systemd/system/systemd-journal-gatewayd.socket "$here"

# What the first process of a system makes, and a manager of a user finds.
mkdir -p /run/systemd/system /run/systemd/inaccessible/dir
touch /run/systemd/inaccessible/reg
mknod /run/systemd/inaccessible/chr c 0 0
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
export XDG_RUNTIME_DIR=$work/run XDG_CONFIG_HOME=$work/conf
mkdir -m 0700 run
start manager.log plain /lib/systemd/systemd --user --log-target=console
ok "systemd runs" wait_for 60 systemctl --user list-units

socket_starts() { # NAME
	systemctl --user start "$1.socket" && return
	systemctl --user status --no-pager "$1.socket"
	return 1
}

# GOT PATTERN NAME UNIT
served() {
	served_failed=$failed
	like "$1" "$2" "$3"
	[ "$failed" = "$served_failed" ] || systemctl --user status --no-pager "$4" | sed 's/^/# /'
}

for name in vsock-files vsock-ssh systemd-journal-gatewayd guest-files; do
	ok "$name.socket starts" socket_starts $name
done
served "$(over vsock curl -sS http://127.0.0.1:80/ 2>&1)" '*<title>Directory listing*' \
	"a connection starts vsock-files.service" vsock-files.service
port=22
served "$(ssh_by over vsock)" '127.0.0.1 from 127.0.0.1' "and each connection a vsock-ssh@.service" 'vsock-ssh@*'
served "$(over vsock curl -sS http://127.0.0.1:19531/machine 2>&1)" '*"machine_id"*' \
	"and systemd-journal-gatewayd.service" systemd-journal-gatewayd.service
served "$(curl -sS --unix-socket /run/guest9/vsock.sock_80 http://host/ 2>&1)" '*<title>Directory listing*' \
	"and that of a monitor's guest guest-files.service" guest-files.service
ok "vsock-files.service starts again" systemctl --user restart vsock-files.service
served "$(over vsock curl -sS http://127.0.0.1:80/ 2>&1)" '*<title>Directory listing*' "and serves again" vsock-files.service
ok "vsock-files.service stops" systemctl --user stop vsock-files.service
served "$(over vsock curl -sS http://127.0.0.1:80/ 2>&1)" '*<title>Directory listing*' \
	"and is started by the next connection, with the socket it has had before" vsock-files.service
systemctl --user exit
finish
