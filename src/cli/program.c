/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program as exec would start it, and what keeps the library out of it. */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_LINE 256 /* as much of it as the kernel reads (BINPRM_BUF_SIZE) */

/* True, or false with errno: EACCES for what is there and cannot be executed. */
static bool file_is_usable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		return true;
	errno = EACCES;
	return false;
}

/* The file that execvp() takes, or NULL with status 126 or 127. */
static const char *file_find(struct ctl *ctl, const char *name, int *status)
{
	const char *list = secure_getenv("PATH"), *path;
	struct stat st;

	*status = 127;
	if (strchr(name, '/')) {
		if (file_is_usable(name))
			return name;
		if (stat(name, &st) == 0)
			*status = 126;
		return NULL;
	}
	if (!*name)
		return NULL;
	for (list = list ? list : "/usr/local/bin:/usr/bin:/bin";; list++) {
		size_t length = strcspn(list, ":");

		path = string_format(ctl, "%.*s/%s", length ? (int)length : 1, length ? list : ".", name);
		if (file_is_usable(path))
			return path;
		if (errno == EACCES && stat(path, &st) == 0)
			*status = 126;
		list += length;
		if (!*list)
			return NULL;
	}
}

const void *file_map(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
	void *bytes = MAP_FAILED;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		*size = (size_t)st.st_size;
		errno = ENOEXEC;
		if (S_ISREG(st.st_mode) && st.st_size > 0)
			bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return bytes == MAP_FAILED ? NULL : bytes;
}

/* The command of a #! line as the kernel takes it, NULL if there is none: binfmt_script.c. */
static char *script_line(struct ctl *ctl, const char *text, size_t size, const char **argument)
{
	size_t room = size < SCRIPT_LINE - 1 ? size : SCRIPT_LINE - 1, length;
	const char *end;
	char *line, *rest;

	if (size < 2 || memcmp(text, "#!", 2) != 0)
		return NULL;
	text += 2;
	room -= 2;
	end = memchr(text, '\n', room);
	length = end ? (size_t)(end - text) : room;
	line = (char *)string_format(ctl, "%.*s", (int)length, text);
	line += strspn(line, " \t");
	for (rest = line + strlen(line); rest > line && strchr(" \t", rest[-1]); rest--)
		rest[-1] = '\0';
	rest = line + strcspn(line, " \t");
	if (!*line || (!end && !*rest && size > SCRIPT_LINE - 1))
		return NULL; /* nothing, or the end of the name is missing */
	*argument = rest + strspn(rest, " \t");
	*rest = '\0';
	return line;
}

/*
 * What env(1) runs after `#!/usr/bin/env ARGUMENT`, which is one word unless it begins with -S. NULL: cannot be
 * told. Of quotes and ${VARIABLE} nothing is understood.
 */
static const char *env_command(struct ctl *ctl, const char *argument, bool *clears)
{
	static const char *const splits[] = {"-S", "-vS", "--split-string="};
	char *word, *state = NULL;
	size_t skip = 0;

	for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
		if (strncmp(argument, splits[i], strlen(splits[i])) == 0)
			skip = strlen(splits[i]);
	if (!skip)
		return *argument && *argument != '-' && !strchr(argument, '=') ? argument : NULL;
	word = strtok_r((char *)string_format(ctl, "%s", argument + skip), " \t", &state);
	for (; word && !strpbrk(word, "\"'\\$"); word = strtok_r(NULL, " \t", &state)) {
		if (strcmp(word, "-i") == 0 || strcmp(word, "-") == 0 ||
		    strcmp(word, "--ignore-environment") == 0)
			*clears = true;
		else if (strcmp(word, "-u") == 0 || strcmp(word, "-C") == 0)
			strtok_r(NULL, " \t", &state);
		else if (strcmp(word, "-v") == 0 || strcmp(word, "--") == 0)
			continue;
		else if (word[0] == '-' || strncmp(word, "PATH=", 5) == 0)
			return NULL;
		else if (!strchr(word, '='))
			return word;
	}
	return NULL;
}

static bool is_env(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, "env") == 0;
}

/* Whether exec makes this a process that does not trust its environment: AT_SECURE, getauxval(3), capabilities(7). */
static enum obstacle obstacle_of_file(const char *path)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) < 0 || statvfs(path, &fs) < 0 || (fs.f_flag & ST_NOSUID))
		return OBSTACLE_NONE;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 &&
	    (((st.st_mode & S_ISUID) && st.st_uid != getuid()) ||
	     ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())))
		return OBSTACLE_SET_ID;
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return OBSTACLE_CAPABILITIES;
	return OBSTACLE_NONE;
}

const char *library_lacks(const struct elf *library, const struct elf *libc)
{
	uint64_t count = elf_symbol_count(library);
	struct elf_symbol symbol;

	for (uint64_t i = 0; i < count; i++)
		if (elf_symbol(library, i, &symbol) && !symbol.is_defined && !symbol.is_weak &&
		    !elf_defines(libc, symbol.name))
			return symbol.name;
	return NULL;
}

