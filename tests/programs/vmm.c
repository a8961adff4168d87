/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vsock side of a virtual machine monitor, as Firecracker (its docs/vsock.md) and Cloud Hypervisor have it: who
 * connects to the unix socket PATH and says "CONNECT port" is connected to that port of the guest, and what the guest
 * connects to the host's port comes to PATH_port. The guest is a CID of a realm, or this machine by AF_VSOCK.
 */
#define _GNU_SOURCE 1
#include "common.h"

#include "vmm_relay.h"

#include <strings.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#define CONNECTIONS_MOST 1023
#define PAUSE_MS 5	      /* between two tries at a full backlog */
#define REQUEST_LEAST 10      /* "CONNECT 0\n" */
#define FIRST_PORT (1U << 30) /* of those that the host's ends are given */

/* --- the answer */

static void answer_go_on(struct connection *connection)
{
	const size_t rest = connection->answer_len - connection->answer_at;
	const size_t part = set.manner == SLOWLY && rest > 0 ? 1 : rest;
	const ssize_t n =
		send(connection->host.fd, connection->answer + connection->answer_at, part, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		connection_close(connection);
		return;
	}
	connection->answer_at += n < 0 ? 0 : (size_t)n;
	if (connection->answer_at < connection->answer_len) {
		connection->when = now_ms() + (set.manner == SLOWLY ? set.number : PAUSE_MS);
		return;
	}
	if (set.manner == SAY_CLOSE || set.manner == LEAVE) {
		connection_close(connection);
	} else if (set.manner == SAY) {
		connection->state = HELD;
		connection->when = 0;
	} else {
		relay_begin(connection);
	}
}

static void answer_begin(struct connection *connection, const char *text, size_t size)
{
	connection->state = ANSWERING;
	connection->until = 0;
	connection->answer = malloc(size + 1);
	if (!connection->answer)
		die("memory");
	memcpy(connection->answer, text, size);
	connection->answer_len = size;
	watch_for(&connection->host, 0);
	if (set.manner == LATE || set.manner == LEAVE)
		connection->when = now_ms() + set.number;
	else
		answer_go_on(connection);
}

