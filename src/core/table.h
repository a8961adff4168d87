/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hash tables that only grow: entries by key, open addressing, memory from an arena. (With uthash
 * loading 100 000 rules took twice as long and twice the memory: its chains lead through the
 * entries, and each step is a cache miss.) */
#ifndef IP2VSOCK_CORE_TABLE_H
#define IP2VSOCK_CORE_TABLE_H

#include "ip2vsock/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct table_slot {
	void *entry; /* NULL: free */
	uint32_t hash;
};

/* All zero is an empty table. */
struct table {
	struct table_slot *slots;
	uint32_t mask; /* number of slots - 1, a power of two */
	uint32_t count;
};

/* Room for so many more entries, so that the table need not grow by and by. -1 ENOMEM. */
int table_reserve(struct table *table, struct arena *arena, uint32_t more);

/* Adds an entry whose key is not in the table. -1 ENOMEM. */
int table_add(struct table *table, struct arena *arena, uint32_t hash, void *entry);

/* The entry with that hash of which same(entry, key) is true, or NULL. */
static inline void *table_find(const struct table *table, uint32_t hash,
			       bool (*same)(const void *entry, const void *key), const void *key)
{
	if (!table->slots)
		return NULL;
	for (uint32_t at = hash & table->mask;; at = (at + 1) & table->mask) {
		const struct table_slot *slot = &table->slots[at];

		if (!slot->entry)
			return NULL;
		if (slot->hash == hash && same(slot->entry, key))
			return slot->entry;
	}
}

/* For keys of a few words. What differs between addresses of a net stands in the upper half of `b`
 * (on little-endian machines), from where a product would carry nothing down: hence the turn. */
static inline uint32_t hash_words(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t hash = (a * 0x9e3779b97f4a7c15 + (b << 32 | b >> 32) + c) * 0xd6e8feb86659fd93;

	return (uint32_t)(hash ^ hash >> 32);
}

/* For text; FNV-1a. */
static inline uint32_t hash_bytes(const char *bytes, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return (uint32_t)(hash >> 32 ^ hash);
}

#endif
