/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hash tables that only grow. */
#include "core/table.h"

#include <errno.h>

#define SLOTS_FIRST 16u
#define ENTRIES_MAX (UINT32_MAX / 4)

static void slot_fill(struct table_slot *slots, uint32_t mask, uint32_t hash, void *entry)
{
	uint32_t at = hash & mask;

	while (slots[at].entry)
		at = (at + 1) & mask;
	slots[at].entry = entry;
	slots[at].hash = hash;
}

int table_reserve(struct table *table, struct arena *arena, uint32_t more)
{
	uint32_t count = table->slots ? table->mask + 1 : SLOTS_FIRST;
	struct table_slot *slots;

	if (more > ENTRIES_MAX - table->count) {
		errno = ENOMEM;
		return -1;
	}
	/* At most half full: a look-up then sees two or three neighbouring slots. */
	while (count / 2 < table->count + more)
		count *= 2;
	if (table->slots && count == table->mask + 1)
		return 0;
	slots = arena_alloc(arena, count * sizeof(*slots));
	if (!slots)
		return -1;
	for (uint32_t i = 0; table->slots && i <= table->mask; i++)
		if (table->slots[i].entry)
			slot_fill(slots, count - 1, table->slots[i].hash, table->slots[i].entry);
	table->slots = slots;
	table->mask = count - 1;
	return 0;
}

int table_add(struct table *table, struct arena *arena, uint32_t hash, void *entry)
{
	if (table_reserve(table, arena, 1) < 0)
		return -1;
	slot_fill(table->slots, table->mask, hash, entry);
	table->count++;
	return 0;
}
