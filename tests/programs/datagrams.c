/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Datagrams there and back: datagrams udp|vsock answer PORT COUNT, ask ADDRESS PORT, call ADDRESS PORT (one datagram to
 * a peer that may not be there), or take PORT. ADDRESS is an IPv4 address or a CID.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65507

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_vm vm;
};

static bool vsock;
static char data[MOST + 1];

static void check(bool good, const char *what)
{
	if (!good) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		exit(1);
	}
}

/* No `host`: any. */
static union address address_of(const char *host, const char *port)
{
	union address address = {.any.sa_family = AF_UNSPEC};

	if (vsock) {
		address.vm.svm_family = AF_VSOCK;
		address.vm.svm_cid = host ? (unsigned)strtoul(host, NULL, 0) : VMADDR_CID_ANY;
		address.vm.svm_port = (unsigned)strtoul(port, NULL, 0);
	} else {
		address.in.sin_family = AF_INET;
		address.in.sin_addr.s_addr = host ? inet_addr(host) : htonl(INADDR_ANY);
		address.in.sin_port = htons((uint16_t)strtoul(port, NULL, 0));
	}
	return address;
}

static socklen_t address_size(void)
{
	return vsock ? sizeof(struct sockaddr_vm) : sizeof(struct sockaddr_in);
}

/* The clients' ports are nobody's choice. */
static void address_print(const union address *address, bool with_port)
{
	unsigned port = vsock ? address->vm.svm_port : ntohs(address->in.sin_port);

	if (vsock)
		printf(" CID %u", address->vm.svm_cid);
	else
		printf(" %s", inet_ntoa(address->in.sin_addr));
	if (with_port)
		printf(":%u", port);
}

/* Each byte of a datagram says where it is, and how long all is. */
static void data_fill(size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 31 + size);
}

static bool data_good(size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != (char)(i * 31 + size))
			return false;
	return true;
}

static size_t receive(int fd, union address *from)
{
	socklen_t len = sizeof *from;
	ssize_t size = recvfrom(fd, data, sizeof data, 0, &from->any, &len);

	check(size >= 0, "recvfrom");
	printf("%zd bytes, %s, from", size, data_good((size_t)size) ? "good" : "bad");
	return (size_t)size;
}

static void answer(int fd, int count)
{
	while (count-- > 0) {
		union address from;
		size_t size = receive(fd, &from);

		address_print(&from, false);
		putchar('\n');
		check(sendto(fd, data, size, 0, &from.any, address_size()) == (ssize_t)size, "answer");
	}
}

static void ask(int fd, const char *host, const char *port)
{
	static const size_t sizes[] = {5, 0, 1400, MOST};
	union address to = address_of(host, port), from;

	for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
		size_t size = sizes[i / 2];

		data_fill(size);
		/* First to an address, then to a peer. */
		if (i % 2 == 0)
			check(sendto(fd, data, size, 0, &to.any, address_size()) == (ssize_t)size, "sendto");
		else
			check(connect(fd, &to.any, address_size()) == 0 && send(fd, data, size, 0) == (ssize_t)size, "send");
		memset(data, 0, sizeof data);
		receive(fd, &from);
		address_print(&from, true);
		putchar('\n');
		if (i % 2)
			check(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, address_size()) == 0, "disconnect");
	}
}

static void call(int fd, const char *host, const char *port)
{
	union address to = address_of(host, port), from;

	check(connect(fd, &to.any, address_size()) == 0, "connect");
	data_fill(5);
	check(send(fd, data, 5, 0) == 5, "send");
	receive(fd, &from);
	address_print(&from, true);
	putchar('\n');
}

int main(int argc, char **argv)
{
	union address at;
	int fd;

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	vsock = strcmp(argv[1], "vsock") == 0;
	fd = socket(vsock ? AF_VSOCK : AF_INET, SOCK_DGRAM, 0);
	check(fd >= 0, "socket");
	if (strcmp(argv[2], "ask") == 0 && argc == 5) {
		ask(fd, argv[3], argv[4]);
		return 0;
	}
	if (strcmp(argv[2], "call") == 0 && argc == 5) {
		call(fd, argv[3], argv[4]);
		return 0;
	}
	at = address_of(NULL, argv[3]);
	check(bind(fd, &at.any, address_size()) == 0, "bind");
	puts("ready");
	if (strcmp(argv[2], "answer") == 0 && argc == 5)
		answer(fd, atoi(argv[4]));
	else
		pause();
	return 0;
}
