/* SPDX-License-Identifier: MIT */
/* watch.h – the functions of inotify, a part of the event area, and what that area shares */
#ifndef LUGE_WATCH_H
#define LUGE_WATCH_H

#include "bind.h"

extern const luaL_Reg event_watch_functions[];

/* t.events = the names of set that events has, as a list and as keys; t is at the top of the stack. */
void event_set_names(lua_State *L, const struct bind_set *set, uint64_t events);

#endif
