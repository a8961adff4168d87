/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options that only TCP sockets have, of sockets that are none. */
#include "preload/emulate.h"
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/retarget.h"
#include "preload/socket.h"
#include "preload/tcp_info.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>

/* What the newer kernels have and this libc may not name. */
#define TCP_AO_ADD_KEY_ 38
#define TCP_AO_REPAIR_ 42
#define SO_DETACH_REUSEPORT_BPF_ 68

/* Options that promise what no other transport keeps: programs must see them fail and do without. The error is that
 * of a TCP socket which cannot do it either. */
static int promise_error(int level, int option)
{
	switch (level) {
	case IPPROTO_TCP:
		if (option == TCP_MD5SIG || option == TCP_MD5SIG_EXT || option == TCP_ZEROCOPY_RECEIVE ||
		    (option >= TCP_AO_ADD_KEY_ && option <= TCP_AO_REPAIR_))
			return ENOPROTOOPT;
		return option == TCP_REPAIR ? EPERM : option == TCP_ULP ? ENOENT : 0;
	case IPPROTO_IP:
		return option == IP_TRANSPARENT ? EPERM : 0;
	case IPPROTO_IPV6:
		return option == IPV6_TRANSPARENT ? EPERM : 0;
	default:
		return 0;
	}
}

bool emulate_is_filter(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_ATTACH_FILTER || option == SO_DETACH_FILTER ||
				       option == SO_ATTACH_BPF || option == SO_LOCK_FILTER);
}

#define FILTER_MOST (NOTE_VALUE_MOST / sizeof(struct sock_filter))

/* What a longer filter is noted as. */
static const struct sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);

bool emulate_filter_read(int fd, uint8_t *out, socklen_t *size)
{
	socklen_t count = 0;

	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &count) < 0 || count == 0)
		return false;
	if (count > FILTER_MOST || REAL(getsockopt)(fd, SOL_SOCKET, SO_GET_FILTER, out, &count) < 0) {
		memcpy(out, &accept_all, sizeof accept_all);
		count = 1;
	}
	*size = count * (socklen_t)sizeof accept_all;
	return true;
}

static socklen_t filter_noted(const void *value, socklen_t size, uint8_t *out)
{
	struct sock_fprog program;

	memcpy(&program, value, size < sizeof program ? size : sizeof program);
	if (program.len > FILTER_MOST) {
		memcpy(out, &accept_all, sizeof accept_all);
		return sizeof accept_all;
	}
	memcpy(out, program.filter, program.len * sizeof accept_all);
	return program.len * (socklen_t)sizeof accept_all;
}

