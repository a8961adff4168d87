/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Until the engine is there: no socket is one of its. */
#include "preload/udp.h"

#define ABSENT __attribute__((weak))

ABSENT struct udp_table *udp_table;

ABSENT struct udp *udp_find(int fd)
{
	(void)fd;
	return NULL;
}

ABSENT uint64_t udp_cookie(const struct udp *udp)
{
	(void)udp;
	return 0;
}

ABSENT bool udp_send(int fd, const struct msghdr *message, int flags, ssize_t *sent)
{
	(void)fd, (void)message, (void)flags, (void)sent;
	return false;
}

ABSENT ssize_t udp_receive(struct udp *udp, int fd, struct msghdr *message, int flags)
{
	(void)udp, (void)fd, (void)message, (void)flags;
	return -1;
}

ABSENT void udp_drop(int fd)
{
	(void)fd;
}
