/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What udp_peer.c, udp_link.c and udp_hear.c need of each other; all with the lock. */
#ifndef IP2VSOCK_UDP_LINK_H
#define IP2VSOCK_UDP_LINK_H

#include "preload/udp_state.h"

bool peer_is(const struct ip_addr *a, const struct ip_addr *b);
/* Its index + 1: what chains, free links and the aggregate know it by. */
uint32_t number_of(const struct udp *udp, const struct link *link);

/* A peer is in a chain as soon as it is known who it is. The first of a chain that fits is the one that is found. */
bool is_chained(const struct link *link);
/* There is room for one more. False without memory. */
bool chains_ready(struct udp *udp);
void chain_enter(struct udp *udp, struct link *link);
/* The link that is found is the one by which the peer spoke last: answers take the same way. */
void link_first(struct udp *udp, struct link *link);

/* A new one, in no chain; NULL without memory. Moves the others. */
struct link *link_take(struct udp *udp);
/* Closes it and forgets whose it was. */
void link_free(struct udp *udp, struct link *link);

/* fd becomes its connection, a member of the aggregate. False when that cannot be. */
bool link_join(struct udp *udp, struct link *link, int fd, bool writing);

#endif
