/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that nobody knows, and the addresses they may get. */
#ifndef IP2VSOCK_CORE_INVENT_H
#define IP2VSOCK_CORE_INVENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define NAME_LENGTH_MAX 253 /* of a host name, without a dot at its end (RFC 1035) */

/* Whether a name, in lower case and without its final dot, is one that DNS could have answered: a host
 * name by its letters, no spelling of an address, and none that never leads to another machine. */
bool name_may_be_invented(const char *name, size_t length);

/* The IPv4 stand-in of a name (v4-mapped) as an IPv6 address: fd69:7032:7673:1::/96 and its four bytes. */
struct in6_addr ip_invented(const struct in6_addr *v4);
bool ip_is_invented(const struct in6_addr *ip);

#endif
