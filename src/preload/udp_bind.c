/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bind, connect and shutdown of UDP sockets with mapped addresses, and the names they show. */
#include "preload/log.h"
#include "preload/socket.h"
#include "preload/options.h"
#include "preload/udp_native.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* --- listeners */

/* *native becomes the socket for the kernel's own datagrams, or -1. A stranger who has their port has the port. */
static int listener_make(const struct endpoint *to, int *native)
{
	const struct transport *transport = settings()->transport;
	struct endpoint at = {.cid = to->cid, .port = dgram_carrier_port(to->port)};
	int fd = REAL(socket)(transport->domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return fail(error_of_socket(errno));
	stream_window(fd, transport);
	if (bind_endpoint(fd, transport, &at) == 0 && REAL(listen)(fd, INT32_MAX) == 0) {
		if (!native || (*native = native_open(to)) >= 0 || errno != EADDRINUSE)
			return descriptor_keep(fd);
	}
	error = errno;
	SYSTEM(close, fd);
	return fail(error);
}

static int listener_make_anywhere(struct endpoint *to, int *native)
{
	int fd = -1;

	for (int i = 0; i < 64 && fd < 0; i++) {
		to->port = port_next();
		fd = listener_make(to, native);
		if (fd < 0 && errno != EADDRINUSE)
			return -1;
		if (i % 4 == 3)
			port_jump();
	}
	return fd;
}

/* A child of fork, or who shares the port, may have a copy, with which the registration would live on. */
static void listener_leave(struct udp *udp)
{
	REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_DEL, udp->listener, NULL);
	SYSTEM(close, udp->listener);
	udp->listener = -1;
	native_leave(udp);
}

static bool is_shared(int fd)
{
	return option_int(fd, SOL_SOCKET, SO_REUSEPORT) || option_int(fd, SOL_SOCKET, SO_REUSEADDR);
}

/* Wildcards reach all addresses, of IPv4 as well unless v6only (inet_rcv_saddr_equal in net/ipv4/inet_connection_sock.c). */
static bool addresses_clash(const struct mark *a, const struct mark *b)
{
	bool a_v4 = ip_addr_is_v4(&a->addr), b_v4 = ip_addr_is_v4(&b->addr);

	if (a_v4 != b_v4)
		return ip_addr_is_any(a_v4 ? &b->addr : &a->addr) && !((a_v4 ? b : a)->flags & MARK_V6ONLY);
	return ip_addr_is_any(&a->addr) || ip_addr_is_any(&b->addr) ||
	       memcmp(&a->addr.ip, &b->addr.ip, sizeof a->addr.ip) == 0;
}

/*
 * Another socket of this process has the port. One that is connected gives its listener away: it has its peer, and servers
 * that connect a socket bind a new one to the same port. Where UDP has room for both, each on another address, the
 * one that came first serves all clients, and the other waits where nobody comes. Sockets that share
 * (SO_REUSEPORT, or SO_REUSEADDR as UDP has it) accept from one listener.
 */
static int listener_beside(struct udp *udp, int fd, const struct mark *mark, const struct endpoint *to, int *native)
{
	bool shared = is_shared(fd), beside = false;
	int listener = -1;

	for (int number = 0; listener < 0 && number < (int)__atomic_load_n(&hint_top, __ATOMIC_RELAXED); number++) {
		struct udp *other = udp_find(number);
		bool same, clash = false;

		if (!other || other == udp || !udp_lock(other))
			continue;
		same = other->listener >= 0 && other->local.port == to->port && other->local.cid == to->cid;
		if (same)
			clash = addresses_clash(mark, &other->mark);
		beside |= same && !clash;
		if (clash && shared && is_shared(number)) {
			listener = REAL(fcntl)(other->listener, F_DUPFD_CLOEXEC, udp_table->high);
			if (listener >= 0 && other->native >= 0)
				*native = REAL(fcntl)(other->native, F_DUPFD_CLOEXEC, udp_table->high);
			if (listener >= 0 && other->connected)
				listener_leave(other);
		}
		udp_unlock(other);
		if (clash && listener < 0)
			return fail(EADDRINUSE);
	}
	if (listener >= 0)
		return listener;
	return beside ? listener_make_anywhere(&(struct endpoint){.cid = to->cid}, NULL) : fail(EADDRINUSE);
}

