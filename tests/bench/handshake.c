/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections through the socket of a monitor (tests/programs/vmm.c), timed.
 *
 *   handshake serve REALM|vsock PORT     the guest: sends one byte of every connection back; says when it is ready
 *   handshake WAY PATH PORT ROUNDS       a client that says CONNECT itself, and reads OK by one of these ways:
 *                                          once    one read: no good where the guest speaks first
 *                                          peek    looks where the line ends, and reads that
 *                                          bytes   byte by byte
 *   handshake inet ADDRESS PORT ROUNDS   one that calls connect(), under the library
 *
 * Clients print nanoseconds for socket and connect with the handshake, and for these, the echo and close: medians.
 */
#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MOST 100000

static struct sockaddr_storage address;
static socklen_t address_len;
static unsigned port;

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void unix_set(const char *path)
{
	struct sockaddr_un *to = (struct sockaddr_un *)&address;

	to->sun_family = AF_UNIX;
	check(strlen(path) < sizeof to->sun_path, "path");
	strcpy(to->sun_path, path);
	address_len = sizeof *to;
}

static void guest_set(const char *realm)
{
	struct sockaddr_un *to = (struct sockaddr_un *)&address;
	int length;

	if (strcmp(realm, "vsock") == 0) {
		*(struct sockaddr_vm *)&address = (struct sockaddr_vm){
			.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
		address_len = sizeof(struct sockaddr_vm);
		return;
	}
	to->sun_family = AF_UNIX;
	length = snprintf(to->sun_path + 1, sizeof to->sun_path - 1, "ip2vsock/%s/1_%u", realm, port);
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static void inet_set(const char *text)
{
	struct sockaddr_in *to = (struct sockaddr_in *)&address;

	to->sin_family = AF_INET;
	to->sin_port = htons((unsigned short)port);
	check(inet_pton(AF_INET, text, &to->sin_addr) == 1, text);
	address_len = sizeof *to;
}

static void serve(void)
{
	int listener = socket(address.ss_family, SOCK_STREAM, 0), fd;
	char byte;

	check(listener >= 0 && bind(listener, (struct sockaddr *)&address, address_len) == 0 &&
		      listen(listener, 128) == 0, "listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		fd = accept(listener, NULL, NULL);
		check(fd >= 0, "accept");
		if (recv(fd, &byte, 1, 0) == 1)
			send(fd, &byte, 1, MSG_NOSIGNAL);
		close(fd);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static ssize_t read_once(int fd, char *line, size_t room)
{
	return recv(fd, line, room, 0);
}

static ssize_t read_peek(int fd, char *line, size_t room)
{
	ssize_t got = recv(fd, line, room, MSG_PEEK);
	char *end = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;

	check(end != NULL, "newline");
	return recv(fd, line, (size_t)(end + 1 - line), 0);
}

static ssize_t read_bytes(int fd, char *line, size_t room)
{
	size_t got = 0;

	do
		check(got < room && recv(fd, line + got, 1, 0) == 1, "byte");
	while (line[got++] != '\n');
	return (ssize_t)got;
}

static const struct {
	const char *name;
	ssize_t (*read)(int fd, char *line, size_t room);
} ways[] = {{"once", read_once}, {"peek", read_peek}, {"bytes", read_bytes}};

static void greet(int fd, int way)
{
	char line[64];
	int length = snprintf(line, sizeof line, "CONNECT %u\n", port);
	ssize_t got;

	check(send(fd, line, (size_t)length, 0) == length, "CONNECT");
	got = ways[way].read(fd, line, sizeof line);
	check(got > 4 && memcmp(line, "OK ", 3) == 0 && line[got - 1] == '\n', "OK");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* By a way of those above, or without one. */
static void connections(int way, int rounds)
{
	static double connected[ROUNDS_MOST], whole[ROUNDS_MOST];

	for (int i = 0; i < rounds; i++) {
		double start = now();
		int fd = socket(address.ss_family, SOCK_STREAM, 0);
		char byte = 'x';

		check(fd >= 0, "socket");
		check(connect(fd, (struct sockaddr *)&address, address_len) == 0, "connect");
		if (way >= 0)
			greet(fd, way);
		connected[i] = now() - start;
		check(send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1, "echo");
		close(fd);
		whole[i] = now() - start;
	}
	qsort(connected, (size_t)rounds, sizeof *connected, compare);
	qsort(whole, (size_t)rounds, sizeof *whole, compare);
	printf("%.0f %.0f\n", connected[rounds / 2], whole[rounds / 2]);
}

int main(int argc, char **argv)
{
	int rounds, way = sizeof ways / sizeof *ways - 1;

	if (argc < 4)
		return 2;
	port = (unsigned)atoi(argv[3]);
	if (strcmp(argv[1], "serve") == 0) {
		guest_set(argv[2]);
		serve();
	}
	rounds = argc > 4 ? atoi(argv[4]) : 0;
	if (rounds < 1 || rounds > ROUNDS_MOST)
		return 2;
	while (way >= 0 && strcmp(argv[1], ways[way].name) != 0)
		way--;
	if (way >= 0)
		unix_set(argv[2]);
	else
		inet_set(argv[2]);
	connections(way, rounds);
	return 0;
}
