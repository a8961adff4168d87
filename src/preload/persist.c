/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks after attempts to connect. */
#include "preload/persist.h"
#include "ip2vsock/config.h"
#include "preload/client.h"
#include "preload/end.h"
#include "preload/hot.h"
#include "preload/log.h"
#include "preload/note.h"
#include "preload/options.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/restore.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/stats.h"
#include "preload/udp_state.h"
#include "preload/wait.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define MOST 16384u
/* In ms: pauses between tries, and between looks at one that is under way. */
#define PAUSE_FIRST 10
#define PAUSE_LAST 250
#define LOOK_FIRST 2
#define LOOK_LAST 100

struct persistent {
	bool live;
	bool dropped;
	int fd;		 /* a number of the program's */
	pid_t pid;	 /* whose */
	uint64_t cookie; /* SO_COOKIE of the socket in its place */
	struct target target;
	struct ip_addr addr, source;
	bool bound; /* to source */
	int made;   /* the socket of this try, -1 between two */
	int64_t begun, end, next; /* ms: of this try; of all; when it is looked at again */
	int pause, error;
	struct greeting greeting;
};

/* A datagram socket that nobody reads, with a full queue: who is connected to it finds no room. */
struct deaf {
	int fd;
	struct stat file;
	struct sockaddr_storage name;
	socklen_t len;
};

static struct persist_table {
	struct persistent items[MOST];
	unsigned top;
	struct deaf deaf;
	/* A page that is empty in a child of fork: the thread that has the lock, and whether one of ours runs. */
	struct {
		uint32_t holder, thread;
	} *mine;
} *table;

unsigned persist_live;

static struct persist_table *table_get(void)
{
	struct persist_table *now = __atomic_load_n(&table, __ATOMIC_ACQUIRE), *nothing = NULL;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *mine;

