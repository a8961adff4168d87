/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connect, bind, or datagram, and what came of it: "connect: ECONNREFUSED". Exit status 0 when it worked. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/uio.h>

static int by_sendto(int fd, struct place to)
{
	return (int)sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&to.sa, to.len);
}

static int by_sendmsg(int fd, struct place to)
{
	struct iovec iov = {(char *)"x", 1};
	const struct msghdr message = {
		.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1};

	return (int)sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int by_sendmmsg(int fd, struct place to)
{
	struct iovec iov = {(char *)"x", 1};
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1}};

	return sendmmsg(fd, &message, 1, MSG_NOSIGNAL);
}

static int by_fastopen(int fd, struct place to)
{
	return (int)sendto(fd, "x", 1, MSG_NOSIGNAL | MSG_FASTOPEN, (struct sockaddr *)&to.sa, to.len);
}

static int by_nonblocking_connect(int fd, struct place to)
{
	set_nonblocking(fd, true);
	errno = finish_connect(fd, to);
	return errno ? -1 : 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int type;
		int (*go)(int fd, struct place to);
	} ways[] = {
		{"connect", SOCK_STREAM, do_connect},
		{"nonblock", SOCK_STREAM, by_nonblocking_connect},
		{"bind", SOCK_STREAM, do_bind},
		{"fastopen", SOCK_STREAM, by_fastopen},
		{"udp-connect", SOCK_DGRAM, do_connect},
		{"udp-bind", SOCK_DGRAM, do_bind},
		{"udp-sendto", SOCK_DGRAM, by_sendto},
		{"udp-sendmsg", SOCK_DGRAM, by_sendmsg},
		{"udp-sendmmsg", SOCK_DGRAM, by_sendmmsg},
	};

	/* Several may be asked for: knock ADDRESS PORT WAY... */
	if (argc < 4)
		return 2;
	for (int i = 3; i < argc; i++) {
		const struct place to = place_of(argv[1], (unsigned)strtoul(argv[2], NULL, 10));
		bool known = false;

		for (size_t k = 0; k < N_ELEMENTS(ways); k++) {
			int fd;

			if (strcmp(ways[k].name, argv[i]))
				continue;
			known = true;
			fd = socket(to.sa.ss_family, ways[k].type, 0);
			if (fd < 0)
				die("socket");
			if (say_call(argv[i], ways[k].go(fd, to)) < 0 && i == argc - 1)
				return 1;
			close(fd);
		}
		if (!known)
			return 2;
	}
	return 0;
}
