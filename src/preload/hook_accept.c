/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accept, accept4: the peer's address in the family that the listener was made with. */
#include "preload/adopt.h"
#include "preload/beside.h"
#include "preload/decide.h"
#include "preload/end.h"
#include "preload/guard.h"
#include "preload/hooks.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/retarget.h"
#include "preload/signals.h"
#include "preload/socket.h"
#include "preload/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

/* Listeners that this process retargeted itself, and whose address does not matter, cost no question. */
static bool listener_mark(int listener, const struct transport *transport, struct mark *out)
{
	unsigned hint = hint_get(listener);

	if (!(hint & HINT_LISTEN) || hint & (HINT_LOOPBACK | HINT_GUARD) || !transport->mark_inherited)
		return mark_get(listener, transport, out);
	*out = (struct mark){
		.kind = MARK_LOCAL,
		.flags = (hint & HINT_INET6 ? MARK_INET6 : 0) | (hint & HINT_V6ONLY ? MARK_V6ONLY : 0),
	};
	return true;
}

/* Of a connection accepted with this result in addr: -1 when the room does not even hold a family. */
static int family_of(const struct sockaddr *addr, socklen_t room)
{
	sa_family_t family;

	if (room < sizeof family)
		return -1;
	memcpy(&family, addr, sizeof family);
	return family;
}

/* What carries an accepted connection, and its listener's mark. `family` is that of the peer's address, or -1. */
static const struct transport *accepted_transport(int listener, int fd, int family, struct mark *mark)
{
	const struct transport *transport = settings()->transport;
	unsigned hint = hint_get(listener);

	if (hint & HINT_GUARD)
		return mark_find(listener, mark);
	/* listener_mark() fails for another */
	if (family >= 0 ? family != transport->domain : !(hint & HINT_LISTEN) && socket_domain(fd) != transport->domain)
		return mark_find(listener, mark);
	return listener_mark(listener, transport, mark) ? transport : NULL;
}

/* Who has come: as the address says, unless it was cut short. Then it is another name. */
static bool peer_read(int fd, const struct transport *transport, const struct sockaddr *addr, socklen_t len, socklen_t room,
		      struct end *out)
{
	if (!transport->greets && len <= room && transport->decode(&settings()->realm, addr, len, &out->endpoint))
		return true;
	return end_peer(fd, transport, out);
}

static void accepted(int listener, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	const struct settings *now = settings();
	const struct transport *transport;
	struct sockaddr_storage sa;
	struct ip_addr shown;
	struct mark mark;
	struct end peer;
	int family;

	if (now->disabled || now->failed)
		return;
	if (!addr && now->transport->mark_inherited && !(hint_get(listener) & HINT_GUARD))
		return;
	family = addr ? family_of(addr, room) : -1;
	transport = accepted_transport(listener, fd, family, &mark);
	if (!transport)
		return;
	if (!transport->mark_inherited || (hint_get(listener) & HINT_GUARD && !mark_exists(fd, transport->domain)))
		mark_set(fd, transport, &mark);
	if (!addr || !peer_read(fd, transport, addr, *len, room, &peer))
		return;
	show_peer(&peer.endpoint, &mark, &shown);
	*len = room;
	ip_addr_copy_out(&sa, ip_addr_write(&shown, &sa), addr, len);
}

/* Of an accepted connection whose listener is ours: it need not have the mark yet. */
static const struct transport *transport_here(int fd)
{
	char path[UNIX_NAME_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) < 0 || !domain_is_ours(sa.ss_family))
		return NULL;
	if (sa.ss_family == transport_vsock.domain)
		return &transport_vsock;
	return unix_name_path(&sa, len, path, sizeof path) ? &transport_unix : &transport_realm;
}

/* Was waiting when the listener was shut down: the next one that waits is woken in turn, until nobody answers. */
static int refuse_shut(int fd, socklen_t *len, socklen_t room)
{
	const struct transport *transport = transport_here(fd);
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof sa;
	bool named = transport && REAL(getsockname)(fd, (struct sockaddr *)&sa, &sa_len) == 0;

	REAL(close)(fd);
	if (named)
		listener_wake(transport, &sa, sa_len);
	if (room)
		*len = room;
	return fail(EINVAL);
}

/* NULL for one that is not ours, or not any more. */
static const struct transport *listener_find(int listener, struct mark *mark, bool *adopted)
{
	const struct transport *transport = mark_find(listener, mark);

	*adopted = transport && adopted_listener(listener);
	if (!*adopted)
		return transport;
	adopt_again(listener);
	return mark_find(listener, mark);
}

/*
 * The hint of a listener that came from another process (exec, SCM_RIGHTS, a parent without the library's memory):
 * asked of the socket once. `family` is that of the peer's address, or -1.
 */
