/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that were there before the program: what systemd, or a program like inetd, has bound or accepted for it. */
#include "preload/adopt.h"
#include "ip2vsock/config.h"
#include "preload/end.h"
#include "preload/guard.h"
#include "preload/log.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"
#include "preload/stats.h"

#include <errno.h>

/* Standard input, output and error come first, for inetd(8) and StandardInput=socket of systemd.exec(5), which say nothing in
 * the environment; SD_LISTEN_FDS_START is next to them. What is beyond MOST is a mistake. */
#define LISTEN_FDS_START 3
#define MOST 65536u

/* In SO_INCOMING_CPU of a listener, where a client's source address would be. */
#define ADOPTED 1

bool adopt_over, adopt_begun;

static int last_handed(void)
{
	unsigned count = listen_fds();

	return LISTEN_FDS_START - 1 + (int)(count < MOST ? count : MOST);
}

/* The transport of a stream socket of unknown history that has the name of an endpoint. */
static __attribute__((noinline)) const struct transport *named_transport(int fd, struct end *out)
{
	const struct transport *const transports[] = {settings()->transport, &transport_unix};
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (hint_get(fd) || REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) < 0)
		return NULL;
	for (unsigned i = 0; i < sizeof transports / sizeof *transports; i++) {
		if (transports[i]->domain != sa.ss_family ||
		    !transports[i]->decode(&settings()->realm, &sa, len, &out->endpoint) ||
		    out->endpoint.port == VMADDR_PORT_ANY)
			continue;
		if (transports[i]->greets && unix_name_path(&sa, len, out->path, sizeof out->path))
			out->endpoint.path = out->path;
		if (transports[i]->greets == (out->endpoint.path != NULL))
			return option_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM ? transports[i] : NULL;
	}
	return NULL;
}

/* In a realm a process is one CID, whatever a rule calls it. */
static const struct rule *rule_of(const struct endpoint *at, struct ip_addr *addr)
{
	const struct settings *now = settings();
	bool own = now->realm.name && at->cid == now->realm.cid;

	return rules_reverse_listen(now->rules, at, own ? VMADDR_CID_LOCAL : at->cid, addr);
}

static __attribute__((noinline)) void log_left(int fd, const struct transport *transport, const struct endpoint *at)
{
	char buf[256], endpoint[CONFIG_ENDPOINT_TEXT_SIZE];
	struct text text;

	log_line(&text, buf, sizeof buf);
	text_str(&text, "descriptor ");
	text_int(&text, fd);
	text_str(&text, " stays a socket of ");
	text_str(&text, transport->name);
	text_str(&text, " ");
	text_str(&text, config_endpoint_text(at, endpoint, sizeof endpoint));
	text_str(&text, ": no listen rule leads there");
	log_write(LOG_INFO, &text);
}

static __attribute__((noinline)) void log_adopted(int fd, const struct ip_addr *addr, int result)
{
	int error = errno;
	struct end at;
	const struct transport *transport = named_transport(fd, &at);

	errno = error;
	if (transport)
		log_call("adopt", fd, addr, transport->name, &at.endpoint, result);
}

/* What a socket becomes. */
struct adopted {
	const struct transport *transport;
	const struct rule *rule; /* NULL: it stays what it is */
	const struct rule_options *options;
	bool listens;
	struct mark mark;
};

/* By its name, whether or not it has a mark. False for one that is nothing of the kind. */
static __attribute__((noinline)) bool judge(int fd, struct adopted *out)
{
	struct target target = {.kind = TARGET_INET};
	struct end at;

	*out = (struct adopted){.mark.kind = MARK_LOCAL, .transport = named_transport(fd, &at)};
	if (!out->transport)
		return false;
	out->listens = option_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
	if (!out->listens && !is_connected(fd))
		return false;
	target.rule = out->rule = rule_of(&at.endpoint, &out->mark.addr);
	out->options = target_options(&target);
	if (!out->rule && log_on(LOG_INFO))
		log_left(fd, out->transport, &at.endpoint);
	if (out->mark.addr.family == AF_INET6)
		out->mark.flags |= MARK_INET6;
	/* As systemd's listeners have it, and what TCP accepts from them. */
	if (!out->listens || option_int(fd, SOL_SOCKET, SO_REUSEADDR))
		out->mark.flags |= MARK_REUSEADDR;
	return true;
}

