/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for descriptors some of which are UDP sockets of ours. */
#ifndef IP2VSOCK_WAIT_H
#define IP2VSOCK_WAIT_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "preload/hooks.h"
#include "preload/persist.h"
#include "preload/remember.h"

/* Memory without malloc: a block that was given back is kept for who comes next. NULL with ENOMEM. */
void *scratch_take(size_t size);
void scratch_give(void *block);

/* When a wait ends: ns of CLOCK_MONOTONIC. */
#define WAIT_FOREVER INT64_MAX
#define WAIT_NOT INT64_MIN

/* What the kernel does not call EINVAL. */
static inline bool limit_is_good(const struct timespec *limit)
{
	return !limit || (is_pointer(limit) && limit->tv_sec >= 0 && (unsigned long)limit->tv_nsec < 1000000000);
}

int64_t wait_now(void);
/* For a limit that is valid. NULL: forever; 0: WAIT_NOT. */
int64_t wait_until(const struct timespec *limit);
/* What is left until then, never less than 0. */
struct timespec wait_left(int64_t until);
bool wait_is_over(int64_t until);
/* Then, or in a few milliseconds. */
int64_t wait_soon(int64_t until);

/* False for an array of more descriptors than there can be: the kernel refuses it before it looks there. */
bool wait_counts(nfds_t count);

/* Whether any wait must be ours, whatever is in it: attempts to connect are to be looked after. */
static inline bool wait_always(void)
{
	return __atomic_load_n(&persist_live, __ATOMIC_ACQUIRE);
}

/* Whether a wait that has fd in it must be ours: it is a UDP socket of ours, or may become one meanwhile. */
bool wait_cares(int fd);

/*
 * ppoll(2). Nothing that is not there is reported: a datagram is whole, and is this process's to receive. The mask
 * is set for as long as the kernel waits.
 */
int wait_poll(struct pollfd *fds, nfds_t count, int64_t until, const sigset_t *mask);

/*
 * A blocking call that receives is about to be made on a UDP socket that another thread may make ours meanwhile: waits
 * here until something has come, whose it is then. -1 with EAGAIN (SO_RCVTIMEO) or EINTR.
 */
int wait_receive(int fd, int flags);

/* False: the call has failed with errno. */
static inline bool wait_received(int fd, int flags)
{
	return !(hint_get(fd) & HINT_DGRAM) || wait_receive(fd, flags) == 0;
}

/* UDP sockets of this process have become ours: who waits for them looks again. */
void wait_wake(void);

#endif
