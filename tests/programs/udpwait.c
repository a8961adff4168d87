/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for datagrams by poll, select and epoll; and reading and writing them as any descriptor is read and written. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

/* A server at here(0), and a client that is connected to it. */
static int server, client;

static void open_ends(void)
{
	server = udp_at(here(0));
	client = udp_to(here(0));
}

/* A datagram that has arrived. */
static void put_there(int from, int to, const char *text)
{
	put(from, text, strlen(text));
	if (!wait_for(to, POLLIN, UDP_SOON))
		die("nothing came");
}

static void take(int fd)
{
	char text[64];

	if (recv(fd, text, sizeof(text), 0) < 0)
		die("recv");
}

/* A process of its own sends one after a while. */
static pid_t put_later(struct place to)
{
	const pid_t child = fork();

	if (child)
		return child;
	usleep(150000);
	put_to(open_udp(0), "later", 5, to);
	usleep(300000); /* whoever looks for it finds its sender alive */
	_exit(0);
}

static void wait_child(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status != 0)
		die("the child");
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static const char *events_text(int events)
{
	static const struct {
		int bit;
		const char *name;
	} names[] = {{POLLIN, " IN"},	      {POLLOUT, " OUT"},   {POLLPRI, " PRI"},	  {POLLERR, " ERR"},
		     {POLLHUP, " HUP"},	      {POLLNVAL, " NVAL"}, {POLLRDNORM, " RDNORM"}, {POLLWRNORM, " WRNORM"},
		     {POLLRDHUP, " RDHUP"}};
	static char text[2][64];
	static unsigned next;
	char *out = text[next++ % 2];

	*out = '\0';
	for (unsigned i = 0; i < N_ELEMENTS(names); i++)
		if (events & names[i].bit)
			strcat(out, names[i].name);
	return *out ? out : " none";
}

static void say_poll(const char *what, struct pollfd *fds, nfds_t count, int timeout)
{
	const int found = poll(fds, count, timeout);
	const int error = errno;

	if (found < 0)
		say("%s: %s", what, error_name(error));
	else
		say("%s: %d", what, found);
	for (nfds_t i = 0; found >= 0 && i < count && i < 4; i++)
		say("  %d:%s", (int)i, events_text(fds[i].revents));
}

static void poll_reports(void)
{
	struct pollfd fds[4];
	int none;

	open_ends();
	none = dup(server);
	close(none);
	fds[0] = (struct pollfd){.fd = server, .events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLPRI};
	fds[1] = (struct pollfd){.fd = client, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = -7, .events = POLLIN};
	fds[3] = (struct pollfd){.fd = server, .events = POLLIN};
	say_poll("nothing there", fds, 4, 0);
	say_poll("nothing there, waiting", fds + 1, 3, 50);
	put_there(client, server, "one");
	say_poll("one there", fds, 4, 0);
	say_poll("one there, waiting", fds, 4, -1);
	fds[0].events = POLLOUT;
	say_poll("to write only", fds, 1, -1);
	fds[0].events = POLLPRI;
	say_poll("exceptions only", fds, 1, 20);
	fds[0].events = 0;
	say_poll("nothing asked", fds, 1, 20);
	fds[2].fd = none;
	say_poll("one is closed", fds, 4, -1);
	fds[2].fd = -7;
	fds[0].events = POLLRDNORM;
	say_poll("normal data", fds, 1, -1);
	take(server);
	say_poll("taken", fds, 1, 20);
	put_there(client, server, "one");
	put(client, "two", 3);
	take(server);
	say_poll("one of two taken", fds, 1, UDP_SOON);
	take(server);
	say_poll("two of two taken", fds, 1, 20);
}

static void poll_waits(void)
{
	struct pollfd fd = {.events = POLLIN};
	pid_t child;

	open_ends();
	fd.fd = server;
	child = put_later(here(0));
	say_poll("for ever", &fd, 1, -1);
	say_text("server", server);
	wait_child(child);
	child = put_later(here(0));
	say_poll("for long", &fd, 1, UDP_SOON);
	say_text("server", server);
	wait_child(child);
}

static void poll_times_out(void)
{
	const int64_t start = now_ms();
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int64_t took;

	open_ends();
	fds[0].fd = server;
	fds[1].fd = client;
	say_poll("a while", fds, 2, 200);
	took = now_ms() - start;
	say("not too soon: %s", yes_no(took >= 200));
	say("not too late: %s", yes_no(took < 5000));
}

