/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A network namespace of one's own, where there is only lo. */
#ifndef TEST_LONELY_H
#define TEST_LONELY_H

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((noreturn)) static inline void lonely_fail(const char *what)
{
	fprintf(stderr, "lonely: %s: %s\n", what, strerror(errno));
	exit(125);
}

static inline void lonely_put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const ssize_t length = (ssize_t)strlen(text);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		lonely_fail(path);
	close(fd);
}

static inline void lonely_enter(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	const unsigned uid = getuid(), gid = getgid();
	char text[64];
	int fd;

	/* Without privilege a user namespace gives it; the user stays who it is. */
	if (unshare(CLONE_NEWNET) < 0) {
		if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			lonely_fail("unshare");
		lonely_put("/proc/self/setgroups", "deny");
		snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
		lonely_put("/proc/self/uid_map", text);
		snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
		lonely_put("/proc/self/gid_map", text);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		lonely_fail("lo");
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		lonely_fail("lo");
	close(fd);
}

#endif
