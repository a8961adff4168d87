/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams there and back, by every pair of calls that moves them. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <sys/uio.h>
#include <time.h>

/* A server at here(0), and a client that is connected to it, or will say so each time. */
struct ends {
	int server, client;
};

static struct ends open_ends(bool connected)
{
	struct ends ends;

	ends.server = udp_at(here(0));
	ends.client = connected ? udp_to(here(0)) : open_udp(0);
	return ends;
}

static void echo_unconnected(void)
{
	const struct ends ends = open_ends(false);

	for (int i = 0; i < 3; i++) {
		struct place from;

		put_to(ends.client, "hello", 5, here(0));
		from = say_text_from("server", ends.server);
		say("the client's port: %s", yes_no(port_of(&from.sa) == own_port(ends.client)));
		put_to(ends.server, "again", 5, from);
		from = say_text_from("client", ends.client);
		say("whom it called: %s", yes_no(same_place(from, here(0))));
	}
	say_silence("client", ends.client);
	say_silence("server", ends.server);
}

static void echo_connected(void)
{
	const struct ends ends = open_ends(true);

	for (int i = 0; i < 3; i++) {
		struct place from;

		put(ends.client, "hello", 5);
		from = say_text_from("server", ends.server);
		say("the client's name: %s", yes_no(same_place(from, own_name(ends.client))));
		put_to(ends.server, "again", 5, from);
		from = say_text_from("client", ends.client);
		say("its peer: %s", yes_no(same_place(from, peer_name(ends.client))));
	}
}

static void both_connected(void)
{
	const struct ends ends = open_ends(true);
	char text[16] = "";
	struct place from;

	put(ends.client, "first", 5);
	from = say_text_from("server", ends.server);
	must_connect(ends.server, from);
	for (int i = 0; i < 3; i++) {
		put(ends.server, "hello", 5);
		say_text_from("client", ends.client);
		put(ends.client, "again", 5);
		wait_for(ends.server, POLLIN, UDP_SOON);
		say_size("server", recv(ends.server, text, sizeof(text), 0));
	}
	say_names("server", ends.server);
}

static void read_and_write(void)
{
	const struct ends ends = open_ends(true);
	char text[16];
	struct place from;

	for (int i = 0; i < 3; i++) {
		memset(text, 0, sizeof(text));
		say_size("write", write(ends.client, "write", 5));
		if (i == 0) {
			from = say_text_from("server", ends.server);
			must_connect(ends.server, from);
		} else {
			wait_for(ends.server, POLLIN, UDP_SOON);
			say_size("read", read(ends.server, text, sizeof(text)));
		}
		say_size("write back", write(ends.server, "back", 4));
		wait_for(ends.client, POLLIN, UDP_SOON);
		say_size("read", read(ends.client, text, sizeof(text)));
		say("it is %.4s", text);
	}
}

/* Nobody asks first whether something is there. */
static void read_waits(void)
{
	const struct ends ends = open_ends(true);
	const pid_t child = start_child();
	char text[16] = "";

	if (child == 0) {
		for (int i = 0; i < 3; i++) {
			poll(NULL, 0, 50);
			put(ends.client, "late", 4);
		}
		_exit(0);
	}
	say_size("read", read(ends.server, text, sizeof(text)));
	say_size("recv", recv(ends.server, text, sizeof(text), 0));
	say_size("recvfrom", recvfrom(ends.server, text, sizeof(text), 0, NULL, NULL));
	say("it is %s", text);
	say_end("child", child);
}

static void scattered(void)
{
	const struct ends ends = open_ends(true);
	char a[3], b[5], c[100];
	struct iovec out[] = {{(void *)"one ", 4}, {NULL, 0}, {(void *)"two ", 4}, {(void *)"three", 5}};
	struct iovec in[] = {{a, sizeof(a)}, {b, 0}, {b, sizeof(b)}, {c, sizeof(c)}};

	for (int i = 0; i < 2; i++) {
		memset(c, 0, sizeof(c));
		say_size("writev", writev(ends.client, out, N_ELEMENTS(out)));
		wait_for(ends.server, POLLIN, UDP_SOON);
		say_size("readv", readv(ends.server, in, N_ELEMENTS(in)));
		say("it is %.3s|%.5s|%s", a, b, c);
	}
}

