/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way back: from where a listener is to the address that leads a program's listener there. */
#include "ip2vsock/rule.h"

#include <string.h>

static bool leads_to(const struct rule *rule, const struct endpoint *at, uint32_t alias)
{
	if (rule->direction != RULE_LISTEN || !(rule->protocols & RULE_TCP))
		return false;
	if (rule->target == TARGET_UNIX)
		return at->path && strcmp(rule->path, at->path) == 0;
	return rule->target == TARGET_VSOCK && !at->path &&
	       (rule->cid == VMADDR_CID_ANY || rule->cid == at->cid || rule->cid == alias);
}

/* target_port() backwards. Where many ports lead to one, it stands for itself if it is among them, else the first does. */
static bool program_port(const struct rule *rule, uint32_t port, uint16_t *out)
{
	const struct rule_pattern *pattern = &rule->pattern;
	uint32_t low = pattern->port_low > 0 ? pattern->port_low : 1, found = port;

	if (!rule->same_port && rule->port_low == rule->port_high) {
		if (port != rule->port_low)
			return false;
		if (port < low || port > pattern->port_high)
			found = low;
	} else if (!rule->same_port) {
		if (port < rule->port_low || port > rule->port_high)
			return false;
		found = pattern->port_low + (port - rule->port_low);
	}
	*out = (uint16_t)found;
	return found >= low && found <= pattern->port_high;
}

/* Not if an earlier rule takes the address. */
static bool decides(const struct rules *rules, const struct rule *rule, const struct ip_addr *addr)
{
	struct target target;

	rules_find(rules, RULE_LISTEN, RULE_TCP, addr, &target);
	return target.rule == rule;
}

static bool ip_decides(const struct rules *rules, const struct rule *rule, const struct in6_addr *ip,
		       struct ip_addr *addr)
{
	addr->ip = *ip;
	addr->family = ip_addr_is_v4(addr) ? AF_INET : AF_INET6;
	return decides(rules, rule, addr);
}

static bool address_of(const struct rules *rules, const struct rule *rule, struct ip_addr *addr)
{
	const struct in6_addr any = ip_addr_from_v4(INADDR_ANY, 0, AF_INET).ip;
	const struct rule_pattern *pattern = &rule->pattern;
	const struct host_link *link;

	if (!pattern->name)
		return ip_decides(rules, rule, pattern->any_address ? &any : &pattern->ip, addr);
	for (link = rules_name(rules, pattern->name); link; link = host_link_next_address(link))
		if (ip_decides(rules, rule, host_link_ip(link), addr))
			return true;
	return false;
}

const struct rule *rules_reverse_listen(const struct rules *rules, const struct endpoint *at, uint32_t alias,
					struct ip_addr *out)
{
	const struct rule *rule;

	for (unsigned i = 0; (rule = rules_at(rules, i)); i++) {
		*out = (struct ip_addr){ .family = AF_INET };
		if (leads_to(rule, at, alias) && program_port(rule, at->port, &out->port) &&
		    address_of(rules, rule, out))
			return rule;
	}
	return NULL;
}
