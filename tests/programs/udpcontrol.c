/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control messages of datagrams, the names beside them, and the addresses that calls refuse. */
#define _GNU_SOURCE 1
#include "common.h"
#include "udp.h"

#include <time.h>

/* Those of IPv4 are for sockets of IPv6 as well: they get datagrams over both. */
static const struct asked {
	const char *name;
	int family, level, option;
} options[] = {
	{"IP_PKTINFO", AF_INET, IPPROTO_IP, IP_PKTINFO},
	{"IP_RECVTTL", AF_INET, IPPROTO_IP, IP_RECVTTL},
	{"IP_RECVTOS", AF_INET, IPPROTO_IP, IP_RECVTOS},
	{"IP_RECVORIGDSTADDR", AF_INET, IPPROTO_IP, IP_RECVORIGDSTADDR},
	{"IPV6_RECVPKTINFO", AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{"IPV6_RECVHOPLIMIT", AF_INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{"IPV6_RECVTCLASS", AF_INET6, IPPROTO_IPV6, IPV6_RECVTCLASS},
	{"IPV6_RECVORIGDSTADDR", AF_INET6, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
	{"SO_TIMESTAMP", AF_UNSPEC, SOL_SOCKET, SO_TIMESTAMP},
	{"SO_TIMESTAMPNS", AF_UNSPEC, SOL_SOCKET, SO_TIMESTAMPNS},
};

static bool is_for_us(const struct asked *asked)
{
	return asked->family != AF_INET6 || here_family == AF_INET6;
}

/* The two of them that every server of many addresses asks for. */
static void ask_where(int fd, int value)
{
	set_option(fd, IPPROTO_IP, IP_PKTINFO, value);
	set_option(fd, IPPROTO_IP, IP_RECVTTL, value);
	if (here_family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, value);
		set_option(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, value);
	}
}

/* A received message with all that it needs. */
struct message {
	struct msghdr header;
	struct iovec part;
	struct place from;
	char text[32];
	_Alignas(struct cmsghdr) unsigned char control[512];
};

static void message_open(struct message *message)
{
	memset(message, 0, sizeof(*message));
	memset(message->control, 0xee, sizeof(message->control));
	message->part = (struct iovec){message->text, sizeof(message->text) - 1};
	message->header = (struct msghdr){
		.msg_name = &message->from.sa, .msg_namelen = sizeof(message->from.sa),
		.msg_iov = &message->part, .msg_iovlen = 1,
		.msg_control = message->control, .msg_controllen = sizeof(message->control),
		.msg_flags = -1};
}

static bool is_now(const struct cmsghdr *cmsg)
{
	struct timespec now, then;

	clock_gettime(CLOCK_REALTIME, &now);
	memcpy(&then, CMSG_DATA(cmsg), sizeof(then));
	return then.tv_sec >= now.tv_sec - 20 && then.tv_sec <= now.tv_sec + 1 &&
	       then.tv_nsec < (cmsg->cmsg_type == SO_TIMESTAMP ? 1000000 : 1000000000);
}

static void say_data(const struct cmsghdr *cmsg)
{
	const unsigned char *data = CMSG_DATA(cmsg);
	char text[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN];
	struct sockaddr_storage sa = {0};
	struct in_pktinfo in;
	struct in6_pktinfo in6;
	int number = 0;

	if (cmsg->cmsg_level == SOL_SOCKET) {
		say("   close to now: %s", yes_no(is_now(cmsg)));
	} else if (cmsg->cmsg_type == (cmsg->cmsg_level == IPPROTO_IP ? IP_ORIGDSTADDR : IPV6_RECVORIGDSTADDR)) {
		memcpy(&sa, data, cmsg->cmsg_len - CMSG_LEN(0));
		say("   %s", name_text(&sa));
	} else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		memcpy(&in, data, sizeof(in));
		say("   to %s, by %s, interface %d", inet_ntop(AF_INET, &in.ipi_addr, text, sizeof(text)),
		    inet_ntop(AF_INET, &in.ipi_spec_dst, source, sizeof(source)), in.ipi_ifindex);
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
		memcpy(&in6, data, sizeof(in6));
		say("   to %s, interface %u", inet_ntop(AF_INET6, &in6.ipi6_addr, text, sizeof(text)),
		    in6.ipi6_ifindex);
	} else { /* a number of one byte, or of four */
		memcpy(&number, data, cmsg->cmsg_len == CMSG_LEN(1) ? 1 : sizeof(number));
		say("   %d", number);
	}
}

/* What came, and each control message of it. */
static void say_message(const char *what, struct message *message, ssize_t got)
{
	struct msghdr *header = &message->header;

	if (got < 0)
		die("%s", what);
	say("%s: %zd bytes %s, name %u, control %zu, flags %#x", what, got, message->text, header->msg_namelen,
	    (size_t)header->msg_controllen, (unsigned)header->msg_flags);
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		say("  level %d, type %d, length %zu", cmsg->cmsg_level, cmsg->cmsg_type, (size_t)cmsg->cmsg_len);
		say_data(cmsg);
	}
}

