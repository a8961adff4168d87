/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets given to programs that are started with an empty environment, as sudo, su, cron and many servers do. */
#define _GNU_SOURCE 1
#include "common.h"
#include "handover.h"

#include <spawn.h>

static char *no_environment[] = {NULL};

/* The child has this descriptor and the standard ones. */
static pid_t start_bare(const char *name, int fd)
{
	for (int other_fd = 3; other_fd < 20; other_fd++)
		fcntl(other_fd, F_SETFD, FD_CLOEXEC);
	return start_self_with(name, fd, no_environment);
}

/* What a program does with a socket it was given, when it does not care where the peer is. */
static void serve(void)
{
	int fd;

	say("environment is empty: %s", yes_no(!environ[0]));
	say("SO_TYPE %d, SO_ACCEPTCONN %d", option(PASSED_FD, SOL_SOCKET, SO_TYPE),
	    option(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN));
	say("somebody is there: %s", yes_no(wait_for(PASSED_FD, POLLIN, 20000)));
	fd = must_accept(PASSED_FD);
	echo_once(fd);
	if (read(fd, &(char){0}, 1) != 0)
		die("no end of file");
}

static void talk(void)
{
	say("environment is empty: %s", yes_no(!environ[0]));
	say("SO_TYPE %d, SO_ACCEPTCONN %d", option(PASSED_FD, SOL_SOCKET, SO_TYPE),
	    option(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN));
	echo_once(PASSED_FD);
	shutdown(PASSED_FD, SHUT_WR);
	if (read(PASSED_FD, &(char){0}, 1) != 0)
		die("no end of file");
}

static void receive_and_serve(void)
{
	dup2(receive_fd(PASSED_FD), PASSED_FD);
	serve();
}

static void receive_and_talk(void)
{
	dup2(receive_fd(PASSED_FD), PASSED_FD);
	talk();
}

/* Accepts, and gives away what it accepted. */
static void serve_others(void)
{
	send_fd(PASSED_FD, must_accept(receive_fd(PASSED_FD)));
}

/* Gives back what it was given. */
static void give_back(void)
{
	send_fd(PASSED_FD, receive_fd(PASSED_FD));
}

static void visit(pid_t child)
{
	const int fd = open_socket(0);

	must_connect(fd, here(0));
	say_echo("client", fd);
	close(fd);
	say_end("child", child);
}

static void exec_with_listener(void)
{
	const int listener = listen_at(here(0), 8);
	const pid_t child = start_bare("serve", listener);

	close(listener);
	visit(child);
}

static void hear(pid_t child, int fd)
{
	say_echo("peer", fd);
	say("the end: %s", yes_no(read(fd, &(char){0}, 1) == 0));
	close(fd);
	say_end("child", child);
}

static void exec_with_accepted(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_bare("talk", pair.server);

	close(pair.server);
	hear(child, pair.client);
}

static void exec_with_client(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_bare("talk", pair.client);

	close(pair.client);
	hear(child, pair.server);
}

/* A child with one end of a unix socket, whose other end is returned. */
static int start_beside(const char *name, pid_t *child)
{
	int over[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) < 0)
		die("socketpair");
	*child = start_bare(name, over[1]);
	close(over[1]);
	return over[0];
}

static void pass_listener(void)
{
	const int listener = listen_at(here(0), 8);
	pid_t child;

	send_fd(start_beside("receive-and-serve", &child), listener);
	close(listener);
	visit(child);
}

static void pass_accepted(void)
{
	const struct pair pair = connect_pair(0);
	pid_t child;

	send_fd(start_beside("receive-and-talk", &child), pair.server);
	close(pair.server);
	hear(child, pair.client);
}

static void pass_client(void)
{
	const struct pair pair = connect_pair(0);
	pid_t child;

	send_fd(start_beside("receive-and-talk", &child), pair.client);
	close(pair.client);
	hear(child, pair.server);
}

static void passed_back(void)
{
	const struct pair pair = connect_pair(0);
	pid_t child;
	int over = start_beside("give-back", &child), fd;

	send_fd(over, pair.client);
	close(pair.client);
	fd = receive_fd(over);
	say_end("child", child);
	say_names("client", fd);
	say("TCP_NODELAY %d, SO_PROTOCOL %d", option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, SOL_SOCKET, SO_PROTOCOL));
	say_talk("talk", fd, pair.server);
}

static void accepted_there_used_here(void)
{
	const int listener = listen_at(here(0), 8), client = open_socket(0);
	pid_t child;
	int over = start_beside("serve-others", &child), fd;

	send_fd(over, listener);
	must_connect(client, here(0));
	fd = receive_fd(over);
	say_end("child", child);
	say_talk("talk", client, fd);
	say_names("accepted", fd);
	say("port: %s", yes_no(own_port(client) == peer_port(fd)));
}

/* The way of shells' successors and Python: dup2 and closefrom are done by libc itself. */
static void spawn_with_listener(void)
{
	const int listener = listen_at(here(0), 8);
	posix_spawn_file_actions_t actions;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, listener, PASSED_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, PASSED_FD + 1);
	for (int fd = 3; fd < PASSED_FD; fd++)
		posix_spawn_file_actions_addclose(&actions, fd);
	fflush(stdout);
	errno = posix_spawn(&child, "/proc/self/exe", &actions, NULL, self_argv("serve"), no_environment);
	if (errno)
		die("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	close(listener);
	visit(child);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"exec-with-listener", exec_with_listener},
		{"exec-with-accepted", exec_with_accepted},
		{"exec-with-client", exec_with_client},
		{"pass-listener", pass_listener},
		{"pass-accepted", pass_accepted},
		{"pass-client", pass_client},
		{"passed-back", passed_back},
		{"accepted-there-used-here", accepted_there_used_here},
		{"spawn-with-listener", spawn_with_listener},
	};
	static const struct test_case roles[] = {
		{"serve", serve},
		{"talk", talk},
		{"receive-and-serve", receive_and_serve},
		{"receive-and-talk", receive_and_talk},
		{"serve-others", serve_others},
		{"give-back", give_back},
	};

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(roles); i++)
		if (!strcmp(argv[1], roles[i].name))
			return RUN_CASES(roles, argc, argv);
	return RUN_CASES(cases, argc, argv);
}
