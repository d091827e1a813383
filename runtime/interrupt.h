/* SPDX-License-Identifier: MIT */
/* interrupt.h – a signal that raises an error in the Lua code that runs */
#ifndef LUGE_INTERRUPT_H
#define LUGE_INTERRUPT_H

#include <signal.h>

#include <lua.h>

/* The signal came, and the hook did not clear this yet: what waits is not to be asked again. */
extern volatile sig_atomic_t interrupt_is_due;

/* From now on the signal makes L call the hook at its next instruction, call or return, and at every one after it until the
 * hook takes itself away. What waits in the kernel returns EINTR. flags: more for sigaction(2), SA_RESETHAND. One state and
 * hook for all signals. */
void interrupt_on(int signal, int flags, lua_State *L, lua_Hook hook);

/* The default action, where the signal still does what interrupt_on() made it do; one that is due is forgotten. No call
 * where that never was. */
void interrupt_off(int signal);

#endif
