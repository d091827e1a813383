/* SPDX-License-Identifier: MIT */
/* test_cgroup.c – cgroup directories are made, emptied and removed; programs on them say which devices are open
 *
 * On whatever hierarchy this machine lets root make a cgroup in: the pids controller's, else version 2's.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "lua_state.h"
#include "scratch.h"

/* top: a directory of a hierarchy; made(): a cgroup below it; sleeper(dir): the pid of a process in it. */
static const char prelude[] = "if S.geteuid() ~= 0 then skip('not-root: making cgroups') end\n"
			      "local layout = require('sandbox.plan.cgroup_layout').gather()\n"
			      "local at = layout:find('pids') or layout.v2\n"
			      "if not at then skip('no-cgroup: no hierarchy is mounted here') end\n"
			      "local top = at.mount .. '/luge-unit-' .. S.getpid()\n"
			      "local dir = top .. '/one'\n"
			      "local function sleeper(where)\n"
			      "  local pid = assert(S.fork())\n"
			      "  if pid == 0 then while true do S.nanosleep(100) end end\n"
			      "  assert(S.writefile(where .. '/cgroup.procs', pid .. '\\n'))\n"
			      "  return pid\n"
			      "end\n";

static void test_cgroup(const char *code)
{
	char text[8192];

	snprintf(text, sizeof(text), "%s%s", prelude, code);
	test_lua(scratch_state(), text);
}

Test(cgroup_ns, made_with_the_one_above_and_removed, .fini = scratch_remove)
{
	test_cgroup("local ino = assert(S.make_cgroup(dir, { above = true }))\n"
		    "assert(ino == S.stat(dir).ino)\n"
		    "local two = assert(S.make_cgroup(top .. '/two', { above = true }))\n"
		    "assert(two ~= ino)\n"
		    "assert(S.remove_cgroup(dir, { above = true }))\n"
		    "assert(not S.stat(dir) and S.stat(top), 'the one above holds another')\n"
		    "assert(S.remove_cgroup(dir, { above = true }), 'gone already')\n"
		    "assert(S.remove_cgroup(top .. '/two', { above = true }))\n"
		    "assert(not S.stat(top))\n"
		    "fails('NOENT', S.make_cgroup(dir))\n"
		    "fails('NOENT', S.make_cgroup('/no/such/dir', { above = true }))\n");
}

Test(cgroup_ns, an_empty_one_is_replaced_and_a_used_one_stays, .fini = scratch_remove)
{
	test_cgroup(
		"local first = assert(S.make_cgroup(dir, { above = true }))\n"
		"local second = assert(S.make_cgroup(dir, { above = true }))\n"
		"assert(first ~= second)\n"
		"local pid = sleeper(dir)\n"
		"local none, err = S.make_cgroup(dir, { above = true })\n"
		"assert(not none and err.BUSY and err.text:find(dir, 1, true))\n"
		"assert(S.kill(pid, 0), 'nobody was killed for it')\n"
		"assert(S.remove_cgroup(dir, { ino = first }) and S.stat(dir), 'another inode')\n"
		"assert(S.remove_cgroup(dir, { ino = second, above = true }))\n"
		"assert(S.waitid('pid', pid, 'exited').status == S.c.SIG.KILL)\n"
		"assert(not S.stat(top))\n");
}

Test(cgroup_ns, all_that_is_in_it_is_killed, .fini = scratch_remove)
{
	test_cgroup("assert(S.make_cgroup(dir, { above = true }))\n"
		    "local pids = { sleeper(dir), sleeper(dir), sleeper(dir) }\n"
		    "assert(S.make_cgroup(dir .. '/below'))\n"
		    "pids[4] = sleeper(dir .. '/below')\n"
		    "S.writefile(top .. '/cgroup.procs', '')\n"
		    "local ok, err = S.remove_cgroup(dir, { wait = false })\n"
		    "assert(ok or err.BUSY)\n"
		    "for _, pid in ipairs(pids) do\n"
		    "  assert(S.waitid('pid', pid, 'exited').status == S.c.SIG.KILL)\n"
		    "end\n"
		    "assert(S.remove_cgroup(dir, { above = true }))\n"
		    "assert(S.make_cgroup(dir, { above = true }))\n"
		    "local pid = sleeper(dir)\n"
		    "assert(S.kill_cgroup(dir))\n"
		    "assert(S.waitid('pid', pid, 'exited').status == S.c.SIG.KILL)\n"
		    "assert(S.remove_cgroup(dir, { above = true }))\n"
		    "fails('NOENT', S.readfile(dir .. '/cgroup.procs'))\n");
}

