/* SPDX-License-Identifier: MIT */
/* credential.c – users and groups, sessions and process groups
 *
 * The raw calls, not libc's: those tell every thread of the process, and this one has a single
 * thread. Changing to ids that are not among the real, effective and saved needs CAP_SETUID or
 * CAP_SETGID; a change of the effective ids clears the parent-death signal and the dumpable flag
 * (prctl(2)).
 */
#include "proc.h"

#include <sys/syscall.h>
#include <unistd.h>

/* ---- users and groups ---- */

/*** S.getuid() -> real user id. getuid(2). */
static int l_getuid(lua_State *L)
{
	lua_pushinteger(L, getuid());
	return 1;
}

/*** S.geteuid() -> effective user id. getuid(2). */
static int l_geteuid(lua_State *L)
{
	lua_pushinteger(L, geteuid());
	return 1;
}

/*** S.getgid() -> real group id. getgid(2). */
static int l_getgid(lua_State *L)
{
	lua_pushinteger(L, getgid());
	return 1;
}

/*** S.getegid() -> effective group id. getgid(2). */
static int l_getegid(lua_State *L)
{
	lua_pushinteger(L, getegid());
	return 1;
}

static int return_three(lua_State *L, long rc, const uint32_t ids[3])
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	for (int i = 0; i < 3; i++)
		lua_pushinteger(L, ids[i]);
	return 3;
}

/*** S.getresuid() -> real, effective, saved user id. getresuid(2). */
static int l_getresuid(lua_State *L)
{
	uint32_t ids[3];

	return return_three(L, sys_result(getresuid(&ids[0], &ids[1], &ids[2])), ids);
}

/*** S.getresgid() -> real, effective, saved group id. getresgid(2). */
static int l_getresgid(lua_State *L)
{
	uint32_t ids[3];

	return return_three(L, sys_result(getresgid(&ids[0], &ids[1], &ids[2])), ids);
}

/*** S.setresuid(real, effective, saved) -> true
 * nil or -1 leaves an id as it is. Errors: EPERM, EINVAL (not mapped in the user namespace),
 * EAGAIN. setresuid(2). */
static int l_setresuid(lua_State *L)
{
	uint32_t real = bind_opt_id(L, 1), effective = bind_opt_id(L, 2), saved = bind_opt_id(L, 3);

	return bind_return_ok(L, sys_result(syscall(SYS_setresuid, real, effective, saved)));
}

/*** S.setresgid(real, effective, saved) -> true
 * nil or -1 leaves an id as it is. Errors: EPERM, EINVAL (not mapped in the user namespace).
 * setresgid(2). */
static int l_setresgid(lua_State *L)
{
	uint32_t real = bind_opt_id(L, 1), effective = bind_opt_id(L, 2), saved = bind_opt_id(L, 3);

	return bind_return_ok(L, sys_result(syscall(SYS_setresgid, real, effective, saved)));
}

/*** S.getgroups() -> list of supplementary group ids; unmapped ones are 65534. getgroups(2). */
static int l_getgroups(lua_State *L)
{
	long n = sys_result(getgroups(0, NULL));

	if (n < 0)
		return bind_error(L, (int)-n);
	gid_t *groups = lua_newuserdata(L, ((size_t)n + 1) * sizeof(*groups));

	n = sys_result(getgroups((int)n, groups));
	if (n < 0)
		return bind_error(L, (int)-n);
	lua_createtable(L, (int)n, 0);
	for (long i = 0; i < n; i++) {
		lua_pushinteger(L, groups[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/*** S.setgroups(list) -> true
 * The supplementary groups; {} drops all. Errors: EPERM (no CAP_SETGID, or /proc/self/setgroups
 * says deny), EINVAL (not mapped; more than 65536). setgroups(2). */
static int l_setgroups(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	size_t n = lua_rawlen(L, 1);
	gid_t *groups = lua_newuserdata(L, (n + 1) * sizeof(*groups));

	for (size_t i = 0; i < n; i++) {
		int is_integer;

		lua_geti(L, 1, (lua_Integer)i + 1);
		lua_Integer id = lua_tointegerx(L, -1, &is_integer);

		if (!is_integer || id < 0 || id >= UINT32_MAX)
			bind_raise(L, 1, "a list of group ids expected",
				   luaL_tolstring(L, -1, NULL), NULL);
		groups[i] = (gid_t)id;
		lua_pop(L, 1);
	}
	return bind_return_ok(L, sys_result(syscall(SYS_setgroups, n, groups)));
}

/* ---- sessions and process groups ---- */

/*** S.setsid() -> id of a new session without a terminal
 * Errors: EPERM (this process leads a process group). setsid(2). */
static int l_setsid(lua_State *L)
{
	return bind_return_int(L, sys_result(setsid()));
}

/*** S.getsid(pid=0) -> session id. Errors: ESRCH. getsid(2). */
static int l_getsid(lua_State *L)
{
	return bind_return_int(L, sys_result(getsid(bind_opt_pid(L, 1))));
}

/*** S.setpgid(pid=0, pgid=0) -> true
 * 0: this process; a new group of its own. Errors: EACCES (the child executed already), EPERM,
 * ESRCH. setpgid(2). */
static int l_setpgid(lua_State *L)
{
	int pid = bind_opt_pid(L, 1), pgid = bind_opt_pid(L, 2);

	return bind_return_ok(L, sys_result(setpgid(pid, pgid)));
}

/*** S.getpgid(pid=0) -> process group. Errors: ESRCH. getpgid(2). */
static int l_getpgid(lua_State *L)
{
	return bind_return_int(L, sys_result(getpgid(bind_opt_pid(L, 1))));
}

/*** S.getpgrp() -> process group of this process. getpgrp(2). */
static int l_getpgrp(lua_State *L)
{
	lua_pushinteger(L, getpgrp());
	return 1;
}

static const luaL_Reg functions[] = {
	{"getuid", l_getuid},	    {"geteuid", l_geteuid},
	{"getgid", l_getgid},	    {"getegid", l_getegid},
	{"getresuid", l_getresuid}, {"getresgid", l_getresgid},
	{"setresuid", l_setresuid}, {"setresgid", l_setresgid},
	{"getgroups", l_getgroups}, {"setgroups", l_setgroups},
	{"setsid", l_setsid},	    {"getsid", l_getsid},
	{"setpgid", l_setpgid},	    {"getpgid", l_getpgid},
	{"getpgrp", l_getpgrp},	    {NULL, NULL},
};

void syscall_credential(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
