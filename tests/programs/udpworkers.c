/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Servers and clients at work while something else goes on: workers, children that close everything, signal handlers. */
#define _GNU_SOURCE 1
#include "common.h"
#include "echo.h"
#include "udp.h"

#include <spawn.h>
#include <time.h>

enum { WORKERS = 4, CLIENTS = 5, REQUESTS = 40 };

extern char **environ;

struct request {
	uint32_t client, number, a, b;
};

struct answer {
	uint32_t client, number, sum;
};

static void work(int server)
{
	for (;;) {
		struct request request;
		struct place from = {.len = sizeof(from.sa)};
		const ssize_t got = recvfrom(server, &request, sizeof(request), 0, (struct sockaddr *)&from.sa, &from.len);
		const struct answer answer = {request.client, request.number, request.a + request.b};

		if (got == sizeof(request))
			put_to(server, &answer, sizeof(answer), from);
	}
}

static void start_workers(int server, pid_t *workers)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = start_child();
		if (workers[i] == 0)
			work(server);
	}
}

/* Sends one request; true when its answer came within that time, and nothing else. */
static bool is_answered(int fd, bool connected, uint32_t client, uint32_t number, int patience)
{
	const struct request request = {client, number, client * 1000003, number * 7919};
	struct answer answer;

	if (connected)
		put(fd, &request, sizeof(request));
	else
		put_to(fd, &request, sizeof(request), here(0));
	return wait_for(fd, POLLIN, patience) && recv(fd, &answer, sizeof(answer), 0) == sizeof(answer) &&
	       answer.client == client && answer.number == number && answer.sum == request.a + request.b;
}

/* A client of its own: ends with the number of what was not as it should be. */
static void ask(uint32_t client)
{
	const bool connected = client % 2;
	const int fd = connected ? udp_to(here(0)) : open_udp(0);
	int wrong = 0;

	for (uint32_t i = 0; i < REQUESTS; i++) {
		wrong += !is_answered(fd, connected, client, i, UDP_SOON);
		poll(NULL, 0, 5 + (int)client);
	}
	wrong += wait_for(fd, POLLIN, UDP_SILENCE); /* answered twice */
	_exit(wrong);
}

