/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language: text to rules, and rules back to text. */
#ifndef IP2VSOCK_CONFIG_H
#define IP2VSOCK_CONFIG_H

#include "ip2vsock/rule.h"

#include <stddef.h>

/* A complaint: where, and one line without a full stop ("port range \"90-80\" ends before it begins").
 * `text` is only valid during the call. line and column count from 1, column in bytes; both 0 when
 * the complaint is of the source as a whole (it cannot be read). */
struct config_complaint {
	const char *source;
	unsigned line, column;
	const char *text;
};

/* What the parser needs from outside; it has no system calls of its own. */
struct config_io {
	void *context;
	/* Called for each complaint, in order of the text. */
	void (*complain)(void *context, const struct config_complaint *complaint);
	/* Reads a file whole for `include` and config_file(). Returns the text (not NUL-terminated, valid until
	 * `release`), or NULL with errno. May be NULL: then include is refused. */
	const char *(*read)(void *context, const char *path, size_t *length);
	void (*release)(void *context, const char *text, size_t length);
};

/*
 * Parses statements (ip2vsock.conf(5)) and appends them to rules. A statement ends with the line or,
 * outside quotes, with ';'. `source` names the text in messages and is kept by pointer.
 * Every fault is complained of, not only the first; nothing is done with a faulty statement.
 * Returns the number of complaints, or -1 with errno ENOMEM.
 */
int config_text(struct rules *rules, struct arena *arena, const char *source, const char *text,
		size_t length, const struct config_io *io);

/* The same for a file, through io->read. A file that cannot be read is one complaint. */
int config_file(struct rules *rules, struct arena *arena, const char *path, const struct config_io *io);

/*
 * One target as a program names it that knows vsock itself (vsock_stream.h): "vsock 3:5432", "unix /run/fc/v.sock:22", with
 * options behind it (timeout= of RULE_CONNECT, allow= of RULE_LISTEN, buffer=). One port; "*" for a vsock listener: port_low is then
 * VMADDR_PORT_ANY. Fills target, cid, port_low, path and options of *out, which live as long as the arena. Returns the number
 * of complaints, whose line is 1, or -1 with errno ENOMEM. io->read is not used.
 */
int config_target(struct arena *arena, enum rule_direction direction, const char *text, const struct config_io *io,
		  struct rule *out);

/* Room for config_rule_text(). */
#define CONFIG_RULE_TEXT_SIZE 1536

/* A rule as a statement of the mapping language, in canonical form, e.g.
 * "connect tcp 10.8.0.0/16:8000-8099 vsock 4:9000-9099"; returns buf. */
char *config_rule_text(const struct rule *rule, char *buf, size_t size);

/* Room for config_endpoint_text(). */
#define CONFIG_ENDPOINT_TEXT_SIZE 128

/* "3:5432", "host:80", "any:*", "/run/fc/9.sock:22"; returns buf. */
char *config_endpoint_text(const struct endpoint *to, char *buf, size_t size);

/* errno names as the language writes them ("EHOSTUNREACH"). 0 / NULL when not one of the language's. */
int config_errno_value(const char *name, size_t length);
const char *config_errno_name(int error);

/* Parses "ADDR:PORT" with one address and one port, as in --explain. `text` NUL-terminated; name allowed when
 * rules knows it. False with a message (static or in buf) when it is not. */
bool config_parse_address(const struct rules *rules, const char *text, struct ip_addr *out,
			  char *message, size_t size);

#endif
