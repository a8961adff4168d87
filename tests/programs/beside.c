/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One listener whose clients come by two roads: every way to wait for them and to accept them. */
#define _GNU_SOURCE 1
#include "twofold.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

/* --- ways to serve `count` clients */

static bool nonblocking; /* the listener is */

/* Whoever there is. Returns how many. */
static int serve_waiting(int listener)
{
	int served = 0;

	do {
		const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return served;
		answer(fd);
		served++;
	} while (nonblocking);
	return served;
}

static void by_accept(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		struct place from = {.len = sizeof(from.sa)};

		answer(accept(listener, (struct sockaddr *)&from.sa, &from.len));
		if (from.sa.ss_family != here_family)
			say("accepted from %s", family_text(from.sa.ss_family));
	}
}

static void by_accept4(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		struct place from = {.len = sizeof(from.sa)};
		const int fd = accept4(listener, (struct sockaddr *)&from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (!(fcntl(fd, F_GETFL) & O_NONBLOCK) || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			say("the flags are missing");
		answer(fd);
	}
}

static void by_accept_null(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		const int fd = accept(listener, NULL, NULL);

		if (fcntl(fd, F_GETFL) & O_NONBLOCK || fcntl(fd, F_GETFD) & FD_CLOEXEC)
			say("there are flags");
		answer(fd);
	}
}

static void by_poll(int listener, int count)
{
	while (count > 0) {
		struct pollfd fds[] = {{.fd = -1}, {.fd = listener, .events = POLLIN}, {.fd = 0}};

		if (poll(fds, 3, 20000) < 1 || fds[1].revents != POLLIN)
			die("poll");
		count -= serve_waiting(listener);
	}
}

static void by_ppoll(int listener, int count)
{
	while (count > 0) {
		const struct timespec limit = {.tv_sec = 20};
		struct pollfd poll_fd = {.fd = listener, .events = POLLIN | POLLRDNORM};
		sigset_t mask;

		sigemptyset(&mask);
		if (ppoll(&poll_fd, 1, &limit, &mask) != 1 || poll_fd.revents != (POLLIN | POLLRDNORM))
			die("ppoll");
		count -= serve_waiting(listener);
	}
}

static void by_select(int listener, int count)
{
	while (count > 0) {
		struct timeval limit = {.tv_sec = 20};
		fd_set in, out;

		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_SET(listener, &in);
		FD_SET(listener, &out);
		if (select(listener + 1, &in, &out, NULL, &limit) != 1 || !FD_ISSET(listener, &in))
			die("select");
		count -= serve_waiting(listener);
	}
}

static void by_pselect(int listener, int count)
{
	while (count > 0) {
		const struct timespec limit = {.tv_sec = 20};
		fd_set in;

		FD_ZERO(&in);
		FD_SET(listener, &in);
		if (pselect(listener + 1, &in, NULL, NULL, &limit, NULL) != 1)
			die("pselect");
		count -= serve_waiting(listener);
	}
}

/* --- epoll */

#define DATA 0x1122334455667788u

static int instance[2];
static uint32_t events;

static int control(int epoll, int op, int fd, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data.u64 = DATA};

	return epoll_ctl(epoll, op, fd, &event);
}

static void add(int fd)
{
	if (control(instance[0], EPOLL_CTL_ADD, fd, events) < 0)
		die("EPOLL_CTL_ADD");
}

static int new_epoll(void)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll_create1");
	return epoll;
}

/* Whether somebody waits; what a fresh or a bound socket says is none of that. */
static bool is_told(int epoll, int ms)
{
	const int64_t end = now_ms() + ms;
	struct epoll_event event[8];
	bool told = false;

	do {
		const int64_t left = end - now_ms();
		const int n = epoll_wait(epoll, event, 8, left > 0 ? (int)left : 0);

		for (int i = 0; i < n; i++) {
			told = told || event[i].events & EPOLLIN;
			if (event[i].data.u64 != DATA)
				say("other data");
		}
	} while (!told && now_ms() < end);
	return told;
}

static void by_epoll(int listener, int count)
{
	while (count > 0) {
		if (!is_told(instance[0], 20000))
			die("epoll_wait");
		count -= serve_waiting(listener);
		if (events & EPOLLONESHOT && control(instance[0], EPOLL_CTL_MOD, listener, events) < 0)
			die("EPOLL_CTL_MOD");
	}
}

