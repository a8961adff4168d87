/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listeners of the stream library. */
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/stale.h"
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int socket_listen(struct vsock_stream *stream, int fd, int backlog)
{
	const struct realm realm = stream_realm(stream);
	const struct transport *transport = stream->to.transport;
	struct sockaddr_storage sa;
	socklen_t len;
	int bound;

	if (window_set(fd, transport, stream->buffer) < 0)
		return -1;
	len = transport->encode(&realm, &stream->to.at, &sa);
	bound = transport->greets ? bind_replacing(fd, &sa, len) : bind(fd, (const struct sockaddr *)&sa, len);
	if (bound < 0 || listen(fd, backlog > 0 ? backlog : SOMAXCONN) == 0)
		return bound;
	if (transport->greets)
		bind_undo(fd);
	return -1;
}

/* Non-blocking in any case: a connection that is gone when it is to be accepted must not make accept wait. 0 or an errno. */
static int start_listening(struct vsock_stream *stream, int backlog)
{
	int fd = socket(stream->to.transport->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return errno;
	if (socket_listen(stream, fd, backlog) < 0) {
		close_quietly(fd);
		return errno;
	}
	stream->fd = fd;
	stream->owner = getpid();
	stream->state = STREAM_LISTENING;
	return 0;
}

/* The kernel knows which CIDs and ports there are for vsock alone: the names of a realm are anybody's. */
static int listen_in_realm(struct vsock_stream *stream, int backlog)
{
	struct endpoint *at = &stream->to.at;
	int error;

	if (at->cid != VMADDR_CID_ANY && at->cid != VMADDR_CID_LOCAL && at->cid != stream->realm_cid)
		return EADDRNOTAVAIL;
	if (at->port != VMADDR_PORT_ANY)
		return start_listening(stream, backlog);
	at->port = 0x10000;
	while ((error = start_listening(stream, backlog)) == EADDRINUSE && at->port < 0x1ffff)
		at->port++;
	return error;
}

static int listen_there(struct vsock_stream *stream, int backlog)
{
	int error = stream->to.transport == &transport_realm ? listen_in_realm(stream, backlog) : start_listening(stream, backlog);

	return error ? stream_failed(stream, error, "listen at", &stream->to.at) : 0;
}

PUBLIC int vsock_stream_listen(struct vsock_stream *stream, uint32_t cid, uint32_t port, int backlog)
{
	if (stream_is_new(stream) < 0)
		return -1;
	stream->to = (struct destination){stream_transport(stream), {.cid = cid, .port = port}};
	return listen_there(stream, backlog);
}

PUBLIC int vsock_stream_listen_at(struct vsock_stream *stream, const char *endpoint, int backlog)
{
	if (stream_is_new(stream) < 0 || destination_read(stream, RULE_LISTEN, endpoint) < 0)
		return -1;
	return listen_there(stream, backlog);
}

static bool is_own(const struct vsock_stream *stream, uint32_t cid)
{
	return cid == (stream->realm_name[0] ? stream->realm_cid : vsock_stream_local_cid());
}

static bool is_allowed(const struct vsock_stream *stream, uint32_t cid)
{
	const struct rule_options options = {.allow = stream->allow, .allow_count = stream->allow_count};

	if (stream->allow_count == 0 || stream->to.transport->greets || rule_allows(&options, cid))
		return true;
	/* "local" is this machine by any of its CIDs. */
	return rule_allows(&options, VMADDR_CID_LOCAL) && cid != VMADDR_CID_ANY && is_own(stream, cid);
}

/* The next one that is allowed, with its endpoint. Strangers without end do not outlast the time limit. */
static int accept_next(struct vsock_stream *stream, int flags, int64_t deadline, struct endpoint *peer)
{
	const struct realm realm = stream_realm(stream);

	do {
		struct sockaddr_storage sa;
		socklen_t len = sizeof sa;
		int fd = accept4(stream->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | flags);

		if (fd < 0 && errno == ECONNABORTED)
			continue;
		if (fd < 0)
			return -1;
		if (stream->to.transport->greets || !stream->to.transport->decode(&realm, &sa, len, peer))
			*peer = (struct endpoint){.cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY};
		if (is_allowed(stream, peer->cid))
			return fd;
		stream->denied++;
		close_quietly(fd);
	} while (deadline == NEVER || time_now() < deadline);
	return fail(ETIMEDOUT);
}

PUBLIC int vsock_stream_accept(struct vsock_stream *stream, struct vsock_stream *connection)
{
	int64_t deadline = deadline_of(stream);
	struct endpoint peer;
	int fd;

	if (stream->state != STREAM_LISTENING)
		return stream_refused(stream, EINVAL, "accept: the context does not listen");
	if (connection->state != STREAM_NEW)
		return stream_refused(stream, EISCONN, "accept: the context for the connection is in use");
	while ((fd = accept_next(stream, connection->nonblocking ? SOCK_NONBLOCK : 0, deadline, &peer)) < 0) {
		if (errno != EAGAIN || stream->nonblocking || wait_until_ready(stream->fd, POLLIN, deadline) < 0)
			return stream_failed(stream, errno, "accept at", &stream->to.at);
	}
	/* The kernel hands the window of a vsock on. */
	if (stream->to.transport != &transport_vsock && window_set(fd, stream->to.transport, stream->buffer) < 0) {
		close_quietly(fd);
		return stream_failed(stream, errno, "buffer of a connection at", &stream->to.at);
	}
	connection->fd = fd;
	connection->to = (struct destination){stream->to.transport, peer};
	memcpy(connection->path, stream->path, sizeof stream->path);
	if (stream->to.transport->greets)
		connection->to.at.path = connection->path;
	memcpy(connection->realm_name, stream->realm_name, sizeof stream->realm_name);
	connection->realm_cid = stream->realm_cid;
	connection->state = STREAM_CONNECTED;
	return 0;
}
