/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guide's programs (guide.h) for VMCI Sockets, by vmci_sockets.h; "values" says what its functions return. */
#include "vmci_sockets.h"

#define GUIDE_SOCKADDR struct sockaddr_vm
#include "guide.h"

static int vmci_family;

static int guide_family(void)
{
	return vmci_family;
}

static union guide_address guide_address_of(const char *host, unsigned port)
{
	union guide_address address;

	memset(&address, 0, sizeof(address));
	address.own.svm_family = (sa_family_t)vmci_family;
	address.own.svm_cid = host ? (unsigned)strtoul(host, NULL, 10) : VMADDR_CID_ANY;
	address.own.svm_port = port;
	return address;
}

static unsigned guide_port(const union guide_address *address)
{
	return address->own.svm_port;
}

static unsigned guide_machine(const union guide_address *address)
{
	return address->own.svm_cid;
}

static bool guide_is_any(const union guide_address *address)
{
	return address->own.svm_cid == VMADDR_CID_ANY;
}

static void set(int fd, int option, unsigned long long size)
{
	guide_check(setsockopt(fd, vmci_family, option, &size, sizeof(size)) == 0, "setsockopt");
}

static unsigned long long get(int fd, int option)
{
	unsigned long long size = 0;
	socklen_t len = sizeof(size);

	guide_check(getsockopt(fd, vmci_family, option, &size, &len) == 0 && len == sizeof(size),
		    "getsockopt");
	return size;
}

static bool guide_buffers(int fd, unsigned long long size)
{
	set(fd, SO_VMCI_BUFFER_MAX_SIZE, 2 * size);
	set(fd, SO_VMCI_BUFFER_MIN_SIZE, size / 2);
	set(fd, SO_VMCI_BUFFER_SIZE, size);
	return get(fd, SO_VMCI_BUFFER_MAX_SIZE) == 2 * size && get(fd, SO_VMCI_BUFFER_MIN_SIZE) == size / 2 &&
	       get(fd, SO_VMCI_BUFFER_SIZE) == size;
}

static void say_sizes(int fd, const char *when)
{
	printf("%s: %llu, from %llu to %llu\n", when, get(fd, SO_VMCI_BUFFER_SIZE),
	       get(fd, SO_VMCI_BUFFER_MIN_SIZE), get(fd, SO_VMCI_BUFFER_MAX_SIZE));
}

static void guide_say_buffers(int fd)
{
	struct timeval timeout = {7, 0};
	socklen_t len = sizeof(timeout);
	int number = 0;

	say_sizes(fd, "at first");
	printf("buffers as asked for: %s\n", guide_buffers(fd, 65536) ? "yes" : "no");
	say_sizes(fd, "then");
	set(fd, SO_VMCI_BUFFER_SIZE, 1 << 20);
	say_sizes(fd, "more than there may be");
	set(fd, SO_VMCI_BUFFER_SIZE, 1);
	say_sizes(fd, "less than there must be");
	guide_check(setsockopt(fd, vmci_family, SO_VMCI_CONNECT_TIMEOUT, &timeout, sizeof(timeout)) == 0,
		    "timeout");
	timeout.tv_sec = 0;
	guide_check(getsockopt(fd, vmci_family, SO_VMCI_CONNECT_TIMEOUT, &timeout, &len) == 0, "timeout");
	printf("seconds to connect: %d\n", (int)timeout.tv_sec);
	printf("a size in an int: %s\n",
	       setsockopt(fd, vmci_family, SO_VMCI_BUFFER_SIZE, &number, sizeof(number)) < 0
		       ? strerrorname_np(errno)
		       : "ok");
}

/* How many descriptors are open. */
static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int values(void)
{
	int before = open_descriptors();
	unsigned version;
	int device = -2;

	errno = EDOM;
	printf("family: %d\n", VMCISock_GetAFValueFd(&device));
	printf("device: %s, closed by exec: %s\n",
	       device >= 0    ? "open"
	       : device == -1 ? "none"
			      : "not said",
	       device >= 0 && (fcntl(device, F_GETFD) & FD_CLOEXEC) ? "yes" : "no");
	VMCISock_ReleaseAFValueFd(device);
	VMCISock_ReleaseAFValueFd(-1);
	printf("family without a device: %d, %d\n", VMCISock_GetAFValueFd(NULL), VMCISock_GetAFValue());
	printf("errno: %s\n", strerrorname_np(errno));
	version = VMCISock_Version();
	if (version == VMCI_SOCKETS_INVALID_VERSION)
		printf("version: none, %s\n", strerrorname_np(errno));
	else
		printf("version: %u.%u.%u\n", VMCI_SOCKETS_VERSION_EPOCH(version),
		       VMCI_SOCKETS_VERSION_MAJOR(version), VMCI_SOCKETS_VERSION_MINOR(version));
	errno = EDOM;
	version = VMCISock_GetLocalCID();
	printf("CID: %d, %s\n", (int)version, strerrorname_np(errno));
	errno = EDOM;
	version = VMCISock_Uuid2ContextId("56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 00");
	printf("CID of a UUID: %d, %s\n", (int)version, strerrorname_np(errno));
	printf("descriptors left open: %d\n", open_descriptors() - before);
	return 0;
}

int main(int argc, char **argv)
{
	int device, status;

	if (argc == 2 && strcmp(argv[1], "values") == 0)
		return values();
	vmci_family = VMCISock_GetAFValueFd(&device);
	guide_check(vmci_family >= 0, "VMCISock_GetAFValueFd");
	status = guide_main(argc, argv);
	VMCISock_ReleaseAFValueFd(device);
	return status;
}
