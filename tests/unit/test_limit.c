/* SPDX-License-Identifier: MIT */
/* test_limit.c – limits, usage and scheduling through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(limit, limits_are_set_and_read)
{
	test_lua(test_state(), "child(function()\n"
			       "  assert(S.setrlimit('nofile', 64, 128))\n"
			       "  local limit = S.getrlimit('RLIMIT_NOFILE')\n"
			       "  assert(limit.soft == 64 and limit.hard == 128)\n"
			       "  assert(io.open('/proc/self/limits'):read('a'):match('Max open "
			       "files%s+64%s+128'))\n"
			       "  assert(S.setrlimit('core', 0))\n"
			       "  assert(S.getrlimit('core').hard == 0)\n"
			       "  fails('INVAL', S.setrlimit('nofile', 65, 64))\n"
			       "  if S.getrlimit('fsize').hard == 'unlimited' then\n"
			       "    assert(S.setrlimit('fsize', 4096, 'unlimited'))\n"
			       "    assert(S.setrlimit('fsize', 'unlimited', 'unlimited'))\n"
			       "    assert(S.getrlimit('fsize').soft == 'unlimited')\n"
			       "  end\n"
			       "end)\n");
}

Test(limit_ns, hard_limits_do_not_grow_back)
{
	test_lua(test_state(),
		 "userns(function()\n" /* no capability over the host's limits there */
		 "  assert(S.setrlimit('nofile', 64))\n"
		 "  fails('PERM', S.setrlimit('nofile', 64, 128))\n"
		 "end)\n");
}

Test(limit, limits_of_another_process)
{
	test_lua(test_state(), "local pid = stopped()\n"
			       "local old = assert(S.prlimit(pid, 'nofile', 32, 64))\n"
			       "assert(old.soft == S.getrlimit('nofile').soft)\n"
			       "local limit = S.prlimit(pid, 'nofile')\n"
			       "assert(limit.soft == 32 and limit.hard == 64)\n"
			       "assert(S.prlimit(0, 'nofile').soft == old.soft)\n"
			       "S.kill(pid, 9)\n"
			       "S.waitid('pid', pid)\n"
			       "fails('SRCH', S.prlimit(pid, 'nofile'))\n");
}

Test(limit, wrong_limits_raise)
{
	test_lua(test_state(), "raises(\"did you mean 'nofile'\", S.getrlimit, 'nofiles')\n"
			       "raises('\"unlimited\" expected', S.setrlimit, 'nofile', 'lots')\n"
			       "raises('\"unlimited\" expected', S.setrlimit, 'nofile', 1.5)\n"
			       "raises('not within', S.setrlimit, 'nofile', -1)\n"
			       "raises('expected', S.setrlimit, 'nofile')\n"
			       "raises('not within', S.prlimit, -1, 'nofile')\n"
			       "fails('INVAL', S.getrlimit(99))\n");
}

Test(limit, usage)
{
	test_lua(test_state(),
		 "local usage = S.getrusage()\n"
		 "assert(math.type(usage.utime) == 'float' and usage.maxrss > 65536)\n"
		 "assert(usage.minflt > 0 and usage.majflt >= 0 and usage.nvcsw >= 0)\n"
		 "assert(usage.inblock >= 0 and usage.oublock >= 0 and usage.nivcsw >= 0)\n"
		 "assert(S.getrusage('children').maxrss == 0)\n"
		 "child(function() local t = {} for i = 1, 100000 do t[i] = {} end end)\n"
		 "assert(S.getrusage('children').maxrss > 1 << 20)\n"
		 "assert(S.getrusage('thread').stime >= 0)\n"
		 "raises('S.c.RUSAGE', S.getrusage, 'me')\n");
}

Test(limit, sysinfo_tells_of_the_machine)
{
	test_lua(test_state(),
		 "local info = S.sysinfo()\n"
		 "local kib = io.open('/proc/meminfo'):read('a'):match('MemTotal:%s+(%d+)')\n"
		 "assert(info.totalram == kib * 1024)\n"
		 "assert(info.freeram > 0 and info.freeram < info.totalram and info.procs > 0)\n"
		 "assert(info.uptime > 0 and #info.loads == 3 and info.loads[1] >= 0)\n"
		 "assert(info.totalswap >= info.freeswap and info.sharedram and info.bufferram)\n");
}

