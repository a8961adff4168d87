/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets in the file system, which stay there when their listener has gone. */
#ifndef IP2VSOCK_STALE_H
#define IP2VSOCK_STALE_H

#include <sys/socket.h>

/*
 * bind(2) to a name in the file system. A socket that nobody listens at is replaced; one that somebody listens at, and a file
 * of any other kind, is EADDRINUSE and left alone. The directory is locked (flock(2)) meanwhile, so that of several who
 * replace it at once one succeeds. Otherwise errno is that of an address: EADDRNOTAVAIL where there is no such directory,
 * EACCES where it may not be written to.
 */
int bind_replacing(int fd, const struct sockaddr_storage *sa, socklen_t len);

/* Takes away the name of a socket that was bound so just now, and is not to be used. errno is preserved. */
void bind_undo(int fd);

#endif
