/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockaddr_in and sockaddr_in6, in and out; value-result copying. */
#include "ip2vsock/addr.h"
#include "ip2vsock/text.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

/* A sockaddr_in6 without sin6_scope_id, as RFC 2133 had it: the kernel still takes it. */
#define SIN6_LEN_RFC2133 offsetof(struct sockaddr_in6, sin6_scope_id)

static const unsigned char v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

static struct in6_addr v4_mapped(struct in_addr v4)
{
	struct in6_addr ip;

	memcpy(ip.s6_addr, v4_prefix, sizeof(v4_prefix));
	memcpy(ip.s6_addr + sizeof(v4_prefix), &v4, sizeof(v4));
	return ip;
}

static bool read_v4(const void *sa, socklen_t len, struct ip_addr *out)
{
	struct sockaddr_in in;

	if (len < sizeof(in))
		return false;
	memcpy(&in, sa, sizeof(in));
	*out = (struct ip_addr){
		.family = AF_INET,
		.port = ntohs(in.sin_port),
		.ip = v4_mapped(in.sin_addr),
	};
	return true;
}

static bool read_v6(const void *sa, socklen_t len, struct ip_addr *out)
{
	struct sockaddr_in6 in6 = { 0 };

	if (len < SIN6_LEN_RFC2133)
		return false;
	memcpy(&in6, sa, len < sizeof(in6) ? SIN6_LEN_RFC2133 : sizeof(in6));
	*out = (struct ip_addr){
		.family = AF_INET6,
		.port = ntohs(in6.sin6_port),
		.scope = in6.sin6_scope_id,
		.ip = in6.sin6_addr,
	};
	return true;
}

bool ip_addr_family(const void *sa, socklen_t len, sa_family_t *out)
{
	if ((uintptr_t)sa < 4096 || (uintptr_t)sa > UINTPTR_MAX - 4096 || len < sizeof(*out) ||
	    len > sizeof(struct sockaddr_storage))
		return false;
	memcpy(out, sa, sizeof(*out));
	return true;
}

bool ip_addr_read(const void *sa, socklen_t len, struct ip_addr *out)
{
	sa_family_t family;

	if (!ip_addr_family(sa, len, &family))
		return false;
	if (family == AF_INET)
		return read_v4(sa, len, out);
	if (family == AF_INET6)
		return read_v6(sa, len, out);
	return false;
}

socklen_t ip_addr_write(const struct ip_addr *addr, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(addr->port) };
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(addr->port),
		.sin6_addr = addr->ip,
		.sin6_scope_id = addr->scope,
	};

	memset(out, 0, sizeof(*out));
	if (addr->family == AF_INET6) {
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	}
	if (ip_addr_is_v4(addr))
		in.sin_addr.s_addr = htonl(ip_addr_v4(addr));
	memcpy(out, &in, sizeof(in));
	return sizeof(in);
}

void ip_addr_copy_out(const void *sa, socklen_t len_sa, void *buf, socklen_t *len)
{
	if (!len)
		return;
	if (buf)
		memcpy(buf, sa, *len < len_sa ? *len : len_sa);
	*len = len_sa;
}

struct ip_addr ip_addr_from_v4(uint32_t ipv4, uint16_t port, sa_family_t family)
{
	struct in_addr v4 = { htonl(ipv4) };

	return (struct ip_addr){ .family = family, .port = port, .ip = v4_mapped(v4) };
}

bool ip_addr_is_v4(const struct ip_addr *addr)
{
	return memcmp(&addr->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

uint32_t ip_addr_v4(const struct ip_addr *addr)
{
	uint32_t v4;

	memcpy(&v4, addr->ip.s6_addr + sizeof(v4_prefix), sizeof(v4));
	return ntohl(v4);
}

bool ip_addr_is_any(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		return ip_addr_v4(addr) == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&addr->ip);
}

bool ip_addr_is_loopback(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		return ip_addr_v4(addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&addr->ip);
}

char *ip_addr_text(const struct ip_addr *addr, char buf[IP_ADDR_TEXT_SIZE])
{
	char ip[INET6_ADDRSTRLEN];
	struct text text;

	text_init(&text, buf, IP_ADDR_TEXT_SIZE);
	if (ip_addr_is_v4(addr)) {
		for (unsigned i = 12; i < 16; i++) {
			text_uint(&text, addr->ip.s6_addr[i]);
			text_str(&text, i < 15 ? "." : ":");
		}
	} else {
		text_str(&text, "[");
		text_str(&text, inet_ntop(AF_INET6, &addr->ip, ip, sizeof(ip)));
		text_str(&text, "]:");
	}
	text_uint(&text, addr->port);
	return buf;
}
