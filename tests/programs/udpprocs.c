/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UDP sockets of several processes, threads and numbers. */
#define _GNU_SOURCE 1
#include "common.h"
#include "echo.h"
#include "udp.h"

/* Answers what comes, `count` times, or until it is told to end in three bytes. */
static void serve(int server, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char text[32];
		struct place from = {.len = sizeof(from.sa)};
		const ssize_t got =
			recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from.sa, &from.len);

		if (got == 3)
			return;
		if (got >= 0)
			put_to(server, text, (size_t)got, from);
	}
}

/* Asks until it is answered: what another process had received is lost with it. */
static void say_answer(const char *who, int client)
{
	char text[8] = "";

	for (int i = 0; i < 100; i++) {
		put_to(client, "echo", 4, here(0));
		if (wait_for(client, POLLIN, 200) && recv(client, text, sizeof(text), 0) > 0)
			break;
	}
	say("%s: %s", who, text);
	while (wait_for(client, POLLIN, UDP_SILENCE))
		recv(client, text, sizeof(text), 0);
}

static void child_serves(void)
{
	const int server = udp_at(here(0)), client = open_udp(0);
	pid_t child = start_child();

	if (child == 0)
		serve(server, UINT32_MAX);
	say_answer("from the child", client);
	stop(child);
	child = start_child();
	if (child == 0) {
		close(server);
		for (;;)
			pause();
	}
	put_to(client, "parent", 6, here(0));
	say_text("the parent", server);
	stop(child);
	put_to(client, "alone", 5, here(0));
	say_text("the parent", server);
}

/* As daemons do: the one that opened the socket is gone. */
static void daemon_serves(void)
{
	const int server = udp_at(here(0)), client = open_udp(0);
	const pid_t child = start_child();

	if (child == 0) {
		if (fork() > 0)
			_exit(0);
		setsid();
		set_alarm();
		serve(server, 1000);
		_exit(0);
	}
	say_end("child", child);
	close(server);
	say_answer("from the daemon", client);
	put_to(client, "end", 3, here(0));
}

static void child_sends(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct place from;

	put(client, "parent", 6);
	from = say_text_from("server", server);
	for (int i = 0; i < 3; i++) {
		const pid_t child = start_child();

		if (child == 0) {
			put(client, "child", 5);
			_exit(0);
		}
		say_end("child", child);
		say("the same: %s", yes_no(same_place(from, say_text_from("server", server))));
		put(client, "parent", 6);
		say_text("server", server);
	}
}

static void copies(void)
{
	int server = udp_at(here(0)), client = udp_to(here(0)), other;

	put(client, "one", 3);
	say_text("server", server);
	other = dup(server);
	close(server);
	put(client, "two", 3);
	say_text("copy", other);
	server = dup2(other, 600);
	close(other);
	other = fcntl(client, F_DUPFD_CLOEXEC, 700);
	close(client);
	put(other, "three", 5);
	put_to(server, "back", 4, say_text_from("copy", server));
	say_text("copy of the client", other);
	close(other);
	close(server);
	say_call("the port is free", do_bind(open_udp(0), here(0)));
}

static unsigned heard;

static void *hear(void *arg)
{
	char text[16];

	while (recv(*(const int *)arg, text, sizeof(text), 0) == 4)
		__atomic_fetch_add(&heard, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Eight receive by one socket: each datagram is one thread's. */
static void threads_receive(void)
{
	int server = udp_at(here(0)), client = udp_to(here(0));
	pthread_t threads[8];

	for (size_t i = 0; i < N_ELEMENTS(threads); i++)
		start(&threads[i], hear, &server);
	for (unsigned round = 1; round <= 20; round++) {
		for (unsigned i = 0; i < 50; i++)
			put(client, "data", 4);
		for (unsigned i = 0; i < 2000 && __atomic_load_n(&heard, __ATOMIC_RELAXED) < 50 * round; i++)
			poll(NULL, 0, 10);
	}
	for (size_t i = 0; i < N_ELEMENTS(threads); i++)
		put(client, "end", 3);
	for (size_t i = 0; i < N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	say("heard: %u", heard);
}

static void *speak(void *arg)
{
	char block[1000];

	for (unsigned i = 0; i < 5; i++) {
		fill(block, sizeof(block), i);
		put(*(const int *)arg, block, sizeof(block));
	}
	return NULL;
}

static void threads_send(void)
{
	int server = udp_at(here(0)), client = udp_to(here(0));
	unsigned wrong = 0;
	pthread_t threads[8];
	char block[1100];

	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < N_ELEMENTS(threads); i++)
			start(&threads[i], speak, &client);
		for (unsigned i = 0; i < N_ELEMENTS(threads) * 5; i++) {
			bool right = false;

			if (take_from(server, block, sizeof(block), NULL) == 1000)
				for (unsigned seed = 0; seed < 5 && !right; seed++)
					right = is_filled(block, 1000, seed);
			wrong += !right;
		}
		for (size_t i = 0; i < N_ELEMENTS(threads); i++)
			pthread_join(threads[i], NULL);
	}
	say("wrong: %u", wrong);
	say_silence("server", server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"child-serves", child_serves},	      {"daemon-serves", daemon_serves},
		{"child-sends", child_sends},	      {"copies", copies},
		{"threads-receive", threads_receive}, {"threads-send", threads_send},
	};

	return RUN_CASES(cases, argc, argv);
}