Test(cgroup_ns, a_program_closes_devices, .fini = scratch_remove)
{
	test_cgroup("if not layout.v2 then skip('no-cgroup2: version 2 is not mounted') end\n"
		    "local devices = require 'sandbox.plan.devices'\n"
		    "dir = layout.v2.mount .. '/luge-unit-bpf-' .. S.getpid()\n"
		    "local program = devices.program { { 'char', 1, 3, 'rw' }, { 'char', 1, 5, 'r' "
		    "} }\n"
		    "local prog, err = S.bpf_prog_load { type = 'cgroup_device', insns = program, "
		    "name = 'unit' }\n"
		    "if not prog and err.PERM then skip('no-bpf: ' .. tostring(err)) end\n"
		    "assert(prog, tostring(err))\n"
		    "assert(S.make_cgroup(dir))\n"
		    "local fd = assert(S.open(dir, 'rdonly, directory'))\n"
		    "assert(#S.bpf_prog_query(fd, 'cgroup_device') == 0)\n"
		    "assert(S.bpf_prog_attach(fd, prog, 'cgroup_device'))\n"
		    "assert(#S.bpf_prog_query(fd, 'cgroup_device') == 1)\n"
		    "local pid = S.clone3 { exit_signal = 'chld', cgroup = fd }\n"
		    "if pid == 0 then\n"
		    "  local may = {}\n"
		    "  for i, open in ipairs { { 'null', 'rdwr' }, { 'zero', 'rdonly' }, { 'zero', "
		    "'wronly' },\n"
		    "    { 'full', 'rdonly' } } do\n"
		    "    local file, err = S.open('/dev/' .. open[1], open[2])\n"
		    "    may[i] = file and 'y' or err.PERM and 'n' or '?'\n"
		    "  end\n"
		    "  S.exit(table.concat(may) == 'yynn' and 0 or 1)\n"
		    "end\n"
		    "local status = S.waitid('pid', pid, 'exited').status\n"
		    "assert(S.bpf_prog_detach(fd, prog, 'cgroup_device'))\n"
		    "fails('NOENT', S.bpf_prog_detach(fd, prog, 'cgroup_device'))\n"
		    "fd:close()\n"
		    "assert(S.remove_cgroup(dir))\n"
		    "assert(status == 0, 'what could be opened')\n");
}

Test(cgroup, wrong_programs, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "raises('insns', S.bpf_prog_load, { type = 'cgroup_device', insns = 'short' })\n"
		 "raises('insns', S.bpf_prog_load, { type = 'cgroup_device', insns = '' })\n"
		 "raises('BPF_PROG_TYPE', S.bpf_prog_load, { type = 'cgroup_devices', insns = "
		 "('x'):rep(8) "
		 "})\n"
		 "raises('name', S.bpf_prog_load, { type = 'cgroup_device', insns = ('x'):rep(8), "
		 "name = "
		 "('n'):rep(16) })\n"
		 "local ok, err = S.bpf_prog_load { type = 'cgroup_device', insns = ('\\0'):rep(8) "
		 "}\n"
		 "assert(not ok and (err.PERM or err.INVAL or err.ACCES), tostring(err))\n"
		 "local ok, err = S.bpf_prog_attach(999, 999, 'cgroup_device')\n"
		 "assert(not ok and (err.BADF or err.PERM))\n"
		 "local ok, err = S.bpf_prog_detach(999, 999, 'cgroup_device')\n"
		 "assert(not ok and (err.BADF or err.PERM))\n"
		 "local ok, err = S.bpf_prog_query(999, 'cgroup_device')\n"
		 "assert(not ok and (err.BADF or err.PERM))\n");
}

Test(lock, notes_go_with_the_next_holder, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local fd = assert(S.take_lock('name'))\n"
		 "assert(S.note_lock(fd, 'one\\n') and S.note_lock(fd, 'two\\n'))\n"
		 "assert(S.readfile('name') == 'luge ' .. S.getpid() .. '\\none\\ntwo\\n')\n"
		 "fd:close()\n"
		 "fd = assert(S.take_lock('name'))\n"
		 "assert(S.readfile('name') == 'luge ' .. S.getpid() .. '\\n')\n"
		 "fails('BADF', S.note_lock(999, 'x'))\n");
}
