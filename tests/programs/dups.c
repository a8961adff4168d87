/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of a descriptor taken before connect() or bind() are the same socket after it. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/ioctl.h>

static int by_dup(int fd)
{
	return dup(fd);
}

static int by_dup2(int fd)
{
	return dup2(fd, 77);
}

static int by_dup3(int fd)
{
	return dup3(fd, 78, O_CLOEXEC);
}

static int by_dupfd(int fd)
{
	return fcntl(fd, F_DUPFD, 79);
}

static int by_dupfd_cloexec(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 80);
}

static const struct {
	const char *name;
	int (*copy)(int fd);
} ways[] = {
	{"dup", by_dup},
	{"dup2", by_dup2},
	{"dup3", by_dup3},
	{"F_DUPFD", by_dupfd},
	{"F_DUPFD_CLOEXEC", by_dupfd_cloexec},
};

static int must_copy(size_t way, int fd)
{
	const int copy = ways[way].copy(fd);

	if (copy < 0)
		die("%s", ways[way].name);
	return copy;
}

static void copy_before_connect(void)
{
	const int listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(0);
		const int copy = must_copy(i, fd);
		int server;

		must_connect(fd, here(0));
		server = must_accept(listener);
		say_talk(ways[i].name, copy, server);
		say_talk("and by the first", fd, server);
		say("same port: %s", yes_no(own_port(copy) == own_port(fd)));
		say("close-on-exec: first %s, copy %s", yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC),
		    yes_no(fcntl(copy, F_GETFD) & FD_CLOEXEC));
		close(fd);
		close(copy);
		say("server sees the end: %s", yes_no(read(server, &(char){0}, 1) == 0));
		close(server);
	}
}

static void connect_by_the_copy(void)
{
	const int listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(SOCK_CLOEXEC);
		const int copy = must_copy(i, fd);
		int server;

		must_connect(copy, here(0));
		server = must_accept(listener);
		say_talk(ways[i].name, fd, server);
		say("close-on-exec: first %s, copy %s", yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC),
		    yes_no(fcntl(copy, F_GETFD) & FD_CLOEXEC));
		close(fd);
		say_talk("after closing the first", copy, server);
		close(copy);
		close(server);
	}
}

static void first_closed_before_connect(void)
{
	const int listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(0);
		const int copy = must_copy(i, fd);
		int server;

		close(fd);
		must_connect(copy, here(0));
		errno = 0;
		say("the first number: %s", error_name(fcntl(fd, F_GETFD) < 0 ? errno : 0));
		server = must_accept(listener);
		say_talk(ways[i].name, copy, server);
		close(copy);
		close(server);
	}
}

static void closing_either(void)
{
	const int listener = listen_at(here(0), 8);

	for (int which = 0; which < 2; which++) {
		int fd[2], server;

		fd[0] = open_socket(0);
		fd[1] = dup(fd[0]);
		must_connect(fd[0], here(0));
		server = must_accept(listener);
		close(fd[which]);
		say_talk("the one left", fd[!which], server);
		errno = 0;
		say("server has nothing to read: %s",
		    error_name(recv(server, &(char){0}, 1, MSG_DONTWAIT) < 0 ? errno : 0));
		close(fd[!which]);
		say("now the end: %s", yes_no(read(server, &(char){0}, 1) == 0));
		close(server);
	}
}

static void copy_before_bind(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(0);
		const int copy = must_copy(i, fd);
		const int client = open_socket(0);

		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (do_bind(fd, here(0)) < 0)
			die("bind");
		say_call("listen by the copy", listen(copy, 8));
		say("%s: copy is %s", ways[i].name, own_text(copy));
		close(fd);
		must_connect(client, here(0));
		say_talk("accepted by the copy", client, must_accept(copy));
		close(copy);
		close(client);
	}
}

static void many_copies(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	int copy[20], server, good = 0;

	for (int i = 0; i < 20; i++)
		copy[i] = dup(fd);
	must_connect(copy[10], here(0));
	server = must_accept(listener);
	for (int i = 0; i < 20; i++) {
		char byte = 0;

		write_all(copy[i], &(char){(char)('a' + i)}, 1);
		read_all(server, &byte, 1);
		good += byte == 'a' + i;
	}
	say("copies that reach the server: %d", good);
}

static void copy_shares_flags(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const int copy = dup(fd);
	int one = 1;

	must_connect(fd, here(0));
	set_nonblocking(copy, true);
	say("first is non-blocking: %s", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK));
	one = 0;
	ioctl(fd, FIONBIO, &one);
	say("copy is non-blocking: %s", yes_no(fcntl(copy, F_GETFL) & O_NONBLOCK));
	set_option(copy, SOL_SOCKET, SO_KEEPALIVE, 1);
	say("SO_KEEPALIVE of the first: %d", option(fd, SOL_SOCKET, SO_KEEPALIVE));
	close(listener);
}

static void copy_after_connect(void)
{
	const struct pair pair = connect_pair(0);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int copy = must_copy(i, pair.client);
		const int server_copy = dup(pair.server);

		say_talk(ways[i].name, copy, server_copy);
		say_names("copy", copy);
		say_names("copy of server", server_copy);
		close(copy);
		close(server_copy);
	}
	say_talk("the first ones", pair.client, pair.server);
}

/* The number of a closed copy belongs to something else when the socket is replaced. */
static void number_of_a_copy_reused(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const int copy = dup(fd);
	int pipe_fd[2], server;
	char data[5] = "";

	close(copy);
	if (pipe(pipe_fd) < 0)
		die("pipe");
	say("the pipe has its number: %s", yes_no(pipe_fd[0] == copy));
	must_connect(fd, here(0));
	server = must_accept(listener);
	write_all(pipe_fd[1], "pipe", 4);
	read_all(pipe_fd[0], data, 4);
	say("through the pipe: %s", data);
	say_talk("talk", fd, server);
}

/* Two different sockets next to each other: only one of them is replaced. */
static void neighbours_stay(void)
{
	const int listener = listen_at(here(0), 8);
	const int before = open_socket(0);
	const int fd = open_socket(0);
	const int copy = dup(fd);
	const int after = open_socket(0);

	must_connect(fd, here(0));
	say_call("neighbour before", do_bind(before, here_any_port()));
	say_call("neighbour after", do_bind(after, here_any_port()));
	say_talk("talk", copy, must_accept(listener));
}

/* What is set through one number is set for the other. */
static void set_through_the_copy(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0), on = 1;
	const int copy = dup(fd);

	setsockopt(copy, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(copy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK);
	if (do_connect(fd, here(0)) < 0 && errno != EINPROGRESS)
		die("connect");
	wait_for(fd, POLLOUT, 5000);
	say("SO_KEEPALIVE %d, TCP_NODELAY %d, O_NONBLOCK %s", option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    option(fd, IPPROTO_TCP, TCP_NODELAY), yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(must_accept(listener));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"copy-before-connect", copy_before_connect},
		{"connect-by-the-copy", connect_by_the_copy},
		{"first-closed-before-connect", first_closed_before_connect},
		{"closing-either", closing_either},
		{"copy-before-bind", copy_before_bind},
		{"many-copies", many_copies},
		{"copy-shares-flags", copy_shares_flags},
		{"copy-after-connect", copy_after_connect},
		{"number-of-a-copy-reused", number_of_a_copy_reused},
		{"neighbours-stay", neighbours_stay},
		{"set-through-the-copy", set_through_the_copy},
	};

	return RUN_CASES(cases, argc, argv);
}
