/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language: what is understood, and what is said of the rest. */
#include "unit.h"

static struct arena arena = UNIT_ARENA;

/* The rules of a text in canonical form, one a line, and the default if it is reject. */
static void rules_text(const struct rules *rules, char *buf, size_t size)
{
	const struct rule *rule;
	struct rule_place place;
	struct target target;
	struct text text;

	text_init(&text, buf, size);
	for (unsigned i = 0; (rule = rules_at(rules, i)); i++) {
		char one[CONFIG_RULE_TEXT_SIZE];

		text_str(&text, i ? "\n" : "");
		text_str(&text, config_rule_text(rule, one, sizeof(one)));
	}
	rules_default(rules, &target, &place);
	if (target.kind == TARGET_REJECT) {
		text_str(&text, text.len ? "\ndefault reject" : "default reject");
		if (target.error) {
			text_str(&text, " ");
			text_str(&text, config_errno_name(target.error));
		}
	}
}

#define ZEROS10 "0000000000"
#define LABEL50 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
#define NAME253 LABEL50 LABEL50 LABEL50 LABEL50 LABEL50 "xyz"

#define PATH105 "/123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
		"23456789012345678901234"
#define PATH107 PATH105 "56"
#define ALLOW32 "10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41"

/* A text without mistakes, and its rules. */
static const struct {
	const char *text;
	const char *rules;
} good[] = {
	{ "", "" },
	{ "\n\n  \n\t\n", "" },
	{ "# nothing", "" },
	{ ";;; ;", "" },
	{ "\xef\xbb\xbf", "" },
	{ "\xef\xbb\xbf# mark\nconnect *:* inet", "connect *:* inet" },
	/* statements and words */
	{ "connect *:* inet", "connect *:* inet" },
	{ "connect *:* inet\n", "connect *:* inet" },
	{ "  connect\t*:*   inet  \t", "connect *:* inet" },
	{ "connect *:* inet\r\nlisten *:* inet\r\n", "connect *:* inet\nlisten *:* inet" },
	{ "connect *:* inet\r", "connect *:* inet" },
	{ "\r\nconnect *:* inet # why\r\n", "connect *:* inet" },
	{ "connect *:* inet;listen *:* inet", "connect *:* inet\nlisten *:* inet" },
	{ "connect *:* inet ; # listen *:* inet; x\n;", "connect *:* inet" },
	{ "connect *:* inet #listen", "connect *:* inet" },
	{ "\"connect\" \"*:*\" in\"et\"", "connect *:* inet" },
	{ "connect \"*\":80 inet # \"open quote in a comment", "connect *:80 inet" },
	/* unix */
	{ "connect 10.0.0.9:22 unix /run/fc/9.sock:22", "connect 10.0.0.9:22 unix /run/fc/9.sock:22" },
	{ "connect 10.0.0.9:* unix /run/a:b/9.sock:*", "connect 10.0.0.9:* unix /run/a:b/9.sock:*" },
	{ "listen *:80-89 unix /run/9:180-189", "listen *:80-89 unix /run/9:180-189" },
	{ "connect *:80 unix \"/run/my vm;#1\":80", "connect *:80 unix \"/run/my vm;#1\":80" },
	{ "connect *:80 unix " PATH107 ":1", "connect *:80 unix " PATH107 ":1" },
	{ "listen *:80 unix " PATH105 ":1", "listen *:80 unix " PATH105 ":1" },
	/* options */
	{ "connect *:80 vsock 7:80 fallback=inet timeout=500ms retry=10s",
	  "connect *:80 vsock 7:80 timeout=500ms retry=10s fallback=inet" },
	{ "connect *:80 unix /run/9:80 fallback=inet timeout=1500ms retry=2m buffer=1M",
	  "connect *:80 unix /run/9:80 timeout=1500ms retry=120s fallback=inet buffer=1M" },
	{ "connect *:80 vsock 7:80 timeout=1ms retry=1440m", "connect *:80 vsock 7:80 timeout=1ms retry=86400s" },
	{ "listen *:80 vsock any:80 allow=host,3,7-9 buffer=256K",
	  "listen *:80 vsock any:80 allow=host,3,7-9 buffer=256K" },
	{ "listen *:80 vsock any:80 allow=hypervisor-2,4294967294 buffer=65537",
	  "listen *:80 vsock any:80 allow=hypervisor-host,4294967294 buffer=65537" },
	{ "listen *:80 vsock any:80 allow=" ALLOW32 " buffer=2G fallback=inet",
	  "listen *:80 vsock any:80 allow=" ALLOW32 " fallback=inet buffer=2G" },
	{ "listen udp *:80 vsock any:80 allow=3 buffer=128", "listen udp *:80 vsock any:80 allow=3 buffer=128" },
	/* addresses */
	{ "connect 10.0.0.3:80 inet", "connect 10.0.0.3:80 inet" },
	{ "connect 10.0.0.3/32:80 inet", "connect 10.0.0.3:80 inet" },
	{ "connect 10.8.0.0/16:80 inet", "connect 10.8.0.0/16:80 inet" },
	{ "connect 0.0.0.0/0:80 inet", "connect 0.0.0.0/0:80 inet" },
	{ "connect 0.0.0.0:80 inet", "connect 0.0.0.0:80 inet" },
	{ "connect 128.0.0.0/1:80 inet", "connect 128.0.0.0/1:80 inet" },
	{ "connect 255.255.255.254/31:80 inet", "connect 255.255.255.254/31:80 inet" },
	{ "connect [2001:DB8::7]:443 inet", "connect [2001:db8::7]:443 inet" },
	{ "connect [2001:db8:0:0::]/32:443 inet", "connect [2001:db8::]/32:443 inet" },
	{ "connect [2001:db8::/32]:443 inet", "connect [2001:db8::]/32:443 inet" },
	{ "connect [::]/0:443 inet", "connect [::]/0:443 inet" },
	{ "connect [::]:443 inet", "connect [::]:443 inet" },
	{ "connect [::ffff:10.0.0.3]:80 inet", "connect 10.0.0.3:80 inet" },
	{ "connect [::ffff:a00:0]/104:80 inet", "connect 10.0.0.0/8:80 inet" },
	{ "connect [::ffff:0:0/96]:80 inet", "connect 0.0.0.0/0:80 inet" },
	{ "connect [::ffff:0:0]:80 inet", "connect 0.0.0.0:80 inet" },
	{ "connect [::fffe:0:0]/95:80 inet", "connect [::fffe:0:0]/95:80 inet" },
	/* names */
	{ "connect cache.vm:* inet", "connect cache.vm:* inet" },
	{ "connect Cache-1_X.VM.:* inet", "connect cache-1_x.vm:* inet" },
	{ "connect 3com:80 inet", "connect 3com:80 inet" },
	{ "connect tcp:80 inet", "connect tcp:80 inet" },
	{ "connect host:80 inet", "connect host:80 inet" },
	{ "connect " NAME253 ":80 inet", "connect " NAME253 ":80 inet" },
	/* ports */
	{ "connect *:1 inet", "connect *:1 inet" },
	{ "connect *:65535 inet", "connect *:65535 inet" },
	{ "connect *:1-65535 inet", "connect *:1-65535 inet" },
	{ "connect *:80-80 inet", "connect *:80 inet" },
	{ "connect *:080 inet", "connect *:80 inet" },
	{ "connect *:" ZEROS10 ZEROS10 ZEROS10 "7 inet", "connect *:7 inet" },
	/* protocols */
	{ "connect tcp *:80 inet", "connect tcp *:80 inet" },
	{ "listen tcp *:80 inet", "listen tcp *:80 inet" },
	{ "connect udp 10.0.0.3:514 vsock host:514", "connect udp 10.0.0.3:514 vsock host:514" },
	{ "connect udp *:53 inet", "connect udp *:53 inet" },
	{ "listen udp *:* vsock any:*", "listen udp *:* vsock any:*" },
	/* targets */
	{ "connect *:80 vsock 3:80", "connect *:80 vsock 3:80" },
	{ "connect *:80 vsock 3:*", "connect *:80 vsock 3:*" },
	{ "connect *:* vsock 3:*", "connect *:* vsock 3:*" },
	{ "connect *:* vsock 3:80", "connect *:* vsock 3:80" },
	{ "connect *:80-90 vsock 3:7", "connect *:80-90 vsock 3:7" },
	{ "connect *:80-90 vsock 3:70000-70010", "connect *:80-90 vsock 3:70000-70010" },
	{ "connect *:80-90 vsock 3:4294967284-4294967294",
	  "connect *:80-90 vsock 3:4294967284-4294967294" },
	{ "connect *:1-65535 vsock 3:2-65536", "connect *:1-65535 vsock 3:2-65536" },
	{ "connect *:80 vsock host:4294967294", "connect *:80 vsock host:4294967294" },
	{ "connect *:80 vsock 2:80", "connect *:80 vsock host:80" },
	{ "connect *:80 vsock local:80", "connect *:80 vsock local:80" },
	{ "connect *:80 vsock hypervisor:80", "connect *:80 vsock hypervisor:80" },
	{ "connect *:80 vsock 4294967294:80", "connect *:80 vsock 4294967294:80" },
	{ "listen *:80 vsock any:80", "listen *:80 vsock any:80" },
	{ "listen *:80 vsock 7:*", "listen *:80 vsock 7:*" },
	{ "connect *:80 reject", "connect *:80 reject ECONNREFUSED" },
	{ "listen *:80 reject", "listen *:80 reject EACCES" },
	{ "connect *:80 reject ECONNREFUSED; connect *:80 reject EHOSTUNREACH;"
	  "connect *:80 reject ENETUNREACH; connect *:80 reject ETIMEDOUT;"
	  "connect *:80 reject EACCES; connect *:80 reject EPERM;"
	  "listen *:80 reject EADDRNOTAVAIL; listen *:80 reject EADDRINUSE;"
	  "connect *:80 reject ENETDOWN; connect *:80 reject EHOSTDOWN;"
	  "connect *:80 reject ECONNRESET; connect *:80 reject ECONNABORTED",
	  "connect *:80 reject ECONNREFUSED\nconnect *:80 reject EHOSTUNREACH\n"
	  "connect *:80 reject ENETUNREACH\nconnect *:80 reject ETIMEDOUT\n"
	  "connect *:80 reject EACCES\nconnect *:80 reject EPERM\n"
	  "listen *:80 reject EADDRNOTAVAIL\nlisten *:80 reject EADDRINUSE\n"
	  "connect *:80 reject ENETDOWN\nconnect *:80 reject EHOSTDOWN\n"
	  "connect *:80 reject ECONNRESET\nconnect *:80 reject ECONNABORTED" },
	/* host */
	{ "host 10.0.0.3 3 db.vm db", "host 10.0.0.3 3" },
	{ "host 10.0.0.3 3", "host 10.0.0.3 3" },
	{ "host 10.0.0.3 3 # no name", "host 10.0.0.3 3" },
	{ "host fd00::4 4 web.vm", "host [fd00::4] 4" },
	{ "host [fd00::4] 4 web.vm", "host [fd00::4] 4" },
	{ "host ::ffff:10.0.0.4 4", "host 10.0.0.4 4" },
	{ "host 127.0.0.1 local localhost", "host 127.0.0.1 local" },
	{ "host 10.0.0.2 host", "host 10.0.0.2 host" },
	{ "host 198.18.0.7 7 seven", "host 198.18.0.7 7" },
	{ "host 10.0.0.3 3 a\nhost 10.0.0.3 3 b\nhost 10.0.0.4 3 a",
	  "host 10.0.0.3 3\nhost 10.0.0.3 3\nhost 10.0.0.4 3" },
	/* default */
	{ "default inet", "" },
	{ "default reject", "default reject" },
	{ "default reject EPERM", "default reject EPERM" },
	{ "default reject\nconnect *:80 inet", "connect *:80 inet\ndefault reject" },
};

