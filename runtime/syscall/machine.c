/* SPDX-License-Identifier: MIT */
/* machine.c – what PID 1 of a machine does that no container may: load kernel modules, end the machine
 *
 * Used where luge is the first program of a kernel. Both calls act on the whole machine, but for
 * reboot in a pid namespace of its own, where it ends that namespace.
 */
#include "bind.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <linux/reboot.h>

/*** S.finit_module(fd, parameters="", flags=0) -> true
 * Loads the module in a file that is open for reading; parameters: "name=value name=value". flags:
 * S.c.MODULE_INIT. What it depends on must be loaded already: that is modprobe's work. Errors:
 * EPERM (CAP_SYS_MODULE; a signature is missing), EEXIST (it is loaded), ENOEXEC (no module of this
 * kernel), ENOENT (a symbol is unknown), EINVAL (a parameter). finit_module(2). */
static int l_finit_module(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	const char *parameters = luaL_optstring(L, 2, "");
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_MODULE_INIT, 0);

	return bind_return_ok(L, sys_result(syscall(SYS_finit_module, fd, parameters, flags)));
}

/*** S.reboot(command) -> true
 * command: S.c.REBOOT ("restart", "power_off", "halt", "cad_off"). Nothing is written back or
 * unmounted before. In a pid namespace that is not the machine's, restart kills its PID 1 with HUP,
 * halt and power_off with INT, and the rest is EINVAL. Errors: EPERM (CAP_SYS_BOOT over the user
 * namespace of the pid namespace), EINVAL. reboot(2). */
static int l_reboot(lua_State *L)
{
	uint64_t command = bind_check_const(L, 1, &bind_set_REBOOT);

	return bind_return_ok(L, sys_result(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1,
						    LINUX_REBOOT_MAGIC2, (unsigned)command, NULL)));
}

static const luaL_Reg machine_functions[] = {
	{"finit_module", l_finit_module},
	{"reboot", l_reboot},
	{NULL, NULL},
};

void syscall_machine(lua_State *L)
{
	luaL_setfuncs(L, machine_functions, 0);
}
