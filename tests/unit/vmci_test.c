/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmci_sockets.h on kernels that are not at hand: what its functions return, what errno says, what is left open. */
#include "unit.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel. */
static struct {
	int socket_error, device_error, ioctl_error; /* 0: it works */
	unsigned cid;
	const char *version; /* NULL: there is no such file */
	bool interrupts;     /* each call once */
	int is_open;	     /* descriptors */
	bool reads_version;
} kernel;

static int kernel_interrupts_left;

static bool kernel_fails(int error)
{
	errno = error;
	if (kernel.interrupts && kernel_interrupts_left++ % 2 == 0) {
		errno = EINTR;
		return true;
	}
	return error != 0;
}

static int kernel_socket(int domain, int type, int protocol)
{
	ck_assert_int_eq(domain, AF_VSOCK);
	ck_assert_int_eq(type, SOCK_STREAM | SOCK_CLOEXEC);
	ck_assert_int_eq(protocol, 0);
	errno = kernel.socket_error;
	return kernel.socket_error ? -1 : 10 + kernel.is_open++;
}

static int kernel_open(const char *path, int flags)
{
	kernel.reads_version = !strcmp(path, "/sys/module/vsock/version");
	ck_assert(kernel.reads_version || !strcmp(path, "/dev/vsock"));
	ck_assert_int_eq(flags, O_RDONLY | O_CLOEXEC);
	if (kernel_fails(kernel.reads_version ? (kernel.version ? 0 : ENOENT) : kernel.device_error))
		return -1;
	return 10 + kernel.is_open++;
}

static int kernel_ioctl(int fd, unsigned long request, unsigned *cid)
{
	ck_assert_int_eq(fd, 10);
	ck_assert_uint_eq(request, 0x7b9);
	if (kernel_fails(kernel.ioctl_error))
		return -1;
	*cid = kernel.cid;
	return 0;
}

static ssize_t kernel_read(int fd, void *data, size_t size)
{
	const size_t length = strlen(kernel.version);

	ck_assert_int_eq(fd, 10);
	ck_assert(kernel.reads_version);
	if (kernel_fails(0))
		return -1;
	memcpy(data, kernel.version, length < size ? length : size);
	return (ssize_t)(length < size ? length : size);
}

/* It is closed, whatever this says. */
static int kernel_close(int fd)
{
	ck_assert_int_eq(fd, 10 + --kernel.is_open);
	errno = kernel.interrupts ? EINTR : EIO;
	return -1;
}

#define socket kernel_socket
#define open kernel_open
#define ioctl kernel_ioctl
#define read kernel_read
#define close kernel_close
#include "vmci_sockets.h"

static const struct {
	int socket_error, device_error, family, fd, error;
} families[] = {
	{ 0, 0, 40, 10, EDOM },
	{ 0, ENOENT, 40, -1, EDOM },
	{ 0, EACCES, 40, -1, EDOM },
	{ EAFNOSUPPORT, 0, -1, -1, EAFNOSUPPORT },
	{ EMFILE, EMFILE, -1, -1, EMFILE },
	{ EACCES, 0, -1, -1, EACCES },
};

START_TEST(test_family)
{
	int fd = 99;

	kernel.socket_error = families[_i / 2].socket_error;
	kernel.device_error = families[_i / 2].device_error;
	kernel.interrupts = _i % 2;
	errno = EDOM;
	ck_assert_int_eq(VMCISock_GetAFValueFd(&fd), families[_i / 2].family);
	ck_assert_int_eq(fd, families[_i / 2].fd);
	ck_assert_int_eq(errno, families[_i / 2].error);
	ck_assert_int_eq(kernel.is_open, fd >= 0);
	errno = EDOM;
	VMCISock_ReleaseAFValueFd(fd);
	ck_assert_int_eq(errno, EDOM);
	ck_assert_int_eq(kernel.is_open, 0);
	ck_assert_int_eq(VMCISock_GetAFValueFd(NULL), families[_i / 2].family);
	ck_assert_int_eq(VMCISock_GetAFValue(), families[_i / 2].family);
	ck_assert_int_eq(errno, families[_i / 2].error);
	ck_assert_int_eq(kernel.is_open, 0);
}
END_TEST

