/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* select and pselect, where a UDP socket of ours may be in a set: they wait as poll does. */
#include "preload/hot.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/udp_state.h"
#include "preload/wait.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

HOOK int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		struct timeval *restrict timeout);
HOOK int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		 const struct timespec *restrict timeout, const sigset_t *restrict mask);
HOT_SELECT_CALLS(HOT_HOOK)
HOOK_ALIAS(__select, select)

#define SETS 3
#define BITS ((unsigned)LONG_WIDTH)

/* Descriptors below `count`, however large the arrays are that the program has for them. */
struct sets {
	unsigned long *of[SETS]; /* to read, to write, exceptions; or NULL */
	unsigned count;
};

/* What a set means, in the words of poll: as the kernel has it (fs/select.c). Each asks for a bit that is its own. */
static const struct {
	short asked, own, found;
} meanings[SETS] = {
	{POLLIN | POLLRDNORM | POLLRDBAND, POLLIN, POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR},
	{POLLOUT | POLLWRNORM | POLLWRBAND, POLLOUT, POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR},
	{POLLPRI, POLLPRI, POLLPRI},
};

static unsigned words(unsigned count)
{
	return (count + BITS - 1) / BITS;
}

/* The bits of one word in any of the sets. */
static unsigned long word_of(const struct sets *sets, unsigned word)
{
	unsigned long bits = 0;

	for (unsigned set = 0; set < SETS; set++)
		if (sets->of[set])
			bits |= sets->of[set][word];
	if ((word + 1) * BITS > sets->count)
		bits &= (1ul << sets->count % BITS) - 1;
	return bits;
}

static short asked_of(const struct sets *sets, unsigned fd)
{
	short asked = 0;

	for (unsigned set = 0; set < SETS; set++)
		if (sets->of[set] && sets->of[set][fd / BITS] >> fd % BITS & 1)
			asked = (short)(asked | meanings[set].asked);
	return asked;
}

/* As an array for poll, which may be NULL. Returns how many there are. */
static nfds_t sets_list(const struct sets *sets, struct pollfd *list)
{
	nfds_t found = 0;

	for (unsigned word = 0; word < words(sets->count); word++)
		for (unsigned long bits = word_of(sets, word); bits; bits &= bits - 1) {
			unsigned fd = word * BITS + (unsigned)__builtin_ctzl(bits);

			if (list)
				list[found] = (struct pollfd){.fd = (int)fd, .events = asked_of(sets, fd)};
			found++;
		}
	return found;
}

/*
 * The kernel looks no further than its table of descriptors goes. Programs rely on that which say how many there could be
 * and have an fd_set; but with descriptors of ours in it the table goes further. Beyond FD_SETSIZE counts what is below
 * the last of the program's own.
 */
static int reach_of(int count)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED), end = (unsigned)descriptors_high();
	unsigned reach = top > FD_SETSIZE ? top : FD_SETSIZE, size;
	struct pollfd *list;
	int saved = errno;

	if (count <= (int)reach)
		return count;
	if (end > (unsigned)count)
		end = (unsigned)count;
	if (end <= reach)
		return count;
	size = end - reach;
	list = scratch_take(size * sizeof *list);
	if (!list)
		return (int)reach;
	for (unsigned i = 0; i < size; i++)
		list[i] = (struct pollfd){.fd = (int)(reach + i)};
	while (REAL(poll)(list, size, 0) < 0 && errno == EINTR)
		;
	while (size && list[size - 1].revents & POLLNVAL)
		size--;
	scratch_give(list);
	errno = saved;
	/* They go up to ours: there may be more of them above. */
	return reach + size == end ? count : (int)(reach + size);
}

/* Programs say how many descriptors there could be, and have no array for so many: it is read as far as there are any. */
static bool sets_care(struct sets sets)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);

	for (unsigned set = 0; set < SETS; set++)
		if (sets.of[set] && !is_pointer(sets.of[set]))
			return false;
	if (wait_always())
		return true;
	if (sets.count > top)
		sets.count = top;
	for (unsigned word = 0; word < words(sets.count); word++)
		for (unsigned long bits = word_of(&sets, word); bits; bits &= bits - 1)
			if (wait_cares((int)(word * BITS + (unsigned)__builtin_ctzl(bits))))
				return true;
	return false;
}

