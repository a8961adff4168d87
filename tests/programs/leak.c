/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leak ADDRESS PORT OTHER [WAY]...: sends datagrams to an address in every way there is, each marked with its name,
 * and prints what came of it. OTHER is an address that some ways use before, and that sees nothing marked.
 * leak -l ADDRESS lists the ways; leak -s ADDRESS PORT receives and prints the marks.
 */
#define _GNU_SOURCE 1
#include "common.h"

#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static struct place to;
static const char *other_address;
static char mark[4096];
static size_t mark_size;

static int result(ssize_t rc)
{
	return rc < 0 ? -1 : 0;
}

static struct sockaddr *address(void)
{
	return (struct sockaddr *)&to.sa;
}

static struct iovec mark_iov(void)
{
	return (struct iovec){mark, mark_size};
}

static int send_address(int fd, const void *sa, socklen_t len, int flags)
{
	return result(sendto(fd, mark, mark_size, flags, sa, len));
}

/* --- with an address */

static int by_sendto(int fd)
{
	return send_address(fd, address(), to.len, 0);
}

static int by_confirm(int fd)
{
	return send_address(fd, address(), to.len, MSG_CONFIRM);
}

static int by_dontwait(int fd)
{
	return send_address(fd, address(), to.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int by_dontroute(int fd)
{
	return send_address(fd, address(), to.len, MSG_DONTROUTE);
}

static int by_fastopen(int fd)
{
	return send_address(fd, address(), to.len, MSG_FASTOPEN);
}

static int by_zerocopy(int fd)
{
	const int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one);
	return send_address(fd, address(), to.len, MSG_ZEROCOPY);
}

static int by_more(int fd)
{
	return send_address(fd, address(), to.len, MSG_MORE) < 0 ? -1 : result(sendto(fd, "", 0, 0, address(), to.len));
}

static int by_cork(int fd)
{
	int on = 1, off = 0;

	if (setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof on) < 0 || by_sendto(fd) < 0)
		return -1;
	return setsockopt(fd, IPPROTO_UDP, UDP_CORK, &off, sizeof off);
}

static int by_long_address(int fd)
{
	return send_address(fd, address(), sizeof to.sa, 0);
}

static int by_unaligned_address(int fd)
{
	char room[sizeof to.sa + 1];

	memcpy(room + 1, &to.sa, to.len);
	return send_address(fd, room + 1, to.len, 0);
}

static int by_old_address(int fd) /* of RFC 2133: without a scope */
{
	return send_address(fd, address(), 24, 0);
}

static int by_unspecified_family(int fd)
{
	struct place place = to;

	place.sa.ss_family = AF_UNSPEC;
	return send_address(fd, &place.sa, place.len, 0);
}

static struct sockaddr_in as_v4(void)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&to.sa;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6->sin6_port};

	memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
	return in;
}

static int by_v4_address(int fd)
{
	const struct sockaddr_in in = as_v4();

	return send_address(fd, &in, sizeof in, 0);
}

static int by_v4_connect(int fd)
{
	const struct sockaddr_in in = as_v4();

	return connect(fd, (const struct sockaddr *)&in, sizeof in) < 0 ? -1 : result(send(fd, mark, mark_size, 0));
}

static int by_sendmsg(int fd)
{
	struct iovec iov[3] = {{mark, 3}, {NULL, 0}, {mark + 3, mark_size - 3}};
	const struct msghdr message = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = iov, .msg_iovlen = 3};

	return result(sendmsg(fd, &message, 0));
}

static int send_control(int fd, int level, int type, const void *data, size_t size)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(64)];
	} control = {.header = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)}};
	struct iovec iov = mark_iov();
	const struct msghdr message = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1,
				       .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};

	memcpy(CMSG_DATA(&control.header), data, size);
	return result(sendmsg(fd, &message, 0));
}