static const struct {
	int device_error, ioctl_error;
	unsigned kernels, cid;
	int error;
} cids[] = {
	{ 0, 0, 3, 3, EDOM },
	{ 0, 0, VMADDR_CID_HOST, VMADDR_CID_HOST, EDOM },
	{ 0, 0, VMADDR_CID_ANY, VMADDR_CID_ANY, ENODEV },
	{ 0, ENOTTY, 3, VMADDR_CID_ANY, ENOTTY },
	{ ENOENT, 0, 3, VMADDR_CID_ANY, ENOENT },
	{ EACCES, 0, 3, VMADDR_CID_ANY, EACCES },
};

START_TEST(test_local_cid)
{
	kernel.device_error = cids[_i / 2].device_error;
	kernel.ioctl_error = cids[_i / 2].ioctl_error;
	kernel.cid = cids[_i / 2].kernels;
	kernel.interrupts = _i % 2;
	errno = EDOM;
	ck_assert_uint_eq(VMCISock_GetLocalCID(), cids[_i / 2].cid);
	ck_assert_int_eq(errno, cids[_i / 2].error);
	ck_assert_int_eq(kernel.is_open, 0);
}
END_TEST

static const struct {
	int socket_error;
	const char *text;
	unsigned version;
} versions[] = {
	{ 0, "1.0.2.0-k\n", 0x01000002 },
	{ 0, "1.2.3", 0x01020003 },
	{ 0, "255.255.65535\n", 0x01000000 }, /* that number says that there is none */
	{ 0, "9.8.65534-k\n", 0x0908fffe },
	{ 0, NULL, 0x01000000 },
	{ 0, "", 0x01000000 },
	{ 0, "1.0\n", 0x01000000 },
	{ 0, "256.0.0\n", 0x01000000 },
	{ 0, "1.256.0\n", 0x01000000 },
	{ 0, "1.0.65536\n", 0x01000000 },
	{ 0, "-1.0.0\n", 0x01000000 },
	{ 0, "unknown\n", 0x01000000 },
	{ 0, "1.0.2.0000000000000000000000000000000000000000000000000000\n", 0x01000002 },
	{ EAFNOSUPPORT, NULL, VMCI_SOCKETS_INVALID_VERSION },
	{ EAFNOSUPPORT, "1.0.2.0-k\n", VMCI_SOCKETS_INVALID_VERSION },
};

START_TEST(test_version)
{
	unsigned version;

	kernel.socket_error = versions[_i / 2].socket_error;
	kernel.version = versions[_i / 2].text;
	kernel.interrupts = _i % 2;
	errno = EDOM;
	version = VMCISock_Version();
	ck_assert_uint_eq(version, versions[_i / 2].version);
	ck_assert_int_eq(errno, kernel.socket_error ? kernel.socket_error : EDOM);
	ck_assert_int_eq(kernel.is_open, 0);
}
END_TEST

START_TEST(test_parts_of_a_version)
{
	ck_assert_uint_eq(VMCI_SOCKETS_VERSION_EPOCH(0xfe020003u), 254);
	ck_assert_uint_eq(VMCI_SOCKETS_VERSION_MAJOR(0xfe020003u), 2);
	ck_assert_uint_eq(VMCI_SOCKETS_VERSION_MINOR(0xfe020003u), 3);
}
END_TEST

START_TEST(test_nobody_knows_a_uuid)
{
	ck_assert(VMCISock_Uuid2ContextId("56 4d 00 00") == VMADDR_CID_ANY);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert(VMCISock_Uuid2ContextId(NULL) == VMADDR_CID_ANY);
}
END_TEST

static void fill(TCase *tc)
{
	tcase_add_loop_test(tc, test_family, 0, 2 * (int)N_ELEMENTS(families));
	tcase_add_loop_test(tc, test_local_cid, 0, 2 * (int)N_ELEMENTS(cids));
	tcase_add_loop_test(tc, test_version, 0, 2 * (int)N_ELEMENTS(versions));
	tcase_add_test(tc, test_parts_of_a_version);
	tcase_add_test(tc, test_nobody_knows_a_uuid);
}

int main(void)
{
	return unit_run("vmci_sockets", fill);
}
