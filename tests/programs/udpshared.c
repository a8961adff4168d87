/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UDP sockets that several have: processes after fork, and threads of which one is cancelled. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <pthread.h>
#include <sys/resource.h>

static void await(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		say("a child ended with %#x", (unsigned)status);
}

/* A child that closes what it inherited takes nothing away from its parent. */
static void child_closes(void)
{
	const int server = udp_at(here(0)), one = udp_to(here(0)), other_one = udp_to(here(0));
	pid_t pid;

	put(one, "one", 3);
	say_text("server", server);
	put(other_one, "two", 3);
	say_text("server", server);
	pid = fork();
	if (pid == 0) {
		close(server);
		_exit(0);
	}
	await(pid);
	put(one, "three", 5);
	say_text("server", server);
	put(other_one, "four", 4);
	say_text("server", server);
	say_silence("server", server);
}

/* A server that forks for each client: the answer comes from where the client has sent to. */
static void child_answers(void)
{
	const int server = udp_at(here(0)), connected = udp_to(here(0)), free_one = open_udp(0);
	const int clients[] = {free_one, connected};
	const struct place to = here(0);
	struct place from;
	char text[16];

	for (unsigned i = 0; i < N_ELEMENTS(clients); i++) {
		pid_t pid;

		if (clients[i] == connected)
			put(connected, "ask", 3);
		else
			put_to(free_one, "ask", 3, to);
		take_from(server, text, sizeof(text), &from);
		pid = fork();
		if (pid == 0) {
			put_to(server, "answer", 6, from);
			_exit(0);
		}
		await(pid);
		take_from(clients[i], text, sizeof(text), &from);
		say("from where it was sent to: %s", yes_no(same_place(from, to)));
	}
}

static void *cancelled(void *argument)
{
	const int fd = *(const int *)argument;
	char data[16];

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	wait_for(fd, POLLIN, UDP_SOON);
	poll(NULL, 0, 100); /* it is to be cancelled by now */
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (int i = 0; i < 2; i++)
		if (recv(fd, data, sizeof(data), 0) < 0)
			die("recv");
	return NULL;
}

/* A thread that was cancelled in a call leaves the socket usable, also one that was connected before. */
static void cancel_in_recv(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	const int server = udp_at(here(0));
	int fd = udp_to(here(0));
	struct place from;
	pthread_t thread;
	void *result;
	char text[16];

	if (connect(fd, &nobody, sizeof(nobody)) < 0)
		die("connect to nobody");
	must_connect(fd, here(0));
	put(fd, "ask", 3);
	take_from(server, text, sizeof(text), &from);
	put_to(server, "answer", 6, from);
	if ((errno = pthread_create(&thread, NULL, cancelled, &fd)))
		die("pthread_create");
	pthread_cancel(thread);
	pthread_join(thread, &result);
	say("cancelled: %s", yes_no(result == PTHREAD_CANCELED));
	put(fd, "again", 5);
	say_text("server", server);
}

/* In microseconds. */
static long worked(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* A socket that goes on with one client leaves the next one's to others, and rests. */
static void rests(void)
{
	const int server = udp_at(here(0)), one = udp_to(here(0)), two = udp_to(here(0));
	struct timeval limit = {.tv_usec = 500000};
	long before;
	struct place from;
	char text[16];
	pid_t pid;

	put(one, "one", 3);
	take_from(server, text, sizeof(text), &from);
	pid = fork();
	if (pid == 0) {
		poll(NULL, 0, 1500);
		_exit(0);
	}
	put(one, "one", 3);
	take_from(server, text, sizeof(text), &from);
	must_connect(server, from);
	send(two, "two", 3, 0);
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	before = worked();
	say_size("recv", recv(server, text, sizeof(text), 0));
	say("rests: %s", yes_no(worked() - before < 80000));
	await(pid);
}

static void *close_later(void *from)
{
	poll(NULL, 0, 500);
	for (int fd = *(int *)from; fd < *(int *)from + 4; fd++)
		close(fd);
	return NULL;
}

/* All numbers are taken when a new client comes: whoever waits for it rests until there are some. */
static void no_number_left(void)
{
	const int server = udp_at(here(0));
	struct rlimit limit;
	pthread_t thread;
	char text[16];
	long before;
	pid_t pid = fork();
	int first, fd;

	if (pid == 0) {
		const int client = udp_to(here(0));

		poll(NULL, 0, 200);
		put(client, "late", 4);
		poll(NULL, 0, 1000);
		_exit(0);
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &limit);
	first = dup(0);
	for (fd = first; fd >= 0; fd = dup(0))
		;
	if (pthread_create(&thread, NULL, close_later, &first))
		die("pthread_create");
	before = worked();
	say_size("recv", recv(server, text, sizeof(text), 0));
	say("rests: %s", yes_no(worked() - before < 80000));
	pthread_join(thread, NULL);
	await(pid);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"child-closes", child_closes},
		{"child-answers", child_answers},
		{"cancel-in-recv", cancel_in_recv},
		{"rests", rests},
		{"no-number-left", no_number_left},
	};

	return RUN_CASES(cases, argc, argv);
}