/* Of a listener the list of the rule must be in place before anybody sees the mark. */
static int mark_adopted(int fd, const struct adopted *adopted)
{
	if (adopted->options->buffer)
		window_fix(fd, adopted->transport, adopted->options->buffer);
	if (adopted->listens && (guard_replace(fd, adopted->options) < 0 || mark_source_set(fd, ADOPTED) < 0))
		return -1;
	return mark_set(fd, adopted->transport, &adopted->mark);
}

/* The list of the rule is to be held to where somebody else has accepted. */
static __attribute__((noinline)) bool is_allowed(int fd, const struct adopted *adopted, uint32_t *cid)
{
	struct end peer;

	if (!adopted->options->allow || adopted->transport->greets || !end_peer(fd, adopted->transport, &peer))
		return true;
	*cid = peer.endpoint.cid;
	return cid_allowed(adopted->options, *cid);
}

bool adopted_listener(int listener)
{
	uint32_t value;

	return mark_source_get(listener, &value) && value == ADOPTED;
}

static void renew(int listener)
{
	struct adopted adopted;
	struct mark before;

	if (!judge(listener, &adopted) || !mark_get(listener, adopted.transport, &before))
		return;
	adopted.mark.flags |= before.flags & ~(unsigned)(MARK_INET6 | MARK_V6ONLY);
	if (adopted.rule && mark_adopted(listener, &adopted) == 0)
		return;
	mark_clear(listener, adopted.transport);
	hint_set(listener, HINT_FOREIGN);
}

static void adopt_unmarked(int fd)
{
	static bool said;
	struct adopted adopted;
	uint32_t cid;
	int result;

	if (!judge(fd, &adopted))
		return;
	if (!adopted.rule) {
		hint_set(fd, HINT_FOREIGN);
		return;
	}
	result = mark_adopted(fd, &adopted);
	if (log_on(LOG_INFO))
		log_adopted(fd, &adopted.mark.addr, result);
	stats_used(adopted.rule);
	stats_result(adopted.rule, result);
	if (result < 0)
		log_say_once(&said, "a socket that was handed over cannot be marked, and stays what it is");
	if (result < 0 || adopted.listens || is_allowed(fd, &adopted, &cid))
		return;
	guard_refused(fd, &adopted.mark, RULE_TCP, cid);
	REAL(shutdown)(fd, SHUT_RDWR); /* it is at its end, for both */
}

static void adopt_one(int fd)
{
	if (!mark_exists(fd, socket_domain(fd)))
		adopt_unmarked(fd);
	else if (adopted_listener(fd))
		renew(fd);
}

void adopt_again(int listener)
{
	if (listener < LISTEN_FDS_START || listen_fds())
		renew(listener);
}

static __attribute__((noinline)) bool is_named(int fd)
{
	struct end at;

	return named_transport(fd, &at);
}

/* Other sockets are not asked for their names: a sandbox may forbid that. */
static bool is_likely(int fd)
{
	return fd < LISTEN_FDS_START || settings()->listen_fds || option_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

/*
 * Several threads may do this at once: whoever comes second finds the marks. A program that was handed descriptors may have
 * copied them, and closed the first ones, before it looked at any; then fd itself is one.
 */
bool adopt(int fd)
{
	const struct settings *now = settings();
	int saved = errno, last;
	bool may = !now->disabled && !now->failed && (adopt_is_due() || (is_likely(fd) && is_named(fd)));

	if (may) {
		last = last_handed();
		for (int handed = 0; handed <= last; handed++)
			adopt_one(handed);
		if (last >= LISTEN_FDS_START)
			adopt_one(fd);
		else
			__atomic_store_n(&adopt_over, true, __ATOMIC_RELEASE);
		__atomic_store_n(&adopt_begun, true, __ATOMIC_RELEASE);
	}
	errno = saved;
	return may;
}

void adopt_standard_input(void)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int saved = errno;

	if (REAL(getsockname)(STDIN_FILENO, (struct sockaddr *)&sa, &len) == 0 && len > sizeof sa.ss_family &&
	    (sa.ss_family == transport_vsock.domain || sa.ss_family == transport_unix.domain))
		adopt(STDIN_FILENO);
	errno = saved;
}

bool adopt_refuses(int listener)
{
	return settings()->failed && is_named(listener) && listener <= last_handed();
}
