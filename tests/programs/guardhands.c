/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guarded listener changes hands: by dup, fork, exec and descriptor passing strangers get no further. */
#define _GNU_SOURCE 1
#include "common.h"
#include "visitors.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>

#define STRANGE 3

/* Strangers come first, and then a friend. */
static void say_served(const char *who, int listener)
{
	const pid_t visitors = strangers_then_friends(STRANGE, 1);
	const int fd = accept_named(listener);

	serve(fd);
	visitors_end("visitors", visitors);
	say("%s: a friend", who);
}

/* The other way: nobody may be in the queue who is not for the program. */
static void say_empty(const char *who, int listener)
{
	const pid_t strange = crowd(false, STRANGE);

	set_nonblocking(listener, true);
	say_call(who, accept(listener, NULL, NULL));
	set_nonblocking(listener, false);
	visitors_end("strangers", strange);
}

static int listen_here(void)
{
	return listen_at(here(0), 64);
}

static int listen_sharing(void)
{
	const int listener = open_socket(SOCK_CLOEXEC);

	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(listener, SOL_SOCKET, SO_REUSEPORT, 1);
	if (do_bind(listener, here(0)) < 0 || listen(listener, 64) < 0)
		die("listener");
	return listener;
}

/* --- duplicates */

static void copies_after_listening(void)
{
	const int listener = listen_here();
	const int copies[] = {dup(listener), dup2(listener, 100), dup3(listener, 101, O_CLOEXEC),
			      fcntl(listener, F_DUPFD, 200), fcntl(listener, F_DUPFD_CLOEXEC, 200)};

	for (size_t i = 0; i < N_ELEMENTS(copies); i++) {
		say_served("copy", copies[i]);
		say_empty("copy", copies[i]);
	}
	say_served("itself", listener);
	close(listener);
	say_served("copy of what is closed", copies[0]);
	say_served("and again", copies[4]);
}

static void copies_before_binding(void)
{
	const int listener = open_socket(SOCK_CLOEXEC), copy = dup(listener), third = dup2(listener, 100);

	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (do_bind(copy, here(0)) < 0 || listen(third, 64) < 0)
		die("listener");
	say_served("the first", listener);
	say_served("the second", copy);
	say_served("the third", third);
	say_empty("the first", listener);
}

/* A number that had an unguarded listener, and one that gets one. */
static void numbers_used_again(void)
{
	const int listener = listen_here();
	int open = listen_at(place_of(here_family == AF_INET6 ? "::ffff:127.0.0.9" : "127.0.0.9", here_port + 9), 8);

	set_nonblocking(open, true);
	say_call("the other", accept(open, NULL, NULL));
	set_nonblocking(open, false);
	if (dup2(listener, open) < 0)
		die("dup2");
	say_served("its number", open);
	say_empty("its number", open);
	close(open);
	open = socket(AF_UNIX, SOCK_STREAM, 0);
	close(listener);
	close(open);
	open = listen_here();
	say_served("a new one", open);
	say_empty("a new one", open);
}

/* --- children */

static void child_accepts(void)
{
	const int listener = listen_here();
	const pid_t child = start_child();

	if (child == 0) {
		say_served("child", listener);
		say_empty("child", listener);
		_exit(0);
	}
	say_end("child", child);
	say_served("parent", listener);
}

static void child_was_there_before(void)
{
	int over[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) < 0)
		die("socketpair");
	child = start_child();
	if (child == 0) {
		const int listener = receive_fd(over[1]);

		say_served("child", listener);
		say_empty("child", listener);
		_exit(0);
	}
	send_fd(over[0], listen_here());
	say_end("child", child);
}

/* The first who calls accept in a process that knows nothing of the listener yet. */
static void first_call(void)
{
	unsigned char name[128];
	socklen_t len = 16;
	const pid_t strange = crowd(false, STRANGE);
	bool touched = false;

	memset(name, 0xa5, sizeof(name));
	set_nonblocking(PASSED_FD, true);
	say_call("only strangers", accept(PASSED_FD, (struct sockaddr *)name, &len));
	say("length %u", len);
	for (size_t i = 16; i < sizeof(name); i++)
		touched |= name[i] != 0xa5;
	say("beyond: %s", yes_no(touched));
	visitors_end("strangers", strange);
	set_nonblocking(PASSED_FD, false);
	say_served("executed", PASSED_FD);
}

static void first_call_without_room(void)
{
	unsigned char name[128];
	socklen_t len = 0;
	bool touched = false;

	memset(name, 0xa5, sizeof(name));
	serve(accept(PASSED_FD, (struct sockaddr *)name, &len));
	for (size_t i = 0; i < sizeof(name); i++)
		touched |= name[i] != 0xa5;
	say("length %u, touched %s", len, yes_no(touched));
}

