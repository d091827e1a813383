/* SPDX-License-Identifier: MIT */
/* mount.c – attach, bind and remount file systems, old calls and new */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_mount(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
