/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams carried over a stream connection: bytes only. */
#include "ip2vsock/dgram.h"

#include <string.h>

static const uint8_t magic[4] = {'i', '2', 'v', 'U'};
/* Version 1 and the three bytes that it does not use. */
static const uint8_t version[4] = {DGRAM_VERSION};

void dgram_hello_write(uint32_t port, uint8_t out[DGRAM_HELLO_SIZE])
{
	memcpy(out, magic, sizeof magic);
	memcpy(out + 4, version, sizeof version);
	out[8] = (uint8_t)(port >> 24);
	out[9] = (uint8_t)(port >> 16);
	out[10] = (uint8_t)(port >> 8);
	out[11] = (uint8_t)port;
}

enum dgram_hello dgram_hello_read(const uint8_t in[DGRAM_HELLO_SIZE], uint32_t *port)
{
	if (memcmp(in, magic, sizeof magic) != 0)
		return DGRAM_HELLO_FOREIGN;
	if (memcmp(in + 4, version, sizeof version) != 0)
		return DGRAM_HELLO_VERSION;
	*port = (uint32_t)in[8] << 24 | (uint32_t)in[9] << 16 | (uint32_t)in[10] << 8 | in[11];
	return DGRAM_HELLO_GOOD;
}

void dgram_prefix_write(size_t size, uint8_t out[DGRAM_PREFIX_SIZE])
{
	out[0] = (uint8_t)(size >> 8);
	out[1] = (uint8_t)size;
}

long dgram_record_size(const uint8_t *bytes, size_t have)
{
	long size;

	if (have < DGRAM_PREFIX_SIZE)
		return 0;
	size = (long)bytes[0] << 8 | bytes[1];
	return size <= DGRAM_MOST ? DGRAM_PREFIX_SIZE + size : -1;
}