START_TEST(test_good)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	char *exact, buf[2048];
	size_t length = strlen(good[_i].text);

	exact = malloc(length); /* a byte read past it is seen by sanitizers */
	memcpy(exact, good[_i].text, length);
	ck_assert_msg(config_text(rules, &arena, "map", exact, length, &io) == 0, "%s: %s",
		      good[_i].text, unit.buf);
	free(exact); /* nothing may point into it */
	ck_assert_uint_eq(unit.seen.len, 0);
	rules_text(rules, buf, sizeof(buf));
	ck_assert_str_eq(buf, good[_i].rules);
	ck_assert_int_eq(rules_seal(rules), 0);
	arena_free(&arena);
}
END_TEST

/* What is printed is read as the same rule. */
START_TEST(test_printed_is_parsed_as_the_same_rule)
{
	struct rules *first = rules_new(&arena), *second = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	const char *text = good[_i].text;
	const struct rule *a, *b;
	struct target target[2];
	struct rule_place place;

	ck_assert_int_eq(config_text(first, &arena, "map", text, strlen(text), &io), 0);
	text = good[_i].rules;
	ck_assert_int_eq(config_text(second, &arena, "map", text, strlen(text), &io), 0);
	for (unsigned i = 0; (a = rules_at(first, i)); i++) {
		b = rules_at(second, i);
		ck_assert_ptr_nonnull(b);
		ck_assert_int_eq(a->direction, b->direction);
		ck_assert_uint_eq(a->protocols, b->protocols);
		ck_assert(a->is_host == b->is_host);
		ck_assert(a->pattern.any_address == b->pattern.any_address);
		ck_assert_uint_eq(a->pattern.length, b->pattern.length);
		ck_assert_mem_eq(&a->pattern.ip, &b->pattern.ip, sizeof(a->pattern.ip));
		ck_assert_uint_eq(a->pattern.port_low, b->pattern.port_low);
		ck_assert_uint_eq(a->pattern.port_high, b->pattern.port_high);
		ck_assert_pstr_eq(a->pattern.name, b->pattern.name);
		ck_assert_int_eq(a->target, b->target);
		ck_assert_int_eq(a->error, b->error);
		ck_assert_uint_eq(a->cid, b->cid);
		ck_assert(a->same_port == b->same_port);
		ck_assert_uint_eq(a->port_low, b->port_low);
		ck_assert_uint_eq(a->port_high, b->port_high);
	}
	/* A default is on a line of its own after the rules. */
	rules_default(first, &target[0], &place);
	rules_default(second, &target[1], &place);
	ck_assert_int_eq(target[0].kind, target[1].kind);
	ck_assert_int_eq(target[0].error, target[1].error);
	arena_free(&arena);
}
END_TEST

