/* SPDX-License-Identifier: MIT */
/* scratch.h – unit tests that need a directory: a new one is their working directory
 *
 * Besides the helpers of lua_state.h a chunk sees
 *   newns(f)   runs f as userns() does, in a mount namespace of its own, all private
 */
#ifndef LUGE_TEST_SCRATCH_H
#define LUGE_TEST_SCRATCH_H

#include <lua.h>

lua_State *scratch_state(void);
/* For .fini of a test: removes the directory and what is in it. */
void scratch_remove(void);

#endif
