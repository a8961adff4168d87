/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which rule decides, what it says of an address, and which address a CID is shown as. */
#include "core/table.h"
#include "ip2vsock/transport.h"
#include "naive.h"
#include "unit.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

static struct arena arena = UNIT_ARENA;

/* Sealed rules of a text that has no mistakes. */
static struct rules *rules_of(const char *text)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);

	ck_assert_ptr_nonnull(rules);
	ck_assert_msg(config_text(rules, &arena, "map", text, strlen(text), &io) == 0, "%s", unit.buf);
	ck_assert_int_eq(rules_seal(rules), 0);
	return rules;
}

static struct ip_addr addr_of(const struct rules *rules, const char *text)
{
	struct ip_addr addr;
	char why[200] = "";

	ck_assert_msg(config_parse_address(rules, text, &addr, why, sizeof(why)), "%s: %s", text, why);
	return addr;
}

/* "vsock CID:PORT 2", "inet 1", "reject ERRNO -" : the target and the line that decided. */
static void decision_text(const struct target *target, char *buf, size_t size)
{
	struct text text;
	char to[64];

	text_init(&text, buf, size);
	switch (target->kind) {
	case TARGET_INET:
		text_str(&text, "inet");
		break;
	case TARGET_REJECT:
		text_str(&text, "reject ");
		text_str(&text, config_errno_name(target->error));
		break;
	case TARGET_VSOCK:
	case TARGET_UNIX:
		text_str(&text, target->kind == TARGET_UNIX ? "unix " : "vsock ");
		text_str(&text, config_endpoint_text(&target->to, to, sizeof(to)));
		break;
	}
	text_str(&text, " ");
	if (target->rule)
		text_uint(&text, target->rule->place.line);
	else
		text_str(&text, "-");
}

static const char mapping[] =
	"host 10.0.0.3 3 db.vm db\n"
	"host fd00::4 4 web.vm\n"
	"connect 10.0.0.3:5432 vsock 33:5432\n" /* never: line 1 is first */
	"connect tcp 10.8.0.0/16:8000-8099 vsock 4:9000-9099\n"
	"connect 10.8.3.0/24:* inet\n"
	"connect 10.0.0.0/8:8000-8999 vsock 5:70000\n"
	"connect cache.vm:* vsock 6:*\n"
	"connect web.vm:* vsock 44:*\n" /* never: line 2 */
	"connect [2001:db8::7]:443 vsock host:8443\n"
	"connect [2001:db8::]/32:443 vsock 7:443\n"
	"connect [::]/0:25 reject EHOSTUNREACH\n"
	"connect 0.0.0.0/0:25 reject\n"
	"connect *:53 inet\n"
	"connect [::ffff:192.0.2.0]/120:1-9 vsock 8:1-9\n"
	"listen *:80 vsock any:80\n"
	"listen 127.0.0.1:6379 vsock local:6379\n"
	"listen 0.0.0.0:* vsock any:*\n"
	"listen [::]:1000-1999 vsock any:101000-101999\n"
	"listen tcp 10.0.0.1:22 reject\n"
	"listen web.vm:443 vsock 4:443\n"
	"listen 10.9.9.9:* vsock any:7777\n"
	"connect late.vm:80 vsock 9:80\n"
	"host 10.0.0.77 77 late.vm\n"
	"host fd00::77 77 late.vm\n"
	"default reject\n";

