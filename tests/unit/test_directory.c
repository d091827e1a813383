/* SPDX-License-Identifier: MIT */
/* test_directory.c – names and directories through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(directory, mkdir_and_rmdir, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask('022')\n"
		 "assert(S.mkdir('a') and S.stat('a').perm == 493)\n"
		 "assert(S.mkdirat(nil, 'a/b', '0700') and S.stat('a/b').perm == 448)\n"
		 "local a = S.open('a', 'path')\n"
		 "assert(a:mkdirat('c') and S.stat('a/c').type == 'directory')\n"
		 "fails('EXIST', S.mkdir('a'))\n"
		 "fails('NOTEMPTY', S.rmdir('a'))\n"
		 "assert(S.rmdir('a/b') and S.rmdir('a/c') and S.rmdir('a'))\n"
		 "fails('NOENT', S.rmdir('a'))\n"
		 "raises('octal', S.mkdir, 'a', 'rwx')\n");
}

Test(directory, umask_gives_the_old_one, .fini = scratch_remove)
{
	test_lua(scratch_state(), "S.umask('027')\n"
				  "assert(S.umask(0) == 23 and S.umask('022') == 0)\n"
				  "raises('bad argument', S.umask)\n");
}

Test(directory, chdir_moves, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('a') and S.mkdir('a/b'))\n"
		 "local here = assert(S.getcwd())\n"
		 "assert(S.chdir('a') and S.getcwd() == here .. '/a')\n"
		 "assert(S.fchdir(S.open('b', 'path')) and S.getcwd() == here .. '/a/b')\n"
		 "assert(S.rmdir('../b'))\n"
		 "fails('NOENT', S.getcwd())\n"
		 "fails('NOENT', S.chdir('none'))\n"
		 "fails('NOTDIR', S.open('/dev/null'):fchdir())\n");
}

Test(directory_ns, chroot_changes_the_root, .fini = scratch_remove)
{
	test_lua(scratch_state(), "userns(function()\n"
				  "  assert(S.mkdir('r') and S.mkdir('r/inside'))\n"
				  "  assert(S.chroot('r') and S.chdir('/'))\n"
				  "  assert(S.dir('/')[1] == 'inside')\n"
				  "  fails('NOENT', S.chroot('/none'))\n"
				  "end)\n");
}

Test(directory, listing_has_names_types_and_numbers, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d') and S.symlink('x', 'l') and S.open('f', 'creat'))\n"
		 "assert(S.mknod('p', '0600', 'fifo'))\n"
		 "local seen = {}\n"
		 "for _, e in ipairs(assert(S.getdents(S.open('.')))) do seen[e.name] = e end\n"
		 "for name, kind in pairs { d = 'directory', l = 'symlink', f = 'file', p = "
		 "'fifo' } do\n"
		 "  assert(seen[name].type == kind or seen[name].type == 'unknown', name)\n"
		 "  assert(seen[name].ino == S.lstat(name).ino)\n"
		 "end\n"
		 "assert(not seen['.'] and not seen['..'])\n"
		 "assert(table.concat(S.dir('.'), ' ') == 'd f l p')\n"
		 "fails('NOTDIR', S.dir('f'))\n"
		 "fails('NOTDIR', S.getdents(S.open('f')))\n"
		 "fails('NOENT', S.dir('none'))\n");
}

Test(directory, listing_of_many_names_is_whole, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d'))\n"
		 "local d = S.open('d', 'directory')\n"
		 "local name = string.rep('n', 200)\n"
		 "for i = 1, 1000 do assert(S.mknodat(d, name .. i, '0600', 'file')) end\n"
		 "assert(#S.dir('d') == 1000 and #d:getdents() == 1000 and #d:getdents() == 0)\n");
}

Test(directory, unlink_removes_names, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('f', 'creat') and S.mkdir('d'))\n"
		 "assert(S.unlink('f'))\n"
		 "fails('NOENT', S.unlink('f'))\n"
		 "fails('ISDIR', S.unlinkat(nil, 'd'))\n"
		 "assert(S.unlinkat(S.open('.', 'path'), 'd', 'removedir'))\n"
		 "raises(\"did you mean 'removedir'\", S.unlinkat, nil, 'd', 'remove_dir')\n");
}

Test(directory, rename_replaces_and_exchanges, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat, wronly'):write('a'))\n"
		 "assert(S.open('b', 'creat, wronly'):write('b'))\n"
		 "fails('EXIST', S.renameat2(nil, 'a', nil, 'b', 'noreplace'))\n"
		 "assert(S.renameat2(nil, 'a', nil, 'b', 'exchange') and S.readfile('a') == "
		 "'b')\n"
		 "assert(S.rename('a', 'b') and S.readfile('b') == 'b')\n"
		 "fails('NOENT', S.rename('a', 'b'))\n"
		 "assert(S.open('.', 'path'):renameat2('b', 'fdcwd', 'c') and "
		 "S.readfile('c') == 'b')\n");
}

Test(directory, link_gives_another_name, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat') and S.link('a', 'b'))\n"
		 "assert(S.stat('a').ino == S.stat('b').ino and S.stat('a').nlink == 2)\n"
		 "fails('EXIST', S.link('a', 'b'))\n"
		 "assert(S.symlink('a', 'l'))\n"
		 "assert(S.linkat(nil, 'l', nil, 'c', 'symlink_follow'))\n"
		 "assert(S.lstat('c').type == 'file')\n"
		 "assert(S.linkat(S.open('.', 'path'), 'l', nil, 'd'))\n"
		 "assert(S.lstat('d').type == 'symlink')\n");
}

Test(directory, symlinks_say_their_target, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.symlink('some/where', 'l') and S.readlink('l') == 'some/where')\n"
		 "local here = S.open('.', 'path')\n"
		 "assert(S.symlinkat('x', here, 'm') and here:readlinkat('m') == 'x')\n"
		 "assert(S.openat(nil, 'm', 'path, nofollow'):readlinkat('') == 'x')\n"
		 "assert(S.readlink('/proc/self/cwd') == S.getcwd())\n"
		 "fails('INVAL', S.readlink('.'))\n"
		 "fails('EXIST', S.symlink('x', 'l'))\n");
}

Test(directory, mknod_makes_every_type, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask('022')\n"
		 "for _, kind in ipairs { 'fifo', 'socket', 'file' } do\n"
		 "  assert(S.mknod(kind, '0666', kind) and S.lstat(kind).type == kind)\n"
		 "  assert(S.lstat(kind).perm == 420)\n"
		 "end\n"
		 "fails('EXIST', S.mknodat(nil, 'fifo', '0600', 'fifo'))\n"
		 "raises(\"did you mean 'fifo'\", S.mknod, 'a', '0600', 'fif')\n"
		 "raises('major, minor', S.mknod, 'a', '0600', 'char', { 1 })\n"
		 "raises('major, minor', S.mknod, 'a', '0600', 'char', { 1, -1 })\n");
}

Test(directory_root, mknod_makes_devices, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "if S.geteuid() ~= 0 then\n"
		 "  fails('PERM', S.mknod('null', '0600', 'char', { 1, 3 }))\n"
		 "  return\n"
		 "end\n"
		 "local made, err = S.mknod('null', '0600', 'char', { 1, 3 })\n"
		 "if not made and err.PERM then skip('no-mknod: CAP_MKNOD is missing') end\n"
		 "assert(made, err)\n"
		 "local rdev = S.stat('null').rdev\n"
		 "assert(rdev.major == 1 and rdev.minor == 3 and S.stat('null').type == 'char')\n"
		 "assert(S.mknodat(nil, 'loop', '0600', 'block', { major = 7, minor = 300 }))\n"
		 "assert(S.stat('loop').type == 'block' and S.stat('loop').rdev.minor == 300)\n");
}
