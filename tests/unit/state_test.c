/* SPDX-License-Identifier: MIT */
/* state_test.c – what the engine's Lua state offers, and what no environment changes */
#include <stdlib.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <lauxlib.h>
#include <lua.h>

#include "state.h"

static bool run(lua_State *L, const char *code)
{
	if (luaL_dostring(L, code) == LUA_OK)
		return lua_toboolean(L, -1);
	cr_log_error("%s", lua_tostring(L, -1));
	return false;
}

Test(state, finds_what_is_embedded)
{
	lua_State *L = state_new();

	cr_assert(run(L, "return type(require 'syscall') == 'table'"));
	cr_assert(run(L, "return not pcall(require, 'no.such.module')"));
	cr_assert(run(L, "return require 'luge.embedded' 'no/such/file' == nil"));
	lua_close(L);
}

Test(state, ignores_the_environment)
{
	setenv("LUA_INIT", "error 'LUA_INIT was run'", 1);
	setenv("LUA_PATH", "/tmp/?.lua", 1);
	setenv("LUA_CPATH", "/tmp/?.so", 1);
	lua_State *L = state_new();

	cr_assert(run(L, "return package.path == '' and package.cpath == ''"));
	lua_close(L);
}

Test(state, require_adds_no_globals)
{
	lua_State *L = state_new();

	cr_assert(run(L, "local before = {} for k in pairs(_G) do before[k] = true end\n"
			 "require 'syscall'\n"
			 "for k in pairs(_G) do if not before[k] then return false end end\n"
			 "return true"));
	lua_close(L);
}