/* How many bits would be set; -1 with EBADF. */
static int list_found(const struct pollfd *list, nfds_t count)
{
	int found = 0;

	for (nfds_t i = 0; i < count; i++) {
		if (list[i].revents & POLLNVAL)
			return fail(EBADF);
		for (unsigned set = 0; set < SETS; set++)
			found += list[i].events & meanings[set].own && list[i].revents & meanings[set].found;
	}
	return found;
}

static void sets_give(const struct sets *sets, const struct pollfd *list, nfds_t count)
{
	for (unsigned set = 0; set < SETS; set++) {
		unsigned long *bits = sets->of[set];

		if (!bits)
			continue;
		memset(bits, 0, words(sets->count) * sizeof *bits);
		for (nfds_t i = 0; i < count; i++)
			if (list[i].events & meanings[set].own && list[i].revents & meanings[set].found)
				bits[(unsigned)list[i].fd / BITS] |= 1ul << (unsigned)list[i].fd % BITS;
	}
}

/* What poll tells unasked (POLLHUP of one that is only to be written to) does not end a select: it is left out of the
 * next wait, which is a short one. A negative number is left out (poll(2)). */
static bool list_mute(struct pollfd *list, nfds_t count)
{
	bool any = false;

	for (nfds_t i = 0; i < count; i++)
		if (list[i].revents) {
			list[i].fd = ~list[i].fd;
			any = true;
		}
	return any;
}

static void list_unmute(struct pollfd *list, nfds_t count)
{
	for (nfds_t i = 0; i < count; i++)
		if (list[i].fd < 0)
			list[i].fd = ~list[i].fd;
}

static int list_wait(struct pollfd *list, nfds_t count, int64_t until, const sigset_t *mask)
{
	bool muted = false;
	int found;

	do {
		int got = wait_poll(list, count, muted ? wait_soon(until) : until, mask);

		list_unmute(list, count);
		found = got < 0 ? -1 : list_found(list, count);
		muted = found == 0 && list_mute(list, count);
	} while (found == 0 && !wait_is_over(until));
	list_unmute(list, count);
	return found;
}

#define FEW 32

static int sets_wait(const struct sets *sets, int64_t until, const sigset_t *mask)
{
	struct pollfd few[FEW], *list = few;
	nfds_t count = sets_list(sets, NULL);
	int found;

	if (count > FEW)
		list = scratch_take(count * sizeof *list);
	if (!list)
		return fail(ENOMEM);
	sets_list(sets, list);
	found = list_wait(list, count, until, mask);
	if (found >= 0)
		sets_give(sets, list, count);
	if (list != few)
		scratch_give(list);
	return found;
}

static bool time_is_good(const struct timeval *time)
{
	return !time || (is_pointer(time) && time->tv_sec >= 0 && time->tv_usec >= 0);
}

/* The kernel tells what is left of the time; not every libc hands that on, and programs know theirs. */
static bool left_is_told(void)
{
	static int told; /* -1: it is not, 0: not known */
	struct timeval time = {.tv_usec = 1};
	int saved = errno, now = __atomic_load_n(&told, __ATOMIC_RELAXED);

	if (!now) {
		while (REAL(select)(0, NULL, NULL, NULL, &time) < 0)
			time = (struct timeval){.tv_usec = 1};
		now = time.tv_usec ? -1 : 1;
		__atomic_store_n(&told, now, __ATOMIC_RELAXED);
	}
	errno = saved;
	return now > 0;
}

int hot_udp_select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		   struct timeval *restrict timeout)
{
	struct sets sets = {{(void *)in, (void *)out, (void *)except}, 0};
	struct timespec limit, left;
	int64_t until;
	int found;

	count = reach_of(count);
	sets.count = (unsigned)count;
	if (count < 0 || !time_is_good(timeout) || !sets_care(sets))
		return REAL(select)(count, in, out, except, timeout);
	if (!timeout)
		return sets_wait(&sets, WAIT_FOREVER, NULL);
	limit = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
	until = wait_until(&limit);
	found = sets_wait(&sets, until, NULL);
	if (until != WAIT_FOREVER && left_is_told()) {
		left = wait_left(until);
		*timeout = (struct timeval){left.tv_sec, left.tv_nsec / 1000};
	}
	return found;
}

int hot_udp_pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		    const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	struct sets sets = {{(void *)in, (void *)out, (void *)except}, 0};

	count = reach_of(count);
	sets.count = (unsigned)count;
	if (count < 0 || !limit_is_good(timeout) || !sets_care(sets))
		return REAL(pselect)(count, in, out, except, timeout, mask);
	return sets_wait(&sets, wait_until(timeout), mask);
}
