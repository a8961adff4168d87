/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bytes of an ELF file say. Every read is checked against the file's end, so that offsets may lie. */
#include "cli/elf.h"

#include <elf.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#define NAME_LIMIT 4096 /* longer names are none; keeps the work linear for files made to mislead */
#define NT_GO_BUILD_ID 4
#define GO_BUILD_INFO "\xff Go buildinf:"

static bool range_is_inside(const struct elf *elf, uint64_t offset, uint64_t length)
{
	return offset <= elf->size && length <= elf->size - offset;
}

/* An unsigned number of the file; 0 where the file has none. */
static uint64_t number(const struct elf *elf, uint64_t offset, size_t width)
{
	uint64_t value = 0;

	if (!range_is_inside(elf, offset, width))
		return 0;
	memcpy((unsigned char *)&value + (elf->is_big ? sizeof value - width : 0), elf->bytes + offset, width);
	return elf->is_big ? be64toh(value) : le64toh(value);
}

/* One field of a structure that both classes have, at the same or another place. */
#define FIELD(elf, at, structure, field)                                                             \
	((elf)->is_wide ? number(elf, (at) + offsetof(Elf64_##structure, field),                     \
				 sizeof(((Elf64_##structure *)NULL)->field))                         \
			: number(elf, (at) + offsetof(Elf32_##structure, field),                     \
				 sizeof(((Elf32_##structure *)NULL)->field)))
#define SIZE(elf, structure) ((elf)->is_wide ? sizeof(Elf64_##structure) : sizeof(Elf32_##structure))

/* A string that ends before `end`, an offset inside the file. */
static const char *string(const struct elf *elf, uint64_t offset, uint64_t end)
{
	uint64_t room;

	if (offset >= end || end > elf->size)
		return NULL;
	room = end - offset < NAME_LIMIT ? end - offset : NAME_LIMIT;
	return memchr(elf->bytes + offset, '\0', (size_t)room) ? (const char *)elf->bytes + offset : NULL;
}

struct table {
	uint64_t at, count;
	size_t entry;
};

/* The program headers; false if they are not all there, which the kernel would not run. */
static bool segments(const struct elf *elf, struct table *table)
{
	table->at = FIELD(elf, 0, Ehdr, e_phoff);
	table->count = FIELD(elf, 0, Ehdr, e_phnum);
	table->entry = SIZE(elf, Phdr);
	return !table->count || (FIELD(elf, 0, Ehdr, e_phentsize) == table->entry &&
				 range_is_inside(elf, table->at, table->count * table->entry));
}

/* The file offset of an address in memory; 0 if it is not loaded from the file. */
static uint64_t offset_of(const struct elf *elf, uint64_t address)
{
	struct table table;

	if (!segments(elf, &table))
		return 0;
	for (uint64_t i = 0, at = table.at; i < table.count; i++, at += table.entry) {
		uint64_t start = FIELD(elf, at, Phdr, p_vaddr);

		if (FIELD(elf, at, Phdr, p_type) == PT_LOAD && address >= start &&
		    address - start < FIELD(elf, at, Phdr, p_filesz))
			return FIELD(elf, at, Phdr, p_offset) + (address - start);
	}
	return 0;
}

/* The value of a dynamic tag; false if there is none. */
static bool dynamic_value(const struct elf *elf, uint64_t tag, uint64_t *value)
{
	for (uint64_t i = 0, at = elf->dynamic; i < elf->dynamic_count; i++, at += SIZE(elf, Dyn)) {
		if (FIELD(elf, at, Dyn, d_tag) == tag) {
			*value = FIELD(elf, at, Dyn, d_un.d_val);
			return true;
		}
	}
	return false;
}

static uint64_t dynamic_offset(const struct elf *elf, uint64_t tag)
{
	uint64_t address;

	return dynamic_value(elf, tag, &address) ? offset_of(elf, address) : 0;
}

static void dynamic_read(struct elf *elf, uint64_t offset, uint64_t size)
{
	if (!range_is_inside(elf, offset, size))
		return;
	elf->dynamic = offset;
	elf->dynamic_count = size / SIZE(elf, Dyn);
	for (uint64_t i = 0; i < elf->dynamic_count; i++)
		if (FIELD(elf, offset + i * SIZE(elf, Dyn), Dyn, d_tag) == DT_NULL)
			elf->dynamic_count = i;
	elf->strings = dynamic_offset(elf, DT_STRTAB);
	if (!elf->strings || !dynamic_value(elf, DT_STRSZ, &elf->strings_size) ||
	    !range_is_inside(elf, elf->strings, elf->strings_size))
		elf->strings = elf->strings_size = 0;
	elf->symbols = dynamic_offset(elf, DT_SYMTAB);
	if (elf->symbols > elf->size)
		elf->symbols = 0;
}

/* Notes are a name and a description, both padded to 4 bytes, behind their sizes and a type. */
static bool notes_have_go(const struct elf *elf, uint64_t at, uint64_t size)
{
	uint64_t end = at + size;

	if (!range_is_inside(elf, at, size))
		return false;
	while (end - at >= sizeof(Elf64_Nhdr)) {
		uint64_t name = number(elf, at, 4), description = number(elf, at + 4, 4);
		uint64_t length = sizeof(Elf64_Nhdr) + ((name + 3) & ~3ULL) + ((description + 3) & ~3ULL);

		if (length > end - at)
			return false;
		if (number(elf, at + 8, 4) == NT_GO_BUILD_ID && name == 4 &&
		    memcmp(elf->bytes + at + sizeof(Elf64_Nhdr), "Go\0", 4) == 0)
			return true;
		at += length;
	}
	return false;
}

/* The linker can be told to leave the note out; these sections stay. */
static bool sections_have_go(const struct elf *elf)
{
	uint64_t at = FIELD(elf, 0, Ehdr, e_shoff), count = FIELD(elf, 0, Ehdr, e_shnum);
	uint64_t names = FIELD(elf, 0, Ehdr, e_shstrndx), start, size;

	if (!at || FIELD(elf, 0, Ehdr, e_shentsize) != SIZE(elf, Shdr) || names >= count ||
	    !range_is_inside(elf, at, count * SIZE(elf, Shdr)))
		return false;
	start = FIELD(elf, at + names * SIZE(elf, Shdr), Shdr, sh_offset);
	size = FIELD(elf, at + names * SIZE(elf, Shdr), Shdr, sh_size);
	if (!range_is_inside(elf, start, size))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t section = at + i * SIZE(elf, Shdr);
		const char *name = string(elf, start + FIELD(elf, section, Shdr, sh_name), start + size);

		if (name && (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0))
			return true;
	}
	return false;
}

/* Where the sections are stripped, too, Go's own tools look for this at the start of the data. */
static bool data_has_go(const struct elf *elf, uint64_t at, uint64_t size)
{
	uint64_t length = strlen(GO_BUILD_INFO);

	if (!range_is_inside(elf, at, size))
		return false;
	for (uint64_t end = at + (size < 65536 ? size : 65536); end - at >= length; at += 16) {
		if (memcmp(elf->bytes + at, GO_BUILD_INFO, length) == 0)
			return true;
		if (end - at < 16)
			break;
	}
	return false;
}

static void segment_read(struct elf *elf, uint64_t at)
{
	uint64_t offset = FIELD(elf, at, Phdr, p_offset), size = FIELD(elf, at, Phdr, p_filesz);

	switch (FIELD(elf, at, Phdr, p_type)) {
	case PT_INTERP:
		if (range_is_inside(elf, offset, size))
			elf->interpreter = string(elf, offset, offset + size);
		break;
	case PT_DYNAMIC:
		dynamic_read(elf, offset, size);
		break;
	case PT_NOTE:
		elf->is_go = elf->is_go || notes_have_go(elf, offset, size);
		break;
	case PT_LOAD:
		if (FIELD(elf, at, Phdr, p_flags) & PF_W)
			elf->is_go = elf->is_go || data_has_go(elf, offset, size);
		break;
	}
}

enum elf_verdict elf_read(const void *bytes, size_t size, struct elf *elf)
{
	struct table table;

	*elf = (struct elf){.bytes = bytes, .size = size};
	if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return ELF_NOT;
	if (size < EI_NIDENT)
		return ELF_BAD;
	elf->is_wide = elf->bytes[EI_CLASS] == ELFCLASS64;
	elf->is_big = elf->bytes[EI_DATA] == ELFDATA2MSB;
	if ((elf->bytes[EI_CLASS] != ELFCLASS32 && !elf->is_wide) ||
	    (elf->bytes[EI_DATA] != ELFDATA2LSB && !elf->is_big) || size < SIZE(elf, Ehdr))
		return ELF_BAD;
	elf->type = (uint16_t)FIELD(elf, 0, Ehdr, e_type);
	elf->machine = (uint16_t)FIELD(elf, 0, Ehdr, e_machine);
	if (!segments(elf, &table))
		return ELF_BAD;
	for (uint64_t i = 0; i < table.count; i++)
		segment_read(elf, table.at + i * table.entry);
	elf->is_go = elf->is_go || sections_have_go(elf);
	return table.count && (elf->type == ET_EXEC || elf->type == ET_DYN) ? ELF_GOOD : ELF_BAD;
}

const char *elf_needed(const struct elf *elf, uint64_t *at)
{
	while (*at < elf->dynamic_count) {
		uint64_t entry = elf->dynamic + (*at)++ * SIZE(elf, Dyn);
		const char *name;

		if (FIELD(elf, entry, Dyn, d_tag) != DT_NEEDED)
			continue;
		name = string(elf, elf->strings + FIELD(elf, entry, Dyn, d_un.d_val),
			      elf->strings + elf->strings_size);
		if (name && *name)
			return name;
	}
	return NULL;
}

const char *elf_runpath(const struct elf *elf)
{
	uint64_t offset;

	if (!dynamic_value(elf, DT_RUNPATH, &offset) && !dynamic_value(elf, DT_RPATH, &offset))
		return NULL;
	return string(elf, elf->strings + offset, elf->strings + elf->strings_size);
}

/* The count is nowhere written, but the hash tables end with the last symbol. */
static uint64_t symbols_hashed(const struct elf *elf, bool imports)
{
	uint64_t at = dynamic_offset(elf, DT_GNU_HASH), buckets, first, chains, last = 0;

	if (!at) {
		at = dynamic_offset(elf, DT_HASH); /* two numbers of 32 bits: buckets, symbols */
		return at ? number(elf, at + 4, 4) : 0;
	}
	buckets = number(elf, at, 4);
	first = number(elf, at + 4, 4); /* imports are not hashed and stand before it */
	chains = number(elf, at + 8, 4) * (elf->is_wide ? 8 : 4) + at + 16;
	if (imports || !range_is_inside(elf, chains, buckets * 4))
		return first;
	for (uint64_t i = 0; i < buckets; i++) {
		uint64_t symbol = number(elf, chains + 4 * i, 4);

		last = symbol > last ? symbol : last;
	}
	if (last < first)
		return first;
	chains += buckets * 4;
	while (range_is_inside(elf, chains + 4 * (last - first), 4) &&
	       !(number(elf, chains + 4 * (last - first), 4) & 1))
		last++;
	return last + 1;
}

static uint64_t symbols_limit(const struct elf *elf, bool imports)
{
	uint64_t count = elf->symbols ? symbols_hashed(elf, imports) : 0;
	uint64_t room = (elf->size - elf->symbols) / SIZE(elf, Sym);

	return count < room ? count : room;
}

uint64_t elf_symbol_count(const struct elf *elf)
{
	return symbols_limit(elf, false);
}

bool elf_symbol(const struct elf *elf, uint64_t i, struct elf_symbol *symbol)
{
	uint64_t at = elf->symbols + i * SIZE(elf, Sym);

	symbol->name = string(elf, elf->strings + FIELD(elf, at, Sym, st_name),
			      elf->strings + elf->strings_size);
	symbol->is_defined = FIELD(elf, at, Sym, st_shndx) != SHN_UNDEF;
	symbol->is_weak = ELF64_ST_BIND(FIELD(elf, at, Sym, st_info)) == STB_WEAK;
	return symbol->name && *symbol->name;
}

bool elf_defines(const struct elf *elf, const char *name)
{
	uint64_t count = symbols_limit(elf, false);
	struct elf_symbol symbol;

	for (uint64_t i = 0; i < count; i++)
		if (elf_symbol(elf, i, &symbol) && symbol.is_defined && strcmp(symbol.name, name) == 0)
			return true;
	return false;
}

bool elf_imports(const struct elf *elf, const char *name)
{
	uint64_t count = symbols_limit(elf, true);
	size_t length = strcspn(name, "*");
	struct elf_symbol symbol;

	length += name[length] != '*'; /* then the end has to be the same, too */
	for (uint64_t i = 0; i < count; i++)
		if (elf_symbol(elf, i, &symbol) && !symbol.is_defined && strncmp(symbol.name, name, length) == 0)
			return true;
	return false;
}

bool elf_is_static(const struct elf *elf)
{
	return !elf->interpreter && (elf->type != ET_DYN || !elf_defines(elf, "__tls_get_addr"));
}

const char *elf_architecture(const struct elf *elf, char buf[ELF_ARCHITECTURE_SIZE])
{
	static const struct {
		uint16_t machine;
		const char *name;
	} machines[] = {
		{EM_386, "x86"},	{EM_X86_64, "x86-64"}, {EM_ARM, "ARM"},	      {EM_AARCH64, "ARM"},
		{EM_RISCV, "RISC-V"},	{EM_PPC64, "PowerPC"}, {EM_PPC, "PowerPC"},   {EM_S390, "s390"},
		{EM_MIPS, "MIPS"},	{EM_SPARC, "SPARC"},   {EM_SPARCV9, "SPARC"}, {EM_68K, "m68k"},
	};
	const char *order = elf->is_big ? ", big-endian" : "";
	int bits = elf->is_wide ? 64 : 32;

	for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
		if (machines[i].machine == elf->machine) {
			snprintf(buf, ELF_ARCHITECTURE_SIZE, "%d-bit %s%s", bits, machines[i].name, order);
			return buf;
		}
	}
	snprintf(buf, ELF_ARCHITECTURE_SIZE, "%d-bit machine %u%s", bits, elf->machine, order);
	return buf;
}
