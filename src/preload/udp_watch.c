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

/* Instances tell registrations apart by file and number, so each number of the socket but the first has a duplicate of
 * the aggregate. They stay until the socket is closed, as a registration in the kernel does. */
struct companion {
	int fd, copy;
};

static int companion_of(struct udp *udp, int fd)
{
	struct companion *companions = (struct companion *)(void *)udp->companions.at;
	uint32_t count = udp->companions.have / sizeof *companions;
	int copy;

	if (udp->watched_as < 0)
		udp->watched_as = fd;
	if (udp->watched_as == fd)
		return udp->aggregate;
	for (uint32_t i = 0; i < count; i++)
		if (companions[i].fd == fd)
			return companions[i].copy;
	if (!bytes_room(udp, &udp->companions, (count + 1) * (uint32_t)sizeof *companions))
		return fail(ENOMEM);
	copy = descriptor_keep(REAL(fcntl)(udp->aggregate, F_DUPFD_CLOEXEC, 0));
	if (copy < 0)
		return fail(ENOMEM);
	companions = (struct companion *)(void *)udp->companions.at;
	companions[count] = (struct companion){fd, copy};
	udp->companions.have += sizeof *companions;
	return copy;
}

void udp_watch_end(struct udp *udp)
{
	struct companion *companions = (struct companion *)(void *)udp->companions.at;

	for (uint32_t i = 0; i < udp->companions.have / sizeof *companions; i++)
		SYSTEM(close, companions[i].copy);
	bytes_free(udp, &udp->companions);
	udp->watched_as = -1;
}

/* With the lock. */
static int watch(struct udp *udp, int epfd, int op, int fd, const struct epoll_event *event)
{
	struct epoll_event reading = {0};
	int companion = companion_of(udp, fd);

	if (companion < 0)
		return -1;
	if (op != EPOLL_CTL_DEL)
		reading = (struct epoll_event){.events = event->events & (READING | MANNER), .data = event->data};
	if (!(reading.events & READING)) {
		REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, companion, NULL); /* or it was not there */
		return 0;
	}
	udp->watched = true;
	udp_tell(udp);
	if (REAL(epoll_ctl)(epfd, EPOLL_CTL_MOD, companion, &reading) == 0)
		return 0;
	return errno == ENOENT ? REAL(epoll_ctl)(epfd, EPOLL_CTL_ADD, companion, &reading) : -1;
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
