/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read, readv, write, writev: a datagram that connections carry is read and written by them, too. */
#include "preload/hooks.h"
#include "preload/hot.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/udp.h"
#include "preload/wait.h"

#include <errno.h>
#include <limits.h>

HOOK ssize_t read(int fd, void *data, size_t size);
HOOK ssize_t readv(int fd, const struct iovec *parts, int count);
HOOK ssize_t write(int fd, const void *data, size_t size);
HOOK ssize_t writev(int fd, const struct iovec *parts, int count);
HOOK ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
HOT_BYTE_CALLS(HOT_HOOK)
HOOK_ALIAS(__read, read)
HOOK_ALIAS(__write, write)

/*
 * A descriptor may have been closed by a call that we do not see (by io_uring, or by a module that was loaded with
 * RTLD_DEEPBIND), and its number may be a file now. What only sockets take fails on those; these calls do not.
 */
static bool is_still(const struct udp *udp, int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof cookie;
	int saved = errno;
	bool same = REAL(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 && cookie == udp_cookie(udp);

	errno = saved;
	return same;
}

struct udp *udp_here(int fd)
{
	struct udp *udp = udp_get(fd);

	if (!udp || is_still(udp, fd))
		return udp;
	udp_drop(fd);
	return NULL;
}

/* The kernel counts first, and a read of nothing takes no datagram; nor does a writev of nothing send one. */
static bool parts_are_empty(const struct iovec *parts, int count)
{
	for (int i = 0; i < count; i++)
		if (parts[i].iov_len)
			return false;
	return true;
}

/* What the kernel refuses, or makes nothing of, is its own to answer. */
static bool parts_are_usual(const struct iovec *parts, int count)
{
	return count > 0 && count <= IOV_MAX && is_pointer(parts) && !parts_are_empty(parts, count);
}

ssize_t hot_udp_read(int fd, void *data, size_t size)
{
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct udp *udp;

	if (!persist_touch(fd, 0))
		return -1;
	if (!size || !wait_cares(fd))
		return REAL(read)(fd, data, size);
	if (!wait_received(fd, 0))
		return -1;
	udp = udp_here(fd);
	return udp ? udp_receive(udp, fd, &message, 0) : REAL(read)(fd, data, size);
}

/* What read becomes with _FORTIFY_SOURCE. The real one ends the program where the buffer is too small. */
ssize_t hot_udp___read_chk(int fd, void *data, size_t size, size_t room)
{
	return size > room ? REAL(__read_chk)(fd, data, size, room) : hot_udp_read(fd, data, size);
}

ssize_t hot_udp_readv(int fd, const struct iovec *parts, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
	struct udp *udp;

	if (!persist_touch(fd, 0))
		return -1;
	if (!wait_cares(fd) || !parts_are_usual(parts, count))
		return REAL(readv)(fd, parts, count);
	if (!wait_received(fd, 0))
		return -1;
	udp = udp_here(fd);
	return udp ? udp_receive(udp, fd, &message, 0) : REAL(readv)(fd, parts, count);
}

ssize_t hot_udp_write(int fd, const void *data, size_t size)
{
	struct iovec part = {(void *)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (!persist_touch(fd, 0))
		return -1;
	return udp_here(fd) && udp_send(fd, &message, 0, &sent) ? sent : REAL(write)(fd, data, size);
}

ssize_t hot_udp_writev(int fd, const struct iovec *parts, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
	ssize_t sent;

	if (!persist_touch(fd, 0))
		return -1;
	return udp_here(fd) && parts_are_usual(parts, count) && udp_send(fd, &message, 0, &sent)
		       ? sent
		       : REAL(writev)(fd, parts, count);
}

/* recv and send have looked at the flags before. */
ssize_t hot_udp_recv(int fd, void *data, size_t size, int flags)
{
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct udp *udp;

	if (!persist_touch(fd, flags) || !wait_received(fd, flags))
		return -1;
	udp = udp_get(fd);
	return udp ? udp_receive(udp, fd, &message, flags) : REAL(recv)(fd, data, size, flags);
}

ssize_t hot_udp_send(int fd, const void *data, size_t size, int flags)
{
	struct iovec part = {(void *)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (!persist_touch(fd, flags))
		return -1;
	return udp_get(fd) && udp_send(fd, &message, flags, &sent) ? sent : REAL(send)(fd, data, size, flags);
}
