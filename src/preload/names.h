/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the mapping says of names and addresses, and the answers made of it. */
#ifndef IP2VSOCK_NAMES_H
#define IP2VSOCK_NAMES_H

#include "preload/init.h"

#include <netdb.h>

/* The rules, or NULL: every name is libc's business. */
const struct rules *names_rules(void);

/* rules_invent_address() for a name that the real resolver has not found; false for this host's own. */
bool name_invent(const struct rules *rules, enum rule_protocol protocol, const char *name, uint16_t port,
		 int family, struct in6_addr *out);
/* One line for the user, at info level: the program was given this address. */
void name_invented_log(const char *name, const struct in6_addr *ip);

/* The address of an in_addr or in6_addr as the mapping holds it; false for another family or size. */
bool ip_from(const void *address, socklen_t size, int family, struct in6_addr *out);

/* The first link at or after this one with an address of the family (IPv4 is v4-mapped), or NULL. */
const struct host_link *link_of_family(const struct host_link *link, int family);

/* Room for the text of an address without port. */
#define NUMERIC_SIZE INET6_ADDRSTRLEN
const char *ip_numeric(const struct in6_addr *ip, char text[NUMERIC_SIZE]);

/* What a struct hostent is to be made of (gethostbyname(3)). */
struct host_answer {
	const struct rules *rules;
	const char *name;	      /* official name */
	int family;		      /* AF_INET or AF_INET6 */
	const struct host_link *link; /* the first address; NULL: there is only ip */
	bool all;		      /* as well as those of the same name that follow */
	struct in6_addr ip;	      /* where link is NULL */
};

/* The size of buffer that host_answer_write() needs, where its begin is aligned as a pointer. */
size_t host_answer_size(const struct host_answer *answer);

/* Fills *entry and buf, which must be as large as that and aligned. Aliases are those that glibc makes of
 * lines in hosts(5): of the first line, then those of each other line and its official name. */
void host_answer_write(const struct host_answer *answer, struct hostent *entry, char *buf);

#endif
