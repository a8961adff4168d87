/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bind() before connect() and before listen(): ports chosen, kept, shown, refused. */
#define _GNU_SOURCE 1
#include "common.h"

static struct place any_address(unsigned port)
{
	return place_of(here_family == AF_INET6 ? "::" : "0.0.0.0", port);
}

/* A client that is bound to port 0 first: TCP chooses the port at bind() and keeps it. */
static void source_port(struct place from, struct place to)
{
	const int listener = listen_at(to, 8);
	const int fd = open_socket(0);
	unsigned port;
	int server;

	say_call("bind", do_bind(fd, from));
	port = own_port(fd);
	say("bound: %s", own_text(fd));
	say("port is 0: %s", yes_no(port == 0));
	say_call("connect", do_connect(fd, to));
	say("port kept: %s", yes_no(own_port(fd) == port));
	server = must_accept(listener);
	say("server sees it: %s", yes_no(peer_port(server) == port));
	say_names("client", fd);
	say_talk("talk", fd, server);
}

static void local_port_0_then_matched(void)
{
	source_port(here_any_port(), here(0));
}

static void local_port_0_then_unmatched(void)
{
	struct place from = other(0);

	((struct sockaddr_in *)&from.sa)->sin_port = 0; /* where sin6_port is, too */
	source_port(from, other(0));
}

static void wildcard_port_0_then_matched(void)
{
	source_port(any_address(0), here(0));
}

static void wildcard_port_0_then_unmatched(void)
{
	source_port(any_address(0), other(0));
}

static void chosen_port_then_matched(void)
{
	source_port(here(3), here(0));
}

static void wildcard_chosen_port_then_matched(void)
{
	source_port(wildcard(3), here(0));
}

static void chosen_port_then_unmatched(void)
{
	source_port(wildcard(3), other(0));
}

static void bound_refused_then_connected(void)
{
	const int fd = open_socket(0);
	int listener;

	say_call("bind", do_bind(fd, any_address(0)));
	say_call("matched, nobody", do_connect(fd, here(5)));
	/* Linux itself cannot go from a v4-mapped address back to IPv6 on one socket. */
	if (here_family == AF_INET || strchr(here_text, '.'))
		say_call("unmatched, nobody", do_connect(fd, other(5)));
	listener = listen_at(here(0), 8);
	say_call("matched", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
}

static void port_0_listener(void)
{
	const int fd = open_socket(0);
	const int client = open_socket(0);
	struct place to;

	say_call("bind", do_bind(fd, here_any_port()));
	say("port is 0: %s", yes_no(own_port(fd) == 0));
	say_call("listen", listen(fd, 8));
	to = own_name(fd);
	say("address: %s", name_text(&to.sa));
	say_call("connect", do_connect(client, to));
	say_names("client", client);
	say_talk("talk", client, must_accept(fd));
}

static void wildcard_port_0_listener(void)
{
	const int fd = open_socket(0);
	const int client = open_socket(0);
	struct place to;

	say_call("bind", do_bind(fd, any_address(0)));
	say_call("listen", listen(fd, 8));
	to = own_name(fd);
	say("address: %s", name_text(&to.sa));
	say_call("connect", do_connect(client, place_of(here_text, port_of(&to.sa))));
	say_talk("talk", client, must_accept(fd));
}

static void many_port_0_listeners_differ(void)
{
	unsigned port[20];
	bool differ = true;

	for (int i = 0; i < 20; i++) {
		const int fd = open_socket(0);

		if (do_bind(fd, any_address(0)) < 0 || listen(fd, 8) < 0)
			die("bind");
		port[i] = own_port(fd);
		for (int k = 0; k < i; k++)
			differ = differ && port[k] != port[i];
	}
	say("all ports differ: %s", yes_no(differ));
}

static void listen_without_bind(void)
{
	const int fd = open_socket(0);
	const int client = open_socket(0);
	struct place to;

	say_call("listen", listen(fd, 8));
	to = own_name(fd);
	say("address: %s", name_text(&to.sa));
	say("port is 0: %s", yes_no(port_of(&to.sa) == 0));
	say_call("connect", do_connect(client, place_of(here_text, port_of(&to.sa))));
	say_talk("talk", client, must_accept(fd));
}

static void listen_twice(void)
{
	const int fd = listen_at(here(0), 1);
	const int client = open_socket(0);

	say_call("listen again", listen(fd, 16));
	must_connect(client, here(0));
	say_talk("talk", client, must_accept(fd));
}

static void address_in_use(void)
{
	const int first = open_socket(0), second = open_socket(0), third = open_socket(0);

	say_call("bind", do_bind(first, here(0)));
	say_call("bind another", do_bind(second, here(0)));
	say_call("bind another to the next port", do_bind(second, here(1)));
	say("second: %s", own_text(second));
	say_call("listen", listen(first, 8));
	say_call("bind a third", do_bind(third, here(0)));
	close(first);
	say_call("bind the third when the first is closed", do_bind(third, here(0)));
	say_call("listen on the third", listen(third, 8));
}

static void bind_twice(void)
{
	const int fd = open_socket(0);

	say_call("bind", do_bind(fd, here(0)));
	say_call("bind again", do_bind(fd, here(0)));
	say_call("bind elsewhere", do_bind(fd, here(1)));
	say("still: %s", own_text(fd));
}

/* A failed bind leaves the socket as it was: it can connect, matched or not. */
static void failed_bind_then_connect(void)
{
	const int listener = listen_at(here(0), 8);
	const int listener2 = listen_at(other(1), 8);
	const int fd = open_socket(0), second = open_socket(0);

	say_call("bind", do_bind(fd, here(0)));
	say_names("after", fd);
	say_call("connect matched", do_connect(fd, here(0)));
	say_talk("talk", fd, must_accept(listener));
	say_call("bind", do_bind(second, here(0)));
	say_call("connect unmatched", do_connect(second, other(1)));
	say_talk("talk", second, must_accept(listener2));
}

/* Closed and bound again at once, while an accepted connection of it lives. */
static void rebind_while_a_connection_lives(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(0), 8);
	const int client = open_socket(0);

	must_connect(client, here(0));
	say_talk("new", client, must_accept(listener));
	say_talk("old", pair.client, pair.server);
}

