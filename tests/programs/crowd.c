/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients of a server with a backlog of 5, one by one or a crowd at once: each gets through, and is answered. */
#define _GNU_SOURCE 1
#include "common.h"
#include "full.h"

#include <pthread.h>

static int listener;
static unsigned rounds; /* of each client */
static pthread_barrier_t barrier;

/* A number of clients or rounds, less on a slow machine. */
static unsigned scaled(unsigned number)
{
	const char *scale = getenv("SCALE");
	const unsigned factor = scale ? (unsigned)strtoul(scale, NULL, 10) : 1;

	return number / (factor ? factor : 1);
}

/* Takes a number, gives it back one larger, one client after the other. */
static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		const int fd = accept(listener, NULL, NULL);
		uint32_t number;

		if (fd < 0)
			continue;
		if (read_all(fd, &number, sizeof(number)) == sizeof(number)) {
			number++;
			write_all(fd, &number, sizeof(number));
		}
		close(fd);
	}
	return NULL;
}

static int visit(uint32_t number)
{
	const struct place to = here(0);
	const int fd = socket(here_family, SOCK_STREAM, 0);
	uint32_t answer = 0;
	int error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&to.sa, to.len) < 0 ||
	    send(fd, &number, sizeof(number), MSG_NOSIGNAL) != sizeof(number) ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		error = errno;
	else if (answer != number + 1)
		error = EBADMSG;
	close(fd);
	return error;
}

struct client {
	pthread_t thread;
	uint32_t number;
	unsigned good;
	int error;
};

static void *be_client(void *arg)
{
	struct client *client = arg;

	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < rounds; i++) {
		const int error = visit(client->number * rounds + i);

		if (error)
			client->error = error;
		else
			client->good++;
	}
	return NULL;
}

static void crowd(unsigned count, unsigned visits)
{
	struct client *clients = calloc(count, sizeof(*clients));
	unsigned good = 0;
	pthread_attr_t attr;
	pthread_t server;

	limit_backlogs("5");
	allow_descriptors();
	rounds = visits;
	listener = listen_at(here(0), 5);
	pthread_barrier_init(&barrier, NULL, count);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	if (pthread_create(&server, NULL, serve, NULL))
		die("pthread_create");
	for (unsigned i = 0; i < count; i++) {
		clients[i].number = i;
		if (pthread_create(&clients[i].thread, &attr, be_client, &clients[i]))
			die("pthread_create");
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(clients[i].thread, NULL);
		good += clients[i].good;
		if (clients[i].error)
			say("client %u: %s", i, error_name(clients[i].error));
	}
	say("visits lost: %u", count * visits - good);
	free(clients);
}

static void thousand_at_once(void)
{
	crowd(scaled(1000), 1);
}

static void thirty_two_again_and_again(void)
{
	crowd(32, scaled(100));
}

/* One client, the server in another process: what one visit more costs can be counted from outside. */
static void one_by_one(unsigned count)
{
	pid_t server;
	int error = 0;

	listener = listen_at(here(0), 5);
	server = start_child();
	if (server == 0)
		serve(NULL);
	close(listener);
	while (count-- && !error)
		error = visit(count);
	say("visits: %s", error_name(error));
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void one(void)
{
	one_by_one(1);
}

static void eleven(void)
{
	one_by_one(11);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"one", one},
		{"eleven", eleven},
		{"thousand-at-once", thousand_at_once},
		{"thirty-two-again-and-again", thirty_two_again_and_again},
	};

	return RUN_CASES(cases, argc, argv);
}
