/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that connect on another transport, in place of the program's. */
#ifndef IP2VSOCK_CLIENT_H
#define IP2VSOCK_CLIENT_H

#include "preload/decide.h"

/*
 * A socket like fd on a transport, bound and marked. `source` is where fd is bound, or NULL. It is non-blocking where the
 * transport greets, and with SOCK_NONBLOCK as type; else as fd is. -1 with an errno that connect(2) of TCP has.
 */
int client_make(int fd, const struct socket_state *state, const struct transport *transport, const struct mark *mark,
		const struct ip_addr *source, const struct rule_options *rule, int type);

/* Keeps what the program bound in the socket, as getsockname will show it after connect. */
void source_keep(int made, const struct ip_addr *source);

#endif
