/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guarded socket for datagrams: strangers are not heard, unless they answer. */
#define _GNU_SOURCE 1
#include "common.h"
#include "visitors.h"

#include <sys/time.h>

static int open_bound(unsigned n)
{
	const int fd = socket(here_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || do_bind(fd, here(n)) < 0)
		die("bind");
	return fd;
}

static void set_limit(int fd, int ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		die("SO_RCVTIMEO");
}

/* The process that visits: sends datagrams, and is answered each time when it is a friend. */
static void datagram_visitor(void)
{
	const char *what = getenv("VISITOR");
	bool friendly, good = true;
	unsigned count;
	char who[16];
	int fd;

	if (!what || sscanf(what, "%15s %*s %u", who, &count) != 2)
		die("VISITOR");
	friendly = !strcmp(who, "friend");
	fd = socket(here_family, SOCK_DGRAM, 0);
	if (fd < 0)
		die("socket");
	set_limit(fd, friendly ? 20000 : 100);
	for (unsigned i = 0; i < count; i++) {
		const struct place to = here(0);
		char answer[16];
		ssize_t got;

		if (sendto(fd, friendly ? FRIEND_WORD : STRANGER_WORD, 6, 0, (const struct sockaddr *)&to.sa, to.len) < 0)
			die("sendto");
		got = recv(fd, answer, sizeof(answer), 0);
		good &= friendly ? got == 6 && !memcmp(answer, ANSWER, 6) : got < 0;
	}
	_exit(good ? 0 : 1);
}

static void say_datagram(const char *who, int fd)
{
	struct place from = {.len = sizeof(from.sa)};
	char word[16] = "";

	if (recvfrom(fd, word, sizeof(word) - 1, 0, (struct sockaddr *)&from.sa, &from.len) < 0)
		die("recvfrom");
	say("%s: %s from %s", who, word, name_text(&from.sa));
	if (sendto(fd, ANSWER, 6, 0, (struct sockaddr *)&from.sa, from.len) < 0)
		die("sendto");
}

static void say_nothing_left(int fd)
{
	char word[16];

	say("readable: %s", yes_no(wait_for(fd, POLLIN, 0)));
	say_call("and then", (int)recv(fd, word, sizeof(word), MSG_DONTWAIT));
}

static void strangers_first(void)
{
	const int fd = open_bound(0);
	pid_t visitors;

	visitors_end("strangers", strangers(2));
	say_nothing_left(fd);
	visitors = friends(3);
	for (int i = 0; i < 3; i++)
		say_datagram("got", fd);
	visitors_end("friends", visitors);
	say_nothing_left(fd);
}

static void waiting(void)
{
	const int fd = open_bound(0);
	pid_t visitors;

	visitors = strangers_then_friends(3, 2);
	for (int i = 0; i < 2; i++)
		say_datagram("got", fd);
	visitors_end("visitors", visitors);
	set_limit(fd, 300);
	visitors = strangers(5);
	say_call("within a limit", (int)recv(fd, &(char){0}, 1, 0));
	visitors_end("strangers", visitors);
	visitors = strangers(3);
	say("poll sees somebody: %s", yes_no(wait_for(fd, POLLIN, 300)));
	visitors_end("strangers", visitors);
}

static void child_receives(void)
{
	const int fd = open_bound(0);
	pid_t visitors, child = start_child();

	if (child == 0) {
		visitors = strangers_then_friends(2, 1);
		say_datagram("child", fd);
		visitors_end("visitors", visitors);
		say_nothing_left(fd);
		_exit(0);
	}
	say_end("child", child);
}

/* The process that is spoken to: one datagram comes, and goes back. */
static void datagram_echo(void)
{
	const int fd = open_bound(1);
	struct place from = {.len = sizeof(from.sa)};
	char word[16];
	ssize_t got;

	write_all(PASSED_FD, "x", 1);
	for (int i = 0; i < 2; i++) {
		got = recvfrom(fd, word, sizeof(word), 0, (struct sockaddr *)&from.sa, &from.len);
		if (got < 0 || sendto(fd, word, (size_t)got, 0, (struct sockaddr *)&from.sa, from.len) != got)
			die("echo");
	}
	_exit(0);
}

static pid_t start_echo(void)
{
	int ready[2];
	pid_t child;

	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe2");
	setenv("IP2VSOCK_CID", cid_of(!strangers_exist()), 1);
	child = start_self("datagram-echo", ready[1]);
	close(ready[1]);
	if (read_all(ready[0], &(char){0}, 1) != 1)
		die("echo");
	close(ready[0]);
	return child;
}

/* Where a stranger is reached. */
static struct place stranger_at(unsigned n)
{
	const char *address = getenv("STRANGER_AT");

	return place_of(address && *address ? address : here_text, here_port + n);
}

static void say_answer(const char *who, int fd, const struct place *to)
{
	struct place from = {.len = sizeof(from.sa)};
	char word[16] = "";

	if (sendto(fd, "hello", 5, 0, (const struct sockaddr *)&to->sa, to->len) < 0)
		die("sendto");
	set_limit(fd, 20000);
	if (recvfrom(fd, word, sizeof(word) - 1, 0, (struct sockaddr *)&from.sa, &from.len) < 0)
		die("recvfrom");
	say("%s: %s from where it was sent to: %s", who, word,
	    yes_no(from.len == to->len && !memcmp(&from.sa, &to->sa, to->len)));
}

static void strangers_answer(void)
{
	const int fd = open_bound(0);
	const pid_t child = start_echo();
	const struct place to = stranger_at(1);

	say_answer("answer", fd, &to);
	say_answer("again", fd, &to);
	say_end("echo", child);
	visitors_end("strangers", strangers(2));
	say_nothing_left(fd);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"strangers-first", strangers_first},
		{"waiting", waiting},
		{"child-receives", child_receives},
		{"strangers-answer", strangers_answer},
	};
	static const struct test_case hidden[] = {
		{"visitor", datagram_visitor},
		{"datagram-echo", datagram_echo},
	};

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(hidden); i++)
		if (!strcmp(argv[1], hidden[i].name))
			return RUN_CASES(hidden, argc, argv);
	return RUN_CASES(cases, argc, argv);
}