/* A text whose statements are all faulty, and what is said of it: "line:column: text". */
static const struct {
	const char *text;
	size_t length; /* if not that of the string */
	const char *complaints;
} bad[] = {
	/* statements */
	{ "conect *:80 inet", 0,
	  "1:1: unknown statement \"conect\" (host, connect, listen, default or include)" },
	{ "Connect *:80 inet", 0,
	  "1:1: unknown statement \"Connect\" (host, connect, listen, default or include)" },
	{ "*:80", 0,
	  "1:1: unknown statement \"*:80\" (host, connect, listen, default or include)" },
	{ "connect", 0, "1:8: ADDRESS:PORT is missing (such as *:80 or 10.0.0.3:*)" },
	{ "connect ", 0, "1:8: ADDRESS:PORT is missing (such as *:80 or 10.0.0.3:*)" },
	{ "connect tcp", 0, "1:12: ADDRESS:PORT is missing (such as *:80 or 10.0.0.3:*)" },
	{ "connect *:80", 0, "1:13: target is missing (vsock, inet, reject or unix)" },
	{ "connect *:80 # inet", 0, "1:13: target is missing (vsock, inet, reject or unix)" },
	{ "connect *:80 vsock", 0, "1:19: CID:PORT is missing after \"vsock\"" },
	{ "connect *:80 vsock # 3:80", 0, "1:19: CID:PORT is missing after \"vsock\"" },
	{ "listen *:80; vsock", 0,
	  "1:12: target is missing (vsock, inet, reject or unix)\n"
	  "1:14: unknown statement \"vsock\" (host, connect, listen, default or include)" },
	/* targets and CIDs */
	{ "connect *:80 vsok 3:80", 0,
	  "1:14: unknown target \"vsok\" (vsock, inet, reject or unix)" },
	{ "connect *:80 vsock hots:80", 0,
	  "1:20: unknown CID \"hots\" (host, local, hypervisor or a number)" },
	{ "listen *:80 vsock hots:80", 0,
	  "1:19: unknown CID \"hots\" (host, local, hypervisor, any or a number)" },
	{ "connect *:80 vsock any:80", 0, "1:20: CID \"any\" is for listen only" },
	{ "connect *:80 vsock 4294967295:80", 0,
	  "1:20: CID \"4294967295\" is too large (0 to 4294967294)" },
	{ "connect *:80 vsock 99999999999999999999999:80", 0,
	  "1:20: CID \"99999999999999999999999\" is too large (0 to 4294967294)" },
	{ "connect *:80 vsock -1:80", 0,
	  "1:20: unknown CID \"-1\" (host, local, hypervisor or a number)" },
	{ "connect *:80 vsock :80", 0, "1:20: CID is missing" },
	/* ports */
	{ "connect *:80 vsock 3", 0,
	  "1:20: \"3\" has no port (CID:PORT is expected, such as 3:80 or host:*)" },
	{ "connect *:80 vsock 3:", 0,
	  "1:22: port is missing (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:80 vsock 3:0", 0, "1:22: port 0 cannot be asked for (write \"*\")" },
	{ "connect *:80 vsock 3:4294967295", 0,
	  "1:22: port \"4294967295\" is too large (1 to 4294967294)" },
	{ "connect *:80 vsock 3:18446744073709551616", 0,
	  "1:22: port \"18446744073709551616\" is too large (1 to 4294967294)" },
	{ "connect *:80 vsock 3:80x", 0,
	  "1:22: \"80x\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:80 vsock 3:90-80", 0, "1:22: port range \"90-80\" ends before it begins" },
	{ "connect *:8000-8099 vsock 4:9000-9098", 0,
	  "1:29: port range \"9000-9098\" has 99 ports, the left side 100" },
	{ "connect *:80 vsock 4:9000-9098", 0,
	  "1:22: port range \"9000-9098\" has 99 ports, the left side 1" },
	{ "connect *:* vsock 4:9000-9098", 0,
	  "1:21: port range \"9000-9098\" needs a range on the left (\"*\" is not one)" },
	{ "connect *:0 inet", 0, "1:11: port 0 cannot be asked for (write \"*\")" },
	{ "connect *:0-80 inet", 0, "1:11: port 0 cannot be asked for (write \"*\")" },
	{ "connect *:80-0 inet", 0, "1:14: port 0 cannot be asked for (write \"*\")" },
	{ "connect *:90-80 inet", 0, "1:11: port range \"90-80\" ends before it begins" },
	{ "connect *:65536 inet", 0, "1:11: port \"65536\" is too large (1 to 65535)" },
	{ "connect *:1-65536 inet", 0, "1:13: port \"65536\" is too large (1 to 65535)" },
	{ "connect *:80- inet", 0,
	  "1:11: \"80-\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:-80 inet", 0,
	  "1:11: \"-80\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:1-2-3 inet", 0,
	  "1:11: \"1-2-3\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *: inet", 0,
	  "1:11: port is missing (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:http inet", 0,
	  "1:11: \"http\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:+80 inet", 0,
	  "1:11: \"+80\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect *:80,81 inet", 0,
	  "1:11: \"80,81\" is not a port (a number, a range such as 80-90, or \"*\")" },
	/* addresses */
	{ "connect * inet", 0,
	  "1:9: \"*\" has no port (ADDRESS:PORT is expected, such as *:80 or 10.0.0.3:*)" },
	{ "connect 10.0.0.3 inet", 0,
	  "1:9: \"10.0.0.3\" has no port (ADDRESS:PORT is expected, such as *:80 or "
	  "10.0.0.3:*)" },
	{ "connect [fd00::4] inet", 0,
	  "1:9: \"[fd00::4]\" has no port (ADDRESS:PORT is expected, such as *:80 or "
	  "10.0.0.3:*)" },
	{ "connect [fd00::4]80 inet", 0,
	  "1:9: \"[fd00::4]80\" has no port (ADDRESS:PORT is expected, such as *:80 or "
	  "10.0.0.3:*)" },
	{ "connect :80 inet", 0, "1:9: address is missing (\"*\" is every address)" },
	{ "connect 10.0.0:80 inet", 0, "1:9: \"10.0.0\" is not an IPv4 address" },
	{ "connect 10.0.0.256:80 inet", 0, "1:9: \"10.0.0.256\" is not an IPv4 address" },
	{ "connect 10.0.0.03:80 inet", 0, "1:9: \"10.0.0.03\" is not an IPv4 address" },
	{ "connect 10:80 inet", 0, "1:9: \"10\" is not an IPv4 address" },
	{ "connect 10.0.0.0.1/8:80 inet", 0, "1:9: \"10.0.0.0.1\" is not an IPv4 address" },
	{ "connect 10.8.1.0/16:80 inet", 0,
	  "1:9: \"10.8.1.0/16\" has bits set beyond its length (write \"10.8.0.0/16\")" },
	{ "connect 10.0.0.1/0:80 inet", 0,
	  "1:9: \"10.0.0.1/0\" has bits set beyond its length (write \"0.0.0.0/0\")" },
	{ "connect 10.0.0.0/33:80 inet", 0, "1:18: \"33\" is not a prefix length (0 to 32)" },
	{ "connect 10.0.0.0/:80 inet", 0, "1:18: \"\" is not a prefix length (0 to 32)" },
	{ "connect 10.0.0.0/255.0.0.0:80 inet", 0,
	  "1:18: \"255.0.0.0\" is not a prefix length (0 to 32)" },
	{ "connect 10.0.0.0/8/8:80 inet", 0, "1:18: \"8/8\" is not a prefix length (0 to 32)" },
	{ "connect fd00::4:80 inet", 0,
	  "1:9: \"fd00::4\" is not an address (IPv6 stands in brackets)" },
	{ "connect ::1:80 inet", 0, "1:9: \"::1\" is not an address (IPv6 stands in brackets)" },
	{ "connect [fd00::4:80 inet", 0, "1:9: \"[fd00::4\" has no closing \"]\"" },
	{ "connect [fd00::g]:80 inet", 0, "1:10: \"fd00::g\" is not an IPv6 address" },
	{ "connect [fd00::1/16]:80 inet", 0,
	  "1:9: \"[fd00::1/16]\" has bits set beyond its length (write \"[fd00::]/16\")" },
	{ "connect [fd00::]/129:80 inet", 0, "1:18: \"129\" is not a prefix length (0 to 128)" },
	{ "connect [fd00::]/:80 inet", 0, "1:18: \"\" is not a prefix length (0 to 128)" },
	{ "connect [fd00::/8]/8:80 inet", 0, "1:19: \"/8\" does not belong to an address" },
	{ "connect [fd00::]x:80 inet", 0, "1:17: \"x\" does not belong to an address" },
	{ "connect [::ffff:10.0.0.1]/104:80 inet", 0,
	  "1:9: \"[::ffff:10.0.0.1]/104\" has bits set beyond its length (write "
	  "\"10.0.0.0/8\")" },
	{ "connect [::ffff:0:0]/95:80 inet", 0,
	  "1:9: \"[::ffff:0:0]/95\" has bits set beyond its length (write "
	  "\"[::fffe:0:0]/95\")" },
	{ "connect [fe80::1%eth0]:80 inet", 0,
	  "1:17: zone \"%eth0\" cannot be part of a rule (write the address alone)" },
	{ "connect [10.0.0.1]:80 inet", 0, "1:10: \"10.0.0.1\" is not an IPv6 address" },
	{ "connect []:80 inet", 0, "1:10: \"\" is not an IPv6 address" },
	{ "connect [:80 inet", 0, "1:9: \"[\" has no closing \"]\"" },
	/* names */
	{ "connect db_vm!:80 inet", 0,
	  "1:9: \"db_vm!\" is not a name (letters, digits, \"-\", \"_\" and \".\")" },
	{ "connect db vm:80 inet", 0,
	  "1:9: \"db\" has no port (ADDRESS:PORT is expected, such as *:80 or 10.0.0.3:*)" },
	{ "connect db.vm/24:80 inet", 0, "1:15: prefix length \"24\" cannot follow a name" },
	{ "connect *.vm:80 inet", 0,
	  "1:9: \"*.vm\" is not a name (letters, digits, \"-\", \"_\" and \".\")" },
	{ "connect */8:80 inet", 0,
	  "1:9: \"*\" is not a name (letters, digits, \"-\", \"_\" and \".\")" },
	{ "connect b\303\274cher.vm:80 inet", 0,
	  "1:9: \"b\\xc3\\xbccher.vm\" is not a name (letters, digits, \"-\", \"_\" and "
	  "\".\")" },
	{ "connect sctp *:80 inet", 0,
	  "1:9: \"sctp\" has no port (ADDRESS:PORT is expected, such as *:80 or 10.0.0.3:*)" },
	/* unix */
	{ "connect *:80 unix /run/fc/9.sock", 0, "1:19: \"/run/fc/9.sock\" has no port (PATH:PORT is expected)" },
	{ "connect *:80 unix :22", 0, "1:19: \":22\" has no path (PATH:PORT is expected)" },
	{ "connect *:80 unix fc/9.sock:22", 0,
	  "1:19: path \"fc/9.sock\" is not absolute (it has to begin with \"/\")" },
	{ "connect *:80 unix /run/fc/9.sock:0", 0, "1:34: port 0 cannot be asked for (write \"*\")" },
	{ "connect *:80 unix", 0, "1:18: PATH:PORT is missing after \"unix\"" },
	{ "connect *:80-81 unix /run/9.sock:1-3", 0,
	  "1:34: port range \"1-3\" has 3 ports, the left side 2" },
	{ "connect *:80 unix " PATH107 "x:1", 0,
	  "1:19: path \"/12345678901234567890123456789012345678901234567890123456789...\" is "
	  "too long (at most 107 bytes)" },
	{ "listen *:80 unix " PATH107 ":1", 0,
	  "1:18: path \"/12345678901234567890123456789012345678901234567890123456789...\" is "
	  "too long (at most 105 bytes, so that \"_\" and the port fit behind it)" },
	{ "listen *:* unix " PATH107 ":*", 0,
	  "1:17: path \"/12345678901234567890123456789012345678901234567890123456789...\" is "
	  "too long (at most 101 bytes, so that \"_\" and the port fit behind it)" },
	{ "connect udp *:80 unix /run/9.sock:1", 0,
	  "1:23: target \"unix\" is for tcp only, at \"/run/9.sock:1\"" },
	{ "listen *:80 unix /run/9.sock:1 allow=3", 0,
	  "1:32: option \"allow\" is for vsock targets only (behind a unix socket there is one guest)" },
	/* options */
	{ "connect *:80 inet timeout=500ms", 0, "1:19: option \"timeout\" is for vsock and unix targets only" },
	{ "connect *:80 vsock 7:80 fallback=tcp timeout=500 retry=s", 0,
	  "1:34: unknown fallback \"tcp\" (inet)\n"
	  "1:46: \"500\" is not a time (500ms, 2s, 1m; at most 1440m)\n"
	  "1:56: \"s\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ "connect *:80 vsock 7:80 timeout=0s", 0,
	  "1:33: \"0s\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ "connect *:80 vsock 7:80 timeout=1441m", 0,
	  "1:33: \"1441m\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ "connect *:80 vsock 7:80 timeout=99999999999999999999ms", 0,
	  "1:33: \"99999999999999999999ms\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ "connect *:80 vsock 7:80 retry=1s retry=2s", 0, "1:34: option \"retry\" is given twice" },
	{ "connect udp *:80 vsock 7:80 retry=1s", 0, "1:29: option \"retry\" is for tcp only" },
	{ "listen udp *:80 vsock any:80 fallback=inet", 0, "1:30: option \"fallback\" is for tcp only" },
	{ "listen *:80 vsock any:80 allow=host,,7-9 buffer=K", 0,
	  "1:37: CID is missing\n"
	  "1:49: \"K\" is not a size (65536, 256K, 4M; 128 to 2G)" },
	{ "listen *:80 vsock any:80 allow=9-7 buffer=1T", 0,
	  "1:32: CID range \"9-7\" ends before it begins\n"
	  "1:43: \"1T\" is not a size (65536, 256K, 4M; 128 to 2G)" },
	{ "listen *:80 vsock any:80 buffer=127", 0, "1:33: \"127\" is not a size (65536, 256K, 4M; 128 to 2G)" },
	{ "listen *:80 vsock any:80 buffer=3G", 0, "1:33: \"3G\" is not a size (65536, 256K, 4M; 128 to 2G)" },
	{ "listen *:80 vsock any:80 allow=", 0, "1:32: CID is missing" },
	{ "listen *:80 vsock any:80 allow=3,", 0, "1:34: CID is missing" },
	{ "listen *:80 vsock any:80 allow=any", 0,
	  "1:32: CID \"any\" allows everybody (leave allow= out)" },
	{ "listen *:80 vsock any:80 allow=" ALLOW32 ",99", 0,
	  "1:32: \"" "10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,...\""
	  " has too many CIDs (at most 32; 3-9 counts as one)" },
	{ "listen *:80 vsock any:80 timeout=1s", 0,
	  "1:26: option \"timeout\" is for connect only" },
	{ "connect *:80 vsock 7:80 allow=3", 0, "1:25: option \"allow\" is for listen only" },
	{ "connect *:80 vsock 7:80 tiemout=3s", 0,
	  "1:25: unknown option \"tiemout\" (allow, timeout, retry, fallback or buffer)" },
	{ "connect *:80 vsock 7:80 =3s", 0,
	  "1:25: unexpected \"=3s\" (only options, as KEY=VALUE, may follow)" },
	{ "connect *:80 reject timeout=1s", 0, "1:21: option \"timeout\" is for vsock and unix targets only" },
	/* reject and what is left over */
	{ "connect *:80 reject EFOO", 0,
	  "1:21: unknown error \"EFOO\" (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, "
	  "EACCES, EPERM, EADDRNOTAVAIL, EADDRINUSE, ENETDOWN, EHOSTDOWN, ECONNRESET or "
	  "ECONNABORTED)" },
	{ "connect *:80 reject 111", 0,
	  "1:21: unknown error \"111\" (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, "
	  "EACCES, EPERM, EADDRNOTAVAIL, EADDRINUSE, ENETDOWN, EHOSTDOWN, ECONNRESET or "
	  "ECONNABORTED)" },
	{ "connect *:80 reject EPERM EPERM", 0,
	  "1:27: unexpected \"EPERM\" (only options, as KEY=VALUE, may follow)" },
	{ "connect *:80 inet inet", 0,
	  "1:19: unexpected \"inet\" (only options, as KEY=VALUE, may follow)" },
	{ "connect *:80 vsock 3:80 connect", 0,
	  "1:25: unexpected \"connect\" (only options, as KEY=VALUE, may follow)" },
	/* host */
	{ "host", 0, "1:5: address is missing (host ADDRESS CID NAME...)" },
	{ "host 10.0.0.3", 0, "1:14: CID is missing (host ADDRESS CID NAME...)" },
	{ "host 10.0.0.3 # 3", 0, "1:14: CID is missing (host ADDRESS CID NAME...)" },
	{ "host 10.0.0.3/32 3", 0,
	  "1:6: \"10.0.0.3/32\" is a prefix (one address is needed here)" },
	{ "host 10.0.0.3:80 3", 0,
	  "1:6: \"10.0.0.3:80\" is not an address (IPv4 or IPv6, no port)" },
	{ "host db.vm 3", 0, "1:6: \"db.vm\" is not an address (IPv4 or IPv6)" },
	{ "host 10.0.0 3", 0, "1:6: \"10.0.0\" is not an IPv4 address" },
	{ "host * 3", 0, "1:6: \"*\" is not an address (IPv4 or IPv6)" },
	{ "host [fd00::4]:80 3", 0, "1:15: \":80\" does not belong to an address" },
	{ "host fe80::1%lo 3", 0,
	  "1:13: zone \"%lo\" cannot be part of a rule (write the address alone)" },
	{ "host 10.0.0.3 any", 0, "1:15: CID \"any\" is for listen only" },
	{ "host 10.0.0.3 db.vm", 0,
	  "1:15: unknown CID \"db.vm\" (host, local, hypervisor or a number)" },
	{ "host 10.0.0.3 3 db,vm 10.0.0.3 ok fd00::1", 0,
	  "1:17: \"db,vm\" is not a name (letters, digits, \"-\", \"_\" and \".\")\n"
	  "1:23: \"10.0.0.3\" is not a name (a number or an address)\n"
	  "1:35: \"fd00::1\" is not a name (letters, digits, \"-\", \"_\" and \".\")" },
	{ "host 198.18.0.5 6", 0,
	  "1:6: address \"198.18.0.5\" is how CID 5 is shown (choose another)" },
	{ "host fd69:7032:7673::7 6", 0,
	  "1:6: address \"fd69:7032:7673::7\" is how CID 7 is shown (choose another)" },
	{ "host 240.1.0.0 6", 0,
	  "1:6: address \"240.1.0.0\" is how CID 65536 is shown (choose another)" },
	/* default */
	{ "default", 0, "1:8: target is missing (inet or reject)" },
	{ "default vsock 3:80", 0, "1:9: unknown target \"vsock\" (inet or reject)" },
	{ "default reject EFOO", 0,
	  "1:16: unknown error \"EFOO\" (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, "
	  "EACCES, EPERM, EADDRNOTAVAIL, EADDRINUSE, ENETDOWN, EHOSTDOWN, ECONNRESET or "
	  "ECONNABORTED)" },
	{ "default reject EPERM x", 0,
	  "1:22: unexpected \"x\" (the statement is complete without it)" },
	{ "default reject x=y", 0,
	  "1:16: unexpected \"x=y\" (the statement is complete without it)" },
	{ "default inet inet", 0,
	  "1:14: unexpected \"inet\" (the statement is complete without it)" },
	/* include */
	{ "include", 0, "1:8: path is missing (include PATH)" },
	{ "include \"\"", 0, "1:9: \"\" is not a path" },
	{ "include a b", 0, "1:11: unexpected \"b\" (the statement is complete without it)" },
	{ "include missing.map", 0, "1:9: cannot read \"missing.map\" (no such file)" },
	/* quotes */
	{ "connect \"*:80 inet", 0, "1:9: quote is not closed in \"\\\"*:80 inet\"" },
	{ "connect *:80 \"inet", 0, "1:14: quote is not closed in \"\\\"inet\"" },
	{ "connect \"*:x\" inet", 0,
	  "1:12: \"x\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ "connect 1\"0.0.0.3:0\" inet", 0, "1:19: port 0 cannot be asked for (write \"*\")" },
	{ "connect \"[fd00::]\": inet", 0,
	  "1:20: port is missing (a number, a range such as 80-90, or \"*\")" },
	{ "connect \"*:\"", 0,
	  "1:13: port is missing (a number, a range such as 80-90, or \"*\")\n"
	  "1:13: target is missing (vsock, inet, reject or unix)" },
	{ "connect \"\" inet", 0,
	  "1:9: \"\" has no port (ADDRESS:PORT is expected, such as *:80 or 10.0.0.3:*)" },
	{ "connect *:80 \"\"", 0, "1:14: unknown target \"\" (vsock, inet, reject or unix)" },
	{ "\"\" *:80", 0,
	  "1:1: unknown statement \"\" (host, connect, listen, default or include)" },
	{ "connect \"*\":80 vsock \"3\":\"x\"", 0,
	  "1:27: \"x\" is not a port (a number, a range such as 80-90, or \"*\")" },
	/* several mistakes in one statement */
	{ "connect x:0 vsock y:0 z=1", 0,
	  "1:11: port 0 cannot be asked for (write \"*\")\n"
	  "1:19: unknown CID \"y\" (host, local, hypervisor or a number)\n"
	  "1:21: port 0 cannot be asked for (write \"*\")\n"
	  "1:23: unknown option \"z\" (allow, timeout, retry, fallback or buffer)" },
	{ "connect 1.2.3:99999 vsok 3:80 timeout=1s", 0,
	  "1:9: \"1.2.3\" is not an IPv4 address\n"
	  "1:15: port \"99999\" is too large (1 to 65535)\n"
	  "1:21: unknown target \"vsok\" (vsock, inet, reject or unix)" },
	{ "connect *:80 vsock x:y z", 0,
	  "1:20: unknown CID \"x\" (host, local, hypervisor or a number)\n"
	  "1:22: \"y\" is not a port (a number, a range such as 80-90, or \"*\")\n"
	  "1:24: unexpected \"z\" (only options, as KEY=VALUE, may follow)" },
	{ "connect 10.0.0.3 vsok 3:80", 0,
	  "1:9: \"10.0.0.3\" has no port (ADDRESS:PORT is expected, such as *:80 or "
	  "10.0.0.3:*)" },
	/* bytes and lines */
	{ "connect *:80\000 inet", 18, "1:13: control byte 0x0 (only text is expected)" },
	{ "connect *:80 inet # \001\002", 0, "1:21: control byte 0x1 (only text is expected)" },
	{ "connect *:80 in\ret", 0, "1:16: control byte 0xd (only text is expected)" },
	{ "\177", 0, "1:1: control byte 0x7f (only text is expected)" },
	{ "connect *:80 inet\033[0m x y z", 0, "1:18: control byte 0x1b (only text is expected)" },
	{ "\000\000\000\n\000", 5,
	  "1:1: control byte 0x0 (only text is expected)\n"
	  "2:1: control byte 0x0 (only text is expected)" },
	{ "default inet\ndefault reject", 0, "2:1: default is given twice (line 1)" },
	{ "default inet; default inet", 0, "1:15: default is given twice (line 1)" },
	{ "default frob\ndefault reject\ndefault inet", 0,
	  "1:9: unknown target \"frob\" (inet or reject)\n"
	  "3:1: default is given twice (line 2)" },
	{ "\357\273\277conect\n", 0,
	  "1:1: unknown statement \"conect\" (host, connect, listen, default or include)" },
	{ "a;b\n c;\td", 0,
	  "1:1: unknown statement \"a\" (host, connect, listen, default or include)\n"
	  "1:3: unknown statement \"b\" (host, connect, listen, default or include)\n"
	  "2:2: unknown statement \"c\" (host, connect, listen, default or include)\n"
	  "2:5: unknown statement \"d\" (host, connect, listen, default or include)" },
	{ "a\r\nb\r\n", 0,
	  "1:1: unknown statement \"a\" (host, connect, listen, default or include)\n"
	  "2:1: unknown statement \"b\" (host, connect, listen, default or include)" },
	{ "connect " NAME253 "x:80 inet", 0,
	  "1:9: name \"" LABEL50 "abcdefghij...\" is too long (at most 253 bytes)" },
	{ "listen *:0 inet", 0, "1:10: port 0 cannot be asked for (write \"*\")" },
	{ "listen *:80 vsock 4294967295:80", 0,
	  "1:19: CID \"4294967295\" is too large (0 to 4294967294)" },
};

