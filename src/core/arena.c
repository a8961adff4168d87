/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that is only ever added to while rules are loaded, and released as a whole. */
#include "ip2vsock/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>

#define ALIGNMENT alignof(max_align_t)
#define ROUND_UP(value, to) (((value) + (to) - 1) / (to) * (to))
#define HEADER ROUND_UP(sizeof(struct arena_chunk), ALIGNMENT)

/* Small enough for a mapping of one rule, doubled with every chunk so that 100 000 rules need
 * some twenty calls of `more`. */
#define CHUNK_FIRST ((size_t)8 << 10)
#define CHUNK_LARGEST ((size_t)4 << 20)
#define PAGE ((size_t)4096)

static size_t chunk_size(const struct arena *arena, size_t needed)
{
	size_t size = CHUNK_FIRST;

	if (arena->chunks)
		size = arena->chunks->size * 2;
	if (size > CHUNK_LARGEST)
		size = CHUNK_LARGEST;
	return size < needed ? ROUND_UP(needed, PAGE) : size;
}

static struct arena_chunk *chunk_add(struct arena *arena, size_t needed)
{
	size_t size = chunk_size(arena, needed);
	struct arena_chunk *chunk = arena->more(size);

	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->used = HEADER;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	void *memory;

	if (size > SIZE_MAX / 2)
		goto none;
	size = ROUND_UP(size, ALIGNMENT);
	if (!chunk || size > chunk->size - arena->used) {
		chunk = chunk_add(arena, HEADER + size);
		if (!chunk)
			goto none;
	}
	memory = (char *)chunk + arena->used;
	arena->used += size;
	return memory;
none:
	errno = ENOMEM;
	return NULL;
}

void arena_free(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks;

	while (chunk) {
		struct arena_chunk *next = chunk->next;

		arena->less(chunk, chunk->size);
		chunk = next;
	}
	arena->chunks = NULL;
	arena->used = 0;
}
