/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receiving datagrams: from links, and from the kernel's socket. */
#include "preload/attempt.h"
#include "preload/hooks.h"
#include "preload/socket.h"
#include "preload/udp_control.h"
#include "preload/udp_state.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>

static void name_give(const struct udp *udp, struct msghdr *message)
{
	struct sockaddr_storage sa;
	struct ip_addr from = udp->from;
	socklen_t len;

	if (!message->msg_name)
		return;
	from.family = udp->family;
	len = ip_addr_write(&from, &sa);
	ip_addr_copy_out(&sa, len, message->msg_name, &message->msg_namelen);
}

/* As many bytes as fit. */
static size_t data_give(const struct msghdr *message, const uint8_t *data, size_t size)
{
	size_t given = 0;

	for (size_t i = 0; i < message->msg_iovlen && given < size; i++) {
		size_t part = message->msg_iov[i].iov_len;

		if (part > size - given)
			part = size - given;
		memcpy(message->msg_iov[i].iov_base, data + given, part);
		given += part;
	}
	return given;
}

/* The address that the datagram came to, for IP_PKTINFO. */
static void control_give(struct udp *udp, struct msghdr *message)
{
	struct endpoint peer = {VMADDR_CID_ANY, 0};
	struct link *link = link_find(udp, &udp->from);
	struct ip_addr to;

	if (link)
		peer = link->to;
	udp_show_local(udp, &udp->from, &peer, &to);
	udp_control_write(udp->control, &to, message);
}

static ssize_t record_give(struct udp *udp, struct msghdr *message, int flags)
{
	const uint8_t *record = udp->buffer + udp->start;
	size_t size = (size_t)dgram_record_size(record, udp->end - udp->start) - DGRAM_PREFIX_SIZE;
	size_t given = data_give(message, record + DGRAM_PREFIX_SIZE, size);

	message->msg_flags = flags & MSG_CMSG_CLOEXEC;
	if (given < size)
		message->msg_flags |= MSG_TRUNC;
	name_give(udp, message);
	if (udp->control)
		control_give(udp, message);
	else
		message->msg_controllen = 0;
	if (!(flags & MSG_PEEK))
		udp->start += (uint32_t)(DGRAM_PREFIX_SIZE + size);
	return (ssize_t)(flags & MSG_TRUNC ? size : given);
}

static ssize_t inet_receive(int fd, struct msghdr *message, int flags)
{
	return REAL(recvmsg)(fd, message, flags | MSG_DONTWAIT);
}

/* What to wait for where nothing has come. */
struct wait {
	struct pollfd fds[2];
	nfds_t count;
	int64_t limit; /* ms, 0 none */
	bool told; /* what others read ahead */
};

static ssize_t receive_locked(struct udp *udp, int fd, struct msghdr *message, int flags)
{
	int error = udp->error;
	ssize_t got = -1;

	if (error) {
		udp_error_set(udp, 0);
		errno = error;
		return -1;
	}
	/* Nobody who sends much keeps the others from being heard. */
	udp->turn = !udp->turn;
	errno = EAGAIN;
	if (udp->inet && udp->turn)
		got = inet_receive(fd, message, flags);
	if (got >= 0 || errno != EAGAIN)
		return got;
	if (udp->start < udp->end || links_read(udp))
		return record_give(udp, message, flags);
	if (udp->inet && !udp->turn)
		return inet_receive(fd, message, flags);
	errno = EAGAIN;
	return udp->shut & SHUT_READ ? 0 : -1;
}

/* What is there now. -1 with EAGAIN when nothing is: then wait_end() must follow. */
static ssize_t receive_now(struct udp *udp, int fd, struct msghdr *message, int flags, struct wait *wait)
{
	ssize_t got;
	int error;

	if (!udp_lock(udp))
		return fail(EAGAIN);
	got = receive_locked(udp, fd, message, flags);
	error = errno;
	udp_tell(udp);
	/* From here on, and with the lock: another thread that reads ahead would empty the links unnoticed. */
	wait->told = got < 0 && error == EAGAIN && !(flags & MSG_DONTWAIT);
	if (wait->told)
		__atomic_fetch_add(&udp->waiting, 1, __ATOMIC_RELAXED);
	wait->fds[0] = (struct pollfd){.fd = udp->aggregate, .events = POLLIN};
	wait->fds[1] = (struct pollfd){.fd = fd, .events = POLLIN};
	wait->count = udp->inet ? 2 : 1;
	wait->limit = udp->receive_limit;
	udp_unlock(udp);
	errno = error;
	return got;
}

static void wait_end(struct udp *udp, struct wait *wait)
{
	if (wait->told)
		udp_wait_end(udp);
	wait->told = false;
}

/* 0 when something may have come, else -1 with EAGAIN (the time is over), or EINTR. */
static int receive_wait(struct wait *wait, int64_t until)
{
	int64_t left = until ? until - clock_ms() : 0;
	struct timespec time = {left / 1000, left % 1000 * 1000000};
	int got;

	if (until && left <= 0)
		return fail(EAGAIN);
	got = REAL(ppoll)(wait->fds, wait->count, until ? &time : NULL, NULL);
	if (got == 0)
		return fail(EAGAIN);
	/* A restarted call has not ended (signal(7)); with a time limit it is not restarted. */
	if (got < 0 && errno == EINTR && !until && handlers_restart())
		return 0;
	return got < 0 ? -1 : 0;
}

ssize_t udp_receive(struct udp *udp, int fd, struct msghdr *message, int flags)
{
	int64_t until = 0;
	int saved = errno;
	bool first = true;
	struct wait wait = {.count = 0};

	if (flags & MSG_ERRQUEUE)
		return REAL(recvmsg)(fd, message, flags);
	if (message->msg_iovlen > IOV_MAX)
		return fail(EMSGSIZE);
	for (;; first = false) {
		ssize_t got = receive_now(udp, fd, message, flags, &wait);

		if (got >= 0)
			errno = saved;
		if (got >= 0 || errno != EAGAIN || flags & MSG_DONTWAIT || !wait.count)
			return got;
		if (first && REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK) {
			wait_end(udp, &wait);
			return fail(EAGAIN);
		}
		if (first && wait.limit)
			until = clock_ms() + wait.limit;
		got = receive_wait(&wait, until);
		wait_end(udp, &wait);
		if (got < 0)
			return -1;
		if (udp_find(fd) != udp)
			return fail(EBADF);
	}
}

/* Tells what is left of it: of a millisecond that has begun, nothing. */
static bool time_is_over(struct timespec *timeout, int64_t until)
{
	int64_t left = until - clock_ms() - 1;

	if (left < 0)
		left = 0;
	*timeout = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	return left == 0;
}

int udp_receive_many(struct udp *udp, int fd, struct mmsghdr *messages, unsigned count, int flags,
		     struct timespec *timeout)
{
	int64_t until = timeout ? clock_ms() + timeout->tv_sec * INT64_C(1000) + timeout->tv_nsec / 1000000 : 0;
	unsigned i;

	if (timeout && (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec > 999999999))
		return fail(EINVAL);
	if (count > IOV_MAX)
		count = IOV_MAX;
	for (i = 0; i < count; i++) {
		ssize_t got = udp_receive(udp, fd, &messages[i].msg_hdr, flags & ~MSG_WAITFORONE);

		if (got < 0)
			return i ? (int)i : -1;
		messages[i].msg_len = (unsigned)got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout && time_is_over(timeout, until))
			return (int)i + 1;
	}
	return (int)i;
}
