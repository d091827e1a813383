-- SPDX-License-Identifier: MIT
-- Parents and children: what is replaced, what is added to, and where each value is from.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local profile = require "sandbox.profile"

local function targets(spec)
  local list = {}
  for i, m in ipairs(spec.mounts) do list[i] = m.target end
  return table.concat(list, " ")
end

t.test("parents merge left to right, the container last", function()
  local spec = p.spec [[
    { cwd = "/a", hostname = "one", limits = { wall = 1, open_files = 10 } },
    { cwd = "/b", limits = { open_files = 20 } },
    limits = { nice = 5 }, cwd = "/c"
  ]]
  t.equal(spec.cwd, "/c")
  t.equal(spec.hostname, "one")
  t.equal({ spec.limits.wall, spec.limits.open_files, spec.limits.nice }, { 1, 20, 5 })
end)

t.test("parents have parents, and a false one is none", function()
  local spec = p.spec [[ false, container { container { cwd = "/deep" }, umask = "077" }, nil, host.env.NONE
    and { cwd = "/x" } ]]
  t.equal(spec.cwd, "/deep")
  t.equal(spec.umask, 63)
end)

t.test("lists are replaced, added to, taken from", function()
  t.equal(p.spec('{ command = { "a", "b" } }, command = { "c" }').command, { "c" })
  t.equal(p.spec('{ command = { "a", "b" } }, command = append { "c" }').command, { "a", "b", "c" })
  t.equal(p.spec('{ command = { "a", "b" } }, command = without { "a" }').command, { "b" })
  t.equal(p.spec('command = append { "c" }').command, { "c" })
  t.equal(p.spec('{ command = { "a" } }, command = {}').command, {})
  t.equal(p.spec('command = { "a", false, nil, "b", host.env.NONE, "c" }').command, { "a", "b", "c" })
end)

