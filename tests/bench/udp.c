/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Datagrams, timed, by an ordinary program for UDP and by the same one for SEQPACKET:
 *	udp serve CARRIER PORT [poll]			answers until it is told to end
 *	udp rtt CARRIER PORT SIZE ROUNDS [poll]		prints the median of a round trip in nanoseconds
 *	udp flood CARRIER PORT SIZE MILLISECONDS [poll]	prints datagrams sent, datagrams received, received in a second
 *	udp send CARRIER PORT SIZE COUNT MICROSECONDS	one datagram and a pause, for who counts instructions
 *	udp end CARRIER PORT				ends the server
 * CARRIER is inet (UDP to 127.0.0.1), unix or vsock (SEQPACKET). With "poll" a program asks poll(2) before it receives.
 * The first byte of a datagram says what is wanted of the server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST 65507

enum wish {
	ECHO = 'e', /* send it back */
	COUNT = 'c', /* count it */
	REPORT = 'r', /* say what was counted since the last report; asked again by the same number, say the same */
	END = 'x',
};

struct report {
	uint8_t wish;
	uint32_t number;
	uint64_t received;
	uint64_t nanoseconds; /* from the first to the last of them */
} __attribute__((packed));

static char buffer[MOST + 1];
static bool polls;
static struct sockaddr_storage address;
static socklen_t address_len;

static void check(bool good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void address_set(const char *carrier, unsigned port)
{
	if (strcmp(carrier, "unix") == 0) {
		struct sockaddr_un *to = (struct sockaddr_un *)&address;
		int length = snprintf(to->sun_path + 1, sizeof to->sun_path - 1, "ip2vsock-bench-udp-%u", port);

		to->sun_family = AF_UNIX;
		address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	} else if (strcmp(carrier, "vsock") == 0) {
		*(struct sockaddr_vm *)&address = (struct sockaddr_vm){
			.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = port};
		address_len = sizeof(struct sockaddr_vm);
	} else {
		*(struct sockaddr_in *)&address = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		address_len = sizeof(struct sockaddr_in);
	}
}

static bool is_udp(void)
{
	return address.ss_family == AF_INET;
}

static int open_socket(void)
{
	const int fd = socket(address.ss_family, is_udp() ? SOCK_DGRAM : SOCK_SEQPACKET, 0);

	check(fd >= 0, "socket");
	return fd;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static bool readable(int fd, int milliseconds)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, milliseconds) == 1;
}

/* --- the server */

/* One datagram, and whom to answer. SEQPACKET has no address but the connection, and 0 is its end. */
static ssize_t take(int fd, struct sockaddr_storage *from, socklen_t *from_len)
{
	if (polls)
		readable(fd, -1);
	if (!is_udp())
		return recv(fd, buffer, sizeof buffer, 0);
	*from_len = sizeof *from;
	return recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)from, from_len);
}

static void answer(int fd, size_t size, const struct sockaddr_storage *to, socklen_t to_len)
{
	if (is_udp())
		sendto(fd, buffer, size, 0, (const struct sockaddr *)to, to_len);
	else
		send(fd, buffer, size, MSG_NOSIGNAL);
}

static void serve(int fd)
{
	struct sockaddr_storage from;
	socklen_t from_len;
	uint64_t received = 0, first = 0, last = 0;
	struct report report = {0}, asked;

	for (;;) {
		const ssize_t size = take(fd, &from, &from_len);

		if (size < 0 && is_udp())
			continue;
		if (size <= 0)
			return;
		switch (buffer[0]) {
		case ECHO:
			answer(fd, (size_t)size, &from, from_len);
			break;
		case COUNT:
			/* The clock is not asked for each of them. */
			if ((received++ & 63) != 0)
				break;
			last = now();
			if (received == 1)
				first = last;
			break;
		case REPORT:
			memcpy(&asked, buffer, sizeof asked);
			if (asked.number != report.number) {
				report = asked;
				report.received = received ? (received - 1) & ~UINT64_C(63) : 0;
				report.nanoseconds = last - first;
				received = first = last = 0;
			}
			memcpy(buffer, &report, sizeof report);
			answer(fd, sizeof report, &from, from_len);
			break;
		case END:
			exit(0);
		}
	}
}

static void server(void)
{
	const int fd = open_socket();

	check(bind(fd, (struct sockaddr *)&address, address_len) == 0, "bind");
	if (is_udp())
		serve(fd);
	check(listen(fd, 8) == 0, "listen");
	for (;;) {
		const int peer = accept(fd, NULL, NULL);

		check(peer >= 0, "accept");
		serve(peer);
		close(peer);
	}
}

