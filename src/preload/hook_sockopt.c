/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getsockopt, setsockopt: answer for TCP what a socket of another domain cannot. */
#include "preload/beside.h"
#include "preload/chosen.h"
#include "preload/decide.h"
#include "preload/emulate.h"
#include "preload/hooks.h"
#include "preload/options.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/strict.h"
#include "preload/udp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#define SO_RCVTIMEO_NEW_ 66 /* not in every libc */

static bool is_ip_level(int level)
{
	return level == IPPROTO_TCP || level == IPPROTO_IP || level == IPPROTO_IPV6;
}

/* An option that the kernel must not see if the socket is one of ours, whatever it would say. */
static bool is_kept_elsewhere(int level, int option, unsigned hint)
{
	enum keep keep;

	if (level != SOL_SOCKET || hint & HINT_PENDING)
		return false;
	keep = option_keep(level, option);
	return keep != KEEP_NATIVE && keep != KEEP_ANSWER && (keep != KEEP_UNIX || has_unix());
}

/* A failed call is looked at only if a socket of ours could be the reason. */
static bool may_be_ours(int level, unsigned hint)
{
	return (errno == ENOPROTOOPT || errno == EOPNOTSUPP) && !(hint & HINT_PENDING) && is_ip_level(level);
}

/* What is set on a socket that may be retargeted, for options_copy; on a listener of ours, for options_inherit. */
static void follow(int fd, unsigned hint, int level, int option, const void *value, socklen_t size)
{
	bool marked = option_keep(level, option) == KEEP_MARK; /* the mark is inherited by itself */
	unsigned bits = marked ? HINT_OPTIONS : HINT_OPTIONS | HINT_INHERIT;

	if (hint & HINT_STREAM) {
		if (!(hint & HINT_OPTIONS))
			chosen_drop(fd);
		if (option_keep(level, option) == KEEP_BUFFER && size > sizeof(int))
			size = sizeof(int); /* it reads back doubled */
		if (!chosen_add(fd, level, option, value, size))
			bits |= HINT_MANY;
		hint_add(fd, HINT_STREAM, bits);
	} else if (hint & HINT_LISTEN && level == SOL_SOCKET && option_inherited(level, option)) {
		emulate_remember(fd, level, option, value, size);
		hint_add(fd, HINT_LISTEN, HINT_INHERIT);
	}
}

static __attribute__((noinline)) int option_set(int fd, int level, int option, const void *value, socklen_t size)
{
	const struct transport *transport = NULL;
	unsigned hint = hint_get(fd);
	int saved = errno, result, error;
	struct mark mark;
	bool asked = is_kept_elsewhere(level, option, hint);

	if (strict_may_be() && strict_option(fd, level, option, value, size) < 0)
		return -1;
	/* Vsock's own options are where marks are, and TCP has none of the level. */
	if (level == transport_vsock.mark_level && mark_find(fd, &mark))
		return fail(ENOPROTOOPT);
	if (beside_get(fd) >= 0)
		beside_option(beside_get(fd), level, option, value, size);
	if (asked)
		transport = mark_find(fd, &mark);
	if (!transport) {
		result = REAL(setsockopt)(fd, level, option, value, size);
		if (result == 0) {
			struct udp *udp = udp_get(fd);

			if (udp)
				udp_options_changed(udp, fd);
			else if (hint)
				follow(fd, hint, level, option, value, size);
			return 0;
		}
		if (asked || !may_be_ours(level, hint))
			return -1;
		error = errno;
		transport = mark_find(fd, &mark);
		if (!transport)
			return fail(error);
	}
	result = emulate_set(fd, transport, &mark, level, option, value, size);
	if (result < 0)
		return -1;
	if (hint & HINT_LISTEN) {
		if (option_keep(level, option) == KEEP_BUFFER)
			emulate_remember(fd, level, option, value, size);
		hint_add(fd, HINT_LISTEN, HINT_INHERIT);
	}
	errno = saved;
	return 0;
}

HOOK int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	__typeof__(setsockopt) *real = REAL_BOUND(setsockopt);

	return real && option_is_native(level, option) && !(hint_get(fd) & (HINT_PENDING | HINT_LISTEN))
		       ? real(fd, level, option, value, size)
		       : option_set(fd, level, option, value, size);
}

HOOK_ALIAS(__setsockopt64, setsockopt)

