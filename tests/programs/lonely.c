/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a program in a network namespace of its own, where there is only lo: nothing can reach a network. */
#define _GNU_SOURCE 1
#include "lonely.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: lonely PROGRAM [ARG]...\n");
		return 125;
	}
	lonely_enter();
	execvp(argv[1], argv + 1);
	lonely_fail(argv[1]);
}
