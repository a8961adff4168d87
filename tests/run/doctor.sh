#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# --doctor, and the warning before a program that the library does not come into. What a warning claims is shown, too:
# a rule refuses with ETIMEDOUT what the network refuses with ECONNREFUSED, so that one can see who was asked.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
: "${CC:=cc}"

told() {
	"$@" 2>&1
	echo "status $?"
}

# NAME TEXT PART [PART]...: whole lines of it.
has_lines() {
	has_name=$1 has_text=$2
	shift 2
	for has_line; do
		printf '%s\n' "$has_text" | grep -qxF "$has_line" && continue
		fail "$has_name" "no line: $has_line
in: $has_text"
		return
	done
	pass "$has_name"
}

# --- real vsock, in the VM only

if [ "${IP2VSOCK_TEST_VSOCK-}" = yes ]; then
	said=$(told "$IP2VSOCK" -c local --doctor)
	has_lines "a machine with vsock is well" "$said" "ok       library: $library can be loaded" \
		"ok       mapping: 1 rule, the first from -c local" "note     realm: none, the kernel's vsock is used" \
		"ok       AF_VSOCK: this kernel has it" \
		"ok       vsock_loopback: programs of this machine reach each other (CID 1)" \
		"ok       vhost_vsock: this machine reaches guests of QEMU and its like" \
		"ok       own CID: 2, this is a host" "status 0"
	said=$(told "$IP2VSOCK" -c 5 -c local -c host --doctor)
	has_lines "every CID is within reach there" "$said" "status 0"
	chmod 600 /dev/vsock
	said=$(told setpriv --reuid 65534 --regid 65534 --clear-groups "$IP2VSOCK" -c local --doctor)
	chmod 666 /dev/vsock
	has_lines "without permission for /dev/vsock nothing is wrong" "$said" \
		'note     own CID: not known, /dev/vsock: Permission denied; only the own address that programs see depends on it, and IP2VSOCK_CID tells it (the udev rule KERNEL=="vsock", MODE="0666" opens it)' \
		"ok       AF_VSOCK: this kernel has it" "status 0"
	finish
fi

# --- the machine: none of its vsock is used, and what there is to be seen of it is covered by another picture

doctor() { # [ARGUMENT]...
	told "$programs/without" "$IP2VSOCK" "$@"
}

said=$(doctor -c 3 --doctor)
has_lines "a kernel without AF_VSOCK is a problem" "$said" "ok       library: $library can be loaded" \
	"ok       mapping: 1 rule, the first from -c 3" "status 1" \
	"problem  AF_VSOCK: this kernel does not have it; modprobe vsock, on the machine itself if this is a container"
is "$(doctor -u demo -c 3 -r 'connect *:9 inet' --doctor)" "ok       library: $library can be loaded
ok       mapping: 2 rules, the first from -c 3
ok       realm: demo, as CID 1 of it; the kernel's vsock is not used
status 0" "but not in a realm"
is "$(printf '%s\n' "$said" | grep -cvE '^(ok      |note    |problem ) .|^status')" 0 "every finding is a line of its kind"
has_lines "no rules are a problem" "$(HOME=$work XDG_CONFIG_HOME=$work doctor -u demo --doctor | sed 's/ or \/.*/ or .../')" \
	"problem  mapping: there is none; give -c, -l, -r or -f, or write $work/ip2vsock.conf or ..." "status 1"
has_lines "and so are bad ones" "$(doctor -u demo -c hots -l 80=http --doctor)" "status 1" \
	'ip2vsock: -c "hots": unknown CID "hots" (host, local, hypervisor or a number)' \
	"problem  mapping: 2 mistakes, shown above; programs are not started with it"
has_lines "IP2VSOCK_DISABLE is a problem" "$(IP2VSOCK_DISABLE=1 doctor -u demo -c 3 --doctor)" "status 1" \
	"problem  IP2VSOCK_DISABLE is 1, so the library does nothing; unset it"
sed "s,^w_library=.*,w_library='$work/nosuch.so'," "$IP2VSOCK" >broken
like "$(told sh ./broken -u demo -c 3 --doctor)" "problem  library: $work/nosuch.so: cannot open *; install ip2vsock *
status 1" "a library that is not there is a problem"
echo garbage >"$work/nosuch.so"
like "$(told sh ./broken -u demo -c 3 --doctor)" "problem  library: $work/nosuch.so: *; install ip2vsock *
status 1" "or is none"

