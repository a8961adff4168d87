/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ioctl, isatty: FIONBIO on a pending socket, and questions that AF_VSOCK cannot answer. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/uio.h>

/* Bytes waiting, counted by looking at them. What is read goes to a scratch that nobody reads. */
static int peek_length(int fd, int *out)
{
	struct remembered *memory = remembered_get();
	struct iovec parts[32];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};
	ssize_t got;

	if (!memory)
		return fail(ENOMEM);
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
		parts[i] = (struct iovec){memory->scratch, SCRATCH_SIZE};
	got = REAL(recvmsg)(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	if (got < 0 && option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
		return fail(EINVAL);
	*out = got < 0 ? 0 : (int)got;
	return 0;
}

/* EOPNOTSUPP on Linux 6.1, ENOTTY on 6.12. */
static int answer(int fd, unsigned long request, void *argument)
{
	int error = errno;
	struct mark mark;

	if (mark_find(fd, &mark)) {
		errno = error;
		switch (request) {
		case FIONREAD:
			return peek_length(fd, argument);
		case SIOCOUTQ:
		case SIOCOUTQNSD:
		case SIOCATMARK:
			*(int *)argument = 0;
			return 0;
		}
	}
	errno = error;
	return -1;
}

/* AF_VSOCK of Linux 6.1 does not know what a terminal is. */
static int not_a_terminal(int result)
{
	if (result < 0 && errno == EOPNOTSUPP)
		errno = ENOTTY;
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
	case FIONBIO:
	case FIOASYNC:
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOCLEX:
	case FIONCLEX:
		if (hint_get(fd) & HINT_PENDING)
			hint_add(fd, HINT_FLAGS);
		return result;
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		if (result < 0 && (errno == EOPNOTSUPP || errno == ENOTTY) && argument)
			result = answer(fd, request, argument);
		if (result == 0)
			errno = saved;
		return result;
	case TCGETS:
		return not_a_terminal(result);
	default:
		return result;
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
