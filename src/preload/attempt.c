/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attempt to connect, from its first try to its end. */
#include "preload/attempt.h"
#include "preload/chosen.h"
#include "preload/emulate.h"
#include "preload/greet.h"
#include "preload/log.h"
#include "preload/listeners.h"
#include "preload/persist.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

/* AF_VSOCK gives up after this time if nothing else was set (VSOCK_DEFAULT_CONNECT_TIMEOUT). */
#define USUAL_LIMIT 2000
/* In ms, between two tries at a full backlog: as long as TCP waits at least. */
#define PAUSE_MOST 1024

int64_t now_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* 0 stays 0, and nothing else becomes 0. */
static int64_t time_ms(const struct timeval *time)
{
	return time->tv_sec * INT64_C(1000) + (time->tv_usec + 999) / 1000;
}

static struct timeval time_of(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static enum attempt_end ended(enum attempt_end end, int error)
{
	errno = error;
	return end;
}

static enum attempt_end attempt_cut(struct attempt *attempt, int why)
{
	attempt->cut = why;
	return ATTEMPT_CUT;
}

/* --- how long */

/* An option of level IPPROTO_TCP, of a TCP socket or of one of ours. */
static int tcp_option(int fd, const struct socket_state *state, int option)
{
	int value = 0;
	socklen_t size = sizeof value;

	if (state->kind != KIND_OURS)
		return option_int(fd, IPPROTO_TCP, option);
	return emulate_get(fd, &state->mark, IPPROTO_TCP, option, &value, &size) < 0 ? 0 : value;
}

/* None was set that an attempt depends on. */
static bool options_unset(int fd, unsigned hint)
{
	if (hint & HINT_STREAM && !(hint & HINT_MANY))
		return !(hint & HINT_OPTIONS) ||
		       !(chosen_has(fd, SOL_SOCKET, SO_SNDTIMEO) || chosen_has(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) ||
			 chosen_has(fd, IPPROTO_TCP, TCP_SYNCNT));
	return (hint & (HINT_LISTEN | HINT_INHERIT)) == HINT_LISTEN;
}

/*
 * In ms, how long TCP sends SYNs to a peer that does not answer: a first one and TCP_SYNCNT more (tcp_syn_retries,
 * 6, if it was not set), after 1, 2, 4 ... 120 seconds; not longer than TCP_USER_TIMEOUT, but for the first
 * (tcp_write_timeout in net/ipv4/tcp_timer.c).
 */
static int64_t patience_ask(int fd, const struct socket_state *state)
{
	int retries = tcp_option(fd, state, TCP_SYNCNT);
	int64_t sum = 1000, pause = 1000, user;

	for (int i = 0; i < retries; i++) {
		pause = pause < 60000 ? pause * 2 : 120000;
		sum += pause;
	}
	user = options_unset(fd, state->hint) ? 0 : tcp_option(fd, state, TCP_USER_TIMEOUT);
	if (user > 0 && user < sum)
		return user < 1000 ? 1000 : user;
	return sum;
}

static bool is_blocking(int fd, unsigned hint)
{
	if (hint & HINT_STREAM && !(hint & HINT_FLAGS))
		return !(hint & HINT_NONBLOCK);
	return !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
}

static struct timeval send_limit_ask(int fd)
{
	struct timeval limit = {0};
	socklen_t size = sizeof limit;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size);
	return limit;
}

bool has_more(const struct rule_options *rule)
{
	return rule->retry || rule->fallback;
}

int64_t try_limit(const struct rule_options *rule)
{
	return rule->timeout ? rule->timeout : USUAL_LIMIT;
}

bool is_unreachable(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == ETIMEDOUT;
}

static void attempt_plan(struct attempt *attempt, int64_t already)
{
	if (attempt->planned)
		return;
	attempt->planned = true;
	attempt->start = now_ms() - already;
	if (!options_unset(attempt->fd, attempt->state->hint))
		attempt->send_limit = send_limit_ask(attempt->fd);
	attempt->patience = patience_ask(attempt->fd, attempt->state);
	if (has_more(attempt->rule) || attempt->rule->timeout)
		attempt->patience = try_limit(attempt->rule) < attempt->patience ? try_limit(attempt->rule) : attempt->patience;
}

static int64_t patience_left(const struct attempt *attempt)
{
	return attempt->start + attempt->patience - now_ms();
}

/* When SO_SNDTIMEO ends a call that began at `start`. */
static int64_t call_end(const struct timeval *send_limit, int64_t start)
{
	return time_ms(send_limit) ? start + time_ms(send_limit) : INT64_MAX;
}

