/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gethostbyname and its kin, and getnameinfo, for the names and addresses of tests/run/names.map. */
#define _GNU_SOURCE 1
#include "common.h"

#include <netdb.h>
#include <pthread.h>

static const char *const names[] = {
	"one.vm", "uno", "six.vm", "two.vm", "two", "many.vm", "more.vm", "later.vm", "nosuch.vm", "ONE.VM",
	"More.Vm", "localhost", "10.0.0.1", "10.0.0.9", "127.1", "0", "1.2.3.4.", "::1", "fd00::1", "fe80::1%lo",
	"", "a b", "one.vm..",
};
static const int families[] = {AF_INET, AF_INET6};
static const char *const addresses[] = {
	"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.9", "127.0.0.1", "0.0.0.0",
	"255.255.255.255", "198.18.0.3", "198.19.1.2", "240.1.2.3", "fd00::1", "fd00::2", "fd00::3", "fd00::4",
	"fd00::9", "::1", "::", "fd69:7032:7673::3",
};

#define CANARY 0x5a

static const char *h_name_of(int error)
{
	switch (error) {
	case 0:
		return "NETDB_SUCCESS";
	case HOST_NOT_FOUND:
		return "HOST_NOT_FOUND";
	case TRY_AGAIN:
		return "TRY_AGAIN";
	case NO_RECOVERY:
		return "NO_RECOVERY";
	case NO_DATA:
		return "NO_DATA";
	case NETDB_INTERNAL:
		return "NETDB_INTERNAL";
	}
	return "unknown error";
}

static void say_entry(const struct hostent *entry)
{
	char text[INET6_ADDRSTRLEN];

	printf("    %s, %s, length %d, aliases", entry->h_name, family_text(entry->h_addrtype), entry->h_length);
	for (char **alias = entry->h_aliases; *alias; alias++)
		printf(" %s", *alias);
	printf(", addresses");
	for (char **address = entry->h_addr_list; *address; address++)
		printf(" %s", inet_ntop(entry->h_addrtype, *address, text, sizeof(text)));
	printf("\n");
}

static void say_found(const char *name, int family, const struct hostent *entry)
{
	say("%s %s: %s", name, family_text(family), entry ? "found" : h_name_of(h_errno));
	if (entry)
		say_entry(entry);
}

static void by_name(void)
{
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		h_errno = NETDB_SUCCESS;
		say_found(names[i], AF_INET, gethostbyname(names[i]));
		for (size_t f = 0; f < N_ELEMENTS(families); f++) {
			h_errno = NETDB_SUCCESS;
			say_found(names[i], families[f], gethostbyname2(names[i], families[f]));
		}
	}
}

/* The results of the three calls have rooms of their own. */
static void rooms(void)
{
	const struct in_addr ip = {htonl(0x0a000002)};
	const struct hostent *first = gethostbyname("one.vm");
	const struct hostent *second = gethostbyname2("six.vm", AF_INET6);
	const struct hostent *third = gethostbyaddr(&ip, sizeof(ip), AF_INET);

	say("%s", yes_no(first && second && third));
	say_entry(first);
	say_entry(second);
	say_entry(third);
	first = gethostbyname("many.vm");
	say_entry(first);
	say_entry(second);
	say_entry(third);
}

struct answer {
	int status, error, saved; /* h_errno, errno */
	struct hostent *result;
};

typedef struct answer (*ask_call)(const char *what, int family, struct hostent *entry, char *buf,
				  size_t size);

static struct answer ask_name(const char *name, int family, struct hostent *entry, char *buf, size_t size)
{
	struct answer answer = {.error = 0, .result = entry};

	errno = 0;
	if (family == AF_INET)
		answer.status = gethostbyname_r(name, entry, buf, size, &answer.result, &answer.error);
	else
		answer.status = gethostbyname2_r(name, family, entry, buf, size, &answer.result, &answer.error);
	answer.saved = errno;
	return answer;
}

static struct answer ask_name2(const char *name, int family, struct hostent *entry, char *buf, size_t size)
{
	struct answer answer = {.error = 0, .result = entry};

	errno = 0;
	answer.status = gethostbyname2_r(name, family, entry, buf, size, &answer.result, &answer.error);
	answer.saved = errno;
	return answer;
}

static struct answer ask_address(const char *text, int family, struct hostent *entry, char *buf, size_t size)
{
	struct answer answer = {.error = 0, .result = entry};
	struct in6_addr ip;

