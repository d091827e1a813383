/* SPDX-License-Identifier: MIT */
/* script.c – a script in a Lua state of its own: the last thing that a process forked for it does
 *
 * require "luge.script" is a function that never returns. The state that calls it is left as it is, uncollected: the
 * numbers of its descriptors may be others' by now, and it has nothing to say any more (runtime/syscall/script.lua, which
 * prepares the process). What privilege the process has is the script's.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "interrupt.h"
#include "state.h"

int luaopen_luge_script(lua_State *L);

enum { EXIT_GOOD, EXIT_ERROR, EXIT_LATE };

struct script {
	const char *text, *name, *facts;
	size_t length, facts_length;
	lua_Number seconds;
	int result;  /* the descriptor that gets the words of an error */
	int is_bare; /* without luge's environment */
};

/* ---- the deadline ---- */

static const char *running_name;
static char late[4096]; /* where the script was when its time was up */

/* At every instruction, call and return from now on: who catches the error gets it again. */
static void raise_late(lua_State *L, lua_Debug *event)
{
	lua_Debug ar;

	(void)event;
	for (int level = 0; !late[0] && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline > 0 && ar.source[0] == '@' &&
		    strcmp(ar.source + 1, running_name) == 0)
			snprintf(late, sizeof(late), "%s:%d: its time was up", running_name,
				 ar.currentline);
	}
	if (!late[0])
		snprintf(late, sizeof(late), "%s: its time was up", running_name);
	luaL_error(L, "%s", late);
}

/* The alarms after the first are for a call that began to wait just before it. */
static void set_alarm(lua_State *L, lua_Number seconds)
{
	struct itimerval timer = {.it_interval = {.tv_usec = 50000}};

	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (lua_Number)timer.it_value.tv_sec) * 1e6);
	if (timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0)
		timer.it_value.tv_usec = 1;
	interrupt_on(SIGALRM, 0, L, raise_late);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- the run ---- */

/* syscall.script_main has the rest: a function of the text, the name and the facts, which returns nil or an error's
 * words. */
static int call_main(lua_State *L)
{
	const struct script *s = lua_touserdata(L, 1);

	lua_gc(L, LUA_GCRESTART, 0);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "syscall.script_main");
	lua_call(L, 1, 1);
	lua_pushlstring(L, s->text, s->length);
	lua_pushstring(L, s->name);
	lua_pushlstring(L, s->facts, s->facts_length);
	set_alarm(L, s->seconds);
	lua_call(L, 3, 1);
	return 1;
}

static void say(int fd, const char *words)
{
	size_t length = strlen(words);

	while (length > 0) {
		ssize_t n = write(fd, words, length);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			words += n;
			length -= (size_t)n;
		}
	}
}

static _Noreturn void run(const struct script *s)
{
	const char *words = "no memory for Lua";

	if (s->is_bare)
		clearenv();
	interrupt_off(SIGINT); /* that would end a chunk of the state that is left */
	lua_State *L = state_furnish(luaL_newstate());

	if (L) {
		running_name = s->name;
		lua_pushcfunction(L, call_main);
		lua_pushlightuserdata(L, (void *)s);
		words = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isnil(L, -1) ? NULL
									    : lua_tostring(L, -1);
		if (!words && !lua_isnil(L, -1))
			words = "an error without words";
	}
	signal(SIGALRM, SIG_IGN);
	if (late[0])
		words = late;
	fflush(NULL);
	if (words)
		say(s->result, words);
	_exit(late[0] ? EXIT_LATE : words ? EXIT_ERROR : EXIT_GOOD);
}

/* (text, name, facts, seconds, result, is_bare) */
static int l_script(lua_State *L)
{
	struct script s = {0};

	s.text = luaL_checklstring(L, 1, &s.length);
	s.name = luaL_checkstring(L, 2);
	s.facts = luaL_checklstring(L, 3, &s.facts_length);
	s.seconds = luaL_checknumber(L, 4);
	s.result = (int)luaL_checkinteger(L, 5);
	s.is_bare = lua_toboolean(L, 6);
	run(&s);
}

int luaopen_luge_script(lua_State *L)
{
	lua_pushcfunction(L, l_script);
	return 1;
}
