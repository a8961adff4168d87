/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the hook files need of each other. */
#ifndef IP2VSOCK_HOOKS_H
#define IP2VSOCK_HOOKS_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "ip2vsock/addr.h"

/* A function that programs call instead of libc's; the library is built with everything else hidden. */
#define HOOK __attribute__((visibility("default")))

#define UNUSED __attribute__((unused))

/* Another exported name of a hook in the same file. */
#if __has_attribute(copy)
#define HOOK_ALIAS(name, of) HOOK extern __typeof__(of) name __attribute__((alias(#of), copy(of)));
#else
#define HOOK_ALIAS(name, of) HOOK extern __typeof__(of) name __attribute__((alias(#of)));
#endif

/* glibc declares them for fortified programs only, or not for this architecture. */
int __recvmmsg64(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);
ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);
int epoll_pwait2(int epfd, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask);
ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict data, size_t size, size_t room, int flags,
		       struct sockaddr *restrict from, socklen_t *restrict len);

/* What programs built for glibc before 2.34 call res_query and its kin; headers that have the others do not have these. */
struct __res_state;
int __res_query(const char *name, int class, int type, unsigned char *answer, int size);
int __res_search(const char *name, int class, int type, unsigned char *answer, int size);
int __res_querydomain(const char *name, const char *domain, int class, int type, unsigned char *answer, int size);
int __res_send(const unsigned char *query, int length, unsigned char *answer, int size);
int __res_nquery(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int size);
int __res_nsearch(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int size);
int __res_nquerydomain(struct __res_state *state, const char *name, const char *domain, int class, int type,
		       unsigned char *answer, int size);
int __res_nsend(struct __res_state *state, const unsigned char *query, int length, unsigned char *answer, int size);

/* False for what cannot be a pointer: the kernel judges it, nobody follows it before. */
static inline bool is_pointer(const void *pointer)
{
	return (uintptr_t)pointer - 4096 <= UINTPTR_MAX - 8192;
}

/* What a caller's value-result length says before the call; 0 where it cannot be read. */
static inline socklen_t room_of(const void *value, const socklen_t *len)
{
	return value && is_pointer(len) ? *len : 0;
}

/* connect(2) to AF_UNSPEC. */
int hook_disconnect(int fd, const struct sockaddr *sa, socklen_t len);
/* connect(2) to an address that was read from sa, len. */
int hook_connect(int fd, const struct ip_addr *addr, const struct sockaddr *sa, socklen_t len);

#endif