static void listener_join(struct udp *udp, int listener, int native, const struct endpoint *to)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (udp->rule && udp->rule->buffer)
		window_fix(listener, settings()->transport, udp->rule->buffer);
	udp->listener = listener;
	udp->local = *to;
	udp->bound = true;
	REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, listener, &event);
	native_join(udp, native);
}

int udp_listen(struct udp *udp, struct endpoint *to)
{
	int native = -1, listener = to->port == VMADDR_PORT_ANY ? listener_make_anywhere(to, &native)
								  : listener_make(to, &native);

	if (listener < 0)
		return -1;
	listener_join(udp, listener, native, to);
	if (udp->mark.addr.port == 0)
		udp->mark.addr.port = port_show(to->port);
	return 0;
}

/* Under the number that the kernel's socket has, if it has one. */
int udp_bind_implicitly(struct udp *udp, int fd)
{
	struct endpoint to = {.cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY};
	struct ip_addr at;

	if (udp->bound)
		return 0;
	if (inet_bound(fd, &at)) {
		udp->inet = true;
		udp->mark.addr = at;
		to.port = at.port;
		if (udp_listen(udp, &to) == 0)
			return 0;
		to.port = VMADDR_PORT_ANY; /* a stranger has it: answers come all the same */
	}
	return udp_listen(udp, &to) == 0 ? 0 : fail(errno == EADDRINUSE ? EAGAIN : errno);
}

static int family_check(const struct socket_state *state, const struct ip_addr *addr)
{
	if (state->family == addr->family)
		return 0;
	return fail(state->family == AF_INET ? EAFNOSUPPORT : EINVAL);
}

/* With the lock, which is not held while other sockets are looked at. */
static int bind_locked(struct udp *udp, int fd, const struct ip_addr *addr, const struct target *target)
{
	struct mark unbound = udp->mark, mark;
	struct endpoint to = target->to;
	int listener, native = -1;

	if (udp->bound)
		return fail(EINVAL);
	udp->mark.addr = *addr;
	udp->rule = target_options(target);
	if (udp_listen(udp, &to) == 0)
		return 0;
	if (errno == EADDRINUSE) {
		mark = udp->mark;
		udp_unlock(udp);
		listener = listener_beside(udp, fd, &mark, &to, &native);
		if (!udp_lock(udp))
			return fail(EBADF);
		if (listener >= 0) {
			listener_join(udp, listener, native, &to);
			return 0;
		}
	}
	udp->mark = unbound;
	udp->rule = NULL;
	return -1;
}

/*
 * A server that forks a child for a client lets it connect the socket and binds a new one to the same port at once: the
 * child's copy of the listener is in the way until it does. In ms, with SO_REUSEADDR, without which UDP has no room either.
 */
#define WAIT_PORT 300

static int bind_patiently(struct udp *udp, int fd, const struct ip_addr *addr, const struct target *target)
{
	static const struct timespec pause[2] = {{0, 1000000}};
	int64_t until = clock_ms() + WAIT_PORT;
	int result = bind_locked(udp, fd, addr, target);

	while (result < 0 && errno == EADDRINUSE && is_shared(fd) && clock_ms() < until) {
		udp_unlock(udp);
		SYSTEM(ppoll, NULL, 0, pause, NULL, 8);
		if (!udp_lock(udp))
			return fail(EBADF);
		result = bind_locked(udp, fd, addr, target);
	}
	return result;
}

int udp_bind(int fd, const struct socket_state *state, const struct ip_addr *addr, const struct target *target)
{
	struct ip_addr already;
	struct udp *udp;
	int result, saved = errno;

	if (family_check(state, addr) < 0)
		return -1;
	if (inet_bound(fd, &already))
		return fail(EINVAL);
	if (port_forbidden(addr->port))
		return fail(EACCES);
	udp = udp_make(fd, state);
	if (!udp)
		return -1;
	if (!udp_lock(udp))
		return fail(ENOBUFS);
	result = bind_patiently(udp, fd, addr, target);
	if (result == 0)
		udp->bound_by_program = addr->port != 0;
	else
		saved = errno;
	if (result == 0 || saved != EBADF)
		udp_unlock(udp);
	errno = saved;
	return result;
}

bool udp_is_bound(int fd)
{
	struct udp *udp = udp_get(fd);
	bool bound = false;

	if (udp && udp_lock(udp)) {
		bound = udp->bound;
		udp_unlock(udp);
	}
	return bound;
}

