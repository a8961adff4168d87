/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections and bytes by the stream library or by hand, both over unix sockets, timed: stream hand|library NAME ROUNDS
 * MEGABYTES. Prints nanoseconds for one connect, echo and close (the median of batches), and for one megabyte.
 */
#include "vsock_stream.h"

#include <signal.h>
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

static char block[BLOCK];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static const char *name;

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

/* --- by hand: a server that sends back the first byte of every connection and takes the rest, and its client */

static void hand_serve(int ready)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 128) == 0, "listen");
	close(ready);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		check(fd >= 0, "accept");
		check(recv(fd, block, 1, 0) == 1 && send(fd, block, 1, MSG_NOSIGNAL) == 1, "echo");
		while (recv(fd, block, sizeof block, 0) > 0)
			;
		close(fd);
	}
}

static void hand_talk(int blocks)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
	check(send(fd, block, 1, MSG_NOSIGNAL) == 1 && recv(fd, block, 1, 0) == 1, "echo");
	while (blocks-- > 0)
		for (size_t sent = 0; sent < sizeof block;) {
			ssize_t n = send(fd, block + sent, sizeof block - sent, MSG_NOSIGNAL);

			check(n > 0, "send");
			sent += (size_t)n;
		}
	shutdown(fd, SHUT_WR);
	check(recv(fd, block, 1, 0) == 0, "end of stream");
	close(fd);
}

/* --- the same by the library */

static struct vsock_stream *stream_new(unsigned cid)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);

	check(stream && vsock_stream_set_realm(stream, name, cid) == 0, "realm");
	return stream;
}

static void library_serve(int ready)
{
	struct vsock_stream *listener = stream_new(3), *stream = vsock_stream_new(NULL);

	check(vsock_stream_listen(listener, VSOCK_STREAM_CID_ANY, 80, 128) == 0, "listen");
	close(ready);
	for (;;) {
		check(vsock_stream_accept(listener, stream) == 0, "accept");
		check(vsock_stream_recv(stream, block, 1, 0) == 1 && vsock_stream_send(stream, block, 1, 0) == 1, "echo");
		while (vsock_stream_recv(stream, block, sizeof block, 0) > 0)
			;
		vsock_stream_close(stream);
	}
}

static void library_talk(int blocks)
{
	struct vsock_stream *stream = stream_new(4);

	check(vsock_stream_connect(stream, 3, 80) == 0, "connect");
	check(vsock_stream_send(stream, block, 1, 0) == 1 && vsock_stream_recv(stream, block, 1, 0) == 1, "echo");
	while (blocks-- > 0)
		check(vsock_stream_send_all(stream, block, sizeof block) == (ssize_t)sizeof block, "send");
	check(vsock_stream_shutdown(stream, SHUT_WR) == 0 && vsock_stream_recv(stream, block, 1, 0) == 0, "end of stream");
	vsock_stream_free(stream);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int library = argc == 5 && strcmp(argv[1], "library") == 0, ready[2];
	void (*talk)(int) = library ? library_talk : hand_talk;
	double times[BATCHES], start;
	char byte;
	pid_t server;

	if (argc != 5)
		return 2;
	name = argv[2];
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ip2vsock-bench-%s", name);
	check(pipe(ready) == 0, "pipe");
	server = fork();
	check(server >= 0, "fork");
	if (server == 0) {
		close(ready[0]);
		(library ? library_serve : hand_serve)(ready[1]);
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 0, "ready");
	for (int batch = 0; batch < BATCHES; batch++) {
		start = now();
		for (int i = 0; i < atoi(argv[3]); i++)
			talk(0);
		times[batch] = (now() - start) / atoi(argv[3]);
	}
	qsort(times, BATCHES, sizeof *times, compare);
	start = now();
	talk(atoi(argv[4]) * (1 << 20) / BLOCK);
	printf("%.0f %.0f\n", times[BATCHES / 2], (now() - start) / atoi(argv[4]));
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return 0;
}
