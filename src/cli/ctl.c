/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Behind the wrapper: checks the rules it was given, prints them, and explains what they decide. */
#include "ip2vsock/config.h"
#include "ip2vsock/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_TROUBLE 125 /* as env(1): our own, not the program's */

struct ctl {
	struct arena arena;
	struct rules *rules;
	struct config_io io;
	FILE *made; /* what IP2VSOCK_RULES becomes */
	char *made_text;
	size_t made_size;
	bool strict; /* it begins with "default reject" */
	const char *default_from;
	unsigned complaints;

	/* The option being read, for complaints. */
	const char *option, *value;
	const char *source; /* of its statements */
	bool is_made;	    /* its statement is ours: lines and columns say nothing to the user */

	struct realm realm;
	const char *realm_from;
	const char **questions; /* --explain, in order */
	unsigned question_count;
};

static void no_memory(void)
{
	fputs("ip2vsock: not enough memory\n", stderr);
	exit(EXIT_TROUBLE);
}

static void *memory_more(size_t size)
{
	return calloc(1, size);
}

static void memory_less(void *chunk, size_t size)
{
	(void)size;
	free(chunk);
}

/* A string that lives as long as the rules. */
__attribute__((format(printf, 2, 3))) static const char *string_format(struct ctl *ctl, const char *format,
								       ...)
{
	va_list args;
	char *string, *kept;
	int length;

	va_start(args, format);
	length = vasprintf(&string, format, args);
	va_end(args);
	kept = length < 0 ? NULL : arena_alloc(&ctl->arena, (size_t)length + 1);
	if (!kept)
		no_memory();
	memcpy(kept, string, (size_t)length + 1);
	free(string);
	return kept;
}

/* A value as messages show it: on one line. */
static void value_print(FILE *out, const char *value)
{
	putc('"', out);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if ((unsigned char)*value < ' ' || *value == 0x7f)
			fprintf(out, "\\x%02x", (unsigned)*value);
		else
			putc(*value, out);
	}
	putc('"', out);
}

/* Complains of the option being read as a whole. */
__attribute__((format(printf, 2, 3))) static void option_complain(struct ctl *ctl, const char *format, ...)
{
	va_list args;

	ctl->complaints++;
	fprintf(stderr, "ip2vsock: %s ", ctl->option);
	value_print(stderr, ctl->value);
	fputs(": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
}

static void config_complain(void *context, const struct config_complaint *complaint)
{
	struct ctl *ctl = context;

	ctl->complaints++;
	fputs("ip2vsock: ", stderr);
	if (complaint->source == ctl->source) {
		fprintf(stderr, "%s ", ctl->option);
		value_print(stderr, ctl->value);
	} else {
		fputs(complaint->source, stderr);
	}
	if (complaint->line && !(complaint->source == ctl->source && ctl->is_made))
		fprintf(stderr, ":%u:%u", complaint->line, complaint->column);
	fprintf(stderr, ": %s\n", complaint->text);
}

static const char *file_read(void *context, const char *path, size_t *length)
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

static void file_release(void *context, const char *text, size_t length)
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
	ctl->strict = true;
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
	{"--strict", false, strict_add},
	{"--environment", false, environment_add},
};

/* False: not something the wrapper says. */
static bool sources_read(struct ctl *ctl, int argc, char **argv)
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

static void environment_check(struct ctl *ctl)
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

/* An option such as "-c 3" is one line; a file is many. */
static const char *place_text(struct ctl *ctl, const struct rule_place *place)
{
	if (place->source[0] == '-' && place->line == 1)
		return place->source;
	return string_format(ctl, "%s:%u", place->source, place->line);
}

static void line_print(struct ctl *ctl, const char *statement, const struct rule_place *place)
{
	printf("%-47s # %s\n", statement, place->source ? place_text(ctl, place) : "not said");
}

struct address_list {
	char text[256];
	size_t length;
};

static bool address_append(void *context, const struct in6_addr *ip)
{
	struct address_list *list = context;
	char text[INET6_ADDRSTRLEN];
	int length;

	if (IN6_IS_ADDR_V4MAPPED(ip))
		inet_ntop(AF_INET, &ip->s6_addr[12], text, sizeof text);
	else
		inet_ntop(AF_INET6, ip, text, sizeof text);
	length = snprintf(list->text + list->length, sizeof list->text - list->length, "%s%s",
			  list->length ? ", " : "", text);
	if (length > 0 && (size_t)length < sizeof list->text - list->length)
		list->length += (size_t)length;
	else
		list->text[list->length] = '\0';
	return true;
}