static void nothing(int fd)
{
	(void)fd;
}

/* --- each of them, registered at each moment where that matters */

static void serve_at(unsigned n, void (*serve)(int, int), void (*prepare)(int), int moment)
{
	const int listener = server_socket(nonblocking ? SOCK_NONBLOCK : 0);
	pid_t child;

	for (int i = 0; i < 3; i++) {
		if (moment == i)
			prepare(listener);
		if (i == 0 && do_bind(listener, wildcard(n)) < 0)
			die("bind");
		if (i == 1 && listen(listener, CLIENTS_MOST) < 0)
			die("listen");
	}
	child = clients_start(10, BOTH, false, n);
	serve(listener, 10);
	say_end("in turn", child);
	child = clients_start(200, BOTH, true, n);
	serve(listener, 200);
	say_end("at once", child);
	close(listener);
}

static void serve_both(void (*serve)(int, int))
{
	serve_at(0, serve, nothing, 2);
	nonblocking = true;
	serve_at(1, serve, nothing, 2);
}

static void with_accept(void)
{
	serve_at(0, by_accept, nothing, 2);
}

static void with_accept4(void)
{
	serve_at(0, by_accept4, nothing, 2);
}

static void with_accept_null(void)
{
	serve_at(0, by_accept_null, nothing, 2);
}

static void with_poll(void)
{
	serve_both(by_poll);
}

static void with_ppoll(void)
{
	serve_both(by_ppoll);
}

static void with_select(void)
{
	serve_both(by_select);
}

static void with_pselect(void)
{
	serve_both(by_pselect);
}

static void with_epoll(uint32_t wanted)
{
	events = wanted;
	for (unsigned i = 0; i < 6; i++) {
		nonblocking = i >= 3 || wanted & EPOLLET;
		instance[0] = new_epoll();
		serve_at(i, by_epoll, add, (int)i % 3);
		close(instance[0]);
	}
}

static void with_epoll_level(void)
{
	with_epoll(EPOLLIN);
}

static void with_epoll_edge(void)
{
	with_epoll(EPOLLIN | EPOLLET);
}

static void with_epoll_oneshot(void)
{
	with_epoll(EPOLLIN | EPOLLONESHOT);
}

static void with_epoll_exclusive(void)
{
	with_epoll(EPOLLIN | EPOLLEXCLUSIVE);
}

/* --- what epoll is told later */

/* A client that nobody answers yet. */
static void say_told(const char *what, enum road road, int listener)
{
	const int client = client_at(road, 0);
	const bool first = is_told(instance[0], 100), second = is_told(instance[1], 100);

	say("%s, road %d: %s %s", what, road, yes_no(first), yes_no(second));
	answer(accept(listener, NULL, NULL));
	say("answered: %s", yes_no(is_answered(client)));
	close(client);
}

static void say_told_of_both(const char *what, int listener)
{
	say_told(what, FIRST, listener);
	say_told(what, SECOND, listener);
}

static void two_instances(void)
{
	const int listener = server_socket(SOCK_NONBLOCK);

	instance[0] = new_epoll();
	instance[1] = new_epoll();
	events = EPOLLIN;
	add(listener);
	do_bind(listener, wildcard(0));
	listen(listener, 8);
	control(instance[1], EPOLL_CTL_ADD, listener, EPOLLIN);
	say_told_of_both("both", listener);
	say_call("MOD to nothing", control(instance[0], EPOLL_CTL_MOD, listener, 0));
	say_told_of_both("the second", listener);
	say_call("MOD", control(instance[0], EPOLL_CTL_MOD, listener, EPOLLIN));
	say_call("ADD", control(instance[0], EPOLL_CTL_ADD, listener, EPOLLIN));
	say_told_of_both("both", listener);
	say_call("DEL", control(instance[1], EPOLL_CTL_DEL, listener, 0));
	say_call("DEL again", control(instance[1], EPOLL_CTL_DEL, listener, 0));
	say_call("MOD", control(instance[1], EPOLL_CTL_MOD, listener, EPOLLIN));
	say_told_of_both("the first", listener);
	say_call("DEL", control(instance[0], EPOLL_CTL_DEL, listener, 0));
	say_told_of_both("neither", listener);
	say_call("ADD", control(instance[0], EPOLL_CTL_ADD, listener, EPOLLIN));
	say_told_of_both("the first", listener);
}

