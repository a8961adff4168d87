/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor: whether the library does its work in one program. */
#include "cli/doctor.h"
#include "cli/libraries.h"
#include "cli/program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARIES_LIMIT 512

static const char *const remedies[] = {
	[OBSTACLE_SET_ID] = "start it from outside, and ip2vsock as the user that it changes to "
			    "(sudo ip2vsock ... instead of ip2vsock ... sudo)",
	[OBSTACLE_CAPABILITIES] = "run a copy without them (cp drops them), as a user or with ambient capabilities",
	[OBSTACLE_CLEARED] = "name the program itself to ip2vsock, or leave out env's -i",
	[OBSTACLE_ARCHITECTURE] = "build and install ip2vsock for that architecture",
	[OBSTACLE_STATIC] = "use one that is linked dynamically, or a relay such as socat",
	[OBSTACLE_GO] = "use a relay such as socat",
	[OBSTACLE_LIBC] = "build ip2vsock against that C library",
	[OBSTACLE_IO_URING] = "turn io_uring off in it if it uses that for sockets; many use it for files only",
};

/* Functions that a sanitizer's runtime has to have before all others. */
static bool wants_asan(const struct elf *elf)
{
	uint64_t at = 0;
	const char *name;

	while ((name = elf_needed(elf, &at)))
		if (strncmp(name, "libasan.", 8) == 0 || strncmp(name, "libclang_rt.asan", 16) == 0)
			return true;
	return false;
}

struct found {
	const char *name, *path;
	struct elf elf;
};

static bool is_listed(const struct found *list, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

/* The program and the libraries it needs, those that they need, and so on: how many. */
static unsigned libraries_list(struct ctl *ctl, const struct program *program, struct found *list)
{
	unsigned count = 1;

	list[0] = (struct found){program->path, program->path, program->elf};
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = 0;
		const char *name;

		while (list[i].path && (name = elf_needed(&list[i].elf, &at)) && count < LIBRARIES_LIMIT) {
			struct found *next = &list[count];

			if (is_listed(list, count, name))
				continue;
			next->name = name;
			next->path = library_find(ctl, name, &list[i].elf, list[i].path, &next->elf);
			count++;
		}
	}
	return count;
}

static void libraries_look(const struct found *list, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const struct found *library = &list[i];

		if (!library->path)
			finding_note("%s: not found, so nothing is known of it", library->name);
		else if (library->elf.is_go)
			finding_note("%s: written in Go; its own sockets are not retargeted", library->path);
		else if (elf_imports(&library->elf, "io_uring_*"))
			finding_note("%s: uses io_uring; sockets that it connects or binds that way are not "
				     "retargeted", library->path);
	}
}

/* A symbol that the library needs is found in none of them: the call that needs it would end the program. */
static void symbols_look(struct doctor *doctor, const struct elf *library, const struct found *list, unsigned count)
{
	uint64_t symbols = elf_symbol_count(library), at = 0;
	struct elf_symbol symbol;
	bool is_found;

	for (unsigned i = 0; i < count; i++)
		if (!list[i].path)
			return;
	if (elf_needed(library, &at))
		return; /* that brings more libraries */
	for (uint64_t i = 0; i < symbols; i++) {
		is_found = !elf_symbol(library, i, &symbol) || symbol.is_defined || symbol.is_weak;
		for (unsigned k = 0; k < count && !is_found; k++)
			is_found = elf_defines(&list[k].elf, symbol.name);
		if (is_found)
			continue;
		finding_problem(doctor, "build ip2vsock against that C library",
				"%s: no library of it has %s, which the library to be preloaded needs",
				list[0].path, symbol.name);
		return;
	}
}

static void details_look(struct doctor *doctor, const struct program *program)
{
	bool is_musl = strstr(program->elf.interpreter, "/ld-musl-"), has_library = false;
	const char *path = doctor->ctl->library;
	struct found *list = calloc(LIBRARIES_LIMIT, sizeof *list);
	struct elf library;
	unsigned count;
	size_t size;
	const void *bytes = path ? file_map(path, &size) : NULL;

	if (!list)
		no_memory();
	has_library = bytes && elf_read(bytes, size, &library) == ELF_GOOD;
	if (access(program->elf.interpreter, X_OK) < 0)
		finding_problem(doctor, "install the C library that it was built for",
				"%s: its dynamic linker %s is not there, so it does not start", program->path,
				program->elf.interpreter);
	if (is_musl && program->obstacle == OBSTACLE_NONE)
		finding_note("%s: built for musl, which loads the library as well as glibc does", program->path);
	if (wants_asan(&program->elf))
		finding_note("%s: AddressSanitizer's runtime has to be preloaded first "
			     "(LD_PRELOAD=$(gcc -print-file-name=libasan.so) ip2vsock ...), or set "
			     "ASAN_OPTIONS=verify_asan_link_order=0", program->path);
	if (elf_imports(&program->elf, "syscall") && !(has_library && elf_defines(&library, "syscall")))
		finding_note("%s: calls syscall(2); sockets that it connects or binds that way are not retargeted",
			     program->path);
	/* musl looks for libraries in other places than glibc. Its own was looked at already. */
	if (!is_musl) {
		count = libraries_list(doctor->ctl, program, list);
		libraries_look(list, count);
		if (has_library && program->obstacle == OBSTACLE_NONE)
			symbols_look(doctor, &library, list, count);
	}
	free(list);
}

void doctor_program(struct doctor *doctor)
{
	char architecture[ELF_ARCHITECTURE_SIZE];
	struct program program;

	program_look(doctor->ctl, doctor->ctl->program, doctor->ctl->library, &program);
	if (!program.path) {
		finding_problem(doctor, NULL, "%s: %s", program.name, program.trouble);
		return;
	}
	for (unsigned i = 0; i < program.step_count; i++)
		finding_note("%s: a script, run by %s", program.steps[i],
			     i + 1 < program.step_count ? program.steps[i + 1] : program.path);
	if (program.obstacle != OBSTACLE_NONE)
		finding_problem(doctor, remedies[program.obstacle], "%s", program.reason);
	if (program.is_denied)
		finding_note("%s %s, so no more is known of it", program.path, program.trouble);
	else if (program.trouble)
		finding_problem(doctor, NULL, "%s %s", program.path, program.trouble);
	else if (!program.is_known)
		finding_note("%s: neither ELF nor a script with #!; a shell runs it, or what binfmt_misc says",
			     program.path);
	else if (program.obstacle == OBSTACLE_NONE)
		finding_ok("%s: a %s program with shared libraries, which loads the library", program.path,
			   elf_architecture(&program.elf, architecture));
	if (program.is_known && program.elf.interpreter)
		details_look(doctor, &program);
	if (!program.trouble)
		finding_note("what it starts, what it loads later and system calls that it makes itself are "
			     "not seen");
}
