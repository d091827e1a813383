/* SPDX-License-Identifier: MIT */
/* test_time.c – clocks and sleeping, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(time, clocks_agree)
{
	test_lua(test_state(), "local a = assert(S.clock_gettime('monotonic'))\n"
			       "local ns = assert(S.clock_gettime_ns('monotonic'))\n"
			       "local b = assert(S.clock_gettime('CLOCK_MONOTONIC'))\n"
			       "assert(math.type(a) == 'float' and math.type(ns) == 'integer')\n"
			       "assert(a <= b and ns / 1e9 >= a - 1e-6 and ns / 1e9 <= b + 1e-6)\n"
			       "assert(math.abs(S.clock_gettime('realtime') - os.time()) < 5)\n"
			       "assert(S.clock_gettime('process_cputime_id') > 0)\n"
			       "local res = assert(S.clock_getres('monotonic'))\n"
			       "assert(res > 0 and res < 1)\n");
}

Test(time, unknown_clocks)
{
	test_lua(test_state(), "fails('INVAL', S.clock_gettime(99))\n"
			       "fails('INVAL', S.clock_gettime_ns(99))\n"
			       "fails('INVAL', S.clock_getres(99))\n"
			       "raises(\"did you mean 'monotonic'\", S.clock_gettime, 'monotoni')\n"
			       "raises('string expected', S.clock_gettime)\n");
}

Test(time, nanosleep_sleeps_at_least_that_long)
{
	test_lua(test_state(), "local before = S.clock_gettime('monotonic')\n"
			       "assert(S.nanosleep(0.02))\n"
			       "assert(S.clock_gettime('monotonic') - before >= 0.02)\n"
			       "assert(S.nanosleep(0))\n"
			       "raises('no number of seconds', S.nanosleep, -1)\n"
			       "raises('no number of seconds', S.nanosleep, 0/0)\n"
			       "raises('no number of seconds', S.nanosleep, 1e300)\n"
			       "raises('number of seconds expected', S.nanosleep, '1')\n"
			       "raises('number of seconds expected', S.nanosleep)\n");
}

Test(time, settime_asks_for_privilege)
{
	test_lua(test_state(),
		 "-- A seccomp filter may answer before the kernel does.\n"
		 "local ok, err = S.clock_settime('monotonic', 1)\n"
		 "assert(not ok and (err.INVAL or err.PERM or err.NOSYS), err)\n"
		 "raises('number of seconds expected', S.clock_settime, 'realtime')\n"
		 "child(function()\n"
		 "  assert(S.capset { effective = {}, permitted = {}, inheritable = {} })\n"
		 "  ok, err = S.clock_settime('realtime', 1e9)\n"
		 "  assert(not ok and (err.PERM or err.NOSYS), err)\n"
		 "end)\n");
}
