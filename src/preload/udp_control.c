/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control messages that belong to a datagram, for datagrams that the kernel did not receive as such. */
#include "preload/udp_control.h"
#include "preload/real.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <linux/posix_types.h>
#include <string.h>
#include <time.h>

/* What newer kernels have and these headers may not name. */
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

#define LOOPBACK_INDEX 1
#define HOPS 64

/* In the order in which the kernel writes them (seen on 6.1 and 6.18). */
enum kind {
	TIMEVAL_OLD,
	TIMESPEC_OLD,
	TIMEVAL_NEW,
	TIMESPEC_NEW,
	STAMPING_OLD,
	STAMPING_NEW,
	MARK,
	PRIORITY,
	V6_PKTINFO,
	V6_HOPLIMIT,
	V6_TCLASS,
	V6_2292PKTINFO,
	V6_2292HOPLIMIT,
	V6_ORIGDSTADDR,
	V4_PKTINFO,
	V4_TTL,
	V4_TOS,
	V4_ORIGDSTADDR,
	KINDS
};

/*
 * The option that asks for a message, and the message's type. What is not here has nothing to say of these datagrams: no
 * IP options or extension headers, no fragments, no flow label, no drops that were counted, and nobody computed a checksum.
 */
static const struct {
	int level, option, type;
} kinds[KINDS] = {
	[TIMEVAL_OLD] = {SOL_SOCKET, SO_TIMESTAMP_OLD, SO_TIMESTAMP_OLD},
	[TIMESPEC_OLD] = {SOL_SOCKET, SO_TIMESTAMPNS_OLD, SO_TIMESTAMPNS_OLD},
	[TIMEVAL_NEW] = {SOL_SOCKET, SO_TIMESTAMP_NEW, SO_TIMESTAMP_NEW},
	[TIMESPEC_NEW] = {SOL_SOCKET, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_NEW},
	[STAMPING_OLD] = {SOL_SOCKET, SO_TIMESTAMPING_OLD, SO_TIMESTAMPING_OLD},
	[STAMPING_NEW] = {SOL_SOCKET, SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_NEW},
	[MARK] = {SOL_SOCKET, SO_RCVMARK, SO_MARK},
	[PRIORITY] = {SOL_SOCKET, SO_RCVPRIORITY, SO_PRIORITY},
	[V6_PKTINFO] = {IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO},
	[V6_HOPLIMIT] = {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT},
	[V6_TCLASS] = {IPPROTO_IPV6, IPV6_RECVTCLASS, IPV6_TCLASS},
	[V6_2292PKTINFO] = {IPPROTO_IPV6, IPV6_2292PKTINFO, IPV6_2292PKTINFO},
	[V6_2292HOPLIMIT] = {IPPROTO_IPV6, IPV6_2292HOPLIMIT, IPV6_2292HOPLIMIT},
	[V6_ORIGDSTADDR] = {IPPROTO_IPV6, IPV6_ORIGDSTADDR, IPV6_ORIGDSTADDR},
	[V4_PKTINFO] = {IPPROTO_IP, IP_PKTINFO, IP_PKTINFO},
	[V4_TTL] = {IPPROTO_IP, IP_RECVTTL, IP_TTL},
	[V4_TOS] = {IPPROTO_IP, IP_RECVTOS, IP_TOS},
	[V4_ORIGDSTADDR] = {IPPROTO_IP, IP_ORIGDSTADDR, IP_ORIGDSTADDR},
};

#define BIT(kind) (1u << (kind))

/* Whether the option is on. Time stamps have to be made and to be reported; those of hardware are not to be had. */
static bool is_on(int fd, enum kind kind)
{
	const int stamping = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE;
	socklen_t size = sizeof(int);
	int value = 0;

	if (REAL(getsockopt)(fd, kinds[kind].level, kinds[kind].option, &value, &size) < 0)
		return false;
	return kind == STAMPING_OLD || kind == STAMPING_NEW ? (value & stamping) == stamping : value != 0;
}

unsigned udp_control_ask(int fd, sa_family_t family)
{
	int saved = errno;
	unsigned asked = 0;

	for (enum kind kind = 0; kind < KINDS; kind++)
		if ((family == AF_INET6 || kinds[kind].level != IPPROTO_IPV6) && is_on(fd, kind))
			asked |= BIT(kind);
	/* The kernel remembers "nanoseconds" and "new" apart from each other, and answers so. */
	if (asked & BIT(TIMESPEC_NEW))
		asked &= ~BIT(TIMEVAL_NEW);
	if (asked & BIT(STAMPING_NEW))
		asked &= ~BIT(STAMPING_OLD);
	errno = saved;
	return asked;
}

/* A v6 socket gets what belongs to IPv4 with a datagram over IPv4, and of its own only the address. */
static bool belongs(enum kind kind, const struct ip_addr *to)
{
	switch (kinds[kind].level) {
	case IPPROTO_IPV6:
		return kind == V6_PKTINFO || !ip_addr_is_v4(to);
	case IPPROTO_IP:
		return ip_addr_is_v4(to);
	default:
		return true;
	}
}

