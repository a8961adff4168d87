/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * res_query and its kin, getaddrinfo_a, networks, and remote shells of 1983: libc asks DNS, and connects, by itself. Where
 * nothing may leave that no rule names it does not; else these are the real calls.
 */
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/resolver.h"
#include "preload/socket.h"
#include "preload/strict.h"

#include <errno.h>
#include <resolv.h>

/* Of a libc where they are macros. */
#undef res_nquery
#undef res_nquerydomain
#undef res_nsearch
#undef res_nsend
#undef res_query
#undef res_querydomain
#undef res_search
#undef res_send

static bool is_shut(void)
{
	return strict_may_be() && settings()->strict;
}

/* As where no server can be reached. */
static int refuse_query(const char *call, const char *name, int *reason)
{
	refuse_name(call, is_pointer(name) ? name : "");
	h_errno = *reason = TRY_AGAIN;
	return fail(refusal_error(RULE_CONNECT));
}

HOOK int __res_query(const char *name, int class, int type, unsigned char *answer, int size)
{
	int reason;

	return is_shut() ? refuse_query("res_query", name, &reason) : REAL(__res_query)(name, class, type, answer, size);
}

HOOK int __res_search(const char *name, int class, int type, unsigned char *answer, int size)
{
	int reason;

	return is_shut() ? refuse_query("res_search", name, &reason) : REAL(__res_search)(name, class, type, answer, size);
}

HOOK int __res_querydomain(const char *name, const char *domain, int class, int type, unsigned char *answer, int size)
{
	int reason;

	return is_shut() ? refuse_query("res_querydomain", name, &reason)
			 : REAL(__res_querydomain)(name, domain, class, type, answer, size);
}

HOOK int __res_send(const unsigned char *query, int length, unsigned char *answer, int size)
{
	return is_shut() ? refuse_other("res_send", "", refusal_error(RULE_CONNECT))
			 : REAL(__res_send)(query, length, answer, size);
}

HOOK int __res_nquery(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int size)
{
	return is_shut() ? refuse_query("res_nquery", name, &state->res_h_errno)
			 : REAL(__res_nquery)(state, name, class, type, answer, size);
}

HOOK int __res_nsearch(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int size)
{
	return is_shut() ? refuse_query("res_nsearch", name, &state->res_h_errno)
			 : REAL(__res_nsearch)(state, name, class, type, answer, size);
}

HOOK int __res_nquerydomain(struct __res_state *state, const char *name, const char *domain, int class, int type,
			    unsigned char *answer, int size)
{
	return is_shut() ? refuse_query("res_nquerydomain", name, &state->res_h_errno)
			 : REAL(__res_nquerydomain)(state, name, domain, class, type, answer, size);
}

HOOK int __res_nsend(struct __res_state *state, const unsigned char *query, int length, unsigned char *answer, int size)
{
	return is_shut() ? refuse_other("res_nsend", "", refusal_error(RULE_CONNECT))
			 : REAL(__res_nsend)(state, query, length, answer, size);
}

HOOK_ALIAS(res_query, __res_query)
HOOK_ALIAS(res_search, __res_search)
HOOK_ALIAS(res_querydomain, __res_querydomain)
HOOK_ALIAS(res_send, __res_send)
HOOK_ALIAS(res_nquery, __res_nquery)
HOOK_ALIAS(res_nsearch, __res_nsearch)
HOOK_ALIAS(res_nquerydomain, __res_nquerydomain)
HOOK_ALIAS(res_nsend, __res_nsend)

/* --- libc looks names up inside of these: it is told first whom it may ask. musl has none that ask anybody. */

HOOK int getaddrinfo_a(int mode, struct gaicb **list, int count, struct sigevent *event)
{
	return resolver_hosts() == RESOLVER_SHUT ? EAI_AGAIN : REAL(getaddrinfo_a)(mode, list, count, event);
}

HOOK long gethostid(void)
{
	resolver_hosts();
	return REAL(gethostid)();
}

HOOK struct netent *getnetbyname(const char *name)
{
	resolver_networks();
	return REAL(getnetbyname)(name);
}

HOOK int getnetbyname_r(const char *restrict name, struct netent *restrict entry, char *restrict buf, size_t size,
			struct netent **restrict result, int *restrict error)
{
	resolver_networks();
	return REAL(getnetbyname_r)(name, entry, buf, size, result, error);
}

HOOK struct netent *getnetbyaddr(uint32_t net, int type)
{
	resolver_networks();
	return REAL(getnetbyaddr)(net, type);
}

HOOK int getnetbyaddr_r(uint32_t net, int type, struct netent *restrict entry, char *restrict buf, size_t size,
			struct netent **restrict result, int *restrict error)
{
	resolver_networks();
	return REAL(getnetbyaddr_r)(net, type, entry, buf, size, result, error);
}

HOOK int ruserok(const char *host, int superuser, const char *there, const char *here)
{
	resolver_hosts();
	return REAL(ruserok)(host, superuser, there, here);
}

HOOK int ruserok_af(const char *host, int superuser, const char *there, const char *here, sa_family_t family)
{
	resolver_hosts();
	return REAL(ruserok_af)(host, superuser, there, here, family);
}

HOOK int iruserok(uint32_t host, int superuser, const char *there, const char *here)
{
	resolver_hosts();
	return REAL(iruserok)(host, superuser, there, here);
}

HOOK int iruserok_af(const void *host, int superuser, const char *there, const char *here, sa_family_t family)
{
	resolver_hosts();
	return REAL(iruserok_af)(host, superuser, there, here, family);
}

/* --- libc connects inside of these, whatever rules say */

static int refuse_shell(const char *call, char **host)
{
	refuse_name(call, is_pointer(host) && is_pointer(*host) ? *host : "");
	return fail(refusal_error(RULE_CONNECT));
}

HOOK int rcmd(char **restrict host, unsigned short port, const char *restrict here, const char *restrict there,
	      const char *restrict command, int *restrict errors)
{
	return is_shut() ? refuse_shell("rcmd", host) : REAL(rcmd)(host, port, here, there, command, errors);
}

HOOK int rcmd_af(char **restrict host, unsigned short port, const char *restrict here, const char *restrict there,
		 const char *restrict command, int *restrict errors, sa_family_t family)
{
	return is_shut() ? refuse_shell("rcmd_af", host)
			 : REAL(rcmd_af)(host, port, here, there, command, errors, family);
}

HOOK int rexec(char **restrict host, int port, const char *restrict name, const char *restrict password,
	       const char *restrict command, int *restrict errors)
{
	return is_shut() ? refuse_shell("rexec", host) : REAL(rexec)(host, port, name, password, command, errors);
}

HOOK int rexec_af(char **restrict host, int port, const char *restrict name, const char *restrict password,
		  const char *restrict command, int *restrict errors, sa_family_t family)
{
	return is_shut() ? refuse_shell("rexec_af", host)
			 : REAL(rexec_af)(host, port, name, password, command, errors, family);
}