START_TEST(test_bad)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	int lines = 1, count;
	size_t length = bad[_i].length ? bad[_i].length : strlen(bad[_i].text);
	char *exact = malloc(length);

	memcpy(exact, bad[_i].text, length);
	count = config_text(rules, &arena, "map", exact, length, &io);
	free(exact);
	ck_assert_str_eq(unit.buf, bad[_i].complaints);
	for (const char *at = unit.buf; *at; at++)
		lines += *at == '\n';
	ck_assert_int_eq(count, lines);
	ck_assert_ptr_null(rules_at(rules, 0)); /* nothing is done with a faulty statement */
	arena_free(&arena);
}
END_TEST

static const char ten_mistakes[] =
	"# A mapping with ten mistakes, and between them what is right.\n"
	"host 10.0.0.3 3 db.vm\n"
	"host 10.0.0.3 4 web.vm\n"
	"connect 10.0.0.3:5432 vsock 3:5432\n"
	"conect 10.0.0.4:80 vsock 4:80\n"
	"connect 10.8.1.0/16:90-80 vsock hots:80\n"
	"\n"
	"connect *:8000-8099 vsock 4:9000 ; connect *:8000-8099 vsock 4:9000-9100\n"
	"listen *:80 vsok any:80\n"
	"connect [fd00::4]:443 vsock 4:443 x # a comment\n"
	"default reject\n"
	"connect web.vm:* vsock 4:* timeot=2s\n"
	"default inet\n";

