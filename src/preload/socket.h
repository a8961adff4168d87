/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What connect and bind ask of sockets and do to them, on whatever transport. */
#ifndef IP2VSOCK_SOCKET_H
#define IP2VSOCK_SOCKET_H

#include "ip2vsock/transport.h"

/* Sets errno and returns -1. */
int fail(int error);

/* An option of type int; 0 when the socket does not have it. */
int option_int(int fd, int level, int option);

/* bind(2) to an endpoint. */
int bind_endpoint(int fd, const struct transport *transport, const struct endpoint *to);

/*
 * Binds to a port that fits sin_port, chosen by us: the kernel's own choice is beyond 65535, and its port 0 is
 * a real port. Where all tries are taken the kernel chooses after all, and the peer sees a stand-in. Fills
 * to->port. -1 with errno of bind(2).
 */
int bind_ephemeral(int fd, const struct transport *transport, struct endpoint *to);

/* An abstract name of the kernel's choice for a unix socket (unix(7), autobind). */
int name_any(int fd);

/*
 * A connection to a listener of this machine that is closed at once, for a thread that waits there. Does not wait itself.
 * Without a road to this machine's own listeners (vsock_loopback, or an own CID) nobody is woken. `sa` is its name.
 */
void listener_wake(const struct transport *transport, const struct sockaddr_storage *sa, socklen_t len);
/* True for an accepted connection that listener_wake() made, and for one whose other end has gone already. */
bool is_wake(const struct transport *transport, int fd);

/* The state of a TCP socket (the first byte of struct tcp_info), e.g. TCP_CLOSE. */
int tcp_state(int fd);

/* Where an AF_INET(6) socket is bound. False when it is not. */
bool inet_bound(int fd, struct ip_addr *out);

/* getpeername(2) knows a peer. */
bool is_connected(int fd);

/* Unix sockets have no ports for the privileged, and datagrams are carried by other ports: TCP is asked, on a socket that
 * goes away at once. True when bind(2) to the port is for the privileged (ip_unprivileged_port_start). */
bool port_forbidden(uint16_t port);

#endif
