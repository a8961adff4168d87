/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that programs make too often to pay for us: each is one jump to wherever its slot points. */
#ifndef IP2VSOCK_HOT_H
#define IP2VSOCK_HOT_H

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "preload/hooks.h"
#include "preload/internal.h"

/*
 * A slot points at first to a function that looks for libc's, then to libc's, and after hot_udp() to one that knows of
 * UDP sockets of ours. All of them are as async-signal-safe as the call, and recv and send have theirs behind hooks.
 */
#define HOT_POLL_CALLS(CALL)                                                                                        \
	CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))                    \
	CALL(int, ppoll, (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask), \
	     (fds, count, timeout, mask))                                                                           \
	CALL(int, __poll_chk, (struct pollfd * fds, nfds_t count, int timeout, size_t room),                        \
	     (fds, count, timeout, room))                                                                           \
	CALL(int, __ppoll_chk, (struct pollfd * fds, nfds_t count, const struct timespec *timeout,                  \
				const sigset_t *mask, size_t room), (fds, count, timeout, mask, room))
#define HOT_SELECT_CALLS(CALL)                                                                                     \
	CALL(int, select, (int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,           \
			   struct timeval *restrict timeout), (count, in, out, except, timeout))                    \
	CALL(int, pselect, (int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,          \
			    const struct timespec *restrict timeout, const sigset_t *restrict mask),                \
	     (count, in, out, except, timeout, mask))
#define HOT_EPOLL_CALLS(CALL)                                                                                       \
	CALL(int, epoll_wait, (int epfd, struct epoll_event *events, int most, int timeout),                        \
	     (epfd, events, most, timeout))                                                                         \
	CALL(int, epoll_pwait, (int epfd, struct epoll_event *events, int most, int timeout, const sigset_t *mask), \
	     (epfd, events, most, timeout, mask))                                                                   \
	CALL(int, epoll_pwait2, (int epfd, struct epoll_event *events, int most, const struct timespec *timeout,    \
				 const sigset_t *mask), (epfd, events, most, timeout, mask))
#define HOT_BYTE_CALLS(CALL)                                                                                        \
	CALL(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))                                    \
	CALL(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))                    \
	CALL(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))                             \
	CALL(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))                   \
	CALL(ssize_t, __read_chk, (int fd, void *data, size_t size, size_t room), (fd, data, size, room))
#define HOT_MESSAGE_CALLS(CALL)                                                                                     \
	CALL(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))                  \
	CALL(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
#define HOT_WAIT_CALLS(CALL) HOT_POLL_CALLS(CALL) HOT_SELECT_CALLS(CALL) HOT_EPOLL_CALLS(CALL)
#define HOT_CALLS(CALL) HOT_WAIT_CALLS(CALL) HOT_BYTE_CALLS(CALL) HOT_MESSAGE_CALLS(CALL)

struct hot_calls {
#define CALL(type, name, parameters, arguments) type(*name) parameters;
	HOT_CALLS(CALL)
#undef CALL
};

extern struct hot_calls hot_calls INTERNAL;

/* The function that a call goes to now. */
#define HOT(name) __atomic_load_n(&hot_calls.name, __ATOMIC_RELAXED)

/* HOT_HOOK(type, name, parameters, arguments): the exported function. */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define HOT_HOOK(type, name, parameters, arguments)                                                                 \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wunused-parameter\"")                     \
	__attribute__((naked)) type name parameters                                                                 \
	{                                                                                                           \
		__asm__("jmpq *hot_calls+%c0(%%rip)" : : "i"(offsetof(struct hot_calls, name)));                    \
	}                                                                                                           \
	_Pragma("GCC diagnostic pop")
#else
#define HOT_HOOK(type, name, parameters, arguments) \
	type name parameters                        \
	{                                           \
		return HOT(name) arguments;         \
	}
#endif

/* Finds libc's functions for all slots that have none yet. */
void hot_bind_all(void);

/* There is a UDP socket: from now on the calls ask whether it is one of ours, or may become one while they wait.
 * Nothing is changed by doing so twice, or by two threads at once. */
void hot_udp(void);

/* What the slots point to then. */
#define CALL(type, name, parameters, arguments) type hot_udp_##name parameters;
HOT_CALLS(CALL)
#undef CALL

#endif
