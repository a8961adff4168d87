/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* send, sendto, sendmsg, sendmmsg: nothing for a mapped address leaves on the network; failures as TCP has them. */
#include "preload/data.h"
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/hot.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/stats.h"
#include "preload/strict.h"
#include "preload/udp.h"

#include <errno.h>
#include <limits.h>

enum road {
	ROAD_REAL,    /* not ours: the call as it is */
	ROAD_REFUSED, /* errno is set */
	ROAD_CONNECT, /* MSG_FASTOPEN: connect, then send without the address */
	ROAD_PLAIN,   /* a connected stream ignores the address, as TCP does */
	ROAD_UDP,     /* a datagram */
};

/* `call` is NULL for who only wants to know. */
static enum road road_of(const char *call, int fd, const void *name, socklen_t len, int flags, struct ip_addr *addr)
{
	struct socket_state state;
	struct target target;

	/* What is a socket of UDP for sure finds its way by itself (udp_send), also to addresses that no rule knows. */
	if (hint_get(fd) & HINT_DGRAM)
		return ROAD_UDP;
	if (!ip_addr_read(name, len, addr))
		return hint_get(fd) ? ROAD_REAL : ROAD_UDP;
	if (!decide(fd, RULE_CONNECT, addr, &state, &target))
		return hint_get(fd) ? ROAD_REAL : ROAD_UDP;
	if (state.kind == KIND_OURS && !(flags & MSG_FASTOPEN))
		return ROAD_PLAIN;
	if (target.kind == TARGET_REJECT) {
		if (call)
			refuse(call, fd, addr, &target);
		return ROAD_REFUSED;
	}
	if (state.kind == KIND_UDP)
		return ROAD_UDP;
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

/* A failure without the arguments: what was waited for is the program's to try again, as after a signal. */
static __attribute__((noinline)) ssize_t sent_nothing(int fd, int flags)
{
	ssize_t sent = send_failed(fd, flags);

	if (sent != DATA_AGAIN)
		return sent;
	errno = EINTR;
	return -1;
}

static __attribute__((used)) ssize_t send_failed_quickly(int fd)
{
	return sent_nothing(fd, 0);
}

static __attribute__((noinline, used)) ssize_t send_flagged(int fd, const void *data, size_t size, int flags)
{
	ssize_t sent;

	if (!send_allowed(fd, flags))
		return -1;
	do {
		sent = HOT(send)(fd, data, size, flags);
		if (sent < 0)
			sent = send_failed(fd, flags);
	} while (sent == DATA_AGAIN);
	return sent;
}

/* The call that programs make most: a look at the flags, and one at the result. */
static inline ssize_t send_plain(int fd, const void *data, size_t size, int flags)
{
	ssize_t sent;

	if (__builtin_expect(flags & SEND_FLAGS, 0))
		return send_flagged(fd, data, size, flags);
	sent = HOT(send)(fd, data, size, flags);
	return __builtin_expect(sent < 0, 0) ? sent_nothing(fd, 0) : sent;
}

HOOK ssize_t send(int fd, const void *data, size_t size, int flags);

#ifdef CALL_QUICKLY
__attribute__((naked)) ssize_t send(int fd UNUSED, const void *data UNUSED, size_t size UNUSED, int flags UNUSED)
{
	CALL_QUICKLY(send, SEND_FLAGS, send_flagged, send_failed_quickly);
}
#else
ssize_t send(int fd, const void *data, size_t size, int flags)
{
	return send_plain(fd, data, size, flags);
}
#endif

HOOK_ALIAS(__send, send)

static __attribute__((noinline)) ssize_t sendto_named(int fd, const void *data, size_t size, int flags,
						       const struct sockaddr *to, socklen_t len)
{
	struct ip_addr addr;
	enum road road = road_of("sendto", fd, to, len, flags, &addr);

	if (road == ROAD_UDP) {
		struct iovec part = {(void *)(uintptr_t)data, size};
		struct msghdr message = {
			.msg_name = (void *)(uintptr_t)to, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1};
		ssize_t sent;

		if (udp_send(fd, &message, flags, &sent))
			return sent;
		road = ROAD_REAL;
	}
	if (road == ROAD_REAL) {
		ssize_t sent;

		if (strict_may_be() && strict_address("sendto", fd, to, len) < 0)
			return -1;
		sent = REAL(sendto)(fd, data, size, flags, to, len);
		if (!refused_for_name(sent, fd))
			return sent < 0 ? sent_nothing(fd, flags) : sent;
	} else if (!road_open(road, fd, &addr, to, len)) {
		return -1;
	}
	return send_plain(fd, data, size, flags & ~MSG_FASTOPEN);
}

HOOK ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t len)
{
	return to ? sendto_named(fd, data, size, flags, to, len) : send_plain(fd, data, size, flags);
}

