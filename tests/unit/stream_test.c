/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvsockstream, over realms and unix sockets: what its header promises, and that no descriptor is left. */
#include "stream/stream.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLACK_MS 3000 /* a loaded machine, and valgrind */

static char realm[40], directory[40];
static unsigned fds_before;

static unsigned fds(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

static void setup(void)
{
	static unsigned number;

	snprintf(realm, sizeof(realm), "unit-%d-%u", (int)getpid(), number++);
	strcpy(directory, "/tmp/stream_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	fds_before = fds();
}

static void teardown(void)
{
	char command[80];

	ck_assert_uint_eq(fds(), fds_before);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static int64_t ms_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* One ms earlier by rounding. */
#define TAKES(least, start) \
	do { \
		int64_t took = ms_now() - (start); \
		ck_assert_int_ge(took, (least)-1); \
		ck_assert_int_lt(took, (least) + SLACK_MS); \
	} while (0)

/* A call fails with that error, which the context keeps. */
#define FAILS(stream, call, error) \
	do { \
		errno = 0; \
		ck_assert_int_eq((call), -1); \
		ck_assert_int_eq(errno, (error)); \
		ck_assert_int_eq(vsock_stream_error(stream), (error)); \
		ck_assert_str_ne(vsock_stream_error_text(stream), ""); \
	} while (0)

#define WORKS(stream, call) ck_assert_msg((call) == 0, "%s", vsock_stream_error_text(stream))

static struct vsock_stream *new_in_realm(uint32_t cid)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);

	ck_assert_ptr_nonnull(stream);
	WORKS(stream, vsock_stream_set_realm(stream, realm, cid));
	return stream;
}

static struct vsock_stream *new_listener(int backlog)
{
	struct vsock_stream *stream = new_in_realm(3);

	WORKS(stream, vsock_stream_listen(stream, VSOCK_STREAM_CID_ANY, VSOCK_STREAM_PORT_ANY, backlog));
	return stream;
}

/* A listener that is CID 3, a client that is CID 4, and its other end. */
struct trio {
	struct vsock_stream *listener, *client, *server;
};

static struct trio trio_new(void)
{
	struct trio trio = { new_listener(0), new_in_realm(4), vsock_stream_new(NULL) };

	WORKS(trio.client, vsock_stream_connect(trio.client, 3, vsock_stream_port(trio.listener)));
	WORKS(trio.listener, vsock_stream_accept(trio.listener, trio.server));
	return trio;
}

static void trio_free(struct trio *trio)
{
	vsock_stream_free(trio->client);
	vsock_stream_free(trio->server);
	vsock_stream_free(trio->listener);
}

/* Sends until nothing more goes. */
static size_t fill(struct vsock_stream *stream)
{
	static char block[65536];
	size_t all = 0;
	ssize_t sent;

	while ((sent = vsock_stream_send(stream, block, sizeof(block), MSG_DONTWAIT)) > 0)
		all += (size_t)sent;
	ck_assert_int_eq(errno, EAGAIN);
	return all;
}

/* --- children, who share what shared() gives, and signals again and again */

static pid_t child_begin(void)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

/* Nothing is looked for in what a child leaves. */
static __attribute__((noreturn)) void child_over(void)
{
	for (;;)
		raise(SIGKILL);
}

static void child_wait(pid_t child)
{
	while (waitpid(child, NULL, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
}

static void child_end(pid_t child)
{
	kill(child, SIGKILL);
	child_wait(child);
}

static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	return memory;
}

static atomic_uint signals_seen;

static void on_signal(int number)
{
	(void)number;
	signals_seen++;
}

static pid_t signals_begin(unsigned every_us)
{
	struct sigaction action = { .sa_handler = on_signal };
	pid_t child;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	signals_seen = 0;
	child = child_begin();
	while (child == 0) {
		usleep(every_us);
		kill(getppid(), SIGUSR1);
	}
	return child;
}

/* --- contexts */

START_TEST(test_memory_of_the_caller_may_hold_anything)
{
	static const unsigned char garbage[] = { 0, 0x01, 0x5a, 0xff };
	size_t size = vsock_stream_size();
	unsigned char *memory = malloc(size + 16);

	for (size_t i = 0; i < N_ELEMENTS(garbage); i++) {
		struct vsock_stream *stream;

		memset(memory, garbage[i], size + 16);
		stream = vsock_stream_new(memory);
		ck_assert_ptr_eq(stream, memory);
		ck_assert_int_eq(vsock_stream_fd(stream), -1);
		ck_assert_int_eq(vsock_stream_error(stream), 0);
		ck_assert_str_eq(vsock_stream_error_text(stream), "");
		ck_assert_uint_eq(vsock_stream_denied(stream), 0);
		ck_assert_uint_eq(vsock_stream_moved(stream), 0);
		ck_assert_uint_eq(vsock_stream_cid(stream), VSOCK_STREAM_CID_ANY);
		ck_assert_uint_eq(vsock_stream_port(stream), VSOCK_STREAM_PORT_ANY);
		WORKS(stream, vsock_stream_set_realm(stream, realm, 3));
		WORKS(stream, vsock_stream_listen(stream, 3, 80, 0));
		ck_assert_int_eq(fcntl(vsock_stream_fd(stream), F_GETFD), FD_CLOEXEC);
		vsock_stream_free(stream);
		for (size_t j = 0; j < 16; j++)
			ck_assert_uint_eq(memory[size + j], garbage[i]);
	}
	free(memory);
	vsock_stream_free(NULL);
}
END_TEST

START_TEST(test_numbers_are_those_of_the_kernel)
{
	ck_assert(VSOCK_STREAM_CID_ANY == VMADDR_CID_ANY);
	ck_assert_uint_eq(VSOCK_STREAM_CID_HYPERVISOR, VMADDR_CID_HYPERVISOR);
	ck_assert_uint_eq(VSOCK_STREAM_CID_LOCAL, VMADDR_CID_LOCAL);
	ck_assert_uint_eq(VSOCK_STREAM_CID_HOST, VMADDR_CID_HOST);
	ck_assert(VSOCK_STREAM_PORT_ANY == VMADDR_PORT_ANY);
	ck_assert_uint_eq(sizeof(struct vsock_stream_endpoint), 116);
	ck_assert_uint_eq(sizeof(((struct vsock_stream_endpoint *)0)->path), sizeof(((struct sockaddr_un *)0)->sun_path));
}
END_TEST

START_TEST(test_errno_is_preserved)
{
	struct trio trio = trio_new();

	errno = EDOM;
	vsock_stream_close(trio.client);
	vsock_stream_close(trio.client);
	vsock_stream_free(trio.client);
	vsock_stream_free(trio.server);
	vsock_stream_free(trio.listener);
	vsock_stream_free(NULL);
	ck_assert_int_eq(errno, EDOM);
}
END_TEST

START_TEST(test_an_error_stays_until_another)
{
	struct vsock_stream *stream = new_in_realm(3);

	FAILS(stream, vsock_stream_connect(stream, 3, 80), ECONNREFUSED);
	ck_assert_str_eq(vsock_stream_error_text(stream), "connect to vsock 3:80: Connection refused");
	WORKS(stream, vsock_stream_set_allow(stream, "3"));
	WORKS(stream, vsock_stream_listen_at(stream, "vsock any:80", 0));
	ck_assert_int_eq(vsock_stream_error(stream), ECONNREFUSED);
	ck_assert_str_eq(vsock_stream_error_text(stream), "connect to vsock 3:80: Connection refused");
	vsock_stream_free(stream);
}
END_TEST

START_TEST(test_used_again)
{
	struct vsock_stream *stream = new_in_realm(3), *other = new_in_realm(4), *accepted = vsock_stream_new(NULL);

	for (int i = 0; i < 20; i++) {
		WORKS(stream, vsock_stream_listen(stream, 3, 80, 0));
		FAILS(stream, vsock_stream_listen(stream, 3, 81, 0), EISCONN);
		WORKS(other, vsock_stream_connect(other, 3, 80));
		WORKS(stream, vsock_stream_accept(stream, accepted));
		vsock_stream_close(stream);
		vsock_stream_close(other);
		vsock_stream_close(accepted);
		FAILS(other, vsock_stream_connect(other, 3, 80), ECONNREFUSED);
		WORKS(other, vsock_stream_listen(other, 4, 80, 0));
		WORKS(stream, vsock_stream_connect(stream, 4, 80));
		vsock_stream_close(stream);
		vsock_stream_close(other);
	}
	vsock_stream_free(stream);
	vsock_stream_free(other);
	vsock_stream_free(accepted);
}
END_TEST

/* --- settings */

START_TEST(test_settings_that_are_none)
{
	static const char *const names[] = { "", "a/b", "a b", "\xc3\xa4",
		"12345678901234567890123456789012345678901234567890123456789012345" };
	static const char *const lists[] = { "", "x", "3,", ",3", "9-5", "3-", "3 5", "3 timeout=5s", "3 buffer=1M", "3;4", "3 #",
		"\"3\"", "4294967295", "3\n", "3 fallback=inet", "any" };
	struct vsock_stream *stream = vsock_stream_new(NULL);

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		FAILS(stream, vsock_stream_set_realm(stream, names[i], 3), EINVAL);
	FAILS(stream, vsock_stream_set_realm(stream, "a", VSOCK_STREAM_CID_ANY), EINVAL);
	WORKS(stream, vsock_stream_set_realm(stream, names[4] + 1, 3));
	WORKS(stream, vsock_stream_set_realm(stream, NULL, VSOCK_STREAM_CID_ANY));
	FAILS(stream, vsock_stream_set_timeout(stream, -1), EINVAL);
	FAILS(stream, vsock_stream_set_buffer(stream, 127), EINVAL);
	FAILS(stream, vsock_stream_set_buffer(stream, (2ULL << 30) + 1), EINVAL);
	WORKS(stream, vsock_stream_set_buffer(stream, 128));
	WORKS(stream, vsock_stream_set_buffer(stream, 2ULL << 30));
	WORKS(stream, vsock_stream_set_buffer(stream, 0));
	for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
		vsock_stream_set_timeout(stream, 7);
		ck_assert_msg(vsock_stream_set_allow(stream, lists[i]) == -1, "\"%s\"", lists[i]);
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_int_eq(stream->timeout, 7);
		ck_assert_msg(strncmp(vsock_stream_error_text(stream), "allow", 5) == 0, "\"%s\": %s", lists[i],
			      vsock_stream_error_text(stream));
	}
	WORKS(stream, vsock_stream_set_allow(stream, "3,5-9,host,local,hypervisor"));
	vsock_stream_free(stream);
}
END_TEST

static int size_of_window(const struct vsock_stream *stream)
{
	int size = -1;
	socklen_t len = sizeof(size);

	ck_assert_int_eq(getsockopt(vsock_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	return size;
}

START_TEST(test_buffer_is_that_of_both_ends)
{
	struct trio trio = { new_in_realm(3), new_in_realm(4), vsock_stream_new(NULL) };

	WORKS(trio.listener, vsock_stream_set_buffer(trio.listener, 20000));
	WORKS(trio.listener, vsock_stream_listen(trio.listener, 3, 80, 0));
	WORKS(trio.client, vsock_stream_connect_to(trio.client, "vsock 3:80 buffer=30000"));
	WORKS(trio.listener, vsock_stream_accept(trio.listener, trio.server));
	/* The kernel doubles it. */
	ck_assert_int_eq(size_of_window(trio.client), 60000);
	ck_assert_int_eq(size_of_window(trio.server), 40000);
	FAILS(trio.client, vsock_stream_set_buffer(trio.client, 4096), EISCONN);
	trio_free(&trio);
}
END_TEST

/* --- texts */

static const struct {
	bool listens;
	const char *text;
	const char *complaint; /* NULL: it is an endpoint */
} texts[] = {
	{ false, "vsock 3:80", NULL },
	{ false, "  vsock 3:80 # why", NULL },
	{ true, "vsock any:80", NULL },
	{ true, "vsock any:*", NULL },
	{ true, "vsock any:80 allow=3,5-9", NULL },
	{ true, "vsock local:81 buffer=1M", NULL },
	{ false, "vsock 3:80 timeout=5s buffer=64K", NULL },
	{ false, "vsock host:80", NULL },
	{ false, "unix /nowhere/v.sock:22", NULL },
	{ false, "unix \"/no where/v.sock\":22 timeout=1s", NULL },
	{ false, "",
	  "endpoint:1: endpoint is missing (vsock CID:PORT or unix PATH:PORT)" },
	{ false, "# nothing",
	  "endpoint:1: target is missing (vsock, inet, reject or unix)" },
	{ false, ";",
	  "endpoint:1: endpoint is missing (vsock CID:PORT or unix PATH:PORT)" },
	{ false, "vsock",
	  "endpoint:6: CID:PORT is missing after \"vsock\"" },
	{ false, "vsock 3",
	  "endpoint:7: \"3\" has no port (CID:PORT is expected, such as 3:80 or host:*)" },
	{ false, "vsock 3:",
	  "endpoint:9: port is missing (a number, a range such as 80-90, or \"*\")" },
	{ false, "vsock :80",
	  "endpoint:7: CID is missing" },
	{ false, "vsock 3:80:90",
	  "endpoint:7: unknown CID \"3:80\" (host, local, hypervisor or a number)" },
	{ false, "vsock 3:x",
	  "endpoint:9: \"x\" is not a port (a number, a range such as 80-90, or \"*\")" },
	{ false, "vsock 3:4294967295",
	  "endpoint:9: port \"4294967295\" is too large (1 to 4294967294)" },
	{ false, "vsock 3:4294967296",
	  "endpoint:9: port \"4294967296\" is too large (1 to 4294967294)" },
	{ false, "vsock 4294967295:80",
	  "endpoint:7: CID \"4294967295\" is too large (0 to 4294967294)" },
	{ false, "vsock 4294967296:80",
	  "endpoint:7: CID \"4294967296\" is too large (0 to 4294967294)" },
	{ false, "vsock hots:80",
	  "endpoint:7: unknown CID \"hots\" (host, local, hypervisor or a number)" },
	{ false, "vsock any:80",
	  "endpoint:7: CID \"any\" is for listen only" },
	{ false, "vsock 3:*",
	  "endpoint:1: port \"*\" is none (a number is expected)" },
	{ false, "vsock *:80",
	  "endpoint:7: unknown CID \"*\" (host, local, hypervisor or a number)" },
	{ false, "vsock 3:80-89",
	  "endpoint:1: a range of ports is none (a number is expected)" },
	{ false, "vsock 3:89-80",
	  "endpoint:9: port range \"89-80\" ends before it begins" },
	{ false, "vsock 3:80 allow=3",
	  "endpoint:12: option \"allow\" is for listen only" },
	{ false, "vsock 3:80 retry=3s",
	  "endpoint:1: options \"retry\" and \"fallback\" are for mappings only" },
	{ false, "vsock 3:80 fallback=inet",
	  "endpoint:1: options \"retry\" and \"fallback\" are for mappings only" },
	{ false, "vsock 3:80 timeout=5",
	  "endpoint:20: \"5\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ false, "vsock 3:80 timeout=0s",
	  "endpoint:20: \"0s\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ false, "vsock 3:80 timeout=25h",
	  "endpoint:20: \"25h\" is not a time (500ms, 2s, 1m; at most 1440m)" },
	{ false, "vsock 3:80 timeout=1s timeout=2s",
	  "endpoint:23: option \"timeout\" is given twice" },
	{ false, "vsock 3:80 buffer=1",
	  "endpoint:19: \"1\" is not a size (65536, 256K, 4M; 128 to 2G)" },
	{ false, "vsock 3:80 colour=red",
	  "endpoint:12: unknown option \"colour\" (allow, timeout, retry, fallback or buffer)" },
	{ false, "vsock 3:80 x",
	  "endpoint:12: unexpected \"x\" (only options, as KEY=VALUE, may follow)" },
	{ false, "vsock 3:80; vsock 4:80",
	  "endpoint:13: unexpected \"vsock\" (one endpoint is enough)" },
	{ false, "vsock \"3:80",
	  "endpoint:7: quote is not closed in \"\\\"3:80\"" },
	{ false, "inet",
	  "endpoint:1: this is no endpoint (vsock CID:PORT or unix PATH:PORT is expected)" },
	{ false, "reject",
	  "endpoint:1: this is no endpoint (vsock CID:PORT or unix PATH:PORT is expected)" },
	{ false, "inet timeout=5s",
	  "endpoint:6: option \"timeout\" is for vsock and unix targets only" },
	{ false, "tcp 3:80",
	  "endpoint:1: unknown target \"tcp\" (vsock, inet, reject or unix)" },
	{ false, "3:80",
	  "endpoint:1: unknown target \"3:80\" (vsock, inet, reject or unix)" },
	{ false, "unix",
	  "endpoint:5: PATH:PORT is missing after \"unix\"" },
	{ false, "unix v.sock:22",
	  "endpoint:6: path \"v.sock\" is not absolute (it has to begin with \"/\")" },
	{ false, "unix /v.sock",
	  "endpoint:6: \"/v.sock\" has no port (PATH:PORT is expected)" },
	{ false, "unix /v.sock:",
	  "endpoint:14: port is missing (a number, a range such as 80-90, or \"*\")" },
	{ false, "unix /v.sock:*",
	  "endpoint:1: port \"*\" is none (a number is expected)" },
	{ false, "unix :22",
	  "endpoint:6: \":22\" has no path (PATH:PORT is expected)" },
	{ true, "unix /nowhere/v.sock:*",
	  "endpoint:1: port \"*\" is none (a number is expected)" },
	{ true, "unix /nowhere/v.sock:22-23",
	  "endpoint:1: a range of ports is none (a number is expected)" },
	{ true, "vsock any:80 timeout=5s",
	  "endpoint:14: option \"timeout\" is for connect only" },
	{ true, "vsock any:80 retry=5s",
	  "endpoint:14: option \"retry\" is for connect only" },
	{ true, "vsock any:80 fallback=inet",
	  "endpoint:1: options \"retry\" and \"fallback\" are for mappings only" },
	{ true, "vsock any:80 allow=",
	  "endpoint:20: CID is missing" },
	{ true, "vsock any:80 allow=3,",
	  "endpoint:22: CID is missing" },
	{ true, "vsock any:80 allow=9-3",
	  "endpoint:20: CID range \"9-3\" ends before it begins" },
	{ true, "vsock any:80 allow=x",
	  "endpoint:20: unknown CID \"x\" (host, local, hypervisor or a number)" },
	{ true, "unix /nowhere/v.sock:22 allow=3",
	  "endpoint:25: option \"allow\" is for vsock targets only (behind a unix socket there is one guest)" },
	{ true, "vsock any:80-81",
	  "endpoint:1: a range of ports is none (a number is expected)" },
	{ false, "vsock 3:80\nvsock 4:80",
	  "endpoint:1: unexpected \"vsock\" (one endpoint is enough)" },
};

START_TEST(test_text)
{
	struct vsock_stream *stream = new_in_realm(3);
	int result = texts[_i].listens ? vsock_stream_listen_at(stream, texts[_i].text, 0) :
					 vsock_stream_connect_to(stream, texts[_i].text);

	if (texts[_i].complaint) {
		ck_assert_msg(result == -1 && errno == EINVAL, "\"%s\": %s", texts[_i].text, vsock_stream_error_text(stream));
		ck_assert_str_eq(vsock_stream_error_text(stream), texts[_i].complaint);
	} else {
		ck_assert_msg(result == 0 || errno != EINVAL, "\"%s\": %s", texts[_i].text, vsock_stream_error_text(stream));
	}
	vsock_stream_free(stream);
}
END_TEST

#define PATH107 "/1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"

static const struct {
	struct vsock_stream_endpoint endpoint;
	const char *text;
} endpoints[] = {
	{ { .cid = 3, .port = 80 }, "vsock 3:80" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = VSOCK_STREAM_PORT_ANY }, "vsock any:*" },
	{ { .cid = VSOCK_STREAM_CID_HOST, .port = 0 }, "vsock host:0" },
	{ { .cid = VSOCK_STREAM_CID_LOCAL, .port = 4294967294u }, "vsock local:4294967294" },
	{ { .cid = VSOCK_STREAM_CID_HYPERVISOR, .port = 1 }, "vsock hypervisor:1" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = 22, .path = "/run/fc/v.sock" }, "unix /run/fc/v.sock:22" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = VSOCK_STREAM_PORT_ANY, .path = "/v" }, "unix /v:*" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = 4294967294u, .path = PATH107 "x" }, /* without an end */
	  "unix " PATH107 "x:4294967294" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = 22, .path = "/a b" }, "unix \"/a b\":22" },
	{ { .cid = VSOCK_STREAM_CID_ANY, .port = 4294967294u, .path = PATH107 }, "unix " PATH107 ":4294967294" },
};