static void first_call_without_address(void)
{
	serve(accept(PASSED_FD, NULL, NULL));
	say_empty("executed", PASSED_FD);
}

static void say_started(const char *name)
{
	const int listener = listen_here();
	const pid_t child = start_self(name, listener);

	close(listener);
	visitors_end("visitors", strangers_then_friends(STRANGE, 1));
	say_end("child", child);
}

static void exec_and_first_call(void)
{
	say_end("child", start_self("first-call", listen_here()));
}

static void exec_and_first_call_without_room(void)
{
	say_started("first-call-without-room");
}

static void exec_and_first_call_without_address(void)
{
	say_started("first-call-without-address");
}

static void executed(void)
{
	say_served("executed", PASSED_FD);
	say_empty("executed", PASSED_FD);
}

/* Rules without a list. */
static void forget_list(void)
{
	setenv("IP2VSOCK_RULES", getenv("UNGUARDED") ? getenv("UNGUARDED") : "", 1);
}

static void exec_with_listener(void)
{
	say_end("child", start_self("executed", listen_here()));
}

static void exec_with_other_rules(void)
{
	const int listener = listen_here();

	forget_list();
	say_end("child", start_self("executed", listener));
}

/* Another socket for the same port, in a process whose rules have no list: it becomes the one that was inherited. */
static void executed_shares(void)
{
	const int listener = listen_sharing();

	close(PASSED_FD);
	say_served("sharing", listener);
	say_empty("sharing", listener);
}

static void exec_with_other_rules_and_share(void)
{
	const pid_t child = start_child();

	if (child == 0) {
		if (dup2(listen_sharing(), PASSED_FD) < 0)
			die("dup2");
		forget_list();
		execv(here_argv[0], self_argv("executed-shares"));
		_exit(97);
	}
	say_end("child", child);
}

static void spawned(void)
{
	const int listener = listen_here();
	posix_spawn_file_actions_t actions;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, listener, PASSED_FD);
	fflush(stdout);
	if (posix_spawn(&child, "/proc/self/exe", &actions, NULL, self_argv("executed"), environ))
		die("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	say_end("child", child);
	say_served("parent", listener);
}

/* A child of vfork, in its parent's memory, gives the number to another socket in its own table. */
static void vfork_child_uses_the_number(void)
{
	const int listener = listen_here();
	const int open = listen_at(place_of(here_family == AF_INET6 ? "::ffff:127.0.0.9" : "127.0.0.9", here_port + 9), 8);
	const int other_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	fflush(stdout);
	child = vfork();
	if (child == 0) {
		dup2(open, listener);
		_exit(0);
	}
	say_end("child", child);
	say_empty("parent", listener);
	say_served("parent", listener);
	fflush(stdout);
	child = vfork();
	if (child == 0) {
		dup2(other_fd, listener);
		close(listener);
		_exit(0);
	}
	say_end("child", child);
	say_empty("parent", listener);
	say_served("parent", listener);
}

/* --- descriptors passed */

static void receive_and_serve(void)
{
	const int listener = receive_fd(PASSED_FD);

	say_served("receiver", listener);
	say_empty("receiver", listener);
}

static void pass_to(const char *name, bool other_rules)
{
	const int listener = listen_here();
	int over[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) < 0)
		die("socketpair");
	if (other_rules)
		forget_list();
	child = start_self(name, over[1]);
	send_fd(over[0], listener);
	close(listener);
	say_end("child", child);
}

static void pass_to_a_program(void)
{
	pass_to("receive-and-serve", false);
}

static void pass_to_a_program_with_other_rules(void)
{
	pass_to("receive-and-serve", true);
}

/* Taken from a child, by a parent that has not seen it. */
static void take_from_a_child(void)
{
	int ready[2], pidfd, listener;
	pid_t child;

	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe2");
	child = start_child();
	if (child == 0) {
		listener = listen_here();
		write_all(ready[1], &listener, sizeof(listener));
		for (;;)
			pause();
	}
	if (read_all(ready[0], &listener, sizeof(listener)) != sizeof(listener))
		die("child");
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	if (listener < 0)
		die("pidfd_getfd");
	say_served("taken", listener);
	say_empty("taken", listener);
	kill(child, SIGKILL);
	say_end("child", child);
}

/* --- what TCP has nothing like: run over a road with strangers only */

