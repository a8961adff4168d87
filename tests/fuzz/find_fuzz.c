/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes as rules and addresses: 16 bytes are a rule (or, once the first byte says so, an address that
 * is looked up). The index must name the same rule as reading them in order does.
 */
#include "../unit/naive.h"
#include "fuzz.h"

#include <string.h>

#define RECORD 16
#define RULES_MAX 200

/* Six bytes spread over an IPv4 or IPv6 address, so that the fuzzer need not find a prefix. */
static struct in6_addr ip_make(const uint8_t bytes[6])
{
	struct in6_addr ip = { 0 };

	if (bytes[0] & 1) {
		ip.s6_addr[10] = ip.s6_addr[11] = 0xff;
		if (bytes[0] & 2) /* next to the v4-mapped ones */
			ip.s6_addr[11] ^= bytes[1];
	} else {
		ip.s6_addr[0] = bytes[0];
		ip.s6_addr[7] = bytes[1];
	}
	memcpy(ip.s6_addr + 12, bytes + 2, 4);
	return ip;
}

static uint16_t port_make(const uint8_t bytes[2])
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void rule_make(const uint8_t record[RECORD], struct rule *rule)
{
	struct rule_pattern *pattern = &rule->pattern;
	uint16_t a = port_make(record + 10), b = port_make(record + 12);

	*rule = (struct rule){
		.direction = record[0] & 2 ? RULE_LISTEN : RULE_CONNECT,
		.protocols = (uint8_t)(record[1] % 3 + 1),
		.pattern = { .any_address = record[2] % 16 == 0, .ip = ip_make(record + 3) },
	};
	pattern->length = record[9] % 129;
	for (unsigned bit = pattern->length; bit < 128; bit++)
		pattern->ip.s6_addr[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	pattern->port_low = a < b ? a : b;
	pattern->port_high = a < b ? b : a;
}

static void look_up(const struct rules *rules, const uint8_t record[RECORD])
{
	struct ip_addr addr = {
		.family = AF_INET6,
		.port = port_make(record + 10),
		.ip = ip_make(record + 3),
	};
	enum rule_direction direction = record[0] & 2 ? RULE_LISTEN : RULE_CONNECT;
	enum rule_protocol protocol = record[1] & 1 ? RULE_TCP : RULE_UDP;
	int want = naive_find(rules, direction, protocol, &addr);
	struct target target;

	rules_find(rules, direction, protocol, &addr, &target);
	FUZZ_ASSERT(target.rule == (want < 0 ? NULL : rules_at(rules, (unsigned)want)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .more = fuzz_more, .less = fuzz_less };
	struct rules *rules = rules_new(&arena);
	const uint8_t *at = data, *end = data + size - size % RECORD;
	struct rule rule;

	for (unsigned i = 0; at < end && !(*at & 1) && i < RULES_MAX; i++, at += RECORD) {
		rule_make(at, &rule);
		FUZZ_ASSERT(rules_add(rules, &rule) == 0);
	}
	FUZZ_ASSERT(rules_seal(rules) == 0);
	/* The rules' own bytes are addresses that are likely to match. */
	for (at = data; at < end; at += RECORD)
		look_up(rules, at);
	arena_free(&arena);
	return 0;
}
