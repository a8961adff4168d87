/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From where a listener is back to the address that leads there. */
#include "unit.h"

#include <stdio.h>

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

static const char mapping[] =
	"host 10.0.0.3 3 db.vm\n"
	"host fd00::3 3 db.vm\n"
	"host fd00::4 4 web.vm\n"
	"connect 10.0.0.1:80 vsock 2:80\n"
	"listen 10.0.0.1:81 inet\n"
	"listen 10.0.0.1:81 vsock any:81\n"	      /* never: line 5 */
	"listen udp *:82 vsock any:82\n"
	"listen 127.0.0.1:6379 vsock any:6379\n"
	"listen [::1]:6380 vsock local:6380\n"
	"listen [::]:1000-1999 vsock any:101000-101999\n"
	"listen 10.8.0.0/16:8000-8099 vsock 5:9000-9099\n"
	"listen [2001:db8::]/32:443 vsock any:8443\n"
	"listen db.vm:5432 vsock any:15432\n"
	"listen web.vm:443 vsock 4:443\n"
	"listen 10.9.9.9:100-199 vsock any:150\n"
	"listen 10.9.9.9:200-299 vsock any:777\n"
	"listen 10.9.9.8:1-9 vsock any:501-509\n"
	"listen 10.9.9.7:* vsock any:600\n"
	"listen 10.9.9.6:8443 unix /run/fc/9.sock:443\n"
	"listen 10.9.9.5:* unix /run/fc/8.sock:*\n"
	"listen 0.0.0.0:90 vsock 6:90\n"
	"listen *:90 vsock any:90\n"		      /* 0.0.0.0:90 is line 21's */
	"listen *:2000-2999 vsock any:*\n"
	"listen tcp *:* vsock 7:*\n";

static const struct {
	struct endpoint at;
	uint32_t alias;
	const char *want; /* address and line; NULL: no rule leads there */
} ways[] = {
	{ { .cid = VMADDR_CID_ANY, .port = 80 }, VMADDR_CID_ANY, NULL }, /* a connect rule */
	{ { .cid = VMADDR_CID_ANY, .port = 81 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 82 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 6379 }, VMADDR_CID_ANY, "127.0.0.1:6379 8" },
	{ { .cid = 3, .port = 6379 }, 3, "127.0.0.1:6379 8" },
	{ { .cid = VMADDR_CID_LOCAL, .port = 6380 }, VMADDR_CID_LOCAL, "[::1]:6380 9" },
	{ { .cid = 5, .port = 6380 }, VMADDR_CID_LOCAL, "[::1]:6380 9" },
	{ { .cid = 5, .port = 6380 }, 5, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 6380 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 100999 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 101000 }, VMADDR_CID_ANY, "[::]:1000 10" },
	{ { .cid = VMADDR_CID_ANY, .port = 101999 }, VMADDR_CID_ANY, "[::]:1999 10" },
	{ { .cid = VMADDR_CID_ANY, .port = 102000 }, VMADDR_CID_ANY, NULL },
	{ { .cid = 5, .port = 9000 }, 5, "10.8.0.0:8000 11" },
	{ { .cid = 5, .port = 9099 }, 5, "10.8.0.0:8099 11" },
	{ { .cid = 5, .port = 9100 }, 5, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 9000 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 8443 }, VMADDR_CID_ANY, "[2001:db8::]:443 12" },
	{ { .cid = VMADDR_CID_ANY, .port = 15432 }, VMADDR_CID_ANY, "10.0.0.3:5432 13" },
	{ { .cid = 4, .port = 443 }, 4, "[fd00::4]:443 14" },
	{ { .cid = 7, .port = 443 }, 7, "0.0.0.0:443 24" },
	{ { .cid = VMADDR_CID_ANY, .port = 150 }, VMADDR_CID_ANY, "10.9.9.9:150 15" },
	{ { .cid = VMADDR_CID_ANY, .port = 777 }, VMADDR_CID_ANY, "10.9.9.9:200 16" },
	{ { .cid = VMADDR_CID_ANY, .port = 500 }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 501 }, VMADDR_CID_ANY, "10.9.9.8:1 17" },
	{ { .cid = VMADDR_CID_ANY, .port = 600 }, VMADDR_CID_ANY, "10.9.9.7:600 18" },
	{ { .cid = VMADDR_CID_ANY, .port = 443, .path = "/run/fc/9.sock" }, VMADDR_CID_ANY, "10.9.9.6:8443 19" },
	{ { .cid = VMADDR_CID_ANY, .port = 444, .path = "/run/fc/9.sock" }, VMADDR_CID_ANY, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = 444, .path = "/run/fc/8.sock" }, VMADDR_CID_ANY, "10.9.9.5:444 20" },
	{ { .cid = VMADDR_CID_ANY, .port = 70000, .path = "/run/fc/8.sock" }, VMADDR_CID_ANY, NULL },
	{ { .cid = 7, .port = 2000, .path = "/run/fc/7.sock" }, 7, NULL },
	{ { .cid = 6, .port = 90 }, 6, "0.0.0.0:90 21" },
	{ { .cid = VMADDR_CID_ANY, .port = 90 }, VMADDR_CID_ANY, NULL },
	{ { .cid = 7, .port = 2000 }, 7, "0.0.0.0:2000 23" },
	{ { .cid = 7, .port = 3000 }, 7, "0.0.0.0:3000 24" },
	{ { .cid = 8, .port = 3000 }, 8, NULL },
	{ { .cid = 7, .port = 0 }, 7, NULL }, /* no listener of TCP has it */
	{ { .cid = 7, .port = 65535 }, 7, "0.0.0.0:65535 24" },
	{ { .cid = 7, .port = 65536 }, 7, NULL },
	{ { .cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY }, VMADDR_CID_ANY, NULL },
};

