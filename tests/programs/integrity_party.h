/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Those who take part in a storm of datagrams: what each does. */
#ifndef TEST_INTEGRITY_PARTY_H
#define TEST_INTEGRITY_PARTY_H

#include "integrity.h"

#include <pthread.h>
#include <sys/time.h>
#include <time.h>

#define BATCH 8
#define CALM_SENT 30
#define CALM_WANTED 20 /* of the last: what was broken is found out by the first */

/* One of each; the first three need not wait, or are not let. */
enum manner {
	TIMED_OUT,   /* SO_SNDTIMEO, and signals that end calls */
	CONNECTED,   /* to one receiver after another, and signals after which calls go on */
	NONBLOCKING, /* in several parts */
	BATCHES,     /* sendmmsg(2) */
	IN_HANDLERS, /* also from a signal handler, on the same socket */
	TWO_THREADS,
};

static unsigned me;
static int own_socket;
static uint64_t handler_state;

static void pause_ms(unsigned ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static struct place place_of_party(unsigned party)
{
	return here(party);
}

/* Empty, tiny, usual, large, the largest. */
static size_t random_size(uint64_t *state)
{
	switch (random_below(state, 8)) {
	case 0:
		return random_below(state, 40);
	case 1:
		return MOST - random_below(state, 4);
	case 2:
	case 3:
		return random_below(state, MOST + 1);
	default:
		return random_below(state, 1500);
	}
}

static void port_note(void)
{
	__atomic_store_n(&world->ports[me], (uint16_t)own_port(own_socket), __ATOMIC_RELAXED);
}

/* --- receiving */

static ssize_t take(int flags, uint8_t *data, size_t room, unsigned *port)
{
	struct sockaddr_storage from = {0};
	struct iovec part = {data, room};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
	const ssize_t size = recvmsg(own_socket, &message, flags | MSG_TRUNC);

	*port = port_of(&from);
	if (size >= 0 && (size > (ssize_t)room) != !!(message.msg_flags & MSG_TRUNC))
		count(&world->corrupt);
	return size;
}

static bool take_and_check(int flags, uint8_t *data, size_t room, unsigned *port)
{
	const ssize_t size = take(flags, data, room, port);

	if (size >= 0)
		datagram_check(data, (size_t)size < room ? (size_t)size : room, (size_t)size, me, *port);
	return size >= 0;
}

/* What is peeked at is what comes next. */
static bool peek_and_take(uint8_t *data, uint64_t *state, unsigned *port)
{
	struct header peeked = {0};
	const size_t room = phase() != STORM || random_below(state, 4) ? MOST + 1 : random_below(state, 3000);
	const ssize_t size = take(MSG_PEEK | MSG_DONTWAIT, (uint8_t *)&peeked, sizeof(peeked), port);

	if (size < 0 || !take_and_check(MSG_DONTWAIT, data, room, port))
		return false;
	if (memcmp(&peeked, data, (size_t)size < sizeof(peeked) || room < sizeof(peeked) ? 0 : sizeof(peeked)))
		count(&world->corrupt);
	return true;
}

static void answer(unsigned port, uint64_t *state);

static void take_batch(uint8_t (*data)[MOST + 1], uint64_t *state)
{
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage from[BATCH] = {0};
	int got;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){data[i], sizeof(data[i])};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	got = recvmmsg(own_socket, messages, BATCH, MSG_WAITFORONE, NULL);
	for (int i = 0; i < got; i++) {
		datagram_check(data[i], messages[i].msg_len, messages[i].msg_len, me, port_of(&from[i]));
		answer(port_of(&from[i]), state);
	}
}

/* --- sending */

