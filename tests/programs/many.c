/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors, copies and epoll instances by the thousand: more than a table of fixed size would hold. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/epoll.h>
#include <sys/resource.h>

/* Raises the limit of descriptors, after the start; returns it. */
static unsigned raise_limit(unsigned wanted)
{
	struct rlimit limit, more = {wanted, wanted};

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max > wanted)
		more.rlim_max = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return (unsigned)limit.rlim_cur;
}

static void register_in(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("EPOLL_CTL_ADD");
}

/* The one registration of this instance reports data of fd. */
static bool reports(int epoll, int fd)
{
	struct epoll_event event[2];

	return epoll_wait(epoll, event, 2, 10000) == 1 && event[0].events == EPOLLIN && event[0].data.fd == fd;
}

static void instances_and_a_copy(void)
{
	enum { COUNT = 2500 };
	static int epoll[COUNT];
	const int listener = listen_at(here(0), 8), fd = open_socket(0), copy = dup(fd);
	int server, good = 0;

	raise_limit(8192);
	for (int i = 0; i < COUNT; i++) {
		epoll[i] = epoll_create1(EPOLL_CLOEXEC);
		register_in(epoll[i], i % 2 ? fd : copy);
	}
	must_connect(fd, here(0));
	server = must_accept(listener);
	write_all(server, "x", 1);
	for (int i = 0; i < COUNT; i++)
		good += reports(epoll[i], i % 2 ? fd : copy);
	read_all(fd, &(char){0}, 1);
	say("instances that report data: %d", good);
	for (int i = good = 0; i < COUNT; i++)
		good += epoll_ctl(epoll[i], EPOLL_CTL_DEL, i % 2 ? fd : copy, NULL) == 0;
	say("registrations removed: %d", good);
	say_talk("copy", server, copy);
}

static void copies_in_one_instance(void)
{
	enum { COUNT = 2500 };
	static int copy[COUNT];
	static struct epoll_event event[COUNT + 1];
	const int listener = listen_at(here(0), 8), epoll = epoll_create1(EPOLL_CLOEXEC);
	int server, good = 0;

	raise_limit(8192);
	copy[0] = open_socket(0);
	for (int i = 1; i < COUNT; i++)
		copy[i] = dup(copy[0]);
	for (int i = 0; i < COUNT; i++)
		register_in(epoll, copy[i]);
	must_connect(copy[COUNT / 2], here(0));
	server = must_accept(listener);
	write_all(server, "x", 1);
	say("events: %d", epoll_wait(epoll, event, COUNT + 1, 10000));
	for (int i = 0; i < COUNT; i++)
		good += peer_port(copy[i]) == here_port;
	say("copies that are connected: %d", good);
	read_all(copy[0], &(char){0}, 1);
	for (int i = 0; i < COUNT - 1; i++)
		close(copy[i]);
	write_all(copy[COUNT - 1], "y", 1);
	say("by the last one: %zu", read_all(server, &(char){0}, 1));
	close(copy[COUNT - 1]);
	say("end of file: %s", yes_no(read(server, &(char){0}, 1) == 0));
	say("events: %d", epoll_wait(epoll, event, COUNT + 1, 50));
}

/* All are registered before the first is connected. */
static void clients_registered_first(void)
{
	enum { COUNT = 2000 };
	static int client[COUNT];
	const int listener = listen_at(here(0), 64), epoll = epoll_create1(EPOLL_CLOEXEC);
	int good = 0;

	raise_limit(8192);
	for (int i = 0; i < COUNT; i++) {
		client[i] = open_socket(0);
		register_in(epoll, client[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		struct epoll_event event = {.events = 0};
		int server;

		/* A socket that is not connected says HUP on TCP. */
		must_connect(client[i], here(0));
		server = must_accept(listener);
		write_all(server, "x", 1);
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, client[i], &event) == 0)
			good += wait_for(client[i], POLLIN, 10000);
		close(server);
		close(client[i]);
	}
	say("good: %d", good);
}

/* Everything is done with numbers beyond a hundred thousand, where the limit may be raised so far. */
static void high_numbers(void)
{
	const unsigned limit = raise_limit(120000), high = limit - 64;
	const int listener = listen_at(here(0), 8), epoll = epoll_create1(EPOLL_CLOEXEC);
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned made = 0;
	struct pair pair;
	int moved, copy;

	while (made < high && dup(null) >= 0)
		made++;
	pair.client = open_socket(0);
	moved = fcntl(listener, F_DUPFD_CLOEXEC, 3);
	say("beyond %s: %s", limit == 120000 ? "a hundred thousand" : "the limit given",
	    yes_no((unsigned)pair.client > high && (unsigned)moved > high));
	register_in(epoll, pair.client);
	must_connect(pair.client, here(0));
	pair.server = must_accept(moved);
	say_names("client", pair.client);
	write_all(pair.server, "x", 1);
	say("event: %s", yes_no(reports(epoll, pair.client)));
	read_all(pair.client, &(char){0}, 1);
	copy = dup(pair.client);
	close(pair.client);
	say_talk("copy", copy, pair.server);
	close(copy);
	say("end of file: %s", yes_no(read(pair.server, &(char){0}, 1) == 0));
	copy = dup(open_socket(0));
	must_connect(copy, here(0));
	say_talk("a copy from before connect", copy, must_accept(moved));
	close_range(3, ~0u, 0);
	pair = connect_pair(1);
	say_talk("after close_range", pair.client, pair.server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"instances-and-a-copy", instances_and_a_copy},
		{"copies-in-one-instance", copies_in_one_instance},
		{"clients-registered-first", clients_registered_first},
		{"high-numbers", high_numbers},
	};

	return RUN_CASES(cases, argc, argv);
}
