/* SPDX-License-Identifier: MIT */
/* directory.c – names: mkdir, unlink, rename, links, nodes, listing, the working directory */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_directory(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