static const struct {
	enum rule_direction direction;
	const char *addr;
	const char *want;
} decisions[] = {
	{ RULE_CONNECT, "10.0.0.3:5432", "vsock 3:5432 1" },
	{ RULE_CONNECT, "10.0.0.3:1", "vsock 3:1 1" },
	{ RULE_CONNECT, "[::ffff:10.0.0.3]:1", "vsock 3:1 1" },
	{ RULE_CONNECT, "[fd00::4]:65535", "vsock 4:65535 2" },
	{ RULE_CONNECT, "web.vm:81", "vsock 4:81 2" },
	{ RULE_CONNECT, "DB.VM:81", "vsock 3:81 1" },
	{ RULE_CONNECT, "10.8.0.0:8000", "vsock 4:9000 4" },
	{ RULE_CONNECT, "10.8.255.255:8099", "vsock 4:9099 4" },
	{ RULE_CONNECT, "10.8.3.1:8050", "vsock 4:9050 4" },
	{ RULE_CONNECT, "10.8.3.1:8100", "inet 5" },
	{ RULE_CONNECT, "10.8.4.1:8100", "vsock 5:70000 6" },
	{ RULE_CONNECT, "10.9.4.1:8999", "vsock 5:70000 6" },
	{ RULE_CONNECT, "10.9.4.1:9000", "reject ECONNREFUSED -" },
	{ RULE_CONNECT, "11.0.0.0:8000", "reject ECONNREFUSED -" },
	{ RULE_CONNECT, "cache.vm:6379", "vsock 6:6379 7" },
	{ RULE_CONNECT, "[2001:db8::7]:443", "vsock host:8443 9" },
	{ RULE_CONNECT, "[2001:db8::8]:443", "vsock 7:443 10" },
	{ RULE_CONNECT, "[2001:db9::8]:443", "reject ECONNREFUSED -" },
	{ RULE_CONNECT, "[2001:db9::8]:25", "reject EHOSTUNREACH 11" },
	{ RULE_CONNECT, "[::ffff:1.2.3.4]:25", "reject ECONNREFUSED 12" },
	{ RULE_CONNECT, "1.2.3.4:25", "reject ECONNREFUSED 12" },
	{ RULE_CONNECT, "1.2.3.4:53", "inet 13" },
	{ RULE_CONNECT, "[::1]:53", "inet 13" },
	{ RULE_CONNECT, "192.0.2.255:9", "vsock 8:9 14" },
	{ RULE_CONNECT, "192.0.2.255:10", "reject ECONNREFUSED -" },
	{ RULE_CONNECT, "10.0.0.77:80", "vsock 9:80 22" },
	{ RULE_CONNECT, "[fd00::77]:80", "vsock 9:80 22" },
	{ RULE_CONNECT, "[fd00::77]:81", "vsock 77:81 24" },
	{ RULE_LISTEN, "0.0.0.0:80", "vsock any:80 15" },
	{ RULE_LISTEN, "[::]:80", "vsock any:80 15" },
	{ RULE_LISTEN, "127.0.0.1:6379", "vsock local:6379 16" },
	{ RULE_LISTEN, "0.0.0.0:6379", "vsock any:6379 17" },
	{ RULE_LISTEN, "0.0.0.0:0", "vsock any:* 17" },
	{ RULE_LISTEN, "[::ffff:0.0.0.0]:0", "vsock any:* 17" },
	{ RULE_LISTEN, "[::]:0", "reject EACCES -" }, /* *:80 does not hold port 0 */
	{ RULE_LISTEN, "[::]:1000", "vsock any:101000 18" },
	{ RULE_LISTEN, "[::]:1999", "vsock any:101999 18" },
	{ RULE_LISTEN, "10.0.0.1:22", "reject EACCES 19" },
	{ RULE_LISTEN, "web.vm:443", "vsock 4:443 20" },
	{ RULE_LISTEN, "10.9.9.9:0", "vsock any:7777 21" },
	{ RULE_LISTEN, "10.0.0.3:5432", "reject EACCES -" }, /* host lines are for connect */
};

START_TEST(test_first_match_decides)
{
	struct rules *rules = rules_of(mapping);
	struct ip_addr addr = addr_of(rules, decisions[_i].addr);
	struct target target;
	char buf[100];

	memset(&target, 0xaa, sizeof(target));
	rules_find(rules, decisions[_i].direction, RULE_TCP, &addr, &target);
	decision_text(&target, buf, sizeof(buf));
	ck_assert_msg(strcmp(buf, decisions[_i].want) == 0, "%s: %s, not %s", decisions[_i].addr, buf,
		      decisions[_i].want);
	arena_free(&arena);
}
END_TEST

START_TEST(test_tcp_rules_are_not_for_udp)
{
	struct rules *rules = rules_of("connect tcp 10.0.0.1:* inet\nconnect 10.0.0.1:7 vsock 3:7\n");
	struct ip_addr addr = addr_of(rules, "10.0.0.1:7");
	struct target target;

	rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
	ck_assert_uint_eq(target.rule->place.line, 1);
	rules_find(rules, RULE_CONNECT, RULE_UDP, &addr, &target);
	ck_assert_uint_eq(target.rule->place.line, 2);
	arena_free(&arena);
}
END_TEST

START_TEST(test_empty_rules_leave_everything_alone)
{
	struct rules *rules = rules_of("");
	struct ip_addr addr = addr_of(rules, "10.0.0.1:7");
	struct rule_place place;
	struct target target;

	rules_find(rules, RULE_LISTEN, RULE_TCP, &addr, &target);
	ck_assert_int_eq(target.kind, TARGET_INET);
	ck_assert_ptr_null(target.rule);
	ck_assert_ptr_null(rules_at(rules, 0));
	rules_default(rules, &target, &place);
	ck_assert_int_eq(target.kind, TARGET_INET);
	ck_assert_ptr_null(place.source);
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *text;
	int connect_error, listen_error; /* 0: inet */
} defaults[] = {
	{ "", 0, 0 },
	{ "default inet", 0, 0 },
	{ "default reject", ECONNREFUSED, EACCES },
	{ "default reject ETIMEDOUT", ETIMEDOUT, ETIMEDOUT },
};

