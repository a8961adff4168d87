/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What connect and bind ask of sockets and do to them, on whatever transport. */
#include "preload/socket.h"
#include "preload/log.h"
#include "preload/persist.h"
#include "preload/mark.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/stale.h"

#include <errno.h>
#include <netinet/tcp.h>

/* Enough to step over the ports that are taken; more only when thousands are. */
#define PORT_TRIES 64

int fail(int error)
{
	errno = error;
	return -1;
}

int option_int(int fd, int level, int option)
{
	int value = 0;
	socklen_t size = sizeof value;

	return REAL(getsockopt)(fd, level, option, &value, &size) < 0 ? 0 : value;
}

int bind_endpoint(int fd, const struct transport *transport, const struct endpoint *to)
{
	struct sockaddr_storage sa;
	socklen_t len = transport->encode(&settings()->realm, to, &sa);

	return transport->greets ? bind_replacing(fd, &sa, len) : REAL(bind)(fd, (struct sockaddr *)&sa, len);
}

int name_any(int fd)
{
	const sa_family_t family = (sa_family_t)transport_unix.domain;

	return REAL(bind)(fd, (const struct sockaddr *)&family, sizeof family);
}

int bind_ephemeral(int fd, const struct transport *transport, struct endpoint *to)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		to->port = port_next();
		if (bind_endpoint(fd, transport, to) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
		if (i % 4 == 3)
			port_jump();
	}
	to->port = VMADDR_PORT_ANY;
	return transport == &transport_vsock ? bind_endpoint(fd, transport, to) : -1;
}

/* No client of ours has such a port, and the kernel hardly ever chooses one. A unix socket without a name is read as
 * one (VMADDR_PORT_ANY). */
#define WAKE_PORT 0xffff0000u

bool is_wake(const struct transport *transport, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	struct endpoint peer;

	if (REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) < 0)
		return true; /* it has gone already */
	if (transport->greets) /* monitors have no names */
		return len > sizeof sa.ss_family;
	return transport->decode(&settings()->realm, &sa, len, &peer) && peer.port >= WAKE_PORT;
}

static void knock_at(int knock, const struct transport *transport, const struct endpoint *at)
{
	uint32_t cids[] = {at->cid == VMADDR_CID_ANY ? VMADDR_CID_LOCAL : at->cid, own_cid()};

	for (unsigned i = 0; i < sizeof cids / sizeof *cids; i++) {
		struct sockaddr_storage sa;
		struct endpoint to = {.cid = cids[i], .port = at->port};
		socklen_t len = transport->encode(&settings()->realm, &to, &sa);

		if (REAL(connect)(knock, (struct sockaddr *)&sa, len) == 0 || errno != ENODEV)
			break;
	}
}

void listener_wake(const struct transport *transport, const struct sockaddr_storage *sa, socklen_t len)
{
	int saved = errno, knock = REAL(socket)(transport->domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct endpoint from = {.cid = VMADDR_CID_ANY, .port = WAKE_PORT | port_next()}, at;

	if (knock >= 0 && transport == &transport_vsock)
		bind_endpoint(knock, transport, &from);
	if (knock >= 0 && transport->greets && name_any(knock) == 0)
		REAL(connect)(knock, (const struct sockaddr *)sa, len);
	else if (knock >= 0 && !transport->greets && transport->decode(&settings()->realm, sa, len, &at))
		knock_at(knock, transport, &at);
	if (knock >= 0)
		REAL(close)(knock);
	errno = saved;
}

int tcp_state(int fd)
{
	uint8_t state = TCP_CLOSE;
	socklen_t size = sizeof state;

	REAL(getsockopt)(fd, IPPROTO_TCP, TCP_INFO, &state, &size);
	return state;
}

bool inet_bound(int fd, struct ip_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	return REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) == 0 && ip_addr_read(&sa, len, out) &&
	       out->port != 0;
}

bool is_connected(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	return REAL(getpeername)(fd, (struct sockaddr *)&sa, &len) == 0 && !(sa.ss_family == transport_unix.domain && is_waiting(fd));
}

bool port_forbidden(uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd, result;

	if (port == 0 || port >= IPPORT_RESERVED)
		return false;
	fd = REAL(socket)(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	result = REAL(bind)(fd, (struct sockaddr *)&sa, sizeof sa);
	close_quietly(fd);
	return result < 0 && errno == EACCES;
}
