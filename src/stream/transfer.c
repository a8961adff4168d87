/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of the stream library. */
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_MORE | MSG_NOSIGNAL)

/* One call that moves bytes, either way. */
struct transfer {
	char *out;	 /* recv, or NULL */
	const char *in; /* send */
	size_t size;
	int flags;
};

static ssize_t move_once(const struct vsock_stream *stream, const struct transfer *transfer, size_t done, int flags)
{
	flags |= transfer->flags | MSG_NOSIGNAL;
	if (transfer->out)
		return recv(stream->fd, transfer->out + done, transfer->size - done, flags);
	return send(stream->fd, transfer->in + done, transfer->size - done, flags);
}

static int transfer_failed(struct vsock_stream *stream, const struct transfer *transfer, int error)
{
	return stream_failed(stream, error, transfer->out ? "receive from" : "send to", &stream->to.at);
}

/* With a limit the kernel is asked without waiting first, and poll(2) waits. */
static ssize_t move_some(const struct vsock_stream *stream, const struct transfer *transfer, size_t done, int64_t deadline,
			 bool waits)
{
	bool polls = waits && (deadline != NEVER || stream->nonblocking);
	ssize_t moved;

	while ((moved = move_once(stream, transfer, done, polls || !waits ? MSG_DONTWAIT : 0)) < 0 && errno == EAGAIN && waits) {
		if (wait_until_ready(stream->fd, transfer->out ? POLLIN : POLLOUT, deadline) < 0)
			return -1;
	}
	return moved;
}

static int transfer_begin(struct vsock_stream *stream, const struct transfer *transfer)
{
	stream->moved = 0;
	if (stream->state != STREAM_CONNECTED)
		return stream_refused(stream, ENOTCONN, "the context is not connected");
	if (transfer->flags & ~FLAGS)
		return stream_refused(stream, EINVAL, "flags: only MSG_DONTWAIT, MSG_PEEK and MSG_MORE are possible");
	return 0;
}

static ssize_t transfer_one(struct vsock_stream *stream, const struct transfer *transfer)
{
	bool waits = !stream->nonblocking && !(transfer->flags & MSG_DONTWAIT);
	ssize_t moved;

	if (transfer_begin(stream, transfer) < 0)
		return -1;
	moved = move_some(stream, transfer, 0, deadline_of(stream), waits);
	if (moved < 0)
		return transfer_failed(stream, transfer, errno);
	stream->moved = (size_t)moved;
	return moved;
}

static ssize_t transfer_all(struct vsock_stream *stream, const struct transfer *transfer)
{
	int64_t deadline = deadline_of(stream);
	ssize_t moved = 1;

	if (transfer_begin(stream, transfer) < 0)
		return -1;
	while (stream->moved < transfer->size && moved != 0) {
		moved = move_some(stream, transfer, stream->moved, deadline, true);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return transfer_failed(stream, transfer, errno);
		stream->moved += (size_t)moved;
	}
	return (ssize_t)stream->moved;
}

PUBLIC ssize_t vsock_stream_send(struct vsock_stream *stream, const void *data, size_t size, int flags)
{
	return transfer_one(stream, &(struct transfer){.in = data, .size = size, .flags = flags});
}

PUBLIC ssize_t vsock_stream_recv(struct vsock_stream *stream, void *data, size_t size, int flags)
{
	return transfer_one(stream, &(struct transfer){.out = data, .size = size, .flags = flags});
}

PUBLIC ssize_t vsock_stream_send_all(struct vsock_stream *stream, const void *data, size_t size)
{
	return transfer_all(stream, &(struct transfer){.in = data, .size = size});
}

PUBLIC ssize_t vsock_stream_recv_exactly(struct vsock_stream *stream, void *data, size_t size)
{
	return transfer_all(stream, &(struct transfer){.out = data, .size = size});
}

PUBLIC int vsock_stream_shutdown(struct vsock_stream *stream, int how)
{
	if (stream->state != STREAM_CONNECTED)
		return stream_refused(stream, ENOTCONN, "the context is not connected");
	if (shutdown(stream->fd, how) < 0)
		return stream_failed(stream, errno, "shutdown of the connection to", &stream->to.at);
	return 0;
}
