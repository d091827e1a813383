/* SPDX-License-Identifier: MIT */
/* cage.c – "luge.cage": evaluates a profile in a Lua state of its own, with hard caps
 *
 * A profile may come from anybody, and `luge check` must be safe on it. It runs in a second Lua
 * state whose allocator ends at 64 MiB and whose CPU time ends at 2 s. Neither cap can be caught: C
 * functions such as string.find never return to a hook, so the last word is a signal handler that
 * writes one message and ends the process. Nothing exists at that point that would need an undo.
 * The state is never closed (closing runs Lua code); its memory is given back block by block. The
 * engine's state stands below the profile's on the C stack: nothing that can raise in the engine is
 * called while the profile runs, but in a protected call.
 */
#include "cage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "modules.h"

#define CAGE_TYPE "luge.cage"

enum {
	MEMORY_LIMIT = 64 << 20,
	/* The first tick asks the interpreter to say where it is, the second ends the process: 2 s
	   in all. */
	FIRST_TICK_US = 1900000,
	SECOND_TICK_US = 100000,
};

/* ---- memory ---- */

/* Stands in front of every block, and keeps the allocator's alignment. */
struct cage_block {
	_Alignas(16) struct cage_block *previous, *next;
	size_t size; /* this included */
};

/* The memory is of the engine's allocator, which has pages at hand. */
static struct cage_block *resize_block(struct cage *cage, struct cage_block *b, size_t size)
{
	struct cage_block *moved = cage->allocate(cage->allocator, b, b ? b->size : LUA_TNIL, size);

	if (moved)
		moved->size = size;
	return moved;
}

struct cage *cage_of(lua_State *P)
{
	return *(struct cage **)lua_getextraspace(P);
}

/* Remembers the line that asked for too much. Lua collects garbage and asks again before it gives
 * up, so this alone does not mean that memory is exhausted. lua_getstack and lua_getinfo allocate
 * nothing. */
static void note_refusal(struct cage *cage)
{
	lua_Debug ar;

	cage->refused = true;
	cage->line = 0;
	for (int level = 0; cage->profile && lua_getstack(cage->profile, level, &ar); level++) {
		lua_getinfo(cage->profile, "Sl", &ar);
		if (ar.currentline <= 0)
			continue;
		cage->line = ar.currentline;
		snprintf(cage->file, sizeof(cage->file), "%s", ar.source + 1);
		return;
	}
}

static void unlink_block(struct cage *cage, struct cage_block *b)
{
	if (b->previous)
		b->previous->next = b->next;
	else
		cage->blocks = b->next;
	if (b->next)
		b->next->previous = b->previous;
}

static void link_block(struct cage *cage, struct cage_block *b)
{
	b->previous = NULL;
	b->next = cage->blocks;
	if (b->next)
		b->next->previous = b;
	cage->blocks = b;
}

static void *cage_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct cage *cage = ud;
	struct cage_block *b = ptr ? (struct cage_block *)ptr - 1 : NULL;

	if (!ptr)
		osize = 0; /* then osize tells what the block is for */
	if (nsize > osize && nsize - osize > MEMORY_LIMIT - cage->used) {
		note_refusal(cage);
		return NULL;
	}
	if (b)
		unlink_block(cage, b);
	if (nsize == 0) {
		if (b)
			(void)resize_block(cage, b, 0);
		cage->used -= osize;
		return NULL;
	}
	struct cage_block *moved = resize_block(cage, b, sizeof(*b) + nsize);

	if (!moved) {
		if (b)
			link_block(cage, b);
		/* Lua relies on it that a block can always shrink. */
		return b && nsize <= osize ? ptr : NULL;
	}
	link_block(cage, moved);
	cage->used = cage->used - osize + nsize;
	return moved + 1;
}

/* ---- time ---- */

/* One profile runs at a time, and a signal handler has no other way to know of it. */
static struct {
	lua_State *profile;
	int exit_code;
	volatile sig_atomic_t ticks;
	char message[1024];
	size_t length;
	struct sigaction old_action;
	sigset_t old_mask;
} clock_state;

#define TIME_TEXT "the profile ran for more than 2 s of CPU time\n1 error; nothing was started.\n"

/* Copies a file's name without what a terminal would act on. */
static void set_message(const char *file, int line)
{
	char *out = clock_state.message;
	char *end = out + sizeof(clock_state.message) - sizeof(TIME_TEXT) - 32;

	for (; *file && out < end; file++)
		*out++ = (unsigned char)*file < 0x20 || *file == 0x7f ? '?' : *file;
	if (line > 0)
		out += sprintf(out, ":%d", line);
	out += sprintf(out, ": " TIME_TEXT);
	clock_state.length = (size_t)(out - clock_state.message);
}

static void end_process(void)
{
	(void)!write(STDERR_FILENO, clock_state.message,
		     clock_state.length); /* no one is left to tell */
	_exit(clock_state.exit_code);
}

