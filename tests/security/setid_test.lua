-- SPDX-License-Identifier: MIT
-- A container that can write files of the host's root must leave no way to become root on the host: no set-id
-- program, no file capability, no changed set-id program, by whatever call.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local SETUID = 2048

-- A directory of root's that everybody can enter, and one that only root can.
local function places(side)
  side:folder("closed", "0700")
  return side:folder("open", "0755"), side:folder("closed/below", "0755")
end

local function bind(dir, more)
  return ("bind { %q, '/d', rw = true%s },"):format(dir, more or "")
end

local function perm(path)
  local st = S.lstat(path)
  return st and st.perm or 0
end

-- Every call that sets a mode. The name that the attack makes, and whether it must be there before.
local WAYS = {
  { { "chmod", "/d/f", "4755" }, "f", true },
  { { "chmod", "/d/f", "2755" }, "f", true },
  { { "fchmodat2", "/d/f", "4755" }, "f", true },
  { { "create", "/d/new", "4755" }, "new" },
  { { "openat2", "/d/new", "4755" }, "new" },
  { { "mknod-file", "/d/new", "4755" }, "new" },
}

-- The ways that this kernel has: fchmodat2 came with Linux 6.6.
local function known_ways(side)
  local known = {}
  for _, way in ipairs(WAYS) do
    if side:try_outside({}, way[1][1], "/no/such/file", "4755").errno ~= "ENOSYS" then known[#known + 1] = way end
  end
  return known
end

A.root("a set-id program cannot be made where others could run it", function(side)
  local open, closed = places(side)
  local ways = known_ways(side)
  t.ok(#ways >= #WAYS - 1)
  for _, way in ipairs(ways) do
    local probe, name, exists = table.unpack(way)
    for _, dir in ipairs { open, closed } do
      S.unlink(dir .. "/" .. name)
      if exists then t.write(dir .. "/" .. name, "#!/bin/sh\n", "0755") end
    end
    -- Below a closed directory nothing is refused: nobody else gets there.
    A.works(side:try({ mounts = bind(closed) }, table.unpack(probe)), table.concat(probe, " "))
    t.differs(perm(closed .. "/" .. name) & 3072, 0, "the attack itself")
    t.equal(S.stat(closed .. "/" .. name).uid, 0)

    for _, tier in ipairs { "default", "ci", "strict" } do
      A.refused(side:try({ mounts = bind(open), fields = ("seccomp = %q"):format(tier) }, table.unpack(probe)), "EPERM", "ENOSYS")
      t.equal(perm(open .. "/" .. name) & 3072, 0, tier)
    end
  end
end)

local function nothing_started(r, word)
  t.equal(r.code, 125)
  t.equal(r.stdout, "")
  t.contains(r.stderr, word)
  t.contains(r.stderr, "chmod 700")
end

A.root("without a filter such a directory is not given at all", function(side)
  local open, closed = places(side)
  local none = "seccomp = false"
  t.equal(side:run({ mounts = bind(closed), fields = none }, "/guest", "print", "ran").stdout, "ran\n")
  nothing_started(side:run({ mounts = bind(open), fields = none }, "/guest", "print", "ran"), "set-user-id")
  local root = side:rootfs "root"
  local profile = t.write(side.dir .. "/rw.lua",
    ('return container { profile "default", seccomp = false, root = { %q, rw = true } }'):format(root))
  nothing_started(side:run({ profile = profile }, "/guest", "print", "ran"), "set-user-id")
  -- Read-only or thrown away it can do no harm.
  t.equal(side:run({ mounts = ("bind { %q, '/d' },"):format(open), fields = none }, "/guest", "print", "ran").stdout, "ran\n")
  t.equal(side:run({ mounts = ("bind { %q, '/d', overlay = 'discard' },"):format(open), fields = none },
    "/guest", "print", "ran").stdout, "ran\n")
end)

-- setxattr(2) takes the capabilities behind a pointer, and an id map turns the container's root in them into the
-- host's.
A.root("a file capability is not left behind", function(side)
  local open, closed = places(side)
  local private = side:file("private", "for root", "0600")
  local keeps = 'capabilities = { "setfcap" }'
  t.write(closed .. "/cat", t.read(side.guest), "0755")
  A.works(side:try({ mounts = bind(closed), fields = keeps }, "set-capability", "/d/cat"))
  -- What it would be worth: the same file, moved to where others reach it, opens everything.
  t.must(S.rename(closed .. "/cat", side.dir .. "/cat"))
  local got = t.decoded { side.dir .. "/cat", "try", "read", private, uid = A.NOBODY, cwd = "/" }
  t.equal(got.data, "for root")
  A.refused(side:try_outside({ uid = A.NOBODY }, "read", private), "EACCES")

  nothing_started(side:run({ mounts = bind(open), fields = keeps }, "/guest", "print", "ran"), "setfcap")
  t.write(open .. "/cat", t.read(side.guest), "0755")
  A.refused(side:try({ mounts = bind(open) }, "set-capability", "/d/cat"), "EPERM")
end)

-- A write takes the bit away, a write through a shared mapping does not.
A.root("a set-id program that is there cannot be changed", function(side)
  local open, closed = places(side)
  for _, dir in ipairs { open, closed } do
    t.write(dir .. "/su", ("x"):rep(8192))
    t.must(S.chmod(dir .. "/su", "4755"))
  end
  A.works(side:try({ mounts = bind(closed) }, "map-write", "/d/su"))
  t.equal(t.read(closed .. "/su"):sub(1, 11), "overwritten")
  t.equal(perm(closed .. "/su") & SETUID, SETUID, "the attack itself")
  nothing_started(side:run({ mounts = bind(open) }, "/guest", "print", "ran"), open .. "/su")
  t.must(S.chmod(open .. "/su", "0755"))
  t.equal(side:run({ mounts = bind(open) }, "/guest", "print", "ran").stdout, "ran\n")
  t.equal(t.read(open .. "/su"):sub(1, 4), "xxxx")
end)

-- What cannot be looked at is not taken for harmless.
A.root("a set-id program deeper than luge can open is none the less one", function(side)
  local open = side:folder("open", "0755")
  local function few_descriptors() t.must(S.setrlimit("nofile", 128)) end
  local function try() return side:run({ mounts = bind(open), before = few_descriptors }, "/guest", "print", "ran") end
  t.equal(try().stdout, "ran\n")
  local dir = open
  for _ = 1, 150 do
    dir = dir .. "/d"
    t.must(S.mkdir(dir, "0755"))
  end
  t.write(dir .. "/su", "x", "4755")
  t.equal(perm(dir .. "/su") & SETUID, SETUID)
  nothing_started(side:run({ mounts = bind(open) }, "/guest", "print", "ran"), dir .. "/su")
  local r = try()
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, open .. "/d")
end)

A.root("what a kept overlay keeps is closed to others", function(side)
  local open = side:folder("open", "0755")
  t.write(open .. "/f", "#!/bin/sh\n", "0755")
  local kept = side.dir .. "/kept"
  local mounts = ("bind { %q, '/d', overlay = %q },"):format(open, kept)
  A.works(side:try({ mounts = mounts, fields = "seccomp = false" }, "chmod", "/d/f", "4755"))
  t.equal(perm(open .. "/f"), 493)
  t.equal(perm(kept .. "/upper/f") & SETUID, SETUID, "the attack itself")
  t.equal(perm(kept) & 63, 0, "the kept directory lets others in")
  -- Opened later, it is as any other place that others can enter.
  S.unlink(kept .. "/upper/f")
  t.must(S.chmod(kept, "0755"))
  nothing_started(side:run({ mounts = mounts, fields = "seccomp = false" }, "/guest", "print", "ran"), "set-user-id")
end)

-- The ids of a root directory are the container's own, host root's among them, whomever the directory belongs to.
A.root("what a kept root keeps is closed to the owner of the tree below it", function(side)
  local root = side:rootfs "root"
  for _, path in ipairs { root .. "/guest", root } do t.must(S.chown(path, A.NOBODY, A.NOBODY)) end
  local kept = side.dir .. "/kept"
  local profile = t.write(side.dir .. "/kept.lua", ([[return container { profile "default", seccomp = false,
    capabilities = { "dac_override" }, root = { %q, overlay = %q } }]]):format(root, kept))
  for _, name in ipairs { "/first", "/second" } do
    A.works(side:try({ profile = profile }, "create", name, "4755"))
    local st = t.must(S.stat(kept .. "/upper" .. name))
    t.equal({ st.uid, st.perm & SETUID }, { 0, SETUID }, "the attack itself")
    A.refused(side:try_outside({ uid = A.NOBODY }, "stat", kept .. "/upper" .. name), "EACCES")
  end
end)

-- The one id of a writable bind: no file of another user can be made or changed.
A.root("a writable bind gives its owner's files and nobody else's", function(side)
  local dir = side:folder("dir", "0777")
  t.must(S.chown(dir, 4321, 4321))
  t.write(dir .. "/roots", "of root", "0600")
  t.write(dir .. "/other", "of another", "0600")
  t.must(S.chown(dir .. "/other", 999, 999))
  local keeps = "capabilities = { 'chown', 'dac_override', 'fowner', 'setuid', 'setgid' }"
  for _, name in ipairs { "roots", "other" } do
    A.works(side:try({ mounts = bind(dir, ", id_map = false"), fields = 'id_map = "host", ' .. keeps }, "read", "/d/" .. name))
    A.refused(side:try({ mounts = bind(dir), fields = keeps }, "read", "/d/" .. name), "EACCES")
    A.refused(side:try({ mounts = bind(dir), fields = keeps }, "chmod", "/d/" .. name, "0666"), "EPERM", "EOVERFLOW")
  end
  A.works(side:try({ mounts = bind(dir), fields = keeps }, "create", "/d/made"))
  t.equal({ S.stat(dir .. "/made").uid, S.stat(dir .. "/made").gid }, { 4321, 4321 })
  for _, id in ipairs { "1", "1000", "65534" } do
    A.refused(side:try({ mounts = bind(dir), fields = keeps }, "chown", "/d/made", id, id), "EOVERFLOW", "EPERM", "EINVAL")
  end
end)

A.user("what a container leaves belongs to the caller alone", function(side)
  local dir = side:folder("dir", "0755")
  A.works(side:try({ mounts = bind(dir) }, "create", "/d/made"))
  t.equal(S.stat(dir .. "/made").uid, S.stat(dir).uid)
  A.refused(side:try({ mounts = bind(dir), fields = "seccomp = false" }, "chown", "/d/made", "1", "1"))
  A.refused(side:try({ mounts = bind(dir), fields = "seccomp = false" }, "setuid", "1"), "EINVAL")
end)
