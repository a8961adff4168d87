/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Marks in retargeted sockets: 64 bits in an option that vsock does not use. */
#include "preload/mark.h"
#include "preload/init.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/*
 * The word, from the top: 8 bits magic, 1 bit kind, 2 bits form, 5 bits flags, 32 bits address, 16 bits
 * port. The magic makes it a buffer size of exabytes, which no program asks for, and is not the all-ones default
 * of SO_MAX_PACING_RATE.
 */
#define MAGIC UINT64_C(0x5a)
#define MAGIC_SHIFT 56
#define KIND_SHIFT 55
#define FORM_SHIFT 53
#define FLAGS_SHIFT 48

enum mark_form {
	FORM_V4,  /* the 32 bits are an IPv4 address, v4-mapped if MARK_INET6 */
	FORM_LOW, /* they are the low bits of ::, so :: and ::1 fit */
	FORM_FAR, /* another IPv6 address, kept in the note */
};

static int far_set(int fd, const struct ip_addr *addr)
{
	struct note note;

	note_get(fd, &note);
	note.ip = addr->ip;
	if (addr->scope)
		note_option_set(&note, NOTE_LEVEL, NOTE_SCOPE, &addr->scope, sizeof addr->scope);
	return note_set(fd, &note);
}

static void far_get(int fd, struct ip_addr *out)
{
	const void *scope;
	struct note note;
	socklen_t size;

	note_get(fd, &note);
	out->ip = note.ip;
	scope = note_option_get(&note, NOTE_LEVEL, NOTE_SCOPE, &size);
	/* Of a listener the option is copied to accepted sockets, the address is not. */
	if (scope && !ip_addr_is_any(out))
		memcpy(&out->scope, scope, sizeof out->scope);
}

static enum mark_form addr_form(const struct ip_addr *addr)
{
	static const uint8_t zero[12];

	if (ip_addr_is_v4(addr))
		return FORM_V4;
	return memcmp(&addr->ip, zero, sizeof zero) == 0 ? FORM_LOW : FORM_FAR;
}

int mark_set(int fd, const struct transport *transport, const struct mark *mark)
{
	enum mark_form form = addr_form(&mark->addr);
	uint32_t low = ntohl(mark->addr.ip.s6_addr32[3]);
	uint64_t word = MAGIC << MAGIC_SHIFT | (uint64_t)mark->kind << KIND_SHIFT |
			(uint64_t)form << FORM_SHIFT | (uint64_t)mark->flags << FLAGS_SHIFT |
			(uint64_t)low << 16 | mark->addr.port;

	if (form == FORM_FAR && far_set(fd, &mark->addr) < 0)
		return -1;
	return REAL(setsockopt)(fd, transport->mark_level, transport->mark_option, &word, sizeof word);
}

bool mark_get(int fd, const struct transport *transport, struct mark *out)
{
	uint64_t word = 0;
	socklen_t size = sizeof word;
	int saved = errno;
	bool ours = REAL(getsockopt)(fd, transport->mark_level, transport->mark_option, &word, &size) == 0 && size == sizeof word &&
		    word >> MAGIC_SHIFT == MAGIC;
	enum mark_form form = word >> FORM_SHIFT & 3;

	if (ours) {
		out->kind = word >> KIND_SHIFT & 1 ? MARK_PEER : MARK_LOCAL;
		out->flags = word >> FLAGS_SHIFT & 0x1f;
		out->addr = ip_addr_from_v4((uint32_t)(word >> 16), (uint16_t)word,
					    out->flags & MARK_INET6 ? AF_INET6 : AF_INET);
		if (form != FORM_V4) {
			memset(&out->addr.ip, 0, 12);
			/* Not copied by accept(): then the wildcard stands for it. */
			if (form == FORM_FAR)
				far_get(fd, &out->addr);
		}
	}
	errno = saved;
	return ours;
}

/* -1 is the default, and as an address (255.255.255.255) never one that a socket is bound to. */
bool mark_source_get(int fd, uint32_t *ipv4)
{
	int value = -1, saved = errno;
	socklen_t size = sizeof value;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_INCOMING_CPU, &value, &size);
	errno = saved;
	*ipv4 = (uint32_t)value;
	return value != -1 && value != 0;
}

int mark_source_set(int fd, uint32_t ipv4)
{
	int value = (int)ipv4;

	return REAL(setsockopt)(fd, SOL_SOCKET, SO_INCOMING_CPU, &value, sizeof value);
}

bool peer_kept_get(int fd, struct peer_kept *out)
{
	struct note note;
	const void *kept;
	socklen_t size;

	note_get(fd, &note);
	kept = note_option_get(&note, NOTE_LEVEL, NOTE_PEER, &size);
	if (!kept || size != sizeof *out)
		return false;
	memcpy(out, kept, sizeof *out);
	return true;
}

void peer_kept_set(int fd, const struct peer_kept *peer)
{
	struct note note;
	int saved = errno;

	note_get(fd, &note);
	if (note_option_set(&note, NOTE_LEVEL, NOTE_PEER, peer, sizeof *peer))
		note_set(fd, &note);
	errno = saved;
}

bool peer_has_shut(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
	int saved = errno;
	bool shut = REAL(poll)(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLRDHUP;

	errno = saved;
	return shut;
}

bool peer_is_over(int fd, const struct peer_kept *peer)
{
	return peer->how == SHUT_WRITE && peer_has_shut(fd);
}

int socket_domain(int fd)
{
	int domain = -1, saved = errno;
	socklen_t size = sizeof domain;

	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		domain = -1;
	errno = saved;
	return domain;
}

const struct transport *transport_of(int domain)
{
	const struct transport *transport;

	if (domain != transport_vsock.domain && domain != transport_realm.domain)
		return NULL;
	transport = settings()->transport;
	/* A socket may have been made before this process entered a realm. */
	return domain == transport->domain	  ? transport
	       : domain == transport_vsock.domain ? &transport_vsock
						  : NULL;
}

const struct transport *mark_find(int fd, struct mark *out)
{
	const struct transport *transport = hint_says_foreign(fd) ? NULL : transport_of(socket_domain(fd));

	return transport && mark_get(fd, transport, out) ? transport : NULL;
}
