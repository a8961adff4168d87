/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses and lengths as no book has them: what bind, accept, getsockname and getpeername make of them. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/un.h>

static bool is_v6(void)
{
	return here_family == AF_INET6;
}

/* --- bind */

static void bind_unspecified(void)
{
	struct place place = place_of("0.0.0.0", here_port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), client;

	place.sa.ss_family = AF_UNSPEC;
	say_call("bind", do_bind(fd, place));
	say_names("socket", fd);
	say_call("bind again", do_bind(fd, place));
	say_call("listen", listen(fd, 8));
	if (!is_v6()) {
		client = open_socket(0);
		say_call("connect", do_connect(client, here(0)));
		say_talk("talk", client, must_accept(fd));
	}
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	say_call("an AF_INET6 socket", do_bind(fd, place));
	place = place_of("127.0.0.1", here_port + 1);
	place.sa.ss_family = AF_UNSPEC;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	say_call("127.0.0.1", do_bind(fd, place));
	place = place_of("0.0.0.0", here_port + 1);
	place.sa.ss_family = AF_UNSPEC;
	say_call("too short", bind(fd, (struct sockaddr *)&place.sa, 15));
	say_call("longer", bind(fd, (struct sockaddr *)&place.sa, sizeof(place.sa)));
	say_names("socket", fd);
}

static void bind_lengths(void)
{
	struct place place = here(0);
	const socklen_t lengths[] = {0, 1, 2, 8, 15, 16, 20, 23, 24, 27, 28, 29, sizeof(place.sa), sizeof(place.sa) + 1, (socklen_t)-1};
	char room[sizeof(place.sa) + 8];

	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		const int fd = open_socket(0);
		char text[32];

		memcpy(room, &place.sa, sizeof(place.sa));
		snprintf(text, sizeof(text), "length %d", (int)lengths[i]);
		say_call(text, bind(fd, (struct sockaddr *)(void *)room, lengths[i]));
		say_names("socket", fd);
		close(fd);
	}
}

static void connect_lengths(void)
{
	struct place place = here(0);
	const socklen_t lengths[] = {0, 1, 2, 8, 15, 16, 23, 24, 28, sizeof(place.sa), sizeof(place.sa) + 1, (socklen_t)-1};
	const int listener = listen_at(here(0), 16);
	char room[sizeof(place.sa) + 8];

	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		const int fd = open_socket(0);
		char text[32];

		memcpy(room, &place.sa, sizeof(place.sa));
		snprintf(text, sizeof(text), "length %d", (int)lengths[i]);
		if (say_call(text, connect(fd, (struct sockaddr *)(void *)room, lengths[i])) == 0)
			say_talk("talk", fd, must_accept(listener));
		close(fd);
	}
}

static void bind_odd_places(void)
{
	struct place place = here(0);
	char room[sizeof(place.sa) + 8];
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open_socket(0);

	memcpy(room + 1, &place.sa, place.len);
	say_call("unaligned", bind(fd, (struct sockaddr *)(void *)(room + 1), place.len));
	say_names("socket", fd);
	close(fd);
	fd = open_socket(0);
	memcpy((char *)page + 4096 - place.len, &place.sa, place.len); /* nothing is behind it */
	mprotect(page, 4096, PROT_READ);
	say_call("read-only", bind(fd, (struct sockaddr *)((char *)page + 4096 - place.len), place.len));
	say_names("socket", fd);
	close(fd);
	fd = open_socket(0);
	say_call("NULL", bind(fd, NULL, place.len));
	say_call("NULL, connect", connect(fd, NULL, place.len));
	say_names("socket", fd);
}

static void bind_errors(void)
{
	const int bound = open_socket(0), connected = open_socket(0), listener = listen_at(here(0), 8);
	struct place place = here(1), netlink = {.len = 12};

	netlink.sa.ss_family = AF_NETLINK;
	must_connect(connected, here(0));
	say_call("a connected socket", do_bind(connected, place));
	say_call("a listener", do_bind(listener, place));
	say_call("the wrong family", do_bind(bound, netlink));
	say_call("no descriptor", do_bind(-1, place));
	say_call("no socket", do_bind(STDIN_FILENO, place));
	say_call("bind", do_bind(bound, place));
	say_call("the same again", do_bind(bound, place));
	say_names("bound", bound);
}

/* --- listen */

static void listen_errors(void)
{
	const struct pair pair = connect_pair(0);
	const int refused = open_socket(0);

	say_call("client", listen(pair.client, 8));
	say_call("server", listen(pair.server, 8));
	say_call("no descriptor", listen(-1, 8));
	say_call("no socket", listen(STDIN_FILENO, 8));
	say_call("connect", do_connect(refused, here(5)));
	say_call("after a refusal", listen(refused, 8));
	say_talk("talk", pair.client, pair.server);
}

