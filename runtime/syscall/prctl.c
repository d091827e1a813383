/* SPDX-License-Identifier: MIT */
/* prctl.c – operations on a process, its keyrings, its execution domain
 *
 * prctl and keyctl are many calls behind one number; here each takes the argument types its
 * operation has, and operations that would write through a pointer of the caller's are not offered.
 * Privilege: as each man page says.
 */
#include "proc.h"

#include <linux/keyctl.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- prctl ---- */

enum { NAME_SIZE = 16 }; /* TASK_COMM_LEN */

/* nil is 0; booleans are 0 and 1. */
static unsigned long opt_word(lua_State *L, int arg)
{
	if (lua_isnoneornil(L, arg))
		return 0;
	if (lua_isboolean(L, arg))
		return (unsigned long)lua_toboolean(L, arg);
	return (unsigned long)luaL_checkinteger(L, arg);
}

/* The second argument of an operation, as its kind wants it. */
static unsigned long second_word(lua_State *L, int option)
{
	switch (option) {
	case PR_SET_PDEATHSIG:
		return (unsigned long)proc_check_signal(L, 2);
	case PR_SET_SECUREBITS:
		return bind_check_flags(L, 2, &bind_set_SECBIT);
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
		return bind_check_const(L, 2, &bind_set_CAP);
	case PR_SET_NAME:
		return (unsigned long)bind_check_path(L, 2);
	default:
		return opt_word(L, 2);
	}
}

/* S.c.PR names these too, for filters that look at the number. */
static bool takes_pointer(int option)
{
	return option == PR_SET_SECCOMP || option == PR_SET_MM || option == PR_SET_VMA ||
	       option == PR_SCHED_CORE;
}

static int prctl_get_name(lua_State *L)
{
	char name[NAME_SIZE + 1] = "";
	long rc = sys_result(prctl(PR_GET_NAME, name, 0, 0, 0));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L, name);
	return 1;
}

/* The operations that answer through a pointer to an int. */
static int prctl_get_int(lua_State *L, int option)
{
	int value = 0;
	long rc = sys_result(prctl(option, &value, 0, 0, 0));

	return bind_return_int(L, rc < 0 ? rc : value);
}

/*** S.prctl(name, arg2, arg3, arg4, arg5) -> true (set_…), an integer, a string (get_name)
 * name: S.c.PR ("set_no_new_privs", 1). Arguments: integers or booleans, missing ones 0; a signal
 * for set_pdeathsig, S.c.SECBIT names for set_securebits, a capability for capbset_…, a string of
 * at most 15 bytes for set_name. Errors: EINVAL, EPERM. prctl(2). */
static int l_prctl(lua_State *L)
{
	int option = (int)bind_check_const(L, 1, &bind_set_PR);
	const char *name = bind_const_name(&bind_set_PR, (uint64_t)option);

	if (!name)
		return luaL_argerror(L, 1, "an operation that S.c.PR names expected");
	if (takes_pointer(option))
		return luaL_argerror(L, 1, "an operation without pointers expected");
	if (option == PR_GET_NAME)
		return prctl_get_name(L);
	if (option == PR_GET_PDEATHSIG || option == PR_GET_CHILD_SUBREAPER)
		return prctl_get_int(L, option);
	unsigned long a2 = second_word(L, option), a3 = opt_word(L, 3), a4 = opt_word(L, 4),
		      a5 = opt_word(L, 5);
	long rc = sys_result(prctl(option, a2, a3, a4, a5));

	return strncmp(name, "set_", 4) == 0 ? bind_return_ok(L, rc) : bind_return_int(L, rc);
}

/* ---- keyrings ---- */

/* What the arguments of an operation are: k a key (number or S.c.KEY_SPEC name), d the same or
 * nothing, i a number, s a string, S the same or nothing, B a buffer that the kernel fills with the
 * result. */
static const struct {
	int op;
	const char *kinds;
} key_operations[] = {
	{KEYCTL_GET_KEYRING_ID, "ki"},
	{KEYCTL_JOIN_SESSION_KEYRING, "S"},
	{KEYCTL_REVOKE, "k"},
	{KEYCTL_CHOWN, "kii"},
	{KEYCTL_SETPERM, "ki"},
	{KEYCTL_DESCRIBE, "kB"},
	{KEYCTL_CLEAR, "k"},
	{KEYCTL_LINK, "kk"},
	{KEYCTL_UNLINK, "kk"},
	{KEYCTL_SEARCH, "kssd"},
	{KEYCTL_READ, "kB"},
	{KEYCTL_SET_TIMEOUT, "ki"},
	{KEYCTL_SESSION_TO_PARENT, ""},
	{KEYCTL_INVALIDATE, "k"},
	{0, NULL},
};

