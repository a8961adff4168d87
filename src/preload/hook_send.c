/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sendto, sendmsg, sendmmsg with an address: nothing for a mapped address leaves on the network. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/socket.h"

#include <errno.h>

enum road {
	ROAD_REAL,    /* not ours: the call as it is */
	ROAD_REFUSED, /* errno is set */
	ROAD_CONNECT, /* MSG_FASTOPEN: connect, then send without the address */
	ROAD_PLAIN,   /* a connected stream ignores the address, as TCP does */
};

static enum road road_of(int fd, const void *name, socklen_t len, int flags, struct ip_addr *addr)
{
	struct socket_state state;
	struct target target;

	if (!ip_addr_read(name, len, addr))
		return ROAD_REAL;
	if (!decide(fd, RULE_CONNECT, addr, &state, &target))
		return ROAD_REAL;
	if (state.kind == KIND_OURS && !(flags & MSG_FASTOPEN))
		return ROAD_PLAIN;
	if (target.kind == TARGET_REJECT) {
		errno = target.error;
		return ROAD_REFUSED;
	}
	if (state.kind == KIND_UDP) {
		refuse_udp(ENETUNREACH);
		return ROAD_REFUSED;
	}
	return flags & MSG_FASTOPEN ? ROAD_CONNECT : ROAD_REAL;
}

/* The address of a connected peer may be one that no rule matches: TCP ignores it, other streams refuse it. */
static bool refused_for_name(ssize_t sent, int fd)
{
	struct mark mark;

	return sent < 0 && (errno == EISCONN || errno == EOPNOTSUPP || errno == EINVAL) && mark_find(fd, &mark);
}

/* False when the call is over, with the result -1. */
static bool road_open(enum road road, int fd, const struct ip_addr *addr, const void *name, socklen_t len)
{
	return road != ROAD_REFUSED && (road != ROAD_CONNECT || hook_connect(fd, addr, name, len) == 0);
}

HOOK ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t len)
{
	struct ip_addr addr;
	enum road road = to ? road_of(fd, to, len, flags, &addr) : ROAD_REAL;

	if (road == ROAD_REAL) {
		ssize_t sent = REAL(sendto)(fd, data, size, flags, to, len);

		if (!to || !refused_for_name(sent, fd))
			return sent;
	} else if (!road_open(road, fd, &addr, to, len)) {
		return -1;
	}
	return REAL(sendto)(fd, data, size, flags & ~MSG_FASTOPEN, NULL, 0);
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct ip_addr addr;
	struct msghdr bare;
	enum road road = message && message->msg_name
				 ? road_of(fd, message->msg_name, message->msg_namelen, flags, &addr)
				 : ROAD_REAL;

	if (road == ROAD_REAL) {
		ssize_t sent = REAL(sendmsg)(fd, message, flags);

		if (!message || !message->msg_name || !refused_for_name(sent, fd))
			return sent;
	} else if (!road_open(road, fd, &addr, message->msg_name, message->msg_namelen)) {
		return -1;
	}
	bare = *message;
	bare.msg_name = NULL;
	bare.msg_namelen = 0;
	return REAL(sendmsg)(fd, &bare, flags & ~MSG_FASTOPEN);
}

/* One by one where a rule may say something: the kernel stops at the first that fails, and so do we. */
HOOK int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	struct ip_addr addr;
	unsigned i;

	for (i = 0; i < count; i++)
		if (messages[i].msg_hdr.msg_name &&
		    road_of(fd, messages[i].msg_hdr.msg_name, messages[i].msg_hdr.msg_namelen, flags, &addr) !=
			    ROAD_REAL)
			break;
	if (i == count)
		return REAL(sendmmsg)(fd, messages, count, flags);
	for (i = 0; i < count; i++) {
		ssize_t sent = sendmsg(fd, &messages[i].msg_hdr, flags);

		if (sent < 0)
			return i ? (int)i : -1;
		messages[i].msg_len = (unsigned)sent;
	}
	return (int)i;
}
