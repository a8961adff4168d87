/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TCP connection would say of itself, for one that is none. */
#ifndef IP2VSOCK_TCP_INFO_H
#define IP2VSOCK_TCP_INFO_H

#include "preload/mark.h"

/* As of a connection over the loopback interface. */
#define CONNECTION_MTU 65535
#define CONNECTION_MSS 65483

/* Corrects `size` bytes of the struct tcp_info of a fresh socket. */
void tcp_info_correct(int fd, const struct mark *mark, void *info, socklen_t size);

#endif
