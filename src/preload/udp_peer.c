/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers of a UDP socket, found by address. */
#include "preload/udp_link.h"

#include <string.h>
#include <sys/mman.h>

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

bool peer_is(const struct ip_addr *a, const struct ip_addr *b)
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

uint32_t number_of(const struct udp *udp, const struct link *link)
{
	return (uint32_t)(link - udp->links) + 1;
}

/* First in its chain: it is the one that is found. */
void chain_enter(struct udp *udp, struct link *link)
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

bool is_chained(const struct link *link)
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

void link_free(struct udp *udp, struct link *link)
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

struct link *link_take(struct udp *udp)
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

bool chains_ready(struct udp *udp)
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

void link_first(struct udp *udp, struct link *link)
{
	if (*chain_of(udp, &link->peer) == number_of(udp, link))
		return;
	chain_leave(udp, link);
	chain_enter(udp, link);
}
