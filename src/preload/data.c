/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams of other domains made to speak as TCP does where flags and failures are concerned. */
#include "preload/decide.h"
#include "preload/data.h"
#include "preload/hooks.h"
#include "preload/mark.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

/* --- failures */

enum connection {
	CONNECTION_NONE,    /* never made */
	CONNECTION_ATTEMPT, /* in progress */
	CONNECTION_FAILED,  /* the error waits in SO_ERROR */
	CONNECTION_ENDED,   /* on both sides */
};

/* Why a socket of ours has no connection: the kernel's events tell (vsock_poll, unix_poll). */
static enum connection connection_look(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	if (poll(&poll_fd, 1, 0) == 0) /* so it is with a listener that nobody has come to */
		return option_int(fd, SOL_SOCKET, SO_ACCEPTCONN) ? CONNECTION_NONE : CONNECTION_ATTEMPT;
	if (poll_fd.revents & POLLERR)
		return CONNECTION_FAILED;
	return poll_fd.revents & POLLRDHUP ? CONNECTION_ENDED : CONNECTION_NONE;
}

static bool waits(int fd, int flags)
{
	return !(flags & MSG_DONTWAIT) && !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
}

/* The attempt of a blocking socket that a signal interrupted goes on, and TCP waits for it as connect would. */
static ssize_t attempt_outcome(int fd, int flags)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	if (!waits(fd, flags))
		return fail(EAGAIN);
	return REAL(poll)(&poll_fd, 1, -1) < 0 ? -1 : DATA_AGAIN;
}

static ssize_t attempt_error(int fd)
{
	int error = option_int(fd, SOL_SOCKET, SO_ERROR);

	return error ? fail(error_of_connect(error)) : DATA_AGAIN;
}

ssize_t receive_failed(int fd, int flags)
{
	int error = errno;
	struct mark mark;

	if ((error != ENOTCONN && error != EINVAL && error != ENOMEM && error != ECONNRESET && error != ENODEV) ||
	    !mark_find(fd, &mark)) {
		errno = error;
		return -1;
	}
	if (error == ECONNRESET || error == ENODEV) /* recvmmsg takes the error of an attempt out of SO_ERROR */
		return fail(is_connected(fd) ? error : error_of_connect(error));
	if (error == ENOMEM) /* AF_VSOCK of Linux 6.1: so it calls a bad address */
		return fail(EFAULT);
	switch (connection_look(fd)) {
	case CONNECTION_ATTEMPT:
		return attempt_outcome(fd, flags);
	case CONNECTION_FAILED:
		return attempt_error(fd);
	case CONNECTION_ENDED:
		return 0;
	default:
		/* After the error of an attempt was told there is nothing to read. */
		return mark.kind == MARK_PEER ? 0 : fail(ENOTCONN);
	}
}

/* To this thread, as the kernel does it. */
static void pipe_signal(void)
{
	REAL(syscall)(SYS_tgkill, getpid(), REAL(syscall)(SYS_gettid), SIGPIPE);
}

/*
 * AF_VSOCK raises SIGPIPE since some kernel between 6.1 and 6.12. What this one does is seen when a send that
 * fails is repeated with the signal blocked, once in a process. A signal that waits already tells nothing, but
 * then one more makes no difference either.
 */
static bool kernel_signals(int fd)
{
	static int known; /* 1: no, 2: yes */
	sigset_t pipe_set, before, pending;
	bool waiting;
	int now = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (now)
		return now == 2;
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_set, &before);
	sigpending(&pending);
	waiting = sigismember(&pending, SIGPIPE);
	if (!waiting) {
		REAL(send)(fd, "", 1, MSG_DONTWAIT);
		sigpending(&pending);
		now = sigismember(&pending, SIGPIPE) ? 2 : 1;
		__atomic_store_n(&known, now, __ATOMIC_RELAXED);
		if (now == 2)
			sigtimedwait(&pipe_set, NULL, &(struct timespec){0, 0});
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return waiting || now == 2;
}

