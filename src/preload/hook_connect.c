/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect, bind, listen: where sockets are retargeted. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>

/* Enough to step over the ports that are taken; more only when thousands are. */
#define PORT_TRIES 64

static int fail(int error)
{
	errno = error;
	return -1;
}

static int option_int(int fd, int level, int option)
{
	int value = 0;
	socklen_t size = sizeof value;

	return REAL(getsockopt)(fd, level, option, &value, &size) < 0 ? 0 : value;
}

static int bind_endpoint(int fd, const struct transport *transport, const struct endpoint *to)
{
	struct sockaddr_storage sa;
	socklen_t len = transport->encode(&settings()->realm, to, &sa);

	return REAL(bind)(fd, (struct sockaddr *)&sa, len);
}

static int connect_endpoint(int fd, const struct transport *transport, const struct endpoint *to)
{
	struct sockaddr_storage sa;
	socklen_t len = transport->encode(&settings()->realm, to, &sa);
	int result = REAL(connect)(fd, (struct sockaddr *)&sa, len);

	if (result < 0)
		errno = error_of_connect(errno);
	return result;
}

/*
 * Binds to a port that fits sin_port, chosen by us: the kernel's own choice is beyond 65535, and its port 0 is
 * a real port. Where all tries are taken the kernel chooses after all, and the peer sees a stand-in.
 */
static int bind_ephemeral(int fd, const struct transport *transport, struct endpoint *to)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		to->port = port_next();
		if (bind_endpoint(fd, transport, to) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
	}
	to->port = VMADDR_PORT_ANY;
	return transport == &transport_vsock ? bind_endpoint(fd, transport, to) : -1;
}

/* TCP_NODELAY, if it may have been set. */
static unsigned tcp_flags(int fd, unsigned hint)
{
	bool ask = !(hint & HINT_PENDING) || hint & HINT_TCP;

	return ask && option_int(fd, IPPROTO_TCP, TCP_NODELAY) ? MARK_NODELAY : 0;
}

/* The state of a TCP socket (the first byte of struct tcp_info), e.g. TCP_CLOSE. */
static int tcp_state(int fd)
{
	uint8_t state = TCP_CLOSE;
	socklen_t size = sizeof state;

	REAL(getsockopt)(fd, IPPROTO_TCP, TCP_INFO, &state, &size);
	return state;
}

/* Where an AF_INET(6) socket is bound. False when it is not. */
static bool inet_bound(int fd, struct ip_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	return REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) == 0 && ip_addr_read(&sa, len, out) &&
	       out->port != 0;
}

static bool is_connected(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	return REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) == 0;
}

/* Keeps what the program bound in the socket, as getsockname will show it after connect. */
static void source_keep(int made, const struct ip_addr *source)
{
	if (ip_addr_is_v4(source) && !ip_addr_is_any(source))
		mark_source_set(made, ip_addr_v4(source));
}

/*
 * A new socket, connected (or connecting) to the target, then put in the place of fd. In that order, so that a
 * failed connect leaves the program's descriptor exactly as it was. `source` is where fd is
 * bound, or NULL. result: 0 or -1 with EINPROGRESS when it was retargeted.
 */
static int connect_fresh(int fd, const struct socket_state *state, const struct ip_addr *addr,
			 const struct target *target, const struct ip_addr *source)
{
	const struct transport *transport = settings()->transport;
	struct endpoint from = {VMADDR_CID_ANY, source ? source->port : 0};
	struct mark mark = {.kind = MARK_PEER, .addr = *addr};
	int made = socket_make(fd, state->hint, transport->domain), result, error;

	if (made < 0)
		return fail(error_of_socket(errno));
	mark.flags = state->kind == KIND_OURS ? state->mark.flags & (MARK_INET6 | MARK_V6ONLY | MARK_NODELAY)
					      : tcp_flags(fd, state->hint);
	if (state->family == AF_INET6)
		mark.flags |= MARK_INET6;
	if (source)
		source_keep(made, source);
	if ((!source || bind_endpoint(made, transport, &from) < 0) &&
	    bind_ephemeral(made, transport, &from) < 0)
		goto failed;
	if (mark_set(made, transport, &mark) < 0)
		goto failed;
	result = connect_endpoint(made, transport, &target->to);
	error = errno;
	if (result < 0 && error != EINPROGRESS)
		goto failed;
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	errno = error;
	return result;
failed:
	close_quietly(made);
	return -1;
}

/*
 * A socket of ours that is not connected: bound for listening, or left by an attempt that failed. What remains
 * of a failed non-blocking attempt answers EALREADY for ever; TCP reports the error once more (ECONNABORTED
 * when SO_ERROR was read) and is then as new (inet_stream_connect in net/ipv4/af_inet.c).
 */
