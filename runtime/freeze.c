/* SPDX-License-Identifier: MIT */
/* freeze.c – the build's last step: a state with every module loaded, fit to be kept in the program
 *
 * The program runs this once, as `luge-cold --freeze`; pack.c writes out the memory of the state that is made here.
 * What points into the program has to be found and changed wherever the program lies at its next start, so there is as
 * little of it as can be, in few pages, and none where Lua would have made a hash of it.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "pack.h"

extern const struct embedded_file embedded_files[];

/* Keys of the registry that are addresses in the program (loadlib.c of Lua has one) hash differently where the
 * program lies elsewhere: here they are put aside as values, at the thaw (state.c) back in their place. */
static void park_addresses(lua_State *L)
{
	lua_Integer n = 0;

	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		if (lua_islightuserdata(L, -2)) {
			lua_pushvalue(L, -2);
			lua_rawseti(L, -4, ++n);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -4, ++n);
			lua_pushvalue(L, -2);
			lua_pushnil(L);
			lua_rawset(L, LUA_REGISTRYINDEX);
		}
		lua_pop(L, 1);
	}
	lua_setfield(L, LUA_REGISTRYINDEX, STATE_PARKED);
}

/* ---- the modules ---- */

/* Loads every module; nothing but a module's own file runs. */
static int load_all(lua_State *L)
{
	for (const struct embedded_file *f = embedded_files; f->name; f++) {
		if (strncmp(f->name, "file:", 5) == 0)
			continue;
		lua_getglobal(L, "require");
		lua_pushstring(L, f->name);
		lua_call(L, 1, 0);
	}
	park_addresses(L);
	return 0;
}

/* Does in L, a copy of the frozen state, what most starts do (embed/rehearsal.lua). */
static void rehearse(lua_State *L, const char *path)
{
	state_thawed(L);
	if (luaL_dofile(L, path) != LUA_OK)
		fprintf(stderr, "luge: %s\n", lua_tostring(L, -1));
}

/* ---- pointers into the program ---- */

static void gather(lua_State *L, int seen, int closures);

/* Replaces the function in C at the top by a closure of it, the same each time. */
static void push_closure(lua_State *L, int closures)
{
	lua_pushvalue(L, -1);
	if (lua_rawget(L, closures) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushnil(L);
		lua_pushcclosure(L, lua_tocfunction(L, -2), 1);
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, closures);
	}
	lua_remove(L, -2);
}

/* Whether it is a bare pointer into the program: with an upvalue it is an object of the heap. */
static bool is_bare(lua_State *L, int index)
{
	if (!lua_iscfunction(L, index))
		return false;
	if (!lua_getupvalue(L, index, 1))
		return true;
	lua_pop(L, 1);
	return false;
}

/* A table that has only numbers, from 1, as keys, or none, shares its empty hash part with all such tables: a variable
 * of Lua itself. A key that comes and goes leaves it one of its own. */
static void give_hash_part(lua_State *L, int table)
{
	lua_Unsigned n = 0;

	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pop(L, 1);
		n++;
	}
	if (n != lua_rawlen(L, table))
		return;
	for (int i = 0; i < 2; i++) {
		lua_pushliteral(L, "luge");
		i == 0 ? lua_pushboolean(L, 1) : lua_pushnil(L);
		lua_rawset(L, table);
	}
}

static void gather_fields(lua_State *L, int table, int seen, int closures)
{
	give_hash_part(L, table);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		if (is_bare(L, -1)) {
			push_closure(L, closures);
			lua_pushvalue(L, -2);
			lua_pushvalue(L, -2);
			lua_rawset(L, table);
		}
		gather(L, seen, closures);
		lua_pushvalue(L, -1);
		gather(L, seen, closures);
	}
}

static void gather_upvalues(lua_State *L, int function, int seen, int closures)
{
	for (int i = 1; lua_getupvalue(L, function, i); i++) {
		if (is_bare(L, -1)) {
			push_closure(L, closures);
			lua_pushvalue(L, -1);
			lua_setupvalue(L, function, i);
		}
		gather(L, seen, closures);
	}
}