static void by_sendmsg(void)
{
	const struct ends ends = open_ends(false);
	struct place to = here(0), from;
	char a[4] = "", b[64] = "";
	struct iovec out[] = {{(void *)"send", 4}, {(void *)"msg", 3}};
	struct iovec in[] = {{a, 2}, {b, sizeof(b)}};
	const struct msghdr put_header = {
		.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = out, .msg_iovlen = N_ELEMENTS(out)};
	struct msghdr header = {.msg_name = &from.sa,
				.msg_namelen = sizeof(from.sa),
				.msg_iov = in,
				.msg_iovlen = N_ELEMENTS(in),
				.msg_flags = -1};

	say_size("sendmsg", sendmsg(ends.client, &put_header, 0));
	wait_for(ends.server, POLLIN, UDP_SOON);
	say_size("recvmsg", recvmsg(ends.server, &header, 0));
	say("it is %s|%s, flags %#x, name %u bytes, control %zu", a, b, (unsigned)header.msg_flags,
	    header.msg_namelen, (size_t)header.msg_controllen);
	from.len = header.msg_namelen;
	say("from %s", name_text(&from.sa));
	to = from;
	header = (struct msghdr){.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = out, .msg_iovlen = 1};
	say_size("back", sendmsg(ends.server, &header, 0));
	say_text_from("client", ends.client);
}

enum { BATCH = 20 };

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage names[BATCH];
	char texts[BATCH][16];
};

/* Rooms for `BATCH` datagrams to be received. */
static void batch_open(struct batch *batch)
{
	memset(batch, 0, sizeof(*batch));
	for (size_t i = 0; i < BATCH; i++) {
		batch->parts[i] = (struct iovec){batch->texts[i], sizeof(batch->texts[i])};
		batch->messages[i].msg_hdr = (struct msghdr){.msg_iov = &batch->parts[i],
							     .msg_iovlen = 1,
							     .msg_name = &batch->names[i],
							     .msg_namelen = sizeof(batch->names[i])};
	}
}

/* The i-th says "i", in 2 + i % 5 bytes, to here(0). */
static void batch_fill(struct batch *batch, const struct place *to)
{
	batch_open(batch);
	for (size_t i = 0; i < BATCH; i++) {
		struct msghdr *header = &batch->messages[i].msg_hdr;

		memset(batch->texts[i], '.', sizeof(batch->texts[i]));
		batch->texts[i][0] = (char)('a' + i);
		batch->parts[i].iov_len = 2 + i % 5;
		header->msg_name = (void *)(uintptr_t)(to ? &to->sa : NULL);
		header->msg_namelen = to ? to->len : 0;
	}
}

/* How many are what they should be, from the first-th on. */
static int batch_right(const struct batch *batch, int count, int first)
{
	int right = 0;

	for (int i = 0; i < count; i++) {
		const struct mmsghdr *message = &batch->messages[i];

		right += message->msg_len == 2 + (unsigned)(first + i) % 5 &&
			 batch->texts[i][0] == 'a' + first + i && message->msg_hdr.msg_flags == 0 &&
			 message->msg_hdr.msg_namelen == here(0).len;
	}
	return right;
}

static void many_in_one_call(void)
{
	for (int connected = 0; connected < 2; connected++) {
		const struct ends ends = open_ends(connected);
		const struct place to = here(0);
		struct batch out, in;
		int total = 0, right = 0, lengths = 0;

		batch_fill(&out, connected ? NULL : &to);
		say("sendmmsg: %d", sendmmsg(ends.client, out.messages, BATCH, 0));
		for (int i = 0; i < BATCH; i++)
			lengths += out.messages[i].msg_len == out.parts[i].iov_len;
		say("lengths told: %d", lengths);
		while (total < BATCH) {
			int got;

			batch_open(&in);
			wait_for(ends.server, POLLIN, UDP_SOON);
			got = recvmmsg(ends.server, in.messages, BATCH, MSG_WAITFORONE, NULL);
			if (got <= 0)
				die("recvmmsg: %d", got);
			right += batch_right(&in, got, total);
			total += got;
		}
		say("received %d, right %d", total, right);
		say_size("more", recvmmsg(ends.server, in.messages, BATCH, MSG_DONTWAIT, NULL));
		close(ends.client);
		close(ends.server);
	}
}