START_TEST(test_ten_mistakes_ten_complaints)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	char buf[400];

	ck_assert_int_eq(config_text(rules, &arena, "map", ten_mistakes, strlen(ten_mistakes), &io), 10);
	ck_assert_str_eq(unit.buf,
		"3:6: address \"10.0.0.3\" already stands for another CID (line 2)\n"
		"5:1: unknown statement \"conect\" (host, connect, listen, default or include)\n"
		"6:9: \"10.8.1.0/16\" has bits set beyond its length (write \"10.8.0.0/16\")\n"
		"6:21: port range \"90-80\" ends before it begins\n"
		"6:33: unknown CID \"hots\" (host, local, hypervisor or a number)\n"
		"8:64: port range \"9000-9100\" has 101 ports, the left side 100\n"
		"9:13: unknown target \"vsok\" (vsock, inet, reject or unix)\n"
		"10:35: unexpected \"x\" (only options, as KEY=VALUE, may follow)\n"
		"12:28: unknown option \"timeot\" (allow, timeout, retry, fallback or buffer)\n"
		"13:1: default is given twice (line 11)");
	rules_text(rules, buf, sizeof(buf));
	ck_assert_str_eq(buf, "host 10.0.0.3 3\n"
			      "connect 10.0.0.3:5432 vsock 3:5432\n"
			      "connect *:8000-8099 vsock 4:9000\n"
			      "default reject");
	arena_free(&arena);
}
END_TEST

