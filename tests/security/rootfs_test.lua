-- SPDX-License-Identifier: MIT
-- Attacks by the author of a root file system: symbolic links where luge mounts or writes, a false /proc, swapped
-- names, account files that are none. What counts is that nothing outside the root directory is touched.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- A directory of the side that no container may touch, and its inventory.
local function victim_of(side)
  local victim = side:folder("victim", "0777")
  side:file("victim/file", "as before", "0666")
  return victim
end

local function unharmed(victim)
  t.equal(S.dir(victim), { "file" })
  t.equal(t.read(victim .. "/file"), "as before")
  for line in t.read("/proc/self/mountinfo"):gmatch "[^\n]+" do t.lacks(line, victim .. " ") end
end

-- The ways to point at it.
local function links(victim)
  return { victim, ("../"):rep(20) .. victim:sub(2), "/proc/self/root" .. victim, "/proc/1/root" .. victim,
    "/proc/self/cwd/../victim" }
end

-- ---- links where luge mounts (CVE-2021-30465, CVE-2024-45310, CVE-2019-16884) ----

A.each("a mount follows a link out of a root where nothing hinders it", function(side)
  local root, victim = side:rootfs "root", victim_of(side)
  t.must(S.symlink(victim, root .. "/tmp"))
  local script = ("mount -t tmpfs none %s/tmp && grep -c ' %s ' /proc/self/mountinfo"):format(root, victim)
  local r = t.run { "unshare", side.is_root and "-m" or "-rm", "sh", "-c", script, uid = side.uid, cwd = "/" }
  t.equal(r.stdout, "1\n")
end)

