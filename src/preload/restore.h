/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A socket of ours becomes a TCP socket again. */
#ifndef IP2VSOCK_RESTORE_H
#define IP2VSOCK_RESTORE_H

#include "preload/decide.h"

/*
 * A new TCP socket with what fd, a socket of ours, has of options and flags, and bound where the program had bound
 * fd; that may be one that was beside it all the time. When it cannot be had it is bound to another port of that address (any_port), or not at all. -1 with
 * errno as connect(2) may give it.
 */
int inet_make(int fd, const struct socket_state *state, bool any_port);

/* The same in the place of fd. */
int inet_restore(int fd, const struct socket_state *state);

/* The same for a socket that a failed attempt has left (attempt.h). False, with nothing done, for any other. */
bool inet_restore_failed(int fd, const struct socket_state *state);

#endif
