/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the subcommands of ip2vsock-ctl share. */
#ifndef IP2VSOCK_CTL_H
#define IP2VSOCK_CTL_H

#include "ip2vsock/config.h"
#include "ip2vsock/transport.h"

#include <stdio.h>

#define EXIT_PROBLEM 1	 /* what was asked about does not work */
#define EXIT_TROUBLE 125 /* as env(1): our own, not the program's */

struct ctl {
	struct arena arena;
	struct rules *rules;
	struct config_io io;
	FILE *made; /* what IP2VSOCK_RULES becomes */
	char *made_text;
	size_t made_size;
	bool strict; /* it begins with "default reject" */
	bool is_strict; /* --strict was given, even if the rules say so already */
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

	const char *program; /* that is to be run, or asked about (stats: the number of its process) */
	const char *library; /* that is to be preloaded */
	const char *no_rules; /* where rules could come from, if there are none */
	bool is_quiet;	     /* no warnings */
};

/* complain.c */

/* Says so and ends the process. */
__attribute__((noreturn)) void no_memory(void);
/* A string that lives as long as the rules. */
__attribute__((format(printf, 2, 3))) const char *string_format(struct ctl *ctl, const char *format, ...);
/* Complains of the option being read as a whole. */
__attribute__((format(printf, 2, 3))) void option_complain(struct ctl *ctl, const char *format, ...);
/* Complains of a statement; the callback of struct config_io, with the ctl as its context. */
void config_complain(void *context, const struct config_complaint *complaint);

/* sources.c */

/* A whole file, for struct config_io: NULL with errno, or a text that file_release() frees. */
const char *file_read(void *context, const char *path, size_t *length);
void file_release(void *context, const char *text, size_t length);
/* Reads the options into the rules and complains of what is wrong. False: not something the wrapper says. */
bool sources_read(struct ctl *ctl, int argc, char **argv);
/* The realm and the CID, which are variables only. */
void environment_check(struct ctl *ctl);

/* check.c */

struct address_list {
	char text[256];
	size_t length;
};

/* Adds an address to a struct address_list, as far as there is room; a callback of rules_name_address(). */
bool address_append(void *context, const struct in6_addr *ip);
/* Where a statement stands, as messages show it. */
const char *place_text(struct ctl *ctl, const struct rule_place *place);
/* The default as a statement. */
const char *default_text(struct ctl *ctl, const struct target *target);

/* Subcommands: their exit status. */
/* What was understood, as a mapping that says the same. */
int check_print(struct ctl *ctl);
/* What the rules decide for each question. */
int explain_print(struct ctl *ctl);
/* What stands in the way of retargeting, on this machine or in the program that was named. */
int doctor_print(struct ctl *ctl);
/* What running programs have counted. */
int stats_print(struct ctl *ctl);

#endif
