/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which options the program has set on sockets that may yet be retargeted. */
#ifndef IP2VSOCK_CHOSEN_H
#define IP2VSOCK_CHOSEN_H

#include <stdbool.h>
#include <sys/socket.h>

struct chosen {
	int level, option;
	bool known; /* value is what was set; else the socket must be asked */
	int value;
};

/* Kept in the process for descriptors with HINT_OPTIONS. False when there is no room: then the socket must be compared
 * with one that nobody touched. No locks: a slot is taken by exchanging it from 0. */
bool chosen_add(int fd, int level, int option, const void *value, socklen_t size);

/* The next option of fd from *at on, in no order. Start with 0. */
bool chosen_next(int fd, unsigned *at, struct chosen *out);

bool chosen_has(int fd, int level, int option);

/* The value of an option of type int of an AF_INET(6) socket; 0 when it was not chosen. */
int chosen_int(int fd, int level, int option);

void chosen_drop(int fd);

#endif
