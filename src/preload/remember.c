/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hints by descriptor number, epoll registrations of pending sockets, and the next source port. */
#include "preload/remember.h"
#include "preload/beside.h"
#include "preload/chosen.h"
#include "preload/log.h"
#include "preload/persist.h"
#include "preload/udp.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct remembered *remembered;
unsigned hint_top;

struct remembered *remembered_get(void)
{
	struct remembered *now = remembered_now(), *nothing = NULL;
	int saved = errno;

	if (now)
		return now;
	now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	errno = saved;
	if (now == MAP_FAILED)
		return NULL;
	if (__atomic_compare_exchange_n(&remembered, &nothing, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return now;
	munmap(now, sizeof *now);
	return nothing;
}

void hint_set(int fd, unsigned hint)
{
	struct remembered *now = hint ? remembered_get() : remembered_now();
	unsigned top;

	if (!now || (unsigned)fd >= HINT_COUNT)
		return;
	__atomic_store_n(&now->hints[fd], (uint16_t)hint, __ATOMIC_RELAXED);
	top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);
	while (hint && top <= (unsigned)fd &&
	       !__atomic_compare_exchange_n(&hint_top, &top, (unsigned)fd + 1, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

/*
 * Notes (which only sockets with a hint have) are slots in a table without locks: a slot is taken by exchanging its
 * key from 0. Two threads that register and retarget the same descriptor at once race in the program already.
 * Neighbours have neighbouring slots, so that few descriptors touch few pages and thousands in a row find room.
 */
#define NOTE_REACH 16u

static uint64_t note_key(int fd, int epfd)
{
	return (uint64_t)((unsigned)fd + 1) << 32 | (unsigned)epfd;
}

static unsigned note_slot(int fd, unsigned i)
{
	return ((unsigned)fd * 2 + i) % NOTE_COUNT;
}

static uint64_t note_load(unsigned slot)
{
	return __atomic_load_n(&remembered_now()->notes[slot].key, __ATOMIC_ACQUIRE);
}

static void notes_drop(int fd)
{
	for (unsigned i = 0; i < NOTE_REACH; i++) {
		unsigned slot = note_slot(fd, i);

		if (note_load(slot) >> 32 == (unsigned)fd + 1)
			__atomic_store_n(&remembered_now()->notes[slot].key, 0, __ATOMIC_RELEASE);
	}
}

static bool note_store(int fd, int epfd, const struct epoll_event *event)
{
	uint64_t key = note_key(fd, epfd);

	for (unsigned i = 0; i < NOTE_REACH; i++) {
		unsigned slot = note_slot(fd, i);
		uint64_t found = note_load(slot);

		if (found == 0)
			__atomic_compare_exchange_n(&remembered_now()->notes[slot].key, &found, key, false,
						    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (found == 0 || found == key) {
			__atomic_store_n(&remembered_now()->notes[slot].data, event->data.u64, __ATOMIC_RELAXED);
			__atomic_store_n(&remembered_now()->notes[slot].events, event->events, __ATOMIC_RELAXED);
			return true;
		}
	}
	return false;
}

void epoll_note_follow(int epfd, int op, int fd, const struct epoll_event *event)
{
	if (op == EPOLL_CTL_DEL) {
		for (unsigned i = 0; i < NOTE_REACH; i++)
			if (note_load(note_slot(fd, i)) == note_key(fd, epfd))
				__atomic_store_n(&remembered_now()->notes[note_slot(fd, i)].key, 0, __ATOMIC_RELEASE);
		return;
	}
	/* A one-shot registration disarms itself, which we do not see: only the kernel knows its state. */
	hint_add(fd, HINT_PENDING,
		 note_store(fd, epfd, event) && !(event->events & EPOLLONESHOT) ? HINT_EPOLL
										: HINT_EPOLL | HINT_SEARCH);
}

int epoll_notes_of(int fd, struct epoll_note *out, int most)
{
	int count = 0;

	for (unsigned i = 0; i < NOTE_REACH; i++) {
		unsigned slot = note_slot(fd, i);
		uint64_t key = note_load(slot);

		if (key >> 32 != (unsigned)fd + 1)
			continue;
		if (count == most)
			return -1;
		out[count++] = (struct epoll_note){
			.epfd = (int)(uint32_t)key,
			.fd = fd,
			.events = __atomic_load_n(&remembered_now()->notes[slot].events, __ATOMIC_RELAXED),
			.data = __atomic_load_n(&remembered_now()->notes[slot].data, __ATOMIC_RELAXED),
		};
	}
	return count;
}

void hint_change(int fd, unsigned before, unsigned after)
{
	if ((before & HINT_DGRAM && !udp_drop(fd)) || (beside_any() && !beside_closed(fd)))
		return;
	if (before & HINT_EPOLL)
		notes_drop(fd);
	if (before & HINT_OPTIONS)
		chosen_drop(fd);
	if (before & HINT_PERSIST && !(before & (HINT_PENDING | HINT_LISTEN)))
		persist_closed(fd);
	__atomic_store_n(&remembered_now()->hints[fd], (uint16_t)after, __ATOMIC_RELAXED);
}

static void hint_merge(int fd, unsigned of, unsigned drop, unsigned bits)
{
	unsigned hint = hint_get(fd);
	uint16_t before = (uint16_t)hint;

	while (before & of &&
	       !__atomic_compare_exchange_n(&remembered_now()->hints[fd], &before, (uint16_t)((before & ~drop) | bits), true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void hint_add(int fd, unsigned of, unsigned bits)
{
	hint_merge(fd, of, 0, bits);
}

unsigned hint_call(int fd)
{
	static unsigned calls;
	/* 1 to 7: a new socket has 0. */
	unsigned number = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 7 + 1;
	unsigned call = (number & 1 ? 1u << 8 : 0) | (number & 2 ? 1u << 13 : 0) | (number & 4 ? 1u << 15 : 0);

	hint_merge(fd, HINT_PENDING, HINT_CALL, call);
	return call;
}

void hint_clear_range(unsigned first, unsigned last)
{
	unsigned top = __atomic_load_n(&hint_top, __ATOMIC_RELAXED);

	for (; first <= last && first < top; first++)
		hint_clear((int)first);
}

#define PORT_LOW 32768u
#define PORT_COUNT (61000u - PORT_LOW)

/* Kept in a page that the kernel empties in a child (madvise(2), MADV_WIPEONFORK, Linux 4.14): parent and child
 * must not walk the same ports side by side. */
static uint32_t *port_page;

static uint32_t *port_state(void)
{
	uint32_t *page = __atomic_load_n(&port_page, __ATOMIC_ACQUIRE), *nothing = NULL;
	size_t size = 4096;

	if (page)
		return page;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		static uint32_t spare;

		return &spare;
	}
	madvise(page, size, MADV_WIPEONFORK);
	if (__atomic_compare_exchange_n(&port_page, &nothing, page, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return page;
	munmap(page, size);
	return nothing;
}

static uint32_t port_seed(void)
{
	uint32_t seed = 0;
	struct timespec now;

	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		seed = (uint32_t)now.tv_nsec * 2654435761u ^ (uint32_t)getpid();
	}
	return seed % PORT_COUNT + 1;
}

uint16_t port_next(void)
{
	uint32_t *state = port_state(), empty = 0, count;

	if (!__atomic_load_n(state, __ATOMIC_RELAXED))
		__atomic_compare_exchange_n(state, &empty, port_seed(), false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	count = __atomic_fetch_add(state, 1, __ATOMIC_RELAXED);
	return (uint16_t)(PORT_LOW + count % PORT_COUNT);
}

void port_jump(void)
{
	__atomic_store_n(port_state(), port_seed(), __ATOMIC_RELAXED);
}
