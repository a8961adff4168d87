/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the flags of send and its kin do, what they say of sockets that are not connected, and who gets SIGPIPE. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/time.h>
#include <sys/uio.h>

static ssize_t by_send(int fd, const void *data, size_t size, int flags)
{
	return send(fd, data, size, flags);
}

static ssize_t by_sendto(int fd, const void *data, size_t size, int flags)
{
	return sendto(fd, data, size, flags, NULL, 0);
}

static ssize_t by_sendto_elsewhere(int fd, const void *data, size_t size, int flags)
{
	const struct place to = other(7);

	return sendto(fd, data, size, flags, (const struct sockaddr *)&to.sa, to.len);
}

static ssize_t by_sendmsg(int fd, const void *data, size_t size, int flags)
{
	struct iovec part = {(void *)(uintptr_t)data, size};
	const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return sendmsg(fd, &message, flags);
}

static ssize_t by_sendmmsg(int fd, const void *data, size_t size, int flags)
{
	struct iovec part = {(void *)(uintptr_t)data, size};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	const int sent = sendmmsg(fd, &message, 1, flags);

	return sent == 1 ? (ssize_t)message.msg_len : sent;
}

static const struct {
	const char *name;
	ssize_t (*put)(int fd, const void *data, size_t size, int flags);
} ways[] = {
	{"send", by_send},	 {"sendto", by_sendto},	  {"sendto elsewhere", by_sendto_elsewhere},
	{"sendmsg", by_sendmsg}, {"sendmmsg", by_sendmmsg},
};

static void say_sent(const char *what, const char *way, ssize_t sent)
{
	if (sent < 0)
		say("%s: %s: %s", what, way, error_name(errno));
	else
		say("%s: %s: %zd", what, way, sent);
}

static void flags_that_change_nothing(void)
{
	static const struct {
		const char *name;
		int flags;
	} flags[] = {
		{"none", 0},
		{"MSG_MORE", MSG_MORE},
		{"MSG_EOR", MSG_EOR},
		{"MSG_CONFIRM", MSG_CONFIRM},
		{"MSG_DONTROUTE", MSG_DONTROUTE},
		{"MSG_NOSIGNAL", MSG_NOSIGNAL},
		{"MSG_DONTWAIT", MSG_DONTWAIT},
		{"all of them", MSG_EOR | MSG_CONFIRM | MSG_NOSIGNAL | MSG_DONTWAIT},
	};
	const struct pair pair = connect_pair(0);
	char data[8];

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		for (size_t j = 0; j < N_ELEMENTS(flags); j++) {
			say_sent(flags[j].name, ways[i].name, ways[i].put(pair.client, "data", 4, flags[j].flags));
			say_sent("the last", "send", send(pair.client, "!", 1, 0)); /* ends MSG_MORE */
			say("arrived: %zu", read_all(pair.server, data, 5));
		}
	}
}

static void nothing_is_sent(void)
{
	const struct pair pair = connect_pair(0);
	char data[4] = "";

	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_sent("nothing", ways[i].name, ways[i].put(pair.client, "data", 0, 0));
	say("waits: %s", yes_no(wait_for(pair.server, POLLIN, 50)));
	write_all(pair.client, "x", 1);
	say("arrived: %zu", read_all(pair.server, data, 1));
	write_all(pair.client, "y", 1);
	wait_for(pair.server, POLLIN, 5000);
	say_sent("receive nothing", "recv", recv(pair.server, data, 0, 0));
	say("still there: %zu", read_all(pair.server, data, 1));
}

static volatile sig_atomic_t signals;

static void on_pipe(int number)
{
	(void)number;
	signals++;
}

/* TCP accepts one or two more before it knows. */
static void say_broken(const char *who, int fd, ssize_t (*put)(int, const void *, size_t, int), int flags)
{
	int error = 0;

	signals = 0;
	for (int i = 0; i < 50 && !error; i++) {
		if (put(fd, "x", 1, flags) < 0)
			error = errno;
		else
			poll(NULL, 0, 10);
	}
	say("%s: %s, signals %d", who, error_name(error), (int)signals);
	signals = 0;
	error = put(fd, "x", 1, flags) < 0 ? errno : 0;
	say("%s again: %s, signals %d", who, error_name(error), (int)signals);
}

