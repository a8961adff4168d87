/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text built piece by piece in a fixed buffer: what printf would do, where printf may not run. */
#ifndef IP2VSOCK_TEXT_H
#define IP2VSOCK_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* buf always holds a NUL-terminated string of len bytes (when size > 0). What does not fit is left
 * out silently. Async-signal-safe: no allocation, no locale, no errno. */
struct text {
	char *buf;
	size_t size; /* of buf, the NUL included */
	size_t len;  /* without the NUL; below size */
};

/* Starts an empty text in buf. */
void text_init(struct text *text, char *buf, size_t size);

void text_str(struct text *text, const char *str);
void text_strn(struct text *text, const char *str, size_t len);
void text_uint(struct text *text, uint64_t value);
void text_int(struct text *text, int64_t value);
void text_hex(struct text *text, uint64_t value); /* "0x1f" */

/* Somebody else's bytes in double quotes: quotes and backslashes get a backslash, what is not
 * printable ASCII becomes \xHH, and after TEXT_QUOTED_MAX bytes it is cut with "...". */
#define TEXT_QUOTED_MAX 60
void text_quoted(struct text *text, const char *str, size_t len);

#endif