START_TEST(test_default)
{
	struct rules *rules = rules_of(defaults[_i].text);
	struct ip_addr addr = addr_of(rules, "10.0.0.1:7");
	struct target target;

	rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
	ck_assert_int_eq(target.error, defaults[_i].connect_error);
	ck_assert_int_eq(target.kind, defaults[_i].connect_error ? TARGET_REJECT : TARGET_INET);
	rules_find(rules, RULE_LISTEN, RULE_TCP, &addr, &target);
	ck_assert_int_eq(target.error, defaults[_i].listen_error);
	ck_assert_int_eq(target.kind, defaults[_i].listen_error ? TARGET_REJECT : TARGET_INET);
	arena_free(&arena);
}
END_TEST

START_TEST(test_first_default_stays)
{
	const struct rule_place first = { "-strict", 1 }, second = { "map", 7 };
	struct rules *rules = rules_new(&arena);
	struct rule_place before = { 0 };
	struct target target;

	ck_assert(rules_set_default(rules, TARGET_REJECT, EPERM, &first, &before));
	ck_assert(!rules_set_default(rules, TARGET_INET, 0, &second, &before));
	ck_assert_str_eq(before.source, "-strict");
	ck_assert_uint_eq(before.line, 1);
	rules_default(rules, &target, &before);
	ck_assert_int_eq(target.kind, TARGET_REJECT);
	ck_assert_int_eq(target.error, EPERM);
	arena_free(&arena);
}
END_TEST

/* Numbers that are the same in every run. */
static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % limit;
}

/* Few different bits, so that prefixes and ranges overlap a lot. */
static struct in6_addr random_ip(void)
{
	static const char *const bases[] = { "::ffff:10.0.0.0", "::ffff:10.0.0.0", "::", "fd00::",
					     "::fffe:0:0" };
	struct in6_addr ip;

	inet_pton(AF_INET6, bases[random_below(N_ELEMENTS(bases))], &ip);
	ip.s6_addr[15] |= (unsigned char)(random_below(4) << random_below(7));
	ip.s6_addr[13] |= (unsigned char)random_below(2);
	return ip;
}

static uint16_t random_port(void)
{
	static const uint16_t edges[] = { 0, 1, 2, 65534, 65535 };

	return (uint16_t)(random_below(8) == 0 ? edges[random_below(5)] : 100 + random_below(24));
}

static struct rule random_rule(void)
{
	struct rule rule = {
		.direction = random_below(4) == 0 ? RULE_LISTEN : RULE_CONNECT,
		.protocols = (uint8_t)(1 + random_below(3)),
		.target = TARGET_INET,
		.pattern = { .any_address = random_below(10) == 0, .ip = random_ip() },
	};
	struct rule_pattern *pattern = &rule.pattern;
	static const uint8_t lengths[] = { 0, 8, 95, 96, 97, 112, 120, 124, 126, 127, 128, 128, 128 };
	uint16_t a = random_port(), b = random_below(2) ? a : random_port();

	pattern->length = lengths[random_below(N_ELEMENTS(lengths))];
	for (unsigned bit = pattern->length; bit < 128; bit++)
		pattern->ip.s6_addr[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	pattern->port_low = a < b ? a : b;
	pattern->port_high = a < b ? b : a;
	return rule;
}

START_TEST(test_index_agrees_with_reading_the_rules_in_order)
{
	struct rules *rules = rules_new(&arena);
	unsigned count, matched = 0;

	random_state = 0x1234567 + (uint64_t)_i * 0x9e3779b97f4a7c15;
	count = 1 + random_below(_i % 2 ? 12 : 200);
	for (unsigned i = 0; i < count; i++) {
		struct rule rule = random_rule();

		ck_assert_int_eq(rules_add(rules, &rule), 0);
	}
	ck_assert_int_eq(rules_seal(rules), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct ip_addr addr = { .family = AF_INET6, .port = random_port(), .ip = random_ip() };
		enum rule_direction direction = random_below(4) == 0 ? RULE_LISTEN : RULE_CONNECT;
		enum rule_protocol protocol = random_below(2) ? RULE_TCP : RULE_UDP;
		int want = naive_find(rules, direction, protocol, &addr);
		struct target target;
		char text[IP_ADDR_TEXT_SIZE];

		rules_find(rules, direction, protocol, &addr, &target);
		ck_assert_msg(target.rule == (want < 0 ? NULL : rules_at(rules, (unsigned)want)),
			      "%s is rule %d's", ip_addr_text(&addr, text), want);
		matched += want >= 0;
	}
	if (count > 12)
		ck_assert_uint_gt(matched, 100);
	arena_free(&arena);
}
END_TEST

START_TEST(test_many_ranges_of_one_address)
{
	struct rules *rules = rules_new(&arena);
	struct rule rule = {
		.protocols = RULE_TCP | RULE_UDP,
		.pattern = { .length = 128, .ip = { .s6_addr = { 1 } } },
	};
	struct ip_addr addr = { .family = AF_INET6, .ip = rule.pattern.ip };
	struct target target;

	/* Even ports one by one, then ever wider ranges over all of them: each port's first rule is
	 * its own, or the narrowest range that covers it. */
	for (uint32_t port = 0; port <= UINT16_MAX; port += 2) {
		rule.pattern.port_low = rule.pattern.port_high = (uint16_t)port;
		ck_assert_int_eq(rules_add(rules, &rule), 0);
	}
	for (uint32_t half = 1; half <= 32768; half++) {
		rule.pattern.port_low = (uint16_t)(32768 - half);
		rule.pattern.port_high = (uint16_t)(32767 + half);
		ck_assert_int_eq(rules_add(rules, &rule), 0);
	}
	ck_assert_int_eq(rules_seal(rules), 0);
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		uint32_t half = port < 32768 ? 32768 - port : port - 32767;

		addr.port = (uint16_t)port;
		rules_find(rules, RULE_CONNECT, RULE_UDP, &addr, &target);
		ck_assert_ptr_eq(target.rule, rules_at(rules, port % 2 ? 32768 + half - 1 : port / 2));
	}
	arena_free(&arena);
}
END_TEST