START_TEST(test_way_back)
{
	struct rules *rules = rules_of(mapping);
	struct ip_addr addr;
	const struct rule *rule = rules_reverse_listen(rules, &ways[_i].at, ways[_i].alias, &addr);
	char buf[IP_ADDR_TEXT_SIZE + 8] = "";
	struct target target;

	if (rule) {
		ip_addr_text(&addr, buf);
		sprintf(buf + strlen(buf), " %u", rule->place.line);
		ck_assert_int_eq(addr.family, strchr(buf, '[') ? AF_INET6 : AF_INET);
		rules_find(rules, RULE_LISTEN, RULE_TCP, &addr, &target);
		ck_assert_ptr_eq(target.rule, rule);
		ck_assert_uint_eq(target.to.port, ways[_i].at.port);
	}
	ck_assert_msg(strcmp(buf, ways[_i].want ? ways[_i].want : "") == 0, "\"%s\", not \"%s\"", buf,
		      ways[_i].want ? ways[_i].want : "");
	arena_free(&arena);
}
END_TEST

/* Where one port leads to one port, the way back ends where the way out began. */
START_TEST(test_out_and_back)
{
	static const char *const maps[] = {
		"listen *:* vsock any:*",
		"listen 127.0.0.1:* vsock any:*",
		"listen [2001:db8::7]:1-65535 vsock any:100001-165535",
		"listen *:1-100 inet\nlisten 0.0.0.0:* vsock any:*",
	};
	static const char *const addresses[] = { "0.0.0.0", "127.0.0.1", "[2001:db8::7]", "0.0.0.0" };
	struct rules *rules = rules_of(maps[_i]);

	for (unsigned port = 1; port <= UINT16_MAX; port += 31) { /* from the first to the last */
		struct target out, back;
		struct ip_addr addr, again;
		char words[64], why[200];

		sprintf(words, "%s:%u", addresses[_i], port);
		ck_assert_msg(config_parse_address(rules, words, &addr, why, sizeof(why)), "%s", why);
		rules_find(rules, RULE_LISTEN, RULE_TCP, &addr, &out);
		if (out.kind == TARGET_INET) {
			out.to = (struct endpoint){ .cid = VMADDR_CID_ANY, .port = port };
			ck_assert_ptr_null(rules_reverse_listen(rules, &out.to, out.to.cid, &again));
			continue;
		}
		ck_assert_ptr_eq(rules_reverse_listen(rules, &out.to, out.to.cid, &again), out.rule);
		ck_assert_int_eq(memcmp(&again, &addr, sizeof(addr)), 0);
		rules_find(rules, RULE_LISTEN, RULE_TCP, &again, &back);
		ck_assert_uint_eq(back.to.port, out.to.port);
	}
	arena_free(&arena);
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_way_back, ways);
	tcase_add_loop_test(tc, test_out_and_back, 0, 4);
}

int main(void)
{
	return unit_run("reverse", fill);
}
