/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words that begin a connection through the unix socket of a virtual machine monitor. */
#ifndef IP2VSOCK_GREET_H
#define IP2VSOCK_GREET_H

#include "ip2vsock/transport.h"

/* transport.h says what is said. */
struct greeting {
	bool asked;   /* the request is sent */
	uint8_t have;
	char line[GREETING_SIZE]; /* as much as has come of the answer */
};

/* Sends the request. 0, or the errno of a connect that was refused. */
int greet_begin(int fd, uint32_t port, struct greeting *greeting);

/* Takes the answer, not one byte more, as far as it has come: 0, EAGAIN while there is more to come, or ECONNREFUSED; what
 * came instead is in the line then. */
int greet_go_on(int fd, struct greeting *greeting);

#endif