START_TEST(test_endpoint_text)
{
	char out[VSOCK_STREAM_TEXT_SIZE + 1];

	for (size_t size = 0; size <= VSOCK_STREAM_TEXT_SIZE; size++) {
		memset(out, 'x', sizeof(out));
		ck_assert_ptr_eq(vsock_stream_endpoint_text(&endpoints[_i].endpoint, out, size), out);
		ck_assert_int_eq(out[size], 'x');
		if (size == 0)
			continue;
		ck_assert_ptr_nonnull(memchr(out, '\0', size));
		ck_assert_int_eq(strncmp(out, endpoints[_i].text, strlen(out)), 0);
		ck_assert_uint_eq(strlen(out), strlen(endpoints[_i].text) < size ? strlen(endpoints[_i].text) : size - 1);
	}
}
END_TEST

/* --- who is who */

START_TEST(test_both_ends_know_each_other)
{
	struct trio trio = trio_new();
	struct vsock_stream_endpoint listener, client_self, client_peer, server_self, server_peer, none;

	WORKS(trio.listener, vsock_stream_self(trio.listener, &listener));
	ck_assert_int_eq(vsock_stream_peer(trio.listener, &none), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	WORKS(trio.client, vsock_stream_self(trio.client, &client_self));
	WORKS(trio.client, vsock_stream_peer(trio.client, &client_peer));
	WORKS(trio.server, vsock_stream_self(trio.server, &server_self));
	WORKS(trio.server, vsock_stream_peer(trio.server, &server_peer));
	ck_assert_uint_eq(listener.cid, 3);
	ck_assert_uint_eq(client_peer.cid, 3);
	ck_assert_uint_eq(server_self.cid, 3);
	ck_assert_uint_eq(client_peer.port, listener.port);
	ck_assert_uint_eq(server_self.port, listener.port);
	ck_assert_uint_eq(client_self.cid, 4);
	ck_assert_uint_eq(server_peer.cid, 4);
	ck_assert_uint_eq(server_peer.port, client_self.port);
	ck_assert_str_eq(server_peer.path, "");
	ck_assert_uint_eq(vsock_stream_cid(trio.listener), 3);
	ck_assert_uint_eq(vsock_stream_port(trio.listener), listener.port);
	ck_assert_uint_eq(vsock_stream_cid(trio.server), 4);
	ck_assert_uint_eq(vsock_stream_port(trio.server), client_self.port);
	trio_free(&trio);
}
END_TEST

START_TEST(test_ports_are_chosen)
{
	struct vsock_stream *listeners[50];

	for (unsigned i = 0; i < N_ELEMENTS(listeners); i++) {
		listeners[i] = new_listener(0);
		ck_assert_int_eq(vsock_stream_error(listeners[i]), 0);
		for (unsigned j = 0; j < i; j++)
			ck_assert_uint_ne(vsock_stream_port(listeners[i]), vsock_stream_port(listeners[j]));
	}
	FAILS(listeners[0], vsock_stream_listen(listeners[0], 3, 80, 0), EISCONN);
	for (unsigned i = 0; i < N_ELEMENTS(listeners); i++)
		vsock_stream_free(listeners[i]);
}
END_TEST

START_TEST(test_addresses_that_cannot_be_had)
{
	struct vsock_stream *listener = new_listener(0), *stream = new_in_realm(3);

	FAILS(stream, vsock_stream_listen(stream, 3, vsock_stream_port(listener), 0), EADDRINUSE);
	FAILS(stream, vsock_stream_listen(stream, VSOCK_STREAM_CID_LOCAL, vsock_stream_port(listener), 0), EADDRINUSE);
	FAILS(stream, vsock_stream_listen(stream, 5, 80, 0), EADDRNOTAVAIL);
	FAILS(stream, vsock_stream_listen_at(stream, "vsock host:80", 0), EADDRNOTAVAIL);
	FAILS(stream, vsock_stream_connect(stream, 5, 80), ECONNREFUSED);
	ck_assert_int_eq(vsock_stream_fd(stream), -1);
	vsock_stream_free(stream);
	vsock_stream_free(listener);
}
END_TEST

static const struct {
	const char *list;
	uint32_t cid;
	bool allowed;
} lists[] = {
	{ NULL, 9, true },
	{ "9", 9, true },
	{ "9", 8, false },
	{ "5-9", 5, true },
	{ "5-9", 9, true },
	{ "5-9", 4, false },
	{ "5-9", 10, false },
	{ "1,2,3,5-9,77", 77, true },
	{ "1,2,4,5-9,77", 78, false },
	{ "host", 2, true },
	{ "host", 4, false },
	{ "local", 3, true }, /* the listener's own */
	{ "local", 4, false },
	{ "4-4294967294", 4294967294u, true },
};

START_TEST(test_allow_list)
{
	struct vsock_stream *listener = new_in_realm(3), *client = new_in_realm(lists[_i].cid), *server = vsock_stream_new(NULL);
	char byte;

	WORKS(listener, vsock_stream_set_allow(listener, lists[_i].list));
	WORKS(listener, vsock_stream_set_nonblocking(listener, 1));
	WORKS(listener, vsock_stream_listen(listener, 3, 80, 0));
	WORKS(client, vsock_stream_connect(client, 3, 80));
	if (lists[_i].allowed) {
		WORKS(listener, vsock_stream_accept(listener, server));
		ck_assert_uint_eq(vsock_stream_cid(server), lists[_i].cid);
	} else {
		FAILS(listener, vsock_stream_accept(listener, server), EAGAIN);
		ck_assert_int_eq(vsock_stream_recv(client, &byte, 1, 0), 0);
	}
	ck_assert_uint_eq(vsock_stream_denied(listener), !lists[_i].allowed);
	vsock_stream_free(client);
	vsock_stream_free(server);
	vsock_stream_free(listener);
}
END_TEST

START_TEST(test_allow_list_changes_while_listening)
{
	struct vsock_stream *listener = new_listener(0), *server = vsock_stream_new(NULL), *clients[30];
	uint32_t port = vsock_stream_port(listener);

	/* Strangers before somebody: accept goes on. */
	WORKS(listener, vsock_stream_set_allow(listener, "30"));
	for (uint32_t i = 0; i < N_ELEMENTS(clients); i++) {
		clients[i] = new_in_realm(i + 1);
		WORKS(clients[i], vsock_stream_connect(clients[i], 3, port));
	}
	WORKS(listener, vsock_stream_accept(listener, server));
	ck_assert_uint_eq(vsock_stream_cid(server), 30);
	ck_assert_uint_eq(vsock_stream_denied(listener), 29);
	vsock_stream_close(server);
	/* What is no list leaves the old one in force. */
	FAILS(listener, vsock_stream_set_allow(listener, "30,x"), EINVAL);
	vsock_stream_close(clients[0]);
	WORKS(clients[0], vsock_stream_connect(clients[0], 3, port));
	WORKS(listener, vsock_stream_set_timeout(listener, 50));
	FAILS(listener, vsock_stream_accept(listener, server), ETIMEDOUT);
	ck_assert_uint_eq(vsock_stream_denied(listener), 30);
	/* Everybody again. */
	vsock_stream_close(clients[0]);
	WORKS(clients[0], vsock_stream_connect(clients[0], 3, port));
	WORKS(listener, vsock_stream_set_allow(listener, NULL));
	WORKS(listener, vsock_stream_accept(listener, server));
	ck_assert_uint_eq(vsock_stream_cid(server), 1);
	for (uint32_t i = 0; i < N_ELEMENTS(clients); i++)
		vsock_stream_free(clients[i]);
	vsock_stream_free(server);
	vsock_stream_free(listener);
}
END_TEST

static pid_t strangers_come(const struct vsock_stream *listener)
{
	pid_t child = child_begin();

	while (child == 0) {
		struct vsock_stream *client = vsock_stream_new(NULL);

		vsock_stream_set_realm(client, realm, 9);
		vsock_stream_connect(client, 3, vsock_stream_port(listener));
		vsock_stream_free(client);
	}
	return child;
}

START_TEST(test_strangers_without_end)
{
	struct vsock_stream *listener = new_listener(0), *server = vsock_stream_new(NULL);
	pid_t children[3];
	int64_t start;

	WORKS(listener, vsock_stream_set_allow(listener, "4"));
	for (size_t i = 0; i < N_ELEMENTS(children); i++)
		children[i] = strangers_come(listener);
	WORKS(listener, vsock_stream_set_timeout(listener, 200));
	start = ms_now();
	FAILS(listener, vsock_stream_accept(listener, server), ETIMEDOUT);
	TAKES(200, start);
	for (size_t i = 0; i < N_ELEMENTS(children); i++)
		child_end(children[i]);
	vsock_stream_free(server);
	vsock_stream_free(listener);
}
END_TEST

/* --- time */

START_TEST(test_time_limits)
{
	struct trio trio = trio_new();
	static char block[1 << 20];
	struct vsock_stream *other = vsock_stream_new(NULL);
	int64_t start = ms_now();

	WORKS(trio.client, vsock_stream_set_timeout(trio.client, 150));
	WORKS(trio.listener, vsock_stream_set_timeout(trio.listener, 150));
	FAILS(trio.listener, vsock_stream_accept(trio.listener, other), ETIMEDOUT);
	TAKES(150, start);
	start = ms_now();
	FAILS(trio.client, vsock_stream_recv(trio.client, block, 1, 0), ETIMEDOUT);
	TAKES(150, start);
	/* Some has come. */
	ck_assert_int_eq(vsock_stream_send_all(trio.server, "hello", 5), 5);
	start = ms_now();
	FAILS(trio.client, vsock_stream_recv_exactly(trio.client, block, 9), ETIMEDOUT);
	TAKES(150, start);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), 5);
	ck_assert_int_eq(memcmp(block, "hello", 5), 0);
	fill(trio.client);
	start = ms_now();
	FAILS(trio.client, vsock_stream_send(trio.client, block, 1, 0), ETIMEDOUT);
	TAKES(150, start);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), 0);
	start = ms_now();
	FAILS(trio.client, vsock_stream_send_all(trio.client, block, sizeof(block)), ETIMEDOUT);
	TAKES(150, start);
	/* None: it waits; here for one that need not. */
	WORKS(trio.client, vsock_stream_set_timeout(trio.client, 0));
	ck_assert_int_eq(vsock_stream_send_all(trio.server, "hello", 5), 5);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, block, 5), 5);
	vsock_stream_free(other);
	trio_free(&trio);
}
END_TEST

