/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* close, dup and fcntl: hints follow the numbers. */
#include "preload/adopt.h"
#include "preload/beside.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/udp.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

static __attribute__((noinline)) int close_beside(int fd)
{
	hint_clear(fd);
	/* A program that closes whatever there may be. */
	return beside_is_own(fd) ? fail(EBADF) : REAL(close)(fd);
}

HOOK int close(int fd)
{
	unsigned hint;

	if (__builtin_expect(beside_any(), 0))
		return close_beside(fd);
	hint = hint_get(fd);
	if (hint)
		hint_change(fd, hint, 0);
	return REAL(close)(fd);
}

HOOK_ALIAS(__close, close)

static void file_forget(FILE *file)
{
	int saved = errno, fd = file ? fileno(file) : -1;

	errno = saved; /* a stream in memory has no descriptor */
	if (fd >= 0)
		hint_clear(fd);
}

HOOK int fclose(FILE *file)
{
	file_forget(file);
	return REAL(fclose)(file);
}

HOOK_ALIAS(_IO_fclose, fclose)

HOOK FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	file_forget(file);
	return REAL(freopen)(path, mode, file);
}

HOOK FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict file)
{
	file_forget(file);
	return REAL(freopen64)(path, mode, file);
}

HOOK void closefrom(int low)
{
	hint_clear_range(low < 0 ? 0 : (unsigned)low, INT_MAX);
	if (!beside_any() || beside_close_range(low < 0 ? 0 : (unsigned)low, UINT_MAX, 0) < 0)
		REAL(closefrom)(low);
}

static int range_cloexec(unsigned first, unsigned last)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);
	int result = REAL(close_range)(first, last, CLOSE_RANGE_CLOEXEC);

	for (unsigned fd = first; result == 0 && fd <= last && fd < top; fd++) {
		hint_add((int)fd, HINT_PENDING, HINT_FLAGS);
		beside_cloexec((int)fd);
	}
	return result;
}

HOOK int close_range(unsigned first, unsigned last, int flags)
{
	if (flags == CLOSE_RANGE_CLOEXEC)
		return range_cloexec(first, last);
	if (!flags)
		hint_clear_range(first, last);
	else /* CLOSE_RANGE_UNSHARE changes whose numbers they are */
		hint_clear_range(0, INT_MAX);
	return beside_any() ? beside_close_range(first, last, flags) : REAL(close_range)(first, last, flags);
}

/* Two numbers are one socket now, and what is done through one would not be seen in the hint of the other: from here
 * on the kernel is asked. */
static int duplicated(int fd, int copy)
{
	bool guarded;

	if (copy < 0 || copy == fd)
		return copy;
	if (fd == STDIN_FILENO && !adopt_is_over())
		adopt_standard_input();
	guarded = !(hint_get(copy) & HINT_PENDING) && hint_get(copy) & HINT_GUARD;
	hint_clear(copy);
	if (udp_get(fd)) {
		udp_share(fd, copy);
		return copy;
	}
	if (hint_get(fd) & HINT_PENDING)
		hint_clear(fd);
	else if (!(hint_get(fd) & HINT_FOREIGN)) { /* a child of vfork does it in its parent's memory */
		if (!guarded)
			hint_set(copy, hint_get(fd));
		if (beside_get(fd) >= 0)
			beside_share(fd, copy);
	}
	return copy;
}

HOOK int dup(int fd)
{
	return duplicated(fd, REAL(dup)(fd));
}

static __attribute__((noinline)) int dup2_followed(int fd, int copy)
{
	return duplicated(fd, REAL(dup2)(fd, copy));
}

HOOK int dup2(int fd, int copy)
{
	__typeof__(dup2) *real = REAL_BOUND(dup2);

	return real && fd != STDIN_FILENO && !hint_get(fd) && !hint_get(copy) ? real(fd, copy) : dup2_followed(fd, copy);
}

HOOK_ALIAS(__dup2, dup2)

HOOK int dup3(int fd, int copy, int flags)
{
	return duplicated(fd, REAL(dup3)(fd, copy, flags));
}

static inline __attribute__((always_inline)) int controlled(int fd, int command, int result)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicated(fd, result);
	case F_SETFD:
	case F_SETFL:
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_SETSIG:
		if (result >= 0 && beside_get(fd) >= 0)
			beside_control(fd, command);
		if (hint_get(fd) & HINT_PENDING)
			hint_add(fd, HINT_PENDING, HINT_FLAGS);
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

HOOK_ALIAS(__fcntl, fcntl)

HOOK int fcntl64(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return controlled(fd, command, REAL(fcntl64)(fd, command, argument));
}

HOOK_ALIAS(__fcntl_time64, fcntl64)
