/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory ends while rules are loaded, at each place where it can: ENOMEM, never a crash. This program
 * has its own arena, in which every single allocation may be the one that fails. */
#include "unit.h"

static int left; /* allocations that are still granted */
static int granted;

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk;

	if (left == 0) {
		errno = ENOMEM;
		return NULL;
	}
	left--;
	granted++;
	chunk = calloc(1, sizeof(*chunk) + size);
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk + 1;
}

void arena_free(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
}

static const struct unit_file files[] = {
	{ "map", "host 10.0.0.3 3 db.vm db\n"
		 "host fd00::4 4 web.vm\n"
		 "connect 10.8.0.0/16:8000-8099 vsock 4:9000-9099\n"
		 "connect *:53 inet\n"
		 "connect cache.vm:* vsock 5:*\n"
		 "connect db.vm:80-90 vsock 6:80-90\n"
		 "connect db.vm:85-95 vsock 6:85-95\n"
		 "listen \"*\":* vsock any:*\n"
		 "include \"in ner\"\n"
		 "default reject\n" },
	{ "in ner", "connect tcp 10.9.0.1:80 reject\n" },
	{ NULL, NULL },
};

/* A host line, its rule, and a rule of an address, for each of enough to make every table grow. */
static char large[400 * 80];

static void large_fill(void)
{
	struct text text;

	text_init(&text, large, sizeof(large));
	for (unsigned i = 0; i < 400; i++) {
		text_str(&text, "host 10.0.");
		text_uint(&text, i / 256);
		text_str(&text, ".");
		text_uint(&text, i % 256);
		text_str(&text, " ");
		text_uint(&text, 100 + i);
		text_str(&text, " vm");
		text_uint(&text, i);
		text_str(&text, "\n");
	}
	ck_assert_uint_lt(text.len, sizeof(large) - 1);
}

static int load(struct arena *arena, struct unit_io *unit, const char *text)
{
	struct config_io io = unit_io_init(unit, files);
	struct rules *rules = rules_new(arena);
	int result;

	if (!rules)
		return -1;
	result = text ? config_text(rules, arena, "large", text, strlen(text), &io)
		      : config_file(rules, arena, "map", &io);
	return result == 0 ? rules_seal(rules) : result;
}

START_TEST(test_no_memory_is_enomem_everywhere)
{
	const char *text = _i ? large : NULL;
	int result = -1, last = -1;

	large_fill();
	for (int limit = 0; result < 0; limit++) {
		struct arena arena = UNIT_ARENA;
		struct unit_io unit;

		left = limit;
		granted = 0;
		errno = 0;
		result = load(&arena, &unit, text);
		ck_assert_int_eq(unit.open, 0); /* what was read is given back */
		ck_assert_uint_eq(unit.seen.len, 0);
		if (result < 0)
			ck_assert_int_eq(errno, ENOMEM);
		ck_assert_int_gt(granted, last);
		last = granted;
		arena_free(&arena);
	}
	ck_assert_int_eq(result, 0);
	ck_assert_int_gt(last, 30); /* it did end in many places */
}
END_TEST

static void fill(TCase *tc)
{
	tcase_add_loop_test(tc, test_no_memory_is_enomem_everywhere, 0, 2);
}

int main(void)
{
	return unit_run("nomem", fill);
}
