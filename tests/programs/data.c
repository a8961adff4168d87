/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the flags of recv and its kin do, and what they say of sockets that are not, or no longer, connected. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/time.h>
#include <sys/uio.h>

/* More than any window that a transport may have. */
#define MUCH 700000u

static char room[MUCH];

static ssize_t by_recv(int fd, void *data, size_t size, int flags)
{
	return recv(fd, data, size, flags);
}

static ssize_t by_recvfrom(int fd, void *data, size_t size, int flags)
{
	struct place from = {.len = sizeof(from.sa)};

	return recvfrom(fd, data, size, flags, (struct sockaddr *)&from.sa, &from.len);
}

/* In three parts, one of them empty. */
static ssize_t by_recvmsg(int fd, void *data, size_t size, int flags)
{
	char *at = data;
	struct iovec parts[3] = {{at, size / 3}, {NULL, 0}, {at ? at + size / 3 : NULL, size - size / 3}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};

	return recvmsg(fd, &message, flags);
}

static ssize_t by_recvmmsg(int fd, void *data, size_t size, int flags)
{
	struct iovec part = {data, size};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	const int got = recvmmsg(fd, &message, 1, flags, NULL);

	return got == 1 ? (ssize_t)message.msg_len : got;
}

static const struct {
	const char *name;
	ssize_t (*get)(int fd, void *data, size_t size, int flags);
} ways[] = {
	{"recv", by_recv},
	{"recvfrom", by_recvfrom},
	{"recvmsg", by_recvmsg},
	{"recvmmsg", by_recvmmsg},
};

static void say_got(const char *what, const char *way, ssize_t got)
{
	if (got < 0)
		say("%s: %s: %s", what, way, error_name(errno));
	else
		say("%s: %s: %zd", what, way, got);
}

static char pattern(size_t i)
{
	return (char)(i * 7 + (i >> 8) * 13);
}

static size_t count_wrong(size_t from, size_t count)
{
	size_t wrong = 0;

	for (size_t i = 0; i < count; i++)
		wrong += room[i] != pattern(from + i);
	return wrong;
}

/* A child that sends so many bytes of the pattern, then waits so long before it goes. */
static pid_t start_sender(const struct pair *pair, size_t count, int pause_ms)
{
	const pid_t child = start_child();

	if (child == 0) {
		static char data[MUCH];

		close(pair->server);
		for (size_t i = 0; i < count; i++)
			data[i] = pattern(i);
		write_all(pair->client, data, count);
		poll(NULL, 0, pause_ms);
		_exit(0);
	}
	close(pair->client);
	return child;
}

static void waitall_of_more_than_the_window(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const struct pair pair = connect_pair(0);
		const pid_t child = start_sender(&pair, MUCH, 0);

		memset(room, 0, sizeof(room));
		say_got("all", ways[i].name, ways[i].get(pair.server, room, MUCH, MSG_WAITALL));
		say("wrong: %zu", count_wrong(0, MUCH));
		say_got("end of file", ways[i].name, ways[i].get(pair.server, room, MUCH, MSG_WAITALL));
		say_end("sender", child);
		close(pair.server);
	}
}

static void waitall_until_the_end(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const struct pair pair = connect_pair(0);
		const pid_t child = start_sender(&pair, 300001, 0);

		say_got("to the end", ways[i].name, ways[i].get(pair.server, room, MUCH, MSG_WAITALL));
		say("wrong: %zu", count_wrong(0, 300001));
		say_end("sender", child);
		close(pair.server);
	}
}

static long elapsed_ms(const struct timeval *since)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_usec - since->tv_usec) / 1000;
}

