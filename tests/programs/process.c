/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fork, exec, vfork, posix_spawn, descriptors passed to another process, and signal handlers that use sockets. */
#define _GNU_SOURCE 1
#include "common.h"
#include "handover.h"

#include <spawn.h>
#include <sys/time.h>

/* Every pre-fork server: the parent listens, the children accept, the parent closes and waits. */
static void prefork_server(void)
{
	const int listener = listen_at(here(0), 16);
	pid_t child[3];

	for (int i = 0; i < 3; i++) {
		child[i] = start_child();
		if (child[i] == 0) {
			for (;;) {
				const int fd = accept(listener, NULL, NULL);
				char byte;

				if (fd < 0)
					_exit(1);
				if (read_all(fd, &byte, 1) == 1 && byte == 'q')
					_exit(0);
				write_all(fd, &byte, 1);
				close(fd);
			}
		}
	}
	close(listener);
	for (int i = 0; i < 12; i++) {
		const int fd = open_socket(0);
		char byte = 0;

		must_connect(fd, here(0));
		write_all(fd, "x", 1);
		if (read_all(fd, &byte, 1) != 1 || byte != 'x')
			say("client %d got no answer", i);
		close(fd);
	}
	for (int i = 0; i < 3; i++) {
		const int fd = open_socket(0);

		must_connect(fd, here(0));
		write_all(fd, "q", 1);
		read_all(fd, &(char){0}, 1);
		close(fd);
	}
	for (int i = 0; i < 3; i++)
		say_end("worker", child[i]);
}

static void child_closes_the_listener(void)
{
	const int listener = listen_at(here(0), 8);
	pid_t child = start_child();
	int fd;

	if (child == 0) {
		close(listener);
		_exit(0);
	}
	say_end("child", child);
	fd = open_socket(0);
	must_connect(fd, here(0));
	say_talk("parent still serves", fd, must_accept(listener));
}

static void forking_server(void)
{
	const int listener = listen_at(here(0), 8);

	for (int i = 0; i < 4; i++) {
		const int client = open_socket(0);
		pid_t child;
		int fd;

		must_connect(client, here(0));
		fd = must_accept(listener);
		child = start_child();
		if (child == 0) {
			close(listener);
			close(client);
			say_names("server in the child", fd);
			echo_once(fd);
			_exit(0);
		}
		close(fd);
		say_echo("client", client);
		say("end of file: %s", yes_no(read(client, &(char){0}, 1) == 0));
		close(client);
		say_end("child", child);
	}
}

static void child_connects(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	pid_t child = start_child();

	if (child == 0) {
		/* Made before the fork, connected after it, and one made after it. */
		must_connect(fd, here(0));
		say_names("child, old socket", fd);
		write_all(fd, "a", 1);
		read_all(fd, &(char){0}, 1);
		close(fd);
		_exit(0);
	}
	close(fd);
	echo_once(must_accept(listener));
	say_end("child", child);
	child = start_child();
	if (child == 0) {
		const int mine = open_socket(0);

		must_connect(mine, here(0));
		say_names("child, own socket", mine);
		write_all(mine, "a", 1);
		read_all(mine, &(char){0}, 1);
		_exit(0);
	}
	echo_once(must_accept(listener));
	say_end("child", child);
}

/* child side of the exec cases */
static void with_listener(void)
{
	struct place from = {.len = sizeof(from.sa)};
	int fd;

	say("inherited: %s", own_text(PASSED_FD));
	say("SO_DOMAIN %d, SO_PROTOCOL %d, SO_ACCEPTCONN %d", option(PASSED_FD, SOL_SOCKET, SO_DOMAIN),
	    option(PASSED_FD, SOL_SOCKET, SO_PROTOCOL), option(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN));
	fd = accept(PASSED_FD, (struct sockaddr *)&from.sa, &from.len);
	if (fd < 0)
		die("accept");
	say("accept: %s", name_text(&from.sa));
	say_names("accepted", fd);
	say("ports agree: %s", yes_no(port_of(&from.sa) == peer_port(fd)));
	echo_once(fd);
}

