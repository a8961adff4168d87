/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules: from an address to a target, and from a CID back to the address it is shown as. */
#ifndef IP2VSOCK_RULE_H
#define IP2VSOCK_RULE_H

#include "ip2vsock/addr.h"
#include "ip2vsock/arena.h"

#include <linux/vm_sockets.h>

/*
 * CID and port as in vsock(7), host order. port is VMADDR_PORT_ANY for "choose one". With a path it is the guest behind
 * the unix socket of a virtual machine monitor; what such a guest dials arrives at the socket PATH_PORT.
 */
struct endpoint {
	uint32_t cid;
	uint32_t port;
	const char *path; /* NULL: the kernel's vsock, or a realm */
};

enum rule_direction { RULE_CONNECT, RULE_LISTEN };

/* Bits: a rule that names neither tcp nor udp holds both. */
enum rule_protocol { RULE_TCP = 1, RULE_UDP = 2 };

enum target_kind {
	TARGET_INET,   /* leave alone */
	TARGET_VSOCK,  /* retarget to an endpoint */
	TARGET_UNIX,   /* retarget to an endpoint that has a path; streams only */
	TARGET_REJECT, /* fail with an errno */
};

/* Where a statement stands, for messages. `source` lives as long as the rules. */
struct rule_place {
	const char *source; /* file name as given, or IP2VSOCK_RULES, or an option such as "-c" */
	unsigned line;	    /* from 1 */
};

/* An address pattern: `length` leading bits of `ip` (IPv4 as ::ffff:a.b.c.d, so 96 + its own length),
 * or any address of both families, or a name (resolved by rules_seal()). */
struct rule_pattern {
	const char *name;   /* NULL, or a host name in lower case */
	bool any_address;   /* '*' */
	uint8_t length;	    /* 0 to 128 */
	struct in6_addr ip; /* bits beyond length are 0 */
	uint16_t port_low;  /* inclusive; '*' is 0 to 65535 */
	uint16_t port_high;
};

/* CIDs from low to high. */
struct cid_range {
	uint32_t low, high;
};

/* As many ranges as an allow list may have: a listener carries its list with it (preload/guard.h). */
#define RULE_ALLOW_MOST 32
/* The limits of times (24 hours, in ms) and of a buffer (bytes). The kernel counts a window in 32 bits. */
#define RULE_TIME_MOST (24u * 60 * 60 * 1000)
#define RULE_BUFFER_LEAST 128u
#define RULE_BUFFER_MOST (2u << 30)

/* What KEY=VALUE words say; 0 is "not said". */
struct rule_options {
	uint32_t timeout; /* ms that one try to connect may take */
	uint32_t retry;	  /* ms that tries are repeated */
	uint32_t buffer;  /* bytes of the window */
	bool fallback;	  /* the network as well: connect when all else failed, listen beside */
	const struct cid_range *allow; /* NULL: whoever comes; else only these peers of a listener */
	uint32_t allow_count;
};

struct rule {
	enum rule_direction direction;
	uint8_t protocols;	      /* enum rule_protocol bits */
	bool is_host;		      /* written as a `host` statement */
	struct rule_pattern pattern;
	enum target_kind target;
	int error;		      /* TARGET_REJECT: the errno to give */
	uint32_t cid;		      /* TARGET_VSOCK: VMADDR_CID_ANY only when listening */
	bool same_port;		      /* TARGET_VSOCK: '*', the program's port; else */
	uint32_t port_low, port_high; /* one port for all, or as many as the pattern has */
	const char *path;	      /* TARGET_UNIX, which has same_port and the ports as well */
	const struct rule_options *options; /* NULL when there are none */
	struct rule_place place;
};

/* What a rule says of one address. `rule` is NULL where no statement matched (the default). */
struct target {
	enum target_kind kind;
	int error;	    /* TARGET_REJECT */
	struct endpoint to; /* TARGET_VSOCK, TARGET_UNIX; a port the kernel may choose is VMADDR_PORT_ANY */
	const struct rule *rule;
};

