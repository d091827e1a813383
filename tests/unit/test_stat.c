/* SPDX-License-Identifier: MIT */
/* test_stat.c – what files are, through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(stat, stat_tells_what_a_file_is, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "S.umask('022')\n"
		 "local f = assert(S.open('a', 'creat, wronly', '4711'))\n"
		 "f:write('hello')\n"
		 "local st = assert(S.stat('a'))\n"
		 "assert(st.type == 'file' and st.size == 5 and st.nlink == 1)\n"
		 "assert(st.mode == 0x8000 | st.perm and st.perm & 511 == 457)\n"
		 "assert(st.uid == S.geteuid() and st.ino > 0 and st.blksize > 0)\n"
		 "assert(math.abs(st.mtime - os.time()) < 600 and math.type(st.mtime) == "
		 "'float')\n"
		 "assert(type(st.attributes) == 'table' and math.type(st.mnt_id) == 'integer')\n"
		 "assert(st.dev == S.stat('.').dev and st.blocks >= 0)\n"
		 "fails('NOENT', S.stat('none'))\n"
		 "raises('NUL', S.stat, 'a\\0')\n");
}

Test(stat, lstat_and_fstat_and_fstatat_agree, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d') and S.symlink('d', 'l'))\n"
		 "assert(S.stat('l').type == 'directory' and S.lstat('l').type == 'symlink')\n"
		 "local ino = S.lstat('l').ino\n"
		 "assert(S.fstatat(nil, 'l', 'symlink_nofollow').ino == ino)\n"
		 "assert(S.open('l', 'path, nofollow'):stat().ino == ino)\n"
		 "local d = S.open('d', 'path')\n"
		 "assert(d:fstatat('', 'empty_path').ino == d:fstat().ino)\n"
		 "fails('NOENT', S.fstatat(d, 'none'))\n"
		 "fails('BADF', S.fstat(1000))\n");
}

Test(stat, types_of_devices, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local st = assert(S.stat('/dev/null'))\n"
		 "assert(st.type == 'char' and st.rdev.major == 1 and st.rdev.minor == 3)\n"
		 "local r = S.pipe()\n"
		 "assert(r:fstat().type == 'fifo')\n"
		 "assert((S.socketpair('unix', 'stream')):fstat().type == 'socket')\n");
}

Test(stat, filetype_says_the_type_alone, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d') and S.symlink('d', 'l') and S.symlink('none', 'n'))\n"
		 "assert(S.filetype('d') == 'directory' and S.filetype('l') == 'directory')\n"
		 "assert(S.filetype('/dev/null') == 'char')\n"
		 "fails('NOENT', S.filetype('n'))\n"
		 "raises('NUL', S.filetype, 'd\\0')\n");
}

Test(stat, statx_takes_a_mask, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local st = assert(S.statx(nil, '.', '', 'type, ino'))\n"
		 "assert(st.type == 'directory' and st.ino == S.stat('.').ino)\n"
		 "assert(S.statx('fdcwd', '.', 'no_automount').mnt_id)\n"
		 "local d = S.open('.', 'path')\n"
		 "assert(d:statx('', 'empty_path', 'basic_stats').btime == nil)\n"
		 "assert(S.stat('/proc').attributes.mount_root)\n"
		 "assert(not S.stat('/proc/self').attributes.mount_root)\n"
		 "fails('NOENT', S.statx(nil, 'none'))\n"
		 "raises(\"did you mean 'btime'\", S.statx, nil, '.', '', 'bitime')\n"
		 "raises(\"did you mean 'empty_path'\", S.statx, nil, '.', 'emptypath')\n");
}

Test(stat, statfs_names_the_file_system, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local fs = assert(S.statfs('/proc'))\n"
		 "assert(fs.type == S.c.MAGIC.PROC_SUPER_MAGIC and fs.bsize > 0)\n"
		 "assert(S.open('/proc', 'path'):fstatfs().type == fs.type)\n"
		 "local here = assert(S.statfs('.'))\n"
		 "assert(here.blocks >= here.bfree and here.files >= here.ffree)\n"
		 "assert(here.namelen >= 100 and here.flags & S.c.ST.RDONLY == 0)\n"
		 "fails('NOENT', S.statfs('none'))\n"
		 "fails('BADF', S.fstatfs(1000))\n");
}

Test(stat, modes_are_changed, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = assert(S.open('a', 'creat'))\n"
		 "assert(S.chmod('a', '0600') and S.stat('a').perm == 384)\n"
		 "assert(S.fchmod(f, 448) and S.stat('a').perm == 448)\n"
		 "assert(S.fchmodat(nil, 'a', '0640') and S.stat('a').perm == 416)\n"
		 "local path = S.open('a', 'path')\n"
		 "fails('BADF', path:fchmod('0600'))\n"
		 "local ok, err = path:fchmodat('', '0604', 'empty_path')\n"
		 "assert(ok and S.stat('a').perm == 388 or err.NOSYS)\n"
		 "fails('NOENT', S.chmod('none', '0600'))\n"
		 "raises('octal', S.chmod, 'a', 'u+x')\n"
		 "raises('bad argument #2', S.chmod, 'a')\n");
}

Test(stat, owners_may_be_left_as_they_are, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = assert(S.open('a', 'creat'))\n"
		 "local uid, gid = S.stat('a').uid, S.stat('a').gid\n"
		 "assert(S.chown('a') and S.chown('a', -1, -1) and S.chown('a', uid, gid))\n"
		 "assert(S.symlink('none', 'l') and S.lchown('l', uid))\n"
		 "fails('NOENT', S.chown('l', uid))\n"
		 "assert(f:fchown(nil, gid) and S.fchownat(nil, 'l', uid, gid, "
		 "'symlink_nofollow'))\n"
		 "assert(S.open('a', 'path'):fchownat('', uid, gid, 'empty_path'))\n"
		 "raises('is not within', S.chown, 'a', 1 << 32, 0)\n"
		 "raises('is not within', S.chown, 'a', -2)\n");
}

Test(stat_root, owners_are_changed, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "if S.geteuid() ~= 0 then\n"
		 "  fails('PERM', S.chown('/', 0, 0))\n"
		 "  return\n"
		 "end\n"
		 "local f = assert(S.open('a', 'creat'))\n"
		 "local ok, err = S.chown('a', 1234, 4294967294)\n"
		 "if not ok then skip('no-chown: these ids cannot be given: ' .. "
		 "tostring(err)) end\n"
		 "assert(S.stat('a').uid == 1234 and S.stat('a').gid == 4294967294)\n"
		 "assert(f:fchown(5) and S.stat('a').uid == 5 and S.stat('a').gid == "
		 "4294967294)\n"
		 "assert(S.symlink('a', 'l') and S.lchown('l', 7, 8) and S.lstat('l').gid == 8)\n"
		 "assert(S.fchownat(nil, 'l', 9, 9) and S.stat('a').uid == 9)\n");
}

Test(stat, access_asks_for_rights, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat', '0600'))\n"
		 "assert(S.access('a') and S.access('a', 'r, w'))\n"
		 "fails('ACCES', S.access('a', 'x'))\n"
		 "fails('NOENT', S.access('none', 'f'))\n"
		 "local here = S.open('.', 'path')\n"
		 "assert(here:faccessat('a', 'w') and here:faccessat('a', 'r', 'eaccess'))\n"
		 "assert(S.symlink('none', 'l') and here:faccessat('l', 'f', "
		 "'symlink_nofollow'))\n"
		 "fails('NOENT', here:faccessat('l'))\n"
		 "raises('S.c.ACCESS', S.access, 'a', 'q')\n");
}

Test(stat, times_are_set, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.open('a', 'creat'))\n"
		 "assert(S.utimensat(nil, 'a', { atime = 12.5, mtime = 1000000000 }))\n"
		 "local st = S.stat('a')\n"
		 "assert(st.atime == 12.5 and st.mtime == 1e9)\n"
		 "assert(S.utimensat(nil, 'a', { mtime = -1.25 }))\n"
		 "assert(S.stat('a').mtime == -1.25 and S.stat('a').atime == 12.5)\n"
		 "assert(S.utimensat(nil, 'a', { atime = 'now' }) and S.stat('a').atime > 1e9)\n"
		 "assert(S.utimensat(nil, 'a') and S.stat('a').mtime > 1e9)\n"
		 "assert(S.symlink('a', 'l'))\n"
		 "assert(S.utimensat(nil, 'l', { mtime = 5 }, 'symlink_nofollow'))\n"
		 "assert(S.lstat('l').mtime == 5 and S.stat('l').mtime > 1e9)\n"
		 "local f = S.open('a')\n"
		 "assert(f:utimensat('', { mtime = 7 }, 'empty_path') and f:stat().mtime == 7)\n"
		 "raises(\"did you mean 'mtime'\", S.utimensat, nil, 'a', { mtimes = 1 })\n"
		 "raises(\"field 'mtime'\", S.utimensat, nil, 'a', { mtime = 'then' })\n"
		 "raises('out of range', S.utimensat, nil, 'a', { mtime = math.huge })\n"
		 "fails('NOENT', S.utimensat(nil, 'none'))\n");
}
