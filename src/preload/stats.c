/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of rules: the memory or the file they are in, and where in it each rule has its own. */
#include "preload/stats.h"
#include "ip2vsock/config.h"
#include "preload/log.h"
#include "preload/real.h"

#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* Made at the first event. Children of fork share the table, and count on in it. */
struct place {
	struct counters *table;
	bool is_file;	/* which others can take away, unlike memory */
	uint64_t since; /* of the table */
	uint32_t rules; /* how many */
	uint8_t slots[]; /* by number of the rule, the default last: one more than its slot; 0: not asked for yet */
};

static struct place *place;

/* Nothing is counted, now and later. */
#define NO_PLACE ((struct place *)MAP_FAILED)

/* --- a file that the user named, which must not harm the program whatever it is */

/*
 * Memory of a file that another process has cut short, or for which the disk has no room, is a SIGBUS for whoever
 * touches it. The kernel can be asked to touch it and tell (futex(2)): adding 0 changes nothing, and nobody is woken.
 */
static bool is_reachable(const void *word)
{
	uint32_t nobody = 0;

	return REAL(syscall)(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, NULL, word,
			     FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) >= 0 ||
	       errno != EFAULT;
}

static const char *error_text(int error)
{
	const char *name = real_error_name(error);

	return name ? name : "it cannot be opened or written";
}

static bool is_zero(const char *bytes, ssize_t count)
{
	while (count > 0 && !bytes[count - 1])
		count--;
	return count <= 0;
}

/* Up to its end. */
static __attribute__((noinline)) bool file_is_zero(int fd, off_t from)
{
	char bytes[512];
	ssize_t count;

	while ((count = pread(fd, bytes, sizeof bytes, from)) > 0) {
		if (!is_zero(bytes, count))
			return false;
		from += count;
	}
	return count == 0;
}

enum file_state { FILE_BEGUN, FILE_ZERO, FILE_SHORT, FILE_STRANGER };

static enum file_state file_look(int fd)
{
	const off_t whole = sizeof(struct counters);
	uint64_t magic = 0;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > whole)
		return FILE_STRANGER;
	if (st.st_size < whole)
		return file_is_zero(fd, 0) ? FILE_SHORT : FILE_STRANGER;
	if (pread(fd, &magic, sizeof magic, 0) == sizeof magic && magic == COUNTERS_MAGIC)
		return FILE_BEGUN;
	return magic == 0 && file_is_zero(fd, offsetof(struct counters, spare)) ? FILE_ZERO : FILE_STRANGER;
}

/*
 * NULL, or what is wrong with it. Others may make it what it shall be in the meantime, so that a stranger is looked at
 * again; they do the same as this process, and none makes it shorter. A file beyond the process's limit would be a SIGXFSZ.
 */
static const char *file_check(int fd)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
	enum file_state state = FILE_STRANGER;

	for (int i = 0; i < 3 && state == FILE_STRANGER; i++)
		state = file_look(fd);
	if (state == FILE_STRANGER)
		return "it is not a file of counters";
	if (state != FILE_SHORT)
		return NULL;
	getrlimit(RLIMIT_FSIZE, &limit);
	if (limit.rlim_cur < sizeof(struct counters))
		return "it would be larger than files may be here";
	return pwrite(fd, "", 1, sizeof(struct counters) - 1) == 1 ? NULL : error_text(errno);
}

/* Looked at before it is opened, which does something to some devices. */
static int file_open(const char *path, const char **why)
{
	struct stat st;
	int fd;

	*why = "it is not a regular file";
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0) {
		*why = error_text(errno);
		return -1;
	}
	*why = file_check(fd);
	if (!*why)
		return fd;
	REAL(close)(fd);
	return -1;
}

