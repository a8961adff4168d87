/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of UDP sockets and of their peers, ports that are taken or chosen, both families, and what a socket says
 * it is. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

static void fresh_and_bound(void)
{
	int fd = open_udp(0);

	say_names("fresh", fd);
	if (do_bind(fd, here(0)) < 0)
		die("bind");
	say_names("bound", fd);
	close(fd);
	fd = udp_at(wildcard(0));
	say_names("bound to all", fd);
	close(fd);
}

static void port_is_chosen(void)
{
	int fds[50];
	unsigned same = 0, zero = 0;

	for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
		fds[i] = udp_at(i % 2 ? here_any_port()
				      : place_of(here_family == AF_INET ? "0.0.0.0" : "::", 0));
		zero += own_port(fds[i]) == 0;
		for (size_t j = 0; j < i; j++)
			same += own_port(fds[i]) == own_port(fds[j]);
	}
	say("zero %u, same %u", zero, same);
	for (size_t i = 0; i < N_ELEMENTS(fds); i += 10) {
		const struct place at = place_of(here_text, own_port(fds[i]));
		const int client = udp_to(at);
		struct place from;

		put(client, "found", 5);
		take_from(fds[i], (char[8]){0}, 8, &from);
		say("from %s", loose_text(from));
		put_to(fds[i], "back", 4, from);
		say_text("client", client);
		close(client);
	}
	say_names("of all", fds[0]);
	say_names("of one", fds[1]);
}

/* The first datagram gives a socket its port. */
static void bound_by_sending(void)
{
	const int server = udp_at(here(0)), client = open_udp(0);
	unsigned port;

	put_to(client, "x", 1, here(0));
	say_names("client", client);
	port = own_port(client);
	for (int i = 0; i < 5; i++)
		put_to(client, "x", 1, here(0));
	say("the same port: %s", yes_no(port == own_port(client)));
	say_call("bind", do_bind(client, here(1)));
	say_text("server", server);
	say_names("server", server);
}

static void bound_by_connect(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	unsigned port = own_port(client);
	struct place from;

	say_names("client", client);
	say_call("bind", do_bind(client, here(1)));
	put(client, "x", 1);
	from = say_text_from("server", server);
	say("the same port: %s", yes_no(port == own_port(client) && port == port_of(&from.sa)));
	must_connect(client, here(1));
	say_names("elsewhere", client);
	say("the same port: %s", yes_no(port == own_port(client)));
}

/* A socket that is bound to all addresses has one when it has a peer. */
static void wildcard_then_connect(void)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	const int server = udp_at(wildcard(0)), client = udp_at(wildcard(1));

	must_connect(client, here(0));
	say_names("client", client);
	put(client, "x", 1);
	say_text("server", server);
	must_connect(server, here(1));
	say_names("server", server);
	say_call("disconnect", connect(server, &none, sizeof(none)));
	say_names("server", server);
	say_call("disconnect", connect(client, &none, sizeof(none)));
	say_names("client", client);
	put_to(client, "still here", 10, here(0));
	say_text("server", server);
}

static void bound_twice(void)
{
	const int fd = udp_at(here(0));

	say_call("bind", do_bind(fd, here(0)));
	say_call("bind", do_bind(fd, here(1)));
	say_call("bind", do_bind(fd, wildcard(1)));
	say_names("bound", fd);
}

static void taken(void)
{
	int first = udp_at(here(0)), second = open_udp(0);

	say_call("bind", do_bind(second, here(0)));
	say_call("bind to all", do_bind(second, wildcard(0)));
	say_names("second", second);
	set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
	say_call("only one allows it", do_bind(second, here(0)));
	close(first);
	say_call("bind", do_bind(second, here(0)));
	first = open_udp(0);
	say_call("bind", do_bind(first, here(0)));
	set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
	say_call("both allow it", do_bind(first, here(0)));
	close(first);
	close(second);
	first = udp_at(wildcard(0));
	second = open_udp(0);
	say_call("one of all", do_bind(second, here(0)));
	say_call("another port", do_bind(second, here(1)));
	put_to(first, "x", 1, here(1));
	say_text("second", second);
}

