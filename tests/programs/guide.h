/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The programs that a guide to sockets between virtual machines begins with: a stream server by select or poll, its
 * client, and a pair for datagrams. One source for two families: guide_vmci.c and guide_inet.c say what an address is
 * and what the buffers' options are, and the lines are the same, but for names of errors.
 *
 *   serve select|poll PORT CLIENTS    hears each client to its end, then says all of it again
 *   visit HOST PORT SIZE              one client of SIZE bytes
 *   crowd HOST PORT CLIENTS SIZE      as many at once, the first of which has nothing to say
 *   buffers                           options of a socket that is nobody's
 *   answer PORT COUNT                 a server of datagrams
 *   ask HOST PORT                     eight datagrams to it
 *
 * HOST is a CID or an IPv4 address; a machine is shown as its CID or the last byte of its address.
 */
#ifndef TEST_GUIDE_H
#define TEST_GUIDE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUIDE_CLIENTS 64
#define GUIDE_DATAGRAM 65507

union guide_address {
	struct sockaddr any;
	GUIDE_SOCKADDR own;
};

/* What the two families differ in. No `host`: any machine. */
static int guide_family(void);
static union guide_address guide_address_of(const char *host, unsigned port);
static unsigned guide_port(const union guide_address *address);
static unsigned guide_machine(const union guide_address *address);
static bool guide_is_any(const union guide_address *address);
/* Asks for buffers of `size` bytes; yes when that, or more, is what the kernel says afterwards. */
static bool guide_buffers(int fd, unsigned long long size);
static void guide_say_buffers(int fd);

static void guide_check(bool good, const char *what)
{
	if (good)
		return;
	printf("%s: %s\n", what, strerrorname_np(errno));
	fflush(stdout);
	_exit(1);
}

static int guide_socket(int type)
{
	int fd = socket(guide_family(), type, 0);

	guide_check(fd >= 0, "socket");
	return fd;
}

/* Each byte says where it is and how long all is. */
static void guide_fill(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 31 + i / 251 + size);
}

