/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect: where a client's socket is retargeted. */
#include "preload/attempt.h"
#include "preload/client.h"
#include "preload/hooks.h"
#include "preload/listeners.h"
#include "preload/log.h"
#include "preload/options.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/remember.h"
#include "preload/restore.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/stats.h"
#include "preload/strict.h"
#include "preload/udp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

/* What connect says when fd is retargeted and marked. */
static int attempt_told(int fd, enum attempt_end end, int error)
{
	hint_clear(fd);
	if (end == ATTEMPT_MADE)
		return 0;
	hint_set(fd, HINT_ATTEMPT);
	return fail(error);
}

/* Which file a number stood for before a call that waits: another thread may close it meanwhile. */
struct identity {
	unsigned call; /* hint_call(), of a pending socket */
	struct stat file;
};

static void identify(int fd, unsigned hint, struct identity *out)
{
	*out = (struct identity){.call = hint & HINT_PENDING ? hint_call(fd) : 0};
	if (!out->call)
		fstat(fd, &out->file);
}

static bool is_still(int fd, const struct identity *identity)
{
	unsigned hint = hint_get(fd);
	struct socket_state state;
	struct stat file;

	if (!identity->call)
		return fstat(fd, &file) == 0 && file.st_ino == identity->file.st_ino &&
		       file.st_dev == identity->file.st_dev;
	if (hint & HINT_PENDING)
		return hint_is_of_call(hint, identity->call);
	/* Closed, or the hint was lost: it was duplicated, or a child of vfork closed what it had of it. */
	socket_look(fd, &state);
	return state.kind == KIND_TCP && tcp_state(fd) == TCP_CLOSE;
}

/* Everything about a connect(2) that is to be retargeted. */
struct call {
	int fd;
	const struct socket_state *state;
	const struct ip_addr *addr;
	const struct target *target;
	const struct ip_addr *source; /* where fd is bound, or NULL */
	const struct sockaddr *sa;    /* as the program gave it */
	socklen_t len;
};

static int connect_inet(int fd, const struct socket_state *state, const struct sockaddr *sa, socklen_t len);

/* connect(2) as if no rule matched. */
static int connect_network(const struct call *call)
{
	unsigned hint = hint_get(call->fd);

	if (call->state->kind == KIND_OURS)
		return connect_inet(call->fd, call->state, call->sa, call->len);
	if (hint & HINT_STREAM)
		hint_change(call->fd, hint, HINT_FOREIGN);
	return REAL(connect)(call->fd, call->sa, call->len);
}

/* Instead of a result: tries are repeated (persist.h), and a blocking call is to wait for them: connect_await(). */
#define CONNECT_AWAIT (-2)

/*
 * The rule has more to try after an attempt that failed (made is -1), or that goes on as `made`, which is taken over. What
 * cannot be repeated ends with that error.
 */
static int connect_persist(const struct call *call, const struct attempt *attempt, const struct mark *mark, int made)
{
	int error = errno;

	if (persist_begin(attempt, call->target, call->addr, call->source, mark, made, made < 0 ? error : 0) < 0)
		return fail(made < 0 ? error : ENOBUFS);
	if (made >= 0 && error != EAGAIN) /* a signal, SO_SNDTIMEO, or a non-blocking socket */
		return fail(error);
	return REAL(fcntl)(call->fd, F_GETFL) & O_NONBLOCK ? fail(EINPROGRESS) : CONNECT_AWAIT;
}

/* After a failure fd is as new. */
static __attribute__((noinline)) int connect_await(int fd)
{
	enum attempt_end end = attempt_await(fd);
	struct socket_state state;
	int error = errno;

	if (end == ATTEMPT_RUNNING)
		return -1;
	socket_look(fd, &state);
	if (end == ATTEMPT_FAILED && state.kind == KIND_OURS)
		inet_restore(fd, &state);
	else
		hint_clear(fd);
	return end == ATTEMPT_MADE ? 0 : fail(error);
}

/* An attempt failed for good, with errno: the rule may have more to try. */
static int connect_failed(const struct call *call, const struct attempt *attempt, const struct mark *mark)
{
	if (!is_unreachable(errno))
		return -1;
	if (attempt->rule->retry)
		return connect_persist(call, attempt, mark, -1);
	if (!attempt->rule->fallback)
		return -1;
	fallback_say(call->target, call->addr, errno);
	return connect_network(call);
}

