/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Echoes and questions, by the stream library (its public header only), or by plain sockets of AF_INET:
 *	streams [-r REALM] [-c CID] serve ENDPOINT [COUNT] | ask ENDPOINT WORD [COUNT] | pour ENDPOINT BYTES
 *	streams inet-serve PORT [COUNT] | inet-ask ADDRESS PORT WORD [COUNT] | inet-pour ADDRESS PORT BYTES
 * A server sends back what comes until its client is done, and says who it was. ask opens COUNT connections at once.
 */
#include "vsock_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MOST 250
#define BLOCK 65536

static const char *realm;
static unsigned cid = 1;

static void fail(const char *what)
{
	fprintf(stderr, "streams: %s\n", what);
	exit(1);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Fletcher's, of bytes that go by. */
static unsigned long checksum(unsigned long sum, const unsigned char *data, size_t size)
{
	unsigned a = (unsigned)(sum & 0xffff), b = (unsigned)(sum >> 16);

	for (size_t i = 0; i < size; i++) {
		a = (a + data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return (unsigned long)b << 16 | a;
}

static void pattern(unsigned char *data, size_t size, unsigned long at)
{
	for (size_t i = 0; i < size; i++, at++)
		data[i] = (unsigned char)(at * 31 + (at >> 9));
}

/* --- by the library */

static struct vsock_stream *stream_new(void)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);

	if (!stream)
		fail("memory");
	if (realm && vsock_stream_set_realm(stream, realm, cid) < 0)
		fail(vsock_stream_error_text(stream));
	return stream;
}

/* A client of the poll loop: what has come from it and not yet gone back. */
struct client {
	struct vsock_stream *stream;
	size_t have, sent;
	unsigned long bytes;
	int ended;
	unsigned char block[BLOCK];
};

static struct client *clients[CLIENTS_MOST];
static unsigned client_count;

static void client_end(unsigned i, const char *why)
{
	struct vsock_stream_endpoint peer;
	char text[VSOCK_STREAM_TEXT_SIZE];

	vsock_stream_peer(clients[i]->stream, &peer);
	if (peer.path[0] == '\0')
		snprintf(text, sizeof(text), "CID %u", peer.cid);
	else
		vsock_stream_endpoint_text(&peer, text, sizeof(text));
	printf("%s: %lu bytes, %s\n", text, clients[i]->bytes, why);
	fflush(stdout);
	vsock_stream_free(clients[i]->stream);
	free(clients[i]);
	clients[i] = clients[--client_count];
}

/* 0, or 1 when the client is gone. */
static int client_go_on(unsigned i)
{
	struct client *client = clients[i];
	ssize_t n;

	if (client->have == client->sent && !client->ended) {
		n = vsock_stream_recv(client->stream, client->block, BLOCK, 0);
		if (n < 0 && errno != EAGAIN)
			return client_end(i, strerror(errno)), 1;
		if (n < 0)
			return 0;
		client->have = (size_t)n;
		client->sent = 0;
		client->bytes += (unsigned long)n;
		client->ended = n == 0;
	}
	if (client->have > client->sent) {
		n = vsock_stream_send(client->stream, client->block + client->sent, client->have - client->sent, 0);
		if (n < 0 && errno != EAGAIN)
			return client_end(i, strerror(errno)), 1;
		client->sent += n < 0 ? 0 : (size_t)n;
	}
	if (client->ended)
		return client_end(i, "end"), 1;
	return 0;
}

static int client_accept(struct vsock_stream *listener)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		fail("memory");
	client->stream = stream_new();
	vsock_stream_set_nonblocking(client->stream, 1);
	if (vsock_stream_accept(listener, client->stream) < 0) {
		if (errno != EAGAIN)
			fail(vsock_stream_error_text(listener));
		vsock_stream_free(client->stream);
		free(client);
		return 0;
	}
	clients[client_count++] = client;
	return 1;
}

