/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outlaw WAY...: makes something leave on the network, in every way there is, each in a process of its own, and prints what
 * came of it. outlaw -l lists the ways, outlaw -e [ERROR] what each is told where nothing may leave: ERROR instead of
 * what the default is. outlaw -g PROGRAM [ARG]... makes the sockets that some ways are given, and becomes the program.
 */
#define _GNU_SOURCE 1
#include "common.h"

#include <arpa/nameser.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <resolv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef AF_SMC
#define AF_SMC 43
#endif
#define PROTOCOL_LAB 253 /* RFC 3692: for experiments */
#define ETHER_LAB 0x88b5 /* IEEE 802: for experiments */

/* Beyond the wire, in both versions of IP, and a group. Who gives orders here has seen to it that the first two need no question. */
#define FAR4 "192.0.2.9"
#define FAR6 "2001:db8::9"
#define MAPPED "::ffff:192.0.2.9"
#define STRANGER4 "192.0.2.10"
#define STRANGER6 "2001:db8::10"
#define OTHER_STRANGER4 "192.0.2.11"
#define OTHER_STRANGER6 "2001:db8::11"
#define GROUP4 "224.0.0.99"
#define GROUP6 "ff05::99"
#define WIRE "out"
#define PORT 4999

static char data[] = "outlaw";

/* What a way says when it is not "ok" or an errno. */
static const char *word;

static int result(ssize_t rc)
{
	return rc < 0 ? -1 : 0;
}

static int worded(const char *text)
{
	word = text;
	return -1;
}

/* --- TCP: an attempt that goes on has left */

static int tcp_begun(int rc)
{
	return rc < 0 && errno == EINPROGRESS ? 0 : rc;
}

static int stream(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

/* Everything here is told what socket(2) was told, where there is no socket. */
static int tcp_to(int fd, const char *address)
{
	return fd < 0 ? -1 : tcp_begun(do_connect(fd, place_of(address, PORT)));
}

static int tcp4(void)
{
	return tcp_to(stream(AF_INET), FAR4);
}

static int tcp6(void)
{
	return tcp_to(stream(AF_INET6), FAR6);
}

static int tcp_mapped(void)
{
	return tcp_to(stream(AF_INET6), MAPPED);
}

static int tcp_stranger4(void)
{
	return tcp_to(stream(AF_INET), STRANGER4);
}

static int tcp_stranger6(void)
{
	return tcp_to(stream(AF_INET6), STRANGER6);
}

static int tcp_loopback4(void)
{
	return tcp_to(stream(AF_INET), "127.0.0.1");
}

static int tcp_loopback6(void)
{
	return tcp_to(stream(AF_INET6), "::1");
}

static int tcp_this_host(void)
{
	return tcp_to(stream(AF_INET), "0.0.0.0");
}

static int tcp_dissolved(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int fd = stream(AF_INET);

	tcp_to(fd, FAR4);
	return connect(fd, &nobody, sizeof nobody) < 0 ? -1 : tcp_to(fd, FAR4);
}

static int tcp_copy(void)
{
	return tcp_to(dup(stream(AF_INET)), FAR4);
}

static int tcp_number(void)
{
	const struct place to = place_of(FAR4, PORT);
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	return tcp_begun((int)syscall(SYS_connect, fd, &to.sa, to.len));
}

#ifdef SYS_socketcall /* i386 */
static int tcp_socketcall(void)
{
	const struct place to = place_of(FAR4, PORT);
	long make[] = {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0};
	long reach[] = {syscall(SYS_socketcall, 1, make), (long)&to.sa, (long)to.len};

	return tcp_begun((int)syscall(SYS_socketcall, 3, reach));
}
#endif

static int mptcp_to(int family, const char *address)
{
	return tcp_to(socket(family, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP), address);
}

static int mptcp4(void)
{
	return mptcp_to(AF_INET, FAR4);
}

static int mptcp6(void)
{
	return mptcp_to(AF_INET6, FAR6);
}

static int fastopen_sendto(void)
{
	const struct place to = place_of(FAR4, PORT);

	return tcp_begun(result(sendto(stream(AF_INET), data, sizeof data, MSG_FASTOPEN, (const struct sockaddr *)&to.sa, to.len)));
}

static int fastopen_sendto6(void)
{
	const struct place to = place_of(FAR6, PORT);

	return tcp_begun(result(sendto(stream(AF_INET6), data, sizeof data, MSG_FASTOPEN, (const struct sockaddr *)&to.sa, to.len)));
}

static struct iovec data_iov(void)
{
	return (struct iovec){data, sizeof data};
}

static int send_message(int fd, struct place to, int flags)
{
	struct iovec iov = data_iov();
	const struct msghdr message = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1};

	return fd < 0 ? -1 : tcp_begun(result(sendmsg(fd, &message, flags)));
}

static int send_messages(int fd, struct place to, int flags)
{
	struct iovec iov = data_iov();
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1}};

	return fd < 0 ? -1 : tcp_begun(result(sendmmsg(fd, &message, 1, flags)));
}

static int fastopen_sendmsg(void)
{
	return send_message(stream(AF_INET), place_of(FAR4, PORT), MSG_FASTOPEN);
}

static int fastopen_sendmmsg(void)
{
	return send_messages(stream(AF_INET), place_of(FAR4, PORT), MSG_FASTOPEN);
}

static int fastopen_connect(void)
{
	int fd = stream(AF_INET);

	set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	if (tcp_to(fd, FAR4) < 0)
		return -1;
	return tcp_begun(result(write(fd, data, sizeof data)));
}

/* --- UDP, which leak.c has in all its ways */

static int datagram(int family)
{
	return socket(family, SOCK_DGRAM, 0);
}