static void nested(void)
{
	const int listener = server_at(0, SOCK_NONBLOCK);

	instance[0] = new_epoll();
	instance[1] = new_epoll();
	events = EPOLLIN;
	control(instance[1], EPOLL_CTL_ADD, instance[0], EPOLLIN);
	add(listener);
	say_told_of_both("both", listener);
	say_call("DEL", control(instance[0], EPOLL_CTL_DEL, listener, 0));
	say_told_of_both("neither", listener);
}

/* Each number has an entry of its own. */
static void two_numbers(void)
{
	const int listener = server_at(0, SOCK_NONBLOCK), copy = dup(listener);

	instance[0] = new_epoll();
	instance[1] = new_epoll();
	events = EPOLLIN;
	add(listener);
	add(copy);
	say_told_of_both("by two", listener);
	say_call("DEL", control(instance[0], EPOLL_CTL_DEL, copy, 0));
	say_told_of_both("by the first", copy);
	add(copy);
	say_call("DEL", control(instance[0], EPOLL_CTL_DEL, listener, 0));
	close(listener);
	say_told_of_both("by the second", copy);
	close(copy);
	say("closed: %s", yes_no(is_told(instance[0], 100)));
}

/* --- rest */

/* Of 200 ms: how often this process woke and what it took. */
static void say_rest(const char *what, int (*wait)(int), int fd)
{
	struct rusage before, after;
	const int64_t start = now_ms();
	int rc;
	long used, woke;

	getrusage(RUSAGE_SELF, &before);
	rc = wait(fd);
	getrusage(RUSAGE_SELF, &after);
	used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000 + (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 +
	       (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1000 + (after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000;
	woke = after.ru_nvcsw - before.ru_nvcsw;
	say("%s: %s, for its time: %s, idle: %s", what, rc < 0 ? error_name(errno) : rc ? "somebody" : "nobody",
	    yes_no(now_ms() - start >= 190), yes_no(used < 100 && woke < 12));
}

static int rest_poll(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 200);
}

static int rest_select(int fd)
{
	struct timeval limit = {.tv_usec = 200000};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	return select(fd + 1, &in, NULL, NULL, &limit);
}

static int rest_epoll(int fd)
{
	struct epoll_event event;

	(void)fd;
	return epoll_wait(instance[0], &event, 1, 200);
}

static int rest_accept(int fd)
{
	return accept(fd, NULL, NULL);
}

static void say_rests(const char *when, int listener)
{
	say("%s", when);
	say_rest("poll", rest_poll, listener);
	say_rest("select", rest_select, listener);
	say_rest("epoll", rest_epoll, listener);
	say_rest("accept", rest_accept, listener);
}

static void rests(void)
{
	const struct timeval limit = {.tv_usec = 200000};
	const int listener = server_at(0, 0);

	instance[0] = new_epoll();
	events = EPOLLIN;
	add(listener);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	say_rests("at first", listener);
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, 0);

		answer(accept(listener, NULL, NULL));
		say("answered: %s", yes_no(is_answered(client)));
		say_rests("after one of a road", listener);
		close(client);
	}
}

/* --- limits and signals */

static void say_limit(const char *what, int fd)
{
	struct timeval limit = {.tv_sec = -1};
	socklen_t size = sizeof(limit);

	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size) < 0)
		die("SO_RCVTIMEO");
	say("%s: limit of %ld s %ld us", what, (long)limit.tv_sec, (long)limit.tv_usec);
}

/* How long accept waits for nobody. */
static void say_waits(int listener, long ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int64_t start, took;
	int rc;

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	start = now_ms();
	rc = accept(listener, NULL, NULL);
	took = now_ms() - start;
	say("accept: %s, in time: %s", rc < 0 ? error_name(errno) : "ok", yes_no(took >= ms - 1 && took < ms + 500));
	say_limit("listener", listener);
}

