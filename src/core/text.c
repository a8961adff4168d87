/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text built piece by piece in a fixed buffer. */
#include "ip2vsock/text.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void text_init(struct text *text, char *buf, size_t size)
{
	text->buf = buf;
	text->size = size;
	text->len = 0;
	if (size > 0)
		buf[0] = '\0';
}

void text_strn(struct text *text, const char *str, size_t len)
{
	size_t room;

	if (text->size == 0)
		return;
	room = text->size - 1 - text->len;
	if (len > room)
		len = room;
	memcpy(text->buf + text->len, str, len);
	text->len += len;
	text->buf[text->len] = '\0';
}

void text_str(struct text *text, const char *str)
{
	text_strn(text, str, strlen(str));
}

void text_uint(struct text *text, uint64_t value)
{
	char buf[20];
	size_t at = sizeof(buf);

	do {
		buf[--at] = digits[value % 10];
		value /= 10;
	} while (value > 0);
	text_strn(text, buf + at, sizeof(buf) - at);
}

void text_int(struct text *text, int64_t value)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		text_str(text, "-");
		magnitude = 0 - magnitude; /* right for INT64_MIN too */
	}
	text_uint(text, magnitude);
}

void text_hex(struct text *text, uint64_t value)
{
	char buf[16];
	size_t at = sizeof(buf);

	do {
		buf[--at] = digits[value & 15];
		value >>= 4;
	} while (value > 0);
	text_str(text, "0x");
	text_strn(text, buf + at, sizeof(buf) - at);
}

void text_quoted(struct text *text, const char *str, size_t len)
{
	size_t shown = len < TEXT_QUOTED_MAX ? len : TEXT_QUOTED_MAX;

	text_str(text, "\"");
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)str[i];
		char escaped[4] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

		if (c < ' ' || c > '~') {
			text_strn(text, escaped, 4);
		} else {
			if (c == '"' || c == '\\')
				text_str(text, "\\");
			text_strn(text, str + i, 1);
		}
	}
	text_str(text, shown < len ? "...\"" : "\"");
}