static ssize_t pipe_broken(int flags, bool signalled)
{
	if (!(flags & MSG_NOSIGNAL) && !signalled)
		pipe_signal();
	return fail(EPIPE);
}

ssize_t send_failed(int fd, int flags)
{
	int error = errno;
	const struct transport *transport;
	struct mark mark;

	if (error == EPIPE && flags & MSG_NOSIGNAL)
		return -1;
	if ((error != EPIPE && error != ENOTCONN && error != ENOMEM) || !(transport = mark_find(fd, &mark))) {
		errno = error;
		return -1;
	}
	if (error == ENOMEM)
		return fail(EFAULT);
	if (error == EPIPE)
		return pipe_broken(flags, transport != &transport_vsock || kernel_signals(fd));
	switch (connection_look(fd)) {
	case CONNECTION_ATTEMPT:
		return attempt_outcome(fd, flags);
	case CONNECTION_FAILED:
		return attempt_error(fd);
	default:
		return pipe_broken(flags, false);
	}
}

/* --- flags */

/* Room for a megabyte that nobody wants. */
#define PARTS 64u

struct want {
	const struct msghdr *message;
	size_t size;
	bool discard;
};

static size_t message_size(const struct msghdr *message)
{
	size_t size = 0;

	for (size_t i = 0; i < message->msg_iovlen; i++)
		size += message->msg_iov[i].iov_len;
	return size < SSIZE_MAX ? size : SSIZE_MAX;
}

/* Where the bytes after the first `done` go, as far as the parts reach; at most up to `size`. */
static size_t parts_fill(const struct want *want, size_t done, size_t size, struct iovec parts[PARTS])
{
	size_t count = 0, at = done, vector = 0;

	if (want->discard) {
		char *scratch = remembered_get()->scratch;

		for (; count < PARTS && at < size; at += SCRATCH_SIZE)
			parts[count++] = (struct iovec){
				scratch, size - at < SCRATCH_SIZE ? size - at : SCRATCH_SIZE};
		return count;
	}
	for (size_t from = 0; count < PARTS && at < size; vector++) {
		const struct iovec *iov = &want->message->msg_iov[vector];
		size_t end = from + iov->iov_len;

		if (at < end) {
			size_t length = (end < size ? end : size) - at;

			parts[count++] = (struct iovec){(char *)iov->iov_base + (at - from), length};
			at += length;
		}
		from = end;
	}
	return count;
}

/* One call for the bytes from `done` to `size`. Control data arrives with the first. */
static ssize_t receive_parts(int fd, struct msghdr *message, const struct want *want, size_t done, size_t size,
			     int flags)
{
	struct iovec parts[PARTS];
	struct msghdr part = {.msg_iov = parts};
	ssize_t got;

	if (done == 0)
		part = (struct msghdr){.msg_name = message->msg_name,
				       .msg_namelen = message->msg_namelen,
				       .msg_iov = parts,
				       .msg_control = message->msg_control,
				       .msg_controllen = message->msg_controllen};
	part.msg_iovlen = parts_fill(want, done, size, parts);
	got = REAL(recvmsg)(fd, &part, flags);
	if (got >= 0 && done == 0) {
		message->msg_namelen = part.msg_namelen;
		message->msg_controllen = part.msg_controllen;
		message->msg_flags = part.msg_flags;
	}
	return got;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When SO_RCVTIMEO is over for a call that begins now; 0 when it is not set. */
static int64_t patience_end(int fd)
{
	struct timeval patience = {0, 0};
	socklen_t size = sizeof patience;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, &size);
	return patience.tv_sec || patience.tv_usec
		       ? now_ms() + (int64_t)patience.tv_sec * 1000 + patience.tv_usec / 1000 + 1
		       : 0;
}

static bool more_comes(int fd, int64_t end)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLRDHUP};
	int64_t left = end ? end - now_ms() : -1;

	if (end && left <= 0)
		return false;
	return REAL(poll)(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left) == 1;
}

