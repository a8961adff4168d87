/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One conversation by every name that its calls have, and every way in which a descriptor ends. */
#define _GNU_SOURCE 1
#include "common.h"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

/* A name as programs built elsewhere import it; libc offers them all, but some to old programs only. */
static void *named(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	if (!found)
		die("dlsym %s", name);
	return found;
}

static void conversation(int (*do_socket)(int, int, int), int (*connecting)(int, const struct sockaddr *, socklen_t),
			 ssize_t (*sending)(int, const void *, size_t, int),
			 ssize_t (*receiving)(int, void *, size_t, int), int (*closing)(int))
{
	const struct place to = here(0);
	const int listener = listen_at(to, 4), fd = do_socket(here_family, SOCK_STREAM, 0);
	char data[8] = "";
	int server;

	say_call("connect", connecting(fd, (const struct sockaddr *)&to.sa, to.len));
	server = must_accept(listener);
	say_names("client", fd);
	say("send %zd", sending(fd, "hello", 5, 0));
	say("recv %zd: %s", receiving(server, data, 5, MSG_WAITALL), data);
	say_call("close", closing(fd));
	say("end %zd", receiving(server, data, 5, 0));
}

static void usual_names(void)
{
	conversation(socket, connect, send, recv, close);
}

static void other_names(void)
{
	conversation((int (*)(int, int, int))named("__socket"),
		     (int (*)(int, const struct sockaddr *, socklen_t))named("__connect"),
		     (ssize_t (*)(int, const void *, size_t, int))named("__send"),
		     (ssize_t (*)(int, void *, size_t, int))named("__recv"), (int (*)(int))named("__close"));
}

static int sys_socket(int domain, int type, int protocol)
{
	return (int)syscall(SYS_socket, domain, type, protocol);
}

static int sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)syscall(SYS_connect, fd, sa, len);
}

static ssize_t sys_send(int fd, const void *data, size_t size, int flags)
{
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

static ssize_t sys_recv(int fd, void *data, size_t size, int flags)
{
	return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
}

static int sys_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static void by_number(void)
{
	conversation(sys_socket, sys_connect, sys_send, sys_recv, sys_close);
}

static void fortified_names(void)
{
	ssize_t (*get)(int, void *, size_t, size_t, int) =
		(ssize_t (*)(int, void *, size_t, size_t, int))named("__recv_chk");
	ssize_t (*get_from)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *) =
		(ssize_t (*)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *))named("__recvfrom_chk");
	const struct pair pair = connect_pair(0);
	struct place from = {.len = sizeof(from.sa)};
	char data[16] = "";
	pid_t child;

	write_all(pair.client, "onetwothree", 11);
	wait_for(pair.server, POLLIN, 5000);
	say("recv %zd", get(pair.server, data, 3, sizeof(data), 0));
	say("recvfrom %zd", get_from(pair.server, data, 3, sizeof(data), 0, NULL, NULL));
	from.sa.ss_family = 0xeeee;
	say("recvfrom %zd", get_from(pair.server, data, 2, sizeof(data), 0, (struct sockaddr *)&from.sa, &from.len));
	say("name written: %s", yes_no(from.sa.ss_family != 0xeeee));
	say("discards %zd", get(pair.server, NULL, 2, 2, MSG_TRUNC));
	child = start_child();
	if (child == 0) {
		const int nowhere = open("/dev/null", O_WRONLY);

		dup2(nowhere, STDERR_FILENO);
		get(pair.server, data, sizeof(data) + 1, sizeof(data), 0);
		_exit(0);
	}
	say_end("more than there is room for", child);
}

