/* SPDX-License-Identifier: MIT */
/* prctl.c – prctl(2), keyrings, personality */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_prctl(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
