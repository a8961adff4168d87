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

static struct arena_chunk *chunk_new(const struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->more(size);

	if (chunk)
		chunk->size = size;
	return chunk;
}

/* A chunk that others can share, in front. */
static struct arena_chunk *chunk_add(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = chunk_new(arena, size);

	if (!chunk)
		return NULL;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->used = HEADER;
	return chunk;
}

/* A chunk for one request that is larger than the next would be; it goes behind the newest one,
 * which is filled up meanwhile. */
static void *chunk_alone(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = chunk_new(arena, ROUND_UP(HEADER + size, PAGE));

	if (!chunk)
		return NULL;
	chunk->next = arena->chunks->next;
	arena->chunks->next = chunk;
	return (char *)chunk + HEADER;
}

static size_t next_size(const struct arena *arena)
{
	return arena->chunks->size < CHUNK_LARGEST ? arena->chunks->size * 2 : CHUNK_LARGEST;
}

static void *alloc(struct arena *arena, size_t size)
{
	void *memory;

	if (!arena->chunks && !chunk_add(arena, CHUNK_FIRST))
		return NULL;
	if (size > arena->chunks->size - arena->used) {
		if (size > next_size(arena) / 2)
			return chunk_alone(arena, size);
		if (!chunk_add(arena, next_size(arena)))
			return NULL;
	}
	memory = (char *)arena->chunks + arena->used;
	arena->used += size;
	return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *memory = NULL;

	if (size <= SIZE_MAX / 2)
		memory = alloc(arena, ROUND_UP(size, ALIGNMENT));
	if (!memory)
		errno = ENOMEM;
	return memory;
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
