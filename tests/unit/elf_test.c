/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bytes of a program say, for both classes and byte orders, whole and damaged. */
#include "cli/elf.h"
#include "unit.h"

#include <elf.h>
#include <stdio.h>

/* A made program: everything has a place of its own, and memory begins at BASE. */
#define BASE 0x10000
#define AT_SEGMENTS 0x40
#define AT_INTERPRETER 0x1c0
#define AT_NOTE 0x200
#define AT_DYNAMIC 0x240
#define AT_STRINGS 0x300
#define AT_SYMBOLS 0x3c0
#define AT_HASH 0x480
#define AT_DATA 0x500
#define AT_SECTIONS 0x540
#define SIZE 0x700

#define NEEDED 1
#define RUNPATH 11
#define IMPORTED 16
#define DEFINED 36
static const char strings[] = "\0libx.so.1\0/lib\0io_uring_queue_init\0__tls_get_addr\0.go.buildinfo";
#define SECTION 51

enum {
	WITH_INTERPRETER = 1,
	WITH_NOTE = 2,
	WITH_SECTION = 4,
	WITH_DATA = 8,
	WITH_OLD_HASH = 16,
	WITH_DEFINED = 32,
};

struct image {
	unsigned char bytes[SIZE];
	bool is_wide, is_big;
	unsigned segments;
};

static void put(struct image *image, size_t at, size_t width, uint64_t value)
{
	for (size_t i = 0; i < width; i++)
		image->bytes[at + (image->is_big ? width - 1 - i : i)] = (unsigned char)(value >> 8 * i);
}

