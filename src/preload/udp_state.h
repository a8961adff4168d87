/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the datagram engine share: the structs behind udp.h. */
#ifndef IP2VSOCK_UDP_STATE_H
#define IP2VSOCK_UDP_STATE_H

#include "ip2vsock/dgram.h"
#include "preload/real.h"
#include "preload/remember.h"
#include "preload/udp.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Calls that a thread may be cancelled in are made past libc: it would leave with the lock. */
#define SYSTEM(name, ...) REAL(syscall)(SYS_##name, __VA_ARGS__)

/* Read ahead at most: a window of vsock, and never less than two records. */
#define UDP_BUFFER (256u << 10)
#define UDP_MOST 16384u
/* So many peers are remembered at most, connected or not. */
#define LINKS_MOST 65536u

enum link_state {
	LINK_FREE,
	LINK_KNOWN,	 /* a peer without a connection: what is known is who it is */
	LINK_CONNECTING,
	LINK_GREETING,	 /* accepted: its hello is awaited */
	LINK_OPEN,
};

/* Bytes in memory of their own, mapped as needed. */
struct bytes {
	uint8_t *at; /* NULL when there is none */
	uint32_t room, have;
};

/* A peer, and the connection to it. */
struct link {
	int fd; /* -1 without a connection */
	uint8_t state;
	bool accepted; /* the peer made the connection */
	bool heard;    /* it has, at some time */
	int recall;    /* inherited from the parent, -1 none */
	bool greet;    /* our hello goes before the next record */
	bool stalled;  /* it found no room, and for a while: do not wait for it */
	bool recent;   /* used since the hand passed (link_give_up) */
	bool writing;  /* the aggregate waits for room */
	struct ip_addr peer;	/* as the program sees it */
	struct endpoint to;	/* as the rules and the kernel do; the port is that of its datagrams */
	uint32_t next;		/* in its chain, or of the free ones: index + 1 */
	int64_t retry;		/* ms: nobody was there, no new attempt before */
	int error;		/* why: 0 where nobody answered */
	int64_t since;		/* ms: connected */
	struct bytes part;	/* the part of a hello or a record that has come */
	struct bytes tail;	/* the rest of a record that has to be sent */
};

struct udp {
	/* 0, or the thread that has it, and a bit for who waits. All at once: a signal handler of that thread must see it. */
	uintptr_t lock;
	uint32_t waiting; /* threads that wait for the aggregate */
	bool live;
	bool inherited; /* by fork, and not used since */
	bool watched;	/* in an epoll instance of the program */
	bool level;	/* and not only for edges: it is told for as long as something is there */
	bool inet;	/* the kernel's socket may have something, too */
	bool bound, bound_by_program, connected, turn;
	bool dialled; /* the program sent to somebody who had not spoken yet */
	uint8_t shut; /* enum shut */
	uint32_t numbers;
	pid_t pid;
	uint64_t cookie; /* SO_COOKIE, socket(7) */
	sa_family_t family;
	int error; /* waits to be told */
	int listener, native, aggregate, more; /* native: the kernel's own datagrams, where it has them */
	int watched_as;		 /* the number of the program's that the aggregate is registered for, or -1 */
	struct bytes watches;	 /* of struct watch */
	uint32_t stirred;	 /* how often something came of a link */
	bool more_set;
	unsigned control; /* udp_control_ask() */
	int64_t receive_limit; /* ms, 0 none */
	struct mark mark;      /* kind MARK_LOCAL: what the program bound */
	const struct rule_options *rule; /* of the rule that it was bound by, or NULL */
	struct endpoint local;
	struct ip_addr peer; /* if connected */
	struct endpoint peer_to;

	struct link *links;
	uint32_t links_room, links_used, links_free, links_count, hand;
	uint32_t *heads;
	uint32_t recalls; /* so many links have one */
	uint32_t heads_room;
	uint32_t last, run; /* the link that was read last (index + 1), and how often in a row */
	bool quiet;	    /* it had no more when it was asked for more */
	bool missed;	    /* the last look found nothing */

	/* Shared with children of fork: what was read ahead is taken once, by whichever process comes first. */
	uint8_t *buffer;
	bool borrowed;	     /* the parent fills it */
	uint32_t generation; /* how often it was filled */
	uint32_t start, end; /* whole records */
	struct ip_addr from; /* whose they are */
	struct bytes spare;
	uint64_t lost;
	/* UDP_CORK and MSG_MORE: what is gathered, and whose it will be; UDP_SEGMENT (udp(7)). */
	bool corked;
	uint16_t segment;
	bool cork_to; /* something is gathered, for cork_peer */
	struct ip_addr cork_peer;
	struct endpoint cork_endpoint;
	struct bytes cork;
};

struct udp_table {
	uint16_t index[HINT_COUNT]; /* of a descriptor: which struct, + 1 */
	struct udp udps[UDP_MOST];
	uint32_t next;
	uint32_t *mine;	 /* a page that is empty in a child of fork */
	int high;	 /* descriptors of our own are at or above */
};

/* musl has lengths of 32 bits here, with padding beside them that a program need not fill. */
static inline struct msghdr message_plain(const struct msghdr *message)
{
	struct msghdr plain = *message;

	plain.msg_iovlen = (uint32_t)message->msg_iovlen;
	plain.msg_controllen = (uint32_t)message->msg_controllen;
	return plain;
}

/* --- udp.c */

/* The struct of fd; a new one when it has none. NULL with ENOBUFS. */
struct udp *udp_make(int fd, const struct socket_state *state);

/* False when this thread has the lock already: it is in a signal handler, and must not wait for itself; or
 * when fd was closed meanwhile. */
bool udp_lock(struct udp *udp);
void udp_unlock(struct udp *udp);

