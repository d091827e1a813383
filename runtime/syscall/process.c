/* SPDX-License-Identifier: MIT */
/* process.c – fork, clone3, exec, wait, pidfds */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_process(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