/* Runs between two instructions of the profile, and so knows the line. */
static void say_where(lua_State *P, lua_Debug *unused)
{
	lua_Debug ar;

	(void)unused;
	for (int level = 0; lua_getstack(P, level, &ar); level++) {
		lua_getinfo(P, "Sl", &ar);
		if (ar.currentline > 0) {
			set_message(ar.source + 1, ar.currentline);
			break;
		}
	}
	end_process();
}

static void on_tick(int signal_number)
{
	(void)signal_number;
	if (clock_state.ticks++)
		end_process();
	/* Of Lua's functions only this one may be called in a signal handler. */
	lua_sethook(clock_state.profile, say_where, LUA_MASKCALL | LUA_MASKCOUNT, 1);
}

static void clock_start(lua_State *P, const char *label, int exit_code)
{
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	struct itimerval timer = {.it_value = {FIRST_TICK_US / 1000000, FIRST_TICK_US % 1000000},
				  .it_interval = {0, SECOND_TICK_US}};
	sigset_t set;

	clock_state.profile = P;
	clock_state.exit_code = exit_code;
	clock_state.ticks = 0;
	set_message(label, 0);
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGPROF);
	/* None of these can fail with these arguments. */
	(void)sigaction(SIGPROF, &action, &clock_state.old_action);
	(void)sigprocmask(SIG_UNBLOCK, &set, &clock_state.old_mask);
	(void)setitimer(ITIMER_PROF, &timer, NULL);
}

static void clock_stop(void)
{
	struct itimerval off = {0};

	if (!clock_state.profile)
		return;
	(void)setitimer(ITIMER_PROF, &off, NULL);
	(void)sigprocmask(SIG_SETMASK, &clock_state.old_mask, NULL);
	(void)sigaction(SIGPROF, &clock_state.old_action, NULL);
	clock_state.profile = NULL;
}

/* ---- evaluation ---- */

/* The text of an error value. Runs code of the profile (__tostring), so in a protected call. */
static int describe(lua_State *P)
{
	if (luaL_getmetafield(P, 1, "__tostring") != LUA_TNIL || lua_type(P, 1) == LUA_TNUMBER)
		cage_tostring(P, 1, NULL);
	else if (lua_isnil(P, 1))
		lua_pushliteral(P, "error(nil)");
	else
		lua_pushfstring(P, "error() with a %s instead of a message", luaL_typename(P, 1));
	return 1;
}

/* The message handler: { message, file, line, chain } of the error at the top. */
static int explain(lua_State *P)
{
	if (cage_exhausted(P, LUA_ERRRUN))
		return 1;
	if (lua_type(P, 1) != LUA_TSTRING) {
		lua_pushcfunction(P, describe);
		lua_pushvalue(P, 1);
		if (lua_pcall(P, 1, 1, 0) != LUA_OK) {
			lua_pop(P, 1);
			lua_pushliteral(P, "error() with a value that has no text");
		}
		lua_replace(P, 1);
	}
	cage_push_position(P, 1);
	if (!lua_istable(P, -1))
		lua_newtable(P);
	lua_pushvalue(P, 1);
	lua_setfield(P, -2, "message");
	return 1;
}

struct request {
	const char *text, *label;
	size_t len;
	bool expression;
};

static void push_main(lua_State *P, const struct request *r)
{
	if (!r->expression) {
		cage_load(P, r->text, r->len, r->label);
		return;
	}
	lua_pushliteral(P, "return ");
	lua_pushlstring(P, r->text, r->len);
	lua_concat(P, 2);
	size_t len;
	const char *text = lua_tolstring(P, -1, &len);

	cage_load(P, text, len, r->label);
	lua_remove(P, -2);
}

static int run_main(lua_State *P)
{
	const struct request *r = lua_touserdata(P, 1);

	push_main(P, r);
	lua_call(P, 0, 1);
	return 1;
}

/* Builds the globals, runs the source: true and its value, or false and what explain() made. */
static int evaluate(lua_State *P)
{
	lua_settop(P, 1);
	cage_push_library(P);
	cage_add_vocabulary(P);
	cage_freeze(P, NULL);
	lua_rawseti(P, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);

	lua_pushcfunction(P, explain);
	lua_pushcfunction(P, run_main);
	lua_pushvalue(P, 1);
	int status = lua_pcall(P, 1, 1, -3);

	if (!cage_exhausted(P, status) && status == LUA_ERRERR && !lua_istable(P, -1)) {
		lua_newtable(P);
		lua_pushliteral(P, "too many errors within errors");
		lua_setfield(P, -2, "message");
	}
	lua_pushboolean(P, status == LUA_OK);
	lua_insert(P, -2);
	return 2;
}

static void push_memory_fault(lua_State *E, const struct cage *cage)
{
	lua_createtable(E, 0, 3);
	lua_pushliteral(E, "the profile needs more than 64 MiB of memory");
	lua_setfield(E, -2, "message");
	if (cage->line > 0) {
		lua_pushstring(E, cage->file);
		lua_setfield(E, -2, "file");
		lua_pushinteger(E, cage->line);
		lua_setfield(E, -2, "line");
	}
}

