/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one table of real libc functions, and the only place that calls dlsym. */
#include "preload/real.h"
#include "preload/hot.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct real_calls real_calls;

/* Without pointers, each of which ld.so would have to move at every start of a program. */
static const struct names {
#define CALL(name) char name[sizeof #name];
#include "preload/calls.def"
#undef CALL
} names = {
#define CALL(name) #name,
#include "preload/calls.def"
#undef CALL
};

static const uint16_t name_offsets[REAL_COUNT] = {
#define CALL(name) offsetof(struct names, name),
#include "preload/calls.def"
#undef CALL
};

static long call_missing(void)
{
	errno = ENOSYS;
	return -1;
}

void *real_bind(enum real_index index)
{
	int saved = errno;
	const char *name = (const char *)&names + name_offsets[index];
	void *call = dlsym(RTLD_NEXT, name);

	/* Programs built for an older glibc say __res_query; here it may be one of those names that only they find. */
	if (!call && name[0] == '_' && name[1] == '_')
		call = dlsym(RTLD_NEXT, name + 2);
	if (!call)
		call = (void *)call_missing;
	__atomic_store_n((void **)&real_calls + index, call, __ATOMIC_RELAXED);
	errno = saved;
	return call;
}

/* glibc does not have __recvmmsg64 where time is 64 bits wide anyway, nor epoll_pwait2 before 2.35, and dlsym calls
 * malloc to say that a name is missing: these wait for their callers, and so do those that hardly any program calls. */
#define LATE_FIRST REAL___res_nquery
void real_bind_all(void)
{
	for (unsigned i = 0; i < REAL_COUNT; i++)
		if (i == REAL___recvmmsg64 || i == REAL_epoll_pwait2 || i >= LATE_FIRST)
			continue;
		else if (!__atomic_load_n((void **)&real_calls + i, __ATOMIC_RELAXED))
			real_bind(i);
	hot_bind_all();
}

bool real_has_threads(void)
{
	static const char *single; /* of glibc since 2.32 */
	static bool known;

	if (!__atomic_load_n(&known, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&single, (const char *)dlsym(RTLD_DEFAULT, "__libc_single_threaded"), __ATOMIC_RELAXED);
		__atomic_store_n(&known, true, __ATOMIC_RELEASE);
	}
	return !single || !*single;
}

bool real_thread_start(void *(*run)(void *))
{
	__typeof__(pthread_create) *create = (__typeof__(pthread_create) *)dlsym(RTLD_DEFAULT, "pthread_create");
	__typeof__(pthread_detach) *detach = (__typeof__(pthread_detach) *)dlsym(RTLD_DEFAULT, "pthread_detach");
	sigset_t all, before;
	pthread_t thread;
	bool started;

	if (!create || !detach)
		return false;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	started = create(&thread, NULL, run, NULL) == 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (started)
		detach(thread);
	return started;
}

bool real_ask_files(const char *database)
{
	int (*configure)(const char *, const char *) =
		(int (*)(const char *, const char *))dlsym(RTLD_DEFAULT, "__nss_configure_lookup");

	return configure && configure(database, "files") == 0;
}

const char *real_error_name(int error)
{
	const char *(*name)(int) = (const char *(*)(int))dlsym(RTLD_DEFAULT, "strerrorname_np");

	return name ? name(error) : NULL;
}

bool real_beside(enum real_index one, enum real_index other)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
	return one != other;
#else
	Dl_info a, b;

	return dladdr(real_bind(one), &a) && dladdr(real_bind(other), &b) && a.dli_fbase == b.dli_fbase;
#endif
}