/* The options of the rule that decided; never NULL. */
const struct rule_options *target_options(const struct target *target);

/* Whether a listener with these options serves a peer. */
bool rule_allows(const struct rule_options *options, uint32_t cid);

/* Built once from text (config.h), then read-only: any number of threads may read it without a lock. */
struct rules;

/* Starts an empty set in `arena`. NULL without memory. Nothing matches; the default is inet. */
struct rules *rules_new(struct arena *arena);

/* Appends a rule (copied; strings are not). It must be one that config.h could have written: ports in
 * order, a name in lower case, no bits set in pattern.ip beyond its length. Order of calls is order of the rules. -1 ENOMEM. */
int rules_add(struct rules *rules, const struct rule *rule);

/* Gives `name` (lower case) the address `ip`, shown for `cid`: one line of `host`, without its rule.
 * The first name of an address, and the first address of a CID in each family, is the one shown.
 * -1 EEXIST: ip already stands for another CID, with *before its place. -1 ENOMEM. */
int rules_add_host(struct rules *rules, const char *name, const struct in6_addr *ip, uint32_t cid,
		   const struct rule_place *place, struct rule_place *before);

/* Says before the first host how many there may be, so that tables need not grow. */
void rules_expect_hosts(struct rules *rules, uint32_t count);

/* What is done with an address that no rule matches. `error` is for TARGET_REJECT; 0 is ECONNREFUSED
 * for connect and EACCES for listen. The first call decides; returns false and the
 * place of the first in *before for later ones. */
bool rules_set_default(struct rules *rules, enum target_kind kind, int error,
		       const struct rule_place *place, struct rule_place *before);

/* Resolves names (a name without a host line gets a stand-in address, see rules_name_address())
 * and builds the index. Must be called once, before the rest. -1 ENOMEM, or ENOSPC when there are
 * more than 65534 names without a host line. */
int rules_seal(struct rules *rules);

/* The first rule that matches decides; always fills *out. Cost does not grow with the number of
 * rules (only with the number of different prefix lengths among them). No allocation, no errno.
 * protocol is RULE_TCP or RULE_UDP. */
void rules_find(const struct rules *rules, enum rule_direction direction, enum rule_protocol protocol,
		const struct ip_addr *addr, struct target *out);

/*
 * The way back for a listener of streams: the first listen rule that leads to `at`, and in *out the address that a program's
 * listener there has: rules_find() of it is this rule, and leads to `at` again (with the rule's CID, which may be "any").
 * A rule for many addresses has 0.0.0.0 ('*'), or the first of its prefix. `alias` is another number of the same CID, or the
 * same. NULL: no rule leads there, or an earlier one takes that address. Cost grows with the number of rules.
 */
const struct rule *rules_reverse_listen(const struct rules *rules, const struct endpoint *at, uint32_t alias,
					struct ip_addr *out);

/* False when rules_find() never finds anything but TARGET_INET for this protocol. */
bool rules_have(const struct rules *rules, enum rule_protocol protocol);

/* True when rules_find() may find TARGET_UNIX, or an option that makes sockets wait (timeout, retry, fallback): then
 * there may be sockets of ours that are AF_UNIX. */
bool rules_have_unix(const struct rules *rules);

/*
 * The address of the guest behind the unix socket `path`, which the socket does not tell: that of the first connect rule
 * that leads there from one address, else a stand-in of 198.19.0.0/16 or the one in IPv6 for it, stable and given to
 * nobody else by the mapping. Fills ip only.
 */
void rules_show_path(const struct rules *rules, const char *path, sa_family_t family, bool v6only,
		     struct in6_addr *out);

/* All addresses of a name, in order of the file: calls `each` until it returns false.
 * Returns the number of addresses; 0 for a name the mapping does not know. `name` in any case. */