static const char *default_text(struct ctl *ctl, const struct target *target)
{
	if (target->kind == TARGET_INET)
		return "default inet";
	return string_format(ctl, "default reject%s%s", target->error ? " " : "",
			     target->error ? config_errno_name(target->error) : "");
}

/* What was understood, as a mapping that says the same. */
static int check_print(struct ctl *ctl)
{
	char statement[CONFIG_RULE_TEXT_SIZE];
	const struct rule *rule;
	struct rule_place place;
	struct target target;

	if (ctl->realm.name)
		printf("# in realm %s as CID %u\n", ctl->realm.name, ctl->realm.cid);
	for (unsigned i = 0; (rule = rules_at(ctl->rules, i)); i++) {
		struct address_list list = {.length = 0};
		const char *name;

		config_rule_text(rule, statement, sizeof statement);
		if (rule->is_host && (name = rules_address_name(ctl->rules, &rule->pattern.ip)))
			line_print(ctl, string_format(ctl, "%s %s", statement, name), &rule->place);
		else
			line_print(ctl, statement, &rule->place);
		if (rule->pattern.name &&
		    rules_name_address(ctl->rules, rule->pattern.name, address_append, &list))
			printf("#   %s is %s\n", rule->pattern.name, list.text);
	}
	rules_default(ctl->rules, &target, &place);
	line_print(ctl, default_text(ctl, &target), &place);
	return 0;
}

struct question {
	enum rule_direction direction;
	enum rule_protocol protocol;
	struct ip_addr addr;
};

/* "connect tcp 10.0.0.3:5432"; connect and tcp need not be said. */
static bool question_read(struct ctl *ctl, const char *text, struct question *out)
{
	static const struct {
		const char *word;
		unsigned place; /* the words stand in this order */
		int value;
	} words[] = {
		{"connect", 0, RULE_CONNECT},
		{"listen", 0, RULE_LISTEN},
		{"tcp", 1, RULE_TCP},
		{"udp", 1, RULE_UDP},
	};
	int values[] = {RULE_CONNECT, RULE_TCP};
	unsigned place = 0;
	char message[256];

	text += strspn(text, " \t");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t length = strlen(words[i].word);

		if (words[i].place < place || strncmp(text, words[i].word, length) != 0 ||
		    !strspn(text + length, " \t"))
			continue;
		values[words[i].place] = words[i].value;
		place = words[i].place + 1;
		text += length;
		text += strspn(text, " \t");
	}
	out->direction = (enum rule_direction)values[0];
	out->protocol = (enum rule_protocol)values[1];
	if (config_parse_address(ctl->rules, text, &out->addr, message, sizeof message))
		return true;
	option_complain(ctl, "%s", message);
	return false;
}

/* Who will connect is not known, so one CID is an example. */
static void shown_print(const struct ctl *ctl, const struct question *question, const struct target *target)
{
	const struct rule *rule;
	struct address_list list = {.length = 0};
	char address[IP_ADDR_TEXT_SIZE];
	uint32_t cid = 3;
	struct in6_addr ip;

	if (question->direction == RULE_CONNECT) {
		printf("  peer    is shown as %s\n", ip_addr_text(&question->addr, address));
		return;
	}
	for (unsigned i = 0; (rule = rules_at(ctl->rules, i)); i++) {
		if (rule->is_host && (target->to.cid == VMADDR_CID_ANY || rule->cid != target->to.cid)) {
			cid = rule->cid;
			break;
		}
	}
	rules_show_cid(ctl->rules, cid, question->addr.family, false, &ip);
	address_append(&list, &ip);
	printf("  peers   are shown by their CID, CID %u for example as %s\n", cid, list.text);
}

