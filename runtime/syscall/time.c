/* SPDX-License-Identifier: MIT */
/* time.c – clocks and sleeping
 *
 * Times are seconds, as numbers; clock_gettime_ns is for those who count nanoseconds (a double
 * holds them exactly for 104 days only). Only clock_settime needs privilege (CAP_SYS_TIME).
 */
#include "bind.h"

#include <math.h>
#include <time.h>

#include "clock.h"

/* Ten thousand years: far below where time_t or the kernel's 64-bit nanoseconds of a *timeout*
 * would overflow into the past. */
#define SECONDS_MAX 3.2e11

struct timespec clock_check_seconds(lua_State *L, int index, int arg, const char *what)
{
	if (lua_type(L, index) != LUA_TNUMBER)
		bind_raise(L, arg, lua_pushfstring(L, "%s: a number of seconds expected", what),
			   luaL_typename(L, index), NULL);
	double seconds = lua_tonumber(L, index);

	if (!(seconds >= 0 && seconds <= SECONDS_MAX))
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "%s: %f is no number of seconds", what, seconds));
	struct timespec t = {.tv_sec = (time_t)seconds};
	double fraction = ceil((seconds - (double)t.tv_sec) * 1e9);

	if (fraction >= 1e9)
		t.tv_sec++;
	else
		t.tv_nsec = (long)fraction;
	return t;
}

static clockid_t check_clock(lua_State *L, int arg)
{
	return (clockid_t)bind_check_const(L, arg, &bind_set_CLOCK);
}

/*** S.clock_gettime(clock) -> seconds
 * clock: "realtime", "monotonic", "boottime", "process_cputime_id"…; a float.
 * Errors: INVAL for a clock the kernel lacks. Source: clock_gettime(2).
 */
static int l_clock_gettime(lua_State *L)
{
	clockid_t clock = check_clock(L, 1);
	struct timespec t;
	long rc = sys_result(clock_gettime(clock, &t));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushnumber(L, clock_seconds(&t));
	return 1;
}

/*** S.clock_gettime_ns(clock) -> nanoseconds
 * As clock_gettime, an exact integer.
 */
static int l_clock_gettime_ns(lua_State *L)
{
	clockid_t clock = check_clock(L, 1);
	struct timespec t;
	long rc = sys_result(clock_gettime(clock, &t));

	return bind_return_int(L, rc < 0 ? rc : t.tv_sec * 1000000000L + t.tv_nsec);
}

/*** S.clock_getres(clock) -> seconds
 * The clock's resolution. Source: clock_getres(2).
 */
static int l_clock_getres(lua_State *L)
{
	clockid_t clock = check_clock(L, 1);
	struct timespec t;
	long rc = sys_result(clock_getres(clock, &t));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushnumber(L, clock_seconds(&t));
	return 1;
}

/*** S.clock_settime(clock, seconds) -> true
 * Sets a clock, in practice "realtime". Errors: PERM without CAP_SYS_TIME in the initial user
 * namespace, INVAL for clocks that cannot be set. Source: clock_settime(2).
 */
static int l_clock_settime(lua_State *L)
{
	clockid_t clock = check_clock(L, 1);
	struct timespec t = clock_check_seconds(L, 2, 2, "seconds");

	return bind_return_ok(L, sys_result(clock_settime(clock, &t)));
}

/*** S.nanosleep(seconds) -> true
 * Sleeps at least that long; fractions count. Errors: INTR. Source: nanosleep(2).
 */
static int l_nanosleep(lua_State *L)
{
	struct timespec t = clock_check_seconds(L, 1, 1, "seconds");

	return bind_return_ok(L, sys_result(nanosleep(&t, NULL)));
}

static const luaL_Reg functions[] = {
	{"clock_gettime", l_clock_gettime}, {"clock_gettime_ns", l_clock_gettime_ns},
	{"clock_getres", l_clock_getres},   {"clock_settime", l_clock_settime},
	{"nanosleep", l_nanosleep},	    {NULL, NULL},
};

void syscall_time(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
