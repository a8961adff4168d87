/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes so many calls that somebody can count them: tally ADDRESS PORT STEP..., where a step is
 *	connect=N  udp-connect=N  sendto=N	one after the other
 *	threads=N  children=N			so many at once, each of 1000 connects, or 100
 *	vfork=N					one after the other, each of one connect
 *	sweep=N					one connect to each port from PORT on
 *	signals=N				connects, while a timer's handler connects too, until that has N times
 *	listen  udp-bind  close			a socket at PORT, for the steps that follow
 *	exec					this program again, for the steps that follow
 *	chdir=DIRECTORY				from here on
 *	say					"calls: N", of all processes
 *	wait					"ready PID", and waits for a line or the end of standard input
 */
#define _GNU_SOURCE 1
#include "common.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>

static struct place to;
static unsigned long *calls; /* of all processes since the last exec */
static int served = -1;

static void call(int type, struct place at)
{
	const int fd = socket(at.sa.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	do_connect(fd, at);
	__atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
	close(fd);
}

static void connects(unsigned count)
{
	while (count--)
		call(SOCK_STREAM, to);
}

static void udp_connects(unsigned count)
{
	while (count--)
		call(SOCK_DGRAM, to);
}

static void sendtos(unsigned count)
{
	const int fd = socket(here_family, SOCK_DGRAM, 0);

	while (count--)
		sendto(fd, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&to.sa, to.len);
	close(fd);
}

static void *connects_of_a_thread(void *barrier)
{
	pthread_barrier_wait(barrier);
	connects(1000);
	return NULL;
}

static void threads(unsigned count)
{
	pthread_t ids[64];
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, count);
	for (unsigned i = 0; i < count; i++)
		if (i == N_ELEMENTS(ids) || pthread_create(&ids[i], NULL, connects_of_a_thread, &barrier))
			die("pthread_create");
	for (unsigned i = 0; i < count; i++)
		pthread_join(ids[i], NULL);
}

static void children(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (start_child() == 0) {
			connects(100);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
}

static void vforks(unsigned count)
{
	while (count--) {
		const pid_t pid = vfork();

		if (pid == 0) {
			call(SOCK_STREAM, to);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void sweep(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		call(SOCK_STREAM, here(i));
}

static volatile sig_atomic_t handled;

static void on_alarm(int number)
{
	const int saved = errno;

	(void)number;
	call(SOCK_STREAM, to);
	handled++;
	errno = saved;
}

static void signals(unsigned count)
{
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (handled < (sig_atomic_t)count)
		call(SOCK_STREAM, to);
	setitimer(ITIMER_REAL, &never, NULL);
}

static const struct {
	const char *name;
	void (*run)(unsigned count);
} steps[] = {
	{"connect", connects}, {"udp-connect", udp_connects}, {"sendto", sendtos}, {"threads", threads},
	{"children", children}, {"vfork", vforks}, {"sweep", sweep}, {"signals", signals},
};

static void serve(int type)
{
	served = socket(here_family, type | SOCK_CLOEXEC, 0);
	if (say_call("bind", do_bind(served, to)) == 0 && type == SOCK_STREAM)
		listen(served, 4096);
}

static void wait_for_a_line(void)
{
	char byte;

	say("ready %d", getpid());
	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		;
}

/* The arguments are moved up to the steps that are left. */
static void execute(char **argv, char **at)
{
	memmove(at - 2, argv, 3 * sizeof *argv);
	execv("/proc/self/exe", at - 2);
	die("execv");
}

static bool step(char **argv, char **at)
{
	const char *equals = strchr(*at, '=');
	const size_t length = equals ? (size_t)(equals - *at) : 0;

	for (size_t i = 0; equals && i < N_ELEMENTS(steps); i++)
		if (strlen(steps[i].name) == length && !strncmp(steps[i].name, *at, length)) {
			steps[i].run((unsigned)strtoul(equals + 1, NULL, 10));
			return true;
		}
	if (!strcmp(*at, "listen") || !strcmp(*at, "udp-bind"))
		serve(**at == 'l' ? SOCK_STREAM : SOCK_DGRAM);
	else if (!strcmp(*at, "close"))
		close(served);
	else if (!strcmp(*at, "exec"))
		execute(argv, at);
	else if (!strncmp(*at, "chdir=", 6))
		say_call("chdir", chdir(equals + 1));
	else if (!strcmp(*at, "say"))
		say("calls: %lu", *calls);
	else if (!strcmp(*at, "wait"))
		wait_for_a_line();
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	here_text = argv[1];
	here_port = (unsigned)strtoul(argv[2], NULL, 10);
	here_family = strchr(here_text, ':') ? AF_INET6 : AF_INET;
	to = here(0);
	signal(SIGPIPE, SIG_IGN);
	calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (calls == MAP_FAILED)
		die("mmap");
	for (char **at = argv + 3; *at; at++)
		if (!step(argv, at)) {
			fprintf(stderr, "tally: no step %s\n", *at);
			return 2;
		}
	return 0;
}
