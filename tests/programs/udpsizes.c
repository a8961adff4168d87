/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A datagram is one thing: of every size, empty ones too, read whole, in part, twice, or thrown away. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static char data[UDP_MOST + 2000], back[UDP_MOST + 2000];

/* A server and a client that is connected to it; the server answers the client by the name in `from`. */
static int server, client;
static struct place from;

static void open_both(void)
{
	char text[8];

	server = udp_at(here(0));
	client = udp_to(here(0));
	put(client, "hi", 2);
	take_from(server, text, sizeof(text), &from);
}

static const size_t sizes[] = {1,    2,	    3,	   512,	  1472,		1473,	 4096,
			       8192, 16384, 32768, 65000, UDP_MOST - 1, UDP_MOST};

static void sizes_unconnected(void)
{
	const int fd = open_udp(0);
	struct place place;
	size_t got;

	server = udp_at(here(0));
	for (unsigned i = 0; i < N_ELEMENTS(sizes); i++) {
		fill(data, sizes[i], i);
		put_to(fd, data, sizes[i], here(0));
		memset(back, 0, sizeof(back));
		got = take_from(server, back, sizeof(back), &place);
		say("there: %zu, right: %s", got, yes_no(is_filled(back, sizes[i], i)));
		fill(data, sizes[i], i + 100);
		put_to(server, data, sizes[i], place);
		memset(back, 0, sizeof(back));
		got = take_from(fd, back, sizeof(back), NULL);
		say("back: %zu, right: %s", got, yes_no(is_filled(back, sizes[i], i + 100)));
	}
}

static void sizes_connected(void)
{
	open_both();
	for (unsigned i = 0; i < N_ELEMENTS(sizes); i++) {
		fill(data, sizes[i], i);
		say_size("write", write(client, data, sizes[i]));
		memset(back, 0, sizeof(back));
		wait_for(server, POLLIN, UDP_SOON);
		say_size("read", read(server, back, sizeof(back)));
		say("right: %s, nothing beyond: %s", yes_no(is_filled(back, sizes[i], i)),
		    yes_no(back[sizes[i]] == 0));
	}
}

/* As many different sizes as there are, some hundred of them at random. */
static void many_sizes(void)
{
	unsigned wrong = 0;
	uint32_t x = 1;

	open_both();
	for (unsigned i = 0; i < 600; i++) {
		size_t size;

		x = x * 1664525U + 1013904223U;
		size = i < 300 ? i : (x >> 8) % (UDP_MOST + 1);
		fill(data, size, i);
		put(client, data, size);
		wrong += take_from(server, back, sizeof(back), NULL) != size || !is_filled(back, size, i);
	}
	say("wrong: %u", wrong);
}

static void too_much(void)
{
	const struct place to = here(0);
	struct iovec parts[] = {{data, 60000}, {data, 60000}};
	const struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
	const int loose = open_udp(0);

	open_both();
	/* IPv6 allows 20 more, and tells the loopback's MTU beyond; both refuse these. */
	for (unsigned i = 0; i < 2; i++) {
		const size_t size = i ? sizeof(data) : UDP_MOST + 21;

		say_size("send", send(client, data, size, 0));
		say_size("write", write(client, data, size));
		say_size("sendto", sendto(loose, data, size, 0, (const struct sockaddr *)&to.sa, to.len));
		say_size("back", sendto(server, data, size, 0, (struct sockaddr *)&from.sa, from.len));
	}
	if (here_family == AF_INET)
		say_size("one too many", send(client, data, UDP_MOST + 1, 0));
	say_size("sendmsg", sendmsg(client, &header, 0));
	say_silence("server", server);
	put(client, "x", 1);
	say_text("server", server);
}

static void empty_unconnected(void)
{
	const struct place to = here(0);
	const int fd = open_udp(0);
	struct place place;

	server = udp_at(here(0));
	/* The first one of this peer is empty, and so are all the others. */
	for (int i = 0; i < 3; i++) {
		say_size("sendto", sendto(fd, NULL, 0, 0, (const struct sockaddr *)&to.sa, to.len));
		say("there: %zu", take_from(server, back, sizeof(back), &place));
		say("its port: %s", yes_no(port_of(&place.sa) == own_port(fd)));
		say_size("sendto", sendto(server, "", 0, 0, (struct sockaddr *)&place.sa, place.len));
		place = say_text_from("client", fd);
	}
	say_silence("server", server);
	say_silence("client", fd);
}

