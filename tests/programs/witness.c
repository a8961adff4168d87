/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * witness FILE PROGRAM [ARG]...: runs a program and writes to FILE which datagrams left this network namespace, or
 * passed its lo, while it ran: by the mark "<leak NAME>" in what they carry, each name once, in order of the alphabet.
 */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define NAMES_MOST 256
#define NAME_MOST 64

static char names[NAMES_MOST][NAME_MOST];
static size_t count;

static int name_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void name_add(const char *start, size_t length)
{
	if (length >= NAME_MOST)
		die("a long name");
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == length && memcmp(names[i], start, length) == 0)
			return;
	if (count == NAMES_MOST)
		die("many names");
	memcpy(names[count++], start, length);
}

static void packet_look(const char *packet, size_t size)
{
	static const char mark[] = "<leak ";
	const char *end = packet + size, *at = packet;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1))) {
		const char *close;

		at += sizeof mark - 1;
		close = memchr(at, '>', (size_t)(end - at));
		if (close)
			name_add(at, (size_t)(close - at));
	}
}

/* All that passed. A packet that found no room would be one that nobody saw. */
static void packets_take(int fd)
{
	static char packet[1 << 17];
	struct tpacket_stats stats;
	socklen_t size = sizeof stats;
	ssize_t got;

	while ((got = recv(fd, packet, sizeof packet, MSG_DONTWAIT)) >= 0)
		packet_look(packet, (size_t)got);
	if (errno != EAGAIN)
		die("recv");
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		die("PACKET_STATISTICS");
	if (stats.tp_drops)
		die("%u packets were not seen", stats.tp_drops);
}

int main(int argc, char **argv)
{
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
	packets_take(fd);
	qsort(names, count, sizeof *names, name_order);
	file = fopen(argv[1], "w");
	if (!file)
		die("%s", argv[1]);
	for (size_t i = 0; i < count; i++)
		fprintf(file, "%s\n", names[i]);
	if (fclose(file) != 0)
		die("%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
