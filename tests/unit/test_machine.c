/* SPDX-License-Identifier: MIT */
/* test_machine.c – kernel modules and the end of a machine, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(machine, wrong_use)
{
	test_lua(test_state(),
		 "raises('string expected', S.reboot)\n"
		 "raises(\"did you mean 'restart'\", S.reboot, 'restrat')\n"
		 "raises('descriptor', S.finit_module, 'overlay')\n"
		 "local fd = assert(S.open('/dev/null', 'rdonly, cloexec'))\n"
		 "raises('string expected', S.finit_module, fd, {})\n"
		 "raises(\"S.c.MODULE_INIT expected\", S.finit_module, fd, '', 'compressed')\n");
}

Test(machine, both_need_privilege)
{
	test_lua(
		test_state(),
		"child(function()\n"
		"  if #S.capget().effective > 0 then assert(S.setresuid(65534, 65534, 65534)) end\n"
		"  local fd = assert(S.open('/dev/null', 'rdonly, cloexec'))\n"
		"  local loaded, err = S.finit_module(fd)\n"
		"  assert(not loaded and (err.PERM or err.NOSYS), err) -- NOSYS: a kernel without "
		"modules\n"
		"  fails('PERM', S.reboot('cad_off'))\n"
		"end)\n");
}

/* A pid namespace is the one thing that a test may end: its PID 1 gets the signal. */
Test(machine_ns, reboot_ends_a_pid_namespace)
{
	test_lua(test_state(), "local function ended_by(command)\n"
			       "  local pid = assert(S.clone3 { flags = 'newuser, newpid', "
			       "exit_signal = 'chld' })\n"
			       "  if pid == 0 then\n"
			       "    if S.getpid() == 1 then S.reboot(command) end\n"
			       "    S.exit(3)\n"
			       "  end\n"
			       "  local _, status = assert(S.wait4(pid))\n"
			       "  return status.code .. ' ' .. status.status\n"
			       "end\n"
			       "local HUP, INT = 1, 2\n"
			       "assert(ended_by('restart') == 'killed ' .. HUP)\n"
			       "assert(ended_by('power_off') == 'killed ' .. INT)\n"
			       "assert(ended_by('halt') == 'killed ' .. INT)\n"
			       "assert(ended_by('cad_off') == 'exited 3')\n");
}
