/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that use sockets at the same time: the first calls of all, and one that waits while others work. */
#define _GNU_SOURCE 1
#include "common.h"
#include "echo.h"

#include <sys/epoll.h>
#include <sys/mman.h>

static pthread_barrier_t barrier;
static int listener;

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

static int handler_error = -1;

static void visit_in_handler(int number)
{
	(void)number;
	handler_error = visit();
}

/* A handler on a stack of its own, of eight KiB besides what the kernel puts there. */
static void signal_stack(void)
{
	const pid_t server = start_echo_server();
	const size_t frame = (size_t)sysconf(_SC_MINSIGSTKSZ), size = SMALL_STACK / 2 + frame;
	char *memory = mmap(NULL, 2 * size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *bottom = memory + 4096;
	const stack_t stack = {.ss_sp = bottom, .ss_size = size};
	struct sigaction action = {.sa_handler = visit_in_handler, .sa_flags = SA_ONSTACK};

	/* What lies below cannot be written. */
	if (memory == MAP_FAILED || mprotect(bottom, size + 4096, PROT_READ | PROT_WRITE) < 0)
		die("memory");
	if (sigaltstack(&stack, NULL) < 0 || sigaction(SIGUSR1, &action, NULL) < 0)
		die("sigaltstack");
	raise(SIGUSR1);
	say("in a handler: %s", error_name(handler_error));
	raise(SIGUSR1);
	say("again: %s", error_name(handler_error));
	stop(server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"two-first-calls", two_first_calls},
		{"thirty-two-first-calls", thirty_two_first_calls},
		{"accept-blocks-nobody", accept_blocks_nobody},
		{"one-epoll-for-eight-threads", one_epoll_for_eight_threads},
		{"fork-in-the-middle", fork_in_the_middle},
		{"small-stack", small_stack},
		{"signal-stack", signal_stack},
	};

	return RUN_CASES(cases, argc, argv);
}
