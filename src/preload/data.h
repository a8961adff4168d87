/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a transport says of a call that moves bytes, as TCP would say it. */
#ifndef IP2VSOCK_DATA_H
#define IP2VSOCK_DATA_H

#include <stdbool.h>
#include <sys/socket.h>

/* Instead of a result: what the call had to wait for has happened, and it is to be tried once more. */
#define DATA_AGAIN (-2)

/* Flags that streams of other domains take for something else, or not at all; and those that make the rest of the
 * call matter when it fails. Without them a call is the real one, and is looked at only after a failure. */
#define RECEIVE_FLAGS (MSG_WAITALL | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE)
#define SEND_FLAGS (MSG_NOSIGNAL | MSG_OOB | MSG_ZEROCOPY)

/*
 * The result of a receiving call that failed with errno: -1 and errno as it is, for sockets that are not ours; else
 * what TCP would have said: 0 after the end of a connection, ENOTCONN where there never was one, EAGAIN while an
 * attempt goes on (waited for on a blocking socket: DATA_AGAIN), its error when it failed, EFAULT.
 */
ssize_t receive_failed(int fd, int flags);

/* The same for a call that sends: EPIPE, and SIGPIPE unless MSG_NOSIGNAL is given. */
ssize_t send_failed(int fd, int flags);

/*
 * recvmsg(2) with any of RECEIVE_FLAGS, as TCP does it: MSG_WAITALL for any length, MSG_TRUNC discards and needs no
 * buffer, no urgent data (EINVAL), an empty error queue (EAGAIN).
 */
ssize_t receive_flagged(int fd, struct msghdr *message, int flags);

/* Whether a send with any of SEND_FLAGS may go on; false with errno: EOPNOTSUPP for urgent data, ENOBUFS where the
 * notice of MSG_ZEROCOPY would never come (a program then copies). */
bool send_allowed(int fd, int flags);

/* Descriptors that arrived in a message are of unknown history. */
void received_descriptors(const struct msghdr *message);

#endif
