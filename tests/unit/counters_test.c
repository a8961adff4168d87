/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of rules: names that fit, slots that are taken once whoever asks, and what is no table. */
#include "unit.h"

#include "ip2vsock/counters.h"

#include <pthread.h>

#define THREADS 8
#define NAMES 400

static struct counters *table_new(void)
{
	struct counters *table = calloc(1, sizeof *table);

	ck_assert_ptr_nonnull(table);
	ck_assert(counters_begin(table, 1, 2));
	return table;
}

/* Behind the statement. */
static const char *place_in(const char *text)
{
	return text + strlen(text) + 1;
}

static struct counters_name name_of(const char *statement, const char *source, unsigned line)
{
	const struct rule_place place = { source, line };
	struct counters_name name;

	memset(&name, '#', sizeof name);
	counters_name(statement, &place, &name);
	return name;
}

#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static const struct {
	const char *statement, *source;
	unsigned line;
	const char *seen, *where;
} names[] = {
	{ "connect *:* vsock 3:*", "vm.map", 12, "connect *:* vsock 3:*", "vm.map:12" },
	{ "default reject", NULL, 0, "default reject", "" },
	{ "", "m", 0, "", "m:0" },
	{ FIFTY FIFTY FIFTY FIFTY FIFTY, NULL, 0, FIFTY FIFTY FIFTY TEN TEN TEN TEN "0...", "" },
	{ "x", "/a/" FIFTY TEN "/map", UINT32_MAX, "x", "..." "789" FIFTY "/map:4294967295" },
	{ FIFTY FIFTY FIFTY FIFTY FIFTY, "map", 1, FIFTY FIFTY FIFTY TEN TEN TEN "012345...", "map:1" },
	{ FIFTY FIFTY FIFTY FIFTY FIFTY, "/a/" FIFTY TEN "/map", UINT32_MAX, FIFTY FIFTY TEN TEN "...",
	  "..." "789" FIFTY "/map:4294967295" },
};

START_TEST(test_a_name_is_cut_to_fit_and_keeps_its_place)
{
	const struct counters_name name = name_of(names[_i].statement, names[_i].source, names[_i].line);

	ck_assert_str_eq(name.text, names[_i].seen);
	ck_assert_str_eq(place_in(name.text), names[_i].where);
	ck_assert_int_eq(name.text[sizeof name.text - 1], '\0');
	ck_assert_uint_ne(name.id, 0);
}
END_TEST

START_TEST(test_what_differs_in_anything_has_another_id)
{
	const struct counters_name all[] = {
		name_of("a", "m", 1),	 name_of("b", "m", 1), name_of("a", "n", 1), name_of("a", "m", 2),
		name_of("am", "", 1),	 name_of("a", NULL, 0), name_of(FIFTY FIFTY FIFTY FIFTY "a", "m", 1),
		name_of(FIFTY FIFTY FIFTY FIFTY "b", "m", 1),
	};

	for (size_t i = 0; i < N_ELEMENTS(all); i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_uint_ne(all[i].id, all[k].id);
	ck_assert_uint_eq(name_of("a", "m", 1).id, all[0].id);
}
END_TEST

START_TEST(test_zeroes_become_a_table_once)
{
	struct counters *table = calloc(1, sizeof *table);

	ck_assert(!counters_are_valid(table));
	ck_assert(counters_begin(table, 7, 100));
	ck_assert(counters_begin(table, 8, 200));
	ck_assert_uint_eq(table->since, 7);
	ck_assert_uint_eq(table->pid, 100);
	ck_assert(counters_are_valid(table));
	table->slot_count++;
	ck_assert(!counters_begin(table, 9, 300));
	free(table);
}
END_TEST

START_TEST(test_another_magic_is_left_alone)
{
	struct counters *table = calloc(1, sizeof *table), *before = calloc(1, sizeof *table);

	memcpy(table, "#!/bin/sh\n", 10);
	memcpy(before, table, sizeof *table);
	ck_assert(!counters_begin(table, 7, 100));
	ck_assert_mem_eq(table, before, sizeof *table);
	free(table);
	free(before);
}
END_TEST

START_TEST(test_a_beginning_cut_off_is_finished_by_the_next)
{
	struct counters *table = calloc(1, sizeof *table);

	table->since = 5;
	ck_assert(counters_begin(table, 7, 100));
	ck_assert_uint_eq(table->since, 5);
	free(table);
}
END_TEST

START_TEST(test_a_rule_has_one_slot_and_slots_are_taken_in_order)
{
	const struct counters_name one = name_of("one", "m", 1), two = name_of("two", "m", 2);
	struct counters *table = table_new();

	ck_assert_ptr_eq(counters_slot(table, &one, NULL), &table->slots[0]);
	ck_assert_ptr_eq(counters_slot(table, &two, NULL), &table->slots[1]);
	ck_assert_ptr_eq(counters_slot(table, &one, NULL), &table->slots[0]);
	ck_assert_str_eq(table->slots[1].text, "two");
	counters_add(&table->slots[1], STAT_DENIED);
	counters_add(&table->slots[1], STAT_DENIED);
	ck_assert_uint_eq(table->slots[1].counts[STAT_DENIED], 2);
	ck_assert_uint_eq(table->slots[2].id, 0);
	free(table);
}
END_TEST

START_TEST(test_a_name_cut_off_is_written_by_the_next)
{
	const struct counters_name one = name_of("one", "m", 1);
	struct counters *table = table_new();

	table->slots[0].id = one.id;
	table->slots[0].text[0] = 'o';
	ck_assert_ptr_eq(counters_slot(table, &one, NULL), &table->slots[0]);
	ck_assert(table->slots[0].named);
	ck_assert_str_eq(table->slots[0].text, "one");
	ck_assert_str_eq(place_in(table->slots[0].text), "m:1");
	free(table);
}
END_TEST

static unsigned asked, answers;

static bool is_reachable(const void *word)
{
	ck_assert_ptr_nonnull(word);
	return asked++ < answers;
}

START_TEST(test_memory_out_of_reach_is_not_touched)
{
	const struct counters_name name = name_of("one", "m", 1);
	struct counters *table = table_new(), *before = calloc(1, sizeof *table);

	for (unsigned i = 0; i < 5; i++)
		table->slots[i].id = 1 + i;
	memcpy(before, table, sizeof *table);
	for (answers = 0; answers < 6; answers++) {
		asked = 0;
		ck_assert_ptr_null(counters_slot(table, &name, is_reachable));
		ck_assert_mem_eq(table, before, sizeof *table);
		ck_assert_uint_eq(asked, answers + 1);
	}
	asked = 0;
	ck_assert_ptr_eq(counters_slot(table, &name, is_reachable), &table->slots[5]);
	free(table);
	free(before);
}
END_TEST

START_TEST(test_those_that_find_no_slot_share_the_last)
{
	struct counters *table = table_new(), *last = table;

	for (unsigned i = 0; i < NAMES; i++) {
		const struct counters_name name = name_of("rule", "m", i);
		const unsigned wanted = i < COUNTERS_SLOTS - 1 ? i : COUNTERS_SLOTS - 1;

		ck_assert_ptr_eq(counters_slot(table, &name, NULL), &last->slots[wanted]);
	}
	ck_assert_str_eq(table->slots[COUNTERS_SLOTS - 1].text, "other rules");
	ck_assert_str_eq(place_in(table->slots[COUNTERS_SLOTS - 1].text), "");
	ck_assert_str_eq(place_in(table->slots[COUNTERS_SLOTS - 2].text), "m:253");
	free(table);
}
END_TEST

static pthread_barrier_t barrier;

/* Each begins at another rule. */
static void *count_all(void *arg)
{
	static unsigned threads;
	const unsigned first = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED) * 31;
	struct counters *table = arg;

	pthread_barrier_wait(&barrier);
	counters_begin(table, first + 1, first + 1);
	for (unsigned i = 0; i < 200; i++) {
		const struct counters_name name = name_of("rule", "m", (first + i) % 200);

		counters_add(counters_slot(table, &name, NULL), STAT_USED);
	}
	return NULL;
}

