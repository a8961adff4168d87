/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An endpoint written as struct sockaddr_vm and read back, see vsock(7). */
#include "ip2vsock/transport.h"

#include <string.h>

static socklen_t vsock_encode(const struct realm *realm, const struct endpoint *endpoint,
			      struct sockaddr_storage *out)
{
	struct sockaddr_vm vm = {
		.svm_family = AF_VSOCK, .svm_cid = endpoint->cid, .svm_port = endpoint->port};

	(void)realm;
	memcpy(out, &vm, sizeof vm);
	return sizeof vm;
}

static bool vsock_decode(const struct realm *realm, const void *sa, socklen_t len, struct endpoint *out)
{
	struct sockaddr_vm vm;

	(void)realm;
	if (len < sizeof vm)
		return false;
	memcpy(&vm, sa, sizeof vm);
	if (vm.svm_family != AF_VSOCK)
		return false;
	*out = (struct endpoint){.cid = vm.svm_cid, .port = vm.svm_port};
	return true;
}

const struct transport transport_vsock = {
	.name = "vsock",
	.domain = AF_VSOCK,
	.mark_level = AF_VSOCK,
	.mark_option = SO_VM_SOCKETS_BUFFER_MAX_SIZE,
	.mark_magic = 0x5a,
	.mark_inherited = true,
	.window_level = AF_VSOCK,
	.window_option = SO_VM_SOCKETS_BUFFER_SIZE,
	.limit_level = AF_VSOCK,
	.limit_option = SO_VM_SOCKETS_CONNECT_TIMEOUT,
	.background = true,
	.binds_clients = true,
	.encode = vsock_encode,
	.decode = vsock_decode,
};
