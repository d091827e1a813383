/* SPDX-License-Identifier: MIT */
/* test_namespace.c – namespaces and host names through the syscall layer, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(namespace, uname_tells_the_system)
{
	test_lua(test_state(),
		 "local names = S.uname()\n"
		 "assert(names.sysname == 'Linux' and names.release:match('^%d+%.'))\n"
		 "assert(names.machine ~= '' and names.version ~= '')\n"
		 "local file = io.open('/proc/sys/kernel/hostname')\n"
		 "assert(file:read('l') == names.nodename)\n"
		 "assert(type(names.domainname) == 'string')\n");
}

Test(namespace_ns, unshare_and_host_names)
{
	test_lua(test_state(),
		 "userns(function()\n"
		 "  fails('INVAL', S.unshare(0x1))\n"
		 "  assert(S.unshare(0) and S.unshare('newuts, newns'))\n"
		 "  assert(S.sethostname('a.host') and S.setdomainname('a.domain'))\n"
		 "  local names = S.uname()\n"
		 "  assert(names.nodename == 'a.host' and names.domainname == 'a.domain')\n"
		 "  fails('INVAL', S.sethostname(('x'):rep(65)))\n"
		 "  fails('INVAL', S.setdomainname(('x'):rep(65)))\n"
		 "end)\n"
		 "assert(S.uname().nodename ~= 'a.host')\n"
		 "raises('string expected', S.sethostname)\n"
		 "raises('string expected', S.setdomainname, {})\n");
}

Test(namespace_ns, host_names_need_privilege)
{
	test_lua(test_state(),
		 "child(function()\n"
		 "  if S.geteuid() == 0 then assert(S.setresuid(65534, 65534, 65534)) end\n"
		 "  fails('PERM', S.sethostname('x'))\n"
		 "  fails('PERM', S.setdomainname('x'))\n"
		 "  fails('PERM', S.unshare('newns'))\n"
		 "end)\n");
}

Test(namespace, unshare_refuses_wrong_use)
{
	test_lua(test_state(), "raises('value expected', S.unshare)\n"
			       "raises(\"did you mean 'newpid'\", S.unshare, 'newpidd')\n");
}

Test(namespace_ns, setns_enters)
{
	test_lua(test_state(),
		 "userns(function()\n"
		 "  local first = assert(S.open('/proc/self/ns/uts', 'rdonly, cloexec'))\n"
		 "  assert(S.unshare('newuts') and S.sethostname('one'))\n"
		 "  local one = assert(S.open('/proc/self/ns/uts', 'rdonly, cloexec'))\n"
		 "  assert(S.unshare('newuts') and S.sethostname('two'))\n"
		 "  fails('INVAL', S.setns(one, 'newns'))\n"
		 "  assert(S.setns(one, 'newuts'))\n"
		 "  assert(S.uname().nodename == 'one')\n"
		 "  fails('PERM', S.setns(first))\n" /* of the host's user namespace */
		 "end)\n"
		 "raises('descriptor expected', S.setns, 'x')\n"
		 "raises('S.c.CLONE', S.setns, 0, 'newnss')\n"
		 "fails('INVAL', S.setns(S.open('/dev/null', 'rdonly, cloexec')))\n");
}

Test(namespace_ns, setns_takes_a_pidfd)
{
	test_lua(test_state(), "userns(function()\n"
			       "  local pid, fd = stopped(function()\n"
			       "    assert(S.unshare('newuts') and S.sethostname('other'))\n"
			       "  end)\n"
			       "  assert(S.uname().nodename ~= 'other')\n"
			       "  assert(S.setns(fd, 'newuts'))\n"
			       "  assert(S.uname().nodename == 'other')\n"
			       "  S.kill(pid, 9)\n"
			       "  S.waitid('pid', pid)\n"
			       "end)\n");
}

/* Joins the namespace in a grandchild and reads its maps there. */
static const char read_maps[] =
	"function maps(fd)\n"
	"  local found = {}\n"
	"  for _, name in ipairs{ 'uid_map', 'gid_map', 'setgroups' } do\n"
	"    local path = os.tmpname()\n"
	"    child(function()\n"
	"      local out = assert(io.open(path, 'w'))\n"
	"      assert(S.setns(fd, 'newuser'))\n"
	"      out:write((io.open('/proc/self/' .. name):read('a'):gsub('%s+', ' ')))\n"
	"      out:close()\n"
	"    end)\n"
	"    found[name] = io.open(path):read('a'):match('^%s*(.-)%s*$')\n"
	"    os.remove(path)\n"
	"  end\n"
	"  return found\n"
	"end\n";

Test(namespace_ns, userns_open_writes_maps)
{
	lua_State *L = test_state();

	test_lua(L, read_maps);
	test_lua(
		L,
		"local function check(fd, err, errno, step)\n"
		"  if not fd and err.PERM and S.geteuid() ~= 0 then\n"
		"    skip('not-root: maps of other ids')\n"
		"  end\n"
		"  assert(fd, step)\n"
		"  return maps(fd)\n"
		"end\n"
		"local found = check(S.userns_open{ uids = { { 0, 1000, 10 }, { 100, 5000, 1 } },\n"
		"                                   gids = { { 7, 2000, 4294900000 } } })\n"
		"assert(found.uid_map == '0 1000 10 100 5000 1', found.uid_map)\n"
		"assert(found.gid_map == '7 2000 4294900000', found.gid_map)\n"
		"assert(found.setgroups == 'allow')\n");
}