/* A listener whose backlog is full, and who fills it. */
static struct vsock_stream *new_full_listener(struct vsock_stream *clients[2])
{
	struct vsock_stream *listener = new_listener(1);

	for (int i = 0; i < 2; i++) {
		clients[i] = new_in_realm(4);
		WORKS(clients[i], vsock_stream_connect(clients[i], 3, vsock_stream_port(listener)));
	}
	return listener;
}

START_TEST(test_full_backlog)
{
	enum { EVERY_US = 50000 };
	struct vsock_stream *clients[2], *listener = new_full_listener(clients), *client = new_in_realm(4);
	uint32_t port = vsock_stream_port(listener);
	int64_t start = ms_now();
	pid_t signals;

	FAILS(client, vsock_stream_connect(client, 3, port), ETIMEDOUT);
	TAKES(2000, start);
	ck_assert_int_eq(vsock_stream_fd(client), -1);
	WORKS(client, vsock_stream_set_timeout(client, 100));
	start = ms_now();
	FAILS(client, vsock_stream_connect(client, 3, port), ETIMEDOUT);
	TAKES(100, start);
	/* A signal; the attempt goes on. */
	WORKS(client, vsock_stream_set_timeout(client, 10000));
	signals = signals_begin(EVERY_US);
	FAILS(client, vsock_stream_connect(client, 3, port), EINTR);
	FAILS(client, vsock_stream_connect_finish(client), EINTR);
	child_end(signals);
	FAILS(client, vsock_stream_connect(client, 3, port), EISCONN);
	vsock_stream_close(clients[0]);
	WORKS(listener, vsock_stream_accept(listener, clients[0]));
	WORKS(client, vsock_stream_connect_finish(client));
	ck_assert_int_eq(fcntl(vsock_stream_fd(client), F_GETFL) & O_NONBLOCK, 0);
	vsock_stream_close(client);
	/* Who does not wait is told that he is refused. */
	vsock_stream_close(clients[1]);
	WORKS(clients[1], vsock_stream_set_nonblocking(clients[1], 1));
	FAILS(clients[1], vsock_stream_connect(clients[1], 3, port), ECONNREFUSED);
	vsock_stream_free(client);
	for (int i = 0; i < 2; i++)
		vsock_stream_free(clients[i]);
	vsock_stream_free(listener);
}
END_TEST

