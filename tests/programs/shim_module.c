/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Another library that is preloaded and hooks the same calls, as proxies and tracers do: it counts them and passes them
 * on to whoever is next. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned calls;

/* Asked every time: a library that is called back from dlsym shows it. */
#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))
#define SHIM __attribute__((visibility("default")))

SHIM int socket(int domain, int type, int protocol)
{
	calls++;
	return NEXT(socket)(domain, type, protocol);
}

SHIM int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	calls++;
	return NEXT(connect)(fd, sa, len);
}

SHIM int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	calls++;
	return NEXT(bind)(fd, sa, len);
}

SHIM int listen(int fd, int backlog)
{
	calls++;
	return NEXT(listen)(fd, backlog);
}

SHIM int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	calls++;
	return NEXT(accept)(fd, sa, len);
}

SHIM int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	calls++;
	return NEXT(getsockname)(fd, sa, len);
}

SHIM int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	calls++;
	return NEXT(getpeername)(fd, sa, len);
}

SHIM int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	calls++;
	return NEXT(setsockopt)(fd, level, option, value, len);
}

SHIM int dup2(int fd, int copy)
{
	calls++;
	return NEXT(dup2)(fd, copy);
}

SHIM int close(int fd)
{
	calls++;
	return NEXT(close)(fd);
}

__attribute__((destructor)) static void report(void)
{
	if (!calls)
		puts("the other library was not called");
}
