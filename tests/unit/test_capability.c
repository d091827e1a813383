/* SPDX-License-Identifier: MIT */
/* test_capability.c – capability sets through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

/* mask('CapEff') of this process, as /proc tells it. */
static const char read_mask[] = "function mask(name)\n"
				"  local status = io.open('/proc/self/status'):read('a')\n"
				"  return tonumber(status:match(name .. ':%s+(%x+)'), 16)\n"
				"end\n";

static lua_State *state(void)
{
	lua_State *L = test_state();

	test_lua(L, read_mask);
	return L;
}

Test(capability, names_are_the_kernels)
{
	test_lua(test_state(),
		 "local names = S.cap_names()\n"
		 "local last = tonumber(io.open('/proc/sys/kernel/cap_last_cap'):read('a'))\n"
		 "assert(#names == last + 1)\n"
		 "assert(names[1] == 'chown' and names[22] == 'sys_admin' and names[41] == "
		 "'checkpoint_restore')\n");
}

Test(capability, mask_has_a_bit_for_each)
{
	test_lua(test_state(),
		 "assert(S.cap_mask{} == 0)\n"
		 "assert(S.cap_mask{ 'chown', 'CAP_KILL', 'Sys_Admin' } == 1 | 1 << 5 | 1 << 21)\n"
		 "assert(S.cap_mask('setuid') == 1 << 7 and S.cap_mask{ 63 } == 1 << 63)\n"
		 "raises(\"did you mean 'chown'\", S.cap_mask, { 'kill', 'chwn' })\n"
		 "raises('no capability 64', S.cap_mask, { 64 })\n"
		 "raises('no capability', S.cap_mask, -1)\n"
		 "raises('names of S.c.CAP', S.cap_mask, { true })\n"
		 "raises('value expected', S.cap_mask)\n");
}

Test(capability, reading_agrees_with_proc)
{
	test_lua(state(), "local sets = S.capget()\n"
			  "assert(S.cap_mask(sets.effective) == mask('CapEff'))\n"
			  "assert(S.cap_mask(sets.permitted) == mask('CapPrm'))\n"
			  "assert(S.cap_mask(sets.inheritable) == mask('CapInh'))\n"
			  "assert(S.cap_mask(S.cap_bounding_read()) == mask('CapBnd'))\n"
			  "assert(S.cap_mask(S.cap_ambient_read()) == mask('CapAmb'))\n"
			  "local other = S.capget(S.getppid())\n"
			  "assert(#other.permitted >= #other.effective)\n"
			  "fails('SRCH', S.capget(0x7ffffff0))\n"
			  "raises('not within', S.capget, -1)\n");
}

Test(capability_ns, setting)
{
	test_lua(state(),
		 "userns(function()\n"
		 "  assert(S.capset{ effective = { 'chown', 'kill' }, inheritable = { 'kill' } })\n"
		 "  assert(mask('CapEff') == 1 | 1 << 5 and mask('CapInh') == 1 << 5)\n"
		 "  assert(mask('CapPrm') & 1 << 21 ~= 0)\n" /* not given: as before */
		 "  assert(S.capset{ permitted = { 'kill' }, effective = {} })\n"
		 "  assert(mask('CapPrm') == 1 << 5 and mask('CapEff') == 0)\n"
		 "  fails('PERM', S.capset{ permitted = { 'chown' } })\n"
		 "  fails('PERM', S.capset{ effective = { 'chown' } })\n"
		 "  assert(S.capset{ effective = {}, permitted = {}, inheritable = {} })\n"
		 "  local sets = S.capget()\n"
		 "  assert(#sets.permitted + #sets.effective + #sets.inheritable == 0)\n"
		 "end)\n");
}

Test(capability, setting_refuses_wrong_use)
{
	test_lua(test_state(),
		 "raises('table expected', S.capset)\n"
		 "raises(\"did you mean 'permitted'\", S.capset, { permited = {} })\n"
		 "raises(\"argument #1\", S.capset, { effective = { 'sys_admn' } })\n"
		 "raises(\"did you mean 'sys_admin'\", S.capset, { effective = { 'sys_admn' } })\n"
		 "raises('a list of names', S.capset, { effective = 'chown' })\n");
}

Test(capability_ns, bounding_set_only_shrinks)
{
	test_lua(state(), "userns(function()\n"
			  "  local before = mask('CapBnd')\n"
			  "  assert(S.cap_bounding_drop('sys_time'))\n"
			  "  assert(mask('CapBnd') == before & ~(1 << 25))\n"
			  "  assert(S.cap_bounding_drop{ 'chown', 'kill' })\n"
			  "  assert(mask('CapBnd') == before & ~(1 << 25 | 1 | 1 << 5))\n"
			  "  assert(S.cap_mask(S.cap_bounding_read()) == mask('CapBnd'))\n"
			  "  fails('INVAL', S.cap_bounding_drop(63))\n"
			  "  assert(S.capset{ effective = {} })\n"
			  "  fails('PERM', S.cap_bounding_drop('setuid'))\n"
			  "  raises('S.c.CAP', S.cap_bounding_drop, 'sys_tme')\n"
			  "end)\n");
}

Test(capability_ns, ambient_set)
{
	test_lua(state(),
		 "userns(function()\n"
		 "  fails('PERM', S.cap_ambient_raise('chown'))\n" /* not inheritable yet */
		 "  assert(S.capset{ inheritable = { 'chown', 'kill', 'setuid' } })\n"
		 "  assert(S.cap_ambient_raise{ 'chown', 'kill' })\n"
		 "  assert(S.cap_ambient_raise('setuid'))\n"
		 "  assert(mask('CapAmb') == 1 | 1 << 5 | 1 << 7)\n"
		 "  assert(table.concat(S.cap_ambient_read(), ' ') == 'chown kill setuid')\n"
		 "  assert(S.cap_ambient_lower('kill') and mask('CapAmb') == 1 | 1 << 7)\n"
		 "  assert(S.cap_ambient_clear() and mask('CapAmb') == 0)\n"
		 "  raises('S.c.CAP', S.cap_ambient_raise, 'x')\n"
		 "  raises('S.c.CAP', S.cap_ambient_lower, { 'x' })\n"
		 "end)\n");
}
