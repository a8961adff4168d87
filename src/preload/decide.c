/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the rules about an address and the kernel about a descriptor, and shows endpoints as addresses. */
#include "preload/decide.h"
#include "preload/log.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/strict.h"

#include <errno.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int ask(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;

	return REAL(getsockopt)(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static enum socket_kind inet_kind(int type, int protocol)
{
	if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return KIND_TCP;
	return type == SOCK_DGRAM && protocol == IPPROTO_UDP ? KIND_UDP : KIND_OTHER;
}

enum socket_kind socket_kind(int fd, int domain)
{
	return domain == AF_INET || domain == AF_INET6 ? inet_kind(ask(fd, SO_TYPE), ask(fd, SO_PROTOCOL)) : KIND_OTHER;
}

void socket_look(int fd, struct socket_state *out)
{
	int saved = errno, domain;

	*out = (struct socket_state){.kind = KIND_OTHER, .hint = hint_get(fd)};
	if (out->hint & HINT_PENDING) {
		out->kind = out->hint & HINT_STREAM ? KIND_TCP : KIND_UDP;
		out->family = out->hint & HINT_INET6 ? AF_INET6 : AF_INET;
		return;
	}
	domain = ask(fd, SO_DOMAIN);
	if (domain == AF_INET || domain == AF_INET6) {
		out->kind = socket_kind(fd, domain);
		out->family = (sa_family_t)domain;
	} else if (domain >= 0 && (out->transport = mark_look(fd, domain, &out->mark))) {
		out->kind = KIND_OURS;
		out->family = out->mark.flags & MARK_INET6 ? AF_INET6 : AF_INET;
	}
	errno = saved;
}

unsigned listener_hint(const struct mark *mark)
{
	return HINT_LISTEN | (mark->flags & MARK_INET6 ? HINT_INET6 : 0) | (mark->flags & MARK_V6ONLY ? HINT_V6ONLY : 0) |
	       (ip_addr_is_loopback(&mark->addr) ? HINT_LOOPBACK : 0);
}

const struct transport *target_transport(const struct target *target)
{
	return target->kind == TARGET_UNIX ? &transport_unix : settings()->transport;
}

const char *target_name(const struct target *target)
{
	return target->kind == TARGET_REJECT ? "reject" : target_transport(target)->name;
}

/* No rule for both TCP and UDP, or the one protocol that the hint knows, says anything about addr. */
static bool untouched(const struct settings *now, unsigned hint, enum rule_direction direction,
		      const struct ip_addr *addr, struct target *target)
{
	if (!(hint & HINT_DGRAM)) {
		rules_find(now->rules, direction, RULE_TCP, addr, target);
		if (target->kind != TARGET_INET || hint & HINT_STREAM)
			return target->kind == TARGET_INET;
	}
	rules_find(now->rules, direction, RULE_UDP, addr, target);
	return target->kind == TARGET_INET;
}

bool decide(int fd, enum rule_direction direction, const struct ip_addr *addr,
	    struct socket_state *state, struct target *target)
{
	const struct settings *now = settings();
	unsigned hint = hint_get(fd);

	if (now->disabled)
		return false;
	if (now->failed) {
		*state = (struct socket_state){.kind = KIND_OTHER, .hint = hint};
		/* As a target, so that callers fail closed in the way they refuse anything else. */
		*target = (struct target){.kind = TARGET_REJECT, .error = now->error};
		settings_complain(now);
		return true;
	}
	if (untouched(now, hint, direction, addr, target))
		return false;
	socket_look(fd, state);
	if (state->kind == KIND_OTHER)
		return now->strict && strict_target(fd, direction, target);
	if (!(hint & HINT_PENDING)) /* else the hint named the protocol */
		rules_find(now->rules, direction, state->kind == KIND_UDP ? RULE_UDP : RULE_TCP, addr, target);
	return target->kind != TARGET_INET;
}

/* What connect(2) and bind(2) on TCP may say when there is no other socket to be had. */
int error_of_socket(int error)
{
	static bool said;

	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return ENOBUFS;
	case EAFNOSUPPORT:
	case ENODEV:
	case ESOCKTNOSUPPORT:
	case EPROTONOSUPPORT:
		log_say_once(&said, "this kernel has no AF_VSOCK (is the vsock module loaded?): calls to vsock "
				    "targets fail with ENETUNREACH");
		return ENETUNREACH;
	default:
		return error;
	}
}

