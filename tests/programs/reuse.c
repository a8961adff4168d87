/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors closed in every way there is, their numbers used again for other things, and many of them in a row. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>

static int close_by_close(int fd)
{
	return close(fd);
}

static int close_by_fclose(int fd)
{
	FILE *file = fdopen(fd, "r+");

	return file ? fclose(file) : -1;
}

static int close_by_close_range(int fd)
{
	return close_range((unsigned)fd, (unsigned)fd, 0);
}

static int close_by_syscall(int fd)
{
	return (int)syscall(SYS_close, fd);
}

/* dup2 over it: the number is another file at once, and is closed then */
static int close_by_dup2(int fd)
{
	int pipe_fd[2];

	if (pipe(pipe_fd) < 0 || dup2(pipe_fd[0], fd) != fd)
		return -1;
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return close(fd);
}

static const struct {
	const char *name;
	int (*go)(int fd);
} closers[] = {
	{"close", close_by_close},     {"fclose", close_by_fclose}, {"close_range", close_by_close_range},
	{"syscall", close_by_syscall}, {"dup2", close_by_dup2},
};

/* Puts something at exactly this number. */
static void place_at(int fd, int thing)
{
	if (thing == fd)
		return;
	if (fcntl(fd, F_GETFD) >= 0)
		die("number is taken");
	if (dup2(thing, fd) != fd)
		die("dup2");
	close(thing);
}

static void say_pipe(int fd)
{
	int pipe_fd[2];
	struct place name = {.len = sizeof(name.sa)};
	char data[5] = "";
	int writer;

	if (pipe(pipe_fd) < 0)
		die("pipe");
	writer = fcntl(pipe_fd[1], F_DUPFD, 200);
	close(pipe_fd[1]);
	place_at(fd, pipe_fd[0]);
	say_call("  pipe: getsockname", getsockname(fd, (struct sockaddr *)&name.sa, &name.len));
	say_call("  pipe: accept", accept(fd, NULL, NULL));
	say_call("  pipe: connect", do_connect(fd, here(0)));
	write_all(writer, "pipe", 4);
	read_all(fd, data, 4);
	say("  pipe: %s", data);
	close(writer);
	close(fd);
}

static void say_unix(int fd)
{
	int pair[2];
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int peer;
	char data[5] = "";

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	peer = fcntl(pair[1], F_DUPFD, 200);
	close(pair[1]);
	place_at(fd, pair[0]);
	memset(&name, 0xee, sizeof(name));
	say_call("  unix: getsockname", getsockname(fd, (struct sockaddr *)&name, &len));
	say("  unix: %s, length %u", family_text(name.sun_family), (unsigned)len);
	len = sizeof(name);
	say_call("  unix: getpeername", getpeername(fd, (struct sockaddr *)&name, &len));
	say("  unix: %s, length %u, SO_DOMAIN %d", family_text(name.sun_family), (unsigned)len,
	    option(fd, SOL_SOCKET, SO_DOMAIN));
	write_all(peer, "unix", 4);
	read_all(fd, data, 4);
	say("  unix: %s", data);
	close(peer);
	close(fd);
}

static void say_inet(int fd)
{
	const int listener = listen_at(other(1), 8);
	const int high = fcntl(listener, F_DUPFD, 200);
	int thing, server;

	close(listener);
	thing = open_socket(0);
	place_at(fd, thing);
	say_names("  inet, fresh", fd);
	say("  inet: SO_KEEPALIVE %d, O_NONBLOCK %s, FD_CLOEXEC %s", option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK), yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	say_call("  inet: connect", do_connect(fd, other(1)));
	say_names("  inet, connected", fd);
	server = must_accept(high);
	say_talk("  inet", fd, server);
	close(server);
	close(high);
	close(fd);
}

static void say_matched(int fd)
{
	const int listener = listen_at(here(2), 8);
	const int high = fcntl(listener, F_DUPFD, 200);
	int thing, server;

	close(listener);
	thing = open_socket(0);
	place_at(fd, thing);
	say_names("  again, fresh", fd);
	say_call("  again: connect", do_connect(fd, here(2)));
	say("  again: O_NONBLOCK %s", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK));
	server = must_accept(high);
	say_names("  again", fd);
	say_talk("  again", fd, server);
	close(server);
	close(high);
	close(fd);
}

static void (*const uses[])(int fd) = {say_pipe, say_unix, say_inet, say_matched};

static void after_client(void)
{
	for (size_t i = 0; i < N_ELEMENTS(closers); i++) {
		for (size_t k = 0; k < N_ELEMENTS(uses); k++) {
			const int listener = listen_at(here(0), 8);
			const int fd = fcntl(open_socket(0), F_DUPFD, 50);
			int server;

			set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
			must_connect(fd, here(0));
			server = must_accept(listener);
			set_nonblocking(fd, true);
			fcntl(fd, F_SETFD, FD_CLOEXEC);
			for (int n = 3; n < 50; n++) /* the number it was a copy of */
				if (n != listener && n != server)
					close(n);
			say("client closed by %s: %s", closers[i].name,
			    error_name(closers[i].go(fd) < 0 ? errno : 0));
			say("  peer reads the end: %s", yes_no(read(server, &(char){0}, 1) == 0));
			close(server);
			close(listener);
			uses[k](fd);
		}
	}
}

static void after_listener(void)
{
	for (size_t i = 0; i < N_ELEMENTS(closers); i++) {
		for (size_t k = 0; k < N_ELEMENTS(uses); k++) {
			const int fd = fcntl(listen_at(here(0), 8), F_DUPFD, 50);
			const int client = open_socket(0);

			for (int n = 3; n < 50; n++)
				if (n != client)
					close(n);
			say("listener closed by %s: %s", closers[i].name,
			    error_name(closers[i].go(fd) < 0 ? errno : 0));
			say_call("  connect to it", do_connect(client, here(0)));
			close(client);
			uses[k](fd);
		}
	}
}