static void serve(const char *endpoint, unsigned long count)
{
	struct vsock_stream *listener = stream_new();
	struct pollfd poll_fds[CLIENTS_MOST + 1];

	vsock_stream_set_nonblocking(listener, 1);
	if (vsock_stream_listen_at(listener, endpoint, 0) < 0)
		fail(vsock_stream_error_text(listener));
	puts("ready");
	fflush(stdout);
	while (count > 0 || client_count > 0) {
		unsigned polled = client_count;

		for (unsigned i = 0; i < polled; i++) {
			poll_fds[i].fd = vsock_stream_fd(clients[i]->stream);
			poll_fds[i].events = clients[i]->have > clients[i]->sent ? POLLOUT : POLLIN;
		}
		poll_fds[polled].fd = count > 0 && client_count < CLIENTS_MOST ? vsock_stream_fd(listener) : -1;
		poll_fds[polled].events = vsock_stream_events(listener);
		if (poll(poll_fds, polled + 1, -1) < 0)
			die("poll");
		for (unsigned i = polled; i-- > 0;)
			if (poll_fds[i].revents)
				client_go_on(i);
		if (poll_fds[polled].fd >= 0 && poll_fds[polled].revents)
			count -= (unsigned long)client_accept(listener);
	}
	printf("denied: %lu\n", (unsigned long)vsock_stream_denied(listener));
	vsock_stream_free(listener);
}

static struct vsock_stream *reach(const char *endpoint)
{
	struct vsock_stream *stream = stream_new();

	if (vsock_stream_connect_to(stream, endpoint) < 0)
		fail(vsock_stream_error_text(stream));
	return stream;
}

static void ask(const char *endpoint, const char *word, unsigned count)
{
	struct vsock_stream *streams[CLIENTS_MOST];
	size_t length = strlen(word);
	char answer[256];

	for (unsigned i = 0; i < count; i++)
		streams[i] = reach(endpoint);
	for (unsigned i = 0; i < count; i++)
		if (vsock_stream_send_all(streams[i], word, length) < 0 || vsock_stream_shutdown(streams[i], SHUT_WR) < 0)
			fail(vsock_stream_error_text(streams[i]));
	for (unsigned i = 0; i < count; i++) {
		ssize_t got = vsock_stream_recv_exactly(streams[i], answer, sizeof(answer) - 1);

		if (got < 0)
			fail(vsock_stream_error_text(streams[i]));
		printf("%.*s\n", (int)got, answer);
		vsock_stream_free(streams[i]);
	}
}

/* --- by plain sockets */

static struct sockaddr_in inet_address(const char *address, const char *port)
{
	struct sockaddr_in to;

	memset(&to, 0, sizeof(to));
	to.sin_family = AF_INET;
	to.sin_port = htons((unsigned short)atoi(port));
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail("no address");
	return to;
}

static int inet_reach(const char *address, const char *port)
{
	struct sockaddr_in to = inet_address(address, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	return fd;
}

static void inet_send_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n < 0)
			die("send");
		at += n;
		size -= (size_t)n;
	}
}

/* One after another. */
static void inet_serve(const char *port, unsigned long count)
{
	struct sockaddr_in at = inet_address("0.0.0.0", port), peer;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	static unsigned char block[BLOCK];

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 128) < 0)
		die("listen");
	puts("ready");
	fflush(stdout);
	for (; count > 0; count--) {
		socklen_t len = sizeof(peer);
		int fd = accept(listener, (struct sockaddr *)&peer, &len);
		unsigned long bytes = 0;
		ssize_t n;

		if (fd < 0)
			die("accept");
		while ((n = recv(fd, block, sizeof(block), 0)) > 0) {
			bytes += (unsigned long)n;
			if (send(fd, block, (size_t)n, MSG_NOSIGNAL) != n)
				break;
		}
		printf("%s: %lu bytes, %s\n", inet_ntoa(peer.sin_addr), bytes, n < 0 ? strerror(errno) : n > 0 ? "gone" : "end");
		fflush(stdout);
		close(fd);
	}
}

