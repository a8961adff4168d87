/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the calls that move datagrams say of their flags and arguments, and how long they wait. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Every call that receives says the same of nothing. */
static void say_nothing(const char *what, int fd, int flags)
{
	char data[16] = "kept";
	struct place from = {.len = sizeof(from.sa)};
	struct iovec part = {data, sizeof(data)};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};

	say("%s", what);
	if (!flags) {
		say_size("  read", read(fd, data, sizeof(data)));
		say_size("  readv", readv(fd, &part, 1));
	}
	say_size("  recv", recv(fd, data, sizeof(data), flags));
	say_size("  recvfrom",
		 recvfrom(fd, data, sizeof(data), flags, (struct sockaddr *)&from.sa, &from.len));
	say_size("  recvmsg", recvmsg(fd, &message.msg_hdr, flags));
	say_size("  recvmmsg", recvmmsg(fd, &message, 1, flags, NULL));
	say("  %s, name %u", data, from.len);
}

/* A server that has heard of a peer, and one that has not, and a client. */
static void nothing_is_there(void)
{
	int server = udp_at(here(0)), client = udp_to(here(0)), on = 1;

	say_nothing("MSG_DONTWAIT, server", server, MSG_DONTWAIT);
	say_nothing("MSG_DONTWAIT, client", client, MSG_DONTWAIT);
	put(client, "x", 1);
	say_text("server", server);
	say_nothing("MSG_DONTWAIT, after one", server, MSG_DONTWAIT);
	set_nonblocking(server, true);
	say_nothing("fcntl, server", server, 0);
	set_nonblocking(server, false);
	say_call("FIONBIO", ioctl(client, FIONBIO, &on));
	say_nothing("FIONBIO, client", client, 0);
	say("O_NONBLOCK: %s", yes_no(fcntl(client, F_GETFL) & O_NONBLOCK));
	close(server);
	server = open_udp(SOCK_NONBLOCK);
	if (do_bind(server, here(1)) < 0)
		die("bind");
	say_nothing("SOCK_NONBLOCK, server", server, 0);
	must_connect(client, here(1));
	put(client, "there", 5);
	say_text("server", server);
}

static void time_limit(void)
{
	const struct timeval limit = {.tv_usec = 200000};
	const int server = udp_at(here(0)), client = udp_to(here(0));
	char data[16];
	struct iovec part = {data, sizeof(data)};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};

	for (int i = 0; i < 2; i++) {
		const int fd = i ? client : server;

		if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
			die("SO_RCVTIMEO");
		for (int way = 0; way < 4; way++) {
			const long start = now_ms();

			if (way == 0)
				say_size("recv", recv(fd, data, sizeof(data), 0));
			else if (way == 1)
				say_size("read", read(fd, data, sizeof(data)));
			else if (way == 2)
				say_size("recvmsg", recvmsg(fd, &message.msg_hdr, 0));
			else
				say_size("recvmmsg", recvmmsg(fd, &message, 1, 0, NULL));
			say("after its time: %s", yes_no(now_ms() - start >= 190 && now_ms() - start < 5000));
		}
		if (i == 0) {
			put(client, "x", 1);
			say_text("server", server);
		}
	}
	put(client, "in time", 7);
	say_size("recv", recv(server, data, sizeof(data), 0));
}

static void *send_later(void *arg)
{
	poll(NULL, 0, 200);
	put(*(const int *)arg, "later", 5);
	return NULL;
}

static void limit_is_not_reached(void)
{
	const struct timeval limit = {.tv_sec = 20};
	const int server = udp_at(here(0));
	int client = udp_to(here(0));
	pthread_t thread;
	char data[16];

	if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		die("SO_RCVTIMEO");
	for (int i = 0; i < 3; i++) {
		const long start = now_ms();

		if (pthread_create(&thread, NULL, send_later, &client))
			die("pthread_create");
		say_size("recv", i ? recv(server, data, sizeof(data), 0) : read(server, data, sizeof(data)));
		say("before its time: %s", yes_no(now_ms() - start < 15000));
		pthread_join(thread, NULL);
	}
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void catch_alarms(int flags)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	signals = 0;
	if (sigaction(SIGUSR1, &action, NULL) < 0)
		die("sigaction");
}

