/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getaddrinfo, gethostbyname and their kin: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/init.h"
#include "preload/real.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static bool is_v4(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_V4MAPPED(ip);
}

static void address_text(const struct in6_addr *ip, char text[INET6_ADDRSTRLEN])
{
	if (is_v4(ip))
		inet_ntop(AF_INET, &ip->s6_addr32[3], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, ip, text, INET6_ADDRSTRLEN);
}

static bool mapping_usable(const struct settings *now)
{
	return !now->disabled && !now->failed;
}

struct query {
	const char *name, *service;
	struct addrinfo hints;
	struct addrinfo *first, **end;
	int error; /* of the first address that did not fit what was asked */
};

/* The real call makes the list, from the address as text, so that the real freeaddrinfo can free it. glibc frees
 * entry by entry: lists may be joined. */
static bool query_address(void *context, const struct in6_addr *ip)
{
	struct query *query = context;
	struct addrinfo *list;
	char text[INET6_ADDRSTRLEN];
	int error;

	address_text(ip, text);
	error = REAL(getaddrinfo)(text, query->service, &query->hints, &list);
	if (error) {
		if (!query->error)
			query->error = error;
		return true;
	}
	*query->end = list;
	while (*query->end)
		query->end = &(*query->end)->ai_next;
	return true;
}

/* The list's own canonical name is the address as text. */
static int canonical_name(struct query *query)
{
	char *name;

	if (!(query->hints.ai_flags & AI_CANONNAME))
		return 0;
	name = strdup(query->name);
	if (!name) {
		freeaddrinfo(query->first);
		return EAI_MEMORY;
	}
	free(query->first->ai_canonname);
	query->first->ai_canonname = name;
	for (struct addrinfo *entry = query->first->ai_next; entry; entry = entry->ai_next) {
		free(entry->ai_canonname);
		entry->ai_canonname = NULL;
	}
	return 0;
}

HOOK int getaddrinfo(const char *restrict name, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	/* What the real call does with NULL (getaddrinfo(3)). */
	static const struct addrinfo no_hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	const struct settings *now = settings();
	struct query query = {.name = name, .service = service, .hints = hints ? *hints : no_hints};
	int error;

	if (!name || !mapping_usable(now) || query.hints.ai_flags & AI_NUMERICHOST)
		return REAL(getaddrinfo)(name, service, hints, result);
	/* A guest may have no address of its own. */
	query.hints.ai_flags &= ~AI_ADDRCONFIG;
	query.end = &query.first;
	if (!rules_name_address(now->rules, name, query_address, &query))
		return REAL(getaddrinfo)(name, service, hints, result);
	if (!query.first)
		return query.error;
	error = canonical_name(&query);
	if (!error)
		*result = query.first;
	return error;
}

/*
 * The older calls know one family and return memory of libc's, or the caller's: the real call fills it from the
 * address as text, and the name, which lives as long as the mapping, is put in.
 */
struct first {
	int family;
	bool found;
	char text[INET6_ADDRSTRLEN];
};

static bool first_of_family(void *context, const struct in6_addr *ip)
{
	struct first *first = context;

	if (is_v4(ip) != (first->family == AF_INET))
		return true;
	address_text(ip, first->text);
	first->found = true;
	return false;
}

/* The text of the first address of that family and the name as the mapping has it, or NULL: the real call with the
 * same name is right, or there is none of that family, which it will say as well. */
static const char *name_known(const char *name, int family, struct first *first)
{
	const struct settings *now = settings();
	struct in6_addr ip;

	*first = (struct first){.family = family};
	if (!name || !mapping_usable(now) || !rules_name_address(now->rules, name, first_of_family, first) ||
	    !first->found)
		return NULL;
	if (inet_pton(AF_INET6, first->text, &ip) != 1) {
		ip = (struct in6_addr){.s6_addr32 = {0, 0, htonl(0xffff)}};
		inet_pton(AF_INET, first->text, &ip.s6_addr32[3]);
	}
	return rules_address_name(now->rules, &ip);
}

