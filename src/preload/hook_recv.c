/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recvfrom, recvmsg: a stream names no sender, but the unix sockets of a realm do. */
#include "preload/hooks.h"
#include "preload/init.h"
#include "preload/real.h"

#include <string.h>

/*
 * A unix socket writes the sender's name where TCP writes nothing: what stood there before is put back. Only
 * in a realm, and only for callers who ask for a name.
 */
struct place {
	unsigned char before[sizeof(struct sockaddr_storage)];
	socklen_t room; /* 0: nothing to look at */
};

static void place_keep(struct place *place, const void *name, socklen_t room)
{
	place->room = name && in_realm() && room <= sizeof place->before ? room : 0;
	if (place->room)
		memcpy(place->before, name, place->room);
}

static void place_restore(const struct place *place, void *name, socklen_t *len)
{
	const struct settings *now;
	struct endpoint peer;

	if (!place->room || *len == 0)
		return;
	now = settings();
	if (!now->transport->decode(&now->realm, name, *len < place->room ? *len : place->room, &peer))
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
		place_restore(&place, from, len);
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
		place_restore(&place, message->msg_name, &message->msg_namelen);
	return got;
}
