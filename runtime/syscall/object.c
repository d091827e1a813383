/* SPDX-License-Identifier: MIT */
/* object.c – the two kinds of objects that the syscall layer hands out: errors and descriptors
 *
 * An error says its number by name (err.NOENT); a descriptor closes itself when it is collected. Nothing here
 * needs privilege.
 */
#include "bind.h"
#include "object.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- errors ---- */

int bind_error(lua_State *L, int err)
{
	lua_pushnil(L);
	lua_createtable(L, 0, 1);
	lua_pushinteger(L, err);
	lua_setfield(L, -2, "errno");
	luaL_setmetatable(L, ERROR_TYPE);
	lua_pushinteger(L, err);
	return 3;
}

/*** S.error(errno) -> error object
 * As calls return it: for numbers that came another way, such as from a child. */
static int error_new(lua_State *L)
{
	bind_error(L, (int)bind_check_range(L, 1, 1, 4095));
	lua_pop(L, 1);
	return 1;
}

/* The text for the number; with what the kernel said beyond it, where it did (err.text, from netlink). */
static int error_tostring(lua_State *L)
{
	lua_getfield(L, 1, "errno");
	const char *text = strerror((int)lua_tointeger(L, -1));

	lua_pushliteral(L, "text");
	if (lua_rawget(L, 1) == LUA_TSTRING)
		lua_pushfstring(L, "%s: %s", text, lua_tostring(L, -1));
	else
		lua_pushstring(L, text);
	return 1;
}

/* err.NOENT: true or false; a name that no error has is wrong use. */
static int error_index(lua_State *L)
{
	const char *key = luaL_checkstring(L, 2);

	lua_pushliteral(L, "errno");
	lua_rawget(L, 1);
	lua_Integer number = lua_tointeger(L, -1);
	for (const struct bind_const *c = bind_set_E.consts; *c->name; c++) {
		if (strcasecmp(c->name, key) == 0) {
			lua_pushboolean(L, c->value == (uint64_t)number);
			return 1;
		}
	}
	if (strcmp(key, "name") == 0) {
		const char *name = bind_const_name(&bind_set_E, (uint64_t)number);

		lua_pushstring(L, name ? name : "unknown");
		return 1;
	}
	if (isupper((unsigned char)key[0]))
		return luaL_error(L, "no error is named '%s'", key);
	return 0;
}

static int error_equal(lua_State *L)
{
	lua_getfield(L, 1, "errno");
	lua_getfield(L, 2, "errno");
	lua_pushboolean(L, lua_rawequal(L, -1, -2));
	return 1;
}

/* ---- descriptors ---- */

int *bind_new_fd(lua_State *L)
{
	int *slot = lua_newuserdata(L, sizeof(*slot));

	*slot = -1;
	luaL_setmetatable(L, FD_TYPE);
	return slot;
}

static int fd_gc(lua_State *L)
{
	int *slot = luaL_checkudata(L, 1, FD_TYPE);

	if (*slot >= 0)
		(void)close(*slot); /* nobody is left to hear of it */
	*slot = -1;
	return 0;
}

static int fd_tostring(lua_State *L)
{
	int *slot = luaL_checkudata(L, 1, FD_TYPE);

	if (*slot < 0)
		lua_pushliteral(L, "fd (closed)");
	else
		lua_pushfstring(L, "fd %d", *slot);
	return 1;
}

/* The number; the object stays the owner. */
static int fd_getfd(lua_State *L)
{
	lua_pushinteger(L, bind_check_fd(L, 1));
	return 1;
}

/* The number, which the caller owns from now on. */
static int fd_release(lua_State *L)
{
	int *slot = luaL_checkudata(L, 1, FD_TYPE);

	lua_pushinteger(L, bind_check_fd(L, 1));
	*slot = -1;
	return 1;
}

/*** S.close(fd) -> true
 * A descriptor object is closed for good even when an error is returned; using it again raises. Errors: BADF,
 * IO. Not retried on EINTR: on Linux the descriptor is gone whatever close() says. Source: close(2).
 */
static int fd_close(lua_State *L)
{
	int *slot = luaL_testudata(L, 1, FD_TYPE);
	int fd = bind_check_fd(L, 1);

	if (slot)
		*slot = -1;
	return bind_return_ok(L, sys_result(close(fd)));
}

int bind_check_fd(lua_State *L, int arg)
{
	int *slot = luaL_testudata(L, arg, FD_TYPE);

	if (slot) {
		if (*slot < 0)
			luaL_argerror(L, arg, "the descriptor is closed");
		return *slot;
	}
	if (!lua_isinteger(L, arg))
		return bind_raise(L, arg, "a descriptor expected", luaL_typename(L, arg), NULL);
	return (int)bind_check_range(L, arg, 0, INT_MAX);
}

int bind_opt_dirfd(lua_State *L, int arg)
{
	if (lua_isnoneornil(L, arg))
		return AT_FDCWD;
	if (lua_type(L, arg) == LUA_TSTRING && strcasecmp(lua_tostring(L, arg), "fdcwd") == 0)
		return AT_FDCWD;
	return bind_check_fd(L, arg);
}

/* ---- what the module is given ---- */

static const luaL_Reg error_meta[] = {
	{"__tostring", error_tostring},
	{"__index", error_index},
	{"__eq", error_equal},
	{NULL, NULL},
};

static const luaL_Reg fd_meta[] = {
	{"__gc", fd_gc},
	{"__tostring", fd_tostring},
	{NULL, NULL},
};

static const luaL_Reg fd_methods[] = {
	{"getfd", fd_getfd},
	{"release", fd_release},
	{"close", fd_close},
	{NULL, NULL},
};

void object_metatables(lua_State *L)
{
	luaL_newmetatable(L, ERROR_TYPE);
	luaL_setfuncs(L, error_meta, 0);
	lua_pop(L, 1);

	luaL_newmetatable(L, FD_TYPE);
	luaL_setfuncs(L, fd_meta, 0);
	lua_pushboolean(L, 0); /* getmetatable() gives nobody __gc */
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, fd_methods);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "__index");
	lua_remove(L, -2);
}

void object_functions(lua_State *L)
{
	lua_pushcfunction(L, fd_close);
	lua_setfield(L, -2, "close");
	lua_pushcfunction(L, error_new);
	lua_setfield(L, -2, "error");
}
