/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules in order: which one decides for an address, and which address a CID is shown as. */
#include "ip2vsock/rule.h"
#include "core/hosts.h"
#include "core/index.h"
#include "core/invent.h"

#include <errno.h>
#include <string.h>

/* Rules lie in blocks of 16, 32, 64 ...: none is ever moved, and one rule costs little. */
#define BLOCK_FIRST 16u
#define BLOCKS 28

/* 198.18.0.0/16 and 240.0.0.0/4: neither is ever routed (RFC 2544, RFC 1112). */
#define SHOWN_NET 0xc6120000u
#define SHOWN_NET_LARGE 0xf0000000u
#define SHOWN_LARGE_MASK 0x0fffffffu

/* Linux's ip_local_port_range as it comes. */
#define EPHEMERAL_LOW 32768u
#define EPHEMERAL_HIGH 60999u

struct rules {
	struct arena *arena;
	struct rule *blocks[BLOCKS];
	uint32_t count;
	unsigned protocols; /* of any rule */
	bool has_unix;
	bool has_default;
	enum target_kind default_kind;
	int default_error; /* 0: the direction's own */
	struct rule_place default_place;
	struct hosts hosts;
	struct index index[2]; /* by enum rule_direction */
};

struct rules *rules_new(struct arena *arena)
{
	struct rules *rules = arena_alloc(arena, sizeof(*rules));

	if (rules)
		rules->arena = arena;
	return rules;
}

/* Where rule number `index` lies: block b begins at rule 16 * (2^b - 1). */
static unsigned block_of(uint32_t index, uint32_t *at)
{
	unsigned block = 31 - (unsigned)__builtin_clz(index / BLOCK_FIRST + 1);

	*at = index - BLOCK_FIRST * ((1u << block) - 1);
	return block;
}

static const struct rule *rule_at(const struct rules *rules, uint32_t index)
{
	uint32_t at;
	unsigned block = block_of(index, &at);

	return &rules->blocks[block][at];
}

uint32_t rules_number(const struct rules *rules, const struct rule *rule)
{
	uint32_t first = 0;

	for (unsigned block = 0; rule && block < BLOCKS && rules->blocks[block]; block++) {
		const uint32_t size = BLOCK_FIRST << block;

		if (rule >= rules->blocks[block] && rule < rules->blocks[block] + size)
			return first + (uint32_t)(rule - rules->blocks[block]);
		first += size;
	}
	return rules->count;
}

int rules_add(struct rules *rules, const struct rule *rule)
{
	uint32_t at;
	unsigned block = block_of(rules->count, &at);

	if (block >= BLOCKS) {
		errno = ENOMEM;
		return -1;
	}
	if (!rules->blocks[block]) {
		size_t size = ((size_t)BLOCK_FIRST << block) * sizeof(*rule);

		rules->blocks[block] = arena_alloc(rules->arena, size);
		if (!rules->blocks[block])
			return -1;
	}
	rules->blocks[block][at] = *rule;
	rules->count++;
	rules->protocols |= rule->protocols;
	rules->has_unix |= rule->target == TARGET_UNIX ||
			   (rule->options && (rule->options->retry || rule->options->fallback));
	return 0;
}

bool rules_have_unix(const struct rules *rules)
{
	return rules->has_unix;
}

const struct rule_options *target_options(const struct target *target)
{
	static const struct rule_options none;

	return target->rule && target->rule->options ? target->rule->options : &none;
}

bool rule_allows(const struct rule_options *options, uint32_t cid)
{
	for (uint32_t i = 0; i < options->allow_count; i++)
		if (cid >= options->allow[i].low && cid <= options->allow[i].high)
			return true;
	return !options->allow;
}

bool rules_have(const struct rules *rules, enum rule_protocol protocol)
{
	return rules->protocols & protocol || (rules->has_default && rules->default_kind != TARGET_INET);
}

int rules_add_host(struct rules *rules, const char *name, const struct in6_addr *ip, uint32_t cid,
		   const struct rule_place *place, struct rule_place *before)
{
	return hosts_add(&rules->hosts, rules->arena, name, ip, cid, place, before);
}

