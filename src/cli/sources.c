/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options and the environment, read in order as one mapping. */
#include "cli/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *file_read(void *context, const char *path, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
	struct stat st;
	char *text = NULL;
	size_t size = 0, used = 0;
	ssize_t got;

	(void)context;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		goto failed;
	}
	do {
		if (used == size) {
			char *larger = realloc(text, size = size ? 2 * size : 4096);

			if (!larger)
				goto failed;
			text = larger;
		}
		got = read(fd, text + used, size - used);
		if (got > 0)
			used += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		goto failed;
	close(fd);
	*length = used;
	return text;
failed:
	saved = errno;
	free(text);
	close(fd);
	errno = saved;
	return NULL;
}

void file_release(void *context, const char *text, size_t length)
{
	(void)context;
	(void)length;
	free((void *)text);
}

static void complaint_ignore(void *context, const struct config_complaint *complaint)
{
	(void)context;
	(void)complaint;
}

/* Whether the text itself, not a file it includes, says what the default is. */
static bool default_find(struct ctl *ctl, const char *text, enum target_kind *kind)
{
	const struct config_io io = {.complain = complaint_ignore};
	struct rules *rules = rules_new(&ctl->arena);
	struct rule_place place;
	struct target target;

	if (!rules || config_text(rules, &ctl->arena, "", text, strlen(text), &io) < 0)
		no_memory();
	rules_default(rules, &target, &place);
	*kind = target.kind;
	return place.source;
}

/*
 * In one text a second default is a mistake, and all our texts become one. Only --strict inside
 * --strict is none: then the text says already what --strict would.
 */
static void default_check(struct ctl *ctl, const char *source, const char *text)
{
	struct config_complaint again = {.source = source};
	enum target_kind kind;

	if (!default_find(ctl, text, &kind))
		return;
	if (ctl->default_from && ctl->strict && kind == TARGET_REJECT) {
		ctl->strict = false;
	} else if (ctl->default_from) {
		again.text = string_format(ctl, "default is given twice (%s gives one)", ctl->default_from);
		config_complain(ctl, &again);
	}
	ctl->default_from = source;
}

/* Statements placed at `source`. Both strings must live as long as the rules. */
static void statements_add(struct ctl *ctl, const char *source, const char *text)
{
	if (config_text(ctl->rules, &ctl->arena, source, text, strlen(text), &ctl->io) < 0)
		no_memory();
	default_check(ctl, source, text);
	fprintf(ctl->made, "%s\n", text);
}

/* The statement that an option stands for. */
static void made_add(struct ctl *ctl, const char *statement)
{
	ctl->is_made = true;
	ctl->source = string_format(ctl, "%s %s", ctl->option, ctl->value);
	statements_add(ctl, ctl->source, statement);
}

/* What goes into a statement of ours must not end it. */
static bool value_is_word(const char *value)
{
	return *value && !value[strcspn(value, " \t\r\n;#\"'\\")];
}

static void connect_add(struct ctl *ctl, const char *value)
{
	const char *colon = strchr(value, ':');

	if (!value_is_word(value) || colon == value || (colon && !colon[1]))
		option_complain(ctl, "expected CID[:PORT], as in -c 3 or -c host:8080");
	else
		made_add(ctl, string_format(ctl, "connect tcp *:* vsock %s%s", value, colon ? "" : ":*"));
}

static void listen_add(struct ctl *ctl, const char *value)
{
	const char *equals = strrchr(value, '=');
	int length = equals ? (int)(equals - value) : 0;

	if (strcmp(value, "*") == 0)
		made_add(ctl, "listen tcp *:* vsock any:*");
	else if (!value_is_word(value) || !length || !equals[1] || strchr(equals, ':'))
		option_complain(ctl, "expected [ADDR:]PORT=PORT or *, as in -l 127.0.0.1:8080=80");
	else
		made_add(ctl, string_format(ctl, "listen tcp %s%.*s vsock any:%s",
					    memchr(value, ':', (size_t)length) ? "" : "*:", length, value,
					    equals + 1));
}

static void rule_add(struct ctl *ctl, const char *value)
{
	ctl->source = "-r";
	statements_add(ctl, ctl->source, value);
}

/* Between double quotes the mapping language takes every byte as it is, but has no escapes. */
static bool path_is_quotable(const char *path)
{
	for (; *path; path++)
		if (*path == '"' || *path == 0x7f || ((unsigned char)*path < ' ' && *path != '\t'))
			return false;
	return true;
}

/*
 * A file goes to the program as an include, because order counts and the program may change its
 * directory. It is read again by every process, which a pipe or somebody else's standard input
 * would not survive.
 */
