/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service that is handed its sockets, by the protocol of sd_listen_fds(3) or on its standard input, and tells each client
 * what it sees of them. ADDRESS and PORT are where clients connect. The cases differ in what is done first. The case
 * `client` is the client, which prints what it is told.
 */
#include "common.h"
#include "echo.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#define FIRST 3
#define CLIENTS 3

__attribute__((format(printf, 2, 3))) static void tell(int to, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	write_all(to, text, strlen(text));
}

static const char *peer_text(int fd)
{
	struct place peer = {.len = sizeof(peer.sa)};

	if (getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len) < 0)
		return error_name(errno);
	return name_text(&peer.sa);
}

/* sd_is_socket_inet(3) and its kin. */
static bool is_inet(int fd, bool listening, unsigned port)
{
	struct stat st;
	struct place own;

	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) || option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM ||
	    option(fd, SOL_SOCKET, SO_ACCEPTCONN) != listening)
		return false;
	own = own_name(fd);
	return own.sa.ss_family == here_family && (port == 0 || port_of(&own.sa) == port);
}

static void tell_socket(int to, const char *who, int fd)
{
	tell(to, "%s: %s, type %d, protocol %d, listening %d, SO_REUSEADDR %d, error %d\n", who,
	     family_text(option(fd, SOL_SOCKET, SO_DOMAIN)), option(fd, SOL_SOCKET, SO_TYPE),
	     option(fd, SOL_SOCKET, SO_PROTOCOL), option(fd, SOL_SOCKET, SO_ACCEPTCONN),
	     option(fd, SOL_SOCKET, SO_REUSEADDR), option(fd, SOL_SOCKET, SO_ERROR));
	tell(to, "%s: at %s, from %s\n", who, own_text(fd), peer_text(fd));
	tell(to, "%s: nodelay %d, idle %d, of the family and port expected: %s\n", who, option(fd, IPPROTO_TCP, TCP_NODELAY),
	     option(fd, IPPROTO_TCP, TCP_KEEPIDLE), yes_no(is_inet(fd, option(fd, SOL_SOCKET, SO_ACCEPTCONN), here_port)));
}

static void echo_and_end(int from, int to)
{
	char text[64];
	ssize_t got;

	tell(to, "echo: ");
	while ((got = read(from, text, sizeof(text))) > 0)
		write_all(to, text, (size_t)got);
	close(from);
	if (to != from)
		close(to);
}

static void serve(int listener, int fd)
{
	set_nonblocking(fd, false);
	tell_socket(fd, "connection", fd);
	tell_socket(fd, "listener", listener);
	echo_and_end(fd, fd);
}

static void serve_all(int listener)
{
	for (int i = 0; i < CLIENTS; i++)
		serve(listener, must_accept(listener));
}

/* How many descriptors there are, as sd_listen_fds(3) has it. */
static int handed(bool forget)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int number;

	if (!pid || !count || (pid_t)strtol(pid, NULL, 10) != getpid())
		die("nothing was handed over");
	number = (int)strtol(count, NULL, 10);
	for (int i = 0; i < number; i++)
		if (fcntl(FIRST + i, F_SETFD, FD_CLOEXEC) < 0)
			die("descriptor %d", FIRST + i);
	if (forget) {
		unsetenv("LISTEN_PID");
		unsetenv("LISTEN_FDS");
		unsetenv("LISTEN_FDNAMES");
	}
	return number;
}

static int listener_handed(bool forget)
{
	if (handed(forget) != 1)
		die("one descriptor is expected");
	return FIRST;
}

static void looked_at(void)
{
	const int listener = listener_handed(false);

	if (!is_inet(listener, true, here_port))
		die("not the listener that was expected");
	serve_all(listener);
}

static void forgotten(void)
{
	const int listener = listener_handed(true);

	if (!is_inet(listener, true, here_port))
		die("not the listener that was expected");
	serve_all(listener);
}

static void accepted(void)
{
	serve_all(FIRST);
}

static void accepted_by_name(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct place peer = {.len = sizeof(peer.sa)};
		const int fd = accept4(FIRST, (struct sockaddr *)&peer.sa, &peer.len, SOCK_CLOEXEC);

		if (fd < 0)
			die("accept4");
		tell(fd, "accepted: %s, %u bytes, the same as getpeername: %s\n", name_text(&peer.sa), peer.len,
		     yes_no(port_of(&peer.sa) == peer_port(fd)));
		serve(FIRST, fd);
	}
}

