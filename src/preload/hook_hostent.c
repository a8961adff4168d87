/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gethostbyname, gethostbyaddr and their kin: names of the mapping need no DNS. */
#include "preload/hooks.h"
#include "preload/names.h"
#include "preload/real.h"

#include <errno.h>
#include <sys/mman.h>

/* What to do with a question. */
enum verdict {
	ASK_LIBC,
	ANSWER,	   /* *answer is filled */
	NOT_FOUND, /* the mapping knows better than to ask: HOST_NOT_FOUND */
};

static enum verdict judge_name(const char *name, int family, struct host_answer *answer)
{
	const struct rules *rules = names_rules();
	const struct host_link *link;

	if (!name || !rules || (family != AF_INET && family != AF_INET6))
		return ASK_LIBC;
	link = rules_name(rules, name);
	if (!link)
		return ASK_LIBC;
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

static enum verdict judge_address(const void *ip, socklen_t size, int family, struct host_answer *answer)
{
	const struct rules *rules = names_rules();
	const struct host_link *link;
	struct in6_addr address;

	if (!rules || !ip_from(ip, size, family, &address) || !rules_address_is_ours(rules, &address))
		return ASK_LIBC;
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

	if (!name || !rules || (family != AF_INET && family != AF_INET6))
		return false;
	if (error != HOST_NOT_FOUND && error != TRY_AGAIN && error != NO_RECOVERY)
		return false;
	*answer = (struct host_answer){.rules = rules, .name = name, .family = family};
	if (!name_invent(rules, RULE_TCP, name, 0, family, &answer->ip))
		return false;
	name_invented_log(name, &answer->ip);
	return true;
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
	struct host_answer answer;

	switch (judge_address(ip, size, family, &answer)) {
	case ANSWER:
		return room_fill(&own, &answer);
	case NOT_FOUND:
		return not_found();
	case ASK_LIBC:
		break;
	}
	return REAL(gethostbyaddr)(ip, size, family);
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
	struct host_answer answer;

	switch (judge_address(ip, size, family, &answer)) {
	case ANSWER:
		return place_fill(&place, &answer);
	case NOT_FOUND:
		return place_not_found(&place);
	case ASK_LIBC:
		break;
	}
	return REAL(gethostbyaddr_r)(ip, size, family, entry, buf, buf_size, result, error);
}
