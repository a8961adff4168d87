/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Links: the peers of a UDP socket, found by address, and the connections that carry datagrams to and from them. */
#include "preload/log.h"
#include "preload/socket.h"
#include "preload/udp_native.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* --- memory */

static void *memory_grow(void *at, size_t from, size_t to)
{
	void *grown = at ? mremap(at, from, to, MREMAP_MAYMOVE)
			 : mmap(NULL, to, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return grown == MAP_FAILED ? NULL : grown;
}

/* One that is not needed is kept for the next who needs one. */
bool bytes_room(struct udp *udp, struct bytes *bytes, uint32_t room)
{
	uint8_t *grown;

	if (!bytes->at && udp->spare.at) {
		*bytes = udp->spare;
		bytes->have = 0;
		udp->spare.at = NULL;
	}
	if (bytes->at && bytes->room >= room)
		return true;
	room = (room + 4095) & ~4095u;
	grown = memory_grow(bytes->at, bytes->room, room);
	if (!grown)
		return false;
	bytes->at = grown;
	bytes->room = room;
	return true;
}

void bytes_free(struct udp *udp, struct bytes *bytes)
{
	if (bytes->at && udp && !udp->spare.at)
		udp->spare = *bytes;
	else if (bytes->at)
		munmap(bytes->at, bytes->room);
	*bytes = (struct bytes){0};
}

/* --- who they are */

static uint32_t peer_hash(const struct ip_addr *peer)
{
	uint32_t hash = peer->port;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ peer->ip.s6_addr32[i]) * 0x9e3779b1u;
	return hash ^ hash >> 15;
}

static uint32_t *chain_of(struct udp *udp, const struct ip_addr *peer)
{
	return &udp->heads[peer_hash(peer) & (udp->heads_room - 1)];
}

