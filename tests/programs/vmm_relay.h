/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connections of the stand-in for a virtual machine monitor: each has two ends, between which it moves bytes. */
#ifndef TEST_VMM_RELAY_H
#define TEST_VMM_RELAY_H

#include "vmm_set.h"

#include <sys/epoll.h>
#include <time.h>

#define REQUEST_MOST 32
#define PATIENCE_MS 2000 /* for a whole request, and again for the other end to take the connection */

/* What an event is about. */
struct watch {
	enum { WATCH_SIGNAL, WATCH_HOST_LISTENER, WATCH_GUEST_LISTENER, WATCH_END } kind;
	int fd;
	uint32_t events;
	uint32_t port;	       /* WATCH_GUEST_LISTENER */
	struct connection *of; /* WATCH_END */
};

/* One direction: what was read and could not be written yet. */
struct flow {
	char *data;
	size_t at, size;
	bool ended; /* nothing more will be read */
	bool told;  /* and the other end knows */
};

struct connection {
	enum {
		ASKING,	   /* its request is read */
		REACHING,  /* the other end is not connected yet */
		ANSWERING, /* it is told so */
		RELAYING,
		HELD, /* nothing happens any more */
		GONE,
	} state;
	struct watch host, guest;
	bool host_gone, guest_gone; /* closed, not only for one direction */
	bool from_guest;
	uint32_t port;	   /* where it leads */
	uint32_t assigned; /* the host's end's, when the host began */
	char line[REQUEST_MOST];
	size_t line_len;
	char *answer;
	size_t answer_at, answer_len;
	struct flow to_guest, to_host;
	int64_t when;  /* something is to be done, or 0 */
	int64_t until; /* it is given up, or 0 */
	struct connection *next, **link;
};

static struct connection *connections;
static struct connection *gone; /* events of this round may still speak of them */
static unsigned count;
static int poller;

static struct {
	unsigned made, refused;
} to_guest, to_host;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* --- watching */

/* Without events there is still EPOLLHUP, but once only. */
static void watch_for(struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events ? events : EPOLLET, .data.ptr = watch};

	if (watch->events == event.events)
		return;
	if (epoll_ctl(poller, watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &event) < 0)
		die("epoll_ctl");
	watch->events = event.events;
}

static struct watch watch_of(int fd, struct connection *connection)
{
	return (struct watch){.kind = WATCH_END, .fd = fd, .of = connection};
}

static void watch_close(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	*watch = watch_of(-1, watch->of);
}

/* --- connections */

static struct connection *connection_new(int host, int guest)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		die("memory");
	connection->host = watch_of(host, connection);
	connection->guest = watch_of(guest, connection);
	connection->from_guest = guest >= 0;
	connection->until = now_ms() + PATIENCE_MS;
	connection->next = connections;
	connection->link = &connections;
	if (connections)
		connections->link = &connection->next;
	connections = connection;
	count++;
	return connection;
}

static void connection_close(struct connection *connection)
{
	if (connection->state != RELAYING)
		(connection->from_guest ? &to_host : &to_guest)->refused++;
	watch_close(&connection->host);
	watch_close(&connection->guest);
	free(connection->answer);
	free(connection->to_guest.data);
	free(connection->to_host.data);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	connection->state = GONE;
	connection->next = gone;
	gone = connection;
	count--;
}

/* --- relaying */

/* Whoever should get it is gone: the sender is told so. */
static void flow_break(struct flow *flow, struct watch *from)
{
	free(flow->data);
	*flow = (struct flow){.ended = true, .told = true};
	shutdown(from->fd, SHUT_RD);
}

static void flow_keep(struct flow *flow, const char *data, size_t size)
{
	flow->data = malloc(size);
	if (!flow->data)
		die("memory");
	memcpy(flow->data, data, size);
	flow->at = 0;
	flow->size = size;
}

/* False when there is no room. */
static bool flow_write(struct flow *flow, struct watch *from, struct watch *to)
{
	const ssize_t n = send(to->fd, flow->data + flow->at, flow->size - flow->at, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		flow_break(flow, from);
		return true;
	}
	flow->at += (size_t)n;
	if (flow->at == flow->size) {
		free(flow->data);
		flow->data = NULL;
	}
	return true;
}

/* False when there is nothing, or no room. */
static bool flow_read(struct flow *flow, struct watch *from, struct watch *to)
{
	static char block[BLOCK];
	const ssize_t n = recv(from->fd, block, sizeof(block), 0);
	ssize_t sent;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		flow->ended = true;
		return true;
	}
	sent = send(to->fd, block, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		flow_break(flow, from);
		return true;
	}
	sent = sent < 0 ? 0 : sent;
	if (sent < n)
		flow_keep(flow, block + sent, (size_t)(n - sent));
	return sent == n;
}

static void flow_run(struct flow *flow, struct watch *from, struct watch *to)
{
	bool more = true;

	for (int turn = 0; more && turn < 16; turn++) {
		if (flow->data)
			more = flow_write(flow, from, to);
		else if (!flow->ended)
			more = flow_read(flow, from, to);
		else
			break;
	}
}

static bool flow_is_over(const struct flow *flow)
{
	return flow->ended && !flow->data;
}

static void flow_tell(struct flow *flow, struct watch *to)
{
	if (!flow_is_over(flow) || flow->told)
		return;
	shutdown(to->fd, SHUT_WR);
	flow->told = true;
}

/*
 * To Firecracker the end of what the host sends is the end of the connection, and that of what the guest sends is
 * none before the guest has closed (csm/connection.rs there). Cloud Hypervisor passes half closes on, both ways.
 */
static bool relay_is_over(const struct connection *connection)
{
	const struct flow *there = &connection->to_guest, *back = &connection->to_host;

	return (flow_is_over(there) && (connection->host_gone || set.firecracker)) ||
	       (flow_is_over(back) && connection->guest_gone) || (there->told && back->told);
}

static uint32_t relay_events(const struct flow *from_here, const struct flow *to_here)
{
	return (!from_here->ended && !from_here->data ? EPOLLIN : 0U) | (to_here->data ? EPOLLOUT : 0U);
}

static void relay(struct connection *connection)
{
	struct flow *there = &connection->to_guest, *back = &connection->to_host;

	flow_run(there, &connection->host, &connection->guest);
	flow_run(back, &connection->guest, &connection->host);
	if (!set.firecracker) {
		flow_tell(there, &connection->guest);
		flow_tell(back, &connection->host);
	}
	if (relay_is_over(connection)) {
		connection_close(connection);
		return;
	}
	watch_for(&connection->host, relay_events(there, back));
	watch_for(&connection->guest, relay_events(back, there));
}

static void relay_begin(struct connection *connection)
{
	connection->state = RELAYING;
	connection->when = connection->until = 0;
	(connection->from_guest ? &to_host : &to_guest)->made++;
	relay(connection);
}

#endif
