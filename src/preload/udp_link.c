/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Links: the connections that carry datagrams to and from peers. */
#include "preload/options.h"
#include "preload/socket.h"
#include "preload/udp_link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void link_close(struct udp *udp, struct link *link)
{
	if (link->fd >= 0) {
		/* A child of fork may have a copy, with which the registration would live on. */
		REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_DEL, link->fd, NULL);
		SYSTEM(close, link->fd);
	}
	link->fd = -1;
	bytes_free(udp, &link->part);
	bytes_free(udp, &link->tail);
	link->writing = link->stalled = link->greet = link->accepted = false;
	if (udp->last == number_of(udp, link))
		udp->last = 0;
	if (is_chained(link))
		link->state = LINK_KNOWN;
}

void links_close(struct udp *udp)
{
	links_recall(udp);
	for (uint32_t i = 0; i < udp->links_used; i++)
		link_close(udp, &udp->links[i]);
	if (udp->links)
		munmap(udp->links, udp->links_room * sizeof *udp->links);
	if (udp->heads)
		munmap(udp->heads, udp->heads_room * sizeof *udp->heads);
	udp->links = NULL;
	udp->heads = NULL;
	udp->links_used = 0;
}

/* What peers made is kept to be recalled; what the parent made is the parent's. */
void links_inherit(struct udp *udp)
{
	for (uint32_t i = 0; i < udp->links_used; i++) {
		struct link *link = &udp->links[i];
		int recall = link->fd >= 0 && link->accepted ? link->fd : -1;

		if (recall >= 0)
			link->fd = -1;
		link_close(udp, link);
		link->recall = recall;
		udp->recalls += recall >= 0;
	}
}

void links_recall(struct udp *udp)
{
	for (uint32_t i = 0; udp->recalls && i < udp->links_used; i++) {
		struct link *link = &udp->links[i];

		if (link->recall < 0)
			continue;
		if (!udp->inherited) /* else it is closed without having been used */
			SYSTEM(shutdown, link->recall, SHUT_RDWR);
		SYSTEM(close, link->recall);
		link->recall = -1;
		udp->recalls--;
		if (link->state == LINK_GREETING)
			link_free(udp, link);
	}
}

bool link_give_up(struct udp *udp)
{
	for (uint32_t i = 0; i < 2 * udp->links_used; i++) {
		struct link *link = &udp->links[udp->hand++ % udp->links_used];

		if (link->state == LINK_OPEN && !link->recent && !link->tail.have) {
			link_close(udp, link);
			return true;
		}
		if (link->state == LINK_GREETING && !link->recent) { /* who connects and says nothing */
			link_free(udp, link);
			return true;
		}
		link->recent = false;
	}
	return false;
}

/* Without a descriptor to be had another link is given up. */
static int stream_make(struct udp *udp, const struct transport *transport)
{
	int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, fd = REAL(socket)(transport->domain, type, 0);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && link_give_up(udp))
		fd = REAL(socket)(transport->domain, type, 0);
	return descriptor_keep(fd);
}

/*
 * Small windows lose what comes at once, and from Linux 6.12 on a connection dies when as many packets wait as make a window
 * of 576 bytes each: with 1 MiB more are there than UDP's own buffer holds.
 */
#define WINDOW (1u << 20)

