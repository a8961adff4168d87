/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The allow list of a listener. */
#include "preload/guard.h"
#include "preload/log.h"
#include "preload/note.h"
#include "preload/socket.h"
#include "preload/stats.h"

#include <errno.h>
#include <string.h>

/* A fact of the note holds so many ranges; a list takes as many facts as it needs, in order. */
#define AT_ONCE (NOTE_VALUE_MOST / sizeof(struct cid_range))

_Static_assert(AT_ONCE * NOTE_ALLOW_COUNT >= RULE_ALLOW_MOST, "every list has room");

int guard_replace(int listener, const struct rule_options *options)
{
	uint32_t count = options->allow_count;
	struct note note;

	note_get(listener, &note);
	for (uint32_t i = 0; i < NOTE_ALLOW_COUNT; i++) {
		uint32_t from = i * AT_ONCE, size = count <= from ? 0 : count - from < AT_ONCE ? count - from : AT_ONCE;

		note_option_drop(&note, NOTE_LEVEL, NOTE_ALLOW + (int)i);
		if (size && !note_option_set(&note, NOTE_LEVEL, NOTE_ALLOW + (int)i, options->allow + from,
					     size * sizeof *options->allow))
			return fail(ENOBUFS);
	}
	return note_set(listener, &note) < 0 ? fail(ENOBUFS) : 0;
}

int guard_set(int listener, const struct rule_options *options)
{
	return options->allow ? guard_replace(listener, options) : 0;
}

/* One fact of the list; how many ranges it has. */
static uint32_t ranges_get(struct note *note, uint32_t i, struct cid_range ranges[AT_ONCE])
{
	socklen_t size = 0;
	const void *value = i < NOTE_ALLOW_COUNT ? note_option_get(note, NOTE_LEVEL, NOTE_ALLOW + (int)i, &size) : NULL;

	if (value)
		memcpy(ranges, value, size);
	return value ? size / sizeof *ranges : 0;
}

bool guard_exists(int listener)
{
	struct cid_range ranges[AT_ONCE];
	struct note note;

	note_get(listener, &note);
	return ranges_get(&note, 0, ranges) > 0;
}

bool cid_allowed(const struct rule_options *options, uint32_t cid)
{
	return rule_allows(options, cid) || (rule_allows(options, VMADDR_CID_LOCAL) && cid != VMADDR_CID_ANY && cid == own_cid());
}

bool guard_allows(int listener, uint32_t cid)
{
	struct cid_range ranges[AT_ONCE];
	struct note note;
	uint32_t i = 0, count;

	note_get(listener, &note);
	for (; (count = ranges_get(&note, i, ranges)) > 0; i++) {
		const struct rule_options part = {.allow = ranges, .allow_count = count};

		if (cid_allowed(&part, cid))
			return true;
	}
	return i == 0;
}

static __attribute__((noinline)) void refused_log(int listener, const struct mark *mark, uint32_t cid)
{
	char buf[192], ip[IP_ADDR_TEXT_SIZE];
	struct text text;

	log_line(&text, buf, sizeof buf);
	text_str(&text, "accept(");
	text_int(&text, listener);
	text_str(&text, ", ");
	text_str(&text, ip_addr_text(&mark->addr, ip));
	text_str(&text, "): CID ");
	text_uint(&text, cid);
	text_str(&text, " is not allowed, closed");
	log_write(LOG_INFO, &text);
}

void guard_refused(int listener, const struct mark *mark, enum rule_protocol protocol, uint32_t cid)
{
	struct target target;

	rules_find(settings()->rules, RULE_LISTEN, protocol, &mark->addr, &target);
	stats_count(target.rule, STAT_DENIED);
	if (log_on(LOG_INFO))
		refused_log(listener, mark, cid);
}