static void backlogs(void)
{
	static const int backlog[] = {0, -1, 1, 1 << 30};

	for (unsigned i = 0; i < N_ELEMENTS(backlog); i++) {
		const int fd = open_socket(0), client = open_socket(0);

		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		say_call("bind", do_bind(fd, here(i)));
		say_call("listen", listen(fd, backlog[i]));
		say_call("connect", do_connect(client, here(i)));
		say_talk("talk", client, must_accept(fd));
		say_call("listen again", listen(fd, 2));
	}
}

/* --- the names of sockets, in rooms of all sizes */

typedef int name_call(int, struct sockaddr *, socklen_t *);

static unsigned char room[160];
static int accept_client;

static int call_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	const int client = open_socket(0);
	int got, error;

	accept_client = -1;
	must_connect(client, here(0));
	got = accept(fd, addr, len);
	error = errno;
	if (got < 0)
		close(client);
	else
		accept_client = client;
	if (got >= 0)
		close(got);
	errno = error;
	return got < 0 ? -1 : 0;
}

static int call_accept4(int fd, struct sockaddr *addr, socklen_t *len)
{
	const int client = open_socket(0);
	int got, error;

	must_connect(client, here(0));
	got = accept4(fd, addr, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	error = errno;
	if (got >= 0)
		close(got);
	accept_client = client;
	errno = error;
	return got < 0 ? -1 : 0;
}

/* As much of the name as fits is there, and not a byte more is touched. */
static void say_room(const char *what, name_call *call, int fd, socklen_t length, const struct place *whole)
{
	socklen_t len = length;
	bool untouched = true, cut = true;
	int rc, error;

	memset(room, 0xa5, sizeof(room));
	rc = call(fd, (struct sockaddr *)(void *)room, &len);
	error = errno;
	for (size_t i = length > sizeof(room) ? 0 : length; i < sizeof(room); i++)
		untouched = untouched && room[i] == 0xa5;
	if (rc == 0 && whole)
		cut = memcmp(room, &whole->sa, length < whole->len ? length : whole->len) == 0;
	say("%s, length %d: %s, now %d, beyond it %s, the name %s", what, (int)length, rc < 0 ? error_name(error) : "ok",
	    (int)len, untouched ? "untouched" : "touched", cut ? "as far as it goes" : "wrong");
}

static void say_rooms(const char *what, name_call *call, int fd, const struct place *whole)
{
	static const socklen_t lengths[] = {0, 1, 2, 4, 7, 8, 15, 16, 17, 24, 27, 28, 29, 110, 128, 160};
	socklen_t len = 0;

	for (size_t i = 0; i < N_ELEMENTS(lengths); i++)
		say_room(what, call, fd, lengths[i], whole);
	len = (socklen_t)-1;
	say("%s: negative length: %s", what, call(fd, (struct sockaddr *)(void *)room, &len) < 0 ? error_name(errno) : "ok");
	say("%s: no length: %s", what, call(fd, (struct sockaddr *)(void *)room, NULL) < 0 ? error_name(errno) : "ok");
}

static void own_name_rooms(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(1), 8), fresh = open_socket(0);
	const int fds[] = {pair.client, pair.server, listener, fresh};
	static const char *const who[] = {"client", "server", "listener", "fresh"};

	for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
		const struct place whole = own_name(fds[i]);
		socklen_t len = 0;

		say_rooms(who[i], getsockname, fds[i], &whole);
		say_call("NULL and length 0", getsockname(fds[i], NULL, &len));
		say("length: %d", (int)len);
		say_call("NULL and a length", getsockname(fds[i], NULL, &len));
		say_call("NULL, NULL", getsockname(fds[i], NULL, NULL));
	}
}

static void peer_name_rooms(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(1), 8), fresh = open_socket(0);
	struct place whole = peer_name(pair.client);
	socklen_t len = 0;

	say_rooms("client", getpeername, pair.client, &whole);
	whole = peer_name(pair.server);
	say_rooms("server", getpeername, pair.server, &whole);
	shutdown(pair.server, SHUT_WR);
	say_rooms("server, shut down", getpeername, pair.server, &whole);
	say_rooms("listener", getpeername, listener, NULL);
	say_rooms("fresh", getpeername, fresh, NULL);
	say_call("NULL and length 0", getpeername(pair.client, NULL, &len));
	say("length: %d", (int)len);
}

