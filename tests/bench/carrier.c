/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What carries datagrams best over AF_VSOCK: messages of a SEQPACKET connection, records of a STREAM connection (a
 * length before each), or records that fill up at least PADDED_LEAST bytes. Side by side, over the loopback, CID 1:
 *	carrier trip|rate|loss|unread|fragment [WINDOW]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 9
#define TRIPS 200
#define READ_AHEAD 131072
#define PADDED_LEAST 640
#define MOST 65536

enum carrier { SEQPACKET, STREAM, PADDED, CARRIERS };

static const char *const names[] = {"seqpacket", "stream", "padded"};

struct end {
	enum carrier carrier;
	int fd;
	uint8_t *ahead; /* of records, what was read and not yet taken */
	size_t start;
	size_t have;
};

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int double_compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *values)
{
	qsort(values, BATCHES, sizeof *values, double_compare);
	return values[BATCHES / 2];
}

static int socket_new(enum carrier carrier, uint64_t window)
{
	int fd = socket(AF_VSOCK, carrier == SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM, 0);

	check(fd >= 0, "socket");
	check(setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &window, sizeof window) == 0, "window");
	check(setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &window, sizeof window) == 0, "window");
	return fd;
}

static void end_set(struct end *end, enum carrier carrier, int fd)
{
	*end = (struct end){.carrier = carrier, .fd = fd, .ahead = malloc(READ_AHEAD)};
	check(end->ahead != NULL, "malloc");
}

static void end_close(struct end *end)
{
	close(end->fd);
	free(end->ahead);
}

/* Both ends of a connection. */
static void pair(enum carrier carrier, uint64_t window, struct end *client, struct end *server)
{
	static unsigned port = 20000;
	struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = ++port};
	const struct sockaddr *to = (const struct sockaddr *)&address;
	int listener = socket_new(carrier, window);
	int fd = socket_new(carrier, window);

	check(bind(listener, to, sizeof address) == 0 && listen(listener, 1) == 0, "listen");
	check(connect(fd, to, sizeof address) == 0, "connect");
	end_set(client, carrier, fd);
	end_set(server, carrier, accept(listener, NULL, NULL));
	check(server->fd >= 0, "accept");
	close(listener);
}

/* How long the record of a datagram is. */
static size_t record_size(enum carrier carrier, size_t size)
{
	if (carrier == SEQPACKET)
		return size;
	return carrier == PADDED && size + 2 < PADDED_LEAST ? PADDED_LEAST : size + 2;
}

