/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every unit test needs: a runner, a heap for arenas, a parser's io that writes down complaints. */
#ifndef IP2VSOCK_TESTS_UNIT_H
#define IP2VSOCK_TESTS_UNIT_H

#include "ip2vsock/config.h"
#include "ip2vsock/text.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
/* A loop test over a table, for TCase `tc`. */
#define TABLE_TEST(test, table) tcase_add_loop_test(tc, test, 0, (int)N_ELEMENTS(table))

/* Runs the tests that `fill` adds; what main() returns. */
static inline int unit_run(const char *name, void (*fill)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner;
	int failed;

	fill(tc);
	tcase_set_timeout(tc, 120); /* valgrind is slow */
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* How many more times unit_more() gives memory; below 0 always. */
static int unit_more_left = -1;

static inline void *unit_more(size_t size)
{
	if (unit_more_left == 0)
		return NULL;
	if (unit_more_left > 0)
		unit_more_left--;
	return calloc(1, size);
}

static inline void unit_less(void *chunk, size_t size)
{
	(void)size;
	free(chunk);
}

#define UNIT_ARENA { .more = unit_more, .less = unit_less }

/* The files that `include` finds, ended by one without a name. */
struct unit_file {
	const char *path;
	const char *text;
};

/* Complaints one a line, "line:column: text", after "source:" when it is not "map". */
struct unit_io {
	const struct unit_file *files;
	int open; /* texts read and not yet released */
	struct text seen;
	char buf[8192];
};

static inline void unit_complain(void *context, const struct config_complaint *complaint)
{
	struct unit_io *unit = context;

	if (unit->seen.len > 0)
		text_str(&unit->seen, "\n");
	if (strcmp(complaint->source, "map") != 0) {
		text_str(&unit->seen, complaint->source);
		text_str(&unit->seen, ":");
	}
	text_uint(&unit->seen, complaint->line);
	text_str(&unit->seen, ":");
	text_uint(&unit->seen, complaint->column);
	text_str(&unit->seen, ": ");
	text_str(&unit->seen, complaint->text);
}

static inline const char *unit_read(void *context, const char *path, size_t *length)
{
	struct unit_io *unit = context;
	const struct unit_file *file = unit->files;

	for (; file && file->path; file++) {
		if (strcmp(file->path, path) == 0) {
			unit->open++;
			*length = strlen(file->text);
			return file->text;
		}
	}
	errno = strcmp(path, "/") == 0 ? EISDIR : ENOENT;
	return NULL;
}

static inline void unit_release(void *context, const char *text, size_t length)
{
	struct unit_io *unit = context;

	(void)text;
	(void)length;
	unit->open--;
}

static inline struct config_io unit_io_init(struct unit_io *unit, const struct unit_file *files)
{
	unit->files = files;
	unit->open = 0;
	text_init(&unit->seen, unit->buf, sizeof(unit->buf));
	return (struct config_io){
		.context = unit,
		.complain = unit_complain,
		.read = unit_read,
		.release = unit_release,
	};
}

#endif
