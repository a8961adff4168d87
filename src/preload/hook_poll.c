/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* poll, ppoll, select, pselect; and epoll_ctl: a registration made before the socket is retargeted must move along. */
#include "preload/hooks.h"
#include "preload/hot.h"
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

HOOK int poll(struct pollfd *fds, nfds_t count, int timeout);
HOOK int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
HOOK int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
HOOK int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);
HOOK int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		struct timeval *restrict timeout);
HOOK int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		 const struct timespec *restrict timeout, const sigset_t *restrict mask);
HOT_WAIT_CALLS(HOT_HOOK)
HOOK_ALIAS(__poll, poll)
HOOK_ALIAS(__select, select)

#define CALL(type, name, parameters, arguments) \
	type hot_udp_##name parameters          \
	{                                       \
		return REAL(name) arguments;    \
	}
HOT_WAIT_CALLS(CALL)
