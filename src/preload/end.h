/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at an end of a connection of ours: the endpoint in the name of its socket, and what such a name does not tell. */
#ifndef IP2VSOCK_END_H
#define IP2VSOCK_END_H

#include "ip2vsock/transport.h"

struct end {
	struct endpoint endpoint; /* its path is the one below, or NULL */
	char path[UNIX_NAME_SIZE];
};

/*
 * The unix socket of a monitor names neither guests nor ports of clients: a guest's path is that of the listener it came
 * to, and who has no port is given one by the number of its socket (SO_COOKIE, socket(7)), which every process sees alike and
 * no two sockets share. False when there is no such name: not connected, or an address of something else.
 */
bool end_local(int fd, const struct transport *transport, struct end *out);
bool end_peer(int fd, const struct transport *transport, struct end *out);

/* Keeps the port that a client of a unix target was bound to. -1 with errno of setsockopt(2). */
int end_source_set(int fd, uint16_t port);

#endif
