#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# CPython's own tests, of the Debian package libpython3.11-testsuite or of the python3 that is there.
. "$(dirname "$0")/lib.sh"

for python in /usr/bin/python3.11 /usr/bin/python3 python3; do
	"$python" -c 'import test.support, test.test_socket' 2>/dev/null && break
	python=
done
[ -n "$python" ] || suite_skip "no python3 has its tests (Debian package libpython3.11-testsuite)"

# Those that make sockets, quickest first.
suite_units() {
	printf '%s\n' test_epoll test_select test_poll test_telnetlib test_socketserver test_asynchat test_nntplib test_wsgiref \
		test_docxmlrpc test_urllib2_localnet test_xmlrpc test_httpservers test_httplib test_ftplib test_poplib test_imaplib \
		test_asyncore test_smtplib test_smtpd test_selectors test_timeout test_ssl test_socket test_logging test_urllib \
		test_asyncio.test_base_events test_asyncio.test_buffered_proto test_asyncio.test_events test_asyncio.test_sendfile \
		test_asyncio.test_server test_asyncio.test_sock_lowlevel test_asyncio.test_ssl test_asyncio.test_sslproto \
		test_asyncio.test_streams test_asyncio.test_selector_events test_asyncio.test_unix_events \
		test_asyncio.test_subprocess test_os test_signal test_subprocess \
		test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
}

suite_unit() {
	road=$1
	shift
	on_road "$road" "$python" -B "$suites/cpython.py" "$(patience)" "$@"
}

run_suite
