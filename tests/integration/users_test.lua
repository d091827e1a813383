-- SPDX-License-Identifier: MIT
-- Who the command is: names and numbers, groups, id maps, and what a hostile passwd file can do (nothing).

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local PASSWD = "root:x:0:0::/root:/bin/sh\nbuild:x:1000:1001::/home/build:/bin/sh\nodd:x:1000:7::relative:/bin/sh\n"
local GROUP = "root:x:0:\nbuild:x:1001:\nwheel:x:10:other,build\nusers:x:100:build,root\ntty:x:5:builder\n"

local function root_with(passwd, group)
  local root = t.rootfs()
  if passwd then t.write(root .. "/etc/passwd", passwd, "0644") end
  if group then t.write(root .. "/etc/group", group, "0644") end
  return root
end

local function facts(root, user, more)
  return box.facts { guest = false, body = ("root = %q, user = %s%s"):format(root, user, more or "") }
end

local function sorted(list)
  table.sort(list)
  return list
end

t.test("names are looked up in the container", function()
  local root = root_with(PASSWD, GROUP)
  local f = facts(root, "'build'")
  t.equal({ f.uid[1], f.gid[1], f.env.HOME, f.env.USER, f.env.LOGNAME }, { 1000, 1001, "/home/build", "build", "build" })
  if t.root then t.equal(sorted(f.groups), { 10, 100 }) end
  f = facts(root, "'odd'")
  t.equal({ f.uid[1], f.gid[1], f.env.HOME }, { 1000, 7, "/" })
end)

t.test("numbers need no entry, and take one where there is", function()
  local root = root_with(PASSWD, GROUP)
  local f = facts(root, "'4242:77'")
  t.equal({ f.uid[1], f.gid[1], f.env.HOME, f.env.USER }, { 4242, 77, "/", "4242" })
  f = facts(root, "'1000:1001'")
  t.equal({ f.uid[1], f.gid[1], f.env.USER }, { 1000, 1001, "build" })
end)

t.test("all three ids are the user's, and cannot be changed back", function()
  local f = facts(root_with(PASSWD, GROUP), "'1000:1001'")
  t.equal({ f.uid, f.gid }, { { 1000, 1000, 1000 }, { 1001, 1001, 1001 } })
  t.equal(box.try({ "setuid", "0" }, { body = "user = '1000:1000'" }).errno, t.root and "EPERM" or "EINVAL")
end)

t.test("groups: given, none, kept", function()
  t.needs_root()
  local root = root_with(PASSWD, GROUP)
  t.equal(sorted(facts(root, "{ name = 'build', groups = { 33, 5 } }").groups), { 5, 33 })
  t.equal(facts(root, "{ uid = 1000, gid = 1000, groups = {} }").groups, {})
  local kept = box.facts { body = "user = { uid = 0, gid = 0, groups = 'keep' }", before = function() S.setgroups { 4321,
    4322 } end }
  t.equal(kept.groups, { 65534, 65534 }, "groups of the host, which the container has no names for")
  local dropped = box.facts { before = function() S.setgroups { 4321, 4322 } end }
  t.equal(dropped.groups, {})
end)

t.test("an ordinary user has no groups to give", function()
  t.needs_user()
  box.refused({ "facts", body = "user = { uid = 0, gid = 0, groups = { 5 } }" }, "user.groups", "leave groups out")
  t.equal(box.facts({ body = "user = { uid = 0, gid = 0, groups = 'keep' }" }).uid[1], 0)
end)

t.test("a number that is none of a user's is nobody's line, however long", function()
  local root = root_with("over:x:18446744073709551616:1::/:/bin/sh\nwrap:x:18446744073709552616:1::/:/bin/sh\nzeros:x:000000000007:7::/:/bin/sh\n",
    "far:x:18446744073709551660:zeros\n")
  for _, name in ipairs { "over", "wrap" } do
    box.refused({ "facts", guest = false, body = ("root = %q, user = %q"):format(root, name) }, "no user '" .. name .. "'")
  end
  t.equal(facts(root, "'zeros'").uid[1], 7)
  if t.root then t.equal(facts(root, "'zeros'").groups, {}) end
end)

