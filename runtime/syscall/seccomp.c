/* SPDX-License-Identifier: MIT */
/* seccomp.c – filters by libseccomp, loading */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_seccomp(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
