/* SPDX-License-Identifier: MIT */
/* test_seccomp.c – filters of system calls through the syscall layer, against libseccomp and the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(seccomp, names_become_numbers)
{
	test_lua(test_state(),
		 "local calls = S.seccomp_syscalls()\n"
		 "for _, name in ipairs { 'read', 'openat', 'execve', 'clone3', 'fchmodat2' } do\n"
		 "  assert(math.type(S.seccomp_resolve(name)) == 'integer', name)\n"
		 "  assert(calls[name] == S.seccomp_resolve(name), name)\n"
		 "end\n"
		 "assert(S.seccomp_resolve('fchmodat2') == 452)\n"
		 "assert(S.seccomp_resolve('no_such_call') == nil)\n"
		 /* s390 has it, nobody else. */
		 "assert(S.seccomp_resolve('s390_pci_mmio_read') == false)\n"
		 "assert(calls.s390_pci_mmio_read == nil)\n");
}

Test(seccomp, a_filter_is_bytes_and_always_the_same)
{
	test_lua(test_state(),
		 "local spec = { default = 'allow', rules = {\n"
		 "  { 'getppid', action = 'errno EPERM' },\n"
		 "  { 'kill', action = 'errno 7', { 1, 'masked_eq', 0xffffffff, 9 } },\n"
		 "  { 'lseek', action = 'kill_process', { 0, '==', 1 }, { 2, '>=', 3 } },\n"
		 "  { 599, action = 'trap' } } }\n"
		 "local bpf = assert(S.seccomp_filter(spec))\n"
		 "assert(#bpf > 0 and #bpf % 8 == 0)\n"
		 "assert(bpf == S.seccomp_filter(spec))\n"
		 "spec.optimize = 1\n"
		 "assert(bpf ~= S.seccomp_filter(spec))\n");
}

Test(seccomp, a_loaded_filter_answers)
{
	test_lua(test_state(),
		 "local bpf = assert(S.seccomp_filter { default = 'allow', rules = {\n"
		 "  { 'chdir', action = 'errno ENOTTY' },\n"
		 "  { 'dup3', action = 'errno EPERM', { 2, 'masked_eq', 0xffffffff, 0 } } } })\n"
		 "child(function()\n"
		 "  assert(S.prctl('set_no_new_privs', 1))\n"
		 "  assert(S.seccomp_load(bpf))\n"
		 "  fails('NOTTY', S.chdir('/'))\n"
		 "  fails('PERM', S.dup3(0, 40, 0))\n"
		 "  assert(S.dup3(0, 40, 'cloexec'))\n"
		 "end)\n"
		 "assert(S.chdir('.'))\n");
}

Test(seccomp, of_two_filters_the_stricter_counts)
{
	test_lua(test_state(),
		 "local function one(action)\n"
		 "  local rules = { { 'chdir', action = action } }\n"
		 "  return assert(S.seccomp_filter { default = 'allow', rules = rules })\n"
		 "end\n"
		 "child(function()\n"
		 "  assert(S.prctl('set_no_new_privs', 1))\n"
		 "  assert(S.seccomp_load(one('errno EPERM')))\n"
		 "  assert(S.seccomp_load(one('log')))\n"
		 "  fails('PERM', S.chdir('/'))\n"
		 "  assert(S.seccomp_load(one('errno ENOSYS')))\n"
		 "  fails('NOSYS', S.chdir('/'))\n"
		 "end)\n");
}

Test(seccomp, kill_process_is_sigsys)
{
	test_lua(test_state(),
		 "local rules = { { 'chdir', action = 'kill_process' } }\n"
		 "local bpf = assert(S.seccomp_filter { default = 'allow', rules = rules })\n"
		 "local pid = assert(S.fork())\n"
		 "if pid == 0 then\n"
		 "  S.setrlimit('core', 0, 0)\n"
		 "  S.prctl('set_no_new_privs', 1)\n"
		 "  S.seccomp_load(bpf)\n"
		 "  S.chdir('/')\n"
		 "  S.exit(0)\n"
		 "end\n"
		 "local ended = assert(S.waitid('pid', pid))\n"
		 "assert(ended.code == 'killed' or ended.code == 'dumped', ended.code)\n"
		 "assert(ended.status == S.c.SIG.SYS)\n");
}

Test(seccomp, a_listener_is_a_descriptor)
{
	test_lua(test_state(),
		 "local rules = { { 'getppid', action = 'notify' } }\n"
		 "local bpf = assert(S.seccomp_filter { default = 'allow', rules = rules })\n"
		 "child(function()\n"
		 "  assert(S.prctl('set_no_new_privs', 1))\n"
		 "  local fd = assert(S.seccomp_load(bpf, 'new_listener'))\n"
		 "  assert(fd:getfd() > 2)\n"
		 "  fails('BUSY', S.seccomp_load(bpf, 'new_listener'))\n"
		 "end)\n");
}

Test(seccomp, loading_needs_no_new_privs)
{
	test_lua(test_state(),
		 "local bpf = assert(S.seccomp_filter { default = 'allow', rules = {} })\n"
		 "child(function()\n"
		 "  assert(S.capset { effective = {}, permitted = {}, inheritable = {} })\n"
		 "  if S.prctl('get_no_new_privs') ~= 1 then fails('ACCES', S.seccomp_load(bpf)) "
		 "end\n"
		 "  assert(S.prctl('set_no_new_privs', 1))\n"
		 "  assert(S.seccomp_load(bpf))\n"
		 "end)\n");
}

Test(seccomp, wrong_use_raises)
{
	test_lua(test_state(),
		 "local function with(rule, default)\n"
		 "  return function() S.seccomp_filter { default = default or 'allow', rules = { "
		 "rule } } end\n"
		 "end\n"
		 "raises('an action expected', with({}, 'alow'))\n"
		 "raises('an action expected', with({}, 'errno'))\n"
		 "raises(\"did you mean 'perm'\", with({}, 'errno EPREM'))\n"
		 "raises('begins with a call', with {})\n"
		 "raises('a system call of this machine', with { 'no_such_call', action = 'trap' "
		 "})\n"
		 "raises('needs an action', with { 'read' })\n"
		 "raises(\"is the filter's default\", with { 'read', action = 'allow' })\n"
		 "raises('arguments 0 to 5', with { 'read', action = 'trap', { 6, '==', 1 } })\n"
		 "raises('a comparison is ==', with { 'read', action = 'trap', { 0, '=', 1 } })\n"
		 "raises('an integer to compare', with { 'read', action = 'trap', { 0, '==', 'x' } "
		 "})\n"
		 "raises('under the mask', with { 'read', action = 'trap', { 0, 'masked_eq', 1 } "
		 "})\n"
		 "raises('each argument once',\n"
		 "  with { 'read', action = 'trap', { 0, '==', 1 }, { 0, '==', 2 } })\n"
		 "raises('optimize: 1 or 2', S.seccomp_filter, { default = 'allow', optimize = 3, "
		 "rules = {} })\n"
		 "raises('ruels', S.seccomp_filter, { default = 'allow', ruels = {} })\n"
		 "raises('rules: a list expected', S.seccomp_filter, { default = 'allow' })\n"
		 "raises('no BPF program', S.seccomp_load, 'abc')\n"
		 "raises('no BPF program', S.seccomp_load, '')\n");
}