static bool is_asleep(pid_t tid)
{
	char path[64], line[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strrchr(line, ')') && strstr(strrchr(line, ')'), ") S ");
}

struct waiting {
	pthread_t thread;
	pid_t tid;
	int listener, result, error;
};

static void *wait_in_accept(void *argument)
{
	struct waiting *waiting = argument;

	__atomic_store_n(&waiting->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	waiting->result = accept(waiting->listener, NULL, NULL);
	waiting->error = errno;
	return NULL;
}

/*
 * A thread waits on a listener that another one closes, and the number becomes something else. The list has gone with
 * the listener. Another copy of it keeps the port.
 */
static void closed_while_a_thread_waits(void)
{
	struct waiting waiting = {.listener = listen_here()};
	const int copy = dup(waiting.listener);
	int pair[2];
	pid_t strange;

	if (pthread_create(&waiting.thread, NULL, wait_in_accept, &waiting))
		die("pthread_create");
	while (!__atomic_load_n(&waiting.tid, __ATOMIC_ACQUIRE) || !is_asleep(waiting.tid))
		usleep(1000);
	close(waiting.listener);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	say("the number is used again: %s", yes_no(pair[0] == waiting.listener));
	strange = strangers(1);
	visitors_end("stranger", strange);
	pthread_join(waiting.thread, NULL);
	say("accept: %s", waiting.result >= 0 ? "ok" : error_name(waiting.error));
	close(copy);
}

static void executed_alone(void)
{
	say_empty("executed", PASSED_FD);
	say_empty("and again", PASSED_FD);
}

static void receive_alone(void)
{
	say_empty("receiver", receive_fd(PASSED_FD));
}

/* Where there are no friends, as where all are on one machine. */
static void nobody_is_a_friend(void)
{
	const int listener = listen_here(), copy = dup(listener);
	pid_t child = start_child();

	if (child == 0) {
		say_empty("child", listener);
		say_empty("its copy", copy);
		_exit(0);
	}
	say_end("child", child);
	say_empty("parent", copy);
	say_end("executed", start_self("executed-alone", listener));
	forget_list();
	say_end("executed with other rules", start_self("executed-alone", copy));
	close(listener);
	close(copy);
}

static void nobody_is_a_friend_of_a_receiver(void)
{
	pass_to("receive-alone", true);
}

/* Rules that cannot be read: then nobody is let in. */
static void with_faulty_rules(void)
{
	const int listener = listen_here();
	pid_t child, friendly = crowd(true, 1), strange = crowd(false, 2);

	setenv("IP2VSOCK_RULES", "nonsense", 1);
	child = start_self("empty", listener);
	say_end("child", child);
	/* The friend finds the end as well. */
	waitpid(friendly, NULL, 0);
	visitors_end("strangers", strange);
}

static void empty(void)
{
	set_nonblocking(PASSED_FD, true);
	say_call("executed", accept(PASSED_FD, NULL, NULL));
	say_call("and again", accept(PASSED_FD, NULL, NULL));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"copies-after-listening", copies_after_listening},
		{"copies-before-binding", copies_before_binding},
		{"numbers-used-again", numbers_used_again},
		{"child-accepts", child_accepts},
		{"child-was-there-before", child_was_there_before},
		{"exec-and-first-call", exec_and_first_call},
		{"exec-and-first-call-without-room", exec_and_first_call_without_room},
		{"exec-and-first-call-without-address", exec_and_first_call_without_address},
		{"exec-with-listener", exec_with_listener},
		{"exec-with-other-rules", exec_with_other_rules},
		{"exec-with-other-rules-and-share", exec_with_other_rules_and_share},
		{"spawned", spawned},
		{"vfork-child-uses-the-number", vfork_child_uses_the_number},
		{"pass-to-a-program", pass_to_a_program},
		{"pass-to-a-program-with-other-rules", pass_to_a_program_with_other_rules},
		{"take-from-a-child", take_from_a_child},
	};
	/* Started by these, or by the test where plain TCP is no measure. */
	static const struct test_case hidden[] = {
		{"visitor", visitor},
		{"executed", executed},
		{"executed-shares", executed_shares},
		{"first-call", first_call},
		{"first-call-without-room", first_call_without_room},
		{"first-call-without-address", first_call_without_address},
		{"receive-and-serve", receive_and_serve},
		{"closed-while-a-thread-waits", closed_while_a_thread_waits},
		{"nobody-is-a-friend", nobody_is_a_friend},
		{"nobody-is-a-friend-of-a-receiver", nobody_is_a_friend_of_a_receiver},
		{"executed-alone", executed_alone},
		{"receive-alone", receive_alone},
		{"with-faulty-rules", with_faulty_rules},
		{"empty", empty},
	};

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(hidden); i++)
		if (!strcmp(argv[1], hidden[i].name))
			return RUN_CASES(hidden, argc, argv);
	return RUN_CASES(cases, argc, argv);
}