	inet_pton(family, text, &ip);
	errno = 0;
	answer.status = gethostbyaddr_r(&ip, family == AF_INET ? 4 : 16, family, entry, buf, size, &answer.result,
					&answer.error);
	answer.saved = errno;
	return answer;
}

static bool within(const void *at, const char *buf, size_t size)
{
	return (const char *)at >= buf && (const char *)at < buf + size;
}

static bool aligned(const void *at)
{
	return (uintptr_t)at % _Alignof(char *) == 0;
}

/* All that an answer points to lies in its buffer, and arrays of pointers where pointers may lie. */
static bool all_within(const struct hostent *entry, const char *buf, size_t size)
{
	bool right = within(entry->h_name, buf, size) && within(entry->h_aliases, buf, size) &&
		     within(entry->h_addr_list, buf, size) && aligned(entry->h_aliases) && aligned(entry->h_addr_list);

	for (char **alias = entry->h_aliases; *alias; alias++)
		right = right && within(*alias, buf, size) && within(*alias + strlen(*alias), buf, size);
	for (char **address = entry->h_addr_list; *address; address++)
		right = right && within(*address, buf, size) && within(*address + entry->h_length - 1, buf, size);
	return right;
}

static bool is_canary(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != CANARY)
			return false;
	return true;
}

/* Every size from 0: ERANGE, until all of a sudden it fits and goes on fitting. Where that is, is libc's
 * own business. */
static void every_size(ask_call ask, const char *what, int family, size_t shift)
{
	static char box[4096 + 64] __attribute__((aligned(64)));
	struct answer answer = {.status = -1};
	struct hostent entry;
	bool fits = false, clean = true, once = true, null = true, inside = true;
	int status = -1, error = -1, saved = -1;

	for (size_t size = 0; size <= 2048; size++) {
		memset(box, CANARY, sizeof(box));
		answer = ask(what, family, &entry, box + shift, size);
		clean = clean && is_canary(box, shift) && is_canary(box + shift + size, sizeof(box) - shift - size);
		if (!answer.result && answer.status != ERANGE)
			break;
		if (!answer.result) {
			once = once && !fits;
			status = answer.status;
			error = answer.error;
			saved = answer.saved;
			continue;
		}
		fits = true;
		null = null && answer.result == &entry && answer.status == 0;
		inside = inside && all_within(&entry, box + shift, size);
	}
	say("%s %s: %s, status %s", what, family_text(family), fits ? "fits" : h_name_of(answer.error),
	    error_name(answer.status));
	if (fits)
		say("  small: %s, h_errno %s, errno %s", error_name(status), h_name_of(error), error_name(saved));
	say("  nothing beyond: %s, once and for all: %s, consistent: %s, inside: %s", yes_no(clean), yes_no(once),
	    yes_no(null), yes_no(inside));
	if (fits)
		say_entry(&entry);
}

static void sizes(void)
{
	static const char *const some[] = {"one.vm", "uno", "six.vm", "two.vm", "many.vm", "more.vm"};

	for (size_t i = 0; i < N_ELEMENTS(some); i++)
		for (size_t f = 0; f < 2; f++) {
			every_size(ask_name, some[i], families[f], 0);
			every_size(ask_name2, some[i], families[f], i + 1);
		}
	for (size_t i = 0; i < 5; i++)
		every_size(ask_address, addresses[i], AF_INET, 8 * i);
	every_size(ask_address, "fd00::2", AF_INET6, 8);
	every_size(ask_address, "fd00::4", AF_INET6, 0);
}

static void by_name_r(void)
{
	static char buf[8192];
	struct hostent entry;

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		for (size_t f = 0; f < N_ELEMENTS(families); f++) {
			struct answer answer = ask_name2(names[i], families[f], &entry, buf, sizeof(buf));

			say("%s %s: %s, %s", names[i], family_text(families[f]), error_name(answer.status),
			    answer.result ? "found" : h_name_of(answer.error));
			if (answer.result)
				say_entry(answer.result);
		}
}

static void by_address(void)
{
	static char buf[8192];

	for (size_t i = 0; i < N_ELEMENTS(addresses); i++) {
		const int family = strchr(addresses[i], ':') ? AF_INET6 : AF_INET;
		const socklen_t size = family == AF_INET ? 4 : 16;
		struct hostent entry;
		unsigned char ip[32] = {0};
		struct answer answer;

		inet_pton(family, addresses[i], ip);
		h_errno = NETDB_SUCCESS;
		say_found(addresses[i], family, gethostbyaddr(ip, size, family));
		answer = ask_address(addresses[i], family, &entry, buf, sizeof(buf));
		say("  again: %s, %s", error_name(answer.status), answer.result ? "found" : h_name_of(answer.error));
		h_errno = NETDB_SUCCESS;
		say_found("  a byte less", family, gethostbyaddr(ip, size - 1, family));
		h_errno = NETDB_SUCCESS;
		say_found("  a byte more", family, gethostbyaddr(ip, size + 1, family));
		h_errno = NETDB_SUCCESS;
		say_found("  of no family", AF_UNIX, gethostbyaddr(ip, size, AF_UNIX));
	}
}

