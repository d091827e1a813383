/* SPDX-License-Identifier: MIT */
/* test_process.c – processes through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

/* With clone3(t), which skips where a filter says ENOSYS, as container runtimes' filters do. */
static lua_State *state(void)
{
	lua_State *L = test_state();

	test_lua(L, "function clone3(t)\n"
		    "  local pid, fd, errno = S.clone3(t)\n"
		    "  if not pid and fd.NOSYS then skip('no-clone3: a filter denies it') end\n"
		    "  return pid, fd, errno\n"
		    "end\n");
	return L;
}

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

Test(process, exit_checks_its_code)
{
	test_lua(test_state(), "raises('not within', S.exit, 256)\n"
			       "raises('not within', S.exit, -1)\n"
			       "raises('number expected', S.exit, 'x')\n");
}

Test(process, spawn_hears_a_program_to_its_end)
{
	test_lua(test_state(),
		 "local said = 'echo one >&2; sleep 0.1; echo two >&2; '\n"
		 "assert(S.spawn { '/bin/sh', '-ec', said })\n"
		 "local none, why = S.spawn { '/bin/sh', '-c', said .. 'exit ' .. 3 }\n"
		 "assert(not none and why.text == 'one\\ntwo', why.text)\n"
		 "fails('CHILD', S.spawn { '/nonexistent' })\n");
}

Test(process, environ_is_what_was_started_with)
{
	extern char **environ;
	char *entries[] = {"A=1", "B==x=", "A=2", "EMPTY=", "=odd", "nothing", NULL};

	environ = entries;
	test_lua(test_state(),
		 "local env, n = S.environ(), 0\n"
		 "for _ in pairs(env) do n = n + 1 end\n"
		 "assert(n == 3 and env.A == '1' and env.B == '=x=' and env.EMPTY == '')\n");
}

Test(process, clone3_copies)
{
	test_lua(state(), "local value = 1\n"
			  "local pid, second = assert(clone3{})\n"
			  "if pid == 0 then value = 2 S.exit(value) end\n"
			  "assert(second == nil)\n"
			  "assert(S.waitid('pid', pid).status == 2 and value == 1)\n");
}

Test(process, clone3_gives_a_pidfd)
{
	test_lua(state(),
		 "local pid, fd = clone3{ pidfd = true }\n"
		 "if pid == 0 then S.exit(fd == nil and 0 or 1) end\n"
		 "assert(fd:getfd() > 2)\n"
		 "local ended = assert(S.waitid('pidfd', fd))\n"
		 "assert(ended.pid == pid and ended.status == 0)\n"
		 "assert(fd:close())\n"
		 "pid, fd = clone3{ flags = 'pidfd' }\n"
		 "if pid == 0 then S.exit(0) end\n"
		 "assert(S.waitid('pidfd', fd:getfd()).pid == pid)\n"
		 "raises('closed', S.waitid, 'pidfd', (function() fd:close() return fd end)())\n");
}

Test(process, clone3_without_exit_signal_is_waited_for)
{
	test_lua(state(), "local pid = assert(clone3{ exit_signal = 0 })\n"
			  "if pid == 0 then S.exit(4) end\n"
			  "assert(S.waitid('all').status == 4)\n"
			  "pid = assert(clone3{ exit_signal = 'SIGCHLD' })\n"
			  "if pid == 0 then S.exit(5) end\n"
			  "assert(S.waitid('pid', pid).status == 5)\n");
}

Test(process, clone3_refuses_wrong_use)
{
	test_lua(state(), "raises(\"did you mean 'flags'\", S.clone3, { flag = 'newns' })\n"
			  "raises(\"did you mean 'newuser'\", S.clone3, { flags = 'newusr' })\n"
			  "raises('the child is a copy', S.clone3, { flags = 'vm' })\n"
			  "raises('the child is a copy', S.clone3, { flags = 'thread, sighand' })\n"
			  "raises('exit_signal', S.clone3, { exit_signal = 99 })\n"
			  "raises('S.c.SIG', S.clone3, { exit_signal = 'trm' })\n"
			  "raises('table expected', S.clone3)\n"
			  "raises('cgroup', S.clone3, { cgroup = 'x' })\n"
			  "fails('BADF', clone3{ cgroup = 999999 })\n");
}

