/* SPDX-License-Identifier: MIT */
/* test_terminal.c – terminals through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(terminal, openpty_gives_both_ends, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local master, slave, name = assert(S.openpty())\n"
		 "assert(name:match('^/dev/pts/%d+$') and S.ptsname(master) == name)\n"
		 "assert(S.isatty(master) and slave:isatty())\n"
		 "assert(slave:write('x') == 1 and master:read() == 'x')\n"
		 "assert(master:write('in\\n') == 3 and slave:read() == 'in\\n')\n"
		 "assert(slave:fcntl('getfd') == 1 and master:fcntl('getfd') == 1)\n");
}

Test(terminal, slave_is_locked_at_first, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local master = assert(S.posix_openpt())\n"
				  "fails('IO', S.ptpeer(master))\n"
				  "assert(S.unlockpt(master))\n"
				  "assert(S.ptpeer(master, 'rdwr, noctty, nonblock'))\n"
				  "fails('NOTTY', S.ptsname(S.open('/dev/null')))\n"
				  "fails('NOTTY', S.unlockpt(S.open('/dev/null')))\n"
				  "fails('NOTTY', S.ptpeer(S.open('/dev/null')))\n");
}

Test(terminal, isatty_says_why_not, .fini = scratch_remove)
{
	test_lua(scratch_state(), "fails('NOTTY', S.isatty(S.open('/dev/null')))\n"
				  "fails('BADF', S.isatty(1000))\n");
}

Test(terminal, attributes_are_set_in_part, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local master, slave = assert(S.openpty())\n"
		 "local before = assert(slave:tcgetattr())\n"
		 "assert(before.lflag & S.c.LFLAG.ECHO ~= 0 and before.cc.intr == 3)\n"
		 "assert(slave:tcsetattr('now', { lflag = before.lflag & ~S.c.LFLAG.ECHO }))\n"
		 "local after = slave:tcgetattr()\n"
		 "assert(after.lflag == before.lflag & ~S.c.LFLAG.ECHO)\n"
		 "assert(after.iflag == before.iflag and after.cc.eof == before.cc.eof)\n"
		 "assert(slave:tcsetattr('drain', { cc = { intr = 24 }, iflag = 'icrnl, "
		 "ixon' }))\n"
		 "assert(slave:tcgetattr().cc.intr == 24)\n"
		 "assert(slave:tcgetattr().iflag == S.c.IFLAG.ICRNL | S.c.IFLAG.IXON)\n"
		 "assert(slave:tcsetattr('flush', before))\n"
		 "assert(slave:tcgetattr().cc.intr == 3)\n"
		 "fails('NOTTY', S.tcgetattr(S.open('/dev/null')))\n"
		 "fails('NOTTY', S.tcsetattr(S.open('/dev/null'), 'now', {}))\n");
}

Test(terminal, attributes_refuse_wrong_names, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local _, slave = assert(S.openpty())\n"
		 "raises(\"did you mean 'echo'\", slave.tcsetattr, slave, 'now', { lflag = "
		 "'ecko' })\n"
		 "raises(\"did you mean 'lflag'\", slave.tcsetattr, slave, 'now', { lflags "
		 "= 0 })\n"
		 "raises(\"did you mean 'intr'\", slave.tcsetattr, slave, 'now', { cc = { "
		 "int = 1 } })\n"
		 "raises('255', slave.tcsetattr, slave, 'now', { cc = { intr = 256 } })\n"
		 "raises('S.c.TCSA', slave.tcsetattr, slave, 'later', {})\n"
		 "raises('a table expected', slave.tcsetattr, slave, 'now', { cc = 1 })\n");
}

Test(terminal, raw_passes_all, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local master, slave = assert(S.openpty())\n"
		 "local attributes = slave:tcgetattr()\n"
		 "local raw = S.cfmakeraw(attributes)\n"
		 "assert(raw.lflag & S.c.LFLAG.ICANON == 0 and raw.oflag & S.c.OFLAG.OPOST "
		 "== 0)\n"
		 "assert(attributes.lflag & S.c.LFLAG.ICANON ~= 0)\n"
		 "assert(slave:tcsetattr('now', raw))\n"
		 "assert(master:write('\\3') == 1 and slave:read() == '\\3')\n");
}

Test(terminal, sizes, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local master, slave = assert(S.openpty())\n"
		 "assert(master:tcsetwinsize { rows = 7, cols = 65535 })\n"
		 "local size = assert(slave:tcgetwinsize())\n"
		 "assert(size.rows == 7 and size.cols == 65535 and size.xpixel == 0)\n"
		 "assert(slave:tcsetwinsize(size))\n"
		 "fails('NOTTY', S.tcgetwinsize(S.open('/dev/null')))\n"
		 "fails('NOTTY', S.tcsetwinsize(S.open('/dev/null'), size))\n"
		 "raises('65535', master.tcsetwinsize, master, { rows = 65536 })\n"
		 "raises(\"did you mean 'cols'\", master.tcsetwinsize, master, { columns = "
		 "1, col = 1 })\n");
}

Test(terminal, the_session_leader_takes_it, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "child(function()\n"
		 "  local _, slave = assert(S.openpty())\n"
		 "  fails('NOTTY', slave:tcgetpgrp())\n"
		 "  assert(S.setsid())\n"
		 "  assert(S.ioctl(slave, 'tiocsctty') == 0)\n"
		 "  assert(slave:tcgetsid() == S.getpid() and slave:tcgetpgrp() == S.getpid())\n"
		 "  assert(slave:tcsetpgrp(S.getpid()))\n"
		 "  fails('PERM', slave:tcsetpgrp(1))\n"
		 "  raises('is not within', slave.tcsetpgrp, slave, 0)\n"
		 "end)\n");
}
