/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accept() in all its forms while strangers knock, who must not be noticed. */
#define _GNU_SOURCE 1
#include "common.h"
#include "visitors.h"

#include <linux/filter.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* --- calls that wait */

static int by_accept(int listener)
{
	return accept(listener, NULL, NULL);
}

static int by_accept_named(int listener)
{
	return accept_named(listener);
}

static int by_accept4(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	say("O_NONBLOCK %s, FD_CLOEXEC %s", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK), yes_no(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	return fd;
}

static int by_number(int listener)
{
	struct place peer = {.len = sizeof(peer.sa)};
	const int fd = (int)syscall(SYS_accept4, listener, &peer.sa, &peer.len, 0);

	say("accepted: %s", name_text(&peer.sa));
	return fd;
}

static int by_old_number(int listener)
{
#ifdef SYS_accept
	return (int)syscall(SYS_accept, listener, NULL, NULL);
#else
	return accept(listener, NULL, NULL);
#endif
}

static void blocking(void)
{
	static int (*const ways[])(int listener) = {by_accept, by_accept_named, by_accept4, by_number, by_old_number};
	const int listener = listen_at(here(0), 64);
	const unsigned before = count_fds();

	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		const pid_t visitors = strangers_then_friends(5, 1);
		const int fd = ways[i](listener);

		if (fd < 0)
			die("accept");
		serve(fd);
		visitors_end("visitors", visitors);
	}
	say("descriptors left: %d", (int)(count_fds() - before));
}

static void rooms(void)
{
	static const socklen_t rooms[] = {0, 1, 2, 3, 4, 8, 15, 16, 17, 28, 40, 127, 128};
	const int listener = listen_at(here(0), 64);

	for (size_t i = 0; i < N_ELEMENTS(rooms); i++) {
		unsigned char name[160];
		socklen_t len = rooms[i];
		pid_t visitors = strangers_then_friends(2, 1);
		bool beyond = false;
		int fd;

		memset(name, 0xa5, sizeof(name));
		fd = accept(listener, (struct sockaddr *)name, &len);
		for (size_t k = rooms[i]; k < sizeof(name); k++)
			beyond |= name[k] != 0xa5;
		say("room %u: %s, length %u, family %d, beyond %s", rooms[i], fd < 0 ? error_name(errno) : "ok", len,
		    rooms[i] < 2 ? -1 : name[0] | name[1] << 8, yes_no(beyond));
		serve(fd);
		visitors_end("visitors", visitors);
	}
}

static void no_address_but_a_length(void)
{
	const int listener = listen_at(here(0), 64);
	const pid_t visitors = strangers_then_friends(2, 1);
	socklen_t len = 77;

	serve(accept(listener, NULL, &len));
	say("length %u", len);
	visitors_end("visitors", visitors);
}

/* Each of these takes the one who has come, and gives him up. */
static void bad_arguments(void)
{
	const int listener = listen_at(here(0), 64);
	struct sockaddr_storage sa;
	const struct {
		const char *name;
		struct sockaddr *addr;
		socklen_t *len;
	} calls[] = {
		{"address of nothing", (struct sockaddr *)16, &(socklen_t){16}},
		{"address beyond all", (struct sockaddr *)-4096, &(socklen_t){16}},
		{"no length", (struct sockaddr *)&sa, NULL},
		{"length of nothing", (struct sockaddr *)&sa, (socklen_t *)16},
		{"negative length", (struct sockaddr *)&sa, &(socklen_t){(socklen_t)-1}},
		{"read-only address", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), &(socklen_t){16}},
	};

	for (size_t i = 0; i < N_ELEMENTS(calls); i++) {
		const pid_t strange = crowd(false, 2);
		const int client = visit_begins(true);
		char byte;
		ssize_t got;

		say_call(calls[i].name, accept(listener, calls[i].addr, calls[i].len));
		set_nonblocking(listener, true);
		say_call("and nobody is left", accept(listener, NULL, NULL));
		set_nonblocking(listener, false);
		got = read(client, &byte, 1);
		say("the client: %s", got > 0 ? "was served" : "has the end");
		close(client);
		visitors_end("strangers", strange);
	}
	say_call("flags that are none", accept4(listener, NULL, NULL, 1 << 20));
}

