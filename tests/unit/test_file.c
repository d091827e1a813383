/* SPDX-License-Identifier: MIT */
/* test_file.c – descriptors through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(file, random_bytes_and_names)
{
	test_lua(test_state(),
		 "local seen = {}\n"
		 "for _ = 1, 100 do\n"
		 "  local bytes, name = assert(S.getrandom(16)), assert(S.random_name(16))\n"
		 "  assert(#bytes == 16 and name:find('^[a-z0-9]+$') and #name == 16)\n"
		 "  assert(not seen[bytes] and not seen[name])\n"
		 "  seen[bytes], seen[name] = true, true\n"
		 "end\n"
		 "assert(#S.getrandom(256) == 256)\n"
		 "for _, size in ipairs { 0, -1, 257 } do raises('not within', S.getrandom, size) "
		 "end\n");
}

Test(file, open_makes_reads_and_writes, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.open('a', 'creat, excl, rdwr', '0640'))\n"
				  "assert(S.write(f, 'hello') == 5)\n"
				  "assert(S.lseek(f, 1) == 1 and S.read(f, 3) == 'ell')\n"
				  "assert(S.read(f) == 'o' and S.read(f) == '')\n"
				  "assert(S.stat('a').perm == 416 & ~S.umask(18))\n"
				  "fails('EXIST', S.open('a', 'creat, excl, rdwr'))\n"
				  "fails('NOENT', S.open('none'))\n"
				  "assert(S.open('a'):read() == 'hello')\n"
				  "assert(f:close())\n"
				  "raises('closed', f.read, f)\n");
}

Test(file, open_takes_flags_in_every_form, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local O = S.c.O\n"
				  "assert(S.open('a', O.CREAT | O.WRONLY, 384))\n"
				  "assert(S.open('a', {'wronly', 'append'}):write('x') == 1)\n"
				  "assert(S.open('a', 'O_WRONLY|O_APPEND'):write('y') == 1)\n"
				  "assert(S.open('a'):read(10) == 'xy')\n");
}

Test(file, open_is_always_close_on_exec, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local r, w = assert(S.pipe())\n"
		 "local all = { S.open('a', 'creat, rdwr'), S.openat(nil, '.', 'path'), r, w,\n"
		 "  S.openat2('fdcwd', '.', { flags = 'directory' }), S.memfd_create('m'), "
		 "r:dup() }\n"
		 "assert(#all == 7)\n"
		 "for _, fd in ipairs(all) do\n"
		 "  assert(fd:fcntl('getfd') == S.c.FD.CLOEXEC, tostring(fd))\n"
		 "end\n");
}

Test(file, open_refuses_wrong_arguments, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "raises(\"did you mean 'creat'\", S.open, 'a', 'create')\n"
		 "raises('\"0755\"', S.open, 'a', 'creat', '0999')\n"
		 "raises('NUL byte', S.open, 'a\\0b')\n"
		 "raises('bad argument #1', S.open)\n"
		 "raises('a descriptor expected', S.openat, 'here', 'a')\n"
		 "raises(\"did you mean 'resolve'\", S.openat2, nil, 'a', { resolv = '' })\n"
		 "raises(\"did you mean 'beneath'\", S.openat2, nil, 'a', { resolve = "
		 "'benath' })\n");
}

Test(file, flags_that_do_not_fit_the_kernels_int_raise, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = S.open('a', 'creat, rdwr')\n"
		 "for _, bits in ipairs { 1 << 40, 1 << 32, -1 << 32, math.mininteger } "
		 "do\n"
		 "  raises('32 bits', S.open, 'a', bits)\n"
		 "  raises('32 bits', S.openat, nil, 'a', { 'rdonly', bits })\n"
		 "  raises('32 bits', S.memfd_create, 'a', bits)\n"
		 "  raises('32 bits', f.lseek, f, 0, bits)\n"
		 "  raises('32 bits', f.fcntl, f, 'setfl', bits)\n"
		 "  raises('32 bits', f.flock, f, bits)\n"
		 "  raises('32 bits', f.ioctl, f, bits)\n"
		 "  raises('32 bits', S.unshare, bits)\n"
		 "  raises('32 bits', S.socket, bits, 'stream')\n"
		 "  raises('32 bits', S.mount, { type = 'tmpfs', target = 'a', flags = bits })\n"
		 "end\n"
		 "raises('32 bits', S.unshare, 'clear_sighand')\n"
		 "raises('16 bits', S.poll, { { fd = f, events = 1 << 16 } }, 0)\n"
		 "assert(S.personality(0xffffffff) == S.personality(-1))\n");
}

Test(file, a_handle_tells_whether_the_file_is_there, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local a = S.open('a', 'creat, wronly')\n"
		 "assert(a:write('x') == 1 and a:close() and S.symlink('a', 'l'))\n"
		 "local here = S.open('.')\n"
		 "local handle, err = S.name_to_handle_at(here, 'a')\n"
		 "if not handle then skip('no-handles: ' .. tostring(err)) end\n"
		 "assert(S.name_to_handle_at(nil, 'l') ~= handle)\n"
		 "assert(S.name_to_handle_at(nil, 'l', 'symlink_follow') == handle)\n"
		 "fails('NOENT', S.name_to_handle_at(here, 'none'))\n"
		 "if S.geteuid() ~= 0 then return fails('PERM', S.open_by_handle_at(here, handle)) "
		 "end\n"
		 "local fd, why = S.open_by_handle_at(here, handle)\n"
		 "if not fd then return assert(why.PERM, why) end\n"
		 "assert(fd:read() == 'x' and fd:fcntl('getfd') == S.c.FD.CLOEXEC)\n"
		 "assert(fd:close() and S.unlink('a'))\n"
		 "fails('STALE', S.open_by_handle_at(here, handle))\n");
}

Test(file, handles_refuse_wrong_use, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "raises('no handle', S.open_by_handle_at, S.open('.'), 'short')\n"
		 "raises('no handle', S.open_by_handle_at, S.open('.'), ('I4I4'):pack(9, 1) .. "
		 "'four')\n"
		 "raises('no handle', S.open_by_handle_at, S.open('.'), ('x'):rep(200))\n"
		 "raises('descriptor expected', S.open_by_handle_at, 'x', '')\n"
		 "raises('S.c.AT', S.name_to_handle_at, nil, '.', 'follow')\n");
}

Test(file, openat_starts_at_the_directory, .fini = scratch_remove)
{
	test_lua(scratch_state(), "assert(S.mkdir('d'))\n"
				  "local d = assert(S.open('d', 'path, directory'))\n"
				  "assert(S.openat(d, 'a', 'creat, wronly', '0600'))\n"
				  "assert(S.lstat('d/a').perm == 384)\n"
				  "assert(d:openat('a'))\n");
}

Test(file, openat2_keeps_to_what_resolve_allows, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d') and S.symlink('/etc', 'd/out') and S.mkdir('d/etc'))\n"
		 "local d = assert(S.open('d', 'path'))\n"
		 "fails('XDEV', S.openat2(d, '..', { resolve = 'beneath' }))\n"
		 "fails('XDEV', S.openat2(d, 'out', { resolve = 'beneath' }))\n"
		 "fails('LOOP', S.openat2(d, 'out', { resolve = 'no_symlinks' }))\n"
		 "fails('LOOP', S.openat2(d, '/proc/self/cwd', { resolve = 'no_magiclinks' }))\n"
		 "fails('XDEV', S.openat2(d, '/proc', { resolve = 'no_xdev' }))\n"
		 "local inside = assert(S.openat2(d, 'out', { flags = 'path', resolve = "
		 "'in_root' }))\n"
		 "assert(inside:fstat().ino == S.stat('d/etc').ino)\n"
		 "local made = d:openat2('new', { flags = 'creat, wronly', mode = '0600' })\n"
		 "assert(made:stat().perm == 384)\n"
		 "fails('INVAL', S.openat2(d, 'new', { flags = 1 << 40 }))\n"
		 "assert(S.openat2(d, '.'))\n");
}

/* The kernel lets a lookup through ".." fail wherever on the machine something is renamed meanwhile. */
Test(file, openat2_in_a_root_outlives_renames, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "assert(S.mkdir('d') and S.mkdir('d/a') and S.mkdir('x') and "
		 "S.symlink('/../../a', 'd/l'))\n"
		 "local d = assert(S.open('d', 'path'))\n"
		 "local pid = assert(S.fork())\n"
		 "if pid == 0 then S.prctl('set_pdeathsig', 'kill') end\n"
		 "while pid == 0 do S.rename('x', 'y') S.rename('y', 'x') end\n"
		 "local err\n"
		 "for _ = 1, 20000 do\n"
		 "  local file\n"
		 "  file, err = S.openat2(d, 'l', { flags = 'path', resolve = 'in_root' })\n"
		 "  if not file then break end\n"
		 "  file:close()\n"
		 "end\n"
		 "S.kill(pid, 'kill')\n"
		 "S.waitid('pid', pid, 'exited')\n"
		 "assert(not err, err)\n");
}

