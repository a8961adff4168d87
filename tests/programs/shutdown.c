/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shutdown(): of listeners, of connections in every order with the peer's close, and of sockets that are neither. */
#define _GNU_SOURCE 1
#include "common.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

static void nap(int milliseconds)
{
	poll(NULL, 0, milliseconds);
}

static const char *events_text(int revents)
{
	static char text[80];

	snprintf(text, sizeof(text), "%s%s%s%s%s", revents & POLLIN ? " IN" : "", revents & POLLOUT ? " OUT" : "",
		 revents & POLLRDHUP ? " RDHUP" : "", revents & POLLHUP ? " HUP" : "",
		 revents & POLLERR ? " ERR" : "");
	return text;
}

static const char *events_now(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	poll(&poll_fd, 1, 0);
	return events_text(poll_fd.revents);
}

/* --- listeners */

static int listener;

static void *accept_blocked(void *unused)
{
	struct place from = {.len = sizeof(from.sa)};
	const int fd = accept(listener, (struct sockaddr *)&from.sa, &from.len);

	(void)unused;
	return (void *)(intptr_t)(fd < 0 ? errno : 0);
}

static void *poll_blocked(void *unused)
{
	struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
	const int rc = poll(&poll_fd, 1, 20000);

	(void)unused;
	return (void *)(intptr_t)(rc * 1000 + poll_fd.revents);
}

static void *select_blocked(void *unused)
{
	struct timeval limit = {.tv_sec = 20};
	fd_set set;

	(void)unused;
	FD_ZERO(&set);
	FD_SET(listener, &set);
	return (void *)(intptr_t)select(listener + 1, &set, NULL, NULL, &limit);
}

static void *epoll_blocked(void *epfd)
{
	struct epoll_event event = {0};
	const int rc = epoll_wait(*(int *)epfd, &event, 1, 20000);

	return (void *)(intptr_t)(rc * 1000 + (int)event.events);
}

static pthread_t start_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, argument))
		die("pthread_create");
	return thread;
}

static int thread_result(pthread_t thread)
{
	void *result;

	if (pthread_join(thread, &result))
		die("pthread_join");
	return (int)(intptr_t)result;
}

static void accept_wakes(int threads, int how)
{
	pthread_t thread[8];

	listener = listen_at(here(0), 8);
	for (int i = 0; i < threads; i++)
		thread[i] = start_thread(accept_blocked, NULL);
	nap(300);
	say_call("shutdown", shutdown(listener, how));
	for (int i = 0; i < threads; i++)
		say("accept: %s", error_name(thread_result(thread[i])));
	say("events:%s", events_now(listener));
}

static void listener_wakes_accept(void)
{
	accept_wakes(1, SHUT_RD);
}

static void listener_wakes_every_accept(void)
{
	accept_wakes(4, SHUT_RDWR);
}

static void listener_wakes_poll(void)
{
	pthread_t thread;
	int result;

	listener = listen_at(wildcard(0), 8);
	thread = start_thread(poll_blocked, NULL);
	nap(300);
	say_call("shutdown", shutdown(listener, SHUT_RDWR));
	result = thread_result(thread);
	say("poll: %d%s", result / 1000, events_text(result % 1000));
}

static void listener_wakes_select(void)
{
	pthread_t thread;

	listener = listen_at(here(0), 8);
	thread = start_thread(select_blocked, NULL);
	nap(300);
	say_call("shutdown", shutdown(listener, SHUT_RDWR));
	say("select: %d", thread_result(thread));
}

static void listener_wakes_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epfd = epoll_create1(0), result;
	pthread_t thread;

	listener = listen_at(here(0), 8);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) < 0)
		die("EPOLL_CTL_ADD");
	thread = start_thread(epoll_blocked, &epfd);
	nap(300);
	say_call("shutdown", shutdown(listener, SHUT_RDWR));
	result = thread_result(thread);
	say("epoll_wait: %d%s", result / 1000, events_text(result % 1000));
	say_call("EPOLL_CTL_DEL", epoll_ctl(epfd, EPOLL_CTL_DEL, listener, NULL));
}

