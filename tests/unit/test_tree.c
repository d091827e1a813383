/* SPDX-License-Identifier: MIT */
/* test_tree.c – names below a root that somebody else filled
 *
 * The root is a scratch directory; its traps are symbolic links that would lead out of it.
 */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(tree, open_in_root_stays_inside, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('root') and S.mkdir('root/a') and S.mkdir('out'))\n"
		 "assert(S.symlink('/', 'root/up') and S.symlink('../../out', 'root/rel') and "
		 "S.symlink('/a', 'root/abs'))\n"
		 "local root = assert(S.open('root', 'path, directory'))\n"
		 "local a = S.stat('root/a').ino\n"
		 "assert(assert(S.open_in_root(root, '/a')):fstat().ino == a)\n"
		 "assert(assert(S.open_in_root(root, '/abs')):fstat().ino == a)\n"
		 "assert(assert(S.open_in_root(root, '/up/a')):fstat().ino == a)\n"
		 "assert(assert(S.open_in_root(root, '/../../a')):fstat().ino == a)\n"
		 "fails('NOENT', S.open_in_root(root, '/rel'))\n"
		 "fails('NOENT', S.open_in_root(root, '/missing'))\n"
		 "fails('BADF', S.open_in_root(999, '/a'))\n");
}

Test(tree, open_in_root_makes_what_is_missing, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask(0)\n"
		 "assert(S.mkdir('root') and S.mkdir('out') and S.symlink('/b', 'root/link'))\n"
		 "local root = assert(S.open('root', 'path, directory'))\n"
		 "local fd = assert(S.open_in_root(root, '/b/c/d', { create = 'directory' }))\n"
		 "assert(fd:fstat().ino == S.stat('root/b/c/d').ino and S.stat('root/b').perm == "
		 "tonumber('755', 8))\n"
		 "assert(assert(S.open_in_root(root, '/link/e/f', { create = 'file', mode = '0600' "
		 "})):fstat().type == 'file')\n"
		 "assert(S.stat('root/b/e/f').perm == tonumber('600', 8))\n"
		 "assert(S.open_in_root(root, '/b/c/d', { create = 'directory' }))\n"
		 "assert(S.symlink('/nowhere/x', 'root/dangling'))\n"
		 "assert(S.open_in_root(root, '/b/e/f/g', { create = 'file' }) == nil)\n");
}

Test(tree, put_file_writes_a_new_file, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask(0)\n"
		 "assert(S.mkdir('root'))\n"
		 "local root = assert(S.open('root', 'path, directory'))\n"
		 "local text = ('x'):rep(300000)\n"
		 "assert(S.put_file(root, '/etc/deep/file', text, { mode = '0640' }))\n"
		 "assert(S.readfile('root/etc/deep/file') == text and "
		 "S.stat('root/etc/deep/file').perm == tonumber('640', 8))\n"
		 "fails('EXIST', S.put_file(root, '/etc/deep/file', 'y'))\n"
		 "assert(S.put_file(root, '/etc/deep/file', 'y', { replace = true }))\n"
		 "assert(S.readfile('root/etc/deep/file') == 'y')\n"
		 "assert(S.symlink('/etc/passwd', 'root/trap'))\n"
		 "fails('EXIST', S.put_file(root, '/trap', 'y'))\n");
}

Test(tree, links_copies_owners, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('root'))\n"
		 "local root = assert(S.open('root', 'path, directory'))\n"
		 "assert(S.put_symlink(root, '/d/link', '/somewhere') and "
		 "S.readlink('root/d/link') == '/somewhere')\n"
		 "fails('EXIST', S.put_symlink(root, '/d/link', '/elsewhere'))\n"
		 "assert(S.put_file(root, '/source', 'text'))\n"
		 "assert(S.copy_file('root/source', root, '/d/copy') and S.readfile('root/d/copy') "
		 "== 'text')\n"
		 "fails('NOENT', S.copy_file('missing', root, '/d/other'))\n"
		 "assert(S.chown_in_root(root, '/d/copy', S.getuid(), S.getgid()))\n"
		 "fails('NOENT', S.chown_in_root(root, '/d/none', 0, 0))\n");
}

Test(tree, ensure_directory_and_expect_device, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask(0)\n"
		 "assert(S.ensure_directory('made', '0711') and S.stat('made').perm == "
		 "tonumber('711', 8))\n"
		 "assert(S.ensure_directory('made', '0700') and S.stat('made').perm == "
		 "tonumber('711', 8))\n"
		 "assert(S.close(S.open('file', 'creat, wronly'):release()))\n"
		 "fails('NOTDIR', S.ensure_directory('file', '0700'))\n"
		 "fails('NOENT', S.ensure_directory('no/such', '0700'))\n"
		 "local null = assert(S.open('/dev/null', 'path'))\n"
		 "assert(S.expect_device(null, 'char', 1, 3))\n"
		 "fails('NODEV', S.expect_device(null, 'char', 1, 5))\n"
		 "fails('NODEV', S.expect_device(assert(S.open('file', 'path')), 'char', 1, 3))\n");
}

Test(mount_ns, new_mount_says_what_the_kernel_says, .fini = scratch_remove)
{
	test_lua(scratch_state(), "newns(function()\n"
				  "  local fd = assert(S.new_mount { type = 'tmpfs', options = { { "
				  "'mode', '0700' }, { 'size', '64k' } }, attrs = 'nosuid' })\n"
				  "  assert(fd:fstat().perm == tonumber('700', 8))\n"
				  "  local none, err = S.new_mount { type = 'tmpfs', options = { { "
				  "'size', 'lots' } } }\n"
				  "  assert(not none and err.INVAL and err.text, tostring(err))\n"
				  "  fails('NODEV', S.new_mount { type = 'no-such-fs' })\n"
				  "end)\n");
}
