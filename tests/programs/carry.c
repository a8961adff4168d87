/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flags and options set before connect() or bind() are still there after it, and can be set after it. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/ioctl.h>
#include <sys/time.h>

static int listener = -1, accepted = -1;

/* The steps take a socket through the calls that may replace it. */
static void go_connect(int fd)
{
	if (listener < 0)
		listener = listen_at(here(0), 8);
	if (do_connect(fd, here(0)) < 0 && errno != EINPROGRESS)
		die("connect");
	wait_for(fd, POLLOUT, 20000);
	close(accepted);
	accepted = must_accept(listener);
}

static void go_bind(int fd)
{
	if (do_bind(fd, here(1)) < 0)
		die("bind");
}

static void go_bind_and_listen(int fd)
{
	go_bind(fd);
	if (listen(fd, 8) < 0)
		die("listen");
}

static void go_bind_and_connect(int fd)
{
	if (do_bind(fd, here_any_port()) < 0)
		die("bind");
	go_connect(fd);
}

static const struct {
	const char *name;
	void (*go)(int fd);
} steps[] = {
	{"connect", go_connect},
	{"bind", go_bind},
	{"bind, listen", go_bind_and_listen},
	{"bind to port 0, connect", go_bind_and_connect},
};

static void say_flags(const char *step, int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	say("%s: O_NONBLOCK %s, FD_CLOEXEC %s, O_ASYNC %s, access mode %d", step, yes_no(flags & O_NONBLOCK),
	    yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC), yes_no(flags & O_ASYNC), flags & O_ACCMODE);
}

static void plain_flags(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);

		steps[i].go(fd);
		say_flags(steps[i].name, fd);
		close(fd);
	}
}

static void flags_of_socket(void)
{
	static const int flags[] = {SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};

	for (size_t k = 0; k < N_ELEMENTS(flags); k++) {
		for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
			const int fd = open_socket(flags[k]);

			steps[i].go(fd);
			say_flags(steps[i].name, fd);
			close(fd);
		}
	}
}

static void flags_of_fcntl(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);

		set_nonblocking(fd, true);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		steps[i].go(fd);
		say_flags(steps[i].name, fd);
		set_nonblocking(fd, false);
		fcntl(fd, F_SETFD, 0);
		say_flags("cleared", fd);
		close(fd);
	}
}

static void flags_of_ioctl(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);
		int one = 1;

		ioctl(fd, FIONBIO, &one);
		ioctl(fd, FIOCLEX);
		steps[i].go(fd);
		say_flags(steps[i].name, fd);
		close(fd);
	}
}

/* Set and cleared again before the step: nothing of it may come back. */
static void flags_taken_back(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(SOCK_NONBLOCK | SOCK_CLOEXEC);

		set_nonblocking(fd, false);
		fcntl(fd, F_SETFD, 0);
		steps[i].go(fd);
		say_flags(steps[i].name, fd);
		close(fd);
	}
}

static void async_owner_and_signal(void)
{
	signal(SIGUSR1, SIG_IGN);
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);
		struct f_owner_ex owner = {.type = F_OWNER_PGRP};

		if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, SIGUSR1) < 0 ||
		    fcntl(fd, F_SETFL, O_ASYNC) < 0)
			die("F_SETOWN");
		steps[i].go(fd);
		say_flags(steps[i].name, fd);
		fcntl(fd, F_GETOWN_EX, &owner);
		say("owner is this process: %s, type %d, signal is SIGUSR1: %s",
		    yes_no(fcntl(fd, F_GETOWN) == getpid()), (int)owner.type,
		    yes_no(fcntl(fd, F_GETSIG) == SIGUSR1));
		close(fd);
	}
}

static void async_owner_by_thread_and_group(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		static const __typeof__(((struct f_owner_ex *)0)->type) types[] = {F_OWNER_TID, F_OWNER_PGRP};

		for (size_t k = 0; k < N_ELEMENTS(types); k++) {
			struct f_owner_ex owner = {.type = types[k]};
			const int fd = open_socket(0);
			pid_t want;

			want = types[k] == F_OWNER_TID ? getpid() : getpgrp();
			owner.pid = want;
			if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
				die("F_SETOWN_EX");
			steps[i].go(fd);
			memset(&owner, 0, sizeof(owner));
			fcntl(fd, F_GETOWN_EX, &owner);
			say("%s: owner kept: %s, type %d", steps[i].name, yes_no(owner.pid == want),
			    (int)owner.type);
			close(fd);
		}
	}
}

static volatile sig_atomic_t sigio;

static void on_sigio(int signal)
{
	(void)signal;
	sigio++;
}

/* The signal does not only stay configured, it comes. */
static void async_signal_arrives(void)
{
	const int fd = open_socket(0);
	int server;

	listener = listen_at(here(0), 8);
	signal(SIGUSR1, on_sigio);
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETSIG, SIGUSR1);
	fcntl(fd, F_SETFL, O_ASYNC);
	while (do_connect(fd, here(0)) < 0 && errno == EINTR)
		;
	server = must_accept(listener);
	sigio = 0;
	write_all(server, "x", 1);
	for (int i = 0; i < 2000 && !sigio; i++)
		poll(NULL, 0, 10);
	say("signal came: %s", yes_no(sigio > 0));
}

