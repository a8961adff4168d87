/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AF_INET6 sockets beside AF_INET ones: loopback, wildcard, v4-mapped, dual stack and IPV6_V6ONLY. */
#define _GNU_SOURCE 1
#include "common.h"

/* These cases bring their own addresses; of the command line only the port is used. */
static struct place at(const char *text, unsigned n)
{
	return place_of(text, here_port + n);
}

static int open_family(int family)
{
	const int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static int family_of(struct place place)
{
	return place.sa.ss_family;
}

/* only: -1 leaves IPV6_V6ONLY alone */
static int listen_on(struct place place, int only)
{
	const int fd = open_family(family_of(place));

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (only >= 0)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
	if (say_call("bind", do_bind(fd, place)) < 0 || say_call("listen", listen(fd, 8)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void meet(int listener, struct place to)
{
	const int fd = open_family(family_of(to));
	struct place from = {.len = sizeof(from.sa)};
	int server;

	if (say_call("connect", do_connect(fd, to)) < 0) {
		close(fd);
		return;
	}
	server = accept(listener, (struct sockaddr *)&from.sa, &from.len);
	if (server < 0)
		die("accept");
	say("accept: %s, length %d", loose_text(from), (int)from.len);
	say_names("client", fd);
	say("server: own name %s", loose_text(own_name(server)));
	say("server: peer name %s", loose_text(peer_name(server)));
	say("ports agree: %s", yes_no(own_port(fd) == peer_port(server)));
	say("SO_DOMAIN: client %d, server %d", option(fd, SOL_SOCKET, SO_DOMAIN),
	    option(server, SOL_SOCKET, SO_DOMAIN));
	say_talk("talk", fd, server);
	close(fd);
	close(server);
}

static void loopback6(void)
{
	meet(listen_on(at("::1", 0), -1), at("::1", 0));
}

static void wildcard6_from_v6(void)
{
	meet(listen_on(at("::", 0), -1), at("::1", 0));
}

static void wildcard6_from_v4(void)
{
	meet(listen_on(at("::", 0), 0), at("127.0.0.1", 0));
}

static void wildcard6_from_v4_mapped(void)
{
	meet(listen_on(at("::", 0), 0), at("::ffff:127.0.0.1", 0));
}

static void v4_listener_from_v4_mapped(void)
{
	meet(listen_on(at("127.0.0.1", 0), -1), at("::ffff:127.0.0.1", 0));
}

static void v4_mapped_listener_from_v4(void)
{
	meet(listen_on(at("::ffff:127.0.0.1", 0), 0), at("127.0.0.1", 0));
}

static void wildcard4_from_v4_mapped(void)
{
	meet(listen_on(at("0.0.0.0", 0), -1), at("::ffff:127.0.0.1", 0));
}

static void dual_stack_both_families(void)
{
	const int listener = listen_on(at("::", 0), 0);

	meet(listener, at("::1", 0));
	meet(listener, at("127.0.0.1", 0));
	meet(listener, at("::ffff:127.0.0.1", 0));
	meet(listener, at("::1", 0));
}

static void v6only_listener_from_v6(void)
{
	meet(listen_on(at("::", 0), 1), at("::1", 0));
}

/* The usual server: one socket a family, the IPv6 one restricted to IPv6. Both succeed, both are served. */
static void both_wildcards_with_v6only(void)
{
	const int four = listen_on(at("0.0.0.0", 0), -1);
	const int six = listen_on(at("::", 0), 1);
	const struct place to[] = {at("127.0.0.1", 0), at("::1", 0), at("::ffff:127.0.0.1", 0)};

	for (size_t i = 0; i < N_ELEMENTS(to); i++) {
		struct pollfd waiting[2] = {{.fd = four, .events = POLLIN}, {.fd = six, .events = POLLIN}};
		const int fd = open_family(family_of(to[i]));
		int server;

		if (say_call("connect", do_connect(fd, to[i])) < 0)
			continue;
		if (poll(waiting, 2, 20000) < 1)
			die("poll");
		/* Which of the two it comes to is the transport's business if both serve it. */
		server = must_accept(waiting[0].revents ? four : six);
		say_talk("talk", fd, server);
		say_names("client", fd);
		close(fd);
		close(server);
	}
}

/* Without IPV6_V6ONLY the second of them is in use, in either order. */
static void wildcards_without_v6only(void)
{
	int first, second;

	first = listen_on(at("0.0.0.0", 0), -1);
	second = listen_on(at("::", 0), 0);
	if (second >= 0)
		close(second);
	close(first);
	first = listen_on(at("::", 1), 0);
	second = listen_on(at("0.0.0.0", 1), -1);
	if (second >= 0)
		close(second);
	close(first);
}

static void v6only_reads_back(void)
{
	for (int value = 0; value < 2; value++) {
		const int fd = open_family(AF_INET6);

		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, value);
		say("before bind: %d", option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
		say_call("bind", do_bind(fd, at("::", 0)));
		say("after bind: %d", option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
		say("own name: %s", own_text(fd));
		close(fd);
	}
}

static void fresh_name(void)
{
	const int fd = open_family(AF_INET6);

	say_names("fresh", fd);
}

static void listen_without_bind6(void)
{
	const int fd = open_family(AF_INET6);
	const int client = open_family(AF_INET6);

	say_call("listen", listen(fd, 8));
	say("address: %s", own_text(fd));
	say_call("connect", do_connect(client, place_of("::1", own_port(fd))));
	say_talk("talk", client, must_accept(fd));
}

static void port_0_listener6(void)
{
	const int fd = open_family(AF_INET6);
	const int client = open_family(AF_INET6);

	say_call("bind", do_bind(fd, place_of("::", 0)));
	say("port is 0: %s", yes_no(own_port(fd) == 0));
	say_call("listen", listen(fd, 8));
	say_call("connect", do_connect(client, place_of("::1", own_port(fd))));
	say_talk("talk", client, must_accept(fd));
}

/* Java's way: an AF_INET6 socket for everything, IPv4 written v4-mapped, bound to :: first. */
static void dual_stack_client(void)
{
	const int listener = listen_on(at("0.0.0.0", 0), -1);
	const int fd = open_family(AF_INET6);
	unsigned port;

	set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	say_call("bind", do_bind(fd, place_of("::", 0)));
	port = own_port(fd);
	say_call("connect", do_connect(fd, at("::ffff:127.0.0.1", 0)));
	say("port kept: %s", yes_no(own_port(fd) == port));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void refused6(void)
{
	const int fd = open_family(AF_INET6);

	say_call("connect to ::1", do_connect(fd, at("::1", 5)));
	say_call("connect to the v4-mapped one", do_connect(fd, at("::ffff:127.0.0.1", 5)));
	say_call("connect to an unmatched one", do_connect(fd, at("::ffff:127.0.0.2", 5)));
}

static void v6_then_v4_mapped_on_one_socket(void)
{
	const int fd = open_family(AF_INET6);
	const int listener = listen_on(at("127.0.0.1", 0), -1);

	say_call("connect to ::1", do_connect(fd, at("::1", 5)));
	say_call("connect to the v4-mapped one", do_connect(fd, at("::ffff:127.0.0.1", 0)));
	say_names("client", fd);
	say_talk("talk", fd, must_accept(listener));
}

static void wrong_families(void)
{
	const struct place four = at("127.0.0.1", 0), six = at("::1", 0);
	int fd;

	listen_on(four, -1);
	fd = open_family(AF_INET);
	say_call("AF_INET socket, AF_INET6 address: connect", do_connect(fd, six));
	say_call("AF_INET socket, AF_INET6 address: bind", do_bind(fd, six));
	say_names("socket", fd);
	fd = open_family(AF_INET6);
	say_call("AF_INET6 socket, AF_INET address: bind", do_bind(fd, at("127.0.0.1", 2)));
}

/* Longer lengths than the address needs, odd alignment, and memory that cannot be written. */
static void sockaddr_in_odd_places(void)
{
	static const char *const text[] = {"127.0.0.1", "::1"};

	for (size_t i = 0; i < 2; i++) {
		struct place to = at(text[i], 0);
		char room[sizeof(to.sa) + 8];
		int listener = listen_on(to, -1);
		int fd = open_family(family_of(to));

		say_call("sizeof(struct sockaddr_storage)",
			 connect(fd, (struct sockaddr *)&to.sa, sizeof(to.sa)));
		say_talk("talk", fd, must_accept(listener));
		fd = open_family(family_of(to));
		memcpy(room + 1, &to.sa, sizeof(to.sa));
		say_call("unaligned", connect(fd, (struct sockaddr *)(void *)(room + 1), to.len));
		say_talk("talk", fd, must_accept(listener));
		fd = open_family(family_of(to));
		say_call("one byte longer", connect(fd, (struct sockaddr *)&to.sa, to.len + 1));
		say_call("sizeof(struct sockaddr_storage) + 1",
			 connect(fd, (struct sockaddr *)room, sizeof(to.sa) + 1));
		close(listener);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"loopback6", loopback6},
		{"wildcard6-from-v6", wildcard6_from_v6},
		{"wildcard6-from-v4", wildcard6_from_v4},
		{"wildcard6-from-v4-mapped", wildcard6_from_v4_mapped},
		{"v4-listener-from-v4-mapped", v4_listener_from_v4_mapped},
		{"v4-mapped-listener-from-v4", v4_mapped_listener_from_v4},
		{"wildcard4-from-v4-mapped", wildcard4_from_v4_mapped},
		{"dual-stack-both-families", dual_stack_both_families},
		{"v6only-listener-from-v6", v6only_listener_from_v6},
		{"both-wildcards-with-v6only", both_wildcards_with_v6only},
		{"wildcards-without-v6only", wildcards_without_v6only},
		{"v6only-reads-back", v6only_reads_back},
		{"fresh-name", fresh_name},
		{"listen-without-bind6", listen_without_bind6},
		{"port-0-listener6", port_0_listener6},
		{"dual-stack-client", dual_stack_client},
		{"refused6", refused6},
		{"v6-then-v4-mapped-on-one-socket", v6_then_v4_mapped_on_one_socket},
		{"wrong-families", wrong_families},
		{"sockaddr-in-odd-places", sockaddr_in_odd_places},
	};

	return RUN_CASES(cases, argc, argv);
}