START_TEST(test_signals)
{
	enum { EVERY_US = 20000 };
	struct trio trio = trio_new();
	struct vsock_stream *other = vsock_stream_new(NULL);
	pid_t signals = signals_begin(EVERY_US);
	static char block[1 << 16];
	char byte;

	for (int limit = 0; limit < 20000; limit += 10000) {
		WORKS(trio.listener, vsock_stream_set_timeout(trio.listener, limit));
		WORKS(trio.client, vsock_stream_set_timeout(trio.client, limit));
		FAILS(trio.listener, vsock_stream_accept(trio.listener, other), EINTR);
		FAILS(trio.client, vsock_stream_recv(trio.client, &byte, 1, 0), EINTR);
		fill(trio.client);
		FAILS(trio.client, vsock_stream_send(trio.client, block, sizeof(block), 0), EINTR);
	}
	/* They do not end what moves all, but time does. */
	signals_seen = 0;
	WORKS(trio.client, vsock_stream_set_timeout(trio.client, 300));
	FAILS(trio.client, vsock_stream_recv_exactly(trio.client, &byte, 1), ETIMEDOUT);
	FAILS(trio.client, vsock_stream_send_all(trio.client, block, sizeof(block)), ETIMEDOUT);
	ck_assert_uint_gt(signals_seen, 2);
	child_end(signals);
	vsock_stream_free(other);
	trio_free(&trio);
}
END_TEST

