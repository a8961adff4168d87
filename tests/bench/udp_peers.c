/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One UDP server and very many clients: udp_peers ADDRESS PORT PEERS ROUNDS [LIMIT]. Each client has a socket of its own,
 * and all send in turn; the server answers. Prints, of the server: nanoseconds of processor time for one datagram, KiB of
 * memory for one peer, its own and the kernel's of the whole machine; then how many datagrams were sent, answered,
 * and to be answered. With LIMIT the server may have so many descriptors.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of one process: a client may have several descriptors of its library. */
#define CLIENTS_MOST 1000
#define TRIES_MOST 5

static struct world {
	uint64_t served, answered, asked;
	int phase; /* how many rounds have begun */
	int done;  /* processes that have ended a round */
} *world;

static struct sockaddr_in address;

static void check(bool good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void descriptors_allow(rlim_t most)
{
	struct rlimit limit = {most, most};

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
}

static void child_begin(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* --- the server */

static void serve(int ready, rlim_t limit)
{
	const int room = 8 << 20;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t number;

	if (limit)
		descriptors_allow(limit);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	check(write(ready, "r", 1) == 1, "ready");
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;

		if (recvfrom(fd, &number, sizeof number, 0, (struct sockaddr *)&from, &len) != sizeof number)
			continue;
		__atomic_fetch_add(&world->served, 1, __ATOMIC_RELAXED);
		sendto(fd, &number, sizeof number, 0, (struct sockaddr *)&from, len);
	}
}

/* --- clients */

/* Waits for the answer to this number: earlier ones that come late are not it. */
static bool answered(int fd, uint64_t number)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint64_t got;

	while (poll(&wait, 1, 2000) == 1)
		if (recv(fd, &got, sizeof got, 0) == sizeof got && got == number)
			return true;
	return false;
}

static void ask(int fd, uint64_t number)
{
	for (int tries = 0; tries < TRIES_MOST; tries++) {
		__atomic_fetch_add(&world->asked, 1, __ATOMIC_RELAXED);
		send(fd, &number, sizeof number, 0);
		if (answered(fd, number)) {
			__atomic_fetch_add(&world->answered, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

static void clients_run(int clients)
{
	int *fds = calloc((size_t)clients, sizeof *fds);

	for (int i = 0; i < clients; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		check(fds[i] >= 0 && connect(fds[i], (struct sockaddr *)&address, sizeof address) == 0, "client");
	}
	for (int round = 1;; round++) {
		while (__atomic_load_n(&world->phase, __ATOMIC_RELAXED) < round)
			usleep(2000);
		for (int i = 0; i < clients; i++)
			ask(fds[i], (uint64_t)round << 32 | (uint32_t)i);
		__atomic_fetch_add(&world->done, 1, __ATOMIC_RELAXED);
	}
}

/* --- what is measured */

static uint64_t status_of(pid_t pid, const char *what)
{
	char path[64], line[256];
	unsigned long long value = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	file = fopen(path, "r");
	check(file, path);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, what, strlen(what)) == 0)
			sscanf(line + strlen(what), " %llu", &value);
	fclose(file);
	return value;
}

static uint64_t slab(void)
{
	char line[256];
	unsigned long long value = 0;
	FILE *file = fopen("/proc/meminfo", "r");

	check(file, "meminfo");
	while (fgets(line, sizeof line, file))
		sscanf(line, "Slab: %llu", &value);
	fclose(file);
	return value;
}

/* Processor time in nanoseconds, as the scheduler has it. */
static uint64_t time_of(pid_t pid)
{
	char path[64];
	unsigned long long time = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	check(file && fscanf(file, "%llu", &time) == 1, path);
	fclose(file);
	return time;
}

static int processes;

static void round_run(int round)
{
	world->done = 0;
	__atomic_store_n(&world->phase, round, __ATOMIC_RELAXED);
	while (__atomic_load_n(&world->done, __ATOMIC_RELAXED) < processes)
		usleep(5000);
}

int main(int argc, char **argv)
{
	int ready[2], peers, rounds;
	uint64_t memory, kernel, time, served, wanted;
	char byte;
	pid_t server;

	if (argc < 5)
		return 2;
	peers = atoi(argv[3]);
	rounds = atoi(argv[4]);
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	check(inet_pton(AF_INET, argv[1], &address.sin_addr) == 1, argv[1]);
	descriptors_allow(65536);
	world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(world != MAP_FAILED && pipe(ready) == 0, "memory and a pipe");
	server = fork();
	if (server == 0) {
		child_begin();
		serve(ready[1], argc > 5 ? (rlim_t)atol(argv[5]) : 0);
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1, "server");
	for (int left = peers; left > 0; left -= CLIENTS_MOST, processes++)
		if (fork() == 0) {
			child_begin();
			clients_run(left < CLIENTS_MOST ? left : CLIENTS_MOST);
		}
	memory = status_of(server, "RssAnon:");
	kernel = slab();
	round_run(1);
	memory = status_of(server, "RssAnon:") - memory;
	kernel = slab() - kernel;
	served = world->served;
	time = time_of(server);
	for (int round = 2; round < 2 + rounds; round++)
		round_run(round);
	time = time_of(server) - time;
	served = world->served - served;
	wanted = (uint64_t)(1 + rounds) * (uint64_t)peers;
	printf("%llu %.3f %.3f %llu %llu %llu\n", (unsigned long long)(time / (served ? served : 1)), (double)memory / peers,
	       (double)(int64_t)kernel / peers, (unsigned long long)world->asked, (unsigned long long)world->answered,
	       (unsigned long long)wanted);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}
