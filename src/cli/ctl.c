/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Behind the wrapper: checks the rules it was given, prints them, and explains what they decide and what became of them. */
#include "cli/ctl.h"
#include "cli/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory_more(size_t size)
{
	return calloc(1, size);
}

static void memory_less(void *chunk, size_t size)
{
	(void)size;
	free(chunk);
}

/* The exit status if the program is not to be run, 0 if it is, perhaps with a warning. */
static int program_check(struct ctl *ctl)
{
	struct program program;

	program_look(ctl, ctl->program, ctl->library, &program);
	if (!program.path) {
		fprintf(stderr, "ip2vsock: %s: %s\n", program.name, program.trouble);
		return program.status;
	}
	if (program.obstacle == OBSTACLE_NONE)
		return 0;
	if (ctl->is_strict) {
		fprintf(stderr, "ip2vsock: --strict: %s\n", program.reason);
		return EXIT_TROUBLE;
	}
	if (!ctl->is_quiet)
		fprintf(stderr, "ip2vsock: warning: %s\n", program.reason);
	return 0;
}

/* What the wrapper sets IP2VSOCK_RULES to, if the program can be run. */
static int rules_print(struct ctl *ctl)
{
	int status = ctl->program ? program_check(ctl) : 0;

	if (status)
		return status;
	if (ctl->strict)
		puts("default reject");
	fputs(ctl->made_text, stdout);
	return 0;
}

static const struct command {
	const char *name;
	int (*run)(struct ctl *);
	bool takes_mistakes; /* in what the options say */
} commands[] = {
	{"rules", rules_print, false},
	{"check", check_print, false},
	{"explain", explain_print, false},
	{"doctor", doctor_print, true},
	{"stats", stats_print, true},
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
	fputs("usage: ip2vsock-ctl rules|check|explain|doctor|stats [--strict] [-u REALM] [--environment]\n"
	      "       [--program NAME] [--library FILE] [--no-rules TEXT] [--quiet]\n"
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
	status = ctl.complaints && !command->takes_mistakes ? EXIT_TROUBLE : command->run(&ctl);
	if (fflush(stdout) != 0) {
		perror("ip2vsock: standard output");
		status = EXIT_TROUBLE;
	}
	free(ctl.made_text);
	free(ctl.questions);
	arena_free(&ctl.arena);
	return status;
}
