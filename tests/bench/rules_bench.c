/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What loading a mapping and asking it costs, by number of rules and by kind of rule. Prints a table:
 * milliseconds from text to sealed rules, KiB they take, nanoseconds for addresses that no rule
 * matches (ever others) and for one that the last rule matches.
 *
 * Usage: rules_bench [number of rules]...          (1 100 10000 100000)
 * Instructions per look-up, where the processor's own counters cannot be had:
 *     valgrind --tool=callgrind --toggle-collect=rules_find rules_bench 100000
 */
#include "ip2vsock/config.h"
#include "ip2vsock/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LOOKUPS 200000u
#define UNMATCHED 4096u /* a power of two */
#define ROUNDS 5 /* the best of which counts */
#define LINE_MAX_LENGTH 96u

static size_t mapped; /* bytes now held by arenas */

static void *more(size_t size)
{
	/* As the library asks for it. */
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (size > 65536 ? MAP_POPULATE : 0);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	mapped += size;
	return memory;
}

static void less(void *chunk, size_t size)
{
	munmap(chunk, size);
	mapped -= size;
}

static void complain(void *context, const struct config_complaint *complaint)
{
	(void)context;
	fprintf(stderr, "%s:%u:%u: %s\n", complaint->source, complaint->line, complaint->column,
		complaint->text);
	exit(EXIT_FAILURE);
}

static void v4_text(struct text *text, uint32_t v4)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		text_uint(text, v4 >> shift & 0xff);
		text_str(text, shift ? "." : "");
	}
}

/* host lines with two names each */
static void write_host(struct text *text, uint32_t i, struct ip_addr *matched)
{
	text_str(text, "host ");
	v4_text(text, 0x0a000000 + i);
	text_str(text, " ");
	text_uint(text, 3 + i);
	text_str(text, " node");
	text_uint(text, i);
	text_str(text, ".cluster.vm node");
	text_uint(text, i);
	text_str(text, "\n");
	*matched = ip_addr_from_v4(0x0a000000 + i, 5432, AF_INET);
}

/* one address and one port each */
static void write_exact(struct text *text, uint32_t i, struct ip_addr *matched)
{
	text_str(text, "connect ");
	v4_text(text, 0x0a000000 + i);
	text_str(text, ":5432 vsock ");
	text_uint(text, 3 + i);
	text_str(text, ":5432\n");
	*matched = ip_addr_from_v4(0x0a000000 + i, 5432, AF_INET);
}

/* prefixes of four lengths, and port ranges */
static void write_prefix(struct text *text, uint32_t i, struct ip_addr *matched)
{
	static const uint32_t lengths[] = { 32, 28, 24, 16 };
	uint32_t length = lengths[i % 4];
	uint32_t v4 = (0x0a000000 + i * 0x101) & ~0u << (32 - length);

	text_str(text, "connect tcp ");
	v4_text(text, v4);
	text_str(text, "/");
	text_uint(text, length);
	text_str(text, ":8000-8099 vsock ");
	text_uint(text, 3 + i);
	text_str(text, ":9000-9099\n");
	*matched = ip_addr_from_v4(v4, 8050, AF_INET);
}

/* IPv6 nets of 64 bits that differ in the last of these */
static void write_net6(struct text *text, uint32_t i, struct ip_addr *matched)
{
	char group[32];
	struct text hex;

	text_init(&hex, group, sizeof(group));
	text_hex(&hex, i & 0xffff);
	text_str(text, "connect [2001:db8:");
	text_uint(text, i >> 16);
	text_str(text, ":");
	text_str(text, group + strlen("0x"));
	text_str(text, "::]/64:443 vsock ");
	text_uint(text, 3 + i);
	text_str(text, ":443\n");
	*matched = (struct ip_addr){
		.family = AF_INET6,
		.port = 443,
		.ip.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
				(uint8_t)i, [15] = 1 },
	};
}

/* port ranges of one address that overlap */
static void write_ranges(struct text *text, uint32_t i, struct ip_addr *matched)
{
	text_str(text, "connect 10.0.0.3:");
	text_uint(text, 1 + i * 7919 % 64000);
	text_str(text, "-");
	text_uint(text, 1 + i * 7919 % 64000 + i % 1000);
	text_str(text, " vsock 3:*\n");
	*matched = ip_addr_from_v4(0x0a000003, (uint16_t)(1 + i * 7919 % 64000), AF_INET);
}