/* How a try on a new socket ended: *made is closed where it has no more use. errno tells the rest. */
static __attribute__((noinline)) enum attempt_end connect_once(const struct call *call, struct attempt *attempt,
							       const struct mark *mark, int *made)
{
	const struct socket_state *state = call->state;
	struct identity identity;
	enum attempt_end end;
	int error;

	*made = client_make(call->fd, state, attempt->transport, mark, call->source, attempt->rule, 0);
	if (*made < 0)
		return ATTEMPT_FAILED;
	identify(call->fd, state->hint, &identity);
	end = attempt_begin(attempt, *made);
	if (end == ATTEMPT_CUT) {
		close_quietly(*made);
		*made = client_make(call->fd, state, attempt->transport, mark, call->source, attempt->rule, 0);
		if (*made < 0)
			return ATTEMPT_FAILED;
		end = attempt_go_on(attempt, *made);
	}
	if (end == ATTEMPT_RUNNING && has_more(attempt->rule))
		end = attempt_glance(attempt, *made);
	error = errno;
	if (end != ATTEMPT_FAILED && !is_still(call->fd, &identity)) {
		end = ATTEMPT_FAILED;
		error = EBADF;
	}
	if (end == ATTEMPT_FAILED)
		close_quietly(*made);
	errno = error;
	return end;
}

/*
 * A new socket, connected (or connecting) to the target, then put in the place of fd. In that order, so that a
 * failed connect leaves the program's descriptor exactly as it was.
 */
static int connect_fresh(const struct call *call)
{
	const struct socket_state *state = call->state;
	struct attempt attempt = {
		.fd = call->fd,
		.state = state,
		.transport = target_transport(call->target),
		.to = call->target->to,
		.rule = target_options(call->target),
	};
	struct mark mark = {.kind = MARK_PEER, .addr = *call->addr};
	enum attempt_end end;
	int made, error;

	mark.flags = state->kind == KIND_OURS ? state->mark.flags : options_flags(call->fd, state->hint);
	if (state->family == AF_INET6)
		mark.flags |= MARK_INET6;
	end = connect_once(call, &attempt, &mark, &made);
	if (end == ATTEMPT_FAILED)
		return connect_failed(call, &attempt, &mark);
	if (end == ATTEMPT_WAITS)
		return connect_persist(call, &attempt, &mark, made);
	error = errno;
	if (socket_install(call->fd, hint_get(call->fd), made) < 0)
		return fail(error_of_socket(errno));
	return attempt_told(call->fd, end, error);
}

/* A socket that bind retargeted: it has the port that the program wants, so it is the one to be connected. */
static int connect_bound(const struct call *call)
{
	const struct socket_state *state = call->state;
	const struct target *target = call->target;
	int fd = call->fd;
	struct attempt attempt = {
		.fd = fd, .state = state, .transport = state->transport, .to = target->to, .rule = target_options(target)};
	struct mark mark = {.kind = MARK_PEER, .flags = state->mark.flags, .addr = *call->addr};
	struct call bound = *call;
	enum attempt_end end;
	int error;

	bound.source = &state->mark.addr;
	if (state->transport != target_transport(target) || state->transport->greets)
		return connect_fresh(&bound);
	end = attempt_begin(&attempt, fd);
	if (end == ATTEMPT_CUT)
		end = attempt_go_on(&attempt, fd);
	error = errno;
	if (end == ATTEMPT_FAILED)
		return error == EINVAL ? fail(EISCONN) /* accepted, and shut down since */
				       : connect_failed(&bound, &attempt, &mark);
	source_keep(fd, &state->mark.addr);
	mark_set(fd, state->transport, &mark);
	return attempt_told(fd, end, error);
}

/* Back to a TCP socket, because the program now connects where no rule matches. */
static int connect_inet(int fd, const struct socket_state *state, const struct sockaddr *sa, socklen_t len)
{
	int made = inet_make(fd, state, true), result, error;

	if (made < 0)
		return -1;
	result = REAL(connect)(made, sa, len);
	error = errno;
	if (result < 0 && error != EINPROGRESS && error != EINTR) {
		close_quietly(made);
		return -1;
	}
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	errno = error;
	return result;
}

/*
 * A socket of ours, and what is left of an attempt to connect it. What remains of a failed non-blocking attempt
 * would answer EALREADY for ever; on TCP it fails once more and is then as new (inet_stream_connect in
 * net/ipv4/af_inet.c). True when that is all there is to say: with the result, and errno.
 */
