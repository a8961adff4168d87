/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every option number of every level a TCP socket has, set and asked in each state that a socket can be in. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#define OPTION_MOST 100
#define SHOWN_MOST 20
#define ROOM 300

struct sockets {
	int listener, client, server; /* -1: there is none */
};

/* What cannot be the same on two sockets, or depends on time, addresses and the kind of network. */
static const struct {
	int level, option;
	bool set_too; /* also after the program has set it */
} varying[] = {
	{SOL_SOCKET, SO_SNDBUF, false},		 {SOL_SOCKET, SO_RCVBUF, false},
	{SOL_SOCKET, SO_COOKIE, true},		 {SOL_SOCKET, SO_MEMINFO, true},
	{SOL_SOCKET, SO_INCOMING_CPU, true},	 {SOL_SOCKET, SO_INCOMING_NAPI_ID, true},
	{SOL_SOCKET, SO_PEERNAME, true},	 {SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, true},
	{IPPROTO_TCP, TCP_INFO, true},		 {IPPROTO_TCP, TCP_CC_INFO, true},
	{IPPROTO_TCP, TCP_TIMESTAMP, true},	 {IPPROTO_TCP, TCP_QUICKACK, true},
	{IPPROTO_TCP, TCP_MAXSEG, true},	 {IPPROTO_TCP, TCP_WINDOW_CLAMP, true},
	{IPPROTO_IP, IP_MTU, true},		 {IPPROTO_IP, IP_PKTOPTIONS, true},
	{IPPROTO_IP, 52 /* IP_PROTOCOL: of TCP the port */, true},
	{IPPROTO_IP, IP_MULTICAST_TTL, true}, /* that of the first packet */
	{IPPROTO_IPV6, IPV6_MTU, true},		 {IPPROTO_IPV6, IPV6_PATHMTU, true},
	{IPPROTO_IPV6, IPV6_2292PKTOPTIONS, true}, {IPPROTO_IPV6, IPV6_MULTICAST_IF, true},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS, true},
};

static bool varies(int level, int option, bool was_set)
{
	for (size_t i = 0; i < N_ELEMENTS(varying); i++)
		if (varying[i].level == level && varying[i].option == option)
			return varying[i].set_too || !was_set;
	return false;
}

static const char *level_name(int level)
{
	return level == SOL_SOCKET ? "SOL_SOCKET" : level == IPPROTO_TCP ? "TCP" : level == IPPROTO_IP ? "IP" : "IPV6";
}

static char line[16384];
static size_t line_used;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_used += (size_t)vsnprintf(line + line_used, sizeof(line) - line_used, format, args);
	va_end(args);
	if (line_used >= sizeof(line))
		die("line");
}

/* "4:00000001", or the error. */
static void add_value(int fd, int level, int option, bool was_set)
{
	unsigned char bytes[ROOM] = {0};
	socklen_t len = sizeof(bytes), shown;

	if (getsockopt(fd, level, option, bytes, &len) < 0) {
		add(" %s", error_name(errno));
		return;
	}
	if (varies(level, option, was_set)) {
		add(" %s", len ? "some" : "nothing");
		return;
	}
	add(" %u:", (unsigned)len);
	shown = len < SHOWN_MOST ? len : SHOWN_MOST;
	while (shown > 0 && bytes[shown - 1] == 0)
		shown--;
	for (socklen_t i = 0; i < shown; i++)
		add("%02x", bytes[i]);
}

static void add_set(int fd, int level, int option, const void *value, socklen_t len)
{
	const int rc = setsockopt(fd, level, option, value, len);

	if (rc < 0) {
		add(" %s", error_name(errno));
		return;
	}
	add_value(fd, level, option, true);
}

/* Everything that can be done with one option of one socket. */
static void add_all(int fd, int level, int option)
{
	static const int numbers[] = {0, 1, 2, 70000, -1};
	static const socklen_t lengths[] = {0, 1, 2, 3, 4, 8, 16, 64};
	unsigned char bytes[ROOM];

	add_value(fd, level, option, false);
	for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
		add(" | %d", numbers[i]);
		add_set(fd, level, option, &numbers[i], sizeof(numbers[i]));
	}
	add(" | NULL");
	add_set(fd, level, option, NULL, 4);
	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		memset(bytes, 0, sizeof(bytes));
		bytes[0] = 1;
		add(" | length %u", (unsigned)lengths[i]);
		add_set(fd, level, option, bytes, lengths[i]);
	}
	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		socklen_t len = lengths[i];
		int rc;

		memset(bytes, 0xa5, sizeof(bytes));
		rc = getsockopt(fd, level, option, bytes, &len);
		add(" | room %u %s", (unsigned)lengths[i], rc < 0 ? error_name(errno) : "ok");
		if (rc == 0 && !varies(level, option, true))
			add(" %u", (unsigned)len);
		for (size_t k = len; rc == 0 && k < sizeof(bytes); k++)
			if (bytes[k] != 0xa5) {
				add(" written beyond");
				break;
			}
	}
	{
		socklen_t len = 4;

		add(" | NULL room %s", getsockopt(fd, level, option, NULL, &len) < 0 ? error_name(errno) : "ok");
		add(" | NULL length %s", getsockopt(fd, level, option, bytes, NULL) < 0 ? error_name(errno) : "ok");
	}
}

/* Connects with data, for listeners that wait for it. */
static void talk(struct sockets *s)
{
	if (do_connect(s->client, here(0)) < 0)
		die("connect");
	if (write(s->client, "x", 1) != 1)
		die("write");
	if (!wait_for(s->listener, POLLIN, 5000))
		die("nothing to accept");
	s->server = must_accept(s->listener);
}

