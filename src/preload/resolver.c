/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom the C library may ask for names, and hosts(5) for one that cannot be told to ask nobody. */
#include "preload/resolver.h"
#include "preload/init.h"
#include "preload/real.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* What was told stays, also when nsswitch.conf(5) changes (nss/nss_database.c of glibc). So it is not told where the next
 * call may know better. */
static enum resolver limit(const char *database, bool *told)
{
	const struct settings *now = settings();
	int saved = errno;

	if (!now->strict)
		return RESOLVER_OPEN;
	if (__atomic_load_n(told, __ATOMIC_RELAXED))
		return RESOLVER_FILES;
	if ((now->failed && now->error != EACCES) || !real_ask_files(database)) {
		errno = saved;
		return RESOLVER_SHUT;
	}
	__atomic_store_n(told, true, __ATOMIC_RELAXED);
	errno = saved;
	return RESOLVER_FILES;
}

enum resolver resolver_hosts(void)
{
	static bool told;

	return limit("hosts", &told);
}

enum resolver resolver_networks(void)
{
	static bool told;

	return limit("networks", &told);
}

bool name_is_number(const char *name)
{
	struct in6_addr ip;
	struct in_addr v4;

	return inet_aton(name, &v4) || inet_pton(AF_INET6, name, &ip) == 1;
}

/* --- hosts(5) */

struct hosts_file {
	int fd;
	unsigned start, end;
	char bytes[512];
	char line[1024]; /* longer ones are passed over */
};

static int byte_next(struct hosts_file *file)
{
	if (file->start == file->end) {
		ssize_t got = REAL(read)(file->fd, file->bytes, sizeof file->bytes);

		if (got <= 0)
			return -1;
		file->start = 0;
		file->end = (unsigned)got;
	}
	return (unsigned char)file->bytes[file->start++];
}

/* Without its comment. False after the last. */
static bool line_next(struct hosts_file *file)
{
	unsigned length = 0;
	int byte;

	do {
		byte = byte_next(file);
		if (byte >= 0 && byte != '\n') {
			if (length < sizeof file->line)
				file->line[length++] = (char)byte;
		} else if (length < sizeof file->line) {
			file->line[length] = '\0';
			file->line[strcspn(file->line, "#")] = '\0';
			return byte >= 0 || length;
		} else {
			length = 0;
		}
	} while (byte >= 0);
	return false;
}

/* NULL at the end of the line. */
static char *word_next(char **at)
{
	static const char blanks[] = " \t\r\f\v";
	char *word = *at + strspn(*at, blanks);
	size_t length = strcspn(word, blanks);

	*at = word + length;
	if (**at)
		*(*at)++ = '\0';
	return length ? word : NULL;
}

static bool ip_read(const char *text, struct in6_addr *out)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) != 1)
		return inet_pton(AF_INET6, text, out) == 1;
	*out = ip_addr_from_v4(ntohl(v4.s_addr), 0, AF_INET).ip;
	return true;
}

/* The address that the next line begins with, and where its names begin. */
static bool entry_next(struct hosts_file *file, struct in6_addr *ip, char **names)
{
	while (line_next(file)) {
		const char *word;

		*names = file->line;
		word = word_next(names);
		if (word && ip_read(word, ip))
			return true;
	}
	return false;
}

static bool hosts_open(struct hosts_file *file)
{
	file->start = file->end = 0;
	file->fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	return file->fd >= 0;
}

static bool has_name(char *names, const char *name)
{
	const char *word;

	while ((word = word_next(&names)))
		if (strcasecmp(word, name) == 0)
			return true;
	return false;
}

bool hosts_file_name(const char *name, int family, unsigned n, struct in6_addr *out)
{
	struct hosts_file file;
	int saved = errno;
	bool found = false;
	char *names;

	if (!hosts_open(&file))
		return false;
	while (!found && entry_next(&file, out, &names))
		found = (family == AF_UNSPEC || (family == AF_INET) == IN6_IS_ADDR_V4MAPPED(out)) && has_name(names, name) &&
			n-- == 0;
	REAL(close)(file.fd);
	errno = saved;
	return found;
}

bool hosts_file_address(const struct in6_addr *ip, char name[HOSTS_NAME_SIZE])
{
	struct hosts_file file;
	struct in6_addr here;
	int saved = errno;
	bool found = false;
	char *names;

	if (!hosts_open(&file))
		return false;
	while (!found && entry_next(&file, &here, &names)) {
		const char *word = word_next(&names);

		found = word && memcmp(&here, ip, sizeof here) == 0 && strlen(word) < HOSTS_NAME_SIZE;
		if (found)
			strcpy(name, word);
	}
	REAL(close)(file.fd);
	errno = saved;
	return found;
}
