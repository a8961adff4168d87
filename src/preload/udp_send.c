/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sending datagrams to mapped addresses. */
#include "preload/hooks.h"
#include "preload/log.h"
#include "preload/refuse.h"
#include "preload/socket.h"
#include "preload/stats.h"
#include "preload/udp_native.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

/* In ms: to reach a peer that was not spoken to before, and for room in its window. */
#define WAIT_CONNECT 150
#define WAIT_ROOM 100
/* In ms: a connection that died sooner is not made anew before. */
#define PAUSE_DEAD 100

/* As udp_sendmsg() in net/ipv4/udp.c reads it: an AF_INET socket takes AF_UNSPEC for AF_INET. */
static bool address_read(int fd, const void *name, socklen_t len, struct ip_addr *out)
{
	struct sockaddr_in in;
	sa_family_t family;

	if (ip_addr_read(name, len, out))
		return true;
	if (!ip_addr_family(name, len, &family) || family != AF_UNSPEC || len < sizeof in)
		return false;
	memcpy(&in, name, sizeof in);
	*out = ip_addr_from_v4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port), AF_INET);
	return socket_domain(fd) == AF_INET;
}

/* A peer that this socket has spoken to, or heard of. */
static bool peer_known(int fd, const struct ip_addr *addr, struct endpoint *to)
{
	struct udp *udp = udp_get(fd);
	struct link *link;

	if (!udp || !udp_lock(udp))
		return false;
	link = link_find(udp, addr);
	if (link)
		*to = link->to;
	udp_unlock(udp);
	return link;
}

bool udp_target(int fd, const struct ip_addr *addr, struct socket_state *state, struct target *target)
{
	if (decide(fd, RULE_CONNECT, addr, state, target))
		return state->kind == KIND_UDP || target->kind == TARGET_REJECT;
	if (settings()->disabled || settings()->failed)
		return false;
	if (!peer_known(fd, addr, &target->to)) {
		/* It was shown to the program as somebody's, and nobody else has it. */
		if (target->rule || !cid_from_stand_in(&addr->ip, &target->to.cid))
			return false;
		target->to.port = addr->port;
	}
	socket_look(fd, state);
	target->kind = TARGET_VSOCK;
	return state->kind == KIND_UDP;
}

/* What a short write left, from `skip` bytes into head and parts on, waits with the link. */
static bool tail_keep(struct udp *udp, struct link *link, const struct iovec *parts, size_t count, size_t skip)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = parts[i].iov_len, part = skip < size ? size - skip : 0;

		if (part && (!bytes_room(udp, &link->tail, link->tail.have + (uint32_t)part) ||
			     !memory_copy(link->tail.at + link->tail.have, (const uint8_t *)parts[i].iov_base + skip, part)))
			return false;
		link->tail.have += (uint32_t)part;
		skip -= size - part;
	}
	return true;
}

enum sent {
	SENT,
	SENT_NO_ROOM,
	SENT_DEAD,  /* the connection is over: the peer may have a new one */
	SENT_WRONG, /* the program's fault: errno */
};

#define PARTS_MOST 8
/* Up to so many bytes are copied together, which costs less than a write in parts. */
#define SMALL_MOST 640

/* One write, however many parts: more than a few are put together first, in the buffer of what was not sent. */
static enum sent record_send(struct udp *udp, struct link *link, const struct datagram *datagram)
{
	uint8_t head[DGRAM_HELLO_SIZE + DGRAM_PREFIX_SIZE + SMALL_MOST];
	struct iovec parts[1 + PARTS_MOST] = {{head, 0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1 + datagram->count};
	size_t whole = link->greet ? DGRAM_HELLO_SIZE : 0;
	ssize_t sent;