/* Files, the first of which is read, and the rules and complaints of all. */
static const struct {
	struct unit_file files[12];
	const char *rules, *complaints;
} includes[] = {
	{ { { "map", "connect *:1 inet\ninclude b.map; connect *:3 inet\n" },
	    { "b.map", "connect *:2 inet" } },
	  "connect *:1 inet\nconnect *:2 inet\nconnect *:3 inet", "" },
	/* a name with blanks; an empty file; the same file twice */
	{ { { "map", "include \"with blank; and #.map\"\ninclude b # why\ninclude b\n" },
	    { "with blank; and #.map", "" },
	    { "b", "connect *:2 inet" } },
	  "connect *:2 inet\nconnect *:2 inet", "" },
	/* paths are relative to the file they stand in */
	{ { { "/etc/ip2vsock/main.map", "include sub/one.map\ninclude /abs.map\n" },
	    { "/etc/ip2vsock/sub/one.map", "include two.map\ninclude ../three.map" },
	    { "/etc/ip2vsock/sub/two.map", "connect *:2 inet" },
	    { "/etc/ip2vsock/sub/../three.map", "connect *:3 inet" },
	    { "/abs.map", "connect *:4 inet" } },
	  "connect *:2 inet\nconnect *:3 inet\nconnect *:4 inet", "" },
	/* complaints name the file they are about, and reading goes on */
	{ { { "map", "include b.map\nx\n" }, { "b.map", "\n  y\nconnect *:2 inet" } },
	  "connect *:2 inet",
	  "b.map:2:3: unknown statement \"y\" (host, connect, listen, default or include)\n"
	  "2:1: unknown statement \"x\" (host, connect, listen, default or include)" },
	{ { { "map", "include none.map ; include /" } },
	  "",
	  "1:9: cannot read \"none.map\" (no such file)\n"
	  "1:28: cannot read \"/\" (is a directory)" },
	/* cycles */
	{ { { "map", "connect *:1 inet\ninclude map\nconnect *:2 inet" } },
	  "connect *:1 inet\nconnect *:2 inet",
	  "2:9: include of \"map\" never ends: it is included from itself" },
	{ { { "map", "include b" }, { "b", "include c" }, { "c", " include  map" } },
	  "",
	  "c:1:11: include of \"map\" never ends: it is included from itself, by way of \"c\", "
	  "by way of \"b\"" },
	/* depth */
	{ { { "map", "include 1" }, { "1", "include 2" }, { "2", "include 3" },
	    { "3", "include 4" }, { "4", "include 5" }, { "5", "include 6" },
	    { "6", "include 7" }, { "7", "connect *:7 inet\ninclude 8" },
	    { "8", "connect *:8 inet" } },
	  "connect *:7 inet",
	  "7:2:9: include of \"8\" goes too deep (at most 8 files inside each other)" },
	/* what is said once for all files */
	{ { { "map", "host 10.0.0.1 1 a\ninclude b" }, { "b", "\nhost 10.0.0.1 2 a" } },
	  "host 10.0.0.1 local",
	  "b:2:6: address \"10.0.0.1\" already stands for another CID (\"map\", line 1)" },
	/* the first default wins, and only a second in the same file is a mistake */
	{ { { "map", "default reject EPERM\ninclude b" }, { "b", "default inet" } },
	  "default reject EPERM", "" },
	{ { { "map", "include b\ndefault inet\n\ndefault inet" },
	    { "b", "default reject\ndefault reject" } },
	  "default reject",
	  "b:2:1: default is given twice (line 1)\n4:1: default is given twice (line 2)" },
	{ { { "none", NULL } }, "", "" },
};

