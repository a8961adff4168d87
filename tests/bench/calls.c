/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes one call again and again, so that its instructions can be counted: calls NAME COUNT. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2], zero_fd, null_fd, inet_fd, epoll_fd;
static struct sockaddr_in unmatched = {.sin_family = AF_INET};

static void call_read(void)
{
	char byte;

	if (read(zero_fd, &byte, 1) != 1)
		abort();
}

static void call_write(void)
{
	if (write(null_fd, "x", 1) != 1)
		abort();
}

static void call_poll(void)
{
	struct pollfd fds = {.fd = pair[0], .events = POLLIN};

	if (poll(&fds, 1, 0) != 0)
		abort();
}

static void call_select(void)
{
	struct timeval now = {0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(pair[0], &in);
	if (select(pair[0] + 1, &in, NULL, NULL, &now) != 0)
		abort();
}

static void call_epoll_wait(void)
{
	struct epoll_event event;

	if (epoll_wait(epoll_fd, &event, 1, 0) != 0)
		abort();
}

static void call_send(void)
{
	char byte;

	if (send(pair[0], "x", 1, 0) != 1 || read(pair[1], &byte, 1) != 1)
		abort();
}

static void call_recv(void)
{
	char byte;

	if (write(pair[0], "x", 1) != 1 || recv(pair[1], &byte, 1, MSG_DONTWAIT) != 1)
		abort();
}

static void call_recv_nothing(void)
{
	char byte;

	recv(pair[1], &byte, 1, MSG_DONTWAIT);
}

static void call_sendto(void)
{
	char byte;

	if (sendto(pair[0], "x", 1, 0, NULL, 0) != 1 || read(pair[1], &byte, 1) != 1)
		abort();
}

static void call_recvfrom(void)
{
	char byte;

	if (write(pair[0], "x", 1) != 1 || recvfrom(pair[1], &byte, 1, MSG_DONTWAIT, NULL, NULL) != 1)
		abort();
}

static void call_sendmsg(void)
{
	struct iovec part = {"x", 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	char byte;

	if (sendmsg(pair[0], &message, 0) != 1 || read(pair[1], &byte, 1) != 1)
		abort();
}

static void call_recvmsg(void)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (write(pair[0], "x", 1) != 1 || recvmsg(pair[1], &message, MSG_DONTWAIT) != 1)
		abort();
}

static void call_close(void)
{
	close(-1);
}

static void call_dup(void)
{
	dup2(zero_fd, zero_fd + 100);
}

static void call_getsockname(void)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	getsockname(inet_fd, (struct sockaddr *)&sa, &len);
}

static void call_getsockopt(void)
{
	int value;
	socklen_t size = sizeof value;

	getsockopt(inet_fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size);
}

static void call_setsockopt(void)
{
	int value = 1;

	setsockopt(pair[0], SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value);
}

static void call_fcntl(void)
{
	fcntl(zero_fd, F_GETFL);
}

static void call_epoll_ctl(void)
{
	struct epoll_event event = {.events = EPOLLIN};

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, pair[0], &event);
}

static void call_socket(void)
{
	close(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

/* Together with call_socket, for a socket connects once. */
static void call_socket_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	connect(fd, (struct sockaddr *)&unmatched, sizeof unmatched);
	close(fd);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"read", call_read},
	{"write", call_write},
	{"poll", call_poll},
	{"select", call_select},
	{"epoll_wait", call_epoll_wait},
	{"send", call_send},
	{"recv", call_recv},
	{"recv-nothing", call_recv_nothing},
	{"sendto", call_sendto},
	{"recvfrom", call_recvfrom},
	{"sendmsg", call_sendmsg},
	{"recvmsg", call_recvmsg},
	{"close", call_close},
	{"dup2", call_dup},
	{"getsockname", call_getsockname},
	{"getsockopt", call_getsockopt},
	{"setsockopt", call_setsockopt},
	{"fcntl", call_fcntl},
	{"epoll_ctl", call_epoll_ctl},
	{"socket", call_socket},
	{"socket+connect", call_socket_connect},
};

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};
	int count = argc > 2 ? atoi(argv[2]) : 0;

	unmatched.sin_port = htons(9);
	unmatched.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	zero_fd = open("/dev/zero", O_RDONLY);
	null_fd = open("/dev/null", O_WRONLY);
	inet_fd = socket(AF_INET, SOCK_STREAM, 0);
	epoll_fd = epoll_create1(0);
	if (zero_fd < 0 || null_fd < 0 || inet_fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[0], &event) < 0)
		return 1;
	/* The mapping is read and every name bound before the count begins: two counts are subtracted. */
	connect(inet_fd, (struct sockaddr *)&unmatched, sizeof unmatched);
	for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (argc < 2) {
			puts(calls[i].name);
			continue;
		}
		if (strcmp(calls[i].name, argv[1]) != 0)
			continue;
		for (int n = 0; n < count; n++)
			calls[i].call();
		return 0;
	}
	return argc < 2 ? 0 : 2;
}