static void close_all(struct sockets *s)
{
	char byte;

	if (s->server >= 0) {
		/* The client's end goes first: no TIME_WAIT at the port of the listener. */
		shutdown(s->client, SHUT_WR);
		while (read(s->server, &byte, 1) > 0)
			;
		close(s->client);
		close(s->server);
	} else if (s->client >= 0) {
		close(s->client);
	}
	if (s->listener >= 0)
		close(s->listener);
}

static void begin(int level, int option)
{
	line_used = 0;
	add("%s %d:", level_name(level), option);
}

static void end(struct sockets *s)
{
	say("%s", line);
	close_all(s);
}

static void without_privilege(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

	if (syscall(SYS_capset, &header, none) < 0)
		die("capset");
}

typedef void one_option(int level, int option);

static void fresh(int level, int option)
{
	struct sockets s = {-1, open_socket(0), -1};

	begin(level, option);
	add_all(s.client, level, option);
	end(&s);
}

static void listening(int level, int option)
{
	struct sockets s = {listen_at(here(0), 8), -1, -1};

	begin(level, option);
	add_all(s.listener, level, option);
	end(&s);
}

static void connected(int level, int option)
{
	struct sockets s = {listen_at(here(0), 8), open_socket(0), -1};

	begin(level, option);
	talk(&s);
	add_all(s.client, level, option);
	end(&s);
}

static void accepted(int level, int option)
{
	struct sockets s = {listen_at(here(0), 8), open_socket(0), -1};

	begin(level, option);
	talk(&s);
	add_all(s.server, level, option);
	end(&s);
}

/* As ints, and as the longest of the structures that options of this level have. */
static const struct {
	const char *name;
	unsigned char bytes[16];
	socklen_t len;
} values[] = {
	{"0", {0}, 4}, {"1", {1}, 4}, {"2", {2}, 4}, {"8 bytes", {1}, 8}, {"16 bytes", {1}, 16},
};

/* Puts off the connection, or makes the address one of another network. */
static bool prevents_connect(int level, int option)
{
	return (level == IPPROTO_TCP && option == TCP_FASTOPEN_CONNECT) ||
	       (level == SOL_SOCKET && option == SO_BINDTOIFINDEX);
}

static void before_connect(int level, int option)
{
	begin(level, option);
	for (size_t i = 0; i < N_ELEMENTS(values) && !prevents_connect(level, option); i++) {
		struct sockets s = {listen_at(here(0), 8), open_socket(0), -1};

		add(" | %s", values[i].name);
		add_set(s.client, level, option, values[i].bytes, values[i].len);
		talk(&s);
		add(" connected");
		add_value(s.client, level, option, true);
		close_all(&s);
	}
	say("%s", line);
}

static void before_bind(int level, int option)
{
	begin(level, option);
	for (size_t i = 0; i < N_ELEMENTS(values) && !prevents_connect(level, option); i++) {
		struct sockets s = {open_socket(0), open_socket(0), -1};

		set_option(s.listener, SOL_SOCKET, SO_REUSEADDR, 1);
		add(" | %s", values[i].name);
		add_set(s.listener, level, option, values[i].bytes, values[i].len);
		if (do_bind(s.listener, here(0)) < 0 || listen(s.listener, 8) < 0) {
			add(" listen %s", error_name(errno));
			close_all(&s);
			continue;
		}
		add(" listening");
		add_value(s.listener, level, option, true);
		talk(&s);
		add(" accepted");
		add_value(s.server, level, option, true);
		close_all(&s);
	}
	say("%s", line);
}

static void on_listener(int level, int option)
{
	begin(level, option);
	for (size_t i = 0; i < N_ELEMENTS(values) && !prevents_connect(level, option); i++) {
		struct sockets s = {listen_at(here(0), 8), open_socket(0), -1};

		add(" | %s", values[i].name);
		add_set(s.listener, level, option, values[i].bytes, values[i].len);
		talk(&s);
		add(" accepted");
		add_value(s.server, level, option, true);
		close_all(&s);
	}
	say("%s", line);
}

static void walk(int level, one_option *one)
{
	without_privilege();
	for (int option = 0; option <= OPTION_MOST; option++)
		if (level != IPPROTO_TCP || option != TCP_ZEROCOPY_RECEIVE) /* not everywhere */
			one(level, option);
}

#define CASES(word, level)                                                                                     \
	static void word##_fresh(void) { walk(level, fresh); }                                                 \
	static void word##_listening(void) { walk(level, listening); }                                         \
	static void word##_connected(void) { walk(level, connected); }                                         \
	static void word##_accepted(void) { walk(level, accepted); }                                           \
	static void word##_before_connect(void) { walk(level, before_connect); }                               \
	static void word##_before_bind(void) { walk(level, before_bind); }                                     \
	static void word##_on_listener(void) { walk(level, on_listener); }

CASES(socket, SOL_SOCKET)
CASES(tcp, IPPROTO_TCP)
CASES(ip, IPPROTO_IP)
CASES(ipv6, IPPROTO_IPV6)

#define NAMES(word)                                                                                            \
	{#word "-fresh", word##_fresh}, {#word "-listening", word##_listening},                                \
	{#word "-connected", word##_connected}, {#word "-accepted", word##_accepted},                          \
	{#word "-before-connect", word##_before_connect}, {#word "-before-bind", word##_before_bind},          \
	{#word "-on-listener", word##_on_listener}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {NAMES(socket), NAMES(tcp), NAMES(ip), NAMES(ipv6)};

	return RUN_CASES(cases, argc, argv);
}
