/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams over vsock for programs that know it: AF_VSOCK, the unix sockets of a virtual machine monitor (Firecracker, Cloud
 * Hypervisor), and realms, which need no vsock at all. Link with -lvsockstream (pkg-config vsockstream). vsock_stream(3).
 *
 * Everything goes through a context: made, set up, made a listener or connected, used, freed. Functions that return int
 * return 0, or -1 with errno, which the context keeps with a text that says what was tried: vsock_stream_error(),
 * vsock_stream_error_text(). A context is for one thread at a time; different contexts have nothing in common. Nothing here
 * reads the environment, raises SIGPIPE, starts a thread, or writes anywhere but into its context. The questions below, whose
 * context is const, only set errno.
 *
 * CIDs and ports are numbers of 32 bits in host order, as in vsock(7). Texts of endpoints are those of ip2vsock.conf(5):
 *	vsock 3:5432		vsock host:80		vsock any:80 allow=3,5-9	unix /run/fc/v.sock:22 timeout=5s
 */
#ifndef VSOCK_STREAM_H
#define VSOCK_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* VMADDR_CID_* and VMADDR_PORT_ANY of linux/vm_sockets.h. */
#define VSOCK_STREAM_CID_ANY 0xffffffffu
#define VSOCK_STREAM_CID_HYPERVISOR 0u
#define VSOCK_STREAM_CID_LOCAL 1u
#define VSOCK_STREAM_CID_HOST 2u
#define VSOCK_STREAM_PORT_ANY 0xffffffffu

/* One end of a connection. path is "" but behind a monitor's socket, where cid is VSOCK_STREAM_CID_ANY: there is one guest. */
struct vsock_stream_endpoint {
	uint32_t cid;
	uint32_t port;	/* VSOCK_STREAM_PORT_ANY where it is not known */
	char path[108]; /* sun_path of unix(7) */
};

/* Private; its size is vsock_stream_size(). */
struct vsock_stream;

/* --- contexts */

/* How many bytes a context takes. Memory for one has to be aligned as malloc(3) aligns. */
size_t vsock_stream_size(void);

/*
 * A context. memory: NULL, and it is allocated, or vsock_stream_size() bytes of the caller's, whatever is in them, which must
 * stay where they are until vsock_stream_free(). NULL with errno ENOMEM.
 */
struct vsock_stream *vsock_stream_new(void *memory);

/* Closes its descriptor, and the file of a listener's unix socket with it. The settings stay: it may listen or connect
 * anew. errno is preserved. */
void vsock_stream_close(struct vsock_stream *stream);

/* vsock_stream_close(), and gives the memory back if vsock_stream_new() allocated it. NULL is nothing. errno is preserved. */
void vsock_stream_free(struct vsock_stream *stream);

/* The errno of the last call that failed with this context, 0 before any has; and one line about it without a full stop, such as
 * "connect to vsock 3:80: Connection refused", which is valid until the next call with this context. */
int vsock_stream_error(const struct vsock_stream *stream);
const char *vsock_stream_error_text(const struct vsock_stream *stream);

/* --- settings, before a context listens or connects (EISCONN afterwards) unless it says otherwise */

/*
 * Endpoints "vsock" are carried by abstract unix sockets of this realm (ip2vsock(7), IP2VSOCK_REALM), in which the program
 * is `cid` (1 is what IP2VSOCK_CID defaults to). name: 1 to 64 of [A-Za-z0-9._-], copied; NULL: the kernel's vsock again.
 * EINVAL.
 */
int vsock_stream_set_realm(struct vsock_stream *stream, const char *name, uint32_t cid);

/*
 * How many milliseconds each call may take as a whole: connect, accept, send, recv, send_all, recv_exactly. What takes longer
 * fails with ETIMEDOUT. 0, as it is in the beginning: no limit, but 2 s for connect (that of the kernel's vsock). At any
 * time. EINVAL when negative.
 */
int vsock_stream_set_timeout(struct vsock_stream *stream, int milliseconds);

/*
 * Nothing waits: EAGAIN where it would, and EINPROGRESS of connect, see vsock_stream_events(). Also sets O_NONBLOCK of the
 * descriptor, or clears it (a listener's is always set). At any time.
 */
int vsock_stream_set_nonblocking(struct vsock_stream *stream, int on);

/* Bytes of the window of connections (SO_VM_SOCKETS_BUFFER_SIZE and its maximum; SO_SNDBUF in a realm), 128 to 2 GiB;
 * accepted ones have their listener's. 0: the default. EINVAL. */
int vsock_stream_set_buffer(struct vsock_stream *stream, uint64_t bytes);

/*
 * Who is accepted: "3", "3,5-9", "host,local" as in allow= of ip2vsock.conf(5); others are closed and counted, and accept goes
 * on. NULL: everybody. In front of a monitor's socket nobody has a CID and the list is not asked. EINVAL, ENOMEM; then the
 * list is what it was. At any time.
 */
int vsock_stream_set_allow(struct vsock_stream *stream, const char *cids);

/* --- servers */

/*
 * socket(2), bind(2) and listen(2). cid: VSOCK_STREAM_CID_ANY, or one of this machine's. port: VSOCK_STREAM_PORT_ANY lets the
 * kernel choose, vsock_stream_self() tells which. backlog as in listen(2); below 1 it is SOMAXCONN. errno is that of the call
 * that failed: EACCES (privileged port), EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT (no vsock here), EMFILE; EISCONN.
 */
