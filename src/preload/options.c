/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: where each is kept, and those that set the window. */
#include "preload/options.h"
#include "preload/real.h"
#include "preload/socket.h"

#include <netinet/tcp.h>
#include <string.h>

/* SOL_SOCKET options by number (asm-generic/socket.h); the newer names are not in every libc. */
const uint8_t socket_option_keep[SOCKET_OPTION_COUNT] = {
	[SO_REUSEADDR] = KEEP_MARK,
	[SO_TYPE] = KEEP_ANSWER,
	[SO_ERROR] = KEEP_ANSWER,
	[SO_SNDBUF] = KEEP_BUFFER,
	[SO_RCVBUF] = KEEP_BUFFER,
	[SO_LINGER] = KEEP_NOTE, /* close would wait for the peer to read */
	[SO_REUSEPORT] = KEEP_MARK,
	[SO_PASSCRED] = KEEP_UNIX,
	[SO_PEERCRED] = KEEP_UNIX,
	[SO_RCVLOWAT] = KEEP_LOWAT,
	[SO_ATTACH_FILTER] = KEEP_NOTE, /* where our note is */
	[SO_DETACH_FILTER] = KEEP_NOTE,
	[SO_PEERNAME] = KEEP_NOTE,
	[SO_PEERSEC] = KEEP_UNIX,
	[SO_SNDBUFFORCE] = KEEP_BUFFER,
	[SO_RCVBUFFORCE] = KEEP_BUFFER,
	[SO_PASSSEC] = KEEP_UNIX,
	[SO_PROTOCOL] = KEEP_ANSWER,
	[SO_DOMAIN] = KEEP_ANSWER,
	[SO_PEEK_OFF] = KEEP_UNIX,
	[SO_LOCK_FILTER] = KEEP_NOTE,
	[SO_MAX_PACING_RATE] = KEEP_NOTE, /* where marks are */
	[SO_INCOMING_CPU] = KEEP_NOTE,
	[SO_ATTACH_BPF] = KEEP_NOTE,
	[SO_ATTACH_REUSEPORT_CBPF] = KEEP_NOTE,
	[SO_ATTACH_REUSEPORT_EBPF] = KEEP_NOTE,
	[SO_PEERGROUPS] = KEEP_UNIX,
	[SO_ZEROCOPY] = KEEP_NOTE,
	[68] = KEEP_NOTE, /* SO_DETACH_REUSEPORT_BPF */
	[73] = KEEP_NOTE, /* SO_RESERVE_MEM */
	[74] = KEEP_NOTE, /* SO_TXREHASH */
	[76] = KEEP_UNIX, /* SO_PASSPIDFD */
	[77] = KEEP_UNIX, /* SO_PEERPIDFD */
	[78] = KEEP_NOTE, /* SO_DEVMEM_LINEAR */
	[79] = KEEP_NOTE, /* SO_DEVMEM_DMABUF */
	[80] = KEEP_NOTE, /* SO_DEVMEM_DONTNEED */
	[83] = KEEP_UNIX, /* SO_PASSRIGHTS */
	[84] = KEEP_UNIX, /* SO_INQ */
};

enum keep option_keep(int level, int option)
{
	if (level == SOL_SOCKET)
		return (unsigned)option < SOCKET_OPTION_COUNT ? socket_option_keep[option] : KEEP_NATIVE;
	if ((level == IPPROTO_TCP && option == TCP_NODELAY) || (level == IPPROTO_IPV6 && option == IPV6_V6ONLY))
		return KEEP_MARK;
	return KEEP_NOTE;
}

bool option_inherited(int level, int option)
{
	switch (level) {
	case SOL_SOCKET:
		return option != SO_PRIORITY && option != SO_INCOMING_CPU && option != SO_PASSCRED &&
		       option != SO_PASSSEC;
	case IPPROTO_TCP:
		return option != TCP_DEFER_ACCEPT && option != TCP_FASTOPEN && option != TCP_FASTOPEN_KEY;
	case IPPROTO_IP:
		return option != IP_OPTIONS;
	default:
		return level != NOTE_LEVEL;
	}
}

#define WINDOW_USUAL (256u << 10)

/* The window that a size gives: what TCP would take, which is twice what was asked for within wmem_max and rmem_max
 * (socket(7)). The kernel knows which of the two were set since Linux 5.16; the larger counts. */
static void window_set(int fd, const struct transport *transport)
{
	int locked = 0;
	socklen_t size = sizeof locked;
	uint64_t send = (uint64_t)option_int(fd, SOL_SOCKET, SO_SNDBUF);
	uint64_t receive = (uint64_t)option_int(fd, SOL_SOCKET, SO_RCVBUF), window, most;

	if (REAL(getsockopt)(fd, SOL_SOCKET, 72 /* SO_BUF_LOCK */, &locked, &size) < 0)
		locked = 3;
	window = locked == 1 ? send : locked == 2 ? receive : send > receive ? send : receive;
	/* Above the kernel's usual limit, which is where the mark will be: on a new socket it comes later. */
	size = sizeof most;
	if (window > WINDOW_USUAL &&
	    REAL(getsockopt)(fd, transport->mark_level, transport->mark_option, &most, &size) == 0 && most < window)
		REAL(setsockopt)(fd, transport->mark_level, transport->mark_option, &window, sizeof window);
	if (locked)
		REAL(setsockopt)(fd, transport->window_level, transport->window_option, &window, sizeof window);
}

void window_fix(int fd, const struct transport *transport, uint32_t bytes)
{
	uint64_t size = bytes;
	int half = (int)(bytes / 2); /* the kernel doubles it */

	if (transport != &transport_vsock) {
		REAL(setsockopt)(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof half);
		return;
	}
	/* The size is held between the other two. */
	REAL(setsockopt)(fd, transport_vsock.domain, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
	REAL(setsockopt)(fd, transport_vsock.domain, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
}

int option_set_buffer(int fd, int option, const void *value, socklen_t size)
{
	if (REAL(setsockopt)(fd, SOL_SOCKET, option, value, size) < 0)
		return -1;
	if (socket_domain(fd) == transport_vsock.domain)
		window_set(fd, &transport_vsock);
	return 0;
}

/* More than the window is refused, as much as the window makes recv fail with ENOMEM. */
void option_set_lowat(int fd, const void *value, socklen_t size)
{
	const struct transport *transport = &transport_vsock;
	uint64_t window;
	socklen_t window_size = sizeof window;
	int least;

	if (size < sizeof least)
		return;
	memcpy(&least, value, sizeof least);
	if (socket_domain(fd) != transport_vsock.domain ||
	    REAL(getsockopt)(fd, transport->window_level, transport->window_option, &window, &window_size) < 0)
		window = (uint64_t)option_int(fd, SOL_SOCKET, SO_RCVBUF) / 2;
	if (least < 0 || (uint64_t)least > window / 2)
		least = (int)(window / 2);
	REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}