/* Pops the value at the top, after all that can be reached from it. */
static void gather(lua_State *L, int seen, int closures)
{
	luaL_checkstack(L, 8, "the modules' tables are nested too deep");
	int value = lua_gettop(L);

	if (lua_istable(L, value) || lua_isfunction(L, value) || lua_isuserdata(L, value)) {
		lua_pushvalue(L, value);
		if (lua_rawget(L, seen) == LUA_TNIL) {
			lua_pushvalue(L, value);
			lua_pushboolean(L, 1);
			lua_rawset(L, seen);
			if (lua_getmetatable(L, value))
				gather(L, seen, closures);
			if (lua_istable(L, value))
				gather_fields(L, value, seen, closures);
			if (lua_isfunction(L, value))
				gather_upvalues(L, value, seen, closures);
		}
	}
	lua_settop(L, value - 1);
}

/* Tables and upvalues hold functions in C as pointers into the program, of which each page that has one is written to
 * at the thaw: 63 pages. So each function becomes one closure, and the closures lie side by side. */
static int gather_functions(lua_State *L)
{
	lua_settop(L, 0);
	lua_newtable(L);
	lua_newtable(L);
	lua_pushvalue(L, LUA_REGISTRYINDEX);
	gather(L, 1, 2);
	return 0;
}

/* ---- what must not be kept ---- */

/* Whether the key's hash is made of an address: in the program, which moves, or of an object, which pack.c moves. */
static bool is_address(lua_State *L, int index)
{
	switch (lua_type(L, index)) {
	case LUA_TLIGHTUSERDATA:
	case LUA_TUSERDATA:
	case LUA_TTABLE:
	case LUA_TFUNCTION:
	case LUA_TTHREAD:
		return true;
	default:
		return false;
	}
}

/* Raises where a table that can be reached from the value at the top has such a key. seen: tables already looked at.
 * Pops the value. */
static void check_keys(lua_State *L, int seen)
{
	luaL_checkstack(L, 8, "the modules' tables are nested too deep");
	int value = lua_gettop(L);
	bool is_table = lua_istable(L, value);

	lua_pushvalue(L, value);
	bool known = !(is_table || lua_isfunction(L, value) || lua_isuserdata(L, value)) ||
		     lua_rawget(L, seen) != LUA_TNIL;

	lua_settop(L, value);
	if (known) {
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, value);
	lua_pushboolean(L, 1);
	lua_rawset(L, seen);
	if (lua_getmetatable(L, value))
		check_keys(L, seen);
	for (int i = 1; lua_isfunction(L, value) && lua_getupvalue(L, value, i); i++)
		check_keys(L, seen);
	lua_pushnil(L);
	while (is_table && lua_next(L, value)) {
		if (is_address(L, value + 1))
			luaL_error(L, "a module has a table with a %s as key",
				   luaL_typename(L, value + 1));
		check_keys(L, seen);
		lua_pushvalue(L, -1);
		check_keys(L, seen);
	}
	lua_settop(L, value - 1);
}

/* What a frozen state must not hold. */
static int check_state(lua_State *L)
{
	lua_settop(L, 0);
	lua_newtable(L);
	lua_pushvalue(L, LUA_REGISTRYINDEX);
	check_keys(L, 1);
	return 0;
}

/* ---- what the collector need not look at ---- */

/* The words that objects of Lua 5.3 begin with. */
struct object {
	struct object *next; /* in the list of all that may be freed, the newest first */
	unsigned char kind, marks;
};

enum {
	KIND_STRING = LUA_TSTRING,
	KIND_LONG_STRING = LUA_TSTRING | 1 << 4,
	KIND_PROTOTYPE = LUA_NUMTAGS,
	WHITE = 1 << 0 | 1 << 1,
	BLACK = 1 << 2,
	PROTOTYPE_WORDS = 15,
};

static bool is_leaf(const struct object *o)
{
	return o->kind == KIND_STRING || o->kind == KIND_LONG_STRING || o->kind == KIND_PROTOTYPE;
}

