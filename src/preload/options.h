/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: carried from one socket to another, and remembered where the transport does not have them. */
#ifndef IP2VSOCK_OPTIONS_H
#define IP2VSOCK_OPTIONS_H

#include "preload/mark.h"

/*
 * Gives `to` the options of `from`, two sockets of any domains. `hint` is what is remembered of `from`. IP-level
 * options that the other domain does not have go into its note, and come back from there. What
 * cannot be set is left out.
 */
void options_copy(int from, int to, unsigned hint);

/* Gives an accepted socket the options of its listener, as TCP does and other domains do not. errno is preserved. */
void options_inherit(int listener, int fd);

/* What setsockopt(2) on a TCP socket would say of an option. -1 with its errno, ENOPROTOOPT without TCP. */
int option_check(const struct mark *mark, int level, int option, const void *value, socklen_t size);

/* Remembers an option of a socket of ours; without room or memory it is forgotten. */
void option_remember(int fd, int level, int option, const void *value, socklen_t size);

/* What getsockopt(2) on a TCP socket with the remembered value would answer. */
int option_recall(int fd, const struct mark *mark, int level, int option, void *value, socklen_t *size);

#endif
