/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts what becomes of each rule, where `ip2vsock --stats` can see it. */
#ifndef IP2VSOCK_STATS_H
#define IP2VSOCK_STATS_H

#include "ip2vsock/counters.h"

#include <errno.h>

/*
 * Counts one event of a rule; NULL: the default statement. Lock-free, async-signal-safe, errno preserved; no system
 * call after the first of a process (or of a rule), unless the counters are in a file: then one or two, so that one
 * which was cut short is no SIGBUS. Without memory or file for it nothing is counted.
 */
void stats_count(const struct rule *rule, enum counter what);

/* A call that `rule` retargets; an address that stands for a peer has no such rule. */
static inline void stats_used(const struct rule *rule)
{
	if (rule && rule->target != TARGET_INET)
		stats_count(rule, STAT_USED);
}

/* What came of that call, with errno: in the background it goes on. */
static inline void stats_result(const struct rule *rule, int result)
{
	if (result < 0 && errno != EINPROGRESS && errno != EINTR && rule && rule->target != TARGET_INET)
		stats_count(rule, STAT_FAILED);
}

#endif