# pictured RULES COMMAND...: the doctor on a machine whose directories for modules and devices COMMAND made.
pictured() {
	pictured_rules=$1
	shift
	unshare -m sh -eu -c 'rules=$1
		shift
		mkdir -p sys dev lib
		for place in sys:/sys/module dev:/dev lib:/lib/modules; do
			[ -d "${place#*:}" ] || continue
			rm -rf "${place%%:*}"
			mkdir "${place%%:*}"
		done
		: >dev/null
		mount --bind /dev/null dev/null
		eval "$1"
		for place in sys:/sys/module dev:/dev lib:/lib/modules; do
			[ ! -d "${place#*:}" ] || mount --rbind "${place%%:*}" "${place#*:}"
		done
		eval "exec \"\$2\" \"\$3\" $rules --doctor"' sh "$pictured_rules" "$1" "$programs/without" "$IP2VSOCK" 2>&1
	echo "status $?"
}
if [ "$(id -u)" = 0 ] && unshare -m mount -t tmpfs none /mnt 2>/dev/null && ! grep -q vsock /proc/modules 2>/dev/null; then
	has_lines "no transport is a problem" "$(pictured '-c 3' :)" "status 1" \
		"problem  transports: there is none, no CID can be reached; load the one for this machine: modprobe vsock_loopback, vhost_vsock on a host, vmw_vsock_virtio_transport in a guest" \
		"note     own CID: not known, /dev/vsock: No such file or directory; only the own address that programs see depends on it, and IP2VSOCK_CID tells it"
	has_lines "a CID that needs another transport is a problem" \
		"$(pictured '-c 3 -c local -c 4 -r "connect 10.0.0.3:1 vsock host:1"' 'mkdir sys/hv_sock')" "status 1" \
		"ok       hv_sock: Hyper-V: a guest reaches its host" \
		"problem  -c 3: goes to CID 3, another guest: most monitors connect guests to their host only" \
		"problem  -c local: goes to CID 1, this machine itself: modprobe vsock_loopback"
	said=$(pictured '-c 3 -c local' 'mkdir sys/vsock_loopback sys/vhost_vsock')
	has_lines "a host" "$said" "ok       vhost_vsock: this machine reaches guests of QEMU and its like" \
		'note     /dev/vhost-vsock: No such file or directory; only who starts virtual machines needs it (the udev rule KERNEL=="vhost-vsock", GROUP="kvm", MODE="0660" and membership in kvm)'
	is "$(printf '%s\n' "$said" | grep -c ' goes to ')" 0 "has all that guests and the host itself need"
	has_lines "a host without the module for guests" "$(pictured '-c 3' 'mkdir sys/vsock_loopback')" \
		"problem  -c 3: goes to CID 3, a guest: modprobe vhost_vsock, and start it with this CID"
else
	skip "other machines" "needs root, unshare -m, and no modules that can be seen"
fi

# --- programs

rule='connect 127.0.0.1:* reject ETIMEDOUT'
port=4999

# PROGRAM...: what the wrapper says and the program sees.
tried() {
	"$IP2VSOCK" -u "$realm" -r "$rule" "$@" 2>&1
}

# NAME REASON PATTERN PROGRAM [ARGUMENT]...: the library does not come into it. PATTERN is what it says.
not_helped() {
	name=$1 reason=$2 pattern=$3
	shift 3
	like "$(tried "$@")" "ip2vsock: warning: $reason${pattern:+
$pattern}" "$name: a warning, and the network answers"
	is "$(told "$IP2VSOCK" --strict -u "$realm" -r "$rule" "$@")" "ip2vsock: --strict: $reason
status 125" "$name: not started with --strict"
	like "$(tried -q "$@")" "$pattern" "$name: no warning where nothing is to be logged"
	like "$(told "$IP2VSOCK" --doctor "$1")" "*problem  $reason; *
status 1" "$name: the doctor says the same, and what to do"
}

# NAME PROGRAM...: it does, and nothing is said.
helped() {
	name=$1
	shift
	is "$(tried "$@")" "a rule refused" "$name: no warning, and the rule is obeyed"
	is "$(tried --strict "$@")" "a rule refused" "$name: with --strict, too"
	like "$(told "$IP2VSOCK" --doctor "$1")" "*ok       *, which loads the library
*status 0" "$name: the doctor finds nothing wrong"
}
not="its sockets are not retargeted"