/* What a shell prints that is born as another program. */
static const char born[] =
	"function born(flags, script)\n"
	"  local r, w = S.pipe()\n"
	"  local sh = assert(S.open('/bin/sh', 'path'))\n"
	"  local pid, fd, errno = S.clone3_exec({ flags = flags, pidfd = true }, sh,\n"
	"    { 'sh', '-c', ('exec >/proc/self/fd/%d; '):format(w:getfd()) .. script }, { w })\n"
	"  if not pid then return nil, fd, errno end\n"
	"  w:close()\n"
	"  assert(S.clone3_executed())\n"
	"  local text, part = '', nil\n"
	"  repeat part = assert(S.read(r)) text = text .. part until part == ''\n"
	"  return text, assert(S.waitid('pidfd', fd)), fd\n"
	"end\n";

Test(process, clone3_exec_becomes_the_program_at_once)
{
	lua_State *L = state();

	test_lua(L, born);
	test_lua(L,
		 "local text, ended, fd = born('', 'echo $#; test -e /proc/self/fd/1 && exit 7')\n"
		 "if not text and ended.NOSYS then skip('no-clone3: a filter denies it') end\n"
		 "assert(text == '0\\n' and ended.status == 7)\n"
		 "fd:close()\n");
}

Test(process, clone3_exec_that_fails_leaves_nothing)
{
	test_lua(state(),
		 "local dir, file = S.open('/', 'path'), S.memfd_create('empty')\n"
		 "local pid, err = S.clone3_exec({ pidfd = true }, dir, { 'x' }, {})\n"
		 "if not pid and err.NOSYS then skip('no-clone3: a filter denies it') end\n"
		 "fails('ACCES', S.clone3_executed())\n"
		 "assert(S.clone3_exec({ pidfd = true }, file, { 'x' }, {}))\n"
		 "fails('NOEXEC', S.clone3_executed())\n"
		 "assert(S.clone3_exec({}, dir, { 'x' }, { 999999 }))\n"
		 "fails('BADF', S.clone3_executed())\n"
		 "assert(S.clone3_executed())\n"
		 "fails('CHILD', S.waitid('all'))\n"
		 "raises('the list is empty', S.clone3_exec, {}, dir, {}, {})\n"
		 "raises('table expected', S.clone3_exec, {}, dir, { 'x' })\n"
		 "raises('the child is a copy', S.clone3_exec, { flags = 'vm' }, dir, { 'x' }, "
		 "{})\n");
}

Test(process, clone3_exec_goes_on_beside_its_child)
{
	test_lua(state(),
		 "local sh = assert(S.open('/bin/sh', 'path'))\n"
		 "local pids = {}\n"
		 "for i = 1, 50 do\n"
		 "  local pid, err = S.clone3_exec({}, sh, { 'sh', '-c', 'exit ' .. i }, {})\n"
		 "  if not pid and err.NOSYS then skip('no-clone3: a filter denies it') end\n"
		 "  pids[i] = assert(pid, err)\n"
		 "  collectgarbage()\n"
		 "end\n"
		 "local copy = assert(S.fork())\n"
		 "if copy == 0 then S.exit(S.clone3_executed() and 7 or 1) end\n"
		 "assert(S.waitid('pid', copy).status == 7)\n"
		 "for i, pid in ipairs(pids) do assert(S.waitid('pid', pid).status == i) end\n");
}

Test(process_ns, clone3_exec_keeps_capabilities_in_a_new_user_namespace)
{
	lua_State *L = state();

	test_lua(L, born);
	test_lua(L, "local text, ended = born('newuser, newpid', 'cat /proc/self/status')\n"
		    "if not text then skip('no-userns: clone3: ' .. tostring(ended)) end\n"
		    "local effective, ambient = text:match('CapEff:%s*(%x+)'), "
		    "text:match('CapAmb:%s*(%x+)')\n"
		    "assert(effective == ambient and tonumber(effective, 16) ~= 0)\n");
}

Test(process_ns, clone3_makes_namespaces)
{
	test_lua(state(),
		 "local pid, fd, errno = clone3{ flags = 'newuser, newpid, newuts', pidfd = true "
		 "}\n"
		 "if not pid then skip('no-userns: clone3: ' .. tostring(fd)) end\n"
		 "if pid == 0 then\n"
		 "  local ok = S.getpid() == 1 and S.getppid() == 0 and S.sethostname('inside')\n"
		 "  S.exit(ok and S.uname().nodename == 'inside' and 0 or 1)\n"
		 "end\n"
		 "local ended = S.waitid('pidfd', fd)\n"
		 "assert(ended.code == 'exited' and ended.status == 0)\n"
		 "assert(S.uname().nodename ~= 'inside')\n");
}

