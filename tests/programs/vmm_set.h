/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the stand-in for a virtual machine monitor is told to be, and the addresses that follow from it. Needs common.h. */
#ifndef TEST_VMM_SET_H
#define TEST_VMM_SET_H

#include <linux/vm_sockets.h>
#include <sys/un.h>

#define BACKLOG 128
#define BLOCK 65536
#define PORTS_MOST 16

enum manner {
	USUAL,
	LATE,	   /* the answer comes after number ms */
	SLOWLY,	   /* byte by byte, with pauses of number ms */
	BANNER,	   /* the guest's first words are in the same write as the answer */
	SAY,	   /* text instead of an answer; then nothing more */
	SAY_CLOSE, /* text instead of an answer, and the end */
	LEAVE,	   /* closed after number ms */
	DROP,	   /* closed without having read */
	FULL,	   /* nobody accepts, and the backlog is full */
};

static const struct {
	const char *name;
	enum manner manner;
	const char *text;	/* what is said */
	const char *value_name; /* what is given with it */
} manners[] = {
	{"late", LATE, NULL, "MS"},
	{"slowly", SLOWLY, NULL, "MS"},
	{"banner", BANNER, NULL, "TEXT"},
	{"say", SAY, NULL, "TEXT"},
	{"garbage", SAY, "\x16\x03\x01 HTTP/1.1 400\r\n\r\n", NULL},
	{"overlong", SAY, NULL, NULL}, /* OK and digits, without an end */
	{"no-number", SAY, "OK\n", NULL},
	{"silent", SAY, "", NULL},
	{"close", SAY_CLOSE, "", NULL},
	{"half", SAY_CLOSE, "OK 10737", NULL},
	{"leave", LEAVE, NULL, "MS"},
	{"drop", DROP, NULL, NULL},
	{"full", FULL, NULL, NULL},
};

static struct {
	const char *path;
	const char *realm; /* NULL: AF_VSOCK */
	uint32_t guest_cid, host_cid;
	uint32_t ports[PORTS_MOST]; /* of the host, where the guest may connect */
	unsigned port_count;
	int backlog;
	bool firecracker;
	enum manner manner;
	unsigned number;
	const char *text;
	size_t text_len;
} set = {.guest_cid = VMADDR_CID_LOCAL, .host_cid = VMADDR_CID_HOST, .backlog = BACKLOG};

/* --- the command line */

static __attribute__((noreturn, format(printf, 1, 2))) void usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "vmm: ");
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr,
		"\nusage: vmm (-r REALM | -v) [OPTION]... PATH\n"
		"  -r REALM   the guest is a CID of this realm\n"
		"  -v         the guest is this machine, by AF_VSOCK\n"
		"  -c CID     the guest's CID (1)\n"
		"  -h CID     the host's CID, in a realm (2)\n"
		"  -g PORT    a port of the host, which the guest reaches at PATH_PORT; repeatable\n"
		"  -b NUMBER  the backlog of PATH (%d)\n"
		"  -F         half closes, and requests in pieces, as Firecracker has them\n"
		"  -m MANNER  how it answers:",
		BACKLOG);
	for (size_t i = 0; i < N_ELEMENTS(manners); i++)
		fprintf(stderr, " %s%s%s", manners[i].name, manners[i].value_name ? "=" : "",
			manners[i].value_name ? manners[i].value_name : "");
	fprintf(stderr, "\n");
	exit(2);
}

static uint32_t number(int option, const char *text, uint32_t most)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value > most)
		usage("-%c: \"%s\" is not a number up to %u", option, text, most);
	return (uint32_t)value;
}

static void manner_set(const char *text)
{
	static char digits[BLOCK];
	const size_t name_len = strcspn(text, "=");
	const char *value = text[name_len] ? text + name_len + 1 : NULL;
	size_t i = 0;

	while (i < N_ELEMENTS(manners) &&
	       (strlen(manners[i].name) != name_len || memcmp(manners[i].name, text, name_len) != 0))
		i++;
	if (i == N_ELEMENTS(manners))
		usage("-m: unknown manner \"%s\"", text);
	if (!value != !manners[i].value_name)
		usage("-m: %s is given %s", manners[i].name,
		      manners[i].value_name ? manners[i].value_name : "without a value");
	set.manner = manners[i].manner;
	set.text = value ? value : manners[i].text;
	if (set.manner == LATE || set.manner == SLOWLY || set.manner == LEAVE)
		set.number = number('m', value, 3600000);
	if (set.manner == SAY && !set.text) {
		memset(digits, '1', sizeof(digits) - 1);
		memcpy(digits, "OK ", 3);
		set.text = digits;
	}
	set.text_len = set.text ? strlen(set.text) : 0;
}

static void options_read(int argc, char **argv)
{
	bool vsock = false;
	int option;

	opterr = 0;
	while ((option = getopt(argc, argv, ":r:vc:h:g:b:Fm:")) != -1) {
		switch (option) {
		case 'r':
			set.realm = optarg;
			break;
		case 'v':
			vsock = true;
			break;
		case 'c':
			set.guest_cid = number(option, optarg, UINT32_MAX - 1);
			break;
		case 'h':
			set.host_cid = number(option, optarg, UINT32_MAX - 1);
			break;
		case 'g':
			if (set.port_count == PORTS_MOST)
				usage("-g: more than %d ports", PORTS_MOST);
			set.ports[set.port_count++] = number(option, optarg, UINT32_MAX - 1);
			break;
		case 'b':
			set.backlog = (int)number(option, optarg, 65535);
			break;
		case 'F':
			set.firecracker = true;
			break;
		case 'm':
			manner_set(optarg);
			break;
		case ':':
			usage("-%c needs a value", optopt);
		default:
			usage("unknown option -%c", optopt);
		}
	}
	if (vsock == !!set.realm)
		usage("one of -r and -v says what the guest is");
	if (argc - optind != 1)
		usage("one PATH is needed");
	/* That a guest has closed for good is not seen on a vsock before one has oneself. */
	if (vsock && set.firecracker)
		usage("-F goes with -r only");
	set.path = argv[optind];
}

/* --- addresses */

static socklen_t unix_name(struct sockaddr_un *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A path, or after "@" an abstract name; 0 when it is too long. */
static socklen_t unix_name(struct sockaddr_un *out, const char *format, ...)
{
	va_list args;
	int length;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	va_start(args, format);
	length = vsnprintf(out->sun_path, sizeof(out->sun_path), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(out->sun_path))
		return 0;
	if (*out->sun_path != '@')
		return sizeof(*out);
	*out->sun_path = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
}

static struct place vsock_place(uint32_t cid, uint32_t port)
{
	struct place place = {.len = sizeof(struct sockaddr_vm)};

	*(struct sockaddr_vm *)&place.sa =
		(struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
	return place;
}

/* An endpoint on the guest's side of things. */
static struct place vm_place(uint32_t cid, uint32_t port)
{
	struct place place = {.len = 0};

	if (!set.realm)
		return vsock_place(cid, port);
	place.len = unix_name((struct sockaddr_un *)&place.sa, "@ip2vsock/%s/%u_%u", set.realm, cid, port);
	return place;
}

/* Where the host's programs expect what the guest connects to that port. */
static struct place host_place(uint32_t port)
{
	struct place place;

	place.len = unix_name((struct sockaddr_un *)&place.sa, "%s_%u", set.path, port);
	return place;
}

static int new_socket(int family)
{
	const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static int vm_family(void)
{
	return set.realm ? AF_UNIX : AF_VSOCK;
}

#endif
