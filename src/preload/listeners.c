/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the kernel's list of listening sockets (net/vmw_vsock/diag.c). */
#include "preload/listeners.h"
#include "preload/real.h"
#include "preload/retarget.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/vm_sockets_diag.h>
#include <netinet/tcp.h>
#include <sys/mman.h>

/* The kernel sends no larger piece to a reader who asks for no more (netlink_dump in net/netlink/af_netlink.c). */
#define PIECE 8192

/* Who connects to the host where there is no guest transport meets himself. */
static bool is_local(uint32_t cid)
{
	uint32_t own = own_cid();

	return cid == VMADDR_CID_LOCAL || (cid != VMADDR_CID_ANY && cid == own) ||
	       (cid == VMADDR_CID_HOST && own == VMADDR_CID_LOCAL);
}

static bool serves(const struct vsock_diag_msg *message, const struct endpoint *to)
{
	return message->vdiag_type == SOCK_STREAM && message->vdiag_src_port == to->port &&
	       (message->vdiag_src_cid == VMADDR_CID_ANY || message->vdiag_src_cid == to->cid);
}

static bool request(int fd, int domain)
{
	struct {
		struct nlmsghdr head;
		struct vsock_diag_req body;
	} message = {
		.head = {.nlmsg_len = sizeof message,
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.sdiag_family = (uint8_t)domain, .vdiag_states = 1 << TCP_LISTEN},
	};

	return REAL(sendto)(fd, &message, sizeof message, 0, NULL, 0) == sizeof message;
}

static bool answers(int fd, const struct endpoint *to, char *piece)
{
	ssize_t got;

	while ((got = REAL(recvfrom)(fd, piece, PIECE, 0, NULL, NULL)) > 0) {
		size_t left = (size_t)got;

		for (struct nlmsghdr *head = (struct nlmsghdr *)piece; NLMSG_OK(head, left);
		     head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY) /* the end, or an error */
				return false;
			if (serves(NLMSG_DATA(head), to))
				return true;
		}
	}
	return false;
}

bool listener_exists(const struct transport *transport, const struct endpoint *to)
{
	int saved = errno, fd;
	bool exists = false;
	char *piece;

	if (transport != &transport_vsock || !is_local(to->cid))
		return false;
	fd = REAL(socket)(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd >= 0 && piece != MAP_FAILED)
		exists = request(fd, transport->domain) && answers(fd, to, piece);
	if (piece != MAP_FAILED)
		munmap(piece, PIECE);
	if (fd >= 0)
		close_quietly(fd);
	errno = saved;
	return exists;
}
