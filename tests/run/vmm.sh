#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The stand-in for a virtual machine monitor does what Firecracker and Cloud Hypervisor do, as programs without the library
# see it.
# shellcheck source=tests/run/lib.sh
. "$(dirname "$0")/lib.sh"
need python3
path=$work/v.sock
zeros=$(printf '%040d' 0 | sed 's/0/\\x00/g')

# What it is called with.
mistake() { # MESSAGE [ARG]...
	mistake_message=$1
	shift
	like "$("$programs/vmm" "$@" 2>&1)" "vmm: $mistake_message
usage: *" "a mistake: vmm $*"
}
mistake 'one of -r and -v says what the guest is'
mistake 'one of -r and -v says what the guest is' -r x -v /v
mistake 'one PATH is needed' -r x
mistake '"v.sock" is not an absolute path, or too long' -r x v.sock
mistake '"/??*" is not an absolute path, or too long' -r x "/$(printf '%0120d' 0)"
mistake '-m: unknown manner "fast"' -r x -m fast /v
mistake '-m: late is given MS' -r x -m late /v
mistake '-m: "soon" is not a number up to 3600000' -r x -m late=soon /v
mistake '-m: drop is given without a value' -r x -m drop=1 /v
mistake '-g: "70x" is not a number up to 4294967294' -r x -g 70x /v
mistake 'unknown option -z' -r x -z /v
mistake '-r needs a value' -r
mistake '-F goes with -r only' -v -F /v
like "$("$programs/vmm" -r "$realm" "$srcdir/README" 2>&1)" '*bind to *README: EADDRINUSE' "it takes nobody's file away"

# CASE WANTED
says() {
	is "$(timeout $((PATIENCE * SCALE)) python3 "$srcdir/tests/programs/vmm_talk.py" "$1" "$vm" "$path" 2>&1)" "$2" \
		"$1 $told"
}

# OPTION...
begins() {
	monitor vmm.log "$road" "$@" "$path"
	told="over $road$(printf ' %s' "$@" | tr -d '\n')"
}

ends() { # COUNTS
	is "$(monitor_counts vmm.log "$monitor")" "$1" "it has counted what came $told"
	is "$(ls "$work"/v.sock* 2>&1)" "ls: cannot access '$work/v.sock*': No such file or directory" "and its socket is gone"
}

as_cloud_hypervisor() {
	begins -g 4901
	says answers "b'CONNECT 4900\\n' b'OK N\\n' True
b'connect 4900\\n' b'OK N\\n' True
b'Connect  4900\\r\\n' b'OK N\\n' True"
	says behind "b'to the guest'
b'OK N\\n' b'to the host'"
	says pieces "b'OK N\\n'"
	says malformed "b'CONNECT 4902\\n' b''
b'HELLO 4900\\n' b''
b'CONNECT\\n4900\\n' b''
b'CONNECT  \\n 0' b''
b'CONNECT 4900x\\n' b''
b'CONNECT -1\\n        ' b''
b'CONNECT 4294967296\\n' b''
b'CONNECT 99999999999999999999\\n' b''
b'CONNECT4900\\n' b''
b'CONNECT 4900 4900\\n' b''
b'CONNECT                     4900\\n' b''
b'$zeros' b''
b'GET / HTTP/1.1\\r\\n\\r\\n' b''
[]"
	says unfinished "b'' after 2 s"
	says half-closes "b'question'
b'answer'
b'question'
b'answer'"
	says gone "b''
broken pipe
b''
broken pipe"
	says bulk 'True True True'
	says full 'waits
True'
	says three-hundred '300 300'
	says from-guest "b'one'
b'ONE'
b'two'
b'TWO'
b''"
	says from-guest-stale "b''"
	says from-guest-waiting "[b'one', b'two']"
	case $road in
	realm)
		says backlog "b'OK N\\n'
b''"
		ends '313 made, 15 refused; from the guest: 4 made, 2 refused; open: 0'
		;;
	vsock) ends '311 made, 14 refused; from the guest: 4 made, 2 refused; open: 0' ;;
	esac
}

as_firecracker() {
	begins -F
	says behind "b'to the guest'
b'OK N\\n' b'to the host'"
	says pieces refused
	says host-half-close "b'question'
nobody b''"
	says guest-half-close "b'question' []
b'answer'
b''"
	says bulk 'True True True'
	says too-many '1023 1023'
	ends '1027 made, 8 refused; from the guest: 0 made, 0 refused; open: 0'
}

# MANNER WANTED COUNTS: one question, and what comes.
answers() {
	begins -m "$1"
	says answer "$2"
	ends "$3; from the guest: 0 made, 0 refused; open: 0"
}

for road in $ROADS; do
	closed "$road" && continue
	vm=vsock
	[ "$road" = vsock ] || vm=$realm
	as_cloud_hypervisor
	[ "$road" = vsock ] || as_firecracker
	made='1 made, 0 refused'
	refused='0 made, 1 refused'
	answers late=400 "late b'OK N\\n' open" "$made"
	answers slowly=10 "b'OK N\\n' open" "$made"
	answers banner=hello "b'OK N\\nhello' open" "$made"
	answers 'say=OK five
' "b'OK five\\n' open" "$refused"
	answers garbage "b'\\x16\\x03\\x01 HTTP/1.1 400\\r\\n\\r\\n' open" "$refused"
	answers overlong "b'OK 1...' open" "$refused"
	answers no-number "b'OK\\n' open" "$refused"
	answers silent silent "$refused"
	answers close "b'' closed" "$refused"
	answers half "b'OK 10737' closed" "$refused"
	answers leave=300 "late b'' closed" "$refused"
	answers drop dropped "$refused"
	begins -m full
	says connect full
	ends '0 made, 0 refused; from the guest: 0 made, 0 refused; open: 0'
done
finish