/* --- bytes */

#define BULK (4u << 20)

static unsigned char bulk_byte(size_t at)
{
	return (unsigned char)(at * 31 + (at >> 11));
}

struct bulk {
	size_t moved, wrong;
};

static void bulk_take(struct vsock_stream *stream, struct bulk *bulk)
{
	unsigned char block[9999];

	for (size_t all = 0; all < BULK;) {
		ssize_t got = vsock_stream_recv(stream, block, sizeof(block), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			bulk->wrong += block[i] != bulk_byte(all + (size_t)i);
		all += (size_t)got;
		bulk->moved = all;
		if (all % 7 == 0)
			usleep(200);
	}
}

static void bulk_take_at_once(struct vsock_stream *stream, struct bulk *bulk)
{
	unsigned char *block = malloc(BULK);

	vsock_stream_recv_exactly(stream, block, BULK);
	bulk->moved = vsock_stream_moved(stream);
	for (size_t i = 0; i < bulk->moved; i++)
		bulk->wrong += block[i] != bulk_byte(i);
	free(block);
}

/* 0: waits; 1: with a limit; 2: non-blocking; and signals come. */
START_TEST(test_bulk_to_a_slow_reader)
{
	enum { EVERY_US = 5000 };
	struct trio trio = trio_new();
	struct bulk *bulk = shared(sizeof(*bulk));
	unsigned char *data = malloc(BULK);
	pid_t reader, signals;

	for (size_t i = 0; i < BULK; i++)
		data[i] = bulk_byte(i);
	signals = signals_begin(EVERY_US);
	if (_i % 3 == 1)
		WORKS(trio.client, vsock_stream_set_timeout(trio.client, 100000));
	if (_i % 3 == 2)
		WORKS(trio.client, vsock_stream_set_nonblocking(trio.client, 1));
	if (_i % 3 == 2)
		WORKS(trio.server, vsock_stream_set_nonblocking(trio.server, _i >= 3));
	reader = child_begin();
	if (reader == 0) {
		(_i < 3 ? bulk_take : bulk_take_at_once)(trio.server, bulk);
		child_over();
	}
	ck_assert_int_eq(vsock_stream_send_all(trio.client, data, BULK), BULK);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), BULK);
	child_end(signals);
	child_wait(reader);
	ck_assert_uint_eq(bulk->moved, BULK);
	ck_assert_uint_eq(bulk->wrong, 0);
	munmap(bulk, sizeof(*bulk));
	free(data);
	trio_free(&trio);
}
END_TEST

