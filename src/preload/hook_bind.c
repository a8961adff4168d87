/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bind, listen: where a server's socket is retargeted. */
#include "preload/beside.h"
#include "preload/decide.h"
#include "preload/guard.h"
#include "preload/hooks.h"
#include "preload/log.h"
#include "preload/options.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/remember.h"
#include "preload/restore.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/stale.h"
#include "preload/stats.h"
#include "preload/strict.h"
#include "preload/udp.h"
#include "preload/udp_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

/* True when two listeners on one port would be in each other's way on TCP (inet_csk_bind_conflict). */
static bool addresses_clash(const struct ip_addr *a, bool a_v6only, const struct ip_addr *b, bool b_v6only)
{
	bool a_v4 = ip_addr_is_v4(a), b_v4 = ip_addr_is_v4(b);

	if (a_v4 != b_v4) /* only a dual-stack wildcard reaches into IPv4 */
		return ip_addr_is_any(a_v4 ? b : a) && !(a_v4 ? b_v6only : a_v6only);
	return ip_addr_is_any(a) || ip_addr_is_any(b) || memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

/* What a socket of this process that has the endpoint means to another one that is to be bound to it. */
enum twin {
	TWIN_NONE,   /* TCP would refuse as well */
	TWIN_BESIDE, /* TCP has room for both: another address with the same port, such as 0.0.0.0:80 beside [::]:80 */
	TWIN_SHARED, /* both have SO_REUSEPORT, and one address */
};

static enum twin twin_find(const struct transport *transport, const struct endpoint *to, const struct mark *mark,
			   int *out)
{
	bool reuse = mark->flags & MARK_REUSEPORT;
	/* A listener that came by exec has no hint yet. */
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED), reach = reuse && top < 1024 ? 1024 : top;
	struct sockaddr_storage sa, wanted;
	socklen_t wanted_len = transport->encode(&settings()->realm, to, &wanted);
	enum twin found = TWIN_NONE;

	for (unsigned fd = 0; fd < reach; fd++) {
		socklen_t len = sizeof sa;
		struct mark other;

		if ((!reuse && !(hint_get((int)fd) & HINT_LISTEN)) ||
		    REAL(getsockname)((int)fd, (struct sockaddr *)&sa, &len) < 0 || len != wanted_len ||
		    memcmp(&sa, &wanted, len) != 0 || !mark_get((int)fd, transport, &other) ||
		    other.kind != MARK_LOCAL || is_connected((int)fd))
			continue;
		if (reuse && other.flags & MARK_REUSEPORT) {
			*out = (int)fd;
			if (!((mark->flags ^ other.flags) & (MARK_INET6 | MARK_V6ONLY)) &&
			    memcmp(&mark->addr, &other.addr, sizeof other.addr) == 0)
				return TWIN_SHARED;
		} else if (addresses_clash(&mark->addr, mark->flags & MARK_V6ONLY, &other.addr,
					   other.flags & MARK_V6ONLY)) {
			return TWIN_NONE;
		}
		found = TWIN_BESIDE;
	}
	return found;
}

/*
 * Vsock has one port where TCP has one for each address, and for each SO_REUSEPORT. The socket that has it serves all
 * clients. Where addresses differ the other one waits where nobody comes, so that a program that polls both never blocks in
 * accept; sockets of one address become one, whose queue each of them accepts from. made is replaced then.
 */
