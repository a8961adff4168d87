/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transports: an endpoint written as a socket address, and read back. Data and pure functions. */
#ifndef IP2VSOCK_TRANSPORT_H
#define IP2VSOCK_TRANSPORT_H

#include "ip2vsock/rule.h"

/* Longest realm name: "/" and two 10-digit numbers must fit beside it in sun_path. */
#define REALM_NAME_MAX 64

/* The realm a process lives in (design: carried by abstract unix sockets); name NULL: the kernel's vsock. */
struct realm {
	const char *name;
	uint32_t cid; /* own CID inside it */
};

struct transport {
	const char *name;
	int domain; /* AF_VSOCK, AF_UNIX */
	/* The 64-bit socket option in which a socket is marked as ours (preload/mark.h), the first byte of the mark, and
	 * whether accept(2) copies it to the new socket. */
	int mark_level, mark_option;
	uint8_t mark_magic;
	bool mark_inherited;
	/* The 64-bit option that is the size of the window; level 0: SO_SNDBUF is. */
	int window_level, window_option;
	/* The struct timeval option that limits how long connect(2) waits. With `background` a non-blocking one
	 * goes on in the background that long; without, it is over at once. */
	int limit_level, limit_option;
	bool background;
	/* Clients have ports of their own, which are chosen by us. */
	bool binds_clients;
	/* connect(2) leads to who has to be told the port (preload/greet.h). */
	bool greets;
	/* Writes the address of an endpoint for bind(2) or connect(2) and returns its length. */
	socklen_t (*encode)(const struct realm *, const struct endpoint *, struct sockaddr_storage *);
	/* False: not an address of this transport (of another realm, or a program's own). A name that has
	 * no endpoint (an unbound socket) is {VMADDR_CID_ANY, VMADDR_PORT_ANY}. */
	bool (*decode)(const struct realm *, const void *sa, socklen_t len, struct endpoint *);
};

extern const struct transport transport_vsock; /* sockaddr_vm, vsock(7) */
extern const struct transport transport_realm; /* "\0ip2vsock/REALM/CID_PORT", unix(7) */

/*
 * The unix socket of a virtual machine monitor (Firecracker, Cloud Hypervisor). The address of an endpoint with
 * VMADDR_PORT_ANY is PATH, where connections to the guest begin; with a port it is PATH_PORT, where those of the guest to
 * that port of the host arrive. Paths that are too long are cut (config.h lets none pass). Of a name only the port is read back,
 * VMADDR_PORT_ANY where there is none: a path there would have no end.
 */
extern const struct transport transport_unix;

/* The bytes of a name of such a socket, and where they are in an address that ends with a NUL. */
#define UNIX_NAME_SIZE 108
const char *unix_name(const void *sa);

/* The path in the name of a unix listener, "PATH" of "PATH_PORT": copied to out, of `size` bytes. False when it is no such name. */
bool unix_name_path(const void *sa, socklen_t len, char *out, size_t size);

/*
 * What a monitor is told and what it answers. Firecracker ("Host-Initiated Connections" in docs/vsock.md) and Cloud
 * Hypervisor (docs/vsock.md): who has connected sends "CONNECT PORT\n", and is answered "OK NUMBER\n" once the guest has
 * accepted; where nobody listens in the guest the monitor closes. What follows the newline is the guest's.
 */
#define GREETING_SIZE 32 /* of any such line, of either side */
size_t greeting_request(uint32_t port, char out[GREETING_SIZE]); /* returns its length */
bool greeting_is_ok(const char *line, size_t have);		  /* its newline included */

/*
 * An error of connect(2) as TCP has it. AF_VSOCK on Linux 6.1 to 6.18: nobody listens is ECONNRESET, a CID without a
 * transport ENODEV. AF_UNIX: nobody has the name is ECONNREFUSED, a full backlog EAGAIN on a non-blocking socket.
 */
int error_of_connect(int error);

/* An error of connect(2) to a monitor's own socket: without a monitor its guest is unreachable. */
int error_of_monitor(int error);

/* True for a name that may stand in a realm's addresses: 1 to REALM_NAME_MAX of [A-Za-z0-9._-]. */
bool realm_name_valid(const char *name);

#endif
