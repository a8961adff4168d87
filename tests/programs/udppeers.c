/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who hears whom: many peers of one socket, answers from elsewhere, peers that are changed and forgotten. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <sys/wait.h>

static void say_heard(const char *who, int fd)
{
	char text[64] = "";
	struct place from;

	take_from(fd, text, sizeof(text) - 1, &from);
	say("%s hears %s from %s", who, text, name_text(&from.sa));
}

/* To fd, from a socket of its own that is at here(n). */
static void call_from(unsigned n, struct place to, const char *text)
{
	const int fd = udp_at(here(n));

	put_to(fd, text, strlen(text), to);
	close(fd);
}

/* The server answers the number it got, doubled, in another order than it was asked. */
static void answer_all(int server, const int *fds, unsigned count, bool connected)
{
	struct place *from = calloc(count, sizeof(*from));
	unsigned wrong = 0, strangers = 0;
	uint32_t number;

	if (!from)
		die("calloc");
	for (uint32_t i = 0; i < count; i++) {
		if (connected)
			put(fds[i], &i, sizeof(i));
		else
			put_to(fds[i], &i, sizeof(i), here(0));
	}
	for (uint32_t i = 0; i < count; i++) {
		struct place place;

		if (take_from(server, &number, sizeof(number), &place) != 4 || number >= count)
			die("the server hears what nobody said");
		wrong += from[number].len != 0;
		strangers += port_of(&place.sa) != own_port(fds[number]);
		from[number] = place;
	}
	for (uint32_t i = count; i-- > 0;) {
		const uint32_t answer = 2 * i;

		put_to(server, &answer, sizeof(answer), from[i]);
	}
	for (uint32_t i = 0; i < count; i++)
		wrong += take_from(fds[i], &number, sizeof(number), NULL) != 4 || number != 2 * i;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			strangers += same_place(from[i], from[j]);
	say("wrong %u, strangers %u", wrong, strangers);
	free(from);
}

static void hundred(bool connected)
{
	const int server = udp_at(here(0));
	int fds[100];

	for (unsigned i = 0; i < N_ELEMENTS(fds); i++)
		fds[i] = connected ? udp_to(here(0)) : open_udp(0);
	for (int round = 0; round < 3; round++)
		answer_all(server, fds, N_ELEMENTS(fds), connected);
	say_silence("server", server);
}

static void hundred_connected(void)
{
	hundred(true);
}

static void hundred_unconnected(void)
{
	hundred(false);
}

/* One client, many servers, which it is not connected to. */
static void many_servers(void)
{
	const int client = open_udp(0);
	int servers[10];

	for (unsigned i = 0; i < N_ELEMENTS(servers); i++) {
		char text[4] = {(char)('a' + i)};

		servers[i] = udp_at(here(i));
		put_to(client, text, 1, here(i));
	}
	for (unsigned i = 0; i < N_ELEMENTS(servers); i++) {
		char text[8] = "";
		struct place from;

		take_from(servers[i], text, sizeof(text), &from);
		say("server %u: %s, the client: %s", i, text, yes_no(port_of(&from.sa) == own_port(client)));
		put_to(servers[i], text, 1, from);
		say_heard("client", client);
	}
}

static void address_is_stable(void)
{
	const int server = udp_at(here(0)), client = open_udp(0);
	struct place first, then;
	char text[8];

	put_to(client, "1", 1, here(0));
	take_from(server, text, sizeof(text), &first);
	for (int i = 0; i < 20; i++) {
		put_to(client, "2", 1, here(0));
		take_from(server, text, sizeof(text), &then);
		if (!same_place(first, then))
			say("now it is %s", name_text(&then.sa));
	}
	say("the client's port: %s", yes_no(port_of(&first.sa) == own_port(client)));
	say("not the server's: %s", yes_no(port_of(&first.sa) != here_port));
}

