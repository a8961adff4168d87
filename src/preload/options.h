/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: where each is kept, carried from one socket to another, inherited by accepted ones. */
#ifndef IP2VSOCK_OPTIONS_H
#define IP2VSOCK_OPTIONS_H

#include "preload/mark.h"
#include "preload/note.h"

/* Where the value of an option of a retargeted socket is. */
enum keep {
	KEEP_NATIVE, /* in the option itself, which every domain has and treats alike */
	KEEP_ANSWER, /* the same, but what the kernel says must be corrected */
	KEEP_MARK,   /* in the mark */
	KEEP_NOTE,   /* in the note: a TCP socket is asked what may be set and how it reads */
	KEEP_UNIX,   /* the same in a realm, whose unix sockets would answer for themselves; else native */
	KEEP_BUFFER, /* in the option itself; it also sets the window */
	KEEP_LOWAT,  /* in the note, and as much as the window allows in the option itself */
};

/* Of SOL_SOCKET by number (enum keep); KEEP_NATIVE beyond. */
#define SOCKET_OPTION_COUNT 85
extern const uint8_t socket_option_keep[SOCKET_OPTION_COUNT];

enum keep option_keep(int level, int option);

/* Means the same on every socket, and is never given away by its answer: most of SOL_SOCKET. */
static inline bool option_is_native(int level, int option)
{
	return level == SOL_SOCKET &&
	       ((unsigned)option >= SOCKET_OPTION_COUNT || socket_option_keep[option] == KEEP_NATIVE);
}

/* False for the few options that a socket from accept(2) has by default whatever its listener has. */
bool option_inherited(int level, int option);

/*
 * Gives `to` the options of `from`, two sockets of any domains. `hint` is what is remembered of `from`. What `to`
 * does not have goes into its note, and comes back from there. What cannot be set is left out.
 */
void options_copy(int from, int to, unsigned hint);

/* MARK_NODELAY, _REUSEADDR, _REUSEPORT, _V6ONLY as set on an AF_INET(6) socket with that hint. */
unsigned options_flags(int fd, unsigned hint);

/* Notes on `listener`, made from the socket `from`, what its accepted sockets are to inherit. */
void options_bequeath(int from, int listener, unsigned hint);

/* Gives an accepted socket the options of its listener, as TCP does and other domains do not. errno is preserved. */
void options_inherit(int listener, int fd);

/*
 * The window of a socket that is not connected yet, in bytes: exactly that on AF_VSOCK, whose limits move where they are in
 * the way; SO_SNDBUF within net.core.wmem_max on AF_UNIX. The mark comes after it (mark.h).
 */
void window_fix(int fd, const struct transport *transport, uint32_t bytes);

/* Sets a size (SO_SNDBUF and its kin) or SO_RCVLOWAT of a retargeted socket. -1 with errno of setsockopt(2). */
int option_set_buffer(int fd, int option, const void *value, socklen_t size);
void option_set_lowat(int fd, const void *value, socklen_t size);

#endif