/* Seconds and a part of one, as wide as time was before 2038 was thought of, and as it is now (linux/time_types.h). */
struct time_old {
	__kernel_long_t seconds, part;
};
struct time_new {
	int64_t seconds, part;
};

/* Messages' data. Of the three times of SO_TIMESTAMPING the first is software's (linux/errqueue.h). */
union data {
	struct time_old time_old[3];
	struct time_new time_new[3];
	struct in_pktinfo pktinfo;
	struct in6_pktinfo pktinfo6;
	struct sockaddr_storage addr;
	uint32_t number;
	uint8_t byte;
};

static size_t time_old(union data *data, size_t size, time_t seconds, long part)
{
	data->time_old[0] = (struct time_old){(__kernel_long_t)seconds, part};
	return size;
}

static size_t time_new(union data *data, size_t size, time_t seconds, long part)
{
	data->time_new[0] = (struct time_new){seconds, part};
	return size;
}

static size_t number(union data *data, uint32_t value)
{
	data->number = value;
	return sizeof data->number;
}

/* Fills what was 0 before, and returns its size. */
static size_t data_fill(enum kind kind, const struct ip_addr *to, const struct timespec *now, union data *data)
{
	switch (kind) {
	case TIMEVAL_OLD:
		return time_old(data, sizeof(struct time_old), now->tv_sec, now->tv_nsec / 1000);
	case TIMESPEC_OLD:
		return time_old(data, sizeof(struct time_old), now->tv_sec, now->tv_nsec);
	case TIMEVAL_NEW:
		return time_new(data, sizeof(struct time_new), now->tv_sec, now->tv_nsec / 1000);
	case TIMESPEC_NEW:
		return time_new(data, sizeof(struct time_new), now->tv_sec, now->tv_nsec);
	case STAMPING_OLD:
		return time_old(data, sizeof data->time_old, now->tv_sec, now->tv_nsec);
	case STAMPING_NEW:
		return time_new(data, sizeof data->time_new, now->tv_sec, now->tv_nsec);
	case V6_HOPLIMIT:
	case V6_2292HOPLIMIT:
	case V4_TTL:
		return number(data, HOPS);
	case V6_PKTINFO:
	case V6_2292PKTINFO:
		data->pktinfo6 = (struct in6_pktinfo){to->ip, LOOPBACK_INDEX};
		return sizeof data->pktinfo6;
	case V4_PKTINFO:
		data->pktinfo.ipi_ifindex = LOOPBACK_INDEX;
		data->pktinfo.ipi_addr.s_addr = htonl(ip_addr_v4(to));
		data->pktinfo.ipi_spec_dst = data->pktinfo.ipi_addr;
		return sizeof data->pktinfo;
	case V6_ORIGDSTADDR:
		return ip_addr_write(to, &data->addr);
	case V4_ORIGDSTADDR: {
		const struct ip_addr v4 = ip_addr_from_v4(ip_addr_v4(to), to->port, AF_INET);

		return ip_addr_write(&v4, &data->addr);
	}
	case V4_TOS:
		return sizeof data->byte;
	default: /* MARK, PRIORITY, V6_TCLASS */
		return number(data, 0);
	}
}

/* put_cmsg() of net/core/scm.c: what does not fit is cut, even within the data; padding is left as it was. */
static void message_put(struct msghdr *message, size_t *used, enum kind kind, const union data *data, size_t size)
{
	struct cmsghdr header = {.cmsg_level = kinds[kind].level, .cmsg_type = kinds[kind].type};
	unsigned char *at = (unsigned char *)message->msg_control + *used;
	size_t room = message->msg_controllen - *used, length = CMSG_LEN(size), space = CMSG_SPACE(size);

	if (!message->msg_control || room < sizeof header) {
		message->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < length) {
		message->msg_flags |= MSG_CTRUNC;
		length = room;
	}
	header.cmsg_len = length;
	memcpy(at, &header, sizeof header);
	memcpy(at + CMSG_LEN(0), data, length - CMSG_LEN(0));
	*used += space < room ? space : room;
}

void udp_control_write(unsigned asked, const struct ip_addr *to, struct msghdr *message)
{
	struct timespec now = {0};
	size_t used = 0;

	if (asked & (BIT(MARK) - 1))
		clock_gettime(CLOCK_REALTIME, &now);
	for (enum kind kind = 0; asked >> kind != 0; kind++) {
		union data data;
		size_t size;

		if (!(asked & BIT(kind)) || !belongs(kind, to))
			continue;
		memset(&data, 0, sizeof data);
		size = data_fill(kind, to, &now, &data);
		message_put(message, &used, kind, &data, size);
	}
	message->msg_controllen = used;
}