unsigned rules_name_address(const struct rules *rules, const char *name,
			    bool (*each)(void *context, const struct in6_addr *ip), void *context);

/* The name shown for an address (its first), or NULL. */
const char *rules_address_name(const struct rules *rules, const struct in6_addr *ip);

/* One address of one name. The addresses of a name and the names of an address are in order of the file. */
struct host_link;
const struct in6_addr *host_link_ip(const struct host_link *link);
const char *host_link_name(const struct host_link *link); /* in lower case; lives as long as the rules */
/* The next address of the same name, the next name of the same address, or NULL. */
const struct host_link *host_link_next_address(const struct host_link *link);
const struct host_link *host_link_next_name(const struct host_link *link);

/* The first address of a name, in any case and with or without a dot at its end; NULL for a name the
 * mapping does not know. */
const struct host_link *rules_name(const struct rules *rules, const char *name);

/* The first name of an address; NULL when it has none. */
const struct host_link *rules_address(const struct rules *rules, const struct in6_addr *ip);

/* The same for the address of a `host` rule, where this rule is the first of that address; NULL for any
 * other: over all rules each name is met once. */
const struct host_link *rules_host_names(const struct rules *rules, const struct rule *rule);

/* Whether an address means something in this mapping only, so that nobody else need be asked for a name
 * of it: `host` addresses, and the stand-ins of CIDs and of names unless a rule for them says inet. */
bool rules_address_is_ours(const struct rules *rules, const struct in6_addr *ip);

/*
 * An address for a name that nobody knows, where a connect rule for every address ('*') retargets it all
 * the same: from the range of names without a host line, stable, and not one that the mapping has given.
 * As AF_INET6 it is the same number in fd69:7032:7673:1::/96. port 0: not known yet, any will do. False
 * when no such rule would decide, and for what is no name of another machine: addresses in any spelling
 * of inet_aton(3), "localhost", ".invalid" (RFC 6761).
 */
bool rules_invent_address(const struct rules *rules, enum rule_protocol protocol, const char *name,
			  uint16_t port, sa_family_t family, struct in6_addr *out);

/* The first `host` address of a CID in the family wanted; for AF_INET6 then its IPv4 one v4-mapped, unless
 * v6only. False when it has none. */
bool rules_host_address(const struct rules *rules, uint32_t cid, sa_family_t family, bool v6only,
			struct in6_addr *out);

/*
 * The address that stands for a CID: its first `host` address of the family wanted; for AF_INET6
 * then its IPv4 host address v4-mapped, unless v6only; else a stand-in that is stable, distinct for each CID
 * below 2^28 and never loopback: 198.18.0.0/16 while the CID is below 65535, 240.0.0.0/4 beyond, and for AF_INET6
 * fd69:7032:7673::/96 holding the CID. VMADDR_CID_ANY (own CID not known) is 198.18.255.255.
 * Fills ip only; knows nothing of "local" CIDs.
 */
void rules_show_cid(const struct rules *rules, uint32_t cid, sa_family_t family, bool v6only,
		    struct in6_addr *out);

/* The CID a stand-in address of rules_show_cid() is given to (the lowest, beyond 2^28). False when ip
 * is in none of the stand-in ranges. Knows nothing of host lines. */
bool cid_from_stand_in(const struct in6_addr *ip, uint32_t *cid);

/* A 32-bit vsock port as a program sees it in 16 bits: itself when it fits, else a stable stand-in
 * in 32768 to 60999. */
uint16_t port_show(uint32_t port);

/* For --check and --explain: rules in order, NULL at the end of them. */
const struct rule *rules_at(const struct rules *rules, unsigned index);
/* The index of a rule of this set; for NULL, the default, how many rules there are. */
uint32_t rules_number(const struct rules *rules, const struct rule *rule);
/* out->error is as in rules_set_default(). place->source is NULL when no default was given. */
void rules_default(const struct rules *rules, struct target *out, struct rule_place *place);

#endif
