/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals held back for a moment. */
#include "preload/signals.h"

#include <errno.h>

void signals_hold(sigset_t *before)
{
	sigset_t all;
	int saved = errno;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, before);
	errno = saved;
}

bool signals_interrupt(const sigset_t *before, bool limited)
{
	sigset_t waiting;
	int saved = errno;
	bool found = false;

	sigemptyset(&waiting);
	sigpending(&waiting);
	for (int number = 1; number < NSIG && !found; number++) {
		struct sigaction action;

		if (sigismember(&waiting, number) == 1 && sigismember(before, number) == 0 &&
		    sigaction(number, NULL, &action) == 0)
			found = action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN &&
				(limited || !(action.sa_flags & SA_RESTART));
	}
	errno = saved;
	return found;
}

void signals_release(const sigset_t *before)
{
	int saved = errno;

	sigprocmask(SIG_SETMASK, before, NULL);
	errno = saved;
}
