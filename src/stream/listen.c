/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listeners of the stream library. */
#include "preload/retarget.h"
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

/* Non-blocking in any case: a connection that is gone when it is to be accepted must not make accept wait. */
static int start_listening(struct vsock_stream *stream, int backlog)
{
	int fd = socket(stream->to.transport->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return stream_failed(stream, errno, "socket for", &stream->to.at);
	if (socket_listen(stream, fd, backlog) < 0) {
		close_quietly(fd);
		return stream_failed(stream, errno, "listen at", &stream->to.at);
	}
	stream->fd = fd;
	stream->owner = getpid();
	stream->state = STREAM_LISTENING;
	return 0;
}

/* The kernel chooses ports for vsock alone: names of a realm are tried. */
static int listen_anywhere(struct vsock_stream *stream, int backlog)
{
	if (stream->to.transport == &transport_vsock || stream->to.at.port != VMADDR_PORT_ANY)
		return start_listening(stream, backlog);
	for (uint32_t port = 0x10000; port < 0x20000; port++) {
		stream->to.at.port = port;
		if (start_listening(stream, backlog) == 0 || stream->error != EADDRINUSE)
			break;
	}
	return stream->state == STREAM_LISTENING ? 0 : -1;
}

PUBLIC int vsock_stream_listen(struct vsock_stream *stream, uint32_t cid, uint32_t port, int backlog)
{
	if (stream_is_new(stream) < 0)
		return -1;
	stream->to = (struct destination){stream_transport(stream), {.cid = cid, .port = port}};
	return listen_anywhere(stream, backlog);
}

PUBLIC int vsock_stream_listen_at(struct vsock_stream *stream, const char *endpoint, int backlog)
{
	if (stream_is_new(stream) < 0 || destination_read(stream, RULE_LISTEN, endpoint) < 0)
		return -1;
	return listen_anywhere(stream, backlog);
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

/* The next one that is allowed, with its endpoint. */
static int accept_next(struct vsock_stream *stream, int flags, struct endpoint *peer)
{
	const struct realm realm = stream_realm(stream);

	for (;;) {
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
	}
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
	while ((fd = accept_next(stream, connection->nonblocking ? SOCK_NONBLOCK : 0, &peer)) < 0) {
		if (errno != EAGAIN || stream->nonblocking || wait_until_ready(stream->fd, POLLIN, deadline) < 0)
			return stream_failed(stream, errno, "accept at", &stream->to.at);
	}
	if (stream->to.transport != &transport_vsock) /* whose connections inherit it */
		window_set(fd, stream->to.transport, stream->buffer);
	connection->fd = fd;
	connection->to = (struct destination){stream->to.transport, peer};
	if (stream->to.transport->greets) {
		memcpy(connection->path, stream->path, sizeof stream->path);
		connection->to.at.path = connection->path;
	}
	memcpy(connection->realm_name, stream->realm_name, sizeof stream->realm_name);
	connection->realm_cid = stream->realm_cid;
	connection->state = STREAM_CONNECTED;
	return 0;
}
