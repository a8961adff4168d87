/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connects to 127.0.0.1 and a port, and prints what came of it, as a number: `reach 4999`. Plain enough to be built
 * static or for another C library; with IO_URING defined it connects without the C library's connect().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#ifdef IO_URING
#include <liburing.h>
#endif

static int reach(int fd, const struct sockaddr_in *to)
{
#ifdef IO_URING
	struct io_uring ring;
	struct io_uring_cqe *done;
	int error = io_uring_queue_init(4, &ring, 0);

	if (error < 0) {
		printf("no io_uring here: ");
		return -error;
	}
	io_uring_prep_connect(io_uring_get_sqe(&ring), fd, (const struct sockaddr *)to, sizeof(*to));
	if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &done) < 0)
		return EIO;
	return -done->res;
#else
	return connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ? errno : 0;
#endif
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), error;

	if (argc < 2 || fd < 0)
		return 2;
	to.sin_port = htons((unsigned short)atoi(argv[1]));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	error = reach(fd, &to);
	puts(error == 0		    ? "connected"
	     : error == ECONNREFUSED ? "the network refused"
	     : error == ETIMEDOUT    ? "a rule refused"
				     : "failed");
	return error;
}
