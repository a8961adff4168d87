/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library that is preloaded, and connects in its constructor: before other libraries have had a chance to start. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((constructor)) static void connect_early(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64];
	int length, error = 0;

	inet_pton(AF_INET, "10.0.0.3", &to.sin_addr);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		error = errno;
	close(fd);
	length = snprintf(text, sizeof(text), "early: %s\n", error ? strerrorname_np(error) : "ok");
	if (write(STDOUT_FILENO, text, (size_t)length) != length)
		_exit(9);
}
