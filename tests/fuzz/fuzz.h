/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry point of libFuzzer, and a main() for compilers without it that runs the files it is given. */
#ifndef IP2VSOCK_TESTS_FUZZ_H
#define IP2VSOCK_TESTS_FUZZ_H

#include "ip2vsock/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold ends the run, so that the fuzzer keeps the input. */
#define FUZZ_ASSERT(condition)                                                             \
	do {                                                                               \
		if (!(condition)) {                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                           \
		}                                                                          \
	} while (0)

static inline void *fuzz_more(size_t size)
{
	return calloc(1, size);
}

static inline void fuzz_less(void *chunk, size_t size)
{
	(void)size;
	free(chunk);
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
	static uint8_t data[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t size;

		if (!file) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		size = fread(data, 1, sizeof(data), file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

#endif
