/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attempts to connect that are looked after while the program does something else: retry=, fallback=, slow monitors. */
#ifndef IP2VSOCK_PERSIST_H
#define IP2VSOCK_PERSIST_H

#include "preload/attempt.h"
#include "preload/internal.h"

#include <stdint.h>

/*
 * In the place of the program's descriptor there is a socket that has nothing to say: not readable, not writable, without
 * a name, as a TCP socket that is connecting. Tries are made beside it, on sockets that the program does not see. Whoever
 * waits in poll, select or epoll_wait meanwhile waits in pieces, and makes the next try when it is due (hot.h); in a process
 * with threads, where one may wait already, a thread of ours does it as long as there is need. At the end the socket that
 * is connected takes the place, or a TCP socket that connects by the network, or one with the error in SO_ERROR.
 */

/*
 * Begins with `made`, on which a try goes on (it is taken over, also on failure), or with -1 after one that failed with `error`.
 * `source` is where fd is bound, or NULL. -1 when it cannot be done (no descriptor, no memory): then nothing has changed.
 */
int persist_begin(const struct attempt *attempt, const struct target *target, const struct ip_addr *addr,
		  const struct ip_addr *source, const struct mark *mark, int made, int error);

/* Counts that the network is used instead, because of this errno, and says so once for each rule. */
void fallback_say(const struct target *target, const struct ip_addr *addr, int error);

extern unsigned persist_live INTERNAL; /* attempts that are looked after */

void persist_drive_now(void);
/* Does what is due. errno is preserved. */
static inline void persist_drive(void)
{
	if (__builtin_expect(__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE) != 0, 0))
		persist_drive_now();
}

/*
 * A call that moves bytes is about to be made on fd: the tries of an attempt go on by it as well, and a blocking one waits for the
 * end. False with errno when there is nothing to be moved: the attempt has failed, a signal, the time limit.
 */
bool persist_touch_now(int fd, int flags);
static inline bool persist_touch(int fd, int flags)
{
	return __builtin_expect(__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE) == 0, 1) || persist_touch_now(fd, flags);
}

/* The moment, in ms of now_ms(), when something will be due; at most `until`. */
int64_t persist_until(int64_t until);
/* The same in ns of wait.h: WAIT_NOT and WAIT_FOREVER are understood. */
int64_t persist_wait_until(int64_t until);

/* True for a socket that is in the place of one that connects. errno is preserved. */
bool is_waiting(int fd);

/* The error of an attempt that failed, once; 0 when there is none. errno is preserved. */
int failure_take(int fd);

/* A number with HINT_PERSIST is about to be closed, or to become something else. */
void persist_closed(int fd);

#endif