	if (link->greet)
		dgram_hello_write(udp->local.port, head);
	dgram_prefix_write(datagram->size, head + whole);
	parts[0].iov_len = whole += DGRAM_PREFIX_SIZE;
	if (datagram->size <= SMALL_MOST) {
		for (size_t i = 0; i < datagram->count; i++) {
			if (!datagram->parts[i].iov_len)
				continue;
			memcpy(head + parts[0].iov_len, datagram->parts[i].iov_base, datagram->parts[i].iov_len);
			parts[0].iov_len += datagram->parts[i].iov_len;
		}
		message.msg_iovlen = 1;
	} else if (datagram->count > PARTS_MOST) {
		if (!tail_keep(udp, link, parts, 1, 0) || !tail_keep(udp, link, datagram->parts, datagram->count, 0)) {
			bytes_free(udp, &link->tail);
			errno = EFAULT;
			return SENT_WRONG;
		}
		link->greet = false;
		link_flush(udp, link);
		return link->fd < 0 ? SENT_DEAD : SENT;
	} else {
		memcpy(parts + 1, datagram->parts, datagram->count * sizeof *parts);
	}
	whole += datagram->size;
	if (message.msg_iovlen == 1)
		sent = SYSTEM(sendto, link->fd, head, whole, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	else
		sent = SYSTEM(sendmsg, link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno == EFAULT)
			return SENT_WRONG;
		return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? SENT_NO_ROOM : SENT_DEAD;
	}
	link->greet = false;
	if ((size_t)sent < whole && !tail_keep(udp, link, parts, message.msg_iovlen, (size_t)sent)) {
		link_close(udp, link);
		errno = EFAULT;
		return SENT_WRONG;
	}
	return SENT;
}

/* False when the socket was closed meanwhile, and perhaps another one has its place. */
static bool lock_again(struct udp *udp, const struct datagram *datagram)
{
	if (!udp_lock(udp))
		return false;
	if (udp->cookie == datagram->cookie)
		return true;
	udp_unlock(udp);
	return false;
}

/* Without the lock, for a link that may be another when the lock is taken again. */
static void link_wait(struct udp *udp, int fd, int64_t until)
{
	int64_t left = until - clock_ms();
	struct timespec time[2] = {{left / 1000, left % 1000 * 1000000}};
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	udp_unlock(udp);
	if (left > 0)
		SYSTEM(ppoll, &room, 1, time, NULL, 8);
}

/* Others of this machine who answer a client of IPv6 are shown as IPv6, too. */
static struct link *peer_add(struct udp *udp, const struct datagram *datagram)
{
	if (!udp->links_count && !udp->bound_by_program && udp->family == AF_INET6 && !ip_addr_is_v4(datagram->addr))
		udp->mark.flags |= MARK_V6ONLY;
	udp->dialled = true;
	return link_add(udp, datagram->addr, &datagram->to);
}

/*
 * The link of a peer, connected. NULL with the reason in *why: 0 where the datagram is simply lost. The lock is held
 * on return, unless *why is EBADF.
 */
static struct link *link_ready(struct udp *udp, const struct datagram *datagram, int *why)
{
	int64_t until = 0;
	int error;

	for (;;) {
		struct link *link = link_find(udp, datagram->addr);

		*why = 0;
		if (!link)
			link = peer_add(udp, datagram);
		if (!link)
			return NULL;
		if (link->state == LINK_OPEN)
			return link;
		if (link->state == LINK_CONNECTING) {
			error = link_connected(udp, link);
		} else if (until || (link->retry && clock_ms() < link->retry)) {
			/* After waiting: a thread that receives has seen the attempt fail, and was not the one to tell. */
			*why = link->error;
			return NULL;
		} else {
			error = link_connect(udp, link);
		}
		if (error == 0)
			return link;
		if (error != EINPROGRESS) {
			*why = error;
			return NULL;
		}
		if (!until)
			until = clock_ms() + WAIT_CONNECT;
		if (clock_ms() >= until) {
			link_failed(udp, link, ETIMEDOUT);
			return NULL;
		}
		link_wait(udp, link->fd, until);
		if (!lock_again(udp, datagram)) {
			*why = EBADF;
			return NULL;
		}
	}
}

static bool may_wait(const struct datagram *datagram)
{
	return !(datagram->flags & MSG_DONTWAIT) && !(REAL(fcntl)(datagram->fd, F_GETFL) & O_NONBLOCK);
}

/* Until what was begun is sent, or there is room; not longer than is worth a datagram. False: the lock is gone. */
static bool room_wait(struct udp *udp, const struct datagram *datagram, int64_t *until)
{
	struct link *link = link_find(udp, datagram->addr);

	if (!*until)
		*until = clock_ms() + WAIT_ROOM;
	link_wait(udp, link->fd, *until);
	return lock_again(udp, datagram);
}

/* The program may not call again: a sender that may wait sees to the rest at once, else the aggregate does. */
static void tail_send(struct udp *udp, struct link *link, const struct datagram *datagram, bool *gone)
{
	int64_t until = 0;

	if (may_wait(datagram))
		while (link && link->tail.have && (!until || clock_ms() < until)) {
			if (!room_wait(udp, datagram, &until)) {
				*gone = true;
				return;
			}
			link = link_find(udp, datagram->addr);
			if (link)
				link_flush(udp, link);
		}
	if (link && link->tail.have)
		link_watch(udp, link, true);
}

/* By the kernel's own datagrams, where there is no link. Whoever is spoken to is known, and may answer. */
static enum native_sent unlinked_send(struct udp *udp, const struct datagram *datagram)
{
	struct link *link;

