/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the dynamic linker finds libraries. */
#include "cli/libraries.h"
#include "cli/program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The cache as ldconfig writes it since glibc 2.2, sysdeps/generic/dl-cache.h; offsets count from its start. */
#define CACHE_MAGIC "glibc-ld.so.cache1.1"
struct cache_head {
	char magic[20];
	uint32_t count, strings_size;
	uint32_t rest[5];
};
struct cache_entry {
	int32_t flags;
	uint32_t name, path;
	uint32_t os_version;
	uint64_t hwcap;
};

/* The library if it is there and of the same kind as its user. */
static const char *candidate(const char *path, const struct elf *user, struct elf *found)
{
	size_t size;
	const void *bytes = file_map(path, &size);

	if (bytes && elf_read(bytes, size, found) == ELF_GOOD && found->is_wide == user->is_wide &&
	    found->is_big == user->is_big && found->machine == user->machine)
		return path;
	return NULL;
}

static const char *directories_find(struct ctl *ctl, const char *list, const char *origin, const char *name,
				    const struct elf *user, struct elf *found)
{
	while (list && *list) {
		int length = (int)strcspn(list, ":;");
		const char *path, *rest = NULL;

		if (strncmp(list, "$ORIGIN", 7) == 0 && length >= 7)
			rest = list + 7;
		else if (strncmp(list, "${ORIGIN}", 9) == 0 && length >= 9)
			rest = list + 9;
		path = rest ? string_format(ctl, "%s%.*s/%s", origin, (int)(list + length - rest), rest, name)
			    : string_format(ctl, "%.*s/%s", length, list, name);
		path = candidate(path, user, found);
		if (path)
			return path;
		list += length + (list[length] != '\0');
	}
	return NULL;
}

static const char *cache_string(const char *cache, size_t size, uint32_t offset)
{
	return offset < size && memchr(cache + offset, '\0', size - offset) ? cache + offset : "";
}

static const char *cache_find(const char *name, const struct elf *user, struct elf *found)
{
	static const char *cache;
	static size_t size;
	struct cache_head head;
	struct cache_entry entry;

	if (!cache)
		cache = file_map("/etc/ld.so.cache", &size);
	if (!cache || size < sizeof head)
		return NULL;
	memcpy(&head, cache, sizeof head);
	if (memcmp(head.magic, CACHE_MAGIC, sizeof head.magic) != 0)
		return NULL;
	for (size_t at = sizeof head; head.count-- && at + sizeof entry <= size; at += sizeof entry) {
		memcpy(&entry, cache + at, sizeof entry);
		if (strcmp(cache_string(cache, size, entry.name), name) == 0) {
			const char *path = candidate(cache_string(cache, size, entry.path), user, found);

			if (path)
				return path;
		}
	}
	return NULL;
}

/* The directory of a file, links resolved. */
static const char *directory_of(struct ctl *ctl, const char *path)
{
	char *resolved = realpath(path, NULL), *slash = resolved ? strrchr(resolved, '/') : NULL;
	const char *directory = slash ? string_format(ctl, "%.*s", (int)(slash - resolved), resolved) : "";

	free(resolved);
	return directory;
}

const char *library_find(struct ctl *ctl, const char *name, const struct elf *user, const char *user_path,
			 struct elf *found)
{
	const char *origin = directory_of(ctl, user_path), *path;

	if (strchr(name, '/'))
		return candidate(name, user, found);
	path = directories_find(ctl, elf_runpath(user), origin, name, user, found);
	if (!path)
		path = directories_find(ctl, secure_getenv("LD_LIBRARY_PATH"), origin, name, user, found);
	if (!path)
		path = cache_find(name, user, found);
	if (!path)
		path = directories_find(ctl, "/lib64:/usr/lib64:/lib:/usr/lib:/usr/local/lib", origin, name, user,
					found);
	return path;
}
