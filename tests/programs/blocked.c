/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that wait inside a call, for data, for a client or for a server, are in nobody's way. */
#define _GNU_SOURCE 1
#include "common.h"
#include "echo.h"
#include "full.h"

#define OTHERS 8

struct waiter {
	void (*wait)(struct waiter *waiter);
	int fd;
	char byte;
	int error;
	bool done;
};

static void *waiter_run(void *arg)
{
	struct waiter *waiter = arg;

	waiter->wait(waiter);
	__atomic_store_n(&waiter->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool waiter_done(struct waiter *waiter)
{
	return __atomic_load_n(&waiter->done, __ATOMIC_ACQUIRE);
}

static void in_read(struct waiter *waiter)
{
	waiter->error = read(waiter->fd, &waiter->byte, 1) == 1 ? 0 : errno;
}

static void in_recv(struct waiter *waiter)
{
	waiter->error = recv(waiter->fd, &waiter->byte, 1, 0) == 1 ? 0 : errno;
}

static void in_recv_waitall(struct waiter *waiter)
{
	waiter->error = recv(waiter->fd, &waiter->byte, 1, MSG_WAITALL) == 1 ? 0 : errno;
}

static void in_recvfrom(struct waiter *waiter)
{
	struct place from = {.len = sizeof(from.sa)};

	waiter->error =
		recvfrom(waiter->fd, &waiter->byte, 1, 0, (struct sockaddr *)&from.sa, &from.len) == 1 ? 0 : errno;
}

static void in_recvmsg(struct waiter *waiter)
{
	struct iovec iov = {&waiter->byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	waiter->error = recvmsg(waiter->fd, &message, 0) == 1 ? 0 : errno;
}

static void in_recvmmsg(struct waiter *waiter)
{
	struct iovec iov = {&waiter->byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	waiter->error = recvmmsg(waiter->fd, &message, 1, 0, NULL) == 1 ? 0 : errno;
}

static void in_accept(struct waiter *waiter)
{
	struct place from = {.len = sizeof(from.sa)};
	const int fd = accept(waiter->fd, (struct sockaddr *)&from.sa, &from.len);

	waiter->error = fd < 0 ? errno : 0;
	if (fd >= 0)
		read_all(fd, &waiter->byte, 1);
}

static void in_accept4(struct waiter *waiter)
{
	const int fd = accept4(waiter->fd, NULL, NULL, SOCK_CLOEXEC);

	waiter->error = fd < 0 ? errno : 0;
	if (fd >= 0)
		read_all(fd, &waiter->byte, 1);
}

static void in_connect(struct waiter *waiter)
{
	waiter->error = do_connect(waiter->fd, here(1)) < 0 ? errno : 0;
}

static void *visit_often(void *arg)
{
	int *good = arg;

	for (int i = 0; i < 20; i++) {
		const int copy = dup(STDIN_FILENO);

		*good += visit() == 0 && copy >= 0 && close(copy) == 0;
	}
	return NULL;
}

/* Eight threads connect, talk and close, while the waiter waits. */
static void others_work(struct waiter *waiter)
{
	pthread_t thread[OTHERS];
	int good[OTHERS] = {0}, sum = 0;

	poll(NULL, 0, 50);
	for (int i = 0; i < OTHERS; i++)
		start(&thread[i], visit_often, &good[i]);
	for (int i = 0; i < OTHERS; i++) {
		pthread_join(thread[i], NULL);
		sum += good[i];
	}
	say("  visits %d, still waiting: %s", sum, yes_no(!waiter_done(waiter)));
}

static void receivers(void)
{
	static const struct {
		const char *name;
		void (*wait)(struct waiter *waiter);
	} calls[] = {
		{"read", in_read},	   {"recv", in_recv},	    {"recv, WAITALL", in_recv_waitall},
		{"recvfrom", in_recvfrom}, {"recvmsg", in_recvmsg}, {"recvmmsg", in_recvmmsg},
	};
	const pid_t server = start_echo_server();

	for (unsigned i = 0; i < N_ELEMENTS(calls); i++) {
		const struct pair pair = connect_pair(1);
		struct waiter waiter = {.wait = calls[i].wait, .fd = i % 2 ? pair.client : pair.server};
		pthread_t thread;

		say("%s", calls[i].name);
		start(&thread, waiter_run, &waiter);
		others_work(&waiter);
		write_all(i % 2 ? pair.server : pair.client, "r", 1);
		pthread_join(thread, NULL);
		say("  in the end: %s, %c", error_name(waiter.error), waiter.byte);
		close(pair.client);
		close(pair.server);
	}
	stop(server);
}

static void acceptors(void)
{
	const pid_t server = start_echo_server();

	for (int i = 0; i < 2; i++) {
		struct waiter waiter = {.wait = i ? in_accept4 : in_accept, .fd = listen_at(here(1), 8)};
		const int client = open_socket(0);
		pthread_t thread;

		say("%s", i ? "accept4" : "accept");
		start(&thread, waiter_run, &waiter);
		others_work(&waiter);
		must_connect(client, here(1));
		write_all(client, "a", 1);
		pthread_join(thread, NULL);
		say("  in the end: %s, %c", error_name(waiter.error), waiter.byte);
		close(client);
		close(waiter.fd);
	}
	stop(server);
}

/* A client waits for room in a full backlog. */
static void connector(void)
{
	const int listener = listen_full(1), limit = open("/proc/sys/net/core/somaxconn", O_WRONLY | O_CLOEXEC);
	struct waiter waiter = {.wait = in_connect, .fd = open_socket(0)};
	pthread_t thread;
	pid_t server;

	if (limit >= 0 && write(limit, "4096", 4) != 4)
		die("somaxconn");
	server = start_echo_server();
	start(&thread, waiter_run, &waiter);
	others_work(&waiter);
	set_nonblocking(listener, true);
	while (!waiter_done(&waiter)) {
		close(accept(listener, NULL, NULL));
		poll(NULL, 0, 10);
	}
	pthread_join(thread, NULL);
	say("connect: %s", error_name(waiter.error));
	stop(server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"receivers", receivers},
		{"acceptors", acceptors},
		{"connector", connector},
	};

	return RUN_CASES(cases, argc, argv);
}
