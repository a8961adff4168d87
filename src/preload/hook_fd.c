/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* close, dup and fcntl: hints follow the numbers. */
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <limits.h>
#include <stdarg.h>

HOOK int close(int fd)
{
	hint_clear(fd);
	return REAL(close)(fd);
}

HOOK void closefrom(int low)
{
	hint_clear_range(low < 0 ? 0 : (unsigned)low, INT_MAX);
	REAL(closefrom)(low);
}

HOOK int close_range(unsigned first, unsigned last, int flags)
{
	if (!flags)
		hint_clear_range(first, last);
	else /* CLOSE_RANGE_CLOEXEC changes flags, CLOSE_RANGE_UNSHARE whose numbers they are */
		hint_clear_range(0, INT_MAX);
	return REAL(close_range)(first, last, flags);
}

/* The new number is the same socket: both must be found when one is retargeted. */
static int duplicated(int fd, int copy, bool cloexec)
{
	unsigned hint = hint_get(fd) & ~(unsigned)HINT_CLOEXEC;

	if (copy < 0 || copy == fd)
		return copy;
	hint_clear(copy);
	if (hint & HINT_PENDING) {
		hint_add(fd, HINT_COPIED);
		hint |= HINT_COPIED | (cloexec ? HINT_CLOEXEC : 0);
		hint &= ~(unsigned)HINT_EPOLL;
	}
	if (hint)
		hint_set(copy, hint);
	return copy;
}

HOOK int dup(int fd)
{
	return duplicated(fd, REAL(dup)(fd), false);
}

HOOK int dup2(int fd, int copy)
{
	return duplicated(fd, REAL(dup2)(fd, copy), false);
}

HOOK int dup3(int fd, int copy, int flags)
{
	return duplicated(fd, REAL(dup3)(fd, copy, flags), flags & O_CLOEXEC);
}

static int controlled(int fd, int command, int result)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicated(fd, result, command == F_DUPFD_CLOEXEC);
	case F_SETFD:
	case F_SETFL:
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_SETSIG:
		if (hint_get(fd) & HINT_PENDING)
			hint_add(fd, HINT_FLAGS);
		return result;
	default:
		return result;
	}
}

/* The third argument is an int, a pointer or absent; as a register-wide word it passes through. */
HOOK int fcntl(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return controlled(fd, command, REAL(fcntl)(fd, command, argument));
}

HOOK int fcntl64(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return controlled(fd, command, REAL(fcntl64)(fd, command, argument));
}
