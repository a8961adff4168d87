/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time that preload libraries add to the exec of a program that uses no sockets, side by side in one run. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 2000
#define MOST 8

static double spawn_once(const char *program, char *preload)
{
	char *argv[] = {(char *)program, NULL}, *envp[] = {preload, NULL};
	struct timespec start, end;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (posix_spawn(&pid, program, NULL, NULL, argv, preload ? envp : envp + 1) != 0 ||
	    waitpid(pid, NULL, 0) != pid)
		exit(1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* PROGRAM LIBRARY...: the median of each, without a library first. */
int main(int argc, char **argv)
{
	static double times[MOST][ROUNDS];
	char preload[MOST][4096];
	int count = argc - 1;

	if (argc < 2 || count > MOST)
		return 2;
	for (int i = 1; i < count; i++)
		snprintf(preload[i], sizeof preload[i], "LD_PRELOAD=%s", argv[i + 1]);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0, first = rand(); i < count; i++) {
			int which = (first % count + i) % count;

			times[which][round] = spawn_once(argv[1], which ? preload[which] : NULL);
		}
	for (int i = 0; i < count; i++)
		qsort(times[i], ROUNDS, sizeof(double), compare);
	printf("# exec of an empty program: %.1f us\n", times[0][ROUNDS / 2]);
	for (int i = 1; i < count; i++)
		printf("# %s: %+.1f us\n", strrchr(argv[i + 1], '/') ? strrchr(argv[i + 1], '/') + 1 : argv[i + 1],
		       times[i][ROUNDS / 2] - times[0][ROUNDS / 2]);
	return 0;
}
