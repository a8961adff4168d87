/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getaddrinfo: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/init.h"
#include "preload/real.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

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

	if (IN6_IS_ADDR_V4MAPPED(ip))
		inet_ntop(AF_INET, &ip->s6_addr32[3], text, sizeof text);
	else
		inet_ntop(AF_INET6, ip, text, sizeof text);
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

	if (!name || now->disabled || now->failed || query.hints.ai_flags & AI_NUMERICHOST)
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
