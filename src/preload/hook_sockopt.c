/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getsockopt, setsockopt: answer for TCP what a socket of another domain cannot. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/remember.h"

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

/* A TCP socket that nobody uses knows which options there are, their sizes and their defaults. */
static int scratch_socket(const struct mark *mark)
{
	int fd = REAL(socket)(mark->flags & MARK_INET6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		errno = ENOPROTOOPT;
	return fd;
}

static void scratch_close(int fd)
{
	int saved = errno;

	REAL(close)(fd);
	errno = saved;
}

static int set_emulated(int fd, const struct transport *transport, struct mark *mark, int level, int option,
			const void *value, socklen_t size)
{
	int scratch, result, number;

	if (level == SOL_SOCKET)
		return 0; /* SO_REUSEPORT after bind: no effect on TCP either */
	if (is_promise(level, option)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	scratch = scratch_socket(mark);
	if (scratch < 0)
		return -1;
	result = REAL(setsockopt)(scratch, level, option, value, size);
	scratch_close(scratch);
	if (result == 0 && level == IPPROTO_TCP && option == TCP_NODELAY) {
		memcpy(&number, value, sizeof number);
		mark->flags = number ? mark->flags | MARK_NODELAY : mark->flags & ~(unsigned)MARK_NODELAY;
		result = mark_set(fd, transport, mark);
	}
	return result;
}

/* A failed call is looked at only if a socket of ours could be the reason. */
static bool may_be_ours(int fd, int level, int option)
{
	return (errno == ENOPROTOOPT || errno == EOPNOTSUPP) && !(hint_get(fd) & HINT_PENDING) &&
	       (is_ip_level(level) || (level == SOL_SOCKET && option == SO_REUSEPORT));
}

static void follow(int fd, int level, int option)
{
	switch (level) {
	case SOL_SOCKET:
		hint_add(fd, option == SO_SNDBUF || option == SO_RCVBUF || option == SO_SNDBUFFORCE ||
					     option == SO_RCVBUFFORCE
				     ? HINT_OPTIONS | HINT_BUFFERS
				     : HINT_OPTIONS);
		break;
	case IPPROTO_TCP:
		hint_add(fd, HINT_TCP);
		break;
	}
}

HOOK int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	int result = REAL(setsockopt)(fd, level, option, value, size), saved = errno;
	const struct transport *transport;
	struct mark mark;

	if (hint_get(fd) & HINT_PENDING) {
		follow(fd, level, option);
		return result;
	}
	if (result == 0 || !may_be_ours(fd, level, option) || !(transport = mark_find(fd, &mark)))
		return result;
	errno = saved;
	return set_emulated(fd, transport, &mark, level, option, value, size);
}

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
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int scratch, result;

	if (level == IPPROTO_TCP && option == TCP_NODELAY)
		return give_int(mark->flags & MARK_NODELAY ? 1 : 0, value, size);
	if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY && mark->flags & MARK_INET6)
		return give_int(mark->flags & MARK_V6ONLY ? 1 : 0, value, size);
	if (level == SOL_SOCKET)
		return give_int(0, value, size);
	if (is_promise(level, option)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	scratch = scratch_socket(mark);
	if (scratch < 0)
		return -1;
	result = REAL(getsockopt)(scratch, level, option, value, size);
	scratch_close(scratch);
	/* The state is the first byte of struct tcp_info. */
	if (result == 0 && level == IPPROTO_TCP && option == TCP_INFO && *size > 0 &&
	    REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) == 0)
		*(uint8_t *)value = TCP_ESTABLISHED;
	return result;
}

/* A real answer that gives the other domain away. */
static void answer_correct(int fd, int option, int *number)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	struct mark mark;

	switch (option) {
	case SO_DOMAIN:
		if (transport_of(*number) && mark_find(fd, &mark))
			*number = mark.flags & MARK_INET6 ? AF_INET6 : AF_INET;
		break;
	case SO_PROTOCOL:
		if (*number == 0 && mark_find(fd, &mark))
			*number = IPPROTO_TCP;
		break;
	case SO_ERROR: /* of an attempt to connect; a connection that was made and then reset stays reset */
		if ((*number == ECONNRESET || *number == ENODEV) && mark_find(fd, &mark) &&
		    REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) < 0)
			*number = error_of_connect(*number);
		break;
	}
}

HOOK int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	int result = REAL(getsockopt)(fd, level, option, value, size), saved = errno;
	struct mark mark;

	if (result == 0) {
		if (level == SOL_SOCKET && (option == SO_ERROR || option == SO_DOMAIN || option == SO_PROTOCOL) &&
		    *size == sizeof(int)) {
			int number;

			memcpy(&number, value, sizeof number);
			answer_correct(fd, option, &number);
			memcpy(value, &number, sizeof number);
			errno = saved;
		}
		return result;
	}
	if (!may_be_ours(fd, level, option) || !size || !value || !mark_find(fd, &mark))
		return result;
	errno = saved;
	return get_emulated(fd, &mark, level, option, value, size);
}