/* Signals the parent again and again until it is told to stop: the first may come before the parent waits. */
static pid_t start_signals(void)
{
	const pid_t child = start_child();

	if (child == 0) {
		for (;;) {
			poll(NULL, 0, 50);
			kill(getppid(), SIGUSR1);
		}
	}
	return child;
}

static void end_signals(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void interrupted(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct iovec part = {(char[16]){0}, 16};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	char data[16];

	for (int i = 0; i < 2; i++) {
		pid_t child;

		catch_alarms(0);
		child = start_signals();
		say_size("recv", recv(server, data, sizeof(data), 0));
		say_size("read", read(server, data, sizeof(data)));
		say_size("recvmsg", recvmsg(server, &message.msg_hdr, 0));
		say_size("recvmmsg", recvmmsg(server, &message, 1, 0, NULL));
		end_signals(child);
		say("signals came: %s", yes_no(signals >= 4));
		put(client, "x", 1);
		say_text("server", server);
	}
}

/* With SA_RESTART a call goes on, unless the socket has a time limit (signal(7)). */
static void restarted(void)
{
	const struct timeval limit = {.tv_sec = 20};
	const int server = udp_at(here(0)), client = udp_to(here(0));
	char data[16];
	pid_t child, sender;

	catch_alarms(SA_RESTART);
	child = start_signals();
	for (int i = 0; i < 2; i++) {
		sender = start_child();
		if (sender == 0) {
			poll(NULL, 0, 400);
			put(client, "at last", 7);
			_exit(0);
		}
		say_size("recv", i ? read(server, data, sizeof(data)) : recv(server, data, sizeof(data), 0));
		while (waitpid(sender, NULL, 0) < 0)
			;
		say("signals came: %s", yes_no(signals >= 1));
	}
	if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		die("SO_RCVTIMEO");
	say_size("with a limit", recv(server, data, sizeof(data), 0));
	end_signals(child);
}

static void flags_of_send(void)
{
	static const struct {
		const char *name;
		int flags;
	} flags[] = {
		{"MSG_CONFIRM", MSG_CONFIRM},	{"MSG_DONTROUTE", MSG_DONTROUTE},
		{"MSG_DONTWAIT", MSG_DONTWAIT}, {"MSG_EOR", MSG_EOR},
		{"MSG_NOSIGNAL", MSG_NOSIGNAL}, {"MSG_OOB", MSG_OOB},
		{"MSG_FASTOPEN", MSG_FASTOPEN},
	};
	const int server = udp_at(here(0)), client = udp_to(here(0)), loose = open_udp(0);
	const struct place to = here(0);

	for (size_t i = 0; i < N_ELEMENTS(flags); i++) {
		ssize_t sent = send(client, "flag", 4, flags[i].flags);

		say_size(flags[i].name, sent);
		if (sent > 0) /* IPv6 takes MSG_OOB, IPv4 does not */
			say_text("server", server);
		sent = sendto(loose, "loose", 5, flags[i].flags, (const struct sockaddr *)&to.sa, to.len);
		say_size(flags[i].name, sent);
		if (sent > 0)
			say_text("server", server);
	}
	say_silence("server", server);
}

static void flags_of_receive(void)
{
	static const struct {
		const char *name;
		int flags;
	} flags[] = {
		{"MSG_WAITALL", MSG_WAITALL},		{"MSG_OOB", MSG_OOB},
		{"MSG_CMSG_CLOEXEC", MSG_CMSG_CLOEXEC}, {"MSG_WAITFORONE", MSG_WAITFORONE},
		{"MSG_NOSIGNAL", MSG_NOSIGNAL},
	};
	const int server = udp_at(here(0)), client = udp_to(here(0));
	char data[16];

	for (size_t i = 0; i < N_ELEMENTS(flags); i++) {
		put(client, "data", 4);
		say_size(flags[i].name, recv(server, data, sizeof(data), flags[i].flags));
	}
	put(client, "data", 4);
	wait_for(server, POLLIN, UDP_SOON);
	say_size("MSG_ERRQUEUE", recv(server, data, sizeof(data), MSG_ERRQUEUE));
	say_text("server", server);
}

/* MSG_MORE, and UDP_CORK, make one datagram of several sends. */
static void corked(void)
{
	enum {
		SOL_UDP_ = 17,
		UDP_CORK_ = 1
	}; /* <netinet/udp.h> has them with _DEFAULT_SOURCE only in some libcs */
	const int server = udp_at(here(0)), client = udp_to(here(0)), loose = open_udp(0);
	const struct place to = here(0);

	say_size("more", send(client, "one ", 4, MSG_MORE));
	say_size("more", send(client, "two ", 4, MSG_MORE));
	say_silence("server", server);
	say_size("end", send(client, "three", 5, 0));
	say_text("server", server);
	say_size("more", sendto(loose, "a ", 2, MSG_MORE, (const struct sockaddr *)&to.sa, to.len));
	say_size("end", sendto(loose, "b", 1, 0, (const struct sockaddr *)&to.sa, to.len));
	say_text("server", server);
	set_option(client, SOL_UDP_, UDP_CORK_, 1);
	say("UDP_CORK: %d", option(client, SOL_UDP_, UDP_CORK_));
	say_size("write", write(client, "corked ", 7));
	say_size("write", write(client, "bottle", 6));
	say_silence("server", server);
	set_option(client, SOL_UDP_, UDP_CORK_, 0);
	say_text("server", server);
	put(client, "free", 4);
	say_text("server", server);
}

/* Several datagrams of one size by one call, as QUIC programs send them. */
static void segmented(void)
{
	enum { SOL_UDP_ = 17, UDP_SEGMENT_ = 103 };
	const int server = udp_at(here(0)), client = udp_to(here(0));
	char control[CMSG_SPACE(sizeof(uint16_t))] = "";
	struct iovec part = {(void *)"aaaabbbbcccc", 12};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	const uint16_t size = 4;

	cmsg->cmsg_level = SOL_UDP_;
	cmsg->cmsg_type = UDP_SEGMENT_;
	cmsg->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(cmsg), &size, sizeof(size));
	say_size("sendmsg", sendmsg(client, &header, 0));
	for (int i = 0; i < 3; i++)
		say_text("server", server);
	set_option(client, SOL_UDP_, UDP_SEGMENT_, 5);
	say("UDP_SEGMENT: %d", option(client, SOL_UDP_, UDP_SEGMENT_));
	say_size("send", send(client, "dddddeeeeef", 11, 0));
	for (int i = 0; i < 3; i++)
		say_text("server", server);
	set_option(client, SOL_UDP_, UDP_SEGMENT_, 0);
	put(client, "whole again", 11);
	say_text("server", server);
	say_silence("server", server);
}

