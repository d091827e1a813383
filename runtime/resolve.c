/* SPDX-License-Identifier: MIT */
/* resolve.c – require "luge.resolve": the arguments of a plan's steps with their symbols replaced
 *
 * Every text and every table of every step comes by here at each start, most of them without a symbol. What a text with
 * a "$" means is said in Lua (sandbox/plan/steps.lua); here is the walk. Owns nothing: all is Lua's.
 */
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

/* Where the caller's symbols and its function for texts stand. */
enum { SYMBOLS = 2, TEXT = 3 };

static void push_resolved(lua_State *L, int value);

static void push_text(lua_State *L, int value)
{
	size_t length;
	const char *text = lua_tolstring(L, value, &length);

	if (!memchr(text, '$', length)) {
		lua_pushvalue(L, value);
		return;
	}
	lua_pushvalue(L, TEXT);
	lua_pushvalue(L, value);
	lua_pushvalue(L, SYMBOLS);
	lua_call(L, 2, 1);
}

static void push_copy(lua_State *L, int table)
{
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -4);
	}
}

/* A table without symbols is itself, another a copy. */
static void push_table(lua_State *L, int table)
{
	lua_pushliteral(L, "literal");
	if (lua_rawget(L, table) != LUA_TNIL)
		return;
	int result = lua_gettop(L);

	lua_pushnil(L);
	while (lua_next(L, table)) {
		int value = lua_gettop(L);

		push_resolved(L, value);
		if (!lua_rawequal(L, value, -1)) {
			if (lua_isnil(L, result)) {
				push_copy(L, table);
				lua_replace(L, result);
			}
			lua_pushvalue(L, value - 1);
			lua_insert(L, -2);
			lua_rawset(L, result);
		}
		lua_settop(L, value - 1);
	}
	if (lua_isnil(L, result)) {
		lua_pushvalue(L, table);
		lua_replace(L, result);
	}
}

static void push_resolved(lua_State *L, int value)
{
	luaL_checkstack(L, 10, "a step's arguments are nested too deep");
	switch (lua_type(L, value)) {
	case LUA_TSTRING:
		push_text(L, value);
		break;
	case LUA_TTABLE:
		push_table(L, value);
		break;
	default:
		lua_pushvalue(L, value);
	}
}

/* resolve(value, symbols, text): the value with the symbols in it replaced; text(string, symbols) says what a string
 * with a "$" in it is. { literal = … } is what it holds. */
static int resolve(lua_State *L)
{
	lua_settop(L, TEXT);
	push_resolved(L, 1);
	return 1;
}

/* apply(arguments, symbols, text, call): what the function says of the list of arguments, resolved; arguments.n is
 * their number where one may be nil. */
static int apply(lua_State *L)
{
	lua_settop(L, TEXT + 1);
	int is_given;

	lua_pushliteral(L, "n");
	lua_rawget(L, 1);
	lua_Integer count = lua_tointegerx(L, -1, &is_given);

	lua_pop(L, 1);
	if (!is_given)
		count = (lua_Integer)lua_rawlen(L, 1);
	luaL_checkstack(L, (int)count + 1, "a step has too many arguments");
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, i);
		push_resolved(L, lua_gettop(L));
		lua_remove(L, -2);
	}
	lua_call(L, (int)count, LUA_MULTRET);
	return lua_gettop(L) - TEXT;
}

int luaopen_luge_resolve(lua_State *L)
{
	static const luaL_Reg functions[] = {{"resolve", resolve}, {"apply", apply}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
