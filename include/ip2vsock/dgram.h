/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams carried over a stream connection: bytes only. ip2vsock.7 describes the format, "DATAGRAMS ON THE WIRE". */
#ifndef IP2VSOCK_DGRAM_H
#define IP2VSOCK_DGRAM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Streams and datagrams have port spaces of their own in IP and share one in vsock: the listener for datagrams to
 * port P is bound to the stream port P ^ DGRAM_PORT_BITS ("UD" in the upper half). The mapping is its own inverse.
 */
#define DGRAM_PORT_BITS UINT32_C(0x55440000)

static inline uint32_t dgram_carrier_port(uint32_t port)
{
	return port ^ DGRAM_PORT_BITS;
}

/*
 * A connection carries datagrams both ways. Whoever makes it sends a hello first, which says from what port its
 * datagrams come (a client cannot be bound to the port that its own listener has):
 *	4 bytes  "i2vU"
 *	1 byte   version, 1
 *	3 bytes  0
 *	4 bytes  port, big-endian
 * Then come records, in both directions: 2 bytes of length, big-endian, and so many bytes, which are one datagram. A
 * length of 0 is an empty datagram; lengths beyond DGRAM_MOST are reserved. Whoever reads anything else closes the
 * connection.
 */
#define DGRAM_HELLO_SIZE 12
#define DGRAM_PREFIX_SIZE 2
#define DGRAM_VERSION 1
/* The most that UDP over IPv6 carries: 65535 less its own header (RFC 8200, RFC 768). Over IPv4 it is 65507. */
#define DGRAM_MOST 65527
#define DGRAM_MOST_V4 65507

enum dgram_hello {
	DGRAM_HELLO_GOOD,
	DGRAM_HELLO_FOREIGN, /* somebody who does not speak this at all */
	DGRAM_HELLO_VERSION, /* another version, or bytes that this one leaves 0 */
};

void dgram_hello_write(uint32_t port, uint8_t out[DGRAM_HELLO_SIZE]);

/* *port is filled only for DGRAM_HELLO_GOOD. */
enum dgram_hello dgram_hello_read(const uint8_t in[DGRAM_HELLO_SIZE], uint32_t *port);

/* `size` is at most DGRAM_MOST. */
void dgram_prefix_write(size_t size, uint8_t out[DGRAM_PREFIX_SIZE]);

/*
 * Looks at the `have` bytes that a record starts with: returns how many the record takes, prefix included, which may
 * be more than there are; 0 while the prefix itself is not whole; -1 for a length that is reserved.
 */
long dgram_record_size(const uint8_t *bytes, size_t have);

#endif