void rules_expect_hosts(struct rules *rules, uint32_t count)
{
	rules->hosts.expected = count;
}

bool rules_set_default(struct rules *rules, enum target_kind kind, int error,
		       const struct rule_place *place, struct rule_place *before)
{
	if (rules->has_default) {
		*before = rules->default_place;
		return false;
	}
	rules->has_default = true;
	rules->default_kind = kind;
	rules->default_error = error;
	rules->default_place = *place;
	return true;
}

/* A name stands for every address of its host lines, wherever those are. */
static int seal_name(struct rules *rules, const struct rule *rule, const struct index_range *range)
{
	const char *name = rule->pattern.name;
	const struct host_link *link = hosts_name(&rules->hosts, name, strlen(name));

	if (!link) {
		if (hosts_add_stand_in(&rules->hosts, rules->arena, name, &rule->place) < 0)
			return -1;
		link = hosts_name(&rules->hosts, name, strlen(name));
	}
	for (; link; link = link->next_address)
		if (index_add(&rules->index[rule->direction], rules->arena, host_link_ip(link), 128,
			      range) < 0)
			return -1;
	return 0;
}

static int seal_rule(struct rules *rules, const struct rule *rule, uint32_t rank)
{
	const struct rule_pattern *pattern = &rule->pattern;
	const struct index_range range = {
		.rank = rank,
		.low = pattern->port_low,
		.high = pattern->port_high,
		.protocols = rule->protocols,
	};

	if (pattern->name)
		return seal_name(rules, rule, &range);
	return index_add(&rules->index[rule->direction], rules->arena,
			 pattern->any_address ? NULL : &pattern->ip, pattern->length, &range);
}

/* A connect rule from one address tells whose address that of the guest behind the path is. */
static int seal_path(struct rules *rules, const struct rule *rule)
{
	const struct rule_pattern *pattern = &rule->pattern;
	const struct in6_addr *ip = NULL;

	if (!rule->path)
		return 0;
	if (rule->direction == RULE_CONNECT && pattern->name)
		ip = host_link_ip(hosts_name(&rules->hosts, pattern->name, strlen(pattern->name)));
	else if (rule->direction == RULE_CONNECT && !pattern->any_address && pattern->length == 128)
		ip = &pattern->ip;
	return hosts_add_path(&rules->hosts, rules->arena, rule->path, ip);
}

int rules_seal(struct rules *rules)
{
	for (uint32_t i = 0; i < rules->count; i++)
		if (seal_rule(rules, rule_at(rules, i), i) < 0 || seal_path(rules, rule_at(rules, i)) < 0)
			return -1;
	if (hosts_seal_paths(&rules->hosts, rules->arena) < 0)
		return -1;
	if (index_build(&rules->index[RULE_CONNECT], rules->arena) < 0)
		return -1;
	return index_build(&rules->index[RULE_LISTEN], rules->arena);
}

static uint32_t target_port(const struct rule *rule, uint16_t port)
{
	if (rule->same_port)
		return rule->direction == RULE_LISTEN && port == 0 ? VMADDR_PORT_ANY : port;
	if (rule->port_low == rule->port_high)
		return rule->port_low;
	return rule->port_low + (uint32_t)(port - rule->pattern.port_low);
}

void rules_find(const struct rules *rules, enum rule_direction direction, enum rule_protocol protocol,
		const struct ip_addr *addr, struct target *out)
{
	uint32_t rank = index_find(&rules->index[direction], protocol == RULE_UDP, &addr->ip,
				   addr->port);
	const struct rule *rule;

	*out = (struct target){ .kind = TARGET_INET };
	if (rank == INDEX_NONE) {
		out->kind = rules->default_kind;
		out->error = rules->default_error;
		if (out->kind == TARGET_REJECT && out->error == 0)
			out->error = direction == RULE_LISTEN ? EACCES : ECONNREFUSED;
		return;
	}
	rule = rule_at(rules, rank);
	out->kind = rule->target;
	out->error = rule->error;
	out->rule = rule;
	if (rule->target != TARGET_VSOCK && rule->target != TARGET_UNIX)
		return;
	out->to.cid = rule->cid;
	out->to.port = target_port(rule, addr->port);
	out->to.path = rule->path;
	if (rule->target == TARGET_UNIX && protocol == RULE_UDP) { /* such a socket carries streams only */
		out->kind = TARGET_REJECT;
		out->error = direction == RULE_LISTEN ? EACCES : ECONNREFUSED;
	}
}

