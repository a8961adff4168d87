/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a program. What must hold: nothing is read outside of them, every name that is found lies in them
 * and ends in them, and a program without a dynamic linker that is none itself is static.
 */
#include "cli/elf.h"

#include "fuzz.h"

#include <string.h>

static void name_check(const struct elf *elf, const char *name)
{
	const unsigned char *start = (const unsigned char *)name;

	FUZZ_ASSERT(start >= elf->bytes && start < elf->bytes + elf->size);
	FUZZ_ASSERT(memchr(start, '\0', (size_t)(elf->bytes + elf->size - start)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[ELF_ARCHITECTURE_SIZE];
	struct elf_symbol symbol;
	enum elf_verdict verdict;
	uint64_t at = 0, count;
	const char *name;
	struct elf elf;

	verdict = elf_read(data, size, &elf);
	if (verdict == ELF_NOT) {
		FUZZ_ASSERT(size < 4 || memcmp(data, "\177ELF", 4) != 0);
		return 0;
	}
	if (elf.interpreter) {
		name_check(&elf, elf.interpreter);
		FUZZ_ASSERT(!elf_is_static(&elf));
	}
	while ((name = elf_needed(&elf, &at)))
		name_check(&elf, name);
	if ((name = elf_runpath(&elf)))
		name_check(&elf, name);
	count = elf_symbol_count(&elf);
	FUZZ_ASSERT(count <= size);
	for (uint64_t i = 0; i < count; i++)
		if (elf_symbol(&elf, i, &symbol))
			name_check(&elf, symbol.name);
	FUZZ_ASSERT(!elf_imports(&elf, "io_uring_*") || count > 0);
	FUZZ_ASSERT(strlen(elf_architecture(&elf, text)) < sizeof(text));
	return 0;
}