void stream_window(int fd, const struct transport *transport)
{
	uint64_t size = WINDOW;
	int most = WINDOW;

	if (transport != &transport_vsock) { /* as much of it as net.core.wmem_max allows */
		REAL(setsockopt)(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
		return;
	}
	REAL(setsockopt)(fd, transport->domain, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
	REAL(setsockopt)(fd, transport->domain, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
}

/* So many connections of one realm need more names than there are ports: what they have above is the process's own. */
#define NAME_PORT(pid, port) (UINT32_C(0x60000000) | ((uint32_t)(pid) & 0xfff) << 16 | (port))

/* A unix socket tells its peer who it is by its name only: one that no listener has. */
static bool stream_name(int fd, const struct transport *transport)
{
	struct endpoint from = {.cid = VMADDR_CID_ANY};

	if (transport == &transport_vsock)
		return true;
	for (int i = 0; i < 64; i++) {
		from.port = NAME_PORT(getpid(), port_next());
		if (bind_endpoint(fd, transport, &from) == 0)
			return true;
		if (errno != EADDRINUSE)
			return false;
		if (i % 4 == 3)
			port_jump();
	}
	return false;
}

/* The end is told apart from data, see links_have_data(). */
#define LINK_EVENTS (EPOLLIN | EPOLLRDHUP)

void link_watch(struct udp *udp, struct link *link, bool writing)
{
	struct epoll_event event = {.events = LINK_EVENTS | (writing ? EPOLLOUT : 0),
				    .data.u32 = number_of(udp, link)};

	if (writing == link->writing)
		return;
	link->writing = writing;
	REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_MOD, link->fd, &event);
}

bool link_join(struct udp *udp, struct link *link, int fd, bool writing)
{
	struct epoll_event event = {.events = LINK_EVENTS | (writing ? EPOLLOUT : 0),
				    .data.u32 = number_of(udp, link)};

	link->fd = fd;
	link->writing = writing;
	return REAL(epoll_ctl)(udp->aggregate, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Nobody is there, or nobody answers: for so long there is no new attempt. */
#define PAUSE_REFUSED 5
#define PAUSE_SILENT 1000

int link_failed(struct udp *udp, struct link *link, int error)
{
	link_close(udp, link);
	link->error = error == ETIMEDOUT ? 0 : error_of_connect(error);
	link->retry = clock_ms() + (link->error == ECONNREFUSED ? PAUSE_REFUSED : PAUSE_SILENT);
	return link->error;
}

int link_connect(struct udp *udp, struct link *link)
{
	const struct transport *transport = settings()->transport;
	struct endpoint to = {.cid = link->to.cid, .port = dgram_carrier_port(link->to.port)};
	struct sockaddr_storage sa;
	struct target target;
	socklen_t len;
	int fd = stream_make(udp, transport), result;

	if (fd < 0)
		return error_of_socket(errno);
	if (!stream_name(fd, transport)) {
		SYSTEM(close, fd);
		return ENOBUFS;
	}
	stream_window(fd, transport);
	rules_find(settings()->rules, RULE_CONNECT, RULE_UDP, &link->peer, &target);
	if (target_options(&target)->buffer)
		window_fix(fd, transport, target_options(&target)->buffer);
	len = transport->encode(&settings()->realm, &to, &sa);
	result = (int)SYSTEM(connect, fd, &sa, len);
	if (result < 0 && errno != EINPROGRESS) {
		link->fd = fd;
		return link_failed(udp, link, errno);
	}
	link->greet = true;
	link->error = 0;
	link->since = clock_ms();
	link->state = result == 0 ? LINK_OPEN : LINK_CONNECTING;
	if (!link_join(udp, link, fd, result < 0))
		return link_failed(udp, link, ENOBUFS);
	return result == 0 ? 0 : EINPROGRESS;
}

int link_connected(struct udp *udp, struct link *link)
{
	static const struct timespec now[2]; /* two, because the kernel's may be wider */
	struct pollfd room = {.fd = link->fd, .events = POLLOUT};
	int error;

	if (link->state != LINK_CONNECTING)
		return link->state == LINK_OPEN ? 0 : ECONNREFUSED;
	if (SYSTEM(ppoll, &room, 1, now, NULL, 8) <= 0)
		return EINPROGRESS;
	error = option_int(link->fd, SOL_SOCKET, SO_ERROR);
	if (error)
		return link_failed(udp, link, error);
	link->state = LINK_OPEN;
	link_watch(udp, link, false);
	return 0;
}

bool link_flush(struct udp *udp, struct link *link)
{
	ssize_t sent;

	if (!link->tail.have)
		return true;
	sent = SYSTEM(sendto, link->fd, link->tail.at, link->tail.have, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		sent = 0;
	if (sent < 0) {
		link_close(udp, link);
		return true;
	}
	link->tail.have -= (uint32_t)sent;
	memmove(link->tail.at, link->tail.at + sent, link->tail.have);
	if (link->tail.have)
		return false;
	bytes_free(udp, &link->tail);
	link_watch(udp, link, false);
	return true;
}
