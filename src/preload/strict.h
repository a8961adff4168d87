/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is refused because no rule can name it, where everything is refused that no rule names (`default reject`). */
#ifndef IP2VSOCK_STRICT_H
#define IP2VSOCK_STRICT_H

#include "preload/init.h"

/*
 * False where the default is to leave alone, which is all that this costs there. True also before the settings are
 * loaded; the functions below load them if they need to.
 */
static inline bool strict_may_be(void)
{
	const struct settings *now = __atomic_load_n(&settings_now, __ATOMIC_ACQUIRE);

	return __builtin_expect(!now || now->strict, 0);
}

/* All of these but one are 0 when the call may go on, else -1 with errno. */

/* socket(2) of what is neither TCP nor UDP: EACCES where its packets could leave this machine. */
int strict_socket(int domain, int type, int protocol);

/* A descriptor that is neither TCP nor UDP, and not retargeted: true, with *target to say no, when it could send packets. */
bool strict_target(int fd, enum rule_direction direction, struct target *target);

/* An address that goes to the kernel as it is, by a call that sends or connects: 0 when it may. */
int strict_address(const char *call, int fd, const void *sa, socklen_t len);

/* listen(2), of which the rules were asked by what is known of the number, if at all: the kernel tells what is behind it. */
int strict_listen(int fd);

/* bindresvport(3), to 0.0.0.0 where sa is NULL. */
int strict_bind(int fd, const struct sockaddr_in *sa);

/* setsockopt(2): to join a group is told to its routers. */
int strict_option(int fd, int level, int option, const void *value, socklen_t size);

#endif