#define PUT(image, at, structure, field, value)                                                        \
	((image)->is_wide ? put(image, (at) + offsetof(Elf64_##structure, field),                      \
				sizeof(((Elf64_##structure *)NULL)->field), value)                     \
			  : put(image, (at) + offsetof(Elf32_##structure, field),                      \
				sizeof(((Elf32_##structure *)NULL)->field), value))
#define ENTRY(image, structure) ((image)->is_wide ? sizeof(Elf64_##structure) : sizeof(Elf32_##structure))

static void put_segment(struct image *image, unsigned type, unsigned flags, size_t offset, size_t size)
{
	size_t at = AT_SEGMENTS + image->segments++ * ENTRY(image, Phdr);

	PUT(image, at, Phdr, p_type, type);
	PUT(image, at, Phdr, p_flags, flags);
	PUT(image, at, Phdr, p_offset, offset);
	PUT(image, at, Phdr, p_vaddr, BASE + offset);
	PUT(image, at, Phdr, p_filesz, size);
	PUT(image, 0, Ehdr, e_phnum, image->segments);
}

static void put_dynamic(struct image *image, size_t i, unsigned tag, uint64_t value)
{
	PUT(image, AT_DYNAMIC + i * ENTRY(image, Dyn), Dyn, d_tag, tag);
	PUT(image, AT_DYNAMIC + i * ENTRY(image, Dyn), Dyn, d_un.d_val, value);
}

/* flavour: 0 to 3 for the classes and byte orders. */
static void image_make(struct image *image, int flavour, unsigned type, unsigned with)
{
	bool has_old_hash = with & WITH_OLD_HASH;

	memset(image, 0, sizeof(*image));
	image->is_wide = flavour & 1;
	image->is_big = flavour & 2;
	memcpy(image->bytes, ELFMAG, SELFMAG);
	image->bytes[EI_CLASS] = image->is_wide ? ELFCLASS64 : ELFCLASS32;
	image->bytes[EI_DATA] = image->is_big ? ELFDATA2MSB : ELFDATA2LSB;
	PUT(image, 0, Ehdr, e_type, type);
	PUT(image, 0, Ehdr, e_machine, EM_X86_64);
	PUT(image, 0, Ehdr, e_phoff, AT_SEGMENTS);
	PUT(image, 0, Ehdr, e_phentsize, ENTRY(image, Phdr));
	put_segment(image, PT_LOAD, PF_R, 0, SIZE);
	put_segment(image, PT_DYNAMIC, PF_R, AT_DYNAMIC, 8 * ENTRY(image, Dyn));
	if (with & WITH_INTERPRETER)
		put_segment(image, PT_INTERP, PF_R, AT_INTERPRETER, sizeof("/lib/ld.so"));
	memcpy(image->bytes + AT_INTERPRETER, "/lib/ld.so", sizeof("/lib/ld.so"));

	put_dynamic(image, 0, DT_NEEDED, NEEDED);
	put_dynamic(image, 1, DT_RUNPATH, RUNPATH);
	put_dynamic(image, 2, DT_STRTAB, BASE + AT_STRINGS);
	put_dynamic(image, 3, DT_STRSZ, sizeof(strings));
	put_dynamic(image, 4, DT_SYMTAB, BASE + AT_SYMBOLS);
	put_dynamic(image, 5, has_old_hash ? DT_HASH : DT_GNU_HASH, BASE + AT_HASH);
	memcpy(image->bytes + AT_STRINGS, strings, sizeof(strings));

	PUT(image, AT_SYMBOLS + ENTRY(image, Sym), Sym, st_name, IMPORTED);
	PUT(image, AT_SYMBOLS + ENTRY(image, Sym), Sym, st_info, ELF64_ST_INFO(STB_WEAK, STT_FUNC));
	if (with & WITH_DEFINED) {
		PUT(image, AT_SYMBOLS + 2 * ENTRY(image, Sym), Sym, st_name, DEFINED);
		PUT(image, AT_SYMBOLS + 2 * ENTRY(image, Sym), Sym, st_shndx, 1);
	}
	if (has_old_hash) {
		put(image, AT_HASH, 4, 1);
		put(image, AT_HASH + 4, 4, with & WITH_DEFINED ? 3 : 2);
	} else { /* one bucket, symbols from the second on, one word of Bloom filter, the chain's end */
		put(image, AT_HASH, 4, 1);
		put(image, AT_HASH + 4, 4, 2);
		put(image, AT_HASH + 8, 4, 1);
		put(image, AT_HASH + 16 + (image->is_wide ? 8 : 4), 4, with & WITH_DEFINED ? 2 : 0);
		put(image, AT_HASH + 20 + (image->is_wide ? 8 : 4), 4, 1);
	}

	if (with & WITH_NOTE) { /* behind one of somebody else */
		put(image, AT_NOTE, 4, 4);
		put(image, AT_NOTE + 4, 4, 3);
		put(image, AT_NOTE + 8, 4, 4);
		memcpy(image->bytes + AT_NOTE + 12, "GNU", 4);
		put(image, AT_NOTE + 20, 4, 4);
		put(image, AT_NOTE + 24, 4, 4);
		put(image, AT_NOTE + 28, 4, 4);
		memcpy(image->bytes + AT_NOTE + 32, "Go\0", 4);
		put_segment(image, PT_NOTE, PF_R, AT_NOTE, 40);
	}
	if (with & WITH_DATA) {
		memcpy(image->bytes + AT_DATA + 16, "\xff Go buildinf:", 14);
		put_segment(image, PT_LOAD, PF_R | PF_W, AT_DATA, 64);
	}
	if (with & WITH_SECTION) {
		PUT(image, 0, Ehdr, e_shoff, AT_SECTIONS);
		PUT(image, 0, Ehdr, e_shentsize, ENTRY(image, Shdr));
		PUT(image, 0, Ehdr, e_shnum, 2);
		PUT(image, 0, Ehdr, e_shstrndx, 0);
		PUT(image, AT_SECTIONS, Shdr, sh_offset, AT_STRINGS);
		PUT(image, AT_SECTIONS, Shdr, sh_size, sizeof(strings));
		PUT(image, AT_SECTIONS + ENTRY(image, Shdr), Shdr, sh_name, SECTION);
	}
}

START_TEST(test_a_dynamic_program_says_what_it_needs)
{
	struct image image;
	struct elf elf;
	struct elf_symbol symbol;
	uint64_t at = 0;

	image_make(&image, _i % 4, ET_DYN, WITH_INTERPRETER | WITH_DEFINED | (_i / 4 ? WITH_OLD_HASH : 0));
	ck_assert_int_eq(elf_read(image.bytes, SIZE, &elf), ELF_GOOD);
	ck_assert(elf.is_wide == image.is_wide && elf.is_big == image.is_big);
	ck_assert_int_eq(elf.machine, EM_X86_64);
	ck_assert_str_eq(elf.interpreter, "/lib/ld.so");
	ck_assert(!elf.is_go && !elf_is_static(&elf));
	ck_assert_str_eq(elf_needed(&elf, &at), "libx.so.1");
	ck_assert_ptr_null(elf_needed(&elf, &at));
	ck_assert_str_eq(elf_runpath(&elf), "/lib");
	ck_assert_uint_eq(elf_symbol_count(&elf), 3);
	ck_assert(!elf_symbol(&elf, 0, &symbol));
	ck_assert(elf_symbol(&elf, 1, &symbol) && !symbol.is_defined && symbol.is_weak);
	ck_assert_str_eq(symbol.name, "io_uring_queue_init");
	ck_assert(elf_symbol(&elf, 2, &symbol) && symbol.is_defined && !symbol.is_weak);
	ck_assert(elf_imports(&elf, "io_uring_*") && !elf_imports(&elf, "__tls*"));
	ck_assert(elf_imports(&elf, "io_uring_queue_init") && !elf_imports(&elf, "io_uring_queue"));
	ck_assert(elf_defines(&elf, "__tls_get_addr") && !elf_defines(&elf, "io_uring_queue_init"));
}
END_TEST

static const struct {
	unsigned type, with;
	bool is_static, is_go;
} kinds[] = {
	{ ET_EXEC, 0, true, false },
	{ ET_DYN, 0, true, false }, /* static-pie */
	{ ET_DYN, WITH_DEFINED, false, false }, /* the dynamic linker itself */
	{ ET_EXEC, WITH_DEFINED, true, false },
	{ ET_EXEC, WITH_INTERPRETER, false, false },
	{ ET_EXEC, WITH_NOTE, true, true },
	{ ET_EXEC, WITH_SECTION, true, true },
	{ ET_EXEC, WITH_DATA, true, true },
	{ ET_DYN, WITH_INTERPRETER | WITH_NOTE, false, true },
	{ ET_DYN, WITH_INTERPRETER | WITH_SECTION, false, true },
	{ ET_DYN, WITH_INTERPRETER | WITH_DATA, false, true },
};

START_TEST(test_static_and_go_programs_are_known)
{
	struct image image;
	struct elf elf;

	for (int flavour = 0; flavour < 4; flavour++) {
		image_make(&image, flavour, kinds[_i].type, kinds[_i].with);
		ck_assert_int_eq(elf_read(image.bytes, SIZE, &elf), ELF_GOOD);
		ck_assert_int_eq(elf_is_static(&elf), kinds[_i].is_static);
		ck_assert_int_eq(elf.is_go, kinds[_i].is_go);
	}
}
END_TEST

/* Everything that can be asked, of memory that ends where the file does. */
static enum elf_verdict ask_all(const unsigned char *bytes, size_t size)
{
	unsigned char *exact = malloc(size ? size : 1);
	char text[ELF_ARCHITECTURE_SIZE];
	enum elf_verdict verdict;
	struct elf_symbol symbol;
	uint64_t at = 0;
	struct elf elf;

	memcpy(exact, bytes, size);
	verdict = elf_read(exact, size, &elf);
	while (elf_needed(&elf, &at))
		;
	elf_runpath(&elf);
	for (uint64_t i = 0; i < elf_symbol_count(&elf); i++)
		elf_symbol(&elf, i, &symbol);
	elf_is_static(&elf);
	elf_imports(&elf, "io_uring_*");
	ck_assert_uint_lt(strlen(elf_architecture(&elf, text)), sizeof(text));
	free(exact);
	return verdict;
}

START_TEST(test_a_file_cut_anywhere_is_read_to_its_end_only)
{
	struct image image;

	image_make(&image, _i, ET_DYN, WITH_INTERPRETER | WITH_NOTE | WITH_DATA | WITH_SECTION | WITH_DEFINED);
	for (size_t size = 0; size <= SIZE; size++) {
		size_t needed = AT_SEGMENTS + image.segments * ENTRY(&image, Phdr);

		ck_assert_int_eq(ask_all(image.bytes, size), size < 4	     ? ELF_NOT
							     : size < needed ? ELF_BAD
									     : ELF_GOOD);
	}
}
END_TEST

START_TEST(test_any_damaged_byte_does_no_harm)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct image image;

	image_make(&image, _i % 4, ET_DYN,
		   WITH_INTERPRETER | WITH_NOTE | WITH_DATA | WITH_SECTION | WITH_DEFINED |
			   (_i / 4 ? WITH_OLD_HASH : 0));
	for (size_t at = 0; at < SIZE; at++) {
		unsigned char was = image.bytes[at];

		for (size_t i = 0; i < N_ELEMENTS(values); i++) {
			image.bytes[at] = values[i];
			ask_all(image.bytes, SIZE);
		}
		image.bytes[at] = was;
	}
}
END_TEST

static const struct {
	const char *bytes;
	size_t size;
	enum elf_verdict verdict;
} others[] = {
	{ "", 0, ELF_NOT },
	{ "\177EL", 3, ELF_NOT },
	{ "#!/bin/sh\n", 10, ELF_NOT },
	{ "\177ELF", 4, ELF_BAD },
	{ "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16, ELF_BAD },
	{ "\177ELF\3\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0", 20, ELF_BAD },
};

START_TEST(test_other_files_are_not_elf)
{
	ck_assert_int_eq(ask_all((const unsigned char *)others[_i].bytes, others[_i].size), others[_i].verdict);
}
END_TEST

static const struct {
	bool is_wide, is_big;
	uint16_t machine;
	const char *text;
} architectures[] = {
	{ true, false, EM_X86_64, "64-bit x86-64" },
	{ false, false, EM_386, "32-bit x86" },
	{ false, false, EM_X86_64, "32-bit x86-64" },
	{ true, false, EM_AARCH64, "64-bit ARM" },
	{ true, true, EM_S390, "64-bit s390, big-endian" },
	{ false, true, 65535, "32-bit machine 65535, big-endian" },
};

START_TEST(test_architectures_have_names)
{
	struct elf elf = {
		.is_wide = architectures[_i].is_wide,
		.is_big = architectures[_i].is_big,
		.machine = architectures[_i].machine,
	};
	char text[ELF_ARCHITECTURE_SIZE];

	ck_assert_str_eq(elf_architecture(&elf, text), architectures[_i].text);
}
END_TEST

static void fill(TCase *tc)
{
	tcase_add_loop_test(tc, test_a_dynamic_program_says_what_it_needs, 0, 8);
	TABLE_TEST(test_static_and_go_programs_are_known, kinds);
	tcase_add_loop_test(tc, test_a_file_cut_anywhere_is_read_to_its_end_only, 0, 4);
	tcase_add_loop_test(tc, test_any_damaged_byte_does_no_harm, 0, 8);
	TABLE_TEST(test_other_files_are_not_elf, others);
	TABLE_TEST(test_architectures_have_names, architectures);
}

int main(void)
{
	return unit_run("elf", fill);
}
