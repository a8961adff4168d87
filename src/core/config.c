/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mapping language: text to rules, with file, line and column in every complaint. */
#include "ip2vsock/config.h"
#include "core/token.h"
#include "core/value.h"

#include <errno.h>
#include <string.h>

#define INCLUDE_DEPTH 8
#define UNIX_NAME_MAX 107 /* of sun_path, without its NUL */

/* A text being read. Includes are a list of these and not a recursion: the first hooked call of a
 * program may come on a small stack. */
struct source {
	struct source *includer; /* NULL for the outermost */
	unsigned depth;
	const char *name;
	const char *text;
	size_t length;
	bool release; /* text is the io's */
	struct scanner scan;
	unsigned default_line; /* of its first `default`, or 0 */
};

struct parser {
	struct rules *rules;
	struct arena *arena;
	const struct config_io *io;
	struct source *source;	/* the innermost */
	struct source *include; /* to be read after this statement */
	unsigned line;		/* of the statement */
	unsigned column;	/* where it begins */
	bool faulty;		/* it has been complained of */
	bool astray;		/* the next word may not be what it seems: if unknown, no news */
	bool lost;		/* what is left of it cannot be understood */
	bool nomem;
	int complaints;
	const char **names; /* of a host line, in lower case */
	size_t names_count, names_room;
	struct why why;
	char why_buf[384];
};

/* Begins the next complaint's text. */
static struct why *why_new(struct parser *parser)
{
	text_init(&parser->why.text, parser->why_buf, sizeof(parser->why_buf));
	return &parser->why;
}

static void complain_at(struct parser *parser, const char *source, unsigned line, unsigned column)
{
	const struct config_complaint complaint = { source, line, column, parser->why_buf };

	if (parser->lost || parser->nomem)
		return;
	parser->faulty = true;
	parser->complaints++;
	parser->io->complain(parser->io->context, &complaint);
}

static void complain(struct parser *parser, unsigned column)
{
	complain_at(parser, parser->source->name, parser->line, column);
}

/* The complaint that a value function has filled in. */
static void complain_why(struct parser *parser, const struct word *word)
{
	complain(parser, word_column(word, parser->why.at));
}

static void complain_word(struct parser *parser, const struct word *word, const char *before,
			  const char *after)
{
	struct text *text = &why_new(parser)->text;

	text_str(text, before);
	text_quoted(text, word->slice.text, word->slice.length);
	text_str(text, after);
	complain(parser, word->column);
}

static void complain_missing(struct parser *parser, const struct word *word, const char *what)
{
	text_str(&why_new(parser)->text, what);
	complain(parser, word->column);
	parser->lost = true;
}

static void complain_token(struct parser *parser, const struct word *word)
{
	struct text *text = &why_new(parser)->text;

	if (word->kind == WORD_CONTROL) {
		text_str(text, "control byte ");
		text_hex(text, (unsigned char)*word->slice.text);
		text_str(text, " (only text is expected)");
	} else {
		text_str(text, "quote is not closed in ");
		text_quoted(text, word->slice.text, word->slice.length);
	}
	complain(parser, word->column);
	parser->lost = true;
}

static bool word_take(struct parser *parser, struct word *word)
{
	switch (word_next(&parser->source->scan, parser->arena, word)) {
	case WORD_TEXT:
		return true;
	case WORD_NOMEM:
		parser->nomem = true;
		return false;
	case WORD_CONTROL:
	case WORD_OPEN:
		complain_token(parser, word);
		return false;
	case WORD_NONE:
		break;
	}
	return false;
}

/* A word that has to be there; `missing` says so when it is not. */
static bool word_need(struct parser *parser, struct word *word, const char *missing)
{
	if (word_take(parser, word))
		return true;
	complain_missing(parser, word, missing);
	return false;
}

/* Ends a statement that takes no more words. */
static void word_none(struct parser *parser)
{
	struct word word;

	if (!word_take(parser, &word))
		return;
	complain_word(parser, &word, "unexpected ", " (the statement is complete without it)");
	parser->lost = true;
}

static struct rule_place place_here(const struct parser *parser)
{
	return (struct rule_place){ parser->source->name, parser->line };
}

