/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getsockname, getpeername: the addresses a TCP socket would show. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

typedef int name_call(int, struct sockaddr *, socklen_t *);

static bool name_read(name_call *call, int fd, const struct transport *transport, struct endpoint *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	return call(fd, (struct sockaddr *)&sa, &len) == 0 &&
	       transport->decode(&settings()->realm, &sa, len, out);
}

/* False when the kernel's own answer, which addr holds already, is the right one. */
static bool name_show(int fd, bool peer, struct ip_addr *out)
{
	const struct settings *now = settings();
	const struct transport *transport;
	struct endpoint local, remote;
	struct mark mark;
	bool connected;

	if (now->disabled || now->failed || !(transport = mark_find(fd, &mark)))
		return false;
	connected = name_read(REAL(getpeername), fd, transport, &remote);
	if (peer && connected)
		show_peer(&remote, &mark, out);
	else if (!peer && name_read(REAL(getsockname), fd, transport, &local))
		show_local(fd, &local, connected ? &remote : NULL, &mark, out);
	else
		return false;
	return true;
}

/* The real answer came first: only a name of another family, or one too short to tell, is looked at. */
static int name_answer(int fd, bool peer, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	int saved = errno;
	sa_family_t family = AF_UNSPEC;
	struct ip_addr shown;

	if (room >= sizeof family)
		memcpy(&family, addr, sizeof family);
	if (family != AF_INET && family != AF_INET6 &&
	    (family == AF_UNSPEC || transport_of(family)) && name_show(fd, peer, &shown)) {
		struct sockaddr_storage sa;
		socklen_t sa_len = ip_addr_write(&shown, &sa);

		*len = room;
		ip_addr_copy_out(&sa, sa_len, addr, len);
	}
	errno = saved;
	return 0;
}

HOOK int getsockname(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	socklen_t room = addr && len ? *len : 0;

	if (REAL(getsockname)(fd, addr, len) < 0)
		return -1;
	return name_answer(fd, false, addr, len, room);
}

/*
 * Vsock forgets the peer's name when the program shuts down its side; a client's mark still has it. Receiving
 * nothing succeeds unless the socket was never connected.
 */
static bool peer_remembered(int fd, struct mark *mark)
{
	char nothing;

	return !(hint_get(fd) & HINT_PENDING) && mark_find(fd, mark) && mark->kind == MARK_PEER &&
	       REAL(recvfrom)(fd, &nothing, 0, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == 0;
}

HOOK int getpeername(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	socklen_t room = addr && len ? *len : 0, sa_len;
	struct sockaddr_storage sa;
	struct mark mark;
	int saved = errno;

	if (REAL(getpeername)(fd, addr, len) == 0)
		return name_answer(fd, true, addr, len, room);
	if (errno != ENOTCONN || !addr || !len || room > INT_MAX)
		return -1;
	if (!peer_remembered(fd, &mark)) {
		errno = ENOTCONN;
		return -1;
	}
	sa_len = ip_addr_write(&mark.addr, &sa);
	ip_addr_copy_out(&sa, sa_len, addr, len);
	errno = saved;
	return 0;
}