int vsock_stream_listen(struct vsock_stream *stream, uint32_t cid, uint32_t port, int backlog);

/*
 * The same for the text of an endpoint; EINVAL when it is none, and the error text names the column. "unix PATH:PORT" is where a
 * guest's connections to the host's PORT arrive, the socket PATH_PORT; one that nobody listens at any more is replaced.
 * Options set here stay in force: allow=, buffer=.
 */
int vsock_stream_listen_at(struct vsock_stream *stream, const char *endpoint, int backlog);

/*
 * accept(2): `connection` is a context that is neither connected nor listening, of the caller's; it is connected then, with
 * the listener's realm, and keeps its own other settings. Its peer: vsock_stream_peer(). EAGAIN, EINTR, ETIMEDOUT, EMFILE,
 * EINVAL (no listener). All errors are kept in `stream`.
 */
int vsock_stream_accept(struct vsock_stream *stream, struct vsock_stream *connection);

/* How many connections the list of vsock_stream_set_allow() has closed. */
uint64_t vsock_stream_denied(const struct vsock_stream *stream);

/* --- clients */

/*
 * socket(2) and connect(2). ECONNREFUSED: nobody listens there. EHOSTUNREACH: no such CID from here, or no monitor. ETIMEDOUT.
 * EAFNOSUPPORT: no vsock here. EISCONN. EINTR, EINPROGRESS: the attempt goes on, see vsock_stream_events(). After any other
 * error the context is as if it had not been tried.
 */
int vsock_stream_connect(struct vsock_stream *stream, uint32_t cid, uint32_t port);

/*
 * The same for the text of an endpoint; EINVAL when it is none. "unix PATH:PORT" is a port of the guest behind the
 * monitor's socket, reached when the monitor has said so ("CONNECT PORT", "OK NUMBER"). Options set here stay in force: timeout=, buffer=.
 */
int vsock_stream_connect_to(struct vsock_stream *stream, const char *endpoint);

/* What poll(2) is to wait for until vsock_stream_connect_finish() has something to do: POLLOUT, or POLLIN while a monitor has
 * not answered. Of a listener and of a connection that nothing was begun with it is POLLIN. */
short vsock_stream_events(const struct vsock_stream *stream);

/* Goes on with an attempt to connect: 0, it is connected (and when it was before); EINPROGRESS of a non-blocking context: not
 * yet; else as vsock_stream_connect(). ENOTCONN: none was begun. */
int vsock_stream_connect_finish(struct vsock_stream *stream);

/* --- data */

/* send(2) and recv(2). flags: 0, MSG_DONTWAIT, MSG_PEEK, MSG_MORE, MSG_NOSIGNAL (which is always meant). Bytes, 0 of recv at the end of the stream, or -1: EAGAIN, EINTR,
 * ETIMEDOUT, EPIPE, ECONNRESET, ENOTCONN, EINVAL (another flag). */
ssize_t vsock_stream_send(struct vsock_stream *stream, const void *data, size_t size, int flags);
ssize_t vsock_stream_recv(struct vsock_stream *stream, void *data, size_t size, int flags);

/*
 * All `size` bytes; signals do not end it, and neither does a non-blocking context, which waits here. Returns size, or -1 with
 * errno as above; vsock_stream_moved() then tells how many bytes have gone.
 */
ssize_t vsock_stream_send_all(struct vsock_stream *stream, const void *data, size_t size);

/* The same for receiving: size, less where the stream ends before (0: at once), or -1. */
ssize_t vsock_stream_recv_exactly(struct vsock_stream *stream, void *data, size_t size);

/* How many bytes the last send, recv, send_all or recv_exactly has moved, failed or not. */
size_t vsock_stream_moved(const struct vsock_stream *stream);

/* shutdown(2): SHUT_RD, SHUT_WR or SHUT_RDWR. ENOTCONN, EINVAL. */
int vsock_stream_shutdown(struct vsock_stream *stream, int how);

/* --- questions */

/* Its descriptor, close-on-exec, for poll(2) and getsockopt(2), or for read(2) and write(2); it stays the context's. -1: none. */
int vsock_stream_fd(const struct vsock_stream *stream);

/* Where it is, and who is at the other end: for a listener ENOTCONN. ENOTCONN without any. */
int vsock_stream_self(const struct vsock_stream *stream, struct vsock_stream_endpoint *out);
int vsock_stream_peer(const struct vsock_stream *stream, struct vsock_stream_endpoint *out);

/* CID and port of the peer, for a listener of itself; VSOCK_STREAM_CID_ANY, VSOCK_STREAM_PORT_ANY when not known. */
uint32_t vsock_stream_cid(const struct vsock_stream *stream);
uint32_t vsock_stream_port(const struct vsock_stream *stream);

/* The CID of this machine, from /dev/vsock (IOCTL_VM_SOCKETS_GET_LOCAL_CID); VSOCK_STREAM_CID_ANY with errno (ENOENT, EACCES, ENODEV)
 * when it cannot be told. */
uint32_t vsock_stream_local_cid(void);

/* Writes "vsock 3:80", "vsock any:*", "unix /run/fc/v.sock:22" into out, of `size` bytes (144 are enough), and returns it. */
#define VSOCK_STREAM_TEXT_SIZE 144
char *vsock_stream_endpoint_text(const struct vsock_stream_endpoint *endpoint, char *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