/* What arrived until time was up; nothing is an error. */
static void waitall_until_time_is_up(void)
{
	const struct timeval patience = {.tv_usec = 600000};
	const struct pair pair = connect_pair(0);
	struct timeval start;
	pid_t child;
	long took;

	if (setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		die("SO_RCVTIMEO");
	say_got("nothing", "recv", recv(pair.server, room, MUCH, MSG_WAITALL));
	child = start_sender(&pair, 5, 20000);
	gettimeofday(&start, NULL);
	say_got("some", "recv", recv(pair.server, room, MUCH, MSG_WAITALL));
	took = elapsed_ms(&start);
	say("after its time: %s", yes_no(took >= 550 && took < 5000));
	say_got("not now", "recv", recv(pair.server, room, MUCH, MSG_WAITALL | MSG_DONTWAIT));
	kill(child, SIGKILL);
	say_end("sender", child);
}

static void on_alarm(int number)
{
	(void)number;
}

static void waitall_interrupted(void)
{
	for (int restart = 0; restart < 2; restart++) {
		const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
		/* Again and again: the first may come before the call has begun. */
		const struct itimerval soon = {{.tv_usec = 300000}, {.tv_usec = 300000}}, never = {{0}, {0}};
		const struct pair pair = connect_pair(0);

		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &soon, NULL);
		if (!restart)
			say_got("no data", "recv", recv(pair.server, room, MUCH, MSG_WAITALL));
		write_all(pair.client, "some", 4);
		say_got("some data", "recv", recv(pair.server, room, MUCH, MSG_WAITALL));
		setitimer(ITIMER_REAL, &never, NULL);
		close(pair.client);
		close(pair.server);
	}
}

static void waitall_nonblocking(void)
{
	const struct pair pair = connect_pair(0);

	set_nonblocking(pair.server, true);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		say_got("nothing", ways[i].name, ways[i].get(pair.server, room, MUCH, MSG_WAITALL));
		write_all(pair.client, "twelve bytes", 12);
		wait_for(pair.server, POLLIN, 5000);
		say_got("some", ways[i].name, ways[i].get(pair.server, room, MUCH, MSG_WAITALL));
	}
}

static void waitall_and_peek(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_sender(&pair, 60000, 0);

	say_got("peek", "recv", recv(pair.server, room, 60000, MSG_WAITALL | MSG_PEEK));
	say("wrong: %zu", count_wrong(0, 60000));
	say_got("peek to the end", "recv", recv(pair.server, room, MUCH, MSG_WAITALL | MSG_PEEK));
	say_got("read", "recv", recv(pair.server, room, 60000, MSG_WAITALL));
	say("wrong: %zu", count_wrong(0, 60000));
	say_got("end", "recv", recv(pair.server, room, 60000, MSG_WAITALL | MSG_PEEK));
	say_end("sender", child);
}

/* SO_RCVLOWAT of the window, whatever that is: bytes come nevertheless. */
static void low_water_mark_of_the_window(void)
{
	const int marks[] = {1000, 65536, 262144, 300000};

	for (size_t i = 0; i < N_ELEMENTS(marks); i++) {
		const struct pair pair = connect_pair(0);
		const pid_t child = start_sender(&pair, 5000, 0);

		set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, marks[i]);
		say_got("read", "recv", recv(pair.server, room, marks[i] < 5000 ? 5000 : MUCH, 0) > 0 ? 1 : -1);
		say("and %s", yes_no(read_all(pair.server, room, 5000) <= 5000));
		say_got("end", "recv", recv(pair.server, room, MUCH, 0));
		say_end("sender", child);
		close(pair.server);
	}
}

static void trunc_discards(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const struct pair pair = connect_pair(0);
		const char *way = ways[i].name;
		char data[32];

		write_all(pair.client, "discard this, keep that", 23);
		wait_for(pair.server, POLLIN, 5000);
		memset(data, '.', sizeof(data));
		say_got("peek and discard", way, ways[i].get(pair.server, NULL, 100, MSG_TRUNC | MSG_PEEK));
		say_got("discard", way, ways[i].get(pair.server, NULL, 9, MSG_TRUNC));
		say_got("discard beside a buffer", way, ways[i].get(pair.server, data, 5, MSG_TRUNC));
		say("untouched: %.5s", data);
		say_got("the rest", way, ways[i].get(pair.server, data, sizeof(data), 0));
		say("it is: %.9s", data);
		say_got("nothing", way, ways[i].get(pair.server, NULL, 9, MSG_TRUNC | MSG_DONTWAIT));
		close(pair.client);
		say_got("end", way, ways[i].get(pair.server, NULL, 9, MSG_TRUNC));
		close(pair.server);
	}
}

