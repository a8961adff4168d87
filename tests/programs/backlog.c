/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect() to a listener whose backlog is full: TCP waits, as long as it is told to. */
#define _GNU_SOURCE 1
#include "common.h"
#include "full.h"

#include <pthread.h>

static int listener;

static void pause_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0)
		;
}

/* Makes room by accepting everybody, after so many milliseconds. */
static pid_t make_room_after(unsigned ms)
{
	const pid_t child = start_child();

	if (child > 0)
		return child;
	pause_ms(ms);
	for (;;)
		accept(listener, NULL, NULL);
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The client, and the listener that has no room for it. */
static int start(void)
{
	listener = listen_full(0);
	return open_socket(0);
}

static void waits_for_room(void)
{
	const int fd = start();
	pid_t child;

	child = make_room_after(300);
	say_slow("connect", fd, here(0), 0.3, 10);
	say("still blocking: %s", yes_no(!(fcntl(fd, F_GETFL) & O_NONBLOCK)));
	say_names("client", fd);
	end(child);
}

static void waits_for_room_within_a_limit(void)
{
	const int fd = start();
	struct timeval limit = {0};
	socklen_t size = sizeof(limit);
	pid_t child;

	limit_sending(fd, 15000);
	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 5);
	child = make_room_after(300);
	say_slow("connect", fd, here(0), 0.3, 10);
	getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size);
	say("SO_SNDTIMEO: %ld s, TCP_SYNCNT: %d", (long)limit.tv_sec, option(fd, IPPROTO_TCP, TCP_SYNCNT));
	end(child);
}

static void bound_client_waits_for_room(void)
{
	const int fd = start();
	pid_t child;

	if (do_bind(fd, here(1)) < 0)
		die("bind");
	child = make_room_after(300);
	say_slow("connect", fd, here(0), 0.3, 10);
	say_names("client", fd);
	end(child);
}

static void gives_up_at_the_limit(void)
{
	const int fd = start();
	pid_t child;

	limit_sending(fd, 400);
	say_slow("connect", fd, here(0), 0.4, 0.4);
	limit_sending(fd, 0);
	child = make_room_after(0);
	/* The attempt went on, or goes on now. */
	say_call("connect again", do_connect(fd, here(0)));
	say_call("and again", do_connect(fd, here(0)));
	say_names("client", fd);
	end(child);
}

/* A duplicate was made: what was set on the socket is not to be forgotten. */
static void gives_up_by_a_copy(void)
{
	const int fd = start();
	const int copy = dup(fd);

	limit_sending(fd, 400);
	say_slow("connect", copy, here(0), 0.4, 0.4);
}

static void does_not_wait(void)
{
	const int fd = start();

	set_nonblocking(fd, true);
	say_slow("connect", fd, here(0), 0, 0);
	say("no answer: %s", yes_no(!wait_for(fd, POLLOUT, 500)));
}

static void gives_up_after_the_last_try(void)
{
	const int fd = start();
	pid_t child;

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	say_slow("connect", fd, here(0), 3, 3);
	say("SO_ERROR: %s", error_name(pending_error(fd)));
	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 6);
	child = make_room_after(0);
	say_call("connect", do_connect(fd, here(0)));
	end(child);
}

static void gives_up_after_the_users_time(void)
{
	const int fd = start();

	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
	say_slow("connect", fd, here(0), 2.5, 3.5);
}

static void restarted_after_a_signal(void)
{
	const int fd = start();
	pid_t child;

	child = make_room_after(700);
	interrupt_after(300, SA_RESTART);
	say_slow("connect", fd, here(0), 0.7, 10);
	end(child);
}

static void interrupted_by_a_signal(void)
{
	const int fd = start();
	pid_t child;

	interrupt_after(300, 0);
	say_slow("connect", fd, here(0), 0.3, 1);
	child = make_room_after(0);
	say_call("connect again", do_connect(fd, here(0)));
	say_call("and again", do_connect(fd, here(0)));
	end(child);
}

/* SA_RESTART does not hold for a call with a limit (signal(7)). */
static void interrupted_within_a_limit(void)
{
	const int fd = start();

	limit_sending(fd, 10000);
	interrupt_after(300, SA_RESTART);
	say_slow("connect", fd, here(0), 0.3, 1);
}

static void *close_later(void *arg)
{
	pause_ms(300);
	close(*(int *)arg);
	return NULL;
}

static void listener_goes_away(void)
{
	const int fd = start();
	pthread_t thread;

	if (pthread_create(&thread, NULL, close_later, &listener))
		die("pthread_create");
	say_slow("connect", fd, here(0), 0.3, 10);
	pthread_join(thread, NULL);
}

/* Nobody listens where somebody is bound. */
static void bound_is_not_listening(void)
{
	const int holder = open_socket(0), fd = open_socket(0);

	if (do_bind(holder, here(0)) < 0)
		die("bind");
	say_slow("connect", fd, here(0), 0, 0.5);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"waits-for-room", waits_for_room},
		{"waits-for-room-within-a-limit", waits_for_room_within_a_limit},
		{"bound-client-waits-for-room", bound_client_waits_for_room},
		{"gives-up-at-the-limit", gives_up_at_the_limit},
		{"gives-up-by-a-copy", gives_up_by_a_copy},
		{"does-not-wait", does_not_wait},
		{"gives-up-after-the-last-try", gives_up_after_the_last_try},
		{"gives-up-after-the-users-time", gives_up_after_the_users_time},
		{"restarted-after-a-signal", restarted_after_a_signal},
		{"interrupted-by-a-signal", interrupted_by_a_signal},
		{"interrupted-within-a-limit", interrupted_within_a_limit},
		{"listener-goes-away", listener_goes_away},
		{"bound-is-not-listening", bound_is_not_listening},
	};

	return RUN_CASES(cases, argc, argv);
}
