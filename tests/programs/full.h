/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A listener whose backlog is full, so that TCP gives a client no answer. Needs common.h. */
#ifndef TEST_FULL_H
#define TEST_FULL_H

#include "lonely.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

/*
 * In a network namespace of its own a program can set how long a backlog may be. Who may not set it gets what he asks
 * listen() for, or, where nobody does, a long one.
 */
UNUSED static void limit_backlogs(const char *most)
{
	int fd;

	lonely_enter();
	fd = open("/proc/sys/net/core/somaxconn", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, most, strlen(most)) != (ssize_t)strlen(most))
		die("somaxconn");
	close(fd);
}

UNUSED static void allow_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Returns the listener. The clients that fill it stay open. */
UNUSED static int listen_full(unsigned n)
{
	int listener, fd;

	limit_backlogs("0");
	allow_descriptors();
	listener = listen_at(here(n), 0);
	do {
		fd = open_socket(SOCK_NONBLOCK);
		if (do_connect(fd, here(n)) < 0 && errno != EINPROGRESS)
			break;
	} while (wait_for(fd, POLLOUT, 200) && pending_error(fd) == 0);
	close(fd);
	return listener;
}

UNUSED static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A blocking connect(), its outcome, and whether it took that long (give or take). */
UNUSED static int say_slow(const char *what, int fd, struct place to, double least, double most)
{
	const double start = seconds();
	const int rc = do_connect(fd, to);
	const int error = errno;
	const double took = seconds() - start;

	say_call(what, rc);
	if (took < least * 0.9)
		say("  too soon: %.2f s", took);
	if (took > most + 1)
		say("  too late: %.2f s", took);
	errno = error;
	return rc;
}

UNUSED static void limit_sending(int fd, unsigned ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		die("SO_SNDTIMEO");
}

UNUSED static void on_alarm(int number)
{
	(void)number;
}

/* A signal, once, after so many milliseconds. (It takes the place of the one that ends a case that hangs; the test
 * suite has an end of its own.) */
UNUSED static void interrupt_after(unsigned ms, int flags)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	const struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

#endif
