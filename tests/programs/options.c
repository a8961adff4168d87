/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program asks of its socket: family, type, protocol, and the TCP and IP options it sets. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/ioctl.h>

static const struct {
	const char *name;
	int level, option, value;
} tcp_options[] = {
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77},
	{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 11},
	{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 5000},
	{"TCP_CORK", IPPROTO_TCP, TCP_CORK, 1},
	{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1},
	{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 1},
};

static void say_identity(const char *who, int fd)
{
	say("%s: SO_DOMAIN %d, SO_TYPE %d, SO_PROTOCOL %d, SO_ERROR %d, SO_ACCEPTCONN %d", who,
	    option(fd, SOL_SOCKET, SO_DOMAIN), option(fd, SOL_SOCKET, SO_TYPE),
	    option(fd, SOL_SOCKET, SO_PROTOCOL), option(fd, SOL_SOCKET, SO_ERROR),
	    option(fd, SOL_SOCKET, SO_ACCEPTCONN));
}

static void identity(void)
{
	const struct pair pair = connect_pair(0);
	const int bound = open_socket(0);

	say_identity("fresh", open_socket(0));
	say_identity("client", pair.client);
	say_identity("server", pair.server);
	say_identity("listener", listen_at(here(1), 8));
	do_bind(bound, here(2));
	say_identity("bound", bound);
}

static void short_buffers(void)
{
	const struct pair pair = connect_pair(0);
	static const int options[] = {SO_DOMAIN, SO_TYPE, SO_PROTOCOL};

	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		static const socklen_t lengths[] = {0, 1, 2, 4, 8};

		for (size_t k = 0; k < N_ELEMENTS(lengths); k++) {
			unsigned char bytes[12];
			socklen_t len = lengths[k];
			int rc;

			memset(bytes, 0xa5, sizeof(bytes));
			rc = getsockopt(pair.client, SOL_SOCKET, options[i], bytes, &len);
			say("option %d, room %u: %s, length %u, bytes %02x %02x %02x %02x %02x", options[i],
			    (unsigned)lengths[k], rc < 0 ? error_name(errno) : "ok", (unsigned)len, bytes[0],
			    bytes[1], bytes[2], bytes[3], bytes[4]);
		}
	}
	say_call("NULL value", getsockopt(pair.client, SOL_SOCKET, SO_DOMAIN, NULL, &(socklen_t){4}));
	say_call("NULL length", getsockopt(pair.client, SOL_SOCKET, SO_DOMAIN, &(int){0}, NULL));
	say_call("NODELAY, NULL value",
		 getsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, NULL, &(socklen_t){4}));
	say_call("NODELAY, set with 1 byte", setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, "x", 1));
	say_call("NODELAY, set with NULL", setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
	say_call("on nothing", getsockopt(999, SOL_SOCKET, SO_DOMAIN, &(int){0}, &(socklen_t){4}));
	say_call("on nothing", setsockopt(999, IPPROTO_TCP, TCP_NODELAY, &(int){0}, 4));
}

static void nodelay(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	int server;

	say("fresh: %d", option(fd, IPPROTO_TCP, TCP_NODELAY));
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	must_connect(fd, here(0));
	say("set before connect: %d", option(fd, IPPROTO_TCP, TCP_NODELAY));
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 0);
	say("taken back: %d", option(fd, IPPROTO_TCP, TCP_NODELAY));
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	say("set after connect: %d", option(fd, IPPROTO_TCP, TCP_NODELAY));
	say("by a copy: %d", option(dup(fd), IPPROTO_TCP, TCP_NODELAY));
	server = must_accept(listener);
	say("accepted: %d", option(server, IPPROTO_TCP, TCP_NODELAY));
	set_option(server, IPPROTO_TCP, TCP_NODELAY, 1);
	say("set on accepted: %d", option(server, IPPROTO_TCP, TCP_NODELAY));
	say_talk("talk", fd, server);
}

static void nodelay_inherited_from_listener(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);
	say("listener: %d", option(listener, IPPROTO_TCP, TCP_NODELAY));
	must_connect(fd, here(0));
	say("accepted: %d", option(must_accept(listener), IPPROTO_TCP, TCP_NODELAY));
	say("client: %d", option(fd, IPPROTO_TCP, TCP_NODELAY));
}

/* All of them, before connect, after it, on a listener before bind, and on what it accepts: nobody may fail. */
/* QUICKACK comes and goes by itself. */
static void say_read_back(size_t i, const char *where, int fd)
{
	if (tcp_options[i].option != TCP_QUICKACK)
		say("%s %s reads %d", tcp_options[i].name, where,
		    option(fd, tcp_options[i].level, tcp_options[i].option));
}

static void tcp_options_can_be_set(void)
{
	for (size_t i = 0; i < N_ELEMENTS(tcp_options); i++) {
		const int level = tcp_options[i].level, name = tcp_options[i].option;
		const int value = tcp_options[i].value;
		const int listener = listen_at(here(0), 8);
		int fd = open_socket(0), server;

		say("%s before connect: %s", tcp_options[i].name,
		    error_name(setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? errno : 0));
		must_connect(fd, here(0));
		server = must_accept(listener);
		say_read_back(i, "over connect", fd);
		say("%s after connect: %s", tcp_options[i].name,
		    error_name(setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? errno : 0));
		say("%s on accepted: %s", tcp_options[i].name,
		    error_name(setsockopt(server, level, name, &value, sizeof(value)) < 0 ? errno : 0));
		say("%s on the listener: %s", tcp_options[i].name,
		    error_name(setsockopt(listener, level, name, &value, sizeof(value)) < 0 ? errno : 0));
		say_read_back(i, "on connected", fd);
		say_read_back(i, "on accepted", server);
		say_read_back(i, "on the listener", listener);
		close(fd);
		close(server);
		close(listener);
	}
}

