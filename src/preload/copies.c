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

/* A place for one item more, or NULL with ENOMEM. */
static void *list_add(struct copies_list *list, size_t item)
{
	size_t size = list->size ? list->size * 2 : 4096;
	void *items = list->items;

	if (((size_t)list->count + 1) * item > list->size) {
		items = items ? mremap(items, list->size, size, MREMAP_MAYMOVE)
			      : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (items == MAP_FAILED)
			return NULL;
		list->items = items;
		list->size = size;
	}
	return (char *)items + (size_t)list->count++ * item;
}

static bool number_add(struct copies_list *list, int number)
{
	int *place = list_add(list, sizeof number);

	if (place)
		*place = number;
	return place;
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

#define LINK_SIZE 64

/* What readlink(2) says of a descriptor of this socket. */
static void socket_link(const struct stat *socket, char link[LINK_SIZE])
{
	struct text text;

	text_init(&text, link, LINK_SIZE);
	text_str(&text, "socket:[");
	text_uint(&text, socket->st_ino);
	text_str(&text, "]");
}

/* One entry of /proc/thread-self/fd: another number of the same socket, or an epoll instance. */
static bool entry_take(struct copies *copies, int directory, const char *name, const char *wanted)
{
	char link[LINK_SIZE];
	const char *at = name;
	uint64_t number;
	ssize_t length;

	if (!number_read(&at, 10, &number) || *at || (int)number == *(int *)copies->fds.items)
		return true;
	length = readlinkat(directory, name, link, sizeof link - 1);
	if (length < 0) /* closed meanwhile */
		return true;
	link[length] = '\0';
	if (strcmp(link, wanted) == 0)
		return number_add(&copies->fds, (int)number);
	return strcmp(link, "anon_inode:[eventpoll]") != 0 || number_add(&copies->epolls, (int)number);
}

static bool descriptors_read(struct copies *copies, const struct stat *socket)
{
	int directory = proc_open("fd", -1, O_DIRECTORY);
	bool good = directory >= 0;
	char wanted[LINK_SIZE];
	long got;

	socket_link(socket, wanted);
	while (good && (got = REAL(syscall)(SYS_getdents64, directory, copies->buffer, COPIES_BUFFER)) != 0) {
		if (got < 0)
			good = false;
		for (long at = 0; good && at < got;) {
			struct dirent64_raw *entry = (struct dirent64_raw *)(copies->buffer + at);

			good = entry_take(copies, directory, entry->name, wanted);
			at += entry->size;
		}
	}
	if (directory >= 0)
		close_quietly(directory);
	return good;
}

static bool is_copy(const struct copies *copies, int fd)
{
	const int *fds = copies->fds.items;

	for (int i = 0; i < copies->fds.count; i++)
		if (fds[i] == fd)
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
	note = list_add(&copies->notes, sizeof *note);
	if (note)
		*note = (struct epoll_note){
			.epfd = epfd, .fd = (int)fd, .events = (uint32_t)events, .data = data};
	return note;
}

static bool registrations_read(struct copies *copies, int epfd, ino_t ino)
{
	int info = proc_open("fdinfo", epfd, 0);
	size_t held = 0;
	ssize_t got = 0;
	bool good = info >= 0;

	if (info < 0 && errno == ENOENT) /* closed meanwhile */
		return true;
	while (good && (got = REAL(read)(info, copies->buffer + held, COPIES_BUFFER - 1 - held)) > 0) {
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
	if (!number_add(&copies->fds, fd) || !descriptors_read(copies, &socket))
		goto failed;
	for (int i = 0; i < copies->epolls.count; i++)
		if (!registrations_read(copies, ((int *)copies->epolls.items)[i], socket.st_ino))
			goto failed;
	return copies;
failed:
	saved = errno;
	copies_free(copies);
	errno = saved;
	return NULL;
}

static void list_free(struct copies_list *list)
{
	if (list->items)
		munmap(list->items, list->size);
}

void copies_free(struct copies *copies)
{
	list_free(&copies->fds);
	list_free(&copies->epolls);
	list_free(&copies->notes);
	munmap(copies, sizeof *copies);
}
