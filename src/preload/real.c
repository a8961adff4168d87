/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one table of real libc functions, and the only place that calls dlsym. */
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>

struct real_calls real_calls;

static const char *const names[REAL_COUNT] = {
#define CALL(name) [REAL_##name] = #name,
#include "preload/calls.def"
#undef CALL
};

static int call_missing(void)
{
	errno = ENOSYS;
	return -1;
}

void *real_bind(enum real_index index)
{
	int saved = errno;
	void *call = dlsym(RTLD_NEXT, names[index]);

	if (!call)
		call = (void *)call_missing;
	__atomic_store_n((void **)&real_calls + index, call, __ATOMIC_RELAXED);
	errno = saved;
	return call;
}

void real_bind_all(void)
{
	for (unsigned i = 0; i < REAL_COUNT; i++)
		if (!__atomic_load_n((void **)&real_calls + i, __ATOMIC_RELAXED))
			real_bind(i);
}

const char *real_error_name(int error)
{
	const char *(*name)(int) = (const char *(*)(int))dlsym(RTLD_DEFAULT, "strerrorname_np");

	return name ? name(error) : NULL;
}
