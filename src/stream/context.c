/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts of the stream library: from new to free, their settings, their errors, and what they are asked. */
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/stale.h"
#include "stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- contexts */

PUBLIC size_t vsock_stream_size(void)
{
	return sizeof(struct vsock_stream);
}

PUBLIC struct vsock_stream *vsock_stream_new(void *memory)
{
	struct vsock_stream *stream = memory ? memory : malloc(sizeof *stream);

	if (!stream)
		return NULL;
	*stream = (struct vsock_stream){.fd = -1, .allocated = !memory, .realm_cid = VMADDR_CID_LOCAL};
	return stream;
}

PUBLIC void vsock_stream_close(struct vsock_stream *stream)
{
	int saved = errno;

	if (stream->state == STREAM_LISTENING && stream->to.transport->greets && stream->owner == getpid())
		bind_undo(stream->fd);
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
	stream->state = STREAM_NEW;
	errno = saved;
}

PUBLIC void vsock_stream_free(struct vsock_stream *stream)
{
	int saved = errno;

	if (!stream)
		return;
	vsock_stream_close(stream);
	if (stream->allocated)
		free(stream);
	errno = saved;
}

/* --- errors */

PUBLIC int vsock_stream_error(const struct vsock_stream *stream)
{
	return stream->error;
}

PUBLIC const char *vsock_stream_error_text(const struct vsock_stream *stream)
{
	return stream->text;
}

int stream_refused(struct vsock_stream *stream, int error, const char *why)
{
	struct text text;

	text_init(&text, stream->text, sizeof stream->text);
	text_str(&text, why);
	stream->error = error;
	errno = error;
	return -1;
}

int stream_failed(struct vsock_stream *stream, int error, const char *what, const struct endpoint *at)
{
	char line[sizeof stream->text], buf[128];
	struct text text;

	text_init(&text, line, sizeof line);
	text_str(&text, what);
	if (at) {
		text_str(&text, at->path ? " unix " : " vsock ");
		text_str(&text, config_endpoint_text(at, buf, sizeof buf));
	}
	text_str(&text, ": ");
	text_str(&text, strerror_r(error, buf, sizeof buf));
	return stream_refused(stream, error, line);
}

/* What the files that are shared with the preload library need of it. */
int fail(int error)
{
	errno = error;
	return -1;
}

void close_quietly(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* --- time */

int64_t time_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t deadline_of(const struct vsock_stream *stream)
{
	return stream->timeout ? time_now() + stream->timeout : NEVER;
}

int wait_until_ready(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int64_t left = deadline == NEVER ? -1 : deadline - time_now();
	int found;

	if (left < 0 && deadline != NEVER)
		left = 0;
	found = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);
	return found == 0 ? fail(ETIMEDOUT) : found < 0 ? -1 : 0;
}

/* --- settings */

int stream_is_new(struct vsock_stream *stream)
{
	return stream->state == STREAM_NEW ? 0 : stream_refused(stream, EISCONN, "the context is in use (vsock_stream_close() ends that)");
}

struct realm stream_realm(const struct vsock_stream *stream)
{
	return (struct realm){stream->realm_name[0] ? stream->realm_name : NULL, stream->realm_cid};
}

const struct transport *stream_transport(const struct vsock_stream *stream)
{
	return stream->realm_name[0] ? &transport_realm : &transport_vsock;
}

PUBLIC int vsock_stream_set_realm(struct vsock_stream *stream, const char *name, uint32_t cid)
{
	if (stream_is_new(stream) < 0)
		return -1;
	if (name && !realm_name_valid(name))
		return stream_refused(stream, EINVAL, "realm: the name is 1 to 64 of A-Z, a-z, 0-9, \".\", \"_\" and \"-\"");
	if (name && cid == VMADDR_CID_ANY)
		return stream_refused(stream, EINVAL, "realm: its CID has to be a number below 4294967295");
	strcpy(stream->realm_name, name ? name : "");
	stream->realm_cid = cid;
	return 0;
}

PUBLIC int vsock_stream_set_timeout(struct vsock_stream *stream, int milliseconds)
{
	if (milliseconds < 0)
		return stream_refused(stream, EINVAL, "timeout: it is negative (milliseconds are expected, 0 for none)");
	stream->timeout = milliseconds;
	return 0;
}

