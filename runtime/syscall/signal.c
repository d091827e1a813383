/* SPDX-License-Identifier: MIT */
/* signal.c – masks, sending, signalfd */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_signal(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
