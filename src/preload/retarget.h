/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A socket of another domain behind the same descriptor number. */
#ifndef IP2VSOCK_RETARGET_H
#define IP2VSOCK_RETARGET_H

/*
 * A new socket of `domain` and `type` with the file status flags, owner and socket options of fd; close-on-exec, and
 * non-blocking in any case with SOCK_NONBLOCK in type. `hint` is what is remembered of fd and saves questions. -1 with
 * errno of socket(2).
 */
int socket_make(int fd, unsigned hint, int domain, int type);

/*
 * Puts `made` in the place of fd and of every duplicate that this process has of the same socket: descriptor
 * flags and epoll registrations (level, edge, one-shot; in any number of instances) move along, and
 * the descriptor `made` is closed. All or nothing: -1 with errno (ENOMEM, EMFILE, ENFILE) leaves fd as it was and closes
 * `made`.
 */
int socket_install(int fd, unsigned hint, int made);

/* The same, but one duplicate stays what it is. */
int socket_install_but(int fd, unsigned hint, int made, int except);

/* The same for a socket that nothing is remembered of, and that threads may sleep on in poll(2): they look again. */
int socket_install_waking(int fd, int made);

/* Who gets the signals of `from`, and which, is told to `to` as well (F_SETOWN, F_SETSIG in fcntl(2)). */
void owner_copy(int from, int to);

/* Closes a descriptor of our own; errno is preserved. */
void close_quietly(int fd);

#endif