static int bind_beside(int *made, const struct transport *transport, const struct endpoint *to, const struct mark *mark)
{
	int twin, copy;

	switch (twin_find(transport, to, mark, &twin)) {
	case TWIN_BESIDE:
		if (transport->greets) /* no file for that */
			return name_any(*made);
		return bind_ephemeral(*made, transport, &(struct endpoint){.cid = to->cid});
	case TWIN_SHARED:
		copy = REAL(fcntl)(twin, F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return fail(error_of_socket(errno));
		REAL(close)(*made);
		*made = copy;
		return 0;
	default:
		return fail(EADDRINUSE);
	}
}

/* A listener that was shut down stays in the way until the last thread that waited in accept has left the kernel. */
static int bind_patiently(int fd, const struct transport *transport, const struct endpoint *to, bool shut)
{
	int result = bind_endpoint(fd, transport, to);

	for (int i = 0; shut && result < 0 && errno == EADDRINUSE && i < 200; i++) {
		REAL(poll)(NULL, 0, 1);
		result = bind_endpoint(fd, transport, to);
	}
	return result;
}

static int mark_made(int made, const struct target *target, struct mark *mark, const struct endpoint *to)
{
	if (mark->addr.port == 0)
		mark->addr.port = port_show(to->port);
	if (guard_set(made, target_options(target)) < 0)
		return -1;
	return mark_set(made, target_transport(target), mark);
}

/* fd is a TCP socket that is not connected; `made` becomes a socket on the other transport, bound and marked. */
static int listener_make(int fd, const struct socket_state *state, struct mark *mark, const struct target *target)
{
	const struct transport *transport = target_transport(target);
	int made = socket_make(fd, state->hint, transport->domain, SOCK_STREAM), result;
	struct endpoint to = target->to;

	if (made < 0)
		return fail(error_of_socket(errno));
	options_bequeath(fd, made, state->hint);
	if (target_options(target)->buffer)
		window_fix(made, transport, target_options(target)->buffer);
	if (to.port == VMADDR_PORT_ANY)
		result = bind_ephemeral(made, transport, &to);
	else
		result = bind_patiently(made, transport, &to, hint_settled(state->hint) & HINT_SHUT);
	if (result == 0)
		result = mark_made(made, target, mark, &to);
	else if (errno == EADDRINUSE) {
		result = bind_beside(&made, transport, &to, mark);
		/* Another thread may have bound the one that is to be shared, and not marked it yet. */
		for (int i = 0; result < 0 && errno == EADDRINUSE && mark->flags & MARK_REUSEPORT && i < 5; i++) {
			REAL(poll)(NULL, 0, 1);
			result = bind_beside(&made, transport, &to, mark);
		}
		if (result == 0)
			result = mark_made(made, target, mark, &to);
	}
	if (result == 0)
		return made;
	close_quietly(made);
	return -1;
}

/* It is not to be: a file that it has made goes as well. */
static void listener_unmake(int made, const struct transport *transport)
{
	if (transport->greets)
		bind_undo(made);
	close_quietly(made);
}

/*
 * fallback=inet: the program's own socket is bound where the program wants it, and stays a TCP listener beside ours. An
 * address that is not this machine's, or no network at all, leaves vsock alone; a port that is taken is an error, as it would
 * be without us. *tcp becomes a duplicate, or -1.
 */
static int inet_bind(int fd, const struct mark *mark, bool again, int *tcp)
{
	static bool said;
	struct sockaddr_storage sa;
	socklen_t len = ip_addr_write(&mark->addr, &sa);

	*tcp = descriptor_keep(REAL(fcntl)(fd, F_DUPFD_CLOEXEC, 0));
	if (*tcp < 0)
		return fail(error_of_socket(errno));
	if (again || REAL(bind)(fd, (struct sockaddr *)&sa, len) == 0)
		return 0;
	close_quietly(*tcp);
	*tcp = -1;
	if (errno != EADDRNOTAVAIL && errno != ENETUNREACH && errno != EAFNOSUPPORT && errno != ENODEV)
		return -1;
	log_say_once(&said, "fallback=inet: this machine has not the address to listen on, there is vsock alone");
	return 0;
}

/* So many ports that are free on vsock may be taken on TCP. */
#define PORTS_TRIED 32

/* Both listeners; the one on the other transport, or -1. Where this machine has no vsock, *tcp may be all there is. */
static int listeners_make(int fd, const struct socket_state *state, struct mark *mark, const struct target *target,
			  bool again, int *tcp)
{
	const struct ip_addr wanted = mark->addr;
	int made, tries = 0;

	*tcp = -1;
	if (beside_room(fd) < 0)
		return -1;
	do {
		mark->addr = wanted;
		made = listener_make(fd, state, mark, target);
		if (made < 0 && errno == ENETUNREACH) {
			fallback_say(target, &wanted, ENETUNREACH);
			return inet_bind(fd, mark, again, tcp) == 0 ? -1 : fail(errno);
		}
		if (made < 0 || inet_bind(fd, mark, again, tcp) == 0)
			return made;
		listener_unmake(made, target_transport(target));
	} while (errno == EADDRINUSE && wanted.port == 0 && ++tries < PORTS_TRIED);
	return -1;
}

/* `again`: fd is a TCP socket that is bound there already. */
static int bind_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			   const struct target *target, bool again)
{
	const struct transport *transport = target_transport(target);
	const struct rule_options *options = target_options(target);
	struct mark mark = {.kind = MARK_LOCAL, .addr = *addr};
	struct ip_addr already;
	bool guarded;
	int made, tcp = -1;

	if (state->family != addr->family) /* a sockaddr_in is too short for the other, says the kernel */
		return fail(state->family == AF_INET ? EAFNOSUPPORT : EINVAL);
	if (state->kind == KIND_OURS)
		return fail(EINVAL); /* is bound */
	if (!again && (!(state->hint & HINT_PENDING) || state->hint & HINT_BOUND) &&
	    (inet_bound(fd, &already) || tcp_state(fd) != TCP_CLOSE))
		return fail(EINVAL);
	if (transport == &transport_realm && target->to.port < IPPORT_RESERVED && port_forbidden((uint16_t)target->to.port))
		return fail(EACCES);
	mark.flags = options_flags(fd, state->hint);
	if (state->family == AF_INET6) {
		mark.flags |= MARK_INET6;
		if (option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY))
			mark.flags |= MARK_V6ONLY;
	}
	made = options->fallback && state->kind == KIND_TCP ? listeners_make(fd, state, &mark, target, again, &tcp)
							    : listener_make(fd, state, &mark, target);
	if (made < 0 && tcp >= 0) { /* there is no vsock, but there is TCP */
		close_quietly(tcp);
		hint_clear(fd);
		return 0;
	}
	if (made < 0)
		return -1;
	if (socket_install_but(fd, state->hint, made, tcp) < 0) {
		if (tcp >= 0)
			close_quietly(tcp);
		return fail(error_of_socket(errno));
	}
	/* A socket that is shared may have its list from before an exec. */
	guarded = transport->greets || options->allow || tcp >= 0 || (mark.flags & MARK_REUSEPORT && guard_exists(fd));
	hint_clear(fd);
	hint_set(fd, listener_hint(&mark) | (guarded ? HINT_GUARD : 0) |
			     (state->hint & HINT_PENDING ? state->hint & HINT_INHERIT : HINT_INHERIT));
	if (tcp >= 0)
		beside_set(fd, tcp, !(state->hint & HINT_PENDING) || state->hint & HINT_SEARCH);
	return 0;
}

