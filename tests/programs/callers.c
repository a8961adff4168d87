/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many clients of a server, all at once, and what became of them; and a pre-fork server. */
#define _GNU_SOURCE 1
#include "common.h"

#define MOST 1000

static int usage(void)
{
	fprintf(stderr, "usage: callers ADDRESS PORT COUNT QUESTION ANSWER [once]\n"
			"       callers serve ADDRESS PORT WORKERS\n");
	return 2;
}

/* --- clients */

enum outcome { SERVED, CLOSED, OTHER, OUTCOMES };

static int call(struct place to, const char *question)
{
	const int fd = socket(to.sa.ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	must_connect(fd, to);
	/* Who is not served may have been sent away by now. */
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		die("send");
	return fd;
}

static enum outcome hear(int fd, const char *answer)
{
	char heard[4096];
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(heard) - 1 && (n = read(fd, heard + got, sizeof(heard) - 1 - got)) > 0) {
		got += (size_t)n;
		heard[got] = '\0';
		if (strstr(heard, answer))
			break;
	}
	close(fd);
	return got == 0 ? CLOSED : strstr(heard, answer) ? SERVED : OTHER;
}

/* "served 3, closed 0, other 0" */
static int make_calls(struct place to, unsigned count, const char *question, const char *answer, bool at_once)
{
	unsigned outcomes[OUTCOMES] = {0};
	int fds[MOST];

	for (unsigned i = 0; i < count; i++) {
		fds[i] = call(to, question);
		if (!at_once)
			outcomes[hear(fds[i], answer)]++;
	}
	for (unsigned i = 0; at_once && i < count; i++)
		outcomes[hear(fds[i], answer)]++;
	say("served %u, closed %u, other %u", outcomes[SERVED], outcomes[CLOSED], outcomes[OTHER]);
	return 0;
}

/* \r and \n, which are hard to say in a shell's arguments. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
			*out++ = *++text == 'r' ? '\r' : '\n';
		else
			*out++ = *text;
	}
	*out = '\0';
}

/* --- a pre-fork server */

/* Answers what it is asked, and says so. */
__attribute__((noreturn)) static void work(int listener)
{
	char data[64];

	for (;;) {
		const int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept");
		n = read(fd, data, sizeof(data));
		write(STDOUT_FILENO, "served\n", 7);
		if (n > 0)
			send(fd, data, (size_t)n, MSG_NOSIGNAL);
		close(fd);
	}
}

static int serve(struct place at, unsigned workers)
{
	const int listener = socket(at.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (do_bind(listener, at) < 0 || listen(listener, SOMAXCONN) < 0)
		die("listener");
	for (unsigned i = 0; i < workers; i++) {
		const pid_t parent = getpid(), child = fork();

		if (child < 0)
			die("fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(99);
			work(listener);
		}
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	unsigned count;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && !strcmp(argv[1], "serve"))
		return serve(place_of(argv[2], (unsigned)strtoul(argv[3], NULL, 10)), (unsigned)strtoul(argv[4], NULL, 10));
	if (argc != 6 && argc != 7)
		return usage();
	count = (unsigned)strtoul(argv[3], NULL, 10);
	if (count > MOST)
		return usage();
	unescape(argv[4]);
	unescape(argv[5]);
	return make_calls(place_of(argv[1], (unsigned)strtoul(argv[2], NULL, 10)), count, argv[4], argv[5], argc == 6);
}
