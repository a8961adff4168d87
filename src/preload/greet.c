/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "CONNECT PORT" and "OK NUMBER". */
#include "preload/greet.h"
#include "preload/real.h"

#include <errno.h>
#include <string.h>

int greet_begin(int fd, uint32_t port, struct greeting *greeting)
{
	char line[GREETING_SIZE];
	size_t size = greeting_request(port, line);

	*greeting = (struct greeting){.asked = true};
	if (REAL(send)(fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size)
		return 0;
	return ECONNREFUSED; /* it has closed already */
}

int greet_go_on(int fd, struct greeting *greeting)
{
	size_t room = sizeof greeting->line - greeting->have, size;
	char *at = greeting->line + greeting->have, *end;
	ssize_t got;

	/* Without its newline all that is there belongs to the answer. */
	do
		got = REAL(recv)(fd, at, room, MSG_PEEK | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return EAGAIN;
	if (got <= 0)
		return ECONNREFUSED;
	end = memchr(at, '\n', (size_t)got);
	size = end ? (size_t)(end + 1 - at) : (size_t)got;
	got = REAL(recv)(fd, at, size, MSG_DONTWAIT);
	if (got != (ssize_t)size)
		return ECONNREFUSED;
	greeting->have = (uint8_t)(greeting->have + size);
	if (end)
		return greeting_is_ok(greeting->line, greeting->have) ? 0 : ECONNREFUSED;
	return greeting->have < sizeof greeting->line ? EAGAIN : ECONNREFUSED;
}