static void empty_connected(void)
{
	struct iovec nothing = {NULL, 0};
	struct msghdr header = {.msg_iov = &nothing, .msg_iovlen = 1};

	open_both();
	say_size("send", send(client, NULL, 0, 0));
	say_size("sendto", sendto(client, NULL, 0, 0, NULL, 0));
	say_size("write", write(client, "", 0));
	say_size("sendmsg", sendmsg(client, &header, 0));
	header.msg_iovlen = 0;
	header.msg_iov = NULL;
	say_size("sendmsg of no part", sendmsg(client, &header, 0));
	/* writev of nothing is no call to the socket at all. */
	say_size("writev", writev(client, &nothing, 1));
	put(client, "end", 3);
	for (;;) {
		memset(back, 0, 4);
		wait_for(server, POLLIN, UDP_SOON);
		if (say_size("read", read(server, back, 16)) == 3)
			break;
	}
	say("it is %s", back);
	say_silence("server", server);
}

static void empty_between_others(void)
{
	open_both();
	for (unsigned i = 0; i < 40; i++)
		put(client, data, i % 4 ? 0 : i + 1);
	for (unsigned i = 0; i < 40; i++) {
		const size_t got = take_from(server, back, sizeof(back), NULL);

		if (got != (i % 4 ? 0 : i + 1))
			say("number %u: %zu bytes", i, got);
	}
	say_silence("server", server);
}

static void cut_short(void)
{
	struct iovec part = {back, 4};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	open_both();
	for (int i = 0; i < 8; i++)
		put(client, "truncated", 9);
	say_size("recv", recv(server, back, 4, 0));
	say_size("recv MSG_TRUNC", recv(server, back, 4, MSG_TRUNC));
	say_size("recv MSG_TRUNC of no room", recv(server, NULL, 0, MSG_TRUNC));
	say_size("read", read(server, back, 4));
	say_size("recvmsg", recvmsg(server, &header, 0));
	say("flags %#x", (unsigned)header.msg_flags);
	say_size("recvmsg MSG_TRUNC", recvmsg(server, &header, MSG_TRUNC));
	say("flags %#x", (unsigned)header.msg_flags);
	part.iov_len = 9;
	say_size("recvmsg that has room", recvmsg(server, &header, 0));
	say("flags %#x", (unsigned)header.msg_flags);
	part.iov_len = 100;
	say_size("recvmsg MSG_TRUNC that has room", recvmsg(server, &header, MSG_TRUNC));
	say("flags %#x", (unsigned)header.msg_flags);
	say_silence("server", server);
	fill(data, 60000, 1);
	put(client, data, 60000);
	put(client, "next", 4);
	say("cut: %zu", take_from(server, back, 100, NULL));
	say("right: %s", yes_no(is_filled(back, 100, 1)));
	say_text("server", server);
}

static void nothing_is_asked_for(void)
{
	struct iovec part = {back, 0};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	open_both();
	for (int i = 0; i < 5; i++)
		put(client, "consumed", 8);
	wait_for(server, POLLIN, UDP_SOON);
	/* These two do not reach the socket (sock_read_iter in net/socket.c), the others do. */
	say_size("read", read(server, back, 0));
	say_size("readv", readv(server, &part, 1));
	say_size("recv", recv(server, NULL, 0, 0));
	say_size("recvfrom", recvfrom(server, back, 0, 0, NULL, NULL));
	say_size("recvmsg", recvmsg(server, &header, 0));
	say("flags %#x", (unsigned)header.msg_flags);
	header.msg_iovlen = 0;
	header.msg_iov = NULL;
	say_size("recvmsg of no part", recvmsg(server, &header, 0));
	say("flags %#x", (unsigned)header.msg_flags);
	say_size("peek", recv(server, NULL, 0, MSG_PEEK));
	say_size("recv", recv(server, back, 16, 0));
	say_size("recv", recv(server, back, 16, MSG_DONTWAIT));
	say_size("recv of nothing", recv(server, back, 0, MSG_DONTWAIT));
}

