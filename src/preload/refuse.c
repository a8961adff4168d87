/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attempts that are refused: counted, told, and answered. */
#include "preload/refuse.h"
#include "preload/log.h"
#include "preload/stats.h"

#include <errno.h>
#include <string.h>

static void refused(const struct rule *rule)
{
	const struct settings *now = settings();

	stats_count(rule, STAT_REFUSED);
	if (now->failed)
		settings_complain(now);
}

int refuse(const char *call, int fd, const struct ip_addr *addr, const struct target *target)
{
	refused(target->rule);
	errno = target->error;
	log_call(call, fd, addr, "reject", NULL, -1);
	return -1;
}

static void line_begin(struct text *text, char *buf, size_t size, const char *call)
{
	log_line(text, buf, size);
	text_str(text, call);
	text_str(text, "(");
}

int refuse_other(const char *call, const char *what, int error)
{
	char buf[192];
	struct text text;

	refused(NULL);
	errno = error;
	if (log_on(LOG_INFO)) {
		line_begin(&text, buf, sizeof buf, call);
		text_str(&text, what);
		text_str(&text, ") -> reject");
		log_result(&text, -1);
	}
	return -1;
}

void refuse_name(const char *call, const char *name)
{
	char buf[512];
	struct text text;
	int saved = errno;

	refused(NULL);
	if (log_on(LOG_INFO)) {
		line_begin(&text, buf, sizeof buf, call);
		text_quoted(&text, name, strlen(name));
		text_str(&text, ") -> reject");
		log_write(LOG_INFO, &text);
	}
	errno = saved;
}

int refuse_number(const char *call, int fd, int error)
{
	char number[16];
	struct text text;

	text_init(&text, number, sizeof number);
	text_int(&text, fd);
	return refuse_other(call, number, error);
}

int refusal_error(enum rule_direction direction)
{
	const struct settings *now = settings();
	struct rule_place place;
	struct target target;

	if (now->failed)
		return now->error;
	rules_default(now->rules, &target, &place);
	return target.error ? target.error : direction == RULE_LISTEN ? EACCES : ECONNREFUSED;
}
