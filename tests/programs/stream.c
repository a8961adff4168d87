/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes over a connection: both ways, in bulk, half closed, through every call that moves them. */
#define _GNU_SOURCE 1
#include "common.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define BULK (20u * 1024 * 1024)

static void blocking_echo(void)
{
	const int listener = listen_at(here(0), 8);
	const pid_t child = start_child();
	char data[64] = "";
	int fd;

	if (child == 0) {
		ssize_t n;

		fd = must_accept(listener);
		while ((n = read(fd, data, sizeof(data))) > 0)
			write_all(fd, data, (size_t)n);
		_exit(n == 0 ? 0 : 1);
	}
	fd = open_socket(0);
	must_connect(fd, here(0));
	for (int i = 0; i < 20; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %d of twenty", i);
		write_all(fd, line, strlen(line));
		memset(data, 0, sizeof(data));
		read_all(fd, data, strlen(line));
		if (strcmp(line, data))
			say("got \"%s\" for \"%s\"", data, line);
	}
	say("last: %s", data);
	close(fd);
	say_end("server", child);
}

static void names_at_both_ends(void)
{
	const int listener = listen_at(here(0), 8);
	const int client = open_socket(0);
	struct place from = {.len = sizeof(from.sa)};
	int server;

	say("listener: %s", own_text(listener));
	must_connect(client, here(0));
	server = accept(listener, (struct sockaddr *)&from.sa, &from.len);
	if (server < 0)
		die("accept");
	say("accept says: %s, length %u", name_text(&from.sa), (unsigned)from.len);
	say_names("client", client);
	say_names("server", server);
	say("accept's port is the client's own: %s", yes_no(port_of(&from.sa) == own_port(client)));
	say("server's peer port is the client's own: %s", yes_no(peer_port(server) == own_port(client)));
	say("client's peer port is the server's own: %s", yes_no(peer_port(client) == own_port(server)));
	say("client's own port is 0: %s", yes_no(own_port(client) == 0));
	say_talk("talk", client, server);
}

static void wildcard_listener(void)
{
	const int listener = listen_at(wildcard(0), 8);
	const int client = open_socket(0);
	int server;

	say("listener: %s", own_text(listener));
	must_connect(client, here(0));
	server = must_accept(listener);
	say_names("client", client);
	say("server: own name %s", loose_text(own_name(server)));
	say("server: peer name %s", loose_text(peer_name(server)));
	say_talk("talk", client, server);
}

