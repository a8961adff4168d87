/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll_ctl: a registration made before the socket is retargeted must move along, and one of a UDP socket of ours has the
 * aggregate beside it; epoll_wait: what that tells may be for nothing. */
#include "preload/beside.h"
#include "preload/hot.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/udp.h"
#include "preload/wait.h"

static __attribute__((noinline)) int followed(int epfd, int op, int fd, struct epoll_event *event)
{
	struct udp *udp = udp_here(fd);
	int result = udp ? udp_watch(udp, epfd, op, fd, event) : REAL(epoll_ctl)(epfd, op, fd, event);

	if (result == 0 && beside_listening(fd) >= 0)
		beside_watch(beside_get(fd), epfd, op, event);
	if (result == 0 && hint_get(fd) & HINT_PENDING)
		epoll_note_follow(epfd, op, fd, event);
	return result;
}

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	__typeof__(epoll_ctl) *real = REAL_BOUND(epoll_ctl);

	return real && !udp_get(fd) && beside_get(fd) < 0 && !(hint_get(fd) & HINT_PENDING) ? real(epfd, op, fd, event)
								      : followed(epfd, op, fd, event);
}

HOOK int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout);
HOOK int epoll_pwait(int epfd, struct epoll_event *events, int most, int timeout, const sigset_t *mask);
HOOK int epoll_pwait2(int epfd, struct epoll_event *events, int most, const struct timespec *timeout,
		      const sigset_t *mask);
HOT_EPOLL_CALLS(HOT_HOOK)

static bool is_watched(void)
{
	return __atomic_load_n(&udp_table, __ATOMIC_ACQUIRE);
}

/* In whole milliseconds, rather too long than too short. */
static int left_ms(int64_t until)
{
	struct timespec left = wait_left(until);

	return until == WAIT_FOREVER ? -1 : (int)(left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000);
}

int hot_udp_epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
	return hot_udp_epoll_pwait(epfd, events, most, timeout, NULL);
}

int hot_udp_epoll_pwait(int epfd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};
	int64_t until;
	int count, left;

	if (!is_watched() && !wait_always())
		return REAL(epoll_pwait)(epfd, events, most, timeout, mask);
	until = wait_until(timeout < 0 ? NULL : &limit);
	do {
		persist_drive();
		count = REAL(epoll_pwait)(epfd, events, most, left_ms(persist_wait_until(until)), mask);
		left = is_watched() ? udp_watched(epfd, events, count) : count;
	} while (count >= 0 && left == 0 && !wait_is_over(until));
	return count < 0 ? count : left;
}

int hot_udp_epoll_pwait2(int epfd, struct epoll_event *events, int most, const struct timespec *timeout,
			 const sigset_t *mask)
{
	struct timespec limit;
	int64_t until;
	int count, left;

	if ((!is_watched() && !wait_always()) || !limit_is_good(timeout))
		return REAL(epoll_pwait2)(epfd, events, most, timeout, mask);
	until = wait_until(timeout);
	do {
		int64_t piece;

		persist_drive();
		piece = persist_wait_until(until);
		limit = wait_left(piece);
		count = REAL(epoll_pwait2)(epfd, events, most, piece == WAIT_FOREVER ? NULL : &limit, mask);
		left = is_watched() ? udp_watched(epfd, events, count) : count;
	} while (count >= 0 && left == 0 && !wait_is_over(until));
	return count < 0 ? count : left;
}
