/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that forbid themselves most system calls, as servers and browsers do once they are set up: what is not
 * on the list of a program that uses TCP must not be needed. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define FILTER_ROOM 64

struct filter {
	struct sock_filter code[FILTER_ROOM];
	unsigned short count;
};

static void filter_add(struct filter *filter, struct sock_filter instruction)
{
	if (filter->count == FILTER_ROOM)
		die("filter is full");
	filter->code[filter->count++] = instruction;
}

static void filter_begin(struct filter *filter)
{
	filter->count = 0;
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
}

static void filter_call(struct filter *filter, long call, uint32_t action)
{
	filter_add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1));
	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void filter_install(struct filter *filter, uint32_t otherwise)
{
	const struct sock_fprog program = {.len = (unsigned short)(filter->count + 1), .filter = filter->code};

	filter_add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		die("seccomp");
}

/* From here on only what moves data over descriptors there are, and with `ask` the calls that ask and set what they
 * are, which programs have use for around shutdown(2). Anything else is SIGSYS. */
static void allow_data_only(bool ask)
{
	static const long calls[] = {
		SYS_getsockopt, SYS_setsockopt, SYS_getpeername, SYS_read, SYS_write,	 SYS_sendto,	 SYS_recvfrom,
		SYS_sendmsg,	SYS_recvmsg,	SYS_ppoll,	 SYS_poll, SYS_close,	 SYS_shutdown,	 SYS_dup,
		SYS_exit_group, SYS_rt_sigreturn,
	};
	struct filter filter;

	filter_begin(&filter);
	for (size_t i = ask ? 0 : 3; i < N_ELEMENTS(calls); i++)
		filter_call(&filter, calls[i], SECCOMP_RET_ALLOW);
	filter_install(&filter, SECCOMP_RET_KILL_PROCESS);
}

/* One call fails with an errno, all others are as ever. */
static void forbid(const long *calls, size_t count, int error)
{
	struct filter filter;

	filter_begin(&filter);
	for (size_t i = 0; i < count; i++)
		filter_call(&filter, calls[i], SECCOMP_RET_ERRNO | (uint32_t)error);
	filter_install(&filter, SECCOMP_RET_ALLOW);
}

static void say_count(const char *what, ssize_t n)
{
	if (n < 0)
		say("%s: %s", what, error_name(errno));
	else
		say("%s: %zd", what, n);
}

/* Every way to move data, the usual failures among them, in a child that may do nothing else. */
static void data_in_a_child(int fd, int peer, bool ask)
{
	ssize_t got, end;
	char data[16];
	pid_t child;

	say("standard output is open");
	child = start_child();
	if (child == 0) {
		struct iovec iov = {data, 4};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		int copy;

		close(peer);
		allow_data_only(ask);
		say("waits: %s", yes_no(wait_for(fd, POLLIN, 10000)));
		say_count("recv", recv(fd, data, 4, 0));
		say_count("recv, PEEK", recv(fd, data, 4, MSG_PEEK));
		say_count("recv, WAITALL", recv(fd, data, 4, MSG_WAITALL));
		say_count("recvfrom", recvfrom(fd, data, 4, 0, NULL, NULL));
		say_count("recvmsg", recvmsg(fd, &message, 0));
		say_count("read", read(fd, data, 4));
		say_count("recv, nothing there", recv(fd, data, 4, MSG_DONTWAIT));
		say_count("recvfrom, nothing there", recvfrom(fd, data, 4, MSG_DONTWAIT, NULL, NULL));
		say_count("recvmsg, nothing there", recvmsg(fd, &message, MSG_DONTWAIT));
		say_count("send", send(fd, "1234", 4, MSG_NOSIGNAL));
		say_count("sendto", sendto(fd, "1234", 4, 0, NULL, 0));
		say_count("sendmsg", sendmsg(fd, &message, MSG_NOSIGNAL));
		say_count("write", write(fd, "1234", 4));
		say_call("shutdown", shutdown(fd, SHUT_WR));
		say_count("send after it", send(fd, "1234", 4, MSG_NOSIGNAL));
		say_count("write after it", write(fd, "1234", 4));
		say_count("the end", read(fd, data, 4));
		say_count("the end again", recv(fd, data, 4, 0));
		copy = dup(fd);
		say_call("close", close(fd));
		say_call("close again", close(fd));
		say_call("close the copy", close(copy));
		say_count("recv of nothing", recv(fd, data, 4, 0));
		_exit(0);
	}
	close(fd);
	write_all(peer, "abcdefghijklmnopqrst", 20);
	got = recv(peer, data, 16, MSG_WAITALL);
	end = recv(peer, data + 15, 1, 0);
	close(peer);
	say_end("child", child);
	say("its peer read %zd, then %zd", got, end);
}

static void client(void)
{
	const struct pair pair = connect_pair(0);

	data_in_a_child(pair.client, pair.server, true);
}

static void accepted(void)
{
	const struct pair pair = connect_pair(0);

	data_in_a_child(pair.server, pair.client, true);
}

static void unmatched(void)
{
	const int listener = listen_at(other(0), 8), fd = open_socket(0);

	must_connect(fd, other(0));
	data_in_a_child(fd, must_accept(listener), false);
}

static void unmatched_accepted(void)
{
	const int listener = listen_at(other(0), 8), fd = open_socket(0);

	must_connect(fd, other(0));
	data_in_a_child(must_accept(listener), fd, false);
}

static void unix_pair(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	connect_pair(0); /* the library, if there is one, is at work */
	data_in_a_child(pair[0], pair[1], true);
}

/* No file can be opened, /proc among them: connections are made all the same. */
static void no_files(void)
{
	static const long calls[] = {SYS_open, SYS_openat, SYS_readlinkat};
	const int listener = listen_at(here(0), 8), old = open_socket(0);
	const int fd = fcntl(old, F_DUPFD, 100), epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42};
	struct pair pair;
	int server;

	close(old);
	forbid(calls, N_ELEMENTS(calls), EACCES);
	say_call("open", open("/dev/null", O_RDONLY));
	pair = connect_pair(1);
	say_names("made afterwards", pair.client);
	say_talk("talk", pair.client, pair.server);
	say_call("connect what was a copy", do_connect(fd, here(0)));
	server = must_accept(listener);
	say_talk("talk", fd, server);
	pair.client = open_socket(0);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, pair.client, &event) < 0)
		die("EPOLL_CTL_ADD");
	must_connect(pair.client, here(0));
	write_all(must_accept(listener), "x", 1);
	say("events: %d, data %d", epoll_wait(epoll, &event, 1, 10000), (int)event.data.u64);
	_exit(0); /* what a sanitizer does at the end wants files */
}

/* What is there goes on; a connection to come is another matter. */
static void no_new_sockets(void)
{
	static const long calls[] = {SYS_socket};
	const int listener = listen_at(here(0), 8), fd = open_socket(0), late = open_socket(0);
	const struct pair pair = connect_pair(1);
	int server;

	must_connect(fd, here(0));
	forbid(calls, N_ELEMENTS(calls), EACCES);
	server = must_accept(listener);
	say_names("accepted", server);
	say_talk("talk", fd, server);
	say_talk("talk", pair.client, pair.server);
	say_call("connect to an unmatched address", do_connect(late, other(0)));
	say_call("connect", do_connect(late, here(0)));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"client", client},
		{"accepted", accepted},
		{"unmatched", unmatched},
		{"unmatched-accepted", unmatched_accepted},
		{"unix-pair", unix_pair},
		{"no-files", no_files},
		{"no-new-sockets", no_new_sockets},
	};

	return RUN_CASES(cases, argc, argv);
}