static void not_a_listener(void)
{
	const int fd = open_socket(0);

	if (do_bind(fd, here(0)) < 0)
		die("bind");
	say_call("bound", accept(fd, NULL, NULL));
	if (listen(fd, 8) < 0)
		die("listen");
	set_nonblocking(fd, true);
	say_call("listening", accept(fd, NULL, NULL));
	close(fd);
	say_call("closed", accept(fd, NULL, NULL));
}

/* --- limits and signals */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double slow(void)
{
	const char *scale = getenv("SCALE");

	return scale && atoi(scale) > 1 ? atoi(scale) : 1;
}

static void end(pid_t pid)
{
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void set_limit(int listener, int ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		die("SO_RCVTIMEO");
}

/* Strangers who never end, from several processes. */
static void knock_on(pid_t pids[4])
{
	for (int i = 0; i < 4; i++)
		pids[i] = strangers(UINT16_MAX);
}

static void knock_off(pid_t pids[4])
{
	for (int i = 0; i < 4; i++)
		end(pids[i]);
}

static void time_limit(void)
{
	const int listener = listen_at(here(0), 64);
	pid_t pids[4];
	double start;

	set_limit(listener, 400);
	knock_on(pids);
	for (int i = 0; i < 3; i++) {
		start = now();
		say_call("accept", accept(listener, NULL, NULL));
		say("in time: %s", yes_no(now() - start > 0.39 && now() - start < 0.4 + 3 * slow()));
	}
	knock_off(pids);
	/* A limit that did not end is none that has begun. */
	set_limit(listener, 20000);
	pids[0] = strangers_then_friends(3, 1);
	serve(accept(listener, NULL, NULL));
	visitors_end("visitors", pids[0]);
}

/* The limit of a listener that does not wait means nothing. */
static void time_limit_without_waiting(void)
{
	const int listener = listen_at(here(0), 64);
	pid_t visitors = 0;
	double start;

	set_limit(listener, 20000);
	set_nonblocking(listener, true);
	visitors = crowd(false, 5);
	start = now();
	say_call("accept", accept(listener, NULL, NULL));
	say("at once: %s", yes_no(now() - start < 5 * slow()));
	visitors_end("strangers", visitors);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms = alarms + 1;
}

static void ring(int flags, long every_us)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	const struct itimerval timer = {.it_interval = {0, every_us}, .it_value = {0, every_us}};

	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void interrupted(void)
{
	const int listener = listen_at(here(0), 64);
	pid_t pids[4];

	knock_on(pids);
	for (int i = 0; i < 3; i++) {
		ring(0, 50000);
		say_call("without SA_RESTART", accept(listener, NULL, NULL));
		say("a signal came: %s", yes_no(alarms > 0));
	}
	set_limit(listener, 20000);
	ring(SA_RESTART, 50000);
	say_call("with a limit", accept(listener, NULL, NULL));
	ring(0, 0);
	knock_off(pids);
}

static void restarted(void)
{
	const int listener = listen_at(here(0), 64);
	const pid_t visitors = start_child();
	int fd;

	if (visitors == 0) {
		visitors_end("strangers", strangers(1000));
		usleep(100000);
		visitors_end("friends", friends(1));
		_exit(0);
	}
	ring(SA_RESTART, 5000);
	fd = accept(listener, NULL, NULL);
	say("signals came: %s", yes_no(alarms > 0));
	ring(0, 0);
	if (fd < 0)
		die("accept");
	serve(fd);
	visitors_end("visitors", visitors);
}

/* --- calls that do not wait */

static void nonblocking(void)
{
	const int listener = listen_at(here(0), 64);
	unsigned char name[160];
	bool touched = false;
	socklen_t len = 100;
	pid_t strange, friendly;

	set_nonblocking(listener, true);
	strange = crowd(false, 20);
	memset(name, 0xa5, sizeof(name));
	say_call("only strangers", accept(listener, (struct sockaddr *)name, &len));
	for (size_t i = 0; i < sizeof(name); i++)
		touched |= name[i] != 0xa5;
	say("length %u, touched %s, readable %s", len, yes_no(touched), yes_no(wait_for(listener, POLLIN, 0)));
	visitors_end("strangers", strange);
	strange = crowd(false, 10);
	friendly = crowd(true, 1);
	serve(accept_named(listener));
	say_call("and then", accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	visitors_end("strangers", strange);
	visitors_end("friends", friendly);
	/* A friend first. */
	friendly = crowd(true, 2);
	strange = crowd(false, 10);
	for (int i = 0; i < 2; i++)
		serve(accept(listener, NULL, NULL));
	say_call("and then", accept(listener, NULL, NULL));
	say("readable %s", yes_no(wait_for(listener, POLLIN, 0)));
	visitors_end("strangers", strange);
	visitors_end("friends", friendly);
}

/* With no descriptor free accept fails before it takes anybody. */
static void without_descriptors(void)
{
	const int listener = listen_at(here(0), 64);
	const pid_t strange = crowd(false, 3);
	struct rlimit before, few;
	int last;

	set_nonblocking(listener, true);
	getrlimit(RLIMIT_NOFILE, &before);
	last = dup(listener);
	close(last);
	few = before;
	few.rlim_cur = (rlim_t)last;
	setrlimit(RLIMIT_NOFILE, &few);
	say_call("none is free", accept(listener, NULL, NULL));
	setrlimit(RLIMIT_NOFILE, &before);
	say_call("one is free", accept(listener, NULL, NULL));
	visitors_end("strangers", strange);
}

/* --- loops */

#define LOOP_FRIENDS 30
#define LOOP_STRANGERS 60

/* Descriptors of a loop: the listener, and a pipe that ends with the visitors. */
struct loop {
	int listener, over;
	pid_t friendly, strange;
	unsigned wakes, served;
};

static void loop_start(struct loop *loop)
{
	int over[2];

	*loop = (struct loop){.listener = listen_at(here(0), 64)};
	set_nonblocking(loop->listener, true);
	if (pipe(over) < 0)
		die("pipe");
	fcntl(over[0], F_SETFD, FD_CLOEXEC);
	loop->over = over[0];
	loop->strange = strangers(LOOP_STRANGERS);
	loop->friendly = friends(LOOP_FRIENDS);
	close(over[1]);
}

/* Serves who is there: one, or until nobody is. */
static void loop_serve(struct loop *loop, bool all)
{
	int fd;

	loop->wakes++;
	do {
		fd = accept(loop->listener, NULL, NULL);
		if (fd < 0 && errno != EAGAIN)
			die("accept");
		if (fd >= 0) {
			serve(fd);
			loop->served++;
		}
	} while (fd >= 0 && all);
}

/* No more wakes than visitors, and silence after the last. */
static void loop_end(struct loop *loop)
{
	visitors_end("strangers", loop->strange);
	visitors_end("friends", loop->friendly);
	say("served: %u", loop->served);
	say("wakes: %s", loop->wakes <= LOOP_FRIENDS + LOOP_STRANGERS ? "no more than visitors" : "too many");
	say("silent after the last: %s", yes_no(!wait_for(loop->listener, POLLIN, 100)));
	close(loop->listener);
	close(loop->over);
}

static void loop_by_poll(void)
{
	struct loop loop;
	struct pollfd fds[2];

	loop_start(&loop);
	do {
		fds[0] = (struct pollfd){.fd = loop.listener, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = loop.over, .events = POLLIN};
		if (poll(fds, 2, -1) < 0)
			die("poll");
		if (fds[0].revents)
			loop_serve(&loop, false);
	} while (!fds[1].revents);
	loop_end(&loop);
}

static void loop_by_select(void)
{
	struct loop loop;
	fd_set set;

	loop_start(&loop);
	do {
		FD_ZERO(&set);
		FD_SET(loop.listener, &set);
		FD_SET(loop.over, &set);
		if (select((loop.listener > loop.over ? loop.listener : loop.over) + 1, &set, NULL, NULL, NULL) < 0)
			die("select");
		if (FD_ISSET(loop.listener, &set))
			loop_serve(&loop, false);
	} while (!FD_ISSET(loop.over, &set));
	loop_end(&loop);
}

static void loop_by_epoll(uint32_t flags)
{
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN | flags, .data.u32 = 1};
	bool over = false;
	struct loop loop;

	loop_start(&loop);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, loop.listener, &event) < 0)
		die("EPOLL_CTL_ADD");
	event = (struct epoll_event){.events = EPOLLIN, .data.u32 = 2};
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, loop.over, &event) < 0)
		die("EPOLL_CTL_ADD");
	while (!over) {
		struct epoll_event events[4];
		const int count = epoll_wait(epfd, events, 4, -1);

		if (count < 0)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.u32 == 1)
				loop_serve(&loop, flags & EPOLLET);
			else
				over = true;
		}
	}
	loop_end(&loop);
	close(epfd);
}

