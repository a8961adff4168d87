/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TCP listener beside one of ours: fallback=inet of a listen rule. */
#ifndef IP2VSOCK_BESIDE_H
#define IP2VSOCK_BESIDE_H

#include "preload/mark.h"
#include "preload/remember.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * The program has one descriptor, which is the listener on the other transport. The TCP listener is on a descriptor of
 * our own, one for each number that the program has; whoever waits for the one waits for both (hot.h, epoll_ctl), and
 * accept takes from both in turn. It goes along with duplicates, fork, and, by a fact in the note, with exec; not with a
 * descriptor that is passed to another process.
 *
 * beside_table: NULL until there is one (remember.h).
 */
int beside_find(int fd);
int beside_find_listening(int fd);
bool beside_find_own(int fd);

/* The TCP listener beside fd, or -1. */
static inline int beside_get(int fd)
{
	return __builtin_expect(beside_any(), 0) ? beside_find(fd) : -1;
}

/* The same once it listens: before that it has nothing to say. */
static inline int beside_listening(int fd)
{
	return __builtin_expect(beside_any(), 0) ? beside_find_listening(fd) : -1;
}

/* fd is one of those that the program has not opened. */
static inline bool beside_is_own(int fd)
{
	return __builtin_expect(beside_any(), 0) && beside_find_own(fd);
}

/* There is room for one beside fd. -1 with ENOBUFS. */
int beside_room(int fd);

/*
 * `tcp` is from now on beside fd, a listener of ours with hints, and duplicates of it beside the other numbers of fd if it may
 * have some. Taken over.
 */
void beside_set(int fd, int tcp, bool duplicated);

/* A duplicate of the one beside fd, no longer listening, that can take fd's place; -1 when there is none. */
int beside_back(int fd);

/* listen(2) for the one beside fd, which is registered where fd is. */
int beside_listen(int fd, int backlog);

/* What the program does to fd is done beside it: epoll_ctl(2), setsockopt(2), FD_CLOEXEC, fcntl(2). errno is preserved. */
void beside_watch(int tcp, int epfd, int op, const struct epoll_event *event);
void beside_option(int tcp, int level, int option, const void *value, socklen_t size);
void beside_cloexec(int fd);
void beside_control(int fd, int command);

/* In a process to which the descriptor was passed there may be none beside it, but what accept does to the one is felt. */
bool beside_exists(int listener);

/*
 * accept4(2) from whichever has somebody. *by_network: of the one beside. A blocking one waits, and never in a queue that
 * somebody else has emptied.
 */
int beside_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network);

/* In a program that was executed: the listener that fd, which has this mark, had beside it before. */
void beside_learn(int fd, const struct mark *mark);

/* copy is another number of fd now. */
void beside_share(int fd, int copy);

/* bool beside_closed(int fd): a number is about to be closed. False in a child of vfork, which closes a copy and has its parent's
 * memory (remember.h). */

/* poll(2) does not know the one beside fd: the program has closed it, by a call that we do not see. */
void beside_lost(int fd);

/* close_range(2) but for descriptors of ours whose listeners stay. */
int beside_close_range(unsigned first, unsigned last, int flags);

#endif
