/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nobody there: what a sender hears of it, and that all goes on when somebody comes. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <pthread.h>
#include <sys/uio.h>

/* Whether an error is to be had, without taking it. */
static bool error_waits(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return poll(&poll_fd, 1, UDP_SOON) == 1 && poll_fd.revents & POLLERR;
}

static void unconnected_hears_nothing(void)
{
	const int fd = open_udp(0);
	const struct place to = here(0);
	char data[8];
	unsigned refused = 0;

	for (int i = 0; i < 50; i++)
		refused += sendto(fd, "x", 1, 0, (const struct sockaddr *)&to.sa, to.len) != 1;
	say("refused: %u", refused);
	say_silence("client", fd);
	say("error: %s", error_name(pending_error(fd)));
	say_size("recv", recv(fd, data, sizeof(data), MSG_DONTWAIT));
	say("refused: %s", yes_no(sendto(fd, "x", 1, 0, (const struct sockaddr *)&to.sa, to.len) != 1));
}

static ssize_t by_recv(int fd)
{
	return recv(fd, (char[8]){0}, 8, 0);
}

static ssize_t by_recv_at_once(int fd)
{
	return recv(fd, (char[8]){0}, 8, MSG_DONTWAIT);
}

static ssize_t by_read(int fd)
{
	return read(fd, (char[8]){0}, 8);
}

static ssize_t by_recvmsg(int fd)
{
	struct iovec part = {(char[8]){0}, 8};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	return recvmsg(fd, &header, 0);
}

static ssize_t by_recvmmsg(int fd)
{
	struct iovec part = {(char[8]){0}, 8};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};

	return recvmmsg(fd, &message, 1, 0, NULL);
}

static ssize_t by_peek(int fd)
{
	return recv(fd, (char[8]){0}, 8, MSG_PEEK);
}

static ssize_t by_send(int fd)
{
	return send(fd, "x", 1, 0);
}

static ssize_t by_write(int fd)
{
	return write(fd, "x", 1);
}

static ssize_t by_sendmsg(int fd)
{
	struct iovec part = {(void *)"x", 1};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	return sendmsg(fd, &header, 0);
}

static ssize_t by_option(int fd)
{
	errno = pending_error(fd);
	return errno ? -1 : 0;
}

static const struct {
	const char *name;
	ssize_t (*ask)(int fd);
	bool sends;
} ways[] = {
	{"recv", by_recv, false},	  {"recv at once", by_recv_at_once, false},
	{"read", by_read, false},	  {"recvmsg", by_recvmsg, false},
	{"recvmmsg", by_recvmmsg, false}, {"peek", by_peek, false},
	{"SO_ERROR", by_option, false},	  {"send", by_send, true},
	{"write", by_write, true},	  {"sendmsg", by_sendmsg, true},
};

/* The first datagram is sent, the refusal comes back, and is told once by whatever asks next. */
static void connected_hears_it_once(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = udp_to(here(0));

		say_size("send", send(fd, "x", 1, 0));
		say("POLLERR: %s", yes_no(error_waits(fd)));
		say_size(ways[i].name, ways[i].ask(fd));
		if (!ways[i].sends)
			say_size("then", recv(fd, (char[8]){0}, 8, MSG_DONTWAIT));
		say("error: %s", error_name(pending_error(fd)));
		close(fd);
	}
}

static void *send_in_a_while(void *arg)
{
	poll(NULL, 0, 200);
	put(*(const int *)arg, "x", 1);
	return NULL;
}

static void wakes_another_thread(void)
{
	int fd = udp_to(here(0));

	for (int i = 0; i < 3; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, send_in_a_while, &fd))
			die("pthread_create");
		say_size("recv", i == 1 ? read(fd, (char[8]){0}, 8) : recv(fd, (char[8]){0}, 8, 0));
		pthread_join(thread, NULL);
	}
}

