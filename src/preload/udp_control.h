/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control messages that belong to a datagram (cmsg(3), ip(7), ipv6(7), socket(7)), for datagrams that the kernel did
 * not receive as such. */
#ifndef IP2VSOCK_UDP_CONTROL_H
#define IP2VSOCK_UDP_CONTROL_H

#include "ip2vsock/addr.h"

/*
 * Which control messages the program asked for (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR, IPV6_RECVPKTINFO,
 * IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL ...): asks the kernel's socket, once
 * and after a setsockopt. 0 when none.
 */
unsigned udp_control_ask(int fd, sa_family_t family);

/*
 * Writes them into message->msg_control for a datagram that came to `to`: msg_controllen becomes what is used, and
 * MSG_CTRUNC is set in msg_flags where there was no room for all (put_cmsg in net/core/scm.c). The interface is lo's
 * (index 1 in every network namespace), the TTL and the hop limit 64, the time is now.
 */
void udp_control_write(unsigned asked, const struct ip_addr *to, struct msghdr *message);

#endif