static void place_text(struct text *text, const struct parser *parser,
		       const struct rule_place *place)
{
	text_str(text, " (");
	if (strcmp(place->source, parser->source->name) != 0) {
		text_quoted(text, place->source, strlen(place->source));
		text_str(text, ", ");
	}
	text_str(text, "line ");
	text_uint(text, place->line);
	text_str(text, ")");
}

static const char *name_copy(struct parser *parser, struct slice name)
{
	char *copy = arena_alloc(parser->arena, name.length + 1);

	if (copy)
		value_name_lower(name, copy);
	else
		parser->nomem = true;
	return copy;
}

static void rule_add(struct parser *parser, const struct rule *rule)
{
	if (!parser->faulty && !parser->nomem && rules_add(parser->rules, rule) < 0)
		parser->nomem = true;
}

/* ADDRESS:PORT; *ports_right tells whether the target's ports may be held against it. */
static void pattern_read(struct parser *parser, const struct word *word, struct rule_pattern *out,
			 bool *ports_right)
{
	struct slice address, port, name;
	struct ports ports;

	*ports_right = false;
	if (!value_split(word->slice, &address, &port)) {
		complain_word(parser, word, "",
			      " has no port (ADDRESS:PORT is expected, such as *:80 or 10.0.0.3:*)");
		parser->astray = true;
		return;
	}
	if (!value_address(address, out, &name, why_new(parser)))
		complain_why(parser, word);
	else if (name.length > 0)
		out->name = name_copy(parser, name);
	if (!value_ports(port, UINT16_MAX, &ports, why_new(parser))) {
		complain_why(parser, word);
		return;
	}
	out->port_low = (uint16_t)ports.low;
	out->port_high = (uint16_t)ports.high;
	*ports_right = true;
}

static bool is_range(const struct ports *ports)
{
	return !ports->any && ports->low != ports->high;
}

/* A range on the right maps one to one. */
static void ranges_compare(struct parser *parser, const struct word *word, struct slice right,
			   const struct ports *ports, const struct rule_pattern *pattern)
{
	uint32_t count = ports->high - ports->low + 1;
	uint32_t wanted = (uint32_t)pattern->port_high - pattern->port_low + 1;
	struct text *text = &why_new(parser)->text;

	if (!is_range(ports) || (count == wanted && pattern->port_low > 0))
		return;
	text_str(text, "port range ");
	text_quoted(text, right.text, right.length);
	if (pattern->port_low == 0) {
		text_str(text, " needs a range on the left (\"*\" is not one)");
	} else {
		text_str(text, " has ");
		text_uint(text, count);
		text_str(text, " ports, the left side ");
		text_uint(text, wanted);
	}
	complain(parser, word_column(word, right.text));
}

static void vsock_read(struct parser *parser, struct rule *rule, bool pattern_right)
{
	struct slice cid, port;
	struct ports ports;
	struct word word;

	if (!word_need(parser, &word, "CID:PORT is missing after \"vsock\""))
		return;
	if (!value_split(word.slice, &cid, &port)) {
		complain_word(parser, &word, "",
			      " has no port (CID:PORT is expected, such as 3:80 or host:*)");
		return;
	}
	if (!value_cid(cid, rule->direction, &rule->cid, why_new(parser)))
		complain_why(parser, &word);
	if (!value_ports(port, VALUE_PORT_MAX, &ports, why_new(parser))) {
		complain_why(parser, &word);
		return;
	}
	if (pattern_right)
		ranges_compare(parser, &word, port, &ports, &rule->pattern);
	rule->same_port = ports.any;
	rule->port_low = ports.any ? 0 : ports.low;
	rule->port_high = ports.any ? 0 : ports.high;
}

/* A listener's socket is PATH_PORT. */
static unsigned path_most(const struct rule *rule, const struct ports *ports)
{
	unsigned digits = 1;

	if (rule->direction == RULE_CONNECT)
		return UNIX_NAME_MAX;
	for (uint32_t port = ports->any ? UINT16_MAX : ports->high; port > 9; port /= 10)
		digits++;
	return UNIX_NAME_MAX - 1 - digits;
}

