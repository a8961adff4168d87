/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is refused because no rule can name it, where everything is refused that no rule names. */
#include "preload/strict.h"
#include "ip2vsock/text.h"
#include "preload/decide.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Families that have no network, or are vsock's. All others are refused, those that are still to come as well. */
static bool domain_is_local(int domain)
{
	return domain == transport_realm.domain || domain == transport_vsock.domain || domain == AF_NETLINK ||
	       domain == AF_ALG || domain <= 0;
}

static void number_or(struct text *text, const char *word, int number)
{
	if (word)
		text_str(text, word);
	else
		text_int(text, number);
}

static const char *domain_word(int domain)
{
	return domain == AF_INET ? "AF_INET" : domain == AF_INET6 ? "AF_INET6" : domain == AF_PACKET ? "AF_PACKET" : NULL;
}

static const char *type_word(int type)
{
	/* Without pointers, each of which ld.so would have to move. */
	static const char words[][16] = {
		[SOCK_STREAM] = "SOCK_STREAM", [SOCK_DGRAM] = "SOCK_DGRAM", [SOCK_RAW] = "SOCK_RAW",
		[SOCK_SEQPACKET] = "SOCK_SEQPACKET", [SOCK_DCCP] = "SOCK_DCCP", [SOCK_PACKET] = "SOCK_PACKET",
	};

	return (unsigned)type < sizeof words / sizeof *words && *words[type] ? words[type] : NULL;
}

int strict_socket(int domain, int type, int protocol)
{
	char what[64];
	struct text text;
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (domain_is_local(domain) || !settings()->strict)
		return 0;
	text_init(&text, what, sizeof what);
	number_or(&text, domain_word(domain), domain);
	text_str(&text, ", ");
	number_or(&text, type_word(kind), kind);
	text_str(&text, ", ");
	text_int(&text, protocol);
	return refuse_other("socket", what, settings()->failed ? settings()->error : EACCES);
}

/* What TCP's rules say of a listener; everything is refused where there are none. */
static void listen_find(const struct ip_addr *addr, struct target *out)
{
	const struct settings *now = settings();

	if (now->failed)
		*out = (struct target){.kind = TARGET_REJECT, .error = now->error};
	else
		rules_find(now->rules, RULE_LISTEN, RULE_TCP, addr, out);
}

bool strict_target(int fd, enum rule_direction direction, struct target *target)
{
	if (domain_is_local(socket_domain(fd)))
		return false;
	*target = (struct target){.kind = TARGET_REJECT, .error = refusal_error(direction)};
	return true;
}

int strict_listen(int fd)
{
	int domain = socket_domain(fd);
	enum socket_kind kind;
	struct target target;
	struct ip_addr addr = ip_addr_from_v4(INADDR_ANY, 0, AF_INET);

	if (domain_is_local(domain) || !settings()->strict)
		return 0;
	kind = socket_kind(fd, domain);
	if (kind == KIND_OTHER)
		return refuse_number("listen", fd, refusal_error(RULE_LISTEN));
	if (kind == KIND_UDP || tcp_state(fd) != TCP_CLOSE) /* cannot, or was made to listen by somebody else */
		return 0;
	if (!inet_bound(fd, &addr) && domain == AF_INET6)
		addr = (struct ip_addr){.family = AF_INET6, .ip = IN6ADDR_ANY_INIT};
	listen_find(&addr, &target);
	return target.kind == TARGET_REJECT ? refuse("listen", fd, &addr, &target) : 0;
}

int strict_bind(int fd, const struct sockaddr_in *sa)
{
	struct ip_addr addr = ip_addr_from_v4(INADDR_ANY, 0, AF_INET);
	struct socket_state state;
	struct target target;

	if (!settings()->strict || (sa && !ip_addr_read(sa, sizeof *sa, &addr)) || !decide(fd, RULE_LISTEN, &addr, &state, &target))
		return 0;
	if (target.kind != TARGET_REJECT)
		target.error = EACCES;
	return refuse("bindresvport", fd, &addr, &target);
}

/* --- addresses */

/* AF_INET sockets of datagrams take AF_UNSPEC for AF_INET (udp_sendmsg in net/ipv4/udp.c, raw_sendmsg in raw.c). */
static bool unspecified_read(const void *sa, socklen_t len, struct ip_addr *out)
{
	struct sockaddr_in in;

	if (len < sizeof in || len > sizeof(struct sockaddr_storage))
		return false;
	memcpy(&in, sa, sizeof in);
	*out = ip_addr_from_v4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port), AF_INET);
	return true;
}

