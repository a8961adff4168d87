/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that use sockets at the same time: the first calls of all, and one that waits while others work. */
#define _GNU_SOURCE 1
#include "common.h"

#include <pthread.h>
#include <sys/epoll.h>

static pthread_barrier_t barrier;
static int listener;

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (pthread_create(thread, NULL, run, arg))
		die("pthread_create");
}

/* Serves one-byte echoes in a process of its own, so that the threads' calls are this one's first. */
static pid_t start_echo_server(void)
{
	int ready[2];
	pid_t child;

	if (pipe(ready) < 0)
		die("pipe");
	child = start_child();
	if (child == 0) {
		listener = listen_at(here(0), 4096);
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

static void stop(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* One connection with one byte each way; returns 0 or what failed. */
static int visit(void)
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

static void *first_call(void *arg)
{
	int *error = arg;

	pthread_barrier_wait(&barrier);
	*error = visit();
	return NULL;
}

static void first_calls(unsigned count)
{
	const pid_t server = start_echo_server();
	pthread_t thread[32];
	int error[32], good = 0;

	pthread_barrier_init(&barrier, NULL, count);
	for (unsigned i = 0; i < count; i++)
		start(&thread[i], first_call, &error[i]);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(thread[i], NULL);
		good += error[i] == 0;
		if (error[i])
			say("thread failed: %s", error_name(error[i]));
	}
	say("good: %d", good);
	stop(server);
}

static void two_first_calls(void)
{
	first_calls(2);
}

static void thirty_two_first_calls(void)
{
	first_calls(32);
}

#define VISITS 40

static void *visitor(void *arg)
{
	int *good = arg;

	for (int i = 0; i < VISITS; i++)
		*good += visit() == 0;
	return NULL;
}

static void knock(void)
{
	const int fd = open_socket(0);

	must_connect(fd, here(0));
	close(fd);
}

static bool done;

static void *serve(void *arg)
{
	int *served = arg;

	while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) {
		const int fd = accept(listener, NULL, NULL);
		char byte;

		if (fd < 0)
			continue;
		if (!done && read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
			++*served;
		close(fd);
	}
	return NULL;
}

/* One thread waits in accept() nearly always; the others are not to wait for it. */
static void accept_blocks_nobody(void)
{
	pthread_t thread[8], server;
	int good[8] = {0}, served = 0, sum = 0;

	listener = listen_at(here(0), 64);
	start(&server, serve, &served);
	for (int i = 0; i < 8; i++)
		start(&thread[i], visitor, &good[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(thread[i], NULL);
		sum += good[i];
	}
	__atomic_store_n(&done, true, __ATOMIC_RELAXED);
	/* Wakes the server if it waits; it may be gone already, so wait for no answer. */
	knock();
	pthread_join(server, NULL);
	say("visits %d, served at least as many: %s", sum, yes_no(served >= sum));
}

static void *wait_for_data(void *arg)
{
	char byte = 0;

	read_all(*(int *)arg, &byte, 1);
	*(int *)arg = byte;
	return NULL;
}

/* Threads sit in read() of connections while others are made, copied and closed. */
static void readers_block_nobody(void)
{
	struct pair pair[4];
	pthread_t thread[4];
	int fd[4], good = 0;

	for (unsigned i = 0; i < 4; i++) {
		pair[i] = connect_pair(0);
		fd[i] = pair[i].client;
		start(&thread[i], wait_for_data, &fd[i]);
	}
	for (unsigned i = 0; i < 50; i++) {
		const struct pair other_pair = connect_pair(1 + i % 4);
		const int copy = dup(other_pair.client);

		close(other_pair.client);
		write_all(copy, "x", 1);
		good += read_all(other_pair.server, &(char){0}, 1) == 1;
		close(copy);
		close(other_pair.server);
	}
	for (unsigned i = 0; i < 4; i++) {
		write_all(pair[i].server, &(char){(char)('a' + i)}, 1);
		pthread_join(thread[i], NULL);
		good += fd[i] == (int)('a' + i);
	}
	say("good: %d", good);
}

/* Descriptors are made, registered, connected and closed by eight threads on one epoll instance. */
static int shared_epoll;

static void *register_and_connect(void *arg)
{
	int *good = arg;

	for (unsigned i = 0; i < VISITS; i++) {
		const struct place to = here(0);
		const int fd = socket(here_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
		char byte = 0;

		if (fd < 0 || epoll_ctl(shared_epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			continue;
		if (finish_connect(fd, to) == 0 && send(fd, "e", 1, MSG_NOSIGNAL) == 1 &&
		    wait_for(fd, POLLIN, 20000) && recv(fd, &byte, 1, 0) == 1)
			*good += epoll_ctl(shared_epoll, EPOLL_CTL_DEL, fd, NULL) == 0;
		close(fd);
	}
	return NULL;
}

static void one_epoll_for_eight_threads(void)
{
	const pid_t server = start_echo_server();
	pthread_t thread[8];
	struct epoll_event event[16];
	int good[8] = {0}, sum = 0;

	shared_epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 8; i++)
		start(&thread[i], register_and_connect, &good[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(thread[i], NULL);
		sum += good[i];
	}
	say("good: %d", sum);
	say("events left: %d", epoll_wait(shared_epoll, event, 16, 50));
	stop(server);
}

static void *visit_until_done(void *arg)
{
	int *failed = arg;

	while (!__atomic_load_n(&done, __ATOMIC_RELAXED))
		*failed += visit() != 0;
	return NULL;
}

/* fork() while other threads are inside socket calls: the child makes sockets at once. */
static void fork_in_the_middle(void)
{
	const pid_t server = start_echo_server();
	pthread_t thread[4];
	int failed[4] = {0}, good = 0;

	for (int i = 0; i < 4; i++)
		start(&thread[i], visit_until_done, &failed[i]);
	for (int i = 0; i < 20; i++) {
		const pid_t child = start_child();
		int status = -1;

		if (child == 0)
			_exit(visit() == 0 ? 0 : 1);
		waitpid(child, &status, 0);
		good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	__atomic_store_n(&done, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	say("children that connected: %d, failures in threads: %d", good,
	    failed[0] + failed[1] + failed[2] + failed[3]);
	stop(server);
}

/* Programs give their threads little stack. (Sanitizers need more for themselves.) */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SMALL_STACK (1024 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SMALL_STACK (1024 * 1024)
#endif
#endif
#ifndef SMALL_STACK
#define SMALL_STACK 16384
#endif

static void small_stack(void)
{
	const pid_t server = start_echo_server();
	pthread_attr_t attr;
	pthread_t thread;
	int error = -1;

	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, SMALL_STACK))
		die("stack size");
	pthread_barrier_init(&barrier, NULL, 1);
	if (pthread_create(&thread, &attr, first_call, &error))
		die("pthread_create");
	pthread_join(thread, NULL);
	say("on a small stack: %s", error_name(error));
	stop(server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"two-first-calls", two_first_calls},
		{"thirty-two-first-calls", thirty_two_first_calls},
		{"accept-blocks-nobody", accept_blocks_nobody},
		{"readers-block-nobody", readers_block_nobody},
		{"one-epoll-for-eight-threads", one_epoll_for_eight_threads},
		{"fork-in-the-middle", fork_in_the_middle},
		{"small-stack", small_stack},
	};

	return RUN_CASES(cases, argc, argv);
}
