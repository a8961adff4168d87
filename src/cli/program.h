/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program as exec would start it: the file, what runs a script, and what keeps the library out. */
#ifndef IP2VSOCK_PROGRAM_H
#define IP2VSOCK_PROGRAM_H

#include "cli/ctl.h"
#include "cli/elf.h"

/* Why the library does not do its work in a program, most telling first. */
enum obstacle {
	OBSTACLE_NONE,
	OBSTACLE_SET_ID,
	OBSTACLE_CAPABILITIES,
	OBSTACLE_CLEARED,      /* env -i */
	OBSTACLE_ARCHITECTURE,
	OBSTACLE_STATIC,
	OBSTACLE_GO,
	OBSTACLE_LIBC, /* musl or another that lacks a symbol */
	OBSTACLE_IO_URING,
};

#define PROGRAM_STEPS 6 /* the kernel follows as many #! lines */

struct program {
	const char *name; /* as given */
	const char *path; /* the program in the end: for a script, what runs it; NULL: not found */
	int status;	  /* 0, or 126 and 127 as env(1) */
	const char *trouble; /* what is wrong then, or why no more is known; may be NULL */

	bool is_denied;	     /* nothing is wrong, but it cannot be read */

	/* For a script: the files on the way to `path`, the script first. */
	const char *steps[PROGRAM_STEPS];
	unsigned step_count;

	bool is_known; /* what follows: `path` is an ELF file that can be read */
	struct elf elf;
	enum obstacle obstacle;
	const char *reason; /* "PATH is statically linked: its sockets are not retargeted" */
};

/*
 * Looks at what execvp() would start. `library` is what is to be preloaded, or NULL: then nothing can be said of
 * architectures and C libraries. Strings live as long as the rules, the file is mapped as long as the process.
 */
void program_look(struct ctl *ctl, const char *name, const char *library, struct program *program);

/* The file as it lies in memory; NULL with errno. Never unmapped. */
const void *file_map(const char *path, size_t *size);
/* A symbol without which the library is not loaded beside this C library, or NULL. */
const char *library_lacks(const struct elf *library, const struct elf *libc);

#endif