/* One call. -1 with errno, or how much of the record went. */
static ssize_t end_send_some(const struct end *end, uint8_t *data, size_t size, size_t done, int flags)
{
	uint8_t record[PADDED_LEAST] = {(uint8_t)(size >> 8), (uint8_t)size};
	struct iovec parts[] = {{record, 2}, {data, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (end->carrier == SEQPACKET)
		return send(end->fd, data, size, flags | MSG_NOSIGNAL);
	if (size + 2 <= sizeof record) { /* one piece is cheaper than two */
		memcpy(record + 2, data, size);
		return send(end->fd, record + done, record_size(end->carrier, size) - done, flags | MSG_NOSIGNAL);
	}
	if (done >= 2) {
		message = (struct msghdr){.msg_iov = parts + 1, .msg_iovlen = 1};
		done -= 2;
	}
	message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + done;
	message.msg_iov->iov_len -= done;
	return sendmsg(end->fd, &message, flags | MSG_NOSIGNAL);
}

/* A whole datagram, however long that takes. */
static bool end_send(const struct end *end, uint8_t *data, size_t size)
{
	for (size_t done = 0; done < record_size(end->carrier, size);) {
		ssize_t sent = end_send_some(end, data, size, done, 0);

		if (sent < 0)
			return false;
		done += (size_t)sent;
	}
	return true;
}

/* The size of the datagram that was put into data, or -1 at the end. */
static ssize_t end_receive(struct end *end, uint8_t *data)
{
	ssize_t size;

	if (end->carrier == SEQPACKET)
		return (size = recv(end->fd, data, MOST, 0)) > 0 ? size : -1;
	for (;;) {
		uint8_t *record = end->ahead + end->start;

		if (end->have >= 2) {
			size = record[0] << 8 | record[1];
			if (end->have >= record_size(end->carrier, (size_t)size)) {
				memcpy(data, record + 2, (size_t)size);
				end->start += record_size(end->carrier, (size_t)size);
				end->have -= record_size(end->carrier, (size_t)size);
				return size;
			}
		}
		memmove(end->ahead, record, end->have);
		end->start = 0;
		size = recv(end->fd, end->ahead + end->have, READ_AHEAD - end->have, 0);
		if (size <= 0)
			return -1;
		end->have += (size_t)size;
	}
}

static void trip(uint64_t window)
{
	static uint8_t data[MOST];
	double times[CARRIERS][BATCHES];
	struct end client[CARRIERS];
	struct end server;
	double base;

	for (enum carrier carrier = 0; carrier < CARRIERS; carrier++) {
		pair(carrier, window, &client[carrier], &server);
		if (fork() == 0) {
			close(client[carrier].fd);
			while (end_receive(&server, data) > 0 && end_send(&server, data, 64))
				;
			_exit(0);
		}
		end_close(&server);
	}
	for (int batch = 0; batch < BATCHES; batch++)
		for (enum carrier carrier = 0; carrier < CARRIERS; carrier++) {
			double start = now();

			for (int i = 0; i < TRIPS; i++)
				check(end_send(&client[carrier], data, 64) && end_receive(&client[carrier], data) == 64, "trip");
			times[carrier][batch] = (now() - start) / TRIPS / 1000;
		}
	base = median(times[SEQPACKET]);
	printf("# round trip of 64 bytes, us\n");
	for (enum carrier carrier = 0; carrier < CARRIERS; carrier++) {
		printf("%-10s %8.1f  %.2f\n", names[carrier], median(times[carrier]), median(times[carrier]) / base);
		end_close(&client[carrier]);
	}
}

/* Datagrams a second, from the first that is sent to the last that is received; 0 when the connection died. */
static double rate_once(enum carrier carrier, uint64_t window, size_t size, int count)
{
	static uint8_t data[MOST];
	struct end client;
	struct end server;
	double start;
	pid_t child;
	int status;
	int sent = 0;

	pair(carrier, window, &client, &server);
	start = now();
	child = fork();
	if (child == 0) {
		int received = 0;

		close(client.fd);
		while (received < count && end_receive(&server, data) == (ssize_t)size)
			received++;
		_exit(received == count ? 0 : 1);
	}
	end_close(&server);
	while (sent < count && end_send(&client, data, size))
		sent++;
	check(waitpid(child, &status, 0) == child, "waitpid");
	start = now() - start;
	end_close(&client);
	return sent == count && status == 0 ? count / start * 1e9 : 0;
}

static void rate(uint64_t window)
{
	static const size_t sizes[] = {64, 1400, 8192};

	printf("# datagrams a second, window %llu\n", (unsigned long long)window);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		double rates[CARRIERS][BATCHES];
		int count = sizes[i] < 8192 ? 4000 : 2000;

		for (int batch = 0; batch < BATCHES; batch++)
			for (enum carrier carrier = 0; carrier < CARRIERS; carrier++)
				rates[carrier][batch] = rate_once(carrier, window, sizes[i], count);
		for (enum carrier carrier = 0; carrier < CARRIERS; carrier++) {
			int dead = 0;

			for (int batch = 0; batch < BATCHES; batch++)
				dead += rates[carrier][batch] <= 0;
			printf("%-10s %5zu %8.0f", names[carrier], sizes[i], median(rates[carrier]));
			if (median(rates[SEQPACKET]) > 0)
				printf("  %.2f", median(rates[carrier]) / median(rates[SEQPACKET]));
			printf(dead ? "  died in %d of %d runs\n" : "\n", dead, BATCHES);
		}
	}
}

/* A sender that never waits and drops what finds no room, as UDP does: what share of its datagrams arrives. */
static double arrived_once(enum carrier carrier, uint64_t window, size_t size, int count)
{
	static uint8_t data[MOST];
	static uint32_t received;
	struct end client;
	struct end server;
	size_t done = 0;
	int report[2];

	pair(carrier, window, &client, &server);
	check(pipe(report) == 0, "pipe");
	if (fork() == 0) {
		end_close(&client);
		for (received = 0; end_receive(&server, data) > 0;)
			received++;
		check(write(report[1], &received, sizeof received) == sizeof received, "write");
		_exit(0);
	}
	end_close(&server);
	for (int sent = 0; sent < count; sent++) {
		size_t whole = record_size(carrier, size);
		ssize_t some;

		/* What is left of a record goes before the next one. */
		if (done == 0 || done == whole)
			done = 0;
		else if ((some = end_send_some(&client, data, size, done, MSG_DONTWAIT)) < 0 || (done += (size_t)some) < whole)
			continue;
		else
			done = 0;
		some = end_send_some(&client, data, size, 0, MSG_DONTWAIT);
		done = some < 0 ? 0 : (size_t)some;
	}
	end_close(&client);
	check(read(report[0], &received, sizeof received) == sizeof received, "read");
	close(report[0]);
	close(report[1]);
	return (double)received / count;
}

static void loss(uint64_t window)
{
	static const size_t sizes[] = {64, 1400, 8192};

	printf("# share of datagrams that arrives when the sender never waits, window %llu\n", (unsigned long long)window);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (enum carrier carrier = STREAM; carrier < CARRIERS; carrier++) {
			double shares[BATCHES];

			for (int batch = 0; batch < BATCHES; batch++)
				shares[batch] = arrived_once(carrier, window, sizes[i], 4000);
			printf("%-10s %5zu  %.2f\n", names[carrier], sizes[i], median(shares));
		}
}

/* Nobody reads: how many datagrams are taken, and what becomes of the connection. */
static void unread(uint64_t window)
{
	static const size_t sizes[] = {1, 64, 200, 600, 1400};
	static uint8_t data[MOST];

	printf("# datagrams sent while nobody reads, and then received\n");
	for (enum carrier carrier = 0; carrier < CARRIERS; carrier++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			struct end client;
			struct end server;
			unsigned sent = 0;
			unsigned received = 0;
			int why;

			pair(carrier, window, &client, &server);
			/* A pause each time, so that every packet is where it goes before the next is made. */
			errno = 0;
			while (end_send_some(&client, data, sizes[i], 0, MSG_DONTWAIT) == (ssize_t)record_size(carrier, sizes[i])) {
				sent++;
				nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
			}
			why = errno;
			check(fcntl(server.fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
			while (end_receive(&server, data) > 0)
				received++;
			printf("%-10s %5zu  sent %6u (%s), received %6u (%s)\n", names[carrier], sizes[i], sent,
			       strerrorname_np(why), received, strerrorname_np(errno));
			end_close(&client);
			end_close(&server);
		}
}

/* A datagram of 100 000 bytes finds room for a part only; what does the next one look like? */
static void fragment(uint64_t window)
{
	static uint8_t data[MOST];
	struct end client;
	struct end server;
	ssize_t sent;
	ssize_t size;

	memset(data, 'a', sizeof data);
	printf("# 60000-byte datagrams until there is no room, all that came is read, then a datagram of 10 bytes\n");
	for (enum carrier carrier = 0; carrier <= STREAM; carrier++) {
		pair(carrier, window, &client, &server);
		while ((sent = end_send_some(&client, data, 60000, 0, MSG_DONTWAIT)) == (ssize_t)record_size(carrier, 60000))
			;
		printf("%-10s the last send: %zd (%s)\n", names[carrier], sent, sent < 0 ? strerrorname_np(errno) : "ok");
		for (int i = 0; i < 4; i++)
			check(end_receive(&server, data) == 60000, "receive");
		/* Who was told how much went can send the rest. */
		if (sent > 0)
			check(end_send_some(&client, data, 60000, (size_t)sent, 0) == (ssize_t)record_size(carrier, 60000) - sent, "rest");
		check(end_send(&client, data, 10) && shutdown(client.fd, SHUT_WR) == 0, "send");
		while ((size = end_receive(&server, data)) > 0)
			printf("%-10s received %zd bytes\n", names[carrier], size);
		end_close(&client);
		end_close(&server);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t window);
	} measures[] = {{"trip", trip}, {"rate", rate}, {"loss", loss}, {"unread", unread}, {"fragment", fragment}};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof measures / sizeof *measures; i++)
		if (strcmp(argv[1], measures[i].name) == 0) {
			measures[i].run(argc > 2 ? strtoull(argv[2], NULL, 0) : 262144);
			return 0;
		}
	fprintf(stderr, "usage: carrier trip|rate|loss|unread|fragment [WINDOW]\n");
	return 2;
}