static void loop_by_epoll_level(void)
{
	loop_by_epoll(0);
}

static void loop_by_epoll_edge(void)
{
	loop_by_epoll(EPOLLET);
}

static void loop_by_epoll_exclusive(void)
{
	loop_by_epoll(EPOLLEXCLUSIVE);
}

/* --- many who accept */

#define MANY 60
#define WORKERS 4

/* What workers report: one byte for each who was served, another for each time that they woke for nothing. */
static int report;

static void work_blocking(int listener)
{
	for (;;) {
		const int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		write_all(report, "s", 1); /* before a visitor's end can be this worker's */
		serve(fd);
	}
}

static void work_exclusive(int listener)
{
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event) < 0)
		die("EPOLL_CTL_ADD");
	for (;;) {
		int fd;

		if (epoll_wait(epfd, &event, 1, -1) < 1)
			die("epoll_wait");
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && errno != EAGAIN)
			die("accept4");
		write_all(report, fd < 0 ? "w" : "s", 1);
		if (fd >= 0)
			serve(fd);
	}
}

static void say_workers(const int listeners[WORKERS], void (*work)(int))
{
	unsigned served = 0, woken = 0;
	pid_t workers[WORKERS], friendly, strange;
	int reports[2];
	char what;

	if (pipe2(reports, O_CLOEXEC) < 0)
		die("pipe2");
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = start_child();
		if (workers[i])
			continue;
		report = reports[1];
		close(reports[0]);
		/* A worker has its own, if there are several. */
		for (int k = 0; k < WORKERS; k++)
			if (listeners[k] != listeners[i])
				close(listeners[k]);
		work(listeners[i]);
	}
	strange = strangers(MANY);
	friendly = friends(MANY);
	visitors_end("strangers", strange);
	visitors_end("friends", friendly);
	for (int i = 0; i < WORKERS; i++)
		end(workers[i]);
	close(reports[1]);
	while (read(reports[0], &what, 1) == 1) {
		served += what == 's';
		woken += what == 'w';
	}
	close(reports[0]);
	say("served: %u", served);
	say("woken for nothing: %s", woken <= 2 * MANY * WORKERS ? "not often" : "too often");
}