static void poll_of_many(void)
{
	struct pollfd fds[200];
	int pipes[2];

	open_ends();
	if (pipe(pipes) < 0)
		die("pipe");
	for (unsigned i = 0; i < N_ELEMENTS(fds); i++)
		fds[i] = (struct pollfd){.fd = i % 2 ? server : pipes[0], .events = POLLIN};
	say_poll("nothing", fds, N_ELEMENTS(fds), 20);
	put_there(client, server, "x");
	say_poll("server", fds, N_ELEMENTS(fds), -1);
	write_all(pipes[1], "x", 1);
	say_poll("both", fds, N_ELEMENTS(fds), -1);
	take(server);
	say_poll("pipe", fds, N_ELEMENTS(fds), -1);
}

/* The kernel counts first, and does not look at what is not there. */
static void poll_of_too_many(void)
{
	struct pollfd fd = {.events = POLLIN};

	open_ends();
	fd.fd = server;
	say_poll("more than there can be", &fd, (nfds_t)1 << 30, 0);
}

/* As many as a process may have: there is no place in the array for anything more. */
static void poll_of_all(void)
{
	const struct rlimit limit = {64, 64};
	struct pollfd fds[64];
	pid_t child;

	open_ends();
	put_there(client, server, "x");
	take(server);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
	for (unsigned i = 0; i < N_ELEMENTS(fds); i++)
		fds[i] = (struct pollfd){.fd = server, .events = POLLIN};
	say_poll("nothing", fds, N_ELEMENTS(fds), 0);
	child = put_later(here(0));
	say_poll("all", fds, N_ELEMENTS(fds), -1);
	wait_child(child);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number UNUSED)
{
	alarms++;
}

static void alarm_install(int flags)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};

	sigaction(SIGALRM, &action, NULL);
}

static void alarm_in(long us)
{
	const struct timespec time = {us / 1000000, us % 1000000 * 1000};
	static timer_t timer;
	static bool made;

	if (!made && timer_create(CLOCK_MONOTONIC, NULL, &timer) < 0)
		die("timer_create");
	made = true;
	timer_settime(timer, 0, &(struct itimerspec){.it_value = time}, NULL);
}

static void poll_is_interrupted(void)
{
	struct pollfd fd = {.events = POLLIN};
	struct timespec limit = {60, 0};
	sigset_t mask, before;

	open_ends();
	fd.fd = server;
	alarm_install(SA_RESTART);
	alarm_in(50000);
	say_poll("poll", &fd, 1, 60000);
	say("alarms: %d", (int)alarms);
	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	sigprocmask(SIG_BLOCK, &mask, &before);
	alarm_in(1);
	usleep(50000);
	say_poll("poll, blocked", &fd, 1, 50);
	say("alarms: %d", (int)alarms);
	say_call("ppoll, not blocked", ppoll(&fd, 1, &limit, &before));
	say("alarms: %d, the limit is as it was: %s", (int)alarms, yes_no(limit.tv_sec == 60 && limit.tv_nsec == 0));
	/* What is there comes before a signal that waits. */
	put_there(client, server, "x");
	raise(SIGALRM);
	say("ppoll: %d", ppoll(&fd, 1, NULL, &before));
	say("alarms: %d", (int)alarms);
	take(server);
	say_call("ppoll of nothing, at once", ppoll(&fd, 1, &(struct timespec){0}, &before));
	say("alarms: %d", (int)alarms);
	limit.tv_nsec = 1000000000;
	say_call("a limit that is none", ppoll(&fd, 1, &limit, NULL));
	limit = (struct timespec){-1, 0};
	say_call("a limit before", ppoll(&fd, 1, &limit, NULL));
	put_there(client, server, "x");
	limit = (struct timespec){(time_t)1 << 60, 0};
	say_call("a limit beyond all", ppoll(&fd, 1, &limit, NULL));
}

