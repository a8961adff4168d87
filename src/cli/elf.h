/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bytes of an ELF file say: elf(5). No system calls; any bytes may be given. */
#ifndef IP2VSOCK_ELF_H
#define IP2VSOCK_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf {
	const unsigned char *bytes;
	size_t size;
	bool is_wide; /* 64 bit */
	bool is_big;  /* big-endian */
	uint16_t type, machine;
	const char *interpreter; /* the dynamic linker it asks for, or NULL */
	bool is_go;

	/* Of the dynamic section, for the functions below; file offsets, 0 where there is none. */
	uint64_t dynamic, dynamic_count;
	uint64_t strings, strings_size;
	uint64_t symbols;
};

enum elf_verdict {
	ELF_GOOD,
	ELF_NOT, /* another kind of file */
	ELF_BAD, /* begins like one, but its headers lie outside of the file or make no sense */
};

/* Everything in `elf` points into `bytes`. After ELF_BAD as much is filled in as could be read. */
enum elf_verdict elf_read(const void *bytes, size_t size, struct elf *elf);

/* The libraries it needs, in order (DT_NEEDED). *at is 0 at first. NULL: no more. */
const char *elf_needed(const struct elf *elf, uint64_t *at);
/* Where they are to be looked for first (DT_RUNPATH, else DT_RPATH), or NULL. */
const char *elf_runpath(const struct elf *elf);

struct elf_symbol {
	const char *name;
	bool is_defined; /* else it is imported */
	bool is_weak;
};

/* The dynamic symbols, by number. */
uint64_t elf_symbol_count(const struct elf *elf);
/* False: it has no name. */
bool elf_symbol(const struct elf *elf, uint64_t i, struct elf_symbol *symbol);
bool elf_defines(const struct elf *elf, const char *name);
/* Whether it is imported; a '*' at the end stands for any rest. */
bool elf_imports(const struct elf *elf, const char *name);

/* Loads no dynamic linker and is none. */
bool elf_is_static(const struct elf *elf);
/* "64-bit x86-64", "32-bit ARM", "64-bit machine 999"; buf holds the answer. */
#define ELF_ARCHITECTURE_SIZE 48
const char *elf_architecture(const struct elf *elf, char buf[ELF_ARCHITECTURE_SIZE]);

#endif