static void say_control(const char *what, const struct message *message)
{
	const struct msghdr *header = &message->header;

	say("%s: control %zu, flags %#x", what, (size_t)header->msg_controllen, (unsigned)header->msg_flags);
}

static ssize_t take_message(int fd, struct message *message, int flags)
{
	if (!wait_for(fd, POLLIN, UDP_SOON))
		die("nothing came");
	return recvmsg(fd, &message->header, flags);
}

static void say_next(const char *what, int fd)
{
	struct message message;

	message_open(&message);
	say_message(what, &message, take_message(fd, &message, 0));
}

static void each(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));

	put(client, "first", 5);
	say_next("none", server);
	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		if (!is_for_us(&options[i]))
			continue;
		set_option(server, options[i].level, options[i].option, 1);
		put(client, "on", 2);
		say_next(options[i].name, server);
		set_option(server, options[i].level, options[i].option, 0);
		put(client, "off", 3);
		say_next("off", server);
	}
}

/* The order, and what the whole takes; before the first datagram, and on the client's side. */
static void together(void)
{
	int server = udp_at(here(0)), client = udp_to(here(0));
	struct message message;

	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		if (!is_for_us(&options[i]))
			continue;
		set_option(server, options[i].level, options[i].option, 1);
		set_option(client, options[i].level, options[i].option, 1);
	}
	for (int i = 0; i < 2; i++) {
		put(client, "there", 5);
		message_open(&message);
		say_message("server", &message, take_message(server, &message, i ? MSG_PEEK : 0));
		message.from.len = message.header.msg_namelen;
		put_to(server, "back", 4, message.from);
		say_next("client", client);
	}
	say_next("looked at before", server);
}

static void by_recvmmsg(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct message message[4];
	struct mmsghdr all[4];

	ask_where(server, 1);
	for (int i = 0; i < 4; i++) {
		put(client, "batch", (size_t)i + 1);
		message_open(&message[i]);
	}
	/* The second has no room, the third none that is enough. */
	message[1].header.msg_controllen = 0;
	message[2].header.msg_controllen = CMSG_LEN(0) + 3;
	for (int i = 0; i < 4; i++)
		all[i] = (struct mmsghdr){.msg_hdr = message[i].header};
	say_size("recvmmsg", recvmmsg(server, all, 4, 0, NULL));
	for (int i = 0; i < 4; i++) {
		message[i].header = all[i].msg_hdr;
		if (i == 2)
			say_control("cut", &message[i]);
		else
			say_message("one of four", &message[i], (ssize_t)all[i].msg_len);
	}
}

/* Every room from none to enough: what is used, what of it was written, and that nothing behind it was. */
static void little_room(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct message message;
	size_t enough, length;

	ask_where(server, 1);
	put(client, "enough", 6);
	message_open(&message);
	say_size("recvmsg", take_message(server, &message, 0));
	enough = message.header.msg_controllen;
	for (size_t room = 0; room <= enough; room++) {
		size_t untouched = sizeof(message.control);

		put(client, "little", 6);
		message_open(&message);
		message.header.msg_controllen = room;
		if (take_message(server, &message, 0) != 6)
			die("recvmsg");
		while (untouched && message.control[untouched - 1] == 0xee)
			untouched--;
		memcpy(&length, message.control, sizeof(length));
		say("room %zu: control %zu, flags %#x, written %s, first %zd", room,
		    (size_t)message.header.msg_controllen, (unsigned)message.header.msg_flags,
		    untouched <= room ? "within" : "beyond", room < CMSG_LEN(0) ? (ssize_t)-1 : (ssize_t)length);
	}
	put(client, "nowhere", 7);
	message_open(&message);
	message.header.msg_control = NULL;
	say_size("recvmsg", take_message(server, &message, 0));
	say_control("nowhere", &message);
	ask_where(server, 0);
	put(client, "nothing", 7);
	say_next("nothing", server);
}

/* The option is asked for when the datagram is there already, and no longer when it is taken. */
static void while_one_waits(void)
{
	const int server = udp_at(here(0)), client = udp_to(here(0));
	const bool six = strchr(here_text, ':') && !strchr(here_text, '.');
	const int level = six ? IPPROTO_IPV6 : IPPROTO_IP, option = six ? IPV6_RECVHOPLIMIT : IP_RECVTTL;

	put(client, "one", 3);
	put(client, "two", 3);
	put(client, "three", 5);
	wait_for(server, POLLIN, UDP_SOON);
	poll(NULL, 0, 50);
	set_option(server, level, option, 1);
	say_next("on", server);
	set_option(server, level, option, 0);
	say_next("off", server);
	set_option(server, SOL_SOCKET, SO_TIMESTAMP, 1);
	say_next("time", server);
}