/* TCP's ports are other ports. */
static void tcp_has_the_port(void)
{
	const int listener = listen_at(here(0), 8), server = udp_at(here(0)), client = udp_to(here(0));
	const int tcp = open_socket(0);

	put(client, "datagram", 8);
	say_text("server", server);
	must_connect(tcp, here(0));
	say_talk("stream", tcp, must_accept(listener));
	say_silence("server", server);
}

static void names_have_rooms(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct place own = own_name(client), peer = peer_name(client);
	int (*const calls[])(int, struct sockaddr *, socklen_t *) = {getsockname, getpeername};

	(void)server;
	for (size_t c = 0; c < N_ELEMENTS(calls); c++) {
		for (socklen_t room = 0; room <= 32; room += room < 4 ? 1 : 4) {
			char buffer[64];
			socklen_t len = room;
			bool same;

			memset(buffer, 'k', sizeof(buffer));
			say_call("name", calls[c](client, (struct sockaddr *)buffer, &len));
			same = !memcmp(buffer, c ? &peer.sa : &own.sa, room < len ? room : len);
			say("room %u: length %u, right %s, the rest %s", room, len, yes_no(same),
			    yes_no(buffer[room < len ? room : len] == 'k'));
		}
		say_call("negative",
			 calls[c](client, (struct sockaddr *)&own.sa, &(socklen_t){(socklen_t)-1}));
	}
}

/* What an [::] socket hears of IPv4 it shows as ::ffff:127.0.0.1. */
static void both_families(void)
{
	const struct place v4 = place_of("127.0.0.1", here_port);
	const int server = socket(AF_INET6, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
	struct place from;
	char text[8] = "";

	if (do_bind(server, place_of("::", here_port)) < 0)
		die("bind");
	put_to(client, "four", 4, v4);
	take_from(server, text, sizeof(text), &from);
	say("%s from %s", text, loose_text(from));
	put_to(server, "back", 4, from);
	say_text_from("client", client);
	say("v4-mapped: %s", yes_no(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&from.sa)->sin6_addr)));
}

