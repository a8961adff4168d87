/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shutdown: of a listener, which vsock does not have, and of a connection, whose end TCP tells differently. */
#include "preload/decide.h"
#include "preload/hooks.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/restore.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/udp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>

/* Every number of the socket that has now taken a listener's place: threads may wait in accept() on any of them. */
static void numbers_shut(int fd)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);
	struct stat socket, other;

	hint_clear(fd);
	hint_set(fd, HINT_SHUT);
	if (fstat(fd, &socket) < 0)
		return;
	for (unsigned number = 0; number < top; number++)
		if (number != (unsigned)fd && fstat((int)number, &other) == 0 && other.st_ino == socket.st_ino &&
		    other.st_dev == socket.st_dev)
			hint_set((int)number, HINT_SHUT);
}

/*
 * TCP refuses clients from now on, wakes who waits (accept: EINVAL, poll: HUP), keeps the address, and may listen
 * again (inet_shutdown in net/ipv4/af_inet.c). That is what an unconnected TCP socket does, so one takes the place of the
 * listener; listen() then retargets it. Who still waits on the old file looks again when a connection comes.
 */
static int listener_shut(int fd, const struct transport *transport)
{
	struct socket_state state;
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int made;

	if (REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) < 0)
		return fail(ENOTCONN);
	socket_look(fd, &state);
	made = inet_make(fd, &state, true);
	if (made < 0)
		return -1;
	if (socket_install(fd, state.hint, made) < 0)
		return fail(error_of_socket(errno));
	numbers_shut(fd);
	listener_wake(transport, &sa, len);
	return 0;
}

/*
 * On AF_VSOCK: the peer has closed, and nothing is left to read. The question about out-of-band data is the one that has
 * three answers without taking anything (vsock_connectible_recvmsg in net/vmw_vsock/af_vsock.c): 0, EOPNOTSUPP while there is
 * a connection, ENOTCONN.
 */
static bool peer_gone(int fd)
{
	char nothing;

	return REAL(recvfrom)(fd, &nothing, 0, MSG_OOB | MSG_DONTWAIT, NULL, NULL) == 0;
}

static bool has_data(int fd)
{
	char byte;

	return REAL(recvfrom)(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) > 0;
}

/*
 * What of `how` AF_VSOCK may be told, or -1 for nothing. After a shutdown that follows the peer's close, reading fails with
 * ENOTCONN where TCP says end of file; there is nobody to be told then. SHUT_RD drops what was not read,
 * and TCP does not; but with SHUT_RDWR a stream that does not end must end.
 */
static int how_told(int fd, const struct transport *transport, int how)
{
	if (transport != &transport_vsock)
		return how;
	if (peer_gone(fd))
		return -1;
	if (how == SHUT_RD && has_data(fd))
		return -1;
	if (how == SHUT_RDWR && peer_has_shut(fd) && has_data(fd))
		return SHUT_WR;
	return how;
}

static int connection_shut(int fd, const struct transport *transport, int how, struct peer_kept *peer)
{
	int told;

	if (peer_is_over(fd, peer))
		return fail(ENOTCONN);
	told = how_told(fd, transport, how);
	peer->how |= how == SHUT_RD ? SHUT_READ : how == SHUT_WR ? SHUT_WRITE : SHUT_READ | SHUT_WRITE;
	peer_kept_set(fd, peer);
	return told < 0 ? 0 : REAL(shutdown)(fd, told);
}

/* Where a connection goes: as was kept when it was shut down before, or as the kernel says. */
static bool peer_find(int fd, const struct transport *transport, struct peer_kept *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (peer_kept_get(fd, out))
		return true;
	*out = (struct peer_kept){.how = 0};
	if (REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	transport->decode(&settings()->realm, &sa, len, &out->endpoint);
	return true;
}

/* An attempt to connect that is under way. */
static bool is_connecting(int fd, const struct mark *mark)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	return mark->kind == MARK_PEER && REAL(poll)(&poll_fd, 1, 0) == 0;
}

/* On TCP it ends there, and the socket is as new. */
static int attempt_shut(int fd)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	return hook_disconnect(fd, &nowhere, sizeof nowhere);
}

/* One that is connected to somebody whom the kernel reaches is the kernel's. */
static int udp_shut(int fd, int how)
{
	int saved = errno;

	if (udp_shutdown(udp_get(fd), how) == 0) {
		errno = saved;
		return 0;
	}
	return REAL(shutdown)(fd, how);
}

HOOK int shutdown(int fd, int how)
{
	const struct transport *transport;
	struct peer_kept peer;
	struct mark mark;
	int saved = errno, result;

	if (udp_get(fd))
		return udp_shut(fd, how);
	if (how < SHUT_RD || how > SHUT_RDWR || hint_get(fd) & HINT_PENDING || settings()->disabled ||
	    !(transport = mark_find(fd, &mark)))
		return REAL(shutdown)(fd, how);
	if (option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
		result = how == SHUT_WR ? 0 : listener_shut(fd, transport);
	else if (transport->greets && is_waiting(fd))
		result = attempt_shut(fd);
	else if (peer_find(fd, transport, &peer))
		result = connection_shut(fd, transport, how, &peer);
	else if (is_connecting(fd, &mark))
		result = attempt_shut(fd);
	else
		result = fail(ENOTCONN);
	if (result == 0)
		errno = saved;
	return result;
}