START_TEST(test_include)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, includes[_i].files);
	int lines = includes[_i].complaints[0] != '\0';
	const char *path = includes[_i].files[0].path;
	char buf[400];

	if (!includes[_i].files[0].text) { /* not even the first can be read */
		io = unit_io_init(&unit, NULL);
		ck_assert_int_eq(config_file(rules, &arena, path, &io), 1);
		ck_assert_str_eq(unit.buf, "none:0:0: cannot be read (no such file)");
		arena_free(&arena);
		return;
	}
	for (const char *at = includes[_i].complaints; *at; at++)
		lines += *at == '\n';
	ck_assert_int_eq(config_file(rules, &arena, path, &io), lines);
	ck_assert_str_eq(unit.buf, includes[_i].complaints);
	rules_text(rules, buf, sizeof(buf));
	ck_assert_str_eq(buf, includes[_i].rules);
	ck_assert_int_eq(unit.open, 0);
	arena_free(&arena);
}
END_TEST

START_TEST(test_place_names_the_inner_file)
{
	static const struct unit_file files[] = {
		{ "dir/map", "include b\nconnect *:1 inet" }, { "dir/b", "\n\nconnect *:2 inet" }, { 0 }
	};
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, files);
	char path[] = "dir/map";

	ck_assert_int_eq(config_file(rules, &arena, path, &io), 0);
	memset(path, '#', sizeof(path)); /* was copied */
	ck_assert_str_eq(rules_at(rules, 0)->place.source, "dir/b");
	ck_assert_uint_eq(rules_at(rules, 0)->place.line, 3);
	ck_assert_str_eq(rules_at(rules, 1)->place.source, "dir/map");
	ck_assert_uint_eq(rules_at(rules, 1)->place.line, 2);
	arena_free(&arena);
}
END_TEST

START_TEST(test_include_where_nothing_can_be_read)
{
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);

	io.read = NULL;
	ck_assert_int_eq(config_text(rules, &arena, "-r", "include b", 9, &io), 1);
	ck_assert_str_eq(unit.buf, "-r:1:9: include of \"b\" is not possible here");
	arena_free(&arena);
}
END_TEST

START_TEST(test_sources_follow_each_other)
{
	static const char *const texts[] = { "default reject", "connect *:1 inet; default inet",
					     "connect *:2 inet" };
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	char buf[100];

	for (unsigned i = 0; i < N_ELEMENTS(texts); i++)
		ck_assert_int_eq(config_text(rules, &arena, "-r", texts[i], strlen(texts[i]), &io), 0);
	rules_text(rules, buf, sizeof(buf));
	ck_assert_str_eq(buf, "connect *:1 inet\nconnect *:2 inet\ndefault reject");
	arena_free(&arena);
}
END_TEST

START_TEST(test_long_lines)
{
	enum { LENGTH = 300000 };
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	char *text = malloc(LENGTH);

	memset(text, 'x', LENGTH);
	memcpy(text, "connect *:1 inet #", 18);
	ck_assert_int_eq(config_text(rules, &arena, "map", text, LENGTH, &io), 0);
	memset(text, ' ', LENGTH);
	memcpy(text + LENGTH - 17, ";connect *:2 inet", 17);
	ck_assert_int_eq(config_text(rules, &arena, "map", text, LENGTH, &io), 0);
	ck_assert_uint_eq(rules_at(rules, 1)->pattern.port_low, 2);
	memset(text, 'x', LENGTH);
	memcpy(text + LENGTH - 2, "\ny", 2);
	ck_assert_int_eq(config_text(rules, &arena, "map", text, LENGTH, &io), 2);
	ck_assert_str_eq(unit.buf,
		"1:1: unknown statement \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\""
		" (host, connect, listen, default or include)\n"
		"2:1: unknown statement \"y\" (host, connect, listen, default or include)");
	free(text);
	arena_free(&arena);
}
END_TEST

static const struct {
	struct endpoint to;
	const char *text;
} endpoints[] = {
	{ { .cid = 3, .port = 5432 }, "3:5432" },
	{ { .cid = VMADDR_CID_HOST, .port = 80 }, "host:80" },
	{ { .cid = VMADDR_CID_LOCAL, .port = 4294967294 }, "local:4294967294" },
	{ { .cid = VMADDR_CID_HYPERVISOR, .port = 0 }, "hypervisor:0" },
	{ { .cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY }, "any:*" },
	{ { .cid = 4294967294, .port = 1 }, "4294967294:1" },
	{ { .path = "/run/9", .port = 22 }, "/run/9:22" },
	{ { .path = "/run/my vm", .port = VMADDR_PORT_ANY }, "\"/run/my vm\":*" },
};

START_TEST(test_endpoint_text)
{
	char buf[CONFIG_RULE_TEXT_SIZE];

	ck_assert_ptr_eq(config_endpoint_text(&endpoints[_i].to, buf, sizeof(buf)), buf);
	ck_assert_str_eq(buf, endpoints[_i].text);
	config_endpoint_text(&endpoints[_i].to, buf, 2);
	ck_assert_int_eq(buf[0], endpoints[_i].text[0]);
	ck_assert_int_eq(buf[1], '\0');
}
END_TEST

static const struct {
	const char *name;
	int error;
} errnos[] = {
	{ "ECONNREFUSED", ECONNREFUSED }, { "EHOSTUNREACH", EHOSTUNREACH },
	{ "ECONNABORTED", ECONNABORTED }, { "EPERM", EPERM },
	{ "ECONNREFUSE", 0 },		  { "ECONNREFUSEDx", 0 },
	{ "econnrefused", 0 },		  { "", 0 },
	{ "111", 0 },			  { "ENOENT", 0 },
};

START_TEST(test_errno_names)
{
	ck_assert_int_eq(config_errno_value(errnos[_i].name, strlen(errnos[_i].name)), errnos[_i].error);
	if (errnos[_i].error)
		ck_assert_str_eq(config_errno_name(errnos[_i].error), errnos[_i].name);
	ck_assert_ptr_null(config_errno_name(ENOENT));
	ck_assert_ptr_null(config_errno_name(0));
}
END_TEST

