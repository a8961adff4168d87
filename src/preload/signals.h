/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that come while a call of ours does between two waits what the kernel does inside of one. */
#ifndef IP2VSOCK_SIGNALS_H
#define IP2VSOCK_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* From here on they wait. */
void signals_hold(sigset_t *before);
/*
 * Whether one of those that wait now ends a blocking call with EINTR: one that has a handler, which does not want calls
 * to be restarted (SA_RESTART), or cannot, because the call has a time limit (signal(7)).
 */
bool signals_interrupt(const sigset_t *before, bool limited);
/* They come. errno is preserved by all three. */
void signals_release(const sigset_t *before);

#endif