START_TEST(test_rules_stay_where_they_are)
{
	struct rules *rules = rules_new(&arena);
	struct rule rule = { .protocols = RULE_TCP, .pattern = { .any_address = true } };
	const struct rule *at[1000];

	for (unsigned i = 0; i < N_ELEMENTS(at); i++) {
		rule.place.line = i;
		ck_assert_int_eq(rules_add(rules, &rule), 0);
		at[i] = rules_at(rules, i);
	}
	for (unsigned i = 0; i < N_ELEMENTS(at); i++) {
		ck_assert_ptr_eq(rules_at(rules, i), at[i]);
		ck_assert_uint_eq(at[i]->place.line, i);
	}
	ck_assert_ptr_null(rules_at(rules, N_ELEMENTS(at)));
	ck_assert_ptr_null(rules_at(rules, UINT32_MAX));
	arena_free(&arena);
}
END_TEST

/* Names. */

static const char names_mapping[] =
	"host 10.0.0.3 3 db.vm db\n"
	"host 10.0.0.4 4 DB.vm other\n"
	"host fd00::3 3 db.vm\n"
	"host 10.0.0.3 3 db again.\n"
	"host 10.0.0.5 5\n"
	"connect cache.vm:* vsock 6:*\n"
	"connect Cache.VM:80 inet\n"
	"listen here.vm:80 vsock any:80\n";

static const struct {
	const char *name;
	const char *addresses; /* as text, in order */
} names[] = {
	{ "db.vm", "10.0.0.3 10.0.0.4 [fd00::3]" },
	{ "DB.Vm", "10.0.0.3 10.0.0.4 [fd00::3]" },
	{ "db.vm.", "10.0.0.3 10.0.0.4 [fd00::3]" },
	{ "db", "10.0.0.3" },
	{ "again", "10.0.0.3" },
	{ "other", "10.0.0.4" },
	{ "cache.vm", "198.19.226.250" }, /* a change here changes what users see */
	{ "here.vm", "198.19.198.155" },
	{ "unknown", "" },
	{ "", "" },
	{ ".", "" },
	{ "db.vm..", "" },
};

static bool append_address(void *context, const struct in6_addr *ip)
{
	struct ip_addr addr = { .ip = *ip };
	struct text *text = context;
	char buf[IP_ADDR_TEXT_SIZE];

	if (text->len > 0)
		text_str(text, " ");
	ip_addr_text(&addr, buf);
	text_strn(text, buf, strlen(buf) - 2);
	return true;
}

START_TEST(test_name_to_addresses)
{
	struct rules *rules = rules_of(names_mapping);
	char buf[200];
	struct text text;
	unsigned count, want = names[_i].addresses[0] != '\0';

	for (const char *at = names[_i].addresses; *at; at++)
		want += *at == ' ';
	text_init(&text, buf, sizeof(buf));
	count = rules_name_address(rules, names[_i].name, append_address, &text);
	ck_assert_str_eq(buf, names[_i].addresses);
	ck_assert_uint_eq(count, want);
	arena_free(&arena);
}
END_TEST

static bool count_one(void *context, const struct in6_addr *ip)
{
	(void)ip;
	++*(int *)context;
	return false;
}

START_TEST(test_each_may_stop_and_the_count_is_whole)
{
	struct rules *rules = rules_of(names_mapping);
	char longest[400];
	int called = 0;

	ck_assert_uint_eq(rules_name_address(rules, "db.vm", count_one, &called), 3);
	ck_assert_int_eq(called, 1);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_uint_eq(rules_name_address(rules, longest, count_one, &called), 0);
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *addr, *name;
} address_names[] = {
	{ "10.0.0.3:1", "db.vm" },
	{ "10.0.0.4:1", "db.vm" },
	{ "[fd00::3]:1", "db.vm" },
	{ "10.0.0.5:1", NULL },
	{ "10.0.0.6:1", NULL },
	{ "cache.vm:1", "cache.vm" },
};

