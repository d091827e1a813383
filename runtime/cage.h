/* SPDX-License-Identifier: MIT */
/* cage.h – what the files of the cage share; nothing outside runtime/cage*.c includes it */
#ifndef LUGE_CAGE_H
#define LUGE_CAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

enum {
	CAGE_SOURCE_LIMIT = 1 << 20, /* bytes of one source */
	CAGE_DEPTH = 64,	     /* of the data, and of what goes into the cage */
	CAGE_ASK = 6, /* the engine's stack: where the function that finds files stands */
	CAGE_TOP = 8, /* the engine's stack while the profile runs */
};

struct cage_block;

/* Lives in a userdata of the engine's state; the profile's state finds it in its extra space. */
struct cage {
	lua_State *profile;
	lua_State *engine;
	lua_Alloc allocate; /* the engine's, and its own word */
	void *allocator;
	struct cage_block *blocks; /* all the memory of the profile's state */
	size_t used;
	bool refused;	/* some request for memory failed, perhaps not for good */
	bool exhausted; /* one did, and no pcall may swallow that */
	int line;	/* where; 0: not known */
	char file[512];
	size_t printed;
};

struct cage *cage_of(lua_State *P);

/* ---- cage_library.c: the standard library, made deterministic ---- */

/* Pushes the table of the globals that come from Lua. */
void cage_push_library(lua_State *P);
/* Turns the table at the top of the stack into a view that cannot be written and in which reading
 * an unknown name is an error that says what it should have been: "no WHAT 'name'". */
void cage_freeze(lua_State *P, const char *what);
/* Pushes the name among the string keys of the table at index that is nearest to name, or nil. */
void cage_push_nearest(lua_State *P, int index, const char *name);
/* Pushes tostring() of the value at index: as Lua's, but no address is ever visible. */
const char *cage_tostring(lua_State *P, int index, size_t *ret_len);
/* Whether the error at the top, with this status of lua_pcall, means that the memory of the cage is
 * used up. */
bool cage_exhausted(lua_State *P, int status);

/* ---- cage_order.c ---- */

int cage_next(lua_State *P);
int cage_pairs(lua_State *P);
int cage_sort(lua_State *P);

/* ---- cage_vocabulary.c: what a profile has beyond Lua ---- */

/* Adds constructors, host, param, require and profile to the table at the top of the stack. */
void cage_add_vocabulary(lua_State *P);
/* Compiles a source and pushes the function, or raises. */
void cage_load(lua_State *P, const char *text, size_t len, const char *label);
/* Pushes { file, line, chain } of the first Lua function at or above level, or nil. */
void cage_push_position(lua_State *P, int level);
/* Pushes the table of what the constructors made: [table] = position. */
void cage_push_origins(lua_State *P);
/* Pushes { env = {[name] = true}, param = … }: what the profile looked at. */
void cage_push_used(lua_State *P);

/* ---- cage_copy.c: values from one state to the other ---- */

/* Pushes a copy of the plain value at index of `from`. Raises only in `to`; what is no data becomes
 * nil. */
void cage_copy(lua_State *from, int index, lua_State *to);
/* Pushes on the engine's stack: the copy of the profile's result at index, the origins, the list of
 * faults. */
void cage_transfer(struct cage *cage, int index);

#endif
