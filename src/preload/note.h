/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What does not fit a mark: a wide address and the values of options, kept in the socket as well. */
#ifndef IP2VSOCK_NOTE_H
#define IP2VSOCK_NOTE_H

#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Facts of our own stand among the options, at a level that no protocol has: setting them on a real socket fails. */
#define NOTE_LEVEL 0xff
enum note_fact {
	NOTE_PEER = 1,	 /* struct peer_kept */
	NOTE_SCOPE = 2,	 /* uint32_t, sin6_scope_id of the address above */
	NOTE_ERROR = 4,	 /* int, of an attempt that failed and was not told yet */
	NOTE_BESIDE = 5, /* int32_t[], which descriptors may be the TCP listener beside this one (beside.c) */
	NOTE_ALLOW = 8,	 /* struct cid_range[], in the order of the list, in this and the next facts */
	NOTE_SOURCE = 3, /* uint16_t, the port that a client of a unix target was bound to */
};

#define NOTE_ALLOW_COUNT 4

/* Room for that many options of type int; a longer value takes one more than it has words. */
#define NOTE_MOST 120
#define NOTE_VALUE_MOST 64
#define NOTE_HEAD 5 /* instructions before the options */

struct note {
	struct in6_addr ip; /* :: when there is none */
	uint32_t count;	    /* instructions used by options */
	struct sock_filter code[NOTE_HEAD + NOTE_MOST + 1];
	uint8_t value[NOTE_VALUE_MOST]; /* the option that was asked for last */
};

/*
 * A classic BPF program that loads constants and accepts everything holds the note: any process may attach one to
 * its sockets, the kernel gives it back (SO_ATTACH_FILTER, SO_GET_FILTER, socket(7)), and streams of AF_VSOCK and
 * AF_UNIX never run it. It survives dup, fork, exec and SCM_RIGHTS; accept() does not copy it.
 *
 * note_get: an empty note when the socket has none. note_set: -1 with errno (ENOMEM: the limit
 * net.core.optmem_max). errno is preserved by note_get.
 */
void note_get(int fd, struct note *out);
int note_set(int fd, struct note *note);

/* Remembers the value of an option of up to 64 bytes. False when there is no room. */
bool note_option_set(struct note *note, int level, int option, const void *value, socklen_t size);
/* The value remembered and its size, or NULL. It stays until the next is asked for. */
const void *note_option_get(struct note *note, int level, int option, socklen_t *size);
void note_option_drop(struct note *note, int level, int option);

/* The option at *at, which steps to the next; NULL after the last. Start with 0. */
const void *note_option_next(struct note *note, uint32_t *at, int *level, int *option, socklen_t *size);

#endif
