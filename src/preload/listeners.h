/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who listens on this machine. */
#ifndef IP2VSOCK_LISTENERS_H
#define IP2VSOCK_LISTENERS_H

#include "preload/init.h"

/*
 * True when connections to that endpoint come to a stream listener of this machine and network namespace, as the
 * kernel's list of sockets tells (sock_diag(7), CONFIG_VSOCKETS_DIAG). False when there is none, when the
 * endpoint is elsewhere, and when nobody can tell. Binding a socket of our own would tell as well, but
 * take the port from a server that starts just then. errno is preserved.
 */
bool listener_exists(const struct transport *transport, const struct endpoint *to);

#endif