static void same(int listeners[WORKERS], int listener)
{
	for (int i = 0; i < WORKERS; i++)
		listeners[i] = listener;
}

static void prefork(void)
{
	int listeners[WORKERS];

	same(listeners, listen_at(here(0), 64));
	say_workers(listeners, work_blocking);
}

static void prefork_exclusive(void)
{
	int listeners[WORKERS];

	same(listeners, listen_at(here(0), 64));
	set_nonblocking(listeners[0], true);
	say_workers(listeners, work_exclusive);
}

static void reuseport_workers(void)
{
	int listeners[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		listeners[i] = open_socket(SOCK_CLOEXEC);
		set_option(listeners[i], SOL_SOCKET, SO_REUSEADDR, 1);
		set_option(listeners[i], SOL_SOCKET, SO_REUSEPORT, 1);
		if (do_bind(listeners[i], here(0)) < 0 || listen(listeners[i], 64) < 0)
			die("listener %d", i);
	}
	say_workers(listeners, work_blocking);
}

struct acceptor {
	pthread_t thread;
	int listener;
	unsigned served;
	int error;
};

static void *accept_in_thread(void *argument)
{
	struct acceptor *acceptor = argument;
	int fd;

	while ((fd = accept(acceptor->listener, NULL, NULL)) >= 0) {
		serve(fd);
		acceptor->served++;
	}
	acceptor->error = errno;
	return NULL;
}

static void threads(void)
{
	struct acceptor acceptors[8];
	const int listener = listen_at(here(0), 64);
	unsigned served = 0, ended = 0;
	pid_t friendly, strange;

	for (size_t i = 0; i < N_ELEMENTS(acceptors); i++) {
		acceptors[i] = (struct acceptor){.listener = listener};
		if (pthread_create(&acceptors[i].thread, NULL, accept_in_thread, &acceptors[i]))
			die("pthread_create");
	}
	strange = strangers(MANY);
	friendly = friends(MANY);
	visitors_end("strangers", strange);
	visitors_end("friends", friendly);
	shutdown(listener, SHUT_RDWR);
	for (size_t i = 0; i < N_ELEMENTS(acceptors); i++) {
		pthread_join(acceptors[i].thread, NULL);
		served += acceptors[i].served;
		ended += acceptors[i].error == EINVAL;
	}
	say("served: %u, ended by shutdown: %u", served, ended);
}

