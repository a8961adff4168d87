/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the mapping says of names and addresses, and the answers made of it. */
#include "preload/names.h"
#include "preload/log.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

const struct rules *names_rules(void)
{
	const struct settings *now = settings();

	return now->disabled || now->failed ? NULL : now->rules;
}

static bool is_v4(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_V4MAPPED(ip);
}

/* The own name, whole or without its domain: a program that asks for its own address wants no other
 * machine's. */
static bool is_own_name(const char *name)
{
	struct utsname own;
	size_t length = strlen(name);

	if (length > 0 && name[length - 1] == '.')
		length--;
	if (uname(&own) < 0 || strncasecmp(own.nodename, name, length) != 0)
		return false;
	return own.nodename[length] == '\0' || own.nodename[length] == '.';
}

void name_invented_log(const char *name, const struct in6_addr *ip)
{
	char buf[512], address[NUMERIC_SIZE];
	struct text text;

	if (!log_on(LOG_INFO))
		return;
	log_line(&text, buf, sizeof buf);
	text_str(&text, "nobody knows ");
	text_quoted(&text, name, strlen(name));
	text_str(&text, ", a rule for every address takes it: ");
	text_str(&text, ip_numeric(ip, address));
	log_write(LOG_INFO, &text);
}

bool name_invent(const struct rules *rules, enum rule_protocol protocol, const char *name, uint16_t port,
		 int family, struct in6_addr *out)
{
	return !is_own_name(name) && rules_invent_address(rules, protocol, name, port,
							  family == AF_INET6 ? AF_INET6 : AF_INET, out);
}

bool ip_from(const void *address, socklen_t size, int family, struct in6_addr *out)
{
	struct in_addr v4;

	if (family == AF_INET6 && size == sizeof(*out)) {
		memcpy(out, address, sizeof(*out));
		return true;
	}
	if (family != AF_INET || size != sizeof(v4))
		return false;
	memcpy(&v4, address, sizeof(v4));
	*out = ip_addr_from_v4(ntohl(v4.s_addr), 0, AF_INET).ip;
	return true;
}

const struct host_link *link_of_family(const struct host_link *link, int family)
{
	while (link && is_v4(host_link_ip(link)) != (family == AF_INET))
		link = host_link_next_address(link);
	return link;
}

const char *ip_numeric(const struct in6_addr *ip, char text[NUMERIC_SIZE])
{
	if (is_v4(ip))
		return inet_ntop(AF_INET, &ip->s6_addr32[3], text, NUMERIC_SIZE);
	return inet_ntop(AF_INET6, ip, text, NUMERIC_SIZE);
}

/* The parts of an answer in their order: counted, and in a second pass written. */
struct parts {
	size_t aliases, addresses, bytes;
	size_t address_size;
	char **alias_list, **address_list; /* NULL: only count */
	char *text;
};

static void parts_address(struct parts *parts, const struct in6_addr *ip)
{
	if (parts->address_list) {
		char *at = parts->text + parts->bytes;

		memcpy(at, &ip->s6_addr[sizeof(*ip) - parts->address_size], parts->address_size);
		parts->address_list[parts->addresses] = at;
	}
	parts->addresses++;
	parts->bytes += parts->address_size;
}

static char *parts_string(struct parts *parts, const char *string)
{
	size_t size = strlen(string) + 1;
	char *at = NULL;

	if (parts->text)
		at = memcpy(parts->text + parts->bytes, string, size);
	parts->bytes += size;
	return at;
}

static void parts_alias(struct parts *parts, const char *name)
{
	char *at = parts_string(parts, name);

	if (parts->alias_list)
		parts->alias_list[parts->aliases] = at;
	parts->aliases++;
}

/* The address after this one, which the same answer holds. */
static const struct host_link *answer_next(const struct host_answer *answer, const struct host_link *link)
{
	return answer->all ? link_of_family(host_link_next_address(link), answer->family) : NULL;
}

/* Addresses first: they are aligned then. */
static void parts_addresses(struct parts *parts, const struct host_answer *answer)
{
	if (!answer->link)
		parts_address(parts, &answer->ip);
	for (const struct host_link *link = answer->link; link; link = answer_next(answer, link))
		parts_address(parts, host_link_ip(link));
}

static void parts_aliases(struct parts *parts, const struct host_answer *answer)
{
	for (const struct host_link *link = answer->link; link; link = answer_next(answer, link)) {
		const struct host_link *first = rules_address(answer->rules, host_link_ip(link)), *name = first;

		while ((name = host_link_next_name(name)))
			parts_alias(parts, host_link_name(name));
		if (strcmp(host_link_name(first), answer->name) != 0)
			parts_alias(parts, host_link_name(first));
	}
}

static void parts_count(struct parts *parts, const struct host_answer *answer)
{
	*parts = (struct parts){.address_size = answer->family == AF_INET ? 4 : 16};
	parts_addresses(parts, answer);
	parts_string(parts, answer->name);
	parts_aliases(parts, answer);
}

/* Both lists end with NULL. */
static size_t parts_pointers(const struct parts *parts)
{
	return parts->aliases + 1 + parts->addresses + 1;
}

size_t host_answer_size(const struct host_answer *answer)
{
	struct parts parts;

	parts_count(&parts, answer);
	return parts_pointers(&parts) * sizeof(char *) + parts.bytes;
}

void host_answer_write(const struct host_answer *answer, struct hostent *entry, char *buf)
{
	struct parts count, parts = {.alias_list = (char **)buf};

	parts_count(&count, answer);
	parts.address_size = count.address_size;
	parts.address_list = parts.alias_list + count.aliases + 1;
	parts.text = buf + parts_pointers(&count) * sizeof(char *);
	parts_addresses(&parts, answer);
	*entry = (struct hostent){
		.h_name = parts_string(&parts, answer->name),
		.h_aliases = parts.alias_list,
		.h_addrtype = answer->family,
		.h_length = (int)count.address_size,
		.h_addr_list = parts.address_list,
	};
	parts_aliases(&parts, answer);
	parts.alias_list[parts.aliases] = NULL;
	parts.address_list[parts.addresses] = NULL;
}