static int by_control_data(int fd)
{
	const int hops = 9;

	return to.sa.ss_family == AF_INET ? send_control(fd, IPPROTO_IP, IP_TTL, &hops, sizeof hops)
					  : send_control(fd, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
}

static int by_segments(int fd)
{
	const uint16_t size = 1000;

	return send_control(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
}

static int by_sendmmsg(int fd)
{
	struct iovec iov[2] = {mark_iov(), mark_iov()};
	struct mmsghdr messages[2];

	memset(messages, 0, sizeof messages);
	for (int i = 0; i < 2; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov[i], .msg_iovlen = 1};
	return sendmmsg(fd, messages, 2, 0) == 2 ? 0 : -1;
}

/* The first of them to the other address. */
static int by_sendmmsg_to_two(int fd)
{
	struct place other_place = place_of(other_address, port_of(&to.sa));
	struct iovec iov[2] = {{(char *)"nothing", 7}, mark_iov()};
	struct mmsghdr messages[2];

	memset(messages, 0, sizeof messages);
	messages[0].msg_hdr = (struct msghdr){
		.msg_name = &other_place.sa, .msg_namelen = other_place.len, .msg_iov = &iov[0], .msg_iovlen = 1};
	messages[1].msg_hdr =
		(struct msghdr){.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov[1], .msg_iovlen = 1};
	return sendmmsg(fd, messages, 2, 0) == 2 ? 0 : -1;
}

/* --- by number */

static int by_number_sendto(int fd)
{
	return result(syscall(SYS_sendto, fd, mark, mark_size, 0, &to.sa, to.len));
}

static int by_number_sendmsg(int fd)
{
	struct iovec iov = mark_iov();
	const struct msghdr message = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1};

	return result(syscall(SYS_sendmsg, fd, &message, 0));
}

static int by_number_sendmmsg(int fd)
{
	struct iovec iov = mark_iov();
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1}};

	return result(syscall(SYS_sendmmsg, fd, &message, 1, 0));
}

static int by_number_connect(int fd)
{
	return syscall(SYS_connect, fd, &to.sa, to.len) < 0 ? -1 : result(syscall(SYS_write, fd, mark, mark_size));
}

static int by_number_connect_sendto(int fd)
{
	return syscall(SYS_connect, fd, &to.sa, to.len) < 0
		       ? -1
		       : result(syscall(SYS_sendto, fd, mark, mark_size, 0, NULL, 0));
}

/* A socket that no library saw come. */
static int by_unknown_socket(int fd)
{
	(void)fd;
#ifdef __x86_64__
	long made;

	__asm__ volatile("syscall"
			 : "=a"(made)
			 : "a"(SYS_socket), "D"((long)to.sa.ss_family), "S"((long)SOCK_DGRAM), "d"(0L)
			 : "rcx", "r11", "memory");
	if (made < 0)
		return -1;
	return by_sendto((int)made);
#else
	return by_sendto(fd);
#endif
}

/* --- connected */

static int by_connect_send(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : result(send(fd, mark, mark_size, 0));
}

static int by_connect_send_flags(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : result(send(fd, mark, mark_size, MSG_CONFIRM | MSG_NOSIGNAL));
}

static int by_connect_write(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : result(write(fd, mark, mark_size));
}

static int by_connect_writev(int fd)
{
	const struct iovec iov[2] = {{mark, 2}, {mark + 2, mark_size - 2}};

	return do_connect(fd, to) < 0 ? -1 : result(writev(fd, iov, 2));
}

static int by_connect_sendto(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : result(sendto(fd, mark, mark_size, 0, NULL, 0));
}

static int by_connect_sendto_named(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : by_sendto(fd);
}

static int by_connect_sendmsg(int fd)
{
	struct iovec iov = mark_iov();
	const struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	return do_connect(fd, to) < 0 ? -1 : result(sendmsg(fd, &message, 0));
}

static int by_connect_sendmmsg(int fd)
{
	struct iovec iov = mark_iov();
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	return do_connect(fd, to) < 0 ? -1 : result(sendmmsg(fd, &message, 1, 0));
}

static int by_connect_dprintf(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : result(dprintf(fd, "%s", mark));
}

static int by_connect_stdio(int fd)
{
	FILE *file = do_connect(fd, to) < 0 ? NULL : fdopen(dup(fd), "w");
	int rc;

	if (!file)
		return -1;
	fputs(mark, file);
	rc = fflush(file);
	fclose(file);
	return rc;
}

static int by_connect_sendfile(int fd)
{
	int from = memfd_create("leak", MFD_CLOEXEC);
	off_t at = 0;
	ssize_t sent;

	if (from < 0 || write(from, mark, mark_size) < 0 || do_connect(fd, to) < 0)
		return -1;
	sent = sendfile(fd, from, &at, mark_size);
	close(from);
	return result(sent);
}

static int by_connect_splice(int fd)
{
	ssize_t sent;
	int ends[2];

	if (pipe(ends) < 0 || write(ends[1], mark, mark_size) < 0 || do_connect(fd, to) < 0)
		return -1;
	sent = splice(ends[0], NULL, fd, NULL, mark_size, 0);
	close(ends[0]);
	close(ends[1]);
	return result(sent);
}

static int by_second_connect(int fd)
{
	const struct place other_place = place_of(other_address, port_of(&to.sa));

	return do_connect(fd, other_place) < 0 ? -1 : by_connect_write(fd);
}