static void time_limit(void)
{
	const int listener = server_at(0, 0);

	say_limit("fresh", listener);
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, 0);

		answer(accept(listener, NULL, NULL));
		say("answered: %s", yes_no(is_answered(client)));
		say_limit("used", listener);
		close(client);
	}
	say_waits(listener, 200);
	say_waits(listener, 4);
	say_waits(listener, 8);
	say_waits(listener, 1100);
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, 0), server = accept(listener, NULL, NULL);

		say_limit("accepted", server);
		close(server);
		close(client);
	}
}

static void on_signal(int number)
{
	(void)number;
}

static void signal_soon(int flags)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	const pid_t parent = getpid();

	sigaction(SIGUSR1, &action, NULL);
	if (start_child() == 0) {
		nap(100);
		kill(parent, SIGUSR1);
		_exit(0);
	}
}

/* A client that comes when the signal is over. */
static pid_t late_client(enum road road)
{
	const pid_t child = start_child();

	if (child)
		return child;
	nap(400);
	say("answered: %s", yes_no(is_answered(client_at(road, 0))));
	_exit(0);
}

static void signals(void)
{
	const int listener = server_at(0, 0);
	const struct timeval limit = {.tv_sec = 5};

	signal_soon(0);
	say_call("accept", accept(listener, NULL, NULL));
	for (int road = FIRST; road <= SECOND; road++) {
		const pid_t child = late_client((enum road)road);
		int fd;

		signal_soon(SA_RESTART);
		fd = accept(listener, NULL, NULL);
		say_call("accept, restarted", fd);
		if (fd >= 0)
			answer(fd);
		say_end("client", child);
	}
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	signal_soon(SA_RESTART);
	say_call("accept, with a limit", accept(listener, NULL, NULL));
}

static int asynchronous;

static void on_asynchronous(int number)
{
	(void)number;
	asynchronous++;
}

/* SIGIO tells of clients of either road, whether it is asked for before or after. */
static void say_signalled(const char *what, int listener)
{
	for (int road = FIRST; road <= SECOND; road++) {
		int client;

		asynchronous = 0;
		client = client_at((enum road)road, 0);
		for (int i = 0; i < 100 && !asynchronous; i++)
			nap(10);
		say("%s: signalled: %s", what, yes_no(asynchronous));
		answer(accept(listener, NULL, NULL));
		is_answered(client);
		close(client);
	}
}

static void signalled(void)
{
	int listener;

	signal(SIGIO, on_asynchronous);
	listener = server_at(0, SOCK_NONBLOCK);
	fcntl(listener, F_SETOWN, getpid());
	fcntl(listener, F_SETFL, O_NONBLOCK | O_ASYNC);
	say_signalled("after", listener);
	close(listener);
	listener = server_socket(0);
	fcntl(listener, F_SETOWN, getpid());
	fcntl(listener, F_SETFL, O_ASYNC);
	do_bind(listener, wildcard(0));
	listen(listener, 8);
	say_signalled("before", listener);
	fcntl(listener, F_SETFL, 0);
	nap(50);
	asynchronous = 0;
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, 0);

		answer(accept(listener, NULL, NULL));
		close(client);
	}
	say("no more: %s", yes_no(!asynchronous));
}

/* --- threads */

#define THREADS 8

static int shared, left;

static void *accept_some(void *unused)
{
	(void)unused;
	while (__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) > 0)
		answer(accept(shared, NULL, NULL));
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	pid_t child[2];

	shared = server_at(0, 0);
	left = 200;
	for (int i = 0; i < 2; i++)
		child[i] = clients_start(100, BOTH, i, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, accept_some, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	say_end("clients", child[0]);
	say_end("clients", child[1]);
}

/* One thread waits, another plays the client. */
static void *poll_blocked(void *told)
{
	struct pollfd poll_fd = {.fd = shared, .events = POLLIN};

	*(bool *)told = poll(&poll_fd, 1, 5000) == 1 && poll_fd.revents & POLLIN;
	return NULL;
}

static void waits_already(void)
{
	for (int road = FIRST; road <= SECOND; road++) {
		bool told = false;
		pthread_t thread;
		int client;

		shared = server_at((unsigned)road, 0);
		pthread_create(&thread, NULL, poll_blocked, &told);
		nap(100);
		client = client_at((enum road)road, (unsigned)road);
		pthread_join(thread, NULL);
		say("told: %s", yes_no(told));
		close(client);
	}
}

