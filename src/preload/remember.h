/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little the kernel cannot tell us, kept in this process and allowed to be lost. */
#ifndef IP2VSOCK_REMEMBER_H
#define IP2VSOCK_REMEMBER_H

#include "preload/internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * One hint for each descriptor number, written by the hooks that see it change. 0 means "nothing
 * known": then the kernel is asked, which is slower but always right. A hint may be lost at any time (fork in
 * another thread, exec, a close we do not see); it is never the only place where a fact is kept.
 */
enum hint {
	/* A socket that socket() gave this process and that was not connected since: */
	HINT_STREAM = 1 << 0,	/* TCP */
	HINT_DGRAM = 1 << 1,	/* UDP */
	HINT_INET6 = 1 << 2,	/* else AF_INET */
	HINT_NONBLOCK = 1 << 3, /* SOCK_NONBLOCK and SOCK_CLOEXEC as given to socket() */
	HINT_CLOEXEC = 1 << 4,
	HINT_FLAGS = 1 << 5,	/* descriptor or file flags were changed: ask */
	HINT_OPTIONS = 1 << 6,	/* options were set: chosen.h knows them */
	HINT_MANY = 1 << 7,	/* more than it holds: ask */
	HINT_SEARCH = 1 << 9,	/* not all of its registrations are known: look in /proc */
	HINT_EPOLL = 1 << 10,	/* is in an epoll instance, see below */
	HINT_BOUND = 1 << 11,	/* bound to an address that no rule matched */
	HINT_CALL = 1 << 8 | 1 << 13 | 1 << 15, /* a number for the last connect on it, see hint_call() */
	/* A socket that is not ours, and is not pending either: */
	HINT_FOREIGN = 1 << 5,	/* (only pending sockets have HINT_FLAGS) */
	/* A socket we retargeted for listening: */
	HINT_LISTEN = 1 << 12,
	HINT_SHUT = 1 << 4,	 /* and shut down: who still waits in accept is woken by a connection of ours */
	HINT_LOOPBACK = 1 << 11, /* to a loopback address (only pending sockets have HINT_BOUND) */
	HINT_V6ONLY = 1 << 13,	 /* (only pending sockets have HINT_CALL) */
	HINT_GUARD = 1 << 15,	 /* accept must look closer: at a unix listener, or at who comes */
	/* A client we retargeted: */
	HINT_ATTEMPT = 1 << 3,	/* its attempt went on in the background: connect will tell the end (only pending
				 * sockets have HINT_NONBLOCK) */
	HINT_PERSIST = 1 << 15, /* persist.h looks after it, or has (only listeners have HINT_GUARD) */
	/* Of all: */
	HINT_INHERIT = 1 << 14, /* options were set that accepted sockets inherit */
};

#define HINT_PENDING (HINT_STREAM | HINT_DGRAM)
/* As many descriptors as a process can have unless fs.nr_open was raised (proc(5)). Numbers beyond are of unknown history. */
#define HINT_COUNT (1u << 20)
#define NOTE_COUNT (1u << 15)
#define SCRATCH_SIZE 16384

/* Mapped at the first socket: a program that uses none does not pay for it. Of these megabytes only the pages
 * touched exist. Without memory for it every history is unknown. */
struct remembered {
	uint16_t hints[HINT_COUNT];
	struct {
		uint64_t key; /* fd + 1 above, epfd below; 0: free */
		uint64_t data;
		uint32_t events;
	} notes[NOTE_COUNT];
	char scratch[SCRATCH_SIZE]; /* bytes nobody reads */
};

extern struct remembered *remembered INTERNAL; /* NULL until mapped */
extern struct beside_table *beside_table INTERNAL; /* of beside.h */
extern unsigned hint_top INTERNAL;	      /* one more than the highest number that ever had a hint */

/* As it is now. Another thread may map it at any time, hence an atomic read each time. */
static inline struct remembered *remembered_now(void)
{
	return __atomic_load_n(&remembered, __ATOMIC_ACQUIRE);
}

/* Maps it if need be; NULL without memory. errno is preserved. */
struct remembered *remembered_get(void);

static inline unsigned hint_get(int fd)
{
	struct remembered *now = remembered_now();

	return now && (unsigned)fd < HINT_COUNT ? __atomic_load_n(&now->hints[fd], __ATOMIC_RELAXED) : 0;
}

/* Not a socket that we retargeted: nobody needs to be asked. */
static inline bool hint_says_foreign(int fd)
{
	return hint_get(fd) & (HINT_PENDING | HINT_FOREIGN);
}

/* Without the bits that mean something else for pending sockets. */
static inline unsigned hint_settled(unsigned hint)
{
	return hint & HINT_PENDING ? 0 : hint;
}

void hint_set(int fd, unsigned hint);
/* For a number with a hint, `before`, which is not 0: forgets what else is known of it. */
void hint_change(int fd, unsigned before, unsigned after);

/* Some listener has a TCP listener beside it (beside.h). */
static inline bool beside_any(void)
{
	return __atomic_load_n(&beside_table, __ATOMIC_ACQUIRE);
}
bool beside_closed(int fd);

/* Forgets fd. */
static inline void hint_clear(int fd)
{
	unsigned hint = hint_get(fd);

	if (hint)
		hint_change(fd, hint, 0);
	else if (__builtin_expect(beside_any(), 0))
		beside_closed(fd);
}

void hint_clear_range(unsigned first, unsigned last);

/* Adds bits to a hint that has one of the bits `of`. Another thread may change it, or close fd, at the same time. */
void hint_add(int fd, unsigned of, unsigned bits);

/*
 * A call that may wait is made on a pending socket: what to ask hint_is_of_call() for afterwards. Until then the
 * number may have been closed, and given to another socket.
 */
unsigned hint_call(int fd);
static inline bool hint_is_of_call(unsigned hint, unsigned call)
{
	return hint & HINT_PENDING && (hint & HINT_CALL) == call;
}

/* A registration in an epoll instance made before the socket was retargeted. */
struct epoll_note {
	int epfd;
	int fd;
	uint32_t events;
	uint64_t data;
};

/* Follows a successful epoll_ctl() on a pending socket. Without room the hint of fd gets HINT_SEARCH,
 * which makes retarget.c look in /proc instead. */
void epoll_note_follow(int epfd, int op, int fd, const struct epoll_event *event);
/* Copies the notes of fd to out; returns how many, or -1 when there are more than `most`. */
int epoll_notes_of(int fd, struct epoll_note *out, int most);

/* Leaves a run of ports that are taken: the next one is anywhere. */
void port_jump(void);
/* A source port of 32768 to 60999: from a random start counting upwards, so that a port is used again as late
 * as possible (a peer still holding the old connection resets a new one). Differs after fork. */
uint16_t port_next(void);

#endif
