/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accept, accept4, getsockname, getpeername: what they fill in, and not a byte more than there is room for. */
#define _GNU_SOURCE 1
#include "common.h"

#include <stddef.h>

#define CANARY 0xa5

static struct {
	unsigned char before[32];
	unsigned char bytes[256];
} box;

static void fill_box(void)
{
	memset(&box, CANARY, sizeof(box));
}

/* Where there was room for it, the port is this one (it stands behind the family in both families). */
static void say_port(socklen_t room, unsigned port)
{
	in_port_t value;

	if (room < 4)
		return;
	memcpy(&value, box.bytes + 2, sizeof(value));
	say("  right port: %s", yes_no(ntohs(value) == port));
}

/* How many bytes of the box were written, and whether anything beyond `room` was. */
static void say_box(const char *what, int rc, socklen_t room, socklen_t len)
{
	const int error = errno;
	char family[24] = "-";
	size_t written = sizeof(box.bytes), outside = 0;
	sa_family_t value;

	while (written && box.bytes[written - 1] == CANARY)
		written--;
	for (size_t i = 0; i < sizeof(box.before); i++)
		outside += box.before[i] != CANARY;
	memcpy(&value, box.bytes, sizeof(value));
	if (written >= sizeof(value))
		snprintf(family, sizeof(family), "%s", family_text(value));
	/* The last bytes of an AF_INET6 address are the scope and may be anything but the canary. */
	say("%s, room %d: %s, length %d, within room: %s, family %s", what, (int)room,
	    rc < 0 ? error_name(error) : "ok", (int)len, yes_no(!outside && written <= room), family);
}

static const socklen_t rooms[] = {0, 1, 2, 4, 15, 16, 24, 27, 28, 110, 128};

static void accept_into(int (*how)(int, struct sockaddr *, socklen_t *), const char *what)
{
	const int listener = listen_at(here(0), 8);

	for (size_t i = 0; i < N_ELEMENTS(rooms); i++) {
		const int client = open_socket(0);
		socklen_t len = rooms[i];
		int fd;

		fill_box();
		must_connect(client, here(0));
		fd = how(listener, (struct sockaddr *)box.bytes, &len);
		say_box(what, fd, rooms[i], len);
		say_port(rooms[i], own_port(client));
		close(fd);
		close(client);
	}
}

static int accept4_plain(int fd, struct sockaddr *sa, socklen_t *len)
{
	return accept4(fd, sa, len, 0);
}

static void accept_rooms(void)
{
	accept_into(accept, "accept");
}

static void accept4_rooms(void)
{
	accept_into(accept4_plain, "accept4");
}

static void accept_null(void)
{
	const int listener = listen_at(here(0), 8);
	socklen_t len = 16;
	int fd;

	must_connect(open_socket(0), here(0));
	say_call("accept, NULL, NULL", accept(listener, NULL, NULL));
	must_connect(open_socket(0), here(0));
	say_call("accept4, NULL, NULL", accept4(listener, NULL, NULL, 0));
	must_connect(open_socket(0), here(0));
	say_call("accept, NULL, a length", accept(listener, NULL, &len));
	say("length is left alone: %s", yes_no(len == 16));
	must_connect(open_socket(0), here(0));
	fill_box();
	fd = accept(listener, (struct sockaddr *)box.bytes, NULL);
	say_box("accept, buffer, NULL", fd, 0, 0);
	len = (socklen_t)-1;
	must_connect(open_socket(0), here(0));
	fd = accept(listener, (struct sockaddr *)box.bytes, &len);
	say_box("accept, length -1", fd, 0, len);
}

/* After accept() said EFAULT or EINVAL the connection is gone, but the listener works. */
static void accept_goes_on_after_faults(void)
{
	const int listener = listen_at(here(0), 8);
	const unsigned before = count_fds();
	int client;
	socklen_t len = (socklen_t)-1;

	client = open_socket(0);
	must_connect(client, here(0));
	say_call("accept, length -1", accept(listener, (struct sockaddr *)box.bytes, &len));
	close(client);
	say("descriptors leaked: %u", count_fds() - before);
	client = open_socket(0);
	must_connect(client, here(0));
	say_talk("talk", client, must_accept(listener));
}

static void accept4_flags(void)
{
	static const int flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};
	const int listener = listen_at(here(0), 8);
	int fd;

	for (size_t i = 0; i < N_ELEMENTS(flags); i++) {
		must_connect(open_socket(0), here(0));
		fd = accept4(listener, NULL, NULL, flags[i]);
		if (fd < 0)
			die("accept4");
		say("accept4: O_NONBLOCK %s, FD_CLOEXEC %s", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK),
		    yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	}
	say_call("accept4, wrong flag", accept4(listener, NULL, NULL, 1));
}

