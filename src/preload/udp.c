/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The structs of UDP sockets: found by number, made, shared, inherited and closed. */
#include "preload/copies.h"
#include "preload/hot.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/udp_control.h"
#include "preload/udp_native.h"
#include "preload/udp_state.h"
#include "preload/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/udp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

struct udp_table *udp_table;

int64_t clock_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* --- the table */

static int high_number(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur >= 4096 ? 2048 : (int)(limit.rlim_cur / 4 * 3);
}

static struct udp_table *table_get(void)
{
	struct udp_table *now = __atomic_load_n(&udp_table, __ATOMIC_ACQUIRE), *nothing = NULL;
	size_t size = sizeof *now;

	if (now)
		return now;
	now = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (now == MAP_FAILED)
		return NULL;
	now->mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (now->mine == MAP_FAILED || madvise(now->mine, 4096, MADV_WIPEONFORK) < 0) {
		munmap(now, size);
		return NULL;
	}
	*now->mine = 1;
	now->high = high_number();
	if (!__atomic_compare_exchange_n(&udp_table, &nothing, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		munmap(now->mine, 4096);
		munmap(now, size);
		return nothing;
	}
	hot_udp();
	return now;
}

/* A child of fork has copies of the descriptors, and no other thread. What it inherited is looked at when it uses it. */
static void table_inherit(struct udp_table *table)
{
	for (uint32_t i = 0; i < UDP_MOST && i < table->next; i++) {
		struct udp *udp = &table->udps[i];

		if (!udp->live)
			continue;
		udp->inherited = true;
		udp->pid = getpid();
		udp->lock = 0;
		udp->waiting = 0;
	}
	__atomic_store_n(table->mine, 1, __ATOMIC_RELEASE);
}

struct udp *udp_find(int fd)
{
	struct udp_table *table = udp_table;
	unsigned index;

