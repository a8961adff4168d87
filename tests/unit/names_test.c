/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, addresses and names again; and addresses for names that nobody knows. */
#include "unit.h"

#include <arpa/inet.h>

static struct arena arena = UNIT_ARENA;

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

static struct in6_addr ip_of(const char *text)
{
	struct in_addr v4;
	struct in6_addr ip;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return ip_addr_from_v4(ntohl(v4.s_addr), 0, AF_INET).ip;
	ck_assert_msg(inet_pton(AF_INET6, text, &ip) == 1, "%s", text);
	return ip;
}

static void ip_append(struct text *text, const struct in6_addr *ip)
{
	const struct ip_addr addr = { .ip = *ip };
	char buf[IP_ADDR_TEXT_SIZE];

	ip_addr_text(&addr, buf);
	text_strn(text, buf, strlen(buf) - strlen(":0"));
}

static const char mapping[] = "host 10.0.0.3 3 db.vm db\n"
			      "host fd00::3 3 db.vm DB.vm.\n"
			      "host 10.0.0.4 4 web.vm db\n"
			      "host 10.0.0.3 3 later.vm db\n"
			      "host 10.0.0.5 5\n"
			      "connect cache.vm:* vsock 6:*\n";

/* Of a name: each of its addresses with all names of that. */
static const struct {
	const char *name, *links;
} links[] = {
	{ "db.vm", "10.0.0.3(db.vm db later.vm) [fd00::3](db.vm)" },
	{ "db", "10.0.0.3(db.vm db later.vm) 10.0.0.4(web.vm db)" },
	{ "later.vm.", "10.0.0.3(db.vm db later.vm)" },
	{ "WEB.VM", "10.0.0.4(web.vm db)" },
	{ "cache.vm", "198.19.226.250(cache.vm)" },
	{ "10.0.0.3", "" },
	{ "vm", "" },
	{ "", "" },
};

START_TEST(test_links_go_both_ways)
{
	const struct rules *rules = rules_of(mapping);
	const struct host_link *link = rules_name(rules, links[_i].name);
	char buf[256];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	for (; link; link = host_link_next_address(link)) {
		const struct host_link *other = rules_address(rules, host_link_ip(link));

		text_str(&text, text.len > 0 ? " " : "");
		ip_append(&text, host_link_ip(link));
		for (const char *before = "("; other; other = host_link_next_name(other), before = " ") {
			text_str(&text, before);
			text_str(&text, host_link_name(other));
			ck_assert_mem_eq(host_link_ip(other), host_link_ip(link), sizeof(struct in6_addr));
		}
		text_str(&text, ")");
	}
	ck_assert_str_eq(buf, links[_i].links);
	arena_free(&arena);
}
END_TEST

/* More names on a line, and more lines, than tables begin with. */
START_TEST(test_many_names)
{
	enum { LINES = 300, NAMES = 40 };
	static char mapping_text[LINES * (20 + NAMES * 12)];
	const struct rules *rules;
	struct text text;

	text_init(&text, mapping_text, sizeof(mapping_text));
	for (unsigned line = 0; line < LINES; line++) {
		text_str(&text, "host 10.0.");
		text_uint(&text, line / 256);
		text_str(&text, ".");
		text_uint(&text, line % 256);
		text_str(&text, " 3");
		for (unsigned name = 0; name < NAMES; name++) {
			text_str(&text, " n");
			text_uint(&text, (line + name) % LINES);
		}
		text_str(&text, "\n");
	}
	rules = rules_of(mapping_text);
	for (unsigned line = 0; line < LINES; line++) {
		const struct ip_addr addr = ip_addr_from_v4(0x0a000000 + line, 0, AF_INET);
		const struct host_link *link = rules_address(rules, &addr.ip);
		unsigned names = 0, addresses = 0;

		for (const struct host_link *at = link; at; at = host_link_next_name(at))
			names++;
		for (const struct host_link *at = rules_name(rules, host_link_name(link)); at;
		     at = host_link_next_address(at))
			addresses++;
		ck_assert_uint_eq(names, NAMES);
		ck_assert_uint_eq(addresses, NAMES);
	}
	arena_free(&arena);
}
END_TEST

