/* SPDX-License-Identifier: MIT */
/* credential.c – users, groups, sessions */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_credential(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