/* A client that has a port of its own choice. */
static void client_with_a_port(void)
{
	const int server = udp_at(here(0)), client = udp_at(here(1));
	struct place from;

	put_to(client, "bound", 5, here(0));
	from = say_text_from("server", server);
	put_to(server, "back", 4, from);
	say_text_from("client", client);
	put_to(server, "unasked", 7, here(1));
	say_text_from("client", client);
	must_connect(client, here(0));
	put(client, "connected", 9);
	say_text_from("server", server);
	put_to(server, "back", 4, here(1));
	say_text_from("client", client);
	say_names("client", client);
}

/* As TFTP does: the answer comes from a new socket, whose port the client goes on with. */
static void answer_from_another_port(void)
{
	const int server = udp_at(here(0)), client = open_udp(0), session = open_udp(0);
	struct place from;

	put_to(client, "read", 4, here(0));
	from = say_text_from("server", server);
	put_to(session, "block 1", 7, from);
	from = say_text_from("client", client);
	say("it is the session's: %s", yes_no(port_of(&from.sa) == own_port(session)));
	for (int i = 0; i < 3; i++) {
		struct place peer;

		put_to(client, "ack", 3, from);
		peer = say_text_from("session", session);
		must_connect(session, peer);
		put(session, "block", 5);
		say_text_from("client", client);
	}
	say_silence("server", server);
}

static void others_are_not_heard(void)
{
	const int server = udp_at(here(0)), stranger = udp_at(here(1)), client = udp_to(here(0));
	struct place from;
	char text[8];

	put(client, "hello", 5);
	take_from(server, text, sizeof(text), &from);
	put_to(stranger, "psst", 4, from);
	say_silence("client", client);
	put_to(server, "answer", 6, from);
	say_text_from("client", client);
	put_to(stranger, "psst", 4, from);
	say_silence("client", client);
}

/* What came before connect is still there, from whomever it is. */
static void heard_before_connect(void)
{
	const int fd = udp_at(here(0)), peer = udp_at(here(1));

	call_from(2, here(0), "stranger");
	wait_for(fd, POLLIN, UDP_SOON);
	must_connect(fd, here(1));
	call_from(3, here(0), "late");
	put_to(peer, "peer", 4, here(0));
	say_heard("server", fd);
	say_heard("server", fd);
	say_silence("server", fd);
}

static void connected_elsewhere(void)
{
	const int first = udp_at(here(0)), second = udp_at(here(1)), client = udp_to(here(0));
	struct place from;

	put(client, "one", 3);
	from = say_text_from("first", first);
	must_connect(client, here(1));
	say_names("client", client);
	put(client, "two", 3);
	say_text_from("second", second);
	put_to(first, "from the first", 14, from);
	put_to(second, "from the second", 15, from);
	say_heard("client", client);
	say_silence("client", client);
	must_connect(client, here(0));
	put(client, "three", 5);
	say_text_from("first", first);
	put_to(first, "from the first", 14, from);
	say_heard("client", client);
}

static void disconnected(void)
{
	const int first = udp_at(here(0)), second = udp_at(here(1)), client = udp_to(here(0));
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct place from;

	put(client, "one", 3);
	say_text_from("first", first);
	say_call("disconnect", connect(client, &none, sizeof(none)));
	say_call("again", connect(client, &none, sizeof(none)));
	say_call("getpeername",
		 getpeername(client, (struct sockaddr *)&from.sa, &(socklen_t){sizeof(from.sa)}));
	say_size("send", send(client, "x", 1, 0));
	say_size("write", write(client, "x", 1));
	put_to(client, "two", 3, here(1));
	from = say_text_from("second", second);
	put_to(first, "from the first", 14, from);
	say_heard("client", client);
	put_to(second, "from the second", 15, from);
	say_heard("client", client);
	must_connect(client, here(1));
	put(client, "three", 5);
	say_text_from("second", second);
}