t.test("a user's group that the id map lacks is named", function()
  t.needs_root()
  local root = root_with("ann:x:7:7::/:/bin/sh\n", "far:x:99999:ann\n")
  box.refused({ "facts", guest = false, body = ("root = %q, user = 'ann'"):format(root) }, "its group 99999 is not in id_map",
    "groups = {}")
end)

t.test("an unknown user, an unknown group", function()
  local root = root_with(PASSWD, GROUP)
  local function refused(user, ...)
    box.refused({ "facts", guest = false, body = ("root = %q, user = %s"):format(root, user) }, ...)
  end
  refused("'nobody-there'", "user", "no user 'nobody-there' in its /etc/passwd")
  refused("'build:no-group'", "user", "no group 'no-group'")
  t.equal(facts(root, "'build:wheel'").gid[1], 10)
  t.equal(box.facts({ body = "user = 'nobody:nogroup'" }).gid[1], 65534)
  box.refused({ "facts", body = "user = 'root:wheel'" }, "user", "no group 'wheel'")
  box.refused({ "facts", body = "user = 'build'" }, "no user 'build'", "root and nobody")
  box.refused({ "facts", options = { "-u", "nope" } }, "--user: user")
  box.refused({ "facts", options = { "-u", "1:2:3" } }, "--user")
  box.refused({ "facts", options = { "-u", "-5" } }, "--user")
  box.refused({ "facts", options = { "-u", "4294967295:0" } }, "--user")
end)

t.test("a hostile passwd file holds nothing up and leads nowhere", function()
  local secret = t.dir "0755"
  t.write(secret .. "/passwd", "build:x:66:66::/outside:/bin/sh\n", "0644")
  local cases = {
    fifo = function(path) t.must(S.mknod(path, "0666", "fifo")) end,
    directory = function(path) t.must(S.mkdir(path, "0755")) end,
    ["absolute link"] = function(path) t.must(S.symlink(secret .. "/passwd", path)) end,
    ["link by dots"] = function(path) t.must(S.symlink(("../"):rep(20) .. secret:sub(2) .. "/passwd", path)) end,
    ["magic link"] = function(path) t.must(S.symlink("/proc/self/root" .. secret .. "/passwd", path)) end,
    loop = function(path) t.must(S.symlink("passwd", path)) end,
    empty = function(path) t.write(path, "") end,
    missing = function() end,
    huge = function(path)
      t.write(path, "")
      t.must(S.truncate(path, 1 << 40))
    end,
    ["zero bytes"] = function(path) t.write(path, ("\0"):rep(100000)) end,
    ["zero bytes in a line"] = function(path)
      t.write(path, "build:x:5:5::/h\0ome:/x\nbui\0ld:x:5:5::/:/x\nbuild\0:x:5:5::/:/x\n5:x:5:5:\0:/home:/x\n")
    end,
    ["one line"] = function(path) t.write(path, ("build:"):rep(500000)) end,
    garbage = function(path)
      t.write(path, "build\nbuild:x\nbuild:x:-1:0::/:/bin/sh\nbuild:x:4294967295:0::/:/\nbuild:x:99999999999999999999:0::/:/\n"
        .. "build:x:0x0:0::/:/\n:x:0:0::/:/\nbuild:x:1e3:0::/:/\nbuild:x: 5:0::/:/\n\xff\xfe:::::\n")
    end,
  }
  for name, make in pairs(cases) do
    local root = root_with(nil, nil)
    make(root .. "/etc/passwd")
    local r = box.run { "facts", guest = false, timeout = 20, body = ("root = %q, user = 'build'"):format(root) }
    t.equal(r.code, 125, name .. ": " .. r.stdout)
    t.contains(r.stderr, "user", name)
    for _, text in ipairs { "internal error", "the start failed" } do t.lacks(r.stderr, text, name) end
    if name == "huge" then t.contains(r.stderr, "/etc/passwd is over 4 MiB") end
    -- A number needs no file.
    r = box.run { "facts", guest = false, timeout = 20, body = ("root = %q, user = '5:5'"):format(root) }
    t.equal(r.code, 0, name .. ": " .. r.stderr)
    t.equal(t.json.decode(r.stdout).env.HOME, "/", name)
  end
end)