static void datagram_send(unsigned to, uint8_t *data, size_t size, int flags, bool connected)
{
	const struct place place = place_of_party(to);
	uint32_t sequence;
	ssize_t sent;

	if (!datagram_write(data, size, me, to, &sequence))
		return;
	if (world->spoil && sequence < SEQUENCES && size > 100) {
		data[random_below(&handler_state, (uint32_t)size)] ^= sequence % 3 == 0;
		if (sequence % 3 == 1)
			sendto(own_socket, data, size, flags, (const struct sockaddr *)&place.sa, place.len);
		if (sequence % 3 == 2)
			datagram_refused(me, to, sequence);
	}
	if (connected)
		sent = send(own_socket, data, size, flags);
	else
		sent = sendto(own_socket, data, size, flags, (const struct sockaddr *)&place.sa, place.len);
	if (sent >= 0 && (size_t)sent != size)
		count(&world->corrupt);
	if (sent >= 0)
		return;
	if (errno == EINTR)
		count(&world->interrupted);
	datagram_refused(me, to, sequence);
}

static void parts_send(unsigned to, uint8_t *data, size_t size)
{
	struct place place = place_of_party(to);
	struct iovec parts[] = {{data, size / 3}, {data + size / 3, 0}, {data + size / 3, size - size / 3}};
	const struct msghdr message = {
		.msg_name = &place.sa, .msg_namelen = place.len, .msg_iov = parts, .msg_iovlen = N_ELEMENTS(parts)};
	uint32_t sequence;

	if (datagram_write(data, size, me, to, &sequence) && sendmsg(own_socket, &message, 0) < 0)
		datagram_refused(me, to, sequence);
}

static void batch_send(unsigned to, uint8_t (*data)[MOST + 1], uint64_t *state)
{
	struct place place = place_of_party(to);
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	uint32_t sequences[BATCH];
	int sent;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){data[i], random_size(state)};
		if (!datagram_write(data[i], parts[i].iov_len, me, to, &sequences[i]))
			return;
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &place.sa, .msg_namelen = place.len, .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	sent = sendmmsg(own_socket, messages, BATCH, 0);
	for (int i = sent < 0 ? 0 : sent; i < BATCH; i++)
		datagram_refused(me, to, sequences[i]);
}

/* Some in a storm, all in the end. */
static void answer(unsigned port, uint64_t *state)
{
	static uint8_t data[2100];
	const unsigned to = party_of(port);
	struct place place = place_of(here_text, port);
	const size_t size = sizeof(struct header) + random_below(state, 2000);
	uint32_t sequence;

	if (phase() == STORM && random_below(state, 8) != 0)
		return;
	if (to < PARTIES && datagram_write(data, size, me, to, &sequence) &&
	    sendto(own_socket, data, size, MSG_DONTWAIT, (struct sockaddr *)&place.sa, place.len) < 0)
		datagram_refused(me, to, sequence);
}

/* --- signals */

static void on_signal(int number)
{
	(void)number;
}

static void on_signal_send(int number)
{
	static uint8_t data[1500];
	const int error = errno;
	const unsigned to = random_below(&handler_state, RECEIVERS);

	(void)number;
	datagram_send(to, data, random_below(&handler_state, sizeof(data)), 0, false);
	errno = error;
}

