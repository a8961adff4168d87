/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that were there before the program: what systemd, or a program like inetd, has bound or accepted for it. */
#ifndef IP2VSOCK_ADOPT_H
#define IP2VSOCK_ADOPT_H

#include "preload/internal.h"
#include "preload/mark.h"

extern bool adopt_over INTERNAL;	 /* there are no more */
extern bool adopt_begun INTERNAL; /* all that were handed over were looked at once */

/* To be asked before the look at a mark: another thread may be giving one just then. */
static inline bool adopt_is_over(void)
{
	return __atomic_load_n(&adopt_over, __ATOMIC_ACQUIRE);
}

/* Listeners that were handed over may have the mark of the process that served them before, with another mapping. */
static inline bool adopt_is_due(void)
{
	return settings()->listen_fds && !__atomic_load_n(&adopt_begun, __ATOMIC_ACQUIRE);
}

/*
 * A socket may become one of ours by its name alone: a stream socket that has the endpoint to which a listen rule leads, but
 * no mark. Where it was handed to this process, as one of sd_listen_fds(3) or as standard input, output or error, it is
 * given the mark of a listener at the rule's address, or of a connection that such a listener has accepted. So are all
 * others with it. False when nothing of the kind was done: no mark has changed. errno is preserved.
 */
bool adopt(int fd);

/* Standard input is copied: programs do that to put something else in its place, before they look at what it was. */
void adopt_standard_input(void);

/* Of a listener of ours: it was adopted, by whatever process. Clients that came before it was marked may wait in its queue, and
 * are without the mark. */
bool adopted_listener(int listener);

/*
 * Whoever has opened such a listener keeps it, and hands it to the next process that serves it. By then the mapping may be another
 * one: the listener gets the address and the list of now, or its mark is gone.
 */
void adopt_again(int listener);

/* The mapping cannot be used, so nobody knows whom that listener may serve: nobody. False for what was not handed over. */
bool adopt_refuses(int listener);

#endif
