/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uthash fed from an arena. Wherever a table grows, a local `arena` must be in scope; where memory
 * ends, the element's hh.tbl stays NULL and nothing exits. */
#ifndef IP2VSOCK_CORE_TABLE_H
#define IP2VSOCK_CORE_TABLE_H

#include "ip2vsock/arena.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) arena_alloc(arena, size)
#define uthash_free(memory, size) ((void)(memory), (void)(size))
#include <uthash.h>

#include <stdint.h>
#include <string.h>

/* uthash's own functions go byte by byte, which would be most of a look-up. */
static inline unsigned hash_words(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t hash = a * 0x9e3779b97f4a7c15 + c;

	hash = (hash ^ hash >> 32 ^ b) * 0xbf58476d1ce4e5b9;
	hash = (hash ^ hash >> 29) * 0x94d049bb133111eb;
	return (unsigned)(hash >> 32);
}

static inline unsigned hash_bytes(const char *bytes, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return (unsigned)(hash >> 32 ^ hash);
}

#endif
