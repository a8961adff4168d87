/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uthash fed from an arena. Where a table is added to, locals `arena` and `buckets_log2` (how large it
 * begins) must be in scope; where memory ends, the element's hh.tbl stays NULL and nothing exits. */
#ifndef IP2VSOCK_CORE_TABLE_H
#define IP2VSOCK_CORE_TABLE_H

#include "ip2vsock/arena.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) arena_alloc(arena, size)
#define uthash_free(memory, size) ((void)(memory), (void)(size))
#define uthash_bzero(memory, size) ((void)(memory), (void)(size)) /* the arena's is zero already */
#include <uthash.h>

#include <stdint.h>

/* Every doubling moves every element: a table whose size is known begins with it. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS (1u << buckets_log2)
#define HASH_INITIAL_NUM_BUCKETS_LOG2 buckets_log2

/* For keys of two words; uthash's own functions go byte by byte, which would be most of a look-up.
 * A product carries upwards only, and what differs between addresses of a net stands in the upper bits
 * (on little-endian machines): hence the fold before, and the upper half of the product as result. */
static inline uint32_t hash_words(uint64_t a, uint64_t b)
{
	uint64_t hash = a * 0x9e3779b97f4a7c15 + b;

	return (uint32_t)((hash ^ hash >> 32) * 0xd6e8feb86659fd93 >> 32);
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