/* Descriptors of our own are at or above this number. */
int descriptors_high(void);
/* A descriptor of our own, out of the way of the program's; takes over fd. */
int descriptor_keep(int fd);

/* With the lock: gives the socket a port and a listener if it has none. -1 with errno of bind(2). */
int udp_bind_implicitly(struct udp *udp, int fd);
/* With the lock: `to` as a rule says it. */
int udp_listen(struct udp *udp, struct endpoint *to);

/* With the lock: from now on the kernel's socket may have something, too. */
void udp_inet_open(struct udp *udp, int fd);

/* With the lock: sets the error to be told. */
void udp_error_set(struct udp *udp, int error);
/* With the lock: epoll instances of the program are told what is in the buffer, or that nothing is any more. */
void udp_tell(struct udp *udp);

/* With the lock: the own address, as a peer knows it. `peer` is NULL where there is none: then it may be a wildcard. */
void udp_show_local(const struct udp *udp, const struct ip_addr *peer, const struct endpoint *to, struct ip_addr *out);

int64_t clock_ms(void);

/* --- udp_send.c, udp_gather.c: with the lock */

struct datagram {
	int fd;
	uint64_t cookie; /* of the socket */
	const struct ip_addr *addr;
	struct endpoint to;
	const struct iovec *parts;
	size_t count, size;
	int flags;
};

/* Sent, or lost: 0. -1 with errno for what UDP tells. The lock is held on return, or *gone set. */
int datagram_send(struct udp *udp, const struct datagram *datagram, bool *gone);
/* Adds to what is gathered, and sends it unless there is more to come. */
int cork_send(struct udp *udp, const struct datagram *datagram, bool *gone);
/* What UDP_SEGMENT says of this message; 0 when it is one datagram. */
size_t udp_segment(const struct udp *udp, const struct msghdr *message);
/* One datagram for each segment (udp_send_skb in net/ipv4/udp.c). */
int segments_send(struct udp *udp, const struct datagram *datagram, size_t segment, bool *gone);
/* The size of all parts; -1 with EMSGSIZE or EINVAL. */
ssize_t parts_size(const struct msghdr *message);
/* Copies from the program's memory, of which the kernel finds out where it ends. */
bool memory_copy(uint8_t *to, const void *from, size_t size);

/* --- udp_watch.c: all with the lock */

/* The socket has just become one of these, or got another aggregate: where fd, or a copy of it, is registered already,
 * the aggregate is as well. Asks the hint of fd, so it comes before that changes. */
void udp_watch_known(struct udp *udp, int fd);
/* The aggregate is about to be closed: so are its duplicates. */
void udp_watch_end(struct udp *udp);

/* --- udp_queue.c: what was read ahead; with the lock */

/* There is a buffer to fill. False without memory. */
bool queue_ready(struct udp *udp);
/* start and end were set. */
void queue_fill(struct udp *udp);
/* Another process may have taken some. */
void queue_sync(struct udp *udp);
/* Takes the next `size` bytes. False when another process has, while they were copied. */
bool queue_take(struct udp *udp, uint32_t size);
void queue_free(struct udp *udp);

/* --- udp_peer.c, udp_link.c, udp_hear.c: all with the lock */

struct link *link_find(struct udp *udp, const struct ip_addr *peer);
/* A new one, LINK_KNOWN; NULL without memory. Moves the others. */
struct link *link_add(struct udp *udp, const struct ip_addr *peer, const struct endpoint *to);
/* Its connection ends, what it knows stays. */
void link_close(struct udp *udp, struct link *link);
/* Gives up one that was idle for long, so that there is a descriptor. False when there is none. */
bool link_give_up(struct udp *udp);
bool endpoint_is(const struct endpoint *a, const struct endpoint *b);
/* As whom the program knows who speaks from there: by the address that it sent to, if it did. */
void peer_show(struct udp *udp, const struct endpoint *from, struct ip_addr *out);
/* Begins to connect. 0, or the errno: ECONNREFUSED, EHOSTUNREACH, EINPROGRESS ... */
int link_connect(struct udp *udp, struct link *link);
/* The attempt has failed: there will be a pause. Returns the errno that UDP has for it. */
int link_failed(struct udp *udp, struct link *link, int error);
/* Whether a peer that comes by itself may: allow= of the rule. One that may not is counted, and logged. */
bool peer_allowed(struct udp *udp, uint32_t cid);
/* Its window (ip2vsock/transport.h), for a listener and for a connection. */
void stream_window(int fd, const struct transport *transport);
/* How an attempt ended: 0, EINPROGRESS, or why it failed. */
int link_connected(struct udp *udp, struct link *link);
/* Takes what peers have to say into the empty buffer. True when there is a record in it. */
bool links_read(struct udp *udp);
/* The same from those of which the aggregate said that they have something. */
#define LINKS_AT_ONCE 4
bool links_hear(struct udp *udp, const struct epoll_event *ready, int count);
/* True when a peer surely has sent something. Reads nothing. */
bool links_have_data(const struct udp *udp);
/* Sends what is left of a record. False while there is not room for all. */
bool link_flush(struct udp *udp, struct link *link);
/* The aggregate waits for room, or no longer. */
void link_watch(struct udp *udp, struct link *link, bool writing);
void links_close(struct udp *udp);
/* In a child of fork: the connections are the parent's. */
void links_inherit(struct udp *udp);
/*
 * A child waits to receive. Two processes cannot read one stream of records: connections that peers made before it was
 * forked are shut down, so that those come again, to whichever process accepts.
 */
void links_recall(struct udp *udp);

/* Room for at least so many bytes; what is there stays. False without memory. */
bool bytes_room(struct udp *udp, struct bytes *bytes, uint32_t room);
void bytes_free(struct udp *udp, struct bytes *bytes);

#endif