# NAME COMPILER OPTION...: builds reach.c as $work/NAME; a skip where that cannot be done here.
build() {
	built=$1
	shift
	"$@" -o "$built" "$srcdir/tests/programs/reach.c" $after 2>cc.log && return
	skip "$built" "not built: $(head -n 1 cc.log)"
	return 1
}
after=''

cp "$programs/reach" reach
helped "a dynamic program" "$work/reach" $port
is "$("$programs/reach" $port)" "the network refused" "(without ip2vsock the network refuses)"

build static "$CC" -static && not_helped "a static program" "./static is statically linked: $not" "the network refused" ./static $port
build static-pie "$CC" -static-pie -fPIE &&
	not_helped "a static-pie program" "./static-pie is statically linked: $not" "the network refused" ./static-pie $port

echo 'int no_such_call(void); int need(void) { return no_such_call(); }' |
	"$CC" -shared -fPIC -nostdlib -x c -o lacking.so -
sed "s,^w_library=.*,w_library='$work/lacking.so'," "$IP2VSOCK" >lacking
has_lines "a library that the program's libraries cannot help is a problem" "$(told sh ./lacking --doctor ./reach)" "status 1" \
	"problem  ./reach: no library of it has no_such_call, which the library to be preloaded needs; build ip2vsock against that C library"

echo 'long syscall(long, ...); int main(void) { return syscall(-1) == 0; }' | "$CC" -x c -o raw -
like "$(told sh ./lacking --doctor ./raw)" '*
note     ./raw: calls syscall(2); sockets that it connects or binds that way are not retargeted
*' "a program with syscall() is noted where the library has none"
like "$(told "$IP2VSOCK" --doctor ./raw)" "ok       ./raw: *
note     what it *
status 0" "and not where it has"
if echo 'int main(void) { return 0; }' | "$CC" -fsanitize=address -shared-libasan -x c -o checked - 2>cc.log ||
	echo 'int main(void) { return 0; }' | "$CC" -fsanitize=address -x c -o checked - 2>cc.log; then
	has_lines "a program with AddressSanitizer's shared runtime is noted" "$(told "$IP2VSOCK" --doctor ./checked)" "status 0" \
		'note     ./checked: AddressSanitizer'\''s runtime has to be preloaded first (LD_PRELOAD=$(gcc -print-file-name=libasan.so) ip2vsock ...), or set ASAN_OPTIONS=verify_asan_link_order=0'
	like "$(ASAN_OPTIONS='' told "$IP2VSOCK" -c 3 ./checked)" '*ASan runtime does not come first*
status 1' "which says so itself"
	is "$(ASAN_OPTIONS=verify_asan_link_order=0 told "$IP2VSOCK" -c 3 ./checked)" 'status 0' "and is content with the option"
else
	skip "a program with AddressSanitizer" "not built: $(head -n 1 cc.log)"
fi

# A dynamic linker is no static program: it can be told what to run.
linker=$(awk '$6 ~ /\/ld-[^\/]*\.so/ { print $6; exit }' /proc/self/maps)
is "$(tried "$linker" ./reach $port)" "a rule refused" "the dynamic linker itself"

if busybox=$(command -v busybox) && "$IP2VSOCK" --doctor "$busybox" | grep -q 'statically linked'; then
	printf '#!%s sh\nexec %s\n' "$busybox" "$work/reach $port" >busybox-script
	chmod +x busybox-script
	not_helped "a script of busybox" "$busybox, which runs ./busybox-script, is statically linked: $not" "a rule refused" \
		./busybox-script
	not_helped "busybox itself" "$busybox is statically linked: $not" "*onnection refused*" "$busybox" nc 127.0.0.1 $port
else
	skip "busybox" "no static busybox here"
fi

if gron=$(command -v gron); then
	not_helped "a Go program" "$gron is a Go program, which does without the C library: $not" "*: connection refused*" \
		"$gron" http://127.0.0.1:$port/
else
	skip "a Go program" "gron is not installed"
fi

if command -v musl-gcc >/dev/null; then
	build musl musl-gcc && helped "a program for musl" ./musl $port &&
		like "$("$IP2VSOCK" --doctor ./musl)" '*
