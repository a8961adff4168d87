/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language cut into statements and words. */
#include "core/token.h"

#include <string.h>

bool slice_is(struct slice slice, const char *str)
{
	return strlen(str) == slice.length && memcmp(slice.text, str, slice.length) == 0;
}

struct slice slice_before(struct slice slice, size_t at)
{
	return (struct slice){ slice.text, at };
}

struct slice slice_after(struct slice slice, size_t at)
{
	return (struct slice){ slice.text + at + 1, slice.length - at - 1 };
}

size_t slice_find(struct slice slice, char c)
{
	const char *at = slice.length ? memchr(slice.text, c, slice.length) : NULL;

	return at ? (size_t)(at - slice.text) : SLICE_NONE;
}

size_t slice_find_last(struct slice slice, char c)
{
	for (size_t i = slice.length; i > 0; i--)
		if (slice.text[i - 1] == c)
			return i - 1;
	return SLICE_NONE;
}

static unsigned column(const struct scanner *scanner, const char *at)
{
	return (unsigned)(at - scanner->line_start) + 1;
}

/* A line ends with "\n" or "\r\n", and the last one as well with the text. */
static bool line_ends(const struct scanner *scanner, const char *at)
{
	if (at < scanner->end && *at == '\r')
		at++;
	else if (at < scanner->end && *at != '\n')
		return false;
	return at == scanner->end || *at == '\n';
}

static bool is_control(const char *at)
{
	return ((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f;
}

void scanner_init(struct scanner *scanner, const char *text, size_t length)
{
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		text += 3;
		length -= 3;
	}
	*scanner = (struct scanner){
		.at = text,
		.end = text + length,
		.line_start = text,
		.line = 1,
		.last = 1,
	};
}

bool statement_next(struct scanner *scanner)
{
	for (; scanner->at < scanner->end; scanner->at++) {
		char c = *scanner->at;

		if (c == '\n') {
			scanner->line++;
			scanner->line_start = scanner->at + 1;
		} else if (c != ' ' && c != '\t' && c != ';' && !line_ends(scanner, scanner->at)) {
			break;
		}
	}
	scanner->last = column(scanner, scanner->at);
	return scanner->at < scanner->end;
}

/* Reads over a comment; its first control byte, or NULL. */
static const char *comment_skip(struct scanner *scanner)
{
	const char *control = NULL;

	for (; !line_ends(scanner, scanner->at); scanner->at++)
		if (!control && is_control(scanner->at))
			control = scanner->at;
	return control;
}

/* Reads over a word. */
static void word_skip(struct scanner *scanner, const char **control, bool *quotes, bool *open)
{
	const char *at = scanner->at;

	*control = NULL;
	*quotes = *open = false;
	for (; !line_ends(scanner, at); at++) {
		if (!*open && (*at == ' ' || *at == '\t' || *at == ';'))
			break;
		if (*at == '"') {
			*quotes = true;
			*open = !*open;
		} else if (is_control(at) && !*control) {
			*control = at;
		}
	}
	scanner->at = at;
}

static bool quotes_drop(struct slice *slice, struct arena *arena)
{
	char *copy = arena_alloc(arena, slice->length + 1);
	size_t length = 0;

	if (!copy)
		return false;
	for (size_t i = 0; i < slice->length; i++)
		if (slice->text[i] != '"')
			copy[length++] = slice->text[i];
	*slice = (struct slice){ copy, length };
	return true;
}

static enum word_kind word_read(struct scanner *scanner, struct arena *arena, struct word *word)
{
	const char *control;
	bool quotes, open;

	if (line_ends(scanner, scanner->at) || *scanner->at == ';')
		return WORD_NONE;
	if (*scanner->at == '#') {
		control = comment_skip(scanner);
		word->slice = (struct slice){ control, 1 };
		return control ? WORD_CONTROL : WORD_NONE;
	}
	word_skip(scanner, &control, &quotes, &open);
	word->slice = (struct slice){ word->raw, (size_t)(scanner->at - word->raw) };
	if (control) {
		word->slice = (struct slice){ control, 1 };
		return WORD_CONTROL;
	}
	if (open)
		return WORD_OPEN;
	if (quotes && !quotes_drop(&word->slice, arena))
		return WORD_NOMEM;
	return WORD_TEXT;
}

enum word_kind word_next(struct scanner *scanner, struct arena *arena, struct word *word)
{
	while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\t'))
		scanner->at++;
	word->raw = scanner->at;
	word->column = column(scanner, scanner->at);
	word->kind = word_read(scanner, arena, word);
	if (word->kind == WORD_CONTROL)
		word->column = column(scanner, word->slice.text);
	if (word->kind != WORD_NONE)
		scanner->last = column(scanner, scanner->at);
	word->end = scanner->last;
	if (word->kind == WORD_NONE)
		word->column = word->end;
	return word->kind;
}

unsigned word_column(const struct word *word, const char *at)
{
	const char *raw = word->raw;

	if (word->slice.text == raw)
		return word->column + (unsigned)(at - raw);
	for (size_t skip = (size_t)(at - word->slice.text); skip > 0 || *raw == '"'; raw++) {
		/* At the slice's end a closing quote is the last byte there is to point at. */
		if (*raw != '"')
			skip--;
		else if (raw + 1 - word->raw >= (ptrdiff_t)(word->end - word->column))
			break;
	}
	return word->column + (unsigned)(raw - word->raw);
}
