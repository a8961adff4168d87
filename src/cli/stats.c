/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stats: the counters of running programs, which lie in their memory, or those of a file. */
#include "cli/ctl.h"
#include "ip2vsock/counters.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Processes that share one table: a program and its children, or whoever counts in one file. */
struct sharers {
	struct sharers *next;
	char memory[64]; /* which: device and inode */
	const char *file;
	const char *command; /* of the first */
	const char *pids;
	bool are_many;
	struct counters table;
};

enum look {
	LOOK_FOUND,
	LOOK_GONE,
	LOOK_HIDDEN, /* nothing of it can be seen */
	LOOK_DENIED, /* it has a table, which cannot be read */
	LOOK_STRANGER,
	LOOK_NOTHING,
};

/* --- tables in memory */

static char *line_of(const char *path, char *buf, int size)
{
	FILE *in = fopen(path, "re");
	char *line = in ? fgets(buf, size, in) : NULL;

	if (in)
		fclose(in);
	if (!line)
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

static const char *command_of(struct ctl *ctl, unsigned pid)
{
	char path[32], name[64];

	snprintf(path, sizeof path, "/proc/%u/comm", pid);
	line_of(path, name, sizeof name);
	for (char *at = name; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return string_format(ctl, "%s", name);
}

static bool is_empty(const struct counters *table)
{
	return !table->slots[0].id;
}

/* A line of /proc/PID/maps (proc(5)) that may be of a table. */
static bool line_read(char *line, unsigned long long *start, char memory[64], const char **file)
{
	unsigned long long end, offset;
	char rights[5], device[24];
	unsigned long inode;
	int at = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %23s %lu %n", start, &end, rights, &offset, device, &inode, &at) != 6 ||
	    strcmp(rights, "rw-s") != 0 || offset || end - *start != sizeof(struct counters))
		return false;
	snprintf(memory, 64, "%s %lu", device, inode);
	line[strcspn(line, "\n")] = '\0';
	*file = strcmp(line + at, "/dev/zero (deleted)") == 0 ? NULL : line + at;
	return true;
}

/* -1 with errno EIO: not a table, or not any more. */
static int table_read(unsigned pid, unsigned long long start, struct counters *table)
{
	char path[32];
	ssize_t got;
	int fd, saved;

	snprintf(path, sizeof path, "/proc/%u/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = pread(fd, table, sizeof *table, (off_t)start);
	saved = got < 0 ? errno : EIO;
	close(fd);
	if (got == sizeof *table && counters_are_valid(table))
		return 0;
	errno = saved;
	return -1;
}

static void sharers_add(struct ctl *ctl, struct sharers **all, unsigned pid, unsigned long long start,
			const char memory[64], const char *file, enum look *look)
{
	struct sharers *one;

	while (*all && strcmp((*all)->memory, memory) != 0)
		all = &(*all)->next;
	if (*all) {
		(*all)->pids = string_format(ctl, "%s %u", (*all)->pids, pid);
		(*all)->are_many = true;
		*look = LOOK_FOUND;
		return;
	}
	one = arena_alloc(&ctl->arena, sizeof *one);
	if (!one)
		no_memory();
	if (table_read(pid, start, &one->table) < 0) {
		if ((errno == EACCES || errno == EPERM) && *look == LOOK_NOTHING)
			*look = LOOK_DENIED;
		return;
	}
	if (is_empty(&one->table))
		return;
	snprintf(one->memory, sizeof one->memory, "%s", memory);
	one->file = file ? string_format(ctl, "%s", file) : NULL;
	one->command = command_of(ctl, pid);
	one->pids = string_format(ctl, "%u", pid);
	*all = one;
	*look = LOOK_FOUND;
}

static bool line_is_of_library(const char *line)
{
	const char *name = strrchr(line, '/');

	return name && strncmp(name, "/libip2vsock.so", 15) == 0;
}

static enum look process_look(struct ctl *ctl, unsigned pid, struct sharers **all)
{
	enum look look = LOOK_NOTHING;
	bool has_library = false;
	char *line = NULL, memory[64], path[32];
	unsigned long long start;
	const char *file;
	size_t size = 0;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == EACCES || errno == EPERM ? LOOK_HIDDEN : LOOK_GONE;
	while (getline(&line, &size, maps) > 0) {
		has_library |= line_is_of_library(line);
		if (line_read(line, &start, memory, &file))
			sharers_add(ctl, all, pid, start, memory, file, &look);
	}
	free(line);
	fclose(maps);
	return has_library ? look : LOOK_STRANGER;
}

/* --- what is shown */

/* Other programs' text, or a file's: nothing that a terminal obeys. */
static int text_print(const char *text, size_t most)
{
	int length = 0;

	for (size_t i = 0; i < most && text[i]; i++)
		length += printf(text[i] >= ' ' && text[i] <= '~' ? "%c" : "\\x%02x", (unsigned char)text[i]);
	return length;
}

static const char *const heads[STAT_COUNT] = {"used", "failed", "refused", "denied", "retried", "fallback"};

static void widths_find(const struct counters *table, int widths[STAT_COUNT])
{
	for (int i = 0; i < STAT_COUNT; i++)
		widths[i] = (int)strlen(heads[i]);
	for (unsigned k = 0; k < COUNTERS_SLOTS; k++)
		for (int i = 0; i < STAT_COUNT; i++) {
			int length = snprintf(NULL, 0, "%llu", (unsigned long long)table->slots[k].counts[i]);

			if (length > widths[i])
				widths[i] = length;
		}
}

static void slot_print(const struct counters_slot *slot, const int widths[STAT_COUNT])
{
	size_t length = strnlen(slot->text, sizeof slot->text);
	int shown;

	for (int i = 0; i < STAT_COUNT; i++)
		printf("%*llu ", widths[i], (unsigned long long)slot->counts[i]);
	putchar(' ');
	shown = text_print(slot->named ? slot->text : "(a rule that has no name yet)", sizeof slot->text);
	if (slot->named && length + 1 < sizeof slot->text && slot->text[length + 1]) {
		printf("%*s # ", shown < 40 ? 40 - shown : 0, "");
		text_print(slot->text + length + 1, sizeof slot->text - length - 1);
	}
	putchar('\n');
}

static void table_print(const struct counters *table)
{
	int widths[STAT_COUNT];
	time_t since = (time_t)(table->since / 1000000000u);
	char text[64] = "";
	struct tm tm;

	if (localtime_r(&since, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	printf(", since %s\n", text);
	widths_find(table, widths);
	for (int i = 0; i < STAT_COUNT; i++)
		printf("%*s ", widths[i], heads[i]);
	puts(" rule");
	for (unsigned i = 0; i < COUNTERS_SLOTS; i++)
		if (table->slots[i].id)
			slot_print(&table->slots[i], widths);
}

static void sharers_print(const struct sharers *all)
{
	for (; all; all = all->next) {
		printf("process%s %s (%s)", all->are_many ? "es" : "", all->pids, all->command);
		if (all->file) {
			fputs(", file ", stdout);
			text_print(all->file, SIZE_MAX);
		}
		table_print(&all->table);
		if (all->next)
			putchar('\n');
	}
}

/* --- whose */

/* Debuggers may be kept to their own children, and whoever reads memory is one (ptrace(2)). */
static const char *permission_remedy(void)
{
	char scope[16];

	line_of("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
	return scope[0] && scope[0] != '0' ? " (kernel.yama.ptrace_scope is not 0, ask as root)" : "";
}

static int process_print(struct ctl *ctl)
{
	struct sharers *all = NULL;
	unsigned long pid;
	const char *name;
	char *end;

	ctl->option = "--stats";
	ctl->value = ctl->program;
	errno = 0;
	pid = strtoul(ctl->value, &end, 10);
	if (*end || ctl->value[0] < '0' || ctl->value[0] > '9' || errno || pid == 0 || pid > INT32_MAX) {
		option_complain(ctl, "not a process ID");
		return EXIT_TROUBLE;
	}
	name = command_of(ctl, (unsigned)pid);
	switch (process_look(ctl, (unsigned)pid, &all)) {
	case LOOK_FOUND:
		sharers_print(all);
		return 0;
	case LOOK_GONE:
		option_complain(ctl, "no such process");
		break;
	case LOOK_HIDDEN:
		option_complain(ctl, "no permission to look into this process, %s", name);
		break;
	case LOOK_DENIED:
		option_complain(ctl, "no permission to look into this process, %s%s", name, permission_remedy());
		break;
	case LOOK_STRANGER:
		option_complain(ctl, "this process, %s, does not run under ip2vsock", name);
		break;
	case LOOK_NOTHING:
		option_complain(ctl, "this process, %s, has counted nothing yet", name);
		break;
	}
	return EXIT_TROUBLE;
}

static int is_pid(const struct dirent *entry)
{
	return entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
}

/* In order of their numbers: a program mostly comes before its children. */
static int pid_compare(const struct dirent **a, const struct dirent **b)
{
	const unsigned long one = strtoul((*a)->d_name, NULL, 10), other = strtoul((*b)->d_name, NULL, 10);

	return (one > other) - (one < other);
}

static int processes_print(struct ctl *ctl)
{
	struct sharers *all = NULL;
	struct dirent **entries;
	unsigned denied = 0;
	int count = scandir("/proc", &entries, is_pid, pid_compare);

	if (count < 0) {
		perror("ip2vsock: /proc");
		return EXIT_TROUBLE;
	}
	for (int i = 0; i < count; i++) {
		if (process_look(ctl, (unsigned)strtoul(entries[i]->d_name, NULL, 10), &all) == LOOK_DENIED)
			denied++;
		free(entries[i]);
	}
	free(entries);
	sharers_print(all);
	if (denied)
		fprintf(stderr, "ip2vsock: no permission to look into %u process%s%s\n", denied, denied == 1 ? "" : "es",
			permission_remedy());
	else if (!all)
		fputs("ip2vsock: no process here has counted anything\n", stderr);
	return denied && !all ? EXIT_TROUBLE : 0;
}

static const char *file_load(const char *path, struct counters *table)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = NULL;
	struct stat st;

	if (fd < 0)
		return strerror(errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		why = "not a regular file";
	else if (st.st_size == 0)
		why = "nothing is counted there yet";
	else if (pread(fd, table, sizeof *table, 0) != sizeof *table || !counters_are_valid(table))
		why = "not a file of counters";
	else if (is_empty(table))
		why = "nothing is counted there yet";
	close(fd);
	return why;
}

static int file_print(struct ctl *ctl, const char *path)
{
	struct counters *table = arena_alloc(&ctl->arena, sizeof *table);
	const char *why;

	if (!table)
		no_memory();
	why = file_load(path, table);
	if (why) {
		ctl->option = "IP2VSOCK_STATS";
		ctl->value = path;
		option_complain(ctl, "%s", why);
		return EXIT_TROUBLE;
	}
	fputs("file ", stdout);
	text_print(path, SIZE_MAX);
	table_print(table);
	return 0;
}

int stats_print(struct ctl *ctl)
{
	const char *path = secure_getenv("IP2VSOCK_STATS");

	if (ctl->program)
		return process_print(ctl);
	return path && *path ? file_print(ctl, path) : processes_print(ctl);
}
