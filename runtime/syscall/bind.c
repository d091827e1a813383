/* SPDX-License-Identifier: MIT */
/* bind.c – arguments and results of the syscall layer's bindings
 *
 * Runs inside any Lua state that loaded "syscall.core"; needs no privilege. The cores that do the work
 * live in one file per kernel area beside this one.
 */
#include "bind.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FD_TYPE	   "syscall.fd"
#define ERROR_TYPE "syscall.error"

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
	for (const struct bind_const *c = bind_set_E.consts; c->name; c++) {
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

void bind_push_fd(lua_State *L, int fd)
{
	*bind_new_fd(L) = fd;
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

/* ---- names ---- */

/* Levenshtein distance, for names of at most 31 characters; longer ones are never near. */
static unsigned distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned row[32];

	if (la > 31 || lb > 31)
		return UINT_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned above = row[j];
			unsigned cost = diagonal + (tolower((unsigned char)a[i - 1]) !=
						    tolower((unsigned char)b[j - 1]));
			unsigned step = (above < row[j - 1] ? above : row[j - 1]) + 1;

			row[j] = cost < step ? cost : step;
			diagonal = above;
		}
	}
	return row[lb];
}

const char *bind_nearest(const struct bind_set *set, const char *name)
{
	const char *nearest = NULL;
	unsigned best = (unsigned)strlen(name) / 3 + 2;

	for (const struct bind_const *c = set->consts; c->name; c++) {
		unsigned d = distance(c->name, name);

		if (d < best) {
			best = d;
			nearest = c->name;
		}
	}
	return nearest;
}

const char *bind_const_name(const struct bind_set *set, uint64_t value)
{
	for (const struct bind_const *c = set->consts; c->name; c++)
		if (c->value == value)
			return c->name;
	return NULL;
}

int bind_raise(lua_State *L, int arg, const char *what, const char *got, const char *near)
{
	const char *text =
		near ? lua_pushfstring(L, "%s, got '%s' (did you mean '%s'?)", what, got, near)
		     : lua_pushfstring(L, "%s, got '%s'", what, got);

	return luaL_argerror(L, arg, text);
}

static bool const_lookup(const struct bind_set *set, const char *name, size_t len,
			 uint64_t *ret_value)
{
	for (const struct bind_const *c = set->consts; c->name; c++) {
		if (strncasecmp(c->name, name, len) == 0 && c->name[len] == '\0') {
			*ret_value = c->value;
			return true;
		}
	}
	return false;
}

/* The value of the first len characters of name in set, with or without the set's prefix: "rdonly",
 * "O_RDONLY", "SIGTERM". */
static bool const_find(const struct bind_set *set, const char *name, size_t len,
		       uint64_t *ret_value)
{
	size_t prefix = strlen(set->title);

	if (const_lookup(set, name, len, ret_value))
		return true;
	if (len <= prefix || strncasecmp(name, set->title, prefix) != 0)
		return false;
	if (name[prefix] == '_')
		prefix++;
	return len > prefix && const_lookup(set, name + prefix, len - prefix, ret_value);
}

static uint64_t const_value(lua_State *L, int arg, const struct bind_set *set, const char *name,
			    size_t len)
{
	uint64_t value = 0;

	if (!const_find(set, name, len, &value)) {
		const char *copy = lua_pushlstring(L, name, len);
		const char *what = lua_pushfstring(L, "a name of S.c.%s expected", set->title);

		bind_raise(L, arg, what, copy, bind_nearest(set, copy));
	}
	return value;
}

/* "a, b | c" at the top of the stack. */
static uint64_t flags_of_string(lua_State *L, int arg, const struct bind_set *set, const char *s)
{
	uint64_t value = 0;

	while (*s) {
		s += strspn(s, " ,|\t\n");
		size_t len = strcspn(s, " ,|\t\n");

		if (len)
			value |= const_value(L, arg, set, s, len);
		s += len;
	}
	return value;
}

