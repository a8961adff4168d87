/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getaddrinfo and getnameinfo: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/names.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What is asked, and the list that answers it. */
struct query {
	const char *service;
	struct addrinfo hints;
	struct addrinfo *first, **end;
};

static void query_drop(struct query *query)
{
	if (query->first)
		freeaddrinfo(query->first);
	query->first = NULL;
	query->end = &query->first;
}

/* IPv4 in the form that the question asks for: not every libc maps a number for AI_V4MAPPED. */
static const char *query_text(const struct query *query, const struct in6_addr *ip, char text[NUMERIC_SIZE])
{
	if (query->hints.ai_family == AF_INET6)
		return inet_ntop(AF_INET6, ip, text, NUMERIC_SIZE);
	return ip_numeric(ip, text);
}

/* The real call makes the entries, from the address as text, so that the real freeaddrinfo can free
 * them. glibc frees entry by entry: lists may be joined. (musl frees the whole: there joined lists stay
 * allocated.) 0, or the real call's error and an empty list. */
static int query_add(struct query *query, const struct in6_addr *ip)
{
	struct addrinfo hints = query->hints;
	char text[NUMERIC_SIZE];
	int error;

	/* Nobody needs an address of his own for vsock, and a canonical name is put in later. */
	hints.ai_flags &= ~(AI_ADDRCONFIG | AI_CANONNAME);
	error = REAL(getaddrinfo)(query_text(query, ip, text), query->service, &hints, query->end);
	if (error) {
		*query->end = NULL;
		query_drop(query);
		return error;
	}
	while (*query->end) {
		(*query->end)->ai_flags = query->hints.ai_flags;
		query->end = &(*query->end)->ai_next;
	}
	return 0;
}

static int query_add_all(struct query *query, const struct host_link *link, int family)
{
	int error = 0;

	for (link = link_of_family(link, family); link && !error;
	     link = link_of_family(host_link_next_address(link), family))
		error = query_add(query, host_link_ip(link));
	return error;
}

/* IPv6 before IPv4, as RFC 3484 sorts where neither has a route. */
static int query_add_name(struct query *query, const struct host_link *link)
{
	const struct addrinfo *hints = &query->hints;
	int error = 0;

	if (hints->ai_family != AF_INET)
		error = query_add_all(query, link, AF_INET6);
	if (error || (hints->ai_family == AF_INET6 && (!(hints->ai_flags & AI_V4MAPPED) ||
						       (query->first && !(hints->ai_flags & AI_ALL)))))
		return error;
	return query_add_all(query, link, AF_INET);
}

static int query_end(struct query *query, const char *canonical, struct addrinfo **result)
{
	if (query->hints.ai_flags & AI_CANONNAME) {
		query->first->ai_canonname = strdup(canonical);
		if (!query->first->ai_canonname) {
			query_drop(query);
			return EAI_MEMORY;
		}
	}
	*result = query->first;
	return 0;
}

static int answer_known(const struct rules *rules, const struct host_link *link, struct query *query,
			struct addrinfo **result)
{
	const struct host_link *own = link_of_family(link, query->hints.ai_family);
	int error = query_add_name(query, link);

	/* None of that family. What is wrong with the rest of the question is said first. */
	if (!error && !query->first) {
		error = query_add(query, host_link_ip(link));
		query_drop(query);
		if (!error || error == EAI_ADDRFAMILY)
			error = EAI_NONAME;
	}
	if (error)
		return error;
	/* The official name of an address of the family that was asked for, which AF_UNSPEC does not name. */
	if (query->hints.ai_family == AF_UNSPEC || !own)
		own = link;
	return query_end(query, host_link_name(rules_address(rules, host_link_ip(own))), result);
}

/* The real resolver has no answer, for reasons that leave open whether there is such a name. EAI_NODATA
 * and EAI_ADDRFAMILY say that there is. */
static bool is_open(int error)
{
	switch (error) {
	case EAI_NONAME:
	case EAI_AGAIN:
	case EAI_FAIL:
		return true;
	case EAI_SYSTEM:
		return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS && errno != EINTR;
	default:
		return false;
	}
}

/* False, and nothing done, when no rule asks for it. The port is known only when the service is. */
static bool answer_invented(const struct rules *rules, const char *name, struct query *query,
			    struct addrinfo **result)
{
	const struct addrinfo *hints = &query->hints;
	enum rule_protocol protocol = hints->ai_socktype == SOCK_DGRAM ? RULE_UDP : RULE_TCP;
	struct ip_addr addr;
	struct in6_addr ip;

	if (hints->ai_flags & AI_PASSIVE ||
	    !name_invent(rules, protocol, name, 0, hints->ai_family, &ip) || query_add(query, &ip))
		return false;
	if (!ip_addr_read(query->first->ai_addr, query->first->ai_addrlen, &addr) ||
	    (addr.port && !name_invent(rules, protocol, name, addr.port, hints->ai_family, &ip))) {
		query_drop(query);
		return false;
	}
	if (query_end(query, name, result))
		return false;
	name_invented_log(name, &ip);
	return true;
}