t.test("capabilities: presets, lists and what changes them", function()
  local function bounding(body) return p.spec(body).capabilities.bounding end
  t.equal(bounding '{ capabilities = { "setuid" } }, capabilities = append { "chown" }', { "chown", "setuid" })
  t.equal(bounding '{ capabilities = { "chown", "kill" } }, capabilities = without { "CAP_KILL" }', { "chown" })
  t.equal(#bounding '{ capabilities = "oci" }, capabilities = without { "net_raw" }', 13)
  t.equal(#bounding 'capabilities = "all"', 41)
  t.equal(bounding '{ capabilities = "all" }, capabilities = false', {})
  t.equal(bounding '{ capabilities = "all" }, capabilities = { bounding = { "kill" } }', { "kill" })
  t.contains(p.faults('{ capabilities = { bounding = { "kill" } } }, capabilities = append { "chown" }')[1],
    "capabilities: the inherited value is a table of lists")
end)

t.test("mounts merge by target, and keep the numbers that they were written with", function()
  local spec = p.spec [[
    { mounts = { tmpfs { "/b" }, bind { "/host", "/a" }, tmpfs { "/c" } } },
    mounts = { tmpfs { "/a", size = 4096 }, remove "/c", dir { "/b/x" }, remove "/tmp" }
  ]]
  t.equal(targets(spec), "/b /a /b/x")
  t.equal(spec.mounts[2].type, "tmpfs")
  t.equal(spec.removed_mounts["/c"], true)
  t.equal(spec.removed_mounts["/tmp"].removed, "/tmp", "one that nobody mounted: the plan knows whether luge does")
  t.equal(targets(p.spec '{ mounts = { tmpfs { "/a" }, tmpfs { "/b" } } }, mounts = without { "/a" }'), "/b")
  t.equal(targets(p.spec '{ mounts = { tmpfs { "/a" } } }, mounts = append { tmpfs { "/b" } }'), "/a /b")
  t.equal(targets(p.spec '{ mounts = { remove "/tmp" } }, mounts = { tmpfs { "/tmp" } }'), "/tmp")
  t.equal(p.spec('{ mounts = { remove "/tmp" } }, mounts = { tmpfs { "/tmp" } }').removed_mounts, {})
end)

t.test("devices add to those of every container", function()
  local function paths(body)
    local list = {}
    for i, d in ipairs(p.spec(body).devices) do list[i] = d.path .. ":" .. d.access end
    return table.concat(list, " ")
  end
  local base = "/dev/null:rw /dev/zero:rw /dev/full:rw /dev/random:rw /dev/urandom:rw /dev/tty:rw"
  t.equal(paths "", base)
  t.equal(paths 'devices = { "kvm" }', base .. " /dev/kvm:rw")
  t.equal(paths '{ devices = { "kvm" } }, devices = { device { "/dev/kvm", access = "rw" }, remove "tty" }',
    base:gsub(" /dev/tty:rw", "") .. " /dev/kvm:rw")
end)

t.test("env merges by name", function()
  local env = p.spec([[
    { env = { "CI_*", A = "1", B = "2", PATH = "/x" } },
    env = { "LANG", B = 3, A = false, CI_TOKEN = false, remove "PATH" }
  ]]).env
  t.equal(env, { B = "3", LANG = "de_DE.UTF-8", CI_COMMIT_ID = "abc", container = "luge" })
end)

t.test("typed tables are replaced whole, others merge deep", function()
  t.equal(p.spec('{ root = { "/r", overlay = "discard" } }, root = "/s"').root, { type = "directory", path = "/s",
    rw = false })
  t.equal(p.spec('{ stop = { signal = "INT" } }, stop = { grace = 3 }').stop, { signal = "INT", grace = 3 })
  t.equal(p.spec('{ user = { uid = 5, gid = 6, groups = { 7 } } }, user = { name = "ann" }').user, { name = "ann" })
  t.equal(p.spec('{ annotations = { a = "1", b = "2" } }, annotations = { b = false, c = 3 }').annotations,
    { a = "1", c = "3" })
end)

t.test("shorthands are expanded before they merge", function()
  local s = p.spec('{ seccomp = "ci" }, seccomp = { deny = { "ptrace" } }').seccomp
  t.equal({ s.base, s.deny, s.allow }, { "ci", { "ptrace" }, {} })
  s = p.spec('{ seccomp = { deny = { "ptrace" } } }, seccomp = "strict"').seccomp
  t.equal({ s.base, s.deny }, { "strict", { "ptrace" } })
  t.equal(p.spec('{ seccomp = "ci" }, seccomp = false').seccomp, false)
  t.equal(p.spec('{ seccomp = false }, seccomp = { base = false, allow = { "read" } }').seccomp.base, false)
end)

t.test("optional holds until the field is written again", function()
  t.equal(p.spec('limits = { nice = optional(5) }').optional, { ["limits.nice"] = true })
  t.equal(p.spec('{ limits = { nice = optional(5) } }, limits = { nice = 6 }').optional, {})
  t.equal(p.spec('{ limits = { nice = optional(5) } }, limits = { wall = 6 }').optional, { ["limits.nice"] = true })
  local spec = p.spec('seccomp = optional "ci", mounts = { optional(bind { "/x" }) }')
  t.equal({ spec.seccomp.optional, spec.optional.seccomp, spec.mounts[1].optional }, { true, true, true })
  t.equal(p.spec('{ seccomp = optional "ci" }, seccomp = "ci"').seccomp.optional, false)
  spec = p.spec 'landlock = optional { read = { "/usr" } }'
  t.equal({ spec.landlock, spec.unenforced }, { false, { landlock = true } })
end)

t.test("the command line comes last", function()
  local spec = p.spec([[ limits = { wall = 1, nice = 3 }, command = { "a" }, mounts = { tmpfs { "/a" } },
    env = { A = "1" } ]],
    { overrides = {
      { field = "limits.wall", text = "10m", origin = "--timeout" },
      { field = "limits.nice", text = "false", origin = "--set limits.nice" },
      { field = "command", value = { "b", "c" }, origin = "command line" },
      { field = "mounts", append = { type = "bind", "data", "/b", rw = true }, origin = "--bind" },
      { field = "env.B", value = "2", origin = "-e" },
      { field = "env", append = "LANG", origin = "-e" },
      { field = "root", text = "empty { size = '1M' }", origin = "--set root" },
      { field = "seccomp", text = "ci", origin = "--set seccomp" },
      { field = "umask", text = "077", origin = "--set umask" },
      { field = "init", text = "false", origin = "--set init" },
      { field = "limits.open_files", text = "64", origin = "--set limits.open_files" },
      { field = "sysctl.net.core.somaxconn", text = "9", origin = "--set sysctl" },
    } })
  t.equal({ spec.limits.wall, spec.limits.nice, spec.limits.open_files, spec.umask, spec.init }, { 600, false, 64,
    63, false })
  t.equal(spec.command, { "b", "c" })
  t.equal(targets(spec), "/a /b")
  t.equal(spec.mounts[2].source, "/home/ann/work/data")
  t.equal({ spec.env.A, spec.env.B, spec.env.LANG }, { "1", "2", "de_DE.UTF-8" })
  t.equal(spec.root, { type = "empty", size = 1048576 })
  t.equal(spec.seccomp.base, "ci")
  t.equal(spec.sysctl["net.core.somaxconn"], "9")
  t.equal(profile.origin(spec, "limits.wall"), "--timeout")
  t.equal(profile.origin(spec, "mounts[2]"), "--bind")
end)

t.test("every value knows its line", function()
  local spec = p.spec [[
    { cwd = "/a",
      limits = { wall = 5 } },
    mounts = {
      tmpfs { "/b" },
      tmpfs { "/a" },
    },
    env = { A = "1" },
    limits = {
      nice = 3,
    },
    sysctl = { ["net.core.somaxconn"] = 1 },
  ]]
  local expected = {
    cwd = "t.lua:2", ["limits.wall"] = "t.lua:3", ["mounts[1]"] = "t.lua:5", ["mounts[2]"] = "t.lua:6",
    ["mounts[2].target"] = "t.lua:6", ["env.A"] = "t.lua:8", ["limits.nice"] = "t.lua:10",
      ["limits.core"] = "default",
    hostname = "default", ['sysctl["net.core.somaxconn"]'] = "t.lua:12", ["env.PATH"] = "default",
  }
  for path, place in pairs(expected) do t.equal(profile.origin(spec, path), place, path) end
end)

t.test("relative paths start beside the file that wrote them", function()
  local dir = t.dir()
  t.must(require "syscall".mkdir(dir .. "/sub", "0755"))
  t.write(dir .. "/sub/parent.lua", 'return container { mounts = { bind { "data", "/p" } }, root = "rootfs" }')
  t.write(dir .. "/child.lua",
    'return container { profile "sub/parent.lua", mounts = { bind { "../data", "/c" } } }')
  local spec, faults = profile.load { source = { path = dir .. "/child.lua" }, facts = p.facts }
  t.ok(spec, faults and profile.format(faults))
  t.equal(spec.root.path, dir .. "/sub/rootfs")
  t.equal(spec.mounts[1].source, dir .. "/sub/data")
  t.equal(spec.mounts[2].source, dir:match "^(.*)/" .. "/data")
  t.equal(profile.origin(spec, "root"), dir .. "/sub/parent.lua:1")
  t.equal(spec.profile_name, "child")
end)

t.test("the same profile gives the same spec", function()
  local text = '{ env = { "CI_*" } }, mounts = { tmpfs { "/a" }, bind { "/b" } }, capabilities = "oci"'
  local first = p.spec(text)
  for _ = 1, 20 do t.equal(p.spec(text), first) end
end)
