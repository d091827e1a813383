/* SPDX-License-Identifier: MIT */
/* cage_library.c – the standard library of a profile: the safe part, the same on every run
 *
 * Lua's own base, string, table, math and utf8, without what loads code or looks at the machine.
 * What would differ between two runs is replaced: pairs, next and table.sort by those of
 * cage_order.c, and what would show an address. print writes to stderr and cannot speak to a
 * terminal; pcall passes on what ends a profile.
 */
#include "cage.h"
#include "near.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

enum { PRINT_LIMIT = 1 << 20 };

/* ---- names ---- */

void cage_push_nearest(lua_State *P, int index, const char *name)
{
	size_t len = strlen(name);
	struct near near = {.name = name, .distance = len < 3 ? 2 : (unsigned)(len / 3) + 1};

	index = lua_absindex(P, index);
	for (lua_pushnil(P); lua_next(P, index); lua_pop(P, 1))
		if (lua_type(P, -2) == LUA_TSTRING)
			near_offer(&near, lua_tostring(P, -2));
	lua_pushstring(P, near.found); /* nil when there is none */
}

static const char *why_absent(const char *name)
{
	static const char *const system[] = {"os", "io", "package", "debug", "coroutine"};
	static const char *const code[] = {"load", "loadstring", "loadfile", "dofile"};

	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		if (strcmp(name, system[i]) == 0)
			return " in a profile, which cannot touch the system";
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		if (strcmp(name, code[i]) == 0)
			return " in a profile; 'require' and 'profile' read other files";
	return "";
}

/* Upvalues: the table behind, what a name in it is called. */
static int read_unknown(lua_State *P)
{
	lua_pushvalue(P, 2);
	if (lua_rawget(P, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	size_t len;
	const char *name = cage_tostring(P, 2, &len);
	const char *what = lua_tostring(P, lua_upvalueindex(2));

	cage_push_nearest(P, lua_upvalueindex(1), name);
	if (lua_isnil(P, -1))
		return luaL_error(P, "no %s '%s'%s", what, name, why_absent(name));
	return luaL_error(P, "no %s '%s' (did you mean '%s'?)", what, name, lua_tostring(P, -1));
}

static int write_frozen(lua_State *P)
{
	const char *what = lua_tostring(P, lua_upvalueindex(1));

	if (strcmp(what, "variable") == 0)
		return luaL_error(P, "assignment to the global '%s' (write: local %s = ...)",
				  cage_tostring(P, 2, NULL), cage_tostring(P, 2, NULL));
	return luaL_error(P, "'%s' cannot be changed: it belongs to luge",
			  cage_tostring(P, 2, NULL));
}

/* pairs(view): over the table behind. Upvalue: that table. */
static int pairs_frozen(lua_State *P)
{
	lua_settop(P, 0);
	lua_pushcfunction(P, cage_pairs);
	lua_pushvalue(P, lua_upvalueindex(1));
	lua_call(P, 1, 3);
	return 3;
}

void cage_freeze(lua_State *P, const char *what)
{
	lua_newtable(P); /* the view */
	lua_createtable(P, 0, 4);
	lua_pushvalue(P, -3);
	lua_pushstring(P, what ? what : "variable");
	lua_pushcclosure(P, read_unknown, 2);
	lua_setfield(P, -2, "__index");
	lua_pushstring(P, what ? what : "variable");
	lua_pushcclosure(P, write_frozen, 1);
	lua_setfield(P, -2, "__newindex");
	lua_pushvalue(P, -3);
	lua_pushcclosure(P, pairs_frozen, 1);
	lua_setfield(P, -2, "__pairs");
	lua_pushboolean(P, 0);
	lua_setfield(P, -2, "__metatable");
	lua_setmetatable(P, -2);
	lua_remove(P, -2);
}

/* ---- text ---- */

const char *cage_tostring(lua_State *P, int index, size_t *ret_len)
{
	if (luaL_callmeta(P, index, "__tostring")) {
		if (lua_type(P, -1) != LUA_TSTRING)
			luaL_error(P, "'__tostring' must return a string");
		return lua_tolstring(P, -1, ret_len);
	}
	switch (lua_type(P, index)) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER:
	case LUA_TSTRING:
		return luaL_tolstring(P, index, ret_len);
	default: /* Lua would show the address */
		lua_pushstring(P, luaL_typename(P, index));
		return lua_tolstring(P, -1, ret_len);
	}
}

static int base_tostring(lua_State *P)
{
	luaL_checkany(P, 1);
	cage_tostring(P, 1, NULL);
	return 1;
}

/* string.format: values that %s would show by address go in as text. Upvalue: Lua's own. */
static int string_format(lua_State *P)
{
	int count = lua_gettop(P);

	for (int i = 2; i <= count; i++) {
		if (lua_type(P, i) == LUA_TTABLE || lua_type(P, i) == LUA_TFUNCTION) {
			cage_tostring(P, i, NULL);
			lua_replace(P, i);
		}
	}
	lua_pushvalue(P, lua_upvalueindex(1));
	lua_insert(P, 1);
	lua_call(P, count, 1);
	return 1;
}

/* What a profile prints may be made to fool a terminal: control characters become text. */
static void add_clean(luaL_Buffer *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		/* 0xc2 0x80 to 0xc2 0x9f are control characters too, as UTF-8 */
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0;

		if ((c >= 0x20 || c == '\t' || c == '\n') && c != 0x7f && !c1) {
			luaL_addchar(b, (char)c);
			continue;
		}
		char escape[8];

		snprintf(escape, sizeof(escape), "\\%d", c1 ? (unsigned char)text[++i] : c);
		luaL_addstring(b, escape);
	}
}

