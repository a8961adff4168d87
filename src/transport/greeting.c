/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words that begin a connection through the unix socket of a virtual machine monitor. */
#include "ip2vsock/text.h"
#include "ip2vsock/transport.h"

#include <string.h>

size_t greeting_request(uint32_t port, char out[GREETING_SIZE])
{
	struct text text;

	text_init(&text, out, GREETING_SIZE);
	text_str(&text, "CONNECT ");
	text_uint(&text, port);
	text_str(&text, "\n");
	return text.len;
}

bool greeting_is_ok(const char *line, size_t have)
{
	size_t at = 3;

	if (have < 5 || memcmp(line, "OK ", 3) != 0)
		return false;
	while (at < have && line[at] >= '0' && line[at] <= '9')
		at++;
	return at > 3 && at == have - 1 && line[at] == '\n';
}