static void give_int(int number, void *value, socklen_t *size, socklen_t room)
{
	*size = room < sizeof number ? room : sizeof number;
	memcpy(value, &number, *size);
}

/* MPTCP is noted (hook_socket.c). */
static int protocol_of(int fd)
{
	const void *noted;
	struct note note;
	socklen_t size;
	int protocol = IPPROTO_TCP;

	note_get(fd, &note);
	noted = note_option_get(&note, SOL_SOCKET, SO_PROTOCOL, &size);
	if (noted)
		memcpy(&protocol, noted, sizeof protocol);
	return protocol;
}

/* True, with the number a TCP socket would give, when a real answer gives the other domain away. */
static bool answer_correct(int fd, int option, int *number)
{
	struct mark mark;

	switch (option) {
	case SO_DOMAIN:
		if (!domain_is_ours(*number) || !mark_find(fd, &mark))
			return false;
		*number = mark.flags & MARK_INET6 ? AF_INET6 : AF_INET;
		return true;
	case SO_PROTOCOL:
		if (*number != 0 || !mark_find(fd, &mark))
			return false;
		*number = protocol_of(fd);
		return true;
	case SO_TYPE: /* of one that waits (persist.h) */
		if (*number != SOCK_DGRAM || !has_unix() || !mark_find(fd, &mark))
			return false;
		*number = SOCK_STREAM;
		return true;
	case SO_ERROR: /* of an attempt to connect; a connection that was made and then reset stays reset */
		if (*number == 0 && hint_settled(hint_get(fd)) & HINT_PERSIST) {
			*number = failure_take(fd);
			return true;
		}
		if ((*number != ECONNRESET && *number != ENODEV) || !mark_find(fd, &mark) || is_connected(fd))
			return false;
		*number = error_of_connect(*number);
		return true;
	default:
		return false;
	}
}

static int udp_error_answer(int fd, void *value, socklen_t *size, socklen_t room)
{
	int error = udp_error_take(udp_get(fd));

	if (error)
		give_int(error, value, size, room);
	return 0;
}

/* SO_PEERNAME is getpeername(2), but for a room that is too large (sk_getsockopt in net/core/sock.c). */
static int peer_name_give(int fd, void *value, socklen_t *size)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (!size)
		return fail(EFAULT);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
		return -1;
	if (len < *size)
		return fail(EINVAL);
	if (!value)
		return fail(EFAULT);
	memcpy(value, &sa, *size);
	return 0;
}

static __attribute__((noinline)) int option_get(int fd, int level, int option, void *restrict value,
						  socklen_t *restrict size)
{
	unsigned hint = hint_get(fd);
	socklen_t room = room_of(value, size);
	bool asked = is_kept_elsewhere(level, option, hint) && option_keep(level, option) != KEEP_BUFFER;
	int saved = errno, result, number = 0, error;
	struct mark mark;

	if (option == SO_ERROR)
		persist_drive();
	if (!asked || !mark_find(fd, &mark)) {
		result = REAL(getsockopt)(fd, level, option, value, size);
		if (result == 0) {
			if (option == SO_ERROR && level == SOL_SOCKET && udp_get(fd))
				return udp_error_answer(fd, value, size, room);
			if (option_keep(level, option) != KEEP_ANSWER || hint & HINT_PENDING)
				return 0;
			memcpy(&number, value, *size < sizeof number ? *size : sizeof number);
			if (answer_correct(fd, option, &number))
				give_int(number, value, size, room);
			errno = saved;
			return 0;
		}
		if (asked || !may_be_ours(level, hint))
			return -1;
		error = errno;
		if (!mark_find(fd, &mark))
			return fail(error);
	}
	result = level == SOL_SOCKET && option == SO_PEERNAME ? peer_name_give(fd, value, size)
							      : emulate_get(fd, &mark, level, option, value, size);
	if (result == 0)
		errno = saved;
	return result;
}

HOOK int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	__typeof__(getsockopt) *real = REAL_BOUND(getsockopt);
	int tcp = beside_get(fd);

	if (tcp >= 0 && level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_RCVTIMEO_NEW_))
		fd = tcp; /* accept changes that of fd */
	return real && option_is_native(level, option) ? real(fd, level, option, value, size)
						 : option_get(fd, level, option, value, size);
}

HOOK_ALIAS(__getsockopt64, getsockopt)
