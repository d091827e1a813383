/* SPDX-License-Identifier: MIT */
/* process.h – what process.c and birth.c share: the arguments of clone3 */
#ifndef LUGE_PROCESS_H
#define LUGE_PROCESS_H

#include <linux/sched.h>

#include "bind.h"

/* Fills args, which are zero, from the table at argument 1; *ret_pidfd: whether a pidfd is wanted. */
void process_check_clone3(lua_State *L, struct clone_args *args, bool *ret_pidfd);

#endif
