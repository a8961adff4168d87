/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SO_REUSEPORT: several sockets of one program on one port. Which of them gets a client is not said. */
#define _GNU_SOURCE 1
#include "common.h"

#include <pthread.h>

#define CLIENTS 20

static int reusing(struct place at, int flags)
{
	const int fd = open_socket(flags);

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (do_bind(fd, at) < 0)
		die("bind to %s", name_text(&at.sa));
	return fd;
}

static int listening(struct place at)
{
	const int fd = reusing(at, SOCK_NONBLOCK);

	if (listen(fd, 64) < 0)
		die("listen");
	return fd;
}

/* Clients come one after the other; whoever has one echoes a byte. Returns how many were served. */
static int serve(const int *fds, nfds_t count, struct place at)
{
	int served = 0;

	for (int i = 0; i < CLIENTS; i++) {
		const int client = open_socket(0);
		struct pollfd poll_fds[8];
		int server = -1;
		char byte = 0;

		must_connect(client, at);
		for (nfds_t k = 0; k < count; k++)
			poll_fds[k] = (struct pollfd){.fd = fds[k], .events = POLLIN};
		poll(poll_fds, count, 20000);
		for (nfds_t k = 0; k < count && server < 0; k++)
			if (poll_fds[k].revents & POLLIN)
				server = accept(fds[k], NULL, NULL);
		if (server < 0)
			die("accept");
		write_all(server, "x", 1);
		served += read_all(client, &byte, 1) == 1 && byte == 'x';
		close(server);
		close(client);
	}
	return served;
}

static void two_listeners(void)
{
	const int fds[] = {listening(here(0)), listening(here(0))};

	say("first: %s, second: %s", own_text(fds[0]), own_text(fds[1]));
	say("SO_REUSEPORT: %d %d", option(fds[0], SOL_SOCKET, SO_REUSEPORT), option(fds[1], SOL_SOCKET, SO_REUSEPORT));
	say("served: %d", serve(fds, 2, here(0)));
}

static void closing_one_leaves_the_others(void)
{
	int fds[] = {listening(wildcard(0)), listening(wildcard(0)), listening(wildcard(0))};

	say("served: %d", serve(fds, 3, here(0)));
	close(fds[0]);
	say("served: %d", serve(fds + 1, 2, here(0)));
	close(fds[2]);
	say("served: %d", serve(fds + 1, 1, here(0)));
	fds[0] = listening(wildcard(0));
	say("served: %d", serve(fds, 2, here(0)));
}

static void bound_before_any_listens(void)
{
	const int fds[] = {reusing(here(0), SOCK_NONBLOCK), reusing(here(0), SOCK_NONBLOCK)};

	say_call("listen", listen(fds[0], 16));
	say_call("listen", listen(fds[1], 16));
	say("served: %d", serve(fds, 2, here(0)));
}

static void only_when_both_have_it(void)
{
	const int first = reusing(here(0), 0), second = open_socket(0), third = reusing(here(1), 0), fourth = open_socket(0);

	say_call("without it", do_bind(second, here(0)));
	set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
	say_call("with it", do_bind(second, here(0)));
	say_call("listen", listen(first, 8));
	set_option(third, SOL_SOCKET, SO_REUSEPORT, 0);
	set_option(fourth, SOL_SOCKET, SO_REUSEPORT, 1);
	say_call("the first has lost it", do_bind(fourth, here(1)));
}

static void another_address(void)
{
	const int fds[] = {listening(wildcard(0)), listening(here(0))};

	say("first: %s, second: %s", own_text(fds[0]), own_text(fds[1]));
	say("served: %d", serve(fds, 2, here(0)));
}

static void flags_of_each_number(void)
{
	const int first = reusing(here(0), SOCK_CLOEXEC), second = reusing(here(0), 0);

	say("close-on-exec: %d %d", fcntl(first, F_GETFD) & FD_CLOEXEC, fcntl(second, F_GETFD) & FD_CLOEXEC);
}

/* A duplicate made before bind() is the same socket after it. */
static void duplicated_before(void)
{
	const int first = listening(here(0)), second = open_socket(SOCK_NONBLOCK), copy = dup(second);
	const int fds[] = {first, copy};

	set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
	say_call("bind", do_bind(second, here(0)));
	say("duplicate: %s", own_text(copy));
	say_call("listen", listen(copy, 16));
	say("served: %d", serve(fds, 2, here(0)));
}

/* As nginx does it: the parent makes a listener for each worker, and each worker closes those of the others. */
static void a_listener_for_each_worker(void)
{
	int fds[3];
	pid_t child[3];

	for (int i = 0; i < 3; i++)
		fds[i] = listening(here(0));
	for (int i = 0; i < 3; i++) {
		child[i] = start_child();
		if (child[i] == 0) {
			for (int k = 0; k < 3; k++)
				if (k != i)
					close(fds[k]);
			while (wait_for(fds[i], POLLIN, 20000)) {
				const int server = accept(fds[i], NULL, NULL);
				char byte;

				if (server < 0)
					continue;
				set_nonblocking(server, false);
				if (read_all(server, &byte, 1) == 1)
					write_all(server, "x", 1);
				close(server);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < CLIENTS; i++) {
		const int client = open_socket(0);
		char byte = 0;

		must_connect(client, here(0));
		write_all(client, "x", 1);
		if (read_all(client, &byte, 1) != 1)
			say("not served");
		close(client);
	}
	for (int i = 0; i < 3; i++) {
		kill(child[i], SIGTERM);
		say_end("worker", child[i]);
	}
	say("served");
}

/* A child that has its parent's listener, and makes one more. */
static void a_child_adds_one(void)
{
	const int first = listening(here(0));
	const pid_t child = start_child();

	if (child == 0) {
		const int fds[] = {first, listening(here(0))};

		say("served: %d", serve(fds, 2, here(0)));
		_exit(0);
	}
	say_end("child", child);
	say("served: %d", serve(&first, 1, here(0)));
}

static pthread_barrier_t bound;
static int total;

static void *thread_run(void *unused)
{
	const int fd = listening(here(0));

	(void)unused;
	pthread_barrier_wait(&bound);
	while (__atomic_load_n(&total, __ATOMIC_RELAXED) < CLIENTS)
		if (wait_for(fd, POLLIN, 20)) {
			const int server = accept(fd, NULL, NULL);

			if (server < 0)
				continue;
			write_all(server, "x", 1);
			close(server);
			__atomic_fetch_add(&total, 1, __ATOMIC_RELAXED);
		}
	close(fd);
	return NULL;
}

static void threads_that_each_bind(void)
{
	pthread_t thread[4];
	int served = 0;

	pthread_barrier_init(&bound, NULL, 5);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, thread_run, NULL))
			die("pthread_create");
	pthread_barrier_wait(&bound);
	for (int i = 0; i < CLIENTS; i++) {
		const int client = open_socket(0);
		char byte = 0;

		must_connect(client, here(0));
		served += read_all(client, &byte, 1) == 1;
		close(client);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	say("served: %d", served);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"two-listeners", two_listeners},
		{"closing-one-leaves-the-others", closing_one_leaves_the_others},
		{"bound-before-any-listens", bound_before_any_listens},
		{"only-when-both-have-it", only_when_both_have_it},
		{"another-address", another_address},
		{"flags-of-each-number", flags_of_each_number},
		{"duplicated-before", duplicated_before},
		{"a-listener-for-each-worker", a_listener_for_each_worker},
		{"a-child-adds-one", a_child_adds_one},
		{"threads-that-each-bind", threads_that_each_bind},
	};

	return RUN_CASES(cases, argc, argv);
}
