/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words in a socket filter, and option values among them. */
#include "preload/note.h"
#include "preload/real.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>

/* The filter: our sign, four words of address, the options, and a return. */
#define SIGN 0x69703276u
#define HEAD 5
#define VALUE_MOST 64

void note_get(int fd, struct note *out)
{
	struct sock_filter code[HEAD + NOTE_WORDS + 1];
	socklen_t count = sizeof code / sizeof *code; /* in instructions, not bytes */
	int saved = errno;

	*out = (struct note){.count = 0};
	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_GET_FILTER, code, &count) == 0 && count > HEAD &&
	    count <= sizeof code / sizeof *code && code[0].k == SIGN) {
		for (unsigned i = 0; i < 4; i++)
			out->ip.s6_addr32[i] = code[1 + i].k;
		out->count = count - HEAD - 1;
		for (uint32_t i = 0; i < out->count; i++)
			out->words[i] = code[HEAD + i].k;
	}
	errno = saved;
}

int note_set(int fd, const struct note *note)
{
	struct sock_filter code[HEAD + NOTE_WORDS + 1];
	struct sock_fprog program = {.len = (unsigned short)(HEAD + note->count + 1), .filter = code};

	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, SIGN);
	for (unsigned i = 0; i < 4; i++)
		code[1 + i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, note->ip.s6_addr32[i]);
	for (uint32_t i = 0; i < note->count; i++)
		code[HEAD + i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, note->words[i]);
	code[HEAD + note->count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	return REAL(setsockopt)(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* A key: level, size of the value, option. */
static uint32_t option_key(int level, int option, socklen_t size)
{
	return (uint32_t)level << 24 | size << 16 | (uint32_t)option;
}

static uint32_t key_words(uint32_t key)
{
	return 1 + ((key >> 16 & 0xff) + 3) / 4;
}

/* The place of an option's key, or count. */
static uint32_t option_find(const struct note *note, int level, int option)
{
	uint32_t at = 0;

	while (at < note->count && (note->words[at] & 0xff00ffff) != option_key(level, option, 0))
		at += key_words(note->words[at]);
	return at < note->count ? at : note->count;
}

bool note_option_set(struct note *note, int level, int option, const void *value, socklen_t size)
{
	uint32_t at = option_find(note, level, option), key = option_key(level, option, size);

	if (level < 0 || level > 0xff || option < 0 || option > 0xffff || size > VALUE_MOST)
		return false;
	if (at < note->count) {
		uint32_t old = key_words(note->words[at]);

		memmove(note->words + at, note->words + at + old,
			(note->count - at - old) * sizeof *note->words);
		note->count -= old;
	}
	if (note->count + key_words(key) > NOTE_WORDS)
		return false;
	note->words[note->count] = key;
	note->words[note->count + key_words(key) - 1] = 0;
	memcpy(note->words + note->count + 1, value, size);
	note->count += key_words(key);
	return true;
}

const void *note_option_get(const struct note *note, int level, int option, socklen_t *size)
{
	uint32_t at = option_find(note, level, option);

	if (at == note->count)
		return NULL;
	*size = note->words[at] >> 16 & 0xff;
	return note->words + at + 1;
}

const void *note_option_next(const struct note *note, uint32_t *at, int *level, int *option, socklen_t *size)
{
	const uint32_t *entry = note->words + *at;

	if (*at >= note->count)
		return NULL;
	*level = (int)(*entry >> 24);
	*size = *entry >> 16 & 0xff;
	*option = (int)(*entry & 0xffff);
	*at += key_words(*entry);
	return entry + 1;
}
