/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Non-blocking connect, finished by poll, select or epoll; its errors; a listener that is polled. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

enum waiter { BY_POLL, BY_SELECT, BY_EPOLL };

/* True when fd became writable (or failed) within the patience of a test. */
static bool wait_writable(int fd, enum waiter waiter)
{
	struct timeval patience = {.tv_sec = 20};
	struct epoll_event event = {.events = EPOLLOUT};
	fd_set writable;
	int epoll, rc;

	switch (waiter) {
	case BY_SELECT:
		FD_ZERO(&writable);
		FD_SET(fd, &writable);
		return select(fd + 1, NULL, &writable, NULL, &patience) == 1;
	case BY_EPOLL:
		epoll = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
		rc = epoll_wait(epoll, &event, 1, 20000);
		close(epoll);
		return rc == 1;
	case BY_POLL:
		break;
	}
	return wait_for(fd, POLLOUT, 20000);
}

static void connects(enum waiter waiter)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	const int rc = do_connect(fd, here(0));
	int server;

	say("connect: %s", error_name(rc < 0 ? errno : 0));
	say("writable: %s", yes_no(wait_writable(fd, waiter)));
	say("SO_ERROR: %s", error_name(pending_error(fd)));
	say("still non-blocking: %s", yes_no(fcntl(fd, F_GETFL) & O_NONBLOCK));
	errno = 0;
	say("read: %s", error_name(read(fd, &(char){0}, 1) < 0 ? errno : 0));
	server = must_accept(listener);
	say("accepted socket is blocking: %s", yes_no(!(fcntl(server, F_GETFL) & O_NONBLOCK)));
	set_nonblocking(fd, false);
	say_names("client", fd);
	say_talk("talk", fd, server);
}

static void by_poll(void)
{
	connects(BY_POLL);
}

static void by_select(void)
{
	connects(BY_SELECT);
}

static void by_epoll(void)
{
	connects(BY_EPOLL);
}

static void refused(enum waiter waiter)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	int error = 0;

	if (do_connect(fd, here(5)) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		say("writable: %s", yes_no(wait_writable(fd, waiter)));
		error = pending_error(fd);
		say("SO_ERROR: %s", error_name(error));
	} else {
		say("writable: yes");
		say("SO_ERROR: %s", error_name(error));
	}
	say("SO_ERROR once more: %s", error_name(pending_error(fd)));
}

static void refused_by_poll(void)
{
	refused(BY_POLL);
}

static void refused_by_select(void)
{
	refused(BY_SELECT);
}

static void refused_by_epoll(void)
{
	refused(BY_EPOLL);
}

/* What poll() shows of an attempt that was refused, before anybody asks for the error. */
static void refused_events(void)
{
	const int fd = open_socket(SOCK_NONBLOCK);
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	say_call("connect", do_connect(fd, here(5)));
	poll(&poll_fd, 1, 20000);
	say("events:%s%s%s%s%s", poll_fd.revents & POLLIN ? " IN" : "", poll_fd.revents & POLLOUT ? " OUT" : "",
	    poll_fd.revents & POLLERR ? " ERR" : "", poll_fd.revents & POLLHUP ? " HUP" : "",
	    poll_fd.revents & POLLRDHUP ? " RDHUP" : "");
}

static void refused_blocking(void)
{
	struct place peer = {.len = sizeof(peer.sa)};
	const int fd = open_socket(0);

	say_call("connect", do_connect(fd, here(5)));
	say("SO_ERROR after: %s", error_name(pending_error(fd)));
	errno = 0;
	say("getpeername: %s",
	    error_name(getpeername(fd, (struct sockaddr *)&peer.sa, &peer.len) < 0 ? errno : 0));
}

static void connect_again_when_connected(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);

	say("outcome: %s", error_name(finish_connect(fd, here(0))));
	/* The first call after EINPROGRESS may still say 0. */
	do_connect(fd, here(0));
	say_call("connect again, non-blocking", do_connect(fd, here(0)));
	set_nonblocking(fd, false);
	say_call("connect again, blocking", do_connect(fd, here(0)));
	say_call("connect elsewhere", do_connect(fd, here(1)));
	say_talk("talk", fd, must_accept(listener));
}

/* Programs ask for the outcome by calling connect() until it says EISCONN. */
static void connect_again_to_ask(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(SOCK_NONBLOCK);
	int error = EALREADY;

	for (int i = 0; i < 2000; i++) {
		if (do_connect(fd, here(0)) == 0) {
			error = 0;
			continue;
		}
		error = errno;
		if (error != EINPROGRESS && error != EALREADY)
			break;
		poll(NULL, 0, 1);
	}
	say("in the end: %s", error_name(error));
	close(listener);
}

static void fionbio_and_accept(void)
{
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);
	int one = 1, zero = 0;

	ioctl(listener, FIONBIO, &one);
	errno = 0;
	say("accept when nobody waits: %s", error_name(accept(listener, NULL, NULL) < 0 ? errno : 0));
	must_connect(fd, here(0));
	say("listener readable: %s", yes_no(wait_for(listener, POLLIN, 20000)));
	say_call("accept", accept(listener, NULL, NULL));
	ioctl(listener, FIONBIO, &zero);
	say("flags: O_NONBLOCK %s", yes_no(fcntl(listener, F_GETFL) & O_NONBLOCK));
}

static void receive_timeout(void)
{
	const struct timeval brief = {.tv_usec = 50000};
	const int listener = listen_at(here(0), 8);
	const int fd = open_socket(0);

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
	errno = 0;
	say("accept: %s", error_name(accept(listener, NULL, NULL) < 0 ? errno : 0));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
	must_connect(fd, here(0));
	errno = 0;
	say("read: %s", error_name(read(fd, &(char){0}, 1) < 0 ? errno : 0));
}

/* Many at once through one poll loop; every one is accepted. */
static void fifty_at_once(void)
{
	const int listener = listen_at(here(0), 128);
	int fd[50], done = 0, accepted = 0;

	set_nonblocking(listener, true);
	for (int i = 0; i < 50; i++) {
		fd[i] = open_socket(SOCK_NONBLOCK);
		if (do_connect(fd[i], here(0)) < 0 && errno != EINPROGRESS)
			say("connect %d: %s", i, error_name(errno));
	}
	for (int i = 0; i < 50; i++)
		done += wait_for(fd[i], POLLOUT, 20000) && pending_error(fd[i]) == 0;
	while (accepted < 50 && wait_for(listener, POLLIN, 20000))
		while (accept(listener, NULL, NULL) >= 0)
			accepted++;
	say("connected %d, accepted %d", done, accepted);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"by-poll", by_poll},
		{"by-select", by_select},
		{"by-epoll", by_epoll},
		{"refused-by-poll", refused_by_poll},
		{"refused-by-select", refused_by_select},
		{"refused-by-epoll", refused_by_epoll},
		{"refused-events", refused_events},
		{"refused-blocking", refused_blocking},
		{"connect-again-when-connected", connect_again_when_connected},
		{"connect-again-to-ask", connect_again_to_ask},
		{"fionbio-and-accept", fionbio_and_accept},
		{"receive-timeout", receive_timeout},
		{"fifty-at-once", fifty_at_once},
	};

	return RUN_CASES(cases, argc, argv);
}