/* A receiving call after poll must not wait. */
static void nothing_is_spurious(void)
{
	unsigned char data[9000];
	struct pollfd fd = {.events = POLLIN};
	unsigned found = 0, wrong = 0;

	open_ends();
	fd.fd = server;
	alarm_install(0);
	alarm_in(100000000);
	for (unsigned i = 0; i < 300; i++) {
		fill(data, i * 30, i);
		put(client, data, i * 30);
		if (i % 3 == 0)
			put(client, data, 1);
		while (poll(&fd, 1, 2) > 0) {
			if (recv(server, data, sizeof(data), 0) < 0)
				wrong++;
			found++;
		}
	}
	while (found < 400 && poll(&fd, 1, 2000) > 0) {
		if (recv(server, data, sizeof(data), 0) < 0)
			wrong++;
		found++;
	}
	say("found: %u, wrong: %u, alarms: %d", found, wrong, (int)alarms);
	say_poll("at the end", &fd, 1, 50);
}

/* --- select */

static void say_select(const char *what, int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *limit)
{
	const int found = select(count, in, out, except, limit);

	if (found < 0) {
		say("%s: %s", what, error_name(errno));
		return;
	}
	say("%s: %d%s%s%s%s%s%s", what, found, in && FD_ISSET(server, in) ? " server-in" : "",
	    out && FD_ISSET(server, out) ? " server-out" : "", except && FD_ISSET(server, except) ? " server-except" : "",
	    in && FD_ISSET(client, in) ? " client-in" : "", out && FD_ISSET(client, out) ? " client-out" : "",
	    except && FD_ISSET(client, except) ? " client-except" : "");
}

static void set_both(fd_set *set)
{
	FD_ZERO(set);
	FD_SET(server, set);
	FD_SET(client, set);
}

static void select_reports(void)
{
	fd_set in, out, except;
	struct timeval limit = {0};
	int top, none;

	open_ends();
	top = (server > client ? server : client) + 1;
	set_both(&in), set_both(&out), set_both(&except);
	say_select("nothing there", top, &in, &out, &except, &limit);
	set_both(&in), set_both(&except);
	say_select("nothing there, to read", top, &in, NULL, &except, &limit);
	put_there(client, server, "x");
	set_both(&in), set_both(&out), set_both(&except);
	say_select("one there", top, &in, &out, &except, NULL);
	set_both(&in);
	say_select("to read", top, &in, NULL, NULL, NULL);
	set_both(&out);
	say_select("to write", top, NULL, &out, NULL, NULL);
	set_both(&except);
	limit = (struct timeval){0, 30000};
	say_select("exceptions", top, NULL, NULL, &except, &limit);
	say("the time that is left: %ld", (long)(limit.tv_sec * 1000000 + limit.tv_usec));
	limit = (struct timeval){50, 0};
	set_both(&in);
	say_select("with time", top, &in, NULL, NULL, &limit);
	say("time is left: %s", yes_no(limit.tv_sec == 49 || (limit.tv_sec == 50 && limit.tv_usec == 0)));
	take(server);
	set_both(&in);
	limit = (struct timeval){0, 1500};
	say_select("taken", top, &in, NULL, NULL, &limit);
	set_both(&in);
	limit = (struct timeval){-1, 0};
	say_select("a limit before", top, &in, NULL, NULL, &limit);
	say_select("a negative number", -1, &in, NULL, NULL, NULL);
	limit = (struct timeval){0};
	set_both(&in);
	say_select("none of them", 0, &in, NULL, NULL, &limit);
	none = dup(server);
	close(none);
	set_both(&in);
	FD_SET(none, &in);
	say_select("one is closed", none + 1, &in, NULL, NULL, NULL);
	say_call("no set", select(none + 1, (fd_set *)(uintptr_t)1, NULL, NULL, NULL));
	say("the set is as it was: %s", yes_no(FD_ISSET(server, &in) && FD_ISSET(client, &in) && FD_ISSET(none, &in)));
}

