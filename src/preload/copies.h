/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All descriptors of this process that are one socket, and their epoll registrations, read from /proc. */
#ifndef IP2VSOCK_COPIES_H
#define IP2VSOCK_COPIES_H

#include "preload/remember.h"

#define COPIES_BUFFER 8192

/* Grows by whole pages, without malloc. */
struct copies_list {
	void *items;
	size_t size; /* bytes */
	int count;
};

struct copies {
	struct copies_list fds;	   /* of int, the one asked for first */
	struct copies_list epolls; /* of int, every epoll instance there is */
	struct copies_list notes;  /* of struct epoll_note */
	char buffer[COPIES_BUFFER];
};

/*
 * For sockets of unknown history (inherited, received, duplicated). Cost grows with the descriptors of
 * the process and the registrations of its epoll instances; there is no limit to either but memory. NULL with
 * errno: ENOMEM, EMFILE, ENFILE; any other when there is no /proc, or none that this process may read.
 */
struct copies *copies_find(int fd);
void copies_free(struct copies *copies);

#endif
