/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP listeners beside ours. */
#include "preload/beside.h"
#include "preload/attempt.h"
#include "preload/copies.h"
#include "preload/hot.h"
#include "preload/note.h"
#include "preload/real.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/udp_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MOST 1024u

struct item {
	int tcp; /* -1: free */
	bool listening;
	unsigned numbers;
	pid_t pid;
};

struct beside_table {
	uint16_t index[HINT_COUNT]; /* of a number: which item, + 1 */
	struct item items[MOST];
	unsigned top;
	uint32_t *mine; /* a page that is empty in a child of fork */
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
		*now->mine = 1;
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

/* What a child of fork has is its own. One of vfork only has its parent's memory. */
static struct beside_table *table_here(void)
{
	struct beside_table *now = beside_table;

	if (!__atomic_load_n(now->mine, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < now->top; i++)
			now->items[i].pid = getpid();
		__atomic_store_n(now->mine, 1, __ATOMIC_RELEASE);
	}
	return now;
}

static struct item *item_of(int fd)
{
	struct beside_table *now = table_here();
	unsigned index = (unsigned)fd < HINT_COUNT ? __atomic_load_n(&now->index[fd], __ATOMIC_ACQUIRE) : 0;

	return index ? &now->items[index - 1] : NULL;
}

int beside_find(int fd)
{
	const struct item *item = item_of(fd);

	return item ? item->tcp : -1;
}

int beside_find_listening(int fd)
{
	const struct item *item = item_of(fd);

	return item && __atomic_load_n(&item->listening, __ATOMIC_ACQUIRE) ? item->tcp : -1;
}

static struct item *item_take(struct beside_table *now)
{
	for (unsigned i = 0; i < MOST; i++) {
		bool used = i < __atomic_load_n(&now->top, __ATOMIC_ACQUIRE) && now->items[i].numbers;
		unsigned none = 0;

		if (used || !__atomic_compare_exchange_n(&now->items[i].numbers, &none, 1, false, __ATOMIC_ACQ_REL,
							 __ATOMIC_ACQUIRE))
			continue;
		if (i >= now->top)
			__atomic_store_n(&now->top, i + 1, __ATOMIC_RELEASE);
		return &now->items[i];
	}
	return NULL;
}

/* What tells a program that is executed which of its descriptors is the one beside. */
struct fact {
	uint64_t inode;
	int32_t tcp;
};

static void fact_keep(int fd, int tcp)
{
	struct fact fact = {.tcp = tcp};
	struct stat file;
	struct note note;

	if (fstat(tcp, &file) < 0)
		return;
	fact.inode = file.st_ino;
	note_get(fd, &note);
	if (note_option_set(&note, NOTE_LEVEL, NOTE_BESIDE, &fact, sizeof fact))
		note_set(fd, &note);
}

static int item_set(int fd, int tcp, bool listening)
{
	struct beside_table *now = (unsigned)fd < HINT_COUNT ? table_get() : NULL;
	struct item *item = now ? item_take(now) : NULL;

	if (!item)
		return fail(ENOBUFS);
	item->tcp = tcp;
	item->pid = getpid();
	item->listening = listening;
	__atomic_store_n(&now->index[fd], (uint16_t)(item - now->items + 1), __ATOMIC_RELEASE);
	return 0;
}

int beside_set(int fd, int tcp)
{
	int flags = REAL(fcntl)(tcp, F_GETFL);

	REAL(fcntl)(tcp, F_SETFL, flags | O_NONBLOCK);
	tcp = descriptor_keep(tcp);
	if (item_set(fd, tcp, false) < 0) {
		close_quietly(tcp);
		return -1;
	}
	beside_cloexec(fd);
	fact_keep(fd, tcp);
	return 0;
}

void beside_learn(int fd)
{
	struct fact fact;
	struct stat file;
	struct note note;
	const void *value;
	socklen_t size;
	int saved = errno;

	if (beside_get(fd) >= 0)
		return;
	note_get(fd, &note);
	value = note_option_get(&note, NOTE_LEVEL, NOTE_BESIDE, &size);
	if (value && size == sizeof fact) {
		memcpy(&fact, value, sizeof fact);
		if (fstat(fact.tcp, &file) == 0 && S_ISSOCK(file.st_mode) && file.st_ino == fact.inode)
			item_set(fd, fact.tcp, option_int(fact.tcp, SOL_SOCKET, SO_ACCEPTCONN));
	}
	errno = saved;
}

/* --- what is done to both */

void beside_watch(int tcp, int epfd, int op, const struct epoll_event *event)
{
	struct epoll_event copy = {.events = 0};
	int saved = errno;

	if (op != EPOLL_CTL_DEL)
		copy = *event;
	/* It may be that only one of the two is known to the instance: one listens since, or was registered by another number. */
	if (REAL(epoll_ctl)(epfd, op, tcp, &copy) < 0 && op != EPOLL_CTL_DEL)
		REAL(epoll_ctl)(epfd, op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, tcp, &copy);
	errno = saved;
}

int beside_listen(int fd, int backlog)
{
	struct item *item = item_of(fd);
	struct copies *copies;
	const struct epoll_note *notes;

	if (!item || REAL(listen)(item->tcp, backlog) < 0)
		return item ? -1 : 0;
	if (item->listening)
		return 0;
	__atomic_store_n(&item->listening, true, __ATOMIC_RELEASE);
	copies = copies_find(fd);
	notes = copies ? copies->notes.items : NULL;
	for (int i = 0; copies && i < copies->notes.count; i++)
		if (item_of(notes[i].fd) == item)
			beside_watch(item->tcp, notes[i].epfd, EPOLL_CTL_ADD,
				     &(struct epoll_event){.events = notes[i].events, .data.u64 = notes[i].data});
	if (copies)
		copies_free(copies);
	return 0;
}

void beside_option(int tcp, int level, int option, const void *value, socklen_t size)
{
	int saved = errno;

	REAL(setsockopt)(tcp, level, option, value, size);
	errno = saved;
}

/* Open in a program that is executed if any number of the listener is. */
void beside_cloexec(int fd)
{
	int tcp = beside_get(fd), flags = REAL(fcntl)(fd, F_GETFD);

	if (tcp >= 0 && flags >= 0)
		REAL(fcntl)(tcp, F_SETFD, flags & FD_CLOEXEC);
}

/* --- accept */

/* No longer in a blocking queue than this: somebody else may have taken who came. In ms; the kernel counts in ticks. */
#define QUEUE_LIMIT 10

static int64_t receive_limit(int fd)
{
	struct timeval limit = {0};
	socklen_t size = sizeof limit;

	REAL(getsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
	return limit.tv_sec * INT64_C(1000) + limit.tv_usec / 1000;
}

/* Which one has somebody: 0 fd, 1 tcp, -1 with errno. `turn` has the first look. */
static int beside_wait(int fd, int tcp, int turn, int64_t until)
{
	struct pollfd fds[] = {{.fd = turn ? tcp : fd, .events = POLLIN}, {.fd = turn ? fd : tcp, .events = POLLIN}};
	int found;

	do {
		int64_t left = until == INT64_MAX ? -1 : until - now_ms();

		found = REAL(poll)(fds, 2, left < 0 ? until == INT64_MAX ? -1 : 0 : left < 1000000 ? (int)left : 1000000);
	} while ((found < 0 && errno == EINTR && handlers_restart()) || (found == 0 && now_ms() < until));
	if (found <= 0)
		return found < 0 ? -1 : fail(EAGAIN);
	return fds[0].revents ? turn : !turn;
}

int beside_accept(int fd, int tcp, struct sockaddr *addr, socklen_t *len, int flags, bool *by_network)
{
	static unsigned turns;
	int turn = (int)(__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED) & 1), accepted, file_flags = REAL(fcntl)(fd, F_GETFL);
	socklen_t room = len ? *len : 0;
	int64_t limit, until;

	*by_network = turn;
	if (file_flags < 0 || file_flags & O_NONBLOCK) {
		accepted = REAL(accept4)(turn ? tcp : fd, addr, len, flags);
		if (accepted >= 0 || errno != EAGAIN)
			return accepted;
		*by_network = !turn;
		return REAL(accept4)(turn ? fd : tcp, addr, len, flags);
	}
	limit = receive_limit(fd);
	until = limit > QUEUE_LIMIT ? now_ms() + limit : INT64_MAX;
	if (!limit)
		REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 1000}, sizeof(struct timeval));
	do {
		int which = beside_wait(fd, tcp, turn, until);

		if (which < 0)
			return -1;
		*by_network = which;
		if (len)
			*len = room;
		accepted = REAL(accept4)(which ? tcp : fd, addr, len, flags);
		turn = !which;
	} while (accepted < 0 && errno == EAGAIN);
	return accepted;
}

/* --- numbers */

void beside_share(int fd, int copy)
{
	struct item *item = item_of(fd);

	if (!item || (unsigned)copy >= HINT_COUNT || item->pid != getpid())
		return;
	__atomic_fetch_add(&item->numbers, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&beside_table->index[copy], beside_table->index[fd], __ATOMIC_RELEASE);
	if (!(REAL(fcntl)(copy, F_GETFD) & FD_CLOEXEC))
		REAL(fcntl)(item->tcp, F_SETFD, 0);
}

void beside_closed(int fd)
{
	struct item *item = beside_get(fd) >= 0 ? item_of(fd) : NULL;
	int saved = errno, tcp;

	/* A child of vfork closes a copy of its own. */
	if (!item || item->pid != getpid())
		return;
	tcp = item->tcp;
	__atomic_store_n(&beside_table->index[fd], 0, __ATOMIC_RELEASE);
	if (__atomic_load_n(&item->numbers, __ATOMIC_RELAXED) == 1)
		REAL(close)(tcp);
	__atomic_fetch_sub(&item->numbers, 1, __ATOMIC_RELEASE);
	errno = saved;
}
