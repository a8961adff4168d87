/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioctl, isatty: FIONBIO on a pending socket, and questions that other sockets than TCP cannot answer. */
#include "preload/beside.h"
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/udp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* A count that filled what it was counted in: as much memory as the window, for as long as that takes. */
static ssize_t peek_all(int fd)
{
	uint64_t window = 0;
	socklen_t size = sizeof window;
	ssize_t got;
	void *memory;

	if (REAL(getsockopt)(fd, transport_vsock.window_level, transport_vsock.window_option, &window, &size) < 0)
		window = UINT64_C(1) << 24;
	memory = mmap(NULL, window, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	got = REAL(recvfrom)(fd, memory, window, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
	munmap(memory, window);
	return got;
}

/* Bytes waiting, counted by looking at them. What is read goes to a scratch that nobody reads. */
static int peek_length(int fd, int *out)
{
	struct remembered *memory = remembered_get();
	struct iovec parts[32];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};
	ssize_t got, all;

	if (!memory)
		return fail(ENOMEM);
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
		parts[i] = (struct iovec){memory->scratch, SCRATCH_SIZE};
	got = REAL(recvmsg)(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	if (got == sizeof parts / sizeof *parts * SCRATCH_SIZE && (all = peek_all(fd)) > got)
		got = all;
	*out = got < 0 ? 0 : (int)got;
	return 0;
}

/*
 * What a TCP socket would say. Of bytes on their way: what was written is in the peer's window, which TCP calls
 * acknowledged. Of anything but the connection a TCP socket that nobody uses can tell.
 */
static int answer(int fd, const struct mark *mark, unsigned long request, void *argument)
{
	int scratch, result;

	switch (request) {
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		if (option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
			return fail(EINVAL);
		if (!argument)
			return fail(EFAULT);
		if (request == FIONREAD)
			return peek_length(fd, argument);
		*(int *)argument = 0;
		return 0;
	case SIOCATMARK:
		if (!argument)
			return fail(EFAULT);
		*(int *)argument = 0;
		return 0;
	default:
		scratch = REAL(socket)(mark->flags & MARK_INET6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (scratch < 0)
			return fail(ENOTTY);
		result = REAL(ioctl)(scratch, request, argument);
		close_quietly(scratch);
		return result;
	}
}

/* AF_VSOCK of Linux 6.1 does not know what a terminal is. */
static int not_a_terminal(int result)
{
	if (result < 0 && errno == EOPNOTSUPP)
		errno = ENOTTY;
	return result;
}

/* Requests to sockets have this in the second byte (linux/sockios.h), but for the first two. */
static bool is_of_sockets(unsigned long request)
{
	return request == FIONREAD || request == SIOCOUTQ || (request >> 8 & 0xff) == 0x89;
}

/*
 * What AF_VSOCK does not know is EOPNOTSUPP on Linux 6.1, ENOTTY on 6.12; so is most of it to unix sockets, whose bytes on
 * their way are also those that the peer has not read, and counted with what they take in memory.
 */
static bool may_differ(int result, unsigned long request)
{
	if (result == 0)
		return request == SIOCOUTQ && has_unix();
	return errno == EOPNOTSUPP || ((errno == ENOTTY || errno == EFAULT) && is_of_sockets(request));
}

static int corrected(int fd, unsigned long request, void *argument, int result, int saved)
{
	int error = errno;
	struct mark mark;

	if (request == FIONREAD && result == 0 && udp_get(fd)) {
		if (*(int *)argument == 0)
			*(int *)argument = udp_next_size(udp_get(fd), fd);
		return 0;
	}
	if (!may_differ(result, request) || hint_get(fd) & HINT_PENDING)
		return result;
	if (!mark_find(fd, &mark)) {
		errno = error;
		return result;
	}
	result = answer(fd, &mark, request, argument);
	if (result == 0)
		errno = saved;
	return result;
}

HOOK int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;
	int result, saved = errno;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	result = REAL(ioctl)(fd, request, argument);
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
		if (result == 0 && beside_get(fd) >= 0)
			beside_cloexec(fd);
		/* fall through */
	case FIONBIO:
	case FIOASYNC:
	case FIOSETOWN:
	case SIOCSPGRP:
		hint_add(fd, HINT_PENDING, HINT_FLAGS);
		return result;
	case TCGETS:
		return not_a_terminal(result);
	default:
		return corrected(fd, request, argument, result, saved);
	}
}

HOOK_ALIAS(__ioctl_time64, ioctl)

HOOK int isatty(int fd)
{
	int result = REAL(isatty)(fd);

	if (!result)
		not_a_terminal(-1);
	return result;
}
