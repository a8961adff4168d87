/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP listeners beside ours. */
#include "preload/beside.h"
#include "preload/attempt.h"
#include "preload/copies.h"
#include "preload/decide.h"
#include "preload/hot.h"
#include "preload/log.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/udp_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LISTENING (1 << 30)
#define OWN (-1)

struct beside_table {
	int32_t of[HINT_COUNT]; /* of a number: that of the one beside it, + 1, with LISTENING; OWN: is beside another; or 0 */
	unsigned top, own_top;	/* one more than the highest that ever was */
	pid_t *mine;		/* whose descriptors these are, in a page that is empty in a child of fork */
};

struct beside_table *beside_table;

static struct beside_table *table_get(void)
{
	struct beside_table *now = __atomic_load_n(&beside_table, __ATOMIC_ACQUIRE), *nothing = NULL;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *mine;

	if (now)
		return now;
	now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, flags, -1, 0);
	mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (now != MAP_FAILED && mine != MAP_FAILED) {
		madvise(mine, 4096, MADV_WIPEONFORK);
		now->mine = mine;
		*now->mine = getpid();
		if (__atomic_compare_exchange_n(&beside_table, &nothing, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			hot_udp();
			return now;
		}
	}
	if (now != MAP_FAILED)
		munmap(now, sizeof *now);
	if (mine != MAP_FAILED)
		munmap(mine, 4096);
	return nothing;
}

/* What a child of fork has is its own. */
static struct beside_table *table_here(void)
{
	struct beside_table *now = beside_table;

	if (!__atomic_load_n(now->mine, __ATOMIC_RELAXED))
		__atomic_store_n(now->mine, getpid(), __ATOMIC_RELAXED);
	return now;
}

/* False in a child of vfork: it has the memory of its parent, and descriptors of its own. */
static bool memory_is_ours(void)
{
	return *table_here()->mine == getpid();
}

static int32_t entry_get(int fd)
{
	return (unsigned)fd < HINT_COUNT ? __atomic_load_n(&table_here()->of[fd], __ATOMIC_ACQUIRE) : 0;
}

