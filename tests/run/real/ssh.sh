#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# sshd, ssh and scp, with keys and settings of their own.
# shellcheck disable=SC2317 # some functions are called through ok
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need sshd ssh scp ssh-keygen

user=$(id -un)
case $(getent passwd "$user") in
*/nologin | */false) skip_all "$user has no shell to log in with" ;;
esac
ssh-keygen -q -t ed25519 -N '' -f host_key
ssh-keygen -q -t ed25519 -N '' -f user_key
cp user_key.pub authorized_keys
cat >sshd_config <<END
Port 2222
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile $work/sshd.pid
Subsystem sftp internal-sftp
LogLevel VERBOSE
END
cat >ssh_config <<END
Host *
	User $user
	Port 2222
	IdentityFile $work/user_key
	IdentitiesOnly yes
	UserKnownHostsFile $work/known_hosts
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking accept-new
	BatchMode yes
	LogLevel ERROR
	ControlMaster no
END
# Where sshd wants an empty directory for itself; it is not there when no sshd has been started.
[ "$(id -u)" != 0 ] || [ -d /run/sshd ] || mkdir -m 0755 /run/sshd
head -c "$(scaled 10000000)" /dev/urandom >file

ssh_over() {
	over "$road" ssh -F "$work/ssh_config" 10.0.0.3 "$@"
}

shell() {
	start sshd.log "$road" "$(command -v sshd)" -D -e -f "$work/sshd_config"
	ready "sshd answers over $road" "$road" 10.0.0.3 2222 || return
	no_tcp "sshd over $road" 10.0.0.3 2222
	is "$(ssh_over echo hello from "\$((40 + 2))" 2>&1 </dev/null)" 'hello from 42' "ssh runs a command over $road"
	ssh_over exit 7 >/dev/null 2>&1 </dev/null
	is "$?" 7 "its exit status comes back over $road"
	ok "a file goes there and back through cat over $road" through_cat
	ok "scp there over $road" over "$road" scp -q -F "$work/ssh_config" file "10.0.0.3:$work/there"
	ok "is the same over $road" cmp file there
	ok "scp back over $road" over "$road" scp -q -F "$work/ssh_config" "10.0.0.3:$work/there" back
	ok "is the same over $road" cmp file back
	ok "the older protocol of scp over $road" over "$road" scp -O -q -F "$work/ssh_config" file "10.0.0.3:$work/there2"
	ok "is the same over $road" cmp file there2
	# shellcheck disable=SC2016 # for the shell over there
	like "$(ssh_over 'echo $SSH_CONNECTION' 2>&1 </dev/null)" '127.0.0.1 [1-9]* * 2222' "sshd knows the addresses over $road"
	# The port that ssh -L opens is a listener of its own, and what it leads to is called by sshd.
	start forward.log "$road" ssh -F "$work/ssh_config" -N -L 2223:10.0.0.3:2222 10.0.0.3
	forward=$server
	ready "ssh -L answers over $road" "$road" 10.0.0.3 2223
	is "$(over "$road" ssh -F "$work/ssh_config" -p 2223 10.0.0.3 echo through 2>&1 </dev/null)" through \
		"ssh through ssh over $road"
	server_end "$forward"
	rm -f known_hosts there there2 back
	server_end "$(cat sshd.pid)"
	server_end "$server"
	is "$(grep -cE '^(error|fatal)' sshd.log)" 0 "sshd has nothing to complain of over $road"
}

through_cat() {
	ssh_over cat <file >got && cmp file got
}

for road in $ROADS; do
	closed "$road" || shell
done
finish
