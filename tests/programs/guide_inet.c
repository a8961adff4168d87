/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guide's programs (guide.h) for AF_INET. */
#include <arpa/inet.h>
#include <netinet/in.h>

#define GUIDE_SOCKADDR struct sockaddr_in
#include "guide.h"

static int guide_family(void)
{
	return AF_INET;
}

static union guide_address guide_address_of(const char *host, unsigned port)
{
	union guide_address address;

	memset(&address, 0, sizeof(address));
	address.own.sin_family = AF_INET;
	address.own.sin_addr.s_addr = host ? inet_addr(host) : htonl(INADDR_ANY);
	address.own.sin_port = htons((uint16_t)port);
	return address;
}

static unsigned guide_port(const union guide_address *address)
{
	return ntohs(address->own.sin_port);
}

static unsigned guide_machine(const union guide_address *address)
{
	return ntohl(address->own.sin_addr.s_addr) & 0xff;
}

static bool guide_is_any(const union guide_address *address)
{
	return address->own.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* The kernel says twice what was asked for (socket(7)). */
static bool guide_buffers(int fd, unsigned long long size)
{
	static const int names[] = {SO_RCVBUF, SO_SNDBUF};

	for (int i = 0; i < 2; i++) {
		int value = (int)size;
		socklen_t len = sizeof(value);

		if (setsockopt(fd, SOL_SOCKET, names[i], &value, sizeof(value)) < 0)
			return false;
		value = 0;
		if (getsockopt(fd, SOL_SOCKET, names[i], &value, &len) < 0 ||
		    (unsigned long long)value < size)
			return false;
	}
	return true;
}

static void guide_say_buffers(int fd)
{
	printf("buffers as asked for: %s\n", guide_buffers(fd, 65536) ? "yes" : "no");
}

int main(int argc, char **argv)
{
	return guide_main(argc, argv);
}
