/* SPDX-License-Identifier: MIT */
/* event.c – epoll, poll, eventfd, timerfd */
#include "bind.h"

static const luaL_Reg functions[] = {
	{NULL, NULL},
};

void syscall_event(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