static uint64_t flags_of_value(lua_State *L, int index, int arg, const struct bind_set *set)
{
	index = lua_absindex(L, index);
	if (lua_isinteger(L, index))
		return (uint64_t)lua_tointeger(L, index);
	if (lua_type(L, index) == LUA_TSTRING)
		return flags_of_string(L, arg, set, lua_tostring(L, index));
	if (!lua_istable(L, index)) {
		const char *what = lua_pushfstring(L, "names of S.c.%s expected", set->title);

		bind_raise(L, arg, what, luaL_typename(L, index), NULL);
	}
	uint64_t value = 0;

	for (lua_Integer i = 1; lua_geti(L, index, i) != LUA_TNIL; i++) {
		if (lua_istable(L, -1))
			luaL_argerror(L, arg, "a list of flags holds names, not tables");
		value |= flags_of_value(L, -1, arg, set);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return value;
}

uint64_t bind_opt_flags(lua_State *L, int arg, const struct bind_set *set, uint64_t def)
{
	return lua_isnoneornil(L, arg) ? def : flags_of_value(L, arg, arg, set);
}

uint64_t bind_check_flags(lua_State *L, int arg, const struct bind_set *set)
{
	luaL_checkany(L, arg);
	return flags_of_value(L, arg, arg, set);
}

uint64_t bind_check_const(lua_State *L, int arg, const struct bind_set *set)
{
	size_t len;

	if (lua_isinteger(L, arg))
		return (uint64_t)lua_tointeger(L, arg);
	const char *name = luaL_checklstring(L, arg, &len);

	return const_value(L, arg, set, name, len);
}

void bind_push_flags(lua_State *L, const struct bind_set *set, uint64_t value)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (const struct bind_const *c = set->consts; c->name; c++) {
		bool one_bit = c->value && (c->value & (c->value - 1)) == 0;

		if (one_bit && (value & c->value)) {
			lua_pushstring(L, c->name);
			lua_seti(L, -2, ++n);
			value &= ~c->value;
		}
	}
	if (value) {
		lua_pushinteger(L, (lua_Integer)value);
		lua_seti(L, -2, ++n);
	}
}

/* ---- plain arguments ---- */

const char *bind_check_path(lua_State *L, int arg)
{
	size_t len;
	const char *path = luaL_checklstring(L, arg, &len);

	if (strlen(path) != len)
		luaL_argerror(L, arg, "the string has a NUL byte inside");
	return path;
}

unsigned bind_opt_mode(lua_State *L, int arg, unsigned def)
{
	if (lua_isnoneornil(L, arg))
		return def;
	if (lua_isinteger(L, arg))
		return (unsigned)bind_check_range(L, arg, 0, 07777777);
	const char *text = luaL_checkstring(L, arg);
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)text[0]) || *end || mode > 07777777)
		bind_raise(L, arg, "a mode in octal such as \"0755\" expected", text, NULL);
	return (unsigned)mode;
}

lua_Integer bind_check_range(lua_State *L, int arg, lua_Integer min, lua_Integer max)
{
	lua_Integer value = luaL_checkinteger(L, arg);

	if (value < min || value > max)
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "%I is not within %I and %I", value, min, max));
	return value;
}

/* ---- fields ---- */

void bind_check_fields(lua_State *L, int arg, const char *const *names)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, arg)) {
		if (lua_type(L, -2) == LUA_TSTRING) {
			const char *key = lua_tostring(L, -2);
			const char *near = NULL;
			unsigned best = (unsigned)strlen(key) / 3 + 2;
			bool known = false;

			for (const char *const *n = names; *n; n++) {
				unsigned d = distance(*n, key);

				known = known || d == 0;
				if (d < best) {
					best = d;
					near = *n;
				}
			}
			if (!known)
				bind_raise(L, arg, "a table with known fields expected", key, near);
		}
		lua_pop(L, 1);
	}
}

uint64_t bind_field_flags(lua_State *L, int arg, const char *key, const struct bind_set *set,
			  uint64_t def)
{
	uint64_t value = def;

	if (lua_getfield(L, arg, key) != LUA_TNIL)
		value = flags_of_value(L, -1, arg, set);
	lua_pop(L, 1);
	return value;
}

static void field_wants(lua_State *L, int arg, const char *key, const char *what)
{
	const char *text = lua_pushfstring(L, "field '%s': %s expected", key, what);

	bind_raise(L, arg, text, luaL_typename(L, -2), NULL);
}

lua_Integer bind_field_int(lua_State *L, int arg, const char *key, lua_Integer def)
{
	int is_integer = 1;
	lua_Integer value = def;

	if (lua_getfield(L, arg, key) != LUA_TNIL)
		value = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer)
		field_wants(L, arg, key, "an integer");
	lua_pop(L, 1);
	return value;
}

const char *bind_field_string(lua_State *L, int arg, const char *key, const char *def)
{
	const char *value = def;

	if (lua_getfield(L, arg, key) != LUA_TNIL) {
		size_t len = 0;

		if (lua_type(L, -1) != LUA_TSTRING)
			field_wants(L, arg, key, "a string");
		value = lua_tolstring(L, -1, &len);
		if (strlen(value) != len)
			field_wants(L, arg, key, "a string without NUL bytes");
	}
	lua_pop(L, 1);
	return value;
}

