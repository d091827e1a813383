-- SPDX-License-Identifier: MIT
-- The spec: complete, normalised, and its fields agreeing with each other.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local finish = require "sandbox.profile.finish"
local profile = require "sandbox.profile"

local root = p.facts_with { uid = 0, gid = 0 }

t.test("an empty container is a complete spec", function()
  t.equal(p.spec "", {
    name = "$name", profile_name = "t", hostname = "$name", annotations = {}, entrypoint = {}, command = {},
      cwd = "/",
    umask = 18, env = { PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG = "C.UTF-8",
      container = "luge" },
    user = { uid = 0, gid = 0 }, terminal = "auto", stdin = "inherit", root = { type = "system" }, mounts = {},
    removed_mounts = {}, id_map = { type = "self" },
    devices = { { path = "/dev/null", access = "rw" }, { path = "/dev/zero", access = "rw" },
      { path = "/dev/full", access = "rw" }, { path = "/dev/random", access = "rw" },
      { path = "/dev/urandom", access = "rw" }, { path = "/dev/tty", access = "rw" } },
    namespaces = { user = true, mount = true, pid = true, net = true, ipc = true, uts = true, cgroup = true,
      time = "host" },
    capabilities = { bounding = {}, permitted = {}, effective = {}, inheritable = {}, ambient = {} },
    seccomp = { base = "default", allow = {}, deny = {}, rules = {}, optional = false }, landlock = false,
    no_new_privs = true, init = true, sysctl = { ["net.ipv4.ip_unprivileged_port_start"] = "0" },
    limits = { core = 0, pids = 1024 }, network = { type = "none" }, stop = { signal = "TERM", grace = 10 },
      log = { size = 10 << 20, files = 3 },
      hooks = {}, needs = {},
    optional = {}, unenforced = {},
  })
end)

t.test("values are normalised", function()
  local spec = p.spec [[
    limits = { wall = "1.5m", file_size = "1.5K", stack = "unlimited", affinity = "0,2-3", scheduler = "batch",
      core = false },
    stop = { "SIGINT", "500ms" }, command = { 1, 2.5, "x" }, cwd = "//src/./a/", stdin = "null",
    mounts = { bind { "a/../b/./c", "/x" }, tmpfs { "/t", size = 4096.7, flags = { "noexec", "dev" } },
      bind { "/same/" } },
    namespaces = { time = { boottime = "-1h" }, uts = false },
    seccomp = { rules = { rule { "socket", { 0, "==", "AF_UNIX" }, { 1, "masked_eq", 15, 1 }, action = "deny" } } },
  ]]
  t.equal(spec.limits, { wall = 90, file_size = 1536, stack = "unlimited", affinity = { 0, 2, 3 }, pids = 1024,
    scheduler = { policy = "batch" }, core = false })
  t.equal(spec.stop, { signal = "INT", grace = 0.5 })
  t.equal(spec.command, { "1", "2.5", "x" })
  t.equal({ spec.cwd, spec.stdin }, { "/src/a", "null" })
  t.equal({ spec.mounts[3].source, spec.mounts[3].target }, { "/same", "/same" })
  t.equal({ spec.mounts[2].size, spec.mounts[2].flags, spec.mounts[1].source }, { 4096, "noexec,nosuid",
    "/home/ann/work/b/c" })
  t.equal({ spec.namespaces.time.boottime, spec.namespaces.uts }, { -3600, "host" })
  t.equal(spec.seccomp.rules, { { type = "rule", call = "socket", action = "deny",
    args = { { 0, "==", "AF_UNIX" }, { 1, "masked_eq", 1, 15 } } } })
end)

