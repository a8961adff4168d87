#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first five shell lines of README do what they say, as they are printed there.
. "$(dirname "$0")/lib.sh"
need python3 curl

# The name of the realm and the port are as printed, so another run of this must not see them.
if [ -z "${IP2VSOCK_TEST_LONELY-}" ]; then
	export IP2VSOCK_TEST_LONELY=tried
	if "$programs/lonely" true 2>/dev/null; then
		cd / && rm -rf "$work"
		exec "$programs/lonely" sh "$test_dir/readme.sh"
	fi
fi
if curl -s --noproxy '*' -o /dev/null http://127.0.0.1:8000/; then
	skip_all "port 8000, which README uses, is somebody else's"
fi

# The first indented paragraph, up to the empty line.
sed -n '/^    /,/^$/ { /^$/q; s/^    //p; }' "$srcdir/README" >"$work/lines"
is "$(wc -l <"$work/lines")" 5 'README begins with five shell lines'

# As typed: one after the other, whatever the one before said. Only the names are provided: ip2vsock is the
# one of this build, and what the lines print is kept apart.
mkdir "$work/bin" "$work/web"
ln -s "$IP2VSOCK" "$work/bin/ip2vsock"
echo 'hello from README' >"$work/web/index.html"
count=0
while IFS= read -r line; do
	count=$((count + 1))
	printf '%s\n' "exec >'$work/out.$count' 2>'$work/err.$count'" "$line" "echo \$? >'$work/status.$count'"
done <"$work/lines" >"$work/script"
# The last line ends the server, unless its curl was answered: then this does.
cat >>"$work/script" <<END
[ ! -s '$work/out.5' ] || kill \$!
wait \$!
echo \$? >'$work/ended'
END

(cd "$work/web" && PATH=$work/bin:$PATH exec sh "$work/script")

# What the line said, with what it complained of if that is not as it should be.
said() { # NUMBER PATTERN NAME
	if grep -q -- "$2" "$work/out.$1"; then
		pass "$3"
	else
		fail "$3" "$(cat "$work/out.$1" "$work/err.$1")"
	fi
}
said 2 '^hello from README$' 'curl reaches the server by an address that exists nowhere'
is "$(cat "$work/status.2")" 0 'and is content'
ok 'the server has seen it' grep 'GET / HTTP/1.1" 200' "$work/err.1"
said 3 '^hello from README$' 'and by a name'
is "$(cat "$work/status.3")" 0 'without DNS'
said 4 'goes to vsock local:8000' '--explain says where it goes'
is "$(cat "$work/status.4")" 0 'and ends well'
is "$(cat "$work/out.5")" '' 'the server is not there for TCP'
ok 'curl says so' grep '^curl: (7)' "$work/err.5"
is "$(cat "$work/ended")" 143 'and the last line has ended the server'
finish
