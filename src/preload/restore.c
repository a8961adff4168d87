/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way back from a retargeted socket. */
#include "preload/restore.h"
#include "preload/attempt.h"
#include "preload/beside.h"
#include "preload/end.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>

/* Where the program bound fd before it was listening or connected. False when it did not, or nobody knows. */
static __attribute__((noinline)) bool source_of(int fd, const struct socket_state *state, struct ip_addr *out)
{
	struct end local;
	uint32_t ipv4;

	*out = state->mark.addr;
	if (state->mark.kind == MARK_LOCAL)
		return true;
	if (!mark_source_get(fd, &ipv4) || !end_local(fd, state->transport, &local))
		return false;
	*out = ip_addr_from_v4(ipv4, port_show(local.endpoint.port), state->family);
	return true;
}

/*
 * To the port that was chosen on the other transport, as far as it can be had: connections of before that wait for
 * their end (TIME_WAIT) are not in the way, nor is an address that this machine does not have.
 */
static __attribute__((noinline)) int inet_rebind(int fd, const struct ip_addr *source, bool any_port)
{
	int reuse = option_int(fd, SOL_SOCKET, SO_REUSEADDR), on = 1, off = 0, result;
	struct ip_addr addr = *source;
	struct sockaddr_storage sa;
	socklen_t len = ip_addr_write(&addr, &sa);

	REAL(setsockopt)(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	REAL(setsockopt)(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
	result = REAL(bind)(fd, (struct sockaddr *)&sa, len);
	REAL(setsockopt)(fd, IPPROTO_IP, IP_FREEBIND, &off, sizeof off);
	REAL(setsockopt)(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
	if (result == 0 || !any_port)
		return 0;
	addr.port = 0;
	return REAL(bind)(fd, (struct sockaddr *)&sa, ip_addr_write(&addr, &sa));
}

int inet_make(int fd, const struct socket_state *state, bool any_port)
{
	int made = beside_back(fd), on = 1;
	struct ip_addr source;

	if (made >= 0)
		return made;
	made = socket_make(fd, state->hint, state->family, SOCK_STREAM);
	if (made < 0)
		return fail(error_of_socket(errno));
	if (state->mark.flags & MARK_V6ONLY)
		REAL(setsockopt)(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (state->mark.flags & MARK_NODELAY)
		REAL(setsockopt)(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (source_of(fd, state, &source) && inet_rebind(made, &source, any_port) < 0) {
		close_quietly(made);
		return -1;
	}
	return made;
}

int inet_restore(int fd, const struct socket_state *state)
{
	int made = inet_make(fd, state, false);

	if (made < 0)
		return -1;
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	return 0;
}

bool inet_restore_failed(int fd, const struct socket_state *state)
{
	return state->kind == KIND_OURS && attempt_look(fd, state) == ATTEMPT_OVER && inet_restore(fd, state) == 0;
}