static unsigned listener_learn(int listener, int family)
{
	const struct settings *now = settings();
	unsigned hint = HINT_FOREIGN;
	const struct transport *transport;
	struct mark mark;
	bool adopted;

	if (now->disabled)
		return 0;
	if (now->failed) /* nobody is let in where there is a list and no way to follow it */
		return (family < 0 || family == transport_unix.domain || family == transport_vsock.domain) && guard_exists(listener) ? HINT_LISTEN | HINT_GUARD
													   : 0;
	if ((family < 0 || domain_is_ours(family)) && (transport = listener_find(listener, &mark, &adopted))) {
		beside_learn(listener, &mark);
		adopted = adopted && transport->mark_inherited;
		hint = listener_hint(&mark) | HINT_INHERIT |
		       (transport->greets || adopted || guard_exists(listener) || beside_exists(listener) ? HINT_GUARD : 0);
	}
	/* It may be that of a pending socket, which a child made listen. */
	if (hint_get(listener))
		hint_clear(listener);
	hint_set(listener, hint);
	return hint;
}

/* The hint of a listener on which accept is called. What is beside one that came by exec must be known before it waits. */
static unsigned hint_before(int listener)
{
	unsigned hint = hint_get(listener);
	struct mark mark;

	if (hint || settings()->disabled || settings()->failed || !mark_find(listener, &mark) || mark.kind != MARK_LOCAL)
		return hint;
	return listener_learn(listener, -1);
}

/* The listener was shut down, and closed before this thread had its turn. */
static bool was_shut(int fd)
{
	const struct transport *transport = transport_here(fd);

	return transport && is_wake(transport, fd);
}

/* The result of a call whose connection was not for the program: there may be another. */
#define ACCEPT_AGAIN (-2)

static bool is_guarded(unsigned hint)
{
	return (hint & (HINT_LISTEN | HINT_GUARD)) == (HINT_LISTEN | HINT_GUARD) && !(hint & HINT_PENDING);
}

/*
 * Came to a listener of ours whose list is gone: another thread has closed it meanwhile, and a call that waits goes on
 * with the old file, whatever has the number now.
 */
static bool list_is_lost(int fd)
{
	const struct transport *transport = transport_here(fd);
	struct mark mark;
	struct end local;

	if (!transport || transport->greets)
		return false;
	return transport->mark_inherited ? mark_get(fd, transport, &mark) : end_local(fd, transport, &local);
}

/* Whether the rule of a listener, which has a list, allows a peer. */
static bool admits(int listener, int fd)
{
	const struct settings *now = settings();
	const struct transport *transport;
	struct mark mark;
	struct end peer;

	if (now->failed) {
		settings_complain(now);
		return false;
	}
	transport = mark_find(listener, &mark);
	if (!transport)
		return !list_is_lost(fd);
	if (transport->greets)
		return true;
	if (!end_peer(fd, transport, &peer)) /* it has gone already */
		peer.endpoint.cid = VMADDR_CID_ANY;
	if (guard_allows(listener, peer.endpoint.cid))
		return true;
	guard_refused(listener, &mark, RULE_TCP, peer.endpoint.cid);
	return false;
}

/* Without being a place where a thread is cancelled. */
static int send_away(int fd, int error)
{
	REAL(syscall)(SYS_close, fd);
	errno = error;
	return ACCEPT_AGAIN;
}

/* There is no mapping to tell whom this listener serves. */
static int refuse_unknown(int fd)
{
	REAL(syscall)(SYS_close, fd);
	settings_complain(settings());
	return fail(settings()->error);
}

/* `before`: the hint of the listener when the call began. */
static int finish(int listener, unsigned before, int fd, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	unsigned hint = hint_settled(hint_get(listener));
	int saved = errno, family;

	if (fd < 0)
		return fd;
	hint_clear(fd);
	if (hint & HINT_SHUT || (before & ~hint & HINT_LISTEN && was_shut(fd)))
		return refuse_shut(fd, len, room);
	family = addr ? family_of(addr, room) : -1;
	if (!hint)
		hint = listener_learn(listener, family);
	if (!hint && adopt_refuses(listener))
		return refuse_unknown(fd);
	if (is_guarded(hint) ? !admits(listener, fd) : is_guarded(before) && list_is_lost(fd))
		return send_away(fd, saved);
	if (hint & HINT_FOREIGN)
		hint_set(fd, HINT_FOREIGN);
	if (hint & HINT_LISTEN && hint & HINT_INHERIT)
		options_inherit(listener, fd);
	if (family != AF_INET && family != AF_INET6 && !(hint & HINT_FOREIGN))
		accepted(listener, fd, addr, len, room);
	errno = saved;
	return fd;
}

