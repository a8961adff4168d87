/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: carried from one socket to another, and remembered where the transport does not have them. */
#include "preload/options.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

/* For options whose default is 0 on every domain. */
static void option_copy(int from, int to, int option)
{
	int value = option_int(from, SOL_SOCKET, option);

	if (value)
		REAL(setsockopt)(to, SOL_SOCKET, option, &value, sizeof value);
}

static void option_copy_wide(int from, int to, int option, const void *unset, socklen_t size)
{
	union {
		struct timeval time;
		struct linger linger;
	} value;
	socklen_t got = size;

	if (REAL(getsockopt)(from, SOL_SOCKET, option, &value, &got) == 0 && got == size &&
	    memcmp(&value, unset, size) != 0)
		REAL(setsockopt)(to, SOL_SOCKET, option, &value, size);
}

/* The kernel doubles what is set and reads back double (socket(7)). A size nobody set must not be copied:
 * TCP's defaults grow by themselves, elsewhere they are a limit. */
static void buffers_copy(int from, int to, unsigned hint)
{
	static const int options[] = {SO_SNDBUF, SO_RCVBUF};
	int domain = option_int(from, SOL_SOCKET, SO_DOMAIN), fresh = -1;

	if (!(hint & HINT_PENDING)) /* not seen from its start: compare with one nobody touched */
		fresh = REAL(socket)(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	else if (!(hint & HINT_BUFFERS))
		return;
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
		int value = option_int(from, SOL_SOCKET, options[i]) / 2;

		if (fresh < 0 || value != option_int(fresh, SOL_SOCKET, options[i]) / 2)
			REAL(setsockopt)(to, SOL_SOCKET, options[i], &value, sizeof value);
	}
	if (fresh >= 0)
		REAL(close)(fresh);
}

