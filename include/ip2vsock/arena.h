/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that is only ever added to while rules are loaded, and released as a whole. */
#ifndef IP2VSOCK_ARENA_H
#define IP2VSOCK_ARENA_H

#include <stddef.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
};

/*
 * `more` returns zeroed memory of that many bytes, or NULL; `less` gives it back. Inside somebody
 * else's program they are mmap and munmap, because the first hooked call may come from a signal
 * handler that interrupted malloc.
 */
struct arena {
	void *(*more)(size_t size);
	void (*less)(void *chunk, size_t size);
	struct arena_chunk *chunks;
	size_t used; /* of the newest chunk */
};

/* Zeroed memory, aligned for any type, or NULL when `more` has none. */
void *arena_alloc(struct arena *arena, size_t size);
/* Gives every chunk back. Whatever lived in the arena is gone. */
void arena_free(struct arena *arena);

#endif
