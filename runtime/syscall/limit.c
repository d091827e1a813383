/* SPDX-License-Identifier: MIT */
/* limit.c – rlimits, scheduling, niceness, usage */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_limit(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