	if (now)
		return now;
	now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, flags, -1, 0);
	mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (now != MAP_FAILED && mine != MAP_FAILED) {
		madvise(mine, 4096, MADV_WIPEONFORK);
		now->mine = mine;
		now->deaf.fd = -1;
		if (__atomic_compare_exchange_n(&table, &nothing, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return now;
	}
	if (now != MAP_FAILED)
		munmap(now, sizeof *now);
	if (mine != MAP_FAILED)
		munmap(mine, 4096);
	return nothing;
}

/* --- the lock: held for a few system calls that do not wait */

static uint32_t self(void)
{
	return (uint32_t)REAL(syscall)(SYS_gettid);
}

static bool lock_try(void)
{
	uint32_t nobody = 0;

	return __atomic_compare_exchange_n(&table->mine->holder, &nobody, self(), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* False when this thread has it already: it is in a signal handler. */
static bool lock(void)
{
	while (!lock_try()) {
		if (__atomic_load_n(&table->mine->holder, __ATOMIC_RELAXED) == self())
			return false;
		sched_yield();
	}
	return true;
}

static void unlock(void)
{
	__atomic_store_n(&table->mine->holder, 0, __ATOMIC_RELEASE);
}

/* --- the socket in between */

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof cookie;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
	return cookie;
}

bool is_waiting(int fd)
{
	int saved = errno;
	bool waiting = socket_domain(fd) == transport_unix.domain && option_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;

	errno = saved;
	return waiting;
}

/* Sends until the queue is full. A sender may own a part of it only. False when it does not fill. */
static bool deaf_fill(const struct deaf *deaf)
{
	for (int senders = 0; senders < 64; senders++) {
		int fd = REAL(socket)(transport_unix.domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), sent = 0;

		while (fd >= 0 && REAL(sendto)(fd, "", 0, 0, (const struct sockaddr *)&deaf->name, deaf->len) == 0)
			sent++;
		if (fd < 0)
			return false;
		REAL(close)(fd);
		if (!sent)
			return errno == EAGAIN;
	}
	return false;
}

static int deaf_make(struct deaf *deaf)
{
	int fd = descriptor_keep(REAL(socket)(transport_unix.domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	deaf->len = sizeof deaf->name;
	if (fd >= 0 && name_any(fd) == 0 && REAL(getsockname)(fd, (struct sockaddr *)&deaf->name, &deaf->len) == 0 &&
	    fstat(fd, &deaf->file) == 0 && deaf_fill(deaf)) {
		deaf->fd = fd;
		return 0;
	}
	if (fd >= 0)
		REAL(close)(fd);
	return -1;
}

static bool deaf_is_there(const struct deaf *deaf)
{
	struct stat file;

	return deaf->fd >= 0 && fstat(deaf->fd, &file) == 0 && file.st_ino == deaf->file.st_ino &&
	       file.st_dev == deaf->file.st_dev;
}

static bool deaf_connect(int fd)
{
	const struct deaf *deaf = &table->deaf;

	return REAL(connect)(fd, (const struct sockaddr *)&deaf->name, deaf->len) == 0;
}

/* With the lock. */
static int waiting_make(int fd, const struct socket_state *state, const struct mark *mark, const struct ip_addr *source)
{
	int made;

	if (!deaf_is_there(&table->deaf) && deaf_make(&table->deaf) < 0)
		return -1;
	made = socket_make(fd, state->hint, transport_unix.domain, SOCK_DGRAM);
	if (made < 0)
		return -1;
	if (source) {
		source_keep(made, source);
		end_source_set(made, source->port);
	}
	/* In another network namespace than before nobody has that name. */
	if ((deaf_connect(made) || (deaf_make(&table->deaf) == 0 && deaf_connect(made))) &&
	    mark_set(made, &transport_unix, mark) == 0)
		return made;
	close_quietly(made);
	return -1;
}

/* --- ends */

static void item_free(struct persistent *item)
{
	if (item->made >= 0)
		REAL(close)(item->made);
	item->made = -1;
	item->live = false;
	if (__atomic_sub_fetch(&persist_live, 1, __ATOMIC_RELEASE) == 0 && deaf_is_there(&table->deaf)) {
		REAL(close)(table->deaf.fd);
		table->deaf.fd = -1;
	}
}

/* Puts `made` in the place of the waiting socket. */
static bool item_install(struct persistent *item, int made, unsigned hint)
{
	int fd = item->fd;

	if (__atomic_load_n(&item->dropped, __ATOMIC_ACQUIRE) || cookie_of(fd) != item->cookie) {
		REAL(close)(made);
		return false;
	}
	if (socket_install_waking(fd, made) < 0)
		return false;
	hint_clear(fd);
	hint_set(fd, hint);
	return true;
}

/* As the program has set it on the waiting socket. */
static void flags_copy(int from, int to)
{
	int flags = REAL(fcntl)(from, F_GETFL);

	if (flags >= 0)
		REAL(fcntl)(to, F_SETFL, flags);
}

static void item_connected(struct persistent *item)
{
	const struct transport *transport = target_transport(&item->target);
	int made = item->made;
	struct mark mark;

	item->made = -1;
	/* What was set meanwhile. */
	options_copy(item->fd, made, 0);
	if (target_options(&item->target)->buffer)
		window_fix(made, transport, target_options(&item->target)->buffer);
	if (mark_get(item->fd, &transport_unix, &mark))
		mark_set(made, transport, &mark);
	flags_copy(item->fd, made);
	log_call("connect", item->fd, &item->addr, transport->name, &item->target.to, 0);
	item_install(item, made, HINT_ATTEMPT);
}

void fallback_say(const struct target *target, const struct ip_addr *addr, int error)
{
	static const struct rule *said[16];
	char buf[384], text_of[CONFIG_ENDPOINT_TEXT_SIZE];
	struct text text;

	stats_count(target->rule, STAT_FELL_BACK);
	for (unsigned i = 0; i < sizeof said / sizeof *said; i++) {
		const struct rule *nobody = NULL;

		if (__atomic_compare_exchange_n(&said[i], &nobody, target->rule, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
		if (nobody == target->rule)
			return;
	}
	if (!log_on(LOG_ERROR))
		return;
	log_line(&text, buf, sizeof buf);
	text_str(&text, target_name(target));
	text_str(&text, " ");
	text_str(&text, config_endpoint_text(&target->to, text_of, sizeof text_of));
	text_str(&text, " fails with ");
	log_error(&text, error);
	text_str(&text, ", using the network instead (");
	text_str(&text, ip_addr_text(addr, text_of));
	text_str(&text, ")");
	log_write(LOG_ERROR, &text);
}

/* connect(2) by the network: 0 also when it goes on, or the errno. */
static __attribute__((noinline)) int network_connect(int fd, const struct ip_addr *addr)
{
	struct sockaddr_storage sa;
	socklen_t len = ip_addr_write(addr, &sa);

	return REAL(connect)(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS ? errno : 0;
}

/* Connects by the network. 0, or the errno. */
static int item_fall_back(struct persistent *item)
{
	struct socket_state state;
	int made, error;

	fallback_say(&item->target, &item->addr, item->error);
	socket_look(item->fd, &state);
	made = inet_make(item->fd, &state, true);
	if (made < 0)
		return errno;
	REAL(fcntl)(made, F_SETFL, O_NONBLOCK);
	error = network_connect(made, &item->addr);
	if (error) {
		REAL(close)(made);
		return error;
	}
	flags_copy(item->fd, made);
	item_install(item, made, 0);
	return 0;
}

/* Not inlined, for a note is large: what follows has the stack for itself. */
static __attribute__((noinline)) void failure_keep(int fd, int error)
{
	struct note note;

	note_get(fd, &note);
	note_option_set(&note, NOTE_LEVEL, NOTE_ERROR, &error, sizeof error);
	note_set(fd, &note);
}

/* A socket that says so. */
static void item_failed(struct persistent *item, int error)
{
	int made = socket_make(item->fd, 0, transport_unix.domain, SOCK_STREAM);
	struct mark mark;

	errno = error;
	log_call("connect", item->fd, &item->addr, target_name(&item->target), &item->target.to, -1);
	if (made < 0 || !mark_get(item->fd, &transport_unix, &mark)) {
		if (made >= 0)
			REAL(close)(made);
		REAL(shutdown)(item->fd, SHUT_RDWR); /* at least it does not wait */
		return;
	}
	failure_keep(made, error);
	mark_set(made, &transport_unix, &mark);
	flags_copy(item->fd, made);
	item_install(item, made, HINT_ATTEMPT | HINT_PERSIST);
}

int failure_take(int fd)
{
	int error = 0, saved = errno;
	const void *value;
	struct note note;
	socklen_t size;

	note_get(fd, &note);
	value = note_option_get(&note, NOTE_LEVEL, NOTE_ERROR, &size);
	if (value) {
		memcpy(&error, value, sizeof error);
		note_option_drop(&note, NOTE_LEVEL, NOTE_ERROR);
		note_set(fd, &note);
	}
	errno = saved;
	return error;
}

/* --- tries */

static struct attempt attempt_of(const struct persistent *item)
{
	return (struct attempt){
		.fd = item->fd,
		.transport = target_transport(&item->target),
		.to = item->target.to,
		.rule = target_options(&item->target),
	};
}

/* The errno of a new try, which may go on. */
static int item_try(struct persistent *item, int64_t now)
{
	const struct attempt attempt = attempt_of(item);
	struct socket_state state;
	struct mark mark;

	stats_count(item->target.rule, STAT_RETRIED);
	socket_look(item->fd, &state);
	if (state.kind != KIND_OURS)
		return EBADF;
	mark = state.mark;
	item->begun = now;
	item->made = descriptor_keep(client_make(item->fd, &state, attempt.transport, &mark,
						 item->bound ? &item->source : NULL, attempt.rule, SOCK_NONBLOCK));
	if (item->made < 0)
		return errno;
	return try_begin(&attempt, item->made, &item->greeting);
}

static int item_look(struct persistent *item, int64_t now)
{
	const struct attempt attempt = attempt_of(item);
	int error = try_look(&attempt, item->made, &item->greeting);

	return error == EINPROGRESS && now - item->begun >= try_limit(attempt.rule) ? ETIMEDOUT : error;
}

/* Anything may come right later but what the kernel forbids. */
static bool is_retried(int error)
{
	return is_unreachable(error) || error == ENOBUFS || error == ENOMEM || error == EADDRINUSE;
}

static void item_step(struct persistent *item, int64_t now)
{
	int error = item->made >= 0 ? item_look(item, now) : item_try(item, now);

	if (error == EINPROGRESS) {
		int64_t pause = (now - item->begun) / 8;

		item->next = now + (pause < LOOK_FIRST ? LOOK_FIRST : pause > LOOK_LAST ? LOOK_LAST : pause);
		return;
	}
	if (error && item->made >= 0) {
		REAL(close)(item->made);
		item->made = -1;
	}
	if (is_retried(error) && now < item->end) {
		item->error = error;
		item->next = now + item->pause < item->end ? now + item->pause : item->end;
		item->pause = item->pause * 2 < PAUSE_LAST ? item->pause * 2 : PAUSE_LAST;
		return;
	}
	if (!error) {
		item_connected(item);
	} else {
		item->error = error;
		if (target_options(&item->target)->fallback && is_unreachable(error))
			error = item_fall_back(item);
		if (error)
			item_failed(item, error);
	}
	item_free(item);
}

/* Another number of the socket, when the one that is known was closed; -1. */
static int number_find(const struct persistent *item, int except)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);

	for (unsigned fd = 0; fd < top; fd++)
		if ((int)fd != except && hint_settled(hint_get((int)fd)) & HINT_PERSIST && cookie_of((int)fd) == item->cookie)
			return (int)fd;
	return -1;
}

static bool item_is_there(struct persistent *item)
{
	if (cookie_of(item->fd) != item->cookie)
		item->fd = number_find(item, -1);
	return item->fd >= 0;
}

void persist_drive_now(void)
{
	int saved = errno;
	int64_t now = now_ms();

	/* Who has the lock does it. */
	if (!lock_try())
		return;
	for (unsigned i = 0; i < table->top; i++) {
		struct persistent *item = &table->items[i];

		if (!item->live || (item->next > now && !item->dropped))
			continue;
		if (item->dropped || !item_is_there(item))
			item_free(item);
		else
			item_step(item, now);
	}
	unlock();
	errno = saved;
}

bool persist_touch_now(int fd, int flags)
{
	int saved = errno;

	if (!(hint_settled(hint_get(fd)) & HINT_PERSIST))
		return true;
	persist_drive_now();
	if (is_waiting(fd) && !(flags & MSG_DONTWAIT) && !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)) {
		enum attempt_end end = attempt_await(fd);

		if (end != ATTEMPT_MADE) {
			if (end == ATTEMPT_RUNNING && errno == EINPROGRESS)
				errno = EAGAIN;
			return false;
		}
	}
	errno = saved;
	return true;
}

/* --- who drives */

int64_t persist_until(int64_t until)
{
	int64_t soon;

	if (!__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE))
		return until;
	if (!lock_try()) { /* somebody changes it just now */
		soon = now_ms() + LOOK_FIRST;
		return soon < until ? soon : until;
	}
	for (unsigned i = 0; i < table->top; i++)
		if (table->items[i].live && table->items[i].next < until)
			until = table->items[i].next;
	unlock();
	return until;
}

int64_t persist_wait_until(int64_t until)
{
	int64_t soon;

	if (!__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE) || until == WAIT_NOT ||
	    __atomic_load_n(&table->mine->thread, __ATOMIC_RELAXED))
		return until;
	soon = persist_until(INT64_MAX);
	if (soon == INT64_MAX)
		return until;
	soon = soon * 1000000 + 999999;
	return soon < until ? soon : until;
}

/* Until nobody needs it. */
static void *thread_run(void *unused)
{
	uint32_t *running = &table->mine->thread, no = 0;

	do {
		while (__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE)) {
			int64_t now, next;

			persist_drive_now();
			now = now_ms();
			next = persist_until(now + LOOK_LAST);
			if (next <= now)
				next = now + 1;
			nanosleep(&(struct timespec){.tv_nsec = (long)(next - now) * 1000000}, NULL);
		}
		__atomic_store_n(running, 0, __ATOMIC_RELEASE);
	} while (__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE) &&
		 __atomic_compare_exchange_n(running, &no, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return unused;
}

/* One that waits already would not know that it is to drive. */
static void drivers_find(void)
{
	uint32_t no = 0;

	hot_udp();
	if (real_has_threads() && __atomic_compare_exchange_n(&table->mine->thread, &no, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    !real_thread_start(thread_run))
		__atomic_store_n(&table->mine->thread, 0, __ATOMIC_RELEASE);
}

/* --- begin */

/* With the lock. */
static struct persistent *item_take(void)
{
	for (unsigned i = 0; i < MOST; i++) {
		struct persistent *item = &table->items[i];

		if (item->live)
			continue;
		if (i >= table->top)
			table->top = i + 1;
		return item;
	}
	return NULL;
}

static int begin_locked(const struct attempt *attempt, const struct target *target, const struct ip_addr *addr,
			const struct ip_addr *source, const struct mark *mark, int made, int error)
{
	struct persistent *item = item_take();
	int64_t now = now_ms();
	int fd = attempt->fd, waiting;

	waiting = item ? waiting_make(fd, attempt->state, mark, source) : -1;
	if (waiting < 0 || socket_install(fd, hint_get(fd), waiting) < 0)
		return -1;
	hint_clear(fd);
	*item = (struct persistent){
		.live = true,
		.fd = fd,
		.pid = getpid(),
		.cookie = cookie_of(fd),
		.target = *target,
		.addr = *addr,
		.bound = source,
		.made = made,
		.begun = attempt->start && attempt->transport->greets ? attempt->start : now,
		.end = now + attempt->rule->retry,
		.next = made >= 0 ? now + LOOK_FIRST : error ? now + PAUSE_FIRST : now,
		.pause = PAUSE_FIRST,
		.error = error,
		.greeting = attempt->greeting,
	};
	if (source)
		item->source = *source;
	hint_set(fd, HINT_ATTEMPT | HINT_PERSIST);
	__atomic_fetch_add(&persist_live, 1, __ATOMIC_RELEASE);
	return 0;
}

int persist_begin(const struct attempt *attempt, const struct target *target, const struct ip_addr *addr,
		  const struct ip_addr *source, const struct mark *mark, int made, int error)
{
	int saved = errno, result = -1;

	if (table_get() && lock()) {
		made = descriptor_keep(made);
		result = begin_locked(attempt, target, addr, source, mark, made, error);
		unlock();
	}
	if (result < 0 && made >= 0)
		REAL(close)(made);
	if (result == 0)
		drivers_find();
	errno = saved;
	return result;
}

void persist_closed(int fd)
{
	int saved = errno;
	bool locked;

	if (!__atomic_load_n(&persist_live, __ATOMIC_ACQUIRE))
		return;
	locked = lock();
	for (unsigned i = 0; i < table->top; i++) {
		struct persistent *item = &table->items[i];

		/* A child of vfork closes a copy; one of fork finds out when it drives. */
		if (!item->live || item->fd != fd || item->pid != getpid())
			continue;
		if (!locked) {
			__atomic_store_n(&item->dropped, true, __ATOMIC_RELEASE);
			continue;
		}
		item->fd = number_find(item, fd);
		if (item->fd < 0)
			item_free(item);
	}
	if (locked)
		unlock();
	errno = saved;
}
