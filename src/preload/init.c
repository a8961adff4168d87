/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the environment and the mapping, once, without malloc or a lock. */
#include "preload/init.h"
#include "ip2vsock/config.h"
#include "preload/log.h"
#include "preload/real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/*
 * The first hooked call may come from a signal handler, a vfork child or 32 threads at once, so nobody
 * waits here for anybody: each loads settings of its own into an arena of its own, the first to
 * publish wins, and the others throw theirs away.
 */
const struct settings *settings_now;

#define COMPLAINT_SIZE 512

struct loaded {
	struct settings settings; /* first: published by its address */
	struct arena arena;
	bool again; /* no descriptor or memory just now: the mapping itself may be good */
	char complaint[COMPLAINT_SIZE]; /* the first one */
};

/* Large pieces are of large mappings and will be filled: one call is cheaper than a fault for each page. */
static void *memory_more(size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (size > 65536 ? MAP_POPULATE : 0);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void memory_less(void *memory, size_t size)
{
	munmap(memory, size);
}

static void complain(void *context, const struct config_complaint *complaint)
{
	struct loaded *loaded = context;
	struct text text;

	loaded->settings.failed = true;
	if (loaded->complaint[0])
		return;
	text_init(&text, loaded->complaint, sizeof loaded->complaint);
	text_str(&text, complaint->source);
	if (complaint->line) {
		text_str(&text, ":");
		text_uint(&text, complaint->line);
		text_str(&text, ":");
		text_uint(&text, complaint->column);
	}
	text_str(&text, ": ");
	text_str(&text, complaint->text);
}

static void complain_whole(struct loaded *loaded, const char *source, const char *what)
{
	complain(loaded, &(struct config_complaint){.source = source, .text = what});
}

/* Files are read, not mapped: one that shrinks meanwhile would be a SIGBUS in somebody's program.
 * The length of the memory stands in front of the text. */
#define READ_HEAD sizeof(size_t)

static void file_release(void *context, const char *text, size_t length)
{
	const char *memory = text - READ_HEAD;
	size_t size;

	(void)context;
	(void)length;
	memcpy(&size, memory, sizeof size);
	munmap((void *)memory, size);
}

static char *file_read_all(int fd, size_t *length)
{
	struct stat st;
	size_t size = 4096, used = READ_HEAD;
	char *memory, *larger;
	ssize_t got;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return NULL;
	}
	while (st.st_size > 0 && size < (size_t)st.st_size + READ_HEAD + 1)
		size *= 2;
	memory = memory_more(size);
	if (!memory)
		return NULL;
	while ((got = REAL(read)(fd, memory + used, size - used)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			goto failed;
		used += (size_t)got;
		if (used < size)
			continue;
		larger = mremap(memory, size, size * 2, MREMAP_MAYMOVE);
		if (larger == MAP_FAILED)
			goto failed;
		memory = larger;
		size *= 2;
	}
	memcpy(memory, &size, sizeof size);
	*length = used - READ_HEAD;
	return memory + READ_HEAD;
failed:
	munmap(memory, size);
	return NULL;
}

static const char *file_read(void *context, const char *path, size_t *length)
{
	struct loaded *loaded = context;
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved = errno;
	char *text = NULL;

	if (fd >= 0) {
		text = file_read_all(fd, length);
		saved = errno;
		REAL(close)(fd);
		errno = saved;
	}
	if (!text && (saved == EMFILE || saved == ENFILE || saved == ENOMEM))
		loaded->again = true;
	return text;
}

static int mapping_load(struct loaded *loaded, struct rules *rules, const char *text, const char *files)
{
	struct config_io io = {loaded, complain, file_read, file_release};
	struct arena *arena = &loaded->arena;

	if (!text && !files) {
		complain_whole(loaded, "IP2VSOCK_RULES, IP2VSOCK_FILE", "neither is set, expected a mapping");
		return 0;
	}
	if (text && config_text(rules, arena, "IP2VSOCK_RULES", text, strlen(text), &io) < 0)
		return -1;
	while (files && *files) {
		const char *end = strchrnul(files, ':');
		char *path = arena_alloc(arena, (size_t)(end - files) + 1);

		if (!path)
			return -1;
		memcpy(path, files, (size_t)(end - files));
		if (*path && config_file(rules, arena, path, &io) < 0)
			return -1;
		files = *end ? end + 1 : end;
	}
	return 0;
}

static bool number_read(const char *text, uint32_t *number)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > UINT32_MAX)
			return false;
		value = value * 10 + (unsigned)(*text - '0');
	}
	*number = (uint32_t)value;
	return value < UINT32_MAX; /* VMADDR_CID_ANY */
}

/* A program that forks before it looks at its sockets has not read this as meant for its child, but the child has them. */
static unsigned listen_fds_read(const char *pid, const char *count)
{
	uint32_t process, number;

	if (!pid || !count || !number_read(pid, &process) || !number_read(count, &number))
		return 0;
	return process == (uint32_t)getpid() || process == (uint32_t)getppid() ? number : 0;
}

/* A string of the environment, which the program may change later. */
static const char *string_keep(struct loaded *loaded, const char *string)
{
	size_t size = strlen(string) + 1;
	char *kept = arena_alloc(&loaded->arena, size);

	return kept ? memcpy(kept, string, size) : NULL;
}

static void log_read(struct loaded *loaded, const char *setting)
{
	struct settings *now = &loaded->settings;

	now->log_level = LOG_ERROR;
	if (!setting || !*setting)
		return;
	if (!log_setting(setting, &now->log_level, &now->log_path))
		complain_whole(loaded, "IP2VSOCK_LOG", "unknown level (off, error, info or debug)");
	else if (now->log_path)
		now->log_path = string_keep(loaded, now->log_path);
}

