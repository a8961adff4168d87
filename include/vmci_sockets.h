/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Source compatibility with programs written for VMware's VMCI Sockets: their names, on Linux's own AF_VSOCK (vsock(7),
 * linux/vm_sockets.h). Nothing is to be linked. C89 and C++98 with GCC's __inline__, and later.
 *
 * SO_VMCI_DISCONNECT_CAUSE is not defined: Linux has no such option and gives its number to another one
 * (SO_VM_SOCKETS_CONNECT_TIMEOUT), so a program must ask with #ifdef, or leave it out.
 */
#ifndef VMCI_SOCKETS_H
#define VMCI_SOCKETS_H

#ifndef __linux__
#error "vmci_sockets.h is about Linux"
#endif

/* Programs of that time rely on what came with the header. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* What old headers lack. */
#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif
#ifndef PF_VSOCK
#define PF_VSOCK AF_VSOCK
#endif
#ifndef VMADDR_CID_HYPERVISOR
#define VMADDR_CID_HYPERVISOR 0
#endif
#ifndef VMADDR_CID_LOCAL
#define VMADDR_CID_LOCAL 1
#endif
#ifndef VMADDR_CID_HOST
#define VMADDR_CID_HOST 2
#endif
#ifndef SO_VM_SOCKETS_CONNECT_TIMEOUT
#define SO_VM_SOCKETS_CONNECT_TIMEOUT 6
#endif

/*
 * Options; their level is the address family. The sizes are bytes in an unsigned long long, the timeout is a
 * struct timeval. Linux defines PEER_HOST_VM_ID and TRUSTED for VMCI alone, and may answer ENOPROTOOPT.
 */
#define SO_VMCI_BUFFER_SIZE SO_VM_SOCKETS_BUFFER_SIZE
#define SO_VMCI_BUFFER_MIN_SIZE SO_VM_SOCKETS_BUFFER_MIN_SIZE
#define SO_VMCI_BUFFER_MAX_SIZE SO_VM_SOCKETS_BUFFER_MAX_SIZE
#define SO_VMCI_PEER_HOST_VM_ID SO_VM_SOCKETS_PEER_HOST_VM_ID
#define SO_VMCI_TRUSTED SO_VM_SOCKETS_TRUSTED
#define SO_VMCI_CONNECT_TIMEOUT SO_VM_SOCKETS_CONNECT_TIMEOUT
#define SO_VMCI_NONBLOCK_TXRX SO_VM_SOCKETS_NONBLOCK_TXRX

/* A version is one number: 8 bits of epoch, 8 of major, 16 of minor. */
#define VMCI_SOCKETS_INVALID_VERSION (VM_SOCKETS_INVALID_VERSION)
#define VMCI_SOCKETS_VERSION_EPOCH(version) (((version) >> 24) & 0xffu)
#define VMCI_SOCKETS_VERSION_MAJOR(version) (((version) >> 16) & 0xffu)
#define VMCI_SOCKETS_VERSION_MINOR(version) ((version) & 0xffffu)

