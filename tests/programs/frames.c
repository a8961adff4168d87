/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames FILE PROGRAM [ARG]...: runs a program and writes to FILE what kinds of frames this network namespace sent, on any
 * interface, while it ran and for a moment after: "arp", "tcp", "udp6", "dns www.example.com", each once, in order of
 * the alphabet. Nothing is passed over.
 */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <time.h>

#define KINDS_MOST 256
#define KIND_MOST 300
/* In ms: reports of groups come a moment later. */
#define MOMENT 60

static char kinds[KINDS_MOST][KIND_MOST];
static size_t count;

static int kind_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

__attribute__((format(printf, 1, 2))) static void kind_add(const char *format, ...)
{
	char kind[KIND_MOST];
	va_list args;

	va_start(args, format);
	vsnprintf(kind, sizeof kind, format, args);
	va_end(args);
	for (size_t i = 0; i < count; i++)
		if (strcmp(kinds[i], kind) == 0)
			return;
	if (count == KINDS_MOST)
		die("many kinds");
	memcpy(kinds[count++], kind, sizeof kind);
}

/* The name that a query asks for; false for what is no query. */
static bool dns_name(const uint8_t *query, size_t size, char name[KIND_MOST])
{
	size_t at = 12, length = 0;

	while (at < size && query[at] && query[at] < 64 && at + query[at] < size && length + query[at] + 2 < KIND_MOST - 8) {
		memcpy(name + length, query + at + 1, query[at]);
		length += query[at];
		name[length++] = '.';
		at += query[at] + 1u;
	}
	if (length == 0 || at >= size || query[at])
		return false;
	name[length - 1] = '\0';
	return true;
}

/* What IP carries; `six` says by which version. */
static void look_inside(unsigned protocol, const uint8_t *bytes, size_t size, const char *six)
{
	char name[KIND_MOST];

	switch (protocol) {
	case IPPROTO_TCP:
		kind_add("tcp%s", six);
		break;
	case IPPROTO_UDP:
		if (size >= 8 && bytes[2] == 0 && bytes[3] == 53 && dns_name(bytes + 8, size - 8, name))
			kind_add("dns%s %s", six, name);
		else
			kind_add("udp%s", six);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		kind_add("icmp%s %u", six, size ? bytes[0] : 0u);
		break;
	default:
		kind_add("ip%s %u", six, protocol);
	}
}

static void look4(const uint8_t *packet, size_t size)
{
	size_t head = size ? (packet[0] & 15) * 4u : 0;

	if (size < sizeof(struct iphdr) || head > size)
		kind_add("ip cut");
	else
		look_inside(packet[9], packet + head, size - head, "");
}

static void look6(const uint8_t *packet, size_t size)
{
	const size_t head = sizeof(struct ip6_hdr);
	unsigned next;

	if (size < head) {
		kind_add("ip6 cut");
		return;
	}
	next = packet[6];
	packet += head;
	size -= head;
	while (next == IPPROTO_HOPOPTS && size >= 8 && (packet[1] + 1u) * 8 <= size) {
		size_t length = (packet[1] + 1u) * 8;

		next = packet[0];
		packet += length;
		size -= length;
	}
	look_inside(next, packet, size, "6");
}

static void look(unsigned type, const uint8_t *packet, size_t size)
{
	switch (type) {
	case ETH_P_IP:
		look4(packet, size);
		break;
	case ETH_P_IPV6:
		look6(packet, size);
		break;
	case ETH_P_ARP:
		kind_add("arp");
		break;
	default:
		kind_add("ether %04x", type);
	}
}

/* All that passed. A frame that found no room would be one that nobody saw. */
static void frames_take(int fd)
{
	static uint8_t frame[1 << 17];
	struct tpacket_stats stats;
	struct sockaddr_ll from;
	socklen_t size = sizeof stats, len = sizeof from;
	ssize_t got;

	while ((got = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0) {
		look(ntohs(from.sll_protocol), frame, (size_t)got);
		len = sizeof from;
	}
	if (errno != EAGAIN)
		die("recvfrom");
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		die("PACKET_STATISTICS");
	if (stats.tp_drops)
		die("%u frames were not seen", stats.tp_drops);
}

int main(int argc, char **argv)
{
	const struct timespec moment = {0, MOMENT * 1000000L};
	const int room = 64 << 20;
	int fd, status;
	FILE *file;
	pid_t pid;

	if (argc < 3)
		return 2;
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (fd < 0)
		die("AF_PACKET");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0)
		die("SO_RCVBUF");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		die("%s", argv[2]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	nanosleep(&moment, NULL);
	frames_take(fd);
	qsort(kinds, count, sizeof *kinds, kind_order);
	file = fopen(argv[1], "w");
	if (!file)
		die("%s", argv[1]);
	for (size_t i = 0; i < count; i++)
		fprintf(file, "%s\n", kinds[i]);
	if (fclose(file) != 0)
		die("%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