static int attempt_result(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int error;

	if (poll(&poll_fd, 1, 0) <= 0 || !(poll_fd.revents & POLLOUT))
		return EALREADY;
	error = option_int(fd, SOL_SOCKET, SO_ERROR);
	return error ? error_of_connect(error) : ECONNABORTED;
}

static int connect_again(int fd, const struct socket_state *state, const struct ip_addr *addr,
			 const struct target *target)
{
	const struct transport *transport = state->transport;
	struct mark mark = {.kind = MARK_PEER, .flags = state->mark.flags, .addr = *addr};
	bool bound = state->mark.kind == MARK_LOCAL;
	int result, error;

	if (is_connected(fd) || option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
		return fail(EISCONN);
	if (transport != settings()->transport)
		return connect_fresh(fd, state, addr, target, bound ? &state->mark.addr : NULL);
	result = connect_endpoint(fd, transport, &target->to);
	error = errno;
	if (result < 0 && error == EALREADY) {
		error = attempt_result(fd);
		if (error != EALREADY) {
			int made = socket_make(fd, state->hint, transport->domain);
			struct endpoint from = {VMADDR_CID_ANY, 0};

			if (made < 0)
				return fail(error_of_socket(errno));
			if (bind_ephemeral(made, transport, &from) < 0 ||
			    mark_set(made, transport, &state->mark) < 0)
				close_quietly(made);
			else
				socket_install(fd, state->hint, made);
		}
		return fail(error);
	}
	if (result == 0 || error == EINPROGRESS) {
		if (bound)
			source_keep(fd, &state->mark.addr);
		mark_set(fd, transport, &mark);
		hint_clear(fd);
	}
	errno = error;
	return result;
}

static int connect_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			      const struct target *target)
{
	struct ip_addr source;
	bool fresh = state->hint & HINT_PENDING;

	if (state->family == AF_INET && addr->family == AF_INET6)
		return fail(EAFNOSUPPORT);
	if (state->kind == KIND_OURS)
		return connect_again(fd, state, addr, target);
	if (!fresh && tcp_state(fd) != TCP_CLOSE)
		return fail(tcp_state(fd) == TCP_SYN_SENT ? EALREADY : EISCONN);
	if ((!fresh || state->hint & HINT_BOUND) && inet_bound(fd, &source))
		return connect_fresh(fd, state, addr, target, &source);
	return connect_fresh(fd, state, addr, target, NULL);
}

/* Back to a TCP socket, because the program now connects where no rule matches. Bound where the program had
 * bound it, as far as that can be had. */
static int connect_inet(int fd, const struct socket_state *state, const struct sockaddr *sa, socklen_t len)
{
	bool bound = state->mark.kind == MARK_LOCAL, v6only = state->mark.flags & MARK_V6ONLY;
	int made = socket_make(fd, state->hint, state->family), result, error, on = 1;
	struct sockaddr_storage local;
	struct ip_addr source = state->mark.addr;

	if (made < 0)
		return fail(error_of_socket(errno));
	if (v6only)
		REAL(setsockopt)(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (state->mark.flags & MARK_NODELAY)
		REAL(setsockopt)(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bound && REAL(bind)(made, (struct sockaddr *)&local, ip_addr_write(&source, &local)) < 0) {
		source.port = 0;
		if (REAL(bind)(made, (struct sockaddr *)&local, ip_addr_write(&source, &local)) < 0)
			goto failed;
	}
	result = REAL(connect)(made, sa, len);
	error = errno;
	if (result < 0 && error != EINPROGRESS)
		goto failed;
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	errno = error;
	return result;
failed:
	close_quietly(made);
	return -1;
}

/* An address no rule matches, on whatever fd is. Only when the kernel does not like it is fd looked at. */
static int connect_untouched(int fd, const struct sockaddr *sa, socklen_t len)
{
	unsigned hint = hint_get(fd);
	int result = REAL(connect)(fd, sa, len), error = errno;
	struct socket_state state;

	if (hint & HINT_STREAM) {
		/* It may still be retargeted by a later connect, but no longer as one fresh from socket(). */
		hint_clear(fd);
		return result;
	}
	if (result == 0 || (error != EINVAL && error != EALREADY))
		return result;
	socket_look(fd, &state);
	if (state.kind != KIND_OURS)
		return fail(error);
	if (is_connected(fd) || option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
		return fail(EISCONN);
	if (error == EALREADY && attempt_result(fd) == EALREADY)
		return fail(EALREADY);
	return connect_inet(fd, &state, sa, len);
}

static int refuse_udp(int error)
{
	static bool said;

	log_say_once(&said, "UDP to a vsock target is not available yet: refused");
	return fail(error);
}

int hook_connect(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	struct target target;
	int result;

	if (!decide(fd, RULE_CONNECT, addr, &state, &target)) {
		result = connect_untouched(fd, sa, len);
		if (log_on(LOG_DEBUG))
			log_call("connect", fd, addr, "inet", NULL, result);
		return result;
	}
	if (target.kind == TARGET_REJECT) {
		errno = target.error;
		log_call("connect", fd, addr, "reject", NULL, -1);
		return -1;
	}
	result = state.kind == KIND_UDP ? refuse_udp(ENETUNREACH) : connect_retargeted(fd, &state, addr, &target);
	log_call("connect", fd, addr, settings()->transport->name, &target.to, result);
	return result;
}

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct ip_addr addr;

	if (!ip_addr_read(sa, len, &addr))
		return REAL(connect)(fd, sa, len);
	return hook_connect(fd, &addr, sa, len);
}

static int bind_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			   const struct target *target)
{
	const struct transport *transport = settings()->transport;
	struct endpoint to = target->to;
	struct mark mark = {.kind = MARK_LOCAL, .addr = *addr};
	struct ip_addr already;
	int made, result;

	if (state->family != addr->family)
		return fail(state->family == AF_INET ? EAFNOSUPPORT : EINVAL);
	if (state->kind == KIND_OURS)
		return fail(EINVAL); /* is bound */
	if ((!(state->hint & HINT_PENDING) || state->hint & HINT_BOUND) &&
	    (inet_bound(fd, &already) || tcp_state(fd) != TCP_CLOSE))
		return fail(EINVAL);
	made = socket_make(fd, state->hint, transport->domain);
	if (made < 0)
		return fail(error_of_socket(errno));
	result = to.port == VMADDR_PORT_ANY ? bind_ephemeral(made, transport, &to)
					    : bind_endpoint(made, transport, &to);
	if (result < 0)
		goto failed;
	if (mark.addr.port == 0)
		mark.addr.port = port_show(to.port);
	mark.flags = tcp_flags(fd, state->hint);
	if (state->family == AF_INET6) {
		mark.flags |= MARK_INET6;
		if (option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY))
			mark.flags |= MARK_V6ONLY;
	}
	if (mark_set(made, transport, &mark) < 0)
		goto failed;
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	hint_set(fd, HINT_LISTEN | (mark.flags & MARK_INET6 ? HINT_INET6 : 0) |
			     (mark.flags & MARK_V6ONLY ? HINT_V6ONLY : 0));
	return 0;
