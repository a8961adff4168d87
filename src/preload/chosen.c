/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small hash table of options by descriptor number. */
#include "preload/chosen.h"
#include "preload/socket.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#define SLOTS 2048u
#define REACH 32u /* slots in which the options of one descriptor are */

/* A slot, from the top: 32 bits value, 1 bit "the value is known", 2 bits level, 8 bits option, 21 bits number + 1. */
#define VALUE_SHIFT 32
#define KNOWN_SHIFT 31
#define LEVEL_SHIFT 29
#define OPTION_SHIFT 21
#define FD_MOST ((1u << OPTION_SHIFT) - 2)
#define KEY_MASK ((UINT64_C(1) << KNOWN_SHIFT) - 1)
#define FD_MASK ((1u << OPTION_SHIFT) - 1)

static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};

static uint64_t slots[SLOTS];

static uint64_t *slot_of(int fd, unsigned i)
{
	return &slots[((unsigned)fd * 2654435761u >> 16) % (SLOTS / REACH) * REACH + i];
}

static bool is_of(uint64_t slot, int fd)
{
	return slot && (slot & FD_MASK) == (unsigned)fd + 1;
}

static bool key_of(int fd, int level, int option, uint64_t *out)
{
	unsigned i = 0;

	while (i < sizeof levels / sizeof *levels && levels[i] != level)
		i++;
	if (i == sizeof levels / sizeof *levels || option < 0 || option > UINT8_MAX || (unsigned)fd > FD_MOST)
		return false;
	*out = (uint64_t)i << LEVEL_SHIFT | (uint64_t)option << OPTION_SHIFT | ((unsigned)fd + 1);
	return true;
}

bool chosen_add(int fd, int level, int option, const void *value, socklen_t size)
{
	uint64_t key, word;
	uint32_t number = 0;

	if (!key_of(fd, level, option, &key))
		return false;
	word = key;
	if (value && size == sizeof number) {
		memcpy(&number, value, sizeof number);
		word |= (uint64_t)number << VALUE_SHIFT | UINT64_C(1) << KNOWN_SHIFT;
	}
	for (unsigned i = 0; i < REACH; i++) {
		uint64_t *slot = slot_of(fd, i), found = __atomic_load_n(slot, __ATOMIC_RELAXED);

		if ((found & KEY_MASK) == key) {
			__atomic_store_n(slot, word, __ATOMIC_RELAXED);
			return true;
		}
	}
	for (unsigned i = 0; i < REACH; i++) {
		uint64_t empty = 0;

		if (__atomic_compare_exchange_n(slot_of(fd, i), &empty, word, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	}
	return false;
}

bool chosen_next(int fd, unsigned *at, struct chosen *out)
{
	while (*at < REACH) {
		uint64_t slot = __atomic_load_n(slot_of(fd, (*at)++), __ATOMIC_RELAXED);

		if (!is_of(slot, fd))
			continue;
		*out = (struct chosen){
			.level = levels[slot >> LEVEL_SHIFT & 3],
			.option = slot >> OPTION_SHIFT & UINT8_MAX,
			.known = slot >> KNOWN_SHIFT & 1,
			.value = (int)(slot >> VALUE_SHIFT),
		};
		return true;
	}
	return false;
}

static bool chosen_find(int fd, int level, int option, struct chosen *out)
{
	for (unsigned at = 0; chosen_next(fd, &at, out);)
		if (out->level == level && out->option == option)
			return true;
	return false;
}

bool chosen_has(int fd, int level, int option)
{
	return chosen_find(fd, level, option, &(struct chosen){.level = 0});
}

int chosen_int(int fd, int level, int option)
{
	struct chosen chosen;

	if (!chosen_find(fd, level, option, &chosen))
		return 0;
	return chosen.known ? chosen.value : option_int(fd, level, option);
}

void chosen_drop(int fd)
{
	for (unsigned i = 0; i < REACH; i++) {
		uint64_t *slot = slot_of(fd, i);

		if (is_of(__atomic_load_n(slot, __ATOMIC_RELAXED), fd))
			__atomic_store_n(slot, 0, __ATOMIC_RELAXED);
	}
}