static void signals_begin(void (*handler)(int), int flags, int ms)
{
	const struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	const struct itimerval interval = {{0, ms * 1000}, {0, ms * 1000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
}

static void signals_end(void)
{
	const struct itimerval never = {0};

	setitimer(ITIMER_REAL, &never, NULL);
}

/* --- the parties */

static void open_own(bool bound)
{
	const int most = 1 << 20;
	struct place at = wildcard(me);

	own_socket = socket(here_family, SOCK_DGRAM, 0);
	if (own_socket < 0)
		die("socket");
	set_option(own_socket, SOL_SOCKET, SO_RCVBUF, most);
	for (int tries = 0; bound && do_bind(own_socket, at) < 0; tries++) {
		if (errno != EADDRINUSE || tries == 200)
			die("bind of party %u", me);
		pause_ms(20);
	}
	handler_state = (uint64_t)getpid() * 7919 + me;
	if (bound)
		port_note();
}

static void receive_forever(void)
{
	static uint8_t data[BATCH][MOST + 1];
	const struct timeval limit = {.tv_usec = 20000};
	uint64_t state = (uint64_t)getpid() << 20 | me;

	open_own(true);
	if (me == 0)
		signals_begin(on_signal, 0, 7);
	if (me == 2)
		setsockopt(own_socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while (phase() != OVER) {
		unsigned port;

		if (phase() == STORM && !world->spoil && random_below(&state, 2000) == 0)
			pause_ms(random_below(&state, 300));
		if (me == 0 && take_and_check(0, data[0], sizeof(data[0]), &port))
			answer(port, &state);
		else if (me == 1 && wait_for(own_socket, POLLIN, 20) && peek_and_take(data[0], &state, &port))
			answer(port, &state);
		else if (me == 2)
			take_batch(data, &state);
	}
	_exit(0);
}

static void drain(uint8_t *data)
{
	unsigned port;

	while (take_and_check(MSG_DONTWAIT, data, MOST + 1, &port))
		;
}

static void connect_to(unsigned to)
{
	must_connect(own_socket, place_of_party(to));
	port_note();
}

static void *storm(void *seed)
{
	uint8_t(*data)[MOST + 1] = calloc(BATCH, sizeof(*data));
	uint64_t state = (uint64_t)(uintptr_t)seed + (uint64_t)getpid() * 31;
	const enum manner manner = me - RECEIVERS;

	for (unsigned round = 0; phase() == STORM; round++) {
		const unsigned to = random_below(&state, RECEIVERS);

		if (manner == CONNECTED) {
			if (round % 200 == 0)
				connect_to(round / 200 % RECEIVERS);
			datagram_send(round / 200 % RECEIVERS, data[0], random_size(&state), 0, true);
		} else if (manner == NONBLOCKING) {
			parts_send(to, data[0], random_size(&state));
		} else if (manner == BATCHES) {
			batch_send(to, data, &state);
		} else {
			datagram_send(to, data[0], random_size(&state), 0, false);
		}
		if (round == 0)
			port_note();
		if (round % 16 == 0)
			drain(data[0]);
		if (round % 256 == 0)
			pause_ms(random_below(&state, 10));
	}
	free(data);
	return NULL;
}

static void calm(void)
{
	static uint8_t data[MOST + 1];

	for (unsigned to = 0; to < RECEIVERS; to++) {
		if (me - RECEIVERS == CONNECTED)
			connect_to(to);
		for (unsigned i = 0; i < CALM_SENT; i++) {
			datagram_send(to, data, 100 + i, 0, me - RECEIVERS == CONNECTED);
			pause_ms(10);
			drain(data);
		}
	}
	while (phase() != OVER) {
		drain(data);
		pause_ms(20);
	}
}

static void send_forever(void)
{
	static uint8_t data[MOST + 1];
	const struct timeval limit = {.tv_usec = 5000};
	const enum manner manner = me - RECEIVERS;
	pthread_t thread;

	open_own(manner != CONNECTED && manner != NONBLOCKING);
	if (manner == TIMED_OUT) {
		setsockopt(own_socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		signals_begin(on_signal, 0, 2);
	}
	if (manner == CONNECTED)
		signals_begin(on_signal, SA_RESTART, 2);
	if (manner == NONBLOCKING)
		set_nonblocking(own_socket, true);
	if (manner == IN_HANDLERS)
		signals_begin(on_signal_send, SA_RESTART, 1);
	if (manner == TWO_THREADS && pthread_create(&thread, NULL, storm, (void *)1))
		die("pthread_create");
	storm(NULL);
	if (manner == TWO_THREADS)
		pthread_join(thread, NULL);
	signals_end();
	while (phase() == SILENCE) {
		drain(data);
		pause_ms(20);
	}
	calm();
	_exit(0);
}

static pid_t begin(unsigned party)
{
	const pid_t pid = start_child();

	if (pid > 0)
		return pid;
	me = party;
	if (me < RECEIVERS)
		receive_forever();
	send_forever();
	return 0;
}

#endif
