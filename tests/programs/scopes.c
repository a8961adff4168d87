/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Link-local addresses on lo: scopes and flow labels in names. */
#define _GNU_SOURCE 1
#include "common.h"

#include <net/if.h>

static struct sockaddr_in6 link_local(unsigned n, unsigned scope)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)(here_port + n)), .sin6_scope_id = scope};

	inet_pton(AF_INET6, "fe80::7", &sa.sin6_addr);
	return sa;
}

static void say_scope(const char *what, const struct sockaddr_in6 *sa)
{
	say("%s: %s scope %s flow %u", what, name_text(sa),
	    sa->sin6_scope_id == if_nametoindex("lo") ? "lo" : sa->sin6_scope_id ? "other" : "none", ntohl(sa->sin6_flowinfo));
}

static void say_scopes(const char *who, int fd)
{
	struct sockaddr_in6 sa;
	socklen_t len = sizeof(sa);
	char text[40];

	/* Where a connection to this machine itself comes from, transports see differently. */
	snprintf(text, sizeof(text), "%s: own", who);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 && getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		say_scope(text, &sa);
	snprintf(text, sizeof(text), "%s: peer", who);
	len = sizeof(sa);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0)
		say_scope(text, &sa);
	else
		say("%s: %s", text, error_name(errno));
}

static int listen_link_local(void)
{
	const struct sockaddr_in6 sa = link_local(0, if_nametoindex("lo"));
	const int fd = socket(AF_INET6, SOCK_STREAM, 0);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	say_call("bind", bind(fd, (const struct sockaddr *)&sa, sizeof(sa)));
	say_call("listen", listen(fd, 8));
	return fd;
}

static void scoped_names(void)
{
	struct sockaddr_in6 to = link_local(0, if_nametoindex("lo"));
	const int listener = listen_link_local(), fd = socket(AF_INET6, SOCK_STREAM, 0);
	int server, copy;

	say_scopes("listener", listener);
	say_call("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	server = must_accept(listener);
	say_talk("talk", fd, server);
	say_scopes("client", fd);
	copy = dup(fd);
	close(fd);
	say_scopes("duplicate", copy);
	say_call("shutdown", shutdown(copy, SHUT_WR));
	say_scopes("client", copy);
}

static void flow_label(void)
{
	struct sockaddr_in6 to = link_local(0, if_nametoindex("lo"));
	const int listener = listen_link_local(), fd = socket(AF_INET6, SOCK_STREAM, 0);

	to.sin6_flowinfo = htonl(0x12345);
	say_call("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	say_talk("talk", fd, must_accept(listener));
	say_scopes("client", fd);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"scoped-names", scoped_names},
		{"flow-label", flow_label},
	};

	return RUN_CASES(cases, argc, argv);
}
