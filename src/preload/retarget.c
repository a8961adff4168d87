/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a socket like another one and puts it in its place; the only place that replaces a descriptor. */
#include "preload/retarget.h"
#include "preload/copies.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

void close_quietly(int fd)
{
	int saved = errno;

	REAL(close)(fd);
	errno = saved;
}

/* SOL_SOCKET options whose default is 0 on every domain. */
static const int plain_options[] = {
	SO_REUSEADDR, SO_KEEPALIVE, SO_OOBINLINE, SO_BROADCAST, SO_DONTROUTE,
	SO_PRIORITY,  SO_MARK,	    SO_TIMESTAMP, SO_NO_CHECK,
};

static int option_get(int fd, int option)
{
	int value = 0;
	socklen_t size = sizeof value;

	return REAL(getsockopt)(fd, SOL_SOCKET, option, &value, &size) < 0 ? 0 : value;
}

static void option_copy(int from, int to, int option)
{
	int value = option_get(from, option);

	if (value)
		REAL(setsockopt)(to, SOL_SOCKET, option, &value, sizeof value);
}

static void option_copy_wide(int from, int to, int option, const void *unset, socklen_t size)
{
	union {
		struct timeval time;
		struct linger linger;
	} value;
	socklen_t got = size;

	if (REAL(getsockopt)(from, SOL_SOCKET, option, &value, &got) == 0 && got == size &&
	    memcmp(&value, unset, size) != 0)
		REAL(setsockopt)(to, SOL_SOCKET, option, &value, size);
}

/* The kernel doubles what is set and reads back double (socket(7)). A size nobody set must not be copied:
 * TCP's defaults grow by themselves, elsewhere they are a limit. */
static void buffers_copy(int from, int to, unsigned hint)
{
	static const int options[] = {SO_SNDBUF, SO_RCVBUF};
	int domain = option_get(from, SO_DOMAIN), fresh = -1;

	if (!(hint & HINT_PENDING)) /* not seen from its start: compare with one nobody touched */
		fresh = REAL(socket)(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	else if (!(hint & HINT_BUFFERS))
		return;
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
		int value = option_get(from, options[i]) / 2;

		if (fresh < 0 || value != option_get(fresh, options[i]) / 2)
			REAL(setsockopt)(to, SOL_SOCKET, options[i], &value, sizeof value);
	}
	if (fresh >= 0)
		REAL(close)(fresh);
}

/* What the other domain does not accept is left out: it has no meaning there. */
static void options_copy(int from, int to, unsigned hint)
{
	static const struct timeval no_time;
	static const struct linger no_linger;
	int lowat = option_get(from, SO_RCVLOWAT);

	for (unsigned i = 0; i < sizeof plain_options / sizeof *plain_options; i++)
		option_copy(from, to, plain_options[i]);
	option_copy_wide(from, to, SO_RCVTIMEO, &no_time, sizeof no_time);
	option_copy_wide(from, to, SO_SNDTIMEO, &no_time, sizeof no_time);
	option_copy_wide(from, to, SO_LINGER, &no_linger, sizeof no_linger);
	if (lowat > 1)
		REAL(setsockopt)(to, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
	buffers_copy(from, to, hint);
}

static void owner_copy(int from, int to)
{
	struct f_owner_ex owner = {0};
	int signal = REAL(fcntl)(from, F_GETSIG);

	if (REAL(fcntl)(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		REAL(fcntl)(to, F_SETOWN_EX, &owner);
	if (signal > 0)
		REAL(fcntl)(to, F_SETSIG, signal);
}

int socket_make(int fd, unsigned hint, int domain)
{
	bool known = hint & HINT_PENDING;
	int flags = hint & HINT_NONBLOCK ? O_NONBLOCK : 0, made, saved = errno;

	if (!known || hint & HINT_FLAGS)
		flags = REAL(fcntl)(fd, F_GETFL);
	if (flags < 0)
		return -1;
	made = REAL(socket)(domain, SOCK_STREAM | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (made < 0)
		return -1;
	if (!known || hint & HINT_OPTIONS)
		options_copy(fd, made, hint);
	if (!known || hint & HINT_FLAGS) {
		owner_copy(fd, made);
		if (flags & (O_ASYNC | O_APPEND))
			REAL(fcntl)(made, F_SETFL, flags);
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
	return result;
}

static bool is_cloexec(int fd)
{
	return REAL(fcntl)(fd, F_GETFD) & FD_CLOEXEC;
}

/*
 * Registrations are keyed by file and number (epoll(7)). They must be removed before the file goes: a duplicate
 * or a child that keeps it alive would leave one that fires for ever and nobody can remove. Only what
 * could be removed is added again; an instance may have been closed meanwhile.
 */
static void registrations_remove(struct epoll_note *notes, int count)
{
	for (int i = 0; i < count; i++)
		if (REAL(epoll_ctl)(notes[i].epfd, EPOLL_CTL_DEL, notes[i].fd, NULL) < 0)
			notes[i].epfd = -1;
}

static void registrations_add(const struct epoll_note *notes, int count)
{
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = notes[i].events, .data.u64 = notes[i].data};

		if (notes[i].epfd >= 0)
			REAL(epoll_ctl)(notes[i].epfd, EPOLL_CTL_ADD, notes[i].fd, &event);
	}
}

/* A socket we saw from its start, never duplicated: everything is known. */
static int install_known(int fd, unsigned hint, int made)
{
	struct epoll_note notes[16];
	int count = hint & HINT_EPOLL ? epoll_notes_of(fd, notes, 16) : 0;
	int result;

	registrations_remove(notes, count);
	result = replace(made, fd, hint & HINT_FLAGS ? is_cloexec(fd) : hint & HINT_CLOEXEC);
	registrations_add(notes, count);
	return result;
}

static int install_searched(int fd, int made)
{
	struct copies *copies = copies_find(fd);
	int done = 0, saved;

	if (!copies) {
		if (errno != ENOENT)
			return -1;
		return replace(made, fd, is_cloexec(fd)); /* no /proc: nothing more can be known */
	}
	registrations_remove(copies->notes, copies->note_count);
	while (done < copies->fd_count &&
	       replace(made, copies->fds[done], is_cloexec(copies->fds[done])) >= 0) {
		if (copies->fds[done] != fd)
			hint_clear(copies->fds[done]);
		done++;
	}
	registrations_add(copies->notes, copies->note_count);
	saved = errno;
	/* The first is fd itself: if that went well the rest can only fail for numbers closed meanwhile. */
	copies_free(copies);
	errno = saved;
	return done > 0 ? 0 : -1;
}

int socket_install(int fd, unsigned hint, int made)
{
	bool known = hint & HINT_PENDING && !(hint & HINT_COPIED);
	int saved = errno;
	int result = known ? install_known(fd, hint, made) : install_searched(fd, made);

	close_quietly(made);
	if (result < 0)
		return -1;
	errno = saved;
	return 0;
}
