/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options that only TCP sockets have, of sockets that are none. */
#ifndef IP2VSOCK_EMULATE_H
#define IP2VSOCK_EMULATE_H

#include "preload/options.h"

/*
 * setsockopt(2) of an option that is not native on a retargeted socket, and getsockopt(2), as on TCP. A TCP socket that
 * nobody uses is asked; without a descriptor to spare, or without TCP, setting is believed and what was
 * never set is ENOPROTOOPT. -1 with the errno of TCP.
 */
int emulate_set(int fd, const struct transport *transport, struct mark *mark, int level, int option, const void *value,
		socklen_t size);
int emulate_get(int fd, const struct mark *mark, int level, int option, void *value, socklen_t *size);

/* Remembers an option of a socket of ours; without room or memory it is forgotten. */
void emulate_remember(int fd, int level, int option, const void *value, socklen_t size);

/* Sets what is remembered on a TCP socket. */
void emulate_replay(int to, int level, int option, const void *value, socklen_t size);

/* True for what the program has chosen, not what is happening to the socket. */
bool emulate_is_choice(int level, int option);

bool emulate_is_filter(int level, int option);
/* The program's own filter on a TCP socket, as it is noted. False when it has none. */
bool emulate_filter_read(int fd, uint8_t *out, socklen_t *size);

#endif
