#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The library as a file: what it exports, what it needs, and that each kind of work is done in one place of the source.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"

preload=$srcdir/src/preload
calls=$(sed -n 's/^\(CALL\|ALIAS\)(\([A-Za-z0-9_]*\)[,)].*/\2/p' "$preload/calls.def" | sort)
exports=$(sed -n '/^global:/,/^local:/s/^[[:space:]]*\([A-Za-z0-9_]*\);.*/\1/p' "$preload/export.map" | sort)
is "$exports" "$calls" "export.map names the calls of calls.def"
hooks=$(sed -n 's/^HOOK .*[ *]\([a-z0-9_]*\)(.*/\1/p; s/^HOOK_ALIAS(\([A-Za-z0-9_]*\), .*/\1/p' "$preload"/hook_*.c | sort)
is "$hooks" "$calls" "each call has one hook"
is "$(sed -n 's/^HOOK_ALIAS(\(.*\)).*/ALIAS(\1)/p' "$preload"/hook_*.c | sort)" "$(grep '^ALIAS(' "$preload/calls.def" | sort)" \
	"and other names stand for the same hooks"

# NAME FILE: why its symbols say nothing, as a skip; false when they do.
unseen() {
	if ! command -v nm >/dev/null 2>&1; then
		skip "$1" "no nm here"
	elif nm -D "$2" | grep -qE ' __(asan|tsan|ubsan|msan)_'; then
		skip "$1" "a build with sanitizers"
	else
		return 1
	fi
}

if ! unseen "exported symbols" "$library"; then
	is "$(nm -D --defined-only "$library" | awk '{ print $3 }' | sed 's/@.*//' | sort)" "$calls" \
		"the library exports these calls and nothing else"
	libc=$(ldd "$programs/knock" | awk '$1 ~ /^libc\.so/ { print $3 }')
	nm -D --defined-only "$libc" | awk '{ print $3 }' | sed 's/@.*//' | sort -u >libc.names
	nm -D --undefined-only "$library" | awk '{ print $NF }' | sed 's/@.*//' | sort -u >undefined
	is "$(comm -13 libc.names undefined)" '' "what it needs is in libc"
	# pthread_self() is the value of a register.
	is "$(grep -E '^(malloc|calloc|realloc|posix_memalign|pthread_.*|printf|fprintf|fopen|exit|abort|_exit)$' undefined |
		grep -vx pthread_self)" '' \
		"it calls no malloc, takes no lock, uses no stdio, and never ends the program"
	is "$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libc\.so')" '' \
		"it needs no library besides libc"
	is "$(readelf -lW "$library" | grep -c ' TLS ')" 0 "it has no thread-local storage"
	is "$(readelf -SW "$library" | grep -cE ' \.(init_array|ctors|init) ')" 0 "it has no constructor"
fi

# The stream library: what its header promises is what there is, under one version.
build=${IP2VSOCK%/tests/ip2vsock}
stream=$build/.libs/libvsockstream.so
header=$srcdir/include/vsock_stream.h
promised=$(sed -n 's/^[a-z].*[ *]\(vsock_stream_[a-z_]*\)(.*;$/\1/p' "$header" | sort)
is "$(sed -n '/^global:/,/^local:/s/^[[:space:]]*\([a-z_]*\);.*/\1/p' "$srcdir/src/stream/export.map" | sort)" "$promised" \
	"the stream library's export.map names the functions of its header"
if ! unseen "symbols of the stream library" "$stream"; then
	is "$(nm -D --defined-only --with-symbol-versions "$stream" | awk '$2 != "A" { print $3 }' | sort)" \
		"$(printf '%s\n' "$promised" | sed 's/$/@@VSOCKSTREAM_1/')" "it exports these, and all have the version VSOCKSTREAM_1"
	is "$(nm --defined-only "$build/libvsockstream.a" | awk '$2 ~ /^[A-Z]$/ { print $3 }' | sort)" "$promised" \
		"the archive has the same names and no other"
	is "$(readelf -d "$stream" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" libvsockstream.so.0 "its soname"
	is "$(readelf -d "$stream" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libc\.so')" '' "it needs libc alone"
fi
cat >abi.c <<'END'
#include <stddef.h>
#include <vsock_stream.h>

#define IS(what, value) extern char is_##value[(what) == value ? 1 : -1]
IS(sizeof(struct vsock_stream_endpoint), 116);
IS(offsetof(struct vsock_stream_endpoint, port), 4);
IS(offsetof(struct vsock_stream_endpoint, path), 8);
IS(VSOCK_STREAM_TEXT_SIZE, 144);
END
ok "what programs are compiled with stays as it is" "${CC:-gcc}" -Wall -Werror -I"$srcdir/include" -c -o abi.o abi.c

# Installed, and found as programs find it.
if ! command -v pkg-config >/dev/null 2>&1; then
	skip "installed" "no pkg-config here"