int bind_field_fd(lua_State *L, int arg, const char *key, int def)
{
	int fd = def;

	if (lua_getfield(L, arg, key) != LUA_TNIL) {
		int *slot = luaL_testudata(L, -1, FD_TYPE);

		if (slot && *slot < 0)
			field_wants(L, arg, key, "an open descriptor");
		if (!slot && !lua_isinteger(L, -1))
			field_wants(L, arg, key, "a descriptor");
		fd = slot ? *slot : (int)lua_tointeger(L, -1);
	}
	lua_pop(L, 1);
	return fd;
}

bool bind_field_bool(lua_State *L, int arg, const char *key, bool def)
{
	bool value = lua_getfield(L, arg, key) == LUA_TNIL ? def : (bool)lua_toboolean(L, -1);

	lua_pop(L, 1);
	return value;
}

const char **bind_push_strings(lua_State *L, int arg)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	size_t n = lua_rawlen(L, arg);
	const char **list = lua_newuserdata(L, (n + 1) * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		size_t len = 0;

		lua_geti(L, arg, (lua_Integer)i + 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			bind_raise(L, arg, "a list of strings expected", luaL_typename(L, -1),
				   NULL);
		list[i] = lua_tolstring(L, -1, &len);
		if (strlen(list[i]) != len)
			luaL_argerror(L, arg, "a string of the list has a NUL byte inside");
		lua_pop(L, 1);
	}
	list[n] = NULL;
	return list;
}

/* ---- results ---- */

int bind_return_ok(lua_State *L, long rc)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushboolean(L, 1);
	return 1;
}

int bind_return_int(lua_State *L, long rc)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, rc);
	return 1;
}

int bind_return_fd(lua_State *L, long rc)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	bind_push_fd(L, (int)rc);
	return 1;
}

void bind_set_int(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

void bind_set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

void bind_set_flags(lua_State *L, const char *key, const struct bind_set *set, uint64_t value)
{
	lua_newtable(L);
	for (const struct bind_const *c = set->consts; c->name; c++) {
		bool one_bit = c->value && (c->value & (c->value - 1)) == 0;

		if (one_bit && (value & c->value)) {
			lua_pushboolean(L, 1);
			lua_setfield(L, -2, c->name);
		}
	}
	lua_setfield(L, -2, key);
}

/* ---- the module ---- */

/* Makes t.TITLE = { NAME = value… } for one set, on first use: most programs name few constants. */
static int constants_index(lua_State *L)
{
	const char *title = luaL_checkstring(L, 2);

	for (const struct bind_set *const *set = bind_all_sets; *set; set++) {
		if (strcmp((*set)->title, title) != 0)
			continue;
		lua_newtable(L);
		for (const struct bind_const *c = (*set)->consts; c->name; c++) {
			luaL_Buffer b;

			luaL_buffinit(L, &b);
			for (const char *p = c->name; *p; p++)
				luaL_addchar(&b, (char)toupper((unsigned char)*p));
			luaL_pushresult(&b);
			lua_pushinteger(L, (lua_Integer)c->value);
			lua_rawset(L, -3);
		}
		lua_pushvalue(L, 2);
		lua_pushvalue(L, -2);
		lua_rawset(L, 1);
		return 1;
	}
	return 0;
}

extern void (*const syscall_areas[])(lua_State *L);

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

/* S.core: the functions of every area, S.c the constants, S.fd_methods what init.lua extends. */
int luaopen_syscall_core(lua_State *L)
{
	luaL_newmetatable(L, ERROR_TYPE);
	luaL_setfuncs(L, error_meta, 0);
	luaL_newmetatable(L, FD_TYPE);
	luaL_setfuncs(L, fd_meta, 0);

	lua_newtable(L);
	for (size_t i = 0; syscall_areas[i]; i++)
		syscall_areas[i](L);
	lua_pushcfunction(L, fd_close);
	lua_setfield(L, -2, "close");
	lua_pushcfunction(L, error_new);
	lua_setfield(L, -2, "error");

	luaL_newlib(L, fd_methods);
	lua_pushvalue(L, -1);
	lua_setfield(L, -4, "__index");
	lua_setfield(L, -2, "fd_methods");

	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, constants_index);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "c");
	return 1;
}
