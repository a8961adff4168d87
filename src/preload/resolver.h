/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom the C library may ask for names: DNS, and other services, are asked by calls inside of it that no hook sees. */
#ifndef IP2VSOCK_RESOLVER_H
#define IP2VSOCK_RESOLVER_H

#include <netinet/in.h>
#include <stdbool.h>

enum resolver {
	RESOLVER_OPEN,	/* whomever it likes */
	RESOLVER_FILES, /* it reads files and asks nobody: it was told so */
	RESOLVER_SHUT,	/* it takes no orders (musl): it is asked for numbers alone, and hosts(5) is read here */
};

/* What holds for this process. Where nothing may leave that no rule names the C library is told, once. errno is preserved. */
enum resolver resolver_hosts(void);
enum resolver resolver_networks(void);

/* True for what the C library takes for an address, not a name. */
bool name_is_number(const char *name);

/* For RESOLVER_SHUT: the n-th address (0 is the first) of the family, or of any (AF_UNSPEC), that hosts(5) has for a name; false
 * after the last. */
bool hosts_file_name(const char *name, int family, unsigned n, struct in6_addr *out);

/* The first name that hosts(5) has for an address. */
#define HOSTS_NAME_SIZE 256
bool hosts_file_address(const struct in6_addr *ip, char name[HOSTS_NAME_SIZE]);

#endif
