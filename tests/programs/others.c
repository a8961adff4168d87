/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that are none of a mapping's business, and arguments the kernel answers with an error. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/un.h>

#define ROOM 110 /* sizeof(struct sockaddr_un) */

static void say_unix_name(const char *what, int rc, const struct sockaddr_un *name, socklen_t len)
{
	if (rc < 0)
		say("%s: %s", what, error_name(errno));
	else
		say("%s: %s, length %u, \"%s%s\"", what, family_text(name->sun_family), (unsigned)len,
		    len > 2 && !name->sun_path[0] ? "@" : "",
		    len <= 2		? ""
		    : name->sun_path[0] ? name->sun_path
					: name->sun_path + 1);
}

static void unix_sockets(const struct sockaddr_un *at, socklen_t at_len)
{
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	const int client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un name;
	socklen_t len = ROOM;
	int fd, rc;

	say_call("bind", bind(listener, (const struct sockaddr *)at, at_len));
	say_call("listen", listen(listener, 4));
	memset(&name, 0, sizeof(name));
	rc = getsockname(listener, (struct sockaddr *)&name, &len);
	say_unix_name("getsockname of listener", rc, &name, len);
	say_call("connect", connect(client, (const struct sockaddr *)at, at_len));
	len = ROOM;
	memset(&name, 0, sizeof(name));
	fd = accept(listener, (struct sockaddr *)&name, &len);
	say_unix_name("accept", fd, &name, len);
	len = ROOM;
	memset(&name, 0, sizeof(name));
	rc = getpeername(client, (struct sockaddr *)&name, &len);
	say_unix_name("getpeername of client", rc, &name, len);
	len = ROOM;
	memset(&name, 0, sizeof(name));
	rc = getsockname(client, (struct sockaddr *)&name, &len);
	say_unix_name("getsockname of client", rc, &name, len);
	len = 2;
	say_call("getpeername, room 2", getpeername(client, (struct sockaddr *)&name, &len));
	say("length %u", (unsigned)len);
	say("SO_DOMAIN %d, SO_PROTOCOL %d", option(client, SOL_SOCKET, SO_DOMAIN),
	    option(client, SOL_SOCKET, SO_PROTOCOL));
	say("TCP_NODELAY: %s", error_name(-option(client, IPPROTO_TCP, TCP_NODELAY)));
	say_talk("talk", client, fd);
	close(client);
	close(fd);
	close(listener);
}

static void unix_abstract(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memcpy(at.sun_path, "\0tests of sockets", 17);
	unix_sockets(&at, offsetof(struct sockaddr_un, sun_path) + 17);
}

static void unix_path(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/sockets.XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) < 0)
		die("mkdtemp");
	memcpy(at.sun_path, "socket", 7);
	unix_sockets(&at, offsetof(struct sockaddr_un, sun_path) + 7);
	unlink("socket");
	rmdir(dir);
}

static void unix_nobody(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, "\0nobody here", 12);
	say_call("connect, nobody", connect(fd, (struct sockaddr *)&at, 14));
	say_call("connect, no file",
		 connect(fd, &(struct sockaddr){.sa_family = AF_UNIX, .sa_data = "/x/y/z"}, 9));
	say_call("connect to an AF_INET address", do_connect(fd, here(0)));
	say_call("bind to an AF_INET address", do_bind(fd, here(0)));
}

static void unix_pair(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	say_talk("talk", pair[0], pair[1]);
}

static void unix_datagrams(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const int server = socket(AF_UNIX, SOCK_DGRAM, 0);
	const int client = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	char data[16] = "";

	memcpy(at.sun_path, "\0datagrams", 10);
	say_call("bind", bind(server, (struct sockaddr *)&at, 12));
	say("sendto %zd", sendto(client, "data", 4, 0, (struct sockaddr *)&at, 12));
	say("recvfrom %zd", recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&name, &len));
	say("%s, length %u", data, (unsigned)len);
}

static void netlink(void)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK};
	const int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	unsigned char bytes[64];
	socklen_t len = sizeof(bytes);

	say_call("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	memset(bytes, 0xa5, sizeof(bytes));
	say_call("getsockname", getsockname(fd, (struct sockaddr *)bytes, &len));
	say("length %u, byte behind it %02x", (unsigned)len, bytes[len]);
	len = 4;
	memset(bytes, 0xa5, sizeof(bytes));
	say_call("getsockname, room 4", getsockname(fd, (struct sockaddr *)bytes, &len));
	say("length %u, byte behind it %02x", (unsigned)len, bytes[4]);
	say_call("connect", connect(fd, (struct sockaddr *)&at, sizeof(at)));
}

static void udp_unmatched(void)
{
	const struct place to = other(0);
	const int server = socket(here_family, SOCK_DGRAM, 0);
	const int client = socket(here_family, SOCK_DGRAM, 0);
	const int connected = socket(here_family, SOCK_DGRAM, 0);
	struct place from = {.len = sizeof(from.sa)};
	char data[32] = "";

	say_call("bind", do_bind(server, to));
	say("server: %s", own_text(server));
	say("sendto %zd", sendto(client, "one", 3, 0, (const struct sockaddr *)&to.sa, to.len));
	say("recvfrom %zd", recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from.sa, &from.len));
	say("from %s: %s", name_text(&from.sa), data);
	say("sendto %zd", sendto(server, "two", 3, 0, (struct sockaddr *)&from.sa, from.len));
	say("recv %zd", recv(client, data, sizeof(data), 0));
	say_call("connect", do_connect(connected, to));
	say_names("connected", connected);
	say("send %zd", send(connected, "three", 5, 0));
	say("recv %zd: %.5s", recv(server, data, sizeof(data), 0), data);
	say("SO_TYPE %d, SO_PROTOCOL %d", option(connected, SOL_SOCKET, SO_TYPE),
	    option(connected, SOL_SOCKET, SO_PROTOCOL));
}

