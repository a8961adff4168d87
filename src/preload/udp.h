/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UDP sockets whose datagrams to mapped addresses are carried by connections. */
#ifndef IP2VSOCK_UDP_H
#define IP2VSOCK_UDP_H

#include <sys/epoll.h>

#include "preload/decide.h"
#include "preload/internal.h"

/*
 * The program's descriptor stays the UDP socket that it is: it keeps its options, its flags, its readiness for
 * writing and its way to addresses that no rule matches. Beside it there are, on descriptors of our own,
 *	a listener	 where peers connect to,
 *	links		 connections to peers, each of which carries records (ip2vsock/dgram.h),
 *	an aggregate	 an epoll instance over them, readable when something may have come.
 * struct udp is what is known of all this; it never leaves the process. Structs are never unmapped: a thread
 * that waited may look at one after another thread closed the socket.
 */
struct udp;
struct udp_table;

/* NULL until the first UDP socket of this process has a mapped address. */
extern struct udp_table *udp_table INTERNAL;

struct udp *udp_find(int fd);

/* SO_COOKIE of its socket, which tells it from another one that has got its number. */
uint64_t udp_cookie(const struct udp *udp);

/* The struct of a descriptor, or NULL for one that is none of these. */
static inline struct udp *udp_get(int fd)
{
	return __builtin_expect(__atomic_load_n(&udp_table, __ATOMIC_ACQUIRE) != NULL, 0) ? udp_find(fd) : NULL;
}

/* The same for calls that take any descriptor, not only sockets: makes sure that fd is still this socket. */
struct udp *udp_here(int fd);

/* --- addresses. All return 0, or -1 with the errno that UDP gives. */

/* bind(2) to an address that a listen rule matches. EADDRINUSE, EACCES, EINVAL (bound), ENOBUFS. */
int udp_bind(int fd, const struct socket_state *state, const struct ip_addr *addr, const struct target *target);

/* True when it has a port already. */
bool udp_is_bound(int fd);

/* connect(2) to an address that a connect rule matches. Nothing is sent, and nobody need listen. */
int udp_connect(int fd, const struct socket_state *state, const struct ip_addr *addr, const struct target *target);

/* connect(2) to another address, or to AF_UNSPEC: the peer is forgotten, and the kernel's socket does the rest. */
void udp_disconnect(struct udp *udp, int fd);

/* What getsockname(2) and getpeername(2) show. False: the kernel's answer is right (ENOTCONN). */
bool udp_local_name(struct udp *udp, struct ip_addr *out);
bool udp_peer_name(struct udp *udp, struct ip_addr *out);

/* shutdown(2) of a connected one. -1 with ENOTCONN when it is not connected. */
int udp_shutdown(struct udp *udp, int how);

/*
 * Where a datagram to addr goes: what a rule says, or the CID that addr stands for. False when the kernel sends it. With
 * TARGET_REJECT in *target state is not looked at.
 */
bool udp_target(int fd, const struct ip_addr *addr, struct socket_state *state, struct target *target);

/* The same where no rule says so: addr is somebody's that this socket has heard of. */
bool udp_target_known(struct udp *udp, int fd, const struct ip_addr *addr, struct socket_state *state,
		      struct target *target);

/* --- data */

/*
 * What becomes of a datagram that a program sends: to message->msg_name, or to the peer. True when it is for a mapped
 * address (or one that stands for a CID, or one that a datagram came from): then *sent is the result, with errno, and
 * the kernel must not see the call. Creates the struct of fd when there is none yet. False: not ours, nothing done.
 * Never waits for longer than it takes to reach a peer, or to see that there is none; what finds no room is lost.
 */
bool udp_send(int fd, const struct msghdr *message, int flags, ssize_t *sent);

/* recvmsg(2), whole: from links and from the kernel's socket; O_NONBLOCK, MSG_DONTWAIT, SO_RCVTIMEO, signals as there. */
ssize_t udp_receive(struct udp *udp, int fd, struct msghdr *message, int flags);

/* recvmmsg(2). The time is looked at when a datagram has come, as by the kernel; what is left of it is told. */
int udp_receive_many(struct udp *udp, int fd, struct mmsghdr *messages, unsigned count, int flags,
		     struct timespec *timeout);

/* FIONREAD: the size of the next datagram, 0 when there is none. */
int udp_next_size(struct udp *udp, int fd);

/* SO_ERROR: the error that waits, which is forgotten then; 0 when there is none. */
int udp_error_take(struct udp *udp);

/* An option was set on fd: what is remembered of options is asked again. */
void udp_options_changed(struct udp *udp, int fd);

/* --- waiting, for poll(2), select(2) and epoll(7) */

/*
 * A thread is about to wait: returns an epoll descriptor that is readable when something may have come, for poll(2)
 * beside fd itself. *known: what udp_events() would say without a look. Other threads that read ahead tell it until udp_wait_end().
 */
int udp_wait_begin(struct udp *udp, int *known);
void udp_wait_end(struct udp *udp);

/*
 * What is true of the links now, of POLLIN, POLLERR, POLLRDHUP|POLLHUP (after udp_shutdown): looks, without waiting,
 * whether a whole datagram is there to be received. The kernel's socket is not asked: POLLOUT, and POLLIN for what
 * comes from the network, are its own.
 */
int udp_events(struct udp *udp, int fd);

/* epoll_ctl(2) for fd, a number of the socket: its aggregate is registered beside it. */
int udp_watch(struct udp *udp, int epfd, int op, int fd, struct epoll_event *event);

/* Takes those out of the events of an instance that are of an aggregate and for nothing; returns how many are left. */
int udp_watched(int epfd, struct epoll_event *events, int count);

/* --- numbers */

/* fd is about to be closed, or to become something else. The last number of a socket closes all that is beside it. False
 * in a child of vfork, whose descriptors are copies while its memory is its parent's: nothing may be forgotten. */
bool udp_drop(int fd);
/* copy is now another number of the socket fd. */
void udp_share(int fd, int copy);

#endif