/* A connected socket may send elsewhere, but hears its peer only. */
static void sends_elsewhere(void)
{
	const int first = udp_at(here(0)), second = udp_at(here(1)), client = udp_to(here(0));
	struct place from;

	put_to(client, "elsewhere", 9, here(1));
	from = say_text_from("second", second);
	put_to(second, "unheard", 7, from);
	put(client, "to the peer", 11);
	say_text_from("first", first);
	put_to(client, "by name", 7, here(0));
	say_text_from("first", first);
	put_to(first, "heard", 5, from);
	say_heard("client", client);
	say_silence("client", client);
}

/* As iperf3 and OpenVPN do: the socket that heard a client becomes that client's, another takes its place. */
static void server_socket_becomes_the_client_s(void)
{
	const int one = 1, clients[] = {udp_to(here(0)), udp_to(here(0)), udp_to(here(0))};
	int server = open_udp(0), sessions[3];
	char text[64];

	set_option(server, SOL_SOCKET, SO_REUSEADDR, one);
	if (do_bind(server, here(0)) < 0)
		die("bind");
	for (int i = 0; i < 3; i++) {
		struct place from;

		put(clients[i], "hello", 5);
		take_from(server, text, sizeof(text), &from);
		say("the client: %s", yes_no(same_place(from, own_name(clients[i]))));
		sessions[i] = server;
		must_connect(sessions[i], from);
		say_names("session", sessions[i]);
		server = open_udp(0);
		set_option(server, SOL_SOCKET, SO_REUSEADDR, one);
		if (say_call("bind", do_bind(server, here(0))) < 0)
			return;
		put(sessions[i], "welcome", 7);
		say_heard("client", clients[i]);
	}
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "number %d", i);
		put(clients[i], text, strlen(text));
		say_text("session", sessions[i]);
		put(sessions[i], text, strlen(text));
		say_heard("client", clients[i]);
	}
	say_silence("server", server);
}

/* To itself, by its own name. */
static void talks_to_itself(void)
{
	const int fd = udp_at(here(0));

	put_to(fd, "me", 2, here(0));
	say_text_from("me", fd);
	must_connect(fd, here(0));
	put(fd, "me", 2);
	say_text_from("me", fd);
	say_names("me", fd);
}

/* Without a peer between them: two that call each other, of which neither waited for the other. */
static void symmetric(void)
{
	const int a = udp_at(here(0)), b = udp_at(here(1));

	must_connect(a, here(1));
	must_connect(b, here(0));
	for (int i = 0; i < 3; i++) {
		put(a, "from a", 6);
		put(b, "from b", 6);
		say_heard("a", a);
		say_heard("b", b);
	}
	say_silence("a", a);
	say_silence("b", b);
}

/* As a server does that forks for each request: the child wants nothing of the socket, the parent hears all as before. */
static void child_closes(void)
{
	const int server = udp_at(here(0));
	int clients[3];
	pid_t child;

	for (int i = 0; i < 3; i++) {
		clients[i] = udp_to(here(0));
		put(clients[i], "before", 6);
		say_text("server", server);
	}
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		close(server);
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
	for (int i = 0; i < 3; i++) {
		put(clients[i], "after", 5);
		say_text("server", server);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"hundred-connected", hundred_connected},
		{"hundred-unconnected", hundred_unconnected},
		{"many-servers", many_servers},
		{"address-is-stable", address_is_stable},
		{"client-with-a-port", client_with_a_port},
		{"answer-from-another-port", answer_from_another_port},
		{"others-are-not-heard", others_are_not_heard},
		{"heard-before-connect", heard_before_connect},
		{"connected-elsewhere", connected_elsewhere},
		{"disconnected", disconnected},
		{"sends-elsewhere", sends_elsewhere},
		{"server-socket-becomes-the-client-s", server_socket_becomes_the_client_s},
		{"talks-to-itself", talks_to_itself},
		{"symmetric", symmetric},
		{"child-closes", child_closes},
	};

	return RUN_CASES(cases, argc, argv);
}
