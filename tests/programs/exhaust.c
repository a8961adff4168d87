/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors run out in the middle of a connect() or bind(): it fails, and the socket stays as it was. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/epoll.h>
#include <sys/resource.h>

static rlim_t limit_now(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

static void limit_set(rlim_t value)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = value;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
}

/* Not one more descriptor can be opened after this; all below `highest` are taken. */
static rlim_t fill(void)
{
	const rlim_t before = limit_now();
	int fd;

	do
		fd = dup(0);
	while (fd >= 0 && fd < 60);
	limit_set(fd >= 0 ? (rlim_t)fd + 1 : before);
	errno = 0;
	say("one more: %s", error_name(dup(0) < 0 ? errno : 0));
	return before;
}

static void say_state(const char *when, int fd)
{
	say("%s: O_NONBLOCK %s, FD_CLOEXEC %s, SO_KEEPALIVE %d, SO_DOMAIN %d, SO_ERROR %d", when,
	    yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK), yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC),
	    option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, SOL_SOCKET, SO_DOMAIN),
	    option(fd, SOL_SOCKET, SO_ERROR));
}

/* A socket with something to lose, in a process that has called connect() before. */
static int prepared(void)
{
	const int earlier = open_socket(0);
	const int fd = open_socket(SOCK_CLOEXEC);

	do_connect(earlier, here(5));
	close(earlier);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	return fd;
}

static void connect_without_room(void)
{
	const int listener = listen_at(here(0), 8);
	const int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 77};
	const int fd = prepared();
	const int copy = dup(fd);
	rlim_t before;
	int server, count;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	before = fill();
	say_call("connect", do_connect(fd, here(0)));
	say_state("after", fd);
	say_names("after", fd);
	errno = 0;
	say("one more: %s", error_name(dup(0) < 0 ? errno : 0));
	say_call("registration is there: ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	limit_set(before);
	say_call("connect with room", do_connect(fd, here(0)));
	server = must_accept(listener);
	while (epoll_wait(epoll, &event, 1, 50) > 0)
		;
	say_talk("talk", copy, server);
	write_all(server, "x", 1);
	event.data.u64 = 0;
	count = epoll_wait(epoll, &event, 1, 20000);
	say("event %d, data %llu", count, (unsigned long long)event.data.u64);
	say_state("in the end", fd);
}

/* What is needed for the first call of a process cannot be opened either; that passes. */
static void first_call_without_room(void)
{
	const int fd = open_socket(0);
	rlim_t before = fill();
	int listener;

	say_call("connect", do_connect(fd, here(0)));
	limit_set(before);
	listener = listen_at(here(0), 8);
	say_call("connect with room", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void connect_unmatched_without_room(void)
{
	const int listener = listen_at(other(0), 8);
	const int fd = prepared();
	rlim_t before = fill();

	say_call("connect to an unmatched address", do_connect(fd, other(0)));
	limit_set(before);
	say_talk("talk", fd, must_accept(listener));
}

static void bind_without_room(void)
{
	const int client = open_socket(0);
	const int fd = prepared();
	rlim_t before;

	before = fill();
	say_call("bind", do_bind(fd, here(0)));
	say_state("after", fd);
	say_names("after", fd);
	limit_set(before);
	say_call("bind with room", do_bind(fd, here(0)));
	say_call("listen", listen(fd, 8));
	must_connect(client, here(0));
	say_talk("talk", client, must_accept(fd));
	say_state("in the end", fd);
}

static void listen_without_room(void)
{
	const int fd = prepared();
	rlim_t before = fill();

	say_call("listen", listen(fd, 8));
	limit_set(before);
	say_call("listen with room", listen(fd, 8));
	say("port is 0: %s", yes_no(own_port(fd) == 0));
}

static void accept_without_room(void)
{
	const int listener = listen_at(here(0), 8);
	const int client = open_socket(0);
	rlim_t before;
	int server;

	must_connect(client, here(0));
	before = fill();
	say_call("accept", accept(listener, NULL, NULL));
	limit_set(before);
	server = must_accept(listener);
	say_talk("talk", client, server);
}

static void connect_with_room_for_one(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = prepared();
	const rlim_t before = fill();

	limit_set(limit_now() + 1);
	say_call("connect", do_connect(fd, here(0)));
	errno = 0;
	say_call("one more", dup(0));
	limit_set(before);
	say_talk("talk", fd, must_accept(listener));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"connect-without-room", connect_without_room},
		{"first-call-without-room", first_call_without_room},
		{"connect-unmatched-without-room", connect_unmatched_without_room},
		{"bind-without-room", bind_without_room},
		{"listen-without-room", listen_without_room},
		{"accept-without-room", accept_without_room},
		{"connect-with-room-for-one", connect_with_room_for_one},
	};

	return RUN_CASES(cases, argc, argv);
}