static bool call_is_over(const struct attempt *attempt)
{
	return now_ms() >= call_end(&attempt->send_limit, attempt->start);
}

/* For poll(2). Whoever waits long asks again. */
static int wait_ms(int64_t until)
{
	int64_t left = until == INT64_MAX ? -1 : until - now_ms();

	return until == INT64_MAX ? -1 : left < 0 ? 0 : left < 1000000 ? (int)left : 1000000;
}

static void limit_set(const struct attempt *attempt, int made, const struct timeval *limit)
{
	REAL(setsockopt)
	(made, attempt->transport->limit_level, attempt->transport->limit_option, limit, sizeof *limit);
}

/* --- signals */

bool handlers_restart(void)
{
	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN && !(action.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

/*
 * On TCP an attempt that is interrupted goes on: connect is restarted (SA_RESTART), or says EINTR and completes in
 * the background (connect(2)); with SO_SNDTIMEO always the latter (signal(7)). Which handler ran cannot be known;
 * where they do not all restart, the program is ready for EINTR.
 */
static bool is_restarted(const struct timeval *send_limit)
{
	return time_ms(send_limit) == 0 && handlers_restart();
}

/* --- one try */

/* connect(2). 0, or the errno of the transport. */
static int endpoint_connect(const struct attempt *attempt, int made)
{
	struct sockaddr_storage sa;
	socklen_t len = attempt->transport->encode(&settings()->realm, &attempt->to, &sa);

	return REAL(connect)(made, (struct sockaddr *)&sa, len) < 0 ? errno : 0;
}

/*
 * A full backlog. Clients of TCP try again until there is room; AF_VSOCK resets them, as it does where nobody
 * listens. On this machine the two can be told apart, and this waits as TCP does; a port that is bound
 * but not listened on is refused at once, like one of another machine.
 */
static enum attempt_end backlog_wait(struct attempt *attempt, int made)
{
	int error = ECONNRESET;

	for (int pause = 1; error == ECONNRESET; pause = pause < PAUSE_MOST ? pause * 2 : pause) {
		int left;

		/* The list is long where there is a crowd: it is not read for the short pauses in between. */
		if ((pause == 1 || pause == PAUSE_MOST) && !listener_exists(attempt->transport, &attempt->to))
			return ended(ATTEMPT_FAILED, ECONNREFUSED);
		attempt_plan(attempt, 0);
		if (patience_left(attempt) <= 0)
			return ended(ATTEMPT_FAILED, ETIMEDOUT);
		if (call_is_over(attempt))
			return attempt_cut(attempt, EINPROGRESS);
		left = wait_ms(call_end(&attempt->send_limit, attempt->start));
		if (REAL(poll)(NULL, 0, left > 0 && left < pause ? left : pause) < 0 && !is_restarted(&attempt->send_limit))
			return attempt_cut(attempt, EINTR);
		error = endpoint_connect(attempt, made);
	}
	if (error == EINTR)
		return attempt_cut(attempt, EINTR);
	return error ? ended(ATTEMPT_FAILED, error_of_connect(error)) : ATTEMPT_MADE;
}

/*
 * AF_UNIX waits in connect for room in a backlog, and there is no attempt in the background. For a non-blocking
 * socket the listener gets a moment to make room.
 */
static enum attempt_end backlog_wait_briefly(const struct attempt *attempt, int made)
{
	int error = EAGAIN;

	if (is_blocking(made, 0)) /* then its limit is over */
		return ended(ATTEMPT_FAILED, patience_left(attempt) <= 0 ? ETIMEDOUT : EINPROGRESS);
	for (int pause = 1; error == EAGAIN && pause <= 8; pause *= 2) {
		REAL(poll)(NULL, 0, pause);
		error = endpoint_connect(attempt, made);
	}
	return error ? ended(ATTEMPT_FAILED, error_of_connect(error)) : ATTEMPT_MADE;
}

/* What a first try said. */
static enum attempt_end attempt_end(struct attempt *attempt, int made, int error)
{
	bool background = attempt->transport->background;

	switch (error) {
	case 0:
		return ATTEMPT_MADE;
	case EINPROGRESS:
		return ended(ATTEMPT_RUNNING, EINPROGRESS);
	case ECONNRESET:
		return backlog_wait(attempt, made);
	case EAGAIN:
		return backlog_wait_briefly(attempt, made);
	case EINTR:
		return background ? attempt_cut(attempt, EINTR) : ended(ATTEMPT_FAILED, EINTR);
	case ETIMEDOUT:
		attempt_plan(attempt, USUAL_LIMIT);
		if (patience_left(attempt) <= 0)
			return ended(ATTEMPT_FAILED, ETIMEDOUT);
		return attempt_cut(attempt, call_is_over(attempt) ? EINPROGRESS : ETIMEDOUT);
	default:
		return ended(ATTEMPT_FAILED, error_of_connect(error));
	}
}

/* --- a monitor */

/* connect(2) of a unix socket in the file system, and the request. 0, EAGAIN where the backlog is full, or an errno of TCP's. */
static int monitor_reach(const struct attempt *attempt, int made, struct greeting *greeting)
{
	struct endpoint door = {.path = attempt->to.path, .port = VMADDR_PORT_ANY};
	struct sockaddr_storage sa;
	socklen_t len = attempt->transport->encode(&settings()->realm, &door, &sa);

	greeting->asked = false;
	if (REAL(connect)(made, (struct sockaddr *)&sa, len) == 0)
		return greet_begin(made, attempt->to.port, greeting);
	return error_of_monitor(errno);
}

static __attribute__((noinline)) void refusal_log(const struct greeting *greeting)
{
	char buf[192];
	struct text text;

	log_line(&text, buf, sizeof buf);
	if (greeting->have) {
		text_str(&text, "the monitor answered ");
		text_quoted(&text, greeting->line, greeting->have);
		text_str(&text, ", expected OK and a number");
	} else {
		text_str(&text, "the monitor closed the connection: nobody listens on that port of the guest");
	}
	log_write(LOG_INFO, &text);
}

static int answer_take(int made, struct greeting *greeting)
{
	int error = greet_go_on(made, greeting);

	if (error == ECONNREFUSED && log_on(LOG_INFO))
		refusal_log(greeting);
	return error;
}

/* Waits for the answer until then: ETIMEDOUT, EINTR. */
static int monitor_answer(struct attempt *attempt, int made, int64_t until)
{
	struct pollfd poll_fd = {.fd = made, .events = POLLIN};
	int error = EAGAIN;

	while (error == EAGAIN) {
		int count = REAL(poll)(&poll_fd, 1, wait_ms(until));

		if (count < 0 && !is_restarted(&attempt->send_limit))
			return EINTR;
		if (count == 0 && now_ms() >= until)
			return ETIMEDOUT;
		if (count > 0)
			error = answer_take(made, &attempt->greeting);
	}
	return error;
}

/* A full backlog: a monitor that has much to do, or none to do it. */
static int monitor_backlog(struct attempt *attempt, int made, int64_t until)
{
	int error = EAGAIN;

	for (int pause = 1; error == EAGAIN; pause = pause < 64 ? pause * 2 : pause) {
		int left = wait_ms(until);

		if (left == 0)
			return ETIMEDOUT;
		if (REAL(poll)(NULL, 0, left < pause ? left : pause) < 0 && !is_restarted(&attempt->send_limit))
			return EINTR;
		error = monitor_reach(attempt, made, &attempt->greeting);
	}
	return error;
}

/* So long a non-blocking connect waits for a monitor, or for bad news: the usual answer of one on this machine is quicker. */
#define MOMENT 10

static enum attempt_end monitor_connect(struct attempt *attempt, int made)
{
	bool blocking = is_blocking(attempt->fd, attempt->state->hint);
	int64_t start = now_ms(), most = start + try_limit(attempt->rule), until = blocking ? most : start + MOMENT;
	int error;

	attempt->start = start;
	if (blocking && !options_unset(attempt->fd, attempt->state->hint)) {
		attempt->send_limit = send_limit_ask(attempt->fd);
		if (call_end(&attempt->send_limit, start) < until)
			until = call_end(&attempt->send_limit, start);
	}
	error = monitor_reach(attempt, made, &attempt->greeting);
	if (error == EAGAIN)
		error = monitor_backlog(attempt, made, until);
	if (!error)
		error = monitor_answer(attempt, made, until);
	if (error == EINTR || (error == ETIMEDOUT && until < most))
		return ended(ATTEMPT_WAITS, error == EINTR ? EINTR : EINPROGRESS);
	if (error)
		return ended(ATTEMPT_FAILED, error);
	if (!blocking) /* TCP tells a non-blocking socket only later, and programs count on that */
		return ended(ATTEMPT_RUNNING, EINPROGRESS);
	REAL(ioctl)(made, FIONBIO, &(int){0});
	return ATTEMPT_MADE;
}

enum attempt_end attempt_begin(struct attempt *attempt, int made)
{
	const struct transport *transport = attempt->transport;
	unsigned hint = attempt->state->hint;
	bool limited = attempt->rule->timeout || has_more(attempt->rule) || !options_unset(attempt->fd, hint) ||
		       (transport->background && !is_blocking(made, hint));
	enum attempt_end end;
	int error;

	if (transport->greets)
		return monitor_connect(attempt, made);
	if (limited) {
		struct timeval limit;

		attempt_plan(attempt, 0);
		limit = time_of(attempt->patience);
		if (time_ms(&attempt->send_limit) && time_ms(&attempt->send_limit) < attempt->patience &&
		    is_blocking(made, hint))
			limit = attempt->send_limit;
		limit_set(attempt, made, &limit);
	}
	end = attempt_end(attempt, made, endpoint_connect(attempt, made));
	if (limited && !transport->background) { /* there the limit is the program's own option */
		error = errno;
		limit_set(attempt, made, &attempt->send_limit);
		errno = error;
	}
	/* AF_UNIX is done at once; TCP tells a non-blocking socket so only later, and programs count on that. */
	if (end == ATTEMPT_MADE && !transport->background && !is_blocking(made, hint))
		return ended(ATTEMPT_RUNNING, EINPROGRESS);
	return end;
}

enum attempt_end attempt_glance(const struct attempt *attempt, int made)
{
	struct pollfd poll_fd = {.fd = made, .events = POLLOUT};
	int64_t until = now_ms() + MOMENT;
	int error = errno, told;

	if (attempt->transport->greets) /* it is connected */
		return ended(ATTEMPT_RUNNING, error);
	while (REAL(poll)(&poll_fd, 1, wait_ms(until)) <= 0)
		if (now_ms() >= until)
			return ended(ATTEMPT_WAITS, error);
	told = option_int(made, SOL_SOCKET, SO_ERROR);
	return told ? ended(ATTEMPT_FAILED, error_of_connect(told)) : ended(ATTEMPT_RUNNING, error);
}

/* --- tries that somebody else repeats */

int try_begin(const struct attempt *attempt, int made, struct greeting *greeting)
{
	struct timeval limit = time_of(try_limit(attempt->rule));
	int error;

	if (attempt->transport->greets) {
		error = monitor_reach(attempt, made, greeting);
		return !error || error == EAGAIN ? EINPROGRESS : error;
	}
	if (attempt->transport->background)
		limit_set(attempt, made, &limit);
	error = endpoint_connect(attempt, made);
	return error && error != EINPROGRESS ? error_of_connect(error) : error;
}

int try_look(const struct attempt *attempt, int made, struct greeting *greeting)
{
	struct pollfd poll_fd = {.fd = made, .events = POLLOUT};
	int error;

	if (attempt->transport->greets) {
		if (!greeting->asked) /* the backlog was full */
			return try_begin(attempt, made, greeting);
		error = answer_take(made, greeting);
		return error == EAGAIN ? EINPROGRESS : error;
	}
	if (REAL(poll)(&poll_fd, 1, 0) <= 0)
		return EINPROGRESS;
	error = option_int(made, SOL_SOCKET, SO_ERROR);
	return error ? error_of_connect(error) : 0;
}

/* --- what goes on */

/* Waits for the end of a pending attempt, until a moment of the clock of now_ms(). */
static enum attempt_end attempt_wait(int fd, const struct timeval *send_limit, int64_t until)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int error, count;

	while ((count = REAL(poll)(&poll_fd, 1, wait_ms(until))) <= 0) {
		if (count == 0 && now_ms() >= until)
			return ended(ATTEMPT_RUNNING, EINPROGRESS);
		if (count < 0 && (errno != EINTR || !is_restarted(send_limit)))
			return ended(ATTEMPT_RUNNING, EINTR);
	}
	error = option_int(fd, SOL_SOCKET, SO_ERROR);
	return error ? ended(ATTEMPT_FAILED, error_of_connect(error)) : ATTEMPT_MADE;
}

/*
 * A second, non-blocking try, which no signal cancels. It fills the rest of TCP's patience, in the background where
 * the program has its call back.
 */
enum attempt_end attempt_go_on(struct attempt *attempt, int made)
{
	int flags = REAL(fcntl)(made, F_GETFL), error;
	enum attempt_end end;
	struct timeval limit;

	attempt_plan(attempt, 0);
	limit = time_of(patience_left(attempt) > 0 ? patience_left(attempt) : 1);
	limit_set(attempt, made, &limit);
	REAL(fcntl)(made, F_SETFL, flags | O_NONBLOCK);
	error = endpoint_connect(attempt, made);
	if (error != EINPROGRESS)
		end = error ? ended(ATTEMPT_FAILED, error_of_connect(error)) : ATTEMPT_MADE;
	else if (attempt->cut == EINPROGRESS || (attempt->cut == EINTR && !is_restarted(&attempt->send_limit)))
		end = ended(ATTEMPT_RUNNING, attempt->cut);
	else
		end = attempt_wait(made, &attempt->send_limit, call_end(&attempt->send_limit, attempt->start));
	error = errno;
	REAL(fcntl)(made, F_SETFL, flags);
	errno = error;
	return end;
}

/* --- asked about later */

/*
 * True when a connection was made and then shut down, which getpeername does not tell from none. AF_VSOCK looks at
 * what the socket is doing before it looks at the address, and it will not have this one.
 */
static bool is_shut(int fd)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int flags = REAL(fcntl)(fd, F_GETFL), error;

	REAL(fcntl)(fd, F_SETFL, flags | O_NONBLOCK);
	error = REAL(connect)(fd, &none, sizeof none) < 0 ? errno : 0;
	REAL(fcntl)(fd, F_SETFL, flags);
	return error != EALREADY;
}

