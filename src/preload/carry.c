/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: carried from one socket to another, and inherited by accepted ones. */
#include "preload/chosen.h"
#include "preload/emulate.h"
#include "preload/init.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

/* Native options that can be set, for sockets of which it is not known what was. */
static const uint8_t settable[] = {
	SO_DEBUG,	  SO_DONTROUTE,	  SO_BROADCAST, SO_KEEPALIVE,		   SO_OOBINLINE,
	SO_NO_CHECK,	  SO_PRIORITY,	  20,		21, /* SO_RCVTIMEO, SO_SNDTIMEO */
	SO_BINDTODEVICE,  29,		  35,		37, /* SO_TIMESTAMP, _NS, _TIMESTAMPING */
	SO_MARK,	  SO_RXQ_OVFL,	  SO_WIFI_STATUS, SO_NOFCS,		   SO_SELECT_ERR_QUEUE,
	SO_BUSY_POLL,	  SO_TXTIME,	  63,		64, 65, /* time stamps, new form */
	69,		  70,		  72, /* SO_PREFER_BUSY_POLL, SO_BUSY_POLL_BUDGET, SO_BUF_LOCK */
	75,		  82, /* SO_RCVMARK, SO_RCVPRIORITY */
};

struct value {
	uint8_t bytes[NOTE_VALUE_MOST];
	socklen_t size;
};

/* Options of IP level, and of SOL_SOCKET that are in notes, have numbers below this. */
#define OPTION_MOST 90

static bool value_get(int fd, int level, int option, struct value *out)
{
	out->size = sizeof out->bytes;
	return REAL(getsockopt)(fd, level, option, out->bytes, &out->size) == 0 && out->size <= sizeof out->bytes;
}

static bool value_equal(const struct value *a, const struct value *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Gives a socket of another domain one option. True when it has to be noted. */
static bool option_carry(int to, int level, int option, const struct value *value)
{
	enum keep keep = option_keep(level, option);

	if (keep == KEEP_UNIX && !has_unix())
		keep = KEEP_NATIVE;
	switch (keep) {
	case KEEP_NATIVE:
		REAL(setsockopt)(to, level, option, value->bytes, value->size);
		return false;
	case KEEP_BUFFER:
		option_set_buffer(to, option, value->bytes, value->size);
		return false;
	case KEEP_LOWAT:
		option_set_lowat(to, value->bytes, value->size);
		return true;
	case KEEP_ANSWER: /* SO_PROTOCOL of MPTCP */
	case KEEP_NOTE:
	case KEEP_UNIX:
		return true;
	case KEEP_MARK:
		break;
	}
	return false;
}

/* The value set, or what the socket says of it. The kernel doubles sizes. */
static bool chosen_value(int fd, const struct chosen *chosen, struct value *out)
{
	if (chosen->known) {
		out->size = sizeof chosen->value;
		memcpy(out->bytes, &chosen->value, sizeof chosen->value);
		return true;
	}
	if (chosen->level == SOL_SOCKET && option_keep(SOL_SOCKET, chosen->option) == KEEP_BUFFER)
		return false;
	if (chosen->level == SOL_SOCKET && chosen->option == SO_ATTACH_FILTER)
		return emulate_filter_read(fd, out->bytes, &out->size);
	return value_get(fd, chosen->level, chosen->option, out);
}

/* From a TCP socket that was followed from its start. */
static void chosen_copy(int from, int to)
{
	struct chosen chosen;
	struct note note; /* `to` is new and has none */
	struct value value;

	note.count = 0;
	note.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	for (unsigned at = 0; chosen_next(from, &at, &chosen);) {
		if (option_keep(chosen.level, chosen.option) == KEEP_MARK || !chosen_value(from, &chosen, &value) ||
		    !option_carry(to, chosen.level, chosen.option, &value))
			continue;
		note_option_set(&note, chosen.level, chosen.option, value.bytes, value.size);
	}
	if (note.count)
		note_set(to, &note);
}

/* Those of settable[] that differ from a fresh socket's of the same domain. */
static void native_copy(int from, int to, int fresh, struct note *note)
{
	struct value value, usual;
	int sizes = option_int(from, SOL_SOCKET, 72);

	for (unsigned i = 0; i < sizeof settable; i++)
		if (value_get(from, SOL_SOCKET, settable[i], &value) &&
		    value_get(fresh, SOL_SOCKET, settable[i], &usual) && !value_equal(&value, &usual)) {
			REAL(setsockopt)(to, SOL_SOCKET, settable[i], value.bytes, value.size);
			if (note)
				note_option_set(note, SOL_SOCKET, settable[i], value.bytes, value.size);
		}
	for (int i = 0; i < 2; i++) { /* bit 0 is SO_SNDBUF, bit 1 SO_RCVBUF */
		int option = i ? SO_RCVBUF : SO_SNDBUF, half = option_int(from, SOL_SOCKET, option) / 2;

		if (!(sizes >> i & 1))
			continue;
		option_set_buffer(to, option, &half, sizeof half);
		if (note)
			note_option_set(note, SOL_SOCKET, option, &half, sizeof half);
	}
}

static bool is_noted(int level, int option)
{
	enum keep keep = option_keep(level, option);

	return keep == KEEP_NOTE || keep == KEEP_UNIX || keep == KEEP_LOWAT;
}

/* From a TCP socket of unknown history. It is compared with a fresh one. */
static void inet_copy(int from, int to, int domain)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};
	int fresh = REAL(socket)(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct value value, usual;
	struct note note;

	if (fresh < 0)
		return;
	note_get(to, &note);
	native_copy(from, to, fresh, NULL);
	for (unsigned i = 0; i < sizeof levels / sizeof *levels - (domain == AF_INET); i++)
		for (int option = 0; option < OPTION_MOST; option++)
			if (is_noted(levels[i], option) && emulate_is_choice(levels[i], option) &&
			    value_get(from, levels[i], option, &value) &&
			    value_get(fresh, levels[i], option, &usual) && !value_equal(&value, &usual) &&
			    option_carry(to, levels[i], option, &value))
				note_option_set(&note, levels[i], option, value.bytes, value.size);
	close_quietly(fresh);
	if (note.count)
		note_set(to, &note);
}

