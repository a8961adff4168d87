/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* socket: remembers that a number is now a fresh TCP or UDP socket; bindresvport: that it is bound; sockatmark. */
#include "ip2vsock/transport.h"
#include "preload/chosen.h"
#include "preload/hooks.h"
#include "preload/hot.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/strict.h"

#include <netinet/in.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static unsigned hint_of(int domain, int type, int protocol)
{
	unsigned hint = 0;

	if (domain != AF_INET && domain != AF_INET6)
		return 0;
	switch (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
	case SOCK_STREAM:
		if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
			return 0;
		hint = HINT_STREAM;
		break;
	case SOCK_DGRAM:
		if (protocol != 0 && protocol != IPPROTO_UDP)
			return 0;
		hot_udp();
		hint = HINT_DGRAM;
		break;
	default:
		return 0;
	}
	if (domain == AF_INET6)
		hint |= HINT_INET6;
	if (type & SOCK_NONBLOCK)
		hint |= HINT_NONBLOCK;
	if (type & SOCK_CLOEXEC)
		hint |= HINT_CLOEXEC;
	return hint;
}

/* SO_PROTOCOL is to tell it after the swap as well; all else is as with TCP. */
static void multipath_note(int fd)
{
	static const int protocol = IPPROTO_MPTCP;

	if (!(hint_get(fd) & HINT_STREAM))
		return;
	chosen_drop(fd);
	chosen_add(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, sizeof protocol);
	hint_add(fd, HINT_STREAM, HINT_OPTIONS);
}

HOOK int socket(int domain, int type, int protocol)
{
	static bool bound;
	unsigned hint;
	int fd;

	if (!__atomic_load_n(&bound, __ATOMIC_RELAXED)) {
		real_bind_all();
		__atomic_store_n(&bound, true, __ATOMIC_RELAXED);
	}
	hint = hint_of(domain, type, protocol);
	if (!hint) {
		if (strict_socket(domain, type, protocol) < 0)
			return -1;
		if (domain == transport_vsock.domain) /* adopt() might take it for a listener that was handed over */
			hint = HINT_FOREIGN;
	}
	fd = REAL(socket)(domain, type, protocol);
	if (fd >= 0) {
		hint_clear(fd);
		if (hint || __atomic_load_n(&remembered, __ATOMIC_RELAXED)) /* not mapped for this alone */
			hint_set(fd, hint ? hint : HINT_FOREIGN);
		if (protocol == IPPROTO_MPTCP)
			multipath_note(fd);
	}
	return fd;
}

HOOK_ALIAS(__socket, socket)

/* libc binds by itself. */
HOOK int bindresvport(int fd, struct sockaddr_in *addr)
{
	int result;

	if (strict_may_be() && strict_bind(fd, addr) < 0)
		return -1;
	result = REAL(bindresvport)(fd, addr);
	if (result == 0)
		hint_add(fd, HINT_PENDING, HINT_BOUND);
	return result;
}

/* An ioctl inside of libc. */
HOOK int sockatmark(int fd)
{
	int at = 0;

	return ioctl(fd, SIOCATMARK, &at) < 0 ? -1 : at;
}