static void inet_ask(const char *address, const char *port, const char *word, unsigned count)
{
	int fds[CLIENTS_MOST];
	char answer[256];

	for (unsigned i = 0; i < count; i++)
		fds[i] = inet_reach(address, port);
	for (unsigned i = 0; i < count; i++) {
		inet_send_all(fds[i], word, strlen(word));
		shutdown(fds[i], SHUT_WR);
	}
	for (unsigned i = 0; i < count; i++) {
		size_t have = 0;
		ssize_t n;

		while ((n = recv(fds[i], answer + have, sizeof(answer) - have, 0)) > 0)
			have += (size_t)n;
		if (n < 0)
			die("recv");
		printf("%.*s\n", (int)have, answer);
		close(fds[i]);
	}
}

/* --- many bytes there and back: a child sends, for which the descriptor is enough */

static void pour(int fd, struct vsock_stream *stream, unsigned long bytes)
{
	static unsigned char block[BLOCK];
	unsigned long sum = 1, wanted = 1, all = 0;
	pid_t sender = fork();
	ssize_t n;

	if (sender < 0)
		die("fork");
	if (sender == 0) {
		for (unsigned long at = 0; at < bytes;) {
			size_t size = bytes - at < BLOCK ? bytes - at : BLOCK;

			pattern(block, size, at);
			if (!stream)
				inet_send_all(fd, block, size);
			else if (vsock_stream_send_all(stream, block, size) < 0)
				fail(vsock_stream_error_text(stream));
			at += size;
		}
		if (shutdown(fd, SHUT_WR) < 0)
			die("shutdown");
		_exit(0);
	}
	while ((n = stream ? vsock_stream_recv(stream, block, BLOCK, 0) : recv(fd, block, BLOCK, 0)) > 0) {
		sum = checksum(sum, block, (size_t)n);
		all += (unsigned long)n;
	}
	if (n < 0)
		die("receive");
	if (all != bytes)
		fail("the stream has ended early");
	for (unsigned long at = 0; at < all; at += BLOCK) {
		size_t size = all - at < BLOCK ? all - at : BLOCK;

		pattern(block, size, at);
		wanted = checksum(wanted, block, size);
	}
	printf("%lu bytes, %s\n", all, sum == wanted ? "the same" : "not the same");
}

static unsigned count_of(const char *text)
{
	unsigned long count = text ? strtoul(text, NULL, 10) : 1;

	return count < CLIENTS_MOST ? (unsigned)count : CLIENTS_MOST;
}

int main(int argc, char **argv)
{
	const char *verb, *a, *b, *c, *d;
	int option;

	while ((option = getopt(argc, argv, "+r:c:")) != -1) {
		if (option == 'r')
			realm = optarg;
		else if (option == 'c')
			cid = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	argv += optind;
	argc -= optind;
	if (argc < 2 || argc > 5)
		return 2;
	verb = argv[0];
	a = argv[1];
	b = argc > 2 ? argv[2] : NULL;
	c = argc > 3 ? argv[3] : NULL;
	d = argc > 4 ? argv[4] : NULL;
	if (strcmp(verb, "serve") == 0)
		serve(a, b ? strtoul(b, NULL, 10) : ~0ul);
	else if (strcmp(verb, "inet-serve") == 0)
		inet_serve(a, b ? strtoul(b, NULL, 10) : ~0ul);
	else if (strcmp(verb, "ask") == 0 && b)
		ask(a, b, count_of(c));
	else if (strcmp(verb, "pour") == 0 && b) {
		struct vsock_stream *stream = reach(a);

		pour(vsock_stream_fd(stream), stream, strtoul(b, NULL, 10));
		vsock_stream_free(stream);
	} else if (strcmp(verb, "inet-ask") == 0 && c)
		inet_ask(a, b, c, count_of(d));
	else if (strcmp(verb, "inet-pour") == 0 && c)
		pour(inet_reach(a, b), NULL, strtoul(c, NULL, 10));
	else
		return 2;
	return 0;
}
