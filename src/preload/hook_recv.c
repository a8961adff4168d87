/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recvfrom, recvmsg: a stream names no sender, but the unix sockets of a realm do. */
#include "preload/hooks.h"
#include "preload/mark.h"
#include "preload/real.h"

#include <string.h>

/*
 * A unix socket writes the sender's name where TCP writes nothing: what stood there before is put back. Only
 * in a realm, and only for callers who ask for a name.
 */
struct place {
	unsigned char before[sizeof(struct sockaddr_storage)];
	socklen_t room;
	bool look;
};

static void place_keep(struct place *place, const void *name, socklen_t room)
{
	place->look = in_realm() && room <= sizeof place->before;
	place->room = room;
	if (place->look)
		memcpy(place->before, name, room);
}

static void place_restore(const struct place *place, int fd, void *name, socklen_t *len)
{
	struct mark mark;

	if (!place->look || *len == 0 || !mark_find(fd, &mark))
		return;
	memcpy(name, place->before, place->room);
	*len = 0;
}

HOOK ssize_t recvfrom(int fd, void *restrict data, size_t size, int flags, struct sockaddr *restrict from,
		      socklen_t *restrict len)
{
	struct place place;
	ssize_t got;

	if (!from || !len)
		return REAL(recvfrom)(fd, data, size, flags, from, len);
	place_keep(&place, from, *len);
	got = REAL(recvfrom)(fd, data, size, flags, from, len);
	if (got >= 0)
		place_restore(&place, fd, from, len);
	return got;
}

/* What recvfrom becomes with _FORTIFY_SOURCE. */
HOOK ssize_t __recvfrom_chk(int fd, void *restrict data, size_t size, size_t room, int flags,
			    struct sockaddr *restrict from, socklen_t *restrict len)
{
	struct place place;
	ssize_t got;

	if (!from || !len)
		return REAL(__recvfrom_chk)(fd, data, size, room, flags, from, len);
	place_keep(&place, from, *len);
	got = REAL(__recvfrom_chk)(fd, data, size, room, flags, from, len);
	if (got >= 0)
		place_restore(&place, fd, from, len);
	return got;
}

HOOK ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct place place;
	ssize_t got;

	if (!message || !message->msg_name)
		return REAL(recvmsg)(fd, message, flags);
	place_keep(&place, message->msg_name, message->msg_namelen);
	got = REAL(recvmsg)(fd, message, flags);
	if (got >= 0)
		place_restore(&place, fd, message->msg_name, &message->msg_namelen);
	return got;
}

/* A stream gives no names, so a realm's are asked for none. */
HOOK int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	struct mark mark;
	int got;

	if (!in_realm() || !mark_find(fd, &mark))
		return REAL(recvmmsg)(fd, messages, count, flags, timeout);
	for (unsigned i = 0; i < count; i++)
		messages[i].msg_hdr.msg_namelen = 0;
	got = REAL(recvmmsg)(fd, messages, count, flags, timeout);
	for (int i = 0; i < got; i++)
		messages[i].msg_hdr.msg_namelen = 0;
	return got;
}
