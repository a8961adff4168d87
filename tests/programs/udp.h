/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs about datagrams share: sockets, patterns, and receiving with patience. Needs common.h. */
#ifndef TEST_UDP_H
#define TEST_UDP_H

/* The most that a datagram holds: over IPv6 twenty bytes more, of which the tests make no use. */
#define UDP_MOST 65507

/* A datagram is there at once on loopback, elsewhere a moment later; on a machine that is busy, much later. */
#define UDP_SOON 20000
/* How long one waits before one believes that nothing comes. */
#define UDP_SILENCE 150

UNUSED static int open_udp(int flags)
{
	const int fd = socket(here_family, SOCK_DGRAM | flags, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

UNUSED static int udp_at(struct place at)
{
	const int fd = open_udp(0);

	if (do_bind(fd, at) < 0)
		die("bind to %s", name_text(&at.sa));
	return fd;
}

UNUSED static int udp_to(struct place to)
{
	const int fd = open_udp(0);

	must_connect(fd, to);
	return fd;
}

/* sendto, which must take all of it. */
UNUSED static void put_to(int fd, const void *data, size_t size, struct place to)
{
	const ssize_t sent = sendto(fd, data, size, 0, (const struct sockaddr *)&to.sa, to.len);

	if (sent != (ssize_t)size)
		die("sendto of %zu: %zd", size, sent);
}

/* send on a connected socket, which must take all of it. */
UNUSED static void put(int fd, const void *data, size_t size)
{
	const ssize_t sent = send(fd, data, size, 0);

	if (sent != (ssize_t)size)
		die("send of %zu: %zd", size, sent);
}

/* Waits for a datagram, whose size it returns; from may be NULL. */
UNUSED static size_t take_from(int fd, void *data, size_t room, struct place *from)
{
	struct place place = {.len = sizeof(place.sa)};
	ssize_t got;

	if (!wait_for(fd, POLLIN, UDP_SOON)) {
		errno = ETIMEDOUT;
		die("nothing came");
	}
	got = recvfrom(fd, data, room, 0, (struct sockaddr *)&place.sa, &place.len);
	if (got < 0)
		die("recvfrom");
	if (from)
		*from = place;
	return (size_t)got;
}

/* The next datagram, as text: "server: 5 bytes hello". Longer ones than 63 bytes are cut. */
UNUSED static void say_text(const char *who, int fd)
{
	char text[64] = "";
	const size_t got = take_from(fd, text, sizeof(text) - 1, NULL);

	say("%s: %zu bytes %s", who, got, text);
}

/* The next datagram, and where it came from. Returns that. */
UNUSED static struct place say_text_from(const char *who, int fd)
{
	char text[64] = "";
	struct place from;
	const size_t got = take_from(fd, text, sizeof(text) - 1, &from);

	say("%s: %zu bytes %s from %s", who, got, text, name_text(&from.sa));
	return from;
}

/* That nothing is there, and nothing comes. */
UNUSED static void say_silence(const char *who, int fd)
{
	say("%s: more: %s", who, yes_no(wait_for(fd, POLLIN, UDP_SILENCE)));
}

/* "sent: 5" or "sent: EMSGSIZE". */
UNUSED static ssize_t say_size(const char *what, ssize_t size)
{
	const int error = errno;

	if (size < 0)
		say("%s: %s", what, error_name(error));
	else
		say("%s: %zd", what, size);
	errno = error;
	return size;
}

UNUSED static bool same_place(struct place a, struct place b)
{
	const struct sockaddr_in *in_a = (const struct sockaddr_in *)&a.sa,
				 *in_b = (const struct sockaddr_in *)&b.sa;
	const struct sockaddr_in6 *in6_a = (const struct sockaddr_in6 *)&a.sa;
	const struct sockaddr_in6 *in6_b = (const struct sockaddr_in6 *)&b.sa;

	if (a.sa.ss_family != b.sa.ss_family || a.len != b.len || port_of(&a.sa) != port_of(&b.sa))
		return false;
	if (a.sa.ss_family == AF_INET)
		return in_a->sin_addr.s_addr == in_b->sin_addr.s_addr;
	return !memcmp(&in6_a->sin6_addr, &in6_b->sin6_addr, sizeof(in6_a->sin6_addr));
}

/* Bytes that tell at once when one of them is missing, doubled, or of another datagram. */
UNUSED static void fill(void *data, size_t size, unsigned seed)
{
	unsigned char *at = data;
	uint32_t x = seed * 2654435761U + 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525U + 1013904223U;
		at[i] = (unsigned char)(x >> 24);
	}
}

UNUSED static bool is_filled(const void *data, size_t size, unsigned seed)
{
	const unsigned char *at = data;
	uint32_t x = seed * 2654435761U + 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525U + 1013904223U;
		if (at[i] != (unsigned char)(x >> 24))
			return false;
	}
	return true;
}

#endif
