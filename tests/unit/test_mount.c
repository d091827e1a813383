/* SPDX-License-Identifier: MIT */
/* test_mount.c – mounts through the syscall layer, against the kernel
 *
 * What mounts anything does so as root of a user and mount namespace of its own, as root and as an
 * ordinary user alike: suite mount_ns, which `make check` leaves out.
 */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(mount, wrong_use_raises, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "raises(\"field 'target'\", S.mount, { source = 'x' })\n"
		 "raises(\"did you mean 'nosuid'\", S.mount, { target = '.', flags = "
		 "'nosuit' })\n"
		 "raises(\"did you mean 'target'\", S.mount, { targte = '.' })\n"
		 "raises(\"field 'data': a string\", S.mount, { target = '.', data = 5 })\n"
		 "raises('table', S.mount, 'none', '.', 'tmpfs')\n"
		 "raises(\"did you mean 'detach'\", S.umount2, '.', 'detatch')\n"
		 "raises(\"did you mean 'recursive'\", S.open_tree, nil, '.', 'recursiv')\n"
		 "raises(\"did you mean 'f_empty_path'\", S.move_mount, 3, '', nil, '.', "
		 "'empty_path')\n"
		 "raises(\"did you mean 'set_string'\", S.fsconfig, 3, 'set_strings', 'a', 'b')\n"
		 "raises('bad argument #4', S.fsconfig, 3, 'set_string', 'a')\n"
		 "raises('bad argument #3', S.fsconfig, 3, 'set_flag')\n"
		 "for _, number in ipairs { -1, 1 << 31, (1 << 32) + 3 } do\n"
		 "  raises('descriptor', S.mount_setattr, nil, '.', '', { userns = number })\n"
		 "end\n"
		 "raises('bad argument #4', S.mount_setattr, nil, '.', '')\n"
		 "raises(\"did you mean 'rdonly'\", S.mount_setattr, nil, '.', '', { "
		 "attr_set = 'readonly' })\n"
		 "raises(\"did you mean 'attr_set'\", S.mount_setattr, nil, '.', '', { "
		 "attrset = '' })\n"
		 "raises('descriptor', S.mount_setattr, nil, '.', '', { userns = 'x' })\n");
}

Test(mount, who_may_not_is_told, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "child(function()\n"
		 "  if S.geteuid() == 0 then\n"
		 "    assert(S.capset { effective = {}, permitted = {}, inheritable = {} })\n"
		 "  end\n"
		 "  fails('PERM', S.mount { source = 'x', target = '.', type = 'tmpfs' })\n"
		 "  fails('PERM', S.umount('.'))\n"
		 "  fails('PERM', S.pivot_root('.', '.'))\n"
		 "  fails('PERM', S.open_tree(nil, '.', 'clone'))\n"
		 "  fails('PERM', S.fsopen('tmpfs'))\n"
		 "  fails('PERM', S.fspick(nil, '.'))\n"
		 "  -- A filter that refuses the call cannot know its flags.\n"
		 "  local tree, err = S.open_tree(nil, '.')\n"
		 "  assert(not tree and err.PERM or tree:fstat().ino == S.stat('.').ino)\n"
		 "end)\n");
}

Test(mount_ns, old_calls_mount_bind_remount_unmount, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mkdir('b'))\n"
		 "  assert(S.mount { source = 'none', target = 't', type = 'tmpfs',\n"
		 "    flags = 'nosuid, nodev', data = 'size=64k,mode=0700' })\n"
		 "  local fs = S.statfs('t')\n"
		 "  assert(fs.type == S.c.MAGIC.TMPFS_MAGIC and fs.blocks * fs.bsize == 65536)\n"
		 "  assert(fs.flags & S.c.ST.NODEV ~= 0 and S.stat('t').perm == 448)\n"
		 "  assert(S.writefile('/dev/null', 'x') and S.mkdir('t/inside'))\n"
		 "  assert(S.mount { source = 't', target = 'b', flags = 'bind' })\n"
		 "  assert(S.stat('b/inside'))\n"
		 "  assert(S.mount { target = 'b', flags = 'remount, bind, rdonly, nosuid, "
		 "nodev' })\n"
		 "  fails('ROFS', S.mkdir('b/more'))\n"
		 "  assert(S.mkdir('t/more'))\n"
		 "  fails('NODEV', S.mount { source = 'x', target = 't', type = 'nonsense' })\n"
		 "  fails('NOENT', S.mount { source = 'x', target = 'none', type = 'tmpfs' })\n"
		 "  assert(S.umount2('b', 'nofollow'))\n"
		 "  local busy = assert(S.open('t/inside'))\n"
		 "  fails('BUSY', S.umount('t'))\n"
		 "  assert(S.umount2('t', 'detach') and busy:close())\n"
		 "  fails('INVAL', S.umount2('t'))\n"
		 "end)\n");
}