/* A name as the mapping would have it: in lower case, without its final dot. Its length, 0 for none. */
static size_t name_lower(const char *name, char lower[NAME_LENGTH_MAX + 1])
{
	size_t length = strlen(name);

	if (length > 1 && name[length - 1] == '.') /* "db.vm." is db.vm, fully qualified */
		length--;
	if (length > NAME_LENGTH_MAX)
		return 0;
	for (size_t i = 0; i < length; i++)
		lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
	lower[length] = '\0';
	return length;
}

const struct host_link *rules_name(const struct rules *rules, const char *name)
{
	char lower[NAME_LENGTH_MAX + 1];
	size_t length = name_lower(name, lower);

	return length > 0 ? hosts_name(&rules->hosts, lower, length) : NULL;
}

unsigned rules_name_address(const struct rules *rules, const char *name,
			    bool (*each)(void *context, const struct in6_addr *ip), void *context)
{
	const struct host_link *link = rules_name(rules, name);
	unsigned count = 0;
	bool more = true;

	for (; link; link = host_link_next_address(link)) {
		if (more)
			more = each(context, host_link_ip(link));
		count++;
	}
	return count;
}

const struct host_link *rules_address(const struct rules *rules, const struct in6_addr *ip)
{
	const struct host_link *link;

	hosts_address(&rules->hosts, ip, &link);
	return link;
}

const struct host_link *rules_host_names(const struct rules *rules, const struct rule *rule)
{
	if (!rule->is_host || !hosts_added_at(&rules->hosts, &rule->pattern.ip, &rule->place))
		return NULL;
	return rules_address(rules, &rule->pattern.ip);
}

const char *rules_address_name(const struct rules *rules, const struct in6_addr *ip)
{
	const struct host_link *link = rules_address(rules, ip);

	return link ? host_link_name(link) : NULL;
}

bool rules_address_is_ours(const struct rules *rules, const struct in6_addr *ip)
{
	const struct ip_addr addr = { .family = AF_INET6, .ip = *ip };
	const struct host_link *link;
	struct target target;
	uint32_t cid;

	if (hosts_address(&rules->hosts, ip, &link))
		return true;
	if (!cid_from_stand_in(ip, &cid) && !host_ip_is_stand_in(ip) && !ip_is_invented(ip))
		return false;
	rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
	return !(target.rule && target.kind == TARGET_INET);
}

/* A connect rule for every address retargets this one. */
static bool caught(const struct rules *rules, enum rule_protocol protocol, const struct in6_addr *ip,
		   uint16_t port)
{
	const struct ip_addr addr = { .family = AF_INET6, .port = port, .ip = *ip };
	struct target target;

	rules_find(rules, RULE_CONNECT, protocol, &addr, &target);
	return target.kind == TARGET_VSOCK && target.rule->pattern.any_address;
}

static bool caught_at_any_port(const struct rules *rules, enum rule_protocol protocol,
			       const struct in6_addr *ip)
{
	const struct index *index = &rules->index[RULE_CONNECT];
	const struct index_range *ports;

	for (uint32_t i = 0; (ports = index_any(index, protocol == RULE_UDP, i)); i++)
		if (ports->rank != INDEX_NONE && caught(rules, protocol, ip, ports->low))
			return true;
	return false;
}

bool rules_invent_address(const struct rules *rules, enum rule_protocol protocol, const char *name,
			  uint16_t port, sa_family_t family, struct in6_addr *out)
{
	char lower[NAME_LENGTH_MAX + 1];
	size_t length = name_lower(name, lower);
	struct in6_addr ip;

	if (!name_may_be_invented(lower, length) || !hosts_stand_in(&rules->hosts, lower, length, &ip))
		return false;
	if (family == AF_INET6)
		ip = ip_invented(&ip);
	if (!(port ? caught(rules, protocol, &ip, port) : caught_at_any_port(rules, protocol, &ip)))
		return false;
	*out = ip;
	return true;
}