static bool elf_open(const char *path, struct elf *elf)
{
	size_t size;
	const void *bytes = file_map(path, &size);

	return bytes && elf_read(bytes, size, elf) == ELF_GOOD;
}

/* musl's dynamic linker is its C library, and binds everything before the program starts. */
static const char *libc_lacks(const struct elf *elf, const struct elf *library)
{
	struct elf libc;

	if (!strstr(elf->interpreter, "/ld-musl-") || !elf_open(elf->interpreter, &libc))
		return NULL;
	return library_lacks(library, &libc);
}

static void obstacle_find(struct ctl *ctl, struct program *program, const char *library_path)
{
	char is[ELF_ARCHITECTURE_SIZE], wanted[ELF_ARCHITECTURE_SIZE];
	const char *effect = "its sockets are not retargeted", *what = "", *lacking;
	const struct elf *elf = &program->elf;
	struct elf library;
	bool has_library = library_path && elf_open(library_path, &library);

	if (program->obstacle == OBSTACLE_SET_ID) {
		what = "is set-user-ID or set-group-ID and runs without preloaded libraries";
	} else if (program->obstacle == OBSTACLE_CAPABILITIES) {
		what = "has file capabilities and runs without preloaded libraries";
	} else if (program->obstacle == OBSTACLE_CLEARED) {
		what = "is started by env with an empty environment";
	} else if (!program->is_known) {
		return;
	} else if (has_library && (elf->is_wide != library.is_wide || elf->is_big != library.is_big ||
				   elf->machine != library.machine)) {
		program->obstacle = OBSTACLE_ARCHITECTURE;
		what = string_format(ctl, "is a %s program and the library is %s", elf_architecture(elf, is),
				     elf_architecture(&library, wanted));
	} else if (elf_is_static(elf)) {
		program->obstacle = OBSTACLE_STATIC;
		what = elf->is_go ? "is a statically linked Go program" : "is statically linked";
	} else if (elf->is_go) {
		program->obstacle = OBSTACLE_GO;
		what = "is a Go program, which does without the C library";
	} else if (has_library && elf->interpreter && (lacking = libc_lacks(elf, &library))) {
		program->obstacle = OBSTACLE_LIBC;
		what = string_format(ctl, "uses a C library without %s", lacking);
		effect = "with the library it does not start";
	} else if (elf_imports(elf, "io_uring_*")) {
		program->obstacle = OBSTACLE_IO_URING;
		what = "uses io_uring";
		effect = "sockets that it connects or binds that way are not retargeted";
	} else {
		return;
	}
	program->reason = program->step_count ? string_format(ctl, "%s, which runs %s, %s: %s", program->path,
							      program->steps[0], what, effect)
					      : string_format(ctl, "%s %s: %s", program->path, what, effect);
}

/* Goes on from a script to what runs it. False: there is nothing more. */
static bool script_follow(struct ctl *ctl, struct program *program, const char *text, size_t size)
{
	const char *argument, *command = script_line(ctl, text, size, &argument);
	bool clears = false;

	if (!command)
		return false;
	if (program->step_count == PROGRAM_STEPS) {
		program->trouble = "leads through too many #! lines";
		return false;
	}
	program->steps[program->step_count++] = program->path;
	program->path = command;
	if (file_is_usable(command) && is_env(command)) {
		const char *target = env_command(ctl, argument, &clears);

		if (!target) {
			program->trouble = "is started by a #! line from which it cannot be told what runs";
			return false;
		}
		command = file_find(ctl, target, &program->status);
		program->path = command ? command : target;
		if (clears)
			program->obstacle = OBSTACLE_CLEARED;
		if (command)
			program->status = 0;
	} else if (!file_is_usable(command)) {
		program->status = errno == EACCES ? 126 : 127;
	}
	if (program->status)
		program->trouble = program->status == 126 ? "is named by a #! line and cannot be executed"
							  : "is named by a #! line and is not there";
	return !program->status;
}

void program_look(struct ctl *ctl, const char *name, const char *library, struct program *program)
{
	enum obstacle of_file;
	const void *bytes;
	size_t size;

	*program = (struct program){.name = name};
	program->path = file_find(ctl, name, &program->status);
	if (!program->path) {
		program->trouble = program->status == 126 ? "cannot be executed" : "not found";
		return;
	}
	program->status = 0;
	do {
		bytes = file_map(program->path, &size);
		if (!bytes && errno != ENOEXEC) {
			program->trouble = string_format(ctl, "cannot be read (%s)", strerror(errno));
			program->is_denied = true;
		}
	} while (bytes && script_follow(ctl, program, bytes, size));

	if (program->status)
		return;
	of_file = obstacle_of_file(program->path);
	if (of_file != OBSTACLE_NONE)
		program->obstacle = of_file;
	if (bytes && !program->trouble) {
		switch (elf_read(bytes, size, &program->elf)) {
		case ELF_GOOD:
			program->is_known = true;
			break;
		case ELF_BAD:
			program->trouble = "is a damaged ELF file";
			break;
		case ELF_NOT:
			break;
		}
	}
	obstacle_find(ctl, program, library);
}
