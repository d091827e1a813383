/* SPDX-License-Identifier: MIT */
/* limit.c – resource limits and usage, priorities, scheduling, the machine's memory
 *
 * Lowering a limit or a priority needs nothing; raising a hard limit needs CAP_SYS_RESOURCE, a
 * priority CAP_SYS_NICE (or RLIMIT_NICE, RLIMIT_RTPRIO).
 */
#include "proc.h"

#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- limits ---- */

/* A limit: an integer from 0 or "unlimited". */
static rlim_t check_limit(lua_State *L, int arg)
{
	if (lua_type(L, arg) == LUA_TSTRING && strcmp(lua_tostring(L, arg), "unlimited") == 0)
		return RLIM_INFINITY;
	if (!lua_isinteger(L, arg))
		bind_raise(L, arg, "an integer or \"unlimited\" expected",
			   luaL_tolstring(L, arg, NULL), NULL);
	return (rlim_t)bind_check_range(L, arg, 0, INT64_MAX);
}

static void set_limit(lua_State *L, const char *key, rlim_t value)
{
	if (value == RLIM_INFINITY)
		bind_set_string(L, key, "unlimited");
	else
		bind_set_int(L, key, (lua_Integer)value);
}

static int return_limit(lua_State *L, long rc, const struct rlimit *limit)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, 0, 2);
	set_limit(L, "soft", limit->rlim_cur);
	set_limit(L, "hard", limit->rlim_max);
	return 1;
}

/* soft at arg, hard after it; without hard both are soft. */
static struct rlimit check_limits(lua_State *L, int arg)
{
	rlim_t soft = check_limit(L, arg);

	return (struct rlimit){
		.rlim_cur = soft,
		.rlim_max = lua_isnoneornil(L, arg + 1) ? soft : check_limit(L, arg + 1),
	};
}

/* libc's prototype wants an enum. */
static long limit_change(int pid, int which, const struct rlimit *limit, struct rlimit *ret_old)
{
	return sys_result(syscall(SYS_prlimit64, pid, which, limit, ret_old));
}

/*** S.getrlimit(name) -> { soft=, hard= }
 * name: S.c.RLIMIT ("nofile"). Values: integers in the limit's own unit (bytes, seconds, counts;
 * rttime in µs) or "unlimited". getrlimit(2). */
static int l_getrlimit(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_RLIMIT);
	struct rlimit limit;

	return return_limit(L, limit_change(0, which, NULL, &limit), &limit);
}

/*** S.setrlimit(name, soft, hard=soft) -> true
 * Values as from getrlimit. Errors: EPERM (hard grows without CAP_SYS_RESOURCE), EINVAL (soft above
 * hard). setrlimit(2). */
static int l_setrlimit(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_RLIMIT);
	struct rlimit limit = check_limits(L, 2);

	return bind_return_ok(L, limit_change(0, which, &limit, NULL));
}

/*** S.prlimit(pid, name, soft, hard=soft) -> { soft=, hard= }, the former limits
 * Of another process (0: this one); without soft it only reads. Errors: ESRCH, EPERM (not the same
 * ids, or as setrlimit). prlimit(2). */
static int l_prlimit(lua_State *L)
{
	int pid = bind_opt_pid(L, 1);
	int which = (int)bind_check_const(L, 2, &bind_set_RLIMIT);
	struct rlimit limit, old;

	if (lua_isnoneornil(L, 3))
		return return_limit(L, limit_change(pid, which, NULL, &old), &old);
	limit = check_limits(L, 3);
	return return_limit(L, limit_change(pid, which, &limit, &old), &old);
}

/* ---- usage ---- */

static void set_time(lua_State *L, const char *key, struct timeval value)
{
	lua_pushnumber(L, (lua_Number)value.tv_sec + (lua_Number)value.tv_usec / 1e6);
	lua_setfield(L, -2, key);
}

void proc_push_rusage(lua_State *L, const struct rusage *usage)
{
	lua_createtable(L, 0, 9);
	set_time(L, "utime", usage->ru_utime);
	set_time(L, "stime", usage->ru_stime);
	bind_set_int(L, "maxrss", usage->ru_maxrss * 1024);
	bind_set_int(L, "minflt", usage->ru_minflt);
	bind_set_int(L, "majflt", usage->ru_majflt);
	bind_set_int(L, "inblock", usage->ru_inblock);
	bind_set_int(L, "oublock", usage->ru_oublock);
	bind_set_int(L, "nvcsw", usage->ru_nvcsw);
	bind_set_int(L, "nivcsw", usage->ru_nivcsw);
}

