/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connect() to a peer that does not answer. ADDRESS is either one of this machine, where a full backlog keeps TCP from
 * answering, or one that nobody can bind, which then is such a peer.
 */
#define _GNU_SOURCE 1
#include "common.h"
#include "full.h"

static int start(int flags)
{
	const int probe = open_socket(0);
	const bool is_ours = do_bind(probe, here_any_port()) == 0;

	close(probe);
	if (is_ours)
		listen_full(0);
	return open_socket(flags);
}

static void say_events(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	poll(&poll_fd, 1, timeout_ms);
	say("writable: %s", yes_no(poll_fd.revents & POLLOUT));
}

static void say_unspec(int fd)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	say_call("connect to AF_UNSPEC", connect(fd, &none, sizeof(none)));
}

static void limit(void)
{
	const int fd = start(0);

	limit_sending(fd, 400);
	say_slow("connect", fd, here(0), 0.4, 0.4);
	say_events(fd, 0);
	say_slow("connect again", fd, here(0), 0.4, 0.4);
	say_call("connect elsewhere", do_connect(fd, other(1)));
	set_nonblocking(fd, true);
	say_slow("connect again, non-blocking", fd, here(0), 0, 0);
	say_call("bind", do_bind(fd, wildcard(1)));
	say("SO_ERROR: %s", error_name(pending_error(fd)));
}

static void last_try(void)
{
	const int fd = start(0);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	say_slow("connect", fd, here(0), 3, 3);
	say("SO_ERROR: %s", error_name(pending_error(fd)));
	say_call("bind", do_bind(fd, wildcard(1)));
	say_slow("connect", fd, here(0), 3, 3);
}

static void last_try_in_the_background(void)
{
	const int fd = start(SOCK_NONBLOCK);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	say_call("connect", do_connect(fd, here(0)));
	say_call("connect again", do_connect(fd, here(0)));
	say_events(fd, 2500);
	say_events(fd, 10000);
	say("SO_ERROR: %s", error_name(pending_error(fd)));
	say_call("connect again", do_connect(fd, here(0)));
	say_call("and again", do_connect(fd, here(0)));
	say_call("and again", do_connect(fd, here(0)));
}

static void error_not_read(void)
{
	const int fd = start(SOCK_NONBLOCK);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	say_call("connect", do_connect(fd, here(0)));
	say_events(fd, 10000);
	say_call("connect again", do_connect(fd, here(0)));
	say_call("and again", do_connect(fd, here(0)));
}

static void joined(void)
{
	const int fd = start(SOCK_NONBLOCK);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	say_call("connect", do_connect(fd, here(0)));
	set_nonblocking(fd, false);
	say_slow("connect again, blocking", fd, here(0), 2.5, 3);
	set_nonblocking(fd, true);
	say_call("and again", do_connect(fd, here(0)));
}

static void users_time(void)
{
	const int fd = start(0);

	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500);
	say_slow("connect", fd, here(0), 2.5, 3.5);
}

static void restarted(void)
{
	const int fd = start(0);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	interrupt_after(300, SA_RESTART);
	say_slow("connect", fd, here(0), 3, 3);
}

static void interrupted(void)
{
	const int fd = start(0);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	interrupt_after(300, 0);
	say_slow("connect", fd, here(0), 0.3, 0.3);
	interrupt_after(300, 0);
	say_slow("connect again", fd, here(0), 0.3, 0.3);
	interrupt_after(300, SA_RESTART);
	say_slow("and again", fd, here(0), 2, 3);
	interrupt_after(300, 0);
	say_slow("and again", fd, here(0), 0.3, 0.3);
}

static void interrupted_within_a_limit(void)
{
	const int fd = start(0);

	limit_sending(fd, 1000);
	interrupt_after(300, SA_RESTART);
	say_slow("connect", fd, here(0), 0.3, 0.3);
	interrupt_after(300, SA_RESTART);
	say_slow("connect again", fd, here(0), 0.3, 0.3);
	say_slow("and again", fd, here(0), 1, 1);
}

/* Nothing limits it: what other transports would give up after is not the end. */
static void patient(void)
{
	const int fd = start(0);

	interrupt_after(4000, 0);
	say_slow("connect", fd, here(0), 4, 4);
	set_nonblocking(fd, true);
	say_call("connect again, non-blocking", do_connect(fd, here(0)));
}

static void bound(void)
{
	const int fd = start(0);

	if (do_bind(fd, wildcard(1)) < 0)
		die("bind");
	interrupt_after(4000, 0);
	say_slow("connect", fd, here(0), 4, 4);
	set_nonblocking(fd, true);
	say_call("connect again, non-blocking", do_connect(fd, here(0)));
	say("port: %s", own_port(fd) == here_port + 1 ? "as bound" : "another");
}

static void bound_last_try(void)
{
	const int fd = start(0);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	if (do_bind(fd, wildcard(1)) < 0)
		die("bind");
	say_slow("connect", fd, here(0), 3, 3);
	say("port: %s", own_port(fd) == here_port + 1 ? "as bound" : "another");
	say_slow("connect", fd, here(0), 3, 3);
}

static void dissolved(void)
{
	const int fd = start(SOCK_NONBLOCK);

	say_call("connect", do_connect(fd, here(0)));
	say_call("connect again", do_connect(fd, here(0)));
	say_unspec(fd);
	say_call("connect", do_connect(fd, here(0)));
	set_nonblocking(fd, false);
	say_unspec(fd);
	say_call("bind", do_bind(fd, wildcard(1)));
	say_call("listen", listen(fd, 1));
}

static void other_addresses(void)
{
	struct sockaddr_storage any = {.ss_family = AF_UNIX};
	const int fd = start(SOCK_NONBLOCK);

	say_call("connect", do_connect(fd, here(0)));
	say_call("a short address", connect(fd, (struct sockaddr *)&any, 4));
	say_call("another family", connect(fd, (struct sockaddr *)&any, sizeof(any)));
	any.ss_family = here_family == AF_INET ? AF_INET6 : AF_INET;
	say_call("the other family", connect(fd, (struct sockaddr *)&any, sizeof(any)));
	say_call("one that leads elsewhere", do_connect(fd, other(1)));
}

/* It ends the attempt, and the socket is as new. */
static void shut_down(void)
{
	static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
	const int fd = start(SOCK_NONBLOCK);

	for (size_t i = 0; i < N_ELEMENTS(how); i++) {
		say_call("connect", do_connect(fd, here(0)));
		say_call("connect again", do_connect(fd, here(0)));
		say_call("shutdown", shutdown(fd, how[i]));
		say_events(fd, 0);
		pending_error(fd);
		say_call("shutdown again", shutdown(fd, how[i]));
	}
	say_call("connect elsewhere", do_connect(fd, other(1)));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"limit", limit},
		{"last-try", last_try},
		{"last-try-in-the-background", last_try_in_the_background},
		{"error-not-read", error_not_read},
		{"joined", joined},
		{"users-time", users_time},
		{"restarted", restarted},
		{"interrupted", interrupted},
		{"interrupted-within-a-limit", interrupted_within_a_limit},
		{"patient", patient},
		{"bound", bound},
		{"bound-last-try", bound_last_try},
		{"dissolved", dissolved},
		{"other-addresses", other_addresses},
		{"shut-down", shut_down},
	};

	return RUN_CASES(cases, argc, argv);
}
