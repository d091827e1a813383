/* SPDX-License-Identifier: MIT */
/* test_prctl.c – prctl, keyrings and execution domains through the syscall layer, against the
 * kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(prctl, names_and_signals)
{
	test_lua(test_state(),
		 "child(function()\n"
		 "  assert(S.prctl('set_name', 'fifteen-letters'))\n"
		 "  assert(S.prctl('get_name') == 'fifteen-letters')\n"
		 "  assert(io.open('/proc/self/comm'):read('l') == 'fifteen-letters')\n"
		 "  assert(S.prctl('get_pdeathsig') == 0)\n"
		 "  assert(S.prctl('set_pdeathsig', 'SIGKILL') == true)\n"
		 "  assert(S.prctl('PR_GET_PDEATHSIG') == 9)\n"
		 "  assert(S.prctl('set_pdeathsig', 0))\n"
		 "  assert(S.prctl('get_child_subreaper') == 0)\n"
		 "  assert(S.prctl('set_child_subreaper', true))\n"
		 "  assert(S.prctl('get_child_subreaper') == 1)\n"
		 "end)\n");
}

Test(prctl, switches)
{
	test_lua(test_state(),
		 "child(function()\n"
		 "  assert(S.prctl('get_dumpable') == 1)\n"
		 "  assert(S.prctl('set_dumpable', 0) and S.prctl('get_dumpable') == 0)\n"
		 "  assert(S.prctl('set_no_new_privs', 1) and S.prctl('get_no_new_privs') == 1)\n"
		 "  fails('INVAL', S.prctl('set_no_new_privs', 0))\n"
		 "  local status = io.open('/proc/thread-self/status'):read('a')\n"
		 "  assert(S.prctl('get_seccomp') == tonumber(status:match('Seccomp:%s+(%d)')))\n"
		 "  assert(S.prctl('set_timerslack', 12345) and S.prctl('get_timerslack') == "
		 "12345)\n"
		 "  assert(S.prctl('set_thp_disable', 1) and S.prctl('get_thp_disable') == 1)\n"
		 "  assert(S.prctl('capbset_read', 'chown') == (S.cap_bounding_read()[1] == "
		 "'chown' and 1 or 0))\n"
		 "end)\n");
}

Test(prctl_ns, securebits)
{
	test_lua(test_state(),
		 "userns(function()\n"
		 "  assert(S.prctl('set_securebits', 'noroot, no_setuid_fixup, keep_caps'))\n"
		 "  local bits = S.c.SECBIT.NOROOT | S.c.SECBIT.NO_SETUID_FIXUP | "
		 "S.c.SECBIT.KEEP_CAPS\n"
		 "  assert(S.prctl('get_securebits') == bits)\n"
		 "  assert(S.prctl('set_keepcaps', 0) and S.prctl('get_keepcaps') == 0)\n"
		 "  assert(S.prctl('capbset_drop', 'kill'))\n"
		 "  assert(S.prctl('capbset_read', 'kill') == 0)\n"
		 "end)\n");
}

Test(prctl, refuses_wrong_use)
{
	test_lua(test_state(), "raises(\"did you mean 'set_name'\", S.prctl, 'set_nam')\n"
			       "raises('S.c.PR', S.prctl, 99999)\n"
			       "raises('without pointers', S.prctl, 'set_mm', 1)\n"
			       "raises('without pointers', S.prctl, 22, 2)\n" /* set_seccomp */
			       "raises('S.c.SIG', S.prctl, 'set_pdeathsig', 'x')\n"
			       "raises('S.c.SECBIT', S.prctl, 'set_securebits', 'x')\n"
			       "raises('S.c.CAP', S.prctl, 'capbset_drop', 'x')\n"
			       "raises('string expected', S.prctl, 'set_name')\n"
			       "raises('number expected', S.prctl, 'set_dumpable', 'x')\n"
			       "fails('INVAL', S.prctl('set_dumpable', 7))\n");
}

Test(prctl, keyrings)
{
	test_lua(test_state(),
		 "child(function()\n"
		 "  local ring, err = S.keyctl_join_session('a.ring')\n"
		 "  if not ring then skip('no-keyrings: ' .. tostring(err)) end\n"
		 "  assert(S.keyctl('get_keyring_id', 'session_keyring', 0) == ring)\n"
		 "  assert(S.keyctl('describe', ring):match('^keyring;.*;a%.ring$'))\n"
		 "  local key = assert(S.add_key('user', 'a.key', 'a\\0payload', "
		 "'session_keyring'))\n"
		 "  assert(S.keyctl('read', key) == 'a\\0payload')\n"
		 "  assert(S.keyctl('search', ring, 'user', 'a.key') == key)\n"
		 "  assert(S.keyctl('setperm', key, 0x3f3f0000) == 0)\n"
		 "  assert(S.keyctl('set_timeout', key, 100) == 0)\n"
		 "  assert(S.keyctl('chown', key, -1, -1) == 0)\n"
		 "  local second = assert(S.add_key('keyring', 'second', nil, ring))\n"
		 "  assert(S.keyctl('read', second) == '')\n"
		 "  assert(S.keyctl('link', key, second) == 0)\n"
		 "  assert(#S.keyctl('read', second) == 4)\n"
		 "  assert(S.keyctl('unlink', key, second) == 0)\n"
		 "  fails('NOKEY', S.keyctl('search', second, 'user', 'a.key'))\n"
		 "  assert(S.keyctl('clear', second) == 0)\n"
		 "  assert(S.keyctl('revoke', key) == 0)\n"
		 "  fails('KEYREVOKED', S.keyctl('read', key))\n"
		 "  assert(S.keyctl('invalidate', second) == 0)\n"
		 "  local own = assert(S.keyctl('join_session_keyring'))\n"
		 "  assert(own ~= ring)\n"
		 "  assert(S.keyctl_join_session() ~= own)\n"
		 "  fails('NODEV', S.add_key('no.such.type', 'x', 'y', 'session_keyring'))\n"
		 "end)\n");
}

Test(prctl, a_session_keyring_reaches_the_parent)
{
	test_lua(test_state(), "child(function()\n"
			       "  if not S.keyctl_join_session() then skip('no-keyrings') end\n"
			       "  local parent = S.getpid()\n"
			       "  child(function()\n"
			       "    assert(S.keyctl_join_session())\n"
			       "    assert(S.keyctl('session_to_parent') == 0)\n"
			       "  end)\n"
			       "end)\n");
}

Test(prctl, keyrings_refuse_wrong_use)
{
	test_lua(test_state(), "raises(\"did you mean 'revoke'\", S.keyctl, 'revok')\n"
			       "raises('S.c.KEYCTL', S.keyctl, 9999)\n"
			       "raises('S.c.KEY_SPEC', S.keyctl, 'describe', 'session')\n"
			       "raises('string expected', S.keyctl, 'describe')\n"
			       "raises('string expected', S.keyctl, 'search', 'session_keyring')\n"
			       "raises('NUL', S.keyctl_join_session, 'a\\0b')\n"
			       "raises('string expected', S.add_key, 'user')\n");
}

Test(prctl, personality_is_asked_and_set)
{
	test_lua(test_state(), "child(function()\n"
			       "  local old = assert(S.personality())\n"
			       "  assert(S.personality('uname26') == old)\n"
			       "  assert(S.personality() == S.c.PERSONALITY.UNAME26)\n"
			       "  raises('S.c.PERSONALITY', S.personality, 'uname-26')\n"
			       "end)\n");
}
