/* SPDX-License-Identifier: MIT */
/* clock.h – seconds in Lua, struct timespec in the kernel */
#ifndef LUGE_CLOCK_H
#define LUGE_CLOCK_H

#include <time.h>

#include <lua.h>

/* The number of seconds at index (0 or more, fractions allowed); raises naming the argument and
 * what. A fraction is rounded up to the next nanosecond, so that a positive time never becomes 0.
 */
struct timespec clock_check_seconds(lua_State *L, int index, int arg, const char *what);

static inline double clock_seconds(const struct timespec *t)
{
	return (double)t->tv_sec + (double)t->tv_nsec / 1e9;
}

#endif
