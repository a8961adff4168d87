/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connect() that failed is tried again on the same descriptor, to the same place or another. */
#define _GNU_SOURCE 1
#include "common.h"

/* ADDRESS is one the mapping may send elsewhere, OTHER one it leaves alone; "nobody" is a port without listener. */
enum where { HERE, HERE_NOBODY, OTHER, OTHER_NOBODY };

static struct place place_at(enum where where)
{
	switch (where) {
	case HERE:
		return here(0);
	case HERE_NOBODY:
		return here(5);
	case OTHER:
		return other(1);
	case OTHER_NOBODY:
		break;
	}
	return other(5);
}

static int listener_here = -1, listener_other = -1;

static void tries(int flags, const enum where *where, size_t count)
{
	const int fd = open_socket(flags);
	int server;

	listener_here = listen_at(here(0), 8);
	listener_other = listen_at(other(1), 8);
	for (size_t i = 0; i < count; i++)
		say("try %zu: %s", i + 1,
		    error_name(i ? reconnect(fd, place_at(where[i]))
				 : finish_connect(fd, place_at(where[i]))));
	server = must_accept(where[count - 1] == HERE ? listener_here : listener_other);
	set_nonblocking(fd, false);
	say_names("client", fd);
	say("ports agree: %s", yes_no(own_port(fd) == peer_port(server)));
	say_talk("talk", fd, server);
	say("option: SO_DOMAIN %d, SO_PROTOCOL %d", option(fd, SOL_SOCKET, SO_DOMAIN),
	    option(fd, SOL_SOCKET, SO_PROTOCOL));
}

#define TRIES(name, flags, ...)                                  \
	static void name(void)                                   \
	{                                                        \
		static const enum where where[] = {__VA_ARGS__}; \
                                                                 \
		tries(flags, where, N_ELEMENTS(where));          \
	}

TRIES(matched_refused_then_matched, 0, HERE_NOBODY, HERE)
TRIES(matched_refused_then_unmatched, 0, HERE_NOBODY, OTHER)
TRIES(unmatched_refused_then_matched, 0, OTHER_NOBODY, HERE)
TRIES(unmatched_refused_then_unmatched, 0, OTHER_NOBODY, OTHER)
TRIES(many_refusals, 0, HERE_NOBODY, OTHER_NOBODY, HERE_NOBODY, HERE_NOBODY, OTHER_NOBODY, HERE)
TRIES(many_refusals_then_unmatched, 0, HERE_NOBODY, HERE_NOBODY, OTHER_NOBODY, HERE_NOBODY, OTHER)
TRIES(nb_matched_refused_then_matched, SOCK_NONBLOCK, HERE_NOBODY, HERE)
TRIES(nb_matched_refused_then_unmatched, SOCK_NONBLOCK, HERE_NOBODY, OTHER)
TRIES(nb_unmatched_refused_then_matched, SOCK_NONBLOCK, OTHER_NOBODY, HERE)
TRIES(nb_unmatched_refused_then_unmatched, SOCK_NONBLOCK, OTHER_NOBODY, OTHER)
TRIES(nb_many_refusals, SOCK_NONBLOCK, HERE_NOBODY, OTHER_NOBODY, HERE_NOBODY, HERE_NOBODY, HERE)

/* The program keeps asking until somebody listens, as at boot. */
static void until_somebody_listens(void)
{
	const int fd = open_socket(0);
	int listener;

	for (int i = 0; i < 5; i++)
		say_call("connect", do_connect(fd, here(0)));
	listener = listen_at(here(0), 8);
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void nb_until_somebody_listens(void)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	int listener;

	say("connect: %s", error_name(finish_connect(fd, here(0))));
	for (int i = 0; i < 4; i++)
		say("connect: %s", error_name(reconnect(fd, here(0))));
	listener = listen_at(here(0), 8);
	say("connect: %s", error_name(reconnect(fd, here(0))));
	set_nonblocking(fd, false);
	say_talk("talk", fd, must_accept(listener));
}

/* The outcome is never asked for with SO_ERROR, only by the next connect(). */
static void nb_error_not_read(void)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	int listener, error = 0;

	if (do_connect(fd, here(5)) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		wait_for(fd, POLLOUT, 20000);
		error = do_connect(fd, here(5)) < 0 ? errno : 0;
	}
	say("first: %s", error_name(error));
	listener = listen_at(here(0), 8);
	say("then: %s", error_name(reconnect(fd, here(0))));
	set_nonblocking(fd, false);
	say_talk("talk", fd, must_accept(listener));
}

/* What failed in the background is over: the socket can be bound. */
static void nb_refused_then_bound(const char *what, struct place at)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	const int listener = listen_at(here(0), 8);

	say("%s: %s", what, error_name(finish_connect(fd, here(5))));
	say_call("  bind", do_bind(fd, at));
	say("  connect: %s", error_name(reconnect(fd, here(0))));
	set_nonblocking(fd, false);
	say("  port: %s", own_port(fd) == port_of(&at.sa) ? "as bound" : "another");
	say_talk("  talk", fd, must_accept(listener));
	close(listener);
}

static void nb_refused_then_bind(void)
{
	nb_refused_then_bound("matched", here(1));
	nb_refused_then_bound("wildcard", wildcard(3));
}

/* The order of events: in progress, done, told once, and then known. */
static void nb_told_once(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	int rc = do_connect(fd, here(0));

	say("at first: %s", yes_no(rc == 0 || errno == EINPROGRESS));
	wait_for(fd, POLLOUT, 20000);
	say("SO_ERROR: %s", error_name(pending_error(fd)));
	if (rc < 0)
		rc = do_connect(fd, here(0));
	say_call("told", rc);
	say_call("known", do_connect(fd, here(0)));
	say_call("elsewhere", do_connect(fd, other(1)));
	close(listener);
}

