/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An address in, what is to be done with it out; and a vsock endpoint back to an address. */
#ifndef IP2VSOCK_DECIDE_H
#define IP2VSOCK_DECIDE_H

#include "preload/init.h"
#include "preload/mark.h"

/* What a descriptor is, as far as connect and bind care. */
enum socket_kind {
	KIND_OTHER, /* not a socket, or none of TCP and UDP over IP: the kernel must judge */
	KIND_TCP,
	KIND_UDP,
	KIND_OURS, /* retargeted before */
};

struct socket_state {
	enum socket_kind kind;
	unsigned hint;
	sa_family_t family;		   /* AF_INET or AF_INET6, as the program made it */
	const struct transport *transport; /* KIND_OURS */
	struct mark mark;		   /* KIND_OURS */
};

/* What the kernel says of a socket of this domain: KIND_TCP, KIND_UDP or KIND_OTHER. */
enum socket_kind socket_kind(int fd, int domain);

/* Asks the hint, and the kernel where the hint is silent. errno is preserved. */
void socket_look(int fd, struct socket_state *out);

/*
 * What the rules say of a call on fd. True when they say anything but "leave alone": then *state and *target
 * are filled. False: the real call with the same arguments is right. Neither asks the kernel
 * anything while no rule matches.
 */
bool decide(int fd, enum rule_direction direction, const struct ip_addr *addr,
	    struct socket_state *state, struct target *target);

/* What is remembered of a listener of ours with this mark. */
unsigned listener_hint(const struct mark *mark);

/* What carries the connections of a target that is neither inet nor reject; and what a log calls it. */
const struct transport *target_transport(const struct target *target);
const char *target_name(const struct target *target);

/* errno of a failed call on another transport, as TCP would give it; error_of_connect() is in transport.h. */
int error_of_socket(int error);

/* The address a peer is shown as, for a socket of `family`. */
void show_peer(const struct endpoint *peer, const struct mark *mark, struct ip_addr *out);
/* The local address of a retargeted socket; `peer` is NULL while it is not connected. */
void show_local(int fd, const struct endpoint *local, const struct endpoint *peer, const struct mark *mark,
		struct ip_addr *out);

#endif
