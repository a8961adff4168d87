/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real functions behind our hooks, found when first needed. */
#ifndef IP2VSOCK_REAL_H
#define IP2VSOCK_REAL_H

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef IP2VSOCK_PLAIN /* the stream library, which hooks nothing and shares a few files */
#define REAL(name) name
#else

#include "preload/hooks.h"
#include "preload/internal.h"

struct real_calls {
#define CALL(name) __typeof__(name) *name;
#include "preload/calls.def"
#undef CALL
};

extern struct real_calls real_calls INTERNAL;

enum real_index {
#define CALL(name) REAL_##name,
#include "preload/calls.def"
#undef CALL
	REAL_COUNT
};

/* Binds one call. Binding twice, by two threads or in a signal handler, writes the same value. */
void *real_bind(enum real_index index);
/* Binds every call, so that a signal handler is practically never the first to need one. */
void real_bind_all(void);
/* False while this process surely has only one thread. */
bool real_has_threads(void);
/* Starts a thread that nobody waits for and no signal comes to. False when there can be none. */
bool real_thread_start(void *(*run)(void *));
/* strerrorname_np(3), or NULL where libc has none (musl, glibc before 2.32): such a libc loads the library, too. */
const char *real_error_name(int error);

/* Has libc look up a database of nsswitch.conf(5) in its files alone, for as long as this process lives. False where it takes
 * no such orders (musl). */
bool real_ask_files(const char *database);

/* The functions behind two calls are of one library. What a sanitizer puts before libc's counts as libc. */
bool real_beside(enum real_index one, enum real_index other);

/* REAL(connect)(fd, addr, len): other libraries' constructors run before ours and may call us, so
 * nothing is bound ahead of the first use. A name this libc does not have answers ENOSYS. */
#define REAL(name)                                                                                 \
	({                                                                                         \
		__typeof__(name) *call_ = __atomic_load_n(&real_calls.name, __ATOMIC_RELAXED);     \
		__builtin_expect(call_ != NULL, 1)                                                 \
			? call_                                                                    \
			: (__typeof__(name) *)real_bind(REAL_##name);                              \
	})

/* The same, but NULL while it is not bound: a hook that only hands a call on then needs no stack for it. */
#define REAL_BOUND(name) __atomic_load_n(&real_calls.name, __ATOMIC_RELAXED)

/*
 * The body of a naked function of four arguments that passes them on: with one of `flags` in the fourth to the function
 * `flagged`, else to where its slot points (hot.h), and after a failure the first to the function `failed`. Eight instructions where
 * nothing is the matter, which no compiler makes of the same in C.
 */
#if defined __x86_64__ && defined __GCC_HAVE_DWARF2_CFI_ASM && !defined __SANITIZE_ADDRESS__ &&     \
	!defined __SANITIZE_THREAD__
#define CALL_QUICKLY(name, flags, flagged, failed)                                                 \
	__asm__("testl %0, %%ecx\n\t"                                                              \
		"jne " #flagged "\n\t"                                                             \
		"pushq %%rdi\n\t"                                                                  \
		".cfi_adjust_cfa_offset 8\n\t"                                                     \
		"callq *hot_calls+%c1(%%rip)\n\t"                                                 \
		"testq %%rax, %%rax\n\t"                                                           \
		"js 1f\n\t"                                                                        \
		"popq %%rdi\n\t"                                                                   \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		"ret\n"                                                                            \
		"1:\n\t"                                                                           \
		".cfi_adjust_cfa_offset 8\n\t"                                                     \
		"popq %%rdi\n\t"                                                                   \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		"jmp " #failed                                                                     \
		:                                                                                  \
		: "i"(flags), "i"(offsetof(struct hot_calls, name)))
#endif

#endif
#endif
