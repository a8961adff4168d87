/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server at the wildcard whose clients come to two addresses of this machine, ADDRESS and OTHER, which may be two roads. */
#ifndef TEST_TWOFOLD_H
#define TEST_TWOFOLD_H

#include "common.h"

#include <sys/resource.h>
#include <time.h>

UNUSED static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

UNUSED static void nap(int milliseconds)
{
	poll(NULL, 0, milliseconds);
}

enum road { FIRST, SECOND, BOTH };

UNUSED static struct place place_on(enum road road, unsigned n)
{
	return road == FIRST ? here(n) : other(n);
}

/* A client of the server at PORT + n, which has written a byte. */
UNUSED static int client_at(enum road road, unsigned n)
{
	const int fd = open_socket(SOCK_CLOEXEC);

	must_connect(fd, place_on(road, n));
	write_all(fd, "x", 1);
	return fd;
}

/* The byte comes back. */
UNUSED static bool is_answered(int fd)
{
	char byte = 0;

	return wait_for(fd, POLLIN, 20000) && read(fd, &byte, 1) == 1 && byte == 'x';
}

#define CLIENTS_MOST 400

/* A child, `count` clients: one after the other, or all connected before the first is answered. Both roads in turn. */
UNUSED static pid_t clients_start(int count, enum road road, bool at_once, unsigned n)
{
	static int fds[CLIENTS_MOST];
	const pid_t child = start_child();
	int answered[2] = {0};

	if (child)
		return child;
	for (int i = 0; i < count; i++) {
		const enum road by = road != BOTH ? road : i % 2 ? SECOND : FIRST;

		fds[i] = client_at(by, n);
		if (!at_once)
			answered[by] += is_answered(fds[i]);
		if (!at_once)
			close(fds[i]);
	}
	for (int i = 0; at_once && i < count; i++)
		answered[road == BOTH ? i % 2 : (int)road] += is_answered(fds[i]);
	say("answered: %d and %d", answered[0], answered[1]);
	_exit(0);
}

/* What a server does with who has come. */
UNUSED static void answer(int fd)
{
	char byte;

	if (fd < 0)
		die("accept");
	set_nonblocking(fd, false);
	if (read_all(fd, &byte, 1) == 1)
		write_all(fd, &byte, 1);
	close(fd);
}

/* A socket for a server at the wildcard, PORT + n, not bound yet. */
UNUSED static int server_socket(int flags)
{
	const int fd = open_socket(SOCK_CLOEXEC | flags);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return fd;
}

UNUSED static int server_at(unsigned n, int flags)
{
	const int fd = server_socket(flags);

	if (do_bind(fd, wildcard(n)) < 0)
		die("bind");
	if (listen(fd, CLIENTS_MOST) < 0)
		die("listen");
	return fd;
}

/* Some clients by either road, each answered by who accepts on this descriptor. */
UNUSED static void say_served(const char *who, int listener, unsigned n)
{
	const pid_t child = clients_start(6, BOTH, false, n);

	for (int i = 0; i < 6 && wait_for(listener, POLLIN, 5000); i++)
		answer(accept(listener, NULL, NULL));
	say_end(who, child);
}

/* Whether anybody listens at PORT + n, by either road. */
UNUSED static void say_gone(const char *what, unsigned n)
{
	int error[2];

	for (int road = FIRST; road <= SECOND; road++) {
		const int fd = open_socket(0);

		error[road] = do_connect(fd, place_on((enum road)road, n)) < 0 ? errno : 0;
		close(fd);
	}
	say("%s: connect: %s and %s", what, error_name(error[0]), error_name(error[1]));
}

#endif