static int base_print(lua_State *P)
{
	int count = lua_gettop(P);
	struct cage *cage = cage_of(P);

	for (int i = 1; i <= count; i++) {
		cage_tostring(P, i, NULL);
		lua_replace(P, i);
	}
	luaL_Buffer b;

	luaL_checkstack(P, 8, NULL);
	luaL_buffinit(P, &b);
	for (int i = 1; i <= count; i++) {
		size_t len;
		const char *text = lua_tolstring(P, i, &len);

		if (i > 1)
			luaL_addchar(&b, '\t');
		add_clean(&b, text, len);
	}
	luaL_addchar(&b, '\n');
	luaL_pushresult(&b);
	size_t len;
	const char *line = lua_tolstring(P, -1, &len);

	cage->printed += len;
	if (cage->printed > PRINT_LIMIT)
		return luaL_error(P, "a profile may print 1 MiB, not more");
	fwrite(line, 1, len, stderr);
	return 0;
}

/* ---- errors ---- */

bool cage_exhausted(lua_State *P, int status)
{
	struct cage *cage = cage_of(P);

	/* The buffers of lauxlib raise a plain error when the allocator refuses. */
	if (status == LUA_ERRMEM ||
	    (status != LUA_OK && cage->refused && lua_type(P, -1) == LUA_TSTRING &&
	     strstr(lua_tostring(P, -1), "not enough memory")))
		cage->exhausted = true;
	return cage->exhausted;
}

/* What no profile may catch goes on up. */
static void pass_on_caps(lua_State *P, int status)
{
	if (cage_exhausted(P, status))
		lua_error(P);
}

static int base_pcall(lua_State *P)
{
	luaL_checkany(P, 1);
	lua_pushboolean(P, 1);
	lua_insert(P, 1);
	int status = lua_pcall(P, lua_gettop(P) - 2, LUA_MULTRET, 0);

	pass_on_caps(P, status);
	if (status == LUA_OK)
		return lua_gettop(P);
	lua_pushboolean(P, 0);
	lua_insert(P, -2);
	return 2;
}

static int base_xpcall(lua_State *P)
{
	int count = lua_gettop(P);

	luaL_checktype(P, 2, LUA_TFUNCTION);
	lua_pushboolean(P, 1);
	lua_pushvalue(P, 1);
	lua_rotate(P, 3, 2); /* function, handler, true, function, arguments */
	int status = lua_pcall(P, count - 2, LUA_MULTRET, 2);

	pass_on_caps(P, status);
	if (status == LUA_OK)
		return lua_gettop(P) - 2;
	lua_pushboolean(P, 0);
	lua_insert(P, -2);
	return 2;
}

