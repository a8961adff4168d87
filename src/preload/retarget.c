/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a socket like another one and puts it in its place; the only place that replaces a descriptor. */
#include "preload/retarget.h"
#include "preload/copies.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <errno.h>

void close_quietly(int fd)
{
	int saved = errno;

	REAL(close)(fd);
	errno = saved;
}

void owner_copy(int from, int to)
{
	struct f_owner_ex owner = {0};
	int signal = REAL(fcntl)(from, F_GETSIG);

	if (REAL(fcntl)(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		REAL(fcntl)(to, F_SETOWN_EX, &owner);
	if (signal > 0)
		REAL(fcntl)(to, F_SETSIG, signal);
}

int socket_make(int fd, unsigned hint, int domain, int type)
{
	bool known = hint & HINT_PENDING;
	int flags = hint & HINT_NONBLOCK ? O_NONBLOCK : 0, made, saved = errno;

	if (!known || hint & HINT_FLAGS)
		flags = REAL(fcntl)(fd, F_GETFL);
	if (flags < 0)
		return -1;
	made = REAL(socket)(domain, type | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (made < 0)
		return -1;
	hint_clear(made);
	if (!known || hint & HINT_OPTIONS)
		options_copy(fd, made, hint);
	if (!known || hint & HINT_FLAGS) {
		owner_copy(fd, made);
		if (flags & (O_ASYNC | O_APPEND))
			REAL(fcntl)(made, F_SETFL, flags | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0));
	}
	errno = saved;
	return made;
}

static int replace(int made, int fd, bool cloexec)
{
	int result;

	/* EBUSY: the kernel is just handing that number out (dup(2)). */
	do
		result = REAL(dup3)(made, fd, cloexec ? O_CLOEXEC : 0);
	while (result < 0 && (errno == EBUSY || errno == EINTR));
	if (result >= 0 && beside_any())
		beside_closed(fd);
	return result;
}

static bool is_cloexec(int fd)
{
	return REAL(fcntl)(fd, F_GETFD) & FD_CLOEXEC;
}

static void registrations_add(const struct epoll_note *notes, int count)
{
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = notes[i].events, .data.u64 = notes[i].data};

		if (notes[i].epfd >= 0)
			REAL(epoll_ctl)(notes[i].epfd, EPOLL_CTL_ADD, notes[i].fd, &event);
	}
}

/*
 * Registrations are keyed by file and number (epoll(7)). They must be removed before the file goes: a duplicate
 * or a child that keeps it alive would leave one that fires for ever and nobody can remove. What cannot be
 * removed is not added again. Returns false when there was such a one.
 */
static bool registrations_remove(struct epoll_note *notes, int count)
{
	bool all = true;

	for (int i = 0; i < count; i++)
		if (REAL(epoll_ctl)(notes[i].epfd, EPOLL_CTL_DEL, notes[i].fd, NULL) < 0) {
			notes[i].epfd = -1;
			all = false;
		}
	return all;
}

/* With `wake` who sleeps in poll(2) on the old socket looks the number up again, and finds the new one. */
static int install_searched(int fd, int made, int except, bool wake)
{
	struct copies *copies = copies_find(fd);
	struct epoll_note *notes;
	const int *fds;
	int done = 0, saved, old = -1;

	if (!copies) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return -1;
		return replace(made, fd, is_cloexec(fd)); /* no /proc to see: nothing more can be known */
	}
	fds = copies->fds.items;
	notes = copies->notes.items;
	/* An instance that has two numbers is listed twice, and removed from once. */
	registrations_remove(notes, copies->notes.count);
	if (wake)
		old = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, 0);
	while (done < copies->fds.count &&
	       (fds[done] == except || replace(made, fds[done], is_cloexec(fds[done])) >= 0)) {
		if (fds[done] != fd && fds[done] != except)
			hint_clear(fds[done]);
		done++;
	}
	registrations_add(notes, copies->notes.count);
	saved = errno;
	if (old >= 0) {
		REAL(shutdown)(old, SHUT_RDWR);
		REAL(close)(old);
	}
	/* The first is fd itself: if that went well the rest can only fail for numbers closed meanwhile. */
	copies_free(copies);
	errno = saved;
	return done > 0 ? 0 : -1;
}

/* A socket we saw from its start, never duplicated: everything is known, unless an instance got another
 * number since. */
static int install_known(int fd, unsigned hint, int made, int except)
{
	struct epoll_note notes[16];
	int count = hint & HINT_EPOLL ? epoll_notes_of(fd, notes, 16) : 0;
	int result;

	if (count < 0)
		return install_searched(fd, made, except, false);
	if (!registrations_remove(notes, count)) {
		registrations_add(notes, count);
		return install_searched(fd, made, except, false);
	}
	result = replace(made, fd, hint & HINT_FLAGS ? is_cloexec(fd) : hint & HINT_CLOEXEC);
	registrations_add(notes, count);
	return result;
}

int socket_install(int fd, unsigned hint, int made)
{
	return socket_install_but(fd, hint, made, -1);
}

int socket_install_but(int fd, unsigned hint, int made, int except)
{
	bool known = hint & HINT_PENDING && !(hint & HINT_SEARCH);
	int saved = errno;
	int result = known ? install_known(fd, hint, made, except) : install_searched(fd, made, except, false);

	close_quietly(made);
	if (result < 0)
		return -1;
	errno = saved;
	return 0;
}

int socket_install_waking(int fd, int made)
{
	int saved = errno, result = install_searched(fd, made, -1, true);

	close_quietly(made);
	if (result < 0)
		return -1;
	errno = saved;
	return 0;
}