static bool peer_is(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

struct link *link_find(struct udp *udp, const struct ip_addr *peer)
{
	if (!udp->heads)
		return NULL;
	for (uint32_t i = *chain_of(udp, peer); i; i = udp->links[i - 1].next)
		if (peer_is(&udp->links[i - 1].peer, peer))
			return &udp->links[i - 1];
	return NULL;
}

static uint32_t number_of(const struct udp *udp, const struct link *link)
{
	return (uint32_t)(link - udp->links) + 1;
}

/* First in its chain: it is the one that is found. */
static void chain_enter(struct udp *udp, struct link *link)
{
	uint32_t *chain = chain_of(udp, &link->peer);

	link->next = *chain;
	*chain = number_of(udp, link);
}

static void chain_leave(struct udp *udp, const struct link *link)
{
	for (uint32_t *at = chain_of(udp, &link->peer); *at; at = &udp->links[*at - 1].next)
		if (*at == number_of(udp, link)) {
			*at = link->next;
			return;
		}
}

static bool is_chained(const struct link *link)
{
	return link->state != LINK_FREE && link->state != LINK_GREETING;
}

static bool chains_grow(struct udp *udp)
{
	uint32_t room = udp->heads_room ? udp->heads_room * 4 : 1024;
	uint32_t *heads = memory_grow(NULL, 0, room * sizeof *heads);

	if (!heads)
		return udp->heads;
	if (udp->heads)
		munmap(udp->heads, udp->heads_room * sizeof *heads);
	udp->heads = heads;
	udp->heads_room = room;
	for (uint32_t i = 0; i < udp->links_used; i++)
		if (is_chained(&udp->links[i]))
			chain_enter(udp, &udp->links[i]);
	return true;
}

static void link_free(struct udp *udp, struct link *link)
{
	link_close(udp, link);
	if (is_chained(link))
		chain_leave(udp, link);
	link->state = LINK_FREE;
	link->next = udp->links_free;
	udp->links_free = number_of(udp, link);
	udp->links_count--;
}

/* Of the peers without a connection one that was not used for long. */
static bool link_forget(struct udp *udp)
{
	for (uint32_t i = 0; i < 2 * udp->links_used; i++) {
		struct link *link = &udp->links[udp->hand++ % udp->links_used];

		if (link->state == LINK_KNOWN && !link->recent) {
			link_free(udp, link);
			return true;
		}
		link->recent = false;
	}
	return false;
}

static struct link *link_take(struct udp *udp)
{
	struct link *link;

	if (!udp->links_free && udp->links_used == udp->links_room) {
		uint32_t room = udp->links_room ? udp->links_room * 2 : 32;
		struct link *grown;

		if (udp->links_used >= LINKS_MOST) {
			if (!link_forget(udp))
				return NULL;
		} else {
			grown = memory_grow(udp->links, udp->links_room * sizeof *grown, room * sizeof *grown);
			if (!grown)
				return NULL;
			udp->links = grown;
			udp->links_room = room;
		}
	}
	if (udp->links_free) {
		link = &udp->links[udp->links_free - 1];
		udp->links_free = link->next;
	} else {
		link = &udp->links[udp->links_used++];
	}
	*link = (struct link){.fd = -1, .recall = -1};
	udp->links_count++;
	return link;
}

static bool chains_ready(struct udp *udp)
{
	return udp->links_count < udp->heads_room || chains_grow(udp);
}

struct link *link_add(struct udp *udp, const struct ip_addr *peer, const struct endpoint *to)
{
	struct link *link = chains_ready(udp) ? link_take(udp) : NULL;

	if (!link)
		return NULL;
	link->state = LINK_KNOWN;
	link->peer = *peer;
	link->to = *to;
	chain_enter(udp, link);
	return link;
}

/* --- their connections */

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

static bool link_join(struct udp *udp, struct link *link, int fd, bool writing)
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
	struct endpoint to = {link->to.cid, dgram_carrier_port(link->to.port)};
	struct sockaddr_storage sa;
	socklen_t len;
	int fd = stream_make(udp, transport), result;

	if (fd < 0)
		return error_of_socket(errno);
	if (!stream_name(fd, transport)) {
		SYSTEM(close, fd);
		return ENOBUFS;
	}
	stream_window(fd, transport);
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

/* --- what comes */

bool endpoint_is(const struct endpoint *a, const struct endpoint *b)
{
	return a->cid == b->cid && a->port == b->port;
}

/* Where the program sent to an address of several that lead to one endpoint, answers come from that address. */
static struct link *link_of_endpoint(struct udp *udp, const struct endpoint *from)
{
	for (uint32_t i = 0; udp->dialled && i < udp->links_used; i++) {
		struct link *link = &udp->links[i];

		if (is_chained(link) && endpoint_is(&link->to, from))
			return link;
	}
	return NULL;
}

void peer_show(struct udp *udp, const struct endpoint *from, struct ip_addr *out)
{
	struct link *link;

	if (udp->connected && endpoint_is(&udp->peer_to, from)) {
		*out = udp->peer;
		return;
	}
	show_peer(from, &udp->mark, out);
	link = link_find(udp, out);
	if (link && endpoint_is(&link->to, from))
		return;
	link = link_of_endpoint(udp, from);
	if (link)
		*out = link->peer;
}

/* The peer of an accepted connection has said which port is its own. */
static bool link_greeted(struct udp *udp, struct link *link, const uint8_t *hello)
{
	static bool said_version, said_foreign;
	struct ip_addr peer;
	struct link *before;

	switch (dgram_hello_read(hello, &link->to.port)) {
	case DGRAM_HELLO_GOOD:
		break;
	case DGRAM_HELLO_VERSION:
		log_say_once(&said_version, "a peer speaks another version of datagrams: refused");
		return false;
	default:
		log_say_once(&said_foreign, "a connection to a port for datagrams is none of ours: refused");
		return false;
	}
	if (!chains_ready(udp))
		return false;
	peer_show(udp, &link->to, &peer);
	/* It came anew: what was known of it, and not connected, is known again. */
	before = link_find(udp, &peer);
	if (before && before->state == LINK_KNOWN)
		link_free(udp, before);
	link->peer = peer;
	link->heard = true;
	link->state = LINK_OPEN;
	chain_enter(udp, link);
	return true;
}

/* Of the bytes read those that are no whole record wait with the link. */
static bool rest_keep(struct udp *udp, struct link *link, const uint8_t *rest, uint32_t have)
{
	if (!have) {
		bytes_free(udp, &link->part);
		return true;
	}
	if (!bytes_room(udp, &link->part, have))
		return false;
	memcpy(link->part.at, rest, have);
	link->part.have = have;
	return true;
}

/* The link that is found is the one by which the peer spoke last: answers take the same way. */
static void link_first(struct udp *udp, struct link *link)
{
	if (*chain_of(udp, &link->peer) == number_of(udp, link))
		return;
	chain_leave(udp, link);
	chain_enter(udp, link);
}

/* Splits what is in the buffer. False when it is not what it should be. */
static bool records_split(struct udp *udp, struct link *link, uint32_t have)
{
	uint32_t at = 0;
	long size;

	if (link->state == LINK_GREETING) {
		if (have < DGRAM_HELLO_SIZE)
			return rest_keep(udp, link, udp->buffer, have);
		if (!link_greeted(udp, link, udp->buffer))
			return false;
		at = DGRAM_HELLO_SIZE;
	}
	udp->start = udp->end = at;
	while ((size = dgram_record_size(udp->buffer + udp->end, have - udp->end)) > 0 && udp->end + size <= have)
		udp->end += (uint32_t)size;
	if (size < 0 || !rest_keep(udp, link, udp->buffer + udp->end, have - udp->end)) {
		udp->start = udp->end; /* what follows cannot be told apart any more */
		queue_fill(udp);
		return false;
	}
	udp->from = link->peer;
	link_first(udp, link);
	/* connect(2): only datagrams of that peer are received. */
	if (udp->connected && !peer_is(&link->peer, &udp->peer))
		udp->start = udp->end;
	queue_fill(udp);
	return true;
}

/* True when the buffer has a record now. */
static bool link_read(struct udp *udp, struct link *link)
{
	uint32_t have = link->part.have;
	ssize_t got;

	if (link->state == LINK_CONNECTING && link_connected(udp, link) != 0)
		return false;
	if (link->fd < 0)
		return false;
	link_flush(udp, link);
	if (link->fd < 0)
		return false;
	if (have)
		memcpy(udp->buffer, link->part.at, have);
	got = SYSTEM(recvfrom, link->fd, udp->buffer + have, UDP_BUFFER - have, MSG_DONTWAIT, NULL, NULL);
	if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM))
		return false;
	udp->stirred++;
	if (got > 0) {
		link->recent = true;
		udp->last = number_of(udp, link);
		if (records_split(udp, link, have + (uint32_t)got))
			return udp->start < udp->end;
	}
	/* Closed, reset, or not understood. */
	if (link->state == LINK_GREETING)
		link_free(udp, link);
	else
		link_close(udp, link);
	return false;
}

