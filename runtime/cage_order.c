/* SPDX-License-Identifier: MIT */
/* cage_order.c – pairs, next and table.sort of a profile, the same on every run
 *
 * Lua's own pairs and next follow the hash of strings, which is seeded by the clock; its table.sort picks
 * pivots by the clock. Here tables are walked in the order of their keys, and sorting is a stable merge sort.
 */
#include "cage.h"

#include <limits.h>
#include <string.h>

#include <lauxlib.h>

typedef bool less_function(lua_State *P, int a, int b, int compare);

/* Sorts the raw list at index, which has n elements; stable. a and b of less are absolute indexes.
 */
static void merge_sort(lua_State *P, int list, lua_Integer n, less_function *less, int compare)
{
	luaL_checkstack(P, 12, NULL);
	list = lua_absindex(P, list);
	lua_createtable(P, n < INT_MAX ? (int)n : 0, 0);
	int from = list, to = lua_gettop(P), scratch = to;

	for (lua_Integer width = 1; width < n; width *= 2) {
		for (lua_Integer low = 1; low <= n; low += 2 * width) {
			lua_Integer middle = low + width <= n ? low + width : n + 1;
			lua_Integer end = low + 2 * width <= n ? low + 2 * width : n + 1;
			lua_Integer i = low, j = middle;

			for (lua_Integer k = low; k < end; k++) {
				bool right = j < end;

				if (right && i < middle) {
					lua_rawgeti(P, from, i);
					lua_rawgeti(P, from, j);
					int top = lua_gettop(P);

					right = less(P, top, top - 1, compare);
					lua_settop(P, top - 2);
				}
				lua_rawgeti(P, from, right ? j++ : i++);
				lua_rawseti(P, to, k);
			}
		}
		int swap = from;

		from = to;
		to = swap;
	}
	for (lua_Integer k = 1; from == scratch && k <= n; k++) {
		lua_rawgeti(P, scratch, k);
		lua_rawseti(P, list, k);
	}
	lua_remove(P, scratch);
}

/* booleans, numbers, strings, the rest */
static int rank(lua_State *P, int index)
{
	switch (lua_type(P, index)) {
	case LUA_TBOOLEAN:
		return 0;
	case LUA_TNUMBER:
		return 1;
	case LUA_TSTRING:
		return 2;
	default:
		return 3;
	}
}

static bool key_less(lua_State *P, int a, int b, int unused)
{
	int ra = rank(P, a), rb = rank(P, b);
	size_t la, lb;

	(void)unused;
	if (ra != rb)
		return ra < rb;
	if (ra == 0)
		return !lua_toboolean(P, a) && lua_toboolean(P, b);
	if (ra == 1)
		return lua_compare(P, a, b, LUA_OPLT);
	if (ra == 3) {
		if (!lua_rawequal(P, a, b))
			luaL_error(
				P,
				"keys of type %s have no order that would be the same on every run",
				luaL_typename(P, a));
		return false;
	}
	const char *sa = lua_tolstring(P, a, &la), *sb = lua_tolstring(P, b, &lb);
	int order = memcmp(sa, sb, la < lb ? la : lb);

	return order ? order < 0 : la < lb;
}

/* next(table, key): the smallest key above it. */
int cage_next(lua_State *P)
{
	luaL_checktype(P, 1, LUA_TTABLE);
	lua_settop(P, 2);
	lua_pushnil(P); /* 3: the best so far */
	for (lua_pushnil(P); lua_next(P, 1);) {
		lua_pop(P, 1);
		if ((lua_isnil(P, 2) || key_less(P, 2, 4, 0)) &&
		    (lua_isnil(P, 3) || key_less(P, 4, 3, 0))) {
			lua_pushvalue(P, 4);
			lua_replace(P, 3);
		}
	}
	lua_settop(P, 3);
	if (lua_isnil(P, 3))
		return 1;
	lua_pushvalue(P, 3);
	lua_rawget(P, 1);
	return 2;
}

/* The iterator of pairs. Upvalues: the table, its sorted keys, how far it came. */
static int next_pair(lua_State *P)
{
	lua_Integer i = lua_tointeger(P, lua_upvalueindex(3));

	lua_settop(P, 0);
	while (lua_rawgeti(P, lua_upvalueindex(2), ++i) != LUA_TNIL) {
		lua_pushvalue(P, -1);
		if (lua_rawget(P, lua_upvalueindex(1)) != LUA_TNIL) {
			lua_pushinteger(P, i);
			lua_replace(P, lua_upvalueindex(3));
			return 2;
		}
		lua_settop(P, 0); /* taken away during the loop */
	}
	return 1;
}

int cage_pairs(lua_State *P)
{
	luaL_checkany(P, 1);
	lua_settop(P, 1);
	if (luaL_getmetafield(P, 1, "__pairs") != LUA_TNIL) {
		lua_insert(P, 1);
		lua_call(P, 1, 3);
		return 3;
	}
	luaL_checktype(P, 1, LUA_TTABLE);
	lua_newtable(P); /* 2: the keys */
	lua_Integer n = 0;

	for (lua_pushnil(P); lua_next(P, 1);) {
		lua_pop(P, 1);
		lua_pushvalue(P, -1);
		lua_rawseti(P, 2, ++n);
	}
	merge_sort(P, 2, n, key_less, 0);
	lua_pushvalue(P, 1);
	lua_pushvalue(P, 2);
	lua_pushinteger(P, 0);
	lua_pushcclosure(P, next_pair, 3);
	lua_pushvalue(P, 1);
	lua_pushnil(P);
	return 3;
}

static bool value_less(lua_State *P, int a, int b, int compare)
{
	if (!compare)
		return lua_compare(P, a, b, LUA_OPLT);
	lua_pushvalue(P, compare);
	lua_pushvalue(P, a);
	lua_pushvalue(P, b);
	lua_call(P, 2, 1);
	return lua_toboolean(P, -1);
}

int cage_sort(lua_State *P)
{
	luaL_checktype(P, 1, LUA_TTABLE);
	if (!lua_isnoneornil(P, 2))
		luaL_checktype(P, 2, LUA_TFUNCTION);
	lua_settop(P, 2);
	lua_Integer n = luaL_len(P, 1);

	luaL_argcheck(P, n < INT_MAX, 1, "array too big");
	if (n < 2)
		return 0;
	lua_createtable(P, (int)n, 0);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_geti(P, 1, i);
		lua_rawseti(P, 3, i);
	}
	merge_sort(P, 3, n, value_less, lua_isnil(P, 2) ? 0 : 2);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(P, 3, i);
		lua_seti(P, 1, i);
	}
	return 0;
}
