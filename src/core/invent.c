/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that nobody knows, and the addresses they may get. */
#include "core/invent.h"

#include <arpa/inet.h>
#include <string.h>

#define LABEL_LENGTH_MAX 63

static const unsigned char invented_prefix[12] = { 0xfd, 0x69, 0x70, 0x32, 0x76, 0x73, 0, 1 };

static bool is_host_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 letters, digits, hyphens and underscores. */
static bool is_host_name(const char *name, size_t length)
{
	size_t label = 0;

	for (size_t i = 0; i < length; i++) {
		if (name[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!is_host_letter(name[i]) || ++label > LABEL_LENGTH_MAX) {
			return false;
		}
	}
	return label > 0;
}

static bool is_number(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

/* The labels of `name` end with those of `domain`, or are the same. */
static bool is_in_domain(const char *name, size_t length, const char *domain)
{
	size_t tail = strlen(domain);

	return length >= tail && memcmp(name + length - tail, domain, tail) == 0 &&
	       (length == tail || name[length - tail - 1] == '.');
}

bool name_may_be_invented(const char *name, size_t length)
{
	/* RFC 6761: this machine, and what is to fail. The rest as distributions write it into hosts(5). */
	static const char *const domains[] = { "localhost", "localhost.localdomain", "ip6-localhost",
					       "ip6-loopback", "invalid" };
	struct in_addr ignored;
	const char *last;

	if (length == 0 || length > NAME_LENGTH_MAX || !is_host_name(name, length))
		return false;
	/* No top-level domain is a number: this was meant as an address, right or wrong. */
	last = strrchr(name, '.');
	if (is_number(last ? last + 1 : name) || inet_aton(name, &ignored))
		return false;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		if (is_in_domain(name, length, domains[i]))
			return false;
	return true;
}

struct in6_addr ip_invented(const struct in6_addr *v4)
{
	struct in6_addr ip = *v4;

	memcpy(ip.s6_addr, invented_prefix, sizeof(invented_prefix));
	return ip;
}

bool ip_is_invented(const struct in6_addr *ip)
{
	return memcmp(ip->s6_addr, invented_prefix, sizeof(invented_prefix)) == 0;
}