static void with_connection(void)
{
	say_names("inherited", PASSED_FD);
	say("SO_DOMAIN %d, SO_PROTOCOL %d", option(PASSED_FD, SOL_SOCKET, SO_DOMAIN),
	    option(PASSED_FD, SOL_SOCKET, SO_PROTOCOL));
	echo_once(PASSED_FD);
}

static void with_fresh_socket(void)
{
	set_nonblocking(PASSED_FD, false);
	say_call("connect", do_connect(PASSED_FD, here(0)));
	say_names("inherited, then connected", PASSED_FD);
	echo_once(PASSED_FD);
}

static void with_bound_socket(void)
{
	say("inherited: %s", own_text(PASSED_FD));
	say_call("listen", listen(PASSED_FD, 8));
	echo_once(must_accept(PASSED_FD));
}

static void exec_with_listener(void)
{
	const int listener = listen_at(here(0), 8);
	const pid_t child = start_self("with-listener", listener);
	int fd;

	close(listener);
	fd = open_socket(0);
	must_connect(fd, here(0));
	say_echo("client", fd);
	say_end("child", child);
}

static void exec_with_accepted(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_self("with-connection", pair.server);

	close(pair.server);
	say_echo("client", pair.client);
	say_end("child", child);
}

static void exec_with_client(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_self("with-connection", pair.client);

	close(pair.client);
	say_echo("server", pair.server);
	say_end("child", child);
}

static void exec_with_fresh_socket(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const pid_t child = start_self("with-fresh-socket", fd);
	int server;

	close(fd);
	server = must_accept(listener);
	say_echo("server", server);
	say_end("child", child);
}

static void exec_with_bound_socket(void)
{
	const int fd = open_socket(0);
	const int client = open_socket(0);
	pid_t child;

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (do_bind(fd, here(0)) < 0)
		die("bind");
	child = start_self("with-bound-socket", fd);
	close(fd);
	for (int i = 0; i < 2000 && do_connect(client, here(0)) < 0; i++) {
		if (errno != ECONNREFUSED)
			die("connect");
		poll(NULL, 0, 10);
	}
	say_echo("client", client);
	say_end("child", child);
}

static void close_on_exec_closes(void)
{
	struct pair pair = connect_pair(0);
	pid_t child;

	fcntl(pair.client, F_SETFD, FD_CLOEXEC);
	fcntl(pair.server, F_SETFD, FD_CLOEXEC);
	child = start_self("count", -1);
	say_end("child", child);
}

static void count(void)
{
	unsigned sockets = 0;

	for (int fd = 3; fd < 1024; fd++)
		sockets += option(fd, SOL_SOCKET, SO_TYPE) >= 0;
	say("sockets in the child: %u", sockets);
}

static void receive_listener(void)
{
	dup2(receive_fd(PASSED_FD), PASSED_FD);
	with_listener();
}

static void receive_connection(void)
{
	dup2(receive_fd(PASSED_FD), PASSED_FD);
	with_connection();
}

static pid_t pass(int fd, const char *name)
{
	int over[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) < 0)
		die("socketpair");
	child = start_self(name, over[1]);
	send_fd(over[0], fd);
	close(over[0]);
	close(over[1]);
	close(fd);
	return child;
}

static void pass_listener(void)
{
	const pid_t child = pass(listen_at(here(0), 8), "receive-listener");
	const int fd = open_socket(0);

	must_connect(fd, here(0));
	say_echo("client", fd);
	say_end("child", child);
}

static void pass_accepted(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = pass(pair.server, "receive-connection");

	say_echo("client", pair.client);
	say_end("child", child);
}

static void pass_client(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = pass(pair.client, "receive-connection");

	say_echo("server", pair.server);
	say_end("child", child);
}

