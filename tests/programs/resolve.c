/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* getaddrinfo, field by field, for the names of tests/run/names.map. */
#define _GNU_SOURCE 1
#include "common.h"

#include <netdb.h>
#include <pthread.h>

/* one: IPv4; six: IPv6; two: one of each; many: several of both, in turn; others: aliases. */
static const char *const names[] = {"one.vm", "uno", "six.vm", "two.vm", "many.vm", "more.vm", "later.vm"};

static const char *gai_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} errors[] = {
		{0, "ok"},
		{EAI_BADFLAGS, "EAI_BADFLAGS"},
		{EAI_NONAME, "EAI_NONAME"},
		{EAI_AGAIN, "EAI_AGAIN"},
		{EAI_FAIL, "EAI_FAIL"},
		{EAI_NODATA, "EAI_NODATA"},
		{EAI_FAMILY, "EAI_FAMILY"},
		{EAI_SOCKTYPE, "EAI_SOCKTYPE"},
		{EAI_SERVICE, "EAI_SERVICE"},
		{EAI_ADDRFAMILY, "EAI_ADDRFAMILY"},
		{EAI_MEMORY, "EAI_MEMORY"},
		{EAI_SYSTEM, "EAI_SYSTEM"},
		{EAI_OVERFLOW, "EAI_OVERFLOW"},
	};

	for (size_t i = 0; i < N_ELEMENTS(errors); i++)
		if (errors[i].error == error)
			return errors[i].name;
	return "unknown error";
}

static void address_append(FILE *out, const struct sockaddr *sa)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	char text[INET6_ADDRSTRLEN];

	if (sa->sa_family == AF_INET)
		fprintf(out, "%s %u", inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)), ntohs(in->sin_port));
	else
		fprintf(out, "%s %u flow %u scope %u", inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)),
			ntohs(in6->sin6_port), ntohl(in6->sin6_flowinfo), in6->sin6_scope_id);
}

/* All fields of all entries, as text to be freed. */
static char *list_text(const struct addrinfo *list)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die("open_memstream");
	for (; list; list = list->ai_next) {
		fprintf(out, "    flags %x, %s, type %d, protocol %d, length %u: ", (unsigned)list->ai_flags,
			family_text(list->ai_family), list->ai_socktype, list->ai_protocol,
			(unsigned)list->ai_addrlen);
		address_append(out, list->ai_addr);
		if (list->ai_addr->sa_family != list->ai_family)
			fprintf(out, ", but family %d", list->ai_addr->sa_family);
		fprintf(out, "%s%s\n", list->ai_canonname ? ", canonical " : "",
			list->ai_canonname ? list->ai_canonname : "");
	}
	fclose(out);
	return text;
}

/* What a pointer to a list that getaddrinfo did not touch is. */
static struct addrinfo untouched;

static void say_list(const char *name, const char *service, const struct addrinfo *hints)
{
	struct addrinfo *list = &untouched;
	char *text;
	int error;

	errno = 0;
	error = getaddrinfo(name, service, hints, &list);
	say("  %s%s", gai_name(error), error && list != &untouched ? ", and the list is touched" : "");
	if (error)
		return;
	text = list_text(list);
	fputs(text, stdout);
	free(text);
	freeaddrinfo(list);
}

static void ask(const char *name, const char *service, int flags, int family, int type, int protocol)
{
	const struct addrinfo hints = {
		.ai_flags = flags, .ai_family = family, .ai_socktype = type, .ai_protocol = protocol};

	say("%s, service %s, flags %x, family %d, type %d, protocol %d", name ? name : "NULL",
	    service ? service : "NULL", (unsigned)flags, family, type, protocol);
	say_list(name, service, &hints);
}

static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};

static void types(void)
{
	static const int type[] = {0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, 99};
	static const int protocol[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};

	for (size_t f = 0; f < N_ELEMENTS(families); f++)
		for (size_t t = 0; t < N_ELEMENTS(type); t++)
			for (size_t p = 0; p < N_ELEMENTS(protocol); p++)
				ask("two.vm", "80", 0, families[f], type[t], protocol[p]);
	ask("two.vm", NULL, 0, AF_UNIX, 0, 0);
	ask("two.vm", NULL, 0, -1, 0, 0);
}

static void every_name(void)
{
	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		for (size_t f = 0; f < N_ELEMENTS(families); f++)
			ask(names[i], "5432", 0, families[f], SOCK_STREAM, 0);
}

static void flags(void)
{
	static const int flag[] = {
		AI_PASSIVE,
		AI_CANONNAME,
		AI_NUMERICHOST,
		AI_NUMERICSERV,
		AI_V4MAPPED,
		AI_ALL,
		AI_V4MAPPED | AI_ALL,
		AI_V4MAPPED | AI_ALL | AI_CANONNAME,
		AI_V4MAPPED | AI_CANONNAME,
		AI_ADDRCONFIG,
		AI_ADDRCONFIG | AI_V4MAPPED | AI_CANONNAME,
		AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST,
		AI_IDN,
		AI_CANONNAME | AI_CANONIDN,
		0x4000,
		-1,
	};

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		for (size_t k = 0; k < N_ELEMENTS(flag); k++)
			for (size_t f = 0; f < N_ELEMENTS(families); f++)
				ask(names[i], "5432", flag[k], families[f], SOCK_STREAM, 0);
}

