/* SPDX-License-Identifier: MIT */
/* socket.c – sockets, addresses, passing of descriptors */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_socket(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