static bool listener_accept(struct udp *udp)
{
	const struct transport *transport = settings()->transport;

	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof sa;
		struct endpoint from;
		struct link *link;
		int fd = (int)SYSTEM(accept4, udp->listener, &sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE) && link_give_up(udp))
			continue;
		if (fd < 0)
			return false;
		fd = descriptor_keep(fd);
		if (!transport->mark_inherited) /* accept(2) copies nothing on this transport */
			stream_window(fd, transport);
		link = transport->decode(&settings()->realm, &sa, len, &from) ? link_take(udp) : NULL;
		if (!link) {
			SYSTEM(close, fd);
			continue;
		}
		link->state = LINK_GREETING;
		link->accepted = true;
		link->to.cid = from.cid;
		if (!link_join(udp, link, fd, false))
			link_free(udp, link);
		else if (link_read(udp, link))
			return true;
	}
	return false;
}

static bool member_read(struct udp *udp, uint32_t number)
{
	switch (number) {
	case 0:
		return listener_accept(udp);
	case MEMBER_NATIVE:
		return native_receive(udp);
	default:
		return number <= udp->links_used && link_read(udp, &udp->links[number - 1]);
	}
}

bool links_hear(struct udp *udp, const struct epoll_event *ready, int count)
{
	uint32_t last = udp->last;
	bool found = false;

	/* The kernel names those that stay ready in the same order each time: whoever was read last comes last. */
	for (int i = 0; i < count && !found && queue_ready(udp); i++)
		if (!last || ready[i].data.u32 != last)
			found = member_read(udp, ready[i].data.u32);
	for (int i = 0; i < count && last && !found && queue_ready(udp); i++)
		if (ready[i].data.u32 == last)
			found = member_read(udp, last);
	udp->missed = !found;
	return found;
}

/* So many times in a row one peer is asked first; then all have their turn. */
#define RUN_MOST 32
/* Not all that is ready has a record: a link may end, or have a part of one. */
#define LOOKS_MOST 128

/*
 * The peer that spoke last is asked first, which is a call less where it has more to say. Where it had not, who asks
 * for the first time after a datagram is better off with the aggregate; who asks again was told that something came.
 */
bool links_read(struct udp *udp)
{
	struct epoll_event ready[LINKS_AT_ONCE];
	uint32_t last = udp->last;
	bool found = false;

	if (!queue_ready(udp))
		return false;
	links_recall(udp);
	if (last && udp->run < RUN_MOST && (!udp->quiet || udp->missed)) {
		udp->run++;
		if (member_read(udp, last)) {
			udp->missed = false;
			return true;
		}
		udp->quiet |= !udp->missed;
	}
	udp->run = 0;
	for (int i = 0; i < LOOKS_MOST && !found; i++) {
		int count = (int)SYSTEM(epoll_pwait, udp->aggregate, ready, LINKS_AT_ONCE, 0, NULL, 8);

		udp->stirred += count > 0;
		if (count <= 0 || (count == 1 && ready[0].data.u32 == UINT32_MAX))
			break;
		found = links_hear(udp, ready, count);
	}
	if (found && udp->last == last)
		udp->quiet = false;
	udp->missed = !found;
	return found;
}

bool links_have_data(const struct udp *udp)
{
	struct epoll_event ready[LINKS_AT_ONCE];
	long count = SYSTEM(epoll_pwait, udp->aggregate, ready, LINKS_AT_ONCE, 0, NULL, 8);

	for (long i = 0; i < count; i++) {
		uint32_t number = ready[i].data.u32;

		if (ready[i].events != EPOLLIN || number == 0 || number == UINT32_MAX)
			continue;
		if (number == MEMBER_NATIVE || udp->links[number - 1].state == LINK_OPEN)
			return true;
	}
	return false;
}
