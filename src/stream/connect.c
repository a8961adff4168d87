/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients of the stream library. */
#include "preload/retarget.h"
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* As long as the kernel's vsock tries (VSOCK_DEFAULT_CONNECT_TIMEOUT in af_vsock.c). */
#define CONNECT_MS 2000
/* Between two looks at a unix socket whose backlog is full: nothing tells when it is not. */
#define BACKLOG_MS 5
#define PORT_TRIES 64

static int given_up(struct vsock_stream *stream, int error)
{
	vsock_stream_close(stream);
	return stream_failed(stream, error, "connect to", &stream->to.at);
}

static int done(struct vsock_stream *stream)
{
	if (!stream->nonblocking && nonblocking_set(stream->fd, false) < 0)
		return given_up(stream, errno);
	stream->state = STREAM_CONNECTED;
	return 0;
}

/* In a realm a client is known by its own name. */
static int realm_bind(const struct vsock_stream *stream, int fd)
{
	const struct realm realm = stream_realm(stream);
	struct endpoint own = {.cid = VMADDR_CID_ANY};
	struct sockaddr_storage sa;
	struct timespec now;
	socklen_t len;

	for (int i = 0; i < PORT_TRIES; i++) {
		/* Anything that differs; and it fits sin_port. */
		clock_gettime(CLOCK_MONOTONIC, &now);
		own.port = ((uint32_t)now.tv_nsec + (uint32_t)getpid() * 7919) % 0x7fff + 0x8000;
		len = transport_realm.encode(&realm, &own, &sa);
		if (bind(fd, (const struct sockaddr *)&sa, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
	}
	return -1;
}

static int limit_ms(const struct vsock_stream *stream)
{
	return stream->timeout ? stream->timeout : CONNECT_MS;
}

static int socket_prepare(const struct vsock_stream *stream, int fd)
{
	const struct transport *transport = stream->to.transport;
	int ms = limit_ms(stream);
	const struct timeval limit = {ms / 1000, ms % 1000 * 1000};

	if (window_set(fd, transport, stream->buffer) < 0)
		return -1;
	if (transport == &transport_realm)
		return realm_bind(stream, fd);
	/* An attempt in the background ends by this. */
	return transport->background ? setsockopt(fd, transport->limit_level, transport->limit_option, &limit, sizeof limit) : 0;
}

/*
 * connect(2), and a monitor is asked for the port. 0, EAGAIN when the state tells what is awaited, or why it failed. Nobody
 * tells when there is room in a full backlog of a unix socket: who does not wait is refused, as the kernel's vsock does.
 */
static int attempt(struct vsock_stream *stream)
{
	const struct realm realm = stream_realm(stream);
	const struct transport *transport = stream->to.transport;
	struct endpoint at = stream->to.at;
	struct sockaddr_storage sa;
	socklen_t len;
	int error;

	if (transport->greets)
		at.port = VMADDR_PORT_ANY; /* the monitor itself */
	len = transport->encode(&realm, &at, &sa);
	error = connect(stream->fd, (const struct sockaddr *)&sa, len) < 0 ? errno : 0;
	if (error == EINPROGRESS) {
		stream->state = STREAM_CONNECTING;
		return EAGAIN;
	}
	if (error == EAGAIN && (!stream->nonblocking || stream->state == STREAM_QUEUED)) {
		stream->state = STREAM_QUEUED;
		return EAGAIN;
	}
	if (error)
		return transport->greets && error != EAGAIN ? error_of_monitor(error) : error_of_connect(error);
	if (!transport->greets)
		return 0;
	error = greet_begin(stream->fd, stream->to.at.port, &stream->greeting);
	if (error)
		return error;
	stream->state = STREAM_GREETING;
	return EAGAIN;
}

static int start_connecting(struct vsock_stream *stream)
{
	int fd = socket(stream->to.transport->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return stream_failed(stream, errno, "socket for", &stream->to.at);
	stream->deadline = time_now() + limit_ms(stream);
	stream->fd = fd;
	if (socket_prepare(stream, fd) < 0)
		return given_up(stream, errno);
	error = attempt(stream);
	if (error == EAGAIN)
		return vsock_stream_connect_finish(stream);
	return error ? given_up(stream, error) : done(stream);
}

PUBLIC int vsock_stream_connect(struct vsock_stream *stream, uint32_t cid, uint32_t port)
{
	if (stream_is_new(stream) < 0)
		return -1;
	stream->to = (struct destination){stream_transport(stream), {.cid = cid, .port = port}};
	return start_connecting(stream);
}

PUBLIC int vsock_stream_connect_to(struct vsock_stream *stream, const char *endpoint)
{
	if (stream_is_new(stream) < 0 || destination_read(stream, RULE_CONNECT, endpoint) < 0)
		return -1;
	return start_connecting(stream);
}

PUBLIC short vsock_stream_events(const struct vsock_stream *stream)
{
	return stream->state == STREAM_CONNECTING || stream->state == STREAM_QUEUED ? POLLOUT : POLLIN;
}

/* 0, EAGAIN, or why it failed. */
static int look(struct vsock_stream *stream)
{
	struct pollfd poll_fd = {.fd = stream->fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (stream->state == STREAM_GREETING)
		return greet_go_on(stream->fd, &stream->greeting);
	if (stream->state == STREAM_QUEUED)
		return attempt(stream);
	if (poll(&poll_fd, 1, 0) <= 0) /* a signal ends it with EINTR also when it does not wait */
		return EAGAIN;
	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	return error ? error_of_connect(error) : 0;
}

/* Until there may be something to do, or time is up. -1 with EINTR. */
static int wait_for_it(const struct vsock_stream *stream)
{
	if (stream->state == STREAM_QUEUED)
		return poll(NULL, 0, BACKLOG_MS);
	return wait_until_ready(stream->fd, vsock_stream_events(stream), stream->deadline) < 0 && errno == EINTR ? -1 : 0;
}

PUBLIC int vsock_stream_connect_finish(struct vsock_stream *stream)
{
	int error;

	if (stream->state == STREAM_CONNECTED)
		return 0;
	if (stream->state == STREAM_NEW || stream->state == STREAM_LISTENING)
		return stream_refused(stream, ENOTCONN, "connect: no attempt was begun");
	while ((error = look(stream)) == EAGAIN) {
		if (time_now() >= stream->deadline)
			return given_up(stream, ETIMEDOUT);
		if (stream->nonblocking)
			return stream_failed(stream, EINPROGRESS, "connect to", &stream->to.at);
		if (wait_for_it(stream) < 0)
			return stream_failed(stream, EINTR, "connect to", &stream->to.at);
	}
	return error ? given_up(stream, error) : done(stream);
}
