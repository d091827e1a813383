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
	/* luge loads no code but its own, which is in it. */
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

lua_State *state_furnish(lua_State *L)
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

/* What freeze.c put aside. */
static void unpark_addresses(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, STATE_PARKED);
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

void state_thawed(lua_State *L)
{
	unpark_addresses(L);
	lua_getglobal(L, "io");
	renew_handle(L, "stdin", stdin);
	renew_handle(L, "stdout", stdout);
	renew_handle(L, "stderr", stderr);
	lua_pop(L, 1);
}

lua_State *state_new(void)
{
	lua_State *L = source_tree() ? NULL : heap_thaw();

	if (!L)
		return state_furnish(luaL_newstate());
	state_thawed(L);
	return L;
}
