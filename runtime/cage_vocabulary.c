/* SPDX-License-Identifier: MIT */
/* cage_vocabulary.c – what a profile has beyond Lua: constructors, host, param, require, profile
 *
 * Constructors are C closures, because a Lua function called in tail position loses its caller's
 * line. What they return are plain tables with a `type`; where each was made is kept in a table
 * beside them, so that faults found later can name file and line. Reading files is the engine's
 * work: the function `ask` of the request, called in a protected call on the engine's state.
 */
#include "cage.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

enum {
	CHAIN_LIMIT = 8,
	CONSTRUCTORS = 4,
	FACTS = 5,
	PARAMS = 7
}; /* the request on the engine's stack */

/* Keys of the registry, by address. */
static const char origins_key, used_key, loaded_key;

static void push_registered(lua_State *P, const void *key)
{
	if (lua_rawgetp(P, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
		return;
	lua_pop(P, 1);
	lua_newtable(P);
	lua_pushvalue(P, -1);
	lua_rawsetp(P, LUA_REGISTRYINDEX, key);
}

void cage_push_origins(lua_State *P)
{
	push_registered(P, &origins_key);
}

void cage_push_used(lua_State *P)
{
	push_registered(P, &used_key);
}

/* ---- positions ---- */

/* Finds the first Lua function at *level or above; its source starts with '@'. */
static bool find_caller(lua_State *P, int *level, lua_Debug *ar)
{
	for (; lua_getstack(P, *level, ar); (*level)++) {
		lua_getinfo(P, "Sl", ar);
		if (ar->currentline > 0)
			return true;
	}
	return false;
}

void cage_push_position(lua_State *P, int level)
{
	lua_Debug ar;

	luaL_checkstack(P, 8, NULL);
	if (!find_caller(P, &level, &ar)) {
		lua_pushnil(P);
		return;
	}
	lua_createtable(P, 0, 3);
	lua_pushstring(P, ar.source + 1);
	lua_setfield(P, -2, "file");
	lua_pushinteger(P, ar.currentline);
	lua_setfield(P, -2, "line");
	if (strcmp(ar.what, "main") == 0)
		return;
	lua_newtable(P);
	for (int n = 1; n <= CHAIN_LIMIT && strcmp(ar.what, "main") != 0; n++) {
		level++;
		if (!find_caller(P, &level, &ar))
			break;
		lua_pushfstring(P, "%s:%d", ar.source + 1, ar.currentline);
		lua_rawseti(P, -2, n);
	}
	if (lua_rawlen(P, -1) == 0) /* a tail call took its caller's place */
		lua_pop(P, 1);
	else
		lua_setfield(P, -2, "chain");
}

/* Remembers where the table at the top was made. */
static void note_origin(lua_State *P)
{
	cage_push_origins(P);
	lua_pushvalue(P, -2);
	cage_push_position(P, 1);
	lua_rawset(P, -3);
	lua_pop(P, 1);
}

/* ---- constructors; upvalue: the name ---- */

static void copy_fields(lua_State *P, int from, int to, const char *name)
{
	if (lua_getmetatable(P, from))
		luaL_error(P, "%s takes a plain table, not one with a metatable", name);
	lua_pushliteral(P, "type");
	if (lua_rawget(P, from) != LUA_TNIL)
		luaL_error(P, "%s sets the field 'type' itself", name);
	lua_pop(P, 1);
	for (lua_pushnil(P); lua_next(P, from);) {
		lua_pushvalue(P, -2);
		lua_insert(P, -2);
		lua_rawset(P, to);
	}
}

static int construct(lua_State *P)
{
	const char *name = lua_tostring(P, lua_upvalueindex(1));

	if (lua_gettop(P) > 1)
		return luaL_error(P, "%s takes one table: %s { ... }", name, name);
	lua_settop(P, 1);
	lua_createtable(P, 0, 4);
	if (lua_istable(P, 1)) {
		copy_fields(P, 1, 2, name);
	} else if (!lua_isnil(P, 1)) {
		lua_pushvalue(P, 1);
		lua_rawseti(P, 2, 1);
	}
	lua_pushstring(P, name);
	lua_setfield(P, 2, "type");
	note_origin(P);
	return 1;
}

/* optional(v) and remove(v): { type, value = v }. A mount that is not there stays not there. */
static int wrap(lua_State *P)
{
	if (lua_gettop(P) != 1)
		return luaL_error(P, "%s takes one value", lua_tostring(P, lua_upvalueindex(1)));
	if (!lua_toboolean(P, 1))
		return 1;
	lua_createtable(P, 0, 2);
	lua_pushvalue(P, lua_upvalueindex(1));
	lua_setfield(P, -2, "type");
	lua_pushvalue(P, 1);
	lua_setfield(P, -2, "value");
	note_origin(P);
	return 1;
}

static void add_function(lua_State *P, const char *name, lua_CFunction function)
{
	lua_pushstring(P, name);
	lua_pushvalue(P, -1);
	lua_pushcclosure(P, function, 1);
	lua_rawset(P, -3);
}

static void add_constructors(lua_State *P)
{
	lua_State *E = cage_of(P)->engine;

	for (lua_Integer i = 1; lua_rawgeti(E, CONSTRUCTORS, i) == LUA_TSTRING; i++) {
		add_function(P, lua_tostring(E, -1), construct);
		lua_pop(E, 1);
	}
	lua_pop(E, 1);
	add_function(P, "append", construct);
	add_function(P, "without", construct);
	add_function(P, "optional", wrap);
	add_function(P, "remove", wrap);
}

/* ---- the engine ---- */

struct query {
	const char *kind, *name, *from;
};

/* On the engine's state: ask(kind, name, from). */
static int call_ask(lua_State *E)
{
	const struct query *q = lua_touserdata(E, 2);

	lua_settop(E, 1);
	lua_pushstring(E, q->kind);
	lua_pushstring(E, q->name);
	lua_pushstring(E, q->from);
	lua_call(E, 3, 2);
	return 2;
}

/* Calls the engine; its two results are at the top of the returned stack, or its message is raised.
 */
static lua_State *ask(lua_State *P, const char *kind, const char *name)
{
	lua_State *E = cage_of(P)->engine;
	lua_Debug ar;
	int level = 1;
	struct query q = {kind, name, ""};

	if (find_caller(P, &level, &ar))
		q.from = ar.source + 1;
	lua_settop(E, CAGE_TOP); /* what a raise below left there */
	lua_pushcfunction(E, call_ask);
	lua_pushvalue(E, CAGE_ASK);
	lua_pushlightuserdata(E, &q);
	if (lua_pcall(E, 2, 2, 0) != LUA_OK)
		luaL_error(P, "%s '%s': %s", kind, name,
			   lua_type(E, -1) == LUA_TSTRING ? lua_tostring(E, -1)
							  : "cannot be looked up");
	return E;
}

/* Pushes label and text of the file that is meant. */
static void ask_file(lua_State *P, const char *kind)
{
	lua_State *E = ask(P, kind, luaL_checkstring(P, 1));
	size_t len;

	if (lua_type(E, -2) != LUA_TSTRING)
		luaL_error(P, "%s",
			   lua_type(E, -1) == LUA_TSTRING ? lua_tostring(E, -1) : "not found");
	lua_pushstring(P, lua_tostring(E, -1));
	const char *text = lua_tolstring(E, -2, &len);

	lua_pushlstring(P, text, len);
	lua_settop(E, CAGE_TOP);
}

/* ---- host and param ---- */

/* What pairs returns for the table at index. */
static int push_pairs(lua_State *P, int index)
{
	lua_getglobal(P, "pairs");
	lua_pushvalue(P, index);
	lua_call(P, 1, 3);
	return 3;
}

static int refuse_write(lua_State *P)
{
	return luaL_error(P, "%s cannot be changed", lua_tostring(P, lua_upvalueindex(1)));
}

/* Replaces the two tables at the top by a view: both are the upvalues of what reads it. */
static void push_view(lua_State *P, lua_CFunction read, lua_CFunction pairs, const char *shown)
{
	int first = lua_gettop(P) - 1;

	lua_newtable(P);
	lua_createtable(P, 0, 4);
	lua_pushvalue(P, first);
	lua_pushvalue(P, first + 1);
	lua_pushcclosure(P, read, 2);
	lua_setfield(P, -2, "__index");
	lua_pushvalue(P, first);
	lua_pushvalue(P, first + 1);
	lua_pushcclosure(P, pairs, 2);
	lua_setfield(P, -2, "__pairs");
	lua_pushstring(P, shown);
	lua_pushcclosure(P, refuse_write, 1);
	lua_setfield(P, -2, "__newindex");
	lua_pushboolean(P, 0);
	lua_setfield(P, -2, "__metatable");
	lua_setmetatable(P, -2);
	lua_replace(P, first);
	lua_settop(P, first);
}

/* Upvalues: the values, the set of names that were read. */
static int read_recorded(lua_State *P)
{
	if (lua_type(P, 2) != LUA_TSTRING)
		return 0;
	lua_pushvalue(P, 2);
	lua_pushboolean(P, 1);
	lua_rawset(P, lua_upvalueindex(2));
	lua_pushvalue(P, 2);
	lua_rawget(P, lua_upvalueindex(1));
	return 1;
}

/* The same upvalues: whoever goes through all has read all. */
static int pairs_recorded(lua_State *P)
{
	lua_settop(P, 0);
	for (lua_pushnil(P); lua_next(P, lua_upvalueindex(1));) {
		lua_pop(P, 1);
		lua_pushvalue(P, -1);
		lua_pushboolean(P, 1);
		lua_rawset(P, lua_upvalueindex(2));
	}
	return push_pairs(P, lua_upvalueindex(1));
}

/* Turns the table at the top into a view that notes in used[name] what is read; an absent name is
 * nil. */
static void record(lua_State *P, const char *name, const char *shown)
{
	cage_push_used(P);
	lua_newtable(P);
	lua_pushvalue(P, -1);
	lua_setfield(P, -3, name);
	lua_remove(P, -2);
	push_view(P, read_recorded, pairs_recorded, shown);
}

/* host.NAME: asked of the engine on first use. Upvalues: the set of names, the values so far. */
static int read_host(lua_State *P)
{
	const char *name = luaL_checkstring(P, 2);

	lua_pushvalue(P, 2);
	if (lua_rawget(P, lua_upvalueindex(2)) != LUA_TNIL)
		return 1;
	lua_pushvalue(P, 2);
	if (lua_rawget(P, lua_upvalueindex(1)) == LUA_TNIL) {
		cage_push_nearest(P, lua_upvalueindex(1), name);
		if (lua_isnil(P, -1))
			return luaL_error(P, "host has no field '%s'", name);
		return luaL_error(P, "host has no field '%s' (did you mean '%s'?)", name,
				  lua_tostring(P, -1));
	}
	lua_State *E = ask(P, "fact", name);

	cage_copy(E, -1, P);
	lua_settop(E, CAGE_TOP);
	if (strcmp(name, "env") == 0 && lua_istable(P, -1))
		record(P, "env", "host.env");
	lua_pushvalue(P, 2);
	lua_pushvalue(P, -2);
	lua_rawset(P, lua_upvalueindex(2));
	return 1;
}

/* The same upvalues. */
static int pairs_host(lua_State *P)
{
	for (lua_pushnil(P); lua_next(P, lua_upvalueindex(1));) {
		lua_pop(P, 1);
		lua_pushvalue(P, -1);
		lua_gettable(P, 1);
		lua_pop(P, 1);
	}
	return push_pairs(P, lua_upvalueindex(2));
}

static void add_host(lua_State *P)
{
	lua_State *E = cage_of(P)->engine;

	lua_newtable(P);
	for (lua_Integer i = 1; lua_rawgeti(E, FACTS, i) == LUA_TSTRING; i++) {
		lua_pushboolean(P, 1);
		lua_setfield(P, -2, lua_tostring(E, -1));
		lua_pop(E, 1);
	}
	lua_pop(E, 1);
	lua_newtable(P); /* the values */
	push_view(P, read_host, pairs_host, "host");
	lua_setfield(P, -2, "host");

	cage_copy(E, PARAMS, P);
	record(P, "param", "param");
	lua_setfield(P, -2, "param");
}

/* ---- other files ---- */

void cage_load(lua_State *P, const char *text, size_t len, const char *label)
{
	const char *end = text + len;

	if (len > CAGE_SOURCE_LIMIT)
		luaL_error(P, "%s is longer than 1 MiB", label);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	if (text < end &&
	    *text == '#') /* as on a script's first line; its newline keeps the count */
		while (text < end && *text != '\n')
			text++;
	if (text < end && *text == '\x1b') {
		lua_pushfstring(P, "%s is compiled Lua; a profile is text", label);
		lua_error(P);
	}
	const char *name = lua_pushfstring(P, "@%s", label);
	int status = luaL_loadbufferx(P, text, (size_t)(end - text), name, "t");

	if (status == LUA_ERRMEM)
		cage_of(P)->exhausted = true;
	if (status != LUA_OK)
		lua_error(P);
	lua_remove(P, -2);
}

/* A file that has a function on the stack is not finished. */
static void refuse_circle(lua_State *P, const char *label)
{
	lua_Debug ar;
	luaL_Buffer b;
	bool circle = false;

	for (int level = 1; !circle && find_caller(P, &level, &ar); level++)
		circle = strcmp(ar.source + 1, label) == 0;
	if (!circle)
		return;
	luaL_buffinit(P, &b);
	luaL_addstring(&b, label);
	const char *last = "";

	for (int level = 1; find_caller(P, &level, &ar); level++) {
		if (strcmp(ar.source, last) != 0) {
			luaL_addstring(&b, " <- ");
			luaL_addstring(&b, ar.source + 1);
		}
		last = ar.source;
		if (strcmp(ar.source + 1, label) == 0)
			break;
	}
	luaL_pushresult(&b);
	luaL_error(P, "%s needs itself: %s", label, lua_tostring(P, -1));
}

/* require "name": runs a Lua file once; its value, as in Lua. */
static int cage_require(lua_State *P)
{
	lua_settop(P, 1);
	ask_file(P, "module"); /* 2: label, 3: text */
	push_registered(P, &loaded_key);
	lua_pushvalue(P, 2);
	if (lua_rawget(P, 4) != LUA_TNIL)
		return 1;
	size_t len;
	const char *text = lua_tolstring(P, 3, &len), *label = lua_tostring(P, 2);

	refuse_circle(P, label);
	cage_load(P, text, len, label);
	lua_call(P, 0, 1);
	if (lua_isnil(P, -1)) {
		lua_pop(P, 1);
		lua_pushboolean(P, 1);
	}
	lua_pushvalue(P, 2);
	lua_pushvalue(P, -2);
	lua_rawset(P, 4);
	return 1;
}

/* profile "name": what that file returns, made anew each time. */
static int cage_profile(lua_State *P)
{
	lua_settop(P, 1);
	ask_file(P, "profile");
	size_t len;
	const char *text = lua_tolstring(P, 3, &len), *label = lua_tostring(P, 2);

	refuse_circle(P, label);
	cage_load(P, text, len, label);
	lua_call(P, 0, 1);
	if (!lua_istable(P, -1))
		return luaL_error(P, "%s returns %s; a profile returns container { ... }", label,
				  lua_isnil(P, -1) ? "nothing" : luaL_typename(P, -1));
	return 1;
}

void cage_add_vocabulary(lua_State *P)
{
	add_constructors(P);
	add_host(P);
	lua_pushcfunction(P, cage_require);
	lua_setfield(P, -2, "require");
	lua_pushcfunction(P, cage_profile);
	lua_setfield(P, -2, "profile");
}