START_TEST(test_non_blocking)
{
	struct vsock_stream *listener = new_listener(0), *client = new_in_realm(4), *server = vsock_stream_new(NULL);
	struct pollfd poll_fd = { .fd = vsock_stream_fd(listener), .events = vsock_stream_events(listener) };
	char buf[8] = "";

	ck_assert_int_eq(poll_fd.events, POLLIN);
	WORKS(listener, vsock_stream_set_nonblocking(listener, 1));
	WORKS(client, vsock_stream_set_nonblocking(client, 1));
	WORKS(server, vsock_stream_set_nonblocking(server, 1));
	ck_assert_int_eq(poll(&poll_fd, 1, 0), 0);
	FAILS(listener, vsock_stream_accept(listener, server), EAGAIN);
	WORKS(client, vsock_stream_connect(client, 3, vsock_stream_port(listener)));
	WORKS(client, vsock_stream_connect_finish(client));
	ck_assert_int_eq(poll(&poll_fd, 1, 1000), 1);
	WORKS(listener, vsock_stream_accept(listener, server));
	ck_assert_int_ne(fcntl(vsock_stream_fd(server), F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(vsock_stream_fd(client), F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(vsock_stream_fd(server), F_GETFD), FD_CLOEXEC);
	FAILS(server, vsock_stream_recv(server, buf, 8, 0), EAGAIN);
	fill(client);
	FAILS(client, vsock_stream_send(client, buf, 8, 0), EAGAIN);
	WORKS(server, vsock_stream_set_nonblocking(server, 0));
	ck_assert_int_eq(fcntl(vsock_stream_fd(server), F_GETFL) & O_NONBLOCK, 0);
	FAILS(listener, vsock_stream_accept(listener, server), EISCONN);
	WORKS(listener, vsock_stream_set_nonblocking(listener, 0));
	ck_assert_int_ne(fcntl(vsock_stream_fd(listener), F_GETFL) & O_NONBLOCK, 0);
	vsock_stream_free(client);
	vsock_stream_free(server);
	vsock_stream_free(listener);
}
END_TEST

/* No unix socket is ever in progress. One of TCP stands for it, whose listener's backlog is full. */
START_TEST(test_connect_finish_of_an_attempt_in_progress)
{
	enum { EVERY_US = 200 };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), held[3];
	struct vsock_stream *stream = vsock_stream_new(NULL);
	int64_t start;
	pid_t signals;

	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	for (size_t i = 0; i < N_ELEMENTS(held); i++) {
		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(held[i], (struct sockaddr *)&at, len);
	}
	stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(stream->fd, (struct sockaddr *)&at, len), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	stream->state = STREAM_CONNECTING;
	stream->to = (struct destination){ &transport_vsock, { .cid = 3, .port = 80 } };
	stream->deadline = ms_now() + 700;
	stream->nonblocking = true;
	start = ms_now();
	ck_assert_int_eq(vsock_stream_events(stream), POLLOUT);
	/* Signals that come while it looks make no connection of it. */
	signals = signals_begin(EVERY_US);
	while (ms_now() < start + 300)
		FAILS(stream, vsock_stream_connect_finish(stream), EINPROGRESS);
	child_end(signals);
	FAILS(stream, vsock_stream_send(stream, "x", 1, 0), ENOTCONN);
	FAILS(stream, vsock_stream_connect(stream, 3, 80), EISCONN);
	stream->nonblocking = false;
	FAILS(stream, vsock_stream_connect_finish(stream), ETIMEDOUT);
	TAKES(700, start);
	ck_assert_int_eq(vsock_stream_fd(stream), -1);
	FAILS(stream, vsock_stream_connect_finish(stream), ENOTCONN);
	vsock_stream_free(stream);
	for (size_t i = 0; i < N_ELEMENTS(held); i++)
		close(held[i]);
	close(listener);
}
END_TEST

START_TEST(test_peer_that_is_gone)
{
	struct trio trio = trio_new();
	char buf[100];

	/* SIGPIPE would end this. */
	ck_assert_ptr_eq(signal(SIGPIPE, SIG_DFL), SIG_DFL);
	ck_assert_int_eq(vsock_stream_send_all(trio.server, "hello", 5), 5);
	vsock_stream_close(trio.server);
	FAILS(trio.client, vsock_stream_send(trio.client, "x", 1, 0), EPIPE);
	FAILS(trio.client, vsock_stream_send_all(trio.client, "x", 1), EPIPE);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), 0);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, buf, sizeof(buf)), 5);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), 5);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, buf, sizeof(buf)), 0);
	ck_assert_int_eq(vsock_stream_recv(trio.client, buf, sizeof(buf), 0), 0);
	trio_free(&trio);
	/* It has not read what was sent. */
	trio = trio_new();
	ck_assert_int_eq(vsock_stream_send_all(trio.client, "hello", 5), 5);
	vsock_stream_close(trio.server);
	FAILS(trio.client, vsock_stream_recv_exactly(trio.client, buf, sizeof(buf)), ECONNRESET);
	ck_assert_uint_eq(vsock_stream_moved(trio.client), 0);
	trio_free(&trio);
	/* Half closed. */
	trio = trio_new();
	ck_assert_int_eq(vsock_stream_send_all(trio.client, "hello", 5), 5);
	WORKS(trio.client, vsock_stream_shutdown(trio.client, SHUT_WR));
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.server, buf, sizeof(buf)), 5);
	ck_assert_int_eq(vsock_stream_send_all(trio.server, "there", 5), 5);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, buf, 5), 5);
	FAILS(trio.client, vsock_stream_send(trio.client, "x", 1, 0), EPIPE);
	FAILS(trio.client, vsock_stream_shutdown(trio.client, 3), EINVAL);
	trio_free(&trio);
}
END_TEST

START_TEST(test_flags)
{
	struct trio trio = trio_new();
	char buf[8];

	FAILS(trio.client, vsock_stream_recv(trio.client, buf, 8, MSG_DONTWAIT), EAGAIN);
	ck_assert_int_eq(vsock_stream_send(trio.server, "he", 2, MSG_MORE), 2);
	ck_assert_int_eq(vsock_stream_send(trio.server, "y", 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(vsock_stream_recv(trio.client, buf, 2, MSG_PEEK), 2);
	ck_assert_int_eq(vsock_stream_recv(trio.client, buf, 2, MSG_PEEK | MSG_DONTWAIT), 2);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, buf, 3), 3);
	ck_assert_int_eq(memcmp(buf, "hey", 3), 0);
	FAILS(trio.client, vsock_stream_recv(trio.client, buf, 8, MSG_WAITALL), EINVAL);
	FAILS(trio.client, vsock_stream_recv(trio.client, buf, 8, MSG_OOB), EINVAL);
	FAILS(trio.client, vsock_stream_send(trio.client, buf, 8, MSG_OOB), EINVAL);
	FAILS(trio.client, vsock_stream_send(trio.client, buf, 8, MSG_CONFIRM), EINVAL);
	ck_assert_int_eq(vsock_stream_send_all(trio.client, buf, 0), 0);
	ck_assert_int_eq(vsock_stream_recv_exactly(trio.client, buf, 0), 0);
	trio_free(&trio);
}
END_TEST

/* --- what is of no use */

static void is_not_connected(struct vsock_stream *stream)
{
	char byte = 0;

	FAILS(stream, vsock_stream_send(stream, &byte, 1, 0), ENOTCONN);
	FAILS(stream, vsock_stream_recv(stream, &byte, 1, 0), ENOTCONN);
	FAILS(stream, vsock_stream_send_all(stream, &byte, 1), ENOTCONN);
	FAILS(stream, vsock_stream_recv_exactly(stream, &byte, 1), ENOTCONN);
	FAILS(stream, vsock_stream_shutdown(stream, SHUT_WR), ENOTCONN);
	FAILS(stream, vsock_stream_connect_finish(stream), ENOTCONN);
}

static void is_in_use(struct vsock_stream *stream)
{
	FAILS(stream, vsock_stream_set_realm(stream, NULL, 0), EISCONN);
	FAILS(stream, vsock_stream_set_buffer(stream, 0), EISCONN);
	FAILS(stream, vsock_stream_listen(stream, 3, 90, 0), EISCONN);
	FAILS(stream, vsock_stream_listen_at(stream, "vsock any:90", 0), EISCONN);
	FAILS(stream, vsock_stream_connect(stream, 3, 90), EISCONN);
	FAILS(stream, vsock_stream_connect_to(stream, "vsock 3:90"), EISCONN);
	WORKS(stream, vsock_stream_set_timeout(stream, 0));
	WORKS(stream, vsock_stream_set_allow(stream, NULL));
	WORKS(stream, vsock_stream_set_nonblocking(stream, 0));
}