Test(file, tmpfile_takes_a_mode, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = S.open('.', 'tmpfile, rdwr', '0600')\n"
		 "if not f then skip('no-tmpfile: the file system has no O_TMPFILE') end\n"
		 "assert(f:stat().perm == 384 and f:stat().nlink == 0)\n");
}

Test(file, pread_and_pwrite_leave_the_position, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.memfd_create('m'))\n"
				  "assert(f:pwrite('hello', 2) == 5)\n"
				  "assert(f:pread(3, 4) == 'llo' and f:pread(3, 100) == '')\n"
				  "assert(f:lseek(0, 'cur') == 0)\n"
				  "raises('is not within', f.pread, f, 1, -1)\n");
}

Test(file, lseek_knows_its_whences, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.memfd_create('m'))\n"
				  "f:write('hello')\n"
				  "assert(f:lseek(-1, 'end') == 4 and f:lseek(-2, 'cur') == 2)\n"
				  "assert(f:lseek(0, 'hole') == 5 and f:lseek() == 0)\n"
				  "fails('INVAL', f:lseek(-1))\n"
				  "raises(\"did you mean 'cur'\", f.lseek, f, 0, 'curr')\n");
}

Test(file, read_and_write_report_errors, .fini = scratch_remove)
{
	test_lua(scratch_state(), "fails('BADF', S.read(1000))\n"
				  "fails('ISDIR', S.open('.'):read())\n"
				  "local r, w = S.pipe('nonblock')\n"
				  "fails('AGAIN', r:read(1))\n"
				  "raises('bad argument', S.write, w)\n"
				  "raises('is not within', r.read, r, -1)\n");
}