START_TEST(test_address_to_name)
{
	struct rules *rules = rules_of(names_mapping);
	struct ip_addr addr = addr_of(rules, address_names[_i].addr);
	const char *name = rules_address_name(rules, &addr.ip);

	if (address_names[_i].name)
		ck_assert_str_eq(name, address_names[_i].name);
	else
		ck_assert_ptr_null(name);
	arena_free(&arena);
}
END_TEST

static bool take_address(void *context, const struct in6_addr *ip)
{
	memcpy(context, ip, sizeof(*ip));
	return false;
}

/* More names than there is room for without collisions: all get an address, none the same, none
 * that a host line has. */
START_TEST(test_stand_ins_are_distinct_and_stable)
{
	enum { COUNT = 5000 };
	static struct in6_addr seen[2][COUNT];
	static bool taken[65536];

	memset(taken, 0, sizeof(taken));
	for (unsigned round = 0; round < 2; round++) {
		struct rules *rules = rules_new(&arena);
		static char text[COUNT][12];

		for (unsigned i = 0; i < COUNT; i++) {
			struct rule rule = { .protocols = RULE_TCP, .pattern = { .name = text[i] } };
			struct text name;

			text_init(&name, text[i], sizeof(text[i]));
			text_str(&name, "vm");
			text_uint(&name, i);
			ck_assert_int_eq(rules_add(rules, &rule), 0);
		}
		if (round == 1) { /* the address that vm0 had before */
			struct rule_place place = { "map", 1 }, before;

			ck_assert_int_eq(rules_add_host(rules, "x", &seen[0][0], 7, &place, &before), 0);
		}
		ck_assert_int_eq(rules_seal(rules), 0);
		for (unsigned i = 0; i < COUNT; i++)
			ck_assert_uint_eq(rules_name_address(rules, text[i], take_address,
							     &seen[round][i]), 1);
		arena_free(&arena);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct ip_addr addr = { .ip = seen[0][i] };
		uint32_t v4 = ip_addr_v4(&addr);

		ck_assert(ip_addr_is_v4(&addr));
		ck_assert_uint_eq(v4 >> 16, 198 << 8 | 19);
		ck_assert(!taken[v4 & 0xffff]);
		taken[v4 & 0xffff] = true;
	}
	ck_assert_mem_ne(&seen[0][0], &seen[1][0], sizeof(seen[0][0]));
}
END_TEST

START_TEST(test_no_stand_ins_left_is_enospc)
{
	enum { COUNT = 65535 };
	struct rules *rules = rules_new(&arena);
	static char text[COUNT][12];

	for (unsigned i = 0; i < COUNT; i++) {
		struct rule rule = { .protocols = RULE_TCP, .pattern = { .name = text[i] } };
		struct text name;

		text_init(&name, text[i], sizeof(text[i]));
		text_uint(&name, i);
		ck_assert_int_eq(rules_add(rules, &rule), 0);
	}
	errno = 0;
	ck_assert_int_eq(rules_seal(rules), -1);
	ck_assert_int_eq(errno, ENOSPC);
	arena_free(&arena);
}
END_TEST