static ssize_t message_send(int fd, const struct msghdr *message, int flags)
{
	ssize_t sent;

	if (flags & SEND_FLAGS && !send_allowed(fd, flags))
		return -1;
	do {
		sent = REAL(sendmsg)(fd, message, flags);
		if (sent < 0)
			sent = send_failed(fd, flags);
	} while (sent == DATA_AGAIN);
	return sent;
}

#define NAME_MOST ((socklen_t)sizeof(struct sockaddr_storage))

/* As __copy_msghdr() of net/socket.c reads it: a name longer than any address is cut, one of no length is none. */
static const struct msghdr *message_named(const struct msghdr *message, struct msghdr *copy)
{
	const socklen_t len = message->msg_namelen;

	if (!message->msg_name || (len && len <= NAME_MOST) || len > INT_MAX)
		return message;
	*copy = *message;
	copy->msg_name = len ? message->msg_name : NULL;
	copy->msg_namelen = len ? NAME_MOST : 0;
	return copy;
}

HOOK ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct ip_addr addr;
	struct msghdr bare;
	enum road road;

	if (!is_pointer(message))
		return REAL(sendmsg)(fd, message, flags);
	message = message_named(message, &bare);
	if (!message->msg_name) {
		ssize_t sent;

		return udp_get(fd) && udp_send(fd, message, flags, &sent) ? sent : message_send(fd, message, flags);
	}
	road = road_of("sendmsg", fd, message->msg_name, message->msg_namelen, flags, &addr);
	if (road == ROAD_UDP) {
		ssize_t sent;

		if (udp_send(fd, message, flags, &sent))
			return sent;
		road = ROAD_REAL;
	}
	if (road == ROAD_REAL) {
		ssize_t sent;

		if (strict_may_be() && strict_address("sendmsg", fd, message->msg_name, message->msg_namelen) < 0)
			return -1;
		sent = REAL(sendmsg)(fd, message, flags);
		if (!refused_for_name(sent, fd))
			return sent < 0 ? sent_nothing(fd, flags) : sent;
	} else if (!road_open(road, fd, &addr, message->msg_name, message->msg_namelen)) {
		return -1;
	}
	bare = *message;
	bare.msg_name = NULL;
	bare.msg_namelen = 0;
	return message_send(fd, &bare, flags & ~MSG_FASTOPEN);
}

HOOK_ALIAS(__sendmsg64, sendmsg)

/* One by one: the kernel stops at the first that fails, and after so many (UIO_MAXIOV), and so do we. */
static int messages_send(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	unsigned i;

	if (count > IOV_MAX)
		count = IOV_MAX;
	for (i = 0; i < count; i++) {
		ssize_t sent = sendmsg(fd, &messages[i].msg_hdr, flags);

		if (sent < 0)
			return i ? (int)i : -1;
		messages[i].msg_len = (unsigned)sent;
	}
	return (int)i;
}

static bool rule_matters(int fd, const struct msghdr *given, int flags)
{
	struct msghdr copy;
	const struct msghdr *message = message_named(given, &copy);
	struct ip_addr addr;

	if (udp_get(fd))
		return true;
	return message->msg_name && (strict_may_be() || road_of(NULL, fd, message->msg_name, message->msg_namelen, flags,
								&addr) != ROAD_REAL);
}

HOOK int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	struct mark mark;
	int sent;

	if (!is_pointer(messages))
		return REAL(sendmmsg)(fd, messages, count, flags);
	if (flags & (MSG_OOB | MSG_ZEROCOPY) && mark_find(fd, &mark))
		return messages_send(fd, messages, count, flags);
	for (unsigned i = 0; i < count; i++)
		if (rule_matters(fd, &messages[i].msg_hdr, flags))
			return messages_send(fd, messages, count, flags);
	do {
		sent = REAL(sendmmsg)(fd, messages, count, flags);
		if (refused_for_name(sent, fd))
			return messages_send(fd, messages, count, flags);
		if (sent < 0)
			sent = (int)send_failed(fd, flags);
	} while (sent == DATA_AGAIN);
	return sent;
}

HOOK_ALIAS(__sendmmsg, sendmmsg)
HOOK_ALIAS(__sendmmsg64, sendmmsg)
