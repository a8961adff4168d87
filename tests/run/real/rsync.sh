#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rsync daemon.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/../lib.sh"
need rsync

mkdir -p tree/a/b tree/c store
for i in $(seq "$(scaled 200)"); do
	echo "file $i" >"tree/a/b/$i"
done
head -c "$(scaled 10000000)" /dev/urandom >tree/c/big
ln -s c/big tree/link
cat >rsyncd.conf <<END
use chroot = no
munge symlinks = no
pid file = $work/rsyncd.pid
log file = $work/rsyncd.log
lock file = $work/rsyncd.lock
[tree]
	path = $work/store
	read only = no
$([ "$(id -u)" != 0 ] || printf '\tuid = 0\n\tgid = 0\n')
END

daemon() {
	start daemon.log "$road" rsync --daemon --no-detach --port 8730 --config "$work/rsyncd.conf"
	# Its own word that it is ready: a connection without a request is an error to it.
	ok "the rsync daemon listens over $road" wait_for 60 grep -q 'listening on port' rsyncd.log
	no_tcp "rsync over $road" 10.0.0.3 8730
	like "$(over "$road" rsync rsync://10.0.0.3:8730/ 2>&1)" 'tree*' "it lists its modules over $road"
	ok "a tree goes there over $road" over "$road" rsync -a --delete tree/ rsync://10.0.0.3:8730/tree/
	ok "is the same over $road" diff -r tree store
	ok "and comes back over $road" over "$road" rsync -a rsync://10.0.0.3:8730/tree/ "got.$road/"
	ok "is the same over $road" diff -r tree "got.$road"
	echo changed >>store/c/big
	ok "a change comes back over $road" over "$road" rsync -a --checksum rsync://10.0.0.3:8730/tree/ "got.$road/"
	ok "is the same over $road" cmp store/c/big "got.$road/c/big"
	server_end "$server"
	is "$(grep -ci 'error' rsyncd.log)" 0 "the daemon saw no error over $road"
	rm -f rsyncd.pid rsyncd.log
}

for road in $ROADS; do
	closed "$road" || daemon
done
finish
