/* SPDX-License-Identifier: MIT */
/* bind.c – arguments and results of the syscall layer's bindings
 *
 * Runs inside any Lua state that loaded "syscall.core"; needs no privilege. The cores that do the work
 * live in one file per kernel area beside this one.
 */
#include "bind.h"
#include "near.h"
#include "object.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

const char *bind_nearest(const struct bind_set *set, const char *name)
{
	struct near near = {.name = name, .distance = (unsigned)strlen(name) / 3 + 2};

	for (const struct bind_const *c = set->consts; *c->name; c++)
		near_offer(&near, c->name);
	return near.found;
}

const char *bind_const_name(const struct bind_set *set, uint64_t value)
{
	for (const struct bind_const *c = set->consts; *c->name; c++)
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
	int first = toupper((unsigned char)name[0]);

	for (const struct bind_const *c = set->consts; *c->name; c++) {
		if (toupper((unsigned char)c->name[0]) == first &&
		    strncasecmp(c->name, name, len) == 0 && c->name[len] == '\0') {
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

void bind_check_plain(lua_State *L, int index, int arg)
{
	if (luaL_getmetafield(L, index, "__index") == LUA_TNIL)
		return;
	luaL_argerror(L, arg,
		      "a table without __index expected: what it holds, not what it makes up");
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

	bind_check_plain(L, index, arg);
	for (lua_Integer i = 1; lua_geti(L, index, i) != LUA_TNIL; i++) {
		if (lua_istable(L, -1))
			luaL_argerror(L, arg, "a list of flags holds names, not tables");
		value |= flags_of_value(L, -1, arg, set);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return value;
}

/* What the kernel takes as an int, which would drop the rest without a word. */
static uint64_t within_int(lua_State *L, int arg, uint64_t value)
{
	if ((int64_t)value < INT32_MIN || (int64_t)value > UINT32_MAX)
		luaL_argerror(L, arg, "the value has more than the 32 bits that the kernel takes");
	return value;
}

uint64_t bind_opt_flags64(lua_State *L, int arg, const struct bind_set *set, uint64_t def)
{
	return lua_isnoneornil(L, arg) ? def : flags_of_value(L, arg, arg, set);
}

uint64_t bind_opt_flags(lua_State *L, int arg, const struct bind_set *set, uint64_t def)
{
	return lua_isnoneornil(L, arg) ? def : bind_check_flags(L, arg, set);
}

uint64_t bind_check_flags(lua_State *L, int arg, const struct bind_set *set)
{
	luaL_checkany(L, arg);
	return within_int(L, arg, flags_of_value(L, arg, arg, set));
}

uint64_t bind_check_const(lua_State *L, int arg, const struct bind_set *set)
{
	size_t len;

	if (lua_isinteger(L, arg))
		return within_int(L, arg, (uint64_t)lua_tointeger(L, arg));
	const char *name = luaL_checklstring(L, arg, &len);

	return const_value(L, arg, set, name, len);
}

void bind_push_flags(lua_State *L, const struct bind_set *set, uint64_t value)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (const struct bind_const *c = set->consts; *c->name; c++) {
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

int bind_opt_pid(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg) ? 0 : (int)bind_check_range(L, arg, 0, INT32_MAX);
}

uint32_t bind_opt_id(lua_State *L, int arg)
{
	if (lua_isnoneornil(L, arg))
		return UINT32_MAX;
	return (uint32_t)bind_check_range(L, arg, -1, UINT32_MAX - 1);
}

/* ---- fields ---- */

static bool is_field(const char *const *names, const char *key)
{
	for (; *names; names++)
		if (strcmp(*names, key) == 0)
			return true;
	return false;
}

static const char *nearest_field(const char *const *names, const char *key)
{
	struct near near = {.name = key, .distance = (unsigned)strlen(key) / 3 + 2};

	for (; *names; names++)
		near_offer(&near, *names);
	return near.found;
}

void bind_check_fields(lua_State *L, int arg, const char *const *names)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	bind_check_plain(L, arg, arg);
	lua_pushnil(L);
	while (lua_next(L, arg)) {
		if (lua_type(L, -2) == LUA_TSTRING) {
			const char *key = lua_tostring(L, -2);

			if (!is_field(names, key))
				bind_raise(L, arg, "a table with known fields expected", key,
					   nearest_field(names, key));
		}
		lua_pop(L, 1);
	}
}

uint64_t bind_field_flags(lua_State *L, int arg, const char *key, const struct bind_set *set,
			  uint64_t def)
{
	uint64_t value = bind_field_flags64(L, arg, key, set, def);

	return value == def ? def : within_int(L, arg, value);
}

uint64_t bind_field_flags64(lua_State *L, int arg, const char *key, const struct bind_set *set,
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
		lua_Integer number = slot ? *slot : lua_tointeger(L, -1);

		if ((!slot && !lua_isinteger(L, -1)) || number < 0 || number > INT_MAX)
			field_wants(L, arg, key, "a descriptor");
		fd = (int)number;
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
	bind_check_plain(L, arg, arg);
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

int bind_return_fd(lua_State *L, int *slot, long rc)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	*slot = (int)rc;
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
	for (const struct bind_const *c = set->consts; *c->name; c++) {
		bool one_bit = c->value && (c->value & (c->value - 1)) == 0;

		if (one_bit && (value & c->value)) {
			lua_pushboolean(L, 1);
			lua_setfield(L, -2, c->name);
		}
	}
	lua_setfield(L, -2, key);
}
