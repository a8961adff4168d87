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
		if (part)
			memcpy(message->msg_iov[i].iov_base, data + given, part);
		given += part;
	}
	return given;
}

/* The address that the datagram came to, for IP_PKTINFO. */
static void control_give(struct udp *udp, struct msghdr *message)
{
	struct endpoint peer = {.cid = VMADDR_CID_ANY};
	struct link *link = link_find(udp, &udp->from);
	struct ip_addr to;

	if (link)
		peer = link->to;
	udp_show_local(udp, &udp->from, &peer, &to);
	udp_control_write(udp->control, &to, message);
}

/* Another process was quicker. */
#define RECORD_GONE (-2)

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
	if (!(flags & MSG_PEEK) && !queue_take(udp, (uint32_t)(DGRAM_PREFIX_SIZE + size)))
		return RECORD_GONE;
	return (ssize_t)(flags & MSG_TRUNC ? size : given);
}

static ssize_t inet_receive(int fd, struct msghdr *message, int flags)
{
	return SYSTEM(recvmsg, fd, message, flags | MSG_DONTWAIT);
}

/* What to wait for where nothing has come, and what came of it. */
struct wait {
	int aggregate;
	bool inet;
	bool counted;	/* in udp->waiting */
	int64_t limit;	/* ms, 0 none */
	int ready;	/* how many of */
	struct epoll_event links[LINKS_AT_ONCE];
};

static bool records_come(struct udp *udp, const struct wait *wait)
{
	if (udp->start < udp->end)
		return true;
	return wait->ready ? links_hear(udp, wait->links, wait->ready) : links_read(udp);
}

static bool may_wait(int fd, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
}

static ssize_t receive_locked(struct udp *udp, int fd, struct msghdr *message, int flags, const struct wait *wait)
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
	while (records_come(udp, wait)) {
		struct msghdr before = *message;

		got = record_give(udp, message, flags);
		if (got != RECORD_GONE)
			return got;
		*message = before;
	}
	if (udp->inet && !udp->turn)
		return inet_receive(fd, message, flags);
	errno = EAGAIN;
	/* Who would wait gets an end, who does not hears what he always hears (__skb_recv_udp). */
	return udp->shut & SHUT_READ && may_wait(fd, flags) ? 0 : -1;
}

/* Who took something and came back for more than one will have to wait again: the look that finds nothing is saved. */
static bool waits_first(const struct udp *udp, int fd, int flags)
{
	return udp->quiet && !udp->missed && !udp->inet && !udp->error && !udp->shut && udp->start == udp->end &&
	       may_wait(fd, flags);
}

/* What is there now. -1 with EAGAIN when nothing is: then *wait is filled if it is to be waited for. */
static ssize_t receive_now(struct udp *udp, int fd, struct msghdr *message, int flags, struct wait *wait)
{
	bool first = !wait->counted;
	ssize_t got = -1;
	int error = EAGAIN;

	if (!udp_lock(udp))
		return fail(EAGAIN);
	if (!first)
		udp_wait_end(udp);
	if (udp->start == udp->end)
		links_recall(udp);
	wait->counted = first && waits_first(udp, fd, flags);
	if (!wait->counted) {
		got = receive_locked(udp, fd, message, flags, wait);
		error = errno;
		/* More than was waited for: there may be more the next time, too. */
		if (got >= 0 && udp->start < udp->end)
			udp->quiet = false;
		wait->counted = got < 0 && error == EAGAIN && (!first || may_wait(fd, flags));
	}
	__atomic_fetch_add(&udp->waiting, wait->counted, __ATOMIC_RELAXED);
	udp_tell(udp);
	wait->aggregate = udp->aggregate;
	wait->inet = udp->inet;
	wait->limit = udp->receive_limit;
	udp_unlock(udp);
	errno = error;
	return got;
}

/* 0 when something may have come, else -1 with EAGAIN (the time is over), or EINTR. */
static int receive_wait(struct wait *wait, int fd, int64_t until)
{
	int64_t left = until ? until - clock_ms() : -1;
	struct timespec time = {left / 1000, left % 1000 * 1000000};
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = wait->aggregate, .events = POLLIN}};
	int got;

	wait->ready = 0;
	if (until && left <= 0)
		return fail(EAGAIN);
	if (wait->inet)
		got = REAL(ppoll)(fds, 2, until ? &time : NULL, NULL);
	else
		got = wait->ready = REAL(epoll_wait)(wait->aggregate, wait->links, LINKS_AT_ONCE, left > INT_MAX ? INT_MAX : (int)left);
	if (got == 0)
		return fail(EAGAIN);
	if (got > 0)
		return 0;
	wait->ready = 0;
	/* A restarted call has not ended (signal(7)); with a time limit it is not restarted. */
	return errno == EINTR && !until && handlers_restart() ? 0 : -1;
}

/* What cannot be taken from the aggregate (a connection, without a descriptor for it) must not make us run in circles. */
#define FUTILE_MOST 64

static void rest(void)
{
	static const struct timespec pause[2] = {{0, 5000000}};

	SYSTEM(ppoll, NULL, 0, pause, NULL, 8);
}

ssize_t udp_receive(struct udp *udp, int fd, struct msghdr *given, int flags)
{
	struct msghdr plain = message_plain(given), *message = &plain;
	int64_t until = 0;
	int saved = errno, error;
	unsigned futile = 0;
	struct wait wait;

	if (flags & MSG_ERRQUEUE)
		return REAL(recvmsg)(fd, given, flags);
	if (message->msg_iovlen > IOV_MAX)
		return fail(EMSGSIZE);
	if (message->msg_name && message->msg_namelen > INT_MAX)
		return fail(EINVAL);
	wait.counted = false;
	wait.ready = 0;
	for (;;) {
		ssize_t got = receive_now(udp, fd, message, flags, &wait);

		if (got >= 0) {
			*given = plain;
			errno = saved;
		}
		if (!wait.counted)
			return got;
		if (wait.limit && !until)
			until = clock_ms() + wait.limit;
		if (++futile % FUTILE_MOST == 0)
			rest();
		if (receive_wait(&wait, fd, until) < 0 || udp_find(fd) != udp)
			break;
	}
	error = udp_find(fd) != udp ? EBADF : errno;
	udp_wait_end(udp);
	return fail(error);
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
