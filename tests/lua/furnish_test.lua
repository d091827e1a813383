-- SPDX-License-Identifier: MIT
-- The steps that furnish a container, as the stage takes them: without privilege, on directories of their own.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local furnish = require "sandbox.container.furnish"
local nl = require "netns"
local apart = dofile "tests/integration/apart.lua"(t)
local stage = dofile "tests/lua/stage.lua"(t)

-- Runs them on the directory `dir`, which is descriptor 100; then the script in it.
local function furnished(dir, steps, script)
  local all = { { op = "open", args = { dir, "path" }, number = 100 } }
  table.move(steps, 1, #steps, 2, all)
  all[#all + 1] = { op = "fchdir", args = { 100 } }
  all[#all + 1] = stage.sh(script or "true")
  return stage.run(all, { encoders = furnish.encoders, numbers = furnish.count_numbers {} })
end

local function shows(dir, steps, script)
  local r = furnished(dir, steps, script)
  t.equal(r.messages, {})
  t.equal(r.code, 0, r.output)
  return r.output
end

t.test("files, links and directories are made below a root, with what is missing above them", function()
  local dir, long = t.dir(), ("long "):rep(1 << 18)
  t.write(dir .. "/source", long)
  t.equal(shows(dir, {
    { op = "put_file", args = { 100, "/a/b/file", "text", { mode = "0640" } } },
    { op = "put_file", args = { 100, "/empty", "" } },
    { op = "put_symlink", args = { 100, "/a/c/link", "../b/file" } },
    { op = "open_in_root", args = { 100, "/d/e/f", { create = "directory" } }, number = 101 },
    { op = "mknodat", args = { 101, "node", "0600", "file" } },
    { op = "mkdirat", args = { 101, "dir", "0711" } },
    { op = "open_in_root", args = { 100, "/d/g/h", { create = "file" } }, number = 102 },
    { op = "copy_file", args = { dir .. "/source", 100, "/copies/words" } },
    { op = "fchdir", args = { 101 } },
    { op = "chmod", args = { "dir", "0700" } },
    { op = "writefile", args = { "node", "written" } },
  }, "stat -c '%n %a %s' a/b/file empty d/e/f/node d/g/h; stat -c '%n %a' a/b d d/e/f d/e/f/dir; readlink a/c/link; "
    .. "cat a/c/link d/e/f/node copies/words"), "a/b/file 640 4\nempty 644 0\nd/e/f/node 600 7\nd/g/h 644 0\n"
    .. "a/b 755\nd 755\nd/e/f 755\nd/e/f/dir 700\n../b/file\ntextwritten" .. long)
end)

t.test("no link below a root leads out of it", function()
  local dir, outside = t.dir(), t.dir()
  t.must(S.symlink(outside, dir .. "/out"))
  t.must(S.symlink("../../../../../../.." .. outside, dir .. "/up"))
  t.must(S.symlink("loop", dir .. "/loop"))
  local inside = outside:sub(2)
  -- Below the root the link's target is made, where it says, as S.open_in_root does.
  t.must(S.mkdir(dir .. "/tmp", "0755"))
  for _, link in ipairs { "out", "up" } do
    local r = furnished(dir, { { op = "open_in_root", args = { 100, "/" .. link .. "/x", { create = "file" } }, number = 101 } })
    t.equal(#S.dir(outside), 0, link .. " " .. inside)
    t.equal(r.messages[1] and r.messages[1].kind, "error", link)
  end
  local r = furnished(dir, { { op = "put_file", args = { 100, "/loop/x", "" }, index = 7 } })
  t.equal(r.messages, { { kind = "error", index = 7, errno = S.c.E.LOOP, reason = "failed", exit_code = 125 } })
end)

t.test("an existing name is in the way, unless it is to be replaced", function()
  local dir = t.dir()
  t.write(dir .. "/file", "old")
  local r = furnished(dir, { { op = "put_file", args = { 100, "/file", "new" } } })
  t.equal(r.messages[1].errno, S.c.E.EXIST)
  t.equal(shows(dir, { { op = "put_file", args = { 100, "/file", "new", { replace = true } } },
    { op = "put_file", args = { 100, "/none", "x", { replace = true } } } }, "cat file none"), "newx")
end)

t.test("a device is the one that it is said to be", function()
  local dir = t.dir()
  local function device(path, kind, major, minor)
    local r = furnished(dir, { { op = "open", args = { path, "path" }, number = 101 },
      { op = "expect_device", args = { 101, kind, major, minor } } })
    return r.messages[1] and r.messages[1].errno
  end
  t.equal(device("/dev/null", "char", 1, 3), nil)
  t.equal(device("/dev/null", "char", 1, 5), S.c.E.NODEV)
  t.equal(device("/dev/null", "char", 2, 3), S.c.E.NODEV)
  t.equal(device("/dev/null", "block", 1, 3), S.c.E.NODEV)
  t.equal(device("/dev", "char", 1, 3), S.c.E.NODEV)
end)

t.test("a step that may fail does not end the stage, another does", function()
  local dir = t.dir()
  t.equal(shows(dir, { { op = "writefile", args = { "/proc/none", "x" }, optional = true } }, "echo on"), "on\n")
  local r = furnished(dir, { { op = "writefile", args = { "/proc/none", "x" }, index = 5 } })
  t.equal({ r.code, r.messages[1].index, r.messages[1].errno }, { 125, 5, S.c.E.NOENT })
end)

t.test("what the stage cannot do in the way it is asked, it is not asked", function()
  local function can(op, ...) return furnish.can { op = op, args = { ... } } end
  for _, known in ipairs { { "new_mount", { type = "tmpfs", options = {}, attrs = "rdonly" } }, { "expect_device", 3, "block", 1, 3 },
    { "mount_setattr", 3, "", "", { attr_set = "rdonly" } }, { "mknodat", 3, "x", "0600", "file" }, { "nl.up", "lo" },
    { "nl.address", "eth0", "10.0.0.1/24", "nodad" }, { "nl.address", "eth0", "10.0.0.1/24", { label = "eth0:a" } },
    { "nl.route", { to = "default", via = "10.0.0.1", dev = "eth0" } }, { "put_file", 3, "/x", "", { mode = "0600" } },
    { "open_in_root", 3, "/x" }, { "chmod", "/x", "0600" } } do
    t.ok(can(table.unpack(known)), known[1])
  end
  for _, unknown in ipairs { { "unshare_mapped" }, { "new_mount", { type = "overlay" } }, { "new_mount", { type = "tmpfs", into = 3 } },
    { "expect_device", 3, "file", 1, 3 }, { "mount_setattr", 3, "", "", { propagation = "slave" } },
    { "mount", { target = "/", into = 3 } }, { "mknodat", 3, "x", "0600", "char" }, { "nl.up", "eth0" },
    { "nl.address", "eth0", "10.0.0.1/24", { netns = 7 } }, { "nl.route", { to = "default", via = "10.0.0.1" } },
    { "nl.route", { to = "default", dev = "eth0", netns = 7 } }, { "put_file", 3, "/x", "", { owner = 1 } },
    { "open_in_root", 3, "/x", { owner = 1 } } } do
    t.ok(not can(table.unpack(unknown)), unknown[1])
  end
end)

-- ---- links, in a network of the test's own ----

-- In a network with two ends of a wire.
local function wired(name, body)
  t.test(name, function()
    apart.run(function()
      t.must(nl.veth { name = "eth0", up = true, peer = "eth1" })
      t.must(nl.up "eth1")
      body(function(...)
        local steps = { ... }
        for i, step in ipairs(steps) do step.index = i end
        steps[#steps + 1] = stage.sh "true"
        return stage.run(steps, { encoders = furnish.encoders, numbers = furnish.count_numbers {} })
      end)
    end)
  end)
end

local function in_network_namespace()
  wired("a link is told of addresses and routes", function(tell)
    local r = tell({ op = "nl.address", args = { "eth0", "10.1.2.3/24" } },
      { op = "nl.address", args = { "eth0", "1.1.1.1/32" } }, -- bytes that stand for an index while the message is made
      { op = "nl.address", args = { "eth0", "2.2.2.2/32" } },
      { op = "nl.address", args = { "eth0", "fd00:1::2/64", "nodad" } },
      { op = "nl.address", args = { "eth1", "10.1.9.3/24", { label = "eth1:a" } } },
      { op = "nl.route", args = { { to = "default", via = "10.1.2.1", dev = "eth0", metric = 7 } } },
      { op = "nl.route", args = { { to = "default", via = "fd00:1::1", dev = "eth0" } } },
      { op = "nl.route", args = { { to = "10.7.0.0/16", via = "10.1.9.1", dev = "eth1" } } })
    t.equal({ r.messages, r.code }, { {}, 0 })
    local function addresses(dev, family)
      local list = t.must(nl.addresses { dev = dev, family = family })
      return tostring(list[1])
    end
    t.equal(addresses("eth0", "inet"), "inet 10.1.2.3/24 brd 10.1.2.255 scope global eth0")
    t.contains(addresses("eth0", "inet6"), "inet6 fd00:1::2/64 scope global nodad")
    t.contains(addresses("eth1", "inet"), "eth1:a")
    local routes = {}
    for _, route in ipairs(t.must(nl.routes())) do
      if route.via then routes[#routes + 1] = ("%s %s %s %s"):format(route.to, route.via, route.dev, route.metric) end
    end
    table.sort(routes)
    t.equal(routes, { "10.7.0.0/16 10.1.9.1 eth1 nil", "default 10.1.2.1 eth0 7", "default fd00:1::1 eth0 1024" })
  end)

  wired("what the kernel refuses of a link ends the stage, unless it may be", function(tell)
    local function fails(number, errno, ...)
      local r = tell(...)
      t.equal(r.messages, { { kind = "error", index = number, errno = errno, reason = "failed", exit_code = 125 } })
    end
    local address = { op = "nl.address", args = { "eth0", "10.1.2.3/24" } }
    fails(1, S.c.E.NODEV, { op = "nl.address", args = { "eth7", "10.1.2.3/24" } })
    fails(2, S.c.E.EXIST, address, { op = "nl.address", args = { "eth0", "10.1.2.3/24" } })
    fails(1, S.c.E.NETUNREACH, { op = "nl.route", args = { { to = "default", via = "10.9.9.9", dev = "eth0" } } })
    local again = { op = "nl.address", args = { "eth0", "10.1.2.3/24" }, optional = true }
    t.equal(tell(again, again).code, 0)
  end)
end

if not os.getenv "LUGE_CHECK" then in_network_namespace() end
