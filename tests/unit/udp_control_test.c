/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control messages of datagrams: the kernel's own, of datagrams on loopback, are what ours must be to the byte. */
#include "unit.h"

#include "preload/real.h"
#include "preload/udp_control.h"

#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <time.h>

struct real_calls real_calls = {.getsockopt = getsockopt};

void *real_bind(enum real_index index)
{
	ck_abort_msg("call %d is not there", (int)index);
	return NULL;
}

#define STAMPING_BOTH (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE)
#define STAMPING_HARDWARE (SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE)

/* All that may ask for a message, and some that look so. What this kernel or this family does not have is not on. */
static const struct option {
	int level, name, value;
} options[] = {
	{ SOL_SOCKET, SO_TIMESTAMP_OLD, 1 },
	{ SOL_SOCKET, SO_TIMESTAMP_NEW, 1 },
	{ SOL_SOCKET, SO_TIMESTAMPNS_OLD, 1 },
	{ SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1 },
	{ SOL_SOCKET, SO_TIMESTAMPING_OLD, STAMPING_BOTH },
	{ SOL_SOCKET, SO_TIMESTAMPING_NEW, STAMPING_BOTH },
	{ SOL_SOCKET, SO_TIMESTAMPING_OLD, SOF_TIMESTAMPING_RX_SOFTWARE },
	{ SOL_SOCKET, SO_TIMESTAMPING_OLD, STAMPING_HARDWARE },
	{ SOL_SOCKET, SO_RXQ_OVFL, 1 },
	{ SOL_SOCKET, 75 /* SO_RCVMARK */, 1 },
	{ SOL_SOCKET, 82 /* SO_RCVPRIORITY */, 1 },
	{ IPPROTO_IP, IP_PKTINFO, 1 },
	{ IPPROTO_IP, IP_RECVTTL, 1 },
	{ IPPROTO_IP, IP_RECVTOS, 1 },
	{ IPPROTO_IP, IP_RECVOPTS, 1 },
	{ IPPROTO_IP, IP_RETOPTS, 1 },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, 1 },
	{ IPPROTO_IP, 23 /* IP_CHECKSUM */, 1 },
	{ IPPROTO_IP, 25 /* IP_RECVFRAGSIZE */, 1 },
	{ IPPROTO_IP, IP_RECVERR, 1 },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
	{ IPPROTO_IPV6, IPV6_2292PKTINFO, 1 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
	{ IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1 },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
	{ IPPROTO_IPV6, 11 /* IPV6_FLOWINFO */, 1 },
	{ IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1 },
	{ IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1 },
	{ IPPROTO_IPV6, IPV6_RECVRTHDR, 1 },
	{ IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */, 1 },
	{ IPPROTO_IPV6, 77 /* IPV6_RECVFRAGSIZE */, 1 },
	{ IPPROTO_IPV6, IPV6_RECVERR, 1 },
};

/* The family of the receiver, and the address that the sender writes to. */
static const struct way {
	sa_family_t family;
	const char *to;
} ways[] = {
	{ AF_INET, "127.0.0.1" },
	{ AF_INET, "127.1.2.3" },
	{ AF_INET6, "::1" },
	{ AF_INET6, "127.0.0.1" },
};

static int socket_bound(const struct way *way, struct ip_addr *to)
{
	struct sockaddr_storage any = { .ss_family = way->family };
	socklen_t size = sizeof any;
	int fd = socket(way->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in_addr v4;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&any, &size), 0);
	ck_assert(ip_addr_read(&any, size, to));
	if (inet_pton(AF_INET, way->to, &v4) == 1)
		*to = ip_addr_from_v4(ntohl(v4.s_addr), to->port, way->family);
	else
		ck_assert_int_eq(inet_pton(AF_INET6, way->to, &to->ip), 1);
	return fd;
}

static void option_set(int fd, const struct option *option)
{
	int ignored = setsockopt(fd, option->level, option->name, &option->value, sizeof option->value);

	(void)ignored;
}

#define ROOM_MOST 512

/* A buffer for control messages in which every byte that is written shows. */
struct room {
	unsigned char bytes[ROOM_MOST];
	struct msghdr message;
};

static void room_init(struct room *room, size_t size)
{
	memset(room, 0, sizeof *room);
	memset(room->bytes, 0xee, sizeof room->bytes);
	room->message.msg_control = room->bytes;
	room->message.msg_controllen = size;
}

