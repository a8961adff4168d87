/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attempt to connect: as patient as TCP's, and ended as TCP's. */
#ifndef IP2VSOCK_ATTEMPT_H
#define IP2VSOCK_ATTEMPT_H

#include "preload/decide.h"

#include <sys/time.h>

struct attempt {
	int fd; /* the program's descriptor, whose options say how long to try */
	const struct socket_state *state;
	const struct transport *transport;
	struct endpoint to;
	const struct rule_options *rule;
	bool planned;		   /* what follows is known */
	struct timeval send_limit; /* SO_SNDTIMEO; 0: none */
	int64_t start, patience;   /* ms: when it began, and how long TCP would try */
	int cut;		   /* ATTEMPT_CUT: EINTR, ETIMEDOUT, or EINPROGRESS for SO_SNDTIMEO */
};

enum attempt_end {
	ATTEMPT_MADE,	 /* connected */
	ATTEMPT_FAILED,	 /* errno as TCP has it */
	ATTEMPT_RUNNING, /* goes on in the background; errno is EINPROGRESS or EINTR */
	ATTEMPT_CUT,	 /* the transport gave up where TCP does not: attempt_go_on() */
};

/*
 * connect(2) of `made`, a socket of ours that is not connected. A blocking socket of which no options are known to
 * be set costs this one call; another one is asked for SO_SNDTIMEO, TCP_SYNCNT and TCP_USER_TIMEOUT (tcp(7)), and
 * limited to what they say.
 */
enum attempt_end attempt_begin(struct attempt *attempt, int made);

/* Of a transport that greets `made` is non-blocking; it is as fd is once it is connected. */

/* After ATTEMPT_CUT, better with a socket that was not used yet: the peer may still hold that one's port. */
enum attempt_end attempt_go_on(struct attempt *attempt, int made);

/* What became of the attempt of a socket of ours. errno is preserved. */
enum attempt_state {
	ATTEMPT_NONE,	  /* there was none: bound, or listening */
	ATTEMPT_PENDING,  /* no outcome yet */
	ATTEMPT_OVER,	  /* it failed */
	ATTEMPT_CONNECTED /* and perhaps shut down since */
};

enum attempt_state attempt_look(int fd, const struct socket_state *state);

/*
 * connect(2) once more while an attempt is pending (inet_stream_connect in net/ipv4/af_inet.c): EALREADY when
 * non-blocking or at SO_SNDTIMEO, else waits for the end. As attempt_begin(), but never ATTEMPT_CUT.
 */
enum attempt_end attempt_join(int fd, const struct socket_state *state);

/* How one that is over ended: an errno as TCP's connect tells it, once; ECONNABORTED when SO_ERROR was read. */
int attempt_error(int fd);

/* True when every signal handler of the process was installed with SA_RESTART. */
bool handlers_restart(void);

#endif
