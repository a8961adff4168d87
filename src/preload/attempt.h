/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attempt to connect: as patient as TCP's, and ended as TCP's. */
#ifndef IP2VSOCK_ATTEMPT_H
#define IP2VSOCK_ATTEMPT_H

#include "preload/decide.h"
#include "preload/greet.h"

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
	struct greeting greeting;  /* of a transport that greets */
	int cut;		   /* ATTEMPT_CUT: EINTR, ETIMEDOUT, or EINPROGRESS for SO_SNDTIMEO */
};

enum attempt_end {
	ATTEMPT_MADE,	 /* connected */
	ATTEMPT_FAILED,	 /* errno as TCP has it */
	ATTEMPT_RUNNING, /* goes on in the background; errno is EINPROGRESS or EINTR */
	ATTEMPT_CUT,	 /* the transport gave up where TCP does not: attempt_go_on() */
	ATTEMPT_WAITS,	 /* it would go on if somebody looked after it (persist.h); errno as with ATTEMPT_RUNNING */
};

/*
 * connect(2) of `made`, a socket of ours that is not connected. A blocking socket of which no options are known to
 * be set costs this one call; another one is asked for SO_SNDTIMEO, TCP_SYNCNT and TCP_USER_TIMEOUT (tcp(7)), and
 * limited to what they say.
 */
enum attempt_end attempt_begin(struct attempt *attempt, int made);

/*
 * After ATTEMPT_RUNNING of a rule that has more to try: whether it has failed already (ATTEMPT_FAILED), as it has within
 * a moment where nobody is there; ATTEMPT_WAITS when there is no outcome yet.
 */
enum attempt_end attempt_glance(const struct attempt *attempt, int made);

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

/*
 * One try that does not wait, on a socket that is non-blocking: 0, EINPROGRESS, or why it failed as TCP would say. And
 * what has become of it.
 */
int try_begin(const struct attempt *attempt, int made, struct greeting *greeting);
int try_look(const struct attempt *attempt, int made, struct greeting *greeting);

/* The rule says what is to be done when an attempt fails. */
bool has_more(const struct rule_options *rule);
/* How long a try may take, in ms, and whether another one, or the network, may do better after it failed with this error. */
int64_t try_limit(const struct rule_options *rule);
bool is_unreachable(int error);

/* ms of CLOCK_MONOTONIC */
int64_t now_ms(void);

/*
 * Waits for the outcome of an attempt that persist.h looks after, as a blocking connect(2) does: SO_SNDTIMEO of fd,
 * signals. ATTEMPT_MADE, ATTEMPT_FAILED, or ATTEMPT_RUNNING with EINPROGRESS or EINTR.
 */
enum attempt_end attempt_await(int fd);

/* True when every signal handler of the process was installed with SA_RESTART. */
bool handlers_restart(void);

#endif
