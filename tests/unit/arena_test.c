/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arena: alignment, zeroed memory, growth, and giving all of it back. */
#include "unit.h"

#include <stdalign.h>

static size_t chunks, bytes, calls;

static void *count_more(size_t size)
{
	chunks++;
	calls++;
	bytes += size;
	return unit_more(size);
}

static void count_less(void *chunk, size_t size)
{
	chunks--;
	bytes -= size;
	unit_less(chunk, size);
}

START_TEST(test_memory_is_aligned_zeroed_and_apart)
{
	struct arena arena = { .more = count_more, .less = count_less };
	unsigned char *last = NULL;
	size_t last_size = 0;

	for (size_t size = 1; size < 70000; size += size / 3 + 1) {
		unsigned char *memory = arena_alloc(&arena, size);

		ck_assert_ptr_nonnull(memory);
		ck_assert_uint_eq((uintptr_t)memory % alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			ck_assert_uint_eq(memory[i], 0);
		memset(memory, 0xaa, size);
		if (last)
			ck_assert(memory >= last + last_size || memory + size <= last);
		last = memory;
		last_size = size;
	}
	arena_free(&arena);
	ck_assert_uint_eq(chunks, 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_ptr_null(arena.chunks);
}
END_TEST

START_TEST(test_small_at_first_then_in_ever_larger_chunks)
{
	struct arena arena = { .more = count_more, .less = count_less };

	calls = 0;
	ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
	ck_assert_uint_le(bytes, 16384);
	for (int i = 0; i < 400000; i++)
		ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
	ck_assert_uint_lt(calls, 32);
	ck_assert_uint_lt(bytes, 2 * 400000 * 112);
	arena_free(&arena);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 1)); /* and it may be used again */
	arena_free(&arena);
	ck_assert_uint_eq(chunks, 0);
}
END_TEST

static const size_t too_large[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2 + 1 };

START_TEST(test_absurd_size_is_enomem)
{
	struct arena arena = { .more = count_more, .less = count_less };

	calls = 0;
	errno = 0;
	ck_assert_ptr_null(arena_alloc(&arena, too_large[_i]));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(calls, 0);
	ck_assert_ptr_null(arena.chunks);
}
END_TEST

START_TEST(test_no_more_is_enomem_and_the_rest_stays)
{
	struct arena arena = UNIT_ARENA;
	char *first;

	unit_more_left = 1; /* chunk */
	first = arena_alloc(&arena, 10);
	ck_assert_ptr_nonnull(first);
	strcpy(first, "kept");
	errno = 0;
	ck_assert_ptr_null(arena_alloc(&arena, 1 << 20));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_str_eq(first, "kept");
	ck_assert_ptr_nonnull(arena_alloc(&arena, 10));
	arena_free(&arena);
	unit_more_left = -1;
}
END_TEST

static void fill(TCase *tc)
{
	tcase_add_test(tc, test_memory_is_aligned_zeroed_and_apart);
	tcase_add_test(tc, test_small_at_first_then_in_ever_larger_chunks);
	TABLE_TEST(test_absurd_size_is_enomem, too_large);
	tcase_add_test(tc, test_no_more_is_enomem_and_the_rest_stays);
}

int main(void)
{
	return unit_run("arena", fill);
}
