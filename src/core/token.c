/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language cut into statements and words. */
#include "core/token.h"

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

static unsigned column_of(const struct scanner *scanner, const char *at)
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
	scanner->last = column_of(scanner, scanner->at);
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

/* Most bytes of most words: nothing that needs a closer look. */
static const bool is_plain[256] = {
	['!'] = true, ['#' ... ':'] = true, ['<' ... '~'] = true, [0x80 ... 0xff] = true,
};

/* Reads over a word. */
static void word_skip(struct scanner *scanner, const char **control, bool *quotes, bool *open)
{
	const char *at = scanner->at, *end = scanner->end;

	*control = NULL;
	*quotes = *open = false;
	for (; at < end; at++) {
		while (at < end && is_plain[(unsigned char)*at])
			at++;
		if (line_ends(scanner, at))
			break;
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
	word->column = column_of(scanner, scanner->at);
	word->kind = word_read(scanner, arena, word);
	if (word->kind == WORD_CONTROL)
		word->column = column_of(scanner, word->slice.text);
	if (word->kind != WORD_NONE)
		scanner->last = column_of(scanner, scanner->at);
	word->end = scanner->last;
	if (word->kind == WORD_NONE)
		word->column = word->end;
	return word->kind;
}

unsigned word_column(const struct word *word, const char *at)
{
	size_t skip = (size_t)(at - word->slice.text);
	unsigned column = word->column;

	if (word->slice.text == word->raw)
		return column + (unsigned)skip;
	for (const char *raw = word->raw; column < word->end && (skip > 0 || *raw == '"'); raw++) {
		if (*raw != '"')
			skip--;
		column++;
	}
	return column;
}