failed:
	close_quietly(made);
	return -1;
}

static int bind_addr(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	struct target target;
	int result;

	if (!decide(fd, RULE_LISTEN, addr, &state, &target)) {
		result = REAL(bind)(fd, sa, len);
		if (result == 0 && hint_get(fd) & HINT_PENDING)
			hint_add(fd, HINT_BOUND);
		if (log_on(LOG_DEBUG))
			log_call("bind", fd, addr, "inet", NULL, result);
		return result;
	}
	if (target.kind == TARGET_REJECT) {
		errno = target.error;
		log_call("bind", fd, addr, "reject", NULL, -1);
		return -1;
	}
	result = state.kind == KIND_UDP ? refuse_udp(EADDRNOTAVAIL) : bind_retargeted(fd, &state, addr, &target);
	log_call("bind", fd, addr, settings()->transport->name, &target.to, result);
	return result;
}

HOOK int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct ip_addr addr;

	if (!ip_addr_read(sa, len, &addr))
		return REAL(bind)(fd, sa, len);
	return bind_addr(fd, &addr, sa, len);
}

/* TCP binds a socket that was not, to the wildcard and a port of its choice (inet_csk_listen_start): where a
 * rule would have retargeted that bind, do it now. */
static int bind_automatically(int fd, const struct socket_state *state)
{
	struct ip_addr addr = ip_addr_from_v4(INADDR_ANY, 0, state->family), bound;
	struct socket_state again;
	struct target target;
	struct sockaddr_storage sa;
	socklen_t len;

	if (state->family == AF_INET6)
		addr.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	if (!decide(fd, RULE_LISTEN, &addr, &again, &target) || inet_bound(fd, &bound) ||
	    tcp_state(fd) != TCP_CLOSE)
		return 0;
	len = ip_addr_write(&addr, &sa);
	return bind_addr(fd, &addr, (struct sockaddr *)&sa, len);
}

/*
 * A full backlog makes TCP clients wait and try again, but AF_VSOCK resets them: give listeners of ours as much
 * as the kernel allows (net.core.somaxconn).
 */
HOOK int listen(int fd, int backlog)
{
	struct socket_state state;

	socket_look(fd, &state);
	if (state.kind == KIND_TCP && !(state.hint & HINT_BOUND) && bind_automatically(fd, &state) < 0)
		return -1;
	if (hint_get(fd) & HINT_LISTEN || state.kind == KIND_OURS)
		backlog = INT32_MAX;
	return REAL(listen)(fd, backlog);
}
