/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll_ctl: a registration made before the socket is retargeted must move along. */
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int result = REAL(epoll_ctl)(epfd, op, fd, event);

	if (hint_get(fd) & HINT_PENDING && result == 0)
		epoll_note_follow(epfd, op, fd, event);
	return result;
}