enum attempt_state attempt_look(int fd, const struct socket_state *state)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	enum attempt_state result;
	struct peer_kept peer;
	int saved = errno;

	if (state->transport->greets && is_waiting(fd))
		return ATTEMPT_PENDING;
	if (is_connected(fd) || peer_kept_get(fd, &peer)) {
		errno = saved;
		return ATTEMPT_CONNECTED;
	}
	if (state->mark.kind != MARK_PEER) {
		errno = saved;
		return ATTEMPT_NONE;
	}
	if (state->transport->greets) { /* such clients take the program's place when it is over, well or badly */
		errno = saved;
		return ATTEMPT_OVER;
	}
	REAL(poll)(&poll_fd, 1, 0);
	/* A failed one is writable, with or without POLLERR; what was shut down has more to say, or nothing. */
	if (poll_fd.revents & (POLLIN | POLLHUP | POLLRDHUP) || (!poll_fd.revents && is_shut(fd)))
		result = ATTEMPT_CONNECTED;
	else if (poll_fd.revents)
		result = is_connected(fd) ? ATTEMPT_CONNECTED : ATTEMPT_OVER; /* just now */
	else
		result = ATTEMPT_PENDING;
	errno = saved;
	return result;
}

enum attempt_end attempt_await(int fd)
{
	struct timeval limit = send_limit_ask(fd);
	int64_t until = call_end(&limit, now_ms());
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int error;

