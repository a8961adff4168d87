/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection, and all that its client is told of it: what connect() says and how long it takes, the names, what
 * comes first, and whether a descriptor is left. dial [OPTION]... ADDRESS PORT
 *
 *   -n       by a non-blocking socket: poll(), then SO_ERROR
 *   -e       the same by an epoll with which the socket was registered before
 *   -l MS    with SO_SNDTIMEO
 *   -i MS    with a signal after so long
 *   -o PORT  when it has failed, the same socket is connected to that port
 *   -t MS    connect() is expected to take so long (0)
 *   -a MS    the attempt that goes on after that is, in all
 *   -r N     says nothing, and reads so many bytes or up to the end
 */
#define _GNU_SOURCE 1
#include "common.h"
#include "full.h"

#include <sys/epoll.h>

#define PATIENCE_MS 60000

static bool nonblocking, by_epoll;
static size_t bytes;
static unsigned took_ms, all_ms; /* expected */

/* What was expected, or what it was if it is too soon, or too late for any machine. */
static void say_time(const char *what, double took, unsigned expected_ms)
{
	const double expected = expected_ms / 1000.0;
	const bool slow = getenv("SCALE") && strcmp(getenv("SCALE"), "1") != 0;

	if (took < expected * 0.9 || took > expected + (slow ? 4 : 1))
		say("%s: %.2f s", what, took);
	else if (expected_ms)
		say("%s: %.1f s", what, expected);
	else
		say("%s: no time", what);
}

static void say_events(uint32_t events)
{
	say("events:%s%s%s%s", events & POLLIN ? " IN" : "", events & POLLOUT ? " OUT" : "",
	    events & POLLERR ? " ERR" : "", events & POLLHUP ? " HUP" : "");
}

static bool wait_by_epoll(int poller, int fd)
{
	struct epoll_event event = {.events = 0};
	const int n = epoll_wait(poller, &event, 1, PATIENCE_MS);

	if (n < 0)
		die("epoll_wait");
	if (n && event.data.fd != fd)
		say("data of another registration: %d", event.data.fd);
	say_events(event.events);
	return n == 1;
}

static bool wait_by_poll(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT};
	const int n = poll(&poll_fd, 1, PATIENCE_MS);

	say_events((uint16_t)poll_fd.revents);
	return n == 1;
}

/* What became of an attempt that goes on. */
static int outcome(int fd, int poller, double start)
{
	const bool told = by_epoll ? wait_by_epoll(poller, fd) : wait_by_poll(fd);
	const int error = told ? pending_error(fd) : ETIMEDOUT;

	say("SO_ERROR: %s", error_name(error));
	say_time("in all", seconds() - start, all_ms);
	return error;
}

/* True when it is connected. */
static bool dial(int fd, struct place to)
{
	const int poller = by_epoll ? epoll_create1(EPOLL_CLOEXEC) : -1;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
	const double start = seconds();
	int error;

	set_nonblocking(fd, nonblocking);
	if (by_epoll && (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0))
		die("epoll");
	error = say_call("connect", do_connect(fd, to)) < 0 ? errno : 0;
	say_time("took", seconds() - start, took_ms);
	if (error == EINPROGRESS || error == EINTR)
		error = outcome(fd, poller, start);
	if (by_epoll)
		close(poller);
	return error == 0;
}

static void say_bytes(int fd)
{
	char *data = malloc(bytes + 1);
	size_t got;

	if (!data)
		die("memory");
	set_nonblocking(fd, false);
	shutdown(fd, SHUT_WR);
	got = read_all(fd, data, bytes);
	printf("read: \"");
	for (size_t i = 0; i < got; i++)
		if (data[i] < ' ' || data[i] > '~')
			printf("\\x%02x", (unsigned char)data[i]);
		else
			putchar(data[i]);
	say("\"%s", got < bytes ? ", the end" : "");
	free(data);
}

static unsigned number(const char *text)
{
	char *end;
	const unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value > 100000000) {
		fprintf(stderr, "dial: \"%s\" is not a number\n", text);
		exit(2);
	}
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	unsigned limit = 0, signal_at = 0, other_port = 0, before;
	int option, fd;

	while ((option = getopt(argc, argv, "nel:i:o:t:a:r:")) != -1) {
		switch (option) {
		case 'n':
			nonblocking = true;
			break;
		case 'e':
			nonblocking = by_epoll = true;
			break;
		case 'l':
			limit = number(optarg);
			break;
		case 'i':
			signal_at = number(optarg);
			break;
		case 'o':
			other_port = number(optarg);
			break;
		case 't':
			took_ms = number(optarg);
			break;
		case 'a':
			all_ms = number(optarg);
			break;
		case 'r':
			bytes = number(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2)
		return 2;
	here_text = argv[optind];
	here_port = number(argv[optind + 1]);
	here_family = strchr(here_text, ':') ? AF_INET6 : AF_INET;
	signal(SIGPIPE, SIG_IGN);
	before = count_fds();
	fd = open_socket(0);
	if (limit)
		limit_sending(fd, limit);
	if (signal_at)
		interrupt_after(signal_at, 0);
	if (!dial(fd, here(0)) && other_port) {
		say_names("failed", fd);
		say("elsewhere: %s", error_name(reconnect(fd, place_of(here_text, other_port))));
	}
	say_names("socket", fd);
	if (bytes)
		say_bytes(fd);
	close(fd);
	say("descriptors left: %d", (int)count_fds() - (int)before);
	return 0;
}
