/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, addresses and CIDs that stand for each other. */
#include "core/hosts.h"
#include "core/table.h"

#include <errno.h>
#include <string.h>

/* 198.19.0.1 to 198.19.255.254; 198.18.0.0/16 is rules_show_cid()'s. */
#define STAND_IN_NET 0xc6130000u
#define STAND_INS 65534u

/* With many hosts each step along a chain is a cache miss, and so is each element that moves when a table
 * grows: tables begin with as many buckets as they will need, and grow sooner than uthash lets them. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 6U
#define BUCKETS_LOG2_MIN 5u
#define BUCKETS_LOG2_MAX 24u

static unsigned buckets_for(uint32_t elements)
{
	unsigned log2 = BUCKETS_LOG2_MIN;

	while (log2 < BUCKETS_LOG2_MAX && 1u << log2 < elements)
		log2++;
	return log2;
}

struct host_name {
	UT_hash_handle hh; /* its key is the name */
	struct host_link first;
	struct host_link *last; /* of its addresses; NULL: first is not filled yet */
};

struct host_address {
	UT_hash_handle hh;
	struct in6_addr ip;
	uint32_t cid;
	struct host_link *first, *last; /* of its names */
	struct rule_place place;
};

struct host_cid {
	UT_hash_handle hh;
	uint32_t cid;
	const struct host_address *first[2]; /* of IPv6 and of IPv4 */
};

struct host_path {
	UT_hash_handle hh; /* its key is the path */
	const char *path;
	struct in6_addr ip[2]; /* IPv6 and IPv4; :: where there is none */
};

static uint32_t ip_hash(const struct in6_addr *ip)
{
	uint64_t words[2];

	memcpy(words, ip, sizeof(words));
	return hash_words(words[0], words[1]);
}

static struct host_address *address_find(const struct hosts *hosts, const struct in6_addr *ip)
{
	uint32_t hash = ip_hash(ip);
	struct host_address *address;

	HASH_FIND_BYHASHVALUE(hh, hosts->addresses, ip, sizeof(*ip), hash, address);
	return address;
}

static struct host_address *address_add(struct hosts *hosts, struct arena *arena,
					const struct in6_addr *ip, uint32_t cid,
					const struct rule_place *place)
{
	struct host_address *address = arena_alloc(arena, sizeof(*address));
	unsigned buckets_log2 = buckets_for(hosts->expected);
	uint32_t hash = ip_hash(ip);

	if (!address)
		return NULL;
	address->ip = *ip;
	address->cid = cid;
	address->place = *place;
	HASH_ADD_BYHASHVALUE(hh, hosts->addresses, ip, sizeof(*ip), hash, address);
	return address->hh.tbl ? address : NULL;
}

static struct host_name *name_find(const struct hosts *hosts, const char *name, size_t length,
				   uint32_t hash)
{
	struct host_name *found;

	HASH_FIND_BYHASHVALUE(hh, hosts->names, name, length, hash, found);
	return found;
}

static struct host_name *name_get(struct hosts *hosts, struct arena *arena, const char *name)
{
	size_t length = strlen(name);
	uint32_t hash = hash_bytes(name, length);
	struct host_name *entry = name_find(hosts, name, length, hash);
	unsigned buckets_log2 = buckets_for(2 * hosts->expected); /* a long and a short one */

	if (entry)
		return entry;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return NULL;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, hosts->names, name, length, hash, entry);
	return entry->hh.tbl ? entry : NULL;
}

static struct host_cid *cid_find(const struct hosts *hosts, uint32_t cid)
{
	uint32_t hash = hash_words(cid, 0);
	struct host_cid *found;

	HASH_FIND_BYHASHVALUE(hh, hosts->cids, &cid, sizeof(cid), hash, found);
	return found;
}

static struct host_cid *cid_get(struct hosts *hosts, struct arena *arena, uint32_t cid)
{
	struct host_cid *entry = cid_find(hosts, cid);
	unsigned buckets_log2 = buckets_for(hosts->expected);
	uint32_t hash = hash_words(cid, 0);

	if (entry)
		return entry;
	entry = arena_alloc(arena, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->cid = cid;
	HASH_ADD_BYHASHVALUE(hh, hosts->cids, cid, sizeof(cid), hash, entry);
	return entry->hh.tbl ? entry : NULL;
}

static int cid_note(struct hosts *hosts, struct arena *arena, const struct host_address *address)
{
	struct host_cid *entry = cid_get(hosts, arena, address->cid);
	const struct host_address **first;

	if (!entry)
		return -1;
	first = &entry->first[IN6_IS_ADDR_V4MAPPED(&address->ip)];
	if (!*first)
		*first = address;
	return 0;
}

static bool has_name(const struct host_address *address, const struct host_name *name)
{
	for (const struct host_link *link = address->first; link; link = link->next_name)
		if (link->name == name)
			return true;
	return false;
}

static int name_link(struct hosts *hosts, struct arena *arena, const char *name,
		     struct host_address *address)
{
	struct host_name *entry = name_get(hosts, arena, name);
	struct host_link *link;

