/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's own vsock datagrams: VMCI's, on VMware's machines and, for what is local, wherever it is loaded. */
#include "preload/udp_native.h"

#include "preload/socket.h"

#include <errno.h>
#include <sys/uio.h>

/* So many datagrams of strangers, or too large, are passed over at once. */
#define STRANGERS_MOST 64

/* Whether there is a transport for them does not change while a program runs, as good as never. */
static bool native_missing;

int native_open(const struct endpoint *at)
{
	const struct transport *transport = settings()->transport;
	int fd, error;

	/* What is sent to CID 1 never is a datagram of VMCI, and whoever listens there wants nothing from elsewhere. */
	if (transport != &transport_vsock || at->cid == VMADDR_CID_LOCAL ||
	    __atomic_load_n(&native_missing, __ATOMIC_RELAXED))
		return fail(EOPNOTSUPP);
	fd = REAL(socket)(transport->domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		if (errno == ENODEV || errno == ESOCKTNOSUPPORT || errno == EAFNOSUPPORT)
			__atomic_store_n(&native_missing, true, __ATOMIC_RELAXED);
		return -1;
	}
	if (bind_endpoint(fd, transport, at) == 0)
		return descriptor_keep(fd);
	error = errno;
	SYSTEM(close, fd);
	return fail(error);
}

void native_join(struct udp *udp, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = MEMBER_NATIVE};

	udp->native = fd;
	if (fd >= 0)
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, fd, &event);
}

void native_leave(struct udp *udp)
{
	if (udp->native >= 0) {
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_DEL, udp->native, NULL);
		SYSTEM(close, udp->native);
	}
	udp->native = -1;
	if (udp->last == MEMBER_NATIVE)
		udp->last = 0;
}

enum native_sent native_send(const struct udp *udp, const struct endpoint *to, const struct iovec *parts, size_t count)
{
	struct sockaddr_storage sa;
	struct msghdr message = {.msg_name = &sa, .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};

	if (udp->native < 0)
		return NATIVE_NONE;
	message.msg_namelen = transport_vsock.encode(&settings()->realm, to, &sa);
	if (SYSTEM(sendmsg, udp->native, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return NATIVE_SENT;
	switch (errno) {
	case EFAULT:
		return NATIVE_WRONG;
	case ENOMEM: /* its queue is full (vmci_datagram_send, seen on Linux 6.12) */
	case ENOBUFS:
	case EAGAIN:
		return NATIVE_SENT;
	default: /* EHOSTUNREACH: no such port; EINVAL: no such CID; EPERM: not from this machine */
		return NATIVE_NONE;
	}
}

/* Who is shown as the sender. True when he is known: who was allowed before, or was sent something. */
static bool sender_show(struct udp *udp, const struct endpoint *from, struct ip_addr *out)
{
	struct link *link;

	peer_show(udp, from, out);
	link = link_find(udp, out);
	return link && endpoint_is(&link->to, from);
}

bool native_receive(struct udp *udp)
{
	for (int i = 0; i < STRANGERS_MOST; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof sa;
		struct endpoint from;
		struct ip_addr shown;
		bool known;
		ssize_t got = SYSTEM(recvfrom, udp->native, udp->buffer + DGRAM_PREFIX_SIZE,
				     UDP_BUFFER - DGRAM_PREFIX_SIZE, MSG_DONTWAIT, &sa, &len);

		if (got < 0)
			return false;
		if (!transport_vsock.decode(&settings()->realm, (struct sockaddr *)&sa, len, &from) || got > DGRAM_MOST ||
		    (udp->connected && !endpoint_is(&udp->peer_to, &from)))
			continue;
		known = sender_show(udp, &from, &shown);
		if (!known && !peer_allowed(udp, from.cid))
			continue;
		if (!known) /* from now on, so that answers find their way */
			link_add(udp, &shown, &from);
		udp->from = shown;
		dgram_prefix_write((size_t)got, udp->buffer);
		udp->start = 0;
		udp->end = (uint32_t)got + DGRAM_PREFIX_SIZE;
		udp->last = MEMBER_NATIVE;
		queue_fill(udp);
		return true;
	}
	return false;
}