/* A fresh socket, never connected: what was remembered of it goes with it. */
static void after_fresh_socket(void)
{
	for (size_t i = 0; i < N_ELEMENTS(closers); i++) {
		for (size_t k = 0; k < N_ELEMENTS(uses); k++) {
			const int fd = fcntl(open_socket(SOCK_NONBLOCK), F_DUPFD, 50);

			close_range(3, 49, 0);
			say("fresh socket closed by %s: %s", closers[i].name,
			    error_name(closers[i].go(fd) < 0 ? errno : 0));
			uses[k](fd);
		}
	}
}

/* Programs that close everything at start and go on. */
static void everything_closed_at_start(void)
{
	struct pair pair;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	pair = connect_pair(0);
	say_talk("after a loop of close", pair.client, pair.server);
	close_range(3, ~0u, 0);
	pair = connect_pair(1);
	say_talk("after close_range", pair.client, pair.server);
	closefrom(3);
	pair = connect_pair(2);
	say_talk("after closefrom", pair.client, pair.server);
	errno = 0;
	say("lowest number is 3: %s", yes_no(pair.client == 4 || pair.server == 4));
}

/* Descriptor count and end of file, over and over. */
static void churn(int rounds)
{
	const int listener = listen_at(here(0), 64);
	const unsigned before = count_fds();
	unsigned most = before;
	int ends = 0, errors = 0;

	for (int i = 0; i < rounds; i++) {
		const int fd = open_socket(i & 1 ? SOCK_CLOEXEC : 0);
		int server;

		if (do_connect(fd, here(0)) < 0) {
			if (!errors++)
				say("round %d: %s", i, error_name(errno));
			close(fd);
			continue;
		}
		server = must_accept(listener);
		/* The server closes first every other time: TIME_WAIT stays at either end. */
		close(i & 1 ? server : fd);
		ends += read(i & 1 ? fd : server, &(char){0}, 1) == 0;
		close(i & 1 ? fd : server);
		if (i % 1000 == 0) {
			const unsigned now = count_fds();

			most = now > most ? now : most;
		}
	}
	say("rounds %d, errors %d, ends of file %d", rounds, errors, ends);
	say("descriptors more: %d at most, %d in the end", (int)(most - before), (int)(count_fds() - before));
}

static void ten_thousand_connections(void)
{
	churn(10000);
}

static void two_thousand_listeners(void)
{
	const unsigned before = count_fds();
	int errors = 0;

	for (int i = 0; i < 2000; i++)
		close(listen_at(here((unsigned)i % 8), 1));
	say("errors %d, descriptors more: %d", errors, (int)(count_fds() - before));
}

/* Refused again and again, by a new socket each time. */
static void two_thousand_refusals(void)
{
	const unsigned before = count_fds();
	int refused = 0;

	for (int i = 0; i < 2000; i++) {
		const int fd = open_socket(i & 1 ? SOCK_NONBLOCK : 0);

		refused += finish_connect(fd, here(5)) == ECONNREFUSED;
		close(fd);
	}
	say("refused %d, descriptors more: %d", refused, (int)(count_fds() - before));
}

/* As many at the same time as the limit allows beyond 1024, select() and fixed tables left behind. */
static void two_thousand_open(void)
{
	const struct rlimit want = {8192, 8192};
	const int listener = listen_at(here(0), 512);
	struct rlimit limit;
	int good = 0;
	static int client[2000], server[2000];

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want.rlim_cur && setrlimit(RLIMIT_NOFILE, &want) < 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < 2000; i++) {
		client[i] = open_socket(0);
		must_connect(client[i], here(0));
		server[i] = must_accept(listener);
	}
	for (int i = 0; i < 2000; i++) {
		char byte = 0;

		write_all(client[i], &(char){(char)i}, 1);
		good += read_all(server[i], &byte, 1) == 1 && byte == (char)i &&
			own_port(client[i]) == peer_port(server[i]);
	}
	say("good: %d", good);
}

/* stdio closes the descriptor where no preloaded library sees it; the next owner of the number is a file. */
static void closed_by_stdio_then_a_file(void)
{
	const int fd = open_socket(0);
	int file;

	fclose(fdopen(fd, "r"));
	file = open("/dev/null", O_RDONLY);
	say("same number: %s", yes_no(file == fd));
	say_call("connect", do_connect(file, here(0)));
	say_call("bind", do_bind(file, here(1)));
}

/* A listener cannot connect. */
static void listener_connects(void)
{
	const int listener = listen_at(other(0), 8), target = listen_at(here(1), 8);
	const int fd = open_socket(0);

	say_call("connect", do_connect(listener, here(1)));
	must_connect(fd, other(0));
	say_talk("talk", fd, must_accept(listener));
	close(target);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"after-client", after_client},
		{"after-listener", after_listener},
		{"after-fresh-socket", after_fresh_socket},
		{"everything-closed-at-start", everything_closed_at_start},
		{"ten-thousand-connections", ten_thousand_connections},
		{"two-thousand-listeners", two_thousand_listeners},
		{"two-thousand-refusals", two_thousand_refusals},
		{"two-thousand-open", two_thousand_open},
		{"closed-by-stdio-then-a-file", closed_by_stdio_then_a_file},
		{"listener-connects", listener_connects},
	};

	return RUN_CASES(cases, argc, argv);
}