static void broken_pipe(void)
{
	signal(SIGPIPE, on_pipe);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		for (int quiet = 0; quiet < 2; quiet++) {
			struct pair pair = connect_pair(0);

			close(pair.server);
			wait_for(pair.client, POLLIN, 5000);
			say_broken(ways[i].name, pair.client, ways[i].put, quiet ? MSG_NOSIGNAL : 0);
			close(pair.client);
			pair = connect_pair(0);
			shutdown(pair.server, SHUT_WR);
			say_broken("own end", pair.server, ways[i].put, quiet ? MSG_NOSIGNAL : 0);
			close(pair.client);
			close(pair.server);
		}
	}
}

/* By default SIGPIPE ends the program. */
static void broken_pipe_kills(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_child();

	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		shutdown(pair.client, SHUT_WR);
		send(pair.client, "x", 1, 0);
		_exit(7);
	}
	say_end("child", child);
}

/* Blocked it waits, ignored it is nothing. */
static void broken_pipe_blocked(void)
{
	const struct pair pair = connect_pair(0);
	sigset_t set, pending;

	shutdown(pair.client, SHUT_WR);
	say_sent("ignored", "send", send(pair.client, "x", 1, 0));
	signal(SIGPIPE, on_pipe);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say_sent("quiet", "send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	sigpending(&pending);
	say("waits: %s", yes_no(sigismember(&pending, SIGPIPE)));
	say_sent("blocked", "send", send(pair.client, "x", 1, 0));
	sigpending(&pending);
	say("waits: %s", yes_no(sigismember(&pending, SIGPIPE)));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	say("signals %d", (int)signals);
}

static void never_connected(void)
{
	signal(SIGPIPE, on_pipe);
	for (int bound = 0; bound < 2; bound++) {
		const int fd = open_socket(0);

		if (bound && do_bind(fd, here(0)) < 0)
			die("bind");
		for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
			if (i == 2) /* on TCP as well an attempt to connect, in some kernels */
				continue;
			signals = 0;
			say_sent(bound ? "bound" : "fresh", ways[i].name, ways[i].put(fd, "x", 1, 0));
			say("signals %d", (int)signals);
			say_sent("quiet", ways[i].name, ways[i].put(fd, "x", 1, MSG_NOSIGNAL));
			say("signals %d", (int)signals);
		}
		close(fd);
	}
}

/* Where connect does not say it at once, send tells the outcome. */
static void refused_says_send(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(SOCK_NONBLOCK);
		ssize_t sent = do_connect(fd, here(5));

		if (i == 2)
			continue;
		if (sent < 0 && errno == EINPROGRESS) {
			wait_for(fd, POLLOUT, 20000);
			sent = ways[i].put(fd, "x", 1, MSG_NOSIGNAL);
		}
		say_sent("outcome", ways[i].name, sent);
		say_sent("then", ways[i].name, ways[i].put(fd, "x", 1, MSG_NOSIGNAL));
		close(fd);
	}
}

/* Without waiting: what is not accepted yet is tried again. */
static void sends_at_once(void)
{
	const int listener = listen_at(here(0), 8);
	char data[8] = "";

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(SOCK_NONBLOCK);
		int server, error = 0;

		if (do_connect(fd, here(0)) < 0 && errno != EINPROGRESS)
			die("connect");
		while (ways[i].put(fd, "early", 5, 0) < 0)
			if (errno != EAGAIN) {
				error = errno;
				break;
			}
		say("%s: %s", ways[i].name, error_name(error));
		server = must_accept(listener);
		say("arrived: %zu", read_all(server, data, 5));
		close(server);
		close(fd);
	}
}

static void receives_at_once(void)
{
	const int listener = listen_at(here(0), 8), fd = open_socket(SOCK_NONBLOCK);
	char data[8] = "";
	ssize_t got;

	if (do_connect(fd, here(0)) < 0 && errno != EINPROGRESS)
		die("connect");
	say_sent("first", "recv", recv(fd, data, 5, 0));
	write_all(must_accept(listener), "early", 5);
	while ((got = recv(fd, data, 5, 0)) < 0 && errno == EAGAIN)
		;
	say_sent("then", "recv", got);
}

static void send_times_out(void)
{
	const struct timeval patience = {.tv_usec = 300000};
	const struct pair pair = connect_pair(0);
	static char block[1 << 20];
	struct timeval start, now;
	ssize_t sent;
	char data[4];
	long took;

	if (setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		die("setsockopt");
	do {
		gettimeofday(&start, NULL);
		sent = send(pair.client, block, sizeof(block), 0);
	} while (sent > 0);
	say_sent("full", "send", sent);
	gettimeofday(&now, NULL);
	took = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_usec - start.tv_usec) / 1000;
	say("after its time: %s", yes_no(took >= 250 && took < 5000));
	say_sent("full", "send", send(pair.client, block, 1, MSG_DONTWAIT));
	say_sent("nothing", "recv", recv(pair.client, data, 4, 0));
}