static void one_family_only(void)
{
	const int six = socket(AF_INET6, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0);
	const int loose = socket(AF_INET, SOCK_DGRAM, 0), to_six = socket(AF_INET6, SOCK_DGRAM, 0);
	struct place from;
	char text[8] = "";

	set_option(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	say_call("bind ::", do_bind(six, place_of("::", here_port)));
	say_call("bind 0.0.0.0", do_bind(four, place_of("0.0.0.0", here_port)));
	put_to(loose, "four", 4, place_of("127.0.0.1", here_port));
	if (!wait_for(four, POLLIN, 2000)) {
		say("four hears nothing");
		return;
	}
	take_from(four, text, sizeof(text), &from);
	say("four hears %.4s from %s", text, loose_text(from));
	put_to(to_six, "six", 3, place_of("::1", here_port));
	take_from(six, text, sizeof(text), &from);
	say("six hears %.3s from %s", text, loose_text(from));
	say_silence("six", six);
	say_silence("four", four);
	put_to(six, "back", 4, from);
	say_text_from("client", to_six);
}

static void both_wildcards(void)
{
	const int six = socket(AF_INET6, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0);

	say_call("bind ::", do_bind(six, place_of("::", here_port)));
	say_call("bind 0.0.0.0", do_bind(four, place_of("0.0.0.0", here_port)));
	close(six);
	say_call("bind 0.0.0.0", do_bind(four, place_of("0.0.0.0", here_port)));
}

/* 0.0.0.0 and :: are this host, for those who send. */
static void this_host(void)
{
	const struct place zero = strchr(here_text, '.') && here_family == AF_INET6
					  ? place_of("::ffff:0.0.0.0", here_port)
					  : wildcard(0);
	const int server = udp_at(here(0)), client = open_udp(0), connected = open_udp(0);

	put_to(client, "this host", 9, zero);
	say_text("server", server);
	say_call("connect", do_connect(connected, zero));
	say_names("connected", connected);
	put(connected, "this host", 9);
	say_text("server", server);
}

static void say_option(const char *what, int fd, int level, int name, int value)
{
	const int rc = setsockopt(fd, level, name, &value, sizeof(value));

	say("%s: %s, now %d", what, rc < 0 ? error_name(errno) : "ok", option(fd, level, name));
}

/* Of a fresh socket, a bound one and a connected one. */
static void identity_and_options(void)
{
	const int fds[] = {open_udp(0), udp_at(here(0)), udp_to(here(0))};
	const struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xef010203),
				       .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	const struct ipv6_mreq group6 = {.ipv6mr_multiaddr.s6_addr = {0xff, 1, [15] = 7},
					 .ipv6mr_interface = 1};

	put(fds[2], "x", 1);
	say_text("server", fds[1]);
	for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
		const int fd = fds[i];

		say("domain %s, type %d, protocol %d", family_text(option(fd, SOL_SOCKET, SO_DOMAIN)),
		    option(fd, SOL_SOCKET, SO_TYPE), option(fd, SOL_SOCKET, SO_PROTOCOL));
		say("accepts %d, error %d", option(fd, SOL_SOCKET, SO_ACCEPTCONN),
		    option(fd, SOL_SOCKET, SO_ERROR));
		say_call("listen", listen(fd, 1));
		say_call("accept", accept(fd, NULL, NULL));
		say_option("SO_BROADCAST", fd, SOL_SOCKET, SO_BROADCAST, 1);
		say_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 100000);
		say_option("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF, 100000);
		say_option("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 1);
		say_option("SO_PRIORITY", fd, SOL_SOCKET, SO_PRIORITY, 3);
		say_option("SO_RXQ_OVFL", fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
		say_option("SO_NO_CHECK", fd, SOL_SOCKET, SO_NO_CHECK, 1);
		say_option("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		say_option("SO_RCVLOWAT", fd, SOL_SOCKET, SO_RCVLOWAT, 1);
		if (here_family == AF_INET) {
			say_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, 7);
			say_option("IP_TOS", fd, IPPROTO_IP, IP_TOS, 0x10);
			say_option("IP_MTU_DISCOVER", fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
			say_option("IP_MULTICAST_TTL", fd, IPPROTO_IP, IP_MULTICAST_TTL, 3);
			say_option("IP_MULTICAST_LOOP", fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
			say_call("join",
				 setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
			say_call("again",
				 setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
			say_call("leave",
				 setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
		} else {
			say_option("IPV6_UNICAST_HOPS", fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
			say_option("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS, 0x10);
			say_option("IPV6_MULTICAST_HOPS", fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);
			say_call("join",
				 setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof(group6)));
			say_call("leave",
				 setsockopt(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &group6, sizeof(group6)));
		}
	}
	put(fds[2], "still", 5);
	say_text("server", fds[1]);
}

/* A port below 1024 is not for everybody, where it is so for TCP as well. */
static void low_port(void)
{
	const pid_t child = start_child();

	if (child == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(0); /* not root to begin with */
		say_call("bind", do_bind(open_udp(0), place_of(here_text, 7)));
		say_call("bind to all",
			 do_bind(open_udp(0), place_of(here_family == AF_INET ? "0.0.0.0" : "::", 9)));
		say_call("bind to another", do_bind(open_udp(0), here(0)));
		_exit(0);
	}
	say_end("child", child);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"fresh-and-bound", fresh_and_bound},
		{"port-is-chosen", port_is_chosen},
		{"bound-by-sending", bound_by_sending},
		{"bound-by-connect", bound_by_connect},
		{"wildcard-then-connect", wildcard_then_connect},
		{"bound-twice", bound_twice},
		{"taken", taken},
		{"tcp-has-the-port", tcp_has_the_port},
		{"names-have-rooms", names_have_rooms},
		{"both-families", both_families},
		{"one-family-only", one_family_only},
		{"both-wildcards", both_wildcards},
		{"this-host", this_host},
		{"identity-and-options", identity_and_options},
		{"low-port", low_port},
	};

	return RUN_CASES(cases, argc, argv);
}
