/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of rules, in memory that several processes share or in a file: their form, and how a rule gets its place. */
#ifndef IP2VSOCK_COUNTERS_H
#define IP2VSOCK_COUNTERS_H

#include "ip2vsock/rule.h"

/* What is counted for each rule. */
enum counter {
	STAT_USED,	/* a call that the rule retargets */
	STAT_FAILED,	/* such a call that failed at once */
	STAT_REFUSED,	/* a call or datagram that the rule rejects */
	STAT_DENIED,	/* a peer that allow= keeps out */
	STAT_RETRIED,	/* another try of retry= */
	STAT_FELL_BACK, /* fallback= was needed */
	STAT_COUNT
};

/* "ip2vcnt1", in the byte order of the machine: what has another is of another form, or of another machine. */
#define COUNTERS_MAGIC UINT64_C(0x31746e6376327069)
#define COUNTERS_SLOTS 255
#define COUNTERS_TEXT_SIZE 196

/*
 * A slot is taken by exchanging its id from 0, and never given back. That is all there is to it: whoever is killed just
 * then leaves nothing half done but the text, which the next who finds the slot writes again.
 */
struct counters_slot {
	uint64_t id; /* of the rule */
	uint64_t counts[STAT_COUNT];
	uint32_t named; /* the text is whole: the statement, NUL, its place, NUL */
	char text[COUNTERS_TEXT_SIZE];
};

/* Zeroes become such a table by counters_begin(). Slots are taken from the first on; the last is of all rules
 * that find none. */
struct counters {
	uint64_t magic;
	uint64_t since; /* when it began, in ns of CLOCK_REALTIME; tells it from another at the same place */
	uint32_t pid;	/* of who began it */
	uint32_t slot_count;
	char spare[232];
	struct counters_slot slots[COUNTERS_SLOTS];
};

/* A rule as the table knows it: by its text and its place, which are the same in every process. */
struct counters_name {
	uint64_t id;
	char text[COUNTERS_TEXT_SIZE];
};

/* What is too long is cut: a statement at its end, the name of a file at its beginning. */
void counters_name(const char *statement, const struct rule_place *place, struct counters_name *out);

/* Begins a table of zeroes, or does nothing where others have done so. False: it is none. `now` is not 0. */
bool counters_begin(struct counters *table, uint64_t now, uint32_t pid);

/* True when it can be read. */
bool counters_are_valid(const struct counters *table);

/*
 * The slot of a rule, which takes one if it has none. Any number of processes and threads may ask at once, and signal
 * handlers that interrupt them. With `reachable` it is asked before memory is touched; NULL when it says no.
 */
struct counters_slot *counters_slot(struct counters *table, const struct counters_name *name,
				    bool (*reachable)(const void *));

static inline void counters_add(struct counters_slot *slot, enum counter what)
{
	__atomic_fetch_add(&slot->counts[what], 1, __ATOMIC_RELAXED);
}

#endif