static void path_check(struct parser *parser, const struct word *word, struct slice path, unsigned most)
{
	struct text *text = &why_new(parser)->text;

	if (path.length == 0) {
		complain_word(parser, word, "", " has no path (PATH:PORT is expected)");
	} else if (path.text[0] != '/') {
		text_str(text, "path ");
		text_quoted(text, path.text, path.length);
		text_str(text, " is not absolute (it has to begin with \"/\")");
		complain(parser, word->column);
	} else if (path.length > most) {
		text_str(text, "path ");
		text_quoted(text, path.text, path.length);
		text_str(text, " is too long (at most ");
		text_uint(text, most);
		text_str(text, most == UNIX_NAME_MAX ? " bytes)" : " bytes, so that \"_\" and the port fit behind it)");
		complain(parser, word->column);
	}
}

static const char *path_copy(struct parser *parser, struct slice path)
{
	char *copy = arena_alloc(parser->arena, path.length + 1);

	if (copy)
		memcpy(copy, path.text, path.length);
	else
		parser->nomem = true;
	return copy;
}

static void unix_read(struct parser *parser, struct rule *rule, bool pattern_right)
{
	struct slice path, port;
	struct ports ports;
	struct word word;

	if (!word_need(parser, &word, "PATH:PORT is missing after \"unix\""))
		return;
	if (rule->protocols == RULE_UDP)
		complain_word(parser, &word, "target \"unix\" is for tcp only, at ", "");
	if (!value_split(word.slice, &path, &port)) {
		complain_word(parser, &word, "", " has no port (PATH:PORT is expected)");
		return;
	}
	if (!value_ports(port, VALUE_PORT_MAX, &ports, why_new(parser))) {
		complain_why(parser, &word);
		return;
	}
	path_check(parser, &word, path, path_most(rule, &ports));
	if (pattern_right)
		ranges_compare(parser, &word, port, &ports, &rule->pattern);
	if (parser->faulty)
		return;
	rule->cid = VMADDR_CID_ANY;
	rule->path = path_copy(parser, path);
	rule->same_port = ports.any;
	rule->port_low = ports.any ? 0 : ports.low;
	rule->port_high = ports.any ? 0 : ports.high;
}

/* The errno after "reject", if there is one; returns whether *word is yet to be looked at. */
static bool reject_read(struct parser *parser, int *error, struct word *word)
{
	if (!word_take(parser, word))
		return false;
	if (slice_find(word->slice, '=') != SLICE_NONE)
		return true;
	if (!value_error(word->slice, error, why_new(parser)))
		complain_why(parser, word);
	return word_take(parser, word);
}

/* What the rules keep of options that are read. */
static const struct rule_options *options_keep(struct parser *parser, const struct rule_options *options)
{
	size_t size = options->allow_count * sizeof(*options->allow);
	struct rule_options *kept = arena_alloc(parser->arena, sizeof(*kept));
	struct cid_range *allow = size ? arena_alloc(parser->arena, size) : NULL;

	if (!kept || (size && !allow)) {
		parser->nomem = true;
		return NULL;
	}
	*kept = *options;
	kept->allow = allow;
	if (size)
		memcpy(allow, options->allow, size);
	return kept;
}

/* What follows the target: options and nothing else. `more` says that *word is one already. */
static void options_read(struct parser *parser, struct rule *rule, struct word *word, bool more)
{
	struct cid_range ranges[RULE_ALLOW_MOST];
	struct rule_options options = { 0 };
	struct option_room room = { .options = &options, .ranges = ranges };

	for (; more; more = word_take(parser, word)) {
		size_t equals = slice_find(word->slice, '=');

		if (equals == SLICE_NONE || equals == 0) {
			complain_word(parser, word, "unexpected ",
				      " (only options, as KEY=VALUE, may follow)");
			parser->lost = true;
			return;
		}
		if (!value_option(slice_before(word->slice, equals), slice_after(word->slice, equals), rule, &room,
				  why_new(parser)))
			complain_why(parser, word);
	}
	if (room.given && !parser->faulty)
		rule->options = options_keep(parser, &options);
}