/* ---- tables that must stay what they are ---- */

/* A finalizer would run when nobody looks at the clock. Upvalue: Lua's own. */
static int base_setmetatable(lua_State *P)
{
	luaL_checktype(P, 1, LUA_TTABLE);
	lua_settop(P, 2);
	if (lua_istable(P, 2)) {
		lua_pushliteral(P, "__gc");
		if (lua_rawget(P, 2) != LUA_TNIL)
			return luaL_error(P,
					  "a profile has no __gc: nothing of it lives long enough");
		lua_pop(P, 1);
	}
	lua_pushvalue(P, lua_upvalueindex(1));
	lua_insert(P, 1);
	lua_call(P, 2, 1);
	return 1;
}

static int base_rawset(lua_State *P)
{
	luaL_checktype(P, 1, LUA_TTABLE);
	luaL_checkany(P, 3);
	lua_settop(P, 3);
	if (luaL_getmetafield(P, 1, "__metatable") != LUA_TNIL)
		return luaL_error(P, "cannot change a protected table");
	lua_rawset(P, 1);
	lua_settop(P, 1);
	return 1;
}

/* ---- putting it together ---- */

static void push_opened(lua_State *P, lua_CFunction open)
{
	lua_pushcfunction(P, open);
	lua_call(P, 0, 1);
}

static void forget(lua_State *P, const char *const *names)
{
	for (; *names; names++) {
		lua_pushnil(P);
		lua_setfield(P, -2, *names);
	}
}

/* Copies what is safe of the base library from the table below the top. */
static void add_base(lua_State *P)
{
	static const char *const kept[] = {"assert",   "error",	 "getmetatable", "ipairs",
					   "rawequal", "rawget", "rawlen",	 "select",
					   "tonumber", "type",	 "_VERSION",	 NULL};
	static const luaL_Reg ours[] = {{"next", cage_next},	 {"pairs", cage_pairs},
					{"pcall", base_pcall},	 {"print", base_print},
					{"rawset", base_rawset}, {"tostring", base_tostring},
					{"xpcall", base_xpcall}, {NULL, NULL}};

	for (const char *const *name = kept; *name; name++) {
		lua_getfield(P, -2, *name);
		lua_setfield(P, -2, *name);
	}
	luaL_setfuncs(P, ours, 0);
	lua_getfield(P, -2, "setmetatable");
	lua_pushcclosure(P, base_setmetatable, 1);
	lua_setfield(P, -2, "setmetatable");
}

static void add_string(lua_State *P)
{
	static const char *const gone[] = {"dump", NULL};

	push_opened(P, luaopen_string);
	forget(P, gone);
	lua_getfield(P, -1, "format");
	lua_pushcclosure(P, string_format, 1);
	lua_setfield(P, -2, "format");
	/* Methods of strings go to the table itself, which nothing else reaches. */
	lua_pushliteral(P, "");
	lua_getmetatable(P, -1);
	lua_pushboolean(P, 0);
	lua_setfield(P, -2, "__metatable");
	lua_pop(P, 2);
	cage_freeze(P, "function of string");
	lua_setfield(P, -2, "string");
}

void cage_push_library(lua_State *P)
{
	static const char *const gone[] = {"random", "randomseed", NULL};

	lua_createtable(P, 0, 64);
	push_opened(P, luaopen_base);
	lua_insert(P, -2);
	add_base(P);
	lua_remove(P, -2);
	add_string(P);
	push_opened(P, luaopen_table);
	lua_pushcfunction(P, cage_sort);
	lua_setfield(P, -2, "sort");
	cage_freeze(P, "function of table");
	lua_setfield(P, -2, "table");
	push_opened(P, luaopen_math);
	forget(P, gone);
	cage_freeze(P, "function of math");
	lua_setfield(P, -2, "math");
	push_opened(P, luaopen_utf8);
	cage_freeze(P, "function of utf8");
	lua_setfield(P, -2, "utf8");
}
