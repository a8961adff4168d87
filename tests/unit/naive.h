/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules read one after the other, as the man page tells them: what the index is held against. */
#ifndef IP2VSOCK_TESTS_NAIVE_H
#define IP2VSOCK_TESTS_NAIVE_H

#include "ip2vsock/rule.h"

static inline bool naive_prefix(const struct rule_pattern *pattern, const struct ip_addr *addr)
{
	const struct ip_addr prefix = { .ip = pattern->ip };
	bool v4 = pattern->length >= 96 && ip_addr_is_v4(&prefix);

	if (pattern->any_address)
		return true;
	if (v4 != ip_addr_is_v4(addr))
		return false;
	for (unsigned bit = 0; bit < pattern->length; bit++)
		if ((addr->ip.s6_addr[bit / 8] ^ pattern->ip.s6_addr[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

/* The number of the first rule without a name that matches, or -1. */
static inline int naive_find(const struct rules *rules, enum rule_direction direction,
			     enum rule_protocol protocol, const struct ip_addr *addr)
{
	const struct rule *rule;

	for (unsigned i = 0; (rule = rules_at(rules, i)); i++)
		if (rule->direction == direction && rule->protocols & protocol &&
		    rule->pattern.port_low <= addr->port && addr->port <= rule->pattern.port_high &&
		    naive_prefix(&rule->pattern, addr))
			return (int)i;
	return -1;
}

#endif