/* The target and all that follows. */
static void target_read(struct parser *parser, struct rule *rule, bool pattern_right)
{
	struct word word;
	bool more;

	if (!word_need(parser, &word, "target is missing (vsock, inet, reject or unix)"))
		return;
	if (slice_is(word.slice, "reject")) {
		rule->target = TARGET_REJECT;
		rule->error = rule->direction == RULE_LISTEN ? EACCES : ECONNREFUSED;
		more = reject_read(parser, &rule->error, &word);
		options_read(parser, rule, &word, more);
		return;
	}
	if (slice_is(word.slice, "inet")) {
		rule->target = TARGET_INET;
	} else if (slice_is(word.slice, "vsock")) {
		rule->target = TARGET_VSOCK;
		vsock_read(parser, rule, pattern_right);
	} else if (slice_is(word.slice, "unix")) {
		rule->target = TARGET_UNIX;
		unix_read(parser, rule, pattern_right);
	} else {
		if (!parser->astray)
			complain_word(parser, &word, "unknown target ",
				      " (vsock, inet, reject or unix)");
		parser->lost = true;
		return;
	}
	if (parser->lost)
		return;
	more = word_take(parser, &word);
	options_read(parser, rule, &word, more);
}

static void rule_read(struct parser *parser, enum rule_direction direction)
{
	static const char missing[] = "ADDRESS:PORT is missing (such as *:80 or 10.0.0.3:*)";
	struct rule rule = {
		.direction = direction,
		.protocols = RULE_TCP | RULE_UDP,
		.place = place_here(parser),
	};
	bool pattern_right;
	struct word word;

	if (!word_need(parser, &word, missing))
		return;
	if (slice_is(word.slice, "tcp") || slice_is(word.slice, "udp")) {
		rule.protocols = slice_is(word.slice, "tcp") ? RULE_TCP : RULE_UDP;
		if (!word_need(parser, &word, missing))
			return;
	}
	pattern_read(parser, &word, &rule.pattern, &pattern_right);
	target_read(parser, &rule, pattern_right);
	rule_add(parser, &rule);
}

static void connect_read(struct parser *parser)
{
	rule_read(parser, RULE_CONNECT);
}

static void listen_read(struct parser *parser)
{
	rule_read(parser, RULE_LISTEN);
}

static void name_keep(struct parser *parser, struct slice name)
{
	const char *copy = name_copy(parser, name);

	if (parser->names_count == parser->names_room) {
		size_t room = parser->names_room ? parser->names_room * 2 : 8;
		const char **names = arena_alloc(parser->arena, room * sizeof(*names));

		if (!names) {
			parser->nomem = true;
			return;
		}
		if (parser->names_count > 0)
			memcpy(names, parser->names, parser->names_count * sizeof(*names));
		parser->names = names;
		parser->names_room = room;
	}
	parser->names[parser->names_count++] = copy;
}

/* The names of a host line: all are read before the first is added, because the line may be wrong. */
static void host_names_read(struct parser *parser)
{
	struct slice name;
	struct word word;

	parser->names_count = 0;
	while (word_take(parser, &word)) {
		if (value_name(word.slice, &name, why_new(parser)))
			name_keep(parser, name);
		else
			complain_why(parser, &word);
	}
}

static void host_names_add(struct parser *parser, const struct rule *rule)
{
	struct rule_place before;

	for (size_t i = 0; i < parser->names_count; i++) {
		if (rules_add_host(parser->rules, parser->names[i], &rule->pattern.ip, rule->cid, &rule->place,
				   &before) < 0) {
			parser->nomem = true;
			return;
		}
	}
}

static void host_add(struct parser *parser, const struct rule *rule, const struct word *address)
{
	struct rule_place before;
	struct text *text;

	if (rules_add_host(parser->rules, NULL, &rule->pattern.ip, rule->cid, &rule->place,
			   &before) == 0)
		return;
	if (errno != EEXIST) {
		parser->nomem = true;
		return;
	}
	text = &why_new(parser)->text;
	text_str(text, "address ");
	text_quoted(text, address->slice.text, address->slice.length);
	text_str(text, " already stands for another CID");
	place_text(text, parser, &before);
	complain(parser, address->column);
}