elif [ -f "$build/Makefile" ] && make -s -C "$build" install-libLTLIBRARIES install-staticDATA install-pkgconfigDATA \
	install-includeHEADERS DESTDIR="$work/root" >install.log 2>&1; then
	found=$(find "$work/root" -name vsockstream.pc)
	flags=$(PKG_CONFIG_PATH=${found%/*} PKG_CONFIG_SYSROOT_DIR=$work/root pkg-config --cflags --libs vsockstream)
	cat >user.c <<'END'
#include <vmci_sockets.h>
#include <vsock_stream.h>

int main(void)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);

	return vsock_stream_listen_at(stream, "vsock 3", 0) == -1 && vsock_stream_error(stream) == EINVAL ? 0 : 1;
}
END
	if ! unseen "a program of the installed library" "$stream"; then
		# shellcheck disable=SC2086 # words
		ok "a program finds the installed library by pkg-config" "${CC:-gcc}" -Wall -Wextra -Werror -o user user.c $flags
		library_path=$(find "$work/root" -name libvsockstream.so.0)
		ok "and runs" env LD_LIBRARY_PATH="${library_path%/*}" ./user
		# shellcheck disable=SC2086 # words
		ok "or has it inside" "${CC:-gcc}" -Wall -Wextra -Werror -o alone user.c ${flags%%-L*} "${library_path%.so.0}.a"
		ok "and runs without it" ./alone
		for language in c99 c11 c++98 c++17; do
			compiler=${CC:-gcc}
			case $language in
			c++*) compiler=${CXX:-g++} ;;
			esac
			if ! command -v "$compiler" >/dev/null 2>&1; then
				skip "it is found by $language" "no $compiler here"
				continue
			fi
			sed '/vmci_sockets/d; s/^int main/#include <errno.h>\n\n&/' user.c >"plain.${language%%[0-9]*}"
			# shellcheck disable=SC2086 # words
			ok "it is found by $language" "$compiler" -std="$language" -Wall -Wextra -Werror -pedantic -o user \
				"plain.${language%%[0-9]*}" $flags
			ok "and runs" env LD_LIBRARY_PATH="${library_path%/*}" ./user
		done
		# shellcheck disable=SC2086 # words
		if echo 'int main(void) { return 0; }' >empty.c && "${CC:-gcc}" -static -o empty empty.c 2>/dev/null; then
			ok "a static program has it" "${CC:-gcc}" -static -o static user.c ${flags%%-L*} "${library_path%.so.0}.a"
			ok "and runs" ./static
		else
			skip "a static program has it" "no static libc here"
		fi
	fi
else
	fail "the libraries can be installed" "$(cat install.log 2>&1)"
fi

# What the compiler sees of a file: comments gone, and what stands in strings.
code() { # FILE...
	awk '{
		line = $0
		out = ""
		while (line != "") {
			if (inside) {
				end = index(line, "*/")
				if (!end) break
				line = substr(line, end + 2)
				inside = 0
			} else {
				begin = index(line, "/*")
				if (!begin) { out = out line; break }
				out = out substr(line, 1, begin - 1)
				line = substr(line, begin + 2)
				inside = 1
			}
		}
		gsub(/"([^"\\]|\\.)*"/, "\"\"", out)
		if (out ~ /[^[:space:]]/) print FILENAME ":" FNR ":" out
	}' "$@"
}

# PATTERN NAME FILE...: the files (below src, without their suffix) whose code has it
where() {
	where_pattern=$1
	shift
	code "$@" | grep -E "$where_pattern" | sed "s|^$srcdir/src/||; s|\.[ch]:.*||" | sort -u | tr '\n' ' '
}

# shellcheck disable=SC2046 # words
set -- $(find "$srcdir/src" -name '*.[ch]')
is "$(where '\bdlsym *\(' "$@")" 'preload/real ' "dlsym is called in preload/real.c only"
is "$(where '\bgetenv *\(' "$@")" '' "nobody calls getenv"
is "$(where 'secure_getenv *\(' "$@" | sed 's|cli/[a-z]* ||g')" 'preload/init ' "secure_getenv is called in preload/init.c only"
is "$(where '\b(STDERR_FILENO|stderr|perror)\b' "$@" | sed 's|cli/[a-z]* ||g')" 'preload/log ' "preload/log.c alone writes to stderr"
is "$(where 'REAL\(dup[23]\)' "$@")" 'preload/hook_fd preload/retarget ' \
	"preload/retarget.c alone replaces descriptors (and the hooks that are asked to)"
is "$(where '\b(AF_VSOCK|AF_UNIX|sockaddr_vm|sockaddr_un)\b' "$@" | tr ' ' '\n' | grep -v '^transport/')" 'cli/machine' \
	"transport/ alone knows AF_VSOCK and AF_UNIX (and the doctor, who looks for it)"
# shellcheck disable=SC2046 # words
set -- $(find "$srcdir/src/core" "$srcdir/src/transport" -name '*.[ch]')
is "$(where '(^|[^a-z_>.])(open|read|write|close|mmap|munmap|malloc|calloc|realloc|free|socket|connect|bind|getenv|secure_getenv|errno_location) *\(' "$@")" '' \
	"core and transport make no system call, allocate nothing of their own, and read no environment"
is "$(where '^.*:[0-9]+:static ([abd-z][a-z_]*|c[a-np-z][a-z_]*) [a-z_ ]*[*a-z_]+(\[.*\])?( = .*)?;' "$@" | tr ' ' '\n' | grep -v '^$')" '' "and have no variables of their own"
# Includes point one way: core <- transport <- preload; the tool includes no preload.
includes() { # ROOM OF-ROOMS
	grep -rlE "^#include \"($2)/" "$srcdir/src/$1" | sed "s|^$srcdir/src/||"
}
is "$(includes core 'preload|transport|cli')" '' "core includes nothing of the others"
is "$(includes transport 'preload|cli')" '' "transport includes nothing of preload"
is "$(includes cli preload)" '' "the tool includes nothing of preload"
finish