static void file_add(struct ctl *ctl, const char *value)
{
	char resolved[PATH_MAX], *directory = NULL;
	const char *path = value;
	struct stat st;

	if (strncmp(value, "/dev/", 5) == 0 || strncmp(value, "/proc/", 6) == 0) {
		path = realpath(value, resolved);
		path = path ? path : value;
	} else if (value[0] != '/' && !(directory = getcwd(NULL, 0))) {
		option_complain(ctl, "cannot find the current directory: %s", strerror(errno));
		return;
	}
	path = directory ? string_format(ctl, "%s/%s", directory, value) : string_format(ctl, "%s", path);
	free(directory);

	if (stat(path, &st) < 0)
		option_complain(ctl, "cannot read this file: %s", strerror(errno));
	else if (S_ISDIR(st.st_mode))
		option_complain(ctl, "cannot read this file: %s", strerror(EISDIR));
	else if (!S_ISREG(st.st_mode))
		option_complain(ctl, "not a regular file; each program reads the rules again, "
				     "a pipe can be read only once");
	else if (access(path, R_OK) < 0)
		option_complain(ctl, "cannot read this file: %s", strerror(errno));
	else if (!path_is_quotable(path))
		option_complain(ctl, "a path with a double quote or control character cannot be handed on");
	else if (config_file(ctl->rules, &ctl->arena, string_format(ctl, "%s", value), &ctl->io) < 0)
		no_memory();
	else
		fprintf(ctl->made, "include \"%s\"\n", path);
}

/* The mapping a surrounding ip2vsock, or the user, has set: the same order as in the library. */
static void environment_add(struct ctl *ctl, const char *value)
{
	const char *text = secure_getenv("IP2VSOCK_RULES"), *files = secure_getenv("IP2VSOCK_FILE");

	(void)value;
	if (text)
		statements_add(ctl, "IP2VSOCK_RULES", text);
	ctl->option = "IP2VSOCK_FILE";
	while (files && *files) {
		int length = (int)(strchrnul(files, ':') - files);

		ctl->value = string_format(ctl, "%.*s", length, files);
		if (length)
			file_add(ctl, ctl->value);
		files += length + (files[length] == ':');
	}
}

/* The wrapper says this first, because the first default counts. */
static void strict_add(struct ctl *ctl, const char *value)
{
	static const struct rule_place place = {"--strict", 1};
	struct rule_place before;

	(void)value;
	ctl->strict = ctl->is_strict = true;
	ctl->default_from = place.source;
	rules_set_default(ctl->rules, TARGET_REJECT, 0, &place, &before);
}

static void realm_add(struct ctl *ctl, const char *value)
{
	ctl->realm.name = value;
	ctl->realm_from = ctl->option;
	if (!realm_name_valid(value))
		option_complain(ctl, "not a realm name, expected 1 to %d letters, digits, '.', '_' or '-'",
				REALM_NAME_MAX);
}

static void question_add(struct ctl *ctl, const char *value)
{
	ctl->questions[ctl->question_count++] = value;
}

static void program_add(struct ctl *ctl, const char *value)
{
	ctl->program = value;
}

static void library_add(struct ctl *ctl, const char *value)
{
	ctl->library = value;
}

static void no_rules_add(struct ctl *ctl, const char *value)
{
	ctl->no_rules = value;
}

static void quiet_add(struct ctl *ctl, const char *value)
{
	(void)value;
	ctl->is_quiet = true;
}

static const struct source {
	const char *option;
	bool has_value;
	void (*add)(struct ctl *, const char *value);
} sources[] = {
	{"-c", true, connect_add},
	{"-l", true, listen_add},
	{"-r", true, rule_add},
	{"-f", true, file_add},
	{"-u", true, realm_add},
	{"--explain", true, question_add},
	{"--program", true, program_add},
	{"--library", true, library_add},
	{"--no-rules", true, no_rules_add},
	{"--quiet", false, quiet_add},
	{"--strict", false, strict_add},
	{"--environment", false, environment_add},
};

bool sources_read(struct ctl *ctl, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const struct source *source = sources, *end = sources + sizeof sources / sizeof *sources;

		while (source < end && strcmp(source->option, argv[i]) != 0)
			source++;
		if (source == end || (source->has_value && i + 1 == argc))
			return false;
		ctl->option = argv[i];
		ctl->value = source->has_value ? argv[++i] : "";
		ctl->source = NULL;
		ctl->is_made = false;
		source->add(ctl, ctl->value);
	}
	return true;
}

void environment_check(struct ctl *ctl)
{
	const char *cid = secure_getenv("IP2VSOCK_CID"), *realm = secure_getenv("IP2VSOCK_REALM");
	unsigned long long value;
	char *end;

	ctl->realm.cid = VMADDR_CID_LOCAL;
	if (!ctl->realm.name && realm && *realm) {
		ctl->option = "IP2VSOCK_REALM";
		ctl->value = realm;
		realm_add(ctl, realm);
	}
	if (!cid || !*cid)
		return;
	value = strtoull(cid, &end, 10);
	if (*end || cid[strspn(cid, "0123456789")] || value >= UINT32_MAX) {
		ctl->option = "IP2VSOCK_CID";
		ctl->value = cid;
		option_complain(ctl, "not a CID, expected a number below %u", UINT32_MAX);
	}
	ctl->realm.cid = (uint32_t)value;
}
