/* SPDX-License-Identifier: MIT */
/* watch.h – the functions of inotify, a part of the event area */
#ifndef LUGE_WATCH_H
#define LUGE_WATCH_H

#include <lauxlib.h>

extern const luaL_Reg event_watch_functions[];

#endif