/* --- two listeners */

static int listen_wildcard(const char *address, bool v6only)
{
	const struct place at = place_of(address, here_port);
	const int fd = socket(at.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (v6only)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (do_bind(fd, at) < 0 || listen(fd, 64) < 0)
		die("listener at %s", address);
	return fd;
}

/* 0.0.0.0 and ::, as most servers have them. */
static void both_wildcards(void)
{
	const int listeners[] = {listen_wildcard("0.0.0.0", false), listen_wildcard("::", true)};
	struct pollfd fds[2];
	unsigned served = 0;
	const pid_t visitors = strangers_then_friends(10, 10);

	while (served < 10) {
		for (int i = 0; i < 2; i++)
			fds[i] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
		if (poll(fds, 2, -1) < 0)
			die("poll");
		for (int i = 0; i < 2; i++) {
			int fd;

			if (!fds[i].revents)
				continue;
			set_nonblocking(listeners[i], true);
			fd = accept(listeners[i], NULL, NULL);
			if (fd < 0 && errno != EAGAIN)
				die("accept");
			if (fd >= 0) {
				serve(fd);
				served++;
			}
		}
	}
	visitors_end("visitors", visitors);
	say("served: %u", served);
}

/* --- options */

static void say_still_guarded(const char *what, int listener)
{
	const pid_t visitors = strangers_then_friends(2, 1);

	serve(accept(listener, NULL, NULL));
	visitors_end("visitors", visitors);
	say("%s", what);
}

static int set_filter(int fd, int level)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, UINT32_MAX}};
	const struct sock_fprog program = {1, code};

	return setsockopt(fd, SOL_SOCKET, level, &program, sizeof(program));
}

static void options_set_later(void)
{
	static const struct {
		const char *name;
		int level, option, value;
	} options[] = {
		{"SO_MAX_PACING_RATE", SOL_SOCKET, SO_MAX_PACING_RATE, 1000000},
		{"SO_MAX_PACING_RATE again", SOL_SOCKET, SO_MAX_PACING_RATE, -1},
		{"SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU, 0},
		{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
		{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1},
		{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 100000},
		{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
		{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
		{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 1},
		{"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, 5},
		{"IP_TOS", IPPROTO_IP, IP_TOS, 16},
	};
	const int listener = listen_at(here(0), 64);
	const uint64_t size = 1 << 18;

	/* Every option of vsock. */
	for (int option = 0; option < 10; option++)
		say_call("level of vsock", setsockopt(listener, AF_VSOCK, option, &size, sizeof(size)));
	say_still_guarded("served", listener);
	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		say_call(options[i].name,
			 setsockopt(listener, options[i].level, options[i].option, &options[i].value, sizeof(int)));
		if (i % 3 == 0)
			say_still_guarded("served", listener);
	}
	say_still_guarded("served", listener);
}

static void filters_set_later(void)
{
	const int listener = listen_at(here(0), 64);
	int none = 0;

	say_call("SO_ATTACH_FILTER", set_filter(listener, SO_ATTACH_FILTER));
	say_still_guarded("with it", listener);
	say_call("SO_DETACH_FILTER", setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
	say_still_guarded("without it", listener);
	say_call("SO_DETACH_FILTER again", setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
	say_call("SO_ATTACH_FILTER by number", (int)syscall(SYS_setsockopt, listener, SOL_SOCKET, SO_ATTACH_FILTER,
							     &(struct sock_fprog){1, (struct sock_filter[]){{BPF_RET | BPF_K, 0, 0, UINT32_MAX}}},
							     sizeof(struct sock_fprog)));
	say_still_guarded("by number", listener);
	say_call("SO_LOCK_FILTER", setsockopt(listener, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)));
	say_call("SO_DETACH_FILTER", setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)));
	say_still_guarded("locked", listener);
}

static void options_set_before(void)
{
	const int listener = open_socket(SOCK_CLOEXEC);

	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	set_filter(listener, SO_ATTACH_FILTER);
	set_option(listener, SOL_SOCKET, SO_LOCK_FILTER, 1);
	set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_option(listener, IPPROTO_IP, IP_TOS, 16);
	set_limit(listener, 20000);
	if (do_bind(listener, here(0)) < 0)
		die("bind");
	set_option(listener, IPPROTO_TCP, TCP_KEEPINTVL, 7);
	if (listen(listener, 64) < 0)
		die("listen");
	say_still_guarded("served", listener);
}

/* As many as there are: with the longest list there is no room for all in what a socket can remember. */
static void options_without_end(void)
{
	static const char congestion[16] = "reno";
	static const int numbers[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT,
				      TCP_WINDOW_CLAMP, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT,
				      TCP_SAVE_SYN, TCP_THIN_LINEAR_TIMEOUTS, TCP_FASTOPEN_NO_COOKIE, TCP_INQ, TCP_TX_DELAY};
	static const int ip_numbers[] = {IP_TOS, IP_TTL, IP_RECVTTL, IP_RECVTOS, IP_PKTINFO, IP_RECVERR, IP_MTU_DISCOVER,
					 IP_FREEBIND, IP_MINTTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_RECVOPTS,
					 IP_RETOPTS, IP_PASSSEC, IP_BIND_ADDRESS_NO_PORT, IP_RECVORIGDSTADDR, IP_CHECKSUM};
	const int listener = open_socket(SOCK_CLOEXEC);
	struct sock_filter code[7] = {[0 ... 6] = {BPF_RET | BPF_K, 0, 0, UINT32_MAX}};
	uint8_t ip_options[40];

	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	memset(ip_options, 1, sizeof(ip_options)); /* IPOPT_NOOP */
	setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &(struct sock_fprog){7, code}, sizeof(struct sock_fprog));
	setsockopt(listener, IPPROTO_IP, IP_OPTIONS, ip_options, sizeof(ip_options));
	setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN_KEY, "0123456789abcdef0123456789abcdef", 32);
	setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof(congestion));
	for (size_t i = 0; i < N_ELEMENTS(numbers); i++)
		if (setsockopt(listener, IPPROTO_TCP, numbers[i], &(int){5}, sizeof(int)) < 0)
			setsockopt(listener, IPPROTO_TCP, numbers[i], &(int){1}, sizeof(int));
	for (size_t i = 0; i < N_ELEMENTS(ip_numbers); i++)
		setsockopt(listener, IPPROTO_IP, ip_numbers[i], &(int){1}, sizeof(int));
	setsockopt(listener, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int));
	setsockopt(listener, SOL_SOCKET, SO_INCOMING_CPU, &(int){0}, sizeof(int));
	setsockopt(listener, SOL_SOCKET, SO_MAX_PACING_RATE, &(int){1000000}, sizeof(int));
	if (say_call("bind", do_bind(listener, here(0))) < 0) {
		const struct place name = own_name(listener);

		say("still unbound: %s", yes_no(port_of(&name.sa) == 0));
		return;
	}
	if (listen(listener, 64) < 0)
		die("listen");
	say_still_guarded("served", listener);
}

