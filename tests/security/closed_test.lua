-- SPDX-License-Identifier: MIT
-- A protection that cannot be had is an error, never a weaker container; the receipt says what the kernel holds.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- Nothing runs, the message names the field, nothing is left.
local function refused(side, how, field)
  local r = side:run(how, "/guest", "print", "ran")
  t.equal(r.code, 125, r.stderr)
  t.equal(r.stdout, "", field)
  t.contains(r.stderr, field)
  t.equal(S.dir(side.state), {}, field)
end

A.each("a field that luge does not enforce yet is refused when it is written", function(side)
  t.equal(side:run({}, "/guest", "print", "ran").stdout, "ran\n")
  for field, text in pairs {
    ["landlock"] = "landlock = { read = { '/' } }",
    ["seccomp.notify"] = "seccomp = { notify = { 'mount' } }",
  } do
    refused(side, { fields = text }, field)
  end
end)

A.each("no protection is spelt wrong unnoticed", function(side)
  for field, text in pairs {
    ["secomp"] = "secomp = 'strict'", ["seccomp"] = "seccomp = 'stict'", ["capabilities"] = "capabilities = { 'sys_admn' }",
    ["no_new_priv"] = "no_new_priv = true", ["ptrce"] = "seccomp = { base = 'default', deny = { 'ptrce' } }",
    ["limits.procs"] = "limits = { procs = 3 }", ["namespaces"] = "namespaces = { nett = true }",
  } do
    refused(side, { fields = text }, field)
  end
end)

A.user("a limit whose controller this user was not given is an error", function(side)
  local layout = require "sandbox.plan.cgroup_layout".gather()
  for field, controller in pairs { ["memory = '64M'"] = "memory", ["pids = 10"] = "pids", ["cpus = 1"] = "cpu" } do
    local hierarchy = layout:find(controller)
    if not (hierarchy and layout:place(hierarchy, nil, 65534)) or t.root then
      refused(side, { fields = "limits = { " .. field .. " }" }, "limits." .. field:match "^%w+")
    end
  end
end)

A.user("what needs root's power is an error for a user", function(side)
  refused(side, { fields = 'id_map = "host"' }, "id_map")
  refused(side, { fields = "id_map = { uids = { { 0, 0, 1 } }, gids = { { 0, 0, 1 } } }" }, "id_map")
  refused(side, { fields = 'user = { uid = 0, gid = 0, groups = { 4, 5 } }' }, "user.groups")
  local hard = S.getrlimit("nofile").hard
  if hard ~= "unlimited" then
    refused(side, { fields = ("limits = { open_files = %d }"):format(hard + 1) }, "limits.open_files")
  end
  -- Where nobody gave subordinate ids there is no private range, and the caller's one id is no substitute.
  if not (t.read "/etc/subuid" or ""):find "nobody:" then
    refused(side, { fields = 'id_map = "auto"' }, "id_map")
  end
end)

A.user("a host's namespace that is not the caller's is an error", function(side)
  for _, kind in ipairs { "net", "ipc", "uts", "pid" } do
    local path = "/proc/1/ns/" .. kind
    if t.root or not S.access(path, "r") then
      refused(side, { fields = ("namespaces = { %s = %q }"):format(kind, path) }, "namespaces")
    end
  end
end)

-- Inside a container without new namespaces luge must fail, not run its command with less around it.
A.each("in a container that allows no namespace luge starts nothing", function(side)
  local mounts = ("bind { %q, '/luge' }, bind { %q, '/host-guest' },"):format(side.luge, side.guest)
  local words = { "/luge", "run", "default", "--", "/bin/echo", "ran" }
  for _, fields in ipairs { "", "seccomp = 'ci'", "seccomp = false, limits = { processes = 1 }" } do
    local r = side:run({ mounts = mounts, fields = fields }, table.unpack(words))
    t.equal(r.code, 125, fields .. r.stderr)
    t.lacks(r.stdout, "ran")
  end
end)

-- A step that fails ends everything, early or late.
A.each("a failing step starts nothing", function(side)
  for _, fields in ipairs { "cwd = '/none'", "user = 'nobody-has-this-name'", "sysctl = { ['net.ipv4.none'] = '1' }",
    "sysctl = { ['kernel.core_pattern'] = 'x' }" } do
    refused(side, { fields = fields }, fields:match "^%w+")
  end
  refused(side, { mounts = "bind { '/none', '/d' }," }, "/none")
  refused(side, { mounts = "secret { '/run/s', env = 'LUGE_TEST_NONE' }," }, "mounts")
end)

-- ---- the receipt ----

local EXPECTED = { "namespaces.user", "namespaces.mount", "namespaces.pid", "namespaces.net", "namespaces.ipc", "namespaces.uts",
  "namespaces.cgroup", "id_map", "no_new_privs", "seccomp", "capabilities.bounding", "capabilities.effective", "root" }

A.each("the receipt has a line for each protection, and each holds", function(side)
  local function rows(how)
    how.report = true
    local by_field = {}
    for _, row in ipairs(side:run(how, "/guest", "exit", "0").report.receipt) do by_field[row.field] = row end
    return by_field
  end
  local full = rows {}
  for _, field in ipairs(EXPECTED) do
    t.ok(full[field], "no line for " .. field)
    t.ok(full[field].ok, field .. " does not hold: " .. tostring(full[field].got))
  end
  -- Asked for less, it says less: it is read back, not repeated from the profile.
  local less = rows { fields = "seccomp = false, no_new_privs = false, capabilities = { 'chown' }, network = 'host'" }
  t.equal(less.seccomp, nil)
  t.equal(less.no_new_privs, nil)
  t.differs(less["capabilities.bounding"].got, full["capabilities.bounding"].got)
  t.differs(less["namespaces.net"].asked, full["namespaces.net"].asked)
end)
