/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program asks of its socket: family, type, protocol, and the TCP and IP options it sets. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

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

/* A program's own filter is neither lost nor mixed up with anything else. */
static void say_filter(const char *who, int fd)
{
	struct sock_filter code[64];
	socklen_t count = N_ELEMENTS(code);

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code, &count) < 0)
		say("%s: %s", who, error_name(errno));
	else
		say("%s: %u instructions, first %04x %d %d %u", who, (unsigned)count, count ? code[0].code : 0u,
		    count ? code[0].jt : 0, count ? code[0].jf : 0, count ? code[0].k : 0u);
}

static int attach(int fd, unsigned keep)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_STMT(BPF_RET | BPF_K, keep),
	};
	struct sock_fprog program = {N_ELEMENTS(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void filters_of_the_program(void)
{
	const int listener = listen_at(here(0), 8), fd = open_socket(0), one = 1;
	int server;

	say_call("attach", attach(fd, 0xffffffff));
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	must_connect(fd, here(0));
	server = must_accept(listener);
	say_filter("set before connect", fd);
	say("TCP_KEEPIDLE %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	say_names("client", fd);
	say_filter("none", server);
	say_call("detach none", setsockopt(server, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)));
	say_call("attach another", attach(fd, 0xfffffffe));
	say_filter("another", fd);
	say_call("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)));
	say_filter("detached", fd);
	say("TCP_KEEPIDLE %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	say_call("attach", attach(fd, 0xffffffff));
	say_call("lock", setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)));
	say_call("attach when locked", attach(fd, 0xffffffff));
	say_call("detach when locked", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)));
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 78);
	say("TCP_KEEPIDLE %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	say_talk("talk", fd, server);
}

/* How much can be written until EAGAIN, roughly: how much more is the kernel's business. */
static void say_room(const char *who, int from)
{
	static char bytes[4096];
	size_t sent = 0;
	ssize_t n;

	while ((n = send(from, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	say("%s: %s", who, sent < 60000 ? "little" : sent < 150000 ? "more" : "much");
}

static void sizes_set_the_window(void)
{
	static const struct {
		const char *name;
		int size;
	} sizes[] = {{"not set", 0}, {"4 KiB", 4096}, {"4 MiB", 4 << 20}};

	for (unsigned i = 0; i < N_ELEMENTS(sizes); i++) {
		const int listener = open_socket(0), client = open_socket(0), size = sizes[i].size, one = 1;
		int server;

		set_option(listener, SOL_SOCKET, SO_REUSEADDR, one);
		if (size) {
			set_option(listener, SOL_SOCKET, SO_RCVBUF, size);
			set_option(listener, SOL_SOCKET, SO_SNDBUF, size);
			set_option(client, SOL_SOCKET, SO_RCVBUF, size);
			set_option(client, SOL_SOCKET, SO_SNDBUF, size);
		}
		if (do_bind(listener, here(i)) < 0 || listen(listener, 8) < 0)
			die("listen");
		must_connect(client, here(i));
		server = must_accept(listener);
		say("%s", sizes[i].name);
		if (size)
			say("accepted: SO_RCVBUF %d, SO_SNDBUF %d", option(server, SOL_SOCKET, SO_RCVBUF),
			    option(server, SOL_SOCKET, SO_SNDBUF));
		say_room("client writes", client);
		say_room("server writes", server);
		close(client);
		close(server);
		close(listener);
	}
}

static void sizes_of_a_connection(void)
{
	const struct pair pair = connect_pair(0);

	set_option(pair.client, SOL_SOCKET, SO_SNDBUF, 4096);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 4096);
	say_room("client writes", pair.client);
}

/* No byte is what it was, whatever it was: one that happens to be written as it was differs the other time. */
static bool all_written(const struct tcp_info *a, const struct tcp_info *b)
{
	for (size_t i = 0; i < sizeof(*a); i++)
		if (((const unsigned char *)a)[i] == 0xa5 && ((const unsigned char *)b)[i] == 0x5a)
			return false;
	return true;
}

static void say_info(const char *who, int fd)
{
	struct tcp_info info, again;
	socklen_t len = sizeof(info), again_len = sizeof(again);
	unsigned char all[1024];
	socklen_t length = sizeof(all);

	memset(&info, 0xa5, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		die("TCP_INFO");
	memset(&again, 0x5a, sizeof(again));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &again, &again_len) < 0)
		die("TCP_INFO");
	memset(all, 0xa5, sizeof(all));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, all, &length) < 0)
		die("TCP_INFO");
	say("%s: length %u of %u, state %d, written %s", who, (unsigned)len, (unsigned)length, info.tcpi_state,
	    yes_no(all_written(&info, &again) && all[length] == 0xa5));
	if (info.tcpi_state == TCP_ESTABLISHED)
		say("%s: mss %s, rtt %s, rttvar %s, cwnd %s, pmtu %s, advmss %s, rcv_space %s, rto %s, options %s", who,
		    yes_no(info.tcpi_snd_mss > 500), yes_no(info.tcpi_rtt > 0 && info.tcpi_rtt < 10000000),
		    yes_no(info.tcpi_rttvar > 0), yes_no(info.tcpi_snd_cwnd > 0), yes_no(info.tcpi_pmtu > 500),
		    yes_no(info.tcpi_advmss > 500), yes_no(info.tcpi_rcv_space > 0), yes_no(info.tcpi_rto > 0),
		    yes_no(info.tcpi_options & TCPI_OPT_SACK));
	if (info.tcpi_state == TCP_LISTEN)
		say("%s: waiting %u, limit %s", who, info.tcpi_unacked, yes_no(info.tcpi_sacked > 0));
}