static void accept_rooms(void)
{
	const int listener = listen_at(here(0), 64), unbound = open_socket(0);
	static const socklen_t lengths[] = {0, 1, 2, 4, 8, 15, 16, 17, 27, 28, 29, 128, 160};
	name_call *const calls[] = {call_accept, call_accept4};

	for (size_t c = 0; c < N_ELEMENTS(calls); c++) {
		socklen_t len = (socklen_t)-1;

		for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
			say_room("accept", calls[c], listener, lengths[i], NULL);
			if (lengths[i] >= (is_v6() ? 28 : 16)) {
				const struct place whole = own_name(accept_client);

				say("the client's name: %s", yes_no(memcmp(room, &whole.sa, whole.len) == 0));
			}
			close(accept_client);
		}
		say_call("negative", calls[c](listener, (struct sockaddr *)(void *)room, &len));
		say_call("no length", calls[c](listener, (struct sockaddr *)(void *)room, NULL));
		len = 16;
		say_call("NULL and a length", calls[c](listener, NULL, &len));
		say("length: %d", (int)len);
	}
	memset(room, 0xa5, sizeof(room));
	for (int i = 0; i < 2; i++) {
		socklen_t len = 16;

		set_nonblocking(listener, true);
		say_call(i ? "accept on an unbound socket" : "accept with nobody there",
			 accept(i ? unbound : listener, (struct sockaddr *)(void *)room, &len));
		say("length: %d, room %s", (int)len, room[0] == 0xa5 ? "untouched" : "touched");
	}
}

/* Pointers that are none; a sanitizer itself stumbles over them. */
static void bad_pointers(void)
{
	const struct pair pair = connect_pair(0);
	const int fd = open_socket(0), listener = listen_at(here(1), 8), client = open_socket(0);
	struct sockaddr *const any = (struct sockaddr *)(void *)room;
	const struct place place = here(2);
	socklen_t len = sizeof(room);

	say_call("bind", bind(fd, (struct sockaddr *)-1, place.len));
	say_call("connect", connect(fd, (struct sockaddr *)-1, place.len));
	say_names("socket", fd);
	say_call("getsockname, length", getsockname(pair.server, any, (socklen_t *)1));
	say_call("getpeername, length", getpeername(pair.client, any, (socklen_t *)-1));
	say_call("getsockname", getsockname(pair.server, (struct sockaddr *)1, &len));
	say_call("getpeername", getpeername(pair.client, (struct sockaddr *)1, &len));
	must_connect(client, here(1));
	say_call("accept, length", accept(listener, any, (socklen_t *)1));
}

/* Names of other families are none of our business. */
static void other_families(void)
{
	const int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(un);
	int pair[2], listener, fd;
	struct place whole;

	if (netlink < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socket");
	whole = own_name(netlink);
	say_rooms("netlink", getsockname, netlink, &whole);
	whole = own_name(pair[0]);
	say("unnamed: length %d", (int)whole.len);
	say_rooms("unnamed", getsockname, pair[0], &whole);
	say_rooms("unnamed peer", getpeername, pair[1], &whole);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "odd-%u-%d", here_port, (int)getpid());
	if (bind(listener, (struct sockaddr *)&un, sizeof(sa_family_t) + 10) < 0 || listen(listener, 4) < 0)
		die("bind");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	say_call("connect", connect(fd, (struct sockaddr *)&un, sizeof(sa_family_t) + 10));
	len = sizeof(room);
	memset(room, 0xa5, sizeof(room));
	fd = accept(listener, (struct sockaddr *)(void *)room, &len);
	say("accept: %s, length %d, family %d, beyond it %s", yes_no(fd >= 0), (int)len, room[0] | room[1] << 8,
	    room[2] == 0xa5 ? "untouched" : "touched");
	whole = own_name(fd);
	say_rooms("named", getsockname, fd, &whole);
	say_call("listen", listen(pair[0], 1));
	say_call("shutdown", shutdown(pair[0], SHUT_WR));
	say_call("getpeername", getpeername(pair[0], (struct sockaddr *)(void *)room, &len));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"bind-unspecified", bind_unspecified},
		{"bind-lengths", bind_lengths},
		{"connect-lengths", connect_lengths},
		{"bind-odd-places", bind_odd_places},
		{"bind-errors", bind_errors},
		{"listen-errors", listen_errors},
		{"backlogs", backlogs},
		{"own-name-rooms", own_name_rooms},
		{"peer-name-rooms", peer_name_rooms},
		{"accept-rooms", accept_rooms},
		{"bad-pointers", bad_pointers},
		{"other-families", other_families},
	};

	return RUN_CASES(cases, argc, argv);
}
