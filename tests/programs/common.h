/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every test program needs: addresses from the command line, a table of cases, and words for what was seen. */
#ifndef TEST_COMMON_H
#define TEST_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/*
 * A program is run as PROGRAM CASE ADDRESS PORT [OTHER]. It may use PORT to PORT + 9 of ADDRESS, and of
 * OTHER, a second loopback address; it plays both ends itself. It prints relations ("port + 1"), never
 * the numbers themselves, so that two runs on different ports print the same.
 */
struct test_case {
	const char *name;
	void (*run)(void);
};

struct place {
	struct sockaddr_storage sa;
	socklen_t len;
};

static const char *here_text;  /* ADDRESS */
static const char *other_text; /* OTHER */
static unsigned here_port;
static int here_family;
static char **here_argv; /* for programs that execute themselves */
static pid_t here_pid;	 /* the process that reports failure with exit 1 */

UNUSED static const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";

	return name ? name : "unknown error";
}

UNUSED __attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* What this program cannot do without has failed; the difference shows in the output as well. */
UNUSED __attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	const int error = errno;
	va_list args;

	fflush(stdout);
	printf("died: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", error_name(error));
	fflush(stdout);
	_exit(1);
}

/* "connect: ok" or "connect: ECONNREFUSED"; returns rc. */
UNUSED static int say_call(const char *what, int rc)
{
	const int error = errno;

	say("%s: %s", what, rc < 0 ? error_name(error) : "ok");
	errno = error;
	return rc;
}

UNUSED static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

UNUSED static struct place place_of(const char *text, unsigned port)
{
	struct place place;
	struct sockaddr_in *in = (struct sockaddr_in *)&place.sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&place.sa;

	memset(&place, 0, sizeof(place));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		place.len = sizeof(*in);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		place.len = sizeof(*in6);
	} else {
		fprintf(stderr, "not an address: %s\n", text);
		exit(2);
	}
	return place;
}

/* ADDRESS, PORT + n. */
UNUSED static struct place here(unsigned n)
{
	return place_of(here_text, here_port + n);
}

/* ADDRESS, port 0. */
UNUSED static struct place here_any_port(void)
{
	return place_of(here_text, 0);
}

/* The unspecified address of ADDRESS's family, PORT + n. */
UNUSED static struct place wildcard(unsigned n)
{
	return place_of(here_family == AF_INET6 ? "::" : "0.0.0.0", here_port + n);
}

/* OTHER in the form of ADDRESS's family (v4-mapped when that is AF_INET6), PORT + n. */
UNUSED static struct place other(unsigned n)
{
	char text[80];

	snprintf(text, sizeof(text), "%s%s", here_family == AF_INET6 ? "::ffff:" : "", other_text);
	return place_of(text, here_port + n);
}

UNUSED static unsigned port_of(const void *sa)
{
	const struct sockaddr *any = sa;

	if (any->sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)sa)->sin_port);
	if (any->sa_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
	return 0;
}

UNUSED static const char *family_text(int family)
{
	static char text[24];

	switch (family) {
	case AF_UNSPEC:
		return "AF_UNSPEC";
	case AF_INET:
		return "AF_INET";
	case AF_INET6:
		return "AF_INET6";
	case AF_UNIX:
		return "AF_UNIX";
	case AF_NETLINK:
		return "AF_NETLINK";
	}
	snprintf(text, sizeof(text), "family %d", family);
	return text;
}

/* "AF_INET 127.0.0.1 port+0"; a port that is not one of ours is "ephemeral". */
UNUSED static const char *name_text(const void *sa)
{
	static _Thread_local char text[4][160];
	static _Thread_local unsigned next;
	char *out = text[next++ % N_ELEMENTS(text)];
	const struct sockaddr *any = sa;
	const unsigned port = port_of(sa);
	char address[INET6_ADDRSTRLEN] = "?";
	char port_text[24] = "ephemeral";

	if (any->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, address, sizeof(address));
	else if (any->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, address, sizeof(address));
	if (port == 0)
		snprintf(port_text, sizeof(port_text), "0");
	else if (port >= here_port && port < here_port + 10)
		snprintf(port_text, sizeof(port_text), "+%u", port - here_port);
	snprintf(out, sizeof(text[0]), "%s %s port %s", family_text(any->sa_family), address, port_text);
	return out;
}

