/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bind, listen: where a server's socket is retargeted. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

/* True when two listeners on one port would be in each other's way on TCP (inet_csk_bind_conflict). */
static bool addresses_clash(const struct ip_addr *a, bool a_v6only, const struct ip_addr *b, bool b_v6only)
{
	bool a_v4 = ip_addr_is_v4(a), b_v4 = ip_addr_is_v4(b);

	if (a_v4 != b_v4) /* only a dual-stack wildcard reaches into IPv4 */
		return ip_addr_is_any(a_v4 ? b : a) && !(a_v4 ? b_v6only : a_v6only);
	return ip_addr_is_any(a) || ip_addr_is_any(b) || memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

/*
 * True when the endpoint is taken by a listener of this process that TCP would not have minded: another address
 * with the same port, such as 0.0.0.0:80 beside [::]:80.
 */
static bool has_twin(const struct transport *transport, const struct endpoint *to, const struct mark *mark)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);
	bool found = false;

	for (unsigned fd = 0; fd < top; fd++) {
		struct sockaddr_storage sa, wanted;
		socklen_t len = sizeof sa;
		struct mark other;

		if (!(hint_get((int)fd) & HINT_LISTEN) || !mark_get((int)fd, transport, &other) ||
		    REAL(getsockname)((int)fd, (struct sockaddr *)&sa, &len) < 0 ||
		    len != transport->encode(&settings()->realm, to, &wanted) || memcmp(&sa, &wanted, len) != 0)
			continue;
		if (addresses_clash(&mark->addr, mark->flags & MARK_V6ONLY, &other.addr,
				    other.flags & MARK_V6ONLY))
			return false;
		found = true;
	}
	return found;
}

static int bind_retargeted(int fd, const struct socket_state *state, const struct ip_addr *addr,
			   const struct target *target)
{
	const struct transport *transport = settings()->transport;
	struct endpoint to = target->to;
	struct mark mark = {.kind = MARK_LOCAL, .addr = *addr};
	struct ip_addr already;
	int made, result;

	if (state->family != addr->family) /* a sockaddr_in is too short for the other, says the kernel */
		return fail(state->family == AF_INET ? EAFNOSUPPORT : EINVAL);
	if (state->kind == KIND_OURS)
		return fail(EINVAL); /* is bound */
	if ((!(state->hint & HINT_PENDING) || state->hint & HINT_BOUND) &&
	    (inet_bound(fd, &already) || tcp_state(fd) != TCP_CLOSE))
		return fail(EINVAL);
	mark.flags = tcp_flags(fd, state->hint);
	if (state->family == AF_INET6) {
		mark.flags |= MARK_INET6;
		if (option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY))
			mark.flags |= MARK_V6ONLY;
	}
	made = socket_make(fd, state->hint, transport->domain);
	if (made < 0)
		return fail(error_of_socket(errno));
	result = to.port == VMADDR_PORT_ANY ? bind_ephemeral(made, transport, &to)
					    : bind_endpoint(made, transport, &to);
	/* Vsock has one port where TCP has one for each address. The first listener serves all clients; the other
	 * waits where nobody comes, so that a program that polls both never blocks in accept. */
	if (result < 0 && errno == EADDRINUSE && has_twin(transport, &to, &mark))
		result = bind_ephemeral(made, transport, &(struct endpoint){.cid = to.cid});
	if (result < 0)
		goto failed;
	if (mark.addr.port == 0)
		mark.addr.port = port_show(to.port);
	if (mark_set(made, transport, &mark) < 0)
		goto failed;
	if (socket_install(fd, state->hint, made) < 0)
		return fail(error_of_socket(errno));
	hint_clear(fd);
	hint_set(fd, HINT_LISTEN | (state->hint & HINT_INHERIT) | (mark.flags & MARK_INET6 ? HINT_INET6 : 0) |
			     (mark.flags & MARK_V6ONLY ? HINT_V6ONLY : 0) |
			     (ip_addr_is_loopback(addr) ? HINT_LOOPBACK : 0));
	return 0;
failed:
	close_quietly(made);
	return -1;
}

static int bind_addr(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len)
{
	struct socket_state state;
	struct target target;
	int result, saved = errno;

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
	if (result == 0)
		errno = saved;
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
	else if (state.hint & HINT_PENDING)
		hint_clear(fd); /* a TCP listener: not to be retargeted any more */
	return REAL(listen)(fd, backlog);
}
