/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, addresses and CIDs that stand for each other. */
#ifndef IP2VSOCK_CORE_HOSTS_H
#define IP2VSOCK_CORE_HOSTS_H

#include "ip2vsock/rule.h"

/* One address of one name. */
struct host_link {
	struct host_link *next_address; /* of the same name */
	struct host_link *next_name;	/* of the same address */
	const struct host_address *address;
	const struct host_name *name;
};

/* All zero is empty. */
struct hosts {
	struct host_name *names;
	struct host_address *addresses;
	struct host_cid *cids;
	struct host_path *paths;
	uint32_t expected; /* how many addresses there may be: a guess that only costs time when it is wrong */
};

/* rules_add_host(), without the rules. `name` may be NULL. */
int hosts_add(struct hosts *hosts, struct arena *arena, const char *name, const struct in6_addr *ip,
	      uint32_t cid, const struct rule_place *place, struct rule_place *before);

/* Gives an unknown name an address of 198.19.0.0/16 that no other has: the same one whenever the
 * same names come in the same order. -1 ENOMEM, or ENOSPC when all are taken. */
int hosts_add_stand_in(struct hosts *hosts, struct arena *arena, const char *name,
		       const struct rule_place *place);

/* The address that hosts_add_stand_in() would give to a name in lower case, without giving it. False
 * when all are taken. */
bool hosts_stand_in(const struct hosts *hosts, const char *name, size_t length, struct in6_addr *out);

/* Whether ip is in the range of hosts_add_stand_in(). */
bool host_ip_is_stand_in(const struct in6_addr *ip);

/* The first link of a name in lower case; NULL when it is not known. */
const struct host_link *hosts_name(const struct hosts *hosts, const char *name, size_t length);

/* Whether an address is known; *link is then the one of its first name, or NULL. */
bool hosts_address(const struct hosts *hosts, const struct in6_addr *ip, const struct host_link **link);

/* Whether an address was added at that place. */
bool hosts_added_at(const struct hosts *hosts, const struct in6_addr *ip, const struct rule_place *place);

/* The guest behind the unix socket at `path` (kept by pointer), which has this address, or NULL: not known here. The
 * first of each family counts. -1 ENOMEM. */
int hosts_add_path(struct hosts *hosts, struct arena *arena, const char *path, const struct in6_addr *ip);

/* Gives those without an IPv4 address a stand-in that nobody else has. Once, after all. -1 as hosts_add_stand_in(). */
int hosts_seal_paths(struct hosts *hosts, struct arena *arena);

/* The IPv4 (v4-mapped) or IPv6 address of a path, or NULL. */
const struct in6_addr *hosts_path_ip(const struct hosts *hosts, const char *path, bool v4);

/* The first IPv4 (v4-mapped) or IPv6 address of a CID, or NULL. */
const struct in6_addr *hosts_cid_ip(const struct hosts *hosts, uint32_t cid, bool v4);

#endif