/*** S.getrusage(who="self") -> { utime, stime, maxrss, minflt, majflt, inblock, oublock, … }
 * Also nvcsw, nivcsw. who: S.c.RUSAGE ("self", "children", "thread"). Times in seconds (float),
 * maxrss in bytes, inblock and oublock in units of 512 bytes. getrusage(2). */
static int l_getrusage(lua_State *L)
{
	struct rusage usage;
	int who =
		lua_isnoneornil(L, 1) ? RUSAGE_SELF : (int)bind_check_const(L, 1, &bind_set_RUSAGE);
	long rc = sys_result(getrusage(who, &usage));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	proc_push_rusage(L, &usage);
	return 1;
}

/*** S.sysinfo() -> { uptime, loads, procs, totalram, freeram, sharedram, bufferram, … }
 * Also totalswap, freeswap. uptime in seconds, memory in bytes, loads a list of three floats.
 * sysinfo(2). */
static int l_sysinfo(lua_State *L)
{
	struct sysinfo info;
	long rc = sys_result(sysinfo(&info));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_Integer unit = info.mem_unit;

	lua_createtable(L, 0, 9);
	bind_set_int(L, "uptime", info.uptime);
	bind_set_int(L, "totalram", (lua_Integer)info.totalram * unit);
	bind_set_int(L, "freeram", (lua_Integer)info.freeram * unit);
	bind_set_int(L, "sharedram", (lua_Integer)info.sharedram * unit);
	bind_set_int(L, "bufferram", (lua_Integer)info.bufferram * unit);
	bind_set_int(L, "totalswap", (lua_Integer)info.totalswap * unit);
	bind_set_int(L, "freeswap", (lua_Integer)info.freeswap * unit);
	bind_set_int(L, "procs", info.procs);
	lua_createtable(L, 3, 0);
	for (int i = 0; i < 3; i++) {
		lua_pushnumber(L, (lua_Number)info.loads[i] / (1 << SI_LOAD_SHIFT));
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "loads");
	return 1;
}

/* ---- priorities ---- */

/* which at 1, who at 2: nil is the caller's own. */
static int check_who(lua_State *L)
{
	return lua_isnoneornil(L, 2) ? 0 : (int)bind_check_range(L, 2, 0, UINT32_MAX);
}

/*** S.getpriority(which, who=0) -> nice value, -20 to 19
 * which: S.c.PRIO ("process", "pgrp", "user"); who: its id, 0 the caller's. Errors: ESRCH.
 * getpriority(2). */
static int l_getpriority(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_PRIO);
	/* The raw call answers 20 - nice, so that an error can be told from -1. */
	long rc = sys_result(syscall(SYS_getpriority, which, check_who(L)));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, 20 - rc);
	return 1;
}

/*** S.setpriority(which, who, nice) -> true
 * As getpriority; nice from -20 (most favoured) to 19. Errors: EACCES (more favoured, without
 * CAP_SYS_NICE), EPERM (another user's), ESRCH. setpriority(2). */
static int l_setpriority(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_PRIO), who = check_who(L);
	int nice = (int)bind_check_range(L, 3, -20, 19);

	return bind_return_ok(L, sys_result(syscall(SYS_setpriority, which, who, nice)));
}

/*** S.ioprio_get(which, who=0) -> class, level
 * which: S.c.IOPRIO_WHO; class: "none", "rt", "be", "idle"; level 0 (first) to 7. Errors: ESRCH.
 * ioprio_get(2). */
static int l_ioprio_get(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_IOPRIO_WHO);
	long rc = sys_result(syscall(SYS_ioprio_get, which, check_who(L)));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L,
		       bind_const_name(&bind_set_IOPRIO_CLASS, (uint64_t)rc >> IOPRIO_CLASS_SHIFT));
	lua_pushinteger(L, rc & 7);
	return 2;
}

/*** S.ioprio_set(which, who, class, level=0) -> true
 * As ioprio_get. Errors: EPERM ("rt" without CAP_SYS_ADMIN or CAP_SYS_NICE), ESRCH, EINVAL.
 * ioprio_set(2). */
static int l_ioprio_set(lua_State *L)
{
	int which = (int)bind_check_const(L, 1, &bind_set_IOPRIO_WHO), who = check_who(L);
	uint64_t class = bind_check_const(L, 3, &bind_set_IOPRIO_CLASS);
	lua_Integer level = lua_isnoneornil(L, 4) ? 0 : bind_check_range(L, 4, 0, 7);
	uint64_t value = class << IOPRIO_CLASS_SHIFT | (uint64_t)level;

	return bind_return_ok(L, sys_result(syscall(SYS_ioprio_set, which, who, value)));
}

