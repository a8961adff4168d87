/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An endpoint written as an abstract unix name "\0ip2vsock/REALM/CID_PORT" and read back, see unix(7). */
#include "ip2vsock/transport.h"
#include "ip2vsock/text.h"

#include <string.h>
#include <sys/un.h>

#define PREFIX "ip2vsock/"
#define PREFIX_LEN (sizeof PREFIX - 1)

bool realm_name_valid(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len > 0 && len <= REALM_NAME_MAX && !name[len];
}

/* Inside a realm a process is one CID: "any" and "local" are that one. Unlike the kernel's vsock, a
 * listener on "local" can therefore be reached from the realm's other CIDs. */
static uint32_t realm_cid(const struct realm *realm, uint32_t cid)
{
	return cid == VMADDR_CID_ANY || cid == VMADDR_CID_LOCAL ? realm->cid : cid;
}

static socklen_t realm_encode(const struct realm *realm, const struct endpoint *endpoint,
			      struct sockaddr_storage *out)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct text name;

	text_init(&name, un.sun_path + 1, sizeof un.sun_path - 1);
	text_str(&name, PREFIX);
	text_str(&name, realm->name);
	text_str(&name, "/");
	text_uint(&name, realm_cid(realm, endpoint->cid));
	text_str(&name, "_");
	text_uint(&name, endpoint->port);
	memcpy(out, &un, sizeof un);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name.len);
}

static bool number_read(const char **at, const char *end, uint32_t *out)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; *at < end && **at >= '0' && **at <= '9' && value <= UINT32_MAX; ++*at)
		value = value * 10 + (unsigned)(**at - '0');
	*out = (uint32_t)value;
	return *at > start && value <= UINT32_MAX;
}

static bool realm_decode(const struct realm *realm, const void *sa, socklen_t len, struct endpoint *out)
{
	const char *at = (const char *)sa + offsetof(struct sockaddr_un, sun_path), *end = (const char *)sa + len;
	size_t realm_len;
	sa_family_t family;

	if (len < offsetof(struct sockaddr_un, sun_path))
		return false;
	memcpy(&family, sa, sizeof family);
	if (family != AF_UNIX || !realm->name)
		return false;
	if (at == end) { /* an unbound socket */
		*out = (struct endpoint){.cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY};
		return true;
	}
	realm_len = strlen(realm->name);
	if ((size_t)(end - at) < 1 + PREFIX_LEN + realm_len + 1 || memcmp(at, "\0" PREFIX, 1 + PREFIX_LEN) != 0 ||
	    memcmp(at + 1 + PREFIX_LEN, realm->name, realm_len) != 0 || at[1 + PREFIX_LEN + realm_len] != '/')
		return false;
	at += 1 + PREFIX_LEN + realm_len + 1;
	*out = (struct endpoint){.path = NULL};
	return number_read(&at, end, &out->cid) && at < end && *at++ == '_' &&
	       number_read(&at, end, &out->port) && at == end;
}

const struct transport transport_realm = {
	.name = "realm",
	.domain = AF_UNIX,
	.mark_level = SOL_SOCKET,
	.mark_option = SO_MAX_PACING_RATE,
	.mark_magic = 0x5a,
	.mark_inherited = false,
	.limit_level = SOL_SOCKET,
	.limit_option = SO_SNDTIMEO,
	.background = false,
	.binds_clients = true,
	.encode = realm_encode,
	.decode = realm_decode,
};