/* --- the client */

static void fill(char wish, size_t size)
{
	memset(buffer, 'd', size);
	buffer[0] = wish;
}

/* Connected, and sure that somebody answers: the first datagrams may be lost, and the server may just be starting. */
static int client(void)
{
	const uint64_t end = now() + UINT64_C(20000000000);
	int fd = open_socket();

	do {
		if (connect(fd, (struct sockaddr *)&address, address_len) < 0) {
			usleep(20000);
			continue;
		}
		fill(ECHO, 1);
		if (send(fd, buffer, 1, MSG_NOSIGNAL) == 1 && readable(fd, 100) && recv(fd, buffer, sizeof buffer, 0) == 1) {
			/* Answers to those thought lost. */
			while (readable(fd, 50))
				check(recv(fd, buffer, sizeof buffer, 0) == 1, "late answer");
			return fd;
		}
	} while (now() < end);
	fprintf(stderr, "nobody answers\n");
	exit(1);
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void round_trips(size_t size, size_t rounds)
{
	const int fd = client();
	uint64_t *times = calloc(rounds, sizeof *times);

	check(times && rounds, "rounds");
	fill(ECHO, size);
	alarm(60); /* for a datagram that is lost, which ends the measurement */
	for (size_t i = 0; i < rounds; i++) {
		const uint64_t start = now();

		check(send(fd, buffer, size, 0) == (ssize_t)size, "send");
		if (polls)
			readable(fd, -1);
		check(recv(fd, buffer, sizeof buffer, 0) == (ssize_t)size, "recv");
		times[i] = now() - start;
	}
	qsort(times, rounds, sizeof *times, compare);
	printf("%llu\n", (unsigned long long)times[rounds / 2]);
}

static struct report ask_report(int fd, uint32_t number)
{
	const struct report question = {.wish = REPORT, .number = number};
	struct report report;

	for (int attempt = 0; attempt < 100; attempt++) {
		send(fd, &question, sizeof question, 0);
		while (readable(fd, 200))
			if (recv(fd, &report, sizeof report, 0) == sizeof report && report.number == number)
				return report;
	}
	fprintf(stderr, "no report\n");
	exit(1);
}

static void flood(size_t size, unsigned milliseconds)
{
	const int fd = client();
	uint64_t sent = 0;
	struct report report;

	ask_report(fd, (uint32_t)getpid() << 1);
	fill(COUNT, size);
	for (const uint64_t end = now() + milliseconds * UINT64_C(1000000); now() < end;)
		for (unsigned i = 0; i < 16; i++)
			if (send(fd, buffer, size, 0) >= 0 || errno == ENOBUFS)
				sent++;
	report = ask_report(fd, (uint32_t)getpid() << 1 | 1);
	check(report.nanoseconds != 0, "nothing received");
	printf("%llu %llu %.0f\n", (unsigned long long)sent, (unsigned long long)report.received,
	       (double)report.received * 1e9 / (double)report.nanoseconds);
}

static void send_slowly(size_t size, unsigned count, unsigned pause)
{
	const int fd = client();

	fill(COUNT, size);
	for (unsigned i = 0; i < count; i++) {
		check(send(fd, buffer, size, 0) == (ssize_t)size, "send");
		if (pause)
			usleep(pause);
	}
}

static void end(void)
{
	const int fd = client();

	fill(END, 1);
	check(send(fd, buffer, 1, 0) == 1, "send");
	usleep(100000); /* in its queue before this end of the connection is closed */
}

int main(int argc, char **argv)
{
	unsigned numbers[3] = {0};

	if (argc < 4)
		return 2;
	polls = strcmp(argv[argc - 1], "poll") == 0;
	argc -= polls;
	for (int i = 0; i < 3 && i + 4 < argc; i++)
		numbers[i] = (unsigned)strtoul(argv[i + 4], NULL, 10);
	address_set(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	if (numbers[0] > MOST)
		return 2;
	if (strcmp(argv[1], "serve") == 0)
		server();
	else if (strcmp(argv[1], "rtt") == 0)
		round_trips(numbers[0], numbers[1]);
	else if (strcmp(argv[1], "flood") == 0)
		flood(numbers[0], numbers[1]);
	else if (strcmp(argv[1], "send") == 0)
		send_slowly(numbers[0], numbers[1], numbers[2]);
	else if (strcmp(argv[1], "end") == 0)
		end();
	else
		return 2;
	return 0;
}