static void answer_ok(struct connection *connection)
{
	static char text[BLOCK];
	const int size = snprintf(text, sizeof(text), "OK %u\n%s", connection->assigned,
				  set.manner == BANNER ? set.text : "");

	answer_begin(connection, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
}

/* --- reaching the other end */

/* The host's end has a port of its own for every connection, which the guest sees as its peer's. */
static int source_new(uint32_t *port)
{
	static uint32_t last = FIRST_PORT - 1;
	const int fd = new_socket(vm_family());

	do {
		last = last < FIRST_PORT * 2 - 1 ? last + 1 : FIRST_PORT;
		*port = last;
		if (do_bind(fd, vm_place(set.realm ? set.host_cid : VMADDR_CID_ANY, last)) == 0)
			return fd;
	} while (errno == EADDRINUSE);
	die("bind to port %u", last);
}

static void reached(struct connection *connection)
{
	if (connection->from_guest)
		relay_begin(connection);
	else
		answer_ok(connection);
}

static void reach(struct connection *connection)
{
	struct watch *watch = connection->from_guest ? &connection->host : &connection->guest;
	const struct place to = connection->from_guest ? host_place(connection->port)
						       : vm_place(set.guest_cid, connection->port);

	*watch = watch_of(connection->from_guest ? new_socket(AF_UNIX) : source_new(&connection->assigned),
			  connection);
	connection->when = 0;
	if (do_connect(watch->fd, to) == 0) {
		reached(connection);
	} else if (errno == EINPROGRESS) {
		watch_for(watch, EPOLLOUT);
	} else if (errno == EAGAIN) { /* a unix socket's backlog is full */
		watch_close(watch);
		connection->when = now_ms() + PAUSE_MS;
	} else {
		connection_close(connection);
	}
}

/* What a guest has sent is on its way also when it has closed since. */
static void reach_event(struct connection *connection, const struct watch *watch)
{
	const bool asked = (watch == &connection->guest) == connection->from_guest;

	if (asked && connection->from_guest)
		return;
	if (asked || pending_error(watch->fd))
		connection_close(connection);
	else
		reached(connection);
}

static void reach_begin(struct connection *connection)
{
	connection->state = REACHING;
	connection->until = now_ms() + PATIENCE_MS;
	watch_for(connection->from_guest ? &connection->guest : &connection->host, 0);
	reach(connection);
}

/* --- the request */

/* "CONNECT 52\n", the word in capitals or not. */
static bool request_read(const char *line, size_t length, uint32_t *port)
{
	static const char word[] = "CONNECT";
	const char *end = line + length - 1, *at = line + sizeof(word) - 1;
	uint64_t value = 0;
	unsigned digits = 0;

	if (length < REQUEST_LEAST || *end != '\n' || strncasecmp(line, word, sizeof(word) - 1) != 0 ||
	    *at != ' ')
		return false;
	while (*at == ' ')
		at++;
	for (; *at >= '0' && *at <= '9' && value <= UINT32_MAX; digits++)
		value = value * 10 + (unsigned)(*at++ - '0');
	while (*at == ' ' || *at == '\r')
		at++;
	*port = (uint32_t)value;
	return digits > 0 && value <= UINT32_MAX && at == end;
}

static void request_made(struct connection *connection)
{
	if (set.manner == SAY || set.manner == SAY_CLOSE || set.manner == LEAVE)
		answer_begin(connection, set.text, set.manner == LEAVE ? 0 : set.text_len);
	else
		reach_begin(connection);
}

/* What stands behind the line is the guest's: no byte too many is read. */
static void request_go_on(struct connection *connection)
{
	while (connection->line_len < REQUEST_MOST) {
		char *at = connection->line + connection->line_len;
		const size_t want =
			connection->line_len < REQUEST_LEAST ? REQUEST_LEAST - connection->line_len : 1;
		const ssize_t n = recv(connection->host.fd, at, want, 0);

		if (n < 0 && errno == EAGAIN) {
			/* Firecracker takes a request only in one piece. */
			if (set.firecracker && connection->line_len > 0)
				break;
			return;
		}
		if (n <= 0)
			break;
		connection->line_len += (size_t)n;
		if (!memchr(at, '\n', (size_t)n))
			continue;
		if (!request_read(connection->line, connection->line_len, &connection->port))
			break;
		request_made(connection);
		return;
	}
	connection_close(connection);
}

/* --- events */

static void end_event(struct watch *watch, uint32_t events)
{
	struct connection *connection = watch->of;

	if (events & EPOLLHUP)
		*(watch == &connection->host ? &connection->host_gone : &connection->guest_gone) = true;
	switch (connection->state) {
	case ASKING:
		request_go_on(connection);
		break;
	case REACHING:
		reach_event(connection, watch);
		break;
	case ANSWERING:
	case HELD:
		if (events & (EPOLLHUP | EPOLLERR))
			connection_close(connection);
		break;
	case RELAYING:
		relay(connection);
		break;
	case GONE:
		break;
	}
}

static int accept_next(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		die("accept");
	return fd;
}

static void host_accept(int listener)
{
	const int fd = accept_next(listener);
	struct connection *connection;

	if (fd < 0)
		return;
	if (count >= CONNECTIONS_MOST || set.manner == DROP) {
		close(fd);
		to_guest.refused++;
		return;
	}
	connection = connection_new(fd, -1);
	watch_for(&connection->host, EPOLLIN);
}

/* The guest's connect() has succeeded by now, whoever is there: a real one would be refused. */
static void guest_accept(const struct watch *listener)
{
	const int fd = accept_next(listener->fd);
	struct connection *connection;

	if (fd < 0)
		return;
	if (count >= CONNECTIONS_MOST) {
		close(fd);
		to_host.refused++;
		return;
	}
	connection = connection_new(-1, fd);
	connection->port = listener->port;
	reach_begin(connection);
}

static void connection_tick(struct connection *connection, int64_t now)
{
	if (connection->until && now >= connection->until) {
		connection_close(connection);
	} else if (connection->when && now >= connection->when) {
		if (connection->state == REACHING)
			reach(connection);
		else
			answer_go_on(connection);
	}
}

/* Does what is due; returns for how many ms nothing will be, or -1. */
static int ticks(void)
{
	const int64_t now = now_ms();
	int64_t next = INT64_MAX;

	for (struct connection *connection = connections, *after; connection; connection = after) {
		after = connection->next;
		connection_tick(connection, now);
		if (connection->state == GONE)
			continue;
		if (connection->when && connection->when < next)
			next = connection->when;
		if (connection->until && connection->until < next)
			next = connection->until;
	}
	if (next == INT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static void forget_gone(void)
{
	while (gone) {
		struct connection *next = gone->next;

		free(gone);
		gone = next;
	}
}

/* Until a signal says that it is enough. */
static void serve(void)
{
	for (;;) {
		struct epoll_event events[64];
		const int n = epoll_wait(poller, events, N_ELEMENTS(events), ticks());

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct watch *watch = events[i].data.ptr;

			if (watch->kind == WATCH_SIGNAL)
				return;
			else if (watch->kind == WATCH_HOST_LISTENER)
				host_accept(watch->fd);
			else if (watch->kind == WATCH_GUEST_LISTENER)
				guest_accept(watch);
			else if (watch->fd >= 0)
				end_event(watch, events[i].events);
		}
		forget_gone();
	}
}

/* --- the start */

static int listen_place(struct place place, int backlog, const char *what)
{
	const int fd = new_socket(place.sa.ss_family);

	if (do_bind(fd, place) < 0)
		die("bind to %s", what);
	if (listen(fd, backlog) < 0)
		die("listen at %s", what);
	return fd;
}

/* Its own connections, which nobody accepts. */
static void fill(const struct place *place)
{
	while (do_connect(new_socket(AF_UNIX), *place) == 0)
		;
	if (errno != EAGAIN)
		die("connect to %s", set.path);
}

static void host_listen(struct watch *watch)
{
	struct place place;

	place.len = unix_name((struct sockaddr_un *)&place.sa, "%s", set.path);
	if (*set.path != '/' || !place.len || (set.port_count && !host_place(UINT32_MAX).len))
		usage("\"%s\" is not an absolute path, or too long", set.path);
	*watch = (struct watch){.kind = WATCH_HOST_LISTENER,
				.fd = listen_place(place, set.manner == FULL ? 0 : set.backlog, set.path)};
	if (set.manner == FULL)
		fill(&place);
	else
		watch_for(watch, EPOLLIN);
}

static void guest_listen(struct watch *watch, uint32_t port)
{
	const struct place place = vm_place(set.realm ? set.host_cid : VMADDR_CID_ANY, port);
	char what[32];

	if (!place.len)
		usage("-r: \"%s\" is too long", set.realm);
	snprintf(what, sizeof(what), "port %u", port);
	*watch = (struct watch){
		.kind = WATCH_GUEST_LISTENER, .fd = listen_place(place, SOMAXCONN, what), .port = port};
	watch_for(watch, EPOLLIN);
}

static void signals_watch(struct watch *watch)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		die("sigprocmask");
	*watch = (struct watch){.kind = WATCH_SIGNAL, .fd = signalfd(-1, &signals, SFD_CLOEXEC)};
	if (watch->fd < 0)
		die("signalfd");
	watch_for(watch, EPOLLIN);
}

static void descriptors_allow(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	static struct watch signals, host, guest[PORTS_MOST];

	options_read(argc, argv);
	descriptors_allow();
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		die("epoll_create1");
	signals_watch(&signals);
	for (unsigned i = 0; i < set.port_count; i++)
		guest_listen(&guest[i], set.ports[i]);
	host_listen(&host);
	say("ready");
	serve();
	unlink(set.path);
	say("to the guest: %u made, %u refused; from the guest: %u made, %u refused; open: %u", to_guest.made,
	    to_guest.refused, to_host.made, to_host.refused, count);
	return 0;
}
