/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptor numbers that change hands while a call on them waits: closed, given to another file, duplicated. */
#define _GNU_SOURCE 1
#include "common.h"
#include "echo.h"
#include "full.h"

#include <sys/epoll.h>

struct caller {
	pthread_t thread;
	int fd;
	struct place to;
	int error;
};

static void *connect_run(void *arg)
{
	struct caller *caller = arg;

	caller->error = do_connect(caller->fd, caller->to) < 0 ? errno : 0;
	return NULL;
}

/* A thread that now waits in a call on fd. */
static struct caller *start_call(void *(*run)(void *), int fd, struct place to)
{
	static struct caller caller;

	caller = (struct caller){.fd = fd, .to = to};
	start(&caller.thread, run, &caller);
	poll(NULL, 0, 300);
	return &caller;
}

static int end_call(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
	return caller->error;
}

/* Takes what waits in the backlog, so that there is room. Gives back the last. */
static int drain(int listener)
{
	int last = -1;

	do {
		if (last >= 0)
			close(last);
		last = must_accept(listener);
	} while (wait_for(listener, POLLIN, 1500));
	return last;
}

static const char *peer_text(int fd)
{
	struct place peer = peer_name(fd);

	return name_text(&peer.sa);
}

/* --- connect */

/* A child of vfork shares the memory, not the descriptors: what it closes is still open here. */
static void vfork_child_closes(void)
{
	const int listener = listen_full(0), fd = open_socket(0);
	struct caller *caller = start_call(connect_run, fd, here(0));
	pid_t child;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	child = vfork();
#pragma GCC diagnostic pop
	if (child == 0) {
		close(fd);
		execl("/bin/true", "true", NULL);
		_exit(96);
	}
	waitpid(child, NULL, 0);
	close(drain(listener));
	say("connect: %s", error_name(end_call(caller)));
	say("peer: %s", peer_text(fd));
}

static void duplicated_meanwhile(void)
{
	const int listener = listen_full(0), fd = open_socket(0);
	struct caller *caller = start_call(connect_run, fd, here(0));
	const int copy = dup(fd);

	close(drain(listener));
	say("connect: %s", error_name(end_call(caller)));
	say_names("socket", fd);
	say_names("copy", copy);
}

static void registered_meanwhile(void)
{
	const int listener = listen_full(0), fd = open_socket(0), epfd = epoll_create1(EPOLL_CLOEXEC);
	struct caller *caller = start_call(connect_run, fd, here(0));
	struct epoll_event event = {.events = EPOLLOUT, .data.u32 = 7};

	say_call("epoll_ctl", epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
	close(drain(listener));
	say("connect: %s", error_name(end_call(caller)));
	event.data.u32 = 0;
	say("epoll_wait: %d", epoll_wait(epfd, &event, 1, 1000));
	say("data %u", event.data.u32);
}

/* The number is another socket's when the call comes back: that one stays what it is. */
static void reused_by_socket(void)
{
	const int listener = listen_full(0), fd = open_socket(0);
	struct caller *caller = start_call(connect_run, fd, here(0));

	close(fd);
	say("same number: %s", yes_no(open_socket(0) == fd));
	close(drain(listener));
	end_call(caller);
	say_names("the other", fd);
}

/* The same for a socket whose history is not known. */
static void reused_by_file(void)
{
	const int listener = listen_full(0), first = open_socket(0), fd = dup(first);
	struct caller *caller;
	char text[8] = "";
	int pipe_fds[2];

	close(first);
	if (pipe(pipe_fds) < 0)
		die("pipe");
	caller = start_call(connect_run, fd, here(0));
	say("dup2: %s", yes_no(dup2(pipe_fds[1], fd) == fd));
	close(drain(listener));
	end_call(caller);
	write_all(fd, "hello", 5);
	say("read: %s", wait_for(pipe_fds[0], POLLIN, 1000) && read(pipe_fds[0], text, 5) == 5 ? text : "nothing");
}

/* A call to an address that is nobody's business waits while the number becomes another connection's. */
static void reused_by_connection(void)
{
	int listener, free_one, fd;
	struct caller *caller;

	limit_backlogs("0");
	listener = listen_at(other(0), 0);
	free_one = listen_at(here(1), 8);
	do {
		fd = open_socket(SOCK_NONBLOCK);
		if (do_connect(fd, other(0)) < 0 && errno != EINPROGRESS)
			die("connect");
	} while (wait_for(fd, POLLOUT, 200));
	close(fd);
	fd = open_socket(0);
	caller = start_call(connect_run, fd, other(0));
	close(fd);
	say("same number: %s", yes_no(open_socket(0) == fd));
	must_connect(fd, here(1));
	close(must_accept(free_one));
	close(drain(listener));
	end_call(caller);
	say("peer: %s", peer_text(fd));
}

/* --- bind, accept */

static void bind_fails_at_once(void)
{
	const int listener = listen_at(here(0), 8), fd = open_socket(SOCK_CLOEXEC);
	const double start_time = seconds();

	(void)listener;
	say_call("bind", do_bind(fd, here(0)));
	say("at once: %s", yes_no(seconds() - start_time < 0.15));
}

/* A child turns its parent's socket into a listener. */
static void child_listens(void)
{
	const int fd = open_socket(SOCK_CLOEXEC), client = open_socket(0);
	int status, accepted;
	pid_t child;

	if (do_bind(fd, other(0)) < 0)
		die("bind");
	child = fork();
	if (child == 0)
		_exit(listen(fd, 8) < 0);
	waitpid(child, &status, 0);
	must_connect(client, other(0));
	accepted = accept(fd, NULL, NULL);
	say_call("accept", accepted);
	if (accepted >= 0)
		say_talk("talk", client, accepted);
}

/* A child of vfork puts a socket of another kind at the number of a connection. */
static void vfork_child_replaces(void)
{
	const struct pair pair = connect_pair(0);
	const int foreign = socket(AF_UNIX, SOCK_STREAM, 0);
	int status;
	pid_t child;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	child = vfork();
#pragma GCC diagnostic pop
	if (child == 0) {
		dup2(foreign, pair.client);
		execl("/bin/true", "true", NULL);
		_exit(96);
	}
	waitpid(child, &status, 0);
	say("peer: %s", peer_text(pair.client));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"vfork-child-closes", vfork_child_closes},
		{"duplicated-meanwhile", duplicated_meanwhile},
		{"registered-meanwhile", registered_meanwhile},
		{"reused-by-socket", reused_by_socket},
		{"reused-by-file", reused_by_file},
		{"reused-by-connection", reused_by_connection},
		{"bind-fails-at-once", bind_fails_at_once},
		{"child-listens", child_listens},
		{"vfork-child-replaces", vfork_child_replaces},
	};

	return RUN_CASES(cases, argc, argv);
}
