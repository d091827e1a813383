/* SPDX-License-Identifier: MIT */
/* object.h – between object.c and the files that put the module together */
#ifndef LUGE_OBJECT_H
#define LUGE_OBJECT_H

#include <lua.h>

#define FD_TYPE	   "syscall.fd"
#define ERROR_TYPE "syscall.error"

/* Makes both metatables; pushes the table of the descriptors' methods. */
void object_metatables(lua_State *L);
/* Adds S.close and S.error to the table at the top of the stack. */
void object_functions(lua_State *L);

#endif
