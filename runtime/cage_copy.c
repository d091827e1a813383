/* SPDX-License-Identifier: MIT */
/* cage_copy.c – data out of the cage, and facts into it
 *
 * The profile's result becomes a tree of plain tables in the engine's state: a table that is used
 * twice arrives twice, and nothing that a profile could still change or run (functions, metatables)
 * arrives at all. Depth, number and bytes are bounded, because tables that share tables grow
 * without end as a tree. Only calls that cannot raise touch the state that is copied from.
 */
#include "cage.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

enum { VALUES_LIMIT = 100000, BYTES_LIMIT = 64 << 20, FAULTS_LIMIT = 20, PATH_LIMIT = 8 };

static bool copy_scalar(lua_State *from, int index, lua_State *to)
{
	size_t len;
	const char *text;

	switch (lua_type(from, index)) {
	case LUA_TBOOLEAN:
		lua_pushboolean(to, lua_toboolean(from, index));
		return true;
	case LUA_TNUMBER:
		if (lua_isinteger(from, index))
			lua_pushinteger(to, lua_tointeger(from, index));
		else
			lua_pushnumber(to, lua_tonumber(from, index));
		return true;
	case LUA_TSTRING:
		text = lua_tolstring(from, index, &len);
		lua_pushlstring(to, text, len);
		return true;
	case LUA_TNIL:
		lua_pushnil(to);
		return true;
	default:
		return false;
	}
}

static void copy_plain(lua_State *from, int index, lua_State *to, int depth)
{
	if (copy_scalar(from, index, to))
		return;
	if (!lua_istable(from, index) || depth == 0 || !lua_checkstack(from, 4)) {
		lua_pushnil(to);
		return;
	}
	luaL_checkstack(to, 4, NULL);
	lua_newtable(to);
	for (lua_pushnil(from); lua_next(from, index); lua_pop(from, 1)) {
		if (!copy_scalar(from, lua_gettop(from) - 1, to))
			continue;
		copy_plain(from, lua_gettop(from), to, depth - 1);
		lua_rawset(to, -3);
	}
}

void cage_copy(lua_State *from, int index, lua_State *to)
{
	copy_plain(from, lua_absindex(from, index), to, CAGE_DEPTH);
}

/* ---- the result of a profile ---- */

struct transfer {
	lua_State *from, *to;
	int from_origins; /* index in from: [table] = position */
	int origins;	  /* indexes in to */
	int faults;
	int anchor;	  /* position of the nearest table that a constructor made; 0: none */
	int anchor_depth; /* how many keys lead to that table */
	int path_start;	  /* where the path that is shown begins: parents stand for themselves */
	int depth;
	size_t values, bytes;
	int keys[CAGE_DEPTH]; /* in from: the key on the way at each depth */
	const void *open[CAGE_DEPTH];
};

static bool is_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	while (isalnum((unsigned char)*s) || *s == '_')
		s++;
	return *s == '\0';
}

/* Pushes "mounts[2].source" on `to`. */
static void push_path(struct transfer *t)
{
	lua_pushliteral(t->to, "");
	for (int i = t->path_start; i < t->depth; i++) {
		if (i == t->path_start + PATH_LIMIT) {
			lua_pushliteral(t->to, " ...");
			lua_concat(t->to, 2);
			return;
		}
		int key = t->keys[i];
		const char *text =
			lua_type(t->from, key) == LUA_TSTRING ? lua_tostring(t->from, key) : NULL;

		if (text && is_name(text))
			lua_pushfstring(t->to, i > t->path_start ? ".%s" : "%s", text);
		else if (text)
			lua_pushfstring(t->to, "[\"%s\"]", text);
		else if (lua_isinteger(t->from, key))
			lua_pushfstring(t->to, "[%I]", (LUAI_UACINT)lua_tointeger(t->from, key));
		else
			lua_pushliteral(t->to, "[?]");
		lua_concat(t->to, 2);
	}
}

/* Adds { message, path, file, line, chain, keys = from the constructed table to the value }. */
static void add_fault(struct transfer *t, const char *what)
{
	static const char *const fields[] = {"file", "line", "chain"};
	lua_State *to = t->to;
	lua_Integer n = (lua_Integer)lua_rawlen(to, t->faults);

	if (n >= FAULTS_LIMIT)
		return;
	luaL_checkstack(to, 10, NULL);
	lua_newtable(to);
	for (size_t i = 0; t->anchor && i < sizeof(fields) / sizeof(fields[0]); i++) {
		lua_getfield(to, t->anchor, fields[i]);
		lua_setfield(to, -2, fields[i]);
	}
	push_path(t);
	if (lua_rawlen(to, -1) > 0)
		lua_pushfstring(to, "%s: %s", lua_tostring(to, -1), what);
	else
		lua_pushfstring(to, "the profile's value: %s", what);
	lua_setfield(to, -3, "message");
	lua_setfield(to, -2, "path");
	lua_newtable(to);
	for (int i = t->anchor_depth; i < t->depth; i++) {
		if (!copy_scalar(t->from, t->keys[i], to))
			lua_pushboolean(to, 0);
		lua_rawseti(to, -2, i - t->anchor_depth + 1);
	}
	lua_setfield(to, -2, "keys");
	lua_rawseti(to, t->faults, n + 1);
}

