/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients as processes of their own, each with a CID: friends, whom a listener serves, and strangers, whom it does not. */
#ifndef TEST_VISITORS_H
#define TEST_VISITORS_H

#include "common.h"
#include "handover.h"

/*
 * OTHER is "FRIEND STRANGER", two CIDs. Without the second, as on plain TCP, no strangers come; what a program prints is
 * the same.
 */
UNUSED static const char *cid_of(bool friendly)
{
	static char text[2][24];
	char *cid = text[friendly];

	cid[0] = '\0';
	sscanf(other_text, friendly ? "%23s" : "%*s %23s", cid);
	return cid;
}

UNUSED static bool strangers_exist(void)
{
	return cid_of(false)[0];
}

#define FRIEND_WORD "friend"
#define STRANGER_WORD "unwelc" /* as long */
#define ANSWER "served"

/* True when the visitor was served as it should be: a friend is answered, a stranger finds the end. */
static bool visit_ends(int fd, bool friendly)
{
	char answer[16];
	size_t got = 0;
	ssize_t n;

	while ((n = read(fd, answer + got, sizeof(answer) - got)) > 0)
		got += (size_t)n;
	close(fd);
	return friendly ? n == 0 && got == strlen(ANSWER) && !memcmp(answer, ANSWER, got) : got == 0;
}

static int visit_begins(bool friendly)
{
	const int fd = open_socket(SOCK_CLOEXEC);

	must_connect(fd, here(0));
	/* A stranger may be gone by now. */
	if (send(fd, friendly ? FRIEND_WORD : STRANGER_WORD, strlen(FRIEND_WORD), MSG_NOSIGNAL) < 0 && friendly)
		die("send");
	return fd;
}

/*
 * The process that visits, by the case "visitor": one after the other, or all at once ("crowd"), when it says with a byte
 * on the descriptor that it was given that all are there.
 */
UNUSED static void visitor(void)
{
	const char *what = getenv("VISITOR");
	char who[16], how[16];
	unsigned count;
	int fds[256];
	bool good = true;

	if (!what || sscanf(what, "%15s %15s %u", who, how, &count) != 3 || (how[0] == 'c' && count > N_ELEMENTS(fds)))
		die("VISITOR");
	if (!strcmp(how, "crowd")) {
		for (unsigned i = 0; i < count; i++)
			fds[i] = visit_begins(!strcmp(who, "friend"));
		write_all(PASSED_FD, "x", 1);
		for (unsigned i = 0; i < count; i++)
			good &= visit_ends(fds[i], !strcmp(who, "friend"));
	} else {
		for (unsigned i = 0; i < count; i++)
			good &= visit_ends(visit_begins(!strcmp(who, "friend")), !strcmp(who, "friend"));
	}
	_exit(good ? 0 : 1);
}

static pid_t visitor_start(bool friendly, const char *how, unsigned count, int fd)
{
	char what[48];
	pid_t child;

	if (!friendly && !strangers_exist())
		return 0;
	snprintf(what, sizeof(what), "%s %s %u", friendly ? "friend" : "stranger", how, count);
	child = start_child();
	if (child)
		return child;
	setenv("VISITOR", what, 1);
	setenv("IP2VSOCK_CID", cid_of(friendly), 1);
	if (fd >= 0)
		hand_over(fd);
	execv(here_argv[0], self_argv("visitor")); /* not /proc/self/exe, which is valgrind under valgrind */
	_exit(97);
}

/* One after the other; in the background. */
UNUSED static pid_t friends(unsigned count)
{
	return visitor_start(true, "single", count, -1);
}

UNUSED static pid_t strangers(unsigned count)
{
	return visitor_start(false, "single", count, -1);
}

/* Returns when they are all in the listener's queue. */
UNUSED static pid_t crowd(bool friendly, unsigned count)
{
	int there[2];
	pid_t child;

	if (!friendly && !strangers_exist())
		return 0;
	if (pipe2(there, O_CLOEXEC) < 0)
		die("pipe2");
	child = visitor_start(friendly, "crowd", count, there[1]);
	close(there[1]);
	if (read_all(there[0], &(char){0}, 1) != 1)
		die("visitors do not come");
	close(there[0]);
	return child;
}

/* Visitors come to their end, and it was as it should be. */
UNUSED static void visitors_end(const char *who, pid_t pid)
{
	int status = 0;

	if (pid && (waitpid(pid, &status, 0) != pid || status))
		say("%s: not treated as they should be (%#x)", who, (unsigned)status);
}

/* So many strangers, and when they have gone so many friends; in the background. */
UNUSED static pid_t strangers_then_friends(unsigned strange, unsigned friendly)
{
	const pid_t child = start_child();

	if (child)
		return child;
	visitors_end("strangers", strangers(strange));
	visitors_end("friends", friends(friendly));
	_exit(0);
}

/* Reads who has come, and answers. */
UNUSED static void serve(int fd)
{
	char word[8] = "";

	set_nonblocking(fd, false);
	if (read_all(fd, word, strlen(FRIEND_WORD)) != strlen(FRIEND_WORD))
		say("served: somebody who says nothing");
	else if (strcmp(word, FRIEND_WORD))
		say("served: %s", word);
	send(fd, ANSWER, strlen(ANSWER), MSG_NOSIGNAL);
	close(fd);
}

/* accept() with a name, that of a friend. */
UNUSED static int accept_named(int listener)
{
	struct place peer = {.len = sizeof(peer.sa)};
	const int fd = accept(listener, (struct sockaddr *)&peer.sa, &peer.len);

	if (fd < 0)
		die("accept");
	say("accepted: %s", name_text(&peer.sa));
	return fd;
}

#endif
