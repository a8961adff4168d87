/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TCP connection would say of itself, for one that is none. */
#include "preload/tcp_info.h"
#include "preload/beside.h"
#include "preload/real.h"
#include "preload/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

/* Sending nothing sends nothing, and fails once the side is shut down. */
static bool may_send(int fd)
{
	struct msghdr nothing = {.msg_iovlen = 0};

	return REAL(sendmsg)(fd, &nothing, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EPIPE;
}

static uint8_t state_of(int fd, const struct mark *mark)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT | POLLRDHUP};

	if (option_int(fd, SOL_SOCKET, SO_ACCEPTCONN))
		return TCP_LISTEN;
	if (poll(&poll_fd, 1, 0) < 0)
		poll_fd.revents = 0;
	if (poll_fd.revents & POLLHUP)
		return TCP_CLOSE;
	if (!is_connected(fd) && !may_send(fd))
		return TCP_FIN_WAIT2;
	if (!is_connected(fd))
		return mark->kind == MARK_PEER && !poll_fd.revents ? TCP_SYN_SENT : TCP_CLOSE;
	if (poll_fd.revents & POLLRDHUP)
		return TCP_CLOSE_WAIT;
	return may_send(fd) ? TCP_ESTABLISHED : TCP_FIN_WAIT2;
}

static void connection_fill(struct tcp_info *info)
{
	info->tcpi_options = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
	info->tcpi_snd_wscale = 7;
	info->tcpi_rcv_wscale = 7;
	info->tcpi_rto = 200000;
	info->tcpi_ato = 40000;
	info->tcpi_snd_mss = CONNECTION_MSS;
	info->tcpi_rcv_mss = 536;
	info->tcpi_pmtu = CONNECTION_MTU;
	info->tcpi_advmss = CONNECTION_MSS;
	info->tcpi_rcv_ssthresh = CONNECTION_MSS;
	info->tcpi_snd_ssthresh = INT32_MAX;
	info->tcpi_rtt = 50;
	info->tcpi_rttvar = 25;
	info->tcpi_snd_cwnd = 10;
	info->tcpi_reordering = 3;
	info->tcpi_rcv_space = CONNECTION_MSS;
}

void tcp_info_correct(int fd, const struct mark *mark, void *out, socklen_t size)
{
	struct tcp_info info;
	struct pollfd poll_fds[] = {{.fd = fd, .events = POLLIN}, {.fd = beside_listening(fd), .events = POLLIN}};

	if (size > sizeof info)
		size = sizeof info;
	memcpy(&info, out, size);
	info.tcpi_state = state_of(fd, mark);
	if (info.tcpi_state == TCP_LISTEN) {
		/* The backlog and its limit; of the first only that it is not empty is known. */
		info.tcpi_unacked = REAL(poll)(poll_fds, 2, 0) > 0;
		info.tcpi_sacked = SOMAXCONN;
	} else if (info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_SYN_SENT) {
		connection_fill(&info);
	}
	memcpy(out, &info, size);
}