/* --- names and options */

static void say_options(const char *who, int fd)
{
	struct linger linger = {0};
	socklen_t size = sizeof(linger);

	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size);
	say("%s: NODELAY %d, KEEPALIVE %d, KEEPIDLE %d, TOS %d, LINGER %d %d, type %d, protocol %d, buffers as set: %s %s",
	    who, option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, SOL_SOCKET, SO_KEEPALIVE),
	    option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, IPPROTO_IP, IP_TOS), linger.l_onoff, linger.l_linger,
	    option(fd, SOL_SOCKET, SO_TYPE), option(fd, SOL_SOCKET, SO_PROTOCOL),
	    yes_no(option(fd, SOL_SOCKET, SO_SNDBUF) == 40000), yes_no(option(fd, SOL_SOCKET, SO_RCVBUF) == 60000));
}

static void set_all(int fd, int value)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = value};

	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, value);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 20000);
	set_option(fd, SOL_SOCKET, SO_RCVBUF, 30000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void say_accepted(const char *what, int listener, unsigned n)
{
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, n), server = accept(listener, NULL, NULL);

		say_options(what, server);
		set_all(server, 77);
		say_options("set since", server);
		close(server);
		close(client);
	}
}

static void options(void)
{
	const int late = server_at(0, 0), early = server_socket(0);

	say_accepted("as they are", late, 0);
	set_all(late, 55);
	say_options("listener", late);
	say_accepted("set after listen", late, 0);
	set_all(early, 66);
	do_bind(early, wildcard(1));
	listen(early, 8);
	say_options("listener", early);
	say_accepted("set before bind", early, 1);
}

static void names(void)
{
	const int listener = server_at(0, 0);

	say("listener: %s", own_text(listener));
	for (int road = FIRST; road <= SECOND; road++) {
		const int client = client_at((enum road)road, 0);
		struct place from = {.len = sizeof(from.sa)};
		const int server = accept(listener, (struct sockaddr *)&from.sa, &from.len);

		say("from: %s, length %u", loose_text(from), from.len);
		say("own: %s port %s", family_text(own_name(server).sa.ss_family), yes_no(own_port(server) == here_port));
		say("peer: %s", loose_text(peer_name(server)));
		say("ports agree: %s", yes_no(port_of(&from.sa) == own_port(client) && peer_port(server) == own_port(client)));
		answer(server);
		say("answered: %s", yes_no(is_answered(client)));
		close(client);
	}
}

/* Too little room, and none that can be written to. */
static void rooms(void)
{
	const int listener = server_at(0, 0);

	for (int road = FIRST; road <= SECOND; road++) {
		unsigned char room[8];
		socklen_t len = 4;
		int client = client_at((enum road)road, 0), server;

		memset(room, 0xaa, sizeof(room));
		server = accept(listener, (struct sockaddr *)(void *)room, &len);
		say("length %u, beyond: %x", len, room[4]);
		close(server);
		close(client);
		client = client_at((enum road)road, 0);
		say_call("accept to nowhere", accept(listener, (struct sockaddr *)1, &len));
		close(client);
		client = client_at((enum road)road, 0);
		len = (socklen_t)-1;
		say_call("negative length", accept(listener, (struct sockaddr *)(void *)room, &len));
		close(client);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"accept", with_accept},
		{"accept4", with_accept4},
		{"accept-null", with_accept_null},
		{"poll", with_poll},
		{"ppoll", with_ppoll},
		{"select", with_select},
		{"pselect", with_pselect},
		{"epoll-level", with_epoll_level},
		{"epoll-edge", with_epoll_edge},
		{"epoll-oneshot", with_epoll_oneshot},
		{"epoll-exclusive", with_epoll_exclusive},
		{"two-instances", two_instances},
		{"nested", nested},
		{"two-numbers", two_numbers},
		{"rests", rests},
		{"time-limit", time_limit},
		{"signals", signals},
		{"signalled", signalled},
		{"threads", threads},
		{"waits-already", waits_already},
		{"options", options},
		{"names", names},
		{"rooms", rooms},
	};

	return RUN_CASES(cases, argc, argv);
}