static void listener_is_shut(void)
{
	const int fd = listen_at(here(0), 8), client = open_socket(0);

	say_call("shutdown", shutdown(fd, SHUT_RD));
	say_call("connect", do_connect(client, here(0)));
	say_names("listener", fd);
	say("SO_ACCEPTCONN: %d, SO_DOMAIN: %d, SO_REUSEADDR: %d", option(fd, SOL_SOCKET, SO_ACCEPTCONN),
	    option(fd, SOL_SOCKET, SO_DOMAIN) == here_family, option(fd, SOL_SOCKET, SO_REUSEADDR));
	say("events:%s", events_now(fd));
	say_call("accept", accept(fd, NULL, NULL));
	say("cloexec: %s", yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	say_call("shutdown again", shutdown(fd, SHUT_RD));
	say_call("bind", do_bind(fd, here(1)));
	close(fd);
}

static void listens_again(struct place at)
{
	const int fd = listen_at(at, 8), client = open_socket(0);

	for (int round = 0; round < 3; round++) {
		say_call("shutdown", shutdown(fd, SHUT_RDWR));
		say_call("listen", listen(fd, 8));
		say("listens: %s", own_text(fd));
	}
	say_call("connect", do_connect(client, place_of(here_text, own_port(fd))));
	say_names("client", client);
	say_talk("talk", client, must_accept(fd));
}

static void listener_listens_again(void)
{
	listens_again(here(0));
}

static void wildcard_listener_listens_again(void)
{
	listens_again(wildcard(0));
}

static void any_port_listener_listens_again(void)
{
	listens_again(here_any_port());
}

/* Threads that waited may still be on their way out of accept. */
static void listens_again_at_once(void)
{
	pthread_t thread[2];
	int client = open_socket(0);

	listener = listen_at(here(0), 8);
	for (int i = 0; i < 2; i++)
		thread[i] = start_thread(accept_blocked, NULL);
	nap(300);
	say_call("shutdown", shutdown(listener, SHUT_RD));
	for (int i = 0; i < 2; i++)
		say("accept: %s", error_name(thread_result(thread[i])));
	say_call("listen", listen(listener, 8));
	say_call("connect", do_connect(client, here(0)));
	say_talk("talk", client, must_accept(listener));
}

static void another_takes_the_port(void)
{
	const int fd = listen_at(here(0), 8);
	int second, client = open_socket(0);

	say_call("shutdown", shutdown(fd, SHUT_RD));
	close(fd);
	second = listen_at(here(0), 8);
	say_call("connect", do_connect(client, here(0)));
	say_talk("talk", client, must_accept(second));
}

static void listener_not_for_reading(void)
{
	const int fd = listen_at(here(0), 8), client = open_socket(0);

	say_call("shutdown", shutdown(fd, SHUT_WR));
	say("SO_ACCEPTCONN: %d", option(fd, SOL_SOCKET, SO_ACCEPTCONN));
	say_call("connect", do_connect(client, here(0)));
	say_talk("talk", client, must_accept(fd));
}

static void listener_by_a_duplicate(void)
{
	int copy;
	pthread_t thread;

	listener = listen_at(here(0), 8);
	copy = dup(listener);
	thread = start_thread(accept_blocked, NULL);
	nap(300);
	say_call("shutdown", shutdown(copy, SHUT_RD));
	say("accept: %s", error_name(thread_result(thread)));
	say_names("listener", listener);
	say_names("duplicate", copy);
	say("events:%s", events_now(listener));
	say_call("listen", listen(copy, 8));
	say("SO_ACCEPTCONN: %d", option(listener, SOL_SOCKET, SO_ACCEPTCONN));
}

/* --- sockets that are not connected */

static void not_connected(void)
{
	static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
	const int bound = open_socket(0), refused = open_socket(0);

	say_call("bind", do_bind(bound, here(0)));
	say_call("connect", do_connect(refused, here(1)));
	for (size_t i = 0; i < N_ELEMENTS(how); i++) {
		const int fresh = open_socket(0);

		say_call("fresh", shutdown(fresh, how[i]));
		say_call("bound", shutdown(bound, how[i]));
		say_call("refused", shutdown(refused, how[i]));
		close(fresh);
	}
	say_names("bound", bound);
	say_call("bad descriptor", shutdown(-1, SHUT_RD));
	say_call("no socket", shutdown(STDIN_FILENO, SHUT_RD));
}

static void bad_how(void)
{
	static const int how[] = {-1, 3, 100};
	const struct pair pair = connect_pair(0);
	const int fd = listen_at(here(1), 8), bound = open_socket(0);

	say_call("bind", do_bind(bound, here(2)));
	for (size_t i = 0; i < N_ELEMENTS(how); i++) {
		say_call("fresh", shutdown(open_socket(0), how[i]));
		say_call("bound", shutdown(bound, how[i]));
		say_call("listener", shutdown(fd, how[i]));
		say_call("client", shutdown(pair.client, how[i]));
		say_call("server", shutdown(pair.server, how[i]));
	}
	say_talk("talk", pair.client, pair.server);
}

/* --- connections */

static void say_read(const char *who, int fd)
{
	char data[8];
	const ssize_t n = read(fd, data, sizeof(data));

	if (n < 0)
		say("%s: read: %s", who, error_name(errno));
	else
		say("%s: read: %zd", who, n);
}

/*
 * One end's view of what both do: W shut for writing, X for reading, Y for both; the peer: D sends, S shuts for writing, B for both, C
 * closes; R reads, P the peer reads, N asks for the names.
 */
static void perform(const char *script, const struct pair *pair, bool as_client)
{
	const int own = as_client ? pair->client : pair->server, peer = as_client ? pair->server : pair->client;
	const char *who = as_client ? "client" : "server";

	for (const char *step = script; *step; step++) {
		switch (*step) {
		case 'W':
			say_call("SHUT_WR", shutdown(own, SHUT_WR));
			break;
		case 'X':
			say_call("SHUT_RD", shutdown(own, SHUT_RD));
			break;
		case 'Y':
			say_call("SHUT_RDWR", shutdown(own, SHUT_RDWR));
			break;
		case 'D':
			say_call("peer sends", (int)send(peer, "abc", 3, MSG_NOSIGNAL));
			break;
		case 'S':
			say_call("peer SHUT_WR", shutdown(peer, SHUT_WR));
			break;
		case 'B':
			say_call("peer SHUT_RDWR", shutdown(peer, SHUT_RDWR));
			break;
		case 'C':
			say_call("peer closes", close(peer));
			break;
		case 'R':
			say_read(who, own);
			break;
		case 'P':
			say_read("peer", peer);
			break;
		case 'N':
			say_names(who, own);
			break;
		}
		nap(30); /* until the other end has heard of it */
	}
}

static void perform_all(const char *const *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (int as_client = 0; as_client < 2; as_client++) {
			const struct pair pair = connect_pair((unsigned)i % 10);

			say("-- %s %s", scripts[i], as_client ? "client" : "server");
			perform(scripts[i], &pair, as_client);
			close(pair.client);
			close(pair.server);
		}
	}
}

