/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what a peer sends. What must hold: nothing is read beyond the bytes that are there, the same records
 * are found whether they come at once or byte by byte, and what is understood is what would be written.
 */
#include "ip2vsock/dgram.h"

#include "fuzz.h"

#include <string.h>

/* A copy without a byte to spare, which the address sanitizer watches. */
static long size_of(const uint8_t *bytes, size_t have)
{
	uint8_t *copy = malloc(have ? have : 1);
	long size;

	FUZZ_ASSERT(copy);
	memcpy(copy, bytes, have);
	size = dgram_record_size(have ? copy : copy + 1, have);
	free(copy);
	return size;
}

static void hello_check(const uint8_t *data)
{
	uint8_t back[DGRAM_HELLO_SIZE];
	uint32_t port = 1, again = 2;
	enum dgram_hello verdict = dgram_hello_read(data, &port);

	FUZZ_ASSERT((verdict == DGRAM_HELLO_FOREIGN) == (memcmp(data, "i2vU", 4) != 0));
	if (verdict != DGRAM_HELLO_GOOD) {
		FUZZ_ASSERT(port == 1);
		return;
	}
	dgram_hello_write(port, back);
	FUZZ_ASSERT(memcmp(back, data, sizeof back) == 0);
	FUZZ_ASSERT(dgram_hello_read(back, &again) == DGRAM_HELLO_GOOD && again == port);
	FUZZ_ASSERT(dgram_carrier_port(dgram_carrier_port(port)) == port);
}

/* The record at the start of the bytes, as a reader meets it whose buffer fills slowly. */
static long record_check(const uint8_t *bytes, size_t have)
{
	long whole = size_of(bytes, have);
	uint8_t prefix[DGRAM_PREFIX_SIZE];

	for (size_t some = 0; some < have && some <= DGRAM_PREFIX_SIZE + 1; some++)
		FUZZ_ASSERT(size_of(bytes, some) == (some < DGRAM_PREFIX_SIZE ? 0 : whole));
	if (whole <= 0) {
		FUZZ_ASSERT(whole == -1 ? have >= DGRAM_PREFIX_SIZE : have < DGRAM_PREFIX_SIZE);
		return whole;
	}
	FUZZ_ASSERT(whole >= DGRAM_PREFIX_SIZE && whole <= DGRAM_PREFIX_SIZE + DGRAM_MOST);
	dgram_prefix_write((size_t)whole - DGRAM_PREFIX_SIZE, prefix);
	FUZZ_ASSERT(memcmp(prefix, bytes, sizeof prefix) == 0);
	return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;
	long record;

	if (size >= DGRAM_HELLO_SIZE) {
		hello_check(data);
		at = DGRAM_HELLO_SIZE;
	}
	do {
		record = record_check(data + at, size - at);
		at += record > 0 ? (size_t)record : 0;
	} while (record > 0 && at < size);
	return 0;
}