static void seal_complain(struct loaded *loaded)
{
	if (errno == ENOSPC)
		complain_whole(loaded, "mapping", "too many names without a host line");
	else
		loaded->again = true;
}

static void settings_fill(struct loaded *loaded)
{
	struct settings *now = &loaded->settings;
	const char *disable = secure_getenv("IP2VSOCK_DISABLE");
	const char *cid = secure_getenv("IP2VSOCK_CID");
	const char *realm = secure_getenv("IP2VSOCK_REALM");
	const char *stats = secure_getenv("IP2VSOCK_STATS");
	struct rules *rules;

	now->cid = VMADDR_CID_ANY;
	now->transport = &transport_vsock;
	now->complaint = loaded->complaint;
	now->error = EACCES;
	now->listen_fds = listen_fds_read(secure_getenv("LISTEN_PID"), secure_getenv("LISTEN_FDS"));
	log_read(loaded, secure_getenv("IP2VSOCK_LOG"));
	if (disable && strcmp(disable, "1") == 0) {
		now->disabled = true;
		return;
	}
	if (stats && *stats)
		now->stats_path = string_keep(loaded, stats);
	if (cid && *cid && !number_read(cid, &now->cid))
		complain_whole(loaded, "IP2VSOCK_CID", "not a CID, expected a number below 4294967295");
	if (realm && *realm) {
		now->realm.name = string_keep(loaded, realm);
		if (!now->realm.name || !realm_name_valid(realm)) {
			complain_whole(loaded, "IP2VSOCK_REALM",
				       "not a realm name, expected 1 to 64 letters, digits, '.', '_' or '-'");
		} else {
			now->realm.cid = now->cid == VMADDR_CID_ANY ? VMADDR_CID_LOCAL : now->cid;
			now->transport = &transport_realm;
		}
	}
	rules = rules_new(&loaded->arena);
	if (!rules ||
	    mapping_load(loaded, rules, secure_getenv("IP2VSOCK_RULES"), secure_getenv("IP2VSOCK_FILE")) < 0)
		loaded->again = true;
	else if (rules_seal(rules) < 0)
		seal_complain(loaded);
	now->rules = rules;
	now->has_unix = now->realm.name || (rules && rules_have_unix(rules));
}

static bool refuses_by_default(const struct settings *now)
{
	struct rule_place place;
	struct target target;

	if (now->disabled)
		return false;
	if (now->failed)
		return true;
	rules_default(now->rules, &target, &place);
	return target.kind == TARGET_REJECT;
}

static void loaded_drop(struct loaded *loaded)
{
	struct arena arena = loaded->arena; /* it lives in itself */

	arena_free(&arena);
}

const struct settings *settings_load(void)
{
	static const struct settings not_now = {.failed = true, .strict = true, .error = ENOBUFS, .transport = &transport_vsock};
	const struct settings *found = NULL;
	struct loaded *loaded;
	struct arena arena = {.more = memory_more, .less = memory_less};
	int saved = errno;

	loaded = arena_alloc(&arena, sizeof *loaded);
	if (!loaded) {
		errno = saved;
		return &not_now;
	}
	loaded->arena = arena;
	settings_fill(loaded);
	if (!loaded->again)
		loaded->settings.strict = refuses_by_default(&loaded->settings);
	if (loaded->again) {
		loaded_drop(loaded);
		found = &not_now;
	} else if (__atomic_compare_exchange_n(&settings_now, &found, &loaded->settings, false,
					       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		found = &loaded->settings;
	} else {
		loaded_drop(loaded);
	}
	errno = saved;
	return found;
}

void settings_complain(const struct settings *now)
{
	static bool said;
	char buf[COMPLAINT_SIZE + 128];
	struct text text;

	if (now->error == EACCES && log_on(LOG_ERROR) && !__atomic_exchange_n(&said, true, __ATOMIC_RELAXED)) {
		log_line(&text, buf, sizeof buf);
		text_str(&text, "network calls fail with EACCES, the mapping cannot be used: ");
		text_str(&text, now->complaint);
		log_write(LOG_ERROR, &text);
	}
}

/* In the environment that the program was started with (proc(5)): NUL after each string, and after the last as well. */
static const char *environment_find(const char *text, size_t length, const char *name)
{
	size_t name_length = strlen(name);

	for (const char *at = text; at < text + length; at += strlen(at) + 1)
		if (strncmp(at, name, name_length) == 0 && at[name_length] == '=')
			return at + name_length + 1;
	return NULL;
}

unsigned listen_fds(void)
{
	unsigned count = settings()->listen_fds;
	int fd = count ? -1 : open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	char *text = fd < 0 ? NULL : file_read_all(fd, &length);

	if (text) {
		count = listen_fds_read(environment_find(text, length, "LISTEN_PID"),
					environment_find(text, length, "LISTEN_FDS"));
		file_release(NULL, text, length);
	}
	if (fd >= 0)
		REAL(close)(fd);
	return count;
}

uint32_t own_cid(void)
{
	static uint32_t asked; /* CID + 1, 0: not asked yet */
	const struct settings *now = settings();
	uint32_t known = __atomic_load_n(&asked, __ATOMIC_RELAXED), cid = VMADDR_CID_ANY;
	int fd, saved = errno;

	if (now->realm.name)
		return now->realm.cid;
	if (now->cid != VMADDR_CID_ANY)
		return now->cid;
	if (known)
		return known - 1;
	fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (REAL(ioctl)(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
			cid = VMADDR_CID_ANY;
		REAL(close)(fd);
	}
	/* VMADDR_CID_ANY + 1 is 0: an answer that nobody knows is asked for again. */
	__atomic_store_n(&asked, cid + 1, __ATOMIC_RELAXED);
	errno = saved;
	return cid;
}
