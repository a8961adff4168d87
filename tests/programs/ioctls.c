/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ioctl() answers on a socket in each of its states. */
#define _GNU_SOURCE 1
#include "common.h"

#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <termios.h>

#define REQUEST(name) {#name, name}

/* The answer is a number, or only success and failure are alike. */
static const struct {
	const char *name;
	unsigned long request;
} numbers[] = {
	REQUEST(FIONREAD), REQUEST(TIOCOUTQ),  REQUEST(SIOCOUTQNSD), REQUEST(SIOCATMARK),
	REQUEST(FIOGETOWN), REQUEST(SIOCGPGRP),
}, others[] = {
	REQUEST(SIOCGSTAMP_OLD), REQUEST(SIOCGSTAMPNS_OLD), REQUEST(SIOCGIFCONF), REQUEST(SIOCGIFNAME),
	REQUEST(SIOCGIFFLAGS), REQUEST(SIOCGIFADDR), REQUEST(SIOCGIFDSTADDR), REQUEST(SIOCGIFBRDADDR),
	REQUEST(SIOCGIFNETMASK), REQUEST(SIOCGIFMETRIC), REQUEST(SIOCGIFMTU), REQUEST(SIOCGIFHWADDR),
	REQUEST(SIOCGIFINDEX), REQUEST(SIOCGIFTXQLEN), REQUEST(SIOCGIFMAP), REQUEST(SIOCGIFCOUNT),
	REQUEST(SIOCGIFSLAVE), REQUEST(SIOCGIFPFLAGS), REQUEST(SIOCGARP), REQUEST(SIOCGRARP),
	REQUEST(TCGETS), REQUEST(TIOCGWINSZ), REQUEST(TIOCGPGRP), REQUEST(FS_IOC_GETFLAGS),
	{"an unknown one of sockets", 0x89d7}, {"an unknown one", 0x1234}, {"0", 0},
};

/* Room for any answer, with the name of an interface and an address where requests look for them. */
union argument {
	char bytes[512];
	struct ifreq interface;
	struct ifconf all;
	int number;
};

static union argument asking(unsigned long request)
{
	static char room[1024];
	union argument argument;

	memset(&argument, 0, sizeof(argument));
	if (request == SIOCGIFCONF) {
		argument.all.ifc_len = sizeof(room);
		argument.all.ifc_buf = room;
	} else if (request == SIOCGIFNAME) {
		argument.interface.ifr_ifindex = 1;
	} else {
		strcpy(argument.interface.ifr_name, "lo");
	}
	return argument;
}

static void ask_all(const char *who, int fd)
{
	for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
		int value = 77;
		const int rc = ioctl(fd, numbers[i].request, &value);

		say("%s, %s: %s %d", who, numbers[i].name, rc < 0 ? error_name(errno) : "ok", rc < 0 ? 0 : value);
		say_call("its argument NULL", ioctl(fd, numbers[i].request, NULL));
	}
	for (size_t i = 0; i < N_ELEMENTS(others); i++) {
		union argument argument = asking(others[i].request);
		const int rc = ioctl(fd, others[i].request, &argument);

		say("%s, %s: %s", who, others[i].name, rc < 0 ? error_name(errno) : "ok");
		if (rc == 0 && others[i].request == SIOCGIFMTU)
			say("mtu %d", argument.interface.ifr_mtu);
		if (rc == 0 && others[i].request == SIOCGIFADDR)
			say("address %s",
			    inet_ntoa(((struct sockaddr_in *)&argument.interface.ifr_addr)->sin_addr));
		say_call("its argument NULL", ioctl(fd, others[i].request, NULL));
	}
}

static void fresh(void)
{
	ask_all("fresh", open_socket(0));
}

static void connected(void)
{
	const struct pair pair = connect_pair(0);

	ask_all("client", pair.client);
	ask_all("server", pair.server);
}

static void listening(void)
{
	ask_all("listener", listen_at(here(0), 4));
}

static int count(int fd)
{
	int value = -1;

	if (ioctl(fd, FIONREAD, &value) < 0)
		die("FIONREAD");
	return value;
}

static void bytes_waiting(void)
{
	const struct pair pair = connect_pair(0);
	char bytes[2000] = {0};
	int unsent = -1;

	if (write(pair.client, bytes, 1234) != 1234)
		die("write");
	wait_for(pair.server, POLLIN, 5000);
	say("FIONREAD %d", count(pair.server));
	say("read %d", (int)read(pair.server, bytes, 1000));
	say("FIONREAD %d", count(pair.server));
	say_call("TIOCOUTQ", ioctl(pair.client, TIOCOUTQ, &unsent));
	say("acknowledged: %s", yes_no(unsent == 0));
	shutdown(pair.client, SHUT_WR);
	say("read %d", (int)read(pair.server, bytes, sizeof(bytes)));
	say("read %d", (int)read(pair.server, bytes, sizeof(bytes)));
	say("FIONREAD at the end %d", count(pair.server));
}

