/* SPDX-License-Identifier: MIT */
/* state.h – the engine's Lua state and the files inside the binary */
#ifndef LUGE_STATE_H
#define LUGE_STATE_H

#include <stddef.h>

#include <lua.h>

struct embedded_file {
	const char *name; /* a module's name, or "file:" and a path in the source tree */
	const unsigned char *data;
	size_t size;
};

/* NULL when there is no such file. */
const struct embedded_file *embedded_find(const char *name);

/* A state with the standard libraries whose `require` knows the embedded modules, the C modules of
 * modules.h and nothing on disk; NULL without memory. Its collector is stopped: a start makes its garbage
 * once, and collecting costs a third of it. What runs for long turns it on (collectgarbage "restart"). */
lua_State *state_new(void);

/* The standard libraries and the ways to our modules, in a new state; NULL without one or without memory. */
lua_State *state_furnish(lua_State *L);

/* The field of the registry where a frozen state keeps what a thaw puts back. */
#define STATE_PARKED "luge.parked"

/* Puts into a state that was frozen what could not be kept. */
void state_thawed(lua_State *L);

/* For the build: writes a state with all modules loaded as the section .frozen of this very program, to the file `path`; what
 * the script `rehearsal` uses of it is quick to start. Returns 0 or -errno. */
int state_freeze(const char *path, const char *rehearsal);

#endif