/* Adler's. */
static unsigned guide_sum(const char *data, size_t size)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < size; i++) {
		a = (a + (unsigned char)data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* --- the server */

struct guide_talk {
	int fd;
	unsigned machine;
	bool saying; /* the other end has said all */
	bool ready;
	size_t heard, said, room;
	char *data;
};

static struct guide_talk guide_talks[GUIDE_CLIENTS];
static int guide_accepted, guide_ended;

static int guide_by_size(const void *one, const void *other)
{
	const struct guide_talk *a = one, *b = other;

	return (a->heard > b->heard) - (a->heard < b->heard);
}

/* Waits until a socket can do what it is to do next; yes when the listener has a client. */
static bool guide_select(int listener)
{
	fd_set reads, writes;
	int most = listener;

	FD_ZERO(&reads);
	FD_ZERO(&writes);
	FD_SET(listener, &reads);
	for (int i = 0; i < guide_accepted; i++) {
		if (guide_talks[i].fd < 0)
			continue;
		FD_SET(guide_talks[i].fd, guide_talks[i].saying ? &writes : &reads);
		if (guide_talks[i].fd > most)
			most = guide_talks[i].fd;
	}
	guide_check(select(most + 1, &reads, &writes, NULL, NULL) > 0, "select");
	for (int i = 0; i < guide_accepted; i++)
		guide_talks[i].ready = guide_talks[i].fd >= 0 &&
				       FD_ISSET(guide_talks[i].fd, guide_talks[i].saying ? &writes : &reads);
	return FD_ISSET(listener, &reads);
}

static bool guide_poll(int listener)
{
	struct pollfd fds[GUIDE_CLIENTS + 1];

	for (int i = 0; i < guide_accepted; i++) {
		fds[i].fd = guide_talks[i].fd; /* not asked for when negative */
		fds[i].events = guide_talks[i].saying ? POLLOUT : POLLIN;
	}
	fds[guide_accepted].fd = listener;
	fds[guide_accepted].events = POLLIN;
	guide_check(poll(fds, (nfds_t)guide_accepted + 1, -1) > 0, "poll");
	for (int i = 0; i < guide_accepted; i++)
		guide_talks[i].ready = fds[i].fd >= 0 && fds[i].revents;
	return fds[guide_accepted].revents & POLLIN;
}

static void guide_hear(struct guide_talk *talk)
{
	ssize_t size;

	if (talk->heard == talk->room) {
		talk->room = talk->room ? 2 * talk->room : 65536;
		talk->data = realloc(talk->data, talk->room);
		guide_check(talk->data != NULL, "realloc");
	}
	size = recv(talk->fd, talk->data + talk->heard, talk->room - talk->heard, 0);
	guide_check(size >= 0 || errno == EAGAIN, "recv");
	if (size == 0)
		talk->saying = true;
	else if (size > 0)
		talk->heard += (size_t)size;
}

static void guide_say(struct guide_talk *talk)
{
	ssize_t size = 0;

	if (talk->said < talk->heard) {
		size = send(talk->fd, talk->data + talk->said, talk->heard - talk->said, 0);
		guide_check(size >= 0 || errno == EAGAIN, "send");
		talk->said += size > 0 ? (size_t)size : 0;
	}
	if (talk->said < talk->heard)
		return;
	guide_check(shutdown(talk->fd, SHUT_WR) == 0, "shutdown");
	guide_check(close(talk->fd) == 0, "close");
	talk->fd = -1;
	guide_ended++;
}

static void guide_accept(int listener)
{
	struct guide_talk *talk = &guide_talks[guide_accepted++];
	union guide_address peer;
	socklen_t len = sizeof(peer);

	talk->fd = accept(listener, &peer.any, &len);
	guide_check(talk->fd >= 0, "accept");
	guide_check(len == sizeof(peer.own) && peer.any.sa_family == guide_family(),
		    "the address of a client");
	talk->machine = guide_machine(&peer);
	guide_check(fcntl(talk->fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
}

static int guide_serve(bool by_poll, unsigned port, int clients)
{
	union guide_address at = guide_address_of(NULL, port);
	socklen_t len = sizeof(at);
	int listener = guide_socket(SOCK_STREAM);

	printf("buffers as asked for: %s\n", guide_buffers(listener, 131072) ? "yes" : "no");
	guide_check(bind(listener, &at.any, sizeof(at.own)) == 0, "bind");
	memset(&at, 0, sizeof(at));
	guide_check(getsockname(listener, &at.any, &len) == 0, "getsockname");
	printf("bound to any machine: %s, the port asked for: %s, size as always: %s\n",
	       guide_is_any(&at) ? "yes" : "no", guide_port(&at) == port ? "yes" : "no",
	       len == sizeof(at.own) ? "yes" : "no");
	guide_check(listen(listener, clients) == 0, "listen");
	puts("ready");
	while (guide_ended < clients) {
		bool another = by_poll ? guide_poll(listener) : guide_select(listener);

		for (int i = 0; i < guide_accepted; i++) {
			if (guide_talks[i].ready && guide_talks[i].saying)
				guide_say(&guide_talks[i]);
			else if (guide_talks[i].ready)
				guide_hear(&guide_talks[i]);
		}
		if (another && guide_accepted < clients)
			guide_accept(listener);
	}
	close(listener);
	qsort(guide_talks, (size_t)guide_accepted, sizeof(guide_talks[0]), guide_by_size);
	for (int i = 0; i < guide_accepted; i++)
		printf("from machine %u: %zu bytes, %08x\n", guide_talks[i].machine, guide_talks[i].heard,
		       guide_sum(guide_talks[i].data, guide_talks[i].heard));
	return 0;
}

/* --- its clients */

static int guide_connect(const char *host, unsigned port)
{
	union guide_address to = guide_address_of(host, port);
	int fd = guide_socket(SOCK_STREAM);

	guide_check(guide_buffers(fd, 65536), "buffers");
	guide_check(connect(fd, &to.any, sizeof(to.own)) == 0, "connect");
	return fd;
}

static void guide_visit(int fd, size_t size)
{
	union guide_address peer;
	socklen_t len = sizeof(peer);
	char *said = malloc(size + 1), *heard = malloc(size + 1);
	size_t at = 0;
	ssize_t n;

	guide_check(said && heard, "malloc");
	guide_check(getpeername(fd, &peer.any, &len) == 0, "getpeername");
	guide_fill(said, size);
	while (at < size) {
		n = send(fd, said + at, size - at, 0);
		guide_check(n > 0, "send");
		at += (size_t)n;
	}
	guide_check(shutdown(fd, SHUT_WR) == 0, "shutdown");
	for (at = 0; (n = recv(fd, heard + at, size + 1 - at, 0)) > 0;)
		at += (size_t)n;
	guide_check(n == 0, "recv");
	printf("machine %u: said %zu bytes, heard %zu, %08x, %s\n", guide_machine(&peer), size, at,
	       guide_sum(heard, at), at == size && memcmp(said, heard, size) == 0 ? "the same" : "others");
	guide_check(close(fd) == 0, "close");
	free(said);
	free(heard);
}

/* All are connected before the first has said a word, and the last comes first. */
static int guide_crowd(const char *host, unsigned port, int clients, size_t size)
{
	int fds[GUIDE_CLIENTS];

	for (int i = 0; i < clients; i++)
		fds[i] = guide_connect(host, port);
	while (clients-- > 0)
		guide_visit(fds[clients], (size_t)clients * size);
	return 0;
}

/* --- datagrams */

static char guide_datagram[GUIDE_DATAGRAM + 1];

static size_t guide_receive(int fd, union guide_address *from)
{
	socklen_t len = sizeof(*from);
	ssize_t size;

	memset(guide_datagram, 0, sizeof(guide_datagram));
	size = recvfrom(fd, guide_datagram, sizeof(guide_datagram), 0, &from->any, &len);
	guide_check(size >= 0, "recvfrom");
	printf("from machine %u: %zd bytes, %08x\n", guide_machine(from), size,
	       guide_sum(guide_datagram, (size_t)size));
	return (size_t)size;
}

static int guide_answer(unsigned port, int count)
{
	union guide_address at = guide_address_of(NULL, port), from;
	int fd = guide_socket(SOCK_DGRAM);

	guide_check(bind(fd, &at.any, sizeof(at.own)) == 0, "bind");
	puts("ready");
	while (count-- > 0) {
		size_t size = guide_receive(fd, &from);

		guide_check(sendto(fd, guide_datagram, size, 0, &from.any, sizeof(from.own)) == (ssize_t)size,
			    "sendto");
	}
	close(fd);
	return 0;
}

/* Each size once to an address, then, as nothing else is to be heard any more, once to a peer. */
static int guide_ask(const char *host, unsigned port)
{
	static const size_t sizes[] = {5, 0, 1400, GUIDE_DATAGRAM};
	union guide_address to = guide_address_of(host, port), from;
	int fd = guide_socket(SOCK_DGRAM);

	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i % 4];

		if (i == 4)
			guide_check(connect(fd, &to.any, sizeof(to.own)) == 0, "connect");
		guide_fill(guide_datagram, size);
		if (i < 4)
			guide_check(sendto(fd, guide_datagram, size, 0, &to.any, sizeof(to.own)) ==
					    (ssize_t)size,
				    "sendto");
		else
			guide_check(send(fd, guide_datagram, size, 0) == (ssize_t)size, "send");
		guide_receive(fd, &from);
		guide_check(guide_port(&from) == port, "the port of the answer");
	}
	close(fd);
	return 0;
}

static unsigned guide_number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static int guide_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "serve") == 0 && argc == 5 && guide_number(argv[4]) <= GUIDE_CLIENTS)
		return guide_serve(strcmp(argv[2], "poll") == 0, guide_number(argv[3]),
				   (int)guide_number(argv[4]));
	if (strcmp(what, "visit") == 0 && argc == 5) {
		guide_visit(guide_connect(argv[2], guide_number(argv[3])), guide_number(argv[4]));
		return 0;
	}
	if (strcmp(what, "crowd") == 0 && argc == 6 && guide_number(argv[4]) <= GUIDE_CLIENTS)
		return guide_crowd(argv[2], guide_number(argv[3]), (int)guide_number(argv[4]),
				   guide_number(argv[5]));
	if (strcmp(what, "buffers") == 0 && argc == 2) {
		guide_say_buffers(guide_socket(SOCK_STREAM));
		return 0;
	}
	if (strcmp(what, "answer") == 0 && argc == 4)
		return guide_answer(guide_number(argv[2]), (int)guide_number(argv[3]));
	if (strcmp(what, "ask") == 0 && argc == 4)
		return guide_ask(argv[2], guide_number(argv[3]));
	fprintf(stderr, "usage: %s serve|visit|crowd|buffers|answer|ask ...\n", argv[0]);
	return 2;
}

#endif
