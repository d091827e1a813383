/* SPDX-License-Identifier: MIT */
/* stat.c – what files are: stat, statx, statfs, modes, owners, times, extended attributes */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_stat(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