static void select_waits(void)
{
	struct timeval limit = {60, 0};
	sigset_t mask, before;
	pid_t child;
	fd_set in;

	open_ends();
	child = put_later(here(0));
	set_both(&in);
	say_select("for ever", server + client, &in, NULL, NULL, NULL);
	say_text("server", server);
	wait_child(child);
	child = put_later(here(0));
	set_both(&in);
	say_select("for long", server + client, &in, NULL, NULL, &limit);
	say("time has passed: %s", yes_no(limit.tv_sec < 60 && limit.tv_sec >= 30));
	say_text("server", server);
	wait_child(child);
	alarm_install(SA_RESTART);
	alarm_in(50000);
	limit = (struct timeval){60, 0};
	set_both(&in);
	say_select("interrupted", server + client, &in, NULL, NULL, &limit);
	say("time has passed: %s", yes_no(limit.tv_sec < 60 && limit.tv_sec >= 30));
	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	sigprocmask(SIG_BLOCK, &mask, &before);
	raise(SIGALRM);
	set_both(&in);
	say_call("pselect", pselect(server + client, &in, NULL, NULL, NULL, &before));
	say("alarms: %d", (int)alarms);
}

/* Sets of any size, as programs have them whose descriptors are many. */
static void select_beyond_1024(void)
{
	struct rlimit limit;
	unsigned long in[64], out[64];
	const int bits = 8 * (int)sizeof(*in), high = 1500;
	int found;

	open_ends();
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (dup2(server, high) < 0 || dup2(client, high + 200) < 0)
		die("dup2");
	put_there(client, server, "x");
	memset(in, 0, sizeof(in));
	memset(out, 0, sizeof(out));
	in[high / bits] |= 1UL << high % bits;
	in[(high + 200) / bits] |= 1UL << (high + 200) % bits;
	in[(high + 200) / bits + 1] |= 1UL << 63; /* beyond the number that is given */
	out[(high + 200) / bits] |= 1UL << (high + 200) % bits;
	found = select(high + 201, (fd_set *)(void *)in, (fd_set *)(void *)out, NULL, NULL);
	say("found: %d, in: %s %s, out: %s", found, yes_no(in[high / bits] >> high % bits & 1),
	    yes_no(in[(high + 200) / bits] >> (high + 200) % bits & 1),
	    yes_no(out[(high + 200) / bits] >> (high + 200) % bits & 1));
}

/* The system looks no further than there are descriptors, whatever number it is given. */
static void select_as_many_as_may_be(void)
{
	struct timeval limit = {0, 10000};
	struct rlimit many;
	struct {
		fd_set set;
		unsigned char beyond[4096];
	} in;
	size_t kept = 0;

	getrlimit(RLIMIT_NOFILE, &many);
	many.rlim_cur = many.rlim_max;
	setrlimit(RLIMIT_NOFILE, &many);
	open_ends();
	put_there(client, server, "x");
	memset(&in, 0xaa, sizeof(in));
	FD_ZERO(&in.set);
	FD_SET(server, &in.set);
	say_select("so many", 8 * (int)sizeof(in), &in.set, NULL, NULL, &limit);
	for (size_t i = 0; i < sizeof(in.beyond); i++)
		kept += in.beyond[i] == 0xaa;
	say("is set: %s, beyond it %zu bytes are as they were", yes_no(FD_ISSET(server, &in.set)), kept);
}

/* --- epoll */

static int instance(void)
{
	const int epfd = epoll_create1(0);

	if (epfd < 0)
		die("epoll_create1");
	return epfd;
}

static void watch(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	if (epoll_ctl(epfd, op, fd, &event) < 0)
		die("epoll_ctl");
}

/* Which data, with which events: of one descriptor there may be two events, which mean what one does. */
static void say_events(const char *what, int epfd, int timeout)
{
	struct epoll_event events[8];
	int count = epoll_wait(epfd, events, 8, timeout);
	uint32_t of[16] = {0};

	for (int i = 0; i < count; i++)
		of[events[i].data.u64 & 15] |= events[i].events;
	say("%s:%s", what, count < 0 ? error_name(errno) : count ? "" : " none");
	for (unsigned i = 0; i < N_ELEMENTS(of); i++)
		if (of[i])
			say("  %u:%s", i, events_text((int)of[i]));
}

