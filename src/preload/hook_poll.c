/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* poll and ppoll, where a UDP socket of ours may be in the array. */
#include "preload/hooks.h"
#include "preload/hot.h"
#include "preload/real.h"
#include "preload/wait.h"

HOOK int poll(struct pollfd *fds, nfds_t count, int timeout);
HOOK int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
HOOK int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
HOOK int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);
HOT_POLL_CALLS(HOT_HOOK)
HOOK_ALIAS(__poll, poll)

static bool poll_cares(const struct pollfd *fds, nfds_t count)
{
	if (!is_pointer(fds) || !wait_counts(count))
		return false;
	if (wait_always())
		return true;
	for (nfds_t i = 0; i < count; i++)
		if (wait_cares(fds[i].fd))
			return true;
	return false;
}

int hot_udp_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};

	if (!poll_cares(fds, count))
		return REAL(poll)(fds, count, timeout);
	return wait_poll(fds, count, wait_until(timeout < 0 ? NULL : &limit), NULL);
}

int hot_udp_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
	if (!limit_is_good(limit) || !poll_cares(fds, count))
		return REAL(ppoll)(fds, count, limit, mask);
	return wait_poll(fds, count, wait_until(limit), mask);
}

/* What poll becomes with _FORTIFY_SOURCE. The real ones end the program where the array is too small. */
int hot_udp___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
	return room / sizeof *fds < count ? REAL(__poll_chk)(fds, count, timeout, room)
					  : hot_udp_poll(fds, count, timeout);
}

int hot_udp___ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask, size_t room)
{
	return room / sizeof *fds < count ? REAL(__ppoll_chk)(fds, count, limit, mask, room)
					  : hot_udp_ppoll(fds, count, limit, mask);
}