/* A vfork child shares its parent's memory; what it does to sockets must not harm the parent. */
static void vfork_child_uses_sockets(void)
{
	const int listener = listen_at(here(0), 8);
	const int mine = open_socket(0);
	volatile int result = -1;
	struct place to = here(0);
	int status;
	pid_t child;

	fflush(stdout);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	child = vfork();
#pragma GCC diagnostic pop
	if (child == 0) {
		const int fd = socket(here_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		result = connect(fd, (struct sockaddr *)&to.sa, to.len) < 0 ? errno : 0;
		close(fd);
		execl("/bin/true", "true", NULL);
		_exit(96);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		die("vfork");
	say("connect in the child: %s, its exit %d", error_name(result), WEXITSTATUS(status));
	close(must_accept(listener));
	must_connect(mine, here(0));
	say_talk("parent", mine, must_accept(listener));
}

/* The same with a socket of the parent, as the first socket calls of the process. */
static void vfork_child_connects_first(void)
{
	const pid_t server = start_child();
	volatile int result = -1;
	struct place to = here(0);
	int fd, status;
	pid_t child;

	if (server == 0) {
		const int listener = listen_at(here(0), 8);

		for (int i = 0; i < 2; i++)
			echo_once(must_accept(listener));
		_exit(0);
	}
	/* The listener is up when its port is refused no more; asking uses no call of this process. */
	child = start_self("ask", -1);
	while (waitpid(child, &status, 0) < 0)
		;
	fflush(stdout);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	child = vfork();
#pragma GCC diagnostic pop
	if (child == 0) {
		fd = socket(here_family, SOCK_STREAM, 0);
		result = connect(fd, (struct sockaddr *)&to.sa, to.len) < 0 ? errno : 0;
		_exit(write(fd, "x", 1) == 1 && read(fd, &(char){0}, 1) == 1 ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		die("vfork");
	say("connect in the child: %s, its exit %d", error_name(result), WEXITSTATUS(status));
	say_end("server", server);
}

/* Connects until somebody listens, and talks to it. */
static void ask(void)
{
	for (int i = 0; i < 2000; i++) {
		const int fd = open_socket(0);

		if (do_connect(fd, here(0)) == 0) {
			char byte = 0;

			write_all(fd, "x", 1);
			read_all(fd, &byte, 1);
			return;
		}
		close(fd);
		poll(NULL, 0, 10);
	}
	_exit(1);
}

static void spawn_with_listener(void)
{
	const int listener = listen_at(here(0), 8);
	posix_spawn_file_actions_t actions;
	pid_t child;
	int fd;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, listener, PASSED_FD);
	errno = posix_spawn(&child, "/proc/self/exe", &actions, NULL, self_argv("with-listener"), environ);
	if (errno)
		die("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	close(listener);
	fd = open_socket(0);
	must_connect(fd, here(0));
	say_echo("client", fd);
	say_end("child", child);
}

static volatile sig_atomic_t handled, handler_error = -1;

/* Everything a handler may do: socket, connect, send, close are async-signal-safe. */
static void on_signal(int number)
{
	const int saved = errno;
	struct sockaddr_storage sa;
	const struct place to = here(0);
	int fd;

	(void)number;
	memcpy(&sa, &to.sa, sizeof(sa));
	fd = socket(here_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, to.len) < 0)
		handler_error = errno;
	else if (send(fd, "s", 1, MSG_NOSIGNAL) == 1 && handler_error < 0)
		handler_error = 0;
	if (fd >= 0)
		close(fd);
	handled++;
	errno = saved;
}

static void catch (int number, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* One byte from everybody who connects, for ever. */
static pid_t start_sink(void)
{
	int ready[2];
	pid_t child;

	if (pipe(ready) < 0)
		die("pipe");
	child = start_child();
	if (child == 0) {
		const int listener = listen_at(here(0), 4096);

		write_all(ready[1], "r", 1);
		for (;;) {
			const int fd = accept(listener, NULL, NULL);

			/* Not before the byte is here: TCP takes one for a peer that is gone, vsock says EPIPE. */
			if (fd >= 0 && read(fd, &(char){0}, 1) >= 0)
				close(fd);
		}
	}
	read_all(ready[0], &(char){0}, 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void stop(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void handler_is_the_first_caller(void)
{
	const pid_t sink = start_sink();

	catch (SIGUSR1, 0);
	raise(SIGUSR1);
	say("handler connected: %s", error_name(handler_error));
	stop(sink);
}

/* A timer interrupts the main thread wherever it is inside its own connects. */
static void handler_connects_during_connect(void)
{
	const struct itimerval often = {{0, 500}, {0, 500}};
	const struct itimerval never = {{0, 0}, {0, 0}};
	const pid_t sink = start_sink();
	int connected = 0, other_error = 0;

	catch (SIGUSR2, SA_RESTART);
	catch (SIGALRM, SA_RESTART);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 300; i++) {
		const int fd = socket(here_family, SOCK_STREAM, 0);

		if (fd < 0) {
			other_error = errno;
			continue;
		}
		if (do_connect(fd, here(0)) == 0)
			connected++;
		else
			other_error = errno;
		close(fd);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	set_alarm();
	while (!handled)
		raise(SIGUSR2);
	say("connected %d, last error %s, in the handler %s", connected, error_name(other_error),
	    error_name(handler_error));
	stop(sink);
}

/* The main thread sits in accept(); the handler connects to it, and accept() returns that or EINTR. */
static void handler_connects_during_accept(void)
{
	const struct itimerval soon = {{0, 0}, {0, 50000}};
	int fd;

	for (int restart = 0; restart < 2; restart++) {
		const int listener = listen_at(here(0), 8);

		handled = 0;
		handler_error = -1;
		catch (SIGALRM, restart ? SA_RESTART : 0);
		setitimer(ITIMER_REAL, &soon, NULL);
		fd = accept(listener, NULL, NULL);
		say("accept: %s", fd < 0 ? error_name(errno) : "ok");
		if (fd < 0)
			fd = must_accept(listener);
		say("handler: %s", error_name(handler_error));
		say("read %zu", read_all(fd, &(char){0}, 1));
		close(fd);
		close(listener);
	}
	signal(SIGALRM, SIG_DFL);
	set_alarm();
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"prefork-server", prefork_server},
		{"child-closes-the-listener", child_closes_the_listener},
		{"forking-server", forking_server},
		{"child-connects", child_connects},
		{"exec-with-listener", exec_with_listener},
		{"exec-with-accepted", exec_with_accepted},
		{"exec-with-client", exec_with_client},
		{"exec-with-fresh-socket", exec_with_fresh_socket},
		{"exec-with-bound-socket", exec_with_bound_socket},
		{"close-on-exec-closes", close_on_exec_closes},
		{"pass-listener", pass_listener},
		{"pass-accepted", pass_accepted},
		{"pass-client", pass_client},
		{"vfork-child-uses-sockets", vfork_child_uses_sockets},
		{"vfork-child-connects-first", vfork_child_connects_first},
		{"spawn-with-listener", spawn_with_listener},
		{"handler-is-the-first-caller", handler_is_the_first_caller},
		{"handler-connects-during-connect", handler_connects_during_connect},
		{"handler-connects-during-accept", handler_connects_during_accept},
	};
	/* What the program runs itself as. */
	static const struct test_case roles[] = {
		{"with-listener", with_listener},
		{"with-connection", with_connection},
		{"with-fresh-socket", with_fresh_socket},
		{"with-bound-socket", with_bound_socket},
		{"receive-listener", receive_listener},
		{"receive-connection", receive_connection},
		{"count", count},
		{"ask", ask},
	};

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(roles); i++)
		if (!strcmp(argv[1], roles[i].name))
			return RUN_CASES(roles, argc, argv);
	return RUN_CASES(cases, argc, argv);
}