static bool is_attempted(int fd, const struct socket_state *state, int *result)
{
	enum attempt_end end = ATTEMPT_FAILED;
	int error;

	*result = -1;
	switch (attempt_look(fd, state)) {
	case ATTEMPT_NONE:
		errno = EISCONN;
		return option_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
	case ATTEMPT_CONNECTED:
		*result = state->hint & HINT_ATTEMPT ? 0 : fail(EISCONN);
		hint_clear(fd);
		return true;
	case ATTEMPT_OVER:
		errno = attempt_error(fd);
		break;
	case ATTEMPT_PENDING:
		end = attempt_join(fd, state);
		break;
	}
	error = errno;
	if (end == ATTEMPT_FAILED)
		inet_restore(fd, state);
	else if (end == ATTEMPT_MADE)
		*result = attempt_told(fd, end, 0);
	errno = error;
	return true;
}

/* An address that does not fit the socket (tcp_v4_connect, tcp_v6_connect): too short, says the kernel first. */
static int fail_misfit(const struct socket_state *state, socklen_t len)
{
	return fail(len < (state->family == AF_INET ? sizeof(struct sockaddr_in) : 24) ? EINVAL : EAFNOSUPPORT);
}

static int connect_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			      const struct target *target, const struct sockaddr *sa, socklen_t len);

/*
 * What a signal or SO_SNDTIMEO sent to the background found the backlog full. TCP would still be trying: a blocking
 * connect, which joins it, begins again here.
 */
static bool was_full(int fd, const struct socket_state *state, const struct target *target)
{
	return errno == ECONNREFUSED && state->hint & HINT_ATTEMPT &&
	       !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK) && listener_exists(state->transport, &target->to);
}

static __attribute__((noinline)) int connect_anew(int fd, const struct ip_addr *addr, const struct target *target,
			const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	int result;

	socket_look(fd, &state);
	result = connect_retargeted(fd, &state, addr, target, sa, len);
	return result == -1 && errno == EINPROGRESS ? fail(EALREADY) : result;
}

static int connect_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			      const struct target *target, const struct sockaddr *sa, socklen_t len)
{
	struct call call = {.fd = fd, .state = state, .addr = addr, .target = target, .sa = sa, .len = len};
	struct ip_addr source;
	bool fresh = state->hint & HINT_PENDING;
	int result;

	if (state->kind == KIND_OURS) {
		if (is_attempted(fd, state, &result))
			return result < 0 && was_full(fd, state, target) ? connect_anew(fd, addr, target, sa, len)
									 : result;
	} else if (!fresh && tcp_state(fd) != TCP_CLOSE) {
		return REAL(connect)(fd, sa, len); /* connecting or connected elsewhere: this address is not looked at */
	}
	if (state->family != addr->family)
		return fail_misfit(state, len);
	if (state->kind == KIND_OURS)
		return connect_bound(&call);
	if ((!fresh || state->hint & HINT_BOUND) && inet_bound(fd, &source))
		call.source = &source;
	return connect_fresh(&call);
}

/* An address no rule matches, on whatever fd is. Only when the kernel does not like it is fd looked at. */
static int connect_untouched(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	unsigned hint = hint_get(fd);
	bool attempting = !(hint & HINT_PENDING) && hint & HINT_ATTEMPT;
	struct socket_state state;
	int result, error = EINVAL;

	if (!attempting) {
		/* It may still be retargeted by a later connect, but no longer as one fresh from socket(). Afterwards the
		 * number may be that of another socket. */
		if (hint & HINT_STREAM)
			hint_change(fd, hint, HINT_FOREIGN);
		result = REAL(connect)(fd, sa, len);
		error = errno;
		if (hint & HINT_STREAM)
			return result;
		if (result == 0 || (error != EINVAL && error != EALREADY))
			return result;
	}
	socket_look(fd, &state);
	if (state.kind != KIND_OURS)
		return attempting ? REAL(connect)(fd, sa, len) : fail(error);
	if (is_attempted(fd, &state, &result))
		return result;
	return state.family == addr->family ? connect_inet(fd, &state, sa, len) : fail_misfit(&state, len);
}

/*
 * No IP address. TCP says why not, where another transport only says that it is wrong; in a realm, where sockets of ours
 * would take it, they are looked at first.
 */
