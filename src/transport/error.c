/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors of the sockets below, as TCP has them. */
#include "ip2vsock/transport.h"

#include <errno.h>

int error_of_monitor(int error)
{
	switch (error) {
	case EAGAIN:
	case EACCES:
		return error;
	case EPERM:
		return EACCES;
	default: /* ENOENT, ECONNREFUSED ...: there is no monitor */
		return EHOSTUNREACH;
	}
}

int error_of_connect(int error)
{
	switch (error) {
	case ECONNRESET:
	case EAGAIN:
	case EPROTOTYPE: /* somebody's socket of another type */
		return ECONNREFUSED;
	case ENODEV:
		return EHOSTUNREACH;
	case EPERM: /* a realm's listener of another security domain */
		return EACCES;
	default:
		return error;
	}
}