static const struct kind {
	const char *name;
	void (*write)(struct text *text, uint32_t i, struct ip_addr *matched);
} kinds[] = {
	{ "host", write_host },
	{ "exact", write_exact },
	{ "prefix", write_prefix },
	{ "net6", write_net6 },
	{ "ranges", write_ranges },
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static struct rules *load(struct arena *arena, const struct text *text)
{
	static const struct config_io io = { .complain = complain };
	struct rules *rules = rules_new(arena);

	if (!rules || config_text(rules, arena, "bench", text->buf, text->len, &io) != 0 ||
	    rules_seal(rules) < 0) {
		perror("rules");
		exit(EXIT_FAILURE);
	}
	return rules;
}

/* Random addresses, the same ones every time, of 192.0.0.0/2 or of 2000::/32: the rules are of
 * 10.0.0.0/8 or 2001:db8::/32. */
static void fill_unmatched(struct ip_addr addrs[UNMATCHED], sa_family_t family)
{
	uint32_t random = 1;

	for (unsigned i = 0; i < UNMATCHED; i++) {
		random ^= random << 13; /* xorshift32 */
		random ^= random >> 17;
		random ^= random << 5;
		addrs[i] = ip_addr_from_v4(random | 0xc0000000, 5432, family);
		if (family == AF_INET6) {
			addrs[i].ip = (struct in6_addr){ .s6_addr = { 0x20 } };
			memcpy(addrs[i].ip.s6_addr + 4, &random, sizeof(random));
		}
	}
}

/* Nanoseconds for one look-up of `count` addresses (a power of two) in turn, and how many matched. */
static double ask(const struct rules *rules, const struct ip_addr *addrs, unsigned count,
		  unsigned *matched)
{
	double best = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct target target;
		double start = now(), took;

		*matched = 0;
		for (unsigned i = 0; i < LOOKUPS; i++) {
			/* The compiler must not find out that nothing changes. */
			__asm__ volatile("" : : "r"(addrs) : "memory");
			rules_find(rules, RULE_CONNECT, RULE_TCP, &addrs[i & (count - 1)], &target);
			*matched += target.rule != NULL;
		}
		took = (now() - start) / LOOKUPS;
		if (round == 0 || took < best)
			best = took;
	}
	return best;
}

static void measure(const struct kind *kind, uint32_t count)
{
	static struct ip_addr unmatched[UNMATCHED];
	struct ip_addr matched = { 0 };
	double best = 0, miss, hit;
	size_t size = (size_t)count * LINE_MAX_LENGTH, bytes = 0;
	char *buf = malloc(size);
	unsigned misses, hits;
	struct text text;

	text_init(&text, buf, size);
	for (uint32_t i = 0; i < count; i++)
		kind->write(&text, i, &matched);
	fill_unmatched(unmatched, matched.family);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct arena arena = { .more = more, .less = less };
		double start = now(), took;

		load(&arena, &text);
		took = now() - start;
		if (round == 0 || took < best)
			best = took;
		bytes = mapped;
		arena_free(&arena);
	}
	{
		struct arena arena = { .more = more, .less = less };
		struct rules *rules = load(&arena, &text);

		miss = ask(rules, unmatched, UNMATCHED, &misses);
		hit = ask(rules, &matched, 1, &hits);
		arena_free(&arena);
	}
	printf("%-8s %7u %9.3f %8zu %8.1f %8.1f%s\n", kind->name, count, best / 1e6, bytes / 1024,
	       miss, hit, misses > 0 || hits < LOOKUPS ? " WRONG" : "");
	free(buf);
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = { 1, 100, 10000, 100000 };

	printf("%-8s %7s %9s %8s %8s %8s\n", "kind", "rules", "load ms", "KiB", "miss ns", "match ns");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (argc > 1)
			for (int i = 1; i < argc; i++)
				measure(&kinds[k], (uint32_t)strtoul(argv[i], NULL, 10));
		else
			for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
				measure(&kinds[k], counts[i]);
	}
	return 0;
}
