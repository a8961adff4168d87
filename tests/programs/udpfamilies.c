/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams between IPv4 and IPv6 sockets: which addresses a socket takes, and how it shows the others. */
#define _GNU_SOURCE 1
#include "common.h"

#include "udp.h"

static int socket_of(int family, bool alone)
{
	const int fd = socket(family, SOCK_DGRAM, 0), on = alone;

	if (fd < 0)
		die("socket");
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
		die("IPV6_V6ONLY");
	return fd;
}

/* connect and sendto, in each form that the address has, on a socket of its own each. */
static void try_all(const char *who, int family, bool alone)
{
	static const char *const addresses[] = {"127.0.0.1", "::ffff:127.0.0.1", "::1"};

	for (size_t i = 0; i < N_ELEMENTS(addresses); i++) {
		const struct place to = place_of(addresses[i], here_port);
		int fd = socket_of(family, alone);

		say("%s, %s", who, addresses[i]);
		say_size("sendto", sendto(fd, "first", 5, 0, (const struct sockaddr *)&to.sa, to.len));
		/* What is known of a peer by now changes nothing. */
		say_size("sendto", sendto(fd, "again", 5, 0, (const struct sockaddr *)&to.sa, to.len));
		close(fd);
		fd = socket_of(family, alone);
		if (say_call("connect", do_connect(fd, to)) == 0)
			say_names("client", fd);
		say_size("send", send(fd, "there", 5, 0));
		close(fd);
	}
}

/* With a server that takes what comes from both. */
static void with_server(const char *who, int family, bool alone)
{
	const int server = socket_of(AF_INET6, false);
	unsigned count = 0;
	char text[64];

	if (do_bind(server, place_of("::", here_port)) < 0)
		die("bind");
	try_all(who, family, alone);
	while (wait_for(server, POLLIN, UDP_SILENCE) && recv(server, text, sizeof text, 0) > 0)
		count++;
	say("%u have come", count);
}

static void v4_socket(void)
{
	with_server("IPv4", AF_INET, false);
}

static void v6_socket(void)
{
	with_server("IPv6", AF_INET6, false);
}

static void v6_alone(void)
{
	with_server("IPv6 alone", AF_INET6, true);
}

/* One socket serves clients of both, and shows them in its own form. */
static void one_server_for_both(void)
{
	const int server = udp_at(place_of("::", here_port));
	static const struct {
		int family;
		const char *address;
	} clients[] = {{AF_INET, "127.0.0.1"}, {AF_INET6, "::ffff:127.0.0.1"}, {AF_INET6, "127.0.0.1"}, {AF_INET6, "::1"}};

	for (size_t i = 0; i < N_ELEMENTS(clients); i++) {
		const int client = socket_of(clients[i].family, false);
		struct place from = {.len = sizeof from.sa};
		char text[16] = "";

		must_connect(client, place_of(clients[i].address, here_port));
		put(client, "hello", 5);
		if (recvfrom(server, text, sizeof text - 1, 0, (struct sockaddr *)&from.sa, &from.len) != 5)
			die("recvfrom");
		say("server: %s from %s", text, loose_text(from));
		put_to(server, "and back", 8, from);
		say_text("client", client);
		close(client);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"v4-socket", v4_socket},
		{"v6-socket", v6_socket},
		{"v6-alone", v6_alone},
		{"one-server-for-both", one_server_for_both},
	};

	return RUN_CASES(cases, argc, argv);
}
