/* SPDX-License-Identifier: MIT */
/* noreturn.h – included before every file that clang-tidy reads: which functions of Lua never return */
#include <lauxlib.h>
#include <lua.h>

__attribute__((noreturn)) int luaL_error(lua_State *L, const char *fmt, ...);
__attribute__((noreturn)) int luaL_argerror(lua_State *L, int arg, const char *extramsg);
__attribute__((noreturn)) int lua_error(lua_State *L);