#define PERFORM(...)                                                                                          \
	do {                                                                                                  \
		static const char *const scripts_[] = {__VA_ARGS__};                                          \
		perform_all(scripts_, N_ELEMENTS(scripts_));                                                  \
	} while (0)

static void end_of_file_after_both(void)
{
	PERFORM("WCRR", "CWRR", "CRWRR", "WSCRR", "SRWCR", "SRCWRR", "BWRR", "CXRR", "CYRR");
}

static void data_then_end_of_file(void)
{
	PERFORM("DWCRRR", "DCWRRR", "DWSRRR", "DSWRRR", "DCXRR", "DCYRR", "DSYRR");
}

static void shut_again(void)
{
	PERFORM("WW", "XX", "YY", "WX", "WSW", "WCW", "DWCWRR", "YXW");
}

static void names_after_shutdown(void)
{
	PERFORM("N", "WN", "XN", "YN", "WSN", "SN", "SWN", "WXN");
}

static void reading_ends(void)
{
	PERFORM("XRR", "YRR", "XR", "WXRR");
}

static void unread_data_stays(void)
{
	PERFORM("DXR");
}

static void unread_data_with_both(void)
{
	PERFORM("DYRR");
}

static void sends_to_an_end_that_does_not_read(void)
{
	PERFORM("XDR");
}

static int reader_fd;

static void *read_blocked(void *unused)
{
	char byte;

	(void)unused;
	return (void *)(intptr_t)read(reader_fd, &byte, 1);
}

/* A thread that is blocked in read() wakes with end of file. */
static void reader_wakes(void)
{
	static const int how[] = {SHUT_RD, SHUT_RDWR};

	for (unsigned i = 0; i < 4; i++) {
		const struct pair pair = connect_pair(i);
		pthread_t thread;

		reader_fd = i & 1 ? pair.client : pair.server;
		thread = start_thread(read_blocked, NULL);
		nap(200);
		say_call("shutdown", shutdown(reader_fd, how[i / 2]));
		say("read: %d", thread_result(thread));
	}
}

/* The most common end of a server's connection: the answer, SHUT_WR, and reading until the client has gone. */
static void lingering_close(void)
{
	for (unsigned i = 0; i < 10; i++) {
		const struct pair pair = connect_pair(i);
		char data[64];
		ssize_t n;

		write_all(pair.server, "answer", 6);
		if (read_all(pair.client, data, 6) != 6)
			die("read_all");
		close(pair.client);
		if (i & 1)
			nap(20);
		say_call("shutdown", shutdown(pair.server, SHUT_WR));
		do
			n = read(pair.server, data, sizeof(data));
		while (n > 0);
		say("read: %s", n < 0 ? error_name(errno) : "end of file");
		close(pair.server);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"listener-wakes-accept", listener_wakes_accept},
		{"listener-wakes-every-accept", listener_wakes_every_accept},
		{"listener-wakes-poll", listener_wakes_poll},
		{"listener-wakes-select", listener_wakes_select},
		{"listener-wakes-epoll", listener_wakes_epoll},
		{"listener-is-shut", listener_is_shut},
		{"listener-listens-again", listener_listens_again},
		{"wildcard-listener-listens-again", wildcard_listener_listens_again},
		{"any-port-listener-listens-again", any_port_listener_listens_again},
		{"listens-again-at-once", listens_again_at_once},
		{"another-takes-the-port", another_takes_the_port},
		{"listener-not-for-reading", listener_not_for_reading},
		{"listener-by-a-duplicate", listener_by_a_duplicate},
		{"not-connected", not_connected},
		{"bad-how", bad_how},
		{"end-of-file-after-both", end_of_file_after_both},
		{"data-then-end-of-file", data_then_end_of_file},
		{"shut-again", shut_again},
		{"names-after-shutdown", names_after_shutdown},
		{"reading-ends", reading_ends},
		{"unread-data-stays", unread_data_stays},
		{"unread-data-with-both", unread_data_with_both},
		{"sends-to-an-end-that-does-not-read", sends_to_an_end_that_does_not_read},
		{"reader-wakes", reader_wakes},
		{"lingering-close", lingering_close},
	};

	return RUN_CASES(cases, argc, argv);
}
