/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server for the threads of a test program, and how they visit it. Needs common.h. */
#ifndef TEST_ECHO_H
#define TEST_ECHO_H

#include <pthread.h>

UNUSED static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (pthread_create(thread, NULL, run, arg))
		die("pthread_create");
}

/* Serves one-byte echoes in a process of its own, so that the threads' calls are this one's first. */
UNUSED static pid_t start_echo_server(void)
{
	int ready[2];
	pid_t child;

	if (pipe(ready) < 0)
		die("pipe");
	child = start_child();
	if (child == 0) {
		const int listener = listen_at(here(0), 4096);

		write_all(ready[1], "r", 1);
		for (;;) {
			const int fd = accept(listener, NULL, NULL);
			char byte;

			if (fd < 0)
				continue;
			if (read(fd, &byte, 1) == 1)
				write_all(fd, &byte, 1);
			close(fd);
		}
	}
	read_all(ready[0], &(char){0}, 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

UNUSED static void stop(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* One connection with one byte each way; returns 0 or what failed. */
UNUSED static int visit(void)
{
	const struct place to = here(0);
	const int fd = socket(here_family, SOCK_STREAM, 0);
	char byte = 0;
	int error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&to.sa, to.len) < 0)
		error = errno;
	else if (send(fd, "e", 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
		error = errno ? errno : EIO;
	else if (byte != 'e')
		error = EBADMSG;
	close(fd);
	return error;
}

#endif