/* The socket takes all that one gives it, and goes on so for ever: nobody has to read it. */
static void never_full(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	static char block[1400];
	size_t size;
	unsigned lost = 0, got = 0;
	long start = now_ms();

	for (int i = 0; i < 20000; i++)
		if (send(client, block, sizeof(block), i % 2 ? MSG_DONTWAIT : 0) != sizeof(block))
			lost++;
	say("refused: %u, without waiting: %s", lost, yes_no(now_ms() - start < 20000));
	while (wait_for(server, POLLIN, UDP_SILENCE) && recv(server, block, sizeof(block), MSG_DONTWAIT) > 0)
		got++;
	say("some arrive: %s, not all: %s", yes_no(got > 10), yes_no(got < 20000));
	put(client, "and then?", 9);
	/* On a slow machine the last of the others may still have been on their way. */
	while ((size = take_from(server, block, sizeof(block), NULL)) == sizeof(block))
		;
	say("server: %zu bytes %.9s", size, block);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"nothing-is-there", nothing_is_there},
		{"time-limit", time_limit},
		{"limit-is-not-reached", limit_is_not_reached},
		{"interrupted", interrupted},
		{"restarted", restarted},
		{"flags-of-send", flags_of_send},
		{"flags-of-receive", flags_of_receive},
		{"corked", corked},
		{"segmented", segmented},
		{"never-full", never_full},
	};

	return RUN_CASES(cases, argc, argv);
}
