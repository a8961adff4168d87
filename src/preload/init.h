/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the environment asks of this process, read once. */
#ifndef IP2VSOCK_INIT_H
#define IP2VSOCK_INIT_H

#include "ip2vsock/rule.h"
#include "ip2vsock/transport.h"
#include "preload/internal.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_INFO, LOG_DEBUG };

struct settings {
	bool disabled;			   /* IP2VSOCK_DISABLE=1: every hook is the real call */
	bool failed;			   /* the mapping cannot be used: fail closed */
	int error;			   /* then: EACCES, or ENOBUFS where the next call may go better */
	const char *complaint;		   /* why, one line */
	bool strict;			   /* failed, or `default reject`: what no rule can name is refused as well */
	const struct rules *rules;	   /* unless disabled or failed */
	const struct transport *transport; /* what carries `vsock` targets */
	struct realm realm;
	enum log_level log_level;
	const char *log_path;		   /* NULL: stderr */
	bool has_unix;			   /* sockets of ours may be AF_UNIX: in a realm, or by unix targets and options */
	const char *stats_path;		   /* IP2VSOCK_STATS; NULL: memory of this process and its children */
	unsigned listen_fds;		   /* LISTEN_FDS, if it is meant for this process */
	uint32_t cid;			   /* IP2VSOCK_CID; VMADDR_CID_ANY when not given */
};

extern const struct settings *settings_now INTERNAL; /* NULL until loaded */
const struct settings *settings_load(void);

/* The settings; loaded by the first call that needs them. Never NULL, never changes after. */
static inline const struct settings *settings(void)
{
	const struct settings *now = __atomic_load_n(&settings_now, __ATOMIC_ACQUIRE);

	return __builtin_expect(now != NULL, 1) ? now : settings_load();
}

/* True once settings are loaded and sockets of ours may be AF_UNIX: the cheap test before looking at unix sockets. */
static inline bool has_unix(void)
{
	const struct settings *now = __atomic_load_n(&settings_now, __ATOMIC_ACQUIRE);

	return now && now->has_unix;
}

/* Says once why the mapping cannot be used. errno is preserved. */
void settings_complain(const struct settings *now);

/* Own CID: the realm's, IP2VSOCK_CID, or what /dev/vsock says; VMADDR_CID_ANY when nobody knows. */
uint32_t own_cid(void);

/*
 * How many descriptors from 3 on were handed to this process by systemd's protocol (sd_listen_fds(3)), even where the program
 * has taken that out of its environment by now. errno may change.
 */
unsigned listen_fds(void);

#endif