	if ((unsigned)fd >= HINT_COUNT)
		return NULL;
	index = __atomic_load_n(&table->index[fd], __ATOMIC_ACQUIRE);
	if (!index)
		return NULL;
	if (!__atomic_load_n(table->mine, __ATOMIC_ACQUIRE))
		table_inherit(table);
	return &table->udps[index - 1];
}

/* --- the lock: held for as long as the kernel needs to copy a datagram, never while waiting for one. */

#define LOCK_AWAITED 1u

/* The half of it that changes from holder to holder. */
static uint32_t *lock_word(struct udp *udp)
{
	return (uint32_t *)&udp->lock + (__BYTE_ORDER == __BIG_ENDIAN ? sizeof udp->lock / 4 - 1 : 0);
}

static void lock_wait(struct udp *udp, uintptr_t self)
{
	uintptr_t now = 0;

	while (!__atomic_compare_exchange_n(&udp->lock, &now, self | LOCK_AWAITED, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (now & LOCK_AWAITED || __atomic_compare_exchange_n(&udp->lock, &now, now | LOCK_AWAITED, false,
								      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			SYSTEM(futex, lock_word(udp), FUTEX_WAIT_PRIVATE, (uint32_t)now | LOCK_AWAITED, NULL, NULL, 0);
		now = 0;
	}
}

static void socket_inherit(struct udp *udp);

static bool lock_take(struct udp *udp)
{
	uintptr_t self = (uintptr_t)pthread_self(), holder = 0;

	if (!__atomic_compare_exchange_n(&udp->lock, &holder, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if ((holder & ~(uintptr_t)LOCK_AWAITED) == self)
			return false;
		lock_wait(udp, self);
	}
	if (__atomic_load_n(&udp->live, __ATOMIC_ACQUIRE))
		return true;
	udp_unlock(udp);
	return false;
}

bool udp_lock(struct udp *udp)
{
	if (!lock_take(udp))
		return false;
	if (udp->inherited)
		socket_inherit(udp);
	queue_sync(udp);
	return true;
}

void udp_unlock(struct udp *udp)
{
	if (__atomic_exchange_n(&udp->lock, 0, __ATOMIC_RELEASE) & LOCK_AWAITED)
		SYSTEM(futex, lock_word(udp), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* --- one socket */

int descriptors_high(void)
{
	struct udp_table *table = __atomic_load_n(&udp_table, __ATOMIC_ACQUIRE);

	return table ? table->high : high_number();
}

int descriptor_keep(int fd)
{
	int least = descriptors_high();
	int high = fd < 0 || fd >= least ? -1 : REAL(fcntl)(fd, F_DUPFD_CLOEXEC, least);

	if (high < 0)
		return fd;
	SYSTEM(close, fd);
	return high;
}

static void descriptor_close(int *fd)
{
	if (*fd >= 0)
		SYSTEM(close, *fd);
	*fd = -1;
}

static struct udp *slot_take(struct udp_table *table)
{
	for (uint32_t tries = 0; tries < UDP_MOST; tries++) {
		uint32_t next = __atomic_load_n(&table->next, __ATOMIC_RELAXED), i = tries < next ? next - 1 - tries : tries;
		bool free = false;

		/* The one that was given last is probably free, if any is. */
		if (tries == 0 && next < UDP_MOST) {
			i = __atomic_fetch_add(&table->next, 1, __ATOMIC_RELAXED);
			if (i >= UDP_MOST)
				continue;
		}
		if (__atomic_compare_exchange_n(&table->udps[i].live, &free, true, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return &table->udps[i];
	}
	errno = ENOBUFS;
	return NULL;
}

static void options_ask(struct udp *udp, int fd)
{
	struct timeval limit = {0};
	socklen_t size = sizeof limit;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
	udp->receive_limit = limit.tv_sec * INT64_C(1000) + (limit.tv_usec + 999) / 1000;
	udp->control = udp_control_ask(fd, udp->family);
	udp->segment = (uint16_t)option_int(fd, SOL_UDP, UDP_SEGMENT);
	udp->corked = option_int(fd, SOL_UDP, UDP_CORK);
	if (udp->family == AF_INET6 && !udp->bound) {
		udp->mark.flags &= ~(unsigned)MARK_V6ONLY;
		if (option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY))
			udp->mark.flags |= MARK_V6ONLY;
	}
}

uint64_t udp_cookie(const struct udp *udp)
{
	return udp->cookie;
}

void udp_options_changed(struct udp *udp, int fd)
{
	struct datagram nothing = {.fd = fd};
	int saved = errno;
	bool gone = false;

	if (udp_lock(udp)) {
		options_ask(udp, fd);
		/* Uncorked: what was gathered goes. */
		nothing.cookie = udp->cookie;
		if (udp->cork_to && !udp->corked)
			cork_send(udp, &nothing, &gone);
		if (!gone)
			udp_unlock(udp);
	}
	errno = saved;
}

static int aggregate_make(struct udp *udp)
{
	udp->aggregate = descriptor_keep(epoll_create1(EPOLL_CLOEXEC));
	return udp->aggregate < 0 ? -1 : 0;
}

static void numbers_set(struct udp_table *table, struct udp *udp, int fd, sa_family_t family)
{
	uint16_t index = (uint16_t)(udp - table->udps + 1);

	__atomic_store_n(&table->index[fd], index, __ATOMIC_RELEASE);
	if (!(hint_get(fd) & HINT_DGRAM))
		hint_set(fd, HINT_DGRAM | HINT_FLAGS | HINT_SEARCH | (family == AF_INET6 ? HINT_INET6 : 0));
	udp->numbers++;
}

/* Other numbers that the socket has: unless it was seen from its start and never duplicated. */
static void numbers_find(struct udp_table *table, struct udp *udp, int fd, const struct socket_state *state)
{
	struct copies *copies = state->hint & HINT_PENDING ? NULL : copies_find(fd);
	const int *fds = copies ? copies->fds.items : NULL;

	numbers_set(table, udp, fd, state->family);
	for (int i = 0; copies && i < copies->fds.count; i++)
		if (fds[i] != fd && (unsigned)fds[i] < HINT_COUNT)
			numbers_set(table, udp, fds[i], state->family);
	if (copies)
		copies_free(copies);
}

static void socket_init(struct udp *udp, int fd, const struct socket_state *state)
{
	struct ip_addr any = {.family = state->family};
	socklen_t size = sizeof udp->cookie;

	/* The lock may be waited for by a thread that saw the last socket of this place. */
	memset((char *)udp + offsetof(struct udp, inherited), 0, sizeof *udp - offsetof(struct udp, inherited));
	udp->listener = udp->native = udp->aggregate = udp->more = udp->watched_as = -1;
	udp->pid = getpid();
	udp->family = state->family;
	REAL(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, &udp->cookie, &size);
	if (state->family == AF_INET)
		any.ip = ip_addr_from_v4(INADDR_ANY, 0, AF_INET).ip;
	udp->rule = NULL;
	udp->mark = (struct mark){
		.kind = MARK_LOCAL, .flags = state->family == AF_INET6 ? MARK_INET6 : 0, .addr = any};
	options_ask(udp, fd);
	if (inet_bound(fd, &udp->mark.addr))
		udp->inet = true;
	else
		udp->mark.addr = any;
}

struct udp *udp_make(int fd, const struct socket_state *state)
{
	struct udp_table *table = table_get();
	struct udp *udp = table && (unsigned)fd < HINT_COUNT ? udp_find(fd) : NULL;
	uint16_t nobody = 0;

	if (udp)
		return udp;
	if (!table || (unsigned)fd >= HINT_COUNT) {
		errno = ENOBUFS;
		return NULL;
	}
	udp = slot_take(table);
	if (!udp)
		return NULL;
	socket_init(udp, fd, state);
	if (aggregate_make(udp) < 0) {
		__atomic_store_n(&udp->live, false, __ATOMIC_RELEASE);
		errno = ENOBUFS;
		return NULL;
	}
	if (!__atomic_compare_exchange_n(&table->index[fd], &nobody, (uint16_t)(udp - table->udps + 1), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		descriptor_close(&udp->aggregate); /* another thread was first */
		__atomic_store_n(&udp->live, false, __ATOMIC_RELEASE);
		return &table->udps[nobody - 1];
	}
	numbers_find(table, udp, fd, state);
	wait_wake();
	if (udp_lock(udp)) {
		udp_watch_known(udp, fd);
		udp_unlock(udp);
	}
	return udp;
}

/* In a child of fork the aggregate is the parent's: nothing may be taken out of it. */
static void aggregate_leave(struct udp *udp)
{
	udp_watch_end(udp);
	descriptor_close(&udp->aggregate);
}

/* The first use in a child of fork. */
static void socket_inherit(struct udp *udp)
{
	udp->inherited = false;
	aggregate_leave(udp);
	links_inherit(udp);
	udp->borrowed = udp->buffer;
	descriptor_close(&udp->more);
	udp->more_set = false;
	if (aggregate_make(udp) < 0)
		return;
	native_join(udp, udp->native); /* one socket for both, as UDP has it */
	if (udp->listener >= 0)
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, udp->listener, &(struct epoll_event){.events = EPOLLIN});
	for (int fd = 0; udp->watched && fd < (int)hint_top; fd++)
		if (udp_find(fd) == udp)
			udp_watch_known(udp, fd);
}

static void socket_close(struct udp *udp)
{
	if (udp->inherited)
		aggregate_leave(udp);
	links_close(udp);
	descriptor_close(&udp->listener);
	descriptor_close(&udp->native);
	descriptor_close(&udp->more);
	udp_watch_end(udp);
	descriptor_close(&udp->aggregate);
	queue_free(udp);
	bytes_free(NULL, &udp->spare);
	bytes_free(NULL, &udp->cork);
	__atomic_store_n(&udp->live, false, __ATOMIC_RELEASE);
}

bool udp_drop(int fd)
{
	struct udp *udp = udp_get(fd);
	int saved = errno;

	if (!udp)
		return true;
	if (udp->pid != getpid()) /* a child of vfork, in its parent's memory */
		return false;
	__atomic_store_n(&udp_table->index[fd], 0, __ATOMIC_RELEASE);
	if (lock_take(udp)) { /* what was inherited and not used needs no care */
		if (--udp->numbers == 0)
			socket_close(udp);
		udp_unlock(udp);
	}
	errno = saved;
	return true;
}

void udp_share(int fd, int copy)
{
	struct udp *udp = udp_get(fd);

	if (!udp || (unsigned)copy >= HINT_COUNT || udp->pid != getpid() || !udp_lock(udp))
		return;
	numbers_set(udp_table, udp, copy, udp->family);
	udp_unlock(udp);
}

/* --- what is told */

static void more_set(struct udp *udp, bool set)
{
	uint64_t one = 1;

	if (set == udp->more_set)
		return;
	if (udp->more < 0) {
		udp->more = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		if (udp->more < 0)
			return;
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, udp->more,
				&(struct epoll_event){.events = EPOLLIN, .data.u32 = UINT32_MAX});
	}
	if (set)
		SYSTEM(write, udp->more, &one, sizeof one);
	else
		SYSTEM(read, udp->more, &one, sizeof one);
	udp->more_set = set;
}

/* What is not data of a link wakes threads that wait, too. */
void udp_tell(struct udp *udp)
{
	bool event = udp->error || udp->shut & SHUT_READ;

	if (udp->level || udp->more_set || event || __atomic_load_n(&udp->waiting, __ATOMIC_RELAXED))
		more_set(udp, event || udp->start < udp->end);
}

/* Who waits already does so for the aggregate alone, unless the socket is a member of it. */
void udp_inet_open(struct udp *udp, int fd)
{
	if (!udp->inet && __atomic_load_n(&udp->waiting, __ATOMIC_RELAXED))
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, fd,
				&(struct epoll_event){.events = EPOLLIN, .data.u32 = UINT32_MAX});
	udp->inet = true;
}

void udp_error_set(struct udp *udp, int error)
{
	udp->error = error;
	udp_tell(udp);
}

int udp_error_take(struct udp *udp)
{
	int error = 0, saved = errno;

	if (udp_lock(udp)) {
		error = udp->error;
		if (error)
			udp_error_set(udp, 0);
		udp_unlock(udp);
	}
	errno = saved;
	return error;
}

/* What needs no look at the links. */
static int events_known(const struct udp *udp)
{
	int events = udp->start < udp->end ? POLLIN : 0;

	if (udp->error)
		events |= POLLIN | POLLERR;
	if (udp->shut & SHUT_READ)
		events |= POLLIN | POLLRDHUP;
	if (udp->shut == (SHUT_READ | SHUT_WRITE))
		events |= POLLHUP;
	return events;
}

int udp_wait_begin(struct udp *udp, int *known)
{
	int fd = -1, saved = errno;

	__atomic_fetch_add(&udp->waiting, 1, __ATOMIC_RELAXED);
	if (udp_lock(udp)) {
		*known = events_known(udp);
		fd = udp->aggregate;
		udp_unlock(udp);
	}
	errno = saved;
	return fd;
}

void udp_wait_end(struct udp *udp)
{
	__atomic_fetch_sub(&udp->waiting, 1, __ATOMIC_RELAXED);
}

int udp_events(struct udp *udp, int fd)
{
	int events = 0, saved = errno;

	(void)fd;
	if (!udp_lock(udp))
		return 0;
	if (udp->start == udp->end)
		links_read(udp);
	events = events_known(udp);
	udp_tell(udp);
	udp_unlock(udp);
	errno = saved;
	return events;
}

int udp_next_size(struct udp *udp, int fd)
{
	int size = 0, saved = errno;

	(void)fd;
	if (!udp_lock(udp))
		return 0;
	if (udp->start < udp->end || links_read(udp))
		size = (int)dgram_record_size(udp->buffer + udp->start, udp->end - udp->start) - DGRAM_PREFIX_SIZE;
	udp_tell(udp);
	udp_unlock(udp);
	errno = saved;
	return size;
}