UNUSED static struct place own_name(int fd)
{
	struct place place = {.len = sizeof(place.sa)};

	if (getsockname(fd, (struct sockaddr *)&place.sa, &place.len) < 0)
		die("getsockname");
	return place;
}

UNUSED static struct place peer_name(int fd)
{
	struct place place = {.len = sizeof(place.sa)};

	if (getpeername(fd, (struct sockaddr *)&place.sa, &place.len) < 0)
		die("getpeername");
	return place;
}

UNUSED static unsigned own_port(int fd)
{
	const struct place place = own_name(fd);

	return port_of(&place.sa);
}

UNUSED static unsigned peer_port(int fd)
{
	const struct place place = peer_name(fd);

	return port_of(&place.sa);
}

UNUSED static const char *own_text(int fd)
{
	const struct place place = own_name(fd);

	return name_text(&place.sa);
}

UNUSED static void say_names(const char *who, int fd)
{
	struct place own = {.len = sizeof(own.sa)};
	struct place peer = {.len = sizeof(peer.sa)};

	if (getsockname(fd, (struct sockaddr *)&own.sa, &own.len) < 0)
		say("%s: getsockname: %s", who, error_name(errno));
	else
		say("%s: own name %s", who, name_text(&own.sa));
	if (getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len) < 0)
		say("%s: getpeername: %s", who, error_name(errno));
	else
		say("%s: peer name %s", who, name_text(&peer.sa));
}

/*
 * At the server's end of a wildcard listener a peer on this machine may be shown by either of the two
 * loopback addresses: a transport that is not IP does not say by which of them it was called.
 */
UNUSED static const char *loose_text(struct place place)
{
	static char text[2][64];
	static unsigned next;
	char *out = text[next++ % 2];
	const char *exact = name_text(&place.sa);
	const bool loopback = strstr(exact, "127.0.0.1") || strstr(exact, " ::1 ");

	snprintf(out, sizeof(text[0]), "%s %s %s", family_text(place.sa.ss_family),
		 loopback ? "loopback" : "not loopback", strstr(exact, "port"));
	return out;
}

UNUSED static int open_socket(int flags)
{
	const int fd = socket(here_family, SOCK_STREAM | flags, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

UNUSED static int do_connect(int fd, struct place to)
{
	return connect(fd, (struct sockaddr *)&to.sa, to.len);
}

UNUSED static int do_bind(int fd, struct place to)
{
	return bind(fd, (struct sockaddr *)&to.sa, to.len);
}

/* A connect() that a signal may interrupt is none of most cases' business. */
UNUSED static void must_connect(int fd, struct place to)
{
	if (do_connect(fd, to) < 0)
		die("connect to %s", name_text(&to.sa));
}

UNUSED static int listen_at(struct place at, int backlog)
{
	const int one = 1;
	const int fd = open_socket(SOCK_CLOEXEC);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		die("SO_REUSEADDR");
	if (do_bind(fd, at) < 0)
		die("bind to %s", name_text(&at.sa));
	if (listen(fd, backlog) < 0)
		die("listen");
	return fd;
}

UNUSED static int must_accept(int listener)
{
	const int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	return fd;
}

/* A client and the accepted socket at its other end, at here(n). */
struct pair {
	int client, server;
};

UNUSED static struct pair connect_pair(unsigned n)
{
	struct pair pair;
	const int listener = listen_at(here(n), 8);

	pair.client = open_socket(0);
	must_connect(pair.client, here(n));
	pair.server = must_accept(listener);
	close(listener);
	return pair;
}

UNUSED static void write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		const ssize_t n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("write");
		at += n;
		length -= (size_t)n;
	}
}

