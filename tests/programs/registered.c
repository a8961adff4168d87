/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll registrations made before connect() or bind() keep working, with the same data, and can be changed after. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>

#define DATA 0x1122334455667788u

static int control(int epoll, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(epoll, op, fd, &event);
}

static void must_add(int epoll, int fd, uint32_t events, uint64_t data)
{
	if (control(epoll, EPOLL_CTL_ADD, fd, events, data) < 0)
		die("EPOLL_CTL_ADD");
}

static int new_epoll(void)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll_create1");
	return epoll;
}

static const char *data_text(uint64_t data)
{
	static char text[32];

	snprintf(text, sizeof(text), "%#llx", (unsigned long long)data);
	return text;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for one of the events wanted; whatever else comes is not looked at. */
static void say_event(const char *what, int epoll, uint32_t wanted)
{
	const int64_t end = now_ms() + 20000;
	struct epoll_event event[8];

	while (now_ms() < end) {
		const int n = epoll_wait(epoll, event, 8, 100);

		for (int i = 0; i < n; i++) {
			if (!(event[i].events & wanted))
				continue;
			say("%s: %s%s%s with data %s", what, event[i].events & wanted & EPOLLIN ? "IN " : "",
			    event[i].events & wanted & EPOLLOUT ? "OUT " : "",
			    event[i].events & wanted & EPOLLRDHUP ? "RDHUP " : "",
			    data_text(event[i].data.u64));
			return;
		}
	}
	say("%s: nothing came", what);
}

/* No event of those unwanted within a short time. */
static void say_quiet(const char *what, int epoll, uint32_t unwanted)
{
	struct epoll_event event[8];
	const int64_t end = now_ms() + 150;
	bool quiet = true;

	while (now_ms() < end) {
		const int n = epoll_wait(epoll, event, 8, 50);

		for (int i = 0; i < n; i++)
			quiet = quiet && !(event[i].events & unwanted);
	}
	say("%s: %s", what, quiet ? "quiet" : "an event came");
}

/* Whatever is pending is taken away. */
static void drain(int epoll)
{
	struct epoll_event event[8];

	while (epoll_wait(epoll, event, 8, 50) > 0)
		;
}

static void finish(int fd)
{
	const int error = finish_connect(fd, here(0));

	say("connect: %s", error_name(error));
}

static void change_and_delete(int epoll, int fd)
{
	say_call("ADD again", control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 2));
	say_event("after MOD", epoll, EPOLLOUT);
	say_call("DEL", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_call("DEL again", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_quiet("after DEL", epoll, ~0u);
}

static void level(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, DATA);
	finish(fd);
	say_event("connected", epoll, EPOLLOUT);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	say_event("data, level", epoll, EPOLLIN);
	close(server);
	say_event("peer closed", epoll, EPOLLRDHUP);
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, 3));
	say_event("after MOD", epoll, EPOLLIN);
	say_call("DEL", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_call("DEL again", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
}

static void change_after_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();

	must_add(epoll, fd, EPOLLIN, DATA);
	finish(fd);
	change_and_delete(epoll, fd);
	close(listener);
}

static void edge(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET, DATA);
	finish(fd);
	say_event("connected", epoll, EPOLLOUT);
	drain(epoll);
	say_quiet("once only", epoll, ~0u);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	drain(epoll);
	say_quiet("unread data tells once", epoll, ~0u);
	write_all(server, "y", 1);
	say_event("more data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
}

static void oneshot_armed(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN | EPOLLONESHOT, DATA);
	must_connect(fd, here(0));
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	write_all(server, "y", 1);
	say_quiet("one shot only", epoll, ~0u);
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 2));
	say_event("armed again", epoll, EPOLLIN);
	say_quiet("one shot only", epoll, ~0u);
}

static void oneshot_fired(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLONESHOT, DATA);
	say_event("fresh socket", epoll, EPOLLOUT);
	must_connect(fd, here(0));
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_quiet("stays fired", epoll, ~0u);
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 2));
	say_event("armed again", epoll, EPOLLIN);
}

static void two_instances(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int first = new_epoll(), second = new_epoll();
	int server;

	must_add(first, fd, EPOLLIN, 1);
	must_add(second, fd, EPOLLIN | EPOLLET, 2);
	finish(fd);
	drain(second);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("first", first, EPOLLIN);
	say_event("second", second, EPOLLIN);
	say_call("DEL from first", control(first, EPOLL_CTL_DEL, fd, 0, 0));
	write_all(server, "y", 1);
	say_event("second", second, EPOLLIN);
	say_quiet("first", first, ~0u);
	say_call("DEL from second", control(second, EPOLL_CTL_DEL, fd, 0, 0));
}

