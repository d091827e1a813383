/* SPDX-License-Identifier: MIT */
/* interrupt.c – a signal that raises an error in the Lua code that runs
 *
 * For the deadline of a script (script.c) and Ctrl-C at `luge lua`: require "luge.interruptible" is a function like
 * xpcall. Lua runs in no signal handler: the handler leaves a hook. A coroutine that was made before has none: what raises
 * there is the next step of the state that was given, as in lua(1).
 */
#include <signal.h>
#include <stdbool.h>

#include <lauxlib.h>

#include "interrupt.h"

int luaopen_luge_interruptible(lua_State *L);

volatile sig_atomic_t interrupt_is_due;

static lua_State *interrupted;
static lua_Hook interrupting;

/* lua_sethook is the one call of Lua that a signal may make (lua.c does so too). */
static void on_signal(int signal)
{
	(void)signal;
	interrupt_is_due = 1;
	lua_sethook(interrupted, interrupting,
		    LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void interrupt_on(int signal, int flags, lua_State *L, lua_Hook hook)
{
	/* no SA_RESTART: what waits is to return */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	interrupted = L;
	interrupting = hook;
	(void)sigaction(signal, &action, NULL); /* fails only for what is no signal */
}

static bool does(int signal, void (*handler)(int))
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == handler;
}

void interrupt_off(int sig)
{
	if (interrupted && does(sig, on_signal))
		(void)signal(sig, SIG_DFL);
	interrupt_is_due = 0;
}

static void take_away(lua_State *L)
{
	interrupt_is_due = 0;
	lua_sethook(L, NULL, 0, 0);
}

static void raise_interrupted(lua_State *L, lua_Debug *event)
{
	(void)event;
	take_away(L);
	luaL_error(L, "interrupted!");
}

/* (handler, function, …): xpcall, whose function SIGINT ends by an error; the next SIGINT ends the process. Not where the
 * signal is ignored or somebody's already, nor for longer than the function lets it be. */
static int l_interruptible(lua_State *L)
{
	bool is_ours = does(SIGINT, SIG_DFL);

	luaL_checkany(L, 2);
	if (is_ours)
		interrupt_on(SIGINT, SA_RESETHAND, L, raise_interrupted);
	lua_pushboolean(L, lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1) == LUA_OK);
	if (is_ours) {
		interrupt_off(SIGINT);
		/* The signal came when the function had ended. */
		if (lua_gethook(L) == raise_interrupted)
			take_away(L);
	}
	lua_replace(L, 1);
	return lua_gettop(L);
}

int luaopen_luge_interruptible(lua_State *L)
{
	lua_pushcfunction(L, l_interruptible);
	return 1;
}