static void connect_from_a_listener(void)
{
	const int fd = listen_at(here(0), 8);

	say_call("connect", do_connect(fd, here(0)));
}

/* Backlog 1 and more clients than that; all are served in the end. */
static void small_backlog(void)
{
	const int listener = listen_at(here(0), 1);
	const pid_t child = start_child();

	if (child == 0) {
		for (int i = 0; i < 20; i++) {
			const int fd = open_socket(0);
			char byte = 0;

			must_connect(fd, here(0));
			write_all(fd, "x", 1);
			if (read_all(fd, &byte, 1) != 1)
				_exit(1);
			close(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < 20; i++) {
		const int fd = must_accept(listener);
		char byte = 0;

		read_all(fd, &byte, 1);
		write_all(fd, &byte, 1);
		close(fd);
	}
	say_end("clients", child);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"local-port-0-then-matched", local_port_0_then_matched},
		{"local-port-0-then-unmatched", local_port_0_then_unmatched},
		{"wildcard-port-0-then-matched", wildcard_port_0_then_matched},
		{"wildcard-port-0-then-unmatched", wildcard_port_0_then_unmatched},
		{"chosen-port-then-matched", chosen_port_then_matched},
		{"wildcard-chosen-port-then-matched", wildcard_chosen_port_then_matched},
		{"chosen-port-then-unmatched", chosen_port_then_unmatched},
		{"bound-refused-then-connected", bound_refused_then_connected},
		{"port-0-listener", port_0_listener},
		{"wildcard-port-0-listener", wildcard_port_0_listener},
		{"many-port-0-listeners-differ", many_port_0_listeners_differ},
		{"listen-without-bind", listen_without_bind},
		{"listen-twice", listen_twice},
		{"address-in-use", address_in_use},
		{"bind-twice", bind_twice},
		{"failed-bind-then-connect", failed_bind_then_connect},
		{"rebind-while-a-connection-lives", rebind_while_a_connection_lives},
		{"connect-from-a-listener", connect_from_a_listener},
		{"small-backlog", small_backlog},
	};

	return RUN_CASES(cases, argc, argv);
}
