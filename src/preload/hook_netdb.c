/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getaddrinfo and getnameinfo: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/names.h"
#include "preload/real.h"

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

HOOK int getaddrinfo(const char *restrict name, const char *restrict service,
		     const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	/* What the real call does with NULL (getaddrinfo(3)). */
	static const struct addrinfo no_hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	struct query query = {.service = service, .hints = hints ? *hints : no_hints, .end = &query.first};
	const struct rules *rules = names_rules();
	const struct host_link *link;
	int error, saved = errno;

	if (!name || !rules || query.hints.ai_flags & AI_NUMERICHOST)
		return REAL(getaddrinfo)(name, service, hints, result);
	link = rules_name(rules, name);
	if (link)
		return answer_known(rules, link, &query, result);
	error = REAL(getaddrinfo)(name, service, hints, result);
	if (error && is_open(error)) {
		int failed = errno;

		if (answer_invented(rules, name, &query, result)) {
			errno = saved;
			return 0;
		}
		errno = failed;
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

/* The name of an address of ours, NULL when it has none. False: it is not ours. */
static bool address_known(const struct sockaddr *sa, socklen_t len, const char **name)
{
	const struct rules *rules = names_rules();
	const struct host_link *link;
	struct ip_addr addr;

	if (!rules || !ip_addr_read(sa, len, &addr) || !rules_address_is_ours(rules, &addr.ip))
		return false;
	link = rules_address(rules, &addr.ip);
	*name = link ? host_link_name(link) : NULL;
	return true;
}

HOOK int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
		     socklen_t host_size, char *restrict service, socklen_t service_size, int flags)
{
	char number[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	const char *name;
	size_t length;
	int error;

	if (!host || host_size == 0 || flags & NI_NUMERICHOST || !address_known(sa, len, &name))
		return REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags);
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