static void target_print(const struct ctl *ctl, const struct question *question, const struct target *target)
{
	char endpoint[32];

	switch (target->kind) {
	case TARGET_INET:
		puts("  result  left to the network");
		return;
	case TARGET_REJECT:
		printf("  result  refused with %s (%s)\n", config_errno_name(target->error),
		       strerror(target->error));
		return;
	case TARGET_VSOCK:
		break;
	}
	if (question->protocol == RULE_UDP) {
		printf("  result  refused with %s (UDP over vsock is not available yet)\n",
		       question->direction == RULE_LISTEN ? "EADDRNOTAVAIL" : "ENETUNREACH");
		return;
	}
	printf("  result  %s vsock %s", question->direction == RULE_LISTEN ? "listens on" : "goes to",
	       config_endpoint_text(&target->to, endpoint, sizeof endpoint));
	if (ctl->realm.name)
		printf(" of realm %s", ctl->realm.name);
	putchar('\n');
	shown_print(ctl, question, target);
}

static void question_print(struct ctl *ctl, const struct question *question)
{
	char address[IP_ADDR_TEXT_SIZE], statement[CONFIG_RULE_TEXT_SIZE];
	struct rule_place place;
	struct target target;

	printf("%s %s %s\n", question->direction == RULE_CONNECT ? "connect" : "listen",
	       question->protocol == RULE_TCP ? "tcp" : "udp", ip_addr_text(&question->addr, address));
	rules_find(ctl->rules, question->direction, question->protocol, &question->addr, &target);
	if (target.rule) {
		printf("  rule    %s: %s\n", place_text(ctl, &target.rule->place),
		       config_rule_text(target.rule, statement, sizeof statement));
	} else {
		struct target fallback;

		rules_default(ctl->rules, &fallback, &place);
		printf("  rule    none matches; %s%s%s\n", place.source ? place_text(ctl, &place) : "",
		       place.source ? ": " : "", default_text(ctl, &fallback));
	}
	target_print(ctl, question, &target);
}

static int explain_print(struct ctl *ctl)
{
	struct question question;

	ctl->option = "--explain";
	for (unsigned i = 0; i < ctl->question_count; i++) {
		ctl->value = ctl->questions[i];
		if (question_read(ctl, ctl->value, &question))
			question_print(ctl, &question);
	}
	return ctl->complaints ? EXIT_TROUBLE : 0;
}

/* What the wrapper sets IP2VSOCK_RULES to. */
static int rules_print(struct ctl *ctl)
{
	if (ctl->strict)
		puts("default reject");
	fputs(ctl->made_text, stdout);
	return 0;
}

static const struct command {
	const char *name;
	int (*run)(struct ctl *);
} commands[] = {
	{"rules", rules_print},
	{"check", check_print},
	{"explain", explain_print},
};

static void names_resolve(struct ctl *ctl)
{
	if (rules_seal(ctl->rules) == 0)
		return;
	if (errno != ENOSPC)
		no_memory();
	fputs("ip2vsock: more than 65534 names have no host line\n", stderr);
	ctl->complaints++;
}

static int usage(void)
{
	fputs("usage: ip2vsock-ctl rules|check|explain [--strict] [-u REALM] [--environment]\n"
	      "       [-c CID[:PORT] | -l [ADDR:]PORT=PORT | -r RULE | -f FILE | --explain WHAT]...\n",
	      stderr);
	return EXIT_TROUBLE;
}

int main(int argc, char **argv)
{
	const struct command *command = commands, *end = commands + sizeof commands / sizeof *commands;
	struct ctl ctl = {
		.arena = {.more = memory_more, .less = memory_less},
		.io = {&ctl, config_complain, file_read, file_release},
	};
	int status;

	while (command < end && (argc < 2 || strcmp(command->name, argv[1]) != 0))
		command++;
	if (command == end)
		return usage();
	ctl.rules = rules_new(&ctl.arena);
	ctl.made = open_memstream(&ctl.made_text, &ctl.made_size);
	ctl.questions = calloc((size_t)argc, sizeof *ctl.questions);
	if (!ctl.rules || !ctl.made || !ctl.questions)
		no_memory();
	if (!sources_read(&ctl, argc - 2, argv + 2))
		return usage();
	environment_check(&ctl);
	names_resolve(&ctl);
	if (fclose(ctl.made) != 0)
		no_memory();
	status = ctl.complaints ? EXIT_TROUBLE : command->run(&ctl);
	if (fflush(stdout) != 0) {
		perror("ip2vsock: standard output");
		status = EXIT_TROUBLE;
	}
	free(ctl.made_text);
	free(ctl.questions);
	arena_free(&ctl.arena);
	return status;
}