static void epoll_level(void)
{
	const int epfd = instance();
	pid_t child;

	open_ends();
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLOUT, 1);
	watch(epfd, EPOLL_CTL_ADD, client, EPOLLIN, 2);
	say_events("nothing there", epfd, 0);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLIN, 3);
	say_events("changed", epfd, 50);
	put_there(client, server, "x");
	say_events("one there", epfd, -1);
	say_events("and still", epfd, -1);
	put(client, "y", 1);
	take(server);
	say_events("one of two taken", epfd, UDP_SOON);
	take(server);
	say_events("two of two taken", epfd, 50);
	child = put_later(here(0));
	say_events("later", epfd, -1);
	take(server);
	wait_child(child);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLOUT, 4);
	put_there(client, server, "x");
	say_events("to write", epfd, -1);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLRDNORM, 5);
	say_events("to read", epfd, -1);
	if (epoll_ctl(epfd, EPOLL_CTL_DEL, server, NULL) < 0)
		die("epoll_ctl");
	say_events("removed", epfd, 50);
	say_call("removed twice", epoll_ctl(epfd, EPOLL_CTL_DEL, server, NULL));
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN, 6);
	say_call("added twice", epoll_ctl(epfd, EPOLL_CTL_ADD, server, &(struct epoll_event){.events = EPOLLIN}));
	say_events("added again", epfd, -1);
	close(server);
	say_events("closed", epfd, 50);
}

static void epoll_edge(void)
{
	const int epfd = instance();

	open_ends();
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLET, 1);
	say_events("nothing there", epfd, 50);
	put(client, "x", 1);
	say_events("one", epfd, UDP_SOON);
	say_events("no more", epfd, 50);
	take(server);
	say_events("taken", epfd, 50);
	put(client, "y", 1);
	say_events("two", epfd, UDP_SOON);
	put(client, "z", 1);
	say_events("three", epfd, UDP_SOON);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLET, 2);
	say_events("armed anew", epfd, UDP_SOON);
}

static void epoll_once(void)
{
	const int epfd = instance();

	open_ends();
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLONESHOT, 1);
	put(client, "x", 1);
	say_events("one", epfd, UDP_SOON);
	say_events("no more", epfd, 50);
	put(client, "y", 1);
	say_events("nor now", epfd, 50);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLONESHOT, 2);
	say_events("armed anew", epfd, UDP_SOON);
	take(server);
	take(server);
	watch(epfd, EPOLL_CTL_MOD, server, EPOLLIN | EPOLLOUT | EPOLLONESHOT, 3);
	say_events("both ways", epfd, UDP_SOON);
	put(client, "z", 1);
	say_events("no more", epfd, 50);
}

/* Registered before anything is known of where datagrams come from. */
static void epoll_before(void)
{
	const int first = instance(), second = instance();

	server = open_udp(0);
	client = open_udp(0);
	watch(first, EPOLL_CTL_ADD, server, EPOLLIN, 1);
	watch(second, EPOLL_CTL_ADD, server, EPOLLIN | EPOLLET, 2);
	watch(first, EPOLL_CTL_ADD, client, EPOLLIN, 3);
	if (do_bind(server, here(0)) < 0)
		die("bind");
	must_connect(client, here(0));
	put(client, "x", 1);
	say_events("first", first, UDP_SOON);
	say_events("second", second, UDP_SOON);
	say_text("server", server);
	say_events("first", first, 50);
	put_to(server, "y", 1, own_name(client));
	say_events("first", first, UDP_SOON);
	say_text("client", client);
}

/* An instance tells two numbers of one socket apart. */
static void epoll_of_copies(void)
{
	const int epfd = instance();
	int copy;

	open_ends();
	copy = dup(server);
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN, 1);
	watch(epfd, EPOLL_CTL_ADD, copy, EPOLLIN, 2);
	put_there(client, server, "x");
	say_events("both", epfd, UDP_SOON);
	if (epoll_ctl(epfd, EPOLL_CTL_DEL, server, NULL) < 0)
		die("epoll_ctl");
	say_events("the copy", epfd, UDP_SOON);
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN, 3);
	close(copy);
	take(server);
	put_there(client, server, "x");
	say_text("server", server);
}

/* A daemon has registered its sockets, and goes on in a child. */
static void epoll_goes_on_in_a_child(void)
{
	const int epfd = instance();
	pid_t child;

	open_ends();
	watch(epfd, EPOLL_CTL_ADD, server, EPOLLIN, 1);
	put_there(client, server, "x");
	say_events("parent", epfd, UDP_SOON);
	take(server);
	child = fork();
	if (child) {
		wait_child(child);
		return;
	}
	client = udp_to(here(0));
	say_events("nothing", epfd, 50);
	put(client, "y", 1);
	say_events("child", epfd, UDP_SOON);
	say_text("server", server);
	_exit(0);
}

