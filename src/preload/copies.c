/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads /proc/thread-self/fd and fdinfo (proc(5)) without stdio or malloc. */
#include "preload/copies.h"
#include "ip2vsock/text.h"
#include "preload/real.h"
#include "preload/retarget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct dirent64_raw { /* getdents64(2) */
	uint64_t ino;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

static int proc_open(const char *directory, int fd, int flags)
{
	char path[64];
	struct text text;

	text_init(&text, path, sizeof path);
	text_str(&text, "/proc/thread-self/");
	text_str(&text, directory);
	if (fd >= 0) {
		text_str(&text, "/");
		text_uint(&text, (unsigned)fd);
	}
	return open(path, O_RDONLY | O_CLOEXEC | flags);
}

static bool is_epoll(int directory, const char *name)
{
	static const char kind[] = "anon_inode:[eventpoll]";
	char link[sizeof kind];

	return readlinkat(directory, name, link, sizeof link) == (ssize_t)sizeof kind - 1 &&
	       memcmp(link, kind, sizeof kind - 1) == 0;
}

static bool push(int *list, int *count, int most, int value)
{
	if (*count == most) {
		errno = ENOBUFS;
		return false;
	}
	list[(*count)++] = value;
	return true;
}

static bool number_read(const char **at, unsigned base, uint64_t *out)
{
	const char *start;

	while (**at == ' ')
		++*at;
	start = *at;
	for (*out = 0;; ++*at) {
		unsigned digit = (unsigned)(**at >= 'a' ? **at - 'a' + 10 : **at - '0');

		if ((**at < '0' || **at > '9') && (**at < 'a' || **at > 'f'))
			break;
		if (digit >= base)
			break;
		*out = *out * base + digit;
	}
	return *at > start;
}

/* One entry of /proc/thread-self/fd: another number of the same socket, or an epoll instance. */
static bool entry_take(struct copies *copies, int directory, const char *name, const struct stat *socket)
{
	const char *at = name;
	struct stat st;
	uint64_t number;
	int fd;

	if (!number_read(&at, 10, &number) || *at)
		return true;
	fd = (int)number;
	if (fd == copies->fds[0])
		return true;
	if (is_epoll(directory, name))
		return push(copies->epolls, &copies->epoll_count, COPIES_EPOLLS, fd);
	if (fstat(fd, &st) == 0 && st.st_ino == socket->st_ino && st.st_dev == socket->st_dev)
		return push(copies->fds, &copies->fd_count, COPIES_FDS, fd);
	return true;
}

static bool descriptors_read(struct copies *copies, const struct stat *socket)
{
	int directory = proc_open("fd", -1, O_DIRECTORY);
	long got;
	bool good = directory >= 0;

	while (good && (got = syscall(SYS_getdents64, directory, copies->buffer, COPIES_BUFFER)) != 0) {
		if (got < 0)
			good = false;
		for (long at = 0; good && at < got;) {
			struct dirent64_raw *entry = (struct dirent64_raw *)(copies->buffer + at);

			good = entry_take(copies, directory, entry->name, socket);
			at += entry->size;
		}
	}
	if (directory >= 0)
		close_quietly(directory);
	return good;
}

static bool is_copy(const struct copies *copies, int fd)
{
	for (int i = 0; i < copies->fd_count; i++)
		if (copies->fds[i] == fd)
			return true;
	return false;
}

static bool field(const char *line, const char *name, unsigned base, uint64_t *out)
{
	const char *at = strstr(line, name);

	if (!at)
		return false;
	at += strlen(name);
	return number_read(&at, base, out);
}

/* "tfd:        5 events:       19 data: 5  pos:0 ino:2e5a sdev:8" */
static bool line_take(struct copies *copies, int epfd, const char *line, ino_t ino)
{
	uint64_t fd, events, data, inode;
	struct epoll_note *note;

	if (!field(line, "tfd:", 10, &fd) || !field(line, "events:", 16, &events) ||
	    !field(line, "data:", 16, &data) || !field(line, "ino:", 16, &inode) || inode != ino ||
	    !is_copy(copies, (int)fd))
		return true;
	if (copies->note_count == COPIES_NOTES) {
		errno = ENOBUFS;
		return false;
	}
	note = &copies->notes[copies->note_count++];
	*note = (struct epoll_note){
		.epfd = epfd, .fd = (int)fd, .events = (uint32_t)events, .data = data};
	return true;
}

static bool registrations_read(struct copies *copies, int epfd, ino_t ino)
{
	int info = proc_open("fdinfo", epfd, 0);
	size_t held = 0;
	ssize_t got = 0;
	bool good = info >= 0;

	if (info < 0 && errno == ENOENT) /* closed meanwhile */
		return true;
	while (good && (got = read(info, copies->buffer + held, COPIES_BUFFER - 1 - held)) > 0) {
		char *line = copies->buffer, *end;

		held += (size_t)got;
		copies->buffer[held] = '\0';
		for (; good && (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			good = line_take(copies, epfd, line, ino);
		}
		held = (size_t)(copies->buffer + held - line);
		memmove(copies->buffer, line, held);
	}
	if (info >= 0)
		close_quietly(info);
	return good && (got == 0 || errno == ENOENT); /* ENOENT: closed meanwhile */
}

struct copies *copies_find(int fd)
{
	struct copies *copies;
	struct stat socket;
	int saved;

	if (fstat(fd, &socket) < 0)
		return NULL;
	copies = mmap(NULL, sizeof *copies, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copies == MAP_FAILED)
		return NULL;
	copies->fds[copies->fd_count++] = fd;
	if (!descriptors_read(copies, &socket))
		goto failed;
	for (int i = 0; i < copies->epoll_count; i++)
		if (!registrations_read(copies, copies->epolls[i], socket.st_ino))
			goto failed;
	return copies;
failed:
	saved = errno;
	copies_free(copies);
	errno = saved;
	return NULL;
}

void copies_free(struct copies *copies)
{
	munmap(copies, sizeof *copies);
}
