/* SPDX-License-Identifier: MIT */
/* modules.h – the modules written in C */
#ifndef LUGE_MODULES_H
#define LUGE_MODULES_H

#include <lauxlib.h>

extern const luaL_Reg luge_modules[];

#endif