Test(file, truncate_cuts_and_extends, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.open('a', 'creat, rdwr'))\n"
				  "f:write('hello')\n"
				  "assert(S.truncate('a', 2) and f:pread(10, 0) == 'he')\n"
				  "assert(S.ftruncate(f, 4) and f:pread(10, 0) == 'he\\0\\0')\n"
				  "assert(f:truncate(0) and f:stat().size == 0)\n"
				  "fails('NOENT', S.truncate('none', 1))\n"
				  "fails('INVAL', S.ftruncate(f, -1))\n");
}

Test(file, fsync_works_on_files_only, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.open('a', 'creat, wronly'))\n"
				  "assert(f:fsync() and f:fdatasync())\n"
				  "fails('INVAL', (S.pipe()):fsync())\n");
}

Test(file, sendfile_copies_from_an_offset, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local from, to = S.memfd_create('from'), S.memfd_create('to')\n"
		 "from:write('hello')\n"
		 "assert(S.sendfile(to, from, 1, 100) == 4 and to:pread(9, 0) == 'ello')\n"
		 "from:lseek(3)\n"
		 "assert(S.sendfile(to, from, nil, 1) == 1 and from:lseek(0, 'cur') == 4)\n"
		 "fails('BADF', S.sendfile(to, 1000, nil, 1))\n");
}