START_TEST(test_each_name_is_shown_once)
{
	static const char *const want[] = { "10.0.0.3 db.vm db later.vm", "[fd00::3] db.vm", "10.0.0.4 web.vm db",
					    "10.0.0.3", "10.0.0.5", NULL };
	const struct rules *rules = rules_of(mapping);

	for (unsigned i = 0; want[i]; i++) {
		const struct rule *rule = rules_at(rules, i);
		char buf[256];
		struct text text;

		text_init(&text, buf, sizeof(buf));
		ip_append(&text, &rule->pattern.ip);
		for (const struct host_link *link = rules_host_names(rules, rule); link;
		     link = host_link_next_name(link)) {
			text_str(&text, " ");
			text_str(&text, host_link_name(link));
		}
		ck_assert_str_eq(buf, want[i]);
	}
	ck_assert_ptr_null(rules_host_names(rules, rules_at(rules, 5)));
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *rules, *ip;
	bool ours;
} owners[] = {
	{ "", "10.0.0.3", false },
	{ "host 10.0.0.3 3 db.vm", "10.0.0.3", true },
	{ "host 10.0.0.3 3", "10.0.0.3", true },
	{ "host 10.0.0.3 3", "::ffff:10.0.0.3", true },
	{ "host 10.0.0.3 3", "10.0.0.4", false },
	{ "connect 10.0.0.3:* vsock 3:*", "10.0.0.3", false },
	{ "connect *:* vsock 3:*", "10.0.0.3", false },
	{ "", "127.0.0.1", false },
	{ "", "198.17.255.255", false },
	{ "", "198.18.0.3", true },
	{ "", "198.19.1.2", true },
	{ "", "198.20.0.0", false },
	{ "", "240.1.2.3", true },
	{ "", "240.0.0.9", false }, /* no CID is shown so */
	{ "", "fd69:7032:7673::3", true },
	{ "", "fd69:7032:7673:1::c613:1", true },
	{ "", "fd69:7032:7673:2::3", false },
	{ "connect 198.18.0.0/15:* inet", "198.18.0.3", false },
	{ "connect 198.18.0.0/15:* inet", "198.19.0.3", false },
	{ "connect 198.18.0.0/15:* reject", "198.19.0.3", true },
	{ "default inet", "198.18.0.3", true },
};

START_TEST(test_address_is_ours)
{
	const struct rules *rules = rules_of(owners[_i].rules);
	const struct in6_addr ip = ip_of(owners[_i].ip);

	ck_assert_msg(rules_address_is_ours(rules, &ip) == owners[_i].ours, "%s, %s", owners[_i].rules,
		      owners[_i].ip);
	arena_free(&arena);
}
END_TEST

#define EVERY "connect *:* vsock 3:*"