note     ./musl: built for musl, which loads the library as well as glibc does
*' "a program for musl: the doctor knows"
	build musl-static musl-gcc -static &&
		not_helped "a static one" "./musl-static is statically linked: $not" "the network refused" ./musl-static $port
	# A library that needs what musl does not have.
	echo 'const char *strerrorname_np(int); const char *name(void) { return strerrorname_np(1); }' |
		"$CC" -shared -fPIC -nostdlib -x c -o needy.so -
	sed "s,^w_library=.*,w_library='$work/needy.so'," "$IP2VSOCK" >needy
	like "$(told sh ./needy -r "$rule" ./musl $port)" \
		'ip2vsock: warning: ./musl uses a C library without strerrorname_np: with the library it does not start
Error relocating *strerrorname_np: symbol not found*
status 127' "a library that musl cannot load"
	is "$(told sh ./needy --strict -r "$rule" ./musl $port)" \
		'ip2vsock: --strict: ./musl uses a C library without strerrorname_np: with the library it does not start
status 125' "is not tried with --strict"
else
	skip "programs for musl" "musl-gcc is not installed"
fi

# No C library: it only has to be started.
echo 'void _start(void) { __asm__ volatile("int $0x80" : : "a"(1), "b"(7)); }' >narrow.c
if [ "$(uname -m)" = x86_64 ] && "$CC" -m32 -nostdlib -ffreestanding -fno-pie -no-pie -o narrow narrow.c; then
	not_helped "a 32-bit program" "./narrow is a 32-bit x86 program and the library is 64-bit x86-64: $not" '' ./narrow
else
	skip "a 32-bit program" "only made on x86-64"
fi

after=-luring
if build uring "$CC" -DIO_URING; then
	not_helped "a program with io_uring" "./uring uses io_uring: sockets that it connects or binds that way are not retargeted" \
		"the network refused" ./uring $port
	echo 'int io_uring_queue_init(void); int call(void) { return io_uring_queue_init(); }' |
		"$CC" -shared -fPIC -x c -o libinner.so - $after
	echo 'int call(void); int outer(void) { return call(); }' | "$CC" -shared -fPIC -x c -o libouter.so - -L. -linner
	echo 'int outer(void); int main(void) { return outer() == 0; }' |
		"$CC" -x c -o deep - -L. -louter -Wl,-rpath,"\$ORIGIN" -Wl,-rpath-link,.
	has_lines "a library of a library with io_uring is noted" \
		"$(LD_LIBRARY_PATH=$work told "$IP2VSOCK" --doctor ./deep)" "status 0" \
		"note     $work/libinner.so: uses io_uring; sockets that it connects or binds that way are not retargeted"
fi
after=''

