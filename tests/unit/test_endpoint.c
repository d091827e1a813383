/* SPDX-License-Identifier: MIT */
/* test_endpoint.c – sockets with a name in a directory
 *
 * The name has to be its user's alone, of any length, and no way to somewhere else.
 */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(endpoint, messages_and_who_sent_them, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask(0)\n"
		 "local listening = assert(S.listen_at('name'))\n"
		 "local st = S.lstat('name')\n"
		 "assert(st.type == 'socket' and st.perm == tonumber('600', 8))\n"
		 "fails('AGAIN', S.accept4(listening))\n"
		 "local there = assert(S.connect_at('name'))\n"
		 "local here = assert(S.accept4(listening))\n"
		 "assert(S.send(there, 'one') and S.send(there, 'two'))\n"
		 "assert(S.recv(here) == 'one' and S.recv(here) == 'two')\n"
		 "assert(S.getsockopt(here, 'socket', 'peercred').uid == S.geteuid())\n"
		 "assert(S.getsockopt(there, 'socket', 'peercred').pid == S.getpid())\n");
}

Test(endpoint, replaces_a_name, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local first = assert(S.listen_at('name'))\n"
				  "first:close()\n"
				  "fails('CONNREFUSED', S.connect_at('name'))\n"
				  "assert(S.listen_at('name') and S.connect_at('name'))\n"
				  "assert(S.symlink('elsewhere', 'link') and S.listen_at('link'))\n"
				  "assert(S.lstat('link').type == 'socket')\n"
				  "fails('NOENT', S.lstat('elsewhere'))\n"
				  "fails('NOENT', S.listen_at('no/such'))\n");
}

Test(endpoint, leads_nowhere_else, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local listening = assert(S.listen_at('name'))\n"
				  "assert(S.symlink('name', 'link'))\n"
				  "fails('LOOP', S.connect_at('link'))\n"
				  "assert(S.mknod('fifo', '0600', 'fifo'))\n"
				  "fails('NOTSOCK', S.connect_at('fifo'))\n"
				  "fails('NOENT', S.connect_at('none'))\n");
}

Test(endpoint, long_paths, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local path = S.getcwd()\n"
				  "for i = 1, 4 do\n"
				  "  path = path .. '/' .. ('x'):rep(100)\n"
				  "  assert(S.mkdir(path))\n"
				  "end\n"
				  "local listening = assert(S.listen_at(path .. '/name'))\n"
				  "assert(S.connect_at(path .. '/name'))\n");
}
