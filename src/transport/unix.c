/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The unix sockets of a virtual machine monitor: PATH to its guest, PATH_PORT from it. */
#include "ip2vsock/transport.h"
#include "ip2vsock/text.h"

#include <string.h>
#include <sys/un.h>

static socklen_t unix_encode(const struct realm *realm, const struct endpoint *endpoint, struct sockaddr_storage *out)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct text name;

	(void)realm;
	text_init(&name, un.sun_path, sizeof un.sun_path);
	text_str(&name, endpoint->path);
	if (endpoint->port != VMADDR_PORT_ANY) {
		text_str(&name, "_");
		text_uint(&name, endpoint->port);
	}
	memcpy(out, &un, sizeof un);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len + 1);
}

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == UNIX_NAME_SIZE, "as the header says");

const char *unix_name(const void *sa)
{
	return (const char *)sa + offsetof(struct sockaddr_un, sun_path);
}

/* Where the name of an address begins and ends, without a NUL at its end; false for an address of another kind. */
static bool name_of(const void *sa, socklen_t len, const char **start, const char **end)
{
	sa_family_t family;

	if (len < offsetof(struct sockaddr_un, sun_path))
		return false;
	memcpy(&family, sa, sizeof family);
	*start = (const char *)sa + offsetof(struct sockaddr_un, sun_path);
	*end = (const char *)sa + len;
	if (*end > *start && **start) /* not an abstract one */
		*end = *start + strnlen(*start, (size_t)(*end - *start));
	return family == AF_UNIX;
}

/* The digits after the last "_", of a port; NULL when the name does not end so. */
static const char *port_of(const char *start, const char *end, uint32_t *port)
{
	const char *at = end;
	uint64_t value = 0;

	while (at > start && at[-1] >= '0' && at[-1] <= '9')
		at--;
	if (at == end || end - at > 10 || at - 1 <= start || at[-1] != '_')
		return NULL;
	for (const char *digit = at; digit < end; digit++)
		value = value * 10 + (unsigned)(*digit - '0');
	*port = (uint32_t)value;
	return value < UINT32_MAX ? at - 1 : NULL; /* VMADDR_PORT_ANY */
}

static bool unix_decode(const struct realm *realm, const void *sa, socklen_t len, struct endpoint *out)
{
	const char *start, *end;

	(void)realm;
	if (!name_of(sa, len, &start, &end))
		return false;
	*out = (struct endpoint){.cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY};
	if (start < end && *start)
		port_of(start, end, &out->port);
	return true;
}

bool unix_name_path(const void *sa, socklen_t len, char *out, size_t size)
{
	const char *start, *end, *path_end;
	uint32_t port;

	if (!name_of(sa, len, &start, &end) || start == end || !*start)
		return false;
	path_end = port_of(start, end, &port);
	if (!path_end || (size_t)(path_end - start) >= size)
		return false;
	memcpy(out, start, (size_t)(path_end - start));
	out[path_end - start] = '\0';
	return true;
}

const struct transport transport_unix = {
	.name = "unix",
	.domain = AF_UNIX,
	.mark_level = SOL_SOCKET,
	.mark_option = SO_MAX_PACING_RATE,
	.mark_magic = 0x5b,
	.mark_inherited = false,
	.limit_level = SOL_SOCKET,
	.limit_option = SO_SNDTIMEO,
	.background = false,
	.greets = true,
	.encode = unix_encode,
	.decode = unix_decode,
};
