/* SPDX-License-Identifier: MIT */
/* main.c – the launcher: makes the Lua state, registers the modules written in C, calls sandbox.cli
 *
 * What the command line says is decided in sandbox/cli; this file knows only exit code 125, for the case
 * that Lua itself cannot run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "heap.h"
#include "modules.h"
#include "state.h"

int luaopen_luge_json(lua_State *L);
int luaopen_luge_cage(lua_State *L);
int luaopen_luge_heap(lua_State *L);
int luaopen_luge_script(lua_State *L);
int luaopen_luge_interruptible(lua_State *L);
int luaopen_luge_resolve(lua_State *L);
int luaopen_luge_order_image(lua_State *L);
int luaopen_syscall_core(lua_State *L);
int luaopen_netns_netlink(lua_State *L);

const luaL_Reg luge_modules[] = {
	{"luge.json", luaopen_luge_json},
	{"luge.cage", luaopen_luge_cage},
	{"luge.heap", luaopen_luge_heap},
	{"luge.script", luaopen_luge_script},
	{"luge.interruptible", luaopen_luge_interruptible},
	{"luge.resolve", luaopen_luge_resolve},
	{"luge.order_image", luaopen_luge_order_image},
	/* what S and S.nl stand on */
	{"syscall.core", luaopen_syscall_core},
	{"netns.netlink", luaopen_netns_netlink},
	{NULL, NULL},
};

enum { EXIT_LUGE_FAILED = 125 };

/* sandbox.cli gets the words of the command line, argv[0] included, and returns the exit code. */
static int call_cli(lua_State *L)
{
	int argc = (int)lua_tointeger(L, 1);
	char **argv = lua_touserdata(L, 2);

	lua_getglobal(L, "require");
	lua_pushliteral(L, "sandbox.cli");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "main");
	lua_createtable(L, argc, 0);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
	lua_call(L, 1, 1);
	return 1;
}

/* A caller may leave some of the standard descriptors closed: then the next thing that is opened, a lock or the other end
 * of a pipe, would get the number, and what is written to stdout. What is put there can neither be read nor written, in
 * the direction that counts: whoever tries gets EBADF, as before. */
static void fill_standard(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null",
				   fd == 0 ? O_WRONLY : O_RDONLY); /* the lowest free one: fd */
}

int main(int argc, char **argv)
{
	fill_standard();
	/* The build's last step; what it makes knows this word no more. */
	if (argc == 4 && strcmp(argv[1], "--freeze") == 0 && !heap_is_frozen())
		return state_freeze(argv[2], argv[3]) < 0 ? EXIT_LUGE_FAILED : 0;
	lua_State *L = state_new();

	if (!L) {
		fputs("luge: no memory for Lua\n", stderr);
		return EXIT_LUGE_FAILED;
	}
	lua_pushcfunction(L, call_cli);
	lua_pushinteger(L, argc);
	lua_pushlightuserdata(L, argv);
	if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
		const char *message = lua_tostring(L, -1);

		fprintf(stderr, "luge: internal error: %s\n", message ? message : "unknown");
		return EXIT_LUGE_FAILED;
	}
	int code = (int)lua_tointeger(L, -1);

	if (fflush(stdout) != 0 && code == 0)
		code = EXIT_LUGE_FAILED;
	/* No lua_close: the process ends, and what it holds ends with it. */
	_Exit(code);
}