static void ip_options_can_be_set(void)
{
	const struct pair pair = connect_pair(0);
	const int on = 1, tos = 16;

	if (here_family == AF_INET) {
		say_call("IP_TOS", setsockopt(pair.client, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
		say_call("IP_RECVERR", setsockopt(pair.client, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)));
		say_call("IP_TOS of server", setsockopt(pair.server, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
		say("IP_TOS reads %d", option(pair.client, IPPROTO_IP, IP_TOS));
	} else {
		say_call("IPV6_TCLASS",
			 setsockopt(pair.client, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos)));
		say_call("IPV6_RECVERR",
			 setsockopt(pair.client, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)));
	}
}

static void reuseport_can_be_set(void)
{
	const int fd = open_socket(0), second = open_socket(0);
	const int one = 1;

	say_call("before bind", setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	say_call("bind", do_bind(fd, here(0)));
	say_call("listen", listen(fd, 8));
	say("SO_REUSEPORT reads %d", option(fd, SOL_SOCKET, SO_REUSEPORT));
	must_connect(second, here(0));
	say_talk("talk", second, must_accept(fd));
}

/* Legal, and asked of every socket by programs that dump their state. */
static void filter_length(void)
{
	const struct pair pair = connect_pair(0);
	const int plain = open_socket(0);
	socklen_t length = 0;

	say_call("SO_GET_FILTER, NULL, 0", getsockopt(plain, SOL_SOCKET, SO_GET_FILTER, NULL, &length));
	length = 0;
	say_call("of a connected one", getsockopt(pair.client, SOL_SOCKET, SO_GET_FILTER, NULL, &length));
}

/* A success leaves errno alone. */
static void errno_is_left_alone(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(1), 8), on = 1;

	errno = ERANGE;
	setsockopt(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof(on));
	say("after setsockopt: %s", error_name(errno));
	errno = ERANGE;
	option(pair.client, IPPROTO_TCP, TCP_KEEPIDLE);
	say("after getsockopt: %s", error_name(errno));
	errno = ERANGE;
	ioctl(pair.client, FIONREAD, &(int){0});
	say("after FIONREAD: %s", error_name(errno));
	errno = ERANGE;
	must_connect(open_socket(0), here(1));
	say("after connect: %s", error_name(errno));
	close(must_accept(listener));
}

/* What the program sets is not where the library keeps its own. */
static void pacing(void)
{
	const struct pair pair = connect_pair(0);
	const unsigned rate = 1000000;
	const int on = 1;

	say_call("SO_MAX_PACING_RATE",
		 setsockopt(pair.client, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	say_call("SO_INCOMING_CPU", setsockopt(pair.client, SOL_SOCKET, SO_INCOMING_CPU, &on, sizeof(on)));
	say_names("client", pair.client);
	say_call("TCP_NODELAY", setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

static void terminal_or_not(void)
{
	const struct pair pair = connect_pair(0);

	say("isatty: %s", error_name(isatty(pair.client) ? 0 : errno));
}

static void ioctls(void)
{
	const struct pair pair = connect_pair(0);
	int value = -1;

	say_call("SIOCOUTQ", ioctl(pair.client, TIOCOUTQ, &value));
	say("nothing waits: %s", yes_no(value == 0));
	value = -1;
	say_call("SIOCATMARK", ioctl(pair.client, 0x8905, &value));
	say_call("FIONREAD of a listener", ioctl(listen_at(here(1), 4), FIONREAD, &value));
}

static void window_can_be_chosen(void)
{
	const struct pair pair = connect_pair(0);

	/* The kernel doubles what is set; any value is taken, large ones are cut. */
	set_option(pair.client, SOL_SOCKET, SO_SNDBUF, 40000);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 40000);
	say("SO_SNDBUF %d, SO_RCVBUF %d", option(pair.client, SOL_SOCKET, SO_SNDBUF),
	    option(pair.server, SOL_SOCKET, SO_RCVBUF));
	say_talk("talk", pair.client, pair.server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"identity", identity},
		{"short-buffers", short_buffers},
		{"nodelay", nodelay},
		{"nodelay-inherited-from-listener", nodelay_inherited_from_listener},
		{"tcp-options-can-be-set", tcp_options_can_be_set},
		{"ip-options-can-be-set", ip_options_can_be_set},
		{"reuseport-can-be-set", reuseport_can_be_set},
		{"filter-length", filter_length},
		{"errno-is-left-alone", errno_is_left_alone},
		{"pacing", pacing},
		{"terminal-or-not", terminal_or_not},
		{"ioctls", ioctls},
		{"window-can-be-chosen", window_can_be_chosen},
	};

	return RUN_CASES(cases, argc, argv);
}
