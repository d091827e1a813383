/* SPDX-License-Identifier: MIT */
/* test_process.c – processes through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(process, fork_and_exit_give_the_code)
{
	test_lua(test_state(), "local pid = assert(S.fork())\n"
			       "if pid == 0 then S.exit(7) end\n"
			       "local ended = assert(S.waitid('pid', pid))\n"
			       "assert(ended.pid == pid and ended.uid == S.getuid())\n"
			       "assert(ended.code == 'exited' and ended.status == 7)\n"
			       "assert(ended.signal == nil)\n"
			       "assert(ended.rusage.utime >= 0 and ended.rusage.maxrss > 0)\n"
			       "fails('CHILD', S.waitid('pid', pid))\n");
}