static void name_rooms(int (*how)(int, struct sockaddr *, socklen_t *), const char *what, int fd,
		       unsigned port)
{
	for (size_t i = 0; i < N_ELEMENTS(rooms); i++) {
		socklen_t len = rooms[i];
		int rc;

		fill_box();
		rc = how(fd, (struct sockaddr *)box.bytes, &len);
		say_box(what, rc, rooms[i], len);
		if (rc == 0)
			say_port(rooms[i], port);
	}
}

static void getsockname_rooms(void)
{
	const struct pair pair = connect_pair(0);

	name_rooms(getsockname, "getsockname of client", pair.client, peer_port(pair.server));
	name_rooms(getsockname, "getsockname of server", pair.server, here_port);
	name_rooms(getsockname, "getsockname of listener", listen_at(here(0), 8), here_port);
	name_rooms(getsockname, "getsockname of fresh socket", open_socket(0), 0);
}

static void getpeername_rooms(void)
{
	const struct pair pair = connect_pair(0);

	name_rooms(getpeername, "getpeername of client", pair.client, here_port);
	name_rooms(getpeername, "getpeername of server", pair.server, own_port(pair.client));
	name_rooms(getpeername, "getpeername of fresh socket", open_socket(0), 0);
}

static void names_null(void)
{
	const struct pair pair = connect_pair(0);
	socklen_t len = 16, minus = (socklen_t)-1;

	say_call("getsockname, NULL, NULL", getsockname(pair.client, NULL, NULL));
	say_call("getpeername, NULL, NULL", getpeername(pair.server, NULL, NULL));
	say_call("getsockname, NULL, length", getsockname(pair.client, NULL, &len));
	say_call("getpeername, NULL, length", getpeername(pair.server, NULL, &len));
	say_call("getsockname, buffer, NULL", getsockname(pair.client, (struct sockaddr *)box.bytes, NULL));
	say_call("getpeername, buffer, NULL", getpeername(pair.client, (struct sockaddr *)box.bytes, NULL));
	say_call("getsockname, length -1", getsockname(pair.client, (struct sockaddr *)box.bytes, &minus));
	say_call("getpeername, length -1", getpeername(pair.client, (struct sockaddr *)box.bytes, &minus));
	len = 0;
	say_call("getsockname, NULL, length 0", getsockname(pair.client, NULL, &len));
	say("length %u", (unsigned)len);
}

static void unbound(void)
{
	const int fd = open_socket(0);

	say_names("fresh", fd);
	set_nonblocking(fd, true);
	say_names("fresh, touched", fd);
}

static void errors(void)
{
	const struct pair pair = connect_pair(0);
	struct place name = {.len = sizeof(name.sa)};
	struct sockaddr *sa = (struct sockaddr *)&name.sa;
	int pipe_fd[2];

	if (pipe(pipe_fd) < 0)
		die("pipe");
	say_call("accept on a connected socket", accept(pair.client, sa, &name.len));
	say_call("accept on a fresh socket", accept(open_socket(0), sa, &name.len));
	say_call("accept on a pipe", accept(pipe_fd[0], sa, &name.len));
	say_call("accept on nothing", accept(999, sa, &name.len));
	say_call("getsockname of a pipe", getsockname(pipe_fd[0], sa, &name.len));
	say_call("getpeername of a pipe", getpeername(pipe_fd[0], sa, &name.len));
	say_call("getsockname of nothing", getsockname(-1, sa, &name.len));
	say_call("getpeername of nothing", getpeername(999, sa, &name.len));
	say_call("getpeername of a listener", getpeername(listen_at(here(1), 8), sa, &name.len));
	say_call("listen on a connected socket", listen(pair.client, 8));
	say_call("listen on a pipe", listen(pipe_fd[0], 8));
	say_call("bind of a connected socket", do_bind(pair.client, here(2)));
}

/* Names stay while the connection is open, whatever its peer does. */
static void names_while_half_closed(void)
{
	const struct pair pair = connect_pair(0);

	shutdown(pair.client, SHUT_WR);
	read_all(pair.server, &(char){0}, 1);
	say_names("client after its SHUT_WR", pair.client);
	say_names("server at end of file", pair.server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"accept-rooms", accept_rooms},
		{"accept4-rooms", accept4_rooms},
		{"accept-null", accept_null},
		{"accept-goes-on-after-faults", accept_goes_on_after_faults},
		{"accept4-flags", accept4_flags},
		{"getsockname-rooms", getsockname_rooms},
		{"getpeername-rooms", getpeername_rooms},
		{"names-null", names_null},
		{"unbound", unbound},
		{"errors", errors},
		{"names-while-half-closed", names_while_half_closed},
	};

	return RUN_CASES(cases, argc, argv);
}
