/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prefixes and port ranges with a rank: finds the smallest rank that covers an address and a port,
 * at a cost that depends on the number of different prefix lengths and not on that of the ranges. */
#ifndef IP2VSOCK_CORE_INDEX_H
#define IP2VSOCK_CORE_INDEX_H

#include "ip2vsock/arena.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX /* no rank */
#define INDEX_PROTOCOLS 2     /* bits a range may hold; a look-up asks for the bit of one slot */

struct index_range {
	uint32_t rank;
	uint16_t low, high; /* ports, both inclusive */
	uint8_t protocols;  /* bits */
};

/* All zero is an empty index. */
struct index {
	struct index_node *any;		  /* the ranges of '*' */
	struct index_prefix *prefixes[2]; /* the lengths in use, of IPv6 and of IPv4 */
};

/* The range for every address that begins with `length` bits of ip, or for all of both families when
 * ip is NULL. IPv4 (::ffff:0:0/96 and longer) and IPv6 never match each other. Ranks must not fall
 * from call to call. -1 ENOMEM. */
int index_add(struct index *index, struct arena *arena, const struct in6_addr *ip, uint8_t length,
	      const struct index_range *range);

/* After the last range and before the first look-up. -1 ENOMEM. */
int index_build(struct index *index, struct arena *arena);

/* The smallest rank, or INDEX_NONE. */
uint32_t index_find(const struct index *index, unsigned slot, const struct in6_addr *ip,
		    uint16_t port);

/* Segment `number` of the ports that the ranges of '*' cover, in order of ports and without overlap;
 * NULL at the end of them. Its rank may be INDEX_NONE. */
const struct index_range *index_any(const struct index *index, unsigned slot, uint32_t number);

#endif
