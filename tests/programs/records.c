/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end of a UDP program under ip2vsock, by the stream library and what ip2vsock.7 says of datagrams on the wire:
 * records REALM CID ask PEER PORT, or answer PORT COUNT, whose lines are those of datagrams.c. REALM "-": the kernel's vsock.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vsock_stream.h>

#define MOST 65507
#define CARRIER 0x55440000u
#define OWN_PORT 40000

static unsigned char data[MOST];

static void check(bool good, const struct vsock_stream *stream)
{
	if (good)
		return;
	printf("%s\n", vsock_stream_error_text(stream));
	exit(1);
}

static struct vsock_stream *stream_new(char **argv)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);

	if (!stream)
		exit(1);
	if (strcmp(argv[1], "-") != 0)
		check(vsock_stream_set_realm(stream, argv[1], (uint32_t)strtoul(argv[2], NULL, 0)) == 0, stream);
	check(vsock_stream_set_timeout(stream, 600000) == 0, stream);
	return stream;
}

static unsigned char pattern(size_t i, size_t size)
{
	return (unsigned char)(i * 31 + size);
}

static void record_send(struct vsock_stream *stream, size_t size)
{
	const unsigned char length[2] = {(unsigned char)(size >> 8), (unsigned char)size};

	check(vsock_stream_send_all(stream, length, 2) == 2, stream);
	check(vsock_stream_send_all(stream, data, size) == (ssize_t)size, stream);
}

/* False at the end. */
static bool record_receive(struct vsock_stream *stream, size_t *size)
{
	unsigned char length[2];
	bool good = true;

	if (vsock_stream_recv_exactly(stream, length, 2) != 2)
		return false;
	*size = (size_t)length[0] << 8 | length[1];
	check(*size <= MOST && vsock_stream_recv_exactly(stream, data, *size) == (ssize_t)*size, stream);
	for (size_t i = 0; i < *size; i++)
		good &= data[i] == pattern(i, *size);
	printf("%zu bytes, %s, from CID %u", *size, good ? "good" : "bad", vsock_stream_cid(stream));
	return true;
}

static void ask(struct vsock_stream *stream, uint32_t peer, uint32_t port)
{
	static const size_t sizes[] = {5, 5, 0, 0, 1400, 1400, MOST, MOST};
	static const unsigned char hello[12] = {'i', '2', 'v', 'U', 1, 0, 0, 0, 0, 0, OWN_PORT >> 8, OWN_PORT & 0xff};

	check(vsock_stream_connect(stream, peer, port ^ CARRIER) == 0, stream);
	check(vsock_stream_send_all(stream, hello, sizeof hello) == sizeof hello, stream);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size = sizes[i];

		for (size_t at = 0; at < size; at++)
			data[at] = pattern(at, size);
		record_send(stream, size);
		check(record_receive(stream, &size), stream);
		printf(":%u\n", vsock_stream_port(stream) ^ CARRIER);
	}
}

static void answer(struct vsock_stream *listener, struct vsock_stream *stream, uint32_t port, int count)
{
	unsigned char hello[12];
	size_t size;

	check(vsock_stream_listen(listener, VSOCK_STREAM_CID_ANY, port ^ CARRIER, 0) == 0, listener);
	puts("ready");
	while (count > 0) {
		check(vsock_stream_accept(listener, stream) == 0, listener);
		check(vsock_stream_recv_exactly(stream, hello, sizeof hello) == sizeof hello, stream);
		for (; count > 0 && record_receive(stream, &size); count--) {
			putchar('\n');
			record_send(stream, size);
		}
		if (count == 0) /* the answer is read before the connection goes */
			vsock_stream_recv(stream, hello, 1, 0);
		vsock_stream_close(stream);
	}
}

int main(int argc, char **argv)
{
	struct vsock_stream *stream;

	if (argc != 6)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	stream = stream_new(argv);
	if (strcmp(argv[3], "ask") == 0)
		ask(stream, (uint32_t)strtoul(argv[4], NULL, 0), (uint32_t)strtoul(argv[5], NULL, 0));
	else
		answer(stream_new(argv), stream, (uint32_t)strtoul(argv[4], NULL, 0), atoi(argv[5]));
	vsock_stream_free(stream);
	return 0;
}