for _, target in ipairs { "proc", "dev", "sys", "tmp" } do
  A.each("a root whose /" .. target .. " is a link", function(side)
    local victim = victim_of(side)
    for i, link in ipairs(links(victim)) do
      for _, fields in ipairs { "root = %q", "root = { %q, rw = true }", "root = { %q, overlay = 'discard' }" } do
        local root = side:rootfs(("root%d-%d"):format(i, #fields))
        for _, name in ipairs { "proc", "dev", "sys", "tmp" } do S.mkdir(root .. "/" .. name, "0755") end
        S.rmdir(root .. "/" .. target)
        t.must(S.symlink(link, root .. "/" .. target))
        local profile = t.write(side.dir .. "/hostile.lua",
          ('return container { profile "default", %s }'):format(fields:format(root)))
        local r = side:run({ profile = profile }, "/guest", "facts", victim)
        unharmed(victim)
        if r.code == 0 then
          t.lacks(r.stdout, "as before")
        else
          t.equal(r.code, 125)
          t.equal(r.stdout, "")
        end
      end
    end
  end)
end

A.each("links and files on the way to the profile's own mounts", function(side)
  local victim = victim_of(side)
  local mounts = { 'tmpfs { "/a/b" }', 'dir { "/a/b" }', 'file { "/a/b", text = "x" }', 'symlink { "/a/b", "x" }',
    'mask { "/a/file" }', 'file { "/a/file", text = "x" }', 'secret { "/a/s", env = "HOME" }',
    ('bind { %q, "/a/file" }'):format(side.guest) }
  for i, link in ipairs(links(victim)) do
    for k, mount in ipairs(mounts) do
      local root = side:rootfs(("root%d-%d"):format(i, k))
      t.must(S.symlink(link, root .. "/a"))
      local profile = t.write(side.dir .. "/hostile.lua",
        ('return container { profile "default", root = %q, mounts = { %s } }'):format(root, mount))
      side:run({ profile = profile }, "/guest", "print", "ran")
      unharmed(victim)
      t.equal(S.readlink(root .. "/a"), link)
    end
  end
end)

-- ---- a false procfs (CVE-2025-52881, CVE-2019-16884) ----

A.each("a root's own /proc is never looked at", function(side)
  local root = side:rootfs "root"
  for _, name in ipairs { "proc", "proc/self", "proc/1", "proc/self/attr" } do S.mkdir(root .. "/" .. name, "0755") end
  for _, name in ipairs { "status", "comm", "setgroups", "uid_map", "attr/exec" } do
    t.write(root .. "/proc/self/" .. name, "false")
  end
  local words = { "chroot", root, "/guest", "try", "read", "/proc/self/comm", uid = side.uid, cwd = "/" }
  if not side.is_root then words = { "unshare", "-r", table.unpack(words) } words.uid, words.cwd = side.uid, "/" end
  t.equal(t.decoded(words).data, "false")

  local profile = t.write(side.dir .. "/hostile.lua", ('return container { profile "default", root = %q }'):format(root))
  t.equal(side:try({ profile = profile }, "read", "/proc/self/comm").data, "guest\n")
  for _, name in ipairs { "status", "comm", "setgroups", "uid_map" } do
    t.equal(t.read(root .. "/proc/self/" .. name), "false")
  end
  -- Without any /proc, what luge needs of it is the host's.
  profile = t.write(side.dir .. "/none.lua",
    ('return container { profile "default", root = %q, mounts = { remove "/proc" } }'):format(root))
  t.equal(side:try({ profile = profile }, "read", "/proc/self/comm").data, "false")
end)

-- ---- account files ----

local PASSWD = {
  ["is a fifo"] = function(path) S.mknod(path, "0644", "fifo") end,
  ["is a device that never ends"] = function(path) S.symlink("/dev/zero", path) end,
  ["is a link to the host's"] = function(path) S.symlink(("../"):rep(20) .. "etc/passwd", path) end,
  ["is a link through /proc"] = function(path) S.symlink("/proc/self/root/etc/passwd", path) end,
  ["is a directory"] = function(path) S.mkdir(path, "0755") end,
  ["is large"] = function(path) t.write(path, ("x"):rep(5 * 1024 * 1024)) end,
  ["names no number"] = function(path) t.write(path, "evil:x:0x0:0::/:\nevil:x:-1:-1::/:\nevil:x:4294967295:0::/:\n") end,
  ["names a large number"] = function(path) t.write(path, "evil:x:99999999999999999999:0::/:\n") end,
  ["names an id that is not mapped"] = function(path) t.write(path, "evil:x:4000000000:4000000000::/:\n") end,
}

A.each("a hostile /etc/passwd makes nobody anybody", function(side)
  local n = 0
  for what, make in pairs(PASSWD) do
    n = n + 1
    local root = side:rootfs("root" .. n)
    S.mkdir(root .. "/etc", "0755")
    make(root .. "/etc/passwd")
    local profile = t.write(side.dir .. "/hostile.lua", ('return container { profile "default", root = %q }'):format(root))
    local r = side:run({ profile = profile, options = { "-u", "evil" }, timeout = 10 }, "/guest", "print", "ran")
    -- An ordinary user is himself under whatever number.
    if what ~= "names an id that is not mapped" or side.is_root then
      t.equal(r.code, 125, what)
      t.equal(r.stdout, "", what)
    end
    -- By number it does not matter what the file is.
    if what ~= "names an id that is not mapped" then
      t.equal(side:facts({ profile = profile, timeout = 10 }).uid, { 0, 0, 0 }, what)
    end
  end
end)

-- ---- names swapped while luge looks (CVE-2021-30465, CVE-2025-31133) ----

local ROUNDS = t.soak and 10000 or 25

-- Exchanges two names until it is killed.
local function swapper(a, b)
  local pid = t.must(S.fork())
  if pid == 0 then
    while true do S.renameat2("fdcwd", a, "fdcwd", b, "exchange") end
  end
  return function()
    S.kill(pid, "kill")
    S.wait4(pid)
  end
end

A.each("a swapped directory leads no mount outside", function(side)
  local root, victim = side:rootfs "root", victim_of(side)
  for _, name in ipairs { "proc", "dev", "sys", "tmp", "a" } do S.mkdir(root .. "/" .. name, "0755") end
  t.must(S.symlink(victim, root .. "/trap"))
  local profile = t.write(side.dir .. "/hostile.lua",
    ('return container { profile "default", root = { %q, rw = true }, mounts = { tmpfs { "/a" } } }'):format(root))
  for _, name in ipairs { "a", "proc" } do
    local stop = swapper(root .. "/" .. name, root .. "/trap")
    local ok, err = pcall(function()
      for _ = 1, ROUNDS do
        local r = side:run({ profile = profile, timeout = 20 }, "/guest", "try", "create", "/a/made")
        t.ok(r.code == 0 or r.code == 125, ("code %d: %s"):format(r.code, r.stderr))
        unharmed(victim)
      end
    end)
    stop()
    if not ok then error(err, 0) end
    if S.readlink(root .. "/" .. name) then S.renameat2("fdcwd", root .. "/" .. name, "fdcwd", root .. "/trap", "exchange") end
  end
end)

-- ---- masks (CVE-2025-31133) ----

A.each("what a mask hides is hidden with the kernel's own null", function(side)
  local root = side:rootfs "root"
  S.mkdir(root .. "/dev", "0755")
  t.write(root .. "/dev/null", "false null", "0666")
  t.write(root .. "/file", "to hide", "0644")
  local text = ('return container { profile "default", root = %q, mounts = { %%s } }'):format(root)
  local open = t.write(side.dir .. "/open.lua", text:format "")
  local masked = t.write(side.dir .. "/masked.lua", text:format 'mask { "/file" }')
  t.equal(side:try({ profile = open }, "read", "/file").data, "to hide")
  t.equal(side:try({ profile = masked }, "read", "/file").data, "")
  t.equal(side:facts({ profile = masked }).dev.null.rdev, "1:3")
  t.equal(t.read(root .. "/dev/null"), "false null")
end)
