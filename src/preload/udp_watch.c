/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program registers in an epoll instance has the aggregate registered beside it, with the same data. */
#include "preload/copies.h"
#include "preload/socket.h"
#include "preload/udp_state.h"

#include <errno.h>

/*
 * Of a registration the aggregate has the part that is about receiving: an epoll instance is never writable. A program
 * that waits for both may be given two events with the same data. EPOLLEXCLUSIVE is refused for instances.
 */
#define READING (EPOLLIN | EPOLLRDNORM)
#define WRITING (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)
#define MANNER (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP)

/*
 * A registration of the program's. Instances tell registrations apart by file and number, so each number of the socket
 * but the first has a duplicate of the aggregate. These stay until the socket is closed, as a registration in the kernel
 * does that another number of the socket keeps alive.
 */
struct watch {
	int fd, epfd; /* epfd -1: removed */
	int companion;
	uint32_t events; /* READING and MANNER */
	uint64_t data;
};

static uint32_t watches(const struct udp *udp, struct watch **out)
{
	*out = (struct watch *)(void *)udp->watches.at;
	return udp->watches.have / (uint32_t)sizeof **out;
}

static int companion_make(struct udp *udp, int fd)
{
	if (udp->watched_as < 0)
		udp->watched_as = fd;
	return udp->watched_as == fd ? udp->aggregate
				     : descriptor_keep(REAL(fcntl)(udp->aggregate, F_DUPFD_CLOEXEC, 0));
}

/* NULL with ENOMEM. */
static struct watch *watch_of(struct udp *udp, int epfd, int fd)
{
	struct watch *all, *removed = NULL;
	uint32_t count = watches(udp, &all);
	int companion = -1;

	for (uint32_t i = 0; i < count; i++) {
		if (all[i].fd != fd)
			continue;
		if (all[i].epfd == epfd)
			return &all[i];
		companion = all[i].companion;
		if (all[i].epfd < 0)
			removed = &all[i];
	}
	errno = ENOMEM;
	if (!removed && !bytes_room(udp, &udp->watches, (count + 1) * (uint32_t)sizeof *all))
		return NULL;
	if (companion < 0)
		companion = companion_make(udp, fd);
	if (companion < 0)
		return NULL;
	if (!removed) {
		watches(udp, &all);
		removed = &all[count];
		udp->watches.have += (uint32_t)sizeof *all;
	}
	*removed = (struct watch){.fd = fd, .epfd = epfd, .companion = companion};
	return removed;
}

void udp_watch_end(struct udp *udp)
{
	struct watch *all;
	uint32_t count = watches(udp, &all);

	for (uint32_t i = 0; i < count; i++)
		if (all[i].companion != udp->aggregate)
			SYSTEM(close, all[i].companion); /* of several registrations the same: EBADF */
	bytes_free(udp, &udp->watches);
	udp->watched_as = -1;
}

/* Which descriptor may have data in an instance: the last that did, of those that share a place. */
static int seen[1024];

static int *seen_of(int epfd, uint64_t data)
{
	uint64_t hash = (data ^ (uint64_t)(unsigned)epfd << 48) * UINT64_C(0x9e3779b97f4a7c15);

	return &seen[hash >> 54];
}

/* With the lock. */
static int watch(struct udp *udp, int epfd, int op, int fd, const struct epoll_event *event)
{
	struct watch *watch = watch_of(udp, epfd, fd);
	struct epoll_event reading = {0};
	bool level = udp->level;

	if (!watch)
		return -1;
	if (op != EPOLL_CTL_DEL)
		reading = (struct epoll_event){.events = event->events & (READING | MANNER), .data = event->data};
	if (!(reading.events & READING)) {
		REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, watch->companion, NULL); /* or it was not there */
		watch->epfd = -1;
		return 0;
	}
	watch->events = reading.events;
	watch->data = reading.data.u64;
	__atomic_store_n(seen_of(epfd, watch->data), fd, __ATOMIC_RELAXED);
	/* What is there already is told to those as well who wait for edges. */
	udp->watched = udp->level = true;
	udp_tell(udp);
	udp->level = level || !(watch->events & EPOLLET);
	if (REAL(epoll_ctl)(epfd, EPOLL_CTL_MOD, watch->companion, &reading) == 0)
		return 0;
	return errno == ENOENT ? REAL(epoll_ctl)(epfd, EPOLL_CTL_ADD, watch->companion, &reading) : -1;
}

/*
 * A one-shot registration is to fire once, not once for each half of it. With both interests it fires at once, for a
 * UDP socket is practically always writable: so it is armed for that, or for what can be read now.
 */