static void kernel_write(int fd, const struct ip_addr *to, struct room *room)
{
	struct ip_addr as = *to;
	struct sockaddr_storage name;
	int hops = 64, no = 0, sender;
	struct iovec part;
	char byte;

	as.family = ip_addr_is_v4(to) ? AF_INET : AF_INET6;
	sender = socket(as.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(sender, 0);
	if (as.family == AF_INET) {
		ck_assert_int_eq(setsockopt(sender, IPPROTO_IP, IP_TTL, &hops, sizeof hops), 0);
	} else {
		ck_assert_int_eq(setsockopt(sender, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops), 0);
		ck_assert_int_eq(setsockopt(sender, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, &no, sizeof no), 0);
	}
	ck_assert_int_eq(sendto(sender, "x", 1, 0, (struct sockaddr *)&name, ip_addr_write(&as, &name)), 1);
	close(sender);
	part = (struct iovec){&byte, 1};
	room->message.msg_iov = &part;
	room->message.msg_iovlen = 1;
	ck_assert_int_eq(recvmsg(fd, &room->message, 0), 1);
}

static bool is_time(const struct cmsghdr *header)
{
	return header->cmsg_level == SOL_SOCKET &&
	       (header->cmsg_type == SO_TIMESTAMP_OLD || header->cmsg_type == SO_TIMESTAMP_NEW ||
		header->cmsg_type == SO_TIMESTAMPNS_OLD || header->cmsg_type == SO_TIMESTAMPNS_NEW ||
		header->cmsg_type == SO_TIMESTAMPING_OLD || header->cmsg_type == SO_TIMESTAMPING_NEW);
}

/* What time it is cannot be the same twice: as many of its bytes as there are become 0. */
static void times_clear(struct room *room)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(&room->message);

	for (; header; header = CMSG_NXTHDR(&room->message, header)) {
		size_t size = header->cmsg_len - CMSG_LEN(0);

		if (is_time(header))
			memset(CMSG_DATA(header), 0, size < 16 ? size : 16);
	}
}

/* Both write for a datagram that comes this way to a socket with these options. Returns what the kernel used. */
static size_t compare(const struct way *way, const struct option *const *set, size_t count, size_t size)
{
	struct room kernels, ours;
	unsigned asked;
	struct ip_addr to;
	int fd = socket_bound(way, &to);

	for (size_t i = 0; i < count; i++)
		option_set(fd, set[i]);
	room_init(&kernels, size);
	room_init(&ours, size);
	kernel_write(fd, &to, &kernels);
	errno = 4711;
	asked = udp_control_ask(fd, way->family);
	udp_control_write(asked, &to, &ours.message);
	ck_assert_int_eq(errno, 4711);
	ck_assert_uint_eq(ours.message.msg_controllen, kernels.message.msg_controllen);
	ck_assert_int_eq(ours.message.msg_flags, kernels.message.msg_flags);
	times_clear(&kernels);
	times_clear(&ours);
	ck_assert_mem_eq(ours.bytes, kernels.bytes, sizeof ours.bytes);
	close(fd);
	return kernels.message.msg_controllen;
}

START_TEST(test_each_option_is_answered_as_by_the_kernel)
{
	const struct option *option = &options[_i];

	for (size_t way = 0; way < N_ELEMENTS(ways); way++)
		compare(&ways[way], &option, 1, ROOM_MOST);
}
END_TEST

START_TEST(test_one_option_after_another_is_answered_as_by_the_kernel)
{
	for (size_t way = 0; way < N_ELEMENTS(ways); way++)
		for (size_t second = 0; second < N_ELEMENTS(options); second++)
			compare(&ways[way], (const struct option *[]){ &options[_i], &options[second] }, 2, ROOM_MOST);
}
END_TEST

START_TEST(test_every_room_is_filled_as_by_the_kernel_and_not_overrun)
{
	const struct option *all[N_ELEMENTS(options)];
	size_t used;

	for (size_t i = 0; i < N_ELEMENTS(options); i++)
		all[i] = &options[i];
	used = compare(&ways[_i], all, N_ELEMENTS(all), ROOM_MOST);
	ck_assert_uint_gt(used, 150);
	ck_assert_uint_lt(used, ROOM_MOST);
	for (size_t size = 0; size <= used; size++)
		compare(&ways[_i], all, N_ELEMENTS(all), size);
}
END_TEST

START_TEST(test_without_options_nothing_is_asked_and_nothing_written)
{
	struct ip_addr to;
	int fd = socket_bound(&ways[_i], &to);
	struct room room;

	ck_assert_uint_eq(udp_control_ask(fd, ways[_i].family), 0);
	room_init(&room, 100);
	udp_control_write(0, &to, &room.message);
	ck_assert_uint_eq(room.message.msg_controllen, 0);
	ck_assert_int_eq(room.message.msg_flags, 0);
	ck_assert_uint_eq(room.bytes[0], 0xee);
	close(fd);
}
END_TEST

