/* SPDX-License-Identifier: MIT */
/* capability.c – capability sets, by libcap */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_capability(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