START_TEST(test_misuse)
{
	struct trio trio = trio_new();
	struct vsock_stream *fresh = vsock_stream_new(NULL);
	struct vsock_stream_endpoint at;

	is_not_connected(fresh);
	is_not_connected(trio.listener);
	is_in_use(trio.listener);
	is_in_use(trio.client);
	is_in_use(trio.server);
	FAILS(fresh, vsock_stream_accept(fresh, trio.server), EINVAL);
	FAILS(trio.client, vsock_stream_accept(trio.client, fresh), EINVAL);
	FAILS(trio.listener, vsock_stream_accept(trio.listener, trio.server), EISCONN);
	FAILS(trio.listener, vsock_stream_accept(trio.listener, trio.listener), EISCONN);
	WORKS(trio.client, vsock_stream_connect_finish(trio.client));
	WORKS(trio.server, vsock_stream_connect_finish(trio.server));
	errno = 0;
	ck_assert_int_eq(vsock_stream_self(fresh, &at), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(vsock_stream_peer(fresh, &at), -1);
	ck_assert_int_eq(vsock_stream_events(fresh), POLLIN);
	vsock_stream_close(trio.client);
	is_not_connected(trio.client);
	vsock_stream_free(fresh);
	trio_free(&trio);
}
END_TEST

START_TEST(test_no_descriptor_is_left)
{
	struct vsock_stream *listener = new_listener(0), *client = new_in_realm(4), *server = vsock_stream_new(NULL),
			    *other = new_in_realm(5);
	uint32_t port = vsock_stream_port(listener);
	struct rlimit usual, few;
	char text[100];
	int first;

	snprintf(text, sizeof(text), "unix %s/v.sock:1", directory);
	WORKS(client, vsock_stream_connect(client, 3, port));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
	first = open("/dev/null", O_RDONLY);
	close(first);
	few = usual;
	few.rlim_cur = (rlim_t)first;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	FAILS(other, vsock_stream_listen(other, 5, 80, 0), EMFILE);
	FAILS(other, vsock_stream_listen_at(other, "vsock any:*", 0), EMFILE);
	FAILS(other, vsock_stream_listen_at(other, text, 0), EMFILE);
	FAILS(other, vsock_stream_connect(other, 3, port), EMFILE);
	FAILS(other, vsock_stream_connect_to(other, text), EMFILE);
	FAILS(listener, vsock_stream_accept(listener, server), EMFILE);
	ck_assert_int_eq(vsock_stream_local_cid() == VSOCK_STREAM_CID_ANY, 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
	WORKS(other, vsock_stream_connect(other, 3, port)); /* valgrind has lost the first one */
	WORKS(listener, vsock_stream_accept(listener, server));
	ck_assert_int_eq(vsock_stream_send_all(server, "x", 1), 1);
	vsock_stream_free(other);
	vsock_stream_free(client);
	vsock_stream_free(server);
	vsock_stream_free(listener);
}
END_TEST

/* --- a monitor's socket */

/* What it says when it has been asked, in pieces of `piece` bytes with pauses, and whether it closes then. */
static const struct manner {
	const char *text;
	size_t piece; /* 0: all at once */
	bool closes, unread;
	int error; /* of connect */
	const char *rest;
} manners[] = {
	{ "OK 1073741824\n", 0, false, false, 0, "" },
	{ "OK 1\n220 ready\r\n", 0, true, false, 0, "220 ready\r\n" },
	{ "OK 1\n\n\n", 0, true, false, 0, "\n\n" },
	{ "OK 1\nx", 1, true, false, 0, "x" },
	{ "OK 4294967295\nthe rest", 3, true, false, 0, "the rest" },
	{ "OK 00000000000000000000000000001\nx", 0, true, false, ECONNREFUSED, NULL },
	{ "OK 0000000000000000000000000001\nx", 0, true, false, 0, "x" },
	{ "", 0, true, false, ECONNREFUSED, NULL },
	{ "", 0, true, true, ECONNREFUSED, NULL },
	{ "OK 1", 0, true, false, ECONNREFUSED, NULL },
	{ "OK 1", 0, false, false, ETIMEDOUT, NULL },
	{ "OK", 1, false, false, ETIMEDOUT, NULL },
	{ "", 0, false, false, ETIMEDOUT, NULL },
	{ "no\n", 0, false, false, ECONNREFUSED, NULL },
	{ "OK \n", 0, false, false, ECONNREFUSED, NULL },
	{ "OK x\n", 0, false, false, ECONNREFUSED, NULL },
	{ "OK -1\n", 0, false, false, ECONNREFUSED, NULL },
	{ "ok 1\n", 0, false, false, ECONNREFUSED, NULL },
	{ "\n", 0, false, false, ECONNREFUSED, NULL },
	{ "OK 11111111111111111111111111111111", 0, false, false, ECONNREFUSED, NULL },
	{ "OK 11111111111111111111111111111111", 1, false, false, ECONNREFUSED, NULL },
};

struct monitor {
	const struct manner *manner;
	int listener;
	char asked[40];
	pid_t signals;
};

static int monitor_socket(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static void monitor_run(struct monitor *monitor)
{
	const struct manner *manner = monitor->manner;
	size_t length = strlen(manner->text), piece = manner->piece ? manner->piece : length + 1;
	int fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC);
	char byte;

	for (size_t i = 0; !manner->unread && i + 1 < sizeof(monitor->asked); i++)
		if (recv(fd, &monitor->asked[i], 1, 0) != 1 || monitor->asked[i] == '\n')
			break;
	for (size_t at = 0; at < length; at += piece) {
		if (at > 0)
			usleep(3000);
		if (send(fd, manner->text + at, length - at < piece ? length - at : piece, MSG_NOSIGNAL) < 0)
			break;
	}
	if (!manner->closes && recv(fd, &byte, 1, 0) > 0) /* until the other end does */
		send(fd, &byte, 1, MSG_NOSIGNAL);
	close(fd);
}

/* Blocking, and in a loop of poll(2). */
static int connect_through(struct vsock_stream *stream, const char *text, bool polls)
{
	int result;

	WORKS(stream, vsock_stream_set_nonblocking(stream, polls));
	result = vsock_stream_connect_to(stream, text);
	while (result < 0 && errno == EINPROGRESS) {
		struct pollfd poll_fd = { .fd = vsock_stream_fd(stream), .events = vsock_stream_events(stream) };

		ck_assert(polls);
		ck_assert_int_eq(poll_fd.events, POLLIN);
		poll(&poll_fd, 1, 10);
		result = vsock_stream_connect_finish(stream);
	}
	if (result == 0)
		WORKS(stream, vsock_stream_set_nonblocking(stream, 0));
	return result;
}

START_TEST(test_monitor)
{
	const struct manner *manner = &manners[_i / 2];
	struct monitor *monitor = shared(sizeof(*monitor));
	struct vsock_stream *stream = vsock_stream_new(NULL);
	struct vsock_stream_endpoint at;
	char path[60], text[100], rest[64] = "";
	int64_t start = ms_now();
	pid_t child;

	snprintf(path, sizeof(path), "%s/v.sock", directory);
	snprintf(text, sizeof(text), "unix %s:5000 timeout=%s", path, manner->error == ETIMEDOUT ? "200ms" : "20s");
	*monitor = (struct monitor){ .manner = manner, .listener = monitor_socket(path) };
	child = child_begin();
	if (child == 0) {
		monitor_run(monitor);
		child_over();
	}
	if (manner->error) {
		FAILS(stream, connect_through(stream, text, _i & 1), manner->error);
		ck_assert_int_eq(vsock_stream_fd(stream), -1);
		if (manner->error == ETIMEDOUT)
			TAKES(200, start);
	} else {
		WORKS(stream, connect_through(stream, text, _i & 1));
		ck_assert_int_eq(fcntl(vsock_stream_fd(stream), F_GETFL) & O_NONBLOCK, 0);
		WORKS(stream, vsock_stream_peer(stream, &at));
		ck_assert_uint_eq(at.cid, VSOCK_STREAM_CID_ANY);
		ck_assert_uint_eq(at.port, 5000);
		ck_assert_str_eq(at.path, path);
		WORKS(stream, vsock_stream_self(stream, &at));
		ck_assert_str_eq(at.path, path);
		if (manner->closes)
			vsock_stream_recv_exactly(stream, rest, sizeof(rest));
		else
			ck_assert_int_eq(vsock_stream_send_all(stream, "e", 1) + vsock_stream_recv(stream, rest, 1, 0), 2);
		ck_assert_str_eq(rest, manner->closes ? manner->rest : "e");
	}
	vsock_stream_free(stream);
	child_wait(child);
	if (!manner->unread)
		ck_assert_str_eq(monitor->asked, "CONNECT 5000\n");
	close(monitor->listener);
	munmap(monitor, sizeof(*monitor));
}
END_TEST

START_TEST(test_monitor_that_does_not_accept)
{
	enum { EVERY_US = 30000 };
	struct vsock_stream *streams[3];
	char path[60], text[100];
	int listener;
	int64_t start;
	pid_t signals;

	snprintf(path, sizeof(path), "%s/v.sock", directory);
	snprintf(text, sizeof(text), "unix %s:5000", path);
	for (int i = 0; i < 3; i++)
		streams[i] = vsock_stream_new(NULL);
	FAILS(streams[0], vsock_stream_connect_to(streams[0], text), EHOSTUNREACH);
	listener = monitor_socket(path);
	/* Two are in its backlog and wait for an answer. */
	for (int i = 0; i < 2; i++) {
		WORKS(streams[i], vsock_stream_set_nonblocking(streams[i], 1));
		FAILS(streams[i], vsock_stream_connect_to(streams[i], text), EINPROGRESS);
		FAILS(streams[i], vsock_stream_connect_finish(streams[i]), EINPROGRESS);
		FAILS(streams[i], vsock_stream_send(streams[i], "x", 1, 0), ENOTCONN);
	}
	WORKS(streams[2], vsock_stream_set_timeout(streams[2], 200));
	start = ms_now();
	FAILS(streams[2], vsock_stream_connect_to(streams[2], text), ETIMEDOUT);
	TAKES(200, start);
	/* A signal while one waits; the attempt goes on. */
	signals = signals_begin(EVERY_US);
	WORKS(streams[0], vsock_stream_set_nonblocking(streams[0], 0));
	FAILS(streams[0], vsock_stream_connect_finish(streams[0]), EINTR);
	ck_assert_int_ge(vsock_stream_fd(streams[0]), 0);
	child_end(signals);
	close(listener);
	FAILS(streams[0], vsock_stream_connect_finish(streams[0]), ECONNREFUSED);
	FAILS(streams[0], vsock_stream_connect_finish(streams[0]), ENOTCONN);
	FAILS(streams[1], vsock_stream_connect_finish(streams[1]), ECONNREFUSED);
	FAILS(streams[2], vsock_stream_connect_to(streams[2], text), EHOSTUNREACH);
	for (int i = 0; i < 3; i++)
		vsock_stream_free(streams[i]);
}
END_TEST

static bool exists(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0;
}

START_TEST(test_listener_behind_a_monitor)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct vsock_stream *listener = vsock_stream_new(NULL), *other = vsock_stream_new(NULL), *server = vsock_stream_new(NULL);
	struct vsock_stream_endpoint where;
	char text[100], shown[VSOCK_STREAM_TEXT_SIZE], wanted[120];
	int client;
	pid_t child;

	snprintf(text, sizeof(text), "unix %s/v.sock:22", directory);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/v.sock_22", directory);
	WORKS(listener, vsock_stream_set_allow(listener, "77")); /* is not asked */
	WORKS(listener, vsock_stream_listen_at(listener, text, 0));
	ck_assert(exists(at.sun_path));
	WORKS(listener, vsock_stream_self(listener, &where));
	ck_assert_uint_eq(where.cid, VSOCK_STREAM_CID_ANY);
	ck_assert_str_eq(vsock_stream_endpoint_text(&where, shown, sizeof(shown)), text);
	FAILS(other, vsock_stream_listen_at(other, text, 0), EADDRINUSE);
	ck_assert(exists(at.sun_path));
	/* A child leaves it alone. */
	child = child_begin();
	if (child == 0) {
		vsock_stream_free(listener);
		child_over();
	}
	child_wait(child);
	ck_assert(exists(at.sun_path));
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	WORKS(listener, vsock_stream_accept(listener, server));
	ck_assert_uint_eq(vsock_stream_cid(server), VSOCK_STREAM_CID_ANY);
	ck_assert_uint_eq(vsock_stream_port(server), VSOCK_STREAM_PORT_ANY);
	WORKS(server, vsock_stream_self(server, &where));
	ck_assert_uint_eq(where.port, 22);
	WORKS(server, vsock_stream_peer(server, &where));
	snprintf(wanted, sizeof(wanted), "unix %s/v.sock:*", directory);
	ck_assert_str_eq(vsock_stream_endpoint_text(&where, shown, sizeof(shown)), wanted);
	vsock_stream_close(listener);
	ck_assert(!exists(at.sun_path));
	/* The connection goes on, and what is said of it names it. */
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	ck_assert_int_eq(vsock_stream_recv(server, shown, 1, 0), 1);
	close(client);
	FAILS(server, vsock_stream_send(server, "x", 1, 0), EPIPE);
	snprintf(wanted, sizeof(wanted), "send to unix %s/v.sock:*: Broken pipe", directory);
	ck_assert_str_eq(vsock_stream_error_text(server), wanted);
	/* A stale socket is replaced, another file is not. */
	close(monitor_socket(at.sun_path));
	WORKS(listener, vsock_stream_listen_at(listener, text, 0));
	vsock_stream_close(listener);
	ck_assert_int_eq(mkdir(at.sun_path, 0700), 0);
	FAILS(listener, vsock_stream_listen_at(listener, text, 0), EADDRINUSE);
	ck_assert_int_eq(rmdir(at.sun_path), 0);
	vsock_stream_free(listener);
	vsock_stream_free(other);
	vsock_stream_free(server);
}
END_TEST

/* In a child, which may give up its privileges. 0 when as wanted. */
static int listens_without_permission(const char *text)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);
	int result = 1;

	if (getuid() != 0 || setuid(65534) == 0) {
		result = vsock_stream_listen_at(stream, text, 0) == -1 && vsock_stream_error(stream) == EACCES ? 0 : 2;
		if (result == 0)
			result = vsock_stream_connect_to(stream, text) == -1 && vsock_stream_error(stream) == EACCES ? 0 : 3;
	}
	vsock_stream_free(stream);
	return result;
}