static void shot_divide(struct udp *udp, int fd, struct epoll_event *kernel, struct epoll_event *reading)
{
	if (!(kernel->events & EPOLLONESHOT) || !(kernel->events & READING) || !(kernel->events & WRITING))
		return;
	if (udp_events(udp, fd) & POLLIN)
		kernel->events &= ~(uint32_t)(READING | WRITING);
	else
		reading->events &= ~(uint32_t)READING;
}

int udp_watch(struct udp *udp, int epfd, int op, int fd, struct epoll_event *event)
{
	bool deletes = op == EPOLL_CTL_DEL || !is_pointer(event);
	struct epoll_event kernel = {0}, reading = {0};
	int result, saved = errno;

	if (!deletes) {
		kernel = reading = *event;
		shot_divide(udp, fd, &kernel, &reading);
	}
	result = REAL(epoll_ctl)(epfd, op, fd, deletes ? event : &kernel);
	if (result < 0 || !udp_lock(udp))
		return result;
	result = watch(udp, epfd, op, fd, &reading);
	udp_unlock(udp);
	if (result < 0 && op == EPOLL_CTL_ADD) {
		int error = errno;

		REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, fd, NULL);
		return fail(error);
	}
	if (result == 0)
		errno = saved;
	return result;
}

/* An instance's number may be another's now. */
static bool is_registered(int epfd, int fd)
{
	struct epoll_event nothing = {0};

	if (REAL(epoll_ctl)(epfd, EPOLL_CTL_ADD, fd, &nothing) < 0)
		return errno == EEXIST;
	REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, fd, NULL);
	return false;
}

static void notes_watch(struct udp *udp, const struct epoll_note *notes, int count)
{
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = notes[i].events, .data.u64 = notes[i].data};

		watch(udp, notes[i].epfd, EPOLL_CTL_ADD, notes[i].fd, &event);
	}
}

/* All that is known of it is in the notes, and they are right. */
static bool known_watch(struct udp *udp, int fd, unsigned hint)
{
	struct epoll_note notes[16];
	int count = hint & HINT_EPOLL ? epoll_notes_of(fd, notes, 16) : 0;

	if (!(hint & HINT_PENDING) || hint & HINT_SEARCH || count < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (!is_registered(notes[i].epfd, fd))
			return false;
	notes_watch(udp, notes, count);
	return true;
}

void udp_watch_known(struct udp *udp, int fd)
{
	struct copies *copies;
	int saved = errno;

	if (!known_watch(udp, fd, hint_get(fd))) {
		copies = copies_find(fd);
		if (copies) {
			notes_watch(udp, copies->notes.items, copies->notes.count);
			copies_free(copies);
		}
	}
	errno = saved;
}

static struct watch *watch_with(struct udp *udp, int epfd, uint64_t data)
{
	struct watch *all;
	uint32_t count = watches(udp, &all);

	for (uint32_t i = 0; i < count; i++)
		if (all[i].epfd == epfd && all[i].data == data)
			return &all[i];
	return NULL;
}

/* With the lock: the aggregate was readable, and nothing is there for the program. */
static bool is_for_nothing(struct udp *udp, int fd)
{
	static const struct timespec now[2]; /* two, because the kernel's may be wider */
	struct pollfd kernel = {.fd = fd, .events = POLLIN};
	uint32_t before = udp->stirred;

	if (udp->start < udp->end || udp->error || udp->shut || links_have_data(udp))
		return false;
	links_read(udp);
	udp_tell(udp);
	return udp->start == udp->end && !udp->error && udp->stirred != before && SYSTEM(ppoll, &kernel, 1, now, NULL, 8) == 0;
}

/* A peer has come or gone, and no datagram with it. One-shot registrations are armed again: they have not fired. */
static bool is_spurious(int epfd, const struct epoll_event *event)
{
	int fd = __atomic_load_n(seen_of(epfd, event->data.u64), __ATOMIC_RELAXED);
	struct udp *udp = event->events & ~(uint32_t)READING ? NULL : udp_get(fd);
	struct watch *watch;
	bool spurious;

	if (!udp || !udp_lock(udp))
		return false;
	watch = watch_with(udp, epfd, event->data.u64);
	spurious = watch && is_for_nothing(udp, watch->fd);
	if (spurious && watch->events & EPOLLONESHOT)
		REAL(epoll_ctl)(epfd, EPOLL_CTL_MOD, watch->companion,
				&(struct epoll_event){.events = watch->events, .data.u64 = watch->data});
	udp_unlock(udp);
	return spurious;
}

int udp_watched(int epfd, struct epoll_event *events, int count)
{
	int left = 0, saved = errno;

	for (int i = 0; i < count; i++)
		if (!is_spurious(epfd, &events[i]))
			events[left++] = events[i];
	errno = saved;
	return left;
}