/* poll says POLLERR and what may be read, without being asked for it. */
static void poll_tells(void)
{
	struct pollfd poll_fd = {.fd = udp_to(here(0)), .events = POLLIN | POLLOUT};

	put(poll_fd.fd, "x", 1);
	error_waits(poll_fd.fd);
	say("poll: %d", poll(&poll_fd, 1, 0));
	say("events %#x", (unsigned)poll_fd.revents);
	say_size("recv", recv(poll_fd.fd, (char[8]){0}, 8, 0));
	say("poll: %d", poll(&poll_fd, 1, 0));
	say("events %#x", (unsigned)poll_fd.revents);
}

/* Sends until it is told that nobody is there, then until somebody answers. */
static void say_until_answer(int client, int server)
{
	char text[16] = "";
	struct place from;

	for (int i = 0; i < 200; i++) {
		if (send(client, "there?", 6, 0) == 6 && wait_for(server, POLLIN, 50))
			break;
	}
	take_from(server, text, sizeof(text), &from);
	while (recv(server, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	put_to(server, "here", 4, from);
	if (!wait_for(client, POLLIN, UDP_SOON))
		die("no answer");
	/* Of the errors that came in between at most one is left. */
	if (recv(client, text, sizeof(text), 0) < 0 && errno == ECONNREFUSED) {
		wait_for(client, POLLIN, UDP_SOON);
		if (recv(client, text, sizeof(text), 0) < 0)
			die("recv");
	}
	say("answer: %.4s", text);
}

static void server_comes_later(void)
{
	const int client = udp_to(here(0));
	int server;

	put(client, "x", 1);
	say_size("recv", recv(client, (char[8]){0}, 8, 0));
	server = udp_at(here(0));
	say_until_answer(client, server);
	put(client, "x", 1);
	say_text("server", server);
}

static void server_comes_back(void)
{
	const int client = udp_to(here(0)), loose = open_udp(0);
	unsigned tries;

	for (int i = 0; i < 3; i++) {
		const int server = udp_at(here(0));
		char text[16] = "";

		say_until_answer(client, server);
		for (tries = 0; tries < 200; tries++) {
			put_to(loose, "loose", 5, here(0));
			if (wait_for(server, POLLIN, 50))
				break;
		}
		take_from(server, text, sizeof(text), NULL);
		say("server: %s", text);
		close(server);
		put_to(loose, "lost", 4, here(0));
	}
	/* The first one may have been on its way to the server that was there. */
	for (tries = 0; tries < 200 && send(client, "x", 1, 0) == 1; tries++)
		poll(NULL, 0, 10);
	say("told: %s", tries < 200 ? error_name(errno) : "nothing");
}

/* A server in a process of its own, that answers everything. */
static pid_t start_server(void)
{
	int ready[2];
	pid_t child;

	if (pipe(ready) < 0)
		die("pipe");
	child = start_child();
	if (child == 0) {
		const int server = udp_at(here(0));

		write_all(ready[1], "r", 1);
		for (;;) {
			char text[16];
			struct place from = {.len = sizeof(from.sa)};
			const ssize_t got = recvfrom(server, text, sizeof(text), 0,
						     (struct sockaddr *)&from.sa, &from.len);

			if (got >= 0)
				put_to(server, text, (size_t)got, from);
		}
	}
	close(ready[1]);
	if (read_all(ready[0], (char[1]){0}, 1) != 1)
		die("the server did not start");
	close(ready[0]);
	return child;
}

/* Killed and started again, while two clients go on. */
static void server_is_killed(void)
{
	const int client = udp_to(here(0)), loose = udp_at(here(1));
	char text[16];

	for (int i = 0; i < 3; i++) {
		const pid_t child = start_server();
		const int fds[] = {client, loose};

		for (int k = 0; k < 2; k++) {
			bool answered = false;

			for (int tries = 0; tries < 200 && !answered; tries++) {
				const struct place to = here(0);

				if (sendto(fds[k], "echo", 4, 0, k ? (const struct sockaddr *)&to.sa : NULL,
					   k ? to.len : 0) == 4 &&
				    wait_for(fds[k], POLLIN, 100))
					answered = recv(fds[k], text, sizeof(text), MSG_DONTWAIT) == 4;
			}
			say("%s: %s", k ? "loose" : "connected", answered ? "echo" : "nothing");
			/* Of what was asked more than once the answers come late. */
			while (wait_for(fds[k], POLLIN, UDP_SILENCE) &&
			       recv(fds[k], text, sizeof(text), MSG_DONTWAIT) > 0)
				;
		}
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		put_to(loose, "lost", 4, here(0));
		say_silence("loose", loose);
	}
	put(client, "x", 1);
	say("POLLERR: %s", yes_no(error_waits(client)));
	say_size("recv", recv(client, text, sizeof(text), 0));
}

/* Clients that come and go, the server does not notice; its answers to those who are gone are lost. */
static void client_is_gone(void)
{
	const int server = udp_at(here(0));

	for (int i = 0; i < 5; i++) {
		const int client = udp_at(here(1 + (unsigned)i % 2));
		struct place from;

		put_to(client, "hello", 5, here(0));
		from = say_text_from("server", server);
		close(client);
		say_size("answer", sendto(server, "lost", 4, 0, (struct sockaddr *)&from.sa, from.len));
		say_size("another", sendto(server, "lost", 4, 0, (struct sockaddr *)&from.sa, from.len));
		say_silence("server", server);
		say("error: %s", error_name(pending_error(server)));
	}
}

static void *wait_to_receive(void *arg)
{
	const int fd = *(const int *)arg;
	char text[16] = "";
	const ssize_t got = recv(fd, text, sizeof(text), 0);

	say_size("the thread", got);
	return NULL;
}

static void say_shut(const char *what, int fd)
{
	const struct place to = here(0);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	poll(&poll_fd, 1, 0);
	say("%s: events %#x", what, (unsigned)poll_fd.revents);
	say_size("  recv", recv(fd, (char[8]){0}, 8, MSG_DONTWAIT));
	say_size("  send", send(fd, "x", 1, MSG_NOSIGNAL));
	say_size("  sendto", sendto(fd, "x", 1, MSG_NOSIGNAL, (const struct sockaddr *)&to.sa, to.len));
}

static void shut(void)
{
	static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
	const int server = udp_at(here(0));
	char text[8];

	say_call("unconnected", shutdown(open_udp(0), SHUT_RDWR));
	for (size_t i = 0; i < N_ELEMENTS(hows); i++) {
		int fd = udp_to(here(0));
		pthread_t thread;
		struct place from;

		put(fd, "before", 6);
		from = say_text_from("server", server);
		if (hows[i] != SHUT_WR) {
			if (pthread_create(&thread, NULL, wait_to_receive, &fd))
				die("pthread_create");
			poll(NULL, 0, 100);
		}
		if (shutdown(fd, hows[i]) < 0)
			die("shutdown");
		if (hows[i] != SHUT_WR)
			pthread_join(thread, NULL);
		say_shut("shut", fd);
		for (int k = 0; k < 5 && wait_for(server, POLLIN, UDP_SILENCE); k++)
			say_size("server", recv(server, text, sizeof(text), MSG_DONTWAIT));
		put_to(server, "back", 4, from);
		/* poll has something to tell of a socket that is shut, whether the answer is there or not. */
		for (int k = 0; k < 500 && recv(fd, text, sizeof(text), MSG_DONTWAIT | MSG_PEEK) < 0; k++)
			poll(NULL, 0, 10);
		say_size("client", recv(fd, text, sizeof(text), MSG_DONTWAIT));
		say_names("client", fd);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"unconnected-hears-nothing", unconnected_hears_nothing},
		{"connected-hears-it-once", connected_hears_it_once},
		{"wakes-another-thread", wakes_another_thread},
		{"poll-tells", poll_tells},
		{"server-comes-later", server_comes_later},
		{"server-comes-back", server_comes_back},
		{"server-is-killed", server_is_killed},
		{"client-is-gone", client_is_gone},
		{"shut", shut},
	};

	return RUN_CASES(cases, argc, argv);
}
