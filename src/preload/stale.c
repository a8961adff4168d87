/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the place of a unix socket that nobody listens at any more. */
#include "preload/stale.h"
#include "preload/real.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Others hold the lock for as long as this takes, a few system calls. */
#define LOCK_TRIES 200

static int directory_lock(const char *path)
{
	char directory[UNIX_NAME_SIZE];
	const char *slash = strrchr(path, '/');
	size_t length = slash && slash > path ? (size_t)(slash - path) : 1;
	int fd;

	memcpy(directory, path, length);
	directory[length] = '\0';
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		REAL(poll)(NULL, 0, 5);
	}
	if (fd >= 0)
		close_quietly(fd);
	return -1;
}

/* "Num: RefCount Protocol Flags Type St Inode Path" of proc(5): what a listener has accepted has its name, too, and lives on. */
static bool is_connection(const char *line, const char *end)
{
	for (int i = 0; i < 5 && line; i++) {
		line = memchr(line, ' ', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	return line && end - line > 2 && memcmp(line, "03", 2) == 0; /* SS_CONNECTED of linux/net.h */
}

/* The last word of one of the lines that begin in buf, of `have` bytes, and are no connection's; what is left of the last line
 * is moved to the front. */
static bool lines_end_with(char *buf, size_t *have, const char *word)
{
	size_t length = strlen(word);
	char *line = buf, *end;
	bool found = false;

	while ((end = memchr(line, '\n', *have - (size_t)(line - buf)))) {
		found |= (size_t)(end - line) > length && end[-(ssize_t)length - 1] == ' ' &&
			 memcmp(end - length, word, length) == 0 && !is_connection(line, end);
		line = end + 1;
	}
	*have -= (size_t)(line - buf);
	memmove(buf, line, *have);
	return found;
}

/* Somebody in this network namespace is bound there, and may be about to listen. Without /proc nobody knows. */
static bool is_bound(const char *path)
{
	int list = open("/proc/net/unix", O_RDONLY | O_CLOEXEC);
	bool found = false;
	size_t have = 0;
	char buf[512];
	ssize_t got;

	while (list >= 0 && !found && have < sizeof buf && (got = REAL(read)(list, buf + have, sizeof buf - have)) > 0) {
		have += (size_t)got;
		found = lines_end_with(buf, &have, path);
	}
	if (list >= 0)
		close_quietly(list);
	return found;
}

/*
 * Nobody listens there: the kernel refuses, which it does for files of other kinds, too. It is only asked where no name is
 * found in its list, because somebody who listens would accept a connection of nobody's.
 */
static bool is_stale(const char *path, const struct sockaddr_storage *sa, socklen_t len)
{
	struct stat before, after;
	int probe, error;

	if (lstat(path, &before) < 0 || !S_ISSOCK(before.st_mode) || is_bound(path))
		return false;
	probe = REAL(socket)(transport_unix.domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return false;
	error = REAL(connect)(probe, (const struct sockaddr *)sa, len) < 0 ? errno : 0;
	close_quietly(probe);
	return error == ECONNREFUSED && lstat(path, &after) == 0 && after.st_ino == before.st_ino &&
	       after.st_dev == before.st_dev;
}

/* bind(2), with errno as of an address. */
static int bind_there(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	if (REAL(bind)(fd, (const struct sockaddr *)sa, len) == 0)
		return 0;
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
		return fail(EADDRNOTAVAIL);
	case EPERM:
	case EROFS:
		return fail(EACCES);
	default:
		return -1;
	}
}

void bind_undo(int fd)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNSPEC}; /* longer than any path, which need not have an end */
	const char *path = unix_name(&sa);
	socklen_t len = sizeof sa;
	int saved = errno;

	if (REAL(getsockname)(fd, (struct sockaddr *)&sa, &len) == 0 && *path == '/')
		unlink(path);
	errno = saved;
}

int bind_replacing(int fd, const struct sockaddr_storage *sa, socklen_t len)
{
	const char *path = unix_name(sa);
	int lock, result = bind_there(fd, sa, len);

	if (result == 0 || errno != EADDRINUSE)
		return result;
	lock = directory_lock(path);
	if (lock < 0)
		return fail(EADDRINUSE);
	if (is_stale(path, sa, len) && unlink(path) == 0)
		result = bind_there(fd, sa, len);
	else
		errno = EADDRINUSE;
	close_quietly(lock);
	return result;
}