static void accepted_in_little_room(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		unsigned char room[8] = "-------";
		socklen_t len = 4;
		const int fd = accept(FIRST, (struct sockaddr *)room, &len);

		if (fd < 0)
			die("accept");
		tell(fd, "accepted: family %d, %u bytes, %s\n", room[0] + room[1] * 256, len,
		     room[4] == '-' && room[7] == '\0' ? "and no more" : "too many of them");
		serve(FIRST, fd);
	}
}

static void asked_for_an_option(void)
{
	const int protocol = option(FIRST, SOL_SOCKET, SO_PROTOCOL), domain = option(FIRST, SOL_SOCKET, SO_DOMAIN);

	if (protocol != IPPROTO_TCP || domain != here_family)
		die("protocol %d, domain %d", protocol, domain);
	serve_all(FIRST);
}

/* A client that was there before need not have them. */
static void options_set(void)
{
	set_option(FIRST, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(FIRST, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	for (int i = 0; i < CLIENTS; i++) {
		const int fd = must_accept(FIRST);

		tell_socket(fd, "listener", FIRST);
		if (i > 0)
			tell_socket(fd, "connection", fd);
		echo_and_end(fd, fd);
	}
}

static void listens_again(void)
{
	if (listen(FIRST, 5) < 0)
		die("listen");
	serve_all(FIRST);
}

static void edge_triggered(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 12345};
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	int served = 0;

	set_nonblocking(FIRST, true);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, FIRST, &event) < 0)
		die("epoll_ctl");
	while (served < CLIENTS) {
		int fd;

		if (epoll_wait(epfd, &event, 1, -1) != 1 || event.data.u64 != 12345)
			die("epoll_wait");
		while ((fd = accept4(FIRST, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
			tell(fd, "non-blocking: %s\n", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK));
			serve(FIRST, fd);
			served++;
		}
		if (errno != EAGAIN)
			die("accept4");
	}
}

static void copied(void)
{
	const int copy = fcntl(FIRST, F_DUPFD_CLOEXEC, 20);

	close(FIRST);
	if (copy < 0)
		die("F_DUPFD_CLOEXEC");
	serve_all(copy);
}

static void left_to_a_child(void)
{
	pid_t child;

	listener_handed(true);
	child = start_child();
	if (child == 0) {
		serve_all(FIRST);
		_exit(0);
	}
	close(FIRST);
	say_end("child", child);
}