/* UDP to ADDRESS, for which the mapping names tcp only. */
static void udp_beside_a_tcp_rule(void)
{
	const struct place to = here(0);
	const int server = socket(here_family, SOCK_DGRAM, 0);
	const int client = socket(here_family, SOCK_DGRAM, 0);
	char data[32] = "";

	say_call("bind", do_bind(server, to));
	say_call("connect", do_connect(client, to));
	say("send %zd", send(client, "udp", 3, 0));
	say("recv %zd: %s", recv(server, data, sizeof(data), 0), data);
	say_names("client", client);
}

static void pipes_and_files(void)
{
	int pipe_fd[2];
	const int file = open("/dev/null", O_RDWR);
	char data[5] = "";

	if (pipe(pipe_fd) < 0)
		die("pipe");
	write_all(pipe_fd[1], "pipe", 4);
	read_all(pipe_fd[0], data, 4);
	say("%s", data);
	say_call("connect on a pipe", do_connect(pipe_fd[0], here(0)));
	say_call("bind on a pipe", do_bind(pipe_fd[0], here(0)));
	say_call("connect on a file", do_connect(file, here(0)));
	say_call("bind on a file", do_bind(file, here(0)));
	say_call("listen on a file", listen(file, 1));
	say_call("connect on nothing", do_connect(999, here(0)));
	say_call("connect on -1", do_connect(-1, here(0)));
	say_call("bind on nothing", do_bind(999, here(0)));
	say_call("listen on nothing", listen(999, 4));
	say("SO_TYPE of a file: %s", error_name(-option(file, SOL_SOCKET, SO_TYPE)));
}

static void bad_addresses(void)
{
	const struct place to = here(0);
	const struct sockaddr *sa = (const struct sockaddr *)&to.sa;
	static const socklen_t lengths[] = {0, 1, 2, 4, 8, 15};
	int fd = open_socket(0);

	say_call("connect, NULL", connect(fd, NULL, to.len));
	say_call("bind, NULL", bind(fd, NULL, to.len));
	say_call("connect, NULL, 0", connect(fd, NULL, 0));
	say_call("bind, NULL, 0", bind(fd, NULL, 0));
	say_call("connect, length -1", connect(fd, sa, (socklen_t)-1));
	say_call("bind, length -1", bind(fd, sa, (socklen_t)-1));
	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		/* Length 0 and 1 leave the family to chance in some kernels; what matters is that it fails. */
		say("connect, length %u fails: %s", (unsigned)lengths[i],
		    yes_no(connect(fd, sa, lengths[i]) < 0));
		say("bind, length %u fails: %s", (unsigned)lengths[i], yes_no(bind(fd, sa, lengths[i]) < 0));
	}
	say_call("connect, length 15", connect(fd, sa, 15));
	say_call("bind, length 15", bind(fd, sa, 15));
	say("connect, AF_UNIX address: %s",
	    error_name(connect(fd, &(struct sockaddr){.sa_family = AF_UNIX}, 16) < 0 ? errno : 0));
	say_names("unharmed", fd);
	listen_at(to, 8);
	say_call("connect", connect(fd, sa, to.len));
}

/* No message, no result of a socket that is not TCP may change. */
static void epoll_of_other_things(void)
{
	const int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	say_call("ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event));
	say_call("ADD again", epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event));
	say_call("ADD itself", epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
	say_call("ADD nothing", epoll_ctl(epoll, EPOLL_CTL_ADD, 999, &event));
	say_call("ADD NULL", epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], NULL));
	say_call("not an epoll", epoll_ctl(pair[0], EPOLL_CTL_ADD, pair[1], &event));
	say_call("wrong operation", epoll_ctl(epoll, 17, pair[1], &event));
	write_all(pair[1], "x", 1);
	say("events %d, data %llu", epoll_wait(epoll, &event, 1, 1000), (unsigned long long)event.data.u64);
	say_call("DEL, NULL", epoll_ctl(epoll, EPOLL_CTL_DEL, pair[0], NULL));
}

static void dup_errors(void)
{
	say_call("dup of nothing", dup(999));
	say_call("dup2 of nothing", dup2(999, 5));
	say_call("dup3 onto itself", dup3(1, 1, 0));
	say_call("dup3, wrong flag", dup3(1, 50, 12345));
	say_call("F_DUPFD of nothing", fcntl(999, F_DUPFD, 3));
	say_call("F_DUPFD, negative", fcntl(1, F_DUPFD, -1));
	say_call("close of nothing", close(999));
	say_call("close of -1", close(-1));
	say_call("close_range, wrong order", close_range(10, 5, 0));
	say_call("socket, wrong family", socket(12345, SOCK_STREAM, 0));
	say_call("socket, wrong type", socket(AF_INET, 77, 0));
	say_call("socket, wrong protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"unix-abstract", unix_abstract},
		{"unix-path", unix_path},
		{"unix-nobody", unix_nobody},
		{"unix-pair", unix_pair},
		{"unix-datagrams", unix_datagrams},
		{"netlink", netlink},
		{"udp-unmatched", udp_unmatched},
		{"udp-beside-a-tcp-rule", udp_beside_a_tcp_rule},
		{"pipes-and-files", pipes_and_files},
		{"bad-addresses", bad_addresses},
		{"epoll-of-other-things", epoll_of_other_things},
		{"dup-errors", dup_errors},
	};

	return RUN_CASES(cases, argc, argv);
}