static struct hostent *entry_named(struct hostent *entry, const char *name)
{
	if (entry && name)
		entry->h_name = (char *)name;
	return entry;
}

HOOK struct hostent *gethostbyname(const char *name)
{
	struct first first;
	const char *known = name_known(name, AF_INET, &first);

	return entry_named(REAL(gethostbyname)(known ? first.text : name), known);
}

HOOK struct hostent *gethostbyname2(const char *name, int family)
{
	struct first first;
	const char *known = name_known(name, family, &first);

	return entry_named(REAL(gethostbyname2)(known ? first.text : name, family), known);
}

HOOK int gethostbyname_r(const char *restrict name, struct hostent *restrict entry, char *restrict buf,
			 size_t size, struct hostent **restrict result, int *restrict error)
{
	struct first first;
	const char *known = name_known(name, AF_INET, &first);
	int status = REAL(gethostbyname_r)(known ? first.text : name, entry, buf, size, result, error);

	if (status == 0)
		entry_named(*result, known);
	return status;
}

HOOK int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict entry,
			  char *restrict buf, size_t size, struct hostent **restrict result,
			  int *restrict error)
{
	struct first first;
	const char *known = name_known(name, family, &first);
	int status = REAL(gethostbyname2_r)(known ? first.text : name, family, entry, buf, size, result, error);

	if (status == 0)
		entry_named(*result, known);
	return status;
}

/* The name of an address as the mapping has it, or NULL. */
static const char *address_known(const void *ip, int family, struct in6_addr *out)
{
	const struct settings *now = settings();

	if (family == AF_INET)
		*out = (struct in6_addr){.s6_addr32 = {0, 0, htonl(0xffff)}};
	else if (family != AF_INET6)
		return NULL;
	if (!mapping_usable(now))
		return NULL;
	memcpy(family == AF_INET ? (void *)&out->s6_addr32[3] : out, ip, family == AF_INET ? 4 : 16);
	return rules_address_name(now->rules, out);
}

HOOK struct hostent *gethostbyaddr(const void *ip, socklen_t size, int family)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];
	const char *known = size >= (family == AF_INET ? 4 : 16) ? address_known(ip, family, &address) : NULL;

	if (!known)
		return REAL(gethostbyaddr)(ip, size, family);
	address_text(&address, text);
	return entry_named(REAL(gethostbyname2)(text, family), known);
}

HOOK int gethostbyaddr_r(const void *restrict ip, socklen_t size, int family, struct hostent *restrict entry,
			 char *restrict buf, size_t buf_size, struct hostent **restrict result,
			 int *restrict error)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];
	const char *known = size >= (family == AF_INET ? 4 : 16) ? address_known(ip, family, &address) : NULL;
	int status;

	if (!known)
		return REAL(gethostbyaddr_r)(ip, size, family, entry, buf, buf_size, result, error);
	address_text(&address, text);
	status = REAL(gethostbyname2_r)(text, family, entry, buf, buf_size, result, error);
	if (status == 0)
		entry_named(*result, known);
	return status;
}

HOOK int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
		     socklen_t host_size, char *restrict service, socklen_t service_size, int flags)
{
	const struct settings *now = settings();
	const char *known = NULL;
	struct ip_addr addr;
	int error;

	if (host && host_size > 0 && !(flags & NI_NUMERICHOST) && mapping_usable(now) &&
	    ip_addr_read(sa, len, &addr))
		known = rules_address_name(now->rules, &addr.ip);
	if (!known)
		return REAL(getnameinfo)(sa, len, host, host_size, service, service_size, flags);
	if (service && service_size > 0) {
		error = REAL(getnameinfo)(sa, len, NULL, 0, service, service_size, flags);
		if (error)
			return error;
	}
	if (strlen(known) >= host_size)
		return EAI_OVERFLOW;
	strcpy(host, known);
	return 0;
}