/* An address that another CID is shown as would make one of the two look like the other. */
static void host_check(struct parser *parser, const struct rule *rule, const struct word *address)
{
	struct text *text = &why_new(parser)->text;
	uint32_t cid;

	if (!cid_from_stand_in(&rule->pattern.ip, &cid) || cid == rule->cid)
		return;
	text_str(text, "address ");
	text_quoted(text, address->slice.text, address->slice.length);
	text_str(text, " is how CID ");
	text_uint(text, cid);
	text_str(text, " is shown (choose another)");
	complain(parser, address->column);
}

static void host_read(struct parser *parser)
{
	struct rule rule = {
		.direction = RULE_CONNECT,
		.protocols = RULE_TCP | RULE_UDP,
		.is_host = true,
		.pattern = { .length = 128, .port_high = UINT16_MAX },
		.target = TARGET_VSOCK,
		.same_port = true,
		.place = place_here(parser),
	};
	struct word address, cid;

	if (!word_need(parser, &address, "address is missing (host ADDRESS CID NAME...)"))
		return;
	if (!value_ip(address.slice, &rule.pattern.ip, why_new(parser)))
		complain_why(parser, &address);
	if (!word_need(parser, &cid, "CID is missing (host ADDRESS CID NAME...)"))
		return;
	if (!value_cid(cid.slice, RULE_CONNECT, &rule.cid, why_new(parser)))
		complain_why(parser, &cid);
	host_names_read(parser);
	if (!parser->faulty)
		host_check(parser, &rule, &address);
	if (parser->faulty || parser->nomem)
		return;
	host_add(parser, &rule, &address);
	rule_add(parser, &rule);
	if (parser->faulty || parser->nomem)
		return;
	host_names_add(parser, &rule);
}

static void default_read(struct parser *parser)
{
	struct rule_place place = place_here(parser), before;
	struct source *source = parser->source;
	enum target_kind kind = TARGET_INET;
	int error = 0; /* the direction's own */
	struct word word;

	if (!word_need(parser, &word, "target is missing (inet or reject)"))
		return;
	if (slice_is(word.slice, "reject")) {
		kind = TARGET_REJECT;
		if (reject_read(parser, &error, &word)) {
			complain_word(parser, &word, "unexpected ",
				      " (the statement is complete without it)");
			parser->lost = true;
		}
	} else if (slice_is(word.slice, "inet")) {
		word_none(parser);
	} else {
		complain_word(parser, &word, "unknown target ", " (inet or reject)");
		parser->lost = true;
	}
	if (parser->faulty || parser->nomem)
		return;
	if (source->default_line) {
		struct text *text = &why_new(parser)->text;

		place.line = source->default_line;
		text_str(text, "default is given twice");
		place_text(text, parser, &place);
		complain(parser, parser->column);
		return;
	}
	source->default_line = parser->line;
	/* A later source's default is no mistake: --strict comes before any file. */
	rules_set_default(parser->rules, kind, error, &place, &before);
}

static const char *error_text(int error)
{
	switch (error) {
	case ENOENT:
		return "no such file";
	case EACCES:
	case EPERM:
		return "permission denied";
	case EISDIR:
		return "is a directory";
	case ENOTDIR:
		return "part of the path is not a directory";
	case ELOOP:
		return "too many symbolic links";
	case ENAMETOOLONG:
		return "name too long";
	case EFBIG:
		return "too large";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case EIO:
		return "input/output error";
	}
	return NULL;
}

static void error_add(struct text *text, int error)
{
	const char *name = error_text(error);

	text_str(text, " (");
	if (name) {
		text_str(text, name);
	} else {
		text_str(text, "errno ");
		text_int(text, error);
	}
	text_str(text, ")");
}