void emulate_replay(int to, int level, int option, const void *value, socklen_t size)
{
	struct sock_filter code[FILTER_MOST];
	struct sock_fprog program = {.len = (unsigned short)(size / sizeof *code), .filter = code};

	if (level == SOL_SOCKET && (option == SO_ATTACH_BPF || option == SO_ATTACH_FILTER)) {
		if (option == SO_ATTACH_BPF) {
			program.len = 1;
			code[0] = accept_all;
		} else {
			memcpy(code, value, size);
		}
		REAL(setsockopt)(to, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
	} else {
		REAL(setsockopt)(to, level, option, value, size);
	}
}

/* What is noted of this option, or of those it depends on, on a TCP socket that nobody uses. */
static int scratch_open(const struct mark *mark, struct note *note, int level, int option)
{
	static const int filters[] = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_LOCK_FILTER}; /* the lock is last */
	int scratch = REAL(socket)(mark->flags & MARK_INET6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const void *value;
	socklen_t size;
	int on = 1;

	if (scratch < 0)
		return -1;
	if (!emulate_is_filter(level, option)) {
		value = note_option_get(note, level, option, &size);
		if (value)
			emulate_replay(scratch, level, option, value, size);
	}
	for (unsigned i = 0; emulate_is_filter(level, option) && i < sizeof filters / sizeof *filters; i++) {
		value = note_option_get(note, SOL_SOCKET, filters[i], &size);
		if (value)
			emulate_replay(scratch, SOL_SOCKET, filters[i], value, size);
	}
	if (level == SOL_SOCKET && mark->flags & MARK_REUSEPORT &&
	    (option == SO_ATTACH_REUSEPORT_CBPF || option == SO_ATTACH_REUSEPORT_EBPF ||
	     option == SO_DETACH_REUSEPORT_BPF_))
		REAL(setsockopt)(scratch, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	return scratch;
}

/* Notes what was set: four bytes as they are, anything else as the scratch socket has understood it. */
static void note_choice(struct note *note, int scratch, int level, int option, const void *value, socklen_t size)
{
	uint8_t bytes[NOTE_VALUE_MOST];
	socklen_t got = sizeof bytes;

	if (emulate_is_filter(level, option) && option != SO_LOCK_FILTER) {
		note_option_drop(note, SOL_SOCKET, SO_ATTACH_FILTER);
		note_option_drop(note, SOL_SOCKET, SO_ATTACH_BPF);
		if (option == SO_ATTACH_FILTER) {
			got = filter_noted(value, size, bytes);
			note_option_set(note, level, option, bytes, got);
		} else if (option == SO_ATTACH_BPF) {
			note_option_set(note, level, option, value, sizeof(int));
		}
		return;
	}
	if ((size != sizeof(int) || !value) && scratch >= 0 &&
	    REAL(getsockopt)(scratch, level, option, bytes, &got) == 0 && got <= sizeof bytes)
		note_option_set(note, level, option, bytes, got);
	else if (size <= NOTE_VALUE_MOST && value)
		note_option_set(note, level, option, value, size);
}

static bool is_zero(const void *value, socklen_t size)
{
	return !value || (size >= sizeof(int) && memcmp(value, &(int){0}, sizeof(int)) == 0);
}

static bool is_idle(int fd)
{
	return !is_connected(fd) && !option_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

/* TCP refuses what comes too late. */
static int state_error(int fd, int level, int option, const void *value, socklen_t size)
{
	if (level != IPPROTO_TCP)
		return 0;
	switch (option) {
	case TCP_FASTOPEN_CONNECT: /* only before connect and listen */
		return !is_idle(fd) ? EINVAL : 0;
	case TCP_FASTOPEN: /* not when connected */
	case TCP_FASTOPEN_NO_COOKIE:
		return is_connected(fd) ? EINVAL : 0;
	case TCP_WINDOW_CLAMP:
		return is_zero(value, size) && !is_idle(fd) ? EINVAL : 0;
	default:
		return 0;
	}
}

static int set_flag(int fd, const struct transport *transport, struct mark *mark, unsigned flag, const void *value,
		    socklen_t size)
{
	unsigned before = mark->flags;
	int number;

	if (size < sizeof number)
		return fail(EINVAL);
	if (!is_pointer(value))
		return fail(EFAULT);
	memcpy(&number, value, sizeof number);
	if (flag == MARK_REUSEPORT) { /* the mark tells what it was when the port was taken, which counts for others */
		number = number != 0;
		emulate_remember(fd, SOL_SOCKET, SO_REUSEPORT, &number, sizeof number);
		return 0;
	}
	mark->flags = number ? before | flag : before & ~flag;
	return mark->flags == before ? 0 : mark_set(fd, transport, mark);
}

static unsigned flag_of(int level, int option)
{
	return level == IPPROTO_TCP ? MARK_NODELAY
	       : level == IPPROTO_IPV6 ? MARK_V6ONLY
	       : option == SO_REUSEADDR ? MARK_REUSEADDR
					: MARK_REUSEPORT;
}

/* What a connected or listening socket says where a fresh one says errno. */
static int refusal(int fd, int level, int option, int promise, const void *value, socklen_t size)
{
	int error = errno;

	if (promise && error == ENOTCONN && is_connected(fd))
		return promise;
	if (level == IPPROTO_TCP && option == TCP_QUEUE_SEQ && value && size >= sizeof(int) && !is_idle(fd))
		return EPERM;
	if (level == IPPROTO_IPV6 && option == IPV6_ADDRFORM && error == ENOTCONN && is_connected(fd))
		return EADDRNOTAVAIL;
	return error;
}

static int set_noted(int fd, const struct mark *mark, int level, int option, const void *value, socklen_t size)
{
	int scratch, result = 0, error = promise_error(level, option);
	struct note note;

	note_get(fd, &note);
	scratch = scratch_open(mark, &note, level, option);
	if (scratch < 0 && errno != EMFILE && errno != ENFILE)
		return fail(ENOPROTOOPT);
	if (scratch >= 0)
		result = REAL(setsockopt)(scratch, level, option, value, size);
	if (result < 0)
		error = refusal(fd, level, option, error, value, size);
	else if (!error || is_zero(value, size))
		error = state_error(fd, level, option, value, size);
	if (!error) {
		note_choice(&note, scratch, level, option, value, size);
		note_set(fd, &note);
	}
	if (scratch >= 0)
		close_quietly(scratch);
	return error ? fail(error) : 0;
}

int emulate_set(int fd, const struct transport *transport, struct mark *mark, int level, int option, const void *value,
		socklen_t size)
{
	switch (option_keep(level, option)) {
	case KEEP_MARK:
		if (level == IPPROTO_IPV6 && !(mark->flags & MARK_INET6))
			return fail(ENOPROTOOPT);
		if (level == IPPROTO_IPV6) /* IPV6_V6ONLY is too late once bound */
			return fail(EINVAL);
		return set_flag(fd, transport, mark, flag_of(level, option), value, size);
	case KEEP_BUFFER:
		if (option_set_buffer(fd, option, value, size) < 0)
			return -1;
		return 0;
	case KEEP_LOWAT:
		if (set_noted(fd, mark, level, option, value, size) < 0)
			return -1;
		option_set_lowat(fd, value, size);
		return 0;
	default:
		return set_noted(fd, mark, level, option, value, size);
	}
}

void emulate_remember(int fd, int level, int option, const void *value, socklen_t size)
{
	struct note note;

	note_get(fd, &note);
	if (note_option_set(&note, level, option, value, size))
		note_set(fd, &note);
}

bool emulate_is_choice(int level, int option)
{
	switch (level) {
	case SOL_SOCKET:
		return !emulate_is_filter(level, option) && option != SO_PEERNAME && option != SO_PEERSEC &&
		       option != SO_PEERCRED && option != SO_PEERGROUPS && option != 77 && option != SO_INCOMING_CPU;
	case IPPROTO_TCP:
		return option != TCP_INFO && option != TCP_CC_INFO && option != TCP_TIMESTAMP &&
		       option != TCP_ZEROCOPY_RECEIVE && option != TCP_SAVED_SYN && option != TCP_MAXSEG;
	case IPPROTO_IP:
		return option != IP_PKTOPTIONS && option != IP_MTU;
	default:
		return option != IPV6_2292PKTOPTIONS && option != IPV6_MTU && option != IPV6_PATHMTU &&
		       option != IPV6_ADDRFORM;
	}
}

static int give_int(int number, void *value, socklen_t *size)
{
	socklen_t room;

	if (!is_pointer(size) || !is_pointer(value))
		return fail(EFAULT);
	room = *size;
	if ((int)room < 0)
		return fail(EINVAL);
	if (room > sizeof number)
		*size = sizeof number;
	memcpy(value, &number, *size);
	return 0;
}

/* What a connection has and a fresh socket has not; 0 when there is nothing of the kind. */
static int number_of_connection(int level, int option, bool inet6)
{
	switch (level) {
	case SOL_SOCKET:
		return option == SO_INCOMING_CPU ? sched_getcpu() : 0;
	case IPPROTO_TCP:
		return option == TCP_MAXSEG ? CONNECTION_MSS : 0;
	case IPPROTO_IP:
		return option == IP_MTU ? CONNECTION_MTU : 0;
	case IPPROTO_IPV6:
		return !inet6 ? 0 : option == IPV6_MTU ? CONNECTION_MTU : option == IPV6_ADDRFORM ? AF_INET6 : 0;
	default:
		return 0;
	}
}

/* A struct ip6_mtuinfo of a connection; its address is not filled (do_ipv6_getsockopt in net/ipv6/ipv6_sockglue.c). */
static int path_mtu_give(void *value, socklen_t *size)
{
	struct ip6_mtuinfo info = {.ip6m_mtu = CONNECTION_MTU};

	if (*size < sizeof info)
		return fail(EINVAL);
	*size = sizeof info;
	memcpy(value, &info, sizeof info);
	return 0;
}

/* Not inlined, as a note is a kilobyte: callers that have none themselves, or call what has one, stay small. */
static __attribute__((noinline)) bool flag_get(int fd, const struct mark *mark, int level, int option)
{
	struct note note;
	const void *later;
	socklen_t size;

	if (level == SOL_SOCKET && option == SO_REUSEPORT) {
		note_get(fd, &note);
		later = note_option_get(&note, level, option, &size);
		if (later)
			return memcmp(later, &(int){0}, sizeof(int)) != 0;
	}
	/* A listener at an IPv6 address has no use for IPv4 (__inet6_bind in net/ipv6/af_inet6.c). */
	if (level == IPPROTO_IPV6 && mark->kind == MARK_LOCAL && !ip_addr_is_v4(&mark->addr) &&
	    !ip_addr_is_any(&mark->addr))
		return true;
	return mark->flags & flag_of(level, option);
}

static __attribute__((noinline)) int noted_get(int fd, const struct mark *mark, int level, int option, void *value,
					      socklen_t *size)
{
	int error = promise_error(level, option), scratch, result, number;
	const void *kept;
	struct note note;
	socklen_t length;

	note_get(fd, &note);
	number = number_of_connection(level, option, mark->flags & MARK_INET6);
	if (number > 0 && is_connected(fd))
		return give_int(number, value, size);
	scratch = scratch_open(mark, &note, level, option);
	if (scratch < 0) {
		kept = note_option_get(&note, level, option, &length);
		if (!kept)
			return fail(ENOPROTOOPT);
		*size = *size < length ? *size : length;
		memcpy(value, kept, *size);
		return 0;
	}
	result = REAL(getsockopt)(scratch, level, option, value, size);
	close_quietly(scratch);
	if (result < 0 && errno == ENOTCONN && level == IPPROTO_IPV6 && option == IPV6_PATHMTU && is_connected(fd))
		return path_mtu_give(value, size);
	if (result == 0 && error == ENOPROTOOPT)
		return fail(option_int(fd, SOL_SOCKET, SO_ACCEPTCONN) ? ENOTCONN : error);
	if (result == 0 && level == IPPROTO_TCP && option == TCP_INFO)
		tcp_info_correct(fd, mark, value, *size);
	return result;
}

int emulate_get(int fd, const struct mark *mark, int level, int option, void *value, socklen_t *size)
{
	enum keep keep = option_keep(level, option);

	if (keep == KEEP_MARK && (level != IPPROTO_IPV6 || mark->flags & MARK_INET6))
		return give_int(flag_get(fd, mark, level, option), value, size);
	return noted_get(fd, mark, level, option, value, size);
}