/* Two clients are two different peers, and each keeps its name. */
static void two_clients_have_two_names(void)
{
	const int listener = listen_at(here(0), 8);
	int client[2], server[2];

	for (int i = 0; i < 2; i++) {
		client[i] = open_socket(0);
		must_connect(client[i], here(0));
		server[i] = must_accept(listener);
	}
	say("peer ports differ: %s", yes_no(peer_port(server[0]) != peer_port(server[1])));
	for (int i = 0; i < 2; i++)
		say("ports agree: %s", yes_no(peer_port(server[i]) == own_port(client[i])));
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static void send_bulk(int fd)
{
	static unsigned char buffer[65536];
	size_t sent = 0;

	while (sent < BULK) {
		size_t n = BULK - sent;

		if (n > sizeof(buffer))
			n = sizeof(buffer);
		for (size_t i = 0; i < n; i++)
			buffer[i] = pattern(sent + i);
		write_all(fd, buffer, n);
		sent += n;
	}
}

static void say_bulk(const char *who, int fd)
{
	static unsigned char buffer[50000];
	size_t got = 0, wrong = 0;
	uint32_t sum = 0;
	size_t n;

	while ((n = read_all(fd, buffer, sizeof(buffer))) > 0) {
		for (size_t i = 0; i < n; i++) {
			wrong += buffer[i] != pattern(got + i);
			sum = sum * 31 + buffer[i];
		}
		got += n;
	}
	say("%s: %zu bytes, %zu wrong, sum %08x", who, got, wrong, sum);
}

static void bulk_to_server(void)
{
	const int listener = listen_at(here(0), 8);
	const pid_t child = start_child();
	int fd;

	if (child == 0) {
		fd = must_accept(listener);
		say_bulk("server", fd);
		_exit(0);
	}
	fd = open_socket(0);
	must_connect(fd, here(0));
	send_bulk(fd);
	close(fd);
	say_end("server", child);
}

static void bulk_to_client(void)
{
	const int listener = listen_at(here(0), 8);
	const pid_t child = start_child();
	int fd;

	if (child == 0) {
		fd = must_accept(listener);
		send_bulk(fd);
		_exit(0);
	}
	fd = open_socket(0);
	must_connect(fd, here(0));
	say_bulk("client", fd);
	close(fd);
	say_end("server", child);
}

/* Both ends send everything while both receive, in one poll loop each. */
static void bulk_both_ways(void)
{
	struct pair pair = connect_pair(0);
	const pid_t child = start_child();
	pid_t sender;
	const int fd = child ? pair.client : pair.server;

	close(child ? pair.server : pair.client);
	sender = start_child();
	if (sender == 0) {
		send_bulk(fd);
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	if (child == 0) {
		if (!freopen("/dev/null", "w", stdout))
			die("freopen");
		say_bulk("server", fd);
		waitpid(sender, NULL, 0);
		_exit(0);
	}
	say_bulk("client", fd);
	say_end("client's sender", sender);
	say_end("server", child);
}

static void half_close_by_client(void)
{
	const struct pair pair = connect_pair(0);
	char data[32] = "";

	write_all(pair.client, "question", 8);
	say_call("shutdown(SHUT_WR)", shutdown(pair.client, SHUT_WR));
	say("server reads %zu bytes: %s", read_all(pair.server, data, sizeof(data)), data);
	write_all(pair.server, "long answer", 11);
	close(pair.server);
	memset(data, 0, sizeof(data));
	say("client reads %zu bytes: %s", read_all(pair.client, data, sizeof(data)), data);
}

static void half_close_by_server(void)
{
	const struct pair pair = connect_pair(0);
	char data[32] = "";

	write_all(pair.server, "banner", 6);
	say_call("shutdown(SHUT_WR)", shutdown(pair.server, SHUT_WR));
	say("client reads %zu bytes: %s", read_all(pair.client, data, sizeof(data)), data);
	write_all(pair.client, "goodbye", 7);
	close(pair.client);
	memset(data, 0, sizeof(data));
	say("server reads %zu bytes: %s", read_all(pair.server, data, sizeof(data)), data);
}

static void shutdown_both(void)
{
	const struct pair pair = connect_pair(0);
	char data[8];

	write_all(pair.client, "last", 4);
	say_call("shutdown(SHUT_RDWR)", shutdown(pair.client, SHUT_RDWR));
	say("server reads %zu", read_all(pair.server, data, sizeof(data)));
	say("send after: %s", error_name(send(pair.client, "x", 1, MSG_NOSIGNAL) < 0 ? errno : 0));
}

static void shutdown_unconnected(void)
{
	const int fd = open_socket(0);

	say_call("shutdown of a fresh socket", shutdown(fd, SHUT_RDWR));
}

/* Data that was sent before close() arrives. */
static void data_before_close_arrives(void)
{
	const struct pair pair = connect_pair(0);
	char data[64] = "";

	write_all(pair.client, "sent and closed at once", 23);
	close(pair.client);
	say("server reads %zu: %s", read_all(pair.server, data, sizeof(data)), data);
	say("then %zu", read_all(pair.server, data, sizeof(data)));
}

static void write_after_peer_closed(void)
{
	const struct pair pair = connect_pair(0);
	int error = 0;

	close(pair.server);
	wait_for(pair.client, POLLIN, 5000);
	/* TCP accepts one or two more before it knows. */
	for (int i = 0; i < 50 && !error; i++) {
		if (send(pair.client, "x", 1, MSG_NOSIGNAL) < 0)
			error = errno;
		else
			poll(NULL, 0, 10);
	}
	say("send in the end: %s", error_name(error));
}

/* Some clients take POLLHUP for a connection that failed, others read what the server said before it closed. */
static void events_after_peer_closed(void)
{
	const struct pair pair = connect_pair(0);
	struct pollfd client = {.fd = pair.client, .events = POLLIN | POLLOUT | POLLRDHUP};

	write_all(pair.server, "500", 3);
	close(pair.server);
	wait_for(pair.client, POLLRDHUP, 5000);
	poll(&client, 1, 0);
	say("can be read: %s", yes_no(client.revents & POLLIN));
	say("can be written: %s", yes_no(client.revents & POLLOUT));
	say("peer has ended: %s", yes_no(client.revents & POLLRDHUP));
	say("hung up: %s", yes_no(client.revents & POLLHUP));
}

/* The rest of a request that the server does not want to read: it ends its side first, then closes. */
static void unread_data_after_shutdown(void)
{
	const struct pair pair = connect_pair(0);
	char data[4];

	write_all(pair.client, "x", 1);
	wait_for(pair.server, POLLIN, 5000);
	shutdown(pair.server, SHUT_WR);
	close(pair.server);
	wait_for(pair.client, POLLHUP, 200);
	say("read: %s", error_name(read(pair.client, data, sizeof(data)) < 0 ? errno : 0));
}

static void select_loop(void)
{
	const int listener = listen_at(here(0), 8);
	const int client = open_socket(0);
	int server = -1, echoed = 0;
	char data[32];

	set_nonblocking(listener, true);
	must_connect(client, here(0));
	write_all(client, "select", 6);
	while (echoed < 6) {
		struct timeval patience = {.tv_sec = 20};
		fd_set readable;
		int highest = listener > client ? listener : client;
		ssize_t n;

		FD_ZERO(&readable);
		FD_SET(listener, &readable);
		FD_SET(client, &readable);
		if (server >= 0)
			FD_SET(server, &readable);
		if (server > highest)
			highest = server;
		if (select(highest + 1, &readable, NULL, NULL, &patience) <= 0)
			die("select");
		if (FD_ISSET(listener, &readable)) {
			server = must_accept(listener);
			say("accepted");
		} else if (server >= 0 && FD_ISSET(server, &readable)) {
			n = read(server, data, sizeof(data));
			if (n <= 0)
				die("read");
			write_all(server, data, (size_t)n);
		} else if (FD_ISSET(client, &readable)) {
			n = read(client, data, sizeof(data));
			if (n <= 0)
				die("read");
			echoed += (int)n;
		}
	}
	say("echoed %d", echoed);
	errno = 0;
	say("accept when nobody waits: %s", error_name(accept(listener, NULL, NULL) < 0 ? errno : 0));
}

static void vectors_and_messages(void)
{
	const struct pair pair = connect_pair(0);
	char a[3], b[8], data[32] = "";
	struct iovec out[2] = {{(char *)"vec", 3}, {(char *)"tors", 4}};
	struct iovec in[2] = {{a, sizeof(a)}, {b, 4}};
	struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};
	struct place from = {.len = 0};

	say("writev %zd", writev(pair.client, out, 2));
	say("readv %zd: %.3s %.4s", readv(pair.server, in, 2), a, b);
	say("sendmsg %zd", sendmsg(pair.server, &message, 0));
	message.msg_iov = in;
	memset(&from.sa, 0xee, sizeof(from.sa));
	message.msg_name = &from.sa;
	message.msg_namelen = sizeof(from.sa);
	say("recvmsg %zd: %.3s %.4s, flags %d", recvmsg(pair.client, &message, 0), a, b, message.msg_flags);
	/* Kernels differ in the length they leave, none writes a name for a stream. */
	say("name written: %s", yes_no(from.sa.ss_family != 0xeeee));
	send(pair.client, "from", 4, 0);
	from.len = sizeof(from.sa);
	say("recvfrom %zd",
	    recvfrom(pair.server, data, sizeof(data), 0, (struct sockaddr *)&from.sa, &from.len));
	say("name written: %s", yes_no(from.sa.ss_family != 0xeeee));
}

/* Ruby's room for a name is of 2 KiB: how much of it there is makes no name. */
static void room_for_a_long_name(void)
{
	const struct pair pair = connect_pair(0);
	char data[8], name[2048];
	socklen_t len = sizeof(name);
	struct iovec in = {data, sizeof(data)};
	struct msghdr message = {.msg_name = name, .msg_namelen = sizeof(name), .msg_iov = &in, .msg_iovlen = 1};

	memset(name, 0xee, sizeof(name));
	send(pair.server, "from", 4, 0);
	say("recvfrom %zd", recvfrom(pair.client, data, sizeof(data), 0, (struct sockaddr *)name, &len));
	say("name written: %s", yes_no(memchr(name, 0xee, sizeof(name)) != name));
	say("length left: %u", (unsigned)len);
	send(pair.server, "from", 4, 0);
	say("recvmsg %zd", recvmsg(pair.client, &message, 0));
	say("name written: %s", yes_no(memchr(name, 0xee, sizeof(name)) != name));
}

static void peek_waitall_dontwait(void)
{
	const struct pair pair = connect_pair(0);
	char data[16] = "";

	say("nothing there: %s", error_name(recv(pair.server, data, 4, MSG_DONTWAIT) < 0 ? errno : 0));
	write_all(pair.client, "peeked", 6);
	wait_for(pair.server, POLLIN, 5000);
	say("peek %zd: %.6s", recv(pair.server, data, 6, MSG_PEEK), data);
	memset(data, 0, sizeof(data));
	say("read %zd: %.6s", recv(pair.server, data, 6, 0), data);
	write_all(pair.client, "1234", 4);
	write_all(pair.client, "5678", 4);
	memset(data, 0, sizeof(data));
	say("waitall %zd: %s", recv(pair.server, data, 8, MSG_WAITALL), data);
}

static void sendfile_from_a_file(void)
{
	const struct pair pair = connect_pair(0);
	static char data[100001];
	FILE *file = tmpfile();
	off_t offset = 0;
	size_t sum = 0;

	if (!file)
		die("tmpfile");
	for (int i = 0; i < 100000; i++)
		fputc('a' + i % 26, file);
	fflush(file);
	while (offset < 100000)
		if (sendfile(pair.client, fileno(file), &offset, (size_t)(100000 - offset)) < 0)
			die("sendfile");
	close(pair.client);
	say("server reads %zu", read_all(pair.server, data, sizeof(data)));
	for (size_t i = 0; i < 100000; i++)
		sum += (size_t)data[i] * (i % 17 + 1);
	say("sum %zu", sum);
}

static void stdio_on_a_socket(void)
{
	const struct pair pair = connect_pair(0);
	FILE *out = fdopen(pair.client, "w");
	FILE *in = fdopen(pair.server, "r");
	char line[64];

	if (!in || !out)
		die("fdopen");
	fprintf(out, "one %d\ntwo\n", 1);
	fclose(out);
	while (fgets(line, sizeof(line), in))
		printf("line: %s", line);
	say("end of file: %s", yes_no(feof(in) != 0));
	fclose(in);
}

static void fionread_counts_what_waits(void)
{
	const struct pair pair = connect_pair(0);
	int count = -1;

	say("fionread of nothing: %s", error_name(ioctl(pair.server, FIONREAD, &count) < 0 ? errno : 0));
	say("count %d", count);
	write_all(pair.client, "hello", 5);
	wait_for(pair.server, POLLIN, 5000);
	say("fionread: %s", error_name(ioctl(pair.server, FIONREAD, &count) < 0 ? errno : 0));
	say("count %d", count);
}

/* A small reader against 240 KiB and more in one direction does not stall. */
static void slow_reader(void)
{
	const struct pair pair = connect_pair(0);
	const pid_t child = start_child();
	char data[512];
	size_t got = 0;
	ssize_t n;

	if (child == 0) {
		static char block[300000];

		close(pair.server);
		memset(block, 'b', sizeof(block));
		for (int i = 0; i < 4; i++)
			write_all(pair.client, block, sizeof(block));
		_exit(0);
	}
	close(pair.client);
	while ((n = read(pair.server, data, sizeof(data))) > 0) {
		got += (size_t)n;
		if (got % 8192 < 512)
			sched_yield();
	}
	say("read %zu, then %zd", got, n);
	say_end("sender", child);
}

/* TCP ignores an address given on a connection, even that of the peer itself. */
static void sendto_the_peer(void)
{
	const struct pair pair = connect_pair(0);
	struct place peer = {.len = sizeof(peer.sa)};
	struct msghdr message = {.msg_name = &peer.sa, .msg_iov = &(struct iovec){"b", 1}, .msg_iovlen = 1};
	char data[3] = "";

	if (getpeername(pair.server, (struct sockaddr *)&peer.sa, &peer.len) < 0)
		die("getpeername");
	say("sendto: %zd", sendto(pair.server, "a", 1, 0, (struct sockaddr *)&peer.sa, peer.len));
	message.msg_namelen = peer.len;
	say("sendmsg: %zd", sendmsg(pair.server, &message, 0));
	read_all(pair.client, data, 2);
	say("arrived: %s", data);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"blocking-echo", blocking_echo},
		{"names-at-both-ends", names_at_both_ends},
		{"wildcard-listener", wildcard_listener},
		{"two-clients-have-two-names", two_clients_have_two_names},
		{"bulk-to-server", bulk_to_server},
		{"bulk-to-client", bulk_to_client},
		{"bulk-both-ways", bulk_both_ways},
		{"half-close-by-client", half_close_by_client},
		{"half-close-by-server", half_close_by_server},
		{"shutdown-both", shutdown_both},
		{"shutdown-unconnected", shutdown_unconnected},
		{"data-before-close-arrives", data_before_close_arrives},
		{"write-after-peer-closed", write_after_peer_closed},
		{"events-after-peer-closed", events_after_peer_closed},
		{"unread-data-after-shutdown", unread_data_after_shutdown},
		{"select-loop", select_loop},
		{"vectors-and-messages", vectors_and_messages},
		{"room-for-a-long-name", room_for_a_long_name},
		{"peek-waitall-dontwait", peek_waitall_dontwait},
		{"sendfile-from-a-file", sendfile_from_a_file},
		{"stdio-on-a-socket", stdio_on_a_socket},
		{"fionread-counts-what-waits", fionread_counts_what_waits},
		{"slow-reader", slow_reader},
		{"sendto-the-peer", sendto_the_peer},
	};

	return RUN_CASES(cases, argc, argv);
}