/* --- threads */

static void *poll_forever(void *unused UNUSED)
{
	struct pollfd fd = {.fd = client, .events = POLLIN};

	say_poll("thread", &fd, 1, -1);
	say_text("thread", client);
	return NULL;
}

static void *select_forever(void *unused UNUSED)
{
	fd_set in;

	FD_ZERO(&in);
	FD_SET(client, &in);
	say("thread: %d", select(client + 1, &in, NULL, NULL, NULL));
	say_text("thread", client);
	return NULL;
}

static void *receive_forever(void *unused UNUSED)
{
	char text[16] = "";

	say("thread: %zd %s", recv(client, text, sizeof(text) - 1, 0), text);
	return NULL;
}

static void *recvfrom_forever(void *unused UNUSED)
{
	struct place from = {.len = sizeof(from.sa)};
	char text[16] = "";

	say("thread: %zd %s from %s",
	    recvfrom(client, text, sizeof(text) - 1, 0, (struct sockaddr *)&from.sa, &from.len), text,
	    name_text(&from.sa));
	return NULL;
}

static void *read_forever(void *unused UNUSED)
{
	char text[16] = "";

	say("thread: %zd %s", read(client, text, sizeof(text) - 1), text);
	return NULL;
}

/* One thread waits for answers, while another asks for the first time. */
static void thread_waits_first(void *(*how)(void *))
{
	pthread_t thread;
	struct place from;

	server = udp_at(here(0));
	client = open_udp(0);
	if (pthread_create(&thread, NULL, how, NULL))
		die("pthread_create");
	usleep(150000);
	put_to(client, "ask", 3, here(0));
	from = say_text_from("server", server);
	put_to(server, "answer", 6, from);
	pthread_join(thread, NULL);
}

static void thread_polls(void)
{
	thread_waits_first(poll_forever);
}

static void thread_selects(void)
{
	thread_waits_first(select_forever);
}

static void thread_receives(void)
{
	thread_waits_first(receive_forever);
}

static void thread_receives_from(void)
{
	thread_waits_first(recvfrom_forever);
}

static void thread_reads(void)
{
	thread_waits_first(read_forever);
}

static int taken;

static void *take_one(void *how)
{
	struct pollfd fd = {.fd = server, .events = POLLIN};
	char text[16];

	if (how && poll(&fd, 1, UDP_SOON) != 1)
		die("poll");
	if (recv(server, text, sizeof(text), 0) == 1)
		__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
	usleep(1000000); /* does not come back for more */
	return NULL;
}