t.test("a hostile group file gives no groups", function()
  local root = root_with("build:x:1000:1000::/:/bin/sh\n",
    "build\nx:x:-1:build\ny:x:4294967295:build\nz:x:99999999999999:build\n\0:::\n")
  t.equal(facts(root, "'build'").groups, {})
end)

t.test("the first of two entries counts, as in every libc", function()
  local root = root_with("build:x:500:500::/one:/bin/sh\nbuild:x:0:0::/two:/bin/sh\n")
  t.equal(facts(root, "'build'").uid[1], 500)
end)

t.test("the id map of root is a private range, of nobody else", function()
  t.needs_root()
  local one = box.start { shell = "cat /proc/self/uid_map; echo ready; read x", stdin = "", keep_input = true }
  local two = box.start { shell = "cat /proc/self/uid_map; echo ready; read x", stdin = "", keep_input = true }
  local first = tonumber((one:await "^%s*0%s+(%d+)%s+65536\n"))
  local second = tonumber((two:await "^%s*0%s+(%d+)%s+65536\n"))
  t.ok(first >= 65536 and first % 65536 == 0 and second % 65536 == 0)
  t.differs(first, second)
  one:close_input()
  two:close_input()
  one:wait()
  two:wait()
  box.nothing_left()
end)

t.test("self, host and explicit maps", function()
  local me = S.geteuid()
  local f = box.facts { body = "id_map = 'self'" }
  t.matches(f.uid_map, ("^%%s*0%%s+%d%%s+1\n$"):format(me))
  f = box.facts { body = "id_map = 'self', user = '42:43'" }
  t.equal({ f.uid[1], f.gid[1] }, { 42, 43 })
  t.matches(f.uid_map, ("^%%s*42%%s+%d%%s+1\n$"):format(me))
  if not t.root then
    box.refused({ "facts", body = "id_map = 'host'" }, "id_map", "needs root")
    return
  end
  f = box.facts { body = "id_map = 'host'" }
  t.matches(f.uid_map, "^%s*0%s+0%s+4294967295\n$")
  t.equal(f.namespaces.user, tonumber(S.readlink("/proc/self/ns/user"):match "%d+"))
  t.equal(f.status.CapEff, "0000000000000000")
  f = box.facts { body = "id_map = { uids = { { 0, 700000, 10 }, { 10, 800000, 5 } }, "
    .. "gids = { { 0, 900000, 20 } } }, user = '12:19'" }
  t.equal({ f.uid[1], f.gid[1] }, { 12, 19 })
  t.matches(f.uid_map, "^%s*0%s+700000%s+10\n%s*10%s+800000%s+5\n$")
  box.refused({ "facts", body = "id_map = { uids = { { 0, 700000, 10 } } }, user = '12:0'" }, "12", "id_map")
end)

t.test("an explicit map without root in it", function()
  t.needs_root()
  local f = box.facts { body = "id_map = { uids = { { 1000, 700000, 1 } } }, user = '1000:1000'" }
  t.equal({ f.uid[1], f.gid[1], f.status.CapEff, f.status.CapAmb }, { 1000, 1000, "0000000000000000", "0000000000000000" })
end)

t.test("auto for an ordinary user needs subordinate ids, and says how to get them", function()
  t.needs_user()
  box.refused({ "facts", body = "id_map = 'auto'" }, "id_map", "subordinate ids", "usermod --add-subuids")
end)

t.test("capabilities are none, or those that are named", function()
  local zero = "0000000000000000"
  local s = box.facts({}).status
  t.equal({ s.CapInh, s.CapPrm, s.CapEff, s.CapBnd, s.CapAmb, s.NoNewPrivs }, { zero, zero, zero, zero, zero, "1" })
  s = box.facts({ body = "capabilities = { 'chown', 'kill' }" }).status
  t.equal({ s.CapInh, s.CapPrm, s.CapEff, s.CapBnd, s.CapAmb }, { zero, "0000000000000021", "0000000000000021",
    "0000000000000021", zero })
  s = box.facts({ body = "user = '5:5', capabilities = { 'net_bind_service' }" }).status
  t.equal({ s.CapInh, s.CapPrm, s.CapEff, s.CapBnd, s.CapAmb }, { "0000000000000400", "0000000000000400", "0000000000000400",
    "0000000000000400", "0000000000000400" })
end)
