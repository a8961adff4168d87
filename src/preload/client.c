/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that connect on another transport, in place of the program's. */
#include "preload/client.h"
#include "preload/end.h"
#include "preload/options.h"
#include "preload/retarget.h"
#include "preload/socket.h"

#include <errno.h>

void source_keep(int made, const struct ip_addr *source)
{
	if (ip_addr_is_v4(source) && !ip_addr_is_any(source))
		mark_source_set(made, ip_addr_v4(source));
}

/* To the port of the program's choice, or to one of ours. */
static int client_bind(int made, const struct transport *transport, const struct ip_addr *source)
{
	struct endpoint from = {.cid = VMADDR_CID_ANY, .port = source ? source->port : 0};

	if (!transport->binds_clients)
		return source && source->port ? end_source_set(made, source->port) : 0;
	return source && bind_endpoint(made, transport, &from) == 0 ? 0 : bind_ephemeral(made, transport, &from);
}

int client_make(int fd, const struct socket_state *state, const struct transport *transport, const struct mark *mark,
		const struct ip_addr *source, const struct rule_options *rule, int type)
{
	int made = socket_make(fd, state->hint, transport->domain, SOCK_STREAM | (transport->greets ? SOCK_NONBLOCK : type));

	if (made < 0)
		return fail(error_of_socket(errno));
	if (source)
		source_keep(made, source);
	if (rule->buffer)
		window_fix(made, transport, rule->buffer);
	if (client_bind(made, transport, source) == 0 && mark_set(made, transport, mark) == 0)
		return made;
	close_quietly(made);
	return -1;
}