/* ---- scheduling ---- */

enum { CPUS_MAX = 8192 }; /* the kernel's own largest NR_CPUS */

struct cpu_mask {
	unsigned long words[CPUS_MAX / (8 * sizeof(unsigned long))];
};

enum { WORD_BITS = 8 * sizeof(unsigned long) };

/*** S.sched_getaffinity(pid=0) -> list of the numbers of the CPUs it may run on
 * Errors: ESRCH. sched_getaffinity(2). */
static int l_sched_getaffinity(lua_State *L)
{
	int pid = bind_opt_pid(L, 1);
	struct cpu_mask mask = {0};
	/* The raw call takes any size; libc's cpu_set_t ends at 1024. */
	long rc = sys_result(syscall(SYS_sched_getaffinity, pid, sizeof(mask), &mask));
	lua_Integer n = 0;

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_newtable(L);
	for (int i = 0; i < rc * 8; i++) {
		if (mask.words[i / WORD_BITS] >> (i % WORD_BITS) & 1) {
			lua_pushinteger(L, i);
			lua_rawseti(L, -2, ++n);
		}
	}
	return 1;
}

/*** S.sched_setaffinity(pid, list) -> true
 * List of CPU numbers, from 0; those that are not there are ignored. Errors: EINVAL (none is left),
 * EPERM, ESRCH. sched_setaffinity(2). */
static int l_sched_setaffinity(lua_State *L)
{
	int pid = bind_opt_pid(L, 1);
	struct cpu_mask mask = {0};

	luaL_checktype(L, 2, LUA_TTABLE);
	for (lua_Integer i = 1; lua_geti(L, 2, i) != LUA_TNIL; i++) {
		int is_integer;
		lua_Integer cpu = lua_tointegerx(L, -1, &is_integer);

		if (!is_integer || cpu < 0 || cpu >= CPUS_MAX)
			bind_raise(L, 2, "a list of CPU numbers expected",
				   luaL_tolstring(L, -1, NULL), NULL);
		/* cppcheck-suppress arrayIndexOutOfBoundsCond ; bind_raise never returns */
		mask.words[cpu / WORD_BITS] |= 1UL << (cpu % WORD_BITS);
		lua_pop(L, 1);
	}
	return bind_return_ok(L,
			      sys_result(syscall(SYS_sched_setaffinity, pid, sizeof(mask), &mask)));
}

/*** S.sched_getscheduler(pid=0) -> policy, reset_on_fork
 * "other", "batch", "idle", "fifo", "rr", "deadline"; a boolean. Errors: ESRCH.
 * sched_getscheduler(2). */
static int l_sched_getscheduler(lua_State *L)
{
	long rc = sys_result(syscall(SYS_sched_getscheduler, bind_opt_pid(L, 1)));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L, bind_const_name(&bind_set_SCHED, (uint64_t)(rc & ~SCHED_RESET_ON_FORK)));
	lua_pushboolean(L, (rc & SCHED_RESET_ON_FORK) != 0);
	return 2;
}

/*** S.sched_setscheduler(pid, policy, priority=0) -> true
 * policy: S.c.SCHED, with "reset_on_fork" when children shall not inherit it; priority: 1 to 99 for
 * "fifo" and "rr", else 0. Errors: EPERM (CAP_SYS_NICE), EINVAL, ESRCH. sched_setscheduler(2). */
static int l_sched_setscheduler(lua_State *L)
{
	int pid = bind_opt_pid(L, 1), policy = (int)bind_check_flags(L, 2, &bind_set_SCHED);
	struct sched_param param = {
		.sched_priority = lua_isnoneornil(L, 3) ? 0 : (int)bind_check_range(L, 3, 0, 99),
	};

	return bind_return_ok(L, sys_result(syscall(SYS_sched_setscheduler, pid, policy, &param)));
}

static const luaL_Reg functions[] = {
	{"getrlimit", l_getrlimit},
	{"setrlimit", l_setrlimit},
	{"prlimit", l_prlimit},
	{"getrusage", l_getrusage},
	{"sysinfo", l_sysinfo},
	{"getpriority", l_getpriority},
	{"setpriority", l_setpriority},
	{"ioprio_get", l_ioprio_get},
	{"ioprio_set", l_ioprio_set},
	{"sched_getaffinity", l_sched_getaffinity},
	{"sched_setaffinity", l_sched_setaffinity},
	{"sched_getscheduler", l_sched_getscheduler},
	{"sched_setscheduler", l_sched_setscheduler},
	{NULL, NULL},
};

void syscall_limit(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
