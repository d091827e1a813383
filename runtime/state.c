/* SPDX-License-Identifier: MIT */
/* state.c – the engine's Lua state: where `require` finds what the binary holds
 *
 * Runs first in the process, before any privilege is used. No variable of the environment changes what is
 * loaded, but LUGE_LUA_DIR (a source tree, for development): it counts only when the process gained no
 * privilege by its start and the directory belongs to the caller.
 */
#include "state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "heap.h"
#include "modules.h"

extern const struct embedded_file embedded_files[];

const struct embedded_file *embedded_find(const char *name)
{
	for (const struct embedded_file *f = embedded_files; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* The source tree to prefer over the embedded modules, or NULL. */
static const char *source_tree(void)
{
	const char *dir = getenv("LUGE_LUA_DIR");
	struct stat st;

	if (!dir || !*dir || getauxval(AT_SECURE) || geteuid() != getuid() || getegid() != getgid())
		return NULL;
	if (stat(dir, &st) != 0 || st.st_uid != getuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return NULL;
	return dir;
}

/* Pushes the chunk of a module from the source tree: the embedded name says where it was built from. */
static int load_from_tree(lua_State *L, const char *dir, const char *name)
{
	static const char *const patterns[] = {"%s/%s.lua", "%s/%s/init.lua", "%s/runtime/%s.lua",
					       "%s/runtime/%s/init.lua"};
	char module[256], path[4096];

	snprintf(module, sizeof(module), "%s", name);
	for (char *p = module; *p; p++)
		if (*p == '.')
			*p = '/';
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		snprintf(path, sizeof(path), patterns[i], dir, module);
		if (access(path, R_OK) == 0)
			return luaL_loadfile(L, path) == LUA_OK ? 1 : lua_error(L);
	}
	return 0;
}

static int search_embedded(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *dir = source_tree();

	if (dir && load_from_tree(L, dir, name))
		return 1;
	const struct embedded_file *file = embedded_find(name);

	if (!file) {
		lua_pushfstring(L, "\n\tno module '%s' in the luge binary", name);
		return 1;
	}
	/* "b": what is embedded is our own bytecode and nothing else. */
	if (luaL_loadbufferx(L, (const char *)file->data, file->size, name, "b") != LUA_OK)
		return lua_error(L);
	return 1;
}

static int embedded_names(lua_State *L)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (const struct embedded_file *f = embedded_files; f->name; f++) {
		if (strncmp(f->name, "file:", 5) != 0)
			continue;
		lua_pushstring(L, f->name + 5);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* require "luge.embedded": a function from the path of a plain embedded file to its bytes, or nil; without a
 * path, to the list of all paths. */
static int embedded_read(lua_State *L)
{
	char name[512];

	if (lua_isnoneornil(L, 1))
		return embedded_names(L);
	snprintf(name, sizeof(name), "file:%s", luaL_checkstring(L, 1));
	const struct embedded_file *file = embedded_find(name);

	if (!file)
		return 0;
	lua_pushlstring(L, (const char *)file->data, file->size);
	return 1;
}

static int open_embedded(lua_State *L)
{
	lua_pushcfunction(L, embedded_read);
	return 1;
}

static int setup(lua_State *L)
{
	luaL_openlibs(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_pushcfunction(L, open_embedded);
	lua_setfield(L, -2, "luge.embedded");
	for (const luaL_Reg *m = luge_modules; m->name; m++) {
		lua_pushcfunction(L, m->func);
		lua_setfield(L, -2, m->name);
	}
	lua_getglobal(L, "package");
	lua_pushliteral(L, "");
	lua_setfield(L, -2, "path");
	lua_pushliteral(L, "");
	lua_setfield(L, -2, "cpath");
	/* It needs the table of open libraries, which a frozen state cannot have (forget_libraries). */
	lua_pushnil(L);
	lua_setfield(L, -2, "loadlib");
	/* [1] is preload; ours replaces the three that read the disk */
	lua_getfield(L, -1, "searchers");
	lua_pushcfunction(L, search_embedded);
	lua_rawseti(L, -2, 2);
	for (int i = 3; i <= 4; i++) {
		lua_pushnil(L);
		lua_rawseti(L, -2, i);
	}
	return 0;
}

/* The standard libraries and the ways to our modules, in a new state. */
static lua_State *furnish(lua_State *L)
{
	if (!L)
		return NULL;
	lua_gc(L, LUA_GCSTOP, 0);
	lua_pushcfunction(L, setup);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
		lua_close(L);
		return NULL;
	}
	return L;
}

/* Keys of the registry that are addresses in the program (loadlib.c of Lua has one) hash differently where the
 * program lies elsewhere: at the freeze they are put aside as values, at the thaw back in their place. */
static const char PARKED[] = "luge.parked";

static void park_addresses(lua_State *L)
{
	lua_Integer n = 0;

	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		if (lua_islightuserdata(L, -2)) {
			lua_pushvalue(L, -2);
			lua_rawseti(L, -4, ++n);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -4, ++n);
			lua_pushvalue(L, -2);
			lua_pushnil(L);
			lua_rawset(L, LUA_REGISTRYINDEX);
		}
		lua_pop(L, 1);
	}
	lua_setfield(L, LUA_REGISTRYINDEX, PARKED);
}

static void unpark_addresses(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, PARKED);
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i += 2) {
		lua_rawgeti(L, -2, i + 1);
		lua_rawset(L, LUA_REGISTRYINDEX);
	}
	lua_pop(L, 2);
}

