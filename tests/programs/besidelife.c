/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One listener whose clients come by two roads: through fork, exec, duplicates, every way to close it, and ports. */
#define _GNU_SOURCE 1
#include "twofold.h"
#include "handover.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

/* --- processes */

/* A process that answers whoever it gets. */
static pid_t worker(int listener)
{
	const pid_t child = start_child();

	while (child == 0)
		answer(accept(listener, NULL, NULL));
	return child;
}

static void workers_end(const pid_t *child, int count)
{
	for (int i = 0; i < count; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
}

static void say_free(const char *what, unsigned n)
{
	say_gone(what, n);
	close(server_at(n, 0));
}

#define WORKERS 4

static void prefork(void)
{
	int listener = server_at(0, 0);
	pid_t child[WORKERS + 1];

	for (int i = 0; i < WORKERS; i++)
		child[i] = worker(listener);
	child[WORKERS] = start_child();
	if (child[WORKERS] == 0) {
		close(listener);
		_exit(0);
	}
	say_end("one that closes", child[WORKERS]);
	say_end("in turn", clients_start(20, BOTH, false, 0));
	say_end("at once", clients_start(200, BOTH, true, 0));
	workers_end(child, WORKERS);
	say_served("the parent", listener, 0);
	for (int i = 0; i < WORKERS; i++)
		child[i] = worker(listener);
	close(listener);
	say_end("without the parent", clients_start(20, BOTH, false, 0));
	workers_end(child, WORKERS);
	say_free("all ended", 0);
	child[0] = start_child();
	if (child[0] == 0) {
		listener = server_at(0, 0);
		kill(getpid(), SIGKILL);
	}
	say_end("killed", child[0]);
	say_free("killed", 0);
}

/*
 * All workers are woken by a client; one accepts it, and stops. The others wait on for clients of either road, however
 * many were in the way.
 */
static void stolen(void)
{
	int *const held = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const int listener = server_at(0, 0);
	pid_t child[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		child[i] = start_child();
		while (child[i] == 0) {
			const int fd = accept(listener, NULL, NULL);
			char byte;

			if (fd < 0 || read_all(fd, &byte, 1) != 1)
				die("worker");
			if (byte == 'x') {
				write_all(fd, &byte, 1);
				close(fd);
				continue;
			}
			__atomic_fetch_add(held, 1, __ATOMIC_SEQ_CST);
			pause();
		}
	}
	nap(100);
	for (int i = 1; i < WORKERS; i++) {
		const int client = open_socket(0);

		must_connect(client, other(0));
		write_all(client, "h", 1);
		for (int tries = 0; tries < 1000 && __atomic_load_n(held, __ATOMIC_SEQ_CST) < i; tries++)
			nap(5);
		nap(30);
		say_end("first road", clients_start(10, FIRST, false, 0));
		say_end("both", clients_start(10, BOTH, false, 0));
	}
	workers_end(child, WORKERS);
}

/* A child of vfork has its parent's memory. */
static void vfork_child_closes(void)
{
	int listener = server_at(0, SOCK_NONBLOCK);
	pid_t child;

	say_served("before", listener, 0);
	child = vfork();
	if (child == 0) {
		close(listener);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say_served("after close", listener, 0);
	child = vfork();
	if (child == 0) {
		close_range(3, ~0u, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say_served("after close_range", listener, 0);
	child = vfork();
	if (child == 0) {
		dup2(listener, PASSED_FD);
		close(PASSED_FD);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say_served("after dup2", listener, 0);
	close(listener);
	say_free("closed", 0);
}

/* --- exec */

/* The new program. The first call that it makes on the descriptor is one of these. */
static void exec_accepts(void)
{
	for (int i = 0; i < 6; i++)
		answer(accept(PASSED_FD, NULL, NULL));
}

static void exec_asks(void)
{
	say("inherited: %s", own_text(PASSED_FD));
	for (int i = 0; i < 6 && wait_for(PASSED_FD, POLLIN, 5000); i++)
		answer(accept(PASSED_FD, NULL, NULL));
	close(PASSED_FD);
	nap(100); /* the clients say something, too */
	say_gone("closed", 0);
}

static void exec_listens(void)
{
	say_call("listen", listen(PASSED_FD, 8));
	for (int i = 0; i < 6 && wait_for(PASSED_FD, POLLIN, 5000); i++)
		answer(accept(PASSED_FD, NULL, NULL));
}

static void exec_has_two(void)
{
	const int second = PASSED_FD + 1;

	say("inherited: %s", own_text(PASSED_FD));
	say("inherited: %s", own_text(second));
	for (int i = 0; i < 3; i++)
		answer(accept(PASSED_FD, NULL, NULL));
	close(PASSED_FD);
	for (int i = 0; i < 3; i++)
		answer(accept(second, NULL, NULL));
	close(second);
	nap(100);
	say_gone("closed", 0);
}

static void exec_has_none(void)
{
	say_gone("closed by exec", 0);
}

/* This program again, with the listener, which the parent closes. `prepare` runs in the child. */
static void say_executed(const char *name, int listener, void (*prepare)(int))
{
	pid_t child = start_child(), clients;

	if (child == 0) {
		prepare(listener);
		execv("/proc/self/exe", self_argv(name));
		_exit(97);
	}
	close(listener);
	clients = clients_start(6, BOTH, false, 0);
	say_end("clients", clients);
	say_end(name, child);
}

static void by_dup2(int listener)
{
	dup2(listener, PASSED_FD);
	close(listener);
}

static void by_fcntl(int listener)
{
	dup3(listener, PASSED_FD, O_CLOEXEC);
	fcntl(PASSED_FD, F_SETFD, 0);
}

static void by_ioctl(int listener)
{
	dup3(listener, PASSED_FD, O_CLOEXEC);
	ioctl(PASSED_FD, FIONCLEX);
}

static void by_dup2_twice(int listener)
{
	dup2(listener, PASSED_FD);
	dup2(listener, PASSED_FD + 1);
}

static void by_vfork(int listener)
{
	const pid_t child = vfork();
	int status = 0;

	if (child == 0) {
		dup2(listener, PASSED_FD);
		execv("/proc/self/exe", self_argv("exec-accepts"));
		_exit(97);
	}
	close(listener);
	waitpid(child, &status, 0);
	_exit(WEXITSTATUS(status));
}

static void closes_on_exec(int listener)
{
	dup2(listener, PASSED_FD);
	ioctl(PASSED_FD, FIOCLEX);
}

static void closes_range_on_exec(int listener)
{
	dup2(listener, PASSED_FD);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
}

static void executed(void)
{
	const int bound = server_socket(0);
	pid_t child;

	say_executed("exec-accepts", server_at(0, 0), by_dup2);
	say_executed("exec-accepts", server_at(0, 0), by_fcntl);
	say_executed("exec-accepts", server_at(0, 0), by_ioctl);
	say_executed("exec-accepts", server_at(0, 0), by_vfork);
	say_executed("exec-asks", server_at(0, 0), by_dup2);
	say_executed("exec-asks", server_at(0, SOCK_NONBLOCK), by_dup2);
	say_executed("exec-has-two", server_at(0, 0), by_dup2_twice);
	do_bind(bound, wildcard(0));
	child = start_child();
	if (child == 0) {
		by_dup2(bound);
		execv("/proc/self/exe", self_argv("exec-listens"));
	}
	close(bound);
	nap(300);
	say_end("clients", clients_start(6, BOTH, false, 0));
	say_end("exec-listens", child);
}

static void closed_by_exec(void)
{
	static void (*const prepare[])(int) = {closes_on_exec, closes_range_on_exec};

	for (unsigned i = 0; i < N_ELEMENTS(prepare); i++) {
		const int listener = server_at(0, 0);
		const pid_t child = start_child();

		if (child == 0) {
			prepare[i](listener);
			nap(200);
			execv("/proc/self/exe", self_argv("exec-has-none"));
		}
		close(listener);
		say_end("exec-has-none", child);
	}
}

/* A descriptor that a message brings back to the same process. */
static void passed_to_itself(void)
{
	const int listener = server_at(0, 0);
	int over[2], copy;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, over) < 0)
		die("socketpair");
	send_fd(over[0], listener);
	copy = receive_fd(over[1]);
	say("received: %s", own_text(copy));
	say_served("both", copy, 0);
	say_served("both", listener, 0);
	close(listener);
	say_served("what came", copy, 0);
	close(copy);
	say_free("closed", 0);
}

/* --- duplicates, and closing */

static int copy_by(int way, int fd)
{
	switch (way) {
	case 0:
		return dup(fd);
	case 1:
		return dup2(fd, 60);
	case 2:
		return dup3(fd, 61, O_CLOEXEC);
	case 3:
		return fcntl(fd, F_DUPFD, 70);
	default:
		return fcntl(fd, F_DUPFD_CLOEXEC, 80);
	}
}

static void duplicates(void)
{
	const unsigned before = count_fds();

	for (int way = 0; way < 5; way++) {
		const int listener = server_at(0, 0), copy = copy_by(way, listener);

		say_served("the copy", copy, 0);
		close(listener);
		say_served("without the first", copy, 0);
		close(copy);
		say_free("closed", 0);
	}
	for (int way = 0; way < 5; way++) {
		const int listener = server_socket(0), copy = copy_by(way, listener);

		do_bind(copy, wildcard(0));
		listen(listener, 8);
		say_served("copied before bind", listener, 0);
		say_served("the copy", copy, 0);
		close(copy);
		say_served("without the copy", listener, 0);
		close(listener);
		say_free("closed", 0);
	}
	say("descriptors: %u more", count_fds() - before);
}

/* Something else takes the number of a listener. */
static void overwritten(void)
{
	const unsigned before = count_fds();
	const int first = server_at(0, 0), second = server_at(1, 0), null = open("/dev/null", O_RDONLY);

	dup2(null, first);
	say_gone("a file", 0);
	close(first);
	say_call("listener on listener", dup2(second, server_at(0, 0)));
	say_gone("a listener", 0);
	say_served("the other", second, 1);
	close(second);
	say_served("its copy", first, 1);
	close(first);
	say_free("closed", 1);
	close(null);
	say("descriptors: %u more", count_fds() - before);
}

static void many(void)
{
	const unsigned before = count_fds();
	int listener[10];

	for (int round = 0; round < 30; round++) {
		for (unsigned i = 0; i < 10; i++)
			listener[i] = server_at(i, 0);
		for (unsigned i = 0; i < 10; i++)
			close(listener[i]);
	}
	say("descriptors: %u more", count_fds() - before);
	say_free("closed", 3);
}

/* Daemons close all that they do not know, by one of these. */
static void close_each(int but)
{
	for (int fd = 3; fd < 4096; fd++)
		if (fd != but)
			close(fd);
}

static void close_ranges(int but)
{
	close_range(3, (unsigned)but - 1, 0);
	close_range((unsigned)but + 1, ~0u, 0);
}

static void close_from(int but)
{
	closefrom(but + 1);
}

static void range_cloexec(int but)
{
	(void)but;
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
}

static void all_closed_but_one(void)
{
	static void (*const way[])(int) = {close_each, close_ranges, close_from, range_cloexec};

	for (unsigned i = 0; i < N_ELEMENTS(way); i++) {
		const int listener = server_at(0, 0);

		way[i](listener);
		say_served("kept", listener, 0);
		close(listener);
		say_free("closed", 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		const int listener = server_at(0, 0);

		say("with all others: %d", listener > 2);
		way[i](2);
		say_free("closed", 0);
	}
}

/* --- ports */

static void port_0(void)
{
	const int listener = open_socket(0);
	struct place at = wildcard(0);
	unsigned port;
	pid_t child;

	if (at.sa.ss_family == AF_INET)
		((struct sockaddr_in *)&at.sa)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&at.sa)->sin6_port = 0;
	say_call("bind", do_bind(listener, at));
	say_call("listen", listen(listener, 8));
	port = own_port(listener);
	child = start_child();
	if (child == 0) {
		here_port = port;
		say("answered: %s", yes_no(is_answered(client_at(FIRST, 0))));
		say("answered: %s", yes_no(is_answered(client_at(SECOND, 0))));
		_exit(0);
	}
	for (int i = 0; i < 2 && wait_for(listener, POLLIN, 5000); i++)
		answer(accept(listener, NULL, NULL));
	say_end("clients", child);
	close(listener);
	for (int i = 0; i < 200; i++) {
		const int fd = open_socket(0);

		if (do_bind(fd, at) < 0)
			die("bind %d", i);
	}
	say("200 more: ok");
}

/* Somebody has the port on one of the roads or both: nothing has changed, and another port will do. */
static void say_taken(const char *what, unsigned n)
{
	const int fd = server_socket(0);

	say_call(what, do_bind(fd, wildcard(n)));
	say("as it was: %s", own_text(fd));
	say_call("elsewhere", do_bind(fd, wildcard(n + 1)));
	say_call("listen", listen(fd, 8));
	say_served("elsewhere", fd, n + 1);
	close(fd);
}

static void taken(void)
{
	const int reserved = open_socket(0); /* where no rule matches */
	int ready[2];
	pid_t child;

	say_call("reserve", do_bind(reserved, place_of(here_family == AF_INET6 ? "::ffff:127.0.0.3" : "127.0.0.3", here_port)));
	say_call("listen", listen(reserved, 8));
	say_taken("taken on one road", 0);
	close(reserved);
	if (pipe(ready) < 0)
		die("pipe");
	child = start_child();
	if (child == 0) {
		server_at(0, 0);
		close(ready[0]);
		close(ready[1]);
		pause();
	}
	close(ready[1]);
	read_all(ready[0], &(char){0}, 1);
	say_taken("taken by another", 0);
	workers_end(&child, 1);
	close(server_at(0, 0));
	say_call("taken by this process", server_at(4, 0));
	say_taken("and again", 4);
}

static void shared_ports(void)
{
	int listener[3];
	pid_t child[3];

	for (int i = 0; i < 3; i++) {
		listener[i] = server_socket(0);
		set_option(listener[i], SOL_SOCKET, SO_REUSEPORT, 1);
		say_call("bind", do_bind(listener[i], wildcard(0)));
		say_call("listen", listen(listener[i], 100));
	}
	for (int i = 0; i < 3; i++)
		child[i] = worker(listener[i]);
	say_end("three", clients_start(40, BOTH, false, 0));
	for (int i = 0; i < 3; i++)
		close(listener[i]);
	say_end("without the parent", clients_start(40, BOTH, false, 0));
	workers_end(child, 3);
	say_free("closed", 0);
}

static void listens_again(void)
{
	const int listener = server_at(0, 0), copy = dup(listener);

	for (int i = 0; i < 3; i++) {
		say_call("shutdown", shutdown(listener, SHUT_RDWR));
		say_gone("shut", 0);
		say("name: %s", own_text(listener));
		say_call("accept", accept(listener, NULL, NULL));
		say_call("accept of the copy", accept(copy, NULL, NULL));
		say_call("listen", listen(i % 2 ? copy : listener, 8));
		say_served("again", listener, 0);
		say_served("the copy", copy, 0);
	}
	close(listener);
	say_served("the copy", copy, 0);
	close(copy);
	say_free("closed", 0);
}

/* Bound as a server, and then a client. */
static void bound_client(void)
{
	const unsigned before = count_fds();
	const int listener = server_at(0, 0);

	for (unsigned i = 0; i < 4; i++) {
		const int client = server_socket(0);

		say_call("bind", do_bind(client, wildcard(2 + i)));
		say_call("connect", do_connect(client, place_on(i % 2 ? SECOND : FIRST, 0)));
		say("port kept: %s", yes_no(own_port(client) == here_port + 2 + i));
		write_all(client, "x", 1);
		answer(accept(listener, NULL, NULL));
		say("answered: %s", yes_no(is_answered(client)));
		close(client);
	}
	close(listener);
	for (unsigned i = 0; i < 2; i++) {
		const int client = server_socket(0);

		say_call("bind", do_bind(client, wildcard(7)));
		say_call("connect to nobody", do_connect(client, place_on(i ? SECOND : FIRST, 0)));
		close(client);
		say_free("closed", 7);
	}
	say("descriptors: %u more", count_fds() - before);
}

/* Not what any program can know of: descriptors that it has not opened are closed by calls that no library sees. */
static void close_unseen(int fd)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(3L), "D"((long)fd) : "rcx", "r11", "memory");
#else
	close(fd);
#endif
}

static void closed_unseen(void)
{
	const int listener = server_at(0, 0);
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
	struct rusage before, after;
	int client;

	for (int fd = listener + 1; fd < 4096; fd++)
		close_unseen(fd);
	getrusage(RUSAGE_SELF, &before);
	poll(&poll_fd, 1, 200);
	getrusage(RUSAGE_SELF, &after);
	client = client_at(SECOND, 0);
	answer(accept(listener, NULL, NULL));
	say("second: %s", yes_no(is_answered(client)));
	say("idle: %s", yes_no(after.ru_nvcsw - before.ru_nvcsw < 10));
	close(client);
	close(listener);
	say("accepted: yes");
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"prefork", prefork},
		{"stolen", stolen},
		{"vfork-child-closes", vfork_child_closes},
		{"executed", executed},
		{"closed-by-exec", closed_by_exec},
		{"passed-to-itself", passed_to_itself},
		{"duplicates", duplicates},
		{"overwritten", overwritten},
		{"many", many},
		{"all-closed-but-one", all_closed_but_one},
		{"port-0", port_0},
		{"taken", taken},
		{"shared-ports", shared_ports},
		{"listens-again", listens_again},
		{"bound-client", bound_client},
	};
	static const struct test_case parts[] = {
		{"exec-accepts", exec_accepts},
		{"exec-asks", exec_asks},
		{"exec-listens", exec_listens},
		{"exec-has-two", exec_has_two},
		{"exec-has-none", exec_has_none},
		{"closed-unseen", closed_unseen},
	};

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(parts); i++)
		if (!strcmp(argv[1], parts[i].name))
			return RUN_CASES(parts, argc, argv);
	return RUN_CASES(cases, argc, argv);
}
