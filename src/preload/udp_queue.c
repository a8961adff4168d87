/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams read ahead, in memory that a process shares with its children: a server that looks before it forks leaves what it
 * saw to its child, and a datagram is received once. */
#include "preload/udp_state.h"

#include <sys/mman.h>

/* Behind the bytes a word: the generation, and where the next record starts. Who fills the buffer alone writes the upper half. */
#define QUEUE_SIZE (UDP_BUFFER + sizeof(uint64_t))

static uint64_t *queue_word(const struct udp *udp)
{
	return (uint64_t *)(void *)(udp->buffer + UDP_BUFFER);
}

static uint64_t word_of(const struct udp *udp, uint32_t start)
{
	return (uint64_t)udp->generation << 32 | start;
}

void queue_free(struct udp *udp)
{
	if (udp->buffer)
		munmap(udp->buffer, QUEUE_SIZE);
	udp->buffer = NULL;
	udp->borrowed = false;
}

bool queue_ready(struct udp *udp)
{
	void *made;

	if (udp->borrowed)
		queue_free(udp);
	if (udp->buffer)
		return true;
	made = mmap(NULL, QUEUE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (made == MAP_FAILED)
		return false;
	udp->buffer = made;
	udp->start = udp->end = 0;
	queue_fill(udp);
	return true;
}

void queue_fill(struct udp *udp)
{
	udp->generation++;
	__atomic_store_n(queue_word(udp), word_of(udp, udp->start), __ATOMIC_RELEASE);
}

void queue_sync(struct udp *udp)
{
	uint64_t word;

	if (!udp->buffer)
		return;
	word = __atomic_load_n(queue_word(udp), __ATOMIC_ACQUIRE);
	udp->start = word >> 32 == udp->generation ? (uint32_t)word : udp->end;
}

bool queue_take(struct udp *udp, uint32_t size)
{
	uint64_t word = word_of(udp, udp->start);

	if (__atomic_compare_exchange_n(queue_word(udp), &word, word_of(udp, udp->start + size), false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		udp->start += size;
		return true;
	}
	queue_sync(udp);
	return false;
}
