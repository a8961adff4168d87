/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A socket filter that holds option values. */
#include "preload/note.h"
#include "preload/real.h"

#include <errno.h>
#include <string.h>

/*
 * The filter: our sign, four words of address, the options, and a return. An instruction has 32 bits of operand and
 * two jump offsets of 8 bits, which only jumps use (bpf_check_classic in net/core/filter.c): they are level and
 * option. What loads the accumulator is an int; what loads the index register is the size of a longer value, and the
 * words of that follow.
 */
#define SIGN 0x69703277u
#define AN_INT (BPF_LD | BPF_IMM)
#define LONGER (BPF_LDX | BPF_IMM)

static uint32_t words_of(socklen_t size)
{
	return (size + 3) / 4;
}

/* How many instructions an option takes that begins here. */
static uint32_t length_of(const struct sock_filter *at)
{
	return at->code == LONGER ? 1 + words_of(at->k) : 1;
}

/* Up to what could not have been written by note_option_set(): a socket may come from a stranger. */
static uint32_t count_valid(const struct note *note, uint32_t count)
{
	const struct sock_filter *options = note->code + NOTE_HEAD;
	uint32_t at = 0;

	while (at < count && (options[at].code != LONGER || options[at].k <= NOTE_VALUE_MOST) &&
	       length_of(options + at) <= count - at)
		at += length_of(options + at);
	return at;
}

void note_get(int fd, struct note *out)
{
	socklen_t count = sizeof out->code / sizeof *out->code; /* in instructions, not bytes */
	int saved = errno;

	/* Whole: tools that follow what is defined take the length that the kernel returns for bytes. */
	memset(out, 0, sizeof *out);
	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_GET_FILTER, out->code, &count) == 0 && count > NOTE_HEAD &&
	    count <= sizeof out->code / sizeof *out->code && out->code[0].k == SIGN) {
		for (unsigned i = 0; i < 4; i++)
			out->ip.s6_addr32[i] = out->code[1 + i].k;
		out->count = count_valid(out, count - NOTE_HEAD - 1);
	}
	errno = saved;
}

int note_set(int fd, struct note *note)
{
	struct sock_fprog program = {.len = (unsigned short)(NOTE_HEAD + note->count + 1), .filter = note->code};

	note->code[0] = (struct sock_filter)BPF_STMT(AN_INT, SIGN);
	for (unsigned i = 0; i < 4; i++)
		note->code[1 + i] = (struct sock_filter)BPF_STMT(AN_INT, note->ip.s6_addr32[i]);
	note->code[NOTE_HEAD + note->count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	return REAL(setsockopt)(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* The place of an option, or count. */
static uint32_t option_find(const struct note *note, int level, int option)
{
	const struct sock_filter *options = note->code + NOTE_HEAD;
	uint32_t at = 0;

	while (at < note->count && (options[at].jt != level || options[at].jf != option))
		at += length_of(options + at);
	return at < note->count ? at : note->count;
}

void note_option_drop(struct note *note, int level, int option)
{
	struct sock_filter *options = note->code + NOTE_HEAD;
	uint32_t at = option_find(note, level, option), length;

	if (at == note->count)
		return;
	length = length_of(options + at);
	memmove(options + at, options + at + length, (note->count - at - length) * sizeof *options);
	note->count -= length;
}

bool note_option_set(struct note *note, int level, int option, const void *value, socklen_t size)
{
	bool is_int = size == sizeof(uint32_t);
	uint32_t length = is_int ? 1 : 1 + words_of(size);
	struct sock_filter *out;

	if (level < 0 || level > UINT8_MAX || option < 0 || option > UINT8_MAX || size > NOTE_VALUE_MOST)
		return false;
	note_option_drop(note, level, option);
	if (note->count + length > NOTE_MOST)
		return false;
	out = note->code + NOTE_HEAD + note->count;
	note->count += length;
	*out = (struct sock_filter){is_int ? AN_INT : LONGER, (uint8_t)level, (uint8_t)option, size};
	if (is_int) {
		memcpy(&out->k, value, size);
		return true;
	}
	for (socklen_t done = 0; done < size; done += 4) {
		*++out = (struct sock_filter)BPF_STMT(AN_INT, 0);
		memcpy(&out->k, (const uint8_t *)value + done, size - done < 4 ? size - done : 4);
	}
	return true;
}

const void *note_option_next(struct note *note, uint32_t *at, int *level, int *option, socklen_t *size)
{
	const struct sock_filter *entry = note->code + NOTE_HEAD + *at;

	if (*at >= note->count || *at + length_of(entry) > note->count)
		return NULL;
	*level = entry->jt;
	*option = entry->jf;
	*at += length_of(entry);
	if (entry->code == AN_INT) {
		*size = sizeof entry->k;
		memcpy(note->value, &entry->k, sizeof entry->k);
		return note->value;
	}
	*size = entry->k < NOTE_VALUE_MOST ? entry->k : NOTE_VALUE_MOST;
	for (socklen_t done = 0; done < *size; done += 4)
		memcpy(note->value + done, &entry[1 + done / 4].k, 4);
	return note->value;
}

const void *note_option_get(struct note *note, int level, int option, socklen_t *size)
{
	uint32_t at = option_find(note, level, option);

	return note_option_next(note, &at, &level, &option, size);
}