Test(process_ns, clone3_is_born_in_a_cgroup)
{
	test_lua(
		state(),
		"if S.geteuid() ~= 0 then skip('not-root: mounting cgroup2') end\n"
		"child(function()\n"
		"  assert(S.unshare('newns') and S.mount{ target = '/', flags = 'rec, private' })\n"
		"  local ok, err = S.mount{ source = 'none', target = '/mnt', type = 'cgroup2' }\n"
		"  if not ok then skip('no-cgroup2: ' .. tostring(err)) end\n"
		"  local name = 'luge.unit.' .. S.getpid()\n"
		"  assert(S.mkdir('/mnt/' .. name))\n"
		"  local dir = S.open('/mnt/' .. name, 'rdonly, directory, cloexec')\n"
		"  local pid = clone3{ cgroup = dir }\n"
		"  if pid == 0 then\n"
		"    local where = io.open('/proc/self/cgroup'):read('a')\n"
		"    S.exit(where:match('0::[^\\n]*/' .. name .. '\\n') and 0 or 1)\n"
		"  end\n"
		"  local ended = pid and S.waitid('pid', pid)\n"
		"  assert(S.rmdir('/mnt/' .. name))\n"
		"  assert(ended and ended.status == 0)\n"
		"end)\n");
}

Test(process, execve_replaces_the_program)
{
	test_lua(test_state(),
		 "local function run(envp)\n"
		 "  local pid = S.fork()\n"
		 "  if pid == 0 then\n"
		 "    S.execve('/bin/sh', { 'name', '-c', 'test \"$0$A$B\" = \"$1\"', 'zero', "
		 "'zero12' }, envp)\n"
		 "    S.exit(99)\n"
		 "  end\n"
		 "  return S.waitid('pid', pid).status\n"
		 "end\n"
		 "assert(run{ 'A=1', 'B=2' } == 0)\n"
		 "assert(run{ 'A=1' } == 1)\n"
		 "assert(run(nil) == 1)\n"
		 "fails('NOENT', S.execve('/no/such/program', { 'x' }))\n"
		 "fails('ACCES', S.execve('/etc/passwd', { 'x' }))\n");
}

Test(process, execve_refuses_wrong_use)
{
	test_lua(test_state(),
		 "raises('the list is empty', S.execve, '/bin/true', {})\n"
		 "raises('table expected', S.execve, '/bin/true')\n"
		 "raises('list of strings', S.execve, '/bin/true', { 'a', 1 })\n"
		 "raises('NUL', S.execve, '/bin/\\0true', { 'a' })\n"
		 "raises('NUL', S.execve, '/bin/true', { 'a\\0b' })\n"
		 "raises('list of strings', S.execve, '/bin/true', { 'a' }, { {} })\n"
		 "raises('S.c.AT', S.execveat, nil, '/bin/true', { 'a' }, nil, 'x')\n");
}

Test(process, execveat_takes_a_directory_or_the_file)
{
	test_lua(test_state(),
		 "local function run(...)\n"
		 "  local pid = S.fork()\n"
		 "  if pid == 0 then S.execveat(...) S.exit(99) end\n"
		 "  return S.waitid('pid', pid).status\n"
		 "end\n"
		 "local dir = assert(S.open('/bin', 'path, directory, cloexec'))\n"
		 "assert(run(dir, 'sh', { 'sh', '-c', 'exit 3' }) == 3)\n"
		 "local file = assert(S.open('/bin/sh', 'path, cloexec'))\n"
		 "assert(run(file, '', { 'sh', '-c', 'exit $A' }, { 'A=4' }, 'empty_path') == 4)\n"
		 "assert(run(nil, '/bin/sh', { 'sh', '-c', 'exit 5' }) == 5)\n"
		 "fails('NOENT', S.execveat(dir, '', { 'x' }))\n");
}

Test(process, waitid_tells_every_ending)
{
	test_lua(
		state(),
		"local pid, fd = clone3{ pidfd = true }\n"
		"if pid == 0 then\n"
		"  S.prctl('set_pdeathsig', 'kill')\n"
		"  S.kill(S.getpid(), 'stop')\n"
		"  while true do S.nanosleep(10) end\n" /* a second stop would hide the first's end */
		"end\n"
		"local s = assert(S.waitid('pidfd', fd, 'stopped'))\n"
		"assert(s.code == 'stopped' and s.signal == 'stop')\n"
		"assert(S.waitid('pid', pid, 'exited, nohang') == false)\n"
		"assert(S.waitid('pid', pid, 'nohang') == false)\n"
		"assert(S.kill(pid, 'cont'))\n"
		"assert(S.waitid('pid', pid, 'continued').code == 'continued')\n"
		"assert(S.pidfd_send_signal(fd, 'SIGKILL'))\n"
		"s = S.waitid('pid', pid, 'exited, nowait')\n"
		"assert(s.code == 'killed' and s.status == 9 and s.signal == 'kill')\n"
		"assert(S.waitid('pid', pid).code == 'killed')\n"
		"fails('SRCH', S.pidfd_send_signal(fd, 'kill'))\n"
		"fails('SRCH', S.kill(pid, 0))\n");
}