/* --- connect */

bool udp_target_known(struct udp *udp, int fd, const struct ip_addr *addr, struct socket_state *state, struct target *target)
{
	struct link *link;

	if (!udp_lock(udp))
		return false;
	link = link_find(udp, addr);
	if (link) {
		target->kind = TARGET_VSOCK;
		target->to = link->to;
	}
	udp_unlock(udp);
	if (!link)
		return false;
	socket_look(fd, state);
	return state->kind == KIND_UDP;
}

static int connect_locked(struct udp *udp, int fd, const struct ip_addr *addr, const struct endpoint *to)
{
	struct link *link = link_find(udp, addr);

	if (udp_bind_implicitly(udp, fd) < 0)
		return -1;
	udp->connected = true;
	udp->peer = *addr;
	udp->peer_to = link ? link->to : *to;
	udp->shut = 0;
	udp_error_set(udp, 0);
	/* A server that goes on with one client here will bind another socket for the next. */
	if (udp->bound_by_program && link && (link->heard || link->state == LINK_OPEN) && udp->listener >= 0)
		listener_leave(udp);
	return 0;
}

int udp_connect(int fd, const struct socket_state *state, const struct ip_addr *addr, const struct target *target)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct ip_addr peer = *addr;
	struct udp *udp;
	int result, saved = errno;

	if (state->family == AF_INET && addr->family != AF_INET)
		return fail(EAFNOSUPPORT);
	/* IPv6 sockets take an IPv4 address in either form (__ip6_datagram_connect), unless they are for IPv6 alone. */
	if (state->family == AF_INET6 && ip_addr_is_v4(addr) && option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		return fail(addr->family == AF_INET ? EAFNOSUPPORT : ENETUNREACH);
	peer.family = state->family;
	udp = udp_make(fd, state);
	if (!udp)
		return -1;
	if (is_connected(fd))
		REAL(connect)(fd, &nobody, sizeof nobody);
	if (!udp_lock(udp))
		return fail(ENOBUFS);
	result = connect_locked(udp, fd, &peer, &target->to);
	udp_unlock(udp);
	if (result == 0)
		errno = saved;
	return result;
}

/* Its listener was given up for the peer's sake. */
static void listener_again(struct udp *udp)
{
	struct endpoint to = udp->local;

	if (udp->bound && udp->listener < 0)
		udp_listen(udp, &to);
}

void udp_disconnect(struct udp *udp, int fd)
{
	int saved = errno;

	if (udp_lock(udp)) {
		if (udp->connected) {
			udp->connected = false;
			udp_error_set(udp, 0);
			listener_again(udp);
		}
		udp_inet_open(udp, fd); /* if the program connects elsewhere */
		udp_unlock(udp);
	}
	errno = saved;
}

int udp_shutdown(struct udp *udp, int how)
{
	int result = -1;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return fail(EINVAL);
	if (!udp_lock(udp))
		return fail(ENOTCONN);
	if (udp->connected) {
		udp->shut |= (how != SHUT_WR ? SHUT_READ : 0) | (how != SHUT_RD ? SHUT_WRITE : 0);
		udp_tell(udp);
		result = 0;
	} else {
		errno = ENOTCONN;
	}
	udp_unlock(udp);
	return result;
}

/* --- names */

void udp_show_local(const struct udp *udp, const struct ip_addr *peer, const struct endpoint *to, struct ip_addr *out)
{
	struct mark client = {.kind = MARK_PEER, .flags = udp->mark.flags};

	*out = udp->mark.addr;
	if (!peer || !ip_addr_is_any(out))
		return;
	client.addr = *peer;
	show_local(-1, &udp->local, to, &client, out);
	out->port = udp->mark.addr.port;
}

bool udp_local_name(struct udp *udp, struct ip_addr *out)
{
	bool known = false;

	if (!udp_lock(udp))
		return false;
	if (udp->bound) {
		udp_show_local(udp, udp->connected ? &udp->peer : NULL, &udp->peer_to, out);
		known = true;
	}
	udp_unlock(udp);
	return known;
}

bool udp_peer_name(struct udp *udp, struct ip_addr *out)
{
	bool known;

	if (!udp_lock(udp))
		return false;
	known = udp->connected;
	*out = udp->peer;
	udp_unlock(udp);
	return known;
}