	if (udp->native < 0)
		return NATIVE_NONE;
	link = link_find(udp, datagram->addr);
	if (link && link->state != LINK_KNOWN)
		return NATIVE_NONE;
	if (!link) {
		udp->dialled = true;
		link_add(udp, datagram->addr, &datagram->to);
	}
	return native_send(udp, &datagram->to, datagram->parts, datagram->count);
}

int datagram_send(struct udp *udp, const struct datagram *datagram, bool *gone)
{
	int64_t until = 0;
	bool again = false, young;
	int why;

	for (;;) {
		enum native_sent native = unlinked_send(udp, datagram);
		struct link *link;
		enum sent sent;

		if (native != NATIVE_NONE)
			return native == NATIVE_SENT ? 0 : -1;
		link = link_ready(udp, datagram, &why);
		if (!link) {
			*gone = why == EBADF;
			if (!*gone)
				udp->lost++;
			if (!*gone && why && udp->connected)
				udp_error_set(udp, why);
			return 0;
		}
		link->recent = true;
		sent = link_flush(udp, link) ? SENT : SENT_NO_ROOM;
		if (sent == SENT && link->fd >= 0)
			sent = record_send(udp, link, datagram);
		else if (sent == SENT)
			sent = SENT_DEAD;
		if (sent == SENT) {
			link->stalled = false;
			if (link->tail.have)
				tail_send(udp, link, datagram, gone);
			return 0;
		}
		if (sent == SENT_WRONG)
			return -1;
		if (sent == SENT_DEAD) {
			/* One that died young would do so again: it is a receiver that does not keep up. */
			young = !link->accepted && clock_ms() - link->since < PAUSE_DEAD;
			link_failed(udp, link, ETIMEDOUT);
			link->retry = young ? clock_ms() + PAUSE_DEAD : 0;
			if (again || young) {
				udp->lost++;
				return 0;
			}
			again = true;
			continue;
		}
		if (link->stalled || !may_wait(datagram) || (until && clock_ms() >= until)) {
			link->stalled = true;
			udp->lost++;
			return 0;
		}
		if (!room_wait(udp, datagram, &until)) {
			*gone = true;
			return 0;
		}
	}
}

/* With the lock, which is gone on return. */
static ssize_t send_locked(struct udp *udp, struct datagram *datagram, const struct msghdr *message)
{
	ssize_t size = parts_size(message), sent = -1;
	int error = udp->error, saved = errno;
	bool gone = false;
	size_t segment;

	if (size < 0) {
		;
	} else if (datagram->flags & MSG_OOB && ip_addr_is_v4(datagram->addr)) { /* IPv6 does not look */
		errno = EOPNOTSUPP;
	} else if (size > (ip_addr_is_v4(datagram->addr) ? DGRAM_MOST_V4 : DGRAM_MOST)) {
		errno = EMSGSIZE;
	} else if (udp->shut & SHUT_WRITE) {
		errno = EPIPE;
	} else if (error) {
		udp_error_set(udp, 0);
		errno = error;
	} else if (udp_bind_implicitly(udp, datagram->fd) == 0) {
		datagram->cookie = udp->cookie;
		datagram->parts = message->msg_iov;
		datagram->count = message->msg_iovlen;
		datagram->size = (size_t)size;
		segment = udp_segment(udp, message);
		if (datagram->flags & MSG_MORE || udp->corked || udp->cork_to)
			sent = cork_send(udp, datagram, &gone);
		else if (segment && datagram->size > segment)
			sent = segments_send(udp, datagram, segment, &gone);
		else
			sent = datagram_send(udp, datagram, &gone);
		if (sent == 0)
			sent = size;
	}
	error = sent < 0 ? errno : saved;
	if (!gone)
		udp_unlock(udp);
	errno = error;
	return sent;
}

/* Linux takes 0.0.0.0 and :: for this host. */
static void host_of_any(struct ip_addr *addr)
{
	if (ip_addr_is_any(addr))
		addr->ip = ip_addr_is_v4(addr) ? ip_addr_from_v4(INADDR_LOOPBACK, 0, AF_INET6).ip
					       : (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
}

/* Sends to a peer that is known: the one of connect(2), or one that was sent to or heard of before. */
static bool send_to_known(struct udp *udp, struct datagram *datagram, const struct ip_addr *addr,
			  const struct msghdr *message, ssize_t *sent)
{
	struct ip_addr peer;
	struct link *link;

	if (!udp_lock(udp)) {
		if (addr || !udp->connected)
			return false;
		*sent = parts_size(message); /* in a signal handler: lost */
		return true;
	}
	if (addr) {
		link = link_find(udp, addr);
		if (link)
			datagram->to = link->to;
		datagram->addr = addr;
	} else if (udp->connected) {
		peer = udp->peer;
		datagram->addr = &peer;
		datagram->to = udp->peer_to;
	}
	if (addr ? !link : !udp->connected) {
		udp_unlock(udp);
		return false;
	}
	*sent = send_locked(udp, datagram, message);
	return true;
}

/* The kernel refuses it: an IPv6 address with EAFNOSUPPORT, an IPv4 address where IPv6 is wanted alone with ENETUNREACH. */
static bool family_is_wrong(int fd, const struct socket_state *state, const struct ip_addr *addr)
{
	if (state->family == AF_INET)
		return addr->family != AF_INET;
	return ip_addr_is_v4(addr) && option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

/* To an address that the socket has not seen yet. */
static bool send_to_new(int fd, struct datagram *datagram, const struct msghdr *message, ssize_t *sent)
{
	struct socket_state state;
	struct target target = {.rule = NULL};
	struct udp *udp = udp_get(fd);

	if (!udp_target(fd, datagram->addr, &state, &target)) {
		if (udp && udp_lock(udp)) {
			udp_inet_open(udp, fd); /* somebody out there may answer */
			udp_unlock(udp);
		}
		return false;
	}
	*sent = -1;
	if (target.kind == TARGET_REJECT) {
		refuse("sendto", fd, datagram->addr, &target);
		return true;
	}
	if (family_is_wrong(fd, &state, datagram->addr))
		return false;
	datagram->to = target.to;
	log_call("sendto", fd, datagram->addr, settings()->transport->name, &datagram->to, 0);
	stats_used(target.rule);
	udp = udp_make(fd, &state);
	if (udp && udp_lock(udp))
		*sent = send_locked(udp, datagram, message);
	else if (udp) /* in a signal handler that interrupted this very thread: lost */
		*sent = parts_size(message);
	stats_result(target.rule, *sent < 0 ? -1 : 0);
	return true;
}

/* udpv6_sendmsg() in net/ipv6/udp.c: AF_UNSPEC is no address, so the peer is meant. */
static bool is_no_address(const struct udp *udp, const struct msghdr *message)
{
	sa_family_t family;

	return udp->family == AF_INET6 && ip_addr_family(message->msg_name, message->msg_namelen, &family) &&
	       family == AF_UNSPEC;
}

bool udp_send(int fd, const struct msghdr *given, int flags, ssize_t *sent)
{
	const struct msghdr plain = message_plain(given), *message = &plain;
	struct datagram datagram = {.fd = fd, .flags = flags};
	struct udp *udp = udp_get(fd);
	struct ip_addr addr;

	if (!message->msg_name || (udp && is_no_address(udp, message)))
		return udp && send_to_known(udp, &datagram, NULL, message, sent);
	if (!address_read(fd, message->msg_name, message->msg_namelen, &addr) || addr.port == 0)
		return false;
	if (udp && udp->family == AF_INET && addr.family != AF_INET)
		return false; /* EAFNOSUPPORT */
	host_of_any(&addr);
	datagram.addr = &addr;
	return (udp && send_to_known(udp, &datagram, &addr, message, sent)) ||
	       send_to_new(fd, &datagram, message, sent);
}
