/* SPDX-License-Identifier: MIT */
/* pack.h – the build: a Lua state is laid out as the heap that a start thaws */
#ifndef LUGE_PACK_H
#define LUGE_PACK_H

#include <lua.h>

/* A Lua state that pack_write() can write; NULL in a program that holds one already, or without memory. */
lua_State *pack_state_new(void);

/* What rehearse(L, script) uses, in a copy of the process, is hot; it may end the copy. L stays as it is. Returns 0 or
 * -errno. */
int pack_watch(lua_State *L, void (*rehearse)(lua_State *L, const char *script),
	       const char *script);

/* Writes the memory of L, in which no call is under way, as the section .frozen of this very program. Returns 0 or -errno;
 * -E2BIG: enlarge HOT_SIZE or FROZEN_SIZE. L is of no use afterwards. */
int pack_write(lua_State *L, const char *path);

#endif
