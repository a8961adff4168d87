/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of rules: names, and slots that are taken without a lock. */
#include "ip2vsock/counters.h"
#include "ip2vsock/text.h"

#include <string.h>

_Static_assert(sizeof(struct counters_slot) == 256, "the form of a file");
_Static_assert(sizeof(struct counters) == 65536, "the form of a file");

/* So much of a place is kept whatever the statement is. */
#define PLACE_SIZE 72

/* FNV-1a. */
static uint64_t hash_add(uint64_t hash, const char *str)
{
	do
		hash = (hash ^ (unsigned char)*str) * UINT64_C(0x100000001b3);
	while (*str++);
	return hash;
}

/* "map:12"; of a long name the end, which tells more. */
static void place_text(struct text *text, const struct rule_place *place)
{
	size_t length = strlen(place->source);
	const size_t most = PLACE_SIZE - sizeof("...:4294967295");

	if (length > most) {
		text_str(text, "...");
		text_strn(text, place->source + length - most, most);
	} else {
		text_strn(text, place->source, length);
	}
	text_str(text, ":");
	text_uint(text, place->line);
}

static void statement_text(struct text *text, const char *statement)
{
	size_t length = strlen(statement), most = text->size - 1;

	if (length > most) {
		text_strn(text, statement, most - 3);
		text_str(text, "...");
	} else {
		text_strn(text, statement, length);
	}
}

void counters_name(const char *statement, const struct rule_place *place, struct counters_name *out)
{
	char where[PLACE_SIZE];
	struct text text;

	out->id = hash_add(UINT64_C(0xcbf29ce484222325), statement);
	text_init(&text, where, sizeof where);
	if (place->source) {
		out->id = hash_add(out->id, place->source);
		out->id = (out->id ^ place->line) * UINT64_C(0x100000001b3);
		place_text(&text, place);
	}
	if (out->id == 0)
		out->id = 1;
	memset(out->text, 0, sizeof out->text);
	text_init(&text, out->text, sizeof out->text - strlen(where) - 1);
	statement_text(&text, statement);
	memcpy(out->text + text.len + 1, where, strlen(where));
}

bool counters_begin(struct counters *table, uint64_t now, uint32_t pid)
{
	uint64_t magic = 0, since = 0;

	if (__atomic_load_n(&table->magic, __ATOMIC_ACQUIRE) == 0) {
		if (__atomic_compare_exchange_n(&table->since, &since, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			__atomic_store_n(&table->pid, pid, __ATOMIC_RELAXED);
		__atomic_store_n(&table->slot_count, COUNTERS_SLOTS, __ATOMIC_RELAXED);
		__atomic_compare_exchange_n(&table->magic, &magic, COUNTERS_MAGIC, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE);
	}
	return counters_are_valid(table);
}

bool counters_are_valid(const struct counters *table)
{
	return __atomic_load_n(&table->magic, __ATOMIC_ACQUIRE) == COUNTERS_MAGIC &&
	       __atomic_load_n(&table->slot_count, __ATOMIC_RELAXED) == COUNTERS_SLOTS;
}

static bool slot_take(struct counters_slot *slot, uint64_t id)
{
	uint64_t found = __atomic_load_n(&slot->id, __ATOMIC_ACQUIRE);

	return found == id || (found == 0 && (__atomic_compare_exchange_n(&slot->id, &found, id, false, __ATOMIC_ACQ_REL,
									  __ATOMIC_ACQUIRE) ||
					      found == id));
}

/* Whoever else does so at the same time writes the same. */
static void slot_name(struct counters_slot *slot, const char text[COUNTERS_TEXT_SIZE])
{
	if (__atomic_load_n(&slot->named, __ATOMIC_ACQUIRE))
		return;
	for (size_t i = 0; i < COUNTERS_TEXT_SIZE; i++)
		__atomic_store_n(&slot->text[i], text[i], __ATOMIC_RELAXED);
	__atomic_store_n(&slot->named, 1, __ATOMIC_RELEASE);
}

struct counters_slot *counters_slot(struct counters *table, const struct counters_name *name,
				    bool (*reachable)(const void *))
{
	static const struct rule_place nowhere = {.source = NULL};
	struct counters_slot *slot = table->slots, *last = &table->slots[COUNTERS_SLOTS - 1];
	struct counters_name others;

	for (; slot < last; slot++) {
		if (reachable && !reachable(slot))
			return NULL;
		if (slot_take(slot, name->id)) {
			slot_name(slot, name->text);
			return slot;
		}
	}
	if (reachable && !reachable(last))
		return NULL;
	counters_name("other rules", &nowhere, &others);
	if (!slot_take(last, others.id))
		return NULL;
	slot_name(last, others.text);
	return last;
}
