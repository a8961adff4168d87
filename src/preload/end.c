/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of sockets of ours, read as endpoints. */
#include "preload/end.h"
#include "preload/init.h"
#include "preload/note.h"
#include "preload/real.h"

#include <string.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* Of the ports that Linux gives to clients. */
static uint32_t cookie_port(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof cookie;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
	return 32768 + (uint32_t)(cookie % (61000 - 32768));
}

static __attribute__((noinline)) uint32_t client_port(int fd)
{
	const void *source;
	struct note note;
	socklen_t size;
	uint16_t port;

	note_get(fd, &note);
	source = note_option_get(&note, NOTE_LEVEL, NOTE_SOURCE, &size);
	if (!source)
		return cookie_port(fd);
	memcpy(&port, source, sizeof port);
	return port;
}

int end_source_set(int fd, uint16_t port)
{
	struct note note;

	note_get(fd, &note);
	note_option_set(&note, NOTE_LEVEL, NOTE_SOURCE, &port, sizeof port);
	return note_set(fd, &note);
}

typedef int name_call(int, struct sockaddr *, socklen_t *);

static bool name_read(name_call *call, int fd, const struct transport *transport, struct end *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (call(fd, (struct sockaddr *)&sa, &len) < 0 ||
	    !transport->decode(&settings()->realm, &sa, len, &out->endpoint))
		return false;
	if (transport->greets && unix_name_path(&sa, len, out->path, sizeof out->path))
		out->endpoint.path = out->path;
	return true;
}

bool end_local(int fd, const struct transport *transport, struct end *out)
{
	if (!name_read(REAL(getsockname), fd, transport, out))
		return false;
	if (transport->greets && out->endpoint.port == VMADDR_PORT_ANY)
		out->endpoint.port = client_port(fd);
	return true;
}

bool end_peer(int fd, const struct transport *transport, struct end *out)
{
	if (!name_read(REAL(getpeername), fd, transport, out))
		return false;
	if (!transport->greets)
		return true;
	name_read(REAL(getsockname), fd, transport, out);
	out->endpoint.port = cookie_port(fd);
	return true;
}