/* The rules were asked by what is known of the number. Here the kernel tells what is behind it. */
static __attribute__((noinline)) int address_check(const char *call, int fd, const void *sa, socklen_t len, sa_family_t family)
{
	int domain = socket_domain(fd);
	struct socket_state state;
	struct target target;
	struct ip_addr addr;

	if (domain_is_local(domain))
		return 0;
	switch (socket_kind(fd, domain)) {
	case KIND_TCP: /* which does not look at it, or was asked for MSG_FASTOPEN */
		return 0;
	case KIND_UDP:
		if (!ip_addr_read(sa, len, &addr) &&
		    (family != AF_UNSPEC || domain != AF_INET || !unspecified_read(sa, len, &addr)))
			return 0;
		if (!decide(fd, RULE_CONNECT, &addr, &state, &target))
			return 0;
		if (target.kind != TARGET_REJECT) {
			if (family != AF_UNSPEC) /* not of the socket's family: the kernel says so */
				return 0;
			target.error = refusal_error(RULE_CONNECT);
		}
		return refuse(call, fd, &addr, &target);
	default:
		return refuse_number(call, fd, refusal_error(RULE_CONNECT));
	}
}

int strict_address(const char *call, int fd, const void *sa, socklen_t len)
{
	sa_family_t family;

	if (!ip_addr_family(sa, len, &family))
		return 0;
	/* No other socket is given such a one by accident. */
	if ((family != AF_UNSPEC && domain_is_local(family)) || !settings()->strict)
		return 0;
	return address_check(call, fd, sa, len, family);
}

/* --- groups */

/* Where the address of the group lies in the value (ip(7), ipv6(7), RFC 3678); false for other options. */
static bool option_joins(int level, int option, size_t *at, sa_family_t *family)
{
	*at = 0;
	*family = AF_UNSPEC;
	if (level == IPPROTO_IP && (option == IP_ADD_MEMBERSHIP || option == IP_ADD_SOURCE_MEMBERSHIP)) {
		*family = AF_INET;
		return true;
	}
	if (level == IPPROTO_IPV6 && (option == IPV6_JOIN_GROUP || option == IPV6_JOIN_ANYCAST)) {
		*family = AF_INET6;
		return true;
	}
	*at = offsetof(struct group_req, gr_group);
	return (level == IPPROTO_IP || level == IPPROTO_IPV6) && (option == MCAST_JOIN_GROUP || option == MCAST_JOIN_SOURCE_GROUP);
}

static bool group_read(const void *value, socklen_t size, size_t at, sa_family_t family, struct ip_addr *out)
{
	struct in_addr v4;

	if (!is_pointer(value) || size < at)
		return false;
	if (family == AF_UNSPEC) {
		size -= (socklen_t)at;
		if (size > sizeof(struct sockaddr_storage))
			size = sizeof(struct sockaddr_storage);
		return ip_addr_read((const char *)value + at, size, out);
	}
	if (size < (family == AF_INET ? sizeof v4 : sizeof out->ip))
		return false;
	if (family == AF_INET) {
		memcpy(&v4, value, sizeof v4);
		*out = ip_addr_from_v4(ntohl(v4.s_addr), 0, AF_INET);
	} else {
		*out = (struct ip_addr){.family = AF_INET6};
		memcpy(&out->ip, value, sizeof out->ip);
	}
	return true;
}

int strict_option(int fd, int level, int option, const void *value, socklen_t size)
{
	const struct settings *now;
	struct target target = {.error = ENODEV};
	struct ip_addr group;
	sa_family_t family;
	size_t at;

	if (!option_joins(level, option, &at, &family))
		return 0;
	now = settings();
	/* A value that is none is the kernel's to judge. */
	if (!now->strict || !group_read(value, size, at, family, &group))
		return 0;
	group.port = 0;
	if (!now->failed) {
		rules_find(now->rules, RULE_CONNECT, RULE_UDP, &group, &target);
		if (target.kind == TARGET_INET)
			return 0;
	}
	target.error = now->failed ? now->error : ENODEV; /* as where there is no network to join it on */
	return refuse("setsockopt", fd, &group, &target);
}
