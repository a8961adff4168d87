/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's own vsock datagrams, which only the VMCI transport has: one more way to and from peers, beside links. */
#ifndef IP2VSOCK_UDP_NATIVE_H
#define IP2VSOCK_UDP_NATIVE_H

#include "preload/udp_state.h"

/* The kernel's socket among the members of an aggregate, where links have their numbers. */
#define MEMBER_NATIVE (UINT32_MAX - 1)

/*
 * A socket for the datagrams that the kernel brings to `at`, a descriptor of our own. -1 with EADDRINUSE when somebody has
 * the port; -1 with another errno where there are no such datagrams, or none for this CID: links do without.
 */
int native_open(const struct endpoint *at);

/* --- with the lock */

/* Takes over fd (or -1), and waits for what it brings. */
void native_join(struct udp *udp, int fd);
void native_leave(struct udp *udp);

enum native_sent {
	NATIVE_SENT, /* or lost on its way, as datagrams may be */
	NATIVE_NONE, /* nothing receives datagrams there: try a link */
	NATIVE_WRONG /* the program's fault: errno */
};

enum native_sent native_send(const struct udp *udp, const struct endpoint *to, const struct iovec *parts, size_t count);

/* Takes one datagram into the empty buffer, as a record. False when there is none for this socket. */
bool native_receive(struct udp *udp);

#endif
