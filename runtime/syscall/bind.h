/* SPDX-License-Identifier: MIT */
/* bind.h – what every binding of a kernel call is made of: arguments in, results out
 *
 * A binding is three beats: check the arguments with the functions below (they raise), call a core that
 * knows nothing of Lua (it returns >= 0 or -errno), hand the result to a bind_return_* function.
 * lua_error() is a longjmp: a frame that can raise owns nothing.
 */
#ifndef LUGE_BIND_H
#define LUGE_BIND_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "interrupt.h"

/* One named constant of the kernel; a set ends with an empty name. Names are lower case, without prefix, and lie in place:
 * of pointers to them there would be seven pages, which each start would have to write to. */
struct bind_const {
	char name[32];
	uint64_t value;
};

struct bind_set {
	const char *title; /* as in S.c.TITLE: "O", "MS", "CLONE" */
	const struct bind_const *consts;
};

#include "constants.h" /* generated: extern const struct bind_set bind_set_O, bind_set_MS, … */

/* Grows whenever this process may have come into another namespace, or become a copy: who keeps what belongs to one looks
 * whether it is still the same (namespace.c, process.c). */
extern unsigned bind_place;

/* What libc's wrapper or syscall(2) returned, as >= 0 or -errno. */
static inline long sys_result(long rc)
{
	return rc < 0 ? -errno : rc;
}

/* The same of a call that is made again when a signal cut it short, other than one that is to end what runs. */
#define sys_retry(call)                                                                            \
	({                                                                                         \
		long rc_;                                                                          \
                                                                                                   \
		do                                                                                 \
			rc_ = (call);                                                              \
		while (rc_ == -1 && errno == EINTR && !interrupt_is_due);                          \
		sys_result(rc_);                                                                   \
	})

/* ---- arguments: each raises, naming the argument, and the nearest valid name ---- */

/* A descriptor: an fd object or an integer. */
int bind_check_fd(lua_State *L, int arg);
/* The same; nil or "fdcwd" is AT_FDCWD. */
int bind_opt_dirfd(lua_State *L, int arg);
/* A string without NUL inside. */
const char *bind_check_path(lua_State *L, int arg);
/* "a, b" or "a|b", a list of names, an integer, or nil (def). What does not fit in 32 bits raises, but for those of 64. */
uint64_t bind_opt_flags(lua_State *L, int arg, const struct bind_set *set, uint64_t def);
uint64_t bind_opt_flags64(lua_State *L, int arg, const struct bind_set *set, uint64_t def);
uint64_t bind_check_flags(lua_State *L, int arg, const struct bind_set *set);
/* One name or an integer of 32 bits. */
uint64_t bind_check_const(lua_State *L, int arg, const struct bind_set *set);
/* A mode: a string of octal digits such as "0755", or nil (def). Numbers are taken as they are. */
unsigned bind_opt_mode(lua_State *L, int arg, unsigned def);
/* An integer within [min, max]; a float with an integral value counts. */
lua_Integer bind_check_range(lua_State *L, int arg, lua_Integer min, lua_Integer max);
/* A pid; nil is 0, which means this process. */
int bind_opt_pid(lua_State *L, int arg);
/* The id of a user or a group; nil and -1 are the kernel's "leave as it is". */
uint32_t bind_opt_id(lua_State *L, int arg);

/* ---- fields of a table argument ---- */

/* Raises when reading the table at index could run code of the caller's: the strings it holds would no longer be kept. */
void bind_check_plain(lua_State *L, int index, int arg);
/* Raises when the table at arg is not plain, or has a string key that is not in names (NULL-terminated). */
void bind_check_fields(lua_State *L, int arg, const char *const *names);
uint64_t bind_field_flags(lua_State *L, int arg, const char *key, const struct bind_set *set,
			  uint64_t def);
uint64_t bind_field_flags64(lua_State *L, int arg, const char *key, const struct bind_set *set,
			    uint64_t def);
lua_Integer bind_field_int(lua_State *L, int arg, const char *key, lua_Integer def);
/* The string stays owned by the table. */
const char *bind_field_string(lua_State *L, int arg, const char *key, const char *def);
/* def when nil. */
int bind_field_fd(lua_State *L, int arg, const char *key, int def);
bool bind_field_bool(lua_State *L, int arg, const char *key, bool def);
/* Wrong use: raises "bad argument #arg (what)", adding "did you mean" when near is not NULL. */
int bind_raise(lua_State *L, int arg, const char *what, const char *got, const char *near);
/* The name of the set nearest to name, or NULL when none is near. */
const char *bind_nearest(const struct bind_set *set, const char *name);

/* A NULL-terminated array of the strings of the list at arg, as a userdata pushed on the stack. */
const char **bind_push_strings(lua_State *L, int arg);

/* ---- results ---- */

/* Pushes nil, an error object and the number; err is positive. Returns 3. */
int bind_error(lua_State *L, int err);
/* rc < 0: as bind_error. Otherwise true / the integer / the object at the top of the stack, whose slot takes rc. */
int bind_return_ok(lua_State *L, long rc);
int bind_return_int(lua_State *L, long rc);
int bind_return_fd(lua_State *L, int *slot, long rc);
/* Pushes an empty descriptor object, which closes what its slot holds when collected. It is made before the call: after
 * it, no memory for it would leak a descriptor. */
int *bind_new_fd(lua_State *L);
/* Sets t[key] on the table at the top of the stack. */
void bind_set_int(lua_State *L, const char *key, lua_Integer value);
void bind_set_string(lua_State *L, const char *key, const char *value);
/* Sets t[key] = { NAME = true… } for the bits of value that have a name in set. */
void bind_set_flags(lua_State *L, const char *key, const struct bind_set *set, uint64_t value);
/* The lower-case name of value in set, or NULL. */
const char *bind_const_name(const struct bind_set *set, uint64_t value);
/* Pushes the list of names of the bits of value; bits without a name come as one integer at the end. */
void bind_push_flags(lua_State *L, const struct bind_set *set, uint64_t value);

/* ---- putting S together ---- */

/* Each area file defines `void syscall_AREA(lua_State *L)`, which adds its functions to the table at the
 * top of the stack, mostly by luaL_setfuncs(). areas.c lists them. */
int luaopen_syscall_core(lua_State *L);

#endif