Test(file, copy_file_range_copies_between_files, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local from = assert(S.open('a', 'creat, rdwr'))\n"
				  "local to = assert(S.open('b', 'creat, rdwr'))\n"
				  "from:write('hello')\n"
				  "assert(S.copy_file_range(from, 1, to, 2, 3) == 3)\n"
				  "assert(to:pread(9, 0) == '\\0\\0ell')\n"
				  "assert(S.copy_file_range(from, nil, to, 0, 3) == 0)\n"
				  "fails('BADF', S.copy_file_range(from, 0, S.open('b'), 0, 1))\n");
}

Test(file, dup_shares_the_open_file, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.memfd_create('m'))\n"
				  "local g = assert(f:dup())\n"
				  "g:write('hello')\n"
				  "assert(f:lseek(0, 'cur') == 5 and f:getfd() ~= g:getfd())\n"
				  "fails('BADF', S.dup(1000))\n");
}

Test(file, dup3_takes_a_number_and_stays_open_over_exec, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local f = assert(S.memfd_create('m'))\n"
				  "assert(f:dup3(100) == 100)\n"
				  "assert(S.fcntl(100, 'getfd') == 0)\n"
				  "assert(S.dup3(f, 100, 'cloexec') == 100)\n"
				  "assert(S.fcntl(100, 'getfd') == S.c.FD.CLOEXEC)\n"
				  "fails('INVAL', f:dup3(f:getfd()))\n"
				  "assert(S.close(100))\n"
				  "fails('BADF', S.close(100))\n");
}

Test(file, close_range_closes_a_range, .fini = scratch_remove)
{
	test_lua(scratch_state(), "child(function()\n"
				  "  local f = S.memfd_create('m')\n"
				  "  for n = 200, 205 do assert(f:dup3(n)) end\n"
				  "  assert(S.close_range(200, 203))\n"
				  "  fails('BADF', S.fcntl(203, 'getfd'))\n"
				  "  assert(S.close_range(204, nil, 'cloexec'))\n"
				  "  assert(S.fcntl(205, 'getfd') == S.c.FD.CLOEXEC)\n"
				  "  fails('INVAL', S.close_range(5, 4))\n"
				  "end)\n");
}

Test(file, pipe_has_two_ends, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local r, w = assert(S.pipe('nonblock'))\n"
				  "assert(w:write('x') == 1 and r:read() == 'x')\n"
				  "fails('AGAIN', r:read())\n"
				  "w:close()\n"
				  "assert(r:read() == '')\n"
				  "fails('INVAL', S.pipe('creat'))\n");
}

Test(file, fcntl_seals_a_memfd, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = assert(S.memfd_create('m', 'allow_sealing'))\n"
		 "f:write('hello')\n"
		 "local all = 'seal, shrink, grow, write'\n"
		 "assert(f:fcntl('add_seals', all))\n"
		 "local SEAL = S.c.SEAL\n"
		 "assert(f:fcntl('get_seals') == SEAL.SEAL | SEAL.SHRINK | SEAL.GROW | "
		 "SEAL.WRITE)\n"
		 "fails('PERM', f:write('x'))\n"
		 "fails('PERM', f:fcntl('add_seals', 'write'))\n"
		 "raises(\"did you mean 'write'\", f.fcntl, f, 'add_seals', 'writ')\n");
}

