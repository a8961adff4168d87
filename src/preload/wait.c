/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* poll(2) where some descriptors have an aggregate beside them. */
#include "preload/beside.h"
#include "preload/persist.h"
#include "preload/socket.h"
#include "preload/udp_state.h"
#include "preload/wait.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

/* --- memory */

struct scratch {
	size_t size;
	char data[] __attribute__((aligned(16)));
};

static struct scratch *kept;

void *scratch_take(size_t size)
{
	struct scratch *scratch = __atomic_exchange_n(&kept, NULL, __ATOMIC_ACQUIRE);

	size += sizeof *scratch;
	if (scratch && scratch->size < size) {
		munmap(scratch, scratch->size);
		scratch = NULL;
	}
	if (!scratch) {
		size = (size + 16383) & ~(size_t)16383;
		scratch = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (scratch == MAP_FAILED)
			return NULL;
		scratch->size = size;
	}
	return scratch->data;
}

void scratch_give(void *block)
{
	struct scratch *scratch = (struct scratch *)(void *)((char *)block - offsetof(struct scratch, data));

	scratch = __atomic_exchange_n(&kept, scratch, __ATOMIC_ACQ_REL);
	if (scratch)
		munmap(scratch, scratch->size);
}

/* --- time */

#define SECOND INT64_C(1000000000)