static bool count(struct transfer *t, int index)
{
	size_t len = lua_type(t->from, index) == LUA_TSTRING ? lua_rawlen(t->from, index) : 0;

	if (t->values > VALUES_LIMIT)
		return false;
	t->values++;
	t->bytes += len;
	if (t->values <= VALUES_LIMIT && t->bytes <= BYTES_LIMIT)
		return true;
	t->values = VALUES_LIMIT + 1;
	add_fault(t, "too much data: a profile may have 100000 values and 64 MiB");
	return false;
}

/* The table made by a constructor whose position is at the top of `from`; its copy is at the top of
 * `to`. */
static void enter_constructed(struct transfer *t)
{
	copy_plain(t->from, lua_gettop(t->from), t->to, 3);
	lua_pushvalue(t->to, -2);
	lua_pushvalue(t->to, -2);
	lua_rawset(t->to, t->origins);
	t->anchor = lua_gettop(t->to); /* it stays there below the fields */
	t->anchor_depth = t->depth;
}

static bool is_container(lua_State *from, int table)
{
	lua_pushliteral(from, "type");
	lua_rawget(from, table);
	bool yes = lua_type(from, -1) == LUA_TSTRING &&
		   strcmp(lua_tostring(from, -1), "container") == 0;

	lua_pop(from, 1);
	return yes;
}

static void transfer_value(struct transfer *t, int index);

/* For each field; the copy is at index `copy` of `to`. */
static void transfer_fields(struct transfer *t, int table, int copy)
{
	bool container = is_container(t->from, table);

	for (lua_pushnil(t->from); lua_next(t->from, table); lua_pop(t->from, 1)) {
		int key = lua_gettop(t->from) - 1;
		int start = t->path_start;

		t->keys[t->depth++] = key;
		if (container && lua_type(t->from, key) == LUA_TNUMBER)
			t->path_start = t->depth;
		if (!copy_scalar(t->from, key, t->to)) {
			add_fault(t, "a field's name must be a string or a number");
		} else {
			transfer_value(t, key + 1);
			lua_rawset(t->to, copy);
		}
		t->path_start = start;
		t->depth--;
	}
}

/* Pushes the copy of a table. */
static void transfer_table(struct transfer *t, int table)
{
	const void *self = lua_topointer(t->from, table);
	int anchor = t->anchor, anchor_depth = t->anchor_depth;
	const char *fault = NULL;

	for (int i = 0; i < t->depth && !fault; i++)
		if (t->open[i] == self)
			fault = "the table contains itself";
	if (!fault && lua_getmetatable(t->from, table)) {
		lua_pop(t->from, 1);
		fault = "a table with a metatable is no data (name the values that are meant)";
	}
	if (!fault && t->depth == CAGE_DEPTH)
		fault = "more than 64 tables within tables";
	if (fault || !lua_checkstack(t->from, 8)) {
		add_fault(t, fault ? fault : "no memory");
		lua_pushnil(t->to);
		return;
	}
	luaL_checkstack(t->to, 8, NULL);
	lua_newtable(t->to);
	int copy = lua_gettop(t->to);

	t->open[t->depth] = self;
	lua_pushvalue(t->from, table);
	if (lua_rawget(t->from, t->from_origins) == LUA_TTABLE)
		enter_constructed(t);
	lua_pop(t->from, 1);
	transfer_fields(t, table, copy);
	lua_settop(t->to, copy);
	t->anchor = anchor;
	t->anchor_depth = anchor_depth;
}

static void transfer_value(struct transfer *t, int index)
{
	if (!count(t, index)) {
		lua_pushnil(t->to);
	} else if (lua_istable(t->from, index)) {
		transfer_table(t, index);
	} else if (!copy_scalar(t->from, index, t->to)) {
		add_fault(t, "a function is no data");
		lua_pushnil(t->to);
	}
}

void cage_transfer(struct cage *cage, int index)
{
	struct transfer t = {.from = cage->profile, .to = cage->engine};

	luaL_checkstack(t.to, 10, NULL);
	lua_newtable(t.to);
	t.origins = lua_gettop(t.to);
	lua_newtable(t.to);
	t.faults = t.origins + 1;
	cage_push_origins(t.from);
	t.from_origins = lua_gettop(t.from);
	transfer_value(&t, index);
	lua_insert(t.to, t.origins); /* value, origins, faults */
}
