/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong, said in terms of the option that it stands in. */
#include "cli/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void no_memory(void)
{
	fputs("ip2vsock: not enough memory\n", stderr);
	exit(EXIT_TROUBLE);
}

const char *string_format(struct ctl *ctl, const char *format, ...)
{
	va_list args;
	char *string, *kept;
	int length;

	va_start(args, format);
	length = vasprintf(&string, format, args);
	va_end(args);
	kept = length < 0 ? NULL : arena_alloc(&ctl->arena, (size_t)length + 1);
	if (!kept)
		no_memory();
	memcpy(kept, string, (size_t)length + 1);
	free(string);
	return kept;
}

/* A value as messages show it: on one line. */
static void value_print(FILE *out, const char *value)
{
	putc('"', out);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if ((unsigned char)*value < ' ' || *value == 0x7f)
			fprintf(out, "\\x%02x", (unsigned)*value);
		else
			putc(*value, out);
	}
	putc('"', out);
}

void option_complain(struct ctl *ctl, const char *format, ...)
{
	va_list args;

	ctl->complaints++;
	fprintf(stderr, "ip2vsock: %s ", ctl->option);
	value_print(stderr, ctl->value);
	fputs(": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
}

void config_complain(void *context, const struct config_complaint *complaint)
{
	struct ctl *ctl = context;

	ctl->complaints++;
	fputs("ip2vsock: ", stderr);
	if (complaint->source == ctl->source) {
		fprintf(stderr, "%s ", ctl->option);
		value_print(stderr, ctl->value);
	} else {
		fputs(complaint->source, stderr);
	}
	if (complaint->line && !(complaint->source == ctl->source && ctl->is_made))
		fprintf(stderr, ":%u:%u", complaint->line, complaint->column);
	fprintf(stderr, ": %s\n", complaint->text);
}
