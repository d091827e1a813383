/* SPDX-License-Identifier: MIT */
/* namespace.c – unshare, setns, host names, id maps' user namespaces */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_namespace(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