/* The privileged may have more than net.core.rmem_max. */
static int enlarge(int fd, int option, int forced, int size)
{
	if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) == 0)
		return 1200000;
	set_option(fd, SOL_SOCKET, option, size);
	return 150000;
}

static void many_bytes_waiting(void)
{
	const int listener = open_socket(0), client = open_socket(0), size = 2000000;
	const int much = enlarge(listener, SO_RCVBUF, SO_RCVBUFFORCE, size);
	static char bytes[65536];
	int server, sent = 0;

	enlarge(client, SO_SNDBUF, SO_SNDBUFFORCE, size);
	if (do_bind(listener, here(0)) < 0 || listen(listener, 4) < 0)
		die("listen");
	must_connect(client, here(0));
	server = must_accept(listener);
	set_nonblocking(client, true);
	while (sent < much) {
		const ssize_t n = write(client, bytes, sizeof(bytes));

		if (n < 0)
			break;
		sent += (int)n;
	}
	for (int i = 0; i < 200 && count(server) < sent; i++)
		poll(NULL, 0, 10);
	say("all that was sent: %s, much: %s", yes_no(count(server) == sent), yes_no(sent >= much));
}

static void out_of_band_mark(void)
{
	const struct pair pair = connect_pair(0);

	errno = 0;
	say("sockatmark: %d %s", sockatmark(pair.client), error_name(errno));
	if (write(pair.client, "x", 1) != 1)
		die("write");
	wait_for(pair.server, POLLIN, 5000);
	say("sockatmark with data: %d", sockatmark(pair.server));
	say("sockatmark of a listener: %d", sockatmark(listen_at(here(1), 4)));
}

static void owner(void)
{
	const struct pair pair = connect_pair(0);
	const int listener = listen_at(here(1), 4), fd = open_socket(0), me = getpid();
	int pid = me, got = 0;

	say_call("FIOSETOWN before", ioctl(fd, FIOSETOWN, &pid));
	must_connect(fd, here(1));
	close(must_accept(listener));
	say_call("FIOGETOWN after", ioctl(fd, FIOGETOWN, &got));
	say("this process: %s", yes_no(got == me));
	pid = -getpgrp();
	say_call("SIOCSPGRP", ioctl(pair.client, SIOCSPGRP, &pid));
	say_call("SIOCGPGRP", ioctl(pair.client, SIOCGPGRP, &got));
	say("this group: %s", yes_no(got == -getpgrp() && fcntl(pair.client, F_GETOWN) == got));
}

static void blocking_and_not(void)
{
	const struct pair pair = connect_pair(0);
	int on = 1, off = 0;
	char byte;

	say_call("FIONBIO", ioctl(pair.client, FIONBIO, &on));
	say("O_NONBLOCK: %s", yes_no(fcntl(pair.client, F_GETFL) & O_NONBLOCK));
	say_call("read", (int)read(pair.client, &byte, 1));
	say_call("FIONBIO", ioctl(pair.client, FIONBIO, &off));
	say("O_NONBLOCK: %s", yes_no(fcntl(pair.client, F_GETFL) & O_NONBLOCK));
	say_call("FIOASYNC", ioctl(pair.client, FIOASYNC, &on));
	say("O_ASYNC: %s", yes_no(fcntl(pair.client, F_GETFL) & O_ASYNC));
	say_call("FIONBIO NULL", ioctl(pair.client, FIONBIO, NULL));
	say_call("FIOASYNC NULL", ioctl(pair.client, FIOASYNC, NULL));
}

static void errno_is_left_alone(void)
{
	const struct pair pair = connect_pair(0);
	int value;

	for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
		errno = ERANGE;
		ioctl(pair.client, numbers[i].request, &value);
		say("%s: %s", numbers[i].name, error_name(errno));
	}
	errno = ERANGE;
	sockatmark(pair.client);
	say("sockatmark: %s", error_name(errno));
}

/* Requests to what is no socket. */
static void of_others(void)
{
	int fds[2], value = 0;

	if (pipe(fds) < 0)
		die("pipe");
	for (size_t i = 0; i < N_ELEMENTS(numbers); i++)
		say("%s: %s", numbers[i].name, error_name(ioctl(fds[0], numbers[i].request, &value) < 0 ? errno : 0));
	say_call("SIOCGIFCONF", ioctl(fds[0], SIOCGIFCONF, &value));
	say_call("no descriptor", ioctl(999, SIOCATMARK, &value));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"fresh", fresh},
		{"connected", connected},
		{"listening", listening},
		{"bytes-waiting", bytes_waiting},
		{"many-bytes-waiting", many_bytes_waiting},
		{"out-of-band-mark", out_of_band_mark},
		{"owner", owner},
		{"blocking-and-not", blocking_and_not},
		{"errno-is-left-alone", errno_is_left_alone},
		{"of-others", of_others},
	};

	return RUN_CASES(cases, argc, argv);
}
