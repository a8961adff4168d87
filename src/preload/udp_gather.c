/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams that are sent in pieces (MSG_MORE, UDP_CORK), and pieces that are sent as datagrams (UDP_SEGMENT). */
#include "preload/socket.h"
#include "preload/udp_state.h"

#include <errno.h>
#include <limits.h>
#include <linux/udp.h>
#include <string.h>

/* UDP_MAX_SEGMENTS in include/linux/udp.h; newer kernels take twice as many. */
#define SEGMENTS_MOST 128

ssize_t parts_size(const struct msghdr *message)
{
	size_t size = 0;

	if (message->msg_iovlen > IOV_MAX)
		return fail(EMSGSIZE);
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		size += message->msg_iov[i].iov_len;
		if (size > SSIZE_MAX || message->msg_iov[i].iov_len > SSIZE_MAX)
			return fail(EINVAL);
	}
	return (ssize_t)size;
}

bool memory_copy(uint8_t *to, const void *from, size_t size)
{
	struct iovec here = {to, size}, there = {(void *)(uintptr_t)from, size};
	ssize_t copied = SYSTEM(process_vm_readv, getpid(), &here, 1, &there, 1, 0);

	if (copied < 0 && errno != EFAULT) { /* not allowed in here */
		memcpy(to, from, size);
		return true;
	}
	return copied == (ssize_t)size;
}

static int bytes_gather(struct udp *udp, struct bytes *bytes, const struct datagram *datagram)
{
	if (!bytes_room(udp, bytes, bytes->have + (uint32_t)datagram->size))
		return fail(ENOBUFS);
	for (size_t i = 0; i < datagram->count; i++) {
		const struct iovec *part = &datagram->parts[i];

		if (part->iov_len && !memory_copy(bytes->at + bytes->have, part->iov_base, part->iov_len))
			return fail(EFAULT);
		bytes->have += (uint32_t)part->iov_len;
	}
	return 0;
}

static void cork_drop(struct udp *udp)
{
	bytes_free(udp, &udp->cork);
	udp->cork_to = false;
}

/* The first piece says where to. */
int cork_send(struct udp *udp, const struct datagram *datagram, bool *gone)
{
	struct ip_addr peer = udp->cork_to ? udp->cork_peer : *datagram->addr;
	struct datagram whole = *datagram;
	struct iovec part;
	struct bytes bytes;
	int result;

	if (udp->cork.have + datagram->size > (ip_addr_is_v4(&peer) ? DGRAM_MOST_V4 : DGRAM_MOST)) {
		cork_drop(udp);
		return fail(EMSGSIZE);
	}
	if (!udp->cork_to) {
		udp->cork_to = true;
		udp->cork_peer = peer;
		udp->cork_endpoint = datagram->to;
	}
	if (bytes_gather(udp, &udp->cork, datagram) < 0) {
		cork_drop(udp);
		return -1;
	}
	if (datagram->flags & MSG_MORE || udp->corked)
		return 0;
	/* Ours alone: the lock may be lent while it is sent. */
	bytes = udp->cork;
	udp->cork = (struct bytes){0};
	udp->cork_to = false;
	part = (struct iovec){bytes.at, bytes.have};
	whole.addr = &peer;
	whole.to = udp->cork_endpoint;
	whole.parts = &part;
	whole.count = 1;
	whole.size = bytes.have;
	result = datagram_send(udp, &whole, gone);
	bytes_free(*gone ? NULL : udp, &bytes);
	return result;
}

size_t udp_segment(const struct udp *udp, const struct msghdr *message)
{
	struct msghdr *all = (struct msghdr *)(uintptr_t)message;
	uint16_t size = udp->segment;

	if (!message->msg_control || message->msg_controllen < sizeof(struct cmsghdr))
		return size;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(all); cmsg; cmsg = CMSG_NXTHDR(all, cmsg))
		if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_SEGMENT &&
		    (uint32_t)cmsg->cmsg_len == CMSG_LEN(sizeof size))
			memcpy(&size, CMSG_DATA(cmsg), sizeof size);
	return size;
}

int segments_send(struct udp *udp, const struct datagram *datagram, size_t segment, bool *gone)
{
	struct bytes bytes = {0};
	int result = 0;

	if (datagram->size > segment * SEGMENTS_MOST)
		return fail(EINVAL);
	if (bytes_gather(udp, &bytes, datagram) < 0) {
		bytes_free(udp, &bytes);
		return -1;
	}
	for (size_t at = 0; at < datagram->size && result == 0 && !*gone; at += segment) {
		struct datagram one = *datagram;
		struct iovec part = {bytes.at + at, datagram->size - at < segment ? datagram->size - at : segment};

		one.parts = &part;
		one.count = 1;
		one.size = part.iov_len;
		result = datagram_send(udp, &one, gone);
	}
	bytes_free(*gone ? NULL : udp, &bytes);
	return result;
}
