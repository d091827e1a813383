/* SPDX-License-Identifier: MIT */
/* terminal.c – terminals: attributes, sizes, pseudo-terminals */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_terminal(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
