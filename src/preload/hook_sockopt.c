/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getsockopt, setsockopt: answer for TCP what a socket of another domain cannot. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/note.h"
#include "preload/options.h"
#include "preload/remember.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_ip_level(int level)
{
	return level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6;
}

/* Options that promise what no other transport keeps: programs must see them fail and do without. */
static bool is_promise(int level, int option)
{
	switch (level) {
	case IPPROTO_TCP:
		return option == TCP_ULP || option == TCP_ZEROCOPY_RECEIVE || option == TCP_MD5SIG ||
		       option == TCP_MD5SIG_EXT || option == TCP_REPAIR || option == TCP_FASTOPEN ||
		       option == TCP_FASTOPEN_CONNECT;
	case IPPROTO_IP:
		return option == IP_TRANSPARENT || option == 80; /* SO_ORIGINAL_DST */
	default:
		return option == IPV6_TRANSPARENT || option == 80;
	}
}

/* setsockopt(2) of TCP_NODELAY (do_tcp_setsockopt in net/ipv4/tcp.c), without asking a TCP socket. */
static int set_nodelay(int fd, const struct transport *transport, struct mark *mark, const void *value, socklen_t size)
{
	int number;

	if (size < sizeof number)
		return fail(EINVAL);
	if (!value)
		return fail(EFAULT);
	memcpy(&number, value, sizeof number);
	mark->flags = number ? mark->flags | MARK_NODELAY : mark->flags & ~(unsigned)MARK_NODELAY;
	return mark_set(fd, transport, mark);
}

/* Where marks are kept on some transport: a program's own value would overwrite them. */
static bool is_mark_option(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_MAX_PACING_RATE || option == SO_INCOMING_CPU);
}

static int set_emulated(int fd, const struct transport *transport, struct mark *mark, int level, int option,
			const void *value, socklen_t size)
{
	if (is_promise(level, option))
		return fail(ENOPROTOOPT);
	if (level == IPPROTO_TCP && option == TCP_NODELAY)
		return set_nodelay(fd, transport, mark, value, size);
	if (level != SOL_SOCKET && option_check(mark, level, option, value, size) < 0)
		return -1;
	option_remember(fd, level, option, value, size);
	return 0;
}

/* A failed call is looked at only if a socket of ours could be the reason. */
static bool may_be_ours(int fd, int level, int option)
{
	return (errno == ENOPROTOOPT || errno == EOPNOTSUPP) && !(hint_get(fd) & HINT_PENDING) &&
	       (is_ip_level(level) || (level == SOL_SOCKET && option == SO_REUSEPORT));
}

static void follow(int fd, unsigned hint, int level, int option)
{
	if (level == IPPROTO_TCP && option == TCP_NODELAY)
		hint |= HINT_NODELAY;
	else if (is_ip_level(level))
		hint |= HINT_IP | HINT_INHERIT;
	else if (level == SOL_SOCKET)
		hint |= HINT_OPTIONS | (option != SO_REUSEADDR && option != SO_REUSEPORT ? HINT_INHERIT : 0);
	if (level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF || option == SO_SNDBUFFORCE ||
				    option == SO_RCVBUFFORCE))
		hint |= HINT_BUFFERS;
	hint_set(fd, hint);
}

HOOK int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	const struct transport *transport;
	unsigned hint = hint_get(fd);
	int saved = errno, result, error;
	struct mark mark;

	if (is_mark_option(level, option) && !(hint & HINT_PENDING) && (transport = mark_find(fd, &mark)))
		return value ? set_emulated(fd, transport, &mark, level, option, value, size) : fail(EFAULT);
	result = REAL(setsockopt)(fd, level, option, value, size);
	if (hint)
		follow(fd, hint, level, option);
	if (result == 0 || hint & HINT_PENDING || !may_be_ours(fd, level, option))
		return result;
	error = errno;
	transport = mark_find(fd, &mark);
	if (!transport)
		return fail(error);
	result = set_emulated(fd, transport, &mark, level, option, value, size);
	if (result == 0)
		errno = saved;
	return result;
}

HOOK_ALIAS(__setsockopt64, setsockopt)

static int give_int(int number, void *value, socklen_t *size)
{
	socklen_t room = *size;

	if (room > sizeof number)
		*size = sizeof number;
	memcpy(value, &number, *size);
	return 0;
}

static int get_emulated(int fd, const struct mark *mark, int level, int option, void *value, socklen_t *size)
{
	int result;

	if (level == IPPROTO_TCP && option == TCP_NODELAY)
		return give_int(mark->flags & MARK_NODELAY ? 1 : 0, value, size);
	if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY && mark->flags & MARK_INET6)
		return give_int(mark->flags & MARK_V6ONLY ? 1 : 0, value, size);
	if (is_promise(level, option))
		return fail(ENOPROTOOPT);
	result = option_recall(fd, mark, level, option, value, size);
	/* The state is the first byte of struct tcp_info. */
	if (result == 0 && level == IPPROTO_TCP && option == TCP_INFO && *size > 0 && is_connected(fd))
		*(uint8_t *)value = TCP_ESTABLISHED;
	return result;
}

/* True, with the number a TCP socket would give, when a real answer gives the other domain away. */
static bool answer_correct(int fd, int option, int *number)
{
	struct mark mark;
	struct note note;
	const void *value;
	socklen_t size;

	switch (option) {
	case SO_DOMAIN:
		if (!transport_of(*number) || !mark_find(fd, &mark))
			return false;
		*number = mark.flags & MARK_INET6 ? AF_INET6 : AF_INET;
		return true;
	case SO_PROTOCOL:
		if (*number != 0 || !mark_find(fd, &mark))
			return false;
		*number = IPPROTO_TCP;
		return true;
	case SO_REUSEPORT:
	case SO_INCOMING_CPU:
		if (!mark_find(fd, &mark))
			return false;
		note_get(fd, &note);
		value = note_option_get(&note, SOL_SOCKET, option, &size);
		*number = option == SO_REUSEPORT ? 0 : -1;
		if (value)
			memcpy(number, value, sizeof *number);
		return true;
	case SO_ERROR: /* of an attempt to connect; a connection that was made and then reset stays reset */
		if ((*number != ECONNRESET && *number != ENODEV) || !mark_find(fd, &mark) || is_connected(fd))
			return false;
		*number = error_of_connect(*number);
		return true;
	default:
		return false;
	}
}

static bool is_answer(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_DOMAIN || option == SO_PROTOCOL || option == SO_ERROR ||
				       option == SO_REUSEPORT || option == SO_INCOMING_CPU);
}

HOOK int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	socklen_t room = size ? *size : 0;
	int saved = errno, result = REAL(getsockopt)(fd, level, option, value, size), number = 0, error;
	struct mark mark;

	if (result == 0) {
		if (!is_answer(level, option) || hint_get(fd) & HINT_PENDING)
			return 0;
		memcpy(&number, value, *size < sizeof number ? *size : sizeof number);
		if (answer_correct(fd, option, &number)) {
			*size = room;
			give_int(number, value, size);
		}
		errno = saved;
		return 0;
	}
	if (!may_be_ours(fd, level, option))
		return result;
	error = errno;
	if (!mark_find(fd, &mark))
		return fail(error);
	if (!value || !size)
		return fail(EFAULT);
	result = get_emulated(fd, &mark, level, option, value, size);
	if (result == 0)
		errno = saved;
	return result;
}

HOOK_ALIAS(__getsockopt64, getsockopt)