static void trunc_of_much(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_sender(&pair, MUCH, 0);
	size_t got = 0;
	ssize_t n;

	say_got("all", "recv", recv(pair.server, NULL, 400000, MSG_TRUNC | MSG_WAITALL));
	while ((n = recv(pair.server, NULL, MUCH, MSG_TRUNC)) > 0)
		got += (size_t)n;
	say("then %zu and %zd", got, n);
	say_end("sender", child);
}

static void error_queue_is_empty(void)
{
	const struct pair pair = connect_pair(0);
	char data[8] = "";

	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_got("nothing", ways[i].name, ways[i].get(pair.server, data, 4, MSG_ERRQUEUE));
	write_all(pair.client, "data", 4);
	wait_for(pair.server, POLLIN, 5000);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_got("no data", ways[i].name, ways[i].get(pair.server, data, 4, MSG_ERRQUEUE));
	say("data: %zu %s", read_all(pair.server, data, 4), data);
}

static void urgent_data_is_none(void)
{
	const struct pair pair = connect_pair(0);
	char data[8];

	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_got("nothing", ways[i].name, ways[i].get(pair.server, data, 1, MSG_OOB));
	write_all(pair.client, "data", 4);
	wait_for(pair.server, POLLIN, 5000);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_got("no urgent data", ways[i].name, ways[i].get(pair.server, data, 1, MSG_OOB));
	say("at a mark: %d", sockatmark(pair.server));
	say("data: %zu", read_all(pair.server, data, 4));
}

static void after_the_end_on_both_sides(void)
{
	static const struct {
		const char *name;
		int how;
		bool closes;
	} ends[] = {
		{"shutdown of writing, peer closed", SHUT_WR, true},
		{"shutdown of both, peer closed", SHUT_RDWR, true},
		{"shutdown of both", SHUT_RDWR, false},
	};

	for (size_t i = 0; i < N_ELEMENTS(ends); i++) {
		for (int side = 0; side < 2; side++) {
			const struct pair pair = connect_pair(0);
			const int fd = side ? pair.server : pair.client, peer = side ? pair.client : pair.server;
			char data[4];

			say("%s, %s", ends[i].name, side ? "server" : "client");
			shutdown(fd, ends[i].how);
			if (ends[i].closes)
				close(peer);
			wait_for(fd, POLLIN, 5000);
			poll(NULL, 0, 20);
			for (size_t way = 0; way < N_ELEMENTS(ways); way++) {
				say_got("end", ways[way].name, ways[way].get(fd, data, 4, 0));
				say_got("now", ways[way].name, ways[way].get(fd, data, 4, MSG_DONTWAIT));
			}
			close(fd);
			if (!ends[i].closes)
				close(peer);
		}
	}
}

static void never_connected(void)
{
	char data[4];

	for (int bound = 0; bound < 2; bound++) {
		const int fd = open_socket(0);

		if (bound && do_bind(fd, here(0)) < 0)
			die("bind");
		for (size_t i = 0; i < N_ELEMENTS(ways); i++)
			say_got(bound ? "bound" : "fresh", ways[i].name, ways[i].get(fd, data, 4, 0));
		close(fd);
	}
}

/* A listener has no data and waits for none; the first time nobody has come to it, the second time somebody has. */
static void listener_has_no_data(void)
{
	const int listener = listen_at(here(0), 5), client = open_socket(0);
	char data[4] = "data";

	alarm(20);
	for (int come = 0; come < 2; come++) {
		for (size_t i = 0; i < N_ELEMENTS(ways); i++)
			say_got(come ? "with a client" : "alone", ways[i].name, ways[i].get(listener, data, 4, 0));
		say_got("peek", "recv", recv(listener, data, 4, MSG_PEEK | MSG_DONTWAIT));
		say_got("wait for all", "recv", recv(listener, data, 4, MSG_WAITALL));
		say_got("send", "send", send(listener, data, 4, MSG_NOSIGNAL));
		if (!come && do_connect(client, here(0)) < 0)
			die("connect");
	}
	close(client);
	close(listener);
}