/* An attempt to connect that failed leaves the port free, and the socket as new. */
static bool failed_restore(int fd)
{
	struct socket_state state;
	int saved = errno;
	bool restored;

	if (hint_get(fd) & HINT_PENDING)
		return false;
	socket_look(fd, &state);
	restored = inet_restore_failed(fd, &state);
	errno = saved;
	return restored;
}

static int bind_addr(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	struct target target;
	int result, saved = errno;

	if (!decide(fd, RULE_LISTEN, addr, &state, &target)) {
		if (udp_is_bound(fd))
			return fail(EINVAL);
		result = REAL(bind)(fd, sa, len);
		if (result < 0 && errno == EINVAL && failed_restore(fd))
			result = REAL(bind)(fd, sa, len);
		if (result == 0)
			hint_add(fd, HINT_PENDING, HINT_BOUND);
		if (log_on(LOG_DEBUG))
			log_call("bind", fd, addr, "inet", NULL, result);
		return result;
	}
	if (target.kind == TARGET_REJECT)
		return refuse("bind", fd, addr, &target);
	stats_used(target.rule);
	if (inet_restore_failed(fd, &state))
		socket_look(fd, &state);
	result = state.kind == KIND_UDP ? udp_bind(fd, &state, addr, &target) : bind_retargeted(fd, &state, addr, &target, false);
	log_call("bind", fd, addr, target_name(&target), &target.to, result);
	stats_result(target.rule, result);
	if (result == 0)
		errno = saved;
	return result;
}