# Privilege. As root somebody else's set-user-ID program is one, and file capabilities are nothing new.
if [ "$(id -u)" = 0 ] && ! findmnt -no OPTIONS -T "$work" | grep -q nosuid; then
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	for mode in u+s:setuid g+s:setgid; do
		cp reach "${mode#*:}"
		chown 65534:65534 "${mode#*:}"
		chmod "${mode%:*}" "${mode#*:}"
		not_helped "a ${mode#*:} program" \
			"./${mode#*:} is set-user-ID or set-group-ID and runs without preloaded libraries: $not" \
			"the network refused" "./${mode#*:}" $port
		is "$(as_nobody "$IP2VSOCK" -r "$rule" "./${mode#*:}" $port 2>&1)" "a rule refused" \
			"a ${mode#*:} program: nothing changes for who it changes to"
		is "$(setpriv --no-new-privs "$IP2VSOCK" -r "$rule" "./${mode#*:}" $port 2>&1)" "a rule refused" \
			"a ${mode#*:} program: nor where privileges are not given any more"
	done
	if command -v setcap >/dev/null; then
		cp reach capable
		setcap cap_net_bind_service+ep capable
		helped "file capabilities for root" ./capable $port
		capable="./capable has file capabilities and runs without preloaded libraries: $not"
		is "$(as_nobody "$IP2VSOCK" -r "$rule" ./capable $port 2>&1)" "ip2vsock: warning: $capable
the network refused" "file capabilities: a warning, and the network answers"
		is "$(told as_nobody "$IP2VSOCK" --strict -r "$rule" ./capable $port)" "ip2vsock: --strict: $capable
status 125" "file capabilities: not started with --strict"
		like "$(told as_nobody "$IP2VSOCK" --doctor ./capable)" "problem  $capable; *
status 1" "file capabilities: the doctor says the same"
	else
		skip "file capabilities" "setcap is not installed"
	fi
	cp reach unreadable
	chmod 711 unreadable
	is "$(as_nobody "$IP2VSOCK" -r "$rule" ./unreadable $port 2>&1)" "a rule refused" \
		"a program that may not be read: no warning, and the rule is obeyed"
	has_lines "a program that may not be read: the doctor says so" \
		"$(told as_nobody "$IP2VSOCK" --doctor ./unreadable)" "status 0" \
		"note     ./unreadable cannot be read (Permission denied), so no more is known of it"
else
	skip "programs with privileges" "needs root, and a directory without nosuid"
fi

# Scripts: what runs them counts.
script() { # NAME FIRST-LINE
	printf '%s\necho ran\n' "$2" >"$1"
	chmod +x "$1"
}
shell=$(command -v sh)
script plain "#!$shell"
like "$(told "$IP2VSOCK" --doctor ./plain)" "note     ./plain: a script, run by $shell
ok       $shell: *
status 0" "a script"
script by-env '#!/usr/bin/env sh'
like "$(told "$IP2VSOCK" --doctor ./by-env)" "note     ./by-env: a script, run by $shell
ok       $shell: *
status 0" "a script of env"
script by-env-S '#!/usr/bin/env -S A=1 -u B sh -e'
like "$(told "$IP2VSOCK" --doctor ./by-env-S)" "note     ./by-env-S: a script, run by $shell
ok       $shell: *
status 0" "a script of env -S"
script cleared '#!/usr/bin/env -S -i sh'
printf '%s %s\n' "$work/reach" $port >>cleared
not_helped "a script of env -i" "$shell, which runs ./cleared, is started by env with an empty environment: $not" "ran
the network refused" ./cleared
script unclear '#!/usr/bin/env -S PATH=/nowhere sh'
like "$(told "$IP2VSOCK" --doctor ./unclear)" "note     ./unclear: a script, run by */env
problem  */env is started by a #! line from which it cannot be told what runs
status 1" "a line that cannot be read"
script second "#!$work/plain"
like "$(told "$IP2VSOCK" --doctor ./second)" "note     ./second: a script, run by $work/plain
note     $work/plain: a script, run by $shell
ok       $shell: *
status 0" "a script of a script"
script lost '#!/no/such/program'
is "$(told "$IP2VSOCK" --doctor ./lost)" "note     ./lost: a script, run by /no/such/program
problem  /no/such/program is named by a #! line and is not there
status 1" "a script of nothing"
like "$(told "$IP2VSOCK" -c 3 ./lost)" "*
status 127" "cannot be started: 127"
script turning "#!$work/turning"
like "$(told "$IP2VSOCK" --doctor ./turning)" "*
problem  $work/turning leads through too many #! lines
status 1" "a script of itself"
script "a b; c" "#! $shell "
like "$(told "$IP2VSOCK" --doctor "./a b; c")" "note     ./a b; c: a script, run by $shell
*
status 0" "a name with blanks"
is "$(tried "./a b; c")" ran "and it runs"
echo 'echo shell ran' >none
chmod +x none
has_lines "a file without #! is the shell's" "$(told "$IP2VSOCK" --doctor ./none)" "status 0" \
	"note     ./none: neither ELF nor a script with #!; a shell runs it, or what binfmt_misc says"
is "$(tried ./none)" "shell ran" "and is left to it"

# What is no program.
head -c 200 reach >damaged
chmod +x damaged
is "$(told "$IP2VSOCK" --doctor ./damaged)" "problem  ./damaged is a damaged ELF file
status 1" "a damaged program"
head -c 4096 /dev/urandom | sed '1s/^/garbage/' >garbage
chmod +x garbage
like "$(told "$IP2VSOCK" --doctor ./garbage)" "note     ./garbage: neither ELF nor *
status 0" "garbage"
for name in nosuch ./nosuch ''; do
	is "$(told "$IP2VSOCK" --doctor "$name")" "problem  $name: not found
status 1" "not there: \"$name\""
done
is "$(told "$IP2VSOCK" --doctor "$work")" "problem  $work: cannot be executed
status 1" "a directory"
is "$(told "$IP2VSOCK" --doctor ./narrow.c)" "problem  ./narrow.c: cannot be executed
status 1" "a file that cannot be executed"
has_lines "mistakes in rules are shown with a program as well" "$(told "$IP2VSOCK" -c hots --doctor ./reach)" "status 1" \
	"problem  mapping: 1 mistake, shown above; programs are not started with it"
finish