t.test("positional and named forms are the same", function()
  t.equal(p.spec 'mounts = { tmpfs { "/tmp", size = "1M" } }',
    p.spec 'mounts = { tmpfs { target = "/tmp", size = "1M" } }')
  t.equal(p.spec 'mounts = { bind { "/a", "/b" } }', p.spec 'mounts = { bind { target = "/b", source = "/a" } }')
  t.equal(p.spec 'mounts = { { type = "bind", "/a" } }', p.spec 'mounts = { bind "/a" }')
  t.equal(p.spec 'root = layers { "/a", "/b" }', p.spec 'root = layers { lower = { "/a", "/b" } }')
  t.equal(p.spec 'user = { 5, 6 }', p.spec 'user = "5:6"')
end)

t.test("roots", function()
  t.equal(p.spec('root = "system"').root, { type = "system" })
  t.equal(p.spec('root = "/"').root, { type = "host" })
  t.equal(p.spec('root = "rootfs"').root, { type = "directory", path = "/home/ann/work/rootfs", rw = false })
  t.equal(p.spec('root = { "/r", overlay = "up" }').root,
    { type = "directory", path = "/r", overlay = "/home/ann/work/up", rw = false })
  t.equal(p.spec('root = { "/r", overlay = "discard", size = "1M" }').root.size, 1048576)
  t.equal(p.spec('root = layers { "/a", upper = "discard" }').root, { type = "layers", lower = { "/a" },
    upper = "discard" })
  t.equal(p.spec('root = empty {}').root, { type = "empty" })
end)

t.test("users", function()
  local function user(text, options) return p.spec("user = " .. text, options).user end
  t.equal(user '"build"', { name = "build" })
  t.equal(user '"build:users"', { name = "build", group_name = "users" })
  t.equal(user '"5"', { uid = 5, gid = 5 })
  t.equal(user '"5:users"', { uid = 5, group_name = "users" })
  t.equal(user '"build:7"', { name = "build", gid = 7 })
  t.equal(user '{ uid = 5, groups = "keep" }', { uid = 5, gid = 5, groups = "keep" })
  t.equal(user '{ name = "build", groups = { 1, 2 } }', { name = "build", groups = { 1, 2 } })
  t.equal(p.spec('id_map = "host"').user, { uid = 1000, gid = 1000 })
  t.equal(p.spec("", { facts = root }).user, { uid = 0, gid = 0 })
end)

t.test("id maps", function()
  t.equal(p.spec("", { facts = root }).id_map, { type = "auto" })
  t.equal(p.spec("").id_map, { type = "self" })
  t.equal(p.spec('id_map = "host"').namespaces.user, "host")
  local ranges = { { 0, 100000, 65536 } }
  t.equal(p.spec('id_map = { uids = { { 0, 100000, 65536 } } }').id_map, { type = "explicit", uids = ranges,
    gids = ranges })
  t.equal(p.faults("user = 65536", { facts = root }), {
    "user: user 65536 has no place in id_map [the private range holds the ids 0 to 65535]",
    "user: group 65536 has no place in id_map [the private range holds the ids 0 to 65535]" })
end)

t.test("capabilities of a user other than root are ambient", function()
  t.equal(p.spec('capabilities = { "kill" }').capabilities.ambient, {})
  local c = p.spec('capabilities = { "kill", "chown" }, user = 5').capabilities
  t.equal({ c.ambient, c.inheritable, c.bounding }, { { "chown", "kill" }, { "chown", "kill" }, { "chown",
    "kill" } })
  c = p.spec('capabilities = { bounding = { "kill", "chown" }, permitted = { "kill" } }').capabilities
  t.equal({ c.bounding, c.permitted, c.effective, c.ambient }, { { "chown", "kill" }, { "kill" }, { "kill" }, {} })
end)

t.test("ids of a map are whole numbers, however they are written", function()
  local map = p.spec("id_map = { uids = { { 0, 1e5, 65536.0 } }, gids = { { 0.0, 100000, 65536 } } }").id_map
  for _, range in ipairs { map.uids[1], map.gids[1] } do
    for i, number in ipairs { 0, 100000, 65536 } do t.equal({ range[i], math.type(range[i]) }, { number, "integer" }) end
  end
end)

