#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every name of libc that carries an address or a descriptor we depend on is hooked, or has a reason beside this file; asked of
# libc itself, and of what the programs and libraries of this machine import.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

need nm readelf
reasons=${REASONS:-$test_dir/not-hooked}

# Words of calls that make, name, connect, use, wait for or end a socket or its descriptor, and of those that look names up.
words='connect|bind|listen|accept|getsockname|getpeername|sockopt|shutdown|send|recv|socket|sockatmark|close|dup|fcntl|ioctl'
words="$words|isatty|freopen|fdopen|popen|epoll_ctl|syscall|getaddrinfo|getnameinfo|gethostby|gethostent|rcmd|rexec|resvport"
words="$words|poll|select|^(__)?p?(read|write)v?(2|64|64v2)?(_chk)?\$"
words="$words|res_n?(query|search|send)|getnetby|gethostid|ruserok|login_tty|forkpty|daemon|spawn_file_actions_add"
# Words with these in them, and nothing to do with them: text domains, copies of strings, other things that are closed.
strangers='domain|str.?dup|wcsdup|dup(locale|hand)|(dl|iconv_|cat|mq_|sem_|fts(64)?_)close|closelog|closedir|mq_|xdr_|svc_|clnt|_svc'
strangers="$strangers|tcsendbreak|pidfd_send_signal|fdopendir"
# Exported for libc's own parts: no program can link with them.
private='@GLIBC_PRIVATE'

# FILE: the calls that it defines, those of another version once.
offers() {
	nm -D --defined-only "$1" | awk '$2 ~ /^[TWi]$/ { print $3 }' | grep -v "$private" | sed 's/@.*//' | sort -u
}

# Of names on standard input those that matter.
matter() {
	grep -E "$words" | grep -vE "$strangers"
}

libc=$(ldd "$programs/knock" | awk '$1 ~ /^libc\.so/ { print $3 }')
offers "$libc" >offered
sed -n 's/^\(CALL\|ALIAS\)(\([A-Za-z0-9_]*\)[,)].*/\2/p' "$srcdir/src/preload/calls.def" | sort -u >hooked
sed -n 's/^\([A-Za-z0-9_]*\): .*/\1/p' "$reasons" | sort >reasoned
sort -u reasoned >reasoned.once

like "$(matter <offered | tr '\n' ' ')" '*__connect*accept4*close*connect*fcntl64*recvmmsg*sendmsg*socket*' \
	"libc's calls are found by their words"
is "$(grep -vE '^(#.*|[A-Za-z0-9_]+: [A-Za-z].*|)$' "$reasons")" '' "each reason is a name and words"
is "$(cat reasoned)" "$(cat reasoned.once)" "each name has one reason"
is "$(comm -12 reasoned.once hooked)" '' "what has a reason is not hooked"
is "$(comm -23 reasoned.once offered)" '' "reasons are only of names that libc has"

# NAMES: those of them that matter and that nobody has dealt with
unknown() {
	matter <"$1" | sort -u | comm -12 - offered | comm -23 - hooked | comm -23 - reasoned.once
}
is "$(unknown offered)" '' "every call of libc that matters is hooked or has a reason"

# A made-up libc with a call that matters, and a program that imports it: they are found.
cp offered offered.real
printf '%s\n' accept4_time64 __recvmsg_chk __strdup_chk | sort -m - offered.real | sort -u >offered
is "$(unknown offered | tr '\n' ' ')" '__recvmsg_chk accept4_time64 ' "a call of a libc to come would be found"
mv offered.real offered

# The machine: what its programs and libraries import. It takes no longer than a minute.
directories=$(printf '%s\n' "$PATH" | tr ':' '\n'; sed 's/#.*//' /etc/ld.so.conf.d/*.conf 2>/dev/null | grep '^/'
	echo /lib; echo /usr/lib; echo /usr/libexec)
deadline=$(($(date +%s) + 60))
: >imported
files=0
# shellcheck disable=SC2086 # words
for file in $(for directory in $directories; do
	find "$directory/" -maxdepth 3 -type f \( -perm -100 -o -name '*.so*' \) 2>/dev/null
done | sort -u); do
	[ "$(date +%s)" -lt "$deadline" ] || break
	readelf -Ws --dyn-syms "$file" 2>/dev/null | awk '$7 == "UND" && $8 != "" { sub(/@.*/, "", $8); print $8 }' >names
	[ -s names ] || continue
	files=$((files + 1))
	unknown names | sed "s|\$| $file|" >>imported
done
is "$(head -n 40 imported)" '' "no program or library here imports one that is not ($files looked at)"
ok "there were programs to look at" test "$files" -gt 20
finish
