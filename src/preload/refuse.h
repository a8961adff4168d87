/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attempts that are refused: counted, told, and answered. */
#ifndef IP2VSOCK_REFUSE_H
#define IP2VSOCK_REFUSE_H

#include "preload/init.h"

/*
 * Every attempt that the mapping refuses ends in one of these: it is counted for its rule, or the default, and one line at
 * info level tells of it. -1, with errno.
 */
int refuse(const char *call, int fd, const struct ip_addr *addr, const struct target *target);
/* By the default, and without an address: on a descriptor, and with what stands between the parentheses of the line. */
int refuse_number(const char *call, int fd, int error);
int refuse_other(const char *call, const char *what, int error);
/* A name that nobody but the network may know. errno is preserved. */
void refuse_name(const char *call, const char *name);

/* The errno of the default for calls of this direction; where the mapping cannot be used, what every call gets. */
int refusal_error(enum rule_direction direction);

#endif