static void left_to_workers(void)
{
	pid_t child[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		child[i] = start_child();
		if (child[i] == 0) {
			serve(FIRST, must_accept(FIRST));
			_exit(0);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		say_end("worker", child[i]);
}

/* It was looked at before, as sd_is_socket(3) does; the program that follows is told another number, and nothing else. */
static void left_to_another_program(void)
{
	static char *none[] = {NULL};
	char *environment[] = {NULL, NULL, NULL, NULL};
	static const char *const kept[] = {"LD_PRELOAD", "IP2VSOCK_RULES", "IP2VSOCK_REALM"};
	int count = 0;

	if (here_argv[1][0] == '9') {
		serve_all(9);
		return;
	}
	if (!is_inet(listener_handed(false), true, here_port) || dup2(FIRST, 9) < 0)
		die("dup2");
	for (unsigned i = 0; i < N_ELEMENTS(kept); i++)
		if (getenv(kept[i]) && asprintf(&environment[count], "%s=%s", kept[i], getenv(kept[i])) > 0)
			count++;
	here_argv[1] = strdup("9-in-another-program");
	execve("/proc/self/exe", here_argv, count ? environment : none);
	die("execve");
}

static void sent(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = (char[]){"l"}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int pair[2], listener;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	child = start_child();
	if (child == 0) {
		close(FIRST);
		if (recvmsg(pair[1], &message, 0) != 1)
			die("recvmsg");
		memcpy(&listener, CMSG_DATA(&control.head), sizeof(listener));
		serve_all(listener);
		_exit(0);
	}
	listener = listener_handed(false);
	if (!is_inet(listener, true, here_port))
		die("not the listener that was expected");
	memcpy(CMSG_DATA(&control.head), &listener, sizeof(listener));
	if (sendmsg(pair[0], &message, 0) != 1)
		die("sendmsg");
	close(listener);
	say_end("child", child);
}

static void *accepting(void *arg)
{
	(void)arg;
	serve(FIRST, must_accept(FIRST));
	return NULL;
}

static void by_threads(void)
{
	pthread_t threads[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		start(&threads[i], accepting, NULL);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
}

/* The first is where the clients come. */
static void several(void)
{
	const int count = handed(false);

	for (int i = 0; i < CLIENTS; i++) {
		const int fd = must_accept(FIRST);

		tell(fd, "names: %s\n", getenv("LISTEN_FDNAMES"));
		for (int other = FIRST; other < FIRST + count; other++)
			tell(fd, "%d: %s, type %d, listening %d, at %s\n", other,
			     family_text(option(other, SOL_SOCKET, SO_DOMAIN)), option(other, SOL_SOCKET, SO_TYPE),
			     option(other, SOL_SOCKET, SO_ACCEPTCONN), own_text(other));
		serve(FIRST, fd);
	}
}

/* --- a process for each connection */

static void connection(void)
{
	tell_socket(FIRST, "connection", FIRST);
	echo_and_end(FIRST, FIRST);
}

static void connection_peer_first(void)
{
	tell(FIRST, "from %s\n", peer_text(FIRST));
	connection();
}

static void connection_is_standard(void)
{
	tell_socket(1, "standard input", 0);
	tell_socket(1, "standard output", 1);
	echo_and_end(0, 1);
}

static void connection_is_copied(void)
{
	const int copy = dup(0);

	tell(1, "from %s\n", peer_text(copy));
	tell_socket(1, "standard output", 1);
	echo_and_end(0, 1);
}

/* As sshd -i does. */
static void connection_is_moved(void)
{
	const int copy = dup(0), nothing = open("/dev/null", O_RDWR);

	if (copy < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0)
		die("dup2");
	tell_socket(copy, "copy", copy);
	echo_and_end(copy, copy);
}

static void connection_with_flags(void)
{
	char text[8] = "";
	const ssize_t got = recv(0, text, 5, MSG_WAITALL | MSG_PEEK);

	tell(1, "waiting for all: %zd, from %s\n", got, peer_text(0));
	echo_and_end(0, 1);
}

static void connection_is_shut(void)
{
	tell(1, "from %s, ", peer_text(0));
	shutdown(1, SHUT_WR);
	while (read(0, (char[64]){0}, 64) > 0)
		;
}

/* A helper program without a look of its own before. */
static void connection_goes_to_a_shell(void)
{
	setenv("PROGRAM", here_argv[0], 1);
	setenv("ADDRESS", here_argv[2], 1);
	setenv("PORT", here_argv[3], 1);
	execl("/bin/sh", "sh", "-c", "\"$PROGRAM\" connection-is-standard \"$ADDRESS\" \"$PORT\"; exit 0", NULL);
	die("execl");
}

/* --- the client */

static void client(void)
{
	const int fd = open_socket(SOCK_CLOEXEC);
	char text[4096];
	size_t got;

	must_connect(fd, here(0));
	write_all(fd, "hello", 5);
	shutdown(fd, SHUT_WR);
	while ((got = read_all(fd, text, sizeof(text))))
		write_all(1, text, got);
	write_all(1, "\n", 1);
}

static const struct test_case cases[] = {
	{"looked-at", looked_at},
	{"forgotten", forgotten},
	{"accepted", accepted},
	{"accepted-by-name", accepted_by_name},
	{"accepted-in-little-room", accepted_in_little_room},
	{"asked-for-an-option", asked_for_an_option},
	{"options-set", options_set},
	{"listens-again", listens_again},
	{"edge-triggered", edge_triggered},
	{"copied", copied},
	{"left-to-a-child", left_to_a_child},
	{"left-to-workers", left_to_workers},
	{"left-to-another-program", left_to_another_program},
	{"9-in-another-program", left_to_another_program},
	{"sent", sent},
	{"by-threads", by_threads},
	{"several", several},
	{"connection", connection},
	{"connection-peer-first", connection_peer_first},
	{"connection-is-standard", connection_is_standard},
	{"connection-is-copied", connection_is_copied},
	{"connection-is-moved", connection_is_moved},
	{"connection-with-flags", connection_with_flags},
	{"connection-is-shut", connection_is_shut},
	{"connection-goes-to-a-shell", connection_goes_to_a_shell},
	{"client", client},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
