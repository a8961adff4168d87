/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect: where a client's socket is retargeted. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>

static int connect_endpoint(int fd, const struct transport *transport, const struct endpoint *to)
{
	struct sockaddr_storage sa;
	socklen_t len = transport->encode(&settings()->realm, to, &sa);
	int result = REAL(connect)(fd, (struct sockaddr *)&sa, len);

	if (result < 0)
		errno = error_of_connect(errno);
	return result;
}

/* True when every signal handler of the process was installed with SA_RESTART. */
static bool handlers_restart(void)
{
	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN && !(action.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

/* Waits for an attempt in progress, whatever signals come. */
static int attempt_wait(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int error;

	while (poll(&poll_fd, 1, -1) < 0)
		if (errno != EINTR)
			return -1;
	error = option_int(fd, SOL_SOCKET, SO_ERROR);
	return error ? fail(error_of_connect(error)) : 0;
}

/*
 * A signal cancels a blocking attempt on AF_VSOCK. On TCP it goes on: connect is restarted (SA_RESTART), or says
 * EINTR and completes in the background (connect(2)). So does a second, non-blocking attempt, on a socket that was
 * not used for the first: the peer may still hold that one's port. Which handler ran cannot be known; where they do
 * not all restart, the program is ready for EINTR.
 */
static int connect_interrupted(int fd, const struct transport *transport, const struct endpoint *to)
{
	int flags = REAL(fcntl)(fd, F_GETFL), result, error;

	REAL(fcntl)(fd, F_SETFL, flags | O_NONBLOCK);
	result = connect_endpoint(fd, transport, to);
	if (result < 0 && errno == EINPROGRESS)
		result = handlers_restart() ? attempt_wait(fd) : fail(EINTR);
	error = errno;
	REAL(fcntl)(fd, F_SETFL, flags);
	errno = error;
	return result;
}

/* Keeps what the program bound in the socket, as getsockname will show it after connect. */
static void source_keep(int made, const struct ip_addr *source)
{
	if (ip_addr_is_v4(source) && !ip_addr_is_any(source))
		mark_source_set(made, ip_addr_v4(source));
}

/* A socket like fd on the transport of this process, bound and marked. `source` is where fd is bound, or NULL. */
static int client_make(int fd, const struct socket_state *state, const struct mark *mark,
		       const struct ip_addr *source)
{
	const struct transport *transport = settings()->transport;
	struct endpoint from = {VMADDR_CID_ANY, source ? source->port : 0};
	int made = socket_make(fd, state->hint, transport->domain);

	if (made < 0)
		return fail(error_of_socket(errno));
	if (source)
		source_keep(made, source);
	if (((source && bind_endpoint(made, transport, &from) == 0) ||
	     bind_ephemeral(made, transport, &from) == 0) &&
	    mark_set(made, transport, mark) == 0)
		return made;
	close_quietly(made);
	return -1;
}

/*
 * A new socket, connected (or connecting) to the target, then put in the place of fd. In that order, so that a
 * failed connect leaves the program's descriptor exactly as it was. result: 0 or -1 with EINPROGRESS or EINTR
 * when it was retargeted.
 */
static int connect_fresh(int fd, const struct socket_state *state, const struct ip_addr *addr,
			 const struct target *target, const struct ip_addr *source)
{
	const struct transport *transport = settings()->transport;
	struct mark mark = {.kind = MARK_PEER, .addr = *addr};
	int made, result, error;

	mark.flags = state->kind == KIND_OURS ? state->mark.flags : tcp_flags(fd, state->hint);
	if (state->family == AF_INET6)
		mark.flags |= MARK_INET6;
	made = client_make(fd, state, &mark, source);
	if (made < 0)
		return -1;
	result = connect_endpoint(made, transport, &target->to);
	if (result < 0 && errno == EINTR) {
		close_quietly(made);
		made = client_make(fd, state, &mark, source);
		if (made < 0)
			return -1;
		result = connect_interrupted(made, transport, &target->to);
	}
	error = errno;
	if (result < 0 && error != EINPROGRESS && error != EINTR) {
		close_quietly(made);
		return -1;
	}
	/* Another thread may have closed fd while this one waited, and the number may be somebody else's. */
	if (state->hint & HINT_PENDING && !(hint_get(fd) & HINT_PENDING)) {
		close_quietly(made);
		return fail(EBADF);
	}
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	errno = error;
	return result;
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
	if (is_connected(fd)) /* just now */
		return EISCONN;
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
	if (result < 0 && errno == EINTR)
		result = connect_interrupted(fd, transport, &target->to);
	error = errno;
	if (result < 0 && error == EALREADY) {
		error = attempt_result(fd);
		if (error != EALREADY && error != EISCONN) {
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
	if (result == 0 || error == EINPROGRESS || error == EINTR) {
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

	if (state->family != addr->family) /* a sockaddr_in is too short for the other, says the kernel */
		return fail(state->family == AF_INET ? EAFNOSUPPORT : EINVAL);
	if (state->kind == KIND_OURS)
		return connect_again(fd, state, addr, target);
	if (!fresh && tcp_state(fd) != TCP_CLOSE)
		return fail(tcp_state(fd) == TCP_SYN_SENT ? EALREADY : EISCONN);
	if ((!fresh || state->hint & HINT_BOUND) && inet_bound(fd, &source))
		return connect_fresh(fd, state, addr, target, &source);
	return connect_fresh(fd, state, addr, target, NULL);
}

/* A TCP socket again, with what the mark holds of its options. */
static int inet_make(int fd, const struct socket_state *state)
{
	int made = socket_make(fd, state->hint, state->family), on = 1;

	if (made < 0)
		return fail(error_of_socket(errno));
	if (state->mark.flags & MARK_V6ONLY)
		REAL(setsockopt)(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (state->mark.flags & MARK_NODELAY)
		REAL(setsockopt)(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return made;
}

/*
 * Binds a TCP socket to the port that was chosen on the other transport, as far as it can be had: connections of
 * before that wait for their end (TIME_WAIT) are not in the way. With `any_port`, otherwise to another one.
 */
static int inet_rebind(int fd, const struct ip_addr *source, bool any_port)
{
	int reuse = option_int(fd, SOL_SOCKET, SO_REUSEADDR), on = 1, result;
	struct ip_addr addr = *source;
	struct sockaddr_storage sa;
	socklen_t len = ip_addr_write(&addr, &sa);

	REAL(setsockopt)(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	result = REAL(bind)(fd, (struct sockaddr *)&sa, len);
	REAL(setsockopt)(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
	if (result == 0 || !any_port)
		return result;
	addr.port = 0;
	return REAL(bind)(fd, (struct sockaddr *)&sa, ip_addr_write(&addr, &sa));
}

/* Back to a TCP socket, because the program now connects where no rule matches. Bound where the program had
 * bound it, as far as that can be had. */
static int connect_inet(int fd, const struct socket_state *state, const struct sockaddr *sa, socklen_t len)
{
	int made = inet_make(fd, state), result, error;

	if (made < 0)
		return -1;
	if (state->mark.kind == MARK_LOCAL && inet_rebind(made, &state->mark.addr, true) < 0)
		goto failed;
	result = REAL(connect)(made, sa, len);
	error = errno;
	if (result < 0 && error != EINPROGRESS && error != EINTR)
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
	if (error == EALREADY) {
		error = attempt_result(fd);
		if (error == EALREADY || error == EISCONN)
			return fail(error);
	}
	return connect_inet(fd, &state, sa, len);
}

/*
 * AF_UNSPEC dissolves a connection (connect(2)), for which vsock has no call: the socket becomes a new TCP
 * socket. Bound as it was only if the program had bound it.
 */
static int disconnect(int fd, const struct sockaddr *sa, socklen_t len)
{
	int saved = errno, result = REAL(connect)(fd, sa, len), error = errno, made;
	struct socket_state state;

	if (result == 0)
		return 0;
	socket_look(fd, &state);
	if (state.kind != KIND_OURS)
		return fail(error);
	made = inet_make(fd, &state);
	if (made < 0)
		return -1;
	if (state.mark.kind == MARK_LOCAL)
		inet_rebind(made, &state.mark.addr, false);
	if (socket_install(fd, state.hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	errno = saved;
	return 0;
}

int hook_connect(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	struct target target;
	int result, saved = errno;

	if (!decide(fd, RULE_CONNECT, addr, &state, &target)) {
		result = connect_untouched(fd, sa, len);
		if (result == 0)
			errno = saved;
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
	if (result == 0)
		errno = saved;
	return result;
}

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct ip_addr addr;

	if (ip_addr_read(sa, len, &addr))
		return hook_connect(fd, &addr, sa, len);
	if (sa && len >= sizeof sa->sa_family && sa->sa_family == AF_UNSPEC)
		return disconnect(fd, sa, len);
	return REAL(connect)(fd, sa, len);
}
