/* SPDX-License-Identifier: MIT */
/* test_credential.c – ids and sessions through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(credential, ids_are_those_of_the_kernel)
{
	test_lua(test_state(),
		 "local status = io.open('/proc/self/status'):read('a')\n"
		 "local r, e, s = status:match('Uid:%s+(%d+)%s+(%d+)%s+(%d+)')\n"
		 "assert(S.getuid() == tonumber(r) and S.geteuid() == tonumber(e))\n"
		 "local r2, e2, s2 = S.getresuid()\n"
		 "assert(r2 == S.getuid() and e2 == S.geteuid() and s2 == tonumber(s))\n"
		 "r, e, s = status:match('Gid:%s+(%d+)%s+(%d+)%s+(%d+)')\n"
		 "assert(S.getgid() == tonumber(r) and S.getegid() == tonumber(e))\n"
		 "r2, e2, s2 = S.getresgid()\n"
		 "assert(r2 == S.getgid() and e2 == S.getegid() and s2 == tonumber(s))\n"
		 "local groups = S.getgroups()\n"
		 "local text = status:match('Groups:%s*([%d ]*)')\n"
		 "local n = 0\n"
		 "for id in text:gmatch('%d+') do n = n + 1 assert(groups[n] == tonumber(id)) end\n"
		 "assert(#groups == n)\n");
}

Test(credential, ids_change)
{
	test_lua(test_state(), "if S.geteuid() ~= 0 then skip('not-root: changing ids') end\n"
			       "child(function()\n"
			       "  local ok, err = S.setgroups{ 5, 4294967294, 7 }\n"
			       "  if not ok then skip('no-setgroups: ' .. tostring(err)) end\n"
			       "  local groups = S.getgroups()\n"
			       "  table.sort(groups)\n"
			       "  assert(table.concat(groups, ' ') == '5 7 4294967294')\n"
			       "  assert(S.setgroups{} and #S.getgroups() == 0)\n"
			       "  assert(S.setresgid(11, 12, 13))\n"
			       "  assert(table.concat({ S.getresgid() }, ' ') == '11 12 13')\n"
			       "  assert(S.setresuid(21, nil, 23))\n"
			       "  assert(table.concat({ S.getresuid() }, ' ') == '21 0 23')\n"
			       "  assert(S.setresuid(-1, 21, 21))\n"
			       "  fails('PERM', S.setresuid(0, 0, 0))\n"
			       "  fails('PERM', S.setresgid(0, 0, 0))\n"
			       "  fails('PERM', S.setgroups{ 0 })\n"
			       "end)\n");
}

Test(credential_ns, unmapped_ids_are_refused)
{
	test_lua(test_state(), "userns(function()\n"
			       "  assert(S.geteuid() == 0 and S.getegid() == 0)\n"
			       "  assert(S.setresuid(0, 0, 0) and S.setresgid(0, 0, 0))\n"
			       "  fails('INVAL', S.setresuid(1, 1, 1))\n"
			       "  fails('INVAL', S.setresgid(1, 1, 1))\n"
			       "  fails('PERM', S.setgroups{})\n"
			       "end)\n");
}

Test(credential, wrong_ids_raise)
{
	test_lua(test_state(), "raises('not within', S.setresuid, -2)\n"
			       "raises('not within', S.setresuid, 0, 1 << 32)\n"
			       "raises('number expected', S.setresgid, 'root')\n"
			       "raises('not within', S.setresgid, 0, 0, 4294967295)\n"
			       "raises('table expected', S.setgroups)\n"
			       "raises('group ids', S.setgroups, { 'wheel' })\n"
			       "raises('group ids', S.setgroups, { -1 })\n");
}

Test(credential, sessions_and_groups)
{
	test_lua(test_state(),
		 "assert(S.getpgrp() == S.getpgid() and S.getsid() >= 0)\n"
		 "assert(S.getsid(S.getpid()) == S.getsid())\n"
		 "child(function()\n"
		 "  local old = S.getsid()\n"
		 "  assert(S.setpgid() and S.getpgrp() == S.getpid())\n"
		 "  fails('PERM', S.setsid())\n" /* a leader of a group */
		 "  child(function()\n"
		 "    assert(S.getsid() == old)\n"
		 "    assert(S.setsid() == S.getpid())\n"
		 "    assert(S.getsid() == S.getpid() and S.getpgrp() == S.getpid())\n"
		 "    fails('PERM', S.setpgid(0, 0))\n"
		 "  end)\n"
		 "end)\n"
		 "fails('SRCH', S.getsid(0x7ffffff0))\n"
		 "fails('SRCH', S.getpgid(0x7ffffff0))\n"
		 "fails('SRCH', S.setpgid(0x7ffffff0, 0))\n"
		 "raises('not within', S.setpgid, -1)\n"
		 "raises('not within', S.getsid, -1)\n");
}