/* A server that knows numbers only. */
static void serve_by_number(void)
{
	const struct place at = here(0);
	const int fd = (int)syscall(SYS_socket, here_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	const int poller = epoll_create1(0), client = open_socket(0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
	struct place name = {.len = sizeof(name.sa)};
	int server, value = 0;
	socklen_t size = sizeof(value);
	char data[8] = "";
	struct iovec part = {data, 3};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr messages = {.msg_hdr = message};

	say_call("setsockopt", (int)syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	say_call("epoll_ctl", (int)syscall(SYS_epoll_ctl, poller, EPOLL_CTL_ADD, fd, &event));
	say_call("bind", (int)syscall(SYS_bind, fd, &at.sa, at.len));
	say_call("listen", (int)syscall(SYS_listen, fd, 4));
	say_call("getsockname", (int)syscall(SYS_getsockname, fd, &name.sa, &name.len));
	say("%s", name_text(&name.sa));
	must_connect(client, at);
	say("event: %d", epoll_wait(poller, &event, 1, 5000));
	name.len = sizeof(name.sa);
	server = (int)syscall(SYS_accept4, fd, &name.sa, &name.len, SOCK_CLOEXEC);
	say("peer: %s", name_text(&name.sa));
	say("close-on-exec: %s", yes_no(fcntl(server, F_GETFD) & FD_CLOEXEC));
	say_call("getpeername", (int)syscall(SYS_getpeername, server, &name.sa, &name.len));
	say("%s", name_text(&name.sa));
	say_call("getsockopt", (int)syscall(SYS_getsockopt, server, SOL_SOCKET, SO_DOMAIN, &value, &size));
	say("%s", family_text(value));
	write_all(client, "abcdefghi", 9);
	wait_for(server, POLLIN, 5000);
	say_call("ioctl", (int)syscall(SYS_ioctl, server, FIONREAD, &value));
	say("waiting: %d", value);
	say("recvmsg %ld: %s", syscall(SYS_recvmsg, server, &message, 0), data);
	say("recvmmsg %ld: %s", syscall(SYS_recvmmsg, server, &messages, 1, 0, NULL), data);
	say("recvfrom %ld: %s", syscall(SYS_recvfrom, server, data, 3, 0, NULL, NULL), data);
	say("sendmsg %ld", syscall(SYS_sendmsg, server, &message, 0));
	say("sendmmsg %ld", syscall(SYS_sendmmsg, server, &messages, 1, 0));
	say("back %zu", read_all(client, data, 6));
	say_call("fcntl", (int)syscall(SYS_fcntl, server, F_SETFL, O_NONBLOCK));
	say("nothing: %s", error_name(syscall(SYS_recvfrom, server, data, 3, 0, NULL, NULL) < 0 ? errno : 0));
	say_call("shutdown", (int)syscall(SYS_shutdown, server, SHUT_WR));
	say("end %zd", read(client, data, 1));
}

/* All arguments, any result, and calls that return twice. */
static void numbers_that_are_not_ours(void)
{
	const int fd = memfd_create("calls", 0);
	char *map;
	pid_t child;

	if (fd < 0 || ftruncate(fd, 8192) < 0 || pwrite(fd, "second page", 11, 4096) != 11)
		die("memfd");
	map = (char *)syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
	say("mapped: %s", map);
	errno = 0;
	say("pid: %s, errno %d", yes_no(syscall(SYS_getpid) == getpid()), errno);
	say("no such number: %s", error_name(syscall(100000) < 0 ? errno : 0));
	say("no number: %s", error_name(syscall(-1) < 0 ? errno : 0));
	say("lseek: %s", error_name(syscall(SYS_lseek, fd, -1L, SEEK_SET) < 0 ? errno : 0));
	child = (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0)
		_exit(5);
	say_end("clone", child);
}

/* --- the end of a descriptor */

static void by_close(int fd)
{
	close(fd);
}

static void by_other_name(int fd)
{
	((int (*)(int))named("__close"))(fd);
}

static void by_fclose(int fd)
{
	FILE *file = fdopen(fd, "r+");

	if (!file)
		die("fdopen");
	fclose(file);
}

static void by_freopen(int fd)
{
	FILE *file = fdopen(fd, "r+");

	if (!file || !(file = freopen("/dev/null", "r+", file)))
		die("freopen");
	fclose(file);
}

static void by_close_range(int fd)
{
	close_range((unsigned)fd, (unsigned)fd, 0);
}

static void by_closefrom(int fd)
{
	closefrom(fd);
}

static void by_dup2(int fd)
{
	const int nothing = open("/dev/null", O_RDWR);

	dup2(nothing, fd);
	close(fd);
	close(nothing);
}

static void by_syscall(int fd)
{
	syscall(SYS_close, fd);
}

static void by_fcntl(int fd)
{
	/* The other descriptor of the socket is closed first: nothing is left of it. */
	const int copy = fcntl(fd, F_DUPFD, 100);

	close(fd);
	close(copy);
}

static const struct {
	const char *name;
	void (*end)(int fd);
} ends[] = {
	{"close", by_close},   {"__close", by_other_name},     {"fclose", by_fclose},
	{"freopen", by_freopen}, {"close_range", by_close_range}, {"closefrom", by_closefrom},
	{"dup2", by_dup2},     {"syscall", by_syscall},	       {"copy", by_fcntl},
};

/* What a stranger under that number says to calls of sockets; it is left as it was. */
static void say_stranger(const char *what, int fd)
{
	const struct place to = here(9);
	struct place name = {.len = sizeof(name.sa)};
	struct stat before, after;
	int on = 1, rc;

	fstat(fd, &before);
	say("%s: getsockname %s", what,
	    error_name(getsockname(fd, (struct sockaddr *)&name.sa, &name.len) < 0 ? errno : 0));
	say("%s: family %s", what, name.len == sizeof(name.sa) ? "none" : family_text(name.sa.ss_family));
	say("%s: setsockopt %s", what,
	    error_name(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ? errno : 0));
	say("%s: listen %s", what, error_name(listen(fd, 1) < 0 ? errno : 0));
	rc = connect(fd, (const struct sockaddr *)&to.sa, to.len);
	say("%s: connect %s", what, error_name(rc < 0 ? errno : 0));
	fstat(fd, &after);
	say("%s: unchanged %s, flags %x", what,
	    yes_no(before.st_dev == after.st_dev && before.st_ino == after.st_ino),
	    (unsigned)fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND));
}

/* A socket with all that may be remembered of it, ended. Returns its number. */
static int ended_socket(void (*end)(int fd), int poller)
{
	struct epoll_event event = {.events = EPOLLIN};
	const int fd = open_socket(SOCK_NONBLOCK | SOCK_CLOEXEC);

	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
	end(fd);
	return fd;
}

static void same_number(const char *what, int wanted, int fd)
{
	if (fd != wanted)
		die("%s: descriptor %d instead of %d", what, fd, wanted);
}

static void used_again(void)
{
	const int poller = epoll_create1(EPOLL_CLOEXEC), listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(ends); i++) {
		int fd = ended_socket(ends[i].end, poller), pipes[2], client, server;

		say("-- %s", ends[i].name);
		same_number("file", fd, open("/dev/null", O_RDWR | O_APPEND));
		say_stranger("file", fd);
		close(fd);

		fd = ended_socket(ends[i].end, poller);
		if (pipe(pipes) < 0)
			die("pipe");
		same_number("pipe", fd, pipes[0]);
		say_stranger("pipe", fd);
		close(pipes[0]);
		close(pipes[1]);

		fd = ended_socket(ends[i].end, poller);
		same_number("unix", fd, socket(AF_UNIX, SOCK_STREAM, 0));
		say_stranger("unix", fd);
		close(fd);

		/* A plain one, to an address that is left alone, then one that blocks again. */
		fd = ended_socket(ends[i].end, poller);
		same_number("tcp", fd, open_socket(0));
		say("elsewhere: %s", error_name(do_connect(fd, other(9)) < 0 ? errno : 0));
		close(fd);
		fd = ended_socket(ends[i].end, poller);
		client = open_socket(0);
		same_number("tcp", fd, client);
		must_connect(client, here(0));
		server = must_accept(listener);
		say("flags %x %x, options %d %d", (unsigned)fcntl(client, F_GETFL) & O_NONBLOCK,
		    (unsigned)fcntl(client, F_GETFD), option(client, SOL_SOCKET, SO_KEEPALIVE),
		    option(client, IPPROTO_TCP, TCP_NODELAY));
		say_talk("talk", client, server);
		close(client);
		close(server);
	}
}

/* Descriptors that arrive in a message take numbers whose history nobody saw. */
static void arrived_by_message(void)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	char byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	const int file = open("/dev/null", O_RDWR), poller = epoll_create1(EPOLL_CLOEXEC);
	int ends_of[2], fd, got = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of) < 0)
		die("socketpair");
	control.align = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.align), &file, sizeof(file));
	if (sendmsg(ends_of[0], &message, 0) != 1)
		die("sendmsg");
	fd = open_socket(SOCK_NONBLOCK);
	(void)poller;