static int connect_misfit(int fd, const struct sockaddr *sa, socklen_t len)
{
	bool dangerous = has_unix() && !(hint_get(fd) & HINT_PENDING);
	int result, saved;
	struct socket_state state;

	if (strict_may_be() && strict_address("connect", fd, sa, len) < 0)
		return -1;
	result = dangerous ? -1 : REAL(connect)(fd, sa, len);
	saved = errno;
	if (result == 0 || (!dangerous && saved != EINVAL && saved != EISCONN))
		return result;
	socket_look(fd, &state);
	if (state.kind != KIND_OURS)
		return dangerous ? REAL(connect)(fd, sa, len) : fail(saved);
	if (!sa || len < sizeof sa->sa_family || len > sizeof(struct sockaddr_storage))
		return fail(!sa && len > 0 && len <= sizeof(struct sockaddr_storage) ? EFAULT : EINVAL);
	return is_attempted(fd, &state, &result) ? result : fail_misfit(&state, len);
}

/* AF_UNSPEC dissolves a connection, or an attempt (connect(2)), for which other transports have no call: the socket
 * becomes a new TCP socket. */
int hook_disconnect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	int saved = errno;

	if (hint_get(fd) & HINT_PENDING) {
		struct udp *udp = udp_get(fd);

		if (udp)
			udp_disconnect(udp, fd);
		return REAL(connect)(fd, sa, len);
	}
	socket_look(fd, &state);
	if (state.kind != KIND_OURS)
		return REAL(connect)(fd, sa, len);
	if (inet_restore(fd, &state) < 0)
		return -1;
	errno = saved;
	return 0;
}

/* Linux takes 0.0.0.0 and :: for this host (ip_route_output_key_hash_rcu, tcp_v6_connect). */
static struct ip_addr this_host(const struct ip_addr *addr)
{
	struct ip_addr here = *addr;

	if (ip_addr_is_v4(addr))
		here.ip = ip_addr_from_v4(INADDR_LOOPBACK, 0, AF_INET6).ip;
	else
		here.ip = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	return here;
}

int hook_connect(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct target target = {.rule = NULL};
	struct socket_state state;
	const struct rule *counted;
	struct ip_addr here;
	int result, saved = errno;
	bool matches = decide(fd, RULE_CONNECT, addr, &state, &target);

	if (ip_addr_is_any(addr)) {
		here = this_host(addr);
		addr = &here;
		/* Rules that do not speak of it speak of the loopback address. */
		if (!target.rule)
			matches = decide(fd, RULE_CONNECT, addr, &state, &target);
	}
	if (!matches && !(hint_get(fd) & HINT_STREAM)) {
		struct udp *udp = udp_get(fd);

		matches = udp_target(fd, addr, &state, &target) ||
			  (udp && udp_target_known(udp, fd, addr, &state, &target));
		if (!matches && udp)
			udp_disconnect(udp, fd);
	}
	if (!matches) {
		result = connect_untouched(fd, addr, sa, len);
		if (result == 0)
			errno = saved;
		if (log_on(LOG_DEBUG))
			log_call("connect", fd, addr, "inet", NULL, result);
		return result;
	}
	if (target.kind == TARGET_REJECT)
		return refuse("connect", fd, addr, &target);
	if (hint_settled(state.hint) & HINT_PERSIST) { /* it may be over just now */
		persist_drive();
		socket_look(fd, &state);
	}
	/* What asks for the outcome of a call was counted with that call. */
	counted = state.kind == KIND_OURS && state.mark.kind == MARK_PEER ? NULL : target.rule;
	stats_used(counted);
	result = state.kind == KIND_UDP ? udp_connect(fd, &state, addr, &target)
					: connect_retargeted(fd, &state, addr, &target, sa, len);
	if (result == CONNECT_AWAIT)
		result = connect_await(fd);
	log_call("connect", fd, addr, target_name(&target), &target.to, result);
	stats_result(counted, result);
	if (result == 0)
		errno = saved;
	return result;
}

HOOK int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct ip_addr addr;
	sa_family_t family;

	if (ip_addr_read(sa, len, &addr))
		return hook_connect(fd, &addr, sa, len);
	if (ip_addr_family(sa, len, &family) && family == AF_UNSPEC)
		return hook_disconnect(fd, sa, len);
	return connect_misfit(fd, sa, len);
}

HOOK_ALIAS(__connect, connect)
