/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the calls that programs make most go. */
#include "preload/hot.h"
#include "preload/real.h"

static const uint8_t hot_index[] = {
#define CALL(type, name, parameters, arguments) REAL_##name,
	HOT_CALLS(CALL)
#undef CALL
};

enum {
#define CALL(type, name, parameters, arguments) HOT_##name,
	HOT_CALLS(CALL)
#undef CALL
		HOT_COUNT
};

_Static_assert(REAL_COUNT <= UINT8_MAX, "an index of a call is a byte");

static void *hot_find(unsigned hot, void *first)
{
	void **slot = (void **)&hot_calls + hot;

	/* hot_udp() of another thread may have been quicker. */
	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == first)
		__atomic_compare_exchange_n(slot, &first, real_bind(hot_index[hot]), false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

#define CALL(type, name, parameters, arguments)                                             \
	static type name##_first parameters                                                 \
	{                                                                                   \
		return ((type(*) parameters)hot_find(HOT_##name, (void *)name##_first)) arguments; \
	}
HOT_CALLS(CALL)
#undef CALL

struct hot_calls hot_calls = {
#define CALL(type, name, parameters, arguments) .name = name##_first,
	HOT_CALLS(CALL)
#undef CALL
};

/* As in real.c one that a libc may lack waits for its caller. */
void hot_bind_all(void)
{
#define CALL(type, name, parameters, arguments)   \
	if (hot_index[HOT_##name] != REAL_epoll_pwait2) \
		hot_find(HOT_##name, (void *)name##_first);
	HOT_CALLS(CALL)
#undef CALL
}

void hot_udp(void)
{
	/* What they call themselves is found before: they may run in a signal handler. */
	hot_bind_all();
#define CALL(type, name, parameters, arguments) __atomic_store_n(&hot_calls.name, hot_udp_##name, __ATOMIC_RELAXED);
	HOT_CALLS(CALL)
#undef CALL
}