static const struct {
	const char *rules, *name;
	uint16_t port;
	sa_family_t family;
	const char *ip; /* "": none; NULL: some stand-in */
} inventions[] = {
	/* a change here changes what users see */
	{ EVERY, "db.vm", 5432, AF_INET, "198.19.51.156" },
	{ EVERY, "db.vm", 0, AF_INET, "198.19.51.156" },
	{ EVERY, "DB.VM.", 0, AF_INET, "198.19.51.156" },
	{ EVERY, "db.vm", 0, AF_INET6, "fd69:7032:7673:1::c613:339c" },
	{ EVERY, "db", 0, AF_INET, NULL },
	{ EVERY, "x_y-1.a", 0, AF_INET, NULL },
	{ EVERY, "xn--mller-kva.vm", 0, AF_INET, NULL },
	{ EVERY, "localhosts", 0, AF_INET, NULL },
	{ EVERY, "mylocalhost", 0, AF_INET, NULL },
	{ EVERY, "0x7f.vm", 0, AF_INET, NULL },
	{ EVERY, "3com", 0, AF_INET, NULL },
	{ EVERY "; connect db.vm:* vsock 4:*", "web.vm", 0, AF_INET, NULL },
	{ "connect 10.0.0.0/8:* inet; " EVERY, "db.vm", 0, AF_INET, "198.19.51.156" },
	{ "connect *:80-90 vsock 3:*", "db.vm", 85, AF_INET, "198.19.51.156" },
	{ "connect *:80-90 vsock 3:*", "db.vm", 0, AF_INET, "198.19.51.156" },
	{ "connect *:80-90 vsock 3:*", "db.vm", 91, AF_INET, "" },
	{ "connect *:80 inet; " EVERY, "db.vm", 80, AF_INET, "" },
	{ "connect *:80 inet; " EVERY, "db.vm", 81, AF_INET, "198.19.51.156" },
	{ "connect *:80 inet; " EVERY, "db.vm", 0, AF_INET, "198.19.51.156" },
	{ "connect *:* inet; " EVERY, "db.vm", 0, AF_INET, "" },
	{ "connect *:* reject", "db.vm", 0, AF_INET, "" },
	{ "connect 0.0.0.0/0:* vsock 3:*", "db.vm", 0, AF_INET, "" },
	{ "connect [::]/0:* vsock 3:*", "db.vm", 0, AF_INET6, "" },
	{ "connect 198.19.0.0/16:* reject; " EVERY, "db.vm", 0, AF_INET, "" },
	{ "connect 198.19.0.0/16:* reject; " EVERY, "db.vm", 0, AF_INET6, "fd69:7032:7673:1::c613:339c" },
	{ "host 198.19.51.156 4 x; " EVERY, "db.vm", 0, AF_INET, "198.19.51.157" },
	{ "host 198.19.51.156 4 x; host 198.19.51.157 4; " EVERY, "db.vm", 0, AF_INET, "198.19.51.158" },
	{ "listen *:* vsock any:*", "db.vm", 0, AF_INET, "" },
	{ "default reject", "db.vm", 0, AF_INET, "" },
	{ "", "db.vm", 0, AF_INET, "" },
	{ EVERY, "", 0, AF_INET, "" },
	{ EVERY, ".", 0, AF_INET, "" },
	{ EVERY, "..", 0, AF_INET, "" },
	{ EVERY, "a..b", 0, AF_INET, "" },
	{ EVERY, ".a", 0, AF_INET, "" },
	{ EVERY, "a..", 0, AF_INET, "" },
	{ EVERY, "a b", 0, AF_INET, "" },
	{ EVERY, "a/b", 0, AF_INET, "" },
	{ EVERY, "m\303\274ller.vm", 0, AF_INET, "" },
	{ EVERY, "0", 0, AF_INET, "" },
	{ EVERY, "127.1", 0, AF_INET, "" },
	{ EVERY, "0x7f.1", 0, AF_INET, "" },
	{ EVERY, "0x7f000001", 0, AF_INET, "" },
	{ EVERY, "1.2.3.4.", 0, AF_INET, "" },
	{ EVERY, "1.2.3.256", 0, AF_INET, "" },
	{ EVERY, "vm.5", 0, AF_INET, "" },
	{ EVERY, "::1", 0, AF_INET6, "" },
	{ EVERY, "fe80::1%lo", 0, AF_INET6, "" },
	{ EVERY, "localhost", 0, AF_INET, "" },
	{ EVERY, "LocalHost.", 0, AF_INET, "" },
	{ EVERY, "a.localhost", 0, AF_INET, "" },
	{ EVERY, "localhost.localdomain", 0, AF_INET, "" },
	{ EVERY, "ip6-localhost", 0, AF_INET6, "" },
	{ EVERY, "ip6-loopback", 0, AF_INET6, "" },
	{ EVERY, "nosuch.invalid", 0, AF_INET, "" },
	{ EVERY, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.vm", 0, AF_INET, NULL },  /* 63 */
	{ EVERY, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.vm", 0, AF_INET, "" }, /* 64 */
};

START_TEST(test_name_that_nobody_knows)
{
	const struct rules *rules = rules_of(inventions[_i].rules);
	struct in6_addr ip = { { { 0 } } };
	bool invented = rules_invent_address(rules, RULE_TCP, inventions[_i].name, inventions[_i].port,
					     inventions[_i].family, &ip);
	struct ip_addr addr = { .ip = ip };
	char buf[64] = "";
	struct text text;

	text_init(&text, buf, sizeof(buf));
	if (invented)
		ip_append(&text, &ip);
	if (!inventions[_i].ip) {
		ck_assert_msg(invented, "%s", inventions[_i].name);
		ck_assert_uint_eq(ip_addr_v4(&addr) >> 16, 198 << 8 | 19);
	} else if (inventions[_i].family == AF_INET6 && invented) {
		addr.ip = ip_of(inventions[_i].ip);
		ck_assert_mem_eq(&addr.ip, &ip, sizeof(ip));
	} else {
		ck_assert_msg(strcmp(buf, inventions[_i].ip) == 0, "%s: %s: got \"%s\"", inventions[_i].rules,
			      inventions[_i].name, buf);
	}
	arena_free(&arena);
}
END_TEST

START_TEST(test_longest_name)
{
	const struct rules *rules = rules_of(EVERY);
	char name[256] = "";
	struct in6_addr ip;

	for (unsigned i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : 'a';
	ck_assert(rules_invent_address(rules, RULE_TCP, name, 0, AF_INET, &ip));
	name[253] = '.';
	ck_assert(rules_invent_address(rules, RULE_TCP, name, 0, AF_INET, &ip));
	name[254] = 'a';
	ck_assert(!rules_invent_address(rules, RULE_TCP, name, 0, AF_INET, &ip));
	arena_free(&arena);
}
END_TEST

START_TEST(test_one_protocol_only)
{
	const struct rules *rules = rules_of("connect tcp *:* vsock 3:*");
	struct in6_addr ip;

	ck_assert(rules_invent_address(rules, RULE_TCP, "db.vm", 0, AF_INET, &ip));
	ck_assert(!rules_invent_address(rules, RULE_UDP, "db.vm", 0, AF_INET, &ip));
	ck_assert(!rules_invent_address(rules, RULE_UDP, "db.vm", 80, AF_INET, &ip));
	arena_free(&arena);
}
END_TEST

static const struct {
	const char *rules, *text, *want; /* NULL: not understood */
} explained[] = {
	{ EVERY, "db.vm:5432", "198.19.51.156:5432" },
	{ "host 10.0.0.3 3 db.vm; " EVERY, "db.vm:5432", "10.0.0.3:5432" },
	{ "connect *:80 vsock 3:*", "db.vm:5432", NULL },
	{ "", "db.vm:5432", NULL },
};

START_TEST(test_explain_takes_such_names)
{
	const struct rules *rules = rules_of(explained[_i].rules);
	char why[200] = "", buf[IP_ADDR_TEXT_SIZE];
	struct ip_addr addr;
	bool understood = config_parse_address(rules, explained[_i].text, &addr, why, sizeof(why));

	if (explained[_i].want) {
		ck_assert_msg(understood, "%s", why);
		ck_assert_str_eq(ip_addr_text(&addr, buf), explained[_i].want);
	} else {
		ck_assert(!understood);
		ck_assert_str_eq(why, "unknown name \"db.vm\" (no rule mentions it)");
	}
	arena_free(&arena);
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_links_go_both_ways, links);
	tcase_add_test(tc, test_many_names);
	tcase_add_test(tc, test_each_name_is_shown_once);
	TABLE_TEST(test_address_is_ours, owners);
	TABLE_TEST(test_name_that_nobody_knows, inventions);
	tcase_add_test(tc, test_longest_name);
	tcase_add_test(tc, test_one_protocol_only);
	TABLE_TEST(test_explain_takes_such_names, explained);
}

int main(void)
{
	return unit_run("names", fill);
}
