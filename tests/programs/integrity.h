/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was sent and what arrived, in memory that all processes share; and datagrams, which say what they are. */
#ifndef TEST_INTEGRITY_H
#define TEST_INTEGRITY_H

#include "common.h"

#include <sys/mman.h>

#define RECEIVERS 3
#define SENDERS 6
#define PARTIES (RECEIVERS + SENDERS)
#define SEQUENCES (1u << 20)
#define MOST 65507

enum fate {
	FATE_REFUSED = 1, /* the sender was told that it is not sent */
	FATE_ARRIVED = 2,
};

/* From one party to another. */
struct ledger {
	uint32_t next;
	uint32_t arrived;
	uint32_t tiny_sent, tiny_arrived; /* too small to say who they are */
	uint8_t fate[SEQUENCES];
};

enum phase {
	STORM,
	SILENCE,
	CALM,
	OVER,
};

static struct world {
	struct ledger ledgers[PARTIES][PARTIES];
	uint16_t ports[PARTIES];
	uint32_t corrupt, twice, strangers, interrupted;
	uint32_t spoil; /* the checks themselves are tested */
	int phase;
} *world;

struct __attribute__((packed)) header {
	uint8_t from, to;
	uint16_t size;
	uint32_t sequence;
	uint32_t check;
};

static void world_make(void)
{
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (world == MAP_FAILED)
		die("mmap");
}

static void count(uint32_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static int phase(void)
{
	return __atomic_load_n(&world->phase, __ATOMIC_RELAXED);
}

static uint64_t mixed(uint64_t state)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state;
}

/* 0 to most - 1. */
static uint32_t random_below(uint64_t *state, uint32_t most)
{
	*state = mixed(*state);
	return (uint32_t)((*state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % most;
}

static uint64_t body_seed(const struct header *header)
{
	return mixed(((uint64_t)header->sequence << 32 | (uint64_t)header->size << 16 |
		      (uint64_t)header->from << 8 | header->to) ^ UINT64_C(0x9e3779b97f4a7c15));
}

/* The bytes that follow this header; and whether they do, of the first `have`. */
static void body_write(uint8_t *data, size_t size, const struct header *header)
{
	uint64_t state = body_seed(header);

	for (size_t at = sizeof(*header); at < size; at += sizeof(state)) {
		const size_t left = size - at;

		state = mixed(state);
		memcpy(data + at, &state, left < sizeof(state) ? left : sizeof(state));
	}
}

static bool body_is_good(const uint8_t *data, size_t have, const struct header *header)
{
	uint64_t state = body_seed(header);

	for (size_t at = sizeof(*header); at < have; at += sizeof(state)) {
		const size_t left = have - at;

		state = mixed(state);
		if (memcmp(data + at, &state, left < sizeof(state) ? left : sizeof(state)))
			return false;
	}
	return true;
}

static uint8_t tiny_byte(size_t size, size_t at)
{
	return (uint8_t)(size * 17 + at);
}

/* Writes the next datagram and enters it. False when the book is full. */
static bool datagram_write(uint8_t *data, size_t size, unsigned from, unsigned to, uint32_t *sequence)
{
	struct ledger *ledger = &world->ledgers[from][to];
	struct header header = {.from = (uint8_t)from, .to = (uint8_t)to, .size = (uint16_t)size};

	if (size < sizeof(header)) {
		for (size_t i = 0; i < size; i++)
			data[i] = tiny_byte(size, i);
		count(&ledger->tiny_sent);
		*sequence = SEQUENCES;
		return true;
	}
	if (__atomic_load_n(&ledger->next, __ATOMIC_RELAXED) >= SEQUENCES - 64)
		return false;
	header.sequence = *sequence = __atomic_fetch_add(&ledger->next, 1, __ATOMIC_RELAXED);
	header.check = (uint32_t)body_seed(&header);
	memcpy(data, &header, sizeof(header));
	body_write(data, size, &header);
	return true;
}

static void datagram_refused(unsigned from, unsigned to, uint32_t sequence)
{
	if (sequence < SEQUENCES)
		__atomic_fetch_or(&world->ledgers[from][to].fate[sequence], FATE_REFUSED, __ATOMIC_RELAXED);
}

static void tiny_check(const uint8_t *data, size_t have, size_t size, unsigned from, unsigned to)
{
	for (size_t i = 0; i < have; i++)
		if (data[i] != tiny_byte(size, i)) {
			count(&world->corrupt);
			return;
		}
	count(&world->ledgers[from][to].tiny_arrived);
}

/* PARTIES when nobody has this port. Who was not bound may learn it later than others do. */
static unsigned party_of(unsigned port)
{
	for (int tries = 0; tries < 100; tries++) {
		for (unsigned party = 0; party < PARTIES; party++)
			if (__atomic_load_n(&world->ports[party], __ATOMIC_RELAXED) == port)
				return party;
		usleep(5000);
	}
	return PARTIES;
}

/* What came to `me`: the first `have` bytes of `size`. */
static void datagram_check(const uint8_t *data, size_t have, size_t size, unsigned me, unsigned port)
{
	const unsigned from = party_of(port);
	struct header header;
	struct ledger *ledger;

	if (from == PARTIES) {
		count(&world->strangers);
		return;
	}
	if (size < sizeof(header)) {
		tiny_check(data, have, size, from, me);
		return;
	}
	if (have < sizeof(header))
		return;
	memcpy(&header, data, sizeof(header));
	ledger = &world->ledgers[from][me];
	if (header.from != from || header.to != me || header.size != size || header.check != (uint32_t)body_seed(&header) ||
	    header.sequence >= __atomic_load_n(&ledger->next, __ATOMIC_RELAXED) || !body_is_good(data, have, &header)) {
		count(&world->corrupt);
		return;
	}
	if (__atomic_fetch_or(&ledger->fate[header.sequence], FATE_ARRIVED, __ATOMIC_RELAXED) & FATE_ARRIVED)
		count(&world->twice);
	else
		count(&ledger->arrived);
}

#endif
