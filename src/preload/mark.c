/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Marks in retargeted sockets: 64 bits in an option that vsock does not use. */
#include "preload/mark.h"
#include "preload/adopt.h"
#include "preload/init.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/remember.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/*
 * The word, from the top: 8 bits of the transport, 1 bit kind, 2 bits form, 5 bits flags, 32 bits address, 16 bits
 * port. Those of the transport make it a buffer size of exabytes, which no program asks for, and is not the all-ones default
 * of SO_MAX_PACING_RATE.
 */
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
	uint64_t word = (uint64_t)transport->mark_magic << MAGIC_SHIFT | (uint64_t)mark->kind << KIND_SHIFT |
			(uint64_t)form << FORM_SHIFT | (uint64_t)mark->flags << FLAGS_SHIFT |
			(uint64_t)low << 16 | mark->addr.port;

	if (form == FORM_FAR && far_set(fd, &mark->addr) < 0)
		return -1;
	return REAL(setsockopt)(fd, transport->mark_level, transport->mark_option, &word, sizeof word);
}

/* The kernel's defaults (VSOCK_DEFAULT_BUFFER_MAX_SIZE in net/vmw_vsock/af_vsock.c). */
void mark_clear(int fd, const struct transport *transport)
{
	uint64_t word = transport == &transport_vsock ? 256 << 10 : UINT64_MAX;

	REAL(setsockopt)(fd, transport->mark_level, transport->mark_option, &word, sizeof word);
}

/* The word, or 0. errno is preserved. */
static uint64_t word_get(int fd, const struct transport *transport)
{
	uint64_t word = 0;
	socklen_t size = sizeof word;
	int saved = errno;

	if (REAL(getsockopt)(fd, transport->mark_level, transport->mark_option, &word, &size) < 0 || size != sizeof word)
		word = 0;
	errno = saved;
	return word;
}

static bool word_is_of(uint64_t word, const struct transport *transport)
{
	return word >> MAGIC_SHIFT == transport->mark_magic;
}

static void word_read(int fd, uint64_t word, struct mark *out)
{
	enum mark_form form = word >> FORM_SHIFT & 3;

	out->kind = word >> KIND_SHIFT & 1 ? MARK_PEER : MARK_LOCAL;
	out->flags = word >> FLAGS_SHIFT & 0x1f;
	out->addr = ip_addr_from_v4((uint32_t)(word >> 16), (uint16_t)word,
				    out->flags & MARK_INET6 ? AF_INET6 : AF_INET);
	if (form == FORM_V4)
		return;
	memset(&out->addr.ip, 0, 12);
	/* Not copied by accept(): then the wildcard stands for it. */
	if (form == FORM_FAR)
		far_get(fd, &out->addr);
}

bool mark_get(int fd, const struct transport *transport, struct mark *out)
{
	uint64_t word = word_get(fd, transport);

	if (!word_is_of(word, transport))
		return false;
	word_read(fd, word, out);
	return true;
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
	uint32_t words[3];
	struct note note;
	const void *kept;
	socklen_t size;

	note_get(fd, &note);
	kept = note_option_get(&note, NOTE_LEVEL, NOTE_PEER, &size);
	if (!kept || size != sizeof words)
		return false;
	memcpy(words, kept, sizeof words);
	*out = (struct peer_kept){.endpoint = {.cid = words[0], .port = words[1]}, .how = words[2]};
	return true;
}

void peer_kept_set(int fd, const struct peer_kept *peer)
{
	const uint32_t words[] = {peer->endpoint.cid, peer->endpoint.port, peer->how};
	struct note note;
	int saved = errno;

	note_get(fd, &note);
	if (note_option_set(&note, NOTE_LEVEL, NOTE_PEER, words, sizeof words))
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

bool domain_is_ours(int domain)
{
	return domain == transport_vsock.domain || (domain == transport_unix.domain && settings()->has_unix);
}

/* Of one domain all have the mark in one option. A realm's is looked for only by those who are in it. */
static const struct transport *word_transport(int fd, int domain, uint64_t *word)
{
	const struct transport *const transports[] = {
		domain == transport_vsock.domain ? &transport_vsock : settings()->transport, &transport_unix};

	*word = domain_is_ours(domain) ? word_get(fd, domain == transport_vsock.domain ? &transport_vsock : &transport_unix) : 0;
	for (unsigned i = 0; *word && i < sizeof transports / sizeof *transports; i++)
		if (transports[i]->domain == domain && word_is_of(*word, transports[i]))
			return transports[i];
	return NULL;
}

bool mark_exists(int fd, int domain)
{
	uint64_t word;

	return word_transport(fd, domain, &word);
}

const struct transport *mark_look(int fd, int domain, struct mark *out)
{
	bool over = adopt_is_over();
	uint64_t word;
	const struct transport *transport = word_transport(fd, domain, &word);

	if (!over && (transport ? adopt_is_due() : domain_is_ours(domain)) && adopt(fd))
		transport = word_transport(fd, domain, &word);
	if (transport)
		word_read(fd, word, out);
	return transport;
}

const struct transport *mark_find(int fd, struct mark *out)
{
	return hint_says_foreign(fd) ? NULL : mark_look(fd, socket_domain(fd), out);
}