#ifdef __cplusplus
extern "C" {
#endif

/* For the functions below: `path` for reading, closed by exec; -1 with errno of open(2). */
static __inline__ int vmci_sockets_open(const char *path)
{
	int flags = O_RDONLY;
	int fd;

#ifdef O_CLOEXEC
	flags |= O_CLOEXEC;
#endif
	do
		fd = open(path, flags);
	while (fd < 0 && errno == EINTR);
#ifndef O_CLOEXEC
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
	return fd;
}

/* For the functions below: closes what this header has opened; errno stays what it is. */
static __inline__ void vmci_sockets_close(int fd)
{
	int error = errno;

	close(fd); /* not again after EINTR: on Linux the descriptor is gone then */
	errno = error;
}

/*
 * The address family of VMCI Sockets, for socket(2), svm_family and as level of the options: AF_VSOCK where the kernel
 * makes a stream socket of it (datagrams, which VMCI alone has, are not asked for). Else -1 with errno of socket(2):
 * EAFNOSUPPORT where there is no vsock; EMFILE, ENFILE, ENOBUFS, ENOMEM; EACCES or EPERM by a sandbox.
 *
 * out_fd, which may be NULL, gets a descriptor of /dev/vsock that is closed by exec, or -1 where that cannot be opened
 * or there is no family. The caller owns it and gives it back to VMCISock_ReleaseAFValueFd(). Linux's family is there
 * whether it is open or not, and is the same number for as long as the machine runs. errno is untouched on success.
 */
static __inline__ int VMCISock_GetAFValueFd(int *out_fd)
{
	int error = errno;
	int fd;

	if (out_fd)
		*out_fd = -1;
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	close(fd);
	if (out_fd)
		*out_fd = vmci_sockets_open("/dev/vsock");
	errno = error;
	return AF_VSOCK;
}

/* The same without a descriptor: nothing is left open. */
static __inline__ int VMCISock_GetAFValue(void)
{
	return VMCISock_GetAFValueFd(NULL);
}

/* Closes what VMCISock_GetAFValueFd() has given; -1 is nothing to close. The family goes on. errno is untouched. */
static __inline__ void VMCISock_ReleaseAFValueFd(int fd)
{
	if (fd >= 0)
		vmci_sockets_close(fd);
}

/*
 * The CID of this machine, by /dev/vsock (IOCTL_VM_SOCKETS_GET_LOCAL_CID of vsock(7)): a guest's own, else
 * VMADDR_CID_HOST on a machine that has guests. VMADDR_CID_ANY where nobody knows, with errno of open(2) (ENOENT,
 * EACCES ...) or ioctl(2), or ENODEV where no transport has a CID. errno is untouched on success.
 */
static __inline__ unsigned int VMCISock_GetLocalCID(void)
{
	unsigned int cid = VMADDR_CID_ANY;
	int before = errno;
	int rc;
	int fd = vmci_sockets_open("/dev/vsock");

	if (fd < 0)
		return VMADDR_CID_ANY;
	do
		rc = ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
	while (rc < 0 && errno == EINTR);
	vmci_sockets_close(fd);
	if (rc < 0)
		return VMADDR_CID_ANY;
	errno = cid == VMADDR_CID_ANY ? ENODEV : before;
	return cid;
}

/* For VMCISock_Version(): what the module says of itself ("1.0.2.0-k"), or VMCI_SOCKETS_INVALID_VERSION. */
static __inline__ unsigned int vmci_sockets_module_version(void)
{
	unsigned int epoch;
	unsigned int major_number;
	unsigned int minor_number;
	char text[32];
	ssize_t size;
	int fd = vmci_sockets_open("/sys/module/vsock/version");

	if (fd < 0)
		return VMCI_SOCKETS_INVALID_VERSION;
	do
		size = read(fd, text, sizeof(text) - 1);
	while (size < 0 && errno == EINTR);
	vmci_sockets_close(fd);
	text[size > 0 ? size : 0] = '\0';
	if (sscanf(text, "%3u.%3u.%5u", &epoch, &major_number, &minor_number) != 3 || epoch > 0xff ||
	    major_number > 0xff || minor_number > 0xffff)
		return VMCI_SOCKETS_INVALID_VERSION;
	return epoch << 24 | major_number << 16 | minor_number;
}

/*
 * The version of vsock in the kernel, as /sys/module/vsock/version has it (Linux answers by no ioctl), for the macros
 * VMCI_SOCKETS_VERSION_EPOCH, _MAJOR and _MINOR; 1.0.0 where there is AF_VSOCK and that file says nothing. It tells
 * nothing about what the transports can do. VMCI_SOCKETS_INVALID_VERSION where there is no AF_VSOCK, with errno as
 * VMCISock_GetAFValue() sets it. errno is untouched on success.
 */
static __inline__ unsigned int VMCISock_Version(void)
{
	int before = errno;
	unsigned int version;

	/* First the socket: it is what loads the module, which brings the file. */
	if (VMCISock_GetAFValue() < 0)
		return VMCI_SOCKETS_INVALID_VERSION;
	version = vmci_sockets_module_version();
	errno = before;
	return version == VMCI_SOCKETS_INVALID_VERSION ? 1u << 24 : version;
}

/*
 * The CID of the virtual machine with this UUID, which VMware's host knows. Linux has no such table: always
 * VMADDR_CID_ANY, with EOPNOTSUPP. Who starts a guest there chooses its CID.
 */
static __inline__ unsigned int VMCISock_Uuid2ContextId(const char *uuid_string)
{
	(void)uuid_string;
	errno = EOPNOTSUPP;
	return VMADDR_CID_ANY;
}

#ifdef __cplusplus
}
#endif

#endif