int64_t wait_now(void)
{
	struct timespec time = {0};

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

int64_t wait_until(const struct timespec *limit)
{
	if (!limit || limit->tv_sec > INT32_MAX) /* 68 years are for ever */
		return WAIT_FOREVER;
	if (limit->tv_sec == 0 && limit->tv_nsec == 0)
		return WAIT_NOT;
	return wait_now() + limit->tv_sec * SECOND + limit->tv_nsec;
}

static int64_t left_of(int64_t until)
{
	int64_t left = until == WAIT_NOT ? 0 : until - wait_now();

	return left > 0 ? left : 0;
}

struct timespec wait_left(int64_t until)
{
	int64_t left = left_of(until);

	return (struct timespec){(time_t)(left / SECOND), (long)(left % SECOND)};
}

/* --- one wait */

bool wait_is_over(int64_t until)
{
	return until != WAIT_FOREVER && left_of(until) == 0;
}

#define PAUSE (SECOND / 200)

int64_t wait_soon(int64_t until)
{
	int64_t soon = wait_now() + PAUSE;

	return until < soon ? until : soon;
}

/* --- who waits for what may become ours */

/*
 * Another thread may make a UDP socket ours while this one waits for it, and no event of the socket itself would tell:
 * whoever waits for such a one takes a timer beside it, which wait_wake() lets expire. A timer, for setting it does
 * nothing to another file that has got its number meanwhile; and a timer of the program's has not this interval.
 */
#define INTERVAL ((struct timespec){INT32_MAX, 550440000})

static struct sleeper {
	bool taken;
	int timer;
	pid_t pid; /* whose timer it is: a child of fork makes its own */
} sleepers[256];

static unsigned sleepers_top;

static int timer_set(int timer, long ns)
{
	return timerfd_settime(timer, 0, &(struct itimerspec){.it_interval = INTERVAL, .it_value.tv_nsec = ns}, NULL);
}

static bool timer_is_ours(int timer)
{
	struct itimerspec now;

	return timerfd_gettime(timer, &now) == 0 && now.it_interval.tv_sec == INTERVAL.tv_sec &&
	       now.it_interval.tv_nsec == INTERVAL.tv_nsec;
}

static bool timer_ready(struct sleeper *sleeper)
{
	pid_t pid = getpid();

	if (sleeper->pid == pid && timer_is_ours(sleeper->timer))
		return timer_set(sleeper->timer, 0) == 0;
	sleeper->timer = descriptor_keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	sleeper->pid = pid;
	return sleeper->timer >= 0 && timer_set(sleeper->timer, 0) == 0;
}

/* NULL when there is none: then it is looked once in a while. */
static struct sleeper *sleeper_take(void)
{
	for (unsigned i = 0; i < sizeof sleepers / sizeof *sleepers; i++) {
		if (__atomic_exchange_n(&sleepers[i].taken, true, __ATOMIC_SEQ_CST))
			continue;
		if (timer_ready(&sleepers[i])) {
			unsigned top = __atomic_load_n(&sleepers_top, __ATOMIC_SEQ_CST);

			while (top <= i && !__atomic_compare_exchange_n(&sleepers_top, &top, i + 1, true,
									__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				;
			return &sleepers[i];
		}
		__atomic_store_n(&sleepers[i].taken, false, __ATOMIC_RELEASE);
		return NULL;
	}
	return NULL;
}

static void sleeper_give(struct sleeper *sleeper)
{
	if (sleeper)
		__atomic_store_n(&sleeper->taken, false, __ATOMIC_RELEASE);
}

void wait_wake(void)
{
	unsigned top = __atomic_load_n(&sleepers_top, __ATOMIC_SEQ_CST);

	for (unsigned i = 0; i < top; i++)
		if (__atomic_load_n(&sleepers[i].taken, __ATOMIC_SEQ_CST) && timer_is_ours(sleepers[i].timer))
			timer_set(sleepers[i].timer, 1);
}

static bool is_pending(int fd)
{
	return hint_get(fd) & HINT_DGRAM && real_has_threads() && !settings()->disabled && !settings()->failed &&
	       rules_have(settings()->rules, RULE_UDP);
}

bool wait_cares(int fd)
{
	return udp_get(fd) || is_pending(fd) || beside_listening(fd) >= 0;
}

/* --- one wait */

struct watched {
	struct udp *udp; /* or NULL: a listener that has another one beside it */
	nfds_t at; /* in the program's array */
	bool known; /* something is there without a look */
};

#define FEW 40 /* descriptors in all, and those of ours, that need no memory but the stack */
#define FEW_OURS 8

struct wait {
	struct pollfd *fds; /* the program's, then an aggregate for each of ours, then what wakes us */
	struct watched *ours;
	nfds_t count, ours_count, all;
	bool known; /* of any of them */
	bool blind; /* something may come that nothing below tells: it is looked for once in a while */
	void *scratch;
	struct sleeper *sleeper;
	struct pollfd few[FEW];
	struct watched few_ours[FEW_OURS];
};

#define READING (POLLIN | POLLRDNORM | POLLRDHUP)

/* What udp_events() says, as far as it was asked for. */
static int asked_of(int events, const struct pollfd *asked)
{
	if (events & POLLIN)
		events |= POLLRDNORM;
	return events & (asked->events | POLLERR | POLLHUP);
}

/* False without memory. */
static bool wait_room(struct wait *wait, nfds_t ours)
{
	nfds_t all = wait->count + ours + 1;

	wait->fds = wait->few;
	wait->ours = wait->few_ours;
	wait->scratch = NULL;
	if (all <= FEW && ours <= FEW_OURS)
		return true;
	wait->scratch = scratch_take(all * sizeof *wait->fds + ours * sizeof *wait->ours);
	if (!wait->scratch)
		return false;
	wait->ours = wait->scratch;
	wait->fds = (struct pollfd *)(void *)(wait->ours + ours);
	return true;
}

static nfds_t descriptors_most(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

bool wait_counts(nfds_t count)
{
	return count <= FEW || count <= descriptors_most();
}

static bool wait_begin(struct wait *wait, const struct pollfd *fds, nfds_t count)
{
	nfds_t ours = 0;
	bool pending = false;

	for (nfds_t i = 0; i < count; i++) {
		bool may = !udp_get(fds[i].fd) && is_pending(fds[i].fd);

		pending |= may;
		ours += may || udp_get(fds[i].fd) || beside_listening(fds[i].fd) >= 0;
	}
	wait->count = wait->all = count;
	wait->ours_count = 0;
	wait->known = false;
	if (!wait_room(wait, ours))
		return false;
	/* First the timer, then the look: who makes one ours does it the other way round. */
	wait->sleeper = pending ? sleeper_take() : NULL;
	wait->blind = pending && !wait->sleeper;
	for (nfds_t i = 0; i < count; i++) {
		struct udp *udp = udp_get(fds[i].fd);
		struct watched *one = &wait->ours[wait->ours_count];
		int aggregate = udp ? -1 : beside_listening(fds[i].fd), known = 0;

		wait->fds[i] = (struct pollfd){.fd = fds[i].fd, .events = fds[i].events};
		if ((!udp && aggregate < 0) || wait->ours_count == ours)
			continue;
		*one = (struct watched){.udp = udp, .at = i};
		if (udp)
			aggregate = udp_wait_begin(udp, &known);
		one->known = asked_of(known, &fds[i]);
		wait->known |= one->known;
		wait->blind |= aggregate < 0;
		wait->fds[count + wait->ours_count++] = (struct pollfd){
			.fd = fds[i].events & READING ? aggregate : -1, .events = POLLIN};
	}
	wait->all = count + wait->ours_count;
	if (wait->sleeper)
		wait->fds[wait->all++] = (struct pollfd){.fd = wait->sleeper->timer, .events = POLLIN};
	if (!wait->blind && wait->all > FEW && wait->all > descriptors_most()) { /* EINVAL, poll(2) */
		wait->all = count;
		wait->blind = true;
	}
	return true;
}

static void wait_end(struct wait *wait)
{
	int saved = errno;

	sleeper_give(wait->sleeper);
	if (wait->scratch)
		scratch_give(wait->scratch);
	errno = saved;
}

/*
 * An aggregate that stays readable while nothing is there to be received (a signal handler has interrupted a receive
 * of its own thread; a connection waits for a descriptor) must not make us run in circles: after so many times it is
 * left out for a while.
 */
#define FUTILE_MOST 16

static bool pauses(const struct wait *wait, unsigned futile)
{
	return wait->blind || futile >= FUTILE_MOST;
}

static int wait_kernel(struct wait *wait, int64_t until, const sigset_t *mask, unsigned futile)
{
	int64_t left = until == WAIT_FOREVER ? -1 : left_of(until);
	nfds_t all = futile >= FUTILE_MOST ? wait->count : wait->all;
	struct timespec time;

	if (pauses(wait, futile) && (left < 0 || left > PAUSE))
		left = PAUSE;
	/* Something is there: the kernel tells what else is, and no signal may come first. */
	if (wait->known)
		left = 0;
	time = (struct timespec){(time_t)(left / SECOND), (long)(left % SECOND)};
	return REAL(ppoll)(wait->fds, all, left < 0 ? NULL : &time, wait->known ? NULL : mask);
}

static bool beside_has(int fd)
{
	struct pollfd poll_fd = {.fd = beside_listening(fd), .events = POLLIN};

	return REAL(poll)(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN;
}

/* What was found, for the program's descriptors alone. */
static int wait_result(struct wait *wait, struct pollfd *fds)
{
	int found = 0;

	for (nfds_t i = 0; i < wait->ours_count; i++) {
		const struct watched *one = &wait->ours[i];
		struct pollfd *fd = &wait->fds[one->at];

		if (!one->udp) {
			if (!wait->blind && wait->fds[wait->count + i].revents & POLLNVAL)
				beside_lost(fd->fd);
			if (wait->blind ? beside_has(fd->fd) : wait->fds[wait->count + i].revents & POLLIN)
				fd->revents = (short)(fd->revents | asked_of(POLLIN, fd));
		} else if (one->known || wait->blind || wait->fds[wait->count + i].revents)
			fd->revents = (short)(fd->revents | asked_of(udp_events(one->udp, fd->fd), fd));
	}
	for (nfds_t i = 0; i < wait->count; i++) {
		fds[i].revents = wait->fds[i].revents;
		found += fds[i].revents != 0;
	}
	return found;
}

/* Not inlined, so that what is done in between has the stack for itself. */
static __attribute__((noinline)) int wait_once(struct pollfd *fds, nfds_t count, int64_t until, const sigset_t *mask,
						unsigned futile)
{
	struct wait wait;
	int found;

	if (!wait_begin(&wait, fds, count))
		return fail(ENOMEM);
	found = wait_kernel(&wait, until, mask, futile);
	for (nfds_t i = 0; i < wait.ours_count; i++)
		if (wait.ours[i].udp)
			udp_wait_end(wait.ours[i].udp);
	if (found >= 0)
		found = wait_result(&wait, fds);
	wait_end(&wait);
	return found;
}

int wait_poll(struct pollfd *fds, nfds_t count, int64_t until, const sigset_t *mask)
{
	unsigned futile = 0;
	int saved = errno, found;

	do {
		persist_drive();
		found = wait_once(fds, count, persist_wait_until(until), mask, futile);
		futile = futile >= FUTILE_MOST ? 0 : futile + 1;
	} while (found == 0 && !wait_is_over(until));
	if (found >= 0)
		errno = saved;
	return found;
}

int wait_receive(int fd, int flags)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct timeval limit = {0};
	socklen_t size = sizeof limit;
	int64_t until = WAIT_FOREVER;
	int got, saved = errno;

	if (flags & (MSG_DONTWAIT | MSG_ERRQUEUE) || udp_get(fd) || !is_pending(fd) || REAL(poll)(&poll_fd, 1, 0) != 0 ||
	    REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)
		return 0;
	REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
	if (limit.tv_sec || limit.tv_usec)
		until = wait_until(&(struct timespec){limit.tv_sec, limit.tv_usec * 1000});
	do
		got = wait_poll(&poll_fd, 1, until, NULL);
	while (got < 0 && errno == EINTR && until == WAIT_FOREVER && handlers_restart());
	if (got <= 0)
		return got == 0 ? fail(EAGAIN) : -1;
	errno = saved;
	return 0;
}
