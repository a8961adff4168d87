/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of libvsockstream share. */
#ifndef IP2VSOCK_STREAM_H
#define IP2VSOCK_STREAM_H

#include "ip2vsock/config.h"
#include "ip2vsock/text.h"
#include "ip2vsock/transport.h"
#include "preload/greet.h"
#include "vsock_stream.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PUBLIC __attribute__((visibility("default")))

enum stream_state {
	STREAM_NEW,
	STREAM_QUEUED, /* in front of a full backlog */
	STREAM_CONNECTING,
	STREAM_GREETING, /* connected to a monitor, whose answer is awaited */
	STREAM_CONNECTED,
	STREAM_LISTENING,
};

/* What both ways to name an endpoint come to. */
struct destination {
	const struct transport *transport;
	struct endpoint at; /* path is in the context */
};

struct vsock_stream {
	int fd;
	int error;
	int timeout; /* ms, 0: none */
	enum stream_state state;
	bool allocated, nonblocking;
	pid_t owner; /* of a listener: a child of fork leaves its file alone */
	uint32_t realm_cid;
	uint32_t allow_count;
	uint64_t buffer, denied;
	size_t moved;
	int64_t deadline; /* of an attempt that goes on */
	struct destination to; /* of a listener: where it is */
	struct greeting greeting;
	struct cid_range allow[RULE_ALLOW_MOST];
	char path[UNIX_NAME_SIZE];
	char realm_name[REALM_NAME_MAX + 1]; /* "": the kernel's vsock */
	char text[256];
};

/* Milliseconds of CLOCK_MONOTONIC, or NEVER. */
#define NEVER INT64_MAX
int64_t time_now(void);
int64_t deadline_of(const struct vsock_stream *stream);
/* poll(2) for one descriptor: 0, or -1 with EINTR or ETIMEDOUT. */
int wait_until_ready(int fd, short events, int64_t deadline);

/* Keeps an error and what was tried ("connect to", the destination's text); returns -1 with errno. `what` alone where the
 * destination says nothing. */
int stream_failed(struct vsock_stream *stream, int error, const char *what, const struct endpoint *at);
/* The same for a text of ours in place of that of errno. */
int stream_refused(struct vsock_stream *stream, int error, const char *text);

struct realm stream_realm(const struct vsock_stream *stream);
const struct transport *stream_transport(const struct vsock_stream *stream);

/* EISCONN of a context that is in use already. */
int stream_is_new(struct vsock_stream *stream);

/* Reads the text of an endpoint, and the options behind it into the context. */
int destination_read(struct vsock_stream *stream, enum rule_direction direction, const char *text);

/* The window of connections to come, and of this descriptor. -1 with errno. */
int window_set(int fd, const struct transport *transport, uint64_t bytes);

int nonblocking_set(int fd, bool on);

#endif