Test(mount_ns, pivot_root_leaves_nothing_of_the_old_root, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('r'))\n"
		 "  fails('INVAL', S.pivot_root('r', 'r'))\n"
		 "  assert(S.mount { source = 'none', target = 'r', type = 'tmpfs' })\n"
		 "  assert(S.mkdir('r/inside') and S.chdir('r'))\n"
		 "  assert(S.pivot_root('.', '.'))\n"
		 "  assert(S.umount2('.', 'detach') and S.chdir('/'))\n"
		 "  assert(#S.dir('/') == 1 and S.getcwd() == '/')\n"
		 "end)\n");
}

Test(mount_ns, a_new_file_system_by_descriptors, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t'))\n"
		 "  fails('NODEV', S.fsopen('nonsense'))\n"
		 "  local fs = assert(S.fsopen('tmpfs'))\n"
		 "  assert(fs:fcntl('getfd') == S.c.FD.CLOEXEC)\n"
		 "  assert(fs:fsconfig('set_string', 'source', 'luge'))\n"
		 "  assert(fs:fsconfig('set_string', 'size', '64k'))\n"
		 "  fails('INVAL', fs:fsconfig('set_string', 'nonsense', '1'))\n"
		 "  assert(fs:read():match('^e tmpfs:'))\n"
		 "  fails('NODATA', fs:read())\n"
		 "  assert(fs:fsconfig('cmd_create'))\n"
		 "  local detached = assert(fs:fsmount('', 'noexec, nodev, nosuid'))\n"
		 "  assert(detached:mkdirat('inside'))\n"
		 "  assert(S.move_mount(detached, '', nil, 't', 'f_empty_path'))\n"
		 "  local st = S.statfs('t')\n"
		 "  assert(st.flags & S.c.ST.NOEXEC ~= 0 and st.blocks * st.bsize == 65536)\n"
		 "  local picked = assert(S.fspick(nil, 't'))\n"
		 "  assert(picked:fsconfig('set_flag', 'ro') and "
		 "picked:fsconfig('cmd_reconfigure'))\n"
		 "  fails('ROFS', S.mkdir('t/more'))\n"
		 "  detached:close()\n"
		 "  assert(S.umount('t'))\n"
		 "end)\n");
}

Test(mount_ns, fsconfig_takes_paths_and_descriptors, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('m') and S.mount { source = 'x', target = 'm', type = "
		 "'tmpfs' })\n"
		 "  for _, name in ipairs { 'lower', 'upper', 'work' } do\n"
		 "    assert(S.mkdir('m/' .. name))\n"
		 "  end\n"
		 "  assert(S.mkdir('m/lower/from'))\n"
		 "  local fs = assert(S.fsopen('overlay'))\n"
		 "  assert(fs:fsconfig('set_string', 'lowerdir', 'm/lower'))\n"
		 "  assert(fs:fsconfig('set_string', 'upperdir', 'm/upper'))\n"
		 "  assert(fs:fsconfig('set_string', 'workdir', 'm/work'))\n"
		 "  assert(fs:fsconfig('set_flag', 'userxattr') and fs:fsconfig('cmd_create'))\n"
		 "  local overlay = assert(fs:fsmount())\n"
		 "  assert(overlay:fstatat('from').type == 'directory')\n"
		 "  assert(overlay:mkdirat('new') and S.stat('m/upper/new'))\n"
		 "  local other = assert(S.fsopen('overlay'))\n"
		 "  fails('INVAL', other:fsconfig('set_fd', 'nonsense', overlay))\n"
		 "  fails('INVAL', other:fsconfig('set_fd', 'nonsense', nil, overlay))\n"
		 "  fails('INVAL', other:fsconfig('set_path', 'nonsense', 'm'))\n"
		 "  fails('INVAL', other:fsconfig('set_path_empty', 'nonsense', '', overlay))\n"
		 "  fails('INVAL', other:fsconfig('set_binary', 'nonsense', 'a\\0b'))\n"
		 "end)\n");
}

