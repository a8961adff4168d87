/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a retargeted socket must know of itself, written into the socket, where it survives dup, fork,
 * exec and SCM_RIGHTS. */
#ifndef IP2VSOCK_MARK_H
#define IP2VSOCK_MARK_H

#include "preload/init.h"

enum mark_flag {
	MARK_INET6 = 1 << 0,   /* the program made an AF_INET6 socket */
	MARK_V6ONLY = 1 << 1,  /* IPV6_V6ONLY was set */
	MARK_NODELAY = 1 << 2, /* TCP_NODELAY is set, as the program will ask; */
	MARK_REUSEADDR = 1 << 3, /* so is SO_REUSEADDR, */
	MARK_REUSEPORT = 1 << 4, /* and SO_REUSEPORT */
};

enum mark_kind {
	MARK_LOCAL, /* addr is what the program bound (getsockname) */
	MARK_PEER,  /* addr is where the program connected to (getpeername) */
};

struct mark {
	enum mark_kind kind;
	unsigned flags;	     /* enum mark_flag */
	struct ip_addr addr; /* where an IPv6 address and its scope do not fit, accepted sockets have the wildcard */
};

/* The other end of a connection that this end has shut down, when vsock forgets it. */
struct peer_kept {
	struct endpoint endpoint;
	uint32_t how; /* enum shut */
};

enum shut {
	SHUT_READ = 1 << 0,
	SHUT_WRITE = 1 << 1,
};

/*
 * On AF_VSOCK the mark is SO_VM_SOCKETS_BUFFER_MAX_SIZE, which accept() copies to the new socket and
 * which changes nothing else (the window stays BUFFER_SIZE). On AF_UNIX it is SO_MAX_PACING_RATE, which
 * accept() does not copy. Both hold 64 bits and need no privilege (measured on Linux 6.1 to 6.18).
 * A program's own AF_VSOCK and AF_UNIX sockets do not have it.
 *
 * mark_get: false when fd, a socket of that transport's domain, is not ours. errno is preserved.
 * mark_set: -1 with errno when the kernel refuses.
 */
bool mark_get(int fd, const struct transport *transport, struct mark *out);
int mark_set(int fd, const struct transport *transport, const struct mark *mark);
/* It is nobody's again. */
void mark_clear(int fd, const struct transport *transport);

/* The IPv4 address a client socket was bound to before it was connected (SO_INCOMING_CPU, 32 bits).
 * false / 0 when it was bound to none or to a wildcard. */
bool mark_source_get(int fd, uint32_t *ipv4);
int mark_source_set(int fd, uint32_t ipv4);

/* False when fd has none. errno is preserved. Without memory (net.core.optmem_max) it is forgotten. */
bool peer_kept_get(int fd, struct peer_kept *out);
void peer_kept_set(int fd, const struct peer_kept *peer);

/* Both ends were shut down for writing, the usual end: TCP is closed or in TIME_WAIT then. */
bool peer_is_over(int fd, const struct peer_kept *peer);
/* POLLRDHUP: there is no more to come than what is buffered. */
bool peer_has_shut(int fd);

/* The domain of a socket (SO_DOMAIN, socket(7)), or -1. errno is preserved. */
int socket_domain(int fd);

/* Whether a socket of this domain may be one of ours. */
bool domain_is_ours(int domain);

/* The transport of a socket of ours, and its mark, when its domain is known; NULL for any other. errno is preserved. */
const struct transport *mark_look(int fd, int domain, struct mark *out);
/* Whether it is one of ours, and no more: unlike the others this makes none of what was handed over (preload/adopt.h). */
bool mark_exists(int fd, int domain);
/* As mark_look() for any descriptor. */
const struct transport *mark_find(int fd, struct mark *out);

#endif
