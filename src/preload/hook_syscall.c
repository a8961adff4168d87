/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syscall: numbers of calls that are hooked take the same road; every other one is handed on as it came. */
#include "preload/hooks.h"
#include "preload/real.h"
#include "preload/refuse.h"
#include "preload/socket.h"
#include "preload/strict.h"

#include <errno.h>
#include <linux/net.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/* What the C library's functions of these names do is the system call and nothing else. The list of those that not
 * every architecture has is at the end. */
#define ROUTES(ROUTE)                                                                                       \
	ROUTE(accept4, accept4((int)a, (void *)b, (void *)c, (int)d))                                       \
	ROUTE(bind, bind((int)a, (void *)b, (socklen_t)c))                                                  \
	ROUTE(close, close((int)a))                                                                         \
	ROUTE(connect, connect((int)a, (void *)b, (socklen_t)c))                                            \
	ROUTE(dup, dup((int)a))                                                                             \
	ROUTE(dup3, dup3((int)a, (int)b, (int)c))                                                           \
	ROUTE(epoll_ctl, epoll_ctl((int)a, (int)b, (int)c, (void *)d))                                      \
	ROUTE(getpeername, getpeername((int)a, (void *)b, (void *)c))                                       \
	ROUTE(getsockname, getsockname((int)a, (void *)b, (void *)c))                                       \
	ROUTE(getsockopt, getsockopt((int)a, (int)b, (int)c, (void *)d, (void *)e))                         \
	ROUTE(ioctl, ioctl((int)a, (unsigned long)b, c))                                                    \
	ROUTE(listen, listen((int)a, (int)b))                                                               \
	ROUTE(read, read((int)a, (void *)b, (size_t)c))                                                     \
	ROUTE(readv, readv((int)a, (void *)b, (int)c))                                                      \
	ROUTE(recvfrom, recvfrom((int)a, (void *)b, (size_t)c, (int)d, (void *)e, (void *)f))               \
	ROUTE(recvmsg, recvmsg((int)a, (void *)b, (int)c))                                                  \
	ROUTE(sendmmsg, sendmmsg((int)a, (void *)b, (unsigned)c, (int)d))                                   \
	ROUTE(sendmsg, sendmsg((int)a, (void *)b, (int)c))                                                  \
	ROUTE(sendto, sendto((int)a, (void *)b, (size_t)c, (int)d, (void *)e, (socklen_t)f))                \
	ROUTE(setsockopt, setsockopt((int)a, (int)b, (int)c, (void *)d, (socklen_t)e))                      \
	ROUTE(shutdown, shutdown((int)a, (int)b))                                                           \
	ROUTE(socket, socket((int)a, (int)b, (int)c))                                                       \
	ROUTE(write, write((int)a, (void *)b, (size_t)c))                                                   \
	ROUTE(writev, writev((int)a, (void *)b, (int)c))                                                    \
	ROUTE_ACCEPT(ROUTE) ROUTE_CLOSE_RANGE(ROUTE) ROUTE_DUP2(ROUTE) ROUTE_FCNTL(ROUTE) ROUTE_POLL(ROUTE) \
	ROUTE_RECVMMSG(ROUTE)

#ifdef SYS_accept
#define ROUTE_ACCEPT(ROUTE) ROUTE(accept, accept((int)a, (void *)b, (void *)c))
#else
#define ROUTE_ACCEPT(ROUTE)
#endif
#ifdef SYS_close_range
#define ROUTE_CLOSE_RANGE(ROUTE) ROUTE(close_range, close_range((unsigned)a, (unsigned)b, (int)c))
#else
#define ROUTE_CLOSE_RANGE(ROUTE)
#endif
#ifdef SYS_dup2
#define ROUTE_DUP2(ROUTE) ROUTE(dup2, dup2((int)a, (int)b))
#else
#define ROUTE_DUP2(ROUTE)
#endif
#ifdef SYS_fcntl
#define ROUTE_FCNTL(ROUTE) ROUTE(fcntl, fcntl((int)a, (int)b, c))
#else
#define ROUTE_FCNTL(ROUTE)
#endif
#ifdef SYS_poll
#define ROUTE_POLL(ROUTE) ROUTE(poll, poll((void *)a, (nfds_t)b, (int)c))
#else
#define ROUTE_POLL(ROUTE)
#endif
/* A struct timespec of 64 bits has a call of its own elsewhere. */
#if defined SYS_recvmmsg && LONG_WIDTH == 64
#define ROUTE_RECVMMSG(ROUTE) ROUTE(recvmmsg, recvmmsg((int)a, (void *)b, (unsigned)c, (int)d, (void *)e))
#else
#define ROUTE_RECVMMSG(ROUTE)
#endif

/* Looked at, and no routes: a ring connects and sends by itself; i386 has one number for all calls of sockets. */
#ifdef SYS_io_uring_setup
#define OTHER_RING [SYS_io_uring_setup] = 1,
#else
#define OTHER_RING
#endif
#ifdef SYS_socketcall
#define OTHERS OTHER_RING [SYS_socketcall] = 1
#else
#define OTHERS OTHER_RING
#endif

#define NUMBERS 448

#define ROUTE_FLAG(name, call) [SYS_##name] = 1,
/* Not static: link-time optimisation would rename what only assembly names. */
extern const uint8_t syscall_routed[NUMBERS];
const uint8_t syscall_routed[NUMBERS] __attribute__((used)) = {ROUTES(ROUTE_FLAG) OTHERS};

#define ROUTE_INDEX(name, call) REAL_##name,
static const enum real_index routed_calls[] = {ROUTES(ROUTE_INDEX)};