static void file_complain(const char *path, const char *why)
{
	static bool said;
	char buf[512];
	struct text text;

	if (!log_on(LOG_ERROR) || __atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		return;
	log_line(&text, buf, sizeof buf);
	text_str(&text, "nothing is counted, IP2VSOCK_STATS cannot be used: ");
	text_quoted(&text, path, strlen(path));
	text_str(&text, ": ");
	text_str(&text, why);
	log_write(LOG_ERROR, &text);
}

/* Pages are of 4096 bytes at least. */
static bool is_on_first_page(const struct counters *table, const struct counters_slot *slot)
{
	return (size_t)((const char *)slot - (const char *)table) < 4096;
}

/* The table is still the one that it was, and the slot is memory. */
static bool file_is_there(const struct place *here, const struct counters_slot *slot)
{
	return is_reachable(here->table) && __atomic_load_n(&here->table->since, __ATOMIC_RELAXED) == here->since &&
	       (is_on_first_page(here->table, slot) || is_reachable(slot));
}

/* The file is left mapped: other threads may be at it. */
static void file_leave(void)
{
	static bool said;

	__atomic_store_n(&place, NO_PLACE, __ATOMIC_RELEASE);
	log_say_once(&said, "nothing is counted any more, the file of IP2VSOCK_STATS was cut short or its disk is full");
}

/* --- the table */

static uint64_t clock_now(void)
{
	struct timespec now = {.tv_nsec = 1};

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct counters *table_map(int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *memory = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, flags, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static struct counters *table_of_memory(void)
{
	struct counters *table = table_map(-1);

	if (table)
		counters_begin(table, clock_now(), (uint32_t)getpid());
	return table;
}

static struct counters *table_of_file(const char *path)
{
	struct counters *table = NULL;
	const char *why;
	int fd = file_open(path, &why);

	if (fd >= 0) {
		table = table_map(fd);
		REAL(close)(fd);
		why = "it cannot be mapped";
	}
	if (table && (!is_reachable(table) || !counters_begin(table, clock_now(), (uint32_t)getpid()))) {
		munmap(table, sizeof *table);
		table = NULL;
		why = "there is no room for it";
	}
	if (!table)
		file_complain(path, why);
	return table;
}

static struct place *place_make(const struct settings *now)
{
	uint32_t rules = now->failed ? 0 : rules_number(now->rules, NULL);
	size_t size = sizeof(struct place) + rules + 1;
	struct place *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (made == MAP_FAILED)
		return NO_PLACE;
	made->rules = rules;
	made->table = now->stats_path ? table_of_file(now->stats_path) : table_of_memory();
	if (!made->table) {
		munmap(made, size);
		return NO_PLACE;
	}
	made->is_file = now->stats_path;
	made->since = made->table->since;
	return made;
}

static void place_drop(struct place *made)
{
	if (made == NO_PLACE)
		return;
	munmap(made->table, sizeof *made->table);
	munmap(made, sizeof *made + made->rules + 1);
}

/* The first event may be in several threads at once, or in a signal handler: nobody waits for anybody. */
static __attribute__((noinline)) struct place *place_get(const struct settings *now)
{
	struct place *found = NULL, *made = place_make(now);

	if (__atomic_compare_exchange_n(&place, &found, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	place_drop(made);
	return found;
}

/* --- rules */

static void default_text(const struct settings *now, char *buf, size_t size, struct rule_place *where)
{
	struct target target = {.kind = TARGET_INET};
	const char *error = NULL;
	struct text text;

	text_init(&text, buf, size);
	*where = (struct rule_place){.source = NULL};
	if (now->failed) {
		text_str(&text, "the mapping cannot be used");
		return;
	}
	rules_default(now->rules, &target, where);
	text_str(&text, target.kind == TARGET_REJECT ? "default reject" : "default inet");
	if (target.kind == TARGET_REJECT && target.error)
		error = config_errno_name(target.error);
	text_str(&text, error ? " " : "");
	text_str(&text, error ? error : "");
}

/* As much of a statement as the table and a small stack have room for: rules that begin alike differ by their places. */
#define STATEMENT_SIZE 512

/* Of a rule that this process has not counted yet. */
static __attribute__((noinline)) struct counters_slot *slot_find(const struct settings *now, struct place *here,
								 const struct rule *rule, uint32_t number)
{
	char statement[STATEMENT_SIZE];
	struct counters_name name;
	struct counters_slot *slot;
	struct rule_place where;

	if (number < here->rules) {
		config_rule_text(rule, statement, sizeof statement);
		where = rule->place;
	} else {
		default_text(now, statement, sizeof statement, &where);
	}
	counters_name(statement, &where, &name);
	slot = counters_slot(here->table, &name, here->is_file ? is_reachable : NULL);
	if (slot)
		__atomic_store_n(&here->slots[number], (uint8_t)(slot - here->table->slots + 1), __ATOMIC_RELAXED);
	return slot;
}

static struct counters_slot *slot_of(const struct settings *now, struct place *here, const struct rule *rule)
{
	uint32_t number = here->rules ? rules_number(now->rules, rule) : 0;
	unsigned known = __atomic_load_n(&here->slots[number], __ATOMIC_RELAXED);
	struct counters_slot *slot = &here->table->slots[known ? known - 1 : 0];

	if (here->is_file && !file_is_there(here, slot))
		slot = NULL;
	else if (!known)
		slot = slot_find(now, here, rule, number);
	if (!slot && here->is_file)
		file_leave();
	return slot;
}

void stats_count(const struct rule *rule, enum counter what)
{
	const struct settings *now = __atomic_load_n(&settings_now, __ATOMIC_ACQUIRE);
	struct place *here = __atomic_load_n(&place, __ATOMIC_ACQUIRE);
	struct counters_slot *slot;
	int saved = errno;

	/* Settings that could not be loaded just now have no rules. */
	if (!now || now->disabled)
		return;
	if (!here)
		here = place_get(now);
	if (here != NO_PLACE) {
		slot = slot_of(now, here, rule);
		if (slot)
			counters_add(slot, what);
	}
	errno = saved;
}
