/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A test program that runs itself again, and gives itself descriptors. */
#ifndef TEST_HANDOVER_H
#define TEST_HANDOVER_H

#include "common.h"

extern char **environ;

/* This program again, as PROGRAM CASE ADDRESS PORT OTHER, with descriptor 9 from its parent. */
#define PASSED_FD 9

UNUSED static char **self_argv(const char *name)
{
	static char *argv[6];

	argv[0] = here_argv[0];
	argv[1] = (char *)name;
	argv[2] = here_argv[2];
	argv[3] = here_argv[3];
	argv[4] = (char *)other_text;
	argv[5] = NULL;
	return argv;
}

/* dup2(2), which leaves a descriptor close-on-exec that has this number already. */
UNUSED static int hand_over(int fd)
{
	return fd == PASSED_FD ? fcntl(fd, F_SETFD, 0) : dup2(fd, PASSED_FD);
}

UNUSED static pid_t start_self_with(const char *name, int fd, char **environment)
{
	const pid_t child = start_child();

	if (child == 0) {
		if (fd >= 0 && hand_over(fd) < 0)
			_exit(98);
		execve("/proc/self/exe", self_argv(name), environment);
		_exit(97);
	}
	return child;
}

UNUSED static pid_t start_self(const char *name, int fd)
{
	return start_self_with(name, fd, environ);
}

UNUSED static void echo_once(int fd)
{
	char data[64];
	const ssize_t n = read(fd, data, sizeof(data));

	if (n <= 0)
		die("echo: read");
	write_all(fd, data, (size_t)n);
}

UNUSED static void say_echo(const char *who, int fd)
{
	char data[8] = "";

	write_all(fd, "hello", 5);
	read_all(fd, data, 5);
	say("%s: %s", who, data);
}

/* Descriptors passed over a unix socket. */
UNUSED static void send_fd(int over, int fd)
{
	char byte = 'f';
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(over, &message, 0) != 1)
		die("sendmsg");
}

UNUSED static int receive_fd(int over)
{
	char byte;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(over, &message, 0) != 1)
		die("recvmsg");
	cmsg = CMSG_FIRSTHDR(&message);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		die("no descriptor came");
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

#endif
