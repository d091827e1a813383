-- SPDX-License-Identifier: MIT
-- A container that may write one directory of the host chooses what lies in it; where the profile names things below that
-- directory, a link in their place must not become what it leads to (CVE-2017-1002101 was this).

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

local SWAP = "cd /w && rm -rf sub && ln -s %s sub"

-- A directory that the container writes, with sub/key in it; and one that nobody named, with another key.
local function scene(side)
  local one = { outside = side:folder("outside" .. side.count, "0700"), work = side:folder("work" .. side.count) }
  side:file("outside" .. side.count .. "/key", "of the host", "0600")
  side:folder("work" .. side.count .. "/sub")
  side:file("work" .. side.count .. "/sub/key", "of the project", "0600")
  one.writable = ("bind { %q, '/w', rw = true },"):format(one.work)
  one.swap = SWAP:format(one.outside)
  return one
end

local WAYS = {
  { "mounts", "bind { %q, '/sub' },", "sub", "cat /sub/key" },
  { "mounts", "bind { %q, '/sub', rw = true },", "sub", "cat /sub/key; echo more >>/sub/key" },
  { "mounts", "bind { %q, '/sub', overlay = 'discard' },", "sub", "cat /sub/key" },
  { "mounts", "bind { %q, '/key' },", "sub/key", "cat /key" },
  { "mounts", "layers { %q, '/usr/lib', target = '/sub' },", "sub", "cat /sub/key" },
  { "mounts", "secret { '/key', file = %q },", "sub/key", "cat /key" },
  { "fields", "stdin = %q,", "sub/key", "cat" },
}

-- The run of one way: shell's words, after what else is mounted.
local function run(side, one, way, writable)
  local how = { mounts = writable and one.writable or "" }
  how[way[1]] = (how[way[1]] or "") .. way[2]:format(one.work .. "/" .. way[3])
  return side:run(how, "/bin/sh", "-c", way[4])
end

A.each("a link left where a source was leads to no other", function(side)
  for _, way in ipairs(WAYS) do
    local one = scene(side)
    local what = way[2]
    t.equal(run(side, one, way, true).stdout, "of the project", what)
    local r = side:run({ mounts = one.writable }, "/bin/sh", "-c", one.swap)
    t.equal(r.code, 0, r.stderr)
    -- Where nobody can have made it but who could before, a link is a path like any other.
    t.equal(run(side, one, way, false).stdout, "of the host", what)
    local before = t.read(one.outside .. "/key")
    r = run(side, one, way, true)
    t.equal({ r.code, r.stdout }, { 125, "" }, what)
    t.contains(r.stderr, "a link there may be the container's")
    t.equal(t.read(one.outside .. "/key"), before)
  end
end)

A.each("nor at a restart", function(side)
  local one = scene(side)
  local r = side:run({ fields = "restart = { on = 'failure', max = 1, delay = '1ms' }",
    mounts = one.writable .. ("bind { %q, '/sub' },"):format(one.work .. "/sub") }, "/bin/sh", "-c",
    "cat /sub/key; " .. one.swap .. "; exit 1")
  t.equal({ r.code, r.stdout }, { 125, "of the project" })
  t.contains(r.stderr, "a link there may be the container's")
end)

A.each("nor in another container of the group", function(side)
  local one = scene(side)
  local profile = t.write(one.work .. ".lua", ([[
    local function one(mount, words, needs)
      return container { command = { "/bin/sh", "-c", words }, mounts = { mount }, needs = needs }
    end
    return group { main = "reader", containers = {
      writer = one(bind { %q, "/w", rw = true }, %q), reader = one(bind { %q, "/sub" }, "cat /sub/key", { writer = "done" }) } }
  ]]):format(one.work, one.swap, one.work .. "/sub"), "0644")
  local r = t.run { side.luge, "run", profile, uid = side.uid, cwd = side.dir,
    env = { HOME = side.dir, LUGE_STATE = side.state, XDG_RUNTIME_DIR = false } }
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "a link there may be the container's")
end)

A.each("nor is there a place for changes that are kept", function(side)
  local one = scene(side)
  local r = side:run({ mounts = one.writable .. ("bind { %q, '/o', overlay = %q },"):format(one.outside, one.work .. "/changes") },
    "/guest", "print", "ran")
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "which the container writes")
  t.equal(S.stat(one.work .. "/changes"), nil)
end)
