/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may come to a listener of ours: allow= of its rule, kept in the socket, where no fork, exec or dup gets round it. */
#ifndef IP2VSOCK_GUARD_H
#define IP2VSOCK_GUARD_H

#include "preload/mark.h"

/* Writes the list of a rule into a listener; nothing when there is none. -1 with ENOBUFS: then it must not listen. */
int guard_set(int listener, const struct rule_options *options);
/* The same for a listener that may have another list, which goes even if there is no new one. */
int guard_replace(int listener, const struct rule_options *options);

/* Whether a rule serves a CID. This machine is CID 1, whichever of its CIDs it was reached by. */
bool cid_allowed(const struct rule_options *options, uint32_t cid);

/* Whether a listener has a list. */
bool guard_exists(int listener);

/* Whether a listener serves a peer. */
bool guard_allows(int listener, uint32_t cid);

/* One line at info level, and the count: the peer of a listener was sent away. */
void guard_refused(int listener, const struct mark *mark, enum rule_protocol protocol, uint32_t cid);

#endif