/* This machine, whose peers programs may trust. No other CID is ever shown as loopback. In a realm CID 1 is
 * the name of a machine like any other. */
static bool is_here(uint32_t cid)
{
	const struct settings *now = settings();

	return (cid == VMADDR_CID_LOCAL && !now->realm.name) || (cid != VMADDR_CID_ANY && cid == own_cid());
}

static struct in6_addr loopback_like(bool ipv4)
{
	return ipv4 ? ip_addr_from_v4(INADDR_LOOPBACK, 0, AF_INET6).ip
		    : (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
}

/*
 * The form in which a socket sees a CID. An AF_INET6 socket that is not v6only takes IPv4 v4-mapped. A
 * local peer of such a listener may have dialled 127.0.0.1 or ::1, which vsock does not tell; clients
 * of IPv4 are the usual case.
 */
static void show_cid(uint32_t cid, const struct mark *mark, struct ip_addr *out)
{
	const struct rules *rules = settings()->rules;
	bool client = mark->kind == MARK_PEER, ipv4 = ip_addr_is_v4(&mark->addr);
	/* Both ends of a client's connection are of one version of IP. */
	bool v6only = mark->flags & MARK_V6ONLY || (client && !ipv4);
	sa_family_t family = client && ipv4 ? AF_INET : out->family;

	if (rules_host_address(rules, cid, family, v6only, &out->ip))
		return;
	if (is_here(cid))
		out->ip = loopback_like(!v6only);
	else
		rules_show_cid(rules, cid, family, v6only, &out->ip);
}

static void addr_start(const struct mark *mark, uint32_t port, struct ip_addr *out)
{
	*out = (struct ip_addr){.family = mark->flags & MARK_INET6 ? AF_INET6 : AF_INET,
				.port = port_show(port)};
}

void show_peer(const struct endpoint *peer, const struct mark *mark, struct ip_addr *out)
{
	addr_start(mark, peer->port, out);
	if (mark->kind == MARK_PEER)
		*out = mark->addr;
	else if (peer->path)
		rules_show_path(settings()->rules, peer->path, out->family, mark->flags & MARK_V6ONLY, &out->ip);
	else if (is_here(peer->cid) && ip_addr_is_loopback(&mark->addr))
		/* A listener on ::1 has only peers that dialled ::1. */
		out->ip = loopback_like(ip_addr_is_v4(&mark->addr));
	else
		show_cid(peer->cid, mark, out);
}

void show_local(int fd, const struct endpoint *local, const struct endpoint *peer, const struct mark *mark,
		struct ip_addr *out)
{
	uint32_t cid = local->cid, source;

	/* A connected client's local CID stays "any" on virtio and vhost; an accepted socket's is what was dialled. */
	if (cid == VMADDR_CID_ANY)
		cid = peer && peer->cid == VMADDR_CID_LOCAL ? VMADDR_CID_LOCAL : own_cid();
	addr_start(mark, local->port, out);
	if (mark->kind == MARK_LOCAL) {
		*out = mark->addr;
		if (peer && ip_addr_is_any(out))
			show_cid(cid, mark, out);
	} else if (mark_source_get(fd, &source)) {
		out->ip = ip_addr_from_v4(source, 0, AF_INET6).ip;
	} else if (ip_addr_is_loopback(&mark->addr)) {
		out->ip = loopback_like(ip_addr_is_v4(&mark->addr));
	} else {
		show_cid(cid, mark, out);
	}
}