	while (persist_drive(), is_waiting(fd)) {
		int64_t soon = persist_until(until);

		if (REAL(poll)(&poll_fd, 1, wait_ms(soon)) < 0 && !is_restarted(&limit))
			return ended(ATTEMPT_RUNNING, EINTR);
		if (now_ms() >= until)
			return ended(ATTEMPT_RUNNING, EINPROGRESS);
	}
	/* Connected; or failed; or a TCP socket that is about to be (fallback=inet). */
	if (attempt_wait(fd, &limit, until) == ATTEMPT_RUNNING)
		return ATTEMPT_RUNNING;
	error = errno;
	if (is_connected(fd))
		return ATTEMPT_MADE;
	return ended(ATTEMPT_FAILED, socket_domain(fd) == transport_unix.domain ? attempt_error(fd) : error);
}

enum attempt_end attempt_join(int fd, const struct socket_state *state)
{
	struct timeval limit;
	enum attempt_end end;

	if (!is_blocking(fd, state->hint))
		return ended(ATTEMPT_RUNNING, EALREADY);
	if (state->transport->greets) {
		end = attempt_await(fd);
	} else {
		limit = send_limit_ask(fd);
		end = attempt_wait(fd, &limit, call_end(&limit, now_ms()));
	}
	return end == ATTEMPT_RUNNING && errno == EINPROGRESS ? ended(end, EALREADY) : end;
}

int attempt_error(int fd)
{
	int error = option_int(fd, SOL_SOCKET, SO_ERROR);

	if (!error && socket_domain(fd) == transport_unix.domain && (error = failure_take(fd)))
		return error;
	return error ? error_of_connect(error) : ECONNABORTED;
}
