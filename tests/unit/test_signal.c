/* SPDX-License-Identifier: MIT */
/* test_signal.c – signals through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(signal, mask_gives_what_was_blocked)
{
	test_lua(test_state(),
		 "S.sigprocmask('setmask', '')\n"
		 "assert(#S.sigprocmask('block', 'int, SIGTERM') == 0)\n"
		 "assert(table.concat(S.sigprocmask('block', {'usr1', 40}), ' ') == 'int term')\n"
		 "assert(table.concat(S.sigprocmask(), ' ') == 'int usr1 term 40')\n"
		 "S.sigprocmask('unblock', 'term')\n"
		 "assert(table.concat(S.sigprocmask(), ' ') == 'int usr1 40')\n"
		 "S.sigprocmask('setmask', 'all')\n"
		 "local blocked = S.sigprocmask()\n"
		 "assert(#blocked == 60, #blocked) -- not KILL, STOP and the two that libc keeps\n"
		 "S.sigprocmask('setmask', '')\n"
		 "assert(#S.sigprocmask() == 0)\n");
}

Test(signal, mask_is_the_kernels)
{
	test_lua(test_state(), "S.sigprocmask('setmask', 'hup, usr2')\n"
			       "local mask\n"
			       "for line in io.lines('/proc/self/status') do\n"
			       "  mask = mask or line:match('^SigBlk:%s*(%x+)')\n"
			       "end\n"
			       "assert(tonumber(mask, 16) == 1 << 0 | 1 << 11, mask)\n");
}

Test(signal, wrong_sets_raise)
{
	test_lua(test_state(), "raises(\"did you mean 'int'\", S.sigprocmask, 'block', 'itn')\n"
			       "raises('99 is no signal', S.sigprocmask, 'block', {99})\n"
			       "raises('0 is no signal', S.sigprocmask, 'block', 0)\n"
			       "raises('names of signals expected', S.sigprocmask, 'block', true)\n"
			       "raises('names of signals expected', S.sigprocmask, 'block')\n"
			       "raises('S.c.SIGPM', S.sigprocmask, 'add', 'int')\n"
			       "raises('bad argument #1', S.signalfd, {{}})\n");
}

Test(signal, pending_lists_what_waits)
{
	test_lua(test_state(), "S.sigprocmask('block', 'usr1, usr2')\n"
			       "assert(#S.sigpending() == 0)\n"
			       "assert(S.raise('usr2'))\n"
			       "assert(table.concat(S.sigpending(), ' ') == 'usr2')\n");
}

Test(signal, action_tells_the_one_before)
{
	test_lua(test_state(), "assert(S.sigaction('usr1') == 'default')\n"
			       "assert(S.sigaction('usr1', 'ignore') == 'default')\n"
			       "assert(S.sigaction('usr1') == 'ignore')\n"
			       "assert(S.raise('usr1')) -- and nothing happens\n"
			       "assert(S.sigaction('usr1', 'default') == 'ignore')\n"
			       "fails('INVAL', S.sigaction('kill', 'ignore'))\n"
			       "raises('invalid option', S.sigaction, 'usr1', 'catch')\n"
			       "raises('70 is no signal', S.sigaction, 70)\n");
}

Test(signal, raise_ends_with_the_signal)
{
	test_lua(test_state(), "local pid = assert(S.fork())\n"
			       "if pid == 0 then\n"
			       "  S.raise('kill')\n"
			       "  S.exit(0)\n"
			       "end\n"
			       "local ended = assert(S.waitid('pid', pid))\n"
			       "assert(ended.code == 'killed', ended.code)\n"
			       "raises(\"did you mean 'term'\", S.raise, 'trerm')\n");
}

Test(signal, signalfd_tells_sender_and_code)
{
	test_lua(test_state(),
		 "S.sigprocmask('block', 'term, usr1')\n"
		 "local fd = assert(S.signalfd('term, usr1', 'nonblock'))\n"
		 "fails('AGAIN', S.signalfd_read(fd))\n"
		 "assert(S.kill(S.getpid(), 'term'))\n"
		 "local got = assert(S.signalfd_read(fd))\n"
		 "assert(got.name == 'term' and got.signo == 15 and got.code == 'user')\n"
		 "assert(got.pid == S.getpid() and got.uid == S.getuid() and got.status == nil)\n"
		 "assert(S.raise('usr1'))\n"
		 "assert(S.signalfd_read(fd).code == 'tkill')\n"
		 "fails('AGAIN', S.signalfd_read(fd))\n"
		 "raises('S.c.SFD', S.signalfd, 'term', 'blocking')\n");
}

Test(signal, signalfd_tells_of_children)
{
	test_lua(test_state(), "S.sigprocmask('block', 'chld')\n"
			       "local fd = assert(S.signalfd('chld'))\n"
			       "local pid = assert(S.fork())\n"
			       "if pid == 0 then S.exit(3) end\n"
			       "local got = assert(S.signalfd_read(fd))\n"
			       "assert(got.name == 'chld' and got.code == 'exited' and got.status "
			       "== 3 and got.pid == pid)\n"
			       "S.waitid('pid', pid)\n"
			       "pid = assert(S.fork())\n"
			       "if pid == 0 then S.raise('kill') end\n"
			       "got = assert(S.signalfd_read(fd))\n"
			       "assert(got.code == 'killed' and got.status == 9)\n"
			       "S.waitid('pid', pid)\n");
}

Test(signal, signalfd_is_close_on_exec)
{
	test_lua(test_state(), "local fd = assert(S.signalfd('usr1'))\n"
			       "local flags\n"
			       "for line in io.lines('/proc/self/fdinfo/' .. fd:getfd()) do\n"
			       "  flags = flags or line:match('^flags:%s*(%d+)')\n"
			       "end\n"
			       "assert(tonumber(flags, 8) & S.c.O.CLOEXEC ~= 0)\n");
}

Test(signal, reading_something_else_fails)
{
	test_lua(test_state(), "raises('a descriptor expected', S.signalfd_read, 'x')\n"
			       "local a, b = S.socketpair('unix', 'stream')\n"
			       "S.send(b, 'short')\n"
			       "fails('BADMSG', S.signalfd_read(a))\n");
}

Test(signal, timedwait_takes_one)
{
	test_lua(test_state(),
		 "S.sigprocmask('block', 'usr1, usr2')\n"
		 "fails('AGAIN', S.sigtimedwait('usr1', 0))\n"
		 "fails('AGAIN', S.sigtimedwait('usr1', 0.01))\n"
		 "S.raise('usr2')\n"
		 "S.raise('usr1')\n"
		 "assert(S.sigtimedwait('usr1, usr2').name == 'usr1')\n"
		 "assert(S.sigtimedwait('usr1, usr2', 10).name == 'usr2')\n"
		 "raises('seconds', S.sigtimedwait, 'usr1', -1)\n"
		 "raises('number of seconds expected', S.sigtimedwait, 'usr1', {})\n");
}
