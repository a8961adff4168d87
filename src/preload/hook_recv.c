/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recv, recvfrom, recvmsg, recvmmsg: flags that only TCP knows, failures as TCP has them, and no sender's name. */
#include "preload/data.h"
#include "preload/hooks.h"
#include "preload/hot.h"
#include "preload/mark.h"
#include "preload/real.h"
#include "preload/udp.h"
#include "preload/wait.h"

#include <errno.h>
#include <string.h>

/*
 * A unix socket writes the sender's name where TCP writes nothing: what stood there before is put back. Only
 * in a realm, and only for callers who ask for a name. The name is never longer than a sockaddr_un, however much
 * room there is.
 */
struct place {
	unsigned char before[sizeof(struct sockaddr_storage)];
	socklen_t room;
	bool look;
};

static void place_keep(struct place *place, const void *name, socklen_t room)
{
	place->look = has_unix() && is_pointer(name);
	place->room = room < sizeof place->before ? room : sizeof place->before;
	if (place->look)
		memcpy(place->before, name, place->room);
}

static void place_restore(const struct place *place, int fd, void *name, socklen_t *len)
{
	struct mark mark;

	if (!place->look || *len == 0 || !mark_find(fd, &mark))
		return;
	memcpy(name, place->before, place->room);
	*len = 0;
}

/* A failure without the arguments: what was waited for is the program's to try again, as after a signal. */
static __attribute__((noinline, used)) ssize_t recv_failed(int fd)
{
	ssize_t got = receive_failed(fd, 0);

	if (got != DATA_AGAIN)
		return got;
	errno = EINTR;
	return -1;
}

static __attribute__((noinline, used)) ssize_t recv_flagged(int fd, void *data, size_t size, int flags)
{
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct udp *udp;

	if (!wait_received(fd, flags))
		return -1;
	udp = udp_get(fd);
	if (udp)
		return udp_receive(udp, fd, &message, flags);
	return receive_flagged(fd, &message, flags);
}

/* The call that programs make most: a look at the flags, and one at the result. */
static inline ssize_t recv_plain(int fd, void *data, size_t size, int flags)
{
	ssize_t got;

	if (__builtin_expect(flags & RECEIVE_FLAGS, 0))
		return recv_flagged(fd, data, size, flags);
	got = HOT(recv)(fd, data, size, flags);
	return __builtin_expect(got < 0, 0) ? recv_failed(fd) : got;
}

HOOK ssize_t recv(int fd, void *data, size_t size, int flags);

#ifdef CALL_QUICKLY
__attribute__((naked)) ssize_t recv(int fd UNUSED, void *data UNUSED, size_t size UNUSED, int flags UNUSED)
{
	CALL_QUICKLY(recv, RECEIVE_FLAGS, recv_flagged, recv_failed);
}
#else
ssize_t recv(int fd, void *data, size_t size, int flags)
{
	return recv_plain(fd, data, size, flags);
}
#endif

HOOK_ALIAS(__recv, recv)

/* What recv becomes with _FORTIFY_SOURCE. The real one ends the program where the buffer is too small. */
HOOK ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	if (size > room)
		return REAL(__recv_chk)(fd, data, size, room, flags);
	return recv_plain(fd, data, size, flags);
}

static ssize_t recvfrom_udp(struct udp *udp, int fd, void *data, size_t size, int flags, struct sockaddr *from,
			    socklen_t *len)
{
	struct iovec part = {data, size};
	struct msghdr message = {
		.msg_name = from, .msg_namelen = from ? *len : 0, .msg_iov = &part, .msg_iovlen = 1};
	ssize_t got = udp_receive(udp, fd, &message, flags);

	if (got >= 0 && from)
		*len = message.msg_namelen;
	return got;
}

static __attribute__((noinline)) ssize_t recvfrom_named(int fd, void *data, size_t size, int flags,
							 struct sockaddr *from, socklen_t *len)
{
	struct udp *udp;
	struct place place;
	ssize_t got;

	if (!wait_received(fd, flags))
		return -1;
	udp = udp_get(fd);
	if (udp)
		return recvfrom_udp(udp, fd, data, size, flags, from, len);
	place_keep(&place, from, *len);
	do {
		got = REAL(recvfrom)(fd, data, size, flags, from, len);
		if (got < 0)
			got = receive_failed(fd, flags);
		else
			place_restore(&place, fd, from, len);
	} while (got == DATA_AGAIN);
	return got;
}

static __attribute__((noinline)) ssize_t recvfrom_flagged(int fd, void *data, size_t size, int flags,
							   struct sockaddr *from, socklen_t *len)
{
	struct iovec part = {data, size};
	struct msghdr message = {.msg_name = from, .msg_namelen = *len, .msg_iov = &part, .msg_iovlen = 1};
	struct place place;
	ssize_t got;