static void nested(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int inner = new_epoll(), outer = new_epoll();
	int server;

	must_add(inner, fd, EPOLLIN, 1);
	must_add(outer, inner, EPOLLIN, 2);
	finish(fd);
	drain(inner);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("outer", outer, EPOLLIN);
	say_event("inner", inner, EPOLLIN);
}

static void changed_before_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLOUT, 1);
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, DATA));
	finish(fd);
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
}

static void deleted_before_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();

	must_add(epoll, fd, EPOLLIN | EPOLLOUT, DATA);
	say_call("DEL", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	finish(fd);
	say_quiet("not registered", epoll, ~0u);
	say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, 1));
	say_call("ADD", control(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT, 2));
	say_event("registered", epoll, EPOLLOUT);
	close(listener);
}

static void instance_closed_before_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN | EPOLLOUT, DATA);
	close(epoll);
	finish(fd);
	errno = 0;
	say("number of the instance: %s", error_name(fcntl(epoll, F_GETFD) < 0 ? errno : 0));
	server = must_accept(listener);
	set_nonblocking(fd, false);
	say_talk("talk", fd, server);
}

/* The number of the instance is taken by another one, which must not get the registration. */
static void instance_number_reused(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int first = new_epoll();

	must_add(first, fd, EPOLLIN | EPOLLOUT, DATA);
	close(first);
	say("same number: %s", yes_no(new_epoll() == first));
	finish(fd);
	say_quiet("new instance", first, ~0u);
	say_call("ADD", control(first, EPOLL_CTL_ADD, fd, EPOLLOUT, 5));
	say_event("registered", first, EPOLLOUT);
	close(listener);
}

static void instance_dupped(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	const int copy = dup(epoll);
	int server;

	must_add(epoll, fd, EPOLLIN, DATA);
	close(epoll);
	finish(fd);
	drain(copy);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("through the copy", copy, EPOLLIN);
	say_call("DEL", control(copy, EPOLL_CTL_DEL, fd, 0, 0));
}

static void socket_dupped_and_registered_twice(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int copy = dup(fd);
	const int epoll = new_epoll(), second = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN, 1);
	must_add(second, copy, EPOLLIN, 2);
	finish(fd);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("by the first number", epoll, EPOLLIN);
	say_event("by the second number", second, EPOLLIN);
	say_call("DEL by the first", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_call("DEL by the second", control(second, EPOLL_CTL_DEL, copy, 0, 0));
	close(fd);
	say_quiet("after DEL", epoll, ~0u);
	say_quiet("after DEL", second, ~0u);
}

static void both_numbers_in_one_instance(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int copy = dup(fd);
	const int epoll = new_epoll();
	struct epoll_event event[8];
	uint64_t seen = 0;
	int server;

	must_add(epoll, fd, EPOLLIN, 1);
	must_add(epoll, copy, EPOLLIN, 2);
	finish(copy);
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	for (int tries = 0; tries < 200 && seen != 3; tries++) {
		const int n = epoll_wait(epoll, event, 8, 100);

		for (int i = 0; i < n; i++)
			if (event[i].events & EPOLLIN)
				seen |= event[i].data.u64;
	}
	say("data of both: %s", yes_no(seen == 3));
	say_call("DEL by the first", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_event("the other", epoll, EPOLLIN);
	say_call("DEL by the second", control(epoll, EPOLL_CTL_DEL, copy, 0, 0));
	say_quiet("after DEL", epoll, ~0u);
}

static void added_by_a_copy_then_copy_closed(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	const int copy = fcntl(fd, F_DUPFD, 100);
	int server;

	must_add(epoll, copy, EPOLLIN, DATA);
	finish(fd);
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	say_call("DEL by the copy", control(epoll, EPOLL_CTL_DEL, copy, 0, 0));
	say_call("ADD by the original", control(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
	say_event("data", epoll, EPOLLIN);
	close(copy);
	say_event("data", epoll, EPOLLIN);
}

static void no_ghost_after_close(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int again;

	must_add(epoll, fd, EPOLLIN | EPOLLOUT, DATA);
	finish(fd);
	say_event("connected", epoll, EPOLLOUT);
	close(fd);
	say_quiet("closed", epoll, ~0u);
	again = open_socket(SOCK_NONBLOCK);
	say("number reused: %s", yes_no(again == fd));
	say_call("DEL of the new one", control(epoll, EPOLL_CTL_DEL, again, 0, 0));
	say_call("ADD of the new one", control(epoll, EPOLL_CTL_ADD, again, EPOLLOUT, 4));
	say_event("the new one", epoll, EPOLLOUT);
	close(listener);
}

static void thousand_others(void)
{
	struct rlimit limit;
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int event[1000], server;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 1000; i++) {
		event[i] = eventfd(0, EFD_CLOEXEC);
		if (event[i] < 0)
			die("eventfd");
		must_add(epoll, event[i], EPOLLIN, (uint64_t)i);
	}
	must_add(epoll, fd, EPOLLIN, DATA);
	finish(fd);
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
	eventfd_write(event[777], 1);
	say_event("event 777", epoll, EPOLLIN);
}

static void registered_after_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	finish(fd);
	must_add(epoll, fd, EPOLLIN, DATA);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
}

static void refused_then_connected(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN, DATA);
	say("nobody there: %s", error_name(finish_connect(fd, here(5))));
	say("somebody there: %s", error_name(reconnect(fd, here(0))));
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
}