static void entry_set(int fd, int32_t entry, unsigned *top)
{
	unsigned before = __atomic_load_n(top, __ATOMIC_RELAXED);

	__atomic_store_n(&beside_table->of[fd], entry, __ATOMIC_RELEASE);
	while (before <= (unsigned)fd &&
	       !__atomic_compare_exchange_n(top, &before, (unsigned)fd + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

int beside_find(int fd)
{
	int32_t entry = entry_get(fd);

	return entry > 0 ? (entry & ~LISTENING) - 1 : -1;
}

int beside_find_listening(int fd)
{
	int32_t entry = entry_get(fd);

	return entry > 0 && entry & LISTENING ? (entry & ~LISTENING) - 1 : -1;
}

bool beside_find_own(int fd)
{
	return entry_get(fd) == OWN;
}

static void pair_set(int fd, int tcp, bool listening)
{
	if ((unsigned)tcp < HINT_COUNT)
		entry_set(tcp, OWN, &beside_table->own_top);
	entry_set(fd, (tcp + 1) | (listening ? LISTENING : 0), &beside_table->top);
}

static void pair_drop(int fd, int tcp)
{
	__atomic_store_n(&beside_table->of[fd], 0, __ATOMIC_RELEASE);
	if ((unsigned)tcp < HINT_COUNT)
		__atomic_store_n(&beside_table->of[tcp], 0, __ATOMIC_RELEASE);
}

/* --- what tells a program that is executed which of its descriptors are those */

#define FACTS_MOST (NOTE_VALUE_MOST / sizeof(int32_t))

struct facts {
	int32_t numbers[FACTS_MOST]; /* the latest first; some may not be there any more, or be of other processes */
	unsigned count;
};

static void facts_read(struct note *note, struct facts *out)
{
	socklen_t size = 0;
	const void *value = note_option_get(note, NOTE_LEVEL, NOTE_BESIDE, &size);

	out->count = 0;
	if (!value || size > sizeof out->numbers)
		return;
	memcpy(out->numbers, value, size);
	out->count = size / sizeof *out->numbers;
}

static __attribute__((noinline)) void fact_add(int fd, int tcp)
{
	struct facts before, after = {{tcp}, 1};
	struct note note;

	note_get(fd, &note);
	facts_read(&note, &before);
	for (unsigned i = 0; i < before.count && after.count < FACTS_MOST; i++)
		if (before.numbers[i] != tcp)
			after.numbers[after.count++] = before.numbers[i];
	if (note_option_set(&note, NOTE_LEVEL, NOTE_BESIDE, after.numbers, after.count * (socklen_t)sizeof *after.numbers))
		note_set(fd, &note);
}

static __attribute__((noinline)) void facts_get(int fd, struct facts *out)
{
	struct note note;

	note_get(fd, &note);
	facts_read(&note, out);
}

bool beside_exists(int listener)
{
	struct facts facts;

	facts_get(listener, &facts);
	return facts.count;
}

/* A TCP socket that has this name, and is no connection. */
static bool is_named(int tcp, const struct ip_addr *name)
{
	struct ip_addr own;

	return option_int(tcp, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && inet_bound(tcp, &own) && own.port == name->port &&
	       memcmp(&own.ip, &name->ip, sizeof own.ip) == 0 && !is_connected(tcp);
}

void beside_learn(int fd, const struct mark *mark)
{
	struct facts facts;
	int saved = errno, found = -1;

	if (beside_get(fd) >= 0)
		return;
	facts_get(fd, &facts);
	for (unsigned i = 0; i < facts.count && found < 0; i++)
		if (!beside_is_own(facts.numbers[i]) && is_named(facts.numbers[i], &mark->addr))
			found = facts.numbers[i];
	/* The descriptor was passed to where it came from: another number has what is beside it. */
	for (unsigned i = 0; i < facts.count && found < 0; i++)
		if (beside_is_own(facts.numbers[i]) && is_named(facts.numbers[i], &mark->addr))
			found = descriptor_keep(REAL(fcntl)(facts.numbers[i], F_DUPFD_CLOEXEC, 0));
	if (found >= 0 && beside_room(fd) == 0)
		pair_set(fd, found, option_int(found, SOL_SOCKET, SO_ACCEPTCONN));
	errno = saved;
}

/* --- what is done to both */

int beside_room(int fd)
{
	return (unsigned)fd < HINT_COUNT && remembered_get() && table_get() ? 0 : fail(ENOBUFS);
}

/* Of each number its own, which is closed, and kept open by exec, as that. */
static void pair_copy(int fd, int copy)
{
	int tcp = beside_find(fd), made = descriptor_keep(REAL(fcntl)(tcp, F_DUPFD_CLOEXEC, 0));

	if (made < 0)
		return;
	if (!(REAL(fcntl)(copy, F_GETFD) & FD_CLOEXEC))
		REAL(fcntl)(made, F_SETFD, 0);
	if (memory_is_ours())
		pair_set(copy, made, beside_find_listening(fd) >= 0);
	fact_add(copy, made);
}

void beside_set(int fd, int tcp, bool duplicated)
{
	struct copies *copies = duplicated ? copies_find(fd) : NULL;
	const int *fds = copies ? copies->fds.items : NULL;

	pair_set(fd, tcp, false);
	beside_cloexec(fd);
	fact_add(fd, tcp);
	for (int i = 0; copies && i < copies->fds.count; i++)
		/* A socket that shares the port by SO_REUSEPORT has its own. */
		if ((unsigned)fds[i] < HINT_COUNT && beside_find(fds[i]) < 0) {
			hint_set(fds[i], hint_get(fd));
			pair_copy(fd, fds[i]);
		}
	if (copies)
		copies_free(copies);
}

int beside_back(int fd)
{
	int tcp = beside_get(fd), made = tcp < 0 ? -1 : REAL(fcntl)(tcp, F_DUPFD_CLOEXEC, 0);

	if (made < 0)
		return -1;
	if (beside_listening(fd) >= 0) /* wakes who waits for it, and keeps the address */
		REAL(shutdown)(made, SHUT_RDWR);
	REAL(fcntl)(made, F_SETFL, REAL(fcntl)(fd, F_GETFL));
	return made;
}

void beside_watch(int tcp, int epfd, int op, const struct epoll_event *event)
{
	struct epoll_event copy = {.events = 0};
	int saved = errno;

	if (op != EPOLL_CTL_DEL)
		copy = *event;
	/* It may be that only one of the two is known to the instance: one listens since. */
	if (REAL(epoll_ctl)(epfd, op, tcp, &copy) < 0 && op != EPOLL_CTL_DEL)
		REAL(epoll_ctl)(epfd, op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, tcp, &copy);
	errno = saved;
}

/* All numbers of the socket that the one beside fd is listen with it. */
static void listening_set(int fd)
{
	struct ip_addr name;
	int saved = errno;

	if (!inet_bound(beside_find(fd), &name))
		return;
	for (unsigned n = 0; n < __atomic_load_n(&beside_table->top, __ATOMIC_RELAXED); n++) {
		int tcp = beside_find((int)n);

		if (tcp >= 0 && is_named(tcp, &name) && option_int(tcp, SOL_SOCKET, SO_ACCEPTCONN))
			entry_set((int)n, (tcp + 1) | LISTENING, &beside_table->top);
	}
	errno = saved;
}

static void registrations_copy(int fd)
{
	struct copies *copies = copies_find(fd);
	const struct epoll_note *notes = copies ? copies->notes.items : NULL;

	for (int i = 0; copies && i < copies->notes.count; i++) {
		struct epoll_event event = {.events = notes[i].events, .data.u64 = notes[i].data};

		if (beside_find_listening(notes[i].fd) >= 0)
			beside_watch(beside_find(notes[i].fd), notes[i].epfd, EPOLL_CTL_ADD, &event);
	}
	if (copies)
		copies_free(copies);
}

int beside_listen(int fd, int backlog)
{
	int tcp = beside_get(fd);

	if (tcp < 0)
		return 0;
	REAL(fcntl)(tcp, F_SETFL, REAL(fcntl)(tcp, F_GETFL) | O_NONBLOCK);
	if (REAL(listen)(tcp, backlog) < 0)
		return -1;
	if (beside_find_listening(fd) >= 0)
		return 0;
	listening_set(fd);
	registrations_copy(fd);
	return 0;
}

void beside_option(int tcp, int level, int option, const void *value, socklen_t size)
{
	int saved = errno;

	REAL(setsockopt)(tcp, level, option, value, size);
	errno = saved;
}

void beside_cloexec(int fd)
{
	int tcp = beside_get(fd), flags = REAL(fcntl)(fd, F_GETFD);

	if (tcp >= 0 && flags >= 0)
		REAL(fcntl)(tcp, F_SETFD, flags & FD_CLOEXEC);
}

void beside_control(int fd, int command)
{
	int tcp = beside_get(fd), saved = errno;

	if (command == F_SETFD)
		beside_cloexec(fd);
	else if (command == F_SETFL) /* whether it blocks is asked of fd */
		REAL(fcntl)(tcp, F_SETFL, REAL(fcntl)(fd, F_GETFL) | O_NONBLOCK);
	else
		owner_copy(fd, tcp);
	errno = saved;
}

/* --- accept */

/*
 * Whom poll(2) has seen, another process may have taken; a blocking call would wait there while TCP has clients. This is how
 * long it may, in us (the kernel counts in ticks). The program's own limit is that of the one beside.
 */
#define QUEUE_LIMIT 1000

static __attribute__((noinline)) struct timeval limit_noted(int fd)
{
	struct timeval limit = {0};
	const void *value;
	struct note note;
	socklen_t size;

	note_get(fd, &note);
	value = note_option_get(&note, SOL_SOCKET, SO_RCVTIMEO, &size);
	if (value && size == sizeof limit)
		memcpy(&limit, value, sizeof limit);
	return limit;
}

/* SO_RCVTIMEO as a moment of now_ms(). */
static int64_t accept_until(int fd, int tcp)
{
	struct timeval limit = {0};
	socklen_t size = sizeof limit;

	if (tcp < 0)
		limit = limit_noted(fd);
	else
		REAL(getsockopt)(tcp, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
	if (!limit.tv_sec && !limit.tv_usec)
		return INT64_MAX;
	return now_ms() + limit.tv_sec * INT64_C(1000) + (limit.tv_usec + 999) / 1000;
}

static bool is_restarted(int64_t until)
{
	return errno == EINTR && until == INT64_MAX && handlers_restart();
}

/* Which one has somebody: 0 fd, 1 tcp (which may be -1), -1 with errno. `turn` has the first look. */
static int beside_wait(int fd, int tcp, int turn, int64_t until)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int found;

	fds[turn].fd = fd;
	fds[!turn].fd = tcp;
	do {
		int64_t left = until == INT64_MAX ? -1 : until - now_ms();

		found = REAL(poll)(fds, 2, left < 0 ? until == INT64_MAX ? -1 : 0 : left < 1000000 ? (int)left : 1000000);
	} while ((found < 0 && is_restarted(until)) || (found == 0 && now_ms() < until));
	if (found <= 0)
		return found < 0 ? -1 : fail(EAGAIN);
	if (fds[!turn].revents & POLLHUP) /* it was shut down, and fd is another one now */
		return fail(EINVAL);
	return fds[0].revents ? turn : !turn;
}

static int accept_from(int fd, int tcp, struct sockaddr *addr, socklen_t *len, int flags)
{
	int accepted = REAL(accept4)(tcp < 0 ? fd : tcp, addr, len, flags);

	if (accepted < 0 && errno == EBADF && tcp >= 0) {
		beside_lost(fd);
		errno = EAGAIN;
	}
	return accepted;
}

static int accept_now(int fd, int tcp, int turn, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network)
{
	int accepted;

	*by_network = turn && tcp >= 0;
	accepted = accept_from(fd, *by_network ? tcp : -1, addr, len, flags);
	if (accepted >= 0 || errno != EAGAIN || tcp < 0)
		return accepted;
	*by_network = !*by_network;
	return accept_from(fd, *by_network ? tcp : -1, addr, len, flags);
}

/* Another process may have called listen(2). */
static int listening_look(int fd)
{
	if (beside_listening(fd) < 0 && beside_get(fd) >= 0)
		listening_set(fd);
	return beside_listening(fd);
}

int beside_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network)
{
	static unsigned turns;
	int turn = (int)(__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED) & 1), tcp = listening_look(fd);
	int file_flags = REAL(fcntl)(fd, F_GETFL), accepted;
	const struct timeval short_time = {.tv_usec = QUEUE_LIMIT};
	socklen_t room = len ? *len : 0;
	int64_t until;

	if (file_flags < 0 || file_flags & O_NONBLOCK)
		return accept_now(fd, tcp, turn, addr, len, flags, by_network);
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return fail(EINVAL);
	until = accept_until(fd, tcp);
	do {
		int which = beside_wait(fd, tcp, turn, until);

		if (which < 0)
			return -1;
		/* Otherwise it is no listener of ours any more, and says so. */
		if (!which && beside_listening(fd) == tcp)
			REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
		*by_network = which;
		if (len)
			*len = room;
		accepted = accept_from(fd, which ? tcp : -1, addr, len, flags);
		turn = !which;
		tcp = beside_listening(fd);
	} while (accepted < 0 && (errno == EAGAIN || is_restarted(until)));
	return accepted;
}

/* --- numbers */

void beside_share(int fd, int copy)
{
	int saved = errno;

	if ((unsigned)copy < HINT_COUNT)
		pair_copy(fd, copy);
	errno = saved;
}

bool beside_closed(int fd)
{
	int tcp = beside_get(fd), saved = errno;
	bool ours = tcp < 0 || memory_is_ours();

	if (tcp >= 0 && ours)
		pair_drop(fd, tcp);
	if (tcp >= 0)
		REAL(close)(tcp);
	errno = saved;
	return ours;
}

void beside_lost(int fd)
{
	static bool said;
	int tcp = beside_get(fd);

	if (tcp < 0)
		return;
	pair_drop(fd, tcp);
	log_say_once(&said, "fallback=inet: the program has closed the TCP listener, there is vsock alone");
}

int beside_close_range(unsigned first, unsigned last, int flags)
{
	unsigned top = __atomic_load_n(&beside_table->own_top, __ATOMIC_RELAXED);

	for (unsigned n = first; n <= last && n < top && first <= last; n++) {
		if (!beside_find_own((int)n))
			continue;
		if (n > first && REAL(close_range)(first, n - 1, flags) < 0)
			return -1;
		if (n == last)
			return 0;
		first = n + 1;
	}
	return REAL(close_range)(first, last, flags);
}
