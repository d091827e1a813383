/* SPDX-License-Identifier: MIT */
/* capability.c – capability sets, by libcap
 *
 * A capability is a name ("chown", "CAP_CHOWN") or a number; a set of them is a list in number
 * order. Inside C a set is a mask. Raising needs what capabilities(7) says; reading and dropping of
 * effective, permitted, inheritable and ambient need nothing, dropping from the bounding set needs
 * CAP_SETPCAP.
 */
#include "bind.h"

#include <sys/capability.h>

struct cap_sets {
	uint64_t effective, permitted, inheritable;
};

/* ---- lists and masks ---- */

static uint64_t one_mask(lua_State *L, int index, int arg)
{
	index = lua_absindex(L, index);
	if (lua_type(L, index) != LUA_TSTRING && !lua_isinteger(L, index))
		bind_raise(L, arg, "names of S.c.CAP expected", luaL_typename(L, index), NULL);
	/* The name stands at arg for bind_check_const, whose errors then tell the caller's
	 * argument. */
	lua_pushvalue(L, arg);
	lua_pushvalue(L, index);
	lua_replace(L, arg);
	uint64_t number = bind_check_const(L, arg, &bind_set_CAP);

	if (number > 63)
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "there is no capability %I", (lua_Integer)number));
	lua_replace(L, arg);
	return UINT64_C(1) << number;
}

static uint64_t list_mask(lua_State *L, int index, int arg)
{
	uint64_t mask = 0;

	index = lua_absindex(L, index);
	lua_pushvalue(L, index); /* one_mask borrows the place of arg, where the list may stand */
	for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
		mask |= one_mask(L, -1, arg);
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return mask;
}

/* A name, a number, or a list of them. */
static uint64_t check_mask(lua_State *L, int arg)
{
	luaL_checkany(L, arg);
	return lua_istable(L, arg) ? list_mask(L, arg, arg) : one_mask(L, arg, arg);
}

static void push_name(lua_State *L, unsigned number)
{
	const char *name = bind_const_name(&bind_set_CAP, number);

	if (name)
		lua_pushstring(L, name);
	else
		lua_pushinteger(L, number); /* newer than the headers this was built with */
}

static void push_mask(lua_State *L, uint64_t mask)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (unsigned i = 0; i < 64; i++) {
		if (mask >> i & 1) {
			push_name(L, i);
			lua_rawseti(L, -2, ++n);
		}
	}
}

/* ---- cores ---- */

static uint64_t flag_mask(cap_t caps, cap_flag_t flag)
{
	uint64_t mask = 0;
	cap_flag_value_t value;

	for (int i = 0; i < cap_max_bits(); i++)
		if (cap_get_flag(caps, i, flag, &value) == 0 && value == CAP_SET)
			mask |= UINT64_C(1) << i;
	return mask;
}

/* pid 0: this process. */
static int sets_get(pid_t pid, struct cap_sets *ret_sets)
{
	cap_t caps = pid ? cap_get_pid(pid) : cap_get_proc();

	if (!caps)
		return -errno;
	ret_sets->effective = flag_mask(caps, CAP_EFFECTIVE);
	ret_sets->permitted = flag_mask(caps, CAP_PERMITTED);
	ret_sets->inheritable = flag_mask(caps, CAP_INHERITABLE);
	(void)cap_free(caps);
	return 0;
}

static int flag_fill(cap_t caps, cap_flag_t flag, uint64_t mask)
{
	for (int i = 0; i < cap_max_bits(); i++) {
		cap_value_t value = i;

		if (cap_set_flag(caps, flag, 1, &value, mask >> i & 1 ? CAP_SET : CAP_CLEAR) < 0)
			return -errno;
	}
	return 0;
}

static int sets_set(const struct cap_sets *sets)
{
	cap_t caps = cap_init();

	if (!caps)
		return -errno;
	int rc = flag_fill(caps, CAP_EFFECTIVE, sets->effective);

	if (rc == 0)
		rc = flag_fill(caps, CAP_PERMITTED, sets->permitted);
	if (rc == 0)
		rc = flag_fill(caps, CAP_INHERITABLE, sets->inheritable);
	if (rc == 0 && cap_set_proc(caps) < 0)
		rc = -errno;
	(void)cap_free(caps);
	return rc;
}

/* Calls change(number) for each of mask, in order; stops at the first that fails. */
static int each(uint64_t mask, int (*change)(cap_value_t))
{
	for (int i = 0; i < 64; i++)
		if ((mask >> i & 1) && change(i) < 0)
			return -errno;
	return 0;
}

static int ambient_raise(cap_value_t value)
{
	return cap_set_ambient(value, CAP_SET);
}

static int ambient_lower(cap_value_t value)
{
	return cap_set_ambient(value, CAP_CLEAR);
}

static uint64_t probe_mask(int (*probe)(cap_value_t))
{
	uint64_t mask = 0;

	for (int i = 0; i < cap_max_bits(); i++)
		if (probe(i) > 0)
			mask |= UINT64_C(1) << i;
	return mask;
}

/* ---- bindings ---- */