/* Puts the source's address beside a datagram, as servers with several addresses do. */
static ssize_t send_by(int fd, const char *text, const struct place *to, const struct place *source)
{
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	const struct sockaddr_in *in = (const struct sockaddr_in *)&source->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&source->sa;
	struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr header = {
		.msg_name = (void *)(uintptr_t)(to ? &to->sa : NULL), .msg_namelen = to ? to->len : 0,
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

	if (here_family == AF_INET) {
		const struct in_pktinfo info = {.ipi_spec_dst = in->sin_addr};

		*cmsg = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
		memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
		header.msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		const struct in6_pktinfo info = {.ipi6_addr = in6->sin6_addr};

		*cmsg = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
	}
	return sendmsg(fd, &header, 0);
}

/* A server on all addresses learns by which it was called, and answers from there. */
static void source_chosen(void)
{
	/* Who calls on ::1 may be shown as 127.0.0.1 there. */
	const int server = udp_at(strchr(here_text, '.') ? wildcard(0) : here(0)), connected = udp_to(here(0)), loose = open_udp(0);
	const struct place self = here(0);

	ask_where(server, 1);
	for (int i = 0; i < 3; i++) {
		const int client = i == 1 ? loose : connected;
		struct message message;
		struct place from;

		say_size("client", send_by(client, "question", client == loose ? &self : NULL, &self));
		message_open(&message);
		say_message("server", &message, take_message(server, &message, 0));
		message.from.len = message.header.msg_namelen;
		say("its name: %s", yes_no(same_place(message.from, own_name(connected)) || client == loose));
		say_size("server", send_by(server, "answer", &message.from, &self));
		from = say_text_from("client", client);
		say("whom it asked: %s", yes_no(same_place(from, self)));
	}
}

static void say_name(const char *what, const struct message *message, ssize_t got)
{
	const unsigned char *at = (const unsigned char *)&message->from.sa;
	size_t written = 8;

	while (written && at[written - 1] == 0xee)
		written--;
	say("%s: %s, name %u, written %zu, control %zu, flags %#x", what, got < 0 ? error_name(errno) : message->text,
	    message->header.msg_namelen, written, (size_t)message->header.msg_controllen,
	    (unsigned)message->header.msg_flags);
}

/* The sender's name where there is no room for it, or nothing to tell. */
static void names(void)
{
	static const socklen_t rooms[] = {128, 7, 2, 0, 4096, (socklen_t)-1};
	const int server = udp_at(here(0)), client = udp_to(here(0));
	struct message message;

	for (int came = 0; came < 2; came++) {
		for (size_t i = 0; i <= N_ELEMENTS(rooms); i++) {
			if (came) {
				put(client, "name", 4);
				wait_for(server, POLLIN, UDP_SOON);
			}
			message_open(&message);
			memset(&message.from.sa, 0xee, sizeof(message.from.sa));
			message.header.msg_namelen = i < N_ELEMENTS(rooms) ? rooms[i] : 100;
			if (i == N_ELEMENTS(rooms))
				message.header.msg_name = NULL;
			say_name(message.header.msg_name ? "room" : "nowhere", &message,
				 recvmsg(server, &message.header, MSG_DONTWAIT));
		}
	}
	say_size("no message", recvmsg(server, NULL, MSG_DONTWAIT));
	say_size("no message", sendmsg(client, NULL, 0));
}

static void try_address(int fd, int server, struct place *to, socklen_t len)
{
	struct iovec part = {(void *)"message", 7};
	const struct msghdr header = {.msg_name = &to->sa, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr one = {.msg_hdr = header};

	say("%s, length %d", family_text(to->sa.ss_family), (int)len);
	if (say_size("sendto", sendto(fd, "data", 4, 0, (struct sockaddr *)&to->sa, len)) > 0)
		say_text("server", server);
	if (say_size("sendmsg", sendmsg(fd, &header, 0)) > 0)
		say_text("server", server);
	if (say_size("sendmmsg", sendmmsg(fd, &one, 1, 0)) > 0)
		say_text("server", server);
}

/* Lengths that no address has, and families that no such socket knows, to a stranger and with a peer. */
static void bad_addresses(void)
{
	static const socklen_t lengths[] = {0, 1, 2, 8, 15, 16, 23, 24, 28, 100, 128, 129, 4096, (socklen_t)-1};
	static const sa_family_t families[] = {AF_UNSPEC, AF_UNIX, AF_INET6, 1000};
	const int server = udp_at(here(0)), fds[] = {open_udp(0), udp_to(here(0))};

	for (size_t k = 0; k < N_ELEMENTS(fds); k++) {
		struct place to = here(0);

		for (size_t i = 0; i < N_ELEMENTS(lengths); i++)
			try_address(fds[k], server, &to, lengths[i]);
		for (size_t i = 0; i < N_ELEMENTS(families); i++) {
			to.sa.ss_family = families[i];
			/* Linux takes AF_UNSPEC over IPv6 for now one thing, now another, when it has seen IPv4. */
			if (here_family != families[i] && (here_family == AF_INET || !strchr(here_text, '.')))
				try_address(fds[k], server, &to, 16);
		}
	}
	say_silence("server", server);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"each", each},		      {"together", together},
		{"by-recvmmsg", by_recvmmsg}, {"little-room", little_room},
		{"while-one-waits", while_one_waits}, {"source-chosen", source_chosen},
		{"names", names},	      {"bad-addresses", bad_addresses},
	};

	return RUN_CASES(cases, argc, argv);
}