static int send_to(int fd, const char *address)
{
	const struct place to = place_of(address, PORT);

	return fd < 0 ? -1 : result(sendto(fd, data, sizeof data, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int udp_sendto4(void)
{
	return send_to(datagram(AF_INET), FAR4);
}

static int udp_sendto6(void)
{
	return send_to(datagram(AF_INET6), FAR6);
}

static int udp_mapped(void)
{
	return send_to(datagram(AF_INET6), MAPPED);
}

static int udp_stranger4(void)
{
	return send_to(datagram(AF_INET), OTHER_STRANGER4);
}

static int udp_stranger6(void)
{
	return send_to(datagram(AF_INET6), OTHER_STRANGER6);
}

static int udp_loopback(void)
{
	return send_to(datagram(AF_INET), "127.0.0.1");
}

static int udp_group4(void)
{
	return send_to(datagram(AF_INET), GROUP4);
}

static int udp_group6(void)
{
	return send_to(datagram(AF_INET6), GROUP6);
}

static int udp_broadcast(void)
{
	int fd = datagram(AF_INET);

	set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
	return send_to(fd, "255.255.255.255");
}

static int send_connected(int fd, const char *address, unsigned port)
{
	if (fd < 0 || do_connect(fd, place_of(address, port)) < 0)
		return -1;
	return result(send(fd, data, sizeof data, 0)) < 0 ? -1 : result(write(fd, data, sizeof data));
}

static int udp_connected(void)
{
	return send_connected(datagram(AF_INET), FAR4, PORT);
}

static int udp_port0(void)
{
	return send_connected(datagram(AF_INET), FAR4, 0);
}

static int udp_sendmsg(void)
{
	return send_message(datagram(AF_INET), place_of(FAR4, PORT), 0);
}

static int udp_sendmmsg(void)
{
	return send_messages(datagram(AF_INET6), place_of(FAR6, PORT), 0);
}

static int send_unspecified(int fd)
{
	struct place to = place_of(FAR4, PORT);

	to.sa.ss_family = AF_UNSPEC;
	return fd < 0 ? -1 : result(sendto(fd, data, sizeof data, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int udp_unspecified(void)
{
	return send_unspecified(datagram(AF_INET));
}

static int udp_dissolved(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int fd = datagram(AF_INET);

	do_connect(fd, place_of(FAR4, PORT));
	return connect(fd, &nobody, sizeof nobody) < 0 ? -1 : send_to(fd, FAR4);
}

static int udp_number(void)
{
	const struct place to = place_of(FAR4, PORT);
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	return result(syscall(SYS_sendto, fd, data, sizeof data, 0, &to.sa, to.len));
}

/* --- IP, and what is beside TCP and UDP */

static int send_echo4(int fd)
{
	const struct place to = place_of(FAR4, 0);
	const struct icmphdr echo = {.type = ICMP_ECHO};

	return fd < 0 ? -1 : result(sendto(fd, &echo, sizeof echo, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int send_echo6(int fd)
{
	const struct place to = place_of(FAR6, 0);
	const struct icmp6_hdr echo = {.icmp6_type = ICMP6_ECHO_REQUEST};

	return fd < 0 ? -1 : result(sendto(fd, &echo, sizeof echo, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int raw_icmp(void)
{
	return send_echo4(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int raw_icmp6(void)
{
	return send_echo6(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

static int raw_lab(void)
{
	return send_to(socket(AF_INET, SOCK_RAW, PROTOCOL_LAB), FAR4);
}

static int raw_lab6(void)
{
	const struct place to = place_of(FAR6, 0); /* the port is that of a protocol */
	int fd = socket(AF_INET6, SOCK_RAW, PROTOCOL_LAB);

	return fd < 0 ? -1 : result(sendto(fd, data, sizeof data, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int raw_connected(void)
{
	return send_connected(socket(AF_INET, SOCK_RAW, PROTOCOL_LAB), FAR4, PORT);
}

static int raw_number(void)
{
	return send_to((int)syscall(SYS_socket, AF_INET, SOCK_RAW, PROTOCOL_LAB), FAR4);
}

static int raw_unspecified(void)
{
	return send_unspecified(socket(AF_INET, SOCK_RAW, PROTOCOL_LAB));
}

/* A whole packet of UDP. */
static int send_header(int fd)
{
	const struct place to = place_of(FAR4, PORT);
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char data[8];
	} packet = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(sizeof packet)},
		.udp = {.uh_dport = htons(PORT), .uh_sport = htons(PORT), .uh_ulen = htons(16)},
		.data = "outlaw",
	};

	packet.ip.daddr = ((const struct sockaddr_in *)&to.sa)->sin_addr.s_addr;
	return fd < 0 ? -1 : result(sendto(fd, &packet, sizeof packet, 0, (const struct sockaddr *)&to.sa, to.len));
}

static int raw_header(void)
{
	return send_header(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
}

static int raw_header_option(void)
{
	int fd = socket(AF_INET, SOCK_RAW, PROTOCOL_LAB);

	if (fd >= 0)
		set_option(fd, IPPROTO_IP, IP_HDRINCL, 1);
	return send_header(fd);
}

static int ping4(void)
{
	return send_echo4(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static int ping6(void)
{
	return send_echo6(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
}

static int udplite4(void)
{
	return send_to(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), FAR4);
}

static int udplite6(void)
{
	return send_to(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE), FAR6);
}

static int sctp_stream(void)
{
	return tcp_to(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_SCTP), FAR4);
}

static int sctp_messages(void)
{
	return send_to(socket(AF_INET6, SOCK_SEQPACKET | SOCK_NONBLOCK, IPPROTO_SCTP), FAR6);
}

static int dccp(void)
{
	return tcp_to(socket(AF_INET, SOCK_DCCP | SOCK_NONBLOCK, IPPROTO_DCCP), FAR4);
}

static int l2tp(void)
{
	return send_to(socket(AF_INET, SOCK_DGRAM, 115), FAR4);
}

static int smc(void)
{
	return tcp_to(socket(AF_SMC, SOCK_STREAM | SOCK_NONBLOCK, 0), FAR4);
}

/* --- frames */

static struct sockaddr_ll wire_address(void)
{
	return (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(ETHER_LAB), .sll_halen = ETH_ALEN,
				    .sll_ifindex = (int)if_nametoindex(WIRE), .sll_addr = {2, 0, 0, 0, 0, 9}};
}

static const struct {
	struct ethhdr head;
	char data[46];
} frame = {{.h_dest = {2, 0, 0, 0, 0, 9}, .h_source = {2, 0, 0, 0, 0, 1}, .h_proto = 0xb588}, "outlaw"};

static int packet_send(int fd, const void *bytes, size_t size, sa_family_t family)
{
	struct sockaddr_ll to = wire_address();

	to.sll_family = family; /* the kernel does not look at it */
	return fd < 0 ? -1 : result(sendto(fd, bytes, size, 0, (const struct sockaddr *)&to, sizeof to));
}

static int packet_raw(void)
{
	return packet_send(socket(AF_PACKET, SOCK_RAW, htons(ETHER_LAB)), &frame, sizeof frame, AF_PACKET);
}

static int packet_datagram(void)
{
	return packet_send(socket(AF_PACKET, SOCK_DGRAM, 0), data, sizeof data, AF_PACKET);
}

static int packet_sendmsg(void)
{
	struct sockaddr_ll to = wire_address();
	struct place place = {.len = sizeof to};

	memcpy(&place.sa, &to, sizeof to);
	return send_message(socket(AF_PACKET, SOCK_DGRAM, 0), place, 0);
}

static int packet_bound(void)
{
	const struct sockaddr_ll at = wire_address();
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETHER_LAB));

	return fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 ? -1 : result(write(fd, &frame, sizeof frame));
}

/* Of Linux 2.0, with the name of the interface. */
static int packet_old(void)
{
	struct sockaddr to = {.sa_family = AF_INET};
	int fd = socket(AF_INET, SOCK_PACKET, htons(ETHER_LAB));

	strcpy(to.sa_data, WIRE);
	return fd < 0 ? -1 : result(sendto(fd, &frame, sizeof frame, 0, &to, sizeof to));
}

/* --- by a ring of io_uring, as liburing does it with system calls of its own */

static int uring_connect(void)
{
	struct place to = place_of(FAR4, PORT);
	struct io_uring_params params = {.flags = 0};
	int fd = stream(AF_INET), ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	char *queue, *answers;

	if (ring < 0)
		return -1;
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQ_RING);
	answers = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		       IORING_OFF_CQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || answers == MAP_FAILED || entries == MAP_FAILED)
		die("mmap of a ring");
	memset(entries, 0, sizeof *entries);
	entries->opcode = IORING_OP_CONNECT;
	entries->fd = fd;
	entries->addr = (uintptr_t)&to.sa;
	entries->off = to.len;
	*(unsigned *)(queue + params.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	return result(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0));
}

/* --- listeners: a client that is answered. Told by bind or listen, whose error counts. */

static int knock_at(int listener)
{
	struct place at = {.len = sizeof at.sa};

	if (listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&at.sa, &at.len) < 0)
		return -1;
	tcp_begun(do_connect(stream(at.sa.ss_family), place_of(at.sa.ss_family == AF_INET ? "127.0.0.1" : "::1", port_of(&at.sa))));
	return wait_for(listener, POLLIN, 5000) ? 0 : worded("nobody came");
}

static int listen_at_address(int family, const char *address)
{
	int fd = stream(family);

	return do_bind(fd, place_of(address, 0)) < 0 ? -1 : knock_at(fd);
}

static int listen4(void)
{
	return listen_at_address(AF_INET, "0.0.0.0");
}

static int listen6(void)
{
	return listen_at_address(AF_INET6, "::");
}

static int listen_loopback(void)
{
	return listen_at_address(AF_INET, "127.0.0.1");
}

static int listen_unbound(void)
{
	return knock_at(stream(AF_INET));
}

static int listen_unbound6(void)
{
	return knock_at(stream(AF_INET6));
}

static int listen_mptcp(void)
{
	return knock_at(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP));
}

static int listen_number(void)
{
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	return syscall(SYS_listen, fd, 1) < 0 ? -1 : knock_at(fd);
}

/* AF_UNSPEC, an old way to write 0.0.0.0. */
static int listen_unspecified(void)
{
	static const struct sockaddr_in any = {.sin_family = AF_UNSPEC};
	int fd = stream(AF_INET);

	return bind(fd, (const struct sockaddr *)&any, sizeof any) < 0 ? -1 : knock_at(fd);
}

static int listen_reserved(void)
{
	int fd = stream(AF_INET);

	return bindresvport(fd, NULL) < 0 ? -1 : knock_at(fd);
}

static int listen_reserved_new(void)
{
	int port = IPPORT_RESERVED - 1, fd = rresvport(&port);

	return fd < 0 ? -1 : knock_at(fd);
}

static int receive_at(int fd)
{
	struct place at = own_name(fd);

	send_to(datagram(AF_INET), "127.0.0.1"); /* something to be seen */
	return port_of(&at.sa) ? 0 : worded("no port");
}

static int receive4(void)
{
	int fd = datagram(AF_INET);

	return do_bind(fd, place_of("0.0.0.0", PORT)) < 0 ? -1 : receive_at(fd);
}

static int receive6(void)
{
	int fd = datagram(AF_INET6);

	return do_bind(fd, place_of("::", PORT)) < 0 ? -1 : receive_at(fd);
}

/* --- groups, which routers are told of */

static int join(int fd, int level, int name, const void *value, socklen_t size)
{
	return setsockopt(fd, level, name, value, size);
}

static struct ip_mreqn group4(void)
{
	struct ip_mreqn request = {.imr_ifindex = (int)if_nametoindex(WIRE)};

	inet_pton(AF_INET, GROUP4, &request.imr_multiaddr);
	return request;
}

static int join4(void)
{
	const struct ip_mreqn request = group4();

	return join(datagram(AF_INET), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

/* By the interface's address. */
static int join4_address(void)
{
	struct ip_mreq request;

	inet_pton(AF_INET, GROUP4, &request.imr_multiaddr);
	inet_pton(AF_INET, "192.0.2.1", &request.imr_interface);
	return join(datagram(AF_INET), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

static int join4_source(void)
{
	struct ip_mreq_source request;

	inet_pton(AF_INET, GROUP4, &request.imr_multiaddr);
	inet_pton(AF_INET, "192.0.2.1", &request.imr_interface);
	inet_pton(AF_INET, FAR4, &request.imr_sourceaddr);
	return join(datagram(AF_INET), IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request);
}

static int join_any(int family, int level, const char *group)
{
	struct group_req request = {.gr_interface = if_nametoindex(WIRE), .gr_group = place_of(group, 0).sa};

	return join(datagram(family), level, MCAST_JOIN_GROUP, &request, sizeof request);
}

static int join_any_source(int family, int level, const char *group, const char *source)
{
	struct group_source_req request = {.gsr_interface = if_nametoindex(WIRE), .gsr_group = place_of(group, 0).sa,
					   .gsr_source = place_of(source, 0).sa};

	return join(datagram(family), level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request);
}

static int join4_any(void)
{
	return join_any(AF_INET, IPPROTO_IP, GROUP4);
}

static int join4_any_source(void)
{
	return join_any_source(AF_INET, IPPROTO_IP, GROUP4, FAR4);
}

static int join6_any(void)
{
	return join_any(AF_INET6, IPPROTO_IPV6, GROUP6);
}

static int join6_any_source(void)
{
	return join_any_source(AF_INET6, IPPROTO_IPV6, GROUP6, FAR6);
}

static struct ipv6_mreq request6(const char *address)
{
	struct ipv6_mreq request = {.ipv6mr_interface = if_nametoindex(WIRE)};

	inet_pton(AF_INET6, address, &request.ipv6mr_multiaddr);
	return request;
}

static int join6(void)
{
	const struct ipv6_mreq request = request6(GROUP6);

	return join(datagram(AF_INET6), IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request);
}

static int join6_on_tcp(void)
{
	const struct ipv6_mreq request = request6(GROUP6);

	return join(stream(AF_INET6), IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request);
}

/* An IPv6 socket has IPv4 groups, too. */
static int join4_on_v6(void)
{
	const struct ip_mreqn request = group4();

	return join(datagram(AF_INET6), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

static int join_anycast(void)
{
	const struct ipv6_mreq request = request6("2001:db8::99");

	return join(datagram(AF_INET6), IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &request, sizeof request);
}

static int join_number(void)
{
	const struct ip_mreqn request = group4();

	return result(syscall(SYS_setsockopt, datagram(AF_INET), IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
}

/* --- sockets that somebody else made: under these numbers, and in messages that wait */

enum given {
	GIVEN_TCP = 70,
	GIVEN_TCP_BOUND,
	GIVEN_UDP,
	GIVEN_UDP6,
	GIVEN_RAW,
	GIVEN_PING,
	GIVEN_UDPLITE,
	GIVEN_PACKET,
	GIVEN_TCP_QUEUE,
	GIVEN_UDP_QUEUE,
	GIVEN_RAW_QUEUE,
	GIVEN_PACKET_QUEUE,
};

static void give(int number, int fd)
{
	if (fd < 0)
		die("a socket to give as %d", number);
	if (dup2(fd, number) < 0)
		die("dup2");
	close(fd);
}

/* fcntl tells of what is not a descriptor, as the way itself would not. */
static int given(int number)
{
	if (fcntl(number, F_GETFD) < 0)
		die("nobody gave a socket");
	return number;
}

static int given_tcp(void)
{
	return tcp_to(given(GIVEN_TCP), FAR4);
}

static int given_tcp_fastopen(void)
{
	return send_message(given(GIVEN_TCP), place_of(FAR4, PORT), MSG_FASTOPEN);
}

static int given_tcp_listen(void)
{
	return knock_at(given(GIVEN_TCP));
}

static int given_tcp_bound_listen(void)
{
	return knock_at(given(GIVEN_TCP_BOUND));
}

static int given_udp(void)
{
	return send_to(given(GIVEN_UDP), FAR4);
}

static int given_udp_unspecified(void)
{
	return send_unspecified(given(GIVEN_UDP));
}

static int given_udp_connected(void)
{
	return send_connected(given(GIVEN_UDP), FAR4, PORT);
}

static int given_udp6(void)
{
	return send_messages(given(GIVEN_UDP6), place_of(FAR6, PORT), 0);
}

static int given_raw(void)
{
	return send_to(given(GIVEN_RAW), FAR4);
}

static int given_raw_unspecified(void)
{
	return send_unspecified(given(GIVEN_RAW));
}

static int given_raw_connected(void)
{
	return send_connected(given(GIVEN_RAW), FAR4, PORT);
}

static int given_raw_message(void)
{
	return send_message(given(GIVEN_RAW), place_of(FAR4, 0), 0);
}

static int given_ping(void)
{
	return send_echo4(given(GIVEN_PING));
}

static int given_udplite(void)
{
	return send_messages(given(GIVEN_UDPLITE), place_of(FAR4, PORT), 0);
}

static int given_packet(void)
{
	return packet_send(given(GIVEN_PACKET), data, sizeof data, AF_PACKET);
}

static int given_packet_unspecified(void)
{
	return packet_send(given(GIVEN_PACKET), data, sizeof data, AF_UNSPEC);
}

static int given_packet_messages(void)
{
	struct sockaddr_ll to = wire_address();
	struct place place = {.len = sizeof to};

	memcpy(&place.sa, &to, sizeof to);
	return send_messages(given(GIVEN_PACKET), place, 0);
}

union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* It stays in the queue for others. */
static int received(int queue)
{
	union rights control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int fd;

	if (recvmsg(given(queue), &message, MSG_DONTWAIT | MSG_PEEK) < 0)
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

static int received_tcp(void)
{
	return tcp_to(received(GIVEN_TCP_QUEUE), FAR4);
}

static int received_udp(void)
{
	return send_to(received(GIVEN_UDP_QUEUE), FAR4);
}

static int received_raw(void)
{
	return send_to(received(GIVEN_RAW_QUEUE), FAR4);
}

static int received_packet(void)
{
	return packet_send(received(GIVEN_PACKET_QUEUE), data, sizeof data, AF_PACKET);
}

/* By a call that no library sees, so that the number seems to be what it was before. */
static void move_unseen(int fd, int number)
{
#ifdef __x86_64__
	long rc;

	__asm__ volatile("syscall" : "=a"(rc) : "a"(SYS_dup2), "D"(fd), "S"(number) : "rcx", "r11", "memory");
	if (rc != number)
		die("dup2");
#else
	if (dup2(fd, number) < 0)
		die("dup2");
#endif
}

static int unseen(int seen, int fd)
{
	move_unseen(fd, seen);
	return seen;
}

static int unseen_raw(void)
{
	return send_to(unseen(datagram(AF_INET), given(GIVEN_RAW)), FAR4);
}

static int unseen_raw_port0(void)
{
	return send_echo4(unseen(datagram(AF_INET), given(GIVEN_RAW)));
}

static int unseen_raw_connected(void)
{
	return send_connected(unseen(stream(AF_INET), given(GIVEN_RAW)), FAR4, PORT);
}

static int unseen_packet(void)
{
	return packet_send(unseen(datagram(AF_INET), given(GIVEN_PACKET)), data, sizeof data, AF_PACKET);
}

static int unseen_listen(void)
{
	return knock_at(unseen(datagram(AF_INET), given(GIVEN_TCP_BOUND)));
}

/* Where a unix socket was. */
static int unseen_udp(void)
{
	return send_unspecified(unseen(socket(AF_UNIX, SOCK_DGRAM, 0), given(GIVEN_UDP)));
}

static void give_in_queue(int queue, int fd)
{
	union rights control = {.header = {
					.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {data, 1};
	const struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int ends[2];

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0 || sendmsg(ends[1], &message, 0) < 0)
		die("a descriptor in a message");
	close(fd);
	close(ends[1]);
	give(queue, ends[0]);
}

static int give_all(char **argv)
{
	give(GIVEN_TCP, stream(AF_INET));
	give(GIVEN_TCP_BOUND, stream(AF_INET));
	if (do_bind(GIVEN_TCP_BOUND, place_of("0.0.0.0", 0)) < 0)
		die("bind");
	give(GIVEN_UDP, datagram(AF_INET));
	give(GIVEN_UDP6, datagram(AF_INET6));
	give(GIVEN_RAW, socket(AF_INET, SOCK_RAW, PROTOCOL_LAB));
	give(GIVEN_PING, socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	give(GIVEN_UDPLITE, socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE));
	give(GIVEN_PACKET, socket(AF_PACKET, SOCK_DGRAM, 0));
	give_in_queue(GIVEN_TCP_QUEUE, stream(AF_INET));
	give_in_queue(GIVEN_UDP_QUEUE, datagram(AF_INET));
	give_in_queue(GIVEN_RAW_QUEUE, socket(AF_INET, SOCK_RAW, PROTOCOL_LAB));
	give_in_queue(GIVEN_PACKET_QUEUE, socket(AF_PACKET, SOCK_DGRAM, 0));
	execvp(argv[0], argv);
	die("%s", argv[0]);
}

/* --- names, each one's own, so that they can be told apart: NAME.outlaw.test */

static const char *way_name; /* of this process */

static const char *host_name(void)
{
	static char name[128];

	snprintf(name, sizeof name, "%s.outlaw.test", way_name);
	return name;
}

static int addrinfo_word(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{EAI_NONAME, "EAI_NONAME"}, {EAI_AGAIN, "EAI_AGAIN"}, {EAI_SYSTEM, "EAI_SYSTEM"}, {EAI_FAIL, "EAI_FAIL"},
		{EAI_MEMORY, "EAI_MEMORY"}, {EAI_NODATA, "EAI_NODATA"},
	};

	for (size_t i = 0; error && i < N_ELEMENTS(names); i++)
		if (names[i].error == error)
			return worded(names[i].name);
	return error ? worded("another error") : 0;
}

static int host_word(bool found, int error)
{
	static const char *const names[] = {"NETDB_SUCCESS", "HOST_NOT_FOUND", "TRY_AGAIN", "NO_RECOVERY", "NO_DATA"};

	if (found)
		return 0;
	return worded(error >= 0 && error < (int)N_ELEMENTS(names) ? names[error] : "NETDB_INTERNAL");
}

static int ask_addrinfo(int family, int flags)
{
	const struct addrinfo hints = {.ai_family = family, .ai_flags = flags, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;

	return addrinfo_word(getaddrinfo(host_name(), "80", &hints, &found));
}

static int name_addrinfo(void)
{
	return ask_addrinfo(AF_UNSPEC, 0);
}

static int name_addrinfo6(void)
{
	return ask_addrinfo(AF_INET6, AI_CANONNAME);
}

static int name_addrinfo_later(void)
{
	struct gaicb request = {.ar_name = host_name()}, *list[] = {&request};
	int error = getaddrinfo_a(GAI_WAIT, list, 1, NULL);

	return addrinfo_word(error ? error : gai_error(&request));
}

static int name_host(void)
{
	const struct hostent *found = gethostbyname(host_name());

	return host_word(found, h_errno);
}

static int name_host2(void)
{
	const struct hostent *found = gethostbyname2(host_name(), AF_INET6);

	return host_word(found, h_errno);
}

static struct hostent host_entry, *host_found;
static char host_room[2048];

static int name_host_r(void)
{
	int error = 0;

	gethostbyname_r(host_name(), &host_entry, host_room, sizeof host_room, &host_found, &error);
	return host_word(host_found, error);
}

static int name_host2_r(void)
{
	int error = 0;

	gethostbyname2_r(host_name(), AF_INET, &host_entry, host_room, sizeof host_room, &host_found, &error);
	return host_word(host_found, error);
}

/* The question is 1.2.0.192.in-addr.arpa: for each way another last number. */
static struct place host_number(unsigned last)
{
	char text[32];

	snprintf(text, sizeof text, "192.0.2.%u", last);
	return place_of(text, 80);
}

static int address_host(void)
{
	const struct place place = host_number(101);
	const struct hostent *found = gethostbyaddr(&((const struct sockaddr_in *)&place.sa)->sin_addr, 4, AF_INET);

	return host_word(found, h_errno);
}

static int address_host_r(void)
{
	const struct place place = host_number(102);
	int error = 0;

	gethostbyaddr_r(&((const struct sockaddr_in *)&place.sa)->sin_addr, 4, AF_INET, &host_entry, host_room, sizeof host_room,
			&host_found, &error);
	return host_word(host_found, error);
}

static int address_name(void)
{
	const struct place place = host_number(103);
	char name[256];

	return addrinfo_word(getnameinfo((const struct sockaddr *)&place.sa, place.len, name, sizeof name, NULL, 0, NI_NAMEREQD));
}

static int address_name6(void)
{
	const struct place place = place_of("2001:db8::104", 80);
	char name[256];

	if (getnameinfo((const struct sockaddr *)&place.sa, place.len, name, sizeof name, NULL, 0, 0) != 0)
		return worded("no number");
	return worded(strcmp(name, "2001:db8::104") == 0 ? "a number" : "a name");
}

static int net_name(void)
{
	const struct netent *found = getnetbyname(host_name());

	return host_word(found, h_errno);
}

static int net_name_r(void)
{
	struct netent entry, *found = NULL;
	int error = 0;

	getnetbyname_r(host_name(), &entry, host_room, sizeof host_room, &found, &error);
	return host_word(found, error);
}

static int net_address(void)
{
	const struct netent *found = getnetbyaddr(0x0a000100, AF_INET);

	return host_word(found, h_errno);
}

static int net_address_r(void)
{
	struct netent entry, *found = NULL;
	int error = 0;

	getnetbyaddr_r(0x0a000200, AF_INET, &entry, host_room, sizeof host_room, &found, &error);
	return host_word(found, error);
}

static unsigned char answer[512];

/* Told by h_errno as well as by errno. */
static int answer_word(int size, int error)
{
	static char text[64];
	const char *name = error_name(errno);

	if (size >= 0)
		return 0;
	snprintf(text, sizeof text, "%s %s", name, error == TRY_AGAIN ? "TRY_AGAIN" : "another");
	return worded(text);
}

static int dns_query(void)
{
	int size = res_query(host_name(), ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, h_errno);
}

static int dns_search(void)
{
	int size = res_search(host_name(), ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, h_errno);
}

static int dns_domain(void)
{
	int size = res_querydomain(way_name, "outlaw.test", ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, h_errno);
}

static int question_make(unsigned char *question, int size)
{
	int length = res_mkquery(ns_o_query, host_name(), ns_c_in, ns_t_a, NULL, 0, NULL, question, size);

	if (length < 0)
		die("res_mkquery");
	return length;
}

static int dns_send(void)
{
	unsigned char question[512];
	int length = question_make(question, sizeof question);

	return result(res_send(question, length, answer, sizeof answer));
}

static struct __res_state *resolver(void)
{
	static struct __res_state state;

	if (res_ninit(&state) < 0)
		die("res_ninit");
	return &state;
}

static int dns_query_of(void)
{
	struct __res_state *state = resolver();
	int size = res_nquery(state, host_name(), ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, state->res_h_errno);
}

static int dns_search_of(void)
{
	struct __res_state *state = resolver();
	int size = res_nsearch(state, host_name(), ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, state->res_h_errno);
}

static int dns_domain_of(void)
{
	struct __res_state *state = resolver();
	int size = res_nquerydomain(state, way_name, "outlaw.test", ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, state->res_h_errno);
}

static int dns_send_of(void)
{
	unsigned char question[512];
	int length = question_make(question, sizeof question);

	return result(res_nsend(resolver(), question, length, answer, sizeof answer));
}

/* As programs say it that were built before glibc 2.34. */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
int old_query(const char *, int, int, unsigned char *, int);
__asm__(".symver old_query, __res_query@GLIBC_2.2.5");

static int dns_query_old(void)
{
	int size = old_query(host_name(), ns_c_in, ns_t_a, answer, sizeof answer);

	return answer_word(size, h_errno);
}
#endif

/* Without a file that has it, it is the address of the own name. */
static int own_id(void)
{
	return gethostid() == 0 ? 0 : worded("a number");
}

static int trusted(void)
{
	return ruserok(host_name(), 0, "root", "root") == 0 ? 0 : worded("not trusted");
}

static int remote_shell(void)
{
	char *host = strdup("127.0.0.1");

	return result(rcmd(&host, htons(PORT), "root", "root", "true", NULL));
}

static int remote_shell6(void)
{
	char *host = strdup("::1");

	return result(rcmd_af(&host, htons(PORT), "root", "root", "true", NULL, AF_INET6));
}

static int remote_execution(void)
{
	char *host = strdup("127.0.0.1");

	return result(rexec(&host, htons(PORT), "root", "root", "true", NULL));
}

static int remote_execution6(void)
{
	char *host = strdup("::1");

	return result(rexec_af(&host, htons(PORT), "root", "root", "true", NULL, AF_INET6));
}

/* --- what is no way out, and goes on working */

static int local_unix(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0 ? -1 : result(send(ends[0], data, sizeof data, 0));
}

static int local_unix_named(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un {
		sa_family_t family;
		char path[32];
	} at = {AF_UNIX, ""};
	socklen_t len = sizeof at.family + 1 + (socklen_t)sprintf(at.path + 1, "outlaw-%d", (int)getpid());

	if (bind(fd, (struct sockaddr *)&at, len) < 0)
		return -1;
	return result(sendto(fd, data, sizeof data, 0, (struct sockaddr *)&at, len));
}

static int local_interfaces(void)
{
	struct if_nameindex *list = if_nameindex();

	if (!list)
		return -1;
	if_freenameindex(list);
	return 0;
}

static int local_ioctl(void)
{
	return if_nametoindex("lo") ? 0 : -1;
}

static int local_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0;
}

static int local_name(void)
{
	struct addrinfo *found;

	return addrinfo_word(getaddrinfo("known.test", "80", NULL, &found));
}

static int local_address_name(void)
{
	const struct place place = place_of("192.0.2.77", 80);
	char name[256];

	if (getnameinfo((const struct sockaddr *)&place.sa, place.len, name, sizeof name, NULL, 0, 0) != 0)
		return worded("no name");
	return strcmp(name, "known.test") == 0 ? 0 : worded("another name");
}

static int local_number(void)
{
	struct addrinfo *found;

	return addrinfo_word(getaddrinfo("192.0.2.9", "80", NULL, &found));
}

/* Families of sockets that are not refused, by number; AF_VSOCK may be the machine's own. */
static int local_families(void)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
	static char text[256];
	size_t length = 0;

	for (int family = 1; family < 64; family++) {
		bool refused = true;

		for (size_t i = 0; i < N_ELEMENTS(types) && family != AF_VSOCK; i++) {
			int fd = socket(family, types[i], 0);

			refused = refused && fd < 0 && errno == EACCES;
			if (fd >= 0)
				close(fd);
		}
		if (!refused)
			length += (size_t)snprintf(text + length, sizeof text - length, "%s%d", length ? " " : "", family);
	}
	return worded(text);
}

/* What a way is told where nothing may leave. After '=' the error that the default names, if it names one. */
#define SEND_TOLD "=ECONNREFUSED"
#define LISTEN_TOLD "=EACCES"
#define SOCKET_TOLD "EACCES"
#define JOIN_TOLD "ENODEV"
#define HOST_TOLD "HOST_NOT_FOUND"
#define DNS_TOLD "=ECONNREFUSED TRY_AGAIN"

static const struct {
	const char *name;
	int (*go)(void);
	const char *told;
} ways[] = {
	{"tcp4", tcp4, SEND_TOLD},
	{"tcp6", tcp6, SEND_TOLD},
	{"tcp-mapped", tcp_mapped, SEND_TOLD},
	{"tcp-loopback4", tcp_loopback4, SEND_TOLD},
	{"tcp-loopback6", tcp_loopback6, SEND_TOLD},
	{"tcp-this-host", tcp_this_host, SEND_TOLD},
	{"tcp-dissolved", tcp_dissolved, SEND_TOLD},
	{"tcp-copy", tcp_copy, SEND_TOLD},
	{"tcp-number", tcp_number, SEND_TOLD},
#ifdef SYS_socketcall
	{"tcp-socketcall", tcp_socketcall, SEND_TOLD},
#endif
	{"mptcp4", mptcp4, SEND_TOLD},
	{"mptcp6", mptcp6, SEND_TOLD},
	{"fastopen-sendto", fastopen_sendto, SEND_TOLD},
	{"fastopen-sendto6", fastopen_sendto6, SEND_TOLD},
	{"fastopen-sendmsg", fastopen_sendmsg, SEND_TOLD},
	{"fastopen-sendmmsg", fastopen_sendmmsg, SEND_TOLD},
	{"fastopen-connect", fastopen_connect, SEND_TOLD},
	{"udp-sendto4", udp_sendto4, SEND_TOLD},
	{"udp-sendto6", udp_sendto6, SEND_TOLD},
	{"udp-mapped", udp_mapped, SEND_TOLD},
	{"udp-loopback", udp_loopback, SEND_TOLD},
	{"udp-group4", udp_group4, SEND_TOLD},
	{"udp-group6", udp_group6, SEND_TOLD},
	{"udp-broadcast", udp_broadcast, SEND_TOLD},
	{"udp-connected", udp_connected, SEND_TOLD},
	{"udp-port0", udp_port0, SEND_TOLD},
	{"udp-sendmsg", udp_sendmsg, SEND_TOLD},
	{"udp-sendmmsg", udp_sendmmsg, SEND_TOLD},
	{"udp-unspecified", udp_unspecified, SEND_TOLD},
	{"udp-dissolved", udp_dissolved, SEND_TOLD},
	{"udp-number", udp_number, SEND_TOLD},
	{"raw-icmp", raw_icmp, SOCKET_TOLD},
	{"raw-icmp6", raw_icmp6, SOCKET_TOLD},
	{"raw-lab", raw_lab, SOCKET_TOLD},
	{"raw-lab6", raw_lab6, SOCKET_TOLD},
	{"raw-connected", raw_connected, SOCKET_TOLD},
	{"raw-number", raw_number, SOCKET_TOLD},
	{"raw-unspecified", raw_unspecified, SOCKET_TOLD},
	{"raw-header", raw_header, SOCKET_TOLD},
	{"raw-header-option", raw_header_option, SOCKET_TOLD},
	{"ping4", ping4, SOCKET_TOLD},
	{"ping6", ping6, SOCKET_TOLD},
	{"udplite4", udplite4, SOCKET_TOLD},
	{"udplite6", udplite6, SOCKET_TOLD},
	{"sctp-stream", sctp_stream, SOCKET_TOLD},
	{"sctp-messages", sctp_messages, SOCKET_TOLD},
	{"dccp", dccp, SOCKET_TOLD},
	{"l2tp", l2tp, SOCKET_TOLD},
	{"smc", smc, SOCKET_TOLD},
	{"packet-raw", packet_raw, SOCKET_TOLD},
	{"packet-datagram", packet_datagram, SOCKET_TOLD},
	{"packet-sendmsg", packet_sendmsg, SOCKET_TOLD},
	{"packet-bound", packet_bound, SOCKET_TOLD},
	{"packet-old", packet_old, SOCKET_TOLD},
	{"uring-connect", uring_connect, "ENOSYS"},
	{"listen4", listen4, LISTEN_TOLD},
	{"listen6", listen6, LISTEN_TOLD},
	{"listen-loopback", listen_loopback, LISTEN_TOLD},
	{"listen-unbound", listen_unbound, LISTEN_TOLD},
	{"listen-unbound6", listen_unbound6, LISTEN_TOLD},
	{"listen-mptcp", listen_mptcp, LISTEN_TOLD},
	{"listen-number", listen_number, LISTEN_TOLD},
	{"listen-unspecified", listen_unspecified, LISTEN_TOLD},
	{"listen-reserved", listen_reserved, LISTEN_TOLD},
	{"listen-reserved-new", listen_reserved_new, LISTEN_TOLD},
	{"receive4", receive4, LISTEN_TOLD},
	{"receive6", receive6, LISTEN_TOLD},
	{"join4", join4, JOIN_TOLD},
	{"join4-address", join4_address, JOIN_TOLD},
	{"join4-source", join4_source, JOIN_TOLD},
	{"join4-any", join4_any, JOIN_TOLD},
	{"join4-any-source", join4_any_source, JOIN_TOLD},
	{"join6", join6, JOIN_TOLD},
	{"join6-on-tcp", join6_on_tcp, JOIN_TOLD},
	{"join6-any", join6_any, JOIN_TOLD},
	{"join6-any-source", join6_any_source, JOIN_TOLD},
	{"join4-on-v6", join4_on_v6, JOIN_TOLD},
	{"join-anycast", join_anycast, JOIN_TOLD},
	{"join-number", join_number, JOIN_TOLD},
	{"given-tcp", given_tcp, SEND_TOLD},
	{"given-tcp-fastopen", given_tcp_fastopen, SEND_TOLD},
	{"given-tcp-listen", given_tcp_listen, LISTEN_TOLD},
	{"given-tcp-bound-listen", given_tcp_bound_listen, LISTEN_TOLD},
	{"given-udp", given_udp, SEND_TOLD},
	{"given-udp-unspecified", given_udp_unspecified, SEND_TOLD},
	{"given-udp-connected", given_udp_connected, SEND_TOLD},
	{"given-udp6", given_udp6, SEND_TOLD},
	{"given-raw", given_raw, SEND_TOLD},
	{"given-raw-unspecified", given_raw_unspecified, SEND_TOLD},
	{"given-raw-connected", given_raw_connected, SEND_TOLD},
	{"given-raw-message", given_raw_message, SEND_TOLD},
	{"given-ping", given_ping, SEND_TOLD},
	{"given-udplite", given_udplite, SEND_TOLD},
	{"given-packet", given_packet, SEND_TOLD},
	{"given-packet-unspecified", given_packet_unspecified, SEND_TOLD},
	{"given-packet-messages", given_packet_messages, SEND_TOLD},
	{"received-tcp", received_tcp, SEND_TOLD},
	{"received-udp", received_udp, SEND_TOLD},
	{"received-raw", received_raw, SEND_TOLD},
	{"received-packet", received_packet, SEND_TOLD},
	{"unseen-raw", unseen_raw, SEND_TOLD},
	{"unseen-raw-port0", unseen_raw_port0, SEND_TOLD},
	{"unseen-raw-connected", unseen_raw_connected, SEND_TOLD},
	{"unseen-packet", unseen_packet, SEND_TOLD},
	{"unseen-udp", unseen_udp, SEND_TOLD},
	{"unseen-listen", unseen_listen, LISTEN_TOLD},
	{"name-addrinfo", name_addrinfo, "EAI_NONAME"},
	{"name-addrinfo6", name_addrinfo6, "EAI_NONAME"},
	{"name-addrinfo-later", name_addrinfo_later, "EAI_NONAME"},
	{"name-host", name_host, HOST_TOLD},
	{"name-host2", name_host2, HOST_TOLD},
	{"name-host-r", name_host_r, HOST_TOLD},
	{"name-host2-r", name_host2_r, HOST_TOLD},
	{"address-host", address_host, HOST_TOLD},
	{"address-host-r", address_host_r, HOST_TOLD},
	{"address-name", address_name, "EAI_NONAME"},
	{"address-name6", address_name6, "a number"},
	{"net-name", net_name, HOST_TOLD},
	{"net-name-r", net_name_r, HOST_TOLD},
	{"net-address", net_address, HOST_TOLD},
	{"net-address-r", net_address_r, HOST_TOLD},
	{"dns-query", dns_query, DNS_TOLD},
	{"dns-search", dns_search, DNS_TOLD},
	{"dns-domain", dns_domain, DNS_TOLD},
	{"dns-send", dns_send, SEND_TOLD},
	{"dns-query-of", dns_query_of, DNS_TOLD},
	{"dns-search-of", dns_search_of, DNS_TOLD},
	{"dns-domain-of", dns_domain_of, DNS_TOLD},
	{"dns-send-of", dns_send_of, SEND_TOLD},
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
	{"dns-query-old", dns_query_old, DNS_TOLD},
#endif
	{"own-id", own_id, "ok"},
	{"trusted", trusted, "not trusted"},
	{"remote-shell", remote_shell, SEND_TOLD},
	{"remote-shell6", remote_shell6, SEND_TOLD},
	{"remote-execution", remote_execution, SEND_TOLD},
	{"remote-execution6", remote_execution6, SEND_TOLD},
	{"tcp-stranger4", tcp_stranger4, SEND_TOLD},
	{"tcp-stranger6", tcp_stranger6, SEND_TOLD},
	{"udp-stranger4", udp_stranger4, SEND_TOLD},
	{"udp-stranger6", udp_stranger6, SEND_TOLD},
	{"local-families", local_families, "1 2 10 16 38"},
	{"local-unix", local_unix, "ok"},
	{"local-unix-named", local_unix_named, "ok"},
	{"local-interfaces", local_interfaces, "ok"},
	{"local-ioctl", local_ioctl, "ok"},
	{"local-netlink", local_netlink, "ok"},
	{"local-name", local_name, "ok"},
	{"local-address-name", local_address_name, "ok"},
	{"local-number", local_number, "ok"},
};

static void way_go(size_t way)
{
	int rc;

	set_alarm();
	way_name = ways[way].name;
	rc = ways[way].go();
	say("%s: %s", way_name, rc < 0 ? word ? word : error_name(errno) : word ? word : "ok");
	_exit(0);
}

/* All at once: those who ask for a name wait for an answer. */
static void way_start(size_t way)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		way_go(way);
}

static void way_expect(size_t way, const char *error)
{
	const char *told = ways[way].told;

	if (*told != '=')
		say("%s: %s", ways[way].name, told);
	else if (error)
		say("%s: %s%s", ways[way].name, error, told + strcspn(told, " "));
	else
		say("%s: %s", ways[way].name, told + 1);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "-g"))
		return give_all(argv + 2);
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		if (argc > 1 && !strcmp(argv[1], "-l"))
			say("%s", ways[i].name);
		else if (argc > 1 && !strcmp(argv[1], "-e"))
			way_expect(i, argv[2]);
		for (int k = 1; k < argc; k++)
			if (!strcmp(argv[k], ways[i].name))
				way_start(i);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
