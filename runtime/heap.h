/* SPDX-License-Identifier: MIT */
/* heap.h – the memory of the engine's Lua state, which the build freezes with every module loaded */
#ifndef LUGE_HEAP_H
#define LUGE_HEAP_H

#include <stdbool.h>

#include <lua.h>

/* A Lua state whose memory heap_freeze() can write. For the build only: NULL in a program that has one already. */
lua_State *heap_state_new(void);

/* Writes the memory of L, the state of heap_state_new(), as the section .frozen of this very program. No call of
 * Lua may be under way. `rehearse` does then in L what most starts do, for heap_thaw() to know which pages that writes
 * to; L is of no use afterwards. Returns 0 or -errno; -E2BIG: enlarge FROZEN_SIZE. */
int heap_freeze(lua_State *L, void (*rehearse)(lua_State *L), const char *path);

/* The state that the build froze into this program, to be had once; NULL when there is none or its place is
 * taken. FILE handles in it are stale. */
lua_State *heap_thaw(void);

/* What is allocated next goes to new pages. After a fork, in both processes: the old pages are shared, and each would be
 * copied at the first write to it. In a process that forks again only the first time. */
void heap_turn_page(bool is_child);

#endif