START_TEST(test_address_of_two_cids_is_eexist)
{
	const struct rule_place first = { "a", 3 }, second = { "b", 4 };
	const struct in6_addr ip = { .s6_addr = { 0xfd, [15] = 1 } };
	struct rules *rules = rules_new(&arena);
	struct rule_place before = { 0 };

	ck_assert_int_eq(rules_add_host(rules, "one", &ip, 3, &first, &before), 0);
	ck_assert_int_eq(rules_add_host(rules, "two", &ip, 3, &second, &before), 0);
	errno = 0;
	ck_assert_int_eq(rules_add_host(rules, "three", &ip, 4, &second, &before), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_str_eq(before.source, "a");
	ck_assert_uint_eq(before.line, 3);
	arena_free(&arena);
}
END_TEST

/* How CIDs are shown. */

static const char shown_mapping[] =
	"host 10.0.0.3 3 db.vm\n"
	"host 10.0.0.33 3\n"
	"host fd00::4 4\n"
	"host 10.0.0.5 5\n"
	"host fd00::5 5\n"
	"host 127.0.0.9 local\n";

static const struct {
	uint32_t cid;
	sa_family_t family;
	bool v6only;
	const char *want;
} shown[] = {
	{ 3, AF_INET, false, "10.0.0.3:0" },
	{ 3, AF_INET6, false, "10.0.0.3:0" },
	{ 3, AF_INET6, true, "[fd69:7032:7673::3]:0" },
	{ 4, AF_INET, false, "198.18.0.4:0" },
	{ 4, AF_INET6, false, "[fd00::4]:0" },
	{ 4, AF_INET6, true, "[fd00::4]:0" },
	{ 5, AF_INET, false, "10.0.0.5:0" },
	{ 5, AF_INET6, false, "[fd00::5]:0" },
	{ 1, AF_INET, false, "127.0.0.9:0" },
	{ 0, AF_INET, false, "198.18.0.0:0" },
	{ 2, AF_INET, false, "198.18.0.2:0" },
	{ 2, AF_INET6, false, "[fd69:7032:7673::2]:0" },
	{ 65534, AF_INET, false, "198.18.255.254:0" },
	{ 65535, AF_INET, false, "240.0.255.255:0" },
	{ 65536, AF_INET, false, "240.1.0.0:0" },
	{ 65536, AF_INET6, false, "[fd69:7032:7673::1:0]:0" },
	{ 0x0ffffffe, AF_INET, false, "255.255.255.254:0" },
	{ 0x0fffffff, AF_INET, false, "240.0.0.1:0" },
	{ 0xfffffffe, AF_INET, false, "255.255.255.254:0" },
	{ 0xfffffffe, AF_INET6, false, "[fd69:7032:7673::ffff:fffe]:0" },
	{ VMADDR_CID_ANY, AF_INET, false, "198.18.255.255:0" },
	{ VMADDR_CID_ANY, AF_INET6, false, "[fd69:7032:7673::ffff:ffff]:0" },
};

START_TEST(test_show_cid)
{
	struct rules *rules = rules_of(shown_mapping);
	struct ip_addr addr = { 0 };
	char buf[IP_ADDR_TEXT_SIZE];

	rules_show_cid(rules, shown[_i].cid, shown[_i].family, shown[_i].v6only, &addr.ip);
	ck_assert_str_eq(ip_addr_text(&addr, buf), shown[_i].want);
	arena_free(&arena);
}
END_TEST

/* What is shown says which CID it is, so no two CIDs below 2^28 look alike; none is loopback. */
START_TEST(test_stand_in_of_a_cid_can_be_read_back)
{
	struct rules *rules = rules_of("");
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (uint64_t cid = 0; cid < 1 << 28; cid += cid < 70000 || cid > (1 << 28) - 99 ? 1 : 997) {
		for (unsigned i = 0; i < 2; i++) {
			struct ip_addr addr = { 0 };
			uint32_t back = 0;

			rules_show_cid(rules, (uint32_t)cid, families[i], false, &addr.ip);
			ck_assert(ip_addr_is_v4(&addr) == (families[i] == AF_INET));
			ck_assert(!ip_addr_is_loopback(&addr) && !ip_addr_is_any(&addr));
			ck_assert(cid_from_stand_in(&addr.ip, &back));
			ck_assert_uint_eq(back, cid);
		}
	}
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *addr;
	bool ok;
	uint32_t cid;
} stand_ins[] = {
	{ "198.18.0.5:0", true, 5 },
	{ "198.18.255.255:0", true, VMADDR_CID_ANY },
	{ "198.19.0.5:0", false, 0 },
	{ "198.17.255.255:0", false, 0 },
	{ "240.0.0.0:0", false, 0 },
	{ "240.0.0.5:0", false, 0 }, /* CID 5 is 198.18.0.5 */
	{ "240.0.0.1:0", true, 0x0fffffff },
	{ "240.0.255.255:0", true, 65535 },
	{ "255.255.255.255:0", false, 0 },
	{ "10.0.0.1:0", false, 0 },
	{ "[fd69:7032:7673::ffff:fffe]:0", true, 0xfffffffe },
	{ "[fd69:7032:7673::1:0:3]:0", false, 0 },
	{ "[::1]:0", false, 0 },
};

START_TEST(test_cid_from_stand_in)
{
	struct rules *rules = rules_of("");
	struct ip_addr addr = addr_of(rules, stand_ins[_i].addr);
	uint32_t cid = 0;

	ck_assert(cid_from_stand_in(&addr.ip, &cid) == stand_ins[_i].ok);
	if (stand_ins[_i].ok)
		ck_assert_uint_eq(cid, stand_ins[_i].cid);
	arena_free(&arena);
}
END_TEST

START_TEST(test_port_show)
{
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		ck_assert_uint_eq(port_show(port), port);
	for (uint64_t port = UINT16_MAX + 1; port <= UINT32_MAX; port += 104729) {
		uint16_t seen = port_show((uint32_t)port);

		ck_assert(seen >= 32768 && seen <= 60999);
		ck_assert_uint_eq(seen, port_show((uint32_t)port));
		ck_assert_uint_ne(seen, port_show((uint32_t)port + 1));
	}
}
END_TEST

/* The way out and the way back: what a host line maps is shown as what the program wrote. */
START_TEST(test_host_line_out_and_back)
{
	static const char *const hosts[] = { "10.0.0.3:5432", "[fd00::4]:1", "10.0.0.5:65535",
					     "[fd00::5]:443" };
	struct rules *rules = rules_of(shown_mapping);
	struct ip_addr addr = addr_of(rules, hosts[_i]), back = { .family = addr.family };
	struct target target;
	char text[2][IP_ADDR_TEXT_SIZE];

	rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
	ck_assert_int_eq(target.kind, TARGET_VSOCK);
	rules_show_cid(rules, target.to.cid, addr.family, false, &back.ip);
	back.port = port_show(target.to.port);
	ck_assert_str_eq(ip_addr_text(&back, text[0]), ip_addr_text(&addr, text[1]));
	arena_free(&arena);
}
END_TEST

/* Whichever two bytes it is in which the addresses of many rules differ. */
START_TEST(test_hash_is_even_wherever_addresses_differ)
{
	uint8_t buckets[4096] = { 0 };
	unsigned fullest = 0;

	for (unsigned i = 0; i < 4096; i++) {
		unsigned char ip[16] = { 0x20, 0x01, 0x0d, 0xb8 };
		uint64_t words[2];
		uint8_t *bucket;

		ip[_i] = (unsigned char)(i >> 8);
		ip[_i + 1] = (unsigned char)i;
		memcpy(words, ip, sizeof(words));
		bucket = &buckets[hash_words(words[0], words[1]) % 4096];
		if (++*bucket > fullest)
			fullest = *bucket;
	}
	ck_assert_uint_le(fullest, 9); /* at ten uthash doubles its buckets */
}
END_TEST

static const char guests[] =
	"host 10.0.0.5 5 guest.vm\n"
	"connect 10.0.0.0/8:1 unix /run/a:1\n" /* not one address */
	"connect tcp 10.0.0.9:22 unix /run/a:22\n"
	"connect 10.0.0.8:23 unix /run/a:23\n" /* the first counts */
	"connect [fd00::9]:22 unix /run/a:22\n"
	"connect guest.vm:80 unix /run/b:*\n" /* never: line 1; but it says whose it is */
	"connect *:7000-7009 unix /run/c:17000-17009\n"
	"listen *:8443 unix /run/d:8443\n"
	"listen *:9000 unix /run/e:9000 fallback=inet\n"
	"listen *:80 vsock any:80 allow=host,7-9,12\n";

static const struct {
	const char *path;
	sa_family_t family;
	bool v6only;
	const char *want;
} guest_addresses[] = {
	{ "/run/a", AF_INET, false, "10.0.0.9:0" },
	{ "/run/a", AF_INET6, false, "[fd00::9]:0" },
	{ "/run/b", AF_INET, false, "10.0.0.5:0" },
	{ "/run/b", AF_INET6, false, "10.0.0.5:0" },
	{ "/run/b", AF_INET6, true, "[fd69:7032:7673:1::a00:5]:0" },
	{ "/run/none", AF_INET, false, "198.18.255.255:0" },
};

START_TEST(test_guest_of_a_path)
{
	struct rules *rules = rules_of(guests);
	struct ip_addr addr = { .family = AF_INET6 };
	char buf[IP_ADDR_TEXT_SIZE];

	rules_show_path(rules, guest_addresses[_i].path, guest_addresses[_i].family, guest_addresses[_i].v6only, &addr.ip);
	ck_assert_str_eq(ip_addr_text(&addr, buf), guest_addresses[_i].want);
	arena_free(&arena);
}
END_TEST

START_TEST(test_guests_without_an_address_differ)
{
	struct rules *rules = rules_of(guests);
	static const char *const paths[] = { "/run/c", "/run/d", "/run/e" };
	struct in6_addr ip[3], again;

	for (unsigned i = 0; i < 3; i++) {
		struct ip_addr addr = { .family = AF_INET };

		rules_show_path(rules, paths[i], AF_INET, false, &ip[i]);
		addr.ip = ip[i];
		rules_show_path(rules, paths[i], AF_INET6, false, &again);
		ck_assert_mem_eq(&ip[i], &again, sizeof(again));
		ck_assert(!ip_addr_is_loopback(&addr));
		ck_assert_uint_eq(ntohl(ip[i].s6_addr32[3]) >> 16, 0xc613); /* 198.19.0.0/16 */
		for (unsigned j = 0; j < i; j++)
			ck_assert_mem_ne(&ip[i], &ip[j], sizeof(ip[i]));
	}
	arena_free(&arena);
}
END_TEST

START_TEST(test_unix_targets_carry_no_datagrams)
{
	struct rules *rules = rules_of(guests);
	struct ip_addr addr = addr_of(rules, "10.1.1.1:7003"), any = addr_of(rules, "0.0.0.0:8443");
	struct target target;

	rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
	ck_assert_int_eq(target.kind, TARGET_UNIX);
	ck_assert_str_eq(target.to.path, "/run/c");
	ck_assert_uint_eq(target.to.port, 17003);
	rules_find(rules, RULE_CONNECT, RULE_UDP, &addr, &target);
	ck_assert_int_eq(target.kind, TARGET_REJECT);
	ck_assert_int_eq(target.error, ECONNREFUSED);
	rules_find(rules, RULE_LISTEN, RULE_UDP, &any, &target);
	ck_assert_int_eq(target.kind, TARGET_REJECT);
	ck_assert_int_eq(target.error, EACCES);
	ck_assert(rules_have_unix(rules));
	arena_free(&arena);
}
END_TEST

START_TEST(test_allowed_cids)
{
	struct rules *rules = rules_of(guests);
	struct ip_addr addr = addr_of(rules, "0.0.0.0:80"), other = addr_of(rules, "0.0.0.0:8443");
	struct target target;

	rules_find(rules, RULE_LISTEN, RULE_TCP, &addr, &target);
	for (uint32_t cid = 0; cid < 20; cid++)
		ck_assert_int_eq(rule_allows(target_options(&target), cid),
				 cid == 2 || (cid >= 7 && cid <= 9) || cid == 12);
	rules_find(rules, RULE_LISTEN, RULE_TCP, &other, &target);
	ck_assert(rule_allows(target_options(&target), 3));
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *path;
	uint32_t port;
	const char *name;
} unix_names[] = {
	{ "/run/9.sock", VMADDR_PORT_ANY, "/run/9.sock" },
	{ "/run/9.sock", 52, "/run/9.sock_52" },
	{ "/run/a_1", 4294967294, "/run/a_1_4294967294" },
};

START_TEST(test_unix_name_out_and_back)
{
	const struct endpoint to = { .cid = VMADDR_CID_ANY, .port = unix_names[_i].port, .path = unix_names[_i].path };
	struct sockaddr_storage sa;
	socklen_t len = transport_unix.encode(NULL, &to, &sa);
	const char *name = (const char *)&sa + offsetof(struct sockaddr_un, sun_path);
	struct endpoint back;
	char path[108];

	ck_assert_str_eq(name, unix_names[_i].name);
	ck_assert_uint_eq(len, offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
	ck_assert(transport_unix.decode(NULL, &sa, len, &back));
	ck_assert_uint_eq(back.port, to.port);
	if (to.port == VMADDR_PORT_ANY)
		return;
	ck_assert(unix_name_path(&sa, len, path, sizeof(path)));
	ck_assert_str_eq(path, to.path);
}
END_TEST

static const struct {
	const char *name;
	socklen_t length;
} not_unix_names[] = {
	{ "", 0 }, { "\0abc_1", 6 }, { "/run/9.sock", 11 }, { "/run/9_", 7 }, { "_52", 3 }, { "/run/9_4294967295", 17 },
	{ "/run/9_12345678901", 18 }, { "/run/9_5x", 9 },
};

START_TEST(test_names_without_a_port)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)offsetof(struct sockaddr_un, sun_path) + not_unix_names[_i].length;
	struct endpoint back;
	char path[108];

	memcpy(un.sun_path, not_unix_names[_i].name, not_unix_names[_i].length);
	ck_assert(!unix_name_path(&un, len, path, sizeof(path)));
	ck_assert(transport_unix.decode(NULL, &un, len, &back));
	ck_assert_uint_eq(back.port, UINT32_MAX);
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_guest_of_a_path, guest_addresses);
	tcase_add_test(tc, test_guests_without_an_address_differ);
	tcase_add_test(tc, test_unix_targets_carry_no_datagrams);
	tcase_add_test(tc, test_allowed_cids);
	TABLE_TEST(test_unix_name_out_and_back, unix_names);
	TABLE_TEST(test_names_without_a_port, not_unix_names);
	TABLE_TEST(test_first_match_decides, decisions);
	tcase_add_test(tc, test_tcp_rules_are_not_for_udp);
	tcase_add_test(tc, test_empty_rules_leave_everything_alone);
	TABLE_TEST(test_default, defaults);
	tcase_add_test(tc, test_first_default_stays);
	tcase_add_loop_test(tc, test_index_agrees_with_reading_the_rules_in_order, 0, 60);
	tcase_add_test(tc, test_many_ranges_of_one_address);
	tcase_add_test(tc, test_rules_stay_where_they_are);
	TABLE_TEST(test_name_to_addresses, names);
	tcase_add_test(tc, test_each_may_stop_and_the_count_is_whole);
	TABLE_TEST(test_address_to_name, address_names);
	tcase_add_test(tc, test_stand_ins_are_distinct_and_stable);
	tcase_add_test(tc, test_no_stand_ins_left_is_enospc);
	tcase_add_test(tc, test_address_of_two_cids_is_eexist);
	TABLE_TEST(test_show_cid, shown);
	tcase_add_test(tc, test_stand_in_of_a_cid_can_be_read_back);
	TABLE_TEST(test_cid_from_stand_in, stand_ins);
	tcase_add_test(tc, test_port_show);
	tcase_add_loop_test(tc, test_host_line_out_and_back, 0, 4);
	tcase_add_loop_test(tc, test_hash_is_even_wherever_addresses_differ, 0, 15);
}

int main(void)
{
	return unit_run("rule", fill);
}