static void looked_at_first(void)
{
	struct iovec part = {back, 4};
	struct place place = {.len = sizeof(place.sa)};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_name = &place.sa, .msg_namelen = place.len};

	open_both();
	for (int i = 0; i < 3; i++) {
		snprintf(data, sizeof(data), "peek %d", i);
		put(client, data, 6);
	}
	for (int i = 0; i < 3; i++) {
		memset(back, 0, 16);
		wait_for(server, POLLIN, UDP_SOON);
		say_size("peek", recv(server, back, 100, MSG_PEEK));
		say("it is %s", back);
		say_size("peek 2", recv(server, back, 2, MSG_PEEK));
		say_size("peek 2 MSG_TRUNC", recv(server, back, 2, MSG_PEEK | MSG_TRUNC));
		say_size("peek the size", recv(server, NULL, 0, MSG_PEEK | MSG_TRUNC));
		say_size("peek at the name", recvmsg(server, &header, MSG_PEEK));
		place.len = header.msg_namelen;
		say("flags %#x, the client: %s", (unsigned)header.msg_flags, yes_no(same_place(place, from)));
		say("there is something: %s", yes_no(wait_for(server, POLLIN, 0)));
		say_text("server", server);
	}
	say_size("peek", recv(server, back, 100, MSG_PEEK | MSG_DONTWAIT));
	put(client, NULL, 0);
	wait_for(server, POLLIN, UDP_SOON);
	say_size("peek at an empty one", recv(server, back, 100, MSG_PEEK));
	say_size("which is read", recv(server, back, 100, MSG_DONTWAIT));
	say_size("peek", recv(server, back, 100, MSG_PEEK | MSG_DONTWAIT));
}

static void peeked_among_many_peers(void)
{
	int fds[5];

	server = udp_at(here(0));
	for (int i = 0; i < 5; i++)
		fds[i] = udp_to(here(0));
	for (int i = 0; i < 5; i++)
		put(fds[i], "abcdefgh", (size_t)(i + 1));
	for (int i = 0; i < 5; i++) {
		char peeked[16];
		struct place first = {.len = sizeof(first.sa)}, then = {.len = sizeof(then.sa)};
		ssize_t a, b;

		wait_for(server, POLLIN, UDP_SOON);
		a = recvfrom(server, peeked, 16, MSG_PEEK, (struct sockaddr *)&first.sa, &first.len);
		b = recvfrom(server, back, 16, 0, (struct sockaddr *)&then.sa, &then.len);
		say("the one that was seen: %s", yes_no(a == b && same_place(first, then)));
	}
	say_silence("server", server);
}

static int next_size(int fd)
{
	int size = -1;

	if (ioctl(fd, FIONREAD, &size) < 0)
		die("FIONREAD");
	return size;
}

static void size_of_the_next(void)
{
	int queued = -1;

	open_both();
	say("before: %d", next_size(server));
	put(client, "seven..", 7);
	put(client, "three", 3);
	put(client, NULL, 0);
	put(client, data, 50000);
	for (int i = 0; i < 4; i++) {
		wait_for(server, POLLIN, UDP_SOON);
		say("next: %d", next_size(server));
		say("read: %zu", take_from(server, back, sizeof(back), NULL));
	}
	say("after: %d", next_size(server));
	say_call("SIOCOUTQ", ioctl(client, SIOCOUTQ, &queued));
	say("all sent: %s", yes_no(queued == 0));
}

/* The bytes of one datagram may lie in 1024 parts. */
static void in_many_parts(void)
{
	static struct iovec parts[1025];
	struct msghdr header = {.msg_iov = parts, .msg_iovlen = 1024};

	open_both();
	fill(data, 20480, 5);
	for (size_t i = 0; i < N_ELEMENTS(parts); i++)
		parts[i] = (struct iovec){data + 20 * i, 20};
	say_size("writev", writev(client, parts, 1024));
	say_size("sendmsg", sendmsg(client, &header, 0));
	for (size_t i = 0; i < N_ELEMENTS(parts); i++)
		parts[i].iov_base = back + 20 * i;
	for (int i = 0; i < 2; i++) {
		memset(back, 0, sizeof(back));
		wait_for(server, POLLIN, UDP_SOON);
		say_size("read", i ? readv(server, parts, 1024) : recvmsg(server, &header, 0));
		say("right: %s", yes_no(is_filled(back, 20480, 5)));
	}
	header.msg_iovlen = 1025;
	say_size("one part too many", sendmsg(client, &header, 0));
	say_size("one part too many", recvmsg(server, &header, MSG_DONTWAIT));
	say_size("one part too many", writev(client, parts, 1025));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"sizes-unconnected", sizes_unconnected},
		{"sizes-connected", sizes_connected},
		{"many-sizes", many_sizes},
		{"too-much", too_much},
		{"empty-unconnected", empty_unconnected},
		{"empty-connected", empty_connected},
		{"empty-between-others", empty_between_others},
		{"cut-short", cut_short},
		{"nothing-is-asked-for", nothing_is_asked_for},
		{"looked-at-first", looked_at_first},
		{"peeked-among-many-peers", peeked_among_many_peers},
		{"size-of-the-next", size_of_the_next},
		{"in-many-parts", in_many_parts},
	};

	return RUN_CASES(cases, argc, argv);
}
