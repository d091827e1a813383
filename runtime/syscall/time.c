/* SPDX-License-Identifier: MIT */
/* time.c – clocks and sleeping */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_time(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