/* Without MSG_WAITFORONE all rooms are filled first, however long that takes. */
static void many_are_waited_for(void)
{
	const struct ends ends = open_ends(true);
	const pid_t child = start_child();
	struct batch in;

	if (child == 0) {
		struct batch out;

		batch_fill(&out, NULL);
		for (unsigned i = 0; i < 10; i++) {
			poll(NULL, 0, 20);
			if (sendmmsg(ends.client, out.messages + i, 1, 0) != 1)
				_exit(1);
		}
		_exit(0);
	}
	batch_open(&in);
	say("recvmmsg: %d", recvmmsg(ends.server, in.messages, 10, 0, NULL));
	say("right: %d", batch_right(&in, 10, 0));
	say_end("child", child);
}

/* The time limit of recvmmsg is looked at after each datagram, and the rest of it is told. */
static void recvmmsg_time_limit(void)
{
	const struct ends ends = open_ends(true);
	struct timespec limit = {.tv_sec = 100}, none = {0};
	struct batch out, in;

	batch_fill(&out, NULL);
	sendmmsg(ends.client, out.messages, 3, 0);
	for (int i = 0; i < 3; i++) {
		/* One at a time: all three are there, after a while. */
		batch_open(&in);
		say("recvmmsg: %d", recvmmsg(ends.server, in.messages, 1, 0, &limit));
		say("right: %d", batch_right(&in, 1, i));
	}
	say("time is left: %s", yes_no(limit.tv_sec >= 50 && limit.tv_sec < 100));
	sendmmsg(ends.client, out.messages, 2, 0);
	say("no time: %d", recvmmsg(ends.server, in.messages, BATCH, 0, &none));
	limit.tv_nsec = 1000000000;
	say_size("no such time", recvmmsg(ends.server, in.messages, BATCH, 0, &limit));
}

/* An error after the first datagram waits for the next call. */
static void sendmmsg_stops_at_an_error(void)
{
	const struct ends ends = open_ends(true);
	static char much[UDP_MOST + 1];
	struct batch out;

	batch_fill(&out, NULL);
	out.parts[2] = (struct iovec){much, sizeof(much)};
	say_size("sendmmsg", sendmmsg(ends.client, out.messages, 5, 0));
	say_size("the rest", sendmmsg(ends.client, out.messages + 2, 3, 0));
	say_text("server", ends.server);
	say_text("server", ends.server);
	say_silence("server", ends.server);
}

/* In their order, as long as the reader keeps up: fifty at a time. */
static void order_of_a_thousand(void)
{
	const struct ends ends = open_ends(false);
	unsigned wrong = 0;

	for (uint32_t sent = 0, got = 0; got < 1000;) {
		uint32_t number;

		for (unsigned i = 0; i < 50; i++, sent++)
			put_to(ends.client, &sent, sizeof(sent), here(0));
		for (unsigned i = 0; i < 50; i++, got++)
			wrong += take_from(ends.server, &number, sizeof(number), NULL) != 4 || number != got;
	}
	say("out of order: %u", wrong);
	say_silence("server", ends.server);
}

/* Both talk before either listens. */
static void crossing(void)
{
	const struct ends ends = open_ends(true);
	unsigned wrong = 0;
	uint32_t number;
	struct place client;

	put(ends.client, "first", 5);
	client = say_text_from("server", ends.server);
	for (unsigned round = 0; round < 10; round++) {
		for (uint32_t i = 0; i < 20; i++) {
			put(ends.client, &i, sizeof(i));
			put_to(ends.server, &i, sizeof(i), client);
		}
		for (uint32_t i = 0; i < 20; i++) {
			wrong += take_from(ends.client, &number, sizeof(number), NULL) != 4 || number != i;
			wrong += take_from(ends.server, &number, sizeof(number), NULL) != 4 || number != i;
		}
	}
	say("wrong: %u", wrong);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"echo-unconnected", echo_unconnected},
		{"echo-connected", echo_connected},
		{"both-connected", both_connected},
		{"read-and-write", read_and_write},
		{"read-waits", read_waits},
		{"scattered", scattered},
		{"by-sendmsg", by_sendmsg},
		{"many-in-one-call", many_in_one_call},
		{"many-are-waited-for", many_are_waited_for},
		{"recvmmsg-time-limit", recvmmsg_time_limit},
		{"sendmmsg-stops-at-an-error", sendmmsg_stops_at_an_error},
		{"order-of-a-thousand", order_of_a_thousand},
		{"crossing", crossing},
	};

	return RUN_CASES(cases, argc, argv);
}