static void say_name_info(const struct sockaddr *sa, socklen_t len, size_t host_size, size_t service_size,
			  int flags)
{
	char host[NI_MAXHOST + 1], service[NI_MAXSERV + 1];
	int error;

	memset(host, CANARY, sizeof(host));
	memset(service, CANARY, sizeof(service));
	error = getnameinfo(sa, len, host_size ? host : NULL, (socklen_t)host_size, service_size ? service : NULL,
			    (socklen_t)service_size, flags);
	if (error)
		say("  flags %x, %zu, %zu: %s", (unsigned)flags, host_size, service_size, gai_strerror(error));
	else
		say("  flags %x, %zu, %zu: \"%s\" \"%s\"", (unsigned)flags, host_size, service_size,
		    host_size ? host : "", service_size ? service : "");
	say("  nothing beyond: %s", yes_no(is_canary(host + host_size, sizeof(host) - host_size) &&
					    is_canary(service + service_size, sizeof(service) - service_size)));
}

static void name_info(void)
{
	static const int flags[] = {0, NI_NAMEREQD, NI_NOFQDN, NI_NUMERICHOST, NI_NUMERICSERV, NI_DGRAM,
				    NI_NUMERICHOST | NI_NAMEREQD, NI_NAMEREQD | NI_NUMERICSERV | NI_DGRAM, NI_IDN, 0x8000, -1};

	for (size_t i = 0; i < N_ELEMENTS(addresses); i++) {
		const struct place place = place_of(addresses[i], i % 2 ? 80 : 9999);
		const struct sockaddr *sa = (const struct sockaddr *)&place.sa;

		say("%s", addresses[i]);
		for (size_t f = 0; f < N_ELEMENTS(flags); f++)
			say_name_info(sa, place.len, NI_MAXHOST, NI_MAXSERV, flags[f]);
		for (size_t size = 0; size < 20; size++) {
			say_name_info(sa, place.len, size, 0, 0);
			say_name_info(sa, place.len, size, size, 0);
			say_name_info(sa, place.len, 0, size, NI_NAMEREQD);
		}
		for (socklen_t len = 0; len < 30; len++)
			say_name_info(sa, len, NI_MAXHOST, NI_MAXSERV, 0);
		say_name_info(sa, sizeof(place.sa), NI_MAXHOST, NI_MAXSERV, 0);
	}
}

static void *ask_often(void *unused)
{
	char buf[1024], host[NI_MAXHOST];
	const struct place place = place_of("10.0.0.1", 1);
	unsigned right = 0;

	(void)unused;
	for (int i = 0; i < 300; i++) {
		const char *name = i % 2 ? "many.vm" : "uno", *found = i % 2 ? "many.vm" : "one.vm";
		struct hostent entry;
		struct answer answer = ask_name(name, AF_INET, &entry, buf, sizeof(buf));
		size_t count = 0;

		while (answer.result && entry.h_addr_list[count])
			count++;
		right += count == (i % 2 ? 3 : 1) && !strcmp(entry.h_name, found) &&
			 !getnameinfo((const struct sockaddr *)&place.sa, place.len, host, sizeof(host), NULL, 0, 0) &&
			 !strcmp(host, "one.vm");
	}
	return (void *)(uintptr_t)right;
}

static void in_threads(void)
{
	pthread_t threads[8];

	for (size_t i = 0; i < N_ELEMENTS(threads); i++)
		if (pthread_create(&threads[i], NULL, ask_often, NULL))
			die("pthread_create");
	for (size_t i = 0; i < N_ELEMENTS(threads); i++) {
		void *right;

		pthread_join(threads[i], &right);
		say("%u", (unsigned)(uintptr_t)right);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"by-name", by_name},	    {"rooms", rooms},	      {"sizes", sizes},	    {"by-name-r", by_name_r},
		{"by-address", by_address}, {"name-info", name_info}, {"threads", in_threads},
	};

	return RUN_CASES(cases, argc, argv);
}