/*** S.capget(pid=0) -> { effective=, permitted=, inheritable= }, lists of names
 * Of this process or another. Errors: ESRCH. capget(2). */
static int l_capget(lua_State *L)
{
	pid_t pid = lua_isnoneornil(L, 1) ? 0 : (pid_t)bind_check_range(L, 1, 0, INT32_MAX);
	struct cap_sets sets = {0};
	int rc = sets_get(pid, &sets);

	if (rc < 0)
		return bind_error(L, -rc);
	lua_createtable(L, 0, 3);
	push_mask(L, sets.effective);
	lua_setfield(L, -2, "effective");
	push_mask(L, sets.permitted);
	lua_setfield(L, -2, "permitted");
	push_mask(L, sets.inheritable);
	lua_setfield(L, -2, "inheritable");
	return 1;
}

static const char *const capset_fields[] = {"effective", "permitted", "inheritable", NULL};

/* The list in field key of argument 1; def when there is none. */
static uint64_t field_mask(lua_State *L, const char *key, uint64_t def)
{
	uint64_t mask = def;

	if (lua_getfield(L, 1, key) != LUA_TNIL) {
		if (!lua_istable(L, -1))
			luaL_argerror(
				L, 1,
				lua_pushfstring(L, "field '%s': a list of names expected", key));
		mask = list_mask(L, -1, 1);
	}
	lua_pop(L, 1);
	return mask;
}

/*** S.capset{ effective=, permitted=, inheritable= } -> true
 * Lists; a field that is not given stays as it is. Errors: EPERM (permitted grows, effective beyond
 * permitted, inheritable beyond bounding). capset(2). */
static int l_capset(lua_State *L)
{
	struct cap_sets sets = {0};

	bind_check_fields(L, 1, capset_fields);
	int rc = sets_get(0, &sets);

	if (rc < 0)
		return bind_error(L, -rc);
	sets.effective = field_mask(L, "effective", sets.effective);
	sets.permitted = field_mask(L, "permitted", sets.permitted);
	sets.inheritable = field_mask(L, "inheritable", sets.inheritable);
	return bind_return_ok(L, sets_set(&sets));
}

/*** S.cap_names() -> list of all the kernel's capabilities, in number order
 * chown, number 0, is the first; those without a known name come as numbers. capabilities(7). */
static int l_cap_names(lua_State *L)
{
	push_mask(L, cap_max_bits() >= 64 ? UINT64_MAX : (UINT64_C(1) << cap_max_bits()) - 1);
	return 1;
}

/*** S.cap_mask(list) -> integer with bit n set for capability n of the list. capabilities(7). */
static int l_cap_mask(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)check_mask(L, 1));
	return 1;
}

/*** S.cap_bounding_read() -> list of the bounding set. PR_CAPBSET_READ, prctl(2). */
static int l_cap_bounding_read(lua_State *L)
{
	push_mask(L, probe_mask(cap_get_bound));
	return 1;
}

/*** S.cap_bounding_drop(name or list) -> true
 * For good, for this process and what it executes. Errors: EPERM (CAP_SETPCAP), EINVAL (no such
 * capability). PR_CAPBSET_DROP, prctl(2). */
static int l_cap_bounding_drop(lua_State *L)
{
	return bind_return_ok(L, each(check_mask(L, 1), cap_drop_bound));
}

/*** S.cap_ambient_raise(name or list) -> true
 * Into the ambient set, which survives execve. Errors: EPERM (not in permitted and inheritable, or
 * the securebit no_cap_ambient_raise). PR_CAP_AMBIENT_RAISE, prctl(2). */
static int l_cap_ambient_raise(lua_State *L)
{
	return bind_return_ok(L, each(check_mask(L, 1), ambient_raise));
}

/*** S.cap_ambient_lower(name or list) -> true. PR_CAP_AMBIENT_LOWER, prctl(2). */
static int l_cap_ambient_lower(lua_State *L)
{
	return bind_return_ok(L, each(check_mask(L, 1), ambient_lower));
}

/*** S.cap_ambient_clear() -> true. PR_CAP_AMBIENT_CLEAR_ALL, prctl(2). */
static int l_cap_ambient_clear(lua_State *L)
{
	return bind_return_ok(L, sys_result(cap_reset_ambient()));
}

/*** S.cap_ambient_read() -> list of the ambient set. PR_CAP_AMBIENT_IS_SET, prctl(2). */
static int l_cap_ambient_read(lua_State *L)
{
	push_mask(L, probe_mask(cap_get_ambient));
	return 1;
}

static const luaL_Reg functions[] = {
	{"capget", l_capget},
	{"capset", l_capset},
	{"cap_names", l_cap_names},
	{"cap_mask", l_cap_mask},
	{"cap_bounding_read", l_cap_bounding_read},
	{"cap_bounding_drop", l_cap_bounding_drop},
	{"cap_ambient_raise", l_cap_ambient_raise},
	{"cap_ambient_lower", l_cap_ambient_lower},
	{"cap_ambient_clear", l_cap_ambient_clear},
	{"cap_ambient_read", l_cap_ambient_read},
	{NULL, NULL},
};

void syscall_capability(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
