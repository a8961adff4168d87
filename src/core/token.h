/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language cut into statements and words; what a word means is not known here. */
#ifndef IP2VSOCK_CORE_TOKEN_H
#define IP2VSOCK_CORE_TOKEN_H

#include "ip2vsock/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A piece of text, not NUL-terminated. */
struct slice {
	const char *text;
	size_t length;
};

/* Inline, so that a comparison with a constant costs no call. */
static inline bool slice_is(struct slice slice, const char *str)
{
	return strlen(str) == slice.length && memcmp(slice.text, str, slice.length) == 0;
}

/* Cut at byte `at`, which belongs to neither half. */
static inline struct slice slice_before(struct slice slice, size_t at)
{
	return (struct slice){ slice.text, at };
}

static inline struct slice slice_after(struct slice slice, size_t at)
{
	return (struct slice){ slice.text + at + 1, slice.length - at - 1 };
}

/* The offset of the first or last such byte, or SLICE_NONE. */
#define SLICE_NONE ((size_t)-1)
size_t slice_find(struct slice slice, char c);
size_t slice_find_last(struct slice slice, char c);

enum word_kind {
	WORD_NONE,    /* the statement ends here */
	WORD_TEXT,
	WORD_CONTROL, /* a byte that has no business in text; the rest of its word is skipped */
	WORD_OPEN,    /* a quote is not closed before the line ends */
	WORD_NOMEM,
};

struct word {
	enum word_kind kind;
	struct slice slice; /* WORD_TEXT: without its quotes; WORD_CONTROL: the byte */
	const char *raw;    /* where it begins in the source, quotes included */
	unsigned column;    /* of raw, from 1 */
	unsigned end;	    /* the column after it; of WORD_NONE: after the last word */
};

struct scanner {
	const char *at, *end;
	const char *line_start;
	unsigned line;
	unsigned last; /* the column after the last word */
};

void scanner_init(struct scanner *scanner, const char *text, size_t length);
/* Goes to the first byte of the next statement that is not empty. Call it when word_next() has
 * answered WORD_NONE. False at the end of the text. */
bool statement_next(struct scanner *scanner);
/* The next word of the statement; it does not go past the statement's end. Words that hold quotes
 * are copied into the arena without them. */
enum word_kind word_next(struct scanner *scanner, struct arena *arena, struct word *word);

/* The column of a byte of word->slice. */
unsigned word_column(const struct word *word, const char *at);

#endif