START_TEST(test_no_buffer_at_all_is_a_truncation)
{
	const struct option info = { IPPROTO_IP, IP_PKTINFO, 1 };
	struct msghdr message = { .msg_controllen = 100, .msg_flags = MSG_TRUNC };
	struct ip_addr to;
	int fd = socket_bound(&ways[0], &to);

	option_set(fd, &info);
	udp_control_write(udp_control_ask(fd, AF_INET), &to, &message);
	ck_assert_uint_eq(message.msg_controllen, 0);
	ck_assert_int_eq(message.msg_flags, MSG_TRUNC | MSG_CTRUNC);
	close(fd);
}
END_TEST

START_TEST(test_the_time_is_now)
{
	const struct option both[] = { { SOL_SOCKET, SO_TIMESTAMPNS, 1 },
				       { SOL_SOCKET, SO_TIMESTAMPING, STAMPING_BOTH } };
	struct timespec before, after, stamps[3], stamp;
	struct cmsghdr *header;
	struct room room;
	struct ip_addr to;
	int fd = socket_bound(&ways[0], &to);

	option_set(fd, &both[0]);
	option_set(fd, &both[1]);
	room_init(&room, ROOM_MOST);
	clock_gettime(CLOCK_REALTIME, &before);
	udp_control_write(udp_control_ask(fd, AF_INET), &to, &room.message);
	clock_gettime(CLOCK_REALTIME, &after);
	header = CMSG_FIRSTHDR(&room.message);
	ck_assert_ptr_nonnull(header);
	ck_assert_int_eq(header->cmsg_type, SCM_TIMESTAMPNS);
	memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
	header = CMSG_NXTHDR(&room.message, header);
	ck_assert_ptr_nonnull(header);
	ck_assert_int_eq(header->cmsg_type, SCM_TIMESTAMPING);
	memcpy(stamps, CMSG_DATA(header), sizeof stamps);
	ck_assert_mem_eq(&stamps[0], &stamp, sizeof stamp);
	ck_assert(stamp.tv_sec > before.tv_sec || (stamp.tv_sec == before.tv_sec && stamp.tv_nsec >= before.tv_nsec));
	ck_assert(stamp.tv_sec < after.tv_sec || (stamp.tv_sec == after.tv_sec && stamp.tv_nsec <= after.tv_nsec));
	ck_assert_int_eq(stamps[1].tv_sec | stamps[1].tv_nsec | stamps[2].tv_sec | stamps[2].tv_nsec, 0);
	close(fd);
}
END_TEST

/* What no datagram on loopback shows: an address that this machine does not have. */
START_TEST(test_the_address_is_the_one_that_was_written_to)
{
	const struct option info = { IPPROTO_IP, IP_PKTINFO, 1 };
	const struct ip_addr to = ip_addr_from_v4(0x0a000003, 53, AF_INET);
	struct in_pktinfo got;
	struct cmsghdr *header;
	struct room room;
	struct ip_addr own;
	int fd = socket_bound(&ways[0], &own);

	option_set(fd, &info);
	room_init(&room, ROOM_MOST);
	udp_control_write(udp_control_ask(fd, AF_INET), &to, &room.message);
	header = CMSG_FIRSTHDR(&room.message);
	ck_assert_ptr_nonnull(header);
	memcpy(&got, CMSG_DATA(header), sizeof got);
	ck_assert_uint_eq(got.ipi_addr.s_addr, htonl(0x0a000003));
	ck_assert_uint_eq(got.ipi_spec_dst.s_addr, htonl(0x0a000003));
	ck_assert_int_eq(got.ipi_ifindex, 1);
	close(fd);
}
END_TEST

/* Waits until the kernel stamps what arrives: it does so while somebody wants it, and begins a little late. The socket
 * stays open, here and in the children that run tests. */
static void time_keeper_start(void)
{
	const struct option stamping = { SOL_SOCKET, SO_TIMESTAMPING_OLD, STAMPING_BOTH };
	const struct timespec moment = { .tv_nsec = 10000000 };
	struct ip_addr to;
	int fd = socket_bound(&ways[0], &to);
	struct room room;

	option_set(fd, &stamping);
	for (int tries = 0; tries < 500; tries++) {
		room_init(&room, ROOM_MOST);
		kernel_write(fd, &to, &room);
		if (room.message.msg_controllen > 0)
			return;
		nanosleep(&moment, NULL);
	}
	ck_abort_msg("no time stamps");
}

static void fill(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, time_keeper_start, NULL);
	TABLE_TEST(test_each_option_is_answered_as_by_the_kernel, options);
	TABLE_TEST(test_one_option_after_another_is_answered_as_by_the_kernel, options);
	TABLE_TEST(test_every_room_is_filled_as_by_the_kernel_and_not_overrun, ways);
	TABLE_TEST(test_without_options_nothing_is_asked_and_nothing_written, ways);
	tcase_add_test(tc, test_no_buffer_at_all_is_a_truncation);
	tcase_add_test(tc, test_the_time_is_now);
	tcase_add_test(tc, test_the_address_is_the_one_that_was_written_to);
}

int main(void)
{
	return unit_run("udp control", fill);
}
