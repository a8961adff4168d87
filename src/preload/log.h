/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines for the user, written without stdio, memory or a descriptor of our own. */
#ifndef IP2VSOCK_LOG_H
#define IP2VSOCK_LOG_H

#include "ip2vsock/text.h"
#include "preload/init.h"

/* True when lines of this level are wanted; never before the settings are loaded. */
static inline bool log_on(enum log_level level)
{
	const struct settings *now = __atomic_load_n(&settings_now, __ATOMIC_ACQUIRE);

	return now && level <= now->log_level;
}

/* Reads "LEVEL" or "LEVEL:FILE"; false when the level is none. The path is part of `setting`. */
bool log_setting(const char *setting, enum log_level *level, const char **path);

/* Starts a line "ip2vsock[PID]: " in buf. */
void log_line(struct text *text, char *buf, size_t size);
/* Writes the line with its newline. Preserves errno. */
void log_write(enum log_level level, struct text *text);
/* A whole line of fixed text. */
void log_say(enum log_level level, const char *what);
/* The same, but only the first time for this flag. */
void log_say_once(bool *said, const char *what);

/* The name of an errno, or its number. */
void log_error(struct text *text, int error);
/* Ends a line with " = -1 EACCES" and writes it, at info level. */
void log_result(struct text *text, int result);

/* "connect(7, 10.0.0.5:80) -> vsock 3:80 = -1 EINPROGRESS", at info level. `to` may be NULL. */
void log_call(const char *call, int fd, const struct ip_addr *addr, const char *transport,
	      const struct endpoint *to, int result);

#endif
