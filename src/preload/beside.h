/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TCP listener beside one of ours: fallback=inet of a listen rule. */
#ifndef IP2VSOCK_BESIDE_H
#define IP2VSOCK_BESIDE_H

#include "preload/remember.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * The program has one descriptor, which is the listener on the other transport. The TCP listener is on a descriptor of
 * our own; whoever waits for the one waits for both (hot.h, epoll_ctl), and accept takes from both in turn. It goes along with
 * duplicates, fork, and, by a fact in the note, with exec; not with a descriptor that is passed to another process.
 */
struct beside_table;
extern struct beside_table *beside_table; /* NULL until there is one */

int beside_find(int fd);
int beside_find_listening(int fd);

/* The TCP listener beside fd, or -1. */
static inline int beside_get(int fd)
{
	return __builtin_expect(__atomic_load_n(&beside_table, __ATOMIC_ACQUIRE) != NULL, 0) ? beside_find(fd) : -1;
}

/* The same once it listens: before that it has nothing to say. */
static inline int beside_listening(int fd)
{
	return __builtin_expect(__atomic_load_n(&beside_table, __ATOMIC_ACQUIRE) != NULL, 0) ? beside_find_listening(fd) : -1;
}

/* `tcp` is from now on beside fd, a listener of ours. Taken over. -1 with ENOBUFS, and closed, when there is no memory. */
int beside_set(int fd, int tcp);

/* listen(2) for the one beside fd, which is registered where fd is. */
int beside_listen(int fd, int backlog);

/* What the program does to fd is done beside it: epoll_ctl(2), setsockopt(2), FD_CLOEXEC. errno is preserved. */
void beside_watch(int tcp, int epfd, int op, const struct epoll_event *event);
void beside_option(int tcp, int level, int option, const void *value, socklen_t size);
void beside_cloexec(int fd);

/*
 * accept4(2) from whichever has somebody. *by_network: of the one beside. A blocking one waits, and never in a queue that
 * somebody else has emptied.
 */
int beside_accept(int fd, int tcp, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network);

/* In a program that was executed: the listener that fd had beside it before. */
void beside_learn(int fd);

/* copy is another number of fd now; a number is about to be closed. */
void beside_share(int fd, int copy);
void beside_closed(int fd);

#endif
