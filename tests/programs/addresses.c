/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect() with odd addresses and lengths, and on sockets in every state. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/mman.h>
#include <sys/un.h>

static int do_connect_len(int fd, struct place to, socklen_t len)
{
	return connect(fd, (struct sockaddr *)&to.sa, len);
}

static int dissolve(int fd)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	return connect(fd, &none, sizeof(none));
}

static struct place other_family(void)
{
	return place_of(here_family == AF_INET ? "::1" : "127.0.0.1", here_port);
}

static void this_host(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("connect to the wildcard", do_connect(fd, wildcard(0)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void this_host_by_wildcard(void)
{
	const int listener = listen_at(wildcard(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);

	say("connect to the wildcard: %s", error_name(finish_connect(fd, wildcard(0))));
	set_nonblocking(fd, false);
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void this_host_nobody(void)
{
	const int fd = open_socket(0);

	say_call("connect to the wildcard", do_connect(fd, wildcard(5)));
}

static void this_host_v4_mapped(void)
{
	const int listener = listen_at(wildcard(0), 8);
	const int fd = open_socket(0);

	if (here_family == AF_INET6) {
		say_call("connect", do_connect(fd, place_of("::ffff:0.0.0.0", here_port)));
		say_names("client", fd);
		say_talk("talk", fd, must_accept(listener));
	}
}

/* A server that has bound the wildcard, and a client that was bound before. */
static void this_host_from_a_port(void)
{
	const int listener = listen_at(wildcard(0), 8);
	const int fd = open_socket(0);

	say_call("bind", do_bind(fd, wildcard(1)));
	say_call("connect", do_connect(fd, wildcard(0)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void long_address(void)
{
	struct place to = here(0);
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	memset((char *)&to.sa + to.len, 0xee, sizeof(to.sa) - to.len);
	say_call("the size of sockaddr_storage", do_connect_len(fd, to, sizeof(to.sa)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void unaligned_address(void)
{
	struct place to = here(0);
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	char room[sizeof(to.sa) + 1];

	memcpy(room + 1, &to.sa, to.len);
	say_call("connect", connect(fd, (struct sockaddr *)(void *)(room + 1), to.len));
	say_talk("talk", fd, must_accept(listener));
}

/* The address is the last thing on a page that nobody may write to, before one that nobody may read. */
static void read_only_address(void)
{
	struct place to = here(0);
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = memory + page - to.len;

	if (memory == MAP_FAILED)
		die("mmap");
	memcpy(at, &to.sa, to.len);
	if (mprotect(memory, page, PROT_READ) < 0 || mprotect(memory + page, page, PROT_NONE) < 0)
		die("mprotect");
	say_call("connect", connect(fd, (struct sockaddr *)(void *)at, to.len));
	say_talk("talk", fd, must_accept(listener));
	say("untouched: %s", yes_no(memcmp(at, &to.sa, to.len) == 0));
}

static void odd_addresses(const char *who, int fd)
{
	struct place to = here(5);
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};

	say("%s", who);
	say_call("  length 0", do_connect_len(fd, to, 0));
	say_call("  length 1", do_connect_len(fd, to, 1));
	say_call("  length 2", do_connect_len(fd, to, 2));
	say_call("  one byte short", do_connect_len(fd, to, (here_family == AF_INET ? 16 : 24) - 1));
	say_call("  longer than any", connect(fd, (struct sockaddr *)&un, sizeof(to.sa) + 1));
	say_call("  length -1", do_connect_len(fd, to, (socklen_t)-1));
	say_call("  the other family", do_connect(fd, other_family()));
	say_call("  the other family, long", do_connect_len(fd, other_family(), sizeof(to.sa)));
	say_call("  a path", connect(fd, (struct sockaddr *)&un, sizeof(un)));
	un.sun_family = 4711;
	say_call("  an unknown family", connect(fd, (struct sockaddr *)&un, sizeof(un)));
	un.sun_family = AF_UNSPEC;
	say_call("  AF_UNSPEC, length 1", connect(fd, (struct sockaddr *)&un, 1));
}

static void odd_on_fresh(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	odd_addresses("fresh", fd);
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void odd_on_bound(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("bind", do_bind(fd, here(1)));
	odd_addresses("bound", fd);
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void odd_on_connected(void)
{
	const struct pair pair = connect_pair(0);

	odd_addresses("client", pair.client);
	odd_addresses("accepted", pair.server);
	say_talk("talk", pair.client, pair.server);
}

static void odd_on_listener(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	odd_addresses("listener", listener);
	must_connect(fd, here(0));
	say_talk("talk", fd, must_accept(listener));
}

static void odd_after_refused(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("connect", do_connect(fd, here(5)));
	odd_addresses("refused", fd);
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void say_connects(const char *who, int fd)
{
	say("%s", who);
	say_call("  connect here", do_connect(fd, here(0)));
	say_call("  connect elsewhere", do_connect(fd, other(1)));
}

static void say_binds(const char *who, int fd)
{
	say("%s", who);
	say_call("  bind", do_bind(fd, here(3)));
	say_call("  bind elsewhere", do_bind(fd, other(3)));
}

static void connected(void)
{
	const struct pair pair = connect_pair(0);

	say_connects("client", pair.client);
	say_connects("accepted", pair.server);
	say_binds("client", pair.client);
	say_binds("accepted", pair.server);
	say_talk("talk", pair.client, pair.server);
	shutdown(pair.client, SHUT_WR);
	say_connects("client, shut down for writing", pair.client);
	say_connects("accepted, peer shut down", pair.server);
	shutdown(pair.server, SHUT_WR);
	say_connects("both shut down: client", pair.client);
	say_connects("both shut down: accepted", pair.server);
	shutdown(pair.client, SHUT_RDWR);
	say_connects("client", pair.client);
}

static void shut_down_at_once(void)
{
	const struct pair pair = connect_pair(0);

	shutdown(pair.client, SHUT_RDWR);
	say_connects("client", pair.client);
	shutdown(pair.server, SHUT_RDWR);
	say_connects("accepted", pair.server);
	close(pair.server);
	say_connects("client, peer closed", pair.client);
}

static void peer_closed(void)
{
	const struct pair pair = connect_pair(0);

	close(pair.server);
	wait_for(pair.client, POLLIN, 20000);
	say_connects("client", pair.client);
}

static void dissolve_client(void)
{
	struct pair pair = connect_pair(0);
	const int listener = listen_at(here(2), 8);
	struct place peer = {.len = sizeof(peer.sa)};

	say_call("AF_UNSPEC", dissolve(pair.client));
	say_call("getpeername", getpeername(pair.client, (struct sockaddr *)&peer.sa, &peer.len));
	say_call("AF_UNSPEC again", dissolve(pair.client));
	say_call("bind", do_bind(pair.client, here(1)));
	say_call("connect", do_connect(pair.client, here(2)));
	say_talk("talk", pair.client, must_accept(listener));
	say("port: %s", own_port(pair.client) == here_port + 1 ? "as bound" : "another");
	say_call("AF_UNSPEC", dissolve(pair.client));
	say_call("listen", listen(pair.client, 8));
}

static void dissolve_accepted(void)
{
	struct pair pair = connect_pair(0);
	const int listener = listen_at(here(2), 8);

	say_call("AF_UNSPEC", dissolve(pair.server));
	say_call("connect", do_connect(pair.server, here(2)));
	say_talk("talk", pair.server, must_accept(listener));
}

static void dissolve_bound(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("bind", do_bind(fd, here(1)));
	say_call("AF_UNSPEC", dissolve(fd));
	say_names("bound", fd);
	say_call("connect", do_connect(fd, here(0)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void dissolve_listener(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	say_call("AF_UNSPEC", dissolve(listener));
	say_names("listener", listener);
	say_call("connect", do_connect(fd, here(0)));
	say_call("listen again", listen(listener, 8));
	say_call("connect", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void dissolve_refused(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);

	say("connect: %s", error_name(finish_connect(fd, here(5))));
	say_call("AF_UNSPEC", dissolve(fd));
	say("connect: %s", error_name(finish_connect(fd, here(0))));
	set_nonblocking(fd, false);
	say_talk("talk", fd, must_accept(listener));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"this-host", this_host},
		{"this-host-by-wildcard", this_host_by_wildcard},
		{"this-host-nobody", this_host_nobody},
		{"this-host-v4-mapped", this_host_v4_mapped},
		{"this-host-from-a-port", this_host_from_a_port},
		{"long-address", long_address},
		{"unaligned-address", unaligned_address},
		{"read-only-address", read_only_address},
		{"odd-on-fresh", odd_on_fresh},
		{"odd-on-bound", odd_on_bound},
		{"odd-on-connected", odd_on_connected},
		{"odd-on-listener", odd_on_listener},
		{"odd-after-refused", odd_after_refused},
		{"connected", connected},
		{"shut-down-at-once", shut_down_at_once},
		{"peer-closed", peer_closed},
		{"dissolve-client", dissolve_client},
		{"dissolve-accepted", dissolve_accepted},
		{"dissolve-bound", dissolve_bound},
		{"dissolve-listener", dissolve_listener},
		{"dissolve-refused", dissolve_refused},
	};

	return RUN_CASES(cases, argc, argv);
}
