/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines for the user; the only place in the library that writes to stderr. */
#include "preload/log.h"
#include "ip2vsock/config.h"
#include "preload/mark.h"
#include "preload/real.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

bool log_setting(const char *setting, enum log_level *level, const char **path)
{
	static const char *const words[] = {"off", "error", "info", "debug"};
	const char *end = strchrnul(setting, ':');
	size_t length = (size_t)(end - setting);

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i]) != length || memcmp(words[i], setting, length) != 0)
			continue;
		*level = (enum log_level)i;
		*path = *end && end[1] ? end + 1 : NULL;
		return true;
	}
	return false;
}

void log_line(struct text *text, char *buf, size_t size)
{
	text_init(text, buf, size);
	text_str(text, "ip2vsock[");
	text_uint(text, (unsigned)getpid());
	text_str(text, "]: ");
}

/* Bound, or accepted from a socket that is: at its other end is a peer of the program. */
static bool has_name(int fd)
{
	sa_family_t family;
	socklen_t len = sizeof family;

	return REAL(getsockname)(fd, (struct sockaddr *)(void *)&family, &len) == 0 && len > sizeof family;
}

/* Not where it would become the program's data, end it by SIGPIPE or make it wait. */
static bool is_writable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int domain = socket_domain(fd);

	if (domain >= 0 && (mark_exists(fd, domain) || has_name(fd)))
		return false;
	return REAL(poll)(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLOUT;
}

void log_write(enum log_level level, struct text *text)
{
	const struct settings *now = settings();
	int saved = errno, fd = STDERR_FILENO;

	if (level > now->log_level)
		return;
	/* The file is opened for each line: a descriptor kept open is one the program may close. */
	if (now->log_path)
		fd = open(now->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd >= 0 && (now->log_path || is_writable(fd))) {
		/* One write for each line, so that lines of several processes do not mix. */
		if (text->len == text->size - 1)
			text->len--;
		text->buf[text->len] = '\n';
		if (REAL(write)(fd, text->buf, text->len + 1) < 0) {
			/* nobody to tell */
		}
		if (now->log_path)
			REAL(close)(fd);
	}
	errno = saved;
}

void log_say(enum log_level level, const char *what)
{
	char buf[256];
	struct text text;

	if (!log_on(level))
		return;
	log_line(&text, buf, sizeof buf);
	text_str(&text, what);
	log_write(level, &text);
}

void log_say_once(bool *said, const char *what)
{
	if (log_on(LOG_ERROR) && !__atomic_exchange_n(said, true, __ATOMIC_RELAXED))
		log_say(LOG_ERROR, what);
}

void log_error(struct text *text, int error)
{
	const char *name = real_error_name(error);

	if (name)
		text_str(text, name);
	else
		text_int(text, error);
}

void log_result(struct text *text, int result)
{
	int error = errno;

	text_str(text, " = ");
	text_int(text, result);
	if (result < 0) {
		text_str(text, " ");
		log_error(text, error);
	}
	log_write(LOG_INFO, text);
	errno = error;
}

void log_call(const char *call, int fd, const struct ip_addr *addr, const char *transport,
	      const struct endpoint *to, int result)
{
	char buf[384], ip[IP_ADDR_TEXT_SIZE];
	struct text text;

	if (!log_on(LOG_INFO))
		return;
	log_line(&text, buf, sizeof buf);
	text_str(&text, call);
	text_str(&text, "(");
	text_int(&text, fd);
	text_str(&text, ", ");
	text_str(&text, ip_addr_text(addr, ip));
	text_str(&text, ") -> ");
	text_str(&text, transport);
	if (to) {
		char endpoint[CONFIG_ENDPOINT_TEXT_SIZE];

		text_str(&text, " ");
		text_str(&text, config_endpoint_text(to, endpoint, sizeof endpoint));
	}
	log_result(&text, result);
}