static unsigned long check_key(lua_State *L, int arg)
{
	return (unsigned long)(int32_t)bind_check_const(L, arg, &bind_set_KEY_SPEC);
}

static unsigned long key_argument(lua_State *L, int arg, char kind)
{
	switch (kind) {
	case 'k':
		return check_key(L, arg);
	case 'd':
		return lua_isnoneornil(L, arg) ? 0 : check_key(L, arg);
	case 'i':
		return opt_word(L, arg);
	case 's':
		return (unsigned long)bind_check_path(L, arg);
	case 'S':
		return lua_isnoneornil(L, arg) ? 0 : (unsigned long)bind_check_path(L, arg);
	default:
		return 0;
	}
}

/* The result of an operation that fills a buffer: asked for its size, then for its bytes. */
static int keyctl_buffer(lua_State *L, int op, unsigned long key)
{
	long size = 0, need = sys_result(syscall(SYS_keyctl, op, key, NULL, 0));
	char *buffer = NULL;

	while (need > size) { /* it may grow between two calls */
		size = need;
		buffer = lua_newuserdata(L, (size_t)size);
		need = sys_result(syscall(SYS_keyctl, op, key, buffer, size));
	}
	if (need < 0)
		return bind_error(L, (int)-need);
	if (op == KEYCTL_DESCRIBE && need > 0)
		need--; /* the NUL */
	lua_pushlstring(L, buffer ? buffer : "", (size_t)need);
	return 1;
}

/*** S.keyctl(op, …) -> integer, or a string for "describe" and "read"
 * op: S.c.KEYCTL. Keys are numbers or S.c.KEY_SPEC names: ("describe", "session_keyring"),
 * ("search", ring, type, description[, ring]), ("link"|"unlink", key, ring), ("setperm", key,
 * mask). Errors: ENOKEY, EACCES, EKEYREVOKED, ENOSYS. keyctl(2). */
static int l_keyctl(lua_State *L)
{
	int op = (int)bind_check_const(L, 1, &bind_set_KEYCTL), i = 0;
	unsigned long words[4] = {0};

	while (key_operations[i].kinds && key_operations[i].op != op)
		i++;
	const char *kinds = key_operations[i].kinds;

	if (!kinds)
		return luaL_argerror(L, 1, "an operation that S.c.KEYCTL names expected");
	for (int k = 0; kinds[k]; k++)
		words[k] = key_argument(L, k + 2, kinds[k]);
	if (strchr(kinds, 'B'))
		return keyctl_buffer(L, op, words[0]);
	return bind_return_int(
		L, sys_result(syscall(SYS_keyctl, op, words[0], words[1], words[2], words[3])));
}

/*** S.keyctl_join_session(name) -> key number
 * Leaves the session keyring for the one called name, or for a new one without a name (nil); what
 * the old one held is out of reach. Errors: EDQUOT, ENOSYS. KEYCTL_JOIN_SESSION_KEYRING, keyctl(2).
 */
static int l_keyctl_join_session(lua_State *L)
{
	const char *name = lua_isnoneornil(L, 1) ? NULL : bind_check_path(L, 1);

	return bind_return_int(L,
			       sys_result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name)));
}

/*** S.add_key(type, description, payload, keyring) -> key number
 * A new key in keyring (number or S.c.KEY_SPEC name), replacing one of the same type ("user",
 * "keyring") and description; payload: a string or nil. Errors: EDQUOT, EACCES, EINVAL, ENODEV (no
 * such type). add_key(2). */
static int l_add_key(lua_State *L)
{
	const char *type = bind_check_path(L, 1), *description = bind_check_path(L, 2);
	size_t size = 0;
	const char *payload = luaL_optlstring(L, 3, NULL, &size);
	unsigned long keyring = check_key(L, 4);

	return bind_return_int(
		L, sys_result(syscall(SYS_add_key, type, description, payload, size, keyring)));
}

/* ---- execution domain ---- */

/*** S.personality(flags) -> the former value, an integer
 * flags: S.c.PERSONALITY ("addr_no_randomize"); nil only asks. personality(2). */
static int l_personality(lua_State *L)
{
	uint64_t persona = bind_opt_flags(L, 1, &bind_set_PERSONALITY, 0xffffffff);

	return bind_return_int(L, sys_result(personality(persona)));
}

static const luaL_Reg functions[] = {
	{"prctl", l_prctl},
	{"keyctl", l_keyctl},
	{"keyctl_join_session", l_keyctl_join_session},
	{"add_key", l_add_key},
	{"personality", l_personality},
	{NULL, NULL},
};

void syscall_prctl(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