/* The same when the blocking mode is back, and to an address that leads elsewhere. */
static void nb_told_once_elsewhere(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	int rc = do_connect(fd, here(0));

	wait_for(fd, POLLOUT, 20000);
	set_nonblocking(fd, false);
	if (rc < 0)
		rc = do_connect(fd, other(1));
	say_call("told", rc);
	say_call("known", do_connect(fd, other(1)));
	say_call("here", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

/* A failure is told once; SO_ERROR may have told it before. */
static void nb_failure_told_once(void)
{
	int fd, error;

	for (int read_error = 0; read_error < 2; read_error++) {
		fd = open_socket(SOCK_NONBLOCK);
		error = do_connect(fd, here(5)) < 0 ? errno : 0;
		if (error == EINPROGRESS) {
			wait_for(fd, POLLOUT, 20000);
			if (read_error)
				pending_error(fd);
			error = do_connect(fd, here(5)) < 0 ? errno : 0;
		} else if (read_error) {
			error = ECONNABORTED; /* a transport that was done at once has no more to tell */
		}
		say("told: %s", error_name(error));
		set_nonblocking(fd, false);
		say_call("then", do_connect(fd, here(5)));
		close(fd);
	}
}

static void options_survive_all_tries(void)
{
	const int fd = open_socket(SOCK_CLOEXEC);
	int listener;

	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	say_call("matched, nobody", do_connect(fd, here(5)));
	set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 3);
	say_call("unmatched, nobody", do_connect(fd, other(5)));
	set_option(fd, SOL_SOCKET, SO_PRIORITY, 2);
	say_call("matched, nobody", do_connect(fd, here(5)));
	listener = listen_at(other(0), 8);
	say_call("unmatched", do_connect(fd, other(0)));
	say("SO_KEEPALIVE %d, SO_RCVLOWAT %d, SO_PRIORITY %d, FD_CLOEXEC %s",
	    option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, SOL_SOCKET, SO_RCVLOWAT),
	    option(fd, SOL_SOCKET, SO_PRIORITY), yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	close(listener);
}

static void copies_follow_all_tries(void)
{
	const int fd = open_socket(0);
	const int copy = dup(fd);
	const int listener = listen_at(here(0), 8);
	const int listener2 = listen_at(other(1), 8);
	int second, second_copy;

	say_call("matched, nobody", do_connect(fd, here(5)));
	say_call("unmatched, nobody", do_connect(copy, other(5)));
	say_call("matched", do_connect(fd, here(0)));
	say_talk("by the copy", copy, must_accept(listener));
	second = open_socket(0);
	second_copy = dup(second);
	say_call("matched, nobody", do_connect(second, here(5)));
	say_call("unmatched", do_connect(second_copy, other(1)));
	say_talk("by the first", second, must_accept(listener2));
}

static void no_descriptor_is_lost(void)
{
	const int fd = open_socket(0);
	const unsigned before = count_fds();

	for (int i = 0; i < 30; i++) {
		do_connect(fd, here(5));
		do_connect(fd, other(5));
	}
	say("descriptors more: %d", (int)(count_fds() - before));
}

/* Happy Eyeballs: an unmatched first try leaves a plain socket, bound or not. */
static void unmatched_stays_plain(void)
{
	const int listener = listen_at(other(0), 8);
	const int fd = open_socket(0);

	say_call("bind to port 0", do_bind(fd, place_of(here_family == AF_INET6 ? "::" : "0.0.0.0", 0)));
	say_call("connect", do_connect(fd, other(0)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void disconnect(void)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	struct place peer = {.len = sizeof(peer.sa)};
	int server;

	must_connect(fd, here(0));
	server = must_accept(listener);
	say_call("connect to AF_UNSPEC", connect(fd, &none, sizeof(none)));
	say_call("getpeername", getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len));
	close(server);
	say_call("connect again", do_connect(fd, here(0)));
	server = must_accept(listener);
	say_talk("talk", fd, server);
}

static void disconnect_fresh(void)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("connect to AF_UNSPEC", connect(fd, &none, sizeof(none)));
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"matched-refused-then-matched", matched_refused_then_matched},
		{"matched-refused-then-unmatched", matched_refused_then_unmatched},
		{"unmatched-refused-then-matched", unmatched_refused_then_matched},
		{"unmatched-refused-then-unmatched", unmatched_refused_then_unmatched},
		{"many-refusals", many_refusals},
		{"many-refusals-then-unmatched", many_refusals_then_unmatched},
		{"nb-matched-refused-then-matched", nb_matched_refused_then_matched},
		{"nb-matched-refused-then-unmatched", nb_matched_refused_then_unmatched},
		{"nb-unmatched-refused-then-matched", nb_unmatched_refused_then_matched},
		{"nb-unmatched-refused-then-unmatched", nb_unmatched_refused_then_unmatched},
		{"nb-many-refusals", nb_many_refusals},
		{"until-somebody-listens", until_somebody_listens},
		{"nb-until-somebody-listens", nb_until_somebody_listens},
		{"nb-error-not-read", nb_error_not_read},
		{"nb-refused-then-bind", nb_refused_then_bind},
		{"nb-told-once", nb_told_once},
		{"nb-told-once-elsewhere", nb_told_once_elsewhere},
		{"nb-failure-told-once", nb_failure_told_once},
		{"options-survive-all-tries", options_survive_all_tries},
		{"copies-follow-all-tries", copies_follow_all_tries},
		{"no-descriptor-is-lost", no_descriptor_is_lost},
		{"unmatched-stays-plain", unmatched_stays_plain},
		{"disconnect", disconnect},
		{"disconnect-fresh", disconnect_fresh},
	};

	return RUN_CASES(cases, argc, argv);
}