/* When the call that began then ends by itself, as a moment of wait.h: WAIT_NOT for one that does not wait. */
static int64_t accept_until(int listener, int64_t began)
{
	int tcp = beside_listening(listener); /* has the program's limit, where the other has one of ours */
	struct timeval limit = {0};
	socklen_t size = sizeof limit;
	int64_t until;

	if (REAL(fcntl)(listener, F_GETFL) & O_NONBLOCK)
		return WAIT_NOT;
	REAL(getsockopt)(tcp < 0 ? listener : tcp, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
	if (!limit.tv_sec && !limit.tv_usec)
		return WAIT_FOREVER;
	until = wait_until(&(struct timespec){limit.tv_sec, limit.tv_usec * 1000});
	return until == WAIT_FOREVER ? until : until - (wait_now() - began);
}

/*
 * After somebody was sent away: false, with errno, when the listener's own limit is over before the next one comes, or
 * a signal does. With a limit no handler lets accept go on (signal(7)).
 */
static bool accept_waits(int listener, int64_t until)
{
	struct pollfd fds[] = {{.fd = listener, .events = POLLIN}, {.fd = beside_listening(listener), .events = POLLIN}};
	struct timespec left = wait_left(until);
	int ready;

	if (until == WAIT_NOT || until == WAIT_FOREVER)
		return true;
	ready = wait_is_over(until) ? 0 : REAL(ppoll)(fds, 2, &left, NULL);
	if (ready == 0)
		errno = EAGAIN;
	return ready > 0;
}

/* Gives a name to the program, whose pointers the kernel judges. */
static int name_give(int fd, const struct sockaddr_storage *sa, socklen_t sa_len, struct sockaddr *addr, socklen_t *len,
		     socklen_t room)
{
	if (REAL(getsockname)(fd, addr, len) < 0) {
		close_quietly(fd);
		return -1;
	}
	*len = room;
	ip_addr_copy_out(sa, sa_len, addr, len);
	return fd;
}

static void hint_foreign(int fd)
{
	hint_clear(fd);
	hint_set(fd, HINT_FOREIGN);
}

static int accept_any(int listener, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network)
{
	*by_network = false;
	return beside_listening(listener) < 0 && !beside_exists(listener)
		       ? REAL(accept4)(listener, addr, len, flags)
		       : beside_accept(listener, addr, len, flags, by_network);
}

/*
 * One who has come is looked at, which is a part of waiting to the program. A signal that comes meanwhile must not be
 * lost for one that waits for it: it would not be noticed while many come who are sent away.
 */
static int guarded_finish(int listener, unsigned before, int64_t began, int fd, struct sockaddr *name, socklen_t *len)
{
	bool interrupted = false;
	int64_t until = WAIT_NOT;
	sigset_t mask;

	if (fd < 0)
		return fd;
	signals_hold(&mask);
	fd = finish(listener, before, fd, name, len, name ? sizeof(struct sockaddr_storage) : 0);
	if (fd == ACCEPT_AGAIN) {
		until = accept_until(listener, began);
		interrupted = until != WAIT_NOT && signals_interrupt(&mask, until != WAIT_FOREVER);
	}
	signals_release(&mask);
	if (interrupted)
		return fail(EINTR);
	return fd == ACCEPT_AGAIN && !accept_waits(listener, until) ? -1 : fd;
}

/*
 * Until somebody comes who is for the program: a blocking call does not return for others, and a non-blocking one takes
 * them out of the queue, so that nobody who polls is told of them again. Nothing is written where the program wants the
 * name before that.
 */
static __attribute__((noinline)) int accept_guarded(int listener, struct sockaddr *addr, socklen_t *len, socklen_t room,
						     int flags)
{
	struct sockaddr_storage sa;
	struct sockaddr *name = addr ? (struct sockaddr *)&sa : NULL;
	int64_t began = wait_now();
	int fd, saved = errno;
	socklen_t sa_len;
	bool by_network;

	do {
		unsigned before = hint_get(listener);

		sa_len = sizeof sa;
		fd = accept_any(listener, name, name ? &sa_len : NULL, flags, &by_network);
		if (fd >= 0 && by_network)
			hint_foreign(fd);
		else
			fd = guarded_finish(listener, before, began, fd, name, &sa_len);
	} while (fd == ACCEPT_AGAIN);
	if (fd >= 0 && addr)
		fd = name_give(fd, &sa, sa_len, addr, len, room);
	if (fd >= 0)
		errno = saved;
	return fd;
}

/* The listener turned out to be guarded when somebody had been accepted, whose name was written there. */
static int accept_instead(int listener, struct sockaddr *addr, socklen_t *len, socklen_t room, int flags)
{
	if (addr)
		*len = room;
	return accept_guarded(listener, addr, len, room, flags);
}

HOOK int accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	socklen_t room = room_of(addr, len);
	unsigned before = hint_before(listener);
	int fd;

	if (is_guarded(before))
		return accept_guarded(listener, addr, len, room, 0);
	fd = finish(listener, before, REAL(accept)(listener, addr, len), addr, len, room);
	return fd == ACCEPT_AGAIN ? accept_instead(listener, addr, len, room, 0) : fd;
}

HOOK int accept4(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	socklen_t room = room_of(addr, len);
	unsigned before = hint_before(listener);
	int fd;

	if (is_guarded(before))
		return accept_guarded(listener, addr, len, room, flags);
	fd = finish(listener, before, REAL(accept4)(listener, addr, len, flags), addr, len, room);
	return fd == ACCEPT_AGAIN ? accept_instead(listener, addr, len, room, flags) : fd;
}
