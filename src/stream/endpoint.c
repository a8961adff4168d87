/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts of endpoints and of lists of CIDs, by the reader of the mapping language. */
#include "stream/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *chunk_more(size_t size)
{
	return calloc(1, size);
}

static void chunk_less(void *chunk, size_t size)
{
	(void)size;
	free(chunk);
}

/* Where complaints go: `name` and `before`, a column, are what the caller knows of the text. The first one is told. */
struct complaints_to {
	struct vsock_stream *stream;
	const char *name;
	unsigned before;
	bool told;
};

static void complain(void *context, const struct config_complaint *complaint)
{
	struct complaints_to *to = context;
	struct text text;

	if (to->told)
		return;
	to->told = true;
	text_init(&text, to->stream->text, sizeof to->stream->text);
	text_str(&text, to->name);
	text_str(&text, ":");
	text_uint(&text, complaint->column > to->before ? complaint->column - to->before : 1);
	text_str(&text, ": ");
	text_str(&text, complaint->text);
	to->stream->error = EINVAL;
}

static int target_read(struct complaints_to to, struct arena *arena, enum rule_direction direction, const char *text,
		       struct rule *rule)
{
	const struct config_io io = {.context = &to, .complain = complain};
	int complaints = config_target(arena, direction, text, &io, rule);

	if (complaints < 0)
		return stream_failed(to.stream, ENOMEM, to.name, NULL);
	errno = EINVAL;
	return complaints ? -1 : 0;
}

static void options_take(struct vsock_stream *stream, const struct rule_options *options)
{
	if (options->timeout)
		stream->timeout = (int)options->timeout;
	if (options->buffer)
		stream->buffer = options->buffer;
	if (options->allow) {
		memcpy(stream->allow, options->allow, options->allow_count * sizeof *options->allow);
		stream->allow_count = options->allow_count;
	}
}

int destination_read(struct vsock_stream *stream, enum rule_direction direction, const char *text)
{
	struct arena arena = {.more = chunk_more, .less = chunk_less};
	struct rule rule;
	int result, error;

	result = target_read((struct complaints_to){stream, "endpoint", 0, false}, &arena, direction, text, &rule);
	if (result == 0) {
		stream->to.transport = rule.target == TARGET_UNIX ? &transport_unix : stream_transport(stream);
		stream->to.at = (struct endpoint){.cid = rule.cid, .port = rule.port_low};
		if (rule.path) {
			strcpy(stream->path, rule.path); /* config_target() has seen that it fits */
			stream->to.at.path = stream->path;
		}
		if (rule.options)
			options_take(stream, rule.options);
	}
	error = errno;
	arena_free(&arena);
	errno = error;
	return result;
}

PUBLIC int vsock_stream_set_allow(struct vsock_stream *stream, const char *cids)
{
	static const char before[] = "vsock any:* allow=";
	struct arena arena = {.more = chunk_more, .less = chunk_less};
	size_t size = sizeof before + (cids ? strlen(cids) : 0);
	struct rule rule;
	char *text;
	int result, error;

	if (!cids) {
		stream->allow_count = 0;
		return 0;
	}
	/* What ends a word ends the list, and what follows is none of this call's business. */
	if (strpbrk(cids, " \t\r\n;#\""))
		return stream_refused(stream, EINVAL, "allow: a list of CIDs is expected, such as 3,5-9");
	text = malloc(size);
	if (!text)
		return stream_failed(stream, ENOMEM, "allow", NULL);
	memcpy(text, before, sizeof before);
	strcpy(text + sizeof before - 1, cids);
	result = target_read((struct complaints_to){stream, "allow", sizeof before - 1, false}, &arena, RULE_LISTEN, text, &rule);
	if (result == 0)
		options_take(stream, rule.options);
	error = errno;
	arena_free(&arena);
	free(text);
	errno = error;
	return result;
}