	place_keep(&place, from, *len);
	got = receive_flagged(fd, &message, flags);
	if (got < 0)
		return got;
	*len = message.msg_namelen;
	place_restore(&place, fd, from, len);
	return got;
}

HOOK ssize_t recvfrom(int fd, void *restrict data, size_t size, int flags, struct sockaddr *restrict from,
		      socklen_t *restrict len)
{
	if (!from)
		return recv_plain(fd, data, size, flags);
	if (!is_pointer(len)) { /* EFAULT, when a datagram has been taken */
		if (!udp_get(fd))
			return REAL(recvfrom)(fd, data, size, flags, from, len);
		if (recvfrom_udp(udp_get(fd), fd, data, size, flags, NULL, NULL) >= 0)
			errno = EFAULT;
		return -1;
	}
	if (flags & RECEIVE_FLAGS && !udp_get(fd))
		return recvfrom_flagged(fd, data, size, flags, from, len);
	return recvfrom_named(fd, data, size, flags, from, len);
}

HOOK ssize_t __recvfrom_chk(int fd, void *restrict data, size_t size, size_t room, int flags,
			    struct sockaddr *restrict from, socklen_t *restrict len)
{
	if (size > room)
		return REAL(__recvfrom_chk)(fd, data, size, room, flags, from, len);
	return recvfrom(fd, data, size, flags, from, len);
}

static ssize_t message_receive(int fd, struct msghdr *message, int flags)
{
	ssize_t got;

	if (flags & RECEIVE_FLAGS)
		return receive_flagged(fd, message, flags);
	do {
		got = REAL(recvmsg)(fd, message, flags);
		if (got < 0)
			got = receive_failed(fd, flags);
	} while (got == DATA_AGAIN);
	return got;
}

HOOK ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct place place;
	ssize_t got;

	if (!is_pointer(message))
		return REAL(recvmsg)(fd, message, flags);
	if (!wait_received(fd, flags))
		return -1;
	if (udp_get(fd))
		return udp_receive(udp_get(fd), fd, message, flags);
	place.look = false;
	if (message->msg_name)
		place_keep(&place, message->msg_name, message->msg_namelen);
	got = message_receive(fd, message, flags);
	if (got < 0)
		return got;
	place_restore(&place, fd, message->msg_name, &message->msg_namelen);
	if (message->msg_control && message->msg_controllen)
		received_descriptors(message);
	return got;
}

HOOK_ALIAS(__recvmsg64, recvmsg)

/* One by one, for a socket of ours. */
static int messages_receive(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		ssize_t got = recvmsg(fd, &messages[i].msg_hdr, flags & ~MSG_WAITFORONE);

		if (got < 0)
			return i ? (int)i : -1;
		messages[i].msg_len = (unsigned)got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return (int)i;
}

/* A stream gives no names, so a realm's are asked for none. */
static int recvmmsg_by(__typeof__(recvmmsg) *real, int fd, struct mmsghdr *messages, unsigned count, int flags,
		       struct timespec *timeout)
{
	struct mark mark;
	bool ours;
	int got, error;

	if (!is_pointer(messages))
		return real(fd, messages, count, flags, timeout);
	if (!wait_received(fd, flags))
		return -1;
	if (udp_get(fd))
		return udp_receive_many(udp_get(fd), fd, messages, count, flags, timeout);
	ours = (has_unix() || flags & RECEIVE_FLAGS) && mark_find(fd, &mark);
	if (ours && flags & RECEIVE_FLAGS)
		return messages_receive(fd, messages, count, flags);
	for (unsigned i = 0; ours && i < count; i++)
		messages[i].msg_hdr.msg_namelen = 0;
	got = real(fd, messages, count, flags, timeout);
	error = errno;
	if (got < 0 && (error == ENOTCONN || error == EINVAL) && (ours || mark_find(fd, &mark)))
		return messages_receive(fd, messages, count, flags);
	errno = error;
	if (got < 0)
		return (int)receive_failed(fd, flags);
	for (int i = 0; i < got; i++) {
		struct msghdr *message = &messages[i].msg_hdr;

		if (ours)
			message->msg_namelen = 0;
		if (message->msg_control && message->msg_controllen)
			received_descriptors(message);
	}
	return got;
}

HOOK int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	return recvmmsg_by(REAL(recvmmsg), fd, messages, count, flags, timeout);
}

/* With a timeout of 64 bits, which is only handed on. */
HOOK int __recvmmsg64(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	return recvmmsg_by(REAL(__recvmmsg64), fd, messages, count, flags, timeout);
}