/* As programs do it: where zero copy is refused for want of memory they copy, else they wait for the notice. */
static void zero_copy(void)
{
	struct pair pair = {.client = open_socket(0)};
	const int listener = listen_at(here(0), 8);
	static char block[20000];
	char control[128], data[1000];
	struct msghdr notice = {.msg_control = control, .msg_controllen = sizeof(control)};
	size_t got;

	set_option(pair.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	must_connect(pair.client, here(0));
	pair.server = must_accept(listener);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		ssize_t sent = ways[i].put(pair.client, block, sizeof(block), MSG_ZEROCOPY);

		if (sent < 0 && errno == ENOBUFS)
			sent = ways[i].put(pair.client, block, sizeof(block), 0);
		else if (sent > 0 && (!wait_for(pair.client, 0, 5000) ||
				      recvmsg(pair.client, &notice, MSG_ERRQUEUE) < 0))
			say("no notice: %s", error_name(errno));
		say_sent("sent", ways[i].name, sent);
		for (got = 0; got < sizeof(block); got += sizeof(data))
			read_all(pair.server, data, sizeof(data));
		say("arrived: %zu", got);
	}
}

/* Pages of memory and of a file by way of a pipe, both of which the kernel carries. */
static void by_way_of_a_pipe(void)
{
	const struct pair pair = connect_pair(0);
	static char page[4096];
	struct iovec part = {page, sizeof(page)};
	char data[sizeof(page)];
	int pipes[2], copies[2];

	memset(page, 'p', sizeof(page));
	if (pipe(pipes) < 0 || pipe(copies) < 0)
		die("pipe");
	say_sent("vmsplice", "pipe", vmsplice(pipes[1], &part, 1, 0));
	say_sent("tee", "pipe", tee(pipes[0], copies[1], sizeof(page), 0));
	say_sent("splice", "out", splice(pipes[0], NULL, pair.client, NULL, sizeof(page), SPLICE_F_MORE));
	say("arrived: %zu", read_all(pair.server, data, sizeof(data)));
	say("the same: %s", yes_no(!memcmp(data, page, sizeof(page))));
	say_sent("splice", "copy", splice(copies[0], NULL, pair.server, NULL, sizeof(page), 0));
	wait_for(pair.client, POLLIN, 5000);
	say_sent("splice", "in", splice(pair.client, NULL, pipes[1], NULL, sizeof(page), SPLICE_F_MOVE));
	say("piped: %zu", read_all(pipes[0], data, sizeof(data)));
	say("the same: %s", yes_no(!memcmp(data, page, sizeof(page))));
	set_nonblocking(pair.client, true);
	say_sent("nothing", "splice", splice(pair.client, NULL, pipes[1], NULL, 1, SPLICE_F_NONBLOCK));
}

static void data_that_is_not_there(void)
{
	const struct pair pair = connect_pair(0);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++)
		say_sent("bad", ways[i].name, ways[i].put(pair.client, (void *)16, 4, 0));
	say("waits: %s", yes_no(wait_for(pair.server, POLLIN, 50)));
}

/* The kernel takes 1024 messages in one call. */
static void more_messages_than_one_call_takes(void)
{
	static struct iovec part = {(void *)"m", 1};
	static struct mmsghdr messages[1030];
	const struct place to = here(1);
	const int udp = socket(here_family, SOCK_DGRAM, 0), sink = socket(here_family, SOCK_DGRAM, 0);

	if (do_bind(sink, to) < 0 || do_connect(udp, to) < 0)
		die("udp");
	for (size_t i = 0; i < N_ELEMENTS(messages); i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
	say("sent: %d", sendmmsg(udp, messages, N_ELEMENTS(messages), MSG_ZEROCOPY));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"more-messages-than-one-call-takes", more_messages_than_one_call_takes},
		{"flags-that-change-nothing", flags_that_change_nothing},
		{"nothing-is-sent", nothing_is_sent},
		{"broken-pipe", broken_pipe},
		{"broken-pipe-kills", broken_pipe_kills},
		{"broken-pipe-blocked", broken_pipe_blocked},
		{"never-connected", never_connected},
		{"refused-says-send", refused_says_send},
		{"sends-at-once", sends_at_once},
		{"receives-at-once", receives_at_once},
		{"send-times-out", send_times_out},
		{"zero-copy", zero_copy},
		{"by-way-of-a-pipe", by_way_of_a_pipe},
		{"data-that-is-not-there", data_that_is_not_there},
	};

	return RUN_CASES(cases, argc, argv);
}