/* Where the C library may be asked for numbers only. */
static int answer_file(const char *name, struct query *query, struct addrinfo **result)
{
	struct addrinfo hints = query->hints;
	struct in6_addr ip;
	int error;

	hints.ai_flags |= AI_NUMERICHOST;
	error = REAL(getaddrinfo)(name, query->service, &hints, result);
	if (error != EAI_NONAME)
		return error;
	for (unsigned n = 0; hosts_file_name(name, hints.ai_family, n, &ip); n++) {
		int added = query_add(query, &ip);

		if (added)
			return added;
	}
	return query->first ? query_end(query, name, result) : error;
}

HOOK int getaddrinfo(const char *restrict name, const char *restrict service,
		     const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	/* What the real call does with NULL (getaddrinfo(3)). */
	static const struct addrinfo no_hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	struct query query = {.service = service, .hints = hints ? *hints : no_hints, .end = &query.first};
	const struct rules *rules = names_rules();
	const struct host_link *link;
	enum resolver resolver;
	int error, saved = errno;

	if (!name || query.hints.ai_flags & AI_NUMERICHOST)
		return REAL(getaddrinfo)(name, service, hints, result);
	link = rules ? rules_name(rules, name) : NULL;
	if (link)
		return answer_known(rules, link, &query, result);
	resolver = resolver_hosts();
	error = resolver == RESOLVER_SHUT ? answer_file(name, &query, result)
					  : REAL(getaddrinfo)(name, service, hints, result);
	if (error && is_open(error)) {
		int failed = errno;

		if (rules && answer_invented(rules, name, &query, result)) {
			errno = saved;
			return 0;
		}
		errno = failed;
		if (resolver != RESOLVER_OPEN && !name_is_number(name))
			refuse_name("getaddrinfo", name);
	}
	return error;
}

/* NI_NOFQDN: without the domain, where it is the domain of this host's name. Nobody is asked for that. */
static size_t host_length(const char *name, int flags)
{
	const char *dot = strchr(name, '.'), *own_dot;
	char own[HOST_NAME_MAX + 1];

	if (flags & NI_NOFQDN && dot && gethostname(own, sizeof own) == 0) {
		own[sizeof own - 1] = '\0';
		own_dot = strchr(own, '.');
		if (own_dot && strcasecmp(dot, own_dot) == 0)
			return (size_t)(dot - name);
	}
	return strlen(name);
}

/* The name of an address of ours, or in `own` one that the C library may not be asked for; NULL when it has none. False:
 * it is the C library's. */
static bool address_known(const struct ip_addr *addr, enum resolver resolver, char own[HOSTS_NAME_SIZE], const char **name)
{
	const struct rules *rules = names_rules();
	const struct host_link *link;

	if (rules && rules_address_is_ours(rules, &addr->ip)) {
		link = rules_address(rules, &addr->ip);
		*name = link ? host_link_name(link) : NULL;
		return true;
	}
	if (resolver != RESOLVER_SHUT)
		return false;
	*name = hosts_file_address(&addr->ip, own) ? own : NULL;
	if (!*name)
		refuse_name("getnameinfo", ip_numeric(&addr->ip, own));
	return true;
}

/* Nobody but the network could have known better. */
static bool has_no_name(int error, const char *host)
{
	char bare[INET6_ADDRSTRLEN + IF_NAMESIZE + 1] = "";
	size_t length;

	if (error)
		return error == EAI_NONAME;
	length = strcspn(host, "%"); /* of a scope */
	if (length < sizeof bare)
		memcpy(bare, host, length);
	return name_is_number(bare);
}

HOOK int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
		     socklen_t host_size, char *restrict service, socklen_t service_size, int flags)
{
	char number[INET6_ADDRSTRLEN + IF_NAMESIZE + 1], own[HOSTS_NAME_SIZE];
	enum resolver resolver;
	struct ip_addr addr;
	const char *name;
	size_t length;
	int error;

	if (!host || host_size == 0 || flags & NI_NUMERICHOST)
		return REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags);
	resolver = resolver_hosts();
	/* An address may be longer here than one for the kernel. */
	if (!ip_addr_read(sa, len < sizeof(struct sockaddr_storage) ? len : sizeof(struct sockaddr_storage), &addr))
		return REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags);
	if (!address_known(&addr, resolver, own, &name)) {
		error = REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags);
		if (resolver == RESOLVER_FILES && has_no_name(error, host))
			refuse_name("getnameinfo", ip_numeric(&addr.ip, number));
		return error;
	}
	/* With NI_NAMEREQD that is EAI_NONAME. */
	if (!name)
		return REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags | NI_NUMERICHOST);
	/* The real call judges the rest of the question and does the service. */
	error = REAL(getnameinfo)(sa, len, number, sizeof number, service, service_size,
				  (flags & ~NI_NAMEREQD) | NI_NUMERICHOST);
	if (error)
		return error;
	length = host_length(name, flags);
	if (length >= host_size)
		return EAI_OVERFLOW;
	memcpy(host, name, length);
	host[length] = '\0';
	return 0;
}