/* Not inlined, as a note is a kilobyte: what follows it stays small. */
static __attribute__((noinline)) void note_copy(int from, int to, bool same)
{
	const void *value;
	struct note note;
	socklen_t size;
	int level, option;

	note_get(from, &note);
	if (!same) {
		for (uint32_t at = 0; (value = note_option_next(&note, &at, &level, &option, &size));)
			if (is_noted(level, option))
				emulate_replay(to, level, option, value, size);
		return;
	}
	note.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	value = note_option_get(&note, SOL_SOCKET, SO_RCVLOWAT, &size);
	if (value)
		option_set_lowat(to, value, size);
	if (note.count)
		note_set(to, &note);
}

/* From a socket of ours. */
static void retargeted_copy(int from, int to, int domain)
{
	int domain_to = socket_domain(to);
	bool same = domain_to != AF_INET && domain_to != AF_INET6; /* both are ours */
	int fresh = REAL(socket)(domain, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct mark mark;

	if (fresh >= 0)
		native_copy(from, to, fresh, NULL);
	close_quietly(fresh);
	note_copy(from, to, same);
	if (same || !mark_find(from, &mark))
		return;
	if (mark.flags & MARK_REUSEADDR)
		REAL(setsockopt)(to, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (mark.flags & MARK_REUSEPORT)
		REAL(setsockopt)(to, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

void options_copy(int from, int to, unsigned hint)
{
	int domain;

	if (hint & HINT_PENDING && !(hint & HINT_MANY)) {
		if (hint & HINT_OPTIONS)
			chosen_copy(from, to);
		return;
	}
	domain = option_int(from, SOL_SOCKET, SO_DOMAIN);
	if (domain == AF_INET || domain == AF_INET6)
		inet_copy(from, to, domain);
	else
		retargeted_copy(from, to, domain);
}

unsigned options_flags(int fd, unsigned hint)
{
	static const struct {
		int level, option;
		unsigned flag;
	} flags[] = {
		{IPPROTO_TCP, TCP_NODELAY, MARK_NODELAY},
		{SOL_SOCKET, SO_REUSEADDR, MARK_REUSEADDR},
		{SOL_SOCKET, SO_REUSEPORT, MARK_REUSEPORT},
		{IPPROTO_IPV6, IPV6_V6ONLY, MARK_V6ONLY},
	};
	bool known = hint & HINT_PENDING && !(hint & HINT_MANY);
	unsigned result = 0;

	if (known && !(hint & HINT_OPTIONS))
		return 0;
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
		if (known ? chosen_int(fd, flags[i].level, flags[i].option)
			  : option_int(fd, flags[i].level, flags[i].option))
			result |= flags[i].flag;
	return result;
}

/* What is native on the listener is not on the sockets it accepts: the note must tell. */
static bool is_bequeathed(int level, int option)
{
	enum keep keep = option_keep(level, option);

	return (keep == KEEP_NATIVE || keep == KEEP_BUFFER) && option_inherited(level, option);
}

void options_bequeath(int from, int listener, unsigned hint)
{
	struct chosen chosen;
	struct note note;
	struct value value;

	if (hint & HINT_PENDING && !(hint & (HINT_MANY | HINT_OPTIONS)))
		return;
	note_get(listener, &note);
	if (hint & HINT_PENDING && !(hint & HINT_MANY)) {
		for (unsigned at = 0; chosen_next(from, &at, &chosen);)
			if (is_bequeathed(chosen.level, chosen.option) && chosen_value(from, &chosen, &value))
				note_option_set(&note, chosen.level, chosen.option, value.bytes, value.size);
	} else {
		int fresh = REAL(socket)(socket_domain(listener), SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fresh >= 0)
			native_copy(listener, listener, fresh, &note);
		close_quietly(fresh);
	}
	if (note.count)
		note_set(listener, &note);
}

void options_inherit(int listener, int fd)
{
	int saved = errno, level, option;
	const void *value;
	struct note note;
	socklen_t size;

	note_get(listener, &note);
	if (!note.count) {
		hint_set(listener, hint_get(listener) & ~(unsigned)HINT_INHERIT);
		return;
	}
	note.ip = (struct in6_addr)IN6ADDR_ANY_INIT;
	for (uint32_t at = 0, before = 0; (value = note_option_next(&note, &at, &level, &option, &size));
	     before = at) {
		if (is_bequeathed(level, option))
			REAL(setsockopt)(fd, level, option, value, size);
		else if (level == SOL_SOCKET && option == SO_RCVLOWAT)
			option_set_lowat(fd, value, size);
		if (is_bequeathed(level, option) || !option_inherited(level, option)) {
			note_option_drop(&note, level, option);
			at = before;
		}
	}
	if (note.count)
		note_set(fd, &note);
	errno = saved;
}