	if (!entry)
		return -1;
	if (entry->last && has_name(address, entry))
		return 0;
	link = entry->last ? arena_alloc(arena, sizeof(*link)) : &entry->first;
	if (!link)
		return -1;
	link->address = address;
	link->name = entry;
	if (entry->last)
		entry->last->next_address = link;
	entry->last = link;
	if (address->last)
		address->last->next_name = link;
	else
		address->first = link;
	address->last = link;
	return 0;
}

int hosts_add(struct hosts *hosts, struct arena *arena, const char *name, const struct in6_addr *ip,
	      uint32_t cid, const struct rule_place *place, struct rule_place *before)
{
	struct host_address *address = address_find(hosts, ip);

	if (address && address->cid != cid) {
		*before = address->place;
		errno = EEXIST;
		return -1;
	}
	if (!address) {
		address = address_add(hosts, arena, ip, cid, place);
		if (!address || cid_note(hosts, arena, address) < 0)
			return -1;
	}
	return name ? name_link(hosts, arena, name, address) : 0;
}

static struct in6_addr stand_in(uint32_t number)
{
	return ip_addr_from_v4(STAND_IN_NET + 1 + number, 0, AF_INET).ip;
}

bool host_ip_is_stand_in(const struct in6_addr *ip)
{
	const struct ip_addr addr = { .ip = *ip };

	return ip_addr_is_v4(&addr) && (ip_addr_v4(&addr) & 0xffff0000) == STAND_IN_NET;
}

bool hosts_stand_in(const struct hosts *hosts, const char *name, size_t length, struct in6_addr *out)
{
	uint32_t at = hash_bytes(name, length) % STAND_INS;

	*out = stand_in(at);
	for (uint32_t tries = 1; address_find(hosts, out); tries++) {
		if (tries == STAND_INS)
			return false;
		at = (at + 1) % STAND_INS;
		*out = stand_in(at);
	}
	return true;
}

int hosts_add_stand_in(struct hosts *hosts, struct arena *arena, const char *name,
		       const struct rule_place *place)
{
	struct host_address *address;
	struct in6_addr ip;

	if (!hosts_stand_in(hosts, name, strlen(name), &ip)) {
		errno = ENOSPC;
		return -1;
	}
	address = address_add(hosts, arena, &ip, VMADDR_CID_ANY, place);
	return address ? name_link(hosts, arena, name, address) : -1;
}

static struct host_path *path_find(const struct hosts *hosts, const char *path)
{
	size_t length = strlen(path);
	uint32_t hash = hash_bytes(path, length);
	struct host_path *found;

	HASH_FIND_BYHASHVALUE(hh, hosts->paths, path, length, hash, found);
	return found;
}

int hosts_add_path(struct hosts *hosts, struct arena *arena, const char *path, const struct in6_addr *ip)
{
	struct host_path *entry = path_find(hosts, path);
	unsigned buckets_log2 = BUCKETS_LOG2_MIN;
	size_t length = strlen(path);
	uint32_t hash = hash_bytes(path, length);
	struct in6_addr *place;

	if (!entry) {
		entry = arena_alloc(arena, sizeof(*entry));
		if (!entry)
			return -1;
		entry->path = path;
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, hosts->paths, path, length, hash, entry);
		if (!entry->hh.tbl)
			return -1;
	}
	if (!ip)
		return 0;
	place = &entry->ip[IN6_IS_ADDR_V4MAPPED(ip)];
	if (IN6_IS_ADDR_UNSPECIFIED(place))
		*place = *ip;
	return 0;
}

int hosts_seal_paths(struct hosts *hosts, struct arena *arena)
{
	static const struct rule_place nowhere = { "unix", 0 };

	for (struct host_path *entry = hosts->paths; entry; entry = entry->hh.next) {
		if (!IN6_IS_ADDR_UNSPECIFIED(&entry->ip[1]))
			continue;
		if (!hosts_stand_in(hosts, entry->path, strlen(entry->path), &entry->ip[1])) {
			errno = ENOSPC;
			return -1;
		}
		if (!address_add(hosts, arena, &entry->ip[1], VMADDR_CID_ANY, &nowhere))
			return -1;
	}
	return 0;
}

const struct in6_addr *hosts_path_ip(const struct hosts *hosts, const char *path, bool v4)
{
	const struct host_path *entry = path_find(hosts, path);

	return entry && !IN6_IS_ADDR_UNSPECIFIED(&entry->ip[v4]) ? &entry->ip[v4] : NULL;
}

const struct host_link *hosts_name(const struct hosts *hosts, const char *name, size_t length)
{
	const struct host_name *found = name_find(hosts, name, length, hash_bytes(name, length));

	return found ? &found->first : NULL;
}

bool hosts_address(const struct hosts *hosts, const struct in6_addr *ip, const struct host_link **link)
{
	const struct host_address *address = address_find(hosts, ip);

	*link = address ? address->first : NULL;
	return address;
}

bool hosts_added_at(const struct hosts *hosts, const struct in6_addr *ip, const struct rule_place *place)
{
	const struct host_address *address = address_find(hosts, ip);

	return address && address->place.source == place->source && address->place.line == place->line;
}

const struct in6_addr *host_link_ip(const struct host_link *link)
{
	return &link->address->ip;
}

const char *host_link_name(const struct host_link *link)
{
	return link->name->hh.key;
}

const struct host_link *host_link_next_address(const struct host_link *link)
{
	return link->next_address;
}

const struct host_link *host_link_next_name(const struct host_link *link)
{
	return link->next_name;
}

const struct in6_addr *hosts_cid_ip(const struct hosts *hosts, uint32_t cid, bool v4)
{
	const struct host_cid *found = cid_find(hosts, cid);

	return found && found->first[v4] ? &found->first[v4]->ip : NULL;
}