static void say_clients(int server)
{
	pid_t clients[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++) {
		clients[i] = start_child();
		if (clients[i] == 0) {
			close(server);
			ask(i);
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		say_end("client", clients[i]);
}

/* The parent keeps the socket, and leaves all work to others. */
static void shared(void)
{
	const int server = udp_at(here(0));
	pid_t workers[WORKERS];

	start_workers(server, workers);
	say_clients(server);
	for (unsigned i = 0; i < WORKERS; i++)
		stop(workers[i]);
}

/* One after the other is killed, and another takes its place: who had asked it asks again. */
static void replaced(void)
{
	const int server = udp_at(here(0));
	int fds[CLIENTS], unanswered = 0;
	pid_t workers[WORKERS];

	start_workers(server, workers);
	for (unsigned i = 0; i < CLIENTS; i++)
		fds[i] = i % 2 ? udp_to(here(0)) : open_udp(0);
	for (uint32_t round = 0; round < 2 * WORKERS; round++) {
		for (uint32_t i = 0; i < CLIENTS; i++) {
			int tries = 50;

			while (tries && !is_answered(fds[i], i % 2, i, round * 100 + (uint32_t)tries, 300))
				tries--;
			unanswered += !tries;
		}
		stop(workers[round % WORKERS]);
		workers[round % WORKERS] = start_child();
		if (workers[round % WORKERS] == 0)
			work(server);
	}
	say("unanswered: %d", unanswered);
	for (unsigned i = 0; i < WORKERS; i++)
		stop(workers[i]);
}

/* Two sockets of one process at one port: each datagram is for one of them. */
static void reuseport(void)
{
	const int servers[] = {open_udp(SOCK_NONBLOCK), open_udp(SOCK_NONBLOCK)};
	unsigned char seen[CLIENTS][REQUESTS] = {{0}};
	int fds[CLIENTS];
	unsigned once = 0, wrong = 0;

	for (size_t i = 0; i < N_ELEMENTS(servers); i++) {
		set_option(servers[i], SOL_SOCKET, SO_REUSEPORT, 1);
		if (do_bind(servers[i], here(0)) < 0)
			die("bind");
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		fds[i] = i % 2 ? udp_to(here(0)) : open_udp(0);
	for (uint32_t number = 0; number < REQUESTS; number++) {
		struct pollfd polls[] = {{servers[0], POLLIN, 0}, {servers[1], POLLIN, 0}};
		unsigned came = 0;

		for (uint32_t i = 0; i < CLIENTS; i++) {
			const struct request request = {i, number, 0, 0};

			put_to(fds[i], &request, sizeof(request), here(0));
		}
		while (came < CLIENTS && poll(polls, 2, UDP_SOON) > 0) {
			for (size_t i = 0; i < N_ELEMENTS(polls); i++) {
				struct request request;

				while (recv(polls[i].fd, &request, sizeof(request), 0) == sizeof(request)) {
					came++;
					if (request.client < CLIENTS && request.number < REQUESTS)
						seen[request.client][request.number]++;
					else
						wrong++;
				}
			}
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned k = 0; k < REQUESTS; k++)
			once += seen[i][k] == 1;
	say("each once: %s, wrong: %u", yes_no(once == CLIENTS * REQUESTS), wrong);
	say_silence("one", servers[0]);
	say_silence("the other", servers[1]);
}

static bool over;
static unsigned rounds, mistakes;

struct ends {
	int server, client;
};

/* There and back, until it is over. */
static void *exchange(void *arg)
{
	const struct ends *ends = arg;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		const unsigned seed = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
		char there[300], back[900], data[1000];
		struct place from;

		fill(there, sizeof(there), seed);
		put(ends->client, there, sizeof(there));
		mistakes += take_from(ends->server, data, sizeof(data), &from) != sizeof(there) ||
			    !is_filled(data, sizeof(there), seed);
		fill(back, sizeof(back), seed + 1);
		put_to(ends->server, back, sizeof(back), from);
		mistakes += take_from(ends->client, data, sizeof(data), &from) != sizeof(back) ||
			    !is_filled(data, sizeof(back), seed + 1);
		__atomic_fetch_add(&rounds, 1, __ATOMIC_RELAXED);
		poll(NULL, 0, 1);
	}
	return NULL;
}

static pid_t start_by_vfork(bool range)
{
	const pid_t pid = vfork();

	if (pid == 0) {
		if (range)
			close_range(3, ~0U, 0);
		else
			for (int fd = 3; fd < 1100; fd++)
				close(fd);
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	return pid;
}

static pid_t start_by_spawn(bool range)
{
	char *argv[] = {(char[]){"true"}, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&actions);
	if (range)
		posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	else
		for (int fd = 3; fd < 100; fd++)
			posix_spawn_file_actions_addclose(&actions, fd);
	errno = posix_spawn(&pid, "/bin/true", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return errno ? -1 : pid;
}

/* Alone, and while a thread exchanges datagrams: nothing of what the children close is their parent's. */
static void children_close(pid_t (*start_one)(bool range))
{
	struct ends ends = {udp_at(here(0)), udp_to(here(0))};
	unsigned ended = 0, before;
	pthread_t thread;
	int status;

	put(ends.client, "before", 6);
	say_text("server", ends.server);
	for (int i = 0; i < 2; i++) {
		say_end("child", start_one(i));
		put(ends.client, "after", 5);
		put_to(ends.server, "answer", 6, say_text_from("server", ends.server));
		say_text("client", ends.client);
	}
	start(&thread, exchange, &ends);
	for (int i = 0; i < 20; i++) {
		const pid_t pid = start_one(i % 2);

		ended += pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
		before = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
		while (__atomic_load_n(&rounds, __ATOMIC_RELAXED) < before + 2)
			poll(NULL, 0, 2);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	say("ended: %u, wrong: %u", ended, mistakes);
	say_silence("server", ends.server);
	say_silence("client", ends.client);
}

static void closing_after_vfork(void)
{
	children_close(start_by_vfork);
}

static void closing_in_spawn(void)
{
	children_close(start_by_spawn);
}

enum { MAIN = 0x6d61696e, SIDE = 0x73696465, MAIN_SIZE = 200, SIDE_SIZE = 900 };

struct talk {
	uint32_t kind, number;
	char data[SIDE_SIZE];
};

static struct {
	int same, another;
	uint32_t count;
} side;

static void talk_make(struct talk *talk, uint32_t kind, uint32_t number)
{
	talk->kind = kind;
	talk->number = number;
	fill(talk->data, kind == MAIN ? MAIN_SIZE : SIDE_SIZE, kind + number);
}

static bool talk_is_whole(const struct talk *talk, ssize_t size)
{
	const size_t data = size < 8 || talk->kind == MAIN ? MAIN_SIZE : SIDE_SIZE;

	return size == (ssize_t)(8 + data) && (talk->kind == MAIN || talk->kind == SIDE) &&
	       is_filled(talk->data, data, talk->kind + talk->number);
}

static void on_timer(int signal)
{
	const int error = errno;
	struct talk talk;

	(void)signal;
	talk_make(&talk, SIDE, side.count++);
	send(side.same, &talk, 8 + SIDE_SIZE, 0);
	send(side.another, &talk, 8 + SIDE_SIZE, 0);
	errno = error;
}

static void echo(int server)
{
	for (;;) {
		struct talk talk;
		struct place from = {.len = sizeof(from.sa)};
		const ssize_t got = recvfrom(server, &talk, sizeof(talk), 0, (struct sockaddr *)&from.sa, &from.len);

		if (got > 0)
			put_to(server, &talk, (size_t)got, from);
	}
}

/* Asks until it is answered: what was sent in the midst of another call may be lost, and nothing else. */
static bool talk_once(int client, uint32_t number, unsigned *whole, unsigned *wrong)
{
	for (int tries = 0; tries < 50; tries++) {
		struct talk talk;

		talk_make(&talk, MAIN, number);
		put(client, &talk, 8 + MAIN_SIZE);
		while (wait_for(client, POLLIN, 400)) {
			const ssize_t got = recv(client, &talk, sizeof(talk), 0);

			if (!talk_is_whole(&talk, got))
				++*wrong;
			else if (talk.kind == SIDE)
				++*whole;
			else if (talk.number == number)
				return true;
		}
	}
	return false;
}

/* The timer goes off at another moment each time: early or late in sending, in waiting, in receiving. */
static void handler_sends(void)
{
	const int server = udp_at(here(0)), sink = udp_at(here(1)), client = udp_to(here(0));
	const struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	const pid_t child = start_child();
	unsigned answered = 0, whole = 0, wrong = 0, sunk = 0;
	struct talk talk;
	timer_t timer;

	if (child == 0)
		echo(server);
	close(server);
	side.same = client;
	side.another = udp_to(here(1));
	if (sigaction(SIGUSR1, &action, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
		die("timer");
	for (uint32_t i = 0; i < 400; i++) {
		const struct itimerspec soon = {.it_value.tv_nsec = 1000 + i * 7919 % 200 * 1000};

		timer_settime(timer, 0, &soon, NULL);
		answered += talk_once(client, i, &whole, &wrong);
		for (ssize_t got; (got = recv(sink, &talk, sizeof(talk), MSG_DONTWAIT)) > 0; sunk++)
			wrong += !talk_is_whole(&talk, got);
	}
	timer_delete(timer);
	say("answered: %u, wrong: %u", answered, wrong);
	say("from the handler: %s, %s", yes_no(whole > 10), yes_no(sunk > 10));
	stop(child);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"shared", shared},
		{"replaced", replaced},
		{"reuseport", reuseport},
		{"closing-after-vfork", closing_after_vfork},
		{"closing-in-spawn", closing_in_spawn},
		{"handler-sends", handler_sends},
	};

	return RUN_CASES(cases, argc, argv);
}