/*
 * Where another library stands between ours and the C library, its connect may be made of syscall(SYS_connect): by
 * way of our connect that would come back to it for ever, and what it does has passed through ours already.
 */
static bool routes_end(void)
{
	static int known; /* 1: no, 2: yes */
	int now = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!now) {
		now = 2;
		for (unsigned i = 0; i < sizeof routed_calls / sizeof routed_calls[0]; i++)
			if (!real_beside(routed_calls[i], REAL_syscall))
				now = 1;
		__atomic_store_n(&known, now, __ATOMIC_RELAXED);
	}
	return now == 2;
}

#ifdef SYS_socketcall
/* socketcall(2): the number of the call, and where its arguments are. */
static long socket_call(long number, const long *a)
{
	switch (number) {
	case SYS_SOCKET:
		return socket((int)a[0], (int)a[1], (int)a[2]);
	case SYS_BIND:
		return bind((int)a[0], (void *)a[1], (socklen_t)a[2]);
	case SYS_CONNECT:
		return connect((int)a[0], (void *)a[1], (socklen_t)a[2]);
	case SYS_LISTEN:
		return listen((int)a[0], (int)a[1]);
	case SYS_ACCEPT:
		return accept((int)a[0], (void *)a[1], (void *)a[2]);
	case SYS_GETSOCKNAME:
		return getsockname((int)a[0], (void *)a[1], (void *)a[2]);
	case SYS_GETPEERNAME:
		return getpeername((int)a[0], (void *)a[1], (void *)a[2]);
	case SYS_SEND:
		return send((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3]);
	case SYS_RECV:
		return recv((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3]);
	case SYS_SENDTO:
		return sendto((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (socklen_t)a[5]);
	case SYS_RECVFROM:
		return recvfrom((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3], (void *)a[4], (void *)a[5]);
	case SYS_SHUTDOWN:
		return shutdown((int)a[0], (int)a[1]);
	case SYS_SETSOCKOPT:
		return setsockopt((int)a[0], (int)a[1], (int)a[2], (void *)a[3], (socklen_t)a[4]);
	case SYS_GETSOCKOPT:
		return getsockopt((int)a[0], (int)a[1], (int)a[2], (void *)a[3], (void *)a[4]);
	case SYS_SENDMSG:
		return sendmsg((int)a[0], (void *)a[1], (int)a[2]);
	case SYS_RECVMSG:
		return recvmsg((int)a[0], (void *)a[1], (int)a[2]);
	case SYS_ACCEPT4:
		return accept4((int)a[0], (void *)a[1], (void *)a[2], (int)a[3]);
	case SYS_SENDMMSG:
		return sendmmsg((int)a[0], (void *)a[1], (unsigned)a[2], (int)a[3]);
	default: /* socketpair; recvmmsg, whose time is of 32 bits */
		return REAL(syscall)(SYS_socketcall, number, a);
	}
}
#endif

long syscall_route(long number, long a, long b, long c, long d, long e, long f);

__attribute__((used)) long syscall_route(long number, long a, long b, long c, long d, long e, long f)
{
#ifdef SYS_io_uring_setup
	/* Programs do without where the kernel has none. */
	if (number == SYS_io_uring_setup && strict_may_be() && settings()->strict)
		return refuse_other("io_uring_setup", "", ENOSYS);
#endif
	if (routes_end())
		switch (number) {
#ifdef SYS_socketcall
		case SYS_socketcall:
			return is_pointer((void *)b) ? socket_call(a, (const long *)b) : fail(EFAULT);
#endif
#define ROUTE_CASE(name, call)                                                                              \
	case SYS_##name:                                                                                    \
		return call;
			ROUTES(ROUTE_CASE)
		}
	return REAL(syscall)(number, a, b, c, d, e, f);
}

HOOK long syscall(long number, ...);

#ifdef __x86_64__
/*
 * A jump, because nothing may be between a caller and calls that return twice or on another stack. The seventh
 * argument stays where it is on the stack, for both.
 */
__attribute__((naked)) long syscall(long number UNUSED, ...)
{
	__asm__(".hidden syscall_routed, syscall_route, real_calls, real_bind\n\t"
		"cmpq %0, %%rdi\n\t"
		"jae 1f\n\t"
		"leaq syscall_routed(%%rip), %%rax\n\t"
		"cmpb $0, (%%rax,%%rdi)\n\t"
		"jne syscall_route\n"
		"1:\n\t"
		"movq real_calls+%c1(%%rip), %%rax\n\t"
		"testq %%rax, %%rax\n\t"
		"je 2f\n\t"
		"jmp *%%rax\n"
		"2:\n\t" /* found at the first call, with all that is in registers kept */
		"pushq %%rdi\n\tpushq %%rsi\n\tpushq %%rdx\n\tpushq %%rcx\n\tpushq %%r8\n\tpushq %%r9\n\t"
		"subq $8, %%rsp\n\t"
		"movl %2, %%edi\n\t"
		"call real_bind\n\t"
		"addq $8, %%rsp\n\t"
		"popq %%r9\n\tpopq %%r8\n\tpopq %%rcx\n\tpopq %%rdx\n\tpopq %%rsi\n\tpopq %%rdi\n\t"
		"jmp *%%rax"
		:
		: "i"(NUMBERS), "i"(offsetof(struct real_calls, syscall)), "i"(REAL_syscall));
}
#else
long syscall(long number, ...)
{
	long argument[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (number >= 0 && number < NUMBERS && syscall_routed[number])
		return syscall_route(number, argument[0], argument[1], argument[2], argument[3], argument[4],
				     argument[5]);
	return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}
#endif
