/* SPDX-License-Identifier: MIT */
/* test_account.c – users and groups of a root directory
 *
 * The files are whatever the author of a root file system put there.
 */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(account, names_numbers_groups, .fini = scratch_remove)
{
	test_lua(
		scratch_state(),
		"assert(S.mkdir('etc'))\n"
		"local function put(path, text) local fd = assert(S.open(path, 'creat, trunc, "
		"wronly')) fd:write(text) fd:close() end\n"
		"put('etc/passwd', "
		"'root:x:0:0::/root:/bin/sh\\nbuild:x:1000:100::/home/build:\\nbad:x:-1:0::/"
		":\\nlong:x:99999999999:0::/:\\nodd\\n')\n"
		"put('etc/group', 'users:x:100:\\ndisk:x:6:build,other\\nfloppy:x:25:builder\\n')\n"
		"local user = assert(S.lookup_user('.', { name = 'build' }))\n"
		"assert(user.uid == 1000 and user.gid == 100 and user.home == '/home/build' and "
		"user.name == 'build')\n"
		"assert(#user.groups == 1 and user.groups[1] == 6)\n"
		"assert(S.lookup_user('.', { uid = 1000 }).name == 'build')\n"
		"local other = assert(S.lookup_user('.', { uid = 7, gid = 8 }))\n"
		"assert(other.uid == 7 and other.gid == 8 and other.home == '/' and other.name == "
		"nil)\n"
		"assert(S.lookup_user('.', { name = 'build', group_name = 'disk' }).gid == 6)\n"
		"assert(S.lookup_user('.', { name = 'build', groups = { 1, 2 } }).groups[2] == 2)\n"
		"local none, err = S.lookup_user('.', { name = 'nobody' })\n"
		"assert(not none and err.NOENT and err.text:find(\"no user 'nobody'\", 1, true))\n"
		"for _, name in ipairs { 'bad', 'long', 'odd' } do fails('NOENT', "
		"S.lookup_user('.', { name = name })) end\n"
		"none, err = S.lookup_user('.', { name = 'build', group_name = 'none' })\n"
		"assert(not none and err.NOENT and err.text:find(\"no group 'none'\", 1, true))\n"
		"fails('NOENT', S.lookup_user('missing', { uid = 0 }))\n");
}

Test(account, hostile_files_are_no_accounts, .fini = scratch_remove)
{
	test_lua(
		scratch_state(),
		"assert(S.mkdir('etc'))\n"
		"local function unknown() local none, err = S.lookup_user('.', { name = 'root' }) "
		"assert(not none and err.NOENT, tostring(err)) end\n"
		"unknown()\n"
		"assert(S.mknod('etc/passwd', '0644', 'fifo'))\n"
		"unknown()\n"
		"assert(S.unlink('etc/passwd') and S.symlink('/proc/self/environ', 'etc/passwd'))\n"
		"unknown()\n"
		"assert(S.unlink('etc/passwd') and S.mkdir('etc/passwd'))\n"
		"unknown()\n"
		"assert(S.rmdir('etc/passwd'))\n"
		"assert(S.open('etc/passwd', 'creat, wronly'):truncate(5 * 1024 * 1024))\n"
		"unknown()\n");
}
