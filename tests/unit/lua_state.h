/* SPDX-License-Identifier: MIT */
/* lua_state.h – unit tests of the syscall layer, written in Lua
 *
 * A chunk sees the global S and these helpers:
 *   fails('PERM', S.call(…))   the call has to give nil and that error
 *   raises('text', f, …)       f(…) has to raise a message that contains text
 *   child(f)                   runs f in a forked copy, which has to end well; for what cannot be taken back
 *   stopped(f)                 pid and pidfd of a forked copy that ran f (optional) and stopped itself
 *   userns(f)                  the same, as root of a user namespace of its own
 *   skip(reason)               ends the test as skipped
 */
#ifndef LUGE_TEST_LUA_STATE_H
#define LUGE_TEST_LUA_STATE_H

#include <lua.h>

/* A state as luge makes it, with the helpers; never NULL. */
lua_State *test_state(void);
/* Runs chunk; an error fails the test with its message, false or nil as first result of `return` does too. */
void test_lua(lua_State *L, const char *chunk);

#endif