Test(process, waitid_refuses_wrong_use)
{
	test_lua(test_state(), "raises('S.c.P ', S.waitid, 'pidd', 1)\n"
			       "raises('S.c.W ', S.waitid, 'all', nil, 'hang')\n"
			       "raises('number expected', S.waitid, 'pid')\n"
			       "raises('not within', S.waitid, 'pid', -1)\n"
			       "raises('descriptor expected', S.waitid, 'pidfd', 'x')\n"
			       "fails('CHILD', S.waitid('all'))\n");
}

Test(process, wait4_gives_status_and_usage)
{
	test_lua(
		test_state(),
		"fails('CHILD', S.wait4())\n"
		"raises('not within', S.wait4, (1 << 32) - 1)\n"
		"local pid = S.fork()\n"
		"if pid == 0 then\n"
		"  S.prctl('set_pdeathsig', 'kill')\n"
		"  S.kill(S.getpid(), 'stop')\n"
		"  while true do S.nanosleep(10) end\n" /* a second stop would hide the first's end */
		"end\n"
		"local waited, ended, usage = S.wait4(pid, 'untraced')\n"
		"assert(waited == pid and ended.code == 'stopped' and ended.signal == 'stop')\n"
		"assert(S.wait4(pid, 'nohang') == false)\n"
		"S.kill(pid, 'cont')\n"
		"waited, ended = S.wait4(pid, 'continued')\n"
		"assert(ended.code == 'continued')\n"
		"S.kill(pid, 'term')\n"
		"S.kill(pid, 'cont')\n"
		"waited, ended, usage = S.wait4()\n"
		"assert(waited == pid and ended.code == 'killed' and ended.status == 15)\n"
		"assert(ended.signal == 'term' and usage.maxrss > 0 and usage.stime >= 0)\n"
		"pid = S.fork()\n"
		"if pid == 0 then S.exit(12) end\n"
		"waited, ended = S.wait4(pid)\n"
		"assert(ended.code == 'exited' and ended.status == 12 and not ended.signal)\n");
}

Test(process, kill_reaches_groups)
{
	test_lua(test_state(), "local pid = stopped(S.setpgid)\n"
			       "assert(S.kill(-pid, 9))\n"
			       "assert(S.waitid('pid', pid).signal == 'kill')\n"
			       "assert(S.kill(S.getpid(), 0))\n"
			       "raises('S.c.SIG', S.kill, 1, 'termm')\n"
			       "raises('signal', S.kill, 1, 65)\n"
			       "raises('number expected', S.kill, 'x', 9)\n");
}

Test(process, pidfd_getfd_copies_a_descriptor)
{
	test_lua(test_state(),
		 "local fd = assert(S.pidfd_open(S.getpid()))\n"
		 "raises('not within', S.pidfd_getfd, fd, -1)\n"
		 "local copy, err = S.pidfd_getfd(fd, 2)\n"
		 "if not copy and err.PERM then skip('no-getfd: a filter denies it') end\n"
		 "assert(copy:getfd() > 2)\n"
		 "fails('BADF', S.pidfd_getfd(fd, 100000))\n");
}

Test(process, pidfd_open_names_a_process)
{
	test_lua(test_state(), "assert(S.pidfd_open(S.getpid(), 'nonblock'))\n"
			       "raises('not within', S.pidfd_open, 0)\n"
			       "raises('S.c.PIDFD', S.pidfd_open, 1, 'block')\n"
			       "raises('descriptor expected', S.pidfd_send_signal, 'x', 9)\n"
			       "local pid = stopped()\n"
			       "local own = assert(S.pidfd_open(pid, 'nonblock'))\n"
			       "fails('AGAIN', S.waitid('pidfd', own))\n"
			       "S.kill(pid, 9)\n"
			       "S.waitid('pid', pid)\n"
			       "fails('SRCH', S.pidfd_open(pid))\n");
}

Test(process, ids_of_the_process)
{
	test_lua(state(), "local parent = S.getpid()\n"
			  "assert(S.gettid() == parent)\n"
			  "local pid = assert(S.fork())\n"
			  "if pid == 0 then\n"
			  "  local ok = S.getppid() == parent and S.gettid() == S.getpid()\n"
			  "  S.exit(ok and S.getpid() ~= parent and 0 or 1)\n"
			  "end\n"
			  "assert(S.waitid('pid', pid).status == 0)\n");
}