/* false and the list of faults. */
static int return_fault(lua_State *E, struct cage *cage)
{
	lua_pushboolean(E, 0);
	lua_createtable(E, 1, 0);
	if (cage->exhausted)
		push_memory_fault(E, cage);
	else
		cage_copy(cage->profile, -1, E);
	lua_rawseti(E, -2, 1);
	return 2;
}

/* true, value, origins, used; or false and the faults of a value that is no data. */
static int return_value(lua_State *E, struct cage *cage)
{
	lua_State *P = cage->profile;

	lua_pushboolean(E, 1);
	cage_transfer(cage, lua_gettop(P));
	if (lua_rawlen(E, -1) > 0) {
		lua_pushboolean(E, 0);
		lua_insert(E, -2);
		return 2;
	}
	lua_pop(E, 1);
	cage_push_used(P);
	cage_copy(P, -1, E);
	return 4;
}

static void cage_done(struct cage *cage)
{
	if (cage->profile && clock_state.profile == cage->profile)
		clock_stop();
	cage->profile = NULL;
	while (cage->blocks) {
		struct cage_block *next = cage->blocks->next;

		(void)resize_block(cage, cage->blocks, 0);
		cage->blocks = next;
	}
}

/* Only for what the engine raised in between: cage_run() does not wait for the collector. */
static int cage_gc(lua_State *E)
{
	cage_done(luaL_checkudata(E, 1, CAGE_TYPE));
	return 0;
}

static struct cage *new_cage(lua_State *E)
{
	struct cage *cage = lua_newuserdata(E, sizeof(*cage));

	*cage = (struct cage){.engine = E};
	cage->allocate = lua_getallocf(E, &cage->allocator);
	luaL_setmetatable(E, CAGE_TYPE);
	lua_State *P = lua_newstate(cage_alloc, cage);

	if (!P)
		luaL_error(E, "no memory for a profile");
	*(struct cage **)lua_getextraspace(P) = cage;
	cage->profile = P;
	return cage;
}

/* run{ text=, label=, expression=bool, constructors={names}, facts={names}, params={}, exit_code=,
 *      ask=function(kind, name, label of who asks) } where ask of a "profile" or "module" gives
 * text, label or nil, message; of a "fact" nil, value.
 * -> true, value, origins, used | false, faults. Over its CPU time it does not return. */
static int cage_run(lua_State *E)
{
	static const char *const fields[] = {"text",  "label", "constructors",
					     "facts", "ask",   "params"};
	struct request request;

	luaL_checktype(E, 1, LUA_TTABLE);
	lua_settop(E, 1);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		lua_getfield(E, 1, fields[i]);
	request.text = luaL_checklstring(E, 2, &request.len);
	request.label = luaL_checkstring(E, 3);
	luaL_checktype(E, 4, LUA_TTABLE);
	luaL_checktype(E, 5, LUA_TTABLE);
	luaL_checktype(E, CAGE_ASK, LUA_TFUNCTION);
	luaL_checktype(E, 7, LUA_TTABLE);
	lua_getfield(E, 1, "expression");
	request.expression = lua_toboolean(E, -1);
	lua_getfield(E, 1, "exit_code");
	int exit_code = (int)luaL_checkinteger(E, -1);

	lua_settop(E, CAGE_TOP - 1);
	struct cage *cage = new_cage(E);
	lua_State *P = cage->profile;

	luaL_checkstack(E, 40, NULL);
	clock_start(P, request.label, exit_code);
	lua_pushcfunction(P, evaluate);
	lua_pushlightuserdata(P, &request);
	int status = lua_pcall(P, 1, 2, 0);

	clock_stop();
	lua_settop(E, CAGE_TOP);
	if (status == LUA_ERRMEM)
		cage->exhausted = true;
	if (status != LUA_OK && !cage->exhausted)
		return luaL_error(E, "the cage failed: %s", lua_tostring(P, -1));
	int results = cage->exhausted || !lua_toboolean(P, -2) ? return_fault(E, cage)
							       : return_value(E, cage);

	cage_done(cage);
	return results;
}

/* nearest(name, list of names) -> name | nil */
static int cage_nearest(lua_State *E)
{
	const char *name = luaL_checkstring(E, 1);

	luaL_checktype(E, 2, LUA_TTABLE);
	lua_newtable(E);
	for (lua_Integer i = 1; lua_rawgeti(E, 2, i) == LUA_TSTRING; i++) {
		lua_pushboolean(E, 1);
		lua_rawset(E, 3);
	}
	cage_push_nearest(E, 3, name);
	return 1;
}

int luaopen_luge_cage(lua_State *E)
{
	static const luaL_Reg functions[] = {
		{"run", cage_run}, {"nearest", cage_nearest}, {NULL, NULL}};

	luaL_newmetatable(E, CAGE_TYPE);
	lua_pushcfunction(E, cage_gc);
	lua_setfield(E, -2, "__gc");
	luaL_newlib(E, functions);
	return 1;
}