int nonblocking_set(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

PUBLIC int vsock_stream_set_nonblocking(struct vsock_stream *stream, int on)
{
	stream->nonblocking = on != 0;
	if (stream->state == STREAM_CONNECTED && nonblocking_set(stream->fd, on) < 0)
		return stream_failed(stream, errno, "O_NONBLOCK", NULL);
	return 0;
}

PUBLIC int vsock_stream_set_buffer(struct vsock_stream *stream, uint64_t bytes)
{
	if (stream_is_new(stream) < 0)
		return -1;
	if (bytes && (bytes < RULE_BUFFER_LEAST || bytes > RULE_BUFFER_MOST))
		return stream_refused(stream, EINVAL, "buffer: 128 to 2147483648 bytes are expected");
	stream->buffer = bytes;
	return 0;
}

int window_set(int fd, const struct transport *transport, uint64_t bytes)
{
	int size = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes;

	if (!bytes)
		return 0;
	if (transport != &transport_vsock)
		return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	/* The window is held between the limits, so they move first (af_vsock.c). */
	if (setsockopt(fd, transport->window_level, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &bytes, sizeof bytes) < 0)
		return -1;
	return setsockopt(fd, transport->window_level, SO_VM_SOCKETS_BUFFER_SIZE, &bytes, sizeof bytes);
}

/* --- questions */

PUBLIC int vsock_stream_fd(const struct vsock_stream *stream)
{
	return stream->fd;
}

PUBLIC uint64_t vsock_stream_denied(const struct vsock_stream *stream)
{
	return stream->denied;
}

PUBLIC size_t vsock_stream_moved(const struct vsock_stream *stream)
{
	return stream->moved;
}

static void endpoint_show(const struct vsock_stream *stream, const struct endpoint *at, struct vsock_stream_endpoint *out)
{
	*out = (struct vsock_stream_endpoint){.cid = at->cid, .port = at->port};
	if (stream->to.transport->greets) {
		out->cid = VMADDR_CID_ANY;
		memcpy(out->path, stream->path, sizeof out->path);
	}
}

PUBLIC int vsock_stream_self(const struct vsock_stream *stream, struct vsock_stream_endpoint *out)
{
	const struct realm realm = stream_realm(stream);
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	struct endpoint at;

	if (stream->state != STREAM_CONNECTED && stream->state != STREAM_LISTENING)
		return fail(ENOTCONN);
	if (getsockname(stream->fd, (struct sockaddr *)&sa, &len) < 0)
		return -1;
	if (!stream->to.transport->decode(&realm, &sa, len, &at))
		at = (struct endpoint){.cid = VMADDR_CID_ANY, .port = VMADDR_PORT_ANY};
	endpoint_show(stream, &at, out);
	return 0;
}

PUBLIC int vsock_stream_peer(const struct vsock_stream *stream, struct vsock_stream_endpoint *out)
{
	if (stream->state != STREAM_CONNECTED)
		return fail(ENOTCONN);
	endpoint_show(stream, &stream->to.at, out);
	return 0;
}

PUBLIC uint32_t vsock_stream_cid(const struct vsock_stream *stream)
{
	struct vsock_stream_endpoint at;

	if (vsock_stream_peer(stream, &at) < 0 && vsock_stream_self(stream, &at) < 0)
		return VSOCK_STREAM_CID_ANY;
	return at.cid;
}

PUBLIC uint32_t vsock_stream_port(const struct vsock_stream *stream)
{
	struct vsock_stream_endpoint at;

	if (vsock_stream_peer(stream, &at) < 0 && vsock_stream_self(stream, &at) < 0)
		return VSOCK_STREAM_PORT_ANY;
	return at.port;
}

PUBLIC uint32_t vsock_stream_local_cid(void)
{
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	unsigned cid = VMADDR_CID_ANY;

	if (fd < 0)
		return VSOCK_STREAM_CID_ANY;
	if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
		cid = VMADDR_CID_ANY;
	else if (cid == VMADDR_CID_ANY)
		errno = ENODEV;
	close_quietly(fd);
	return cid;
}

PUBLIC char *vsock_stream_endpoint_text(const struct vsock_stream_endpoint *endpoint, char *out, size_t size)
{
	char buf[CONFIG_ENDPOINT_TEXT_SIZE], path[sizeof endpoint->path + 1] = ""; /* it need not have an end */
	const struct endpoint at = {endpoint->cid, endpoint->port, endpoint->path[0] ? path : NULL};
	struct text text;

	if (size == 0)
		return out;
	memcpy(path, endpoint->path, sizeof endpoint->path);
	text_init(&text, out, size);
	text_str(&text, at.path ? "unix " : "vsock ");
	text_str(&text, config_endpoint_text(&at, buf, sizeof buf));
	return out;
}