#ifdef __x86_64__
	{
		long result;

		__asm__ volatile("syscall" : "=a"(result) : "0"((long)SYS_close), "D"((long)fd) : "rcx", "r11", "memory");
	}
#else
	close(fd);
#endif
	message.msg_controllen = sizeof(control);
	if (recvmsg(ends_of[1], &message, 0) != 1)
		die("recvmsg");
	memcpy(&got, CMSG_DATA(&control.align), sizeof(got));
	same_number("message", fd, got);
	say_stranger("file", got);
}

/* Flags changed by any name are the socket's. */
static void nonblocking_by_any_name(void)
{
	static const char *const names[] = {"fcntl", "fcntl64", "__fcntl"};

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		int (*control)(int, int, ...) = (int (*)(int, int, ...))named(names[i]);
		const int listener = listen_at(here((unsigned)i), 4), fd = open_socket(0);
		char byte;

		say_call(names[i], control(fd, F_SETFL, O_NONBLOCK));
		say("connect: %s", error_name(finish_connect(fd, here((unsigned)i))));
		say("recv: %s", error_name(recv(fd, &byte, 1, 0) < 0 ? errno : 0));
		say("flags %x", (unsigned)control(fd, F_GETFL) & O_NONBLOCK);
		close(must_accept(listener));
		close(listener);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"usual-names", usual_names},
		{"other-names", other_names},
		{"by-number", by_number},
		{"fortified-names", fortified_names},
		{"serve-by-number", serve_by_number},
		{"numbers-that-are-not-ours", numbers_that_are_not_ours},
		{"used-again", used_again},
		{"arrived-by-message", arrived_by_message},
		{"nonblocking-by-any-name", nonblocking_by_any_name},
	};

	return RUN_CASES(cases, argc, argv);
}