/* Part by part. With the first bytes a signal, an error, or the end of patience make a smaller result. */
static ssize_t receive_all(int fd, struct msghdr *message, const struct want *want, int flags)
{
	int64_t end = patience_end(fd);
	size_t done = 0;
	int saved = errno;

	while (done < want->size) {
		ssize_t got = receive_parts(fd, message, want, done, want->size, done ? flags | MSG_DONTWAIT : flags);

		if (got < 0 && done == 0)
			return -1;
		if (got < 0 && errno == EAGAIN && waits(fd, flags) && more_comes(fd, end))
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	errno = saved;
	return (ssize_t)done;
}

/* As much as the transport can wait for, then what is there. */
static ssize_t peek_all(int fd, struct msghdr *message, const struct want *want, int flags)
{
	size_t size = want->size;
	ssize_t got = -1;

	errno = ENOMEM;
	while (got < 0 && errno == ENOMEM && size > 1) {
		size /= 2;
		got = receive_parts(fd, message, want, 0, size, flags | MSG_WAITALL);
	}
	return got <= 0 ? got : receive_parts(fd, message, want, 0, want->size, flags | MSG_DONTWAIT);
}

/* AF_VSOCK has no way to wait for as much as its buffer holds: ENOMEM. */
static ssize_t receive_want(int fd, struct msghdr *message, struct want *want, int flags)
{
	ssize_t got;

	if (!want->discard)
		got = REAL(recvmsg)(fd, message, flags);
	else if (flags & MSG_WAITALL && !(flags & MSG_PEEK))
		return receive_all(fd, message, want, flags & ~MSG_WAITALL);
	else
		got = receive_parts(fd, message, want, 0, want->size, flags);
	if (got < 0 && errno == ENOMEM && flags & MSG_WAITALL) {
		struct mark mark;

		if (!want->discard && !mark_find(fd, &mark))
			return fail(ENOMEM);
		want->size = message_size(message);
		flags &= ~MSG_WAITALL;
		return flags & MSG_PEEK ? peek_all(fd, message, want, flags) : receive_all(fd, message, want, flags);
	}
	return got;
}

ssize_t receive_flagged(int fd, struct msghdr *message, int flags)
{
	struct want want = {.message = message};
	struct mark mark;
	ssize_t got;

	if (flags & (MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE) && mark_find(fd, &mark)) {
		/* A vsock that copies nothing has a queue of notices. */
		if (flags & MSG_ERRQUEUE && !option_int(fd, SOL_SOCKET, SO_ZEROCOPY))
			return fail(EAGAIN);
		if (flags & MSG_OOB)
			return fail(EINVAL);
		want.discard = flags & MSG_TRUNC && !(flags & MSG_ERRQUEUE) && is_pointer(message->msg_iov) &&
			       remembered_get();
	}
	if (want.discard)
		want.size = message_size(message);
	do {
		got = receive_want(fd, message, &want, flags);
		if (got < 0)
			got = receive_failed(fd, flags);
	} while (got == DATA_AGAIN);
	return got;
}

/* SO_ZEROCOPY was accepted by TCP before the swap, and this kernel's transport has none. */
static bool notices_are_lost(int fd)
{
	struct note note;
	const void *value;
	socklen_t size;
	int on = 0;

	note_get(fd, &note);
	value = note_option_get(&note, SOL_SOCKET, SO_ZEROCOPY, &size);
	if (value)
		memcpy(&on, value, sizeof on);
	return on && !option_int(fd, SOL_SOCKET, SO_ZEROCOPY);
}

bool send_allowed(int fd, int flags)
{
	struct mark mark;
	int saved = errno;

	if (!(flags & (MSG_OOB | MSG_ZEROCOPY)) || !mark_find(fd, &mark))
		return true;
	if (flags & MSG_OOB) {
		errno = EOPNOTSUPP;
		return false;
	}
	if (notices_are_lost(fd)) {
		errno = ENOBUFS;
		return false;
	}
	errno = saved;
	return true;
}

void received_descriptors(const struct msghdr *message)
{
	struct msghdr whole = *message;

	for (struct cmsghdr *item = CMSG_FIRSTHDR(&whole); item; item = CMSG_NXTHDR(&whole, item)) {
		size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
			hint_clear(fd);
		}
	}
}
