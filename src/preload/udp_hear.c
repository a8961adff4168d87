/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What peers have to say: connections accepted, hellos and records read. */
#include "preload/guard.h"
#include "preload/log.h"
#include "preload/udp_link.h"
#include "preload/udp_native.h"

#include <errno.h>
#include <string.h>

bool endpoint_is(const struct endpoint *a, const struct endpoint *b)
{
	return a->cid == b->cid && a->port == b->port;
}

bool peer_allowed(struct udp *udp, uint32_t cid)
{
	if (!udp->rule || cid_allowed(udp->rule, cid))
		return true;
	guard_refused(udp->listener, &udp->mark, RULE_UDP, cid);
	return false;
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
		if (!transport->decode(&settings()->realm, &sa, len, &from))
			from.cid = VMADDR_CID_ANY;
		link = from.cid != VMADDR_CID_ANY && peer_allowed(udp, from.cid) ? link_take(udp) : NULL;
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
