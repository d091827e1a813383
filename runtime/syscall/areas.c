/* SPDX-License-Identifier: MIT */
/* areas.c – the kernel areas of the syscall layer, one file each
 *
 * Each adds its functions to the table that becomes S. Order does not matter: no two define one name.
 */
#include "bind.h"

/* clang-format off */
#define AREAS(X) \
	X(file) X(directory) X(stat) X(xattr) X(mount) X(mountinfo) X(process) X(birth) \
	X(namespace) X(credential) X(capability) X(prctl) X(limit) X(signal) X(event) \
	X(socket) X(time) X(seccomp) X(bpf) X(terminal) X(machine)
/* clang-format on */

#define DECLARE(area) void syscall_##area(lua_State *L);
AREAS(DECLARE)

#define LIST(area) syscall_##area,
void (*const syscall_areas[])(lua_State *L) = {AREAS(LIST) NULL};