Test(limit, priorities)
{
	test_lua(test_state(), "child(function()\n"
			       "  local nice = assert(S.getpriority('process'))\n"
			       "  assert(S.getpriority('process', S.getpid()) == nice)\n"
			       "  assert(S.setpriority('process', 0, 19))\n"
			       "  assert(S.getpriority('process') == 19)\n"
			       "  fails('SRCH', S.getpriority('process', 0x7ffffff0))\n"
			       "  fails('SRCH', S.setpriority('process', 0x7ffffff0, 19))\n"
			       "  raises('S.c.PRIO', S.getpriority, 'thread')\n"
			       "  raises('not within', S.setpriority, 'process', 0, 20)\n"
			       "end)\n");
}

Test(limit_ns, a_priority_needs_privilege)
{
	test_lua(test_state(), "userns(function()\n"
			       "  assert(S.setpriority('process', 0, 10))\n"
			       "  fails('ACCES', S.setpriority('process', 0, -20))\n"
			       "end)\n");
}

Test(limit, io_priorities)
{
	test_lua(test_state(), "child(function()\n"
			       "  assert(S.ioprio_set('process', 0, 'be', 6))\n"
			       "  local class, level = S.ioprio_get('process')\n"
			       "  assert(class == 'be' and level == 6)\n"
			       "  assert(S.ioprio_set('process', 0, 'idle'))\n"
			       "  assert(S.ioprio_get('process', S.getpid()) == 'idle')\n"
			       "  fails('SRCH', S.ioprio_get('process', 0x7ffffff0))\n"
			       "  raises('S.c.IOPRIO_CLASS', S.ioprio_set, 'process', 0, 'best')\n"
			       "  raises('not within', S.ioprio_set, 'process', 0, 'be', 8)\n"
			       "  raises('S.c.IOPRIO_WHO', S.ioprio_get, 'thread')\n"
			       "end)\n");
}

Test(limit, affinity)
{
	test_lua(test_state(), "child(function()\n"
			       "  local cpus = assert(S.sched_getaffinity())\n"
			       "  assert(#cpus >= 1 and cpus[1] >= 0)\n"
			       "  assert(S.sched_setaffinity(0, { cpus[#cpus] }))\n"
			       "  local now = S.sched_getaffinity(S.getpid())\n"
			       "  assert(#now == 1 and now[1] == cpus[#cpus])\n"
			       "  fails('INVAL', S.sched_setaffinity(0, {}))\n"
			       "  fails('SRCH', S.sched_getaffinity(0x7ffffff0))\n"
			       "  raises('table expected', S.sched_setaffinity, 0)\n"
			       "  raises('CPU numbers', S.sched_setaffinity, 0, { -1 })\n"
			       "  raises('CPU numbers', S.sched_setaffinity, 0, { 'a' })\n"
			       "end)\n");
}

Test(limit, schedulers)
{
	test_lua(test_state(),
		 "child(function()\n"
		 "  local policy, reset = S.sched_getscheduler()\n"
		 "  assert(policy == 'other' and reset == false)\n"
		 "  assert(S.sched_setscheduler(0, 'batch, reset_on_fork'))\n"
		 "  policy, reset = S.sched_getscheduler(S.getpid())\n"
		 "  assert(policy == 'batch' and reset == true)\n"
		 "  child(function() assert(select(2, S.sched_getscheduler()) == false) end)\n"
		 "  assert(S.sched_setscheduler(0, 'idle, reset_on_fork', 0))\n"
		 "  assert(S.sched_getscheduler() == 'idle')\n"
		 "  fails('INVAL', S.sched_setscheduler(0, 'fifo', 0))\n"
		 "  fails('SRCH', S.sched_getscheduler(0x7ffffff0))\n"
		 "  raises('S.c.SCHED', S.sched_setscheduler, 0, 'batsch')\n"
		 "  raises('not within', S.sched_setscheduler, 0, 'fifo', 100)\n"
		 "end)\n");
}

Test(limit_ns, a_real_time_scheduler_needs_privilege)
{
	test_lua(test_state(),
		 "userns(function() fails('PERM', S.sched_setscheduler(0, 'fifo', 1)) end)\n");
}