Test(mount_ns, open_tree_clones_and_move_mount_attaches, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mkdir('u'))\n"
		 "  assert(S.mount { source = 'a', target = 't', type = 'tmpfs' })\n"
		 "  assert(S.mkdir('t/below'))\n"
		 "  assert(S.mount { source = 'b', target = 't/below', type = 'tmpfs' })\n"
		 "  assert(S.mkdir('t/below/deep'))\n"
		 "  local one = assert(S.open_tree(nil, 't', 'clone'))\n"
		 "  fails('NOENT', one:fstatat('below/deep'))\n"
		 "  local all = assert(S.open_tree('fdcwd', 't', 'clone, recursive'))\n"
		 "  assert(all:fstatat('below/deep'))\n"
		 "  local target = assert(S.open('u', 'path'))\n"
		 "  assert(all:move_mount('', target, '', 'f_empty_path, t_empty_path'))\n"
		 "  assert(S.stat('u/below/deep'))\n"
		 "  assert(S.mkdir('v') and S.move_mount(nil, 'u', nil, 'v'))\n"
		 "  fails('NOENT', S.stat('u/below'))\n"
		 "  local attached = assert(S.open('v', 'path'))\n"
		 "  local again = assert(attached:open_tree('', 'clone, empty_path'))\n"
		 "  assert(again:fstatat('below'))\n"
		 "end)\n");
}

Test(mount_ns, mount_setattr_changes_a_whole_tree, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mount { source = 'a', target = 't', type = "
		 "'tmpfs' })\n"
		 "  assert(S.mkdir('t/b') and S.mount { source = 'b', target = 't/b', type "
		 "= 'tmpfs' })\n"
		 "  assert(S.mount_setattr(nil, 't', '', { attr_set = 'rdonly' }))\n"
		 "  fails('ROFS', S.mkdir('t/x'))\n"
		 "  assert(S.mkdir('t/b/x'))\n"
		 "  assert(S.mount_setattr(nil, 't', 'recursive', { attr_set = 'rdonly, "
		 "noexec' }))\n"
		 "  fails('ROFS', S.mkdir('t/b/y'))\n"
		 "  local change = { attr_clr = 'rdonly, _atime', attr_set = 'noatime' }\n"
		 "  assert(S.open('t', 'path'):mount_setattr('', 'empty_path, recursive', "
		 "change))\n"
		 "  local flags = S.statfs('t/b').flags\n"
		 "  assert(S.mkdir('t/b/y') and flags & S.c.ST.NOATIME ~= 0)\n"
		 "  assert(flags & S.c.ST.NOEXEC ~= 0)\n"
		 "  assert(S.mount_setattr(nil, 't', 'recursive', { propagation = 'shared' }))\n"
		 "  assert(S.readfile('/proc/self/mountinfo'):find('/t/b rw[^\\n]* shared:'))\n"
		 "  assert(S.mount_setattr(nil, 't', '', { propagation = 'private' }))\n"
		 "  fails('INVAL', S.mount_setattr(nil, 't', '', { attr_set = 'noatime' }))\n"
		 "end)\n");
}

Test(mount_ns, mount_setattr_maps_ids, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mount { source = 'a', target = 't', type = "
		 "'tmpfs' })\n"
		 "  local ids = { { 1, 0, 1 } }\n"
		 "  local map = assert(S.userns_open { uids = ids, gids = ids })\n"
		 "  local tree = assert(S.open_tree(nil, 't', 'clone'))\n"
		 "  local ok, err = tree:mount_setattr('', 'empty_path', { userns = map })\n"
		 "  if not ok and err.INVAL then skip('no-idmap: tmpfs takes no id map "
		 "before Linux 6.3') end\n"
		 "  assert(ok, err)\n"
		 "  assert(S.stat('t').uid == 0 and tree:fstat().uid == 65534)\n"
		 "  fails('OVERFLOW', tree:mkdirat('x'))\n"
		 "  fails('PERM', tree:mount_setattr('', 'empty_path', { userns = map }))\n"
		 "  fails('INVAL', S.mount_setattr(nil, 't', '', { userns = "
		 "S.open('/dev/null') }))\n"
		 "end)\n");
}

