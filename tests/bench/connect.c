/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections and a stream, timed: connect FAMILY PORT ROUNDS MEGABYTES, FAMILY one of inet, unix, vsock (CID 1).
 * Prints nanoseconds for one connect, echo and close (the median of batches), and for one megabyte.
 */
#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 21
#define BLOCK 65536

static struct sockaddr_storage address;
static socklen_t address_len;

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void address_set(const char *family, unsigned port)
{
	if (strcmp(family, "unix") == 0) {
		struct sockaddr_un *to = (struct sockaddr_un *)&address;
		int length = snprintf(to->sun_path + 1, sizeof to->sun_path - 1, "ip2vsock-bench-%u", port);

		to->sun_family = AF_UNIX;
		address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	} else if (strcmp(family, "vsock") == 0) {
		*(struct sockaddr_vm *)&address = (struct sockaddr_vm){
			.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = port};
		address_len = sizeof(struct sockaddr_vm);
	} else {
		*(struct sockaddr_in *)&address = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		address_len = sizeof(struct sockaddr_in);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Sends back the first byte of every connection, and takes the rest. */
static void serve(int listener)
{
	static char block[BLOCK];

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		check(fd >= 0, "accept");
		check(recv(fd, block, 1, 0) == 1 && send(fd, block, 1, 0) == 1, "echo");
		while (recv(fd, block, sizeof block, 0) > 0)
			;
		close(fd);
	}
}

static int conversation(void)
{
	char byte = 'x';
	int fd = socket(address.ss_family, SOCK_STREAM, 0);

	check(fd >= 0, "socket");
	check(connect(fd, (struct sockaddr *)&address, address_len) == 0, "connect");
	check(send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1, "echo");
	return fd;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void connections(int rounds)
{
	double times[BATCHES];

	for (int batch = 0; batch < BATCHES; batch++) {
		double start = now();

		for (int i = 0; i < rounds; i++)
			close(conversation());
		times[batch] = (now() - start) / rounds;
	}
	qsort(times, BATCHES, sizeof *times, compare);
	printf("%.0f", times[BATCHES / 2]);
}

static void stream(int megabytes)
{
	static char block[BLOCK];
	int fd = conversation();
	double start = now();

	for (int i = 0; i < megabytes * (1 << 20) / BLOCK; i++)
		for (size_t sent = 0; sent < sizeof block;) {
			ssize_t got = send(fd, block + sent, sizeof block - sent, 0);

			check(got > 0, "send");
			sent += (size_t)got;
		}
	shutdown(fd, SHUT_WR);
	check(recv(fd, block, 1, 0) == 0, "end of stream");
	printf(" %.0f\n", (now() - start) / megabytes);
	close(fd);
}

int main(int argc, char **argv)
{
	int listener;
	pid_t server;

	if (argc != 5)
		return 2;
	address_set(argv[1], (unsigned)atoi(argv[2]));
	listener = socket(address.ss_family, SOCK_STREAM, 0);
	check(listener >= 0 && bind(listener, (struct sockaddr *)&address, address_len) == 0 &&
		      listen(listener, 128) == 0, "listen");
	server = fork();
	check(server >= 0, "fork");
	if (server == 0)
		serve(listener);
	close(listener);
	connections(atoi(argv[3]));
	stream(atoi(argv[4]));
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return 0;
}
