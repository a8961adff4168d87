/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recvfrom, recvmsg, recvmmsg: a stream names no sender, but those of AF_UNIX (a realm's) do. */
#include "preload/hooks.h"
#include "preload/init.h"
#include "preload/real.h"

#include <errno.h>
#include <string.h>

/* True when name, as far as it fits into the room given, is an address of our realm. */
static bool is_realm_name(const void *name, socklen_t room, socklen_t len)
{
	const struct settings *now;
	struct endpoint peer;
	sa_family_t family;
	int saved = errno;
	bool ours;

	if (room < sizeof family || len < sizeof family)
		return false;
	memcpy(&family, name, sizeof family);
	if (family != AF_UNIX)
		return false;
	now = settings();
	ours = now->transport->decode(&now->realm, name, len < room ? len : room, &peer);
	errno = saved;
	return ours;
}

HOOK ssize_t recvfrom(int fd, void *restrict data, size_t size, int flags, struct sockaddr *restrict from,
		      socklen_t *restrict len)
{
	socklen_t room = from && len ? *len : 0;
	ssize_t got = REAL(recvfrom)(fd, data, size, flags, from, len);

	if (from && got >= 0 && is_realm_name(from, room, *len))
		*len = 0;
	return got;
}

HOOK ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	socklen_t room = message && message->msg_name ? message->msg_namelen : 0;
	ssize_t got = REAL(recvmsg)(fd, message, flags);

	if (room && got >= 0 && is_realm_name(message->msg_name, room, message->msg_namelen))
		message->msg_namelen = 0;
	return got;
}