static void shut_and_listening_again(void)
{
	const int listener = listen_at(here(0), 64);

	say_still_guarded("served", listener);
	say_call("shutdown", shutdown(listener, SHUT_RDWR));
	say_call("listen", listen(listener, 64));
	say_still_guarded("served again", listener);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"blocking", blocking},
		{"rooms", rooms},
		{"no-address-but-a-length", no_address_but_a_length},
		{"bad-arguments", bad_arguments},
		{"not-a-listener", not_a_listener},
		{"time-limit", time_limit},
		{"time-limit-without-waiting", time_limit_without_waiting},
		{"interrupted", interrupted},
		{"restarted", restarted},
		{"nonblocking", nonblocking},
		{"without-descriptors", without_descriptors},
		{"loop-by-poll", loop_by_poll},
		{"loop-by-select", loop_by_select},
		{"loop-by-epoll-level", loop_by_epoll_level},
		{"loop-by-epoll-edge", loop_by_epoll_edge},
		{"loop-by-epoll-exclusive", loop_by_epoll_exclusive},
		{"prefork", prefork},
		{"prefork-exclusive", prefork_exclusive},
		{"reuseport-workers", reuseport_workers},
		{"threads", threads},
		{"both-wildcards", both_wildcards},
		{"options-set-later", options_set_later},
		{"filters-set-later", filters_set_later},
		{"options-set-before", options_set_before},
		{"options-without-end", options_without_end},
		{"shut-and-listening-again", shut_and_listening_again},
	};

	if (argc > 1 && !strcmp(argv[1], "visitor")) {
		static const struct test_case hidden[] = {{"visitor", visitor}};

		return RUN_CASES(hidden, argc, argv);
	}
	return RUN_CASES(cases, argc, argv);
}