static void services(void)
{
	static const char *const service[] = {NULL, "", "0", "80", "http", "HTTP", "domain", "ntp", "nosuch",
					      "65535", "65536", "-1", "80x", " 80", "0x50", "99999999999999999999"};

	for (size_t i = 0; i < N_ELEMENTS(service); i++) {
		ask("one.vm", service[i], 0, 0, 0, 0);
		ask("one.vm", service[i], 0, 0, SOCK_STREAM, 0);
		ask("two.vm", service[i], 0, 0, SOCK_DGRAM, 0);
		ask("one.vm", service[i], AI_NUMERICSERV, 0, 0, 0);
		ask("six.vm", service[i], 0, 0, SOCK_RAW, 0);
	}
}

static void null(void)
{
	say("NULL hints");
	say_list("one.vm", "80", NULL);
	say_list("two.vm", "http", NULL);
	say_list("many.vm", NULL, NULL);
	say_list("six.vm", "nosuch", NULL);
	say("no name");
	say_list(NULL, "80", NULL);
	say_list(NULL, NULL, NULL);
	ask(NULL, NULL, 0, 0, 0, 0);
	ask(NULL, "80", AI_PASSIVE, AF_INET, SOCK_STREAM, 0);
	ask(NULL, "80", AI_CANONNAME, 0, SOCK_STREAM, 0);
	ask(NULL, "80", AI_NUMERICHOST, AF_INET6, SOCK_STREAM, 0);
	ask(NULL, "nosuch", 0, 0, SOCK_STREAM, 0);
}

static void spellings(void)
{
	static const char *const spelling[] = {
		"ONE.VM", "Many.Vm", "UNO", "one", "one.vm..", ".one.vm", ".", "", " ", "one.vm ", "one vm",
		"nosuch.vm", "nosuch", "0", "127.1", "0x7f.1", "0177.0.0.1", "1.2.3.4", "1.2.3.4.", "1.2.3.4.5",
		"1.2.3.256", "::1", "::1%lo", "fe80::1%lo", "fe80::1%1", "fe80::1%nosuch", "one.vm%lo", "::ffff:10.0.0.1",
		"[::1]", "10.0.0.1", "10.0.0.1:80", "fd00::1", "localhost", "LOCALHOST", "m\303\274ller.vm", "\377",
		"a\nb", "-one.vm", "one_.vm", "under_score.vm",
	};
	char *longest;

	for (size_t i = 0; i < N_ELEMENTS(spelling); i++)
		for (size_t f = 0; f < N_ELEMENTS(families); f++) {
			ask(spelling[i], "80", AI_CANONNAME, families[f], SOCK_STREAM, 0);
			ask(spelling[i], "80", AI_NUMERICHOST, families[f], SOCK_STREAM, 0);
		}
	for (size_t length = 60; length < 70000; length *= 2) {
		longest = malloc(length + 1);
		if (!longest)
			die("malloc");
		memset(longest, 'a', length);
		longest[length] = '\0';
		say("a name of %zu bytes", length);
		say_list(longest, "80", NULL);
		free(longest);
	}
}

/* glibc's lists may be freed in parts. */
static void parts(void)
{
	const struct addrinfo hints = {.ai_flags = AI_CANONNAME};
	struct addrinfo *list, *rest;
	char *text;
	int error = getaddrinfo("many.vm", "80", &hints, &list);

	if (error)
		die("getaddrinfo: %s", gai_name(error));
	rest = list->ai_next;
	list->ai_next = NULL;
	freeaddrinfo(rest->ai_next);
	rest->ai_next = NULL;
	text = list_text(rest);
	fputs(text, stdout);
	free(text);
	freeaddrinfo(rest);
	text = list_text(list);
	fputs(text, stdout);
	free(text);
	freeaddrinfo(list);
}

static void *ask_often(void *name)
{
	char *first = NULL;

	for (int i = 0; i < 200; i++) {
		struct addrinfo *list;
		char *text;

		if (getaddrinfo(name, "80", NULL, &list))
			return NULL;
		text = list_text(list);
		freeaddrinfo(list);
		if (first && strcmp(first, text)) {
			free(text);
			free(first);
			return NULL;
		}
		free(first);
		first = text;
	}
	return first;
}

static void in_threads(void)
{
	pthread_t threads[2 * N_ELEMENTS(names)];

	for (size_t i = 0; i < N_ELEMENTS(threads); i++)
		if (pthread_create(&threads[i], NULL, ask_often, (void *)names[i / 2]))
			die("pthread_create");
	for (size_t i = 0; i < N_ELEMENTS(threads); i++) {
		void *text;

		pthread_join(threads[i], &text);
		say("%s, always the same:\n%s", names[i / 2], text ? (char *)text : "no");
		free(text);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"types", types},	{"names", every_name},	{"flags", flags},	    {"services", services},
		{"null", null},		{"spellings", spellings}, {"parts", parts},	    {"threads", in_threads},
	};

	return RUN_CASES(cases, argc, argv);
}