/* Where a prototype keeps the closure that was last made of it, in words; 0 where it is not found. */
static size_t find_cache(lua_State *L)
{
	static const char text[] = "local a = ... return function() return a end";
	size_t found = 0;

	if (luaL_loadstring(L, text) != LUA_OK)
		return 0;
	lua_call(L, 0, 1);
	const void *closure = lua_topointer(L, -1);

	lua_newtable(L);
	for (const struct object *o = lua_topointer(L, -1); o && !found; o = o->next)
		for (size_t i = 2; o->kind == KIND_PROTOTYPE && i < PROTOTYPE_WORDS; i++)
			if (((const void *const *)o)[i] == closure)
				found = i;
	lua_pop(L, 2);
	return found;
}

/* Whether all objects in the list look as they must, each of one white. */
static bool is_known(const struct object *first)
{
	for (const struct object *o = first; o; o = o->next) {
		int white = o->marks & (WHITE | BLACK);

		if ((o->kind & 15) < LUA_TSTRING || (o->kind & 15) > KIND_PROTOTYPE ||
		    (white != 1 && white != 2))
			return false;
	}
	return true;
}

/* Strings and prototypes are black for ever, and not in the list of what may be freed: the collector, which otherwise
 * writes to each object twice in a round, neither marks nor sweeps them, and their pages stay those of the file.
 *
 * It is safe since nothing that they refer to can be freed: a string refers to nothing, a prototype, which does not change,
 * to strings and prototypes, all of which are in the heap and stay; and to the closure last made of it, which is forgotten
 * here, and which Lua keeps for no black one. Neither has a finalizer. Tables, closures and userdata can get new things
 * to refer to, and remain what they were. In a Lua that is laid out otherwise nothing is done. */
static void fix_leaves(lua_State *L)
{
	size_t cache = find_cache(L);

	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_newtable(L);
	struct object *newest = (struct object *)lua_topointer(L, -1);

	lua_pop(L, 1);
	if (LUA_VERSION_NUM != 503 || !cache || newest->kind != LUA_TTABLE || !is_known(newest))
		return;
	for (struct object *o = newest; o->next;) {
		struct object *next = o->next;

		if (!is_leaf(next)) {
			o = next;
			continue;
		}
		if (next->kind == KIND_PROTOTYPE)
			((void **)next)[cache] = NULL;
		next->marks = (unsigned char)((next->marks & ~WHITE) | BLACK);
		o->next = next->next;
	}
}

/* Lua remembers the strings that it made last, two for each of 53 classes of addresses in C where their text lay, and a
 * start compares with them: let it be these two, not those of a module that it does not use. */
static void forget_texts(lua_State *L)
{
	enum { CLASSES = 53 };
	char text[2 * CLASSES] = "";

	for (size_t i = 0; i < sizeof(text); i++) {
		lua_pushstring(L, text + i);
		lua_pop(L, 1);
	}
	for (size_t i = 0; i < sizeof(text); i += 2) {
		text[i] = 'x';
		lua_pushstring(L, text + i);
		lua_pop(L, 1);
	}
}

int state_freeze(const char *path, const char *rehearsal)
{
	static const lua_CFunction steps[] = {load_all, gather_functions, check_state};
	lua_State *L = state_furnish(pack_state_new());

	if (!L) {
		fprintf(stderr,
			"luge: freezing: no room at the addresses of heap.h and pack.c: %s\n",
			strerror(errno));
		return -ENOMEM;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		lua_pushcfunction(L, steps[i]);
		if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
			fprintf(stderr, "luge: %s\n", lua_tostring(L, -1));
			return -EINVAL;
		}
	}
	forget_texts(L);
	fix_leaves(L);
	lua_gc(L, LUA_GCSTOP, 0);
	int rc = pack_watch(L, rehearse, rehearsal);

	if (rc == 0)
		rc = pack_write(L, path);
	if (rc < 0)
		fprintf(stderr, "luge: freezing: %s%s\n", strerror(-rc),
			rc == -E2BIG ? " (HOT_SIZE or FROZEN_SIZE in heap.h)" : "");
	return rc;
}