static int by_name_while_connected_elsewhere(int fd)
{
	const struct place other_place = place_of(other_address, port_of(&to.sa));

	return do_connect(fd, other_place) < 0 ? -1 : by_sendto(fd);
}

static int by_sendto_elsewhere_first(int fd)
{
	const struct place other_place = place_of(other_address, port_of(&to.sa));

	if (sendto(fd, "nothing", 7, 0, (const struct sockaddr *)&other_place.sa, other_place.len) < 0)
		return -1;
	return by_sendto(fd);
}

static int by_sendto_after_dissolving(int fd)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (do_connect(fd, to) < 0 || connect(fd, &nobody, sizeof nobody) < 0)
		return -1;
	return by_sendto(fd);
}

/* --- sockets of all kinds */

static int by_bound(int fd)
{
	const struct place any = place_of(to.sa.ss_family == AF_INET ? "0.0.0.0" : "::", 0);

	return do_bind(fd, any) < 0 ? -1 : by_sendto(fd);
}

static int by_broadcaster(int fd)
{
	const int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) < 0 ? -1 : by_sendto(fd);
}

static int by_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -1 : by_connect_write(fd);
}

static int by_high_number(int fd)
{
	const int high = fcntl(fd, F_DUPFD, 900);
	int rc;

	if (high < 0)
		return -1;
	rc = by_sendto(high);
	close(high);
	return rc;
}

static int by_copy_of_connected(int fd)
{
	int copy, rc;

	if (do_connect(fd, to) < 0)
		return -1;
	copy = dup(fd);
	close(fd);
	rc = result(write(copy, mark, mark_size));
	dup2(copy, fd);
	close(copy);
	return rc;
}

static int status_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno ? -1 : 0;
}

static int by_child(int fd)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(by_sendto(fd) < 0 ? errno : 0);
	return status_of(pid);
}

static int by_child_of_connected(int fd)
{
	pid_t pid;

	if (do_connect(fd, to) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		_exit(write(fd, mark, mark_size) < 0 ? errno : 0);
	return status_of(pid);
}

/* This program again: leak -x FD MARK [ADDRESS PORT], to the peer or to the address. */
static int executed(int fd, const char *address_text)
{
	char number[16], port[16];
	pid_t pid;

	snprintf(number, sizeof number, "%d", fd);
	snprintf(port, sizeof port, "%u", port_of(&to.sa));
	fcntl(fd, F_SETFD, 0);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "leak", "-x", number, mark, address_text, port, NULL);
		_exit(errno);
	}
	return status_of(pid);
}

static int by_executed(int fd)
{
	char text[INET6_ADDRSTRLEN];
	const void *ip = to.sa.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&to.sa)->sin_addr
						    : (void *)&((struct sockaddr_in6 *)&to.sa)->sin6_addr;

	return inet_ntop(to.sa.ss_family, ip, text, sizeof text) ? executed(fd, text) : -1;
}

static int by_executed_connected(int fd)
{
	return do_connect(fd, to) < 0 ? -1 : executed(fd, NULL);
}

/* The socket by a message, to itself: a number that came another way. */
static int by_received_number(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {
			     .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int ends[2], rc;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || sendmsg(ends[0], &message, 0) < 0 ||
	    recvmsg(ends[1], &message, 0) < 0)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	rc = by_connect_write(fd);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	return rc;
}

static int handler_fd, handler_rc;

static void handler(int signal)
{
	(void)signal;
	handler_rc = by_sendto(handler_fd);
}

static int by_signal_handler(int fd)
{
	handler_fd = fd;
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	return handler_rc;
}

enum { V4 = 1, V6 = 2, MAPPED = 4, ALL = V4 | V6 | MAPPED };

