/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP Fast Open: data with the connect, by sendto, sendmsg and sendmmsg. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/uio.h>

static ssize_t by_sendto(int fd, struct place to)
{
	return sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&to.sa, to.len);
}

static ssize_t by_sendmsg(int fd, struct place to)
{
	struct iovec iov = {(char *)"early", 5};
	const struct msghdr message = {
		.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(fd, &message, MSG_FASTOPEN);
}

static ssize_t by_sendmmsg(int fd, struct place to)
{
	struct iovec iov = {(char *)"early", 5};
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1}};
	const int sent = sendmmsg(fd, &message, 1, MSG_FASTOPEN);

	return sent == 1 ? (ssize_t)message.msg_len : sent;
}

static const struct {
	const char *name;
	ssize_t (*go)(int fd, struct place to);
} ways[] = {
	{"sendto", by_sendto},
	{"sendmsg", by_sendmsg},
	{"sendmmsg", by_sendmmsg},
};

static void arrives(void)
{
	const int listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(0);
		char data[6] = "";
		int server;

		errno = 0;
		say("%s: %zd", ways[i].name, ways[i].go(fd, here(0)));
		server = must_accept(listener);
		read_all(server, data, 5);
		say("arrived: %s", data);
		say_names("client", fd);
		say_talk("talk", fd, server);
		close(fd);
		close(server);
	}
}

static void refused(void)
{
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const int fd = open_socket(0);

		say("%s: %s", ways[i].name, error_name(ways[i].go(fd, here(5)) < 0 ? errno : 0));
		close(fd);
	}
}

static void unmatched(void)
{
	const int listener = listen_at(other(0), 8);
	const int fd = open_socket(0);
	char data[6] = "";

	say("sendto: %zd", by_sendto(fd, other(0)));
	read_all(must_accept(listener), data, 5);
	say("arrived: %s", data);
}

/* TCP takes no notice of an address given with data on a connection. */
static void address_on_a_connection(void)
{
	const struct pair pair = connect_pair(0);
	const struct place to = here(7);
	char data[6] = "";

	errno = 0;
	say("sendto: %zd", sendto(pair.client, "hello", 5, 0, (const struct sockaddr *)&to.sa, to.len));
	say("arrived: %zu %s", read_all(pair.server, data, 5), data);
}

/* Without a connection and without the flag nothing is sent. */
static void address_without_a_connection(void)
{
	const struct place to = here(0);
	const int fd = open_socket(0);

	say("sendto: %s",
	    error_name(sendto(fd, "x", 1, MSG_NOSIGNAL, (const struct sockaddr *)&to.sa, to.len) < 0 ? errno
												     : 0));
}

static void connect_option(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	const int one = 1;
	char data[6] = "";

	/* May be refused; when it is taken, connect() comes back at once and the data still arrives. */
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
	say_call("connect", do_connect(fd, here(0)));
	write_all(fd, "early", 5);
	read_all(must_accept(listener), data, 5);
	say("arrived: %s", data);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"arrives", arrives},
		{"refused", refused},
		{"unmatched", unmatched},
		{"address-on-a-connection", address_on_a_connection},
		{"address-without-a-connection", address_without_a_connection},
		{"connect-option", connect_option},
	};

	return RUN_CASES(cases, argc, argv);
}
