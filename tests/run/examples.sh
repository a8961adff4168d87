#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The programs in the manual: they compile as C99 and as C++ without a warning, and do what the manual says.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need gcc g++ nc

# PAGE NAME: the program after the line `.\" example: NAME`, as a reader sees it
example() {
	awk -v name="$2" '
		$0 == ".\\\" example: " name { found = 1; next }
		found && /^\.Bd/ { inside = 1; next }
		inside && /^\.Ed/ { exit }
		inside { gsub(/\\e/, "\\"); gsub(/\\\(dq/, "\""); gsub(/\\-/, "-"); print }' "$srcdir/man/$1"
}

warnings='-Wall -Wextra -Werror -pedantic'
build=${IP2VSOCK%/tests/ip2vsock}
for page in vsock_stream.3:server vsock_stream.3:client ip2vsock-porting.7:inet ip2vsock-porting.7:vmci ip2vsock-porting.7:stream; do
	name=${page#*:}
	example "${page%:*}" "$name" >"$name.c"
	like "$(cat "$name.c")" '*int main(*' "${page%:*} has the program $name"
	# Once: the compilers are the same in a VM, and slower.
	case " $ROADS " in
	*' realm '*) languages=all ;;
	*) languages= ;;
	esac
	for language in ${languages:+'c -std=c99' 'c -std=gnu11' 'c++ -std=c++98' 'c++ -std=c++17'}; do
		case $language in
		c\ *) compiler=gcc ;;
		*) compiler=g++ ;;
		esac
		# shellcheck disable=SC2086 # words
		ok "$name as $language" $compiler -x $language $warnings -I"$srcdir/include" -fsyntax-only "$name.c"
	done
	# A library with a sanitizer needs programs with it.
	if ! nm "$build/libvsockstream.a" | grep -qE ' __(asan|tsan|ubsan)_'; then
		# shellcheck disable=SC2086 # words
		ok "$name is linked" gcc $warnings -I"$srcdir/include" -o "$name" "$name.c" "$build/libvsockstream.a"
	fi
done

# Somebody listens, whatever becomes of it.
reached() {
	"$work/client" 'vsock local:7000' 2>client.err || ! grep -q '^connect to ' client.err
}

# The client that the page names for each of the three servers.
says_hello() {
	[ "$("$IP2VSOCK" -q -c local nc 10.0.0.3 7000 </dev/null)" = hello ]
}

case " $ROADS " in
*' vsock '*)
	if ! closed vsock && [ -x client ]; then
		for name in inet vmci stream; do
			case $name in
			inet) start "$name.log" plain "$IP2VSOCK" -l "$work/$name" ;;
			*) start "$name.log" plain "$work/$name" ;;
			esac
			ok "the server $name answers its client" wait_for 20 says_hello
			server_end "$server"
		done
		start server.log plain "$work/server"
		wait_for 20 reached
		is "$(grep -cE '^(the server has ended|(send to|shutdown of|receive from) .*)$' client.err)" 1 \
			"who is not on the list is connected, and not served"
	fi
	;;
esac
finish
