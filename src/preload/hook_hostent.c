/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gethostbyname, gethostbyaddr and their kin: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/names.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/resolver.h"

#include <errno.h>
#include <sys/mman.h>

/* What to do with a question. */
enum verdict {
	ASK_LIBC,
	ANSWER,	   /* *answer is filled */
	NOT_FOUND, /* the mapping knows better than to ask: HOST_NOT_FOUND */
};

static bool is_family(int family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool judge_failure(const char *name, int family, int error, struct host_answer *answer);

/* Whom the C library may ask is settled before it is asked. */
static enum verdict judge_stranger(const char *name, int family, struct host_answer *answer)
{
	if (resolver_hosts() != RESOLVER_SHUT || name_is_number(name))
		return ASK_LIBC;
	*answer = (struct host_answer){.name = name, .family = family};
	return (is_family(family) && hosts_file_name(name, family, 0, &answer->ip)) ||
		       judge_failure(name, family, HOST_NOT_FOUND, answer)
		       ? ANSWER
		       : NOT_FOUND;
}

static enum verdict judge_name(const char *name, int family, struct host_answer *answer)
{
	const struct rules *rules = names_rules();
	const struct host_link *link;

	if (!name)
		return ASK_LIBC;
	link = rules && is_family(family) ? rules_name(rules, name) : NULL;
	if (!link)
		return judge_stranger(name, family, answer);
	link = link_of_family(link, family);
	if (!link)
		return NOT_FOUND;
	*answer = (struct host_answer){
		.rules = rules,
		.name = host_link_name(rules_address(rules, host_link_ip(link))),
		.family = family,
		.link = link,
		.all = true,
	};
	return ANSWER;
}

static void refuse_address(const struct in6_addr *ip)
{
	char text[NUMERIC_SIZE];

	refuse_name("gethostbyaddr", ip_numeric(ip, text));
}

/* `own` is room for a name that the mapping does not hold. */
static enum verdict judge_address(const void *ip, socklen_t size, int family, struct host_answer *answer,
				  char own[HOSTS_NAME_SIZE])
{
	const struct rules *rules = names_rules();
	enum resolver resolver = resolver_hosts();
	const struct host_link *link;
	struct in6_addr address;

	if (!ip_from(ip, size, family, &address))
		return resolver == RESOLVER_SHUT ? NOT_FOUND : ASK_LIBC;
	if (!rules || !rules_address_is_ours(rules, &address)) {
		if (resolver != RESOLVER_SHUT)
			return ASK_LIBC;
		*answer = (struct host_answer){.name = own, .family = family, .ip = address};
		if (hosts_file_address(&address, own))
			return ANSWER;
		refuse_address(&address);
		return NOT_FOUND;
	}
	link = rules_address(rules, &address);
	if (!link)
		return NOT_FOUND;
	*answer = (struct host_answer){
		.rules = rules, .name = host_link_name(link), .family = family, .link = link};
	return ANSWER;
}

/* libc has not found a name, for reasons that leave open whether there is one: it may be invented.
 * NO_DATA says that the name exists. */
static bool judge_failure(const char *name, int family, int error, struct host_answer *answer)
{
	const struct rules *rules = names_rules();

	if (!name || (error != HOST_NOT_FOUND && error != TRY_AGAIN && error != NO_RECOVERY))
		return false;
	*answer = (struct host_answer){.rules = rules, .name = name, .family = family};
	if (rules && is_family(family) && name_invent(rules, RULE_TCP, name, 0, family, &answer->ip)) {
		name_invented_log(name, &answer->ip);
		return true;
	}
	if (resolver_hosts() != RESOLVER_OPEN && !name_is_number(name))
		refuse_name("gethostbyname", name);
	return false;
}

/* The same for an address, which is never invented. */
static void address_failed(const void *ip, socklen_t size, int family, int error)
{
	struct in6_addr address;

	if (error == HOST_NOT_FOUND && resolver_hosts() != RESOLVER_OPEN && ip_from(ip, size, family, &address))
		refuse_address(&address);
}

/* The calls that return memory of libc's. Each has a room of its own, as in libc; it grows, and none is
 * ever given back: another thread may, against the rules (gethostbyname(3)), still read it. */
struct room {
	size_t size;
	struct hostent entry;
	char *bytes[]; /* aligned as pointers */
};

static struct hostent *room_fill(struct room **own, const struct host_answer *answer)
{
	struct room *room = __atomic_load_n(own, __ATOMIC_ACQUIRE);
	size_t needed = sizeof(*room) + host_answer_size(answer), size = 4096;

	if (!room || room->size < needed) {
		while (size < needed)
			size *= 2;
		room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (room == MAP_FAILED) {
			h_errno = NETDB_INTERNAL;
			return NULL;
		}
		room->size = size;
		__atomic_store_n(own, room, __ATOMIC_RELEASE);
	}
	host_answer_write(answer, &room->entry, (char *)room->bytes);
	return &room->entry;
}

static struct hostent *not_found(void)
{
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

HOOK struct hostent *gethostbyname(const char *name)
{
	static struct room *own;
	struct host_answer answer;
	struct hostent *found;
	int saved = errno;

	switch (judge_name(name, AF_INET, &answer)) {
	case ANSWER:
		return room_fill(&own, &answer);
	case NOT_FOUND:
		return not_found();
	case ASK_LIBC:
		break;
	}
	found = REAL(gethostbyname)(name);
	if (found || !judge_failure(name, AF_INET, h_errno, &answer))
		return found;
	errno = saved;
	return room_fill(&own, &answer);
}

HOOK struct hostent *gethostbyname2(const char *name, int family)
{
	static struct room *own;
	struct host_answer answer;
	struct hostent *found;
	int saved = errno;

	switch (judge_name(name, family, &answer)) {
	case ANSWER:
		return room_fill(&own, &answer);
	case NOT_FOUND:
		return not_found();
	case ASK_LIBC:
		break;
	}
	found = REAL(gethostbyname2)(name, family);
	if (found || !judge_failure(name, family, h_errno, &answer))
		return found;
	errno = saved;
	return room_fill(&own, &answer);
}

HOOK struct hostent *gethostbyaddr(const void *ip, socklen_t size, int family)
{
	static struct room *own;
	char name[HOSTS_NAME_SIZE];
	struct host_answer answer;
	struct hostent *found;

	switch (judge_address(ip, size, family, &answer, name)) {
	case ANSWER:
		return room_fill(&own, &answer);
	case NOT_FOUND:
		return not_found();
	case ASK_LIBC:
		break;
	}
	found = REAL(gethostbyaddr)(ip, size, family);
	if (!found)
		address_failed(ip, size, family, h_errno);
	return found;
}

/* The caller's buffer, result and error of the _r calls. */
struct place {
	struct hostent *entry;
	char *buf;
	size_t size;
	struct hostent **result;
	int *error;
};

static int place_fill(const struct place *place, const struct host_answer *answer)
{
	size_t skip = -(uintptr_t)place->buf % _Alignof(char *);

	if (place->size < skip || place->size - skip < host_answer_size(answer)) {
		*place->result = NULL;
		*place->error = NETDB_INTERNAL;
		errno = ERANGE;
		return ERANGE;
	}
	host_answer_write(answer, place->entry, place->buf + skip);
	*place->result = place->entry;
	*place->error = NETDB_SUCCESS;
	return 0;
}

/* glibc returns 0 for a name that is not there, and has the reason in h_errno as well, where Python looks
 * for it. */
static int place_not_found(const struct place *place)
{
	*place->result = not_found();
	*place->error = HOST_NOT_FOUND;
	return 0;
}

HOOK int gethostbyname_r(const char *restrict name, struct hostent *restrict entry, char *restrict buf,
			 size_t size, struct hostent **restrict result, int *restrict error)
{
	const struct place place = {entry, buf, size, result, error};
	struct host_answer answer;
	int status, saved = errno;

	switch (judge_name(name, AF_INET, &answer)) {
	case ANSWER:
		return place_fill(&place, &answer);
	case NOT_FOUND:
		return place_not_found(&place);
	case ASK_LIBC:
		break;
	}
	status = REAL(gethostbyname_r)(name, entry, buf, size, result, error);
	if (*result || status == ERANGE || !judge_failure(name, AF_INET, *error, &answer))
		return status;
	errno = saved;
	return place_fill(&place, &answer);
}

HOOK int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict entry,
			  char *restrict buf, size_t size, struct hostent **restrict result,
			  int *restrict error)
{
	const struct place place = {entry, buf, size, result, error};
	struct host_answer answer;
	int status, saved = errno;

	switch (judge_name(name, family, &answer)) {
	case ANSWER:
		return place_fill(&place, &answer);
	case NOT_FOUND:
		return place_not_found(&place);
	case ASK_LIBC:
		break;
	}
	status = REAL(gethostbyname2_r)(name, family, entry, buf, size, result, error);
	if (*result || status == ERANGE || !judge_failure(name, family, *error, &answer))
		return status;
	errno = saved;
	return place_fill(&place, &answer);
}

HOOK int gethostbyaddr_r(const void *restrict ip, socklen_t size, int family, struct hostent *restrict entry,
			 char *restrict buf, size_t buf_size, struct hostent **restrict result,
			 int *restrict error)
{
	const struct place place = {entry, buf, buf_size, result, error};
	char name[HOSTS_NAME_SIZE];
	struct host_answer answer;
	int status;

	switch (judge_address(ip, size, family, &answer, name)) {
	case ANSWER:
		return place_fill(&place, &answer);
	case NOT_FOUND:
		return place_not_found(&place);
	case ASK_LIBC:
		break;
	}
	status = REAL(gethostbyaddr_r)(ip, size, family, entry, buf, buf_size, result, error);
	if (!*result && status != ERANGE)
		address_failed(ip, size, family, *error);
	return status;
}