static const struct {
	const char *text;
	const char *want; /* family and address, or the message */
	bool ok;
} addresses[] = {
	{ "10.0.0.3:5432", "4 10.0.0.3:5432", true },
	{ "10.0.0.3/32:5432", "4 10.0.0.3:5432", true },
	{ "0.0.0.0:0", "4 0.0.0.0:0", true },
	{ "[fd00::4]:65535", "6 [fd00::4]:65535", true },
	{ "[::]:0", "6 [::]:0", true },
	{ "[::ffff:10.0.0.3]:80", "6 10.0.0.3:80", true },
	{ "db.vm:80", "4 10.0.0.3:80", true },
	{ "DB.vm.:80", "4 10.0.0.3:80", true },
	{ "web.vm:80", "6 [fd00::4]:80", true },
	{ "none.vm:80", "unknown name \"none.vm\" (no rule mentions it)", false },
	{ "", "\"\" has no port (ADDRESS:PORT is expected)", false },
	{ "10.0.0.3", "\"10.0.0.3\" has no port (ADDRESS:PORT is expected)", false },
	{ "10.0.0:80", "\"10.0.0\" is not an IPv4 address", false },
	{ "10.0.0.3:x", "\"x\" is not a port (a number, a range such as 80-90, or \"*\")", false },
	{ "10.0.0.3:80-81", "\"10.0.0.3:80-81\" is not one address and one port", false },
	{ "10.0.0.3:*", "\"10.0.0.3:*\" is not one address and one port", false },
	{ "*:80", "\"*:80\" is not one address and one port", false },
	{ "10.0.0.0/8:80", "\"10.0.0.0/8:80\" is not one address and one port", false },
	{ "fd00::4:80", "\"fd00::4\" is not an address (IPv6 stands in brackets)", false },
};

START_TEST(test_parse_address)
{
	static const char hosts[] = "host 10.0.0.3 3 db.vm\nhost fd00::4 4 web.vm";
	struct rules *rules = rules_new(&arena);
	struct unit_io unit;
	struct config_io io = unit_io_init(&unit, NULL);
	char message[200], text[IP_ADDR_TEXT_SIZE + 2] = "4 ";
	struct ip_addr addr;

	ck_assert_int_eq(config_text(rules, &arena, "map", hosts, strlen(hosts), &io), 0);
	ck_assert_int_eq(rules_seal(rules), 0);
	ck_assert(config_parse_address(rules, addresses[_i].text, &addr, message, sizeof(message)) ==
		  addresses[_i].ok);
	if (addresses[_i].ok) {
		text[0] = addr.family == AF_INET ? '4' : '6';
		ip_addr_text(&addr, text + 2);
	}
	ck_assert_str_eq(addresses[_i].ok ? text : message, addresses[_i].want);
	arena_free(&arena);
}
END_TEST

/* One endpoint (stream_test has the complaints): its CID and port, path and options. */
static const struct {
	enum rule_direction direction;
	const char *text;
	uint32_t cid, port;
	const char *path;
	uint32_t timeout, buffer, allow_count;
	const char *complaints; /* NULL: it is right */
} targets[] = {
	{ RULE_CONNECT, "vsock 3:80", 3, 80, NULL, 0, 0, 0, NULL },
	{ RULE_CONNECT, "vsock 3:80\n", 3, 80, NULL, 0, 0, 0, NULL },
	{ RULE_CONNECT, ";vsock 3:80; # why", 3, 80, NULL, 0, 0, 0, NULL },
	{ RULE_CONNECT, "vsock local:4294967294 timeout=5s buffer=1M", 1, 4294967294u, NULL, 5000, 1 << 20, 0, NULL },
	{ RULE_CONNECT, "unix /v:1 timeout=1ms", VMADDR_CID_ANY, 1, "/v", 1, 0, 0, NULL },
	{ RULE_CONNECT, "unix " PATH107 ":1", VMADDR_CID_ANY, 1, PATH107, 0, 0, 0, NULL },
	{ RULE_LISTEN, "vsock any:*", VMADDR_CID_ANY, VMADDR_PORT_ANY, NULL, 0, 0, 0, NULL },
	{ RULE_LISTEN, "vsock any:80 allow=3,5-9,host buffer=128", VMADDR_CID_ANY, 80, NULL, 0, 128, 3, NULL },
	{ RULE_LISTEN, "vsock any:80 allow=" ALLOW32, VMADDR_CID_ANY, 80, NULL, 0, 0, 32, NULL },
	{ RULE_LISTEN, "unix " PATH105 ":1", VMADDR_CID_ANY, 1, PATH105, 0, 0, 0, NULL },
	{ RULE_CONNECT, "", 0, 0, NULL, 0, 0, 0,
	  "endpoint:1:1: endpoint is missing (vsock CID:PORT or unix PATH:PORT)" },
	{ RULE_CONNECT, "vsock 3:x colour=red", 0, 0, NULL, 0, 0, 0,
	  "endpoint:1:9: \"x\" is not a port (a number, a range such as 80-90, or \"*\")\n"
	  "endpoint:1:11: unknown option \"colour\" (allow, timeout, retry, fallback or buffer)" },
	{ RULE_CONNECT, "vsock 3:80\nvsock 4:80", 0, 0, NULL, 0, 0, 0,
	  "endpoint:2:1: unexpected \"vsock\" (one endpoint is enough)" },
	{ RULE_CONNECT, "inet", 0, 0, NULL, 0, 0, 0,
	  "endpoint:1:1: this is no endpoint (vsock CID:PORT or unix PATH:PORT is expected)" },
};

START_TEST(test_target)
{
	static const struct rule_options none;
	const struct rule_options *options;
	struct unit_io unit;
	const struct config_io io = unit_io_init(&unit, NULL);
	struct rule rule;
	int complaints = config_target(&arena, targets[_i].direction, targets[_i].text, &io, &rule);

	ck_assert_str_eq(unit.buf, targets[_i].complaints ? targets[_i].complaints : "");
	ck_assert_int_eq(complaints > 0, targets[_i].complaints != NULL);
	if (complaints == 0) {
		options = rule.options ? rule.options : &none;
		ck_assert_uint_eq(rule.port_low, targets[_i].port);
		ck_assert_uint_eq(rule.port_high, targets[_i].port);
		ck_assert_pstr_eq(rule.path, targets[_i].path);
		if (!rule.path)
			ck_assert_uint_eq(rule.cid, targets[_i].cid);
		ck_assert_uint_eq(options->timeout, targets[_i].timeout);
		ck_assert_uint_eq(options->buffer, targets[_i].buffer);
		ck_assert_uint_eq(options->allow_count, targets[_i].allow_count);
	}
	arena_free(&arena);
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_target, targets);
	TABLE_TEST(test_good, good);
	TABLE_TEST(test_printed_is_parsed_as_the_same_rule, good);
	TABLE_TEST(test_bad, bad);
	tcase_add_test(tc, test_ten_mistakes_ten_complaints);
	TABLE_TEST(test_include, includes);
	tcase_add_test(tc, test_place_names_the_inner_file);
	tcase_add_test(tc, test_include_where_nothing_can_be_read);
	tcase_add_test(tc, test_sources_follow_each_other);
	tcase_add_test(tc, test_long_lines);
	TABLE_TEST(test_endpoint_text, endpoints);
	TABLE_TEST(test_errno_names, errnos);
	TABLE_TEST(test_parse_address, addresses);
}

int main(void)
{
	return unit_run("config", fill);
}