/* Datagrams that come together wake as many as wait for them. */
static void threads_share(void)
{
	pthread_t threads[6];

	open_ends();
	for (unsigned i = 0; i < N_ELEMENTS(threads); i++)
		pthread_create(&threads[i], NULL, take_one, NULL);
	usleep(150000);
	for (unsigned i = 0; i < N_ELEMENTS(threads); i++)
		put(client, "x", 1);
	for (unsigned i = 0; i < N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	say("taken: %d", taken);
}

/* --- bytes */

static void read_and_write(void)
{
	char text[16] = "", more[16] = "";
	static struct iovec many[5000];
	struct iovec in[2] = {{text, 3}, {more, 10}}, nothing[2] = {{text, 0}, {more, 0}};
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdefg", 5}};

	open_ends();
	say_size("write", write(client, "hello", 5));
	say_size("read", read(server, text, sizeof(text)));
	say("%s", text);
	memset(text, 0, sizeof(text));
	say_size("writev", writev(client, out, 3));
	say_size("readv", readv(server, in, 2));
	say("%.3s %s", text, more);
	say_size("write of nothing", write(client, "", 0));
	say_size("read of it", read(server, text, sizeof(text)));
	say_size("writev of nothing", writev(client, nothing, 2));
	say_silence("server", server);
	put_there(client, server, "hello");
	say_size("read of no bytes", read(server, text, 0));
	say_size("readv of no bytes", readv(server, nothing, 2));
	say_size("readv of no parts", readv(server, NULL, 0));
	say_size("readv of too many parts", readv(server, many, 5000));
	say_size("read of some", read(server, text, 2));
	say_silence("server", server);
	say_size("write without a peer", write(server, "x", 1));
	say_size("writev without a peer", writev(server, out, 3));
	say_size("pread", pread(server, text, 1, 0));
	say_size("pwrite", pwrite(client, text, 1, 0));
	fcntl(server, F_SETFL, O_NONBLOCK);
	say_size("read of what is not there", read(server, text, sizeof(text)));
	say_size("readv of what is not there", readv(server, in, 2));
}

static void too_large(void)
{
	static char data[UDP_MOST + 1];
	struct iovec parts[2] = {{data, UDP_MOST}, {data, 1}};

	open_ends();
	say_size("write", write(client, data, here_family == AF_INET ? UDP_MOST + 1 : 65528));
	say_size("write of the most", write(client, data, UDP_MOST));
	say_size("read", read(server, data, sizeof(data)));
	parts[1].iov_len = here_family == AF_INET ? 1 : 21;
	parts[1].iov_base = data;
	say_size("writev", writev(client, parts, 2));
	parts[1].iov_len = 0;
	say_size("writev of the most", writev(client, parts, 2));
	say_size("readv", readv(server, parts, 2));
	say_silence("server", server);
}

/* A number that was a socket's is a file's. */
static void number_of_a_file(void)
{
	char name[] = "/tmp/udpwait.XXXXXX", text[16] = "";
	int copy, file;

	open_ends();
	copy = server;
	file = mkstemp(name);
	unlink(name);
	if (dup2(file, copy) < 0)
		die("dup2");
	say_size("write", write(copy, "into the file", 13));
	lseek(copy, 0, SEEK_SET);
	say_size("read", read(copy, text, sizeof(text)));
	say("%s", text);
}

/* As io_uring does it, or a module that was loaded with RTLD_DEEPBIND: past every library. */
static long dup3_unseen(int fd, int copy)
{
#ifdef __x86_64__
	long result = SYS_dup3;

	__asm__ volatile("xorl %%edx, %%edx\n\tsyscall"
			 : "+a"(result)
			 : "D"((long)fd), "S"((long)copy)
			 : "rcx", "rdx", "r11", "memory");
	return result;
#else
	return dup3(fd, copy, 0);
#endif
}

static void number_taken_unseen(void)
{
	char name[] = "/tmp/udpwait.XXXXXX", text[16] = "";
	struct pollfd fd = {.events = POLLIN};
	const int epfd = instance();
	struct iovec part = {text, 4};
	int file;

	open_ends();
	put_there(client, server, "x");
	take(server);
	file = mkstemp(name);
	unlink(name);
	if (dup3_unseen(file, client) != client || dup3_unseen(file, server) != server)
		die("dup3");
	say_size("write", write(client, "into the file", 13));
	lseek(file, 0, SEEK_SET);
	say_size("readv", readv(server, &part, 1));
	say_size("read", read(server, text + 4, 9));
	say("%.13s", text);
	fd.fd = server;
	say_poll("a file", &fd, 1, -1);
	say_call("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, server, &(struct epoll_event){.events = EPOLLIN}));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"poll-reports", poll_reports},
		{"poll-waits", poll_waits},
		{"poll-times-out", poll_times_out},
		{"poll-of-many", poll_of_many},
		{"poll-of-too-many", poll_of_too_many},
		{"poll-of-all", poll_of_all},
		{"poll-is-interrupted", poll_is_interrupted},
		{"nothing-is-spurious", nothing_is_spurious},
		{"select-reports", select_reports},
		{"select-as-many-as-may-be", select_as_many_as_may_be},
		{"select-waits", select_waits},
		{"select-beyond-1024", select_beyond_1024},
		{"epoll-level", epoll_level},
		{"epoll-edge", epoll_edge},
		{"epoll-once", epoll_once},
		{"epoll-before", epoll_before},
		{"epoll-of-copies", epoll_of_copies},
		{"epoll-goes-on-in-a-child", epoll_goes_on_in_a_child},
		{"thread-polls", thread_polls},
		{"thread-selects", thread_selects},
		{"thread-receives", thread_receives},
		{"thread-receives-from", thread_receives_from},
		{"thread-reads", thread_reads},
		{"threads-share", threads_share},
		{"read-and-write", read_and_write},
		{"too-large", too_large},
		{"number-of-a-file", number_of_a_file},
		{"number-taken-unseen", number_taken_unseen},
	};

	return RUN_CASES(cases, argc, argv);
}