static void info(void)
{
	const int listener = listen_at(here(0), 8), fd = open_socket(0);
	int server;

	say_info("fresh", fd);
	say_info("listener", listener);
	must_connect(fd, here(0));
	wait_for(listener, POLLIN, 5000);
	say_info("listener", listener);
	server = must_accept(listener);
	say_info("client", fd);
	say_info("server", server);
	shutdown(fd, SHUT_WR);
	wait_for(server, POLLIN, 5000);
	poll(NULL, 0, 50); /* for the acknowledgement */
	say_info("client after SHUT_WR", fd);
	say_info("server whose peer is done", server);
	shutdown(server, SHUT_WR);
	wait_for(fd, POLLHUP, 5000);
	say_info("server that is done as well", server);
}

/* Closing does not wait, and what was set is seen. */
static void linger(void)
{
	const struct pair pair = connect_pair(0);
	struct linger value = {1, 5};
	struct timespec before, after;
	socklen_t len = sizeof(value);

	say_call("SO_LINGER", setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
	memset(&value, 0, sizeof(value));
	getsockopt(pair.client, SOL_SOCKET, SO_LINGER, &value, &len);
	say("reads %d %d, length %u", value.l_onoff, value.l_linger, (unsigned)len);
	if (write(pair.client, "x", 1) != 1)
		die("write");
	clock_gettime(CLOCK_MONOTONIC, &before);
	close(pair.client);
	clock_gettime(CLOCK_MONOTONIC, &after);
	say("at once: %s", yes_no(after.tv_sec - before.tv_sec < 3));
	say("the peer reads %d", (int)read(pair.server, &(char){0}, 1));
}

/* More than a window, and as much as it: reading goes on as it can. */
static void lowest_count(void)
{
	const struct pair pair = connect_pair(0);
	static char bytes[8192];

	set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, 3000);
	say("SO_RCVLOWAT %d", option(pair.server, SOL_SOCKET, SO_RCVLOWAT));
	if (write(pair.client, bytes, 2000) != 2000)
		die("write");
	say("2000 of 3000: %s", yes_no(wait_for(pair.server, POLLIN, 300)));
	if (write(pair.client, bytes, 2000) != 2000)
		die("write");
	say("4000 of 3000: %s", yes_no(wait_for(pair.server, POLLIN, 5000)));
	say("read %d", (int)recv(pair.server, bytes, sizeof(bytes), 0));
	say_call("a huge one", setsockopt(pair.server, SOL_SOCKET, SO_RCVLOWAT, &(int){262144}, sizeof(int)));
	shutdown(pair.client, SHUT_WR);
	say("read %d", (int)recv(pair.server, bytes, sizeof(bytes), 0));
}

