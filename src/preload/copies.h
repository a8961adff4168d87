/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All descriptors of this process that are one socket, and their epoll registrations, read from /proc. */
#ifndef IP2VSOCK_COPIES_H
#define IP2VSOCK_COPIES_H

#include "preload/remember.h"

#define COPIES_FDS 2048
#define COPIES_NOTES 1024
#define COPIES_EPOLLS 2048
#define COPIES_BUFFER 8192

struct copies {
	int fd_count, note_count, epoll_count;
	int fds[COPIES_FDS]; /* the one asked for first */
	int epolls[COPIES_EPOLLS];
	struct epoll_note notes[COPIES_NOTES];
	char buffer[COPIES_BUFFER];
};

/*
 * For sockets of unknown history (inherited, received, duplicated). Cost grows with the descriptors of
 * the process and the registrations of its epoll instances. NULL with errno: ENOENT when there is no /proc,
 * ENOBUFS when there are more than fit, ENOMEM, EMFILE.
 */
struct copies *copies_find(int fd);
void copies_free(struct copies *copies);

#endif