/* The handles of a thawed state are those of the process that froze it. */
static void renew_handle(lua_State *L, const char *name, FILE *file)
{
	lua_getfield(L, -1, name);
	((luaL_Stream *)lua_touserdata(L, -1))->f = file;
	lua_pop(L, 1);
}

lua_State *state_new(void)
{
	lua_State *L = source_tree() ? NULL : heap_thaw();

	if (!L)
		return furnish(luaL_newstate());
	unpark_addresses(L);
	lua_getglobal(L, "io");
	renew_handle(L, "stdin", stdin);
	renew_handle(L, "stdout", stdout);
	renew_handle(L, "stderr", stderr);
	lua_pop(L, 1);
	return L;
}

/* Loads every module; nothing but a module's own file runs. */
static int load_all(lua_State *L)
{
	for (const struct embedded_file *f = embedded_files; f->name; f++) {
		if (strncmp(f->name, "file:", 5) == 0)
			continue;
		lua_getglobal(L, "require");
		lua_pushstring(L, f->name);
		lua_call(L, 1, 0);
	}
	park_addresses(L);
	return 0;
}

/* Lua keeps its open libraries under the address of a variable of its own. The address changes with every start
 * and its hash with it, so a search of the registry could run in a circle. */
static void forget_libraries(lua_State *L)
{
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		lua_pop(L, 1);
		if (!lua_islightuserdata(L, -1))
			continue;
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, LUA_REGISTRYINDEX);
	}
}

/* Whether the key's hash is made of an address in the program. */
static bool moves_with_program(lua_State *L, int index)
{
	if (lua_islightuserdata(L, index))
		return true;
	if (!lua_iscfunction(L, index))
		return false;
	if (!lua_getupvalue(L, index, 1))
		return true;
	lua_pop(L, 1); /* with upvalues it is an object of the heap */
	return false;
}

/* Raises where a table that can be reached from the value at the top has such a key. seen: tables already looked at.
 * Pops the value. */
static void check_keys(lua_State *L, int seen)
{
	luaL_checkstack(L, 8, "the modules' tables are nested too deep");
	int value = lua_gettop(L);
	bool is_table = lua_istable(L, value);

	lua_pushvalue(L, value);
	bool known = !(is_table || lua_isfunction(L, value) || lua_isuserdata(L, value)) ||
		     lua_rawget(L, seen) != LUA_TNIL;

	lua_settop(L, value);
	if (known) {
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, value);
	lua_pushboolean(L, 1);
	lua_rawset(L, seen);
	if (lua_getmetatable(L, value))
		check_keys(L, seen);
	for (int i = 1; lua_isfunction(L, value) && lua_getupvalue(L, value, i); i++)
		check_keys(L, seen);
	lua_pushnil(L);
	while (is_table && lua_next(L, value)) {
		if (moves_with_program(L, value + 1))
			luaL_error(
				L,
				"a module has a table with a C function or light userdata as key");
		check_keys(L, seen);
		lua_pushvalue(L, -1);
		check_keys(L, seen);
	}
	lua_settop(L, value - 1);
}

/* What a frozen state must not hold. */
static int check_state(lua_State *L)
{
	forget_libraries(L);
	lua_newtable(L);
	lua_pushvalue(L, LUA_REGISTRYINDEX);
	check_keys(L, 1);
	return 0;
}

int state_freeze(const char *path)
{
	lua_State *L = furnish(heap_state_new());

	if (!L)
		return -ENOMEM;
	lua_pushcfunction(L, load_all);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
		fprintf(stderr, "luge: %s\n", lua_tostring(L, -1));
		return -EINVAL;
	}
	lua_pushcfunction(L, check_state);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
		fprintf(stderr, "luge: %s\n", lua_tostring(L, -1));
		return -EINVAL;
	}
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCSTOP, 0);
	return heap_freeze(L, path);
}