static void multipath(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = socket(here_family, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);

	if (fd < 0) {
		say("socket: %s", error_name(errno));
		return;
	}
	say("fresh: SO_PROTOCOL %d", option(fd, SOL_SOCKET, SO_PROTOCOL));
	must_connect(fd, here(0));
	say("connected: SO_PROTOCOL %d", option(fd, SOL_SOCKET, SO_PROTOCOL));
	say("accepted: SO_PROTOCOL %d", option(must_accept(listener), SOL_SOCKET, SO_PROTOCOL));
}

/* Of unknown history: everything is compared. */
static void set_through_a_duplicate(void)
{
	const int listener = listen_at(here(0), 8), fd = open_socket(0), copy = dup(fd);
	const struct timeval limit = {3, 0};

	set_option(copy, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, SOL_SOCKET, SO_RCVBUF, 20000);
	set_option(copy, SOL_SOCKET, SO_TIMESTAMP, 1);
	set_option(copy, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(copy, IPPROTO_TCP, TCP_NODELAY, 1);
	setsockopt(copy, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	must_connect(fd, here(0));
	say("%d %d %d %d %d %d %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    option(fd, SOL_SOCKET, SO_RCVBUF), option(fd, SOL_SOCKET, SO_TIMESTAMP),
	    option(fd, SOL_SOCKET, SO_REUSEADDR), option(fd, IPPROTO_TCP, TCP_NODELAY),
	    option(copy, SOL_SOCKET, SO_RCVTIMEO));
	close(must_accept(listener));
}

/* More than fit anywhere but the kernel, on one socket. */
static void all_at_once(void)
{
	static const int levels[] = {IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};
	const int listener = listen_at(here(0), 8), fd = open_socket(0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

	if (syscall(SYS_capset, &header, none) < 0)
		die("capset");
	for (size_t i = 0; i < N_ELEMENTS(levels); i++)
		for (int number = 1; number < 100; number++)
			if (levels[i] != IPPROTO_TCP || (number != TCP_FASTOPEN_CONNECT && number != TCP_MAXSEG &&
							 number != TCP_QUICKACK && number != TCP_WINDOW_CLAMP))
				setsockopt(fd, levels[i], number, &(int){1}, sizeof(int));
	must_connect(fd, here(0));
	for (size_t i = 0; i < N_ELEMENTS(levels); i++)
		for (int number = 1; number < 80; number++) {
			const int value = option(fd, levels[i], number);

			/* Together with others these two tell of the last packet. */
			if (levels[i] == IPPROTO_IPV6 && (number == IPV6_MULTICAST_IF || number == IPV6_MULTICAST_HOPS))
				continue;
			if (value == 1)
				say("level %d, option %d: 1", levels[i], number);
		}
	close(must_accept(listener));
}

/* A descriptor that is connected again has what was set the first time. */
static void over_a_failed_connect(void)
{
	const int fd = open_socket(0);
	int listener;

	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 30000);
	say_call("refused", do_connect(fd, here(3)));
	listener = listen_at(here(0), 8);
	must_connect(fd, here(0));
	say("%d %d %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    option(fd, SOL_SOCKET, SO_SNDBUF));
	close(must_accept(listener));
	say_call("dissolve", connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	say("%d %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, SOL_SOCKET, SO_KEEPALIVE));
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	must_connect(fd, here(0));
	say("%d %d %d", option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    option(fd, SOL_SOCKET, SO_OOBINLINE));
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
		{"filters-of-the-program", filters_of_the_program},
		{"sizes-set-the-window", sizes_set_the_window},
		{"sizes-of-a-connection", sizes_of_a_connection},
		{"info", info},
		{"linger", linger},
		{"lowest-count", lowest_count},
		{"multipath", multipath},
		{"set-through-a-duplicate", set_through_a_duplicate},
		{"all-at-once", all_at_once},
		{"over-a-failed-connect", over_a_failed_connect},
	};

	return RUN_CASES(cases, argc, argv);
}