t.test("sets of root's that execve would not leave so are faults", function()
  local function told(body) return table.concat(p.faults(body), "\n") end
  t.contains(told 'capabilities = { bounding = { "kill" }, effective = {} }',
    "capabilities.effective: from execve(2) on root has all of the permitted set in force, kill too")
  t.contains(told 'user = "root", capabilities = { bounding = { "kill" }, effective = {} }', "capabilities.effective")
  t.contains(told 'no_new_privs = false, capabilities = { bounding = { "kill" }, permitted = {} }',
    "capabilities.permitted: without no_new_privs execve(2) gives root all of the bounding set, kill too")
  t.equal(p.spec('user = 5, capabilities = { bounding = { "kill" }, effective = {} }').capabilities.effective, {})
end)

t.test("namespaces", function()
  t.equal(p.spec('network = "host"').namespaces.net, "host")
  t.equal(p.spec('network = "host"').sysctl, {})
  t.equal(p.spec('namespaces = { pid = "host" }').init, false)
  t.equal(p.spec('namespaces = { ipc = "/proc/7/ns/ipc" }').namespaces.ipc, "/proc/7/ns/ipc")
  t.equal(p.spec('namespaces = { net = true }').namespaces.net, true)
end)

t.test("a secret's variable is not inherited by a pattern", function()
  local spec = p.spec 'env = { "CI_*" }, mounts = { secret { "/run/token", env = "CI_TOKEN" } }'
  t.equal({ spec.env.CI_COMMIT_ID, spec.env.CI_TOKEN }, { "abc", nil })
end)

t.test("patterns are no Lua patterns", function()
  local facts = p.facts_with { env = { ["A.B"] = "1", AxB = "2", ["A%"] = "3", ["A.BC"] = "4" } }
  local env = p.spec('env = { "A.B*", "A%*" }', { facts = facts }).env
  t.equal({ env["A.B"], env["A.BC"], env.AxB, env["A%"] }, { "1", "4", nil, "3" })
end)

t.test("a frozen spec does not change", function()
  local spec = p.spec("command = { 'a', 'b' }", { facts = p.facts_with { debug = true } })
  t.equal({ spec.command[2], #spec.command, spec.limits.core }, { "b", 2, 0 })
  t.ok(not pcall(function() spec.cwd = "/x" end))
  t.ok(not pcall(function() spec.command[1] = "x" end))
  local names = {}
  for name in pairs(spec.stop) do names[name] = true end
  t.equal(names, { signal = true, grace = true })
  t.equal(profile.origin(spec, "command"), "t.lua:2")
  t.equal(finish.freeze(5), 5)
end)

t.test("the shipped profiles are good for root and user", function()
  for _, name in ipairs { "default", "ci", "strict", "compute", "distro", "shell" } do
    for _, facts in ipairs { p.facts, root } do
      local spec, faults = profile.load { source = { name = name }, facts = facts }
      t.ok(spec, faults and profile.format(faults))
      t.equal({ spec.name, spec.profile_name, spec.hostname }, { "$name", name, "$name" })
      t.ok(spec.description, name)
      t.equal(spec.unenforced, {})
    end
  end
end)

t.test("durations are seconds, or units from the large to the small", function()
  local duration = require("sandbox.profile.values").duration
  for given, seconds in pairs { ["10"] = 10, ["1.5"] = 1.5, ["1m30s"] = 90, ["1h0.5s"] = 3600.5, ["2d"] = 172800, ["1s500ms"] = 1.5,
    [7] = 7 } do
    t.equal(duration(given), seconds, given)
  end
  for _, text in ipairs { "1m30", "1s1s", "1s1m", "1m 30s", "m", "", "-1", "1e3", "0x10", "1m30s!", "99999d" } do
    t.equal(duration(text), nil, text)
  end
end)
