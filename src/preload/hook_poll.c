/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll_ctl: a registration made before the socket is retargeted must move along. */
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"

static __attribute__((noinline)) int followed(int epfd, int op, int fd, struct epoll_event *event)
{
	int result = REAL(epoll_ctl)(epfd, op, fd, event);

	if (result == 0 && hint_get(fd) & HINT_PENDING)
		epoll_note_follow(epfd, op, fd, event);
	return result;
}

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	__typeof__(epoll_ctl) *real = REAL_BOUND(epoll_ctl);

	return real && !(hint_get(fd) & HINT_PENDING) ? real(epfd, op, fd, event) : followed(epfd, op, fd, event);
}
