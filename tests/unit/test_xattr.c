/* SPDX-License-Identifier: MIT */
/* test_xattr.c – extended attributes through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(xattr, attributes_are_set_read_listed_removed, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = assert(S.open('a', 'creat, rdwr'))\n"
		 "local ok, err = S.setxattr('a', 'user.luge', 'one\\0two')\n"
		 "if not ok and err.OPNOTSUPP then skip('no-xattr: none on this file "
		 "system') end\n"
		 "assert(ok, err)\n"
		 "assert(S.getxattr('a', 'user.luge') == 'one\\0two')\n"
		 "assert(f:fgetxattr('user.luge') == 'one\\0two')\n"
		 "assert(S.lgetxattr('a', 'user.luge') == 'one\\0two')\n"
		 "fails('EXIST', S.setxattr('a', 'user.luge', 'x', 'create'))\n"
		 "fails('NODATA', S.setxattr('a', 'user.other', 'x', 'replace'))\n"
		 "assert(f:fsetxattr('user.other', '') and S.getxattr('a', 'user.other') == '')\n"
		 "assert(S.lsetxattr('a', 'user.third', 'x'))\n"
		 "local names = assert(S.listxattr('a'))\n"
		 "table.sort(names)\n"
		 "local all = table.concat(names, ' ')\n"
		 "assert(all:find('user.luge user.other user.third', 1, true), all)\n"
		 "assert(#f:flistxattr() == #names and #S.llistxattr('a') == #names)\n"
		 "assert(S.removexattr('a', 'user.luge') and S.lremovexattr('a', 'user.third'))\n"
		 "assert(f:fremovexattr('user.other'))\n"
		 "fails('NODATA', S.getxattr('a', 'user.luge'))\n"
		 "fails('NODATA', S.removexattr('a', 'user.luge'))\n");
}

Test(xattr, links_are_followed_or_not, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat') and S.symlink('a', 'l'))\n"
		 "local ok, err = S.setxattr('l', 'user.luge', 'x')\n"
		 "if not ok and err.OPNOTSUPP then skip('no-xattr: none on this file "
		 "system') end\n"
		 "assert(S.getxattr('a', 'user.luge') == 'x')\n"
		 "fails('NODATA', S.lgetxattr('l', 'user.luge'))\n"
		 "fails('PERM', S.lsetxattr('l', 'user.luge', 'x'))\n");
}

Test(xattr, wrong_use_raises, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat'))\n"
		 "raises(\"did you mean 'create'\", S.setxattr, 'a', 'user.x', 'x', 'creat')\n"
		 "raises('NUL', S.getxattr, 'a', 'user.x\\0')\n"
		 "raises('descriptor', S.fgetxattr, 'a', 'user.x')\n"
		 "fails('NOENT', S.getxattr('none', 'user.x'))\n"
		 "fails('OPNOTSUPP', S.getxattr('a', 'nonsense'))\n");
}