/* A relative path is relative to the folder of the file it stands in. */
static const char *include_path(struct parser *parser, struct slice path)
{
	const char *name = parser->source->name;
	const char *slash = strrchr(name, '/');
	size_t folder = slash && path.text[0] != '/' ? (size_t)(slash + 1 - name) : 0;
	char *copy = arena_alloc(parser->arena, folder + path.length + 1);

	if (!copy) {
		parser->nomem = true;
		return NULL;
	}
	memcpy(copy, name, folder);
	memcpy(copy + folder, path.text, path.length);
	copy[folder + path.length] = '\0';
	return copy;
}

/* A file that is being read already may not be begun again. */
static bool include_check(struct parser *parser, const struct word *word, const char *path)
{
	struct text *text = &why_new(parser)->text;
	const struct source *source = parser->source;

	text_str(text, "include of ");
	text_quoted(text, path, strlen(path));
	for (; source; source = source->includer) {
		if (strcmp(source->name, path) == 0) {
			text_str(text, " never ends: it is included from itself");
			for (source = parser->source; strcmp(source->name, path) != 0;
			     source = source->includer) {
				text_str(text, ", by way of ");
				text_quoted(text, source->name, strlen(source->name));
			}
			complain(parser, word->column);
			return false;
		}
	}
	if (parser->source->depth == INCLUDE_DEPTH) {
		text_str(text, " goes too deep (at most 8 files inside each other)");
		complain(parser, word->column);
		return false;
	}
	return true;
}

/* How many lines of a text look like host statements. */
static uint32_t hosts_count(const char *text, size_t length)
{
	const char *end = text + length;
	uint32_t count = 0;

	while (end - text > 4) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		count += memcmp(text, "host", 4) == 0;
		if (!line_end)
			break;
		text = line_end + 1;
	}
	return count;
}

/* Reads a file and puts it before what is read now. False with errno, and nothing done. */
static bool source_open(struct parser *parser, const char *path, struct source **out)
{
	const struct config_io *io = parser->io;
	struct source *source = arena_alloc(parser->arena, sizeof(*source));

	if (!source)
		return false;
	source->name = path;
	source->text = io->read(io->context, path, &source->length);
	if (!source->text)
		return false;
	source->release = true;
	rules_expect_hosts(parser->rules, hosts_count(source->text, source->length));
	scanner_init(&source->scan, source->text, source->length);
	*out = source;
	return true;
}

static void include_read(struct parser *parser)
{
	struct source *source;
	const char *path;
	struct word word;

	if (!word_need(parser, &word, "path is missing (include PATH)"))
		return;
	if (word.slice.length == 0)
		complain_word(parser, &word, "", " is not a path");
	else if (!parser->io->read)
		complain_word(parser, &word, "include of ", " is not possible here");
	word_none(parser);
	if (parser->faulty || parser->nomem)
		return;
	path = include_path(parser, word.slice);
	if (!path || !include_check(parser, &word, path))
		return;
	if (!source_open(parser, path, &source)) {
		struct text *text = &why_new(parser)->text;

		text_str(text, "cannot read ");
		text_quoted(text, path, strlen(path));
		error_add(text, errno);
		if (errno == ENOMEM)
			parser->nomem = true;
		complain(parser, word.column);
		return;
	}
	source->includer = parser->source;
	source->depth = parser->source->depth + 1;
	parser->include = source;
}

static const struct {
	const char *name;
	void (*read)(struct parser *parser);
} statements[] = {
	{ "host", host_read },
	{ "connect", connect_read },
	{ "listen", listen_read },
	{ "default", default_read },
	{ "include", include_read },
};

static void statement_read(struct parser *parser)
{
	size_t i, count = sizeof(statements) / sizeof(statements[0]);
	struct word word;

	parser->line = parser->source->scan.line;
	parser->faulty = parser->astray = parser->lost = false;
	if (!word_take(parser, &word))
		return;
	parser->column = word.column;
	for (i = 0; i < count && !slice_is(word.slice, statements[i].name); i++)
		;
	if (i < count)
		statements[i].read(parser);
	else
		complain_word(parser, &word, "unknown statement ",
			      " (host, connect, listen, default or include)");
}

/* Goes to the end of a statement, whatever is left of it. */
static void statement_finish(struct parser *parser)
{
	struct word word;

	while (word_next(&parser->source->scan, parser->arena, &word) != WORD_NONE)
		if (word.kind == WORD_NOMEM)
			parser->nomem = true;
}

