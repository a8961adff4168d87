/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getsockname, getpeername: the addresses a TCP socket would show. */
#include "preload/beside.h"
#include "preload/decide.h"
#include "preload/end.h"
#include "preload/persist.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/udp.h"

#include <errno.h>
#include <string.h>

/* What to show instead of the kernel's own answer. NULL when that one is right. */
static const struct transport *name_mark(int fd, struct mark *out)
{
	const struct settings *now = settings();

	return now->disabled || now->failed ? NULL : mark_find(fd, out);
}

static bool own_name_show(int fd, struct ip_addr *out)
{
	const struct transport *transport;
	struct end local, remote;
	struct peer_kept kept;
	struct mark mark;
	bool connected;

	if (!(transport = name_mark(fd, &mark)) || !end_local(fd, transport, &local))
		return false;
	connected = end_peer(fd, transport, &remote);
	if (!connected && peer_kept_get(fd, &kept)) {
		remote.endpoint = kept.endpoint;
		connected = true;
	}
	show_local(fd, &local.endpoint, connected ? &remote.endpoint : NULL, &mark, out);
	return true;
}

/* *over: the kernel still knows a peer where TCP does not. */
static bool peer_name_show(int fd, struct ip_addr *out, bool *over)
{
	const struct transport *transport;
	struct end remote;
	struct peer_kept kept;
	struct mark mark;

	if (!(transport = name_mark(fd, &mark)) || !end_peer(fd, transport, &remote))
		return false;
	show_peer(&remote.endpoint, &mark, out);
	if (transport->greets && is_waiting(fd)) {
		*over = true;
		return true;
	}
	*over = peer_kept_get(fd, &kept) && peer_is_over(fd, &kept);
	return true;
}

/* The real answer came first: only a name of another family, or one too short to tell, is looked at. */
static inline bool is_ip_name(const struct sockaddr *addr, socklen_t room)
{
	sa_family_t family = AF_UNSPEC;

	if (room >= sizeof family)
		memcpy(&family, addr, sizeof family);
	_Static_assert((AF_INET6 ^ AF_INET) == 8 && !(AF_INET & 8), "one bit tells them apart");
	return (family & ~8) == AF_INET;
}

static void name_give(const struct ip_addr *shown, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = ip_addr_write(shown, &sa);

	*len = room;
	ip_addr_copy_out(&sa, sa_len, addr, len);
}

static bool udp_name_show(int fd, bool peer, struct ip_addr *out)
{
	struct udp *udp = udp_get(fd);

	return udp && (peer ? udp_peer_name(udp, out) : udp_local_name(udp, out));
}

static __attribute__((noinline)) int name_answer(int fd, bool peer, struct sockaddr *addr, socklen_t *len,
						 socklen_t room)
{
	int saved = errno;
	sa_family_t family = AF_UNSPEC;
	struct ip_addr shown;
	bool over = false;

	if (room >= sizeof family)
		memcpy(&family, addr, sizeof family);
	if (udp_name_show(fd, peer, &shown)) {
		name_give(&shown, addr, len, room);
	} else if ((family == AF_UNSPEC || domain_is_ours(family)) &&
	    (peer ? peer_name_show(fd, &shown, &over) : own_name_show(fd, &shown))) {
		if (over) {
			*len = room;
			errno = ENOTCONN;
			return -1;
		}
		name_give(&shown, addr, len, room);
	}
	errno = saved;
	return 0;
}

static __attribute__((noinline)) int own_name_answer(int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	struct mark mark;

	/* A listener that a program was executed with. */
	if (!hint_get(fd) && option_int(fd, SOL_SOCKET, SO_ACCEPTCONN) && name_mark(fd, &mark))
		beside_learn(fd, &mark);
	return name_answer(fd, false, addr, len, room);
}

HOOK int getsockname(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	socklen_t room = room_of(addr, len);

	if (REAL(getsockname)(fd, addr, len) < 0)
		return -1;
	return is_ip_name(addr, room) && !udp_get(fd) ? 0 : own_name_answer(fd, addr, len, room);
}

/*
 * Vsock forgets the peer's name when the program shuts down its side. TCP has it until both sides are shut down. A client's
 * mark has it even where shutdown was not seen: receiving nothing succeeds unless the socket was never connected.
 */
static bool peer_remembered(int fd, struct ip_addr *out)
{
	struct peer_kept kept;
	struct mark mark;
	char nothing;

	if (hint_get(fd) & HINT_PENDING)
		return udp_name_show(fd, true, out);
	if (!mark_find(fd, &mark))
		return false;
	if (peer_kept_get(fd, &kept)) {
		show_peer(&kept.endpoint, &mark, out);
		return !peer_is_over(fd, &kept);
	}
	*out = mark.addr;
	return mark.kind == MARK_PEER && REAL(recvfrom)(fd, &nothing, 0, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == 0;
}

HOOK int getpeername(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	socklen_t room = room_of(addr, len);
	struct ip_addr shown;
	int saved = errno;

	if (REAL(getpeername)(fd, addr, len) == 0)
		return is_ip_name(addr, room) ? 0 : name_answer(fd, true, addr, len, room);
	if (errno != ENOTCONN)
		return -1;
	if (!peer_remembered(fd, &shown)) {
		errno = ENOTCONN;
		return -1;
	}
	if (REAL(getsockname)(fd, addr, len) < 0) /* so the kernel judges the pointers and the length */
		return -1;
	name_give(&shown, addr, len, room);
	errno = saved;
	return 0;
}