static uint32_t shown_v4(uint32_t cid)
{
	if (cid < 0xffff)
		return SHOWN_NET | cid;
	if (cid == VMADDR_CID_ANY)
		return SHOWN_NET | 0xffff;
	cid &= SHOWN_LARGE_MASK;
	/* 255.255.255.255 is broadcast; 240.0.0.1 is free, because CID 1 is shown as 198.18.0.1. */
	return SHOWN_NET_LARGE | (cid == SHOWN_LARGE_MASK ? 1 : cid);
}

static struct in6_addr shown_v6(uint32_t cid)
{
	return (struct in6_addr){ .s6_addr = {
		0xfd, 0x69, 0x70, 0x32, 0x76, 0x73, [12] = (unsigned char)(cid >> 24),
		(unsigned char)(cid >> 16), (unsigned char)(cid >> 8), (unsigned char)cid,
	} };
}

bool rules_host_address(const struct rules *rules, uint32_t cid, sa_family_t family, bool v6only,
			struct in6_addr *out)
{
	const struct in6_addr *ip = NULL;

	if (family == AF_INET6)
		ip = hosts_cid_ip(&rules->hosts, cid, false);
	if (!ip && !(family == AF_INET6 && v6only))
		ip = hosts_cid_ip(&rules->hosts, cid, true);
	if (ip)
		*out = *ip;
	return ip;
}

void rules_show_path(const struct rules *rules, const char *path, sa_family_t family, bool v6only,
		     struct in6_addr *out)
{
	const struct in6_addr *v4 = hosts_path_ip(&rules->hosts, path, true);
	const struct in6_addr *v6 = family == AF_INET6 ? hosts_path_ip(&rules->hosts, path, false) : NULL;

	if (v6)
		*out = *v6;
	else if (v4)
		*out = family == AF_INET6 && v6only ? ip_invented(v4) : *v4;
	else /* of another mapping */
		rules_show_cid(rules, VMADDR_CID_ANY, family, v6only, out);
}

bool cid_from_stand_in(const struct in6_addr *ip, uint32_t *cid)
{
	const struct ip_addr addr = { .ip = *ip };
	struct in6_addr v6;
	uint32_t low;

	if (ip_addr_is_v4(&addr)) {
		low = ip_addr_v4(&addr);
		if ((low & 0xffff0000) == SHOWN_NET)
			*cid = (low & 0xffff) == 0xffff ? VMADDR_CID_ANY : low & 0xffff;
		else if ((low & ~SHOWN_LARGE_MASK) == SHOWN_NET_LARGE)
			*cid = low == (SHOWN_NET_LARGE | 1) ? SHOWN_LARGE_MASK : low & SHOWN_LARGE_MASK;
		else
			return false;
		return shown_v4(*cid) == low;
	}
	memcpy(&low, ip->s6_addr + 12, sizeof(low));
	*cid = ntohl(low);
	v6 = shown_v6(*cid);
	return memcmp(&v6, ip, sizeof(v6)) == 0;
}

void rules_show_cid(const struct rules *rules, uint32_t cid, sa_family_t family, bool v6only,
		    struct in6_addr *out)
{
	if (rules_host_address(rules, cid, family, v6only, out))
		return;
	*out = family == AF_INET6 ? shown_v6(cid) : ip_addr_from_v4(shown_v4(cid), 0, AF_INET).ip;
}

uint16_t port_show(uint32_t port)
{
	if (port <= UINT16_MAX)
		return (uint16_t)port;
	/* The kernel's own choices are consecutive: the remainder keeps them apart. */
	return (uint16_t)(EPHEMERAL_LOW + port % (EPHEMERAL_HIGH - EPHEMERAL_LOW + 1));
}

const struct rule *rules_at(const struct rules *rules, unsigned index)
{
	return index < rules->count ? rule_at(rules, index) : NULL;
}

void rules_default(const struct rules *rules, struct target *out, struct rule_place *place)
{
	*out = (struct target){ .kind = rules->default_kind, .error = rules->default_error };
	*place = rules->default_place;
}