static void source_close(struct parser *parser)
{
	struct source *source = parser->source;

	parser->source = source->includer;
	if (source->release)
		parser->io->release(parser->io->context, source->text, source->length);
}

static int sources_read(struct parser *parser)
{
	while (parser->source) {
		if (parser->nomem || !statement_next(&parser->source->scan)) {
			source_close(parser);
			continue;
		}
		statement_read(parser);
		statement_finish(parser);
		if (parser->include)
			parser->source = parser->include;
		parser->include = NULL;
	}
	if (parser->nomem) {
		errno = ENOMEM;
		return -1;
	}
	return parser->complaints;
}

int config_text(struct rules *rules, struct arena *arena, const char *source, const char *text,
		size_t length, const struct config_io *io)
{
	struct source outermost = { .name = source, .text = text, .length = length };
	struct parser parser = { .rules = rules, .arena = arena, .io = io, .source = &outermost };

	scanner_init(&outermost.scan, text, length);
	rules_expect_hosts(rules, hosts_count(text, length));
	return sources_read(&parser);
}

/* What has a meaning only where there is a mapping. */
static void target_check(struct parser *parser, const struct rule *rule)
{
	const struct rule_options *options = rule->options;
	const char *wrong = NULL;

	if (rule->target != TARGET_VSOCK && rule->target != TARGET_UNIX)
		wrong = "this is no endpoint (vsock CID:PORT or unix PATH:PORT is expected)";
	else if (rule->same_port && (rule->target == TARGET_UNIX || rule->direction == RULE_CONNECT))
		wrong = "port \"*\" is none (a number is expected)";
	else if (rule->port_low != rule->port_high)
		wrong = "a range of ports is none (a number is expected)";
	else if (options && (options->retry || options->fallback))
		wrong = "options \"retry\" and \"fallback\" are for mappings only";
	if (!wrong)
		return;
	text_str(&why_new(parser)->text, wrong);
	complain(parser, parser->column);
}

int config_target(struct arena *arena, enum rule_direction direction, const char *text, const struct config_io *io,
		  struct rule *out)
{
	struct source source = { .name = "endpoint", .text = text, .length = strlen(text) };
	struct parser parser = { .arena = arena, .io = io, .source = &source, .line = 1, .column = 1 };
	struct word word;

	*out = (struct rule){ .direction = direction, .protocols = RULE_TCP, .pattern.port_high = UINT16_MAX };
	scanner_init(&source.scan, text, source.length);
	if (!statement_next(&source.scan)) {
		text_str(&why_new(&parser)->text, "endpoint is missing (vsock CID:PORT or unix PATH:PORT)");
		complain(&parser, 1);
		return parser.complaints;
	}
	target_read(&parser, out, false);
	if (!parser.faulty && !parser.nomem)
		target_check(&parser, out);
	if (!parser.faulty && !parser.nomem && statement_next(&source.scan)) {
		parser.line = source.scan.line;
		if (word_take(&parser, &word))
			complain_word(&parser, &word, "unexpected ", " (one endpoint is enough)");
	}
	if (parser.nomem) {
		errno = ENOMEM;
		return -1;
	}
	if (out->same_port)
		out->port_low = out->port_high = VMADDR_PORT_ANY;
	return parser.complaints;
}

int config_file(struct rules *rules, struct arena *arena, const char *path, const struct config_io *io)
{
	struct parser parser = { .rules = rules, .arena = arena, .io = io };
	size_t length = strlen(path);
	char *name = arena_alloc(arena, length + 1);
	struct text *text;

	if (!name)
		return -1;
	memcpy(name, path, length + 1);
	if (source_open(&parser, name, &parser.source)) {
		parser.source->depth = 1; /* as if a text had included it */
		return sources_read(&parser);
	}
	if (errno == ENOMEM)
		return -1;
	text = &why_new(&parser)->text;
	text_str(text, "cannot be read");
	error_add(text, errno);
	complain_at(&parser, name, 0, 0);
	return parser.complaints;
}