/* Where connect does not say it at once, recv tells the outcome, and then that nothing will come. */
static void refused_says_recv(void)
{
	char data[4];

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(SOCK_NONBLOCK);
		ssize_t got = do_connect(fd, here(5));

		if (got < 0 && errno == EINPROGRESS) {
			wait_for(fd, POLLOUT, 20000);
			got = ways[i].get(fd, data, 4, 0);
			say_got("outcome", ways[i].name, got);
			got = ways[i].get(fd, data, 4, 0);
		} else {
			say_got("outcome", ways[i].name, got);
			got = 0;
		}
		say_got("then", ways[i].name, got);
		close(fd);
	}
}

static void buffers_that_are_not_there(void)
{
	const struct pair pair = connect_pair(0);
	char data[4];

	write_all(pair.client, "data", 4);
	wait_for(pair.server, POLLIN, 5000);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_got("bad", ways[i].name, ways[i].get(pair.server, (void *)16, 4, 0));
	say("data: %zu", read_all(pair.server, data, 4));
}

/* Nobody follows what cannot be a pointer: of a connection, and of a descriptor that is no socket. */
static void pointers_that_are_none(void)
{
	const struct pair pair = connect_pair(0);
	struct msghdr *const none = (void *)8, message = {.msg_iov = (void *)8, .msg_iovlen = 1};
	int ends[2], fds[2], value;

	if (pipe(ends) < 0)
		die("pipe");
	fds[0] = pair.client;
	fds[1] = ends[0];
	for (int i = 0; i < 2; i++) {
		say_got("message", "recvmsg", recvmsg(fds[i], none, MSG_DONTWAIT));
		say_got("message", "sendmsg", sendmsg(fds[i], none, MSG_DONTWAIT | MSG_NOSIGNAL));
		say_got("messages", "recvmmsg", recvmmsg(fds[i], (void *)8, 1, MSG_DONTWAIT, NULL));
		say_got("messages", "sendmmsg", sendmmsg(fds[i], (void *)8, 1, MSG_DONTWAIT));
		say_got("vector", "recvmsg", recvmsg(fds[i], &message, MSG_DONTWAIT | MSG_WAITALL));
		say_got("vector", "recvmsg", recvmsg(fds[i], &message, MSG_DONTWAIT | MSG_TRUNC));
		say_got("size", "SO_ERROR", getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &value, (void *)8));
		say_got("size", "TCP_NODELAY", getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &value, (void *)8));
		say_got("value", "TCP_NODELAY", setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, (void *)8, sizeof value));
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"waitall-of-more-than-the-window", waitall_of_more_than_the_window},
		{"waitall-until-the-end", waitall_until_the_end},
		{"waitall-until-time-is-up", waitall_until_time_is_up},
		{"waitall-interrupted", waitall_interrupted},
		{"waitall-nonblocking", waitall_nonblocking},
		{"waitall-and-peek", waitall_and_peek},
		{"low-water-mark-of-the-window", low_water_mark_of_the_window},
		{"trunc-discards", trunc_discards},
		{"trunc-of-much", trunc_of_much},
		{"error-queue-is-empty", error_queue_is_empty},
		{"urgent-data-is-none", urgent_data_is_none},
		{"after-the-end-on-both-sides", after_the_end_on_both_sides},
		{"never-connected", never_connected},
		{"listener-has-no-data", listener_has_no_data},
		{"refused-says-recv", refused_says_recv},
		{"pointers-that-are-none", pointers_that_are_none},
		{"buffers-that-are-not-there", buffers_that_are_not_there},
	};

	return RUN_CASES(cases, argc, argv);
}