Test(namespace_ns, userns_open_takes_many_extents)
{
	test_lua(test_state(),
		 "if S.geteuid() ~= 0 then skip('not-root: maps of other ids') end\n"
		 "local function extents(n)\n"
		 "  local list = {}\n"
		 "  for i = 1, n do list[i] = { i - 1, 2 * i, 1 } end\n"
		 "  return list\n"
		 "end\n"
		 "assert(S.userns_open{ uids = extents(340), gids = extents(1) })\n"
		 "raises('1 to 340 extents', S.userns_open, { uids = extents(341) })\n"
		 "raises('1 to 340 extents', S.userns_open, { gids = {} })\n");
}

Test(namespace_ns, userns_open_without_privilege)
{
	lua_State *L = test_state();

	test_lua(L, read_maps);
	test_lua(L,
		 "child(function()\n"
		 "  if S.geteuid() == 0 then\n"
		 "    assert(S.setgroups{} and S.setresgid(65534, 65534, 65534))\n"
		 "    assert(S.setresuid(65534, 65534, 65534))\n"
		 "    assert(S.prctl('set_dumpable', 1))\n" /* /proc is root's otherwise */
		 "  end\n"
		 "  local uid, gid = S.geteuid(), S.getegid()\n"
		 "  local fd, err, errno, step = S.userns_open{ uids = { { 0, uid, 1 } },\n"
		 "                                              gids = { { 0, gid, 1 } } }\n"
		 "  if not fd and step == 'clone' then skip('no-userns: ' .. tostring(err)) end\n"
		 "  assert(fd, step)\n"
		 "  local found = maps(fd)\n"
		 "  assert(found.uid_map == '0 ' .. uid .. ' 1', found.uid_map)\n"
		 "  assert(found.gid_map == '0 ' .. gid .. ' 1', found.gid_map)\n"
		 "  assert(found.setgroups == 'deny')\n"
		 "  fd, err, errno, step = S.userns_open{ uids = { { 0, 1, 1 } } }\n"
		 "  assert(not fd and err.PERM and errno == 1 and step == 'uid_map')\n"
		 "end)\n");
}

/* What holds the namespace while it is made must be gone afterwards, on success and on failure. */
Test(namespace_ns, userns_open_leaves_nothing)
{
	test_lua(test_state(),
		 "userns(function()\n"
		 "  for i = 1, 20 do\n"
		 "    assert(S.userns_open{ uids = { { 5, 0, 1 } }, gids = { { 5, 0, 1 } } })\n"
		 "    local fd, err, errno, step = S.userns_open{ uids = { { 0, 5, 1 } } }\n"
		 "    assert(not fd and err.PERM and step == 'uid_map')\n"
		 "  end\n"
		 "  collectgarbage()\n"
		 "  fails('CHILD', S.waitid('all', nil, 'exited, nohang'))\n"
		 "  local blocked = S.sigprocmask()\n"
		 "  assert(#blocked == 0)\n"
		 "end)\n");
}

Test(namespace, userns_open_refuses_wrong_use)
{
	test_lua(test_state(),
		 "raises('table expected', S.userns_open)\n"
		 "raises(\"did you mean 'uids'\", S.userns_open, { uid = {} })\n"
		 "raises('a list of extents', S.userns_open, { uids = 'x' })\n"
		 "raises('extent 1 is no table', S.userns_open, { uids = { 1 } })\n"
		 "raises('extent 2 is not', S.userns_open, { uids = { { 0, 1, 1 }, { 1, 2 } } })\n"
		 "raises('extent 1 is not', S.userns_open, { gids = { { 0, 1, 0 } } })\n"
		 "raises('extent 1 is not', S.userns_open, { gids = { { -1, 1, 1 } } })\n"
		 "raises('extent 1 is not', S.userns_open, { gids = { { 0, 1 << 32, 1 } } })\n");
}

Test(namespace_ns, unshare_mapped_has_its_maps_written)
{
	test_lua(test_state(),
		 "userns(function()\n"
		 "  local maps = { uids = { { 0, 0, 1 } }, gids = { { 0, 0, 1 } }, setgroups = "
		 "false }\n"
		 "  local before = S.readlink('/proc/self/ns/user')\n"
		 "  assert(S.unshare_mapped('newuser, newns', maps))\n"
		 "  assert(S.readlink('/proc/self/ns/user') ~= before)\n"
		 "  assert(S.readfile('/proc/self/uid_map'):match('^%s*0%s+0%s+1%s*$'))\n"
		 "  fails('CHILD', S.waitid('all', 0, 'exited'))\n"
		 "end)\n");
}

Test(namespace_ns, unshare_mapped_tells_why_a_map_was_refused)
{
	test_lua(test_state(), "userns(function()\n"
			       "  local maps = { uids = { { 0, 5, 1 } }, gids = { { 0, 0, 1 } }, "
			       "setgroups = false }\n"
			       "  fails('PERM', S.unshare_mapped('newuser', maps))\n"
			       "end)\n");
}