/* Reads until length bytes or end of file; returns how many. */
UNUSED static size_t read_all(int fd, void *data, size_t length)
{
	char *at = data;
	size_t got = 0;

	while (got < length) {
		const ssize_t n = read(fd, at + got, length - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("read");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return got;
}

/* Five bytes each way, and what arrived. Both descriptors are blocking. */
UNUSED static void say_talk(const char *who, int client, int server)
{
	char there[8] = "", back[8] = "";

	write_all(client, "there", 5);
	read_all(server, there, 5);
	write_all(server, "again", 5);
	read_all(client, back, 5);
	say("%s: %s %s", who, there, back);
}

UNUSED static bool wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int rc;

	do
		rc = poll(&poll_fd, 1, timeout_ms);
	while (rc < 0 && errno == EINTR);
	return rc == 1;
}

UNUSED static int pending_error(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		die("SO_ERROR");
	return error;
}

UNUSED static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		return -errno;
	return value;
}

UNUSED static void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt %d %d", level, name);
}

UNUSED static void set_nonblocking(int fd, bool on)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		die("O_NONBLOCK");
}

/* Connects a non-blocking socket and waits for the outcome, which is returned as an errno. */
UNUSED static int finish_connect(int fd, struct place to)
{
	if (do_connect(fd, to) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (!wait_for(fd, POLLOUT, 20000))
		return ETIMEDOUT;
	return pending_error(fd);
}

/* The same after an earlier failure, of which TCP may first say ECONNABORTED (Linux: the socket goes
 * back to unconnected only with this call). */
UNUSED static int reconnect(int fd, struct place to)
{
	int error = finish_connect(fd, to);

	if (error == ECONNABORTED)
		error = finish_connect(fd, to);
	return error;
}

/* Open descriptors below 65536, the standard ones included. Needs no descriptor of its own. */
UNUSED static unsigned count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 65536; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A case that hangs is ended by a signal. SCALE is how many times slower the machine is. */
UNUSED static void set_alarm(void)
{
	const char *scale = getenv("SCALE");
	const unsigned factor = scale ? (unsigned)strtoul(scale, NULL, 10) : 1;

	alarm(30 * (factor ? factor : 1));
}

/* A child that cannot outlive its parent. */
UNUSED static pid_t start_child(void)
{
	const pid_t parent = getpid();
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
		set_alarm();
	}
	return pid;
}

/* Waits for a child and says how it ended. */
UNUSED static void say_end(const char *who, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (WIFEXITED(status))
		say("%s: exit %d", who, WEXITSTATUS(status));
	else
		say("%s: signal %d", who, WTERMSIG(status));
}

/* The whole program: `-l` lists the cases. */
UNUSED static int run_cases(const struct test_case *cases, size_t count, int argc, char **argv)
{
	here_argv = argv;
	here_pid = getpid();
	if (argc == 2 && !strcmp(argv[1], "-l")) {
		for (size_t i = 0; i < count; i++)
			puts(cases[i].name);
		return 0;
	}
	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: %s CASE ADDRESS PORT [OTHER] | -l\n", argv[0]);
		return 2;
	}
	here_text = argv[2];
	here_port = (unsigned)strtoul(argv[3], NULL, 10);
	other_text = argc > 4 ? argv[4] : "127.0.0.2";
	here_family = strchr(here_text, ':') ? AF_INET6 : AF_INET;
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	set_alarm();
	for (size_t i = 0; i < count; i++) {
		if (strcmp(cases[i].name, argv[1]))
			continue;
		cases[i].run();
		return 0;
	}
	fprintf(stderr, "%s: no case %s\n", argv[0], argv[1]);
	return 2;
}

#define RUN_CASES(cases, argc, argv) run_cases(cases, N_ELEMENTS(cases), argc, argv)

#endif