Test(mount_ns, id_maps_show_one_owner_as_another, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "if S.geteuid() ~= 0 then\n"
		 "  assert(not S.userns_open { uids = { { 0, 1000, 1 } }, gids = { { 0, "
		 "1000, 1 } } })\n"
		 "  return\n"
		 "end\n"
		 "child(function()\n"
		 "  assert(S.unshare('newns'))\n"
		 "  assert(S.mount { target = '/', flags = 'rec, private' })\n"
		 "  assert(S.mkdir('t') and S.mount { source = 'a', target = 't', type = "
		 "'tmpfs' })\n"
		 "  local ids = { { 0, 1000, 1 } }\n"
		 "  local map = assert(S.userns_open { uids = ids, gids = ids })\n"
		 "  local tree = assert(S.open_tree(nil, 't', 'clone'))\n"
		 "  assert(tree:mount_setattr('', 'empty_path', { userns = map }))\n"
		 "  assert(tree:fstat().uid == 1000 and S.stat('t').uid == 0)\n"
		 "end)\n");
}

Test(mount_ns, statmount_says_what_is_mounted, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mkdir('t/sub'))\n"
		 "  assert(S.mount { source = 'luge', target = 't', type = 'tmpfs', flags = "
		 "'nodev' })\n"
		 "  local id = assert(S.statx(nil, 't', '', 'mnt_id_unique')).mnt_id\n"
		 "  local m, err = S.statmount(id)\n"
		 "  if not m and err.NOSYS then skip('no-statmount: needs Linux 6.8') end\n"
		 "  assert(m, err)\n"
		 "  assert(m.mnt_id == id and m.type == 'tmpfs' and m.root == '/')\n"
		 "  assert(m.point == S.getcwd() .. '/t' and m.magic == S.c.MAGIC.TMPFS_MAGIC)\n"
		 "  assert(m.attr.nodev and not m.attr.rdonly and m.dev == S.stat('t').dev)\n"
		 "  assert(m.mnt_id_old == S.stat('t').mnt_id and m.propagation)\n"
		 "  assert(m.source == nil or m.source == 'luge')\n"
		 "  local some = assert(S.statmount(id, 'fs_type'))\n"
		 "  assert(some.type == 'tmpfs' and some.point == nil and some.mnt_id == nil)\n"
		 "  assert(S.mkdir('t/b') and S.mount { source = 'x', target = 't/b', type "
		 "= 'tmpfs' })\n"
		 "  local below = assert(S.listmount(id))\n"
		 "  assert(#below == 1 and S.statmount(below[1]).parent_id == id)\n"
		 "  local all = {}\n"
		 "  for _, n in ipairs(assert(S.listmount())) do all[n] = true end\n"
		 "  assert(all[id] and all[below[1]])\n"
		 "  fails('NOENT', S.statmount(id + 1000000))\n"
		 "  raises(\"did you mean 'fs_type'\", S.statmount, id, 'fstype')\n"
		 "end)\n");
}

Test(mount_ns, listmount_lists_more_than_one_call_gives, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "newns(function()\n"
		 "  assert(S.mkdir('t') and S.mount { source = 'x', target = 't', type = "
		 "'tmpfs' })\n"
		 "  local id = assert(S.statx(nil, 't', '', 'mnt_id_unique')).mnt_id\n"
		 "  local ok, err = S.listmount(id)\n"
		 "  if not ok and err.NOSYS then skip('no-statmount: needs Linux 6.8') end\n"
		 "  assert(S.mkdir('t/0'))\n"
		 "  for _ = 1, 600 do\n"
		 "    assert(S.mount { source = 't', target = 't/0', flags = 'bind' })\n"
		 "  end\n"
		 "  assert(#S.listmount(id) == 600)\n"
		 "end)\n");
}
