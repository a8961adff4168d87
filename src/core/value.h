/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What single words of the mapping language mean: addresses, ports, CIDs, errors, options. */
#ifndef IP2VSOCK_CORE_VALUE_H
#define IP2VSOCK_CORE_VALUE_H

#include "core/token.h"
#include "ip2vsock/rule.h"
#include "ip2vsock/text.h"

#define VALUE_NAME_MAX 253
#define VALUE_PORT_MAX 4294967294u /* of vsock; VMADDR_PORT_ANY is no port */

/* Why a word was not understood, and which part of it. */
struct why {
	struct text text;
	const char *at;
};

/* All return false with *why filled. Outputs are only written on success. */

/* "*", "80", "80-90", each from 1 to `max`. '*' is 0 to `max`. */
struct ports {
	uint32_t low, high;
	bool any;
};
bool value_ports(struct slice slice, uint32_t max, struct ports *out, struct why *why);

bool value_cid(struct slice slice, enum rule_direction direction, uint32_t *out, struct why *why);

/* One IPv4 address, or IPv6 with or without brackets. */
bool value_ip(struct slice slice, struct in6_addr *out, struct why *why);

/* The address of a pattern. Fills any_address, length and ip of *out; a name goes to *name as it is
 * written, but its final dot, and name->length is 0 when it was none. */
bool value_address(struct slice slice, struct rule_pattern *out, struct slice *name,
		   struct why *why);

/* A host name. */
bool value_name(struct slice slice, struct slice *out, struct why *why);
/* Writes it in lower case and NUL-terminated; `out` has room for its length and one. */
void value_name_lower(struct slice name, char *out);

/* Cuts "ADDRESS:PORT" (and "CID:PORT", "PATH:PORT"); false when there is no port, and no *why. */
bool value_split(struct slice slice, struct slice *before, struct slice *port);

bool value_error(struct slice slice, int *out, struct why *why);

/* What the KEY=VALUE words of one rule fill. */
#define OPTION_COUNT 5
struct option_room {
	struct rule_options *options;
	struct cid_range *ranges; /* room for RULE_ALLOW_MOST */
	unsigned given;		  /* bits of the options that were there */
};

/* One option of a rule whose direction, protocols and target are known. */
bool value_option(struct slice key, struct slice value, const struct rule *rule, struct option_room *room,
		  struct why *why);

#endif