/* An old way to write 0.0.0.0, for AF_INET sockets (__inet_bind in net/ipv4/af_inet.c). */
static bool is_unspecified(int fd, const struct sockaddr *sa, socklen_t len, struct ip_addr *out)
{
	struct sockaddr_in in;
	struct socket_state state;
	sa_family_t family;

	if (!ip_addr_family(sa, len, &family) || family != AF_UNSPEC || len < sizeof in)
		return false;
	memcpy(&in, sa, sizeof in);
	if (in.sin_addr.s_addr != htonl(INADDR_ANY))
		return false;
	socket_look(fd, &state);
	*out = ip_addr_from_v4(INADDR_ANY, ntohs(in.sin_port), AF_INET);
	return (state.kind == KIND_TCP || state.kind == KIND_UDP) && state.family == AF_INET;
}

HOOK int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct ip_addr addr;

	if (!ip_addr_read(sa, len, &addr) && !is_unspecified(fd, sa, len, &addr))
		return REAL(bind)(fd, sa, len);
	return bind_addr(fd, &addr, sa, len);
}

/*
 * A TCP socket starts to listen where it is bound, or else at the wildcard and a port of the kernel's choice
 * (inet_csk_listen_start). Where a rule matches that address it is retargeted now: bind() may have
 * been called by a process without the library, or the socket was a listener of ours that was shut down.
 */
static int listen_retarget(int fd, const struct socket_state *look)
{
	struct ip_addr addr = ip_addr_from_v4(INADDR_ANY, 0, look->family);
	struct socket_state state;
	struct target target;
	bool bound;
	int result;

	if (look->family == AF_INET6)
		addr.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	bound = !(look->hint & HINT_PENDING) && inet_bound(fd, &addr);
	if (!decide(fd, RULE_LISTEN, &addr, &state, &target) || tcp_state(fd) != TCP_CLOSE)
		return 0;
	if (target.kind == TARGET_REJECT)
		return refuse("listen", fd, &addr, &target);
	stats_used(target.rule);
	result = bind_retargeted(fd, &state, &addr, &target, bound);
	log_call("listen", fd, &addr, target_name(&target), &target.to, result);
	stats_result(target.rule, result);
	return result;
}

/*
 * A full backlog makes TCP clients wait and try again, but AF_VSOCK resets them: give listeners of ours as much
 * as the kernel allows (net.core.somaxconn).
 */
HOOK int listen(int fd, int backlog)
{
	struct socket_state state;
	int saved = errno, asked = backlog;

	socket_look(fd, &state);
	if (state.kind == KIND_TCP && !(state.hint & HINT_BOUND) && listen_retarget(fd, &state) < 0)
		return -1;
	if (strict_may_be() && strict_listen(fd) < 0)
		return -1;
	if (state.kind == KIND_OURS && !state.hint) /* it came by exec */
		beside_learn(fd, &state.mark);
	errno = saved;
	if (hint_get(fd) & HINT_LISTEN || state.kind == KIND_OURS)
		backlog = INT32_MAX;
	else if (state.kind == KIND_TCP && state.hint & (HINT_PENDING | HINT_SHUT))
		hint_clear(fd); /* a TCP listener: not to be retargeted any more */
	if (beside_get(fd) >= 0 && beside_listen(fd, asked) < 0)
		return -1;
	return REAL(listen)(fd, backlog);
}