static const struct {
	const char *name;
	int (*go)(int fd);
	int families;
} ways[] = {
	{ "sendto", by_sendto, ALL },
	{ "confirm", by_confirm, ALL },
	{ "dontwait", by_dontwait, ALL },
	{ "dontroute", by_dontroute, ALL },
	{ "fastopen", by_fastopen, ALL },
	{ "zerocopy", by_zerocopy, ALL },
	{ "more", by_more, ALL },
	{ "cork", by_cork, ALL },
	{ "long-address", by_long_address, ALL },
	{ "unaligned-address", by_unaligned_address, ALL },
	{ "old-address", by_old_address, V6 | MAPPED },
	{ "unspecified-family", by_unspecified_family, V4 },
	{ "v4-address", by_v4_address, MAPPED },
	{ "v4-connect", by_v4_connect, MAPPED },
	{ "sendmsg", by_sendmsg, ALL },
	{ "control-data", by_control_data, V4 | V6 },
	{ "segments", by_segments, ALL },
	{ "sendmmsg", by_sendmmsg, ALL },
	{ "sendmmsg-to-two", by_sendmmsg_to_two, ALL },
	{ "number-sendto", by_number_sendto, ALL },
	{ "number-sendmsg", by_number_sendmsg, ALL },
	{ "number-sendmmsg", by_number_sendmmsg, ALL },
	{ "number-connect", by_number_connect, ALL },
	{ "number-connect-sendto", by_number_connect_sendto, ALL },
	{ "unknown-socket", by_unknown_socket, ALL },
	{ "connect-send", by_connect_send, ALL },
	{ "connect-send-flags", by_connect_send_flags, ALL },
	{ "connect-write", by_connect_write, ALL },
	{ "connect-writev", by_connect_writev, ALL },
	{ "connect-sendto", by_connect_sendto, ALL },
	{ "connect-sendto-named", by_connect_sendto_named, ALL },
	{ "connect-sendmsg", by_connect_sendmsg, ALL },
	{ "connect-sendmmsg", by_connect_sendmmsg, ALL },
	{ "connect-dprintf", by_connect_dprintf, ALL },
	{ "connect-stdio", by_connect_stdio, ALL },
	{ "connect-sendfile", by_connect_sendfile, ALL },
	{ "connect-splice", by_connect_splice, ALL },
	{ "second-connect", by_second_connect, ALL },
	{ "name-while-connected", by_name_while_connected_elsewhere, ALL },
	{ "elsewhere-first", by_sendto_elsewhere_first, ALL },
	{ "dissolved", by_sendto_after_dissolving, ALL },
	{ "bound", by_bound, ALL },
	{ "broadcaster", by_broadcaster, ALL },
	{ "nonblocking", by_nonblocking, ALL },
	{ "high-number", by_high_number, ALL },
	{ "copy", by_copy_of_connected, ALL },
	{ "child", by_child, ALL },
	{ "child-of-connected", by_child_of_connected, ALL },
	{ "executed", by_executed, ALL },
	{ "executed-connected", by_executed_connected, ALL },
	{ "received-number", by_received_number, ALL },
	{ "signal-handler", by_signal_handler, ALL },
};

static int family_of(const struct place *place)
{
	if (place->sa.ss_family == AF_INET)
		return V4;
	return IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)&place->sa)->sin6_addr) ? MAPPED : V6;
}

static void way_go(size_t way)
{
	int fd = socket(to.sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	/* Longer than a segment of segments, and no longer than a packet. */
	snprintf(mark, sizeof mark, "<leak %s>%1100s", ways[way].name, "");
	mark_size = strlen(mark);
	say_call(ways[way].name, ways[way].go(fd));
	close(fd);
}

static int receive(const struct place at)
{
	int fd = socket(at.sa.ss_family, SOCK_DGRAM, 0);
	char data[65536];

	if (fd < 0 || do_bind(fd, at) < 0)
		die("bind");
	say("ready");
	for (;;) {
		ssize_t got = recv(fd, data, sizeof data - 1, 0);

		if (got < 0)
			die("recv");
		data[got] = '\0';
		say("%.*s", (int)strcspn(data, " ") + (int)strcspn(data + strcspn(data, " "), ">") + 1, data);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "-l")) {
		to = place_of(argv[2], 1);
		for (size_t i = 0; i < N_ELEMENTS(ways); i++)
			if (ways[i].families & family_of(&to))
				say("%s", ways[i].name);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "-s"))
		return receive(place_of(argv[2], (unsigned)strtoul(argv[3], NULL, 10)));
	if (argc >= 4 && !strcmp(argv[1], "-x")) {
		int fd = atoi(argv[2]);

		snprintf(mark, sizeof mark, "%s", argv[3]);
		mark_size = strlen(mark);
		if (argc == 6)
			to = place_of(argv[4], (unsigned)strtoul(argv[5], NULL, 10));
		return (argc == 6 ? by_sendto(fd) : result(write(fd, mark, mark_size))) < 0 ? errno : 0;
	}
	if (argc < 4)
		return 2;
	other_address = argv[3];
	to = place_of(argv[1], (unsigned)strtoul(argv[2], NULL, 10));
	for (size_t i = 0; i < N_ELEMENTS(ways); i++) {
		bool asked = argc == 4;

		for (int k = 4; k < argc; k++)
			asked = asked || !strcmp(argv[k], ways[i].name);
		if (asked && ways[i].families & family_of(&to))
			way_go(i);
	}
	return 0;
}