START_TEST(test_threads_lose_nothing_and_take_no_slot_twice)
{
	struct counters *table = calloc(1, sizeof *table);
	pthread_t threads[THREADS];
	bool seen[200] = { false };

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_all, table), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 200; i++) {
		const unsigned line = (unsigned)strtoul(place_in(table->slots[i].text) + 2, NULL, 10);

		ck_assert_str_eq(table->slots[i].text, "rule");
		ck_assert_uint_eq(table->slots[i].counts[STAT_USED], THREADS);
		ck_assert(line < 200 && !seen[line]);
		seen[line] = true;
	}
	ck_assert_uint_eq(table->slots[200].id, 0);
	free(table);
}
END_TEST

/* Over several blocks of rules. */
START_TEST(test_the_number_of_a_rule_is_its_index)
{
	struct arena arena = UNIT_ARENA, other_arena = UNIT_ARENA;
	struct rules *rules = rules_new(&arena), *others = rules_new(&other_arena);
	const struct rule rule = { .protocols = RULE_TCP, .pattern = { .any_address = true, .port_high = UINT16_MAX } };

	ck_assert_uint_eq(rules_number(rules, NULL), 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(rules_add(rules, &rule), 0);
	ck_assert_int_eq(rules_add(others, &rule), 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(rules_number(rules, rules_at(rules, i)), i);
	ck_assert_uint_eq(rules_number(rules, NULL), 1000);
	ck_assert_uint_eq(rules_number(rules, rules_at(others, 0)), 1000);
	arena_free(&arena);
	arena_free(&other_arena);
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_a_name_is_cut_to_fit_and_keeps_its_place, names);
	tcase_add_test(tc, test_what_differs_in_anything_has_another_id);
	tcase_add_test(tc, test_zeroes_become_a_table_once);
	tcase_add_test(tc, test_another_magic_is_left_alone);
	tcase_add_test(tc, test_a_beginning_cut_off_is_finished_by_the_next);
	tcase_add_test(tc, test_a_rule_has_one_slot_and_slots_are_taken_in_order);
	tcase_add_test(tc, test_a_name_cut_off_is_written_by_the_next);
	tcase_add_test(tc, test_memory_out_of_reach_is_not_touched);
	tcase_add_test(tc, test_those_that_find_no_slot_share_the_last);
	tcase_add_test(tc, test_threads_lose_nothing_and_take_no_slot_twice);
	tcase_add_test(tc, test_the_number_of_a_rule_is_its_index);
}

int main(void)
{
	return unit_run("counters", fill);
}