Test(file, fcntl_sets_flags_and_copies, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local r = S.pipe()\n"
		 "assert(r:fcntl('setfl', 'nonblock'))\n"
		 "assert(r:fcntl('getfl') & S.c.O.NONBLOCK ~= 0)\n"
		 "assert(r:fcntl('setfd') and r:fcntl('getfd') == 0)\n"
		 "local copy = assert(r:fcntl('dupfd_cloexec', 50))\n"
		 "assert(copy:getfd() >= 50)\n"
		 "assert(r:fcntl('setpipe_sz', 4096) == 4096 and r:fcntl('getpipe_sz') == 4096)\n"
		 "assert(r:fcntl('setown', S.getpid()) == 0 and r:fcntl('getown') == "
		 "S.getpid())\n"
		 "assert(r:fcntl('setsig', 10) == 0 and r:fcntl('getsig') == 10)\n"
		 "raises(\"did you mean 'getfd'\", r.fcntl, r, 'getfb')\n"
		 "raises('not offered', r.fcntl, r, 5)\n");
}

Test(file, flock_excludes_another_open_file, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local f = assert(S.open('a', 'creat'))\n"
		 "local g = assert(S.open('a'))\n"
		 "assert(f:flock('ex'))\n"
		 "fails('AGAIN', g:flock('sh, nb'))\n"
		 "assert(f:flock('un') and g:flock('sh, nb') and f:flock('sh, nb'))\n"
		 "raises('bad argument #2', f.flock, f)\n");
}

Test(file, ioctl_passes_numbers_and_memory, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local r, w = S.pipe()\n"
		 "w:write('hello')\n"
		 "local rc, bytes = S.ioctl(r, 'fionread', string.pack('i4', 0))\n"
		 "assert(rc == 0 and string.unpack('i4', bytes) == 5)\n"
		 "assert(r:ioctl('fioclex') == 0)\n"
		 "fails('NOTTY', r:ioctl('tiocgwinsz', string.rep('\\0', 8)))\n"
		 "raises(\"did you mean 'fionread'\", r.ioctl, r, 'fionred')\n"
		 "raises('4096', r.ioctl, r, 'fionread', string.rep('x', 5000))\n");
}

Test(file, readfile_and_writefile_are_whole_files, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "fails('NOENT', S.writefile('a', 'hello'))\n"
		 "assert(S.open('a', 'creat'))\n"
		 "local long = string.rep('x', 200000)\n"
		 "assert(S.writefile('a', long) and S.readfile('a') == long)\n"
		 "assert(S.writefile('a', 'yy') and S.readfile('a'):sub(1, 3) == 'yyx')\n"
		 "assert(S.readfile('/proc/self/status'):find('Name:', 1, true))\n"
		 "fails('NOENT', S.readfile('none'))\n"
		 "fails('ISDIR', S.readfile('.'))\n"
		 "local full, err = S.writefile('/dev/full', 'x')\n"
		 "assert(not full and err.NOSPC)\n");
}

Test(file, every_method_is_a_function, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "for name, f in pairs(S.fd_methods) do\n"
		 "  assert(type(f) == 'function', name)\n"
		 "end\n"
		 "assert(S.fd_methods.stat == S.fstat and S.fd_methods.read == S.read)\n");
}

Test(file, errors_can_be_made_from_numbers, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local e = S.error(S.c.E.NOENT)\n"
		 "assert(e.NOENT and not e.PERM and e.errno == 2 and e.name == 'noent')\n"
		 "assert(tostring(e) == 'No such file or directory')\n"
		 "raises('is not within', S.error, 0)\n"
		 "raises(\"no error is named 'NOPE'\", function() return e.NOPE end)\n");
}

Test(file, descriptors_are_closed_when_collected, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local number = S.memfd_create('m'):getfd()\n"
				  "collectgarbage()\n"
				  "collectgarbage()\n"
				  "fails('BADF', S.fcntl(number, 'getfd'))\n"
				  "local kept = S.memfd_create('m'):release()\n"
				  "collectgarbage()\n"
				  "assert(S.close(kept))\n");
}
