/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accept, accept4: the peer's address in the family that the listener was made with. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"

#include <errno.h>
#include <string.h>

/* Listeners that this process retargeted itself, and whose address does not matter, cost no question. */
static bool listener_mark(int listener, const struct transport *transport, struct mark *out)
{
	unsigned hint = hint_get(listener);

	if (!(hint & HINT_LISTEN) || hint & HINT_LOOPBACK || !transport->mark_inherited)
		return mark_get(listener, transport, out);
	*out = (struct mark){
		.kind = MARK_LOCAL,
		.flags = (hint & HINT_INET6 ? MARK_INET6 : 0) | (hint & HINT_V6ONLY ? MARK_V6ONLY : 0),
	};
	return true;
}

/* Of a connection accepted with this result in addr: -1 when the room does not even hold a family. */
static int family_of(const struct sockaddr *addr, socklen_t room)
{
	sa_family_t family;

	if (room < sizeof family)
		return -1;
	memcpy(&family, addr, sizeof family);
	return family;
}

static void accepted(int listener, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	const struct settings *now = settings();
	const struct transport *transport;
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof sa;
	struct endpoint peer;
	struct ip_addr shown;
	struct mark mark;
	int family;

	if (now->disabled || now->failed || (!addr && now->transport->mark_inherited))
		return;
	family = addr ? family_of(addr, room) : -1;
	if (family < 0 && hint_get(listener) & HINT_LISTEN)
		transport = now->transport; /* listener_mark() fails for another */
	else
		transport = transport_of(family < 0 ? socket_domain(fd) : family);
	if (!transport || !listener_mark(listener, transport, &mark))
		return;
	if (!transport->mark_inherited)
		mark_set(fd, transport, &mark);
	if (!addr)
		return;
	/* A name cut short is another name. */
	if ((*len > room || !transport->decode(&now->realm, addr, *len, &peer)) &&
	    (REAL(getpeername)(fd, (struct sockaddr *)&sa, &sa_len) < 0 ||
	     !transport->decode(&now->realm, &sa, sa_len, &peer)))
		return;
	show_peer(&peer, &mark, &shown);
	sa_len = ip_addr_write(&shown, &sa);
	*len = room;
	ip_addr_copy_out(&sa, sa_len, addr, len);
}

/* Was waiting when the listener was shut down: the next one that waits is woken in turn, until nobody answers. */
static int refuse_shut(int fd, socklen_t *len, socklen_t room)
{
	const struct transport *transport = transport_of(socket_domain(fd));
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof sa;
	struct endpoint at;

	if (transport && REAL(getsockname)(fd, (struct sockaddr *)&sa, &sa_len) == 0 &&
	    transport->decode(&settings()->realm, &sa, sa_len, &at)) {
		REAL(close)(fd);
		listener_wake(transport, &at);
	} else {
		REAL(close)(fd);
	}
	if (room)
		*len = room;
	return fail(EINVAL);
}

/*
 * The hint of a listener that came from another process (exec, SCM_RIGHTS, a parent without the library's memory):
 * asked of the socket once. `family` is that of the peer's address, or -1.
 */
static unsigned listener_learn(int listener, int family)
{
	unsigned hint = HINT_FOREIGN;
	struct mark mark;

	if (settings()->disabled || settings()->failed)
		return 0;
	if ((family < 0 || transport_of(family)) && mark_find(listener, &mark))
		hint = HINT_LISTEN | HINT_INHERIT | (mark.flags & MARK_INET6 ? HINT_INET6 : 0) |
		       (mark.flags & MARK_V6ONLY ? HINT_V6ONLY : 0) |
		       (ip_addr_is_loopback(&mark.addr) ? HINT_LOOPBACK : 0);
	hint_clear(listener); /* it may be that of a pending socket, which a child made listen */
	hint_set(listener, hint);
	return hint;
}

/* The listener was shut down, and closed before this thread had its turn. */
static bool was_shut(int fd)
{
	const struct transport *transport = transport_of(socket_domain(fd));

	return transport && is_wake(transport, fd);
}

/* `before`: the hint of the listener when the call began. */
static int finish(int listener, unsigned before, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	unsigned hint = hint_settled(hint_get(listener));
	int saved = errno, family;

	if (fd < 0)
		return fd;
	hint_clear(fd);
	if (hint & HINT_SHUT || (before & ~hint & HINT_LISTEN && was_shut(fd)))
		return refuse_shut(fd, len, room);
	family = addr ? family_of(addr, room) : -1;
	if (!hint)
		hint = listener_learn(listener, family);
	if (hint & HINT_FOREIGN)
		hint_set(fd, HINT_FOREIGN);
	if (hint & HINT_LISTEN && hint & HINT_INHERIT)
		options_inherit(listener, fd);
	if (family != AF_INET && family != AF_INET6 && !(hint & HINT_FOREIGN))
		accepted(listener, fd, addr, len, room);
	errno = saved;
	return fd;
}

HOOK int accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	socklen_t room = room_of(addr, len);
	unsigned before = hint_get(listener);

	return finish(listener, before, REAL(accept)(listener, addr, len), addr, len, room);
}

HOOK int accept4(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	socklen_t room = room_of(addr, len);
	unsigned before = hint_get(listener);

	return finish(listener, before, REAL(accept4)(listener, addr, len, flags), addr, len, room);
}