START_TEST(test_listener_that_cannot_be)
{
	struct vsock_stream *stream = vsock_stream_new(NULL);
	char text[200];
	int *result = shared(sizeof(*result));
	pid_t child;

	snprintf(text, sizeof(text), "unix %s/absent/v.sock:22", directory);
	FAILS(stream, vsock_stream_listen_at(stream, text, 0), EADDRNOTAVAIL);
	snprintf(text, sizeof(text), "unix %s/%0100d:22", directory, 0);
	FAILS(stream, vsock_stream_listen_at(stream, text, 0), EINVAL);
	FAILS(stream, vsock_stream_connect_to(stream, text), EINVAL);
	snprintf(text, sizeof(text), "unix %s/v.sock:22", directory);
	*result = -1;
	ck_assert_int_eq(chmod(directory, 0), 0);
	child = child_begin();
	if (child == 0) {
		*result = listens_without_permission(text);
		child_over();
	}
	child_wait(child);
	ck_assert_int_eq(*result, 0);
	munmap(result, sizeof(*result));
	ck_assert_int_eq(chmod(directory, 0700), 0);
	vsock_stream_free(stream);
}
END_TEST

static void fill_suite(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_memory_of_the_caller_may_hold_anything);
	tcase_add_test(tc, test_numbers_are_those_of_the_kernel);
	tcase_add_test(tc, test_errno_is_preserved);
	tcase_add_test(tc, test_an_error_stays_until_another);
	tcase_add_test(tc, test_used_again);
	tcase_add_test(tc, test_settings_that_are_none);
	tcase_add_test(tc, test_buffer_is_that_of_both_ends);
	TABLE_TEST(test_text, texts);
	TABLE_TEST(test_endpoint_text, endpoints);
	tcase_add_test(tc, test_both_ends_know_each_other);
	tcase_add_test(tc, test_ports_are_chosen);
	tcase_add_test(tc, test_addresses_that_cannot_be_had);
	TABLE_TEST(test_allow_list, lists);
	tcase_add_test(tc, test_allow_list_changes_while_listening);
	tcase_add_test(tc, test_strangers_without_end);
	tcase_add_test(tc, test_time_limits);
	tcase_add_test(tc, test_full_backlog);
	tcase_add_test(tc, test_signals);
	tcase_add_loop_test(tc, test_bulk_to_a_slow_reader, 0, 6);
	tcase_add_test(tc, test_non_blocking);
	tcase_add_test(tc, test_connect_finish_of_an_attempt_in_progress);
	tcase_add_test(tc, test_peer_that_is_gone);
	tcase_add_test(tc, test_flags);
	tcase_add_test(tc, test_misuse);
	tcase_add_test(tc, test_no_descriptor_is_left);
	tcase_add_loop_test(tc, test_monitor, 0, 2 * (int)N_ELEMENTS(manners));
	tcase_add_test(tc, test_monitor_that_does_not_accept);
	tcase_add_test(tc, test_listener_behind_a_monitor);
	tcase_add_test(tc, test_listener_that_cannot_be);
}

int main(void)
{
	return unit_run("stream", fill_suite);
}