static void unmatched_keeps_registration(void)
{
	const int listener = listen_at(other(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int epoll = new_epoll();
	int server;

	must_add(epoll, fd, EPOLLIN, DATA);
	say("connect: %s", error_name(finish_connect(fd, other(0))));
	drain(epoll);
	server = must_accept(listener);
	write_all(server, "x", 1);
	say_event("data", epoll, EPOLLIN);
	change_and_delete(epoll, fd);
}

static void accepts(uint32_t events, bool before_bind)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	const int client = open_socket(0);
	const int epoll = new_epoll();

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (before_bind)
		must_add(epoll, fd, events, DATA);
	say_call("bind", do_bind(fd, here(0)));
	if (!before_bind)
		must_add(epoll, fd, events, DATA);
	say_call("listen", listen(fd, 8));
	drain(epoll);
	must_connect(client, here(0));
	say_event("somebody waits", epoll, EPOLLIN);
	say_call("accept", accept(fd, NULL, NULL));
	if (!(events & EPOLLEXCLUSIVE))
		say_call("MOD", control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, 2));
	must_connect(open_socket(0), here(0));
	say_event("somebody waits", epoll, EPOLLIN);
	say_call("DEL", control(epoll, EPOLL_CTL_DEL, fd, 0, 0));
	say_quiet("after DEL", epoll, ~0u);
}

static void listener_before_bind(void)
{
	accepts(EPOLLIN, true);
}

static void listener_before_bind_edge(void)
{
	accepts(EPOLLIN | EPOLLET, true);
}

static void listener_before_bind_exclusive(void)
{
	accepts(EPOLLIN | EPOLLEXCLUSIVE, true);
}

static void listener_before_listen(void)
{
	accepts(EPOLLIN, false);
}

/* The whole life of a proxy: socket, ADD with both directions and edge, connect, events, close; many times. */
static void edge_clients_in_a_row(void)
{
	const int listener = listen_at(here(0), 8);
	const int epoll = new_epoll();
	int done = 0;

	for (uint64_t i = 0; i < 50; i++) {
		const int fd = open_socket(SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = {0};
		bool answered = false;
		int server;

		must_add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, i);
		if (do_connect(fd, here(0)) < 0 && errno != EINPROGRESS)
			die("connect");
		server = must_accept(listener);
		write_all(server, "x", 1);
		for (int tries = 0; tries < 200 && !answered; tries++)
			if (epoll_wait(epoll, &event, 1, 100) == 1)
				answered = event.events & EPOLLIN && event.data.u64 == i;
		done += answered;
		close(fd);
		close(server);
	}
	say("answered %d", done);
	say_quiet("in the end", epoll, ~0u);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"level", level},
		{"change-after-connect", change_after_connect},
		{"edge", edge},
		{"oneshot-armed", oneshot_armed},
		{"oneshot-fired", oneshot_fired},
		{"two-instances", two_instances},
		{"nested", nested},
		{"changed-before-connect", changed_before_connect},
		{"deleted-before-connect", deleted_before_connect},
		{"instance-closed-before-connect", instance_closed_before_connect},
		{"instance-number-reused", instance_number_reused},
		{"instance-dupped", instance_dupped},
		{"socket-dupped-and-registered-twice", socket_dupped_and_registered_twice},
		{"both-numbers-in-one-instance", both_numbers_in_one_instance},
		{"added-by-a-copy-then-copy-closed", added_by_a_copy_then_copy_closed},
		{"no-ghost-after-close", no_ghost_after_close},
		{"thousand-others", thousand_others},
		{"registered-after-connect", registered_after_connect},
		{"refused-then-connected", refused_then_connected},
		{"unmatched-keeps-registration", unmatched_keeps_registration},
		{"listener-before-bind", listener_before_bind},
		{"listener-before-bind-edge", listener_before_bind_edge},
		{"listener-before-bind-exclusive", listener_before_bind_exclusive},
		{"listener-before-listen", listener_before_listen},
		{"edge-clients-in-a-row", edge_clients_in_a_row},
	};

	return RUN_CASES(cases, argc, argv);
}