static const struct {
	const char *name;
	int level, option, value;
} numbers[] = {
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1}, {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
	{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1}, {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 7},
	{"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 5},   {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000},
	{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 60000},   {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 1},
	{"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 1}, {"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 1},
};

/* Options are tried one by one, each on its own socket, so that one that is lost has a name. */
static void options_before(void)
{
	for (size_t k = 0; k < N_ELEMENTS(numbers); k++) {
		for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
			const int fd = open_socket(0);

			if (numbers[k].option != SO_REUSEADDR)
				set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			set_option(fd, numbers[k].level, numbers[k].option, numbers[k].value);
			steps[i].go(fd);
			say("%s: %s %d", steps[i].name, numbers[k].name,
			    option(fd, numbers[k].level, numbers[k].option));
			close(fd);
		}
	}
}

static void options_after(void)
{
	for (size_t k = 0; k < N_ELEMENTS(numbers); k++) {
		for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
			const int fd = open_socket(0);

			set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			steps[i].go(fd);
			set_option(fd, numbers[k].level, numbers[k].option, numbers[k].value);
			say("%s: %s %d", steps[i].name, numbers[k].name,
			    option(fd, numbers[k].level, numbers[k].option));
			close(fd);
		}
	}
}

/* An option that nobody set keeps the value a fresh socket has. */
static void options_untouched(void)
{
	static const int some[] = {SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT, SO_PRIORITY,
				   SO_DONTROUTE, SO_BROADCAST, SO_TYPE,	    SO_DOMAIN,
				   SO_PROTOCOL,	 SO_ERROR,     SO_TIMESTAMP};

	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);

		steps[i].go(fd);
		for (size_t k = 0; k < N_ELEMENTS(some); k++)
			say("%s: option %d is %d", steps[i].name, some[k], option(fd, SOL_SOCKET, some[k]));
		close(fd);
	}
}

static void linger(void)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const struct linger want = {.l_onoff = 1, .l_linger = 3};
		struct linger got = {0};
		socklen_t len = sizeof(got);
		const int fd = open_socket(0);

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &want, sizeof(want));
		steps[i].go(fd);
		getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len);
		say("%s: linger %d %d", steps[i].name, got.l_onoff, got.l_linger);
		got = (struct linger){0};
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &got, sizeof(got));
		close(fd);
	}
}

static void timeouts(void)
{
	static const int both[] = {SO_RCVTIMEO, SO_SNDTIMEO};

	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		const int fd = open_socket(0);

		for (size_t k = 0; k < 2; k++) {
			const struct timeval want = {.tv_sec = 3 + (time_t)k, .tv_usec = 500000};

			setsockopt(fd, SOL_SOCKET, both[k], &want, sizeof(want));
		}
		steps[i].go(fd);
		for (size_t k = 0; k < 2; k++) {
			struct timeval got = {0};
			socklen_t len = sizeof(got);

			getsockopt(fd, SOL_SOCKET, both[k], &got, &len);
			say("%s: %s %ld.%06ld", steps[i].name, k ? "SO_SNDTIMEO" : "SO_RCVTIMEO",
			    (long)got.tv_sec, (long)got.tv_usec);
		}
		close(fd);
	}
}

static void timeout_still_works(void)
{
	const struct timeval brief = {.tv_usec = 60000};
	const int fd = open_socket(0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
	go_connect(fd);
	errno = 0;
	say("read: %s", error_name(read(fd, &(char){0}, 1) < 0 ? errno : 0));
}

/* What a listener has is what accept() gives, for the options TCP hands down. */
static void accepted_inherits(void)
{
	const struct timeval want = {.tv_sec = 9};
	struct timeval got = {0};
	socklen_t len = sizeof(got);
	const int fd = open_socket(0);
	const int client = open_socket(0);
	int server;

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &want, sizeof(want));
	set_nonblocking(fd, true);
	if (do_bind(fd, here(0)) < 0 || listen(fd, 8) < 0)
		die("listen");
	must_connect(client, here(0));
	wait_for(fd, POLLIN, 20000);
	server = must_accept(fd);
	say_flags("accepted", server);
	say("SO_KEEPALIVE %d", option(server, SOL_SOCKET, SO_KEEPALIVE));
	say("SO_OOBINLINE %d", option(server, SOL_SOCKET, SO_OOBINLINE));
	getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
	say("SO_RCVTIMEO %ld", (long)got.tv_sec);
	say("SO_ACCEPTCONN of listener %d, of accepted %d", option(fd, SOL_SOCKET, SO_ACCEPTCONN),
	    option(server, SOL_SOCKET, SO_ACCEPTCONN));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"plain-flags", plain_flags},
		{"flags-of-socket", flags_of_socket},
		{"flags-of-fcntl", flags_of_fcntl},
		{"flags-of-ioctl", flags_of_ioctl},
		{"flags-taken-back", flags_taken_back},
		{"async-owner-and-signal", async_owner_and_signal},
		{"async-owner-by-thread-and-group", async_owner_by_thread_and_group},
		{"async-signal-arrives", async_signal_arrives},
		{"options-before", options_before},
		{"options-after", options_after},
		{"options-untouched", options_untouched},
		{"linger", linger},
		{"timeouts", timeouts},
		{"timeout-still-works", timeout_still_works},
		{"accepted-inherits", accepted_inherits},
	};

	return RUN_CASES(cases, argc, argv);
}
