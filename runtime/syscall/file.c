/* SPDX-License-Identifier: MIT */
/* file.c – descriptors: open, read, write, pipes, memfd, copying, locks */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_file(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