/* Options that accepted sockets inherit on TCP as well. */
static void inherited_copy(int from, int to)
{
	static const struct timeval no_time;
	static const struct linger no_linger;
	static const int options[] = {SO_KEEPALIVE, SO_OOBINLINE, SO_BROADCAST, SO_DONTROUTE, SO_PRIORITY};
	int lowat = option_int(from, SOL_SOCKET, SO_RCVLOWAT);

	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		option_copy(from, to, options[i]);
	option_copy_wide(from, to, SO_RCVTIMEO, &no_time, sizeof no_time);
	option_copy_wide(from, to, SO_SNDTIMEO, &no_time, sizeof no_time);
	option_copy_wide(from, to, SO_LINGER, &no_linger, sizeof no_linger);
	if (lowat > 1)
		REAL(setsockopt)(to, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
}

/* What the other domain does not accept is left out: it has no meaning there. */
static void generic_copy(int from, int to, unsigned hint)
{
	static const int options[] = {SO_REUSEADDR, SO_MARK, SO_TIMESTAMP, SO_NO_CHECK};

	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		option_copy(from, to, options[i]);
	inherited_copy(from, to);
	buffers_copy(from, to, hint);
}

/* IP-level options that sockets made for a connection carry along. */
static const struct {
	int level, option;
} ip_options[] = {
	{IPPROTO_TCP, TCP_KEEPIDLE},	 {IPPROTO_TCP, TCP_KEEPINTVL},	   {IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_SYNCNT},	 {IPPROTO_TCP, TCP_LINGER2},	   {IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP}, {IPPROTO_TCP, TCP_QUICKACK},	   {IPPROTO_TCP, TCP_USER_TIMEOUT},
	{IPPROTO_TCP, TCP_CORK},	 {IPPROTO_TCP, TCP_NOTSENT_LOWAT}, {IPPROTO_TCP, TCP_CONGESTION},
	{IPPROTO_TCP, TCP_MAXSEG},	 {IPPROTO_IP, IP_TOS},		   {IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_MTU_DISCOVER},	 {IPPROTO_IP, IP_RECVERR},	   {IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_FREEBIND},	 {IPPROTO_IPV6, IPV6_TCLASS},	   {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_RECVERR},	 {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
};

#define VALUE_MOST 16

/* A TCP socket that nobody uses knows which options there are, their sizes and their defaults. */
static int scratch_open(sa_family_t family)
{
	return REAL(socket)(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static sa_family_t mark_family(const struct mark *mark)
{
	return mark->flags & MARK_INET6 ? AF_INET6 : AF_INET;
}

/* From a TCP socket to one that does not have these options. */
static void ip_options_note(int from, int to, sa_family_t family)
{
	int fresh = scratch_open(family);
	struct note note;

	if (fresh < 0)
		return;
	note_get(to, &note);
	for (unsigned i = 0; i < sizeof ip_options / sizeof *ip_options; i++) {
		char value[VALUE_MOST] = "", usual[VALUE_MOST] = "";
		socklen_t size = sizeof value, usual_size = sizeof usual;
		int level = ip_options[i].level, option = ip_options[i].option;

		if (REAL(getsockopt)(from, level, option, value, &size) == 0 &&
		    REAL(getsockopt)(fresh, level, option, usual, &usual_size) == 0 &&
		    (size != usual_size || memcmp(value, usual, size) != 0))
			note_option_set(&note, level, option, value, size);
	}
	REAL(close)(fresh);
	if (note.count)
		note_set(to, &note);
}

/* Sets what is remembered on a TCP socket. */
static void note_replay(const struct note *note, int to)
{
	int level, option;
	const void *value;
	socklen_t size;

	for (uint32_t at = 0; (value = note_option_next(note, &at, &level, &option, &size));)
		REAL(setsockopt)(to, level, option, value, size);
}

void options_copy(int from, int to, unsigned hint)
{
	bool known = hint & HINT_PENDING;
	int from_domain = known ? (hint & HINT_INET6 ? AF_INET6 : AF_INET) : option_int(from, SOL_SOCKET, SO_DOMAIN);
	bool from_inet = from_domain == AF_INET || from_domain == AF_INET6;
	struct note note;

	if (!known || hint & HINT_OPTIONS) {
		int reuse_port = option_int(from, SOL_SOCKET, SO_REUSEPORT);

		generic_copy(from, to, hint);
		if (from_inet && reuse_port)
			option_remember(to, SOL_SOCKET, SO_REUSEPORT, &reuse_port, sizeof reuse_port);
	}
	if (from_inet) {
		if (!known || hint & HINT_IP)
			ip_options_note(from, to, (sa_family_t)from_domain);
		return;
	}
	note_get(from, &note);
	if (!note.count)
		return;
	if (option_int(to, SOL_SOCKET, SO_DOMAIN) == from_domain) {
		note.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
		note_set(to, &note);
	} else {
		note_replay(&note, to);
	}
}

void options_inherit(int listener, int fd)
{
	struct note note;
	int saved = errno;

	inherited_copy(listener, fd);
	note_get(listener, &note);
	note.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	if (note.count)
		note_set(fd, &note);
	errno = saved;
}

int option_check(const struct mark *mark, int level, int option, const void *value, socklen_t size)
{
	int scratch = scratch_open(mark_family(mark)), result;

	if (scratch < 0) /* without a descriptor to spare it is believed */
		return errno == EMFILE || errno == ENFILE ? 0 : fail(ENOPROTOOPT);
	result = REAL(setsockopt)(scratch, level, option, value, size);
	close_quietly(scratch);
	return result;
}

void option_remember(int fd, int level, int option, const void *value, socklen_t size)
{
	struct note note;

	note_get(fd, &note);
	if (note_option_set(&note, level, option, value, size))
		note_set(fd, &note);
}

int option_recall(int fd, const struct mark *mark, int level, int option, void *value, socklen_t *size)
{
	int scratch = scratch_open(mark_family(mark)), result;
	const void *kept;
	struct note note;
	socklen_t length;

	note_get(fd, &note);
	kept = note_option_get(&note, level, option, &length);
	if (scratch < 0) {
		if (!kept)
			return fail(ENOPROTOOPT);
		*size = *size < length ? *size : length;
		memcpy(value, kept, *size);
		return 0;
	}
	if (kept)
		REAL(setsockopt)(scratch, level, option, kept, length);
	result = REAL(getsockopt)(scratch, level, option, value, size);
	close_quietly(scratch);
	return result;
}
