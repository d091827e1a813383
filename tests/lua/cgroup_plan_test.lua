-- SPDX-License-Identifier: MIT
-- From limits to steps, on hosts told by text: what is written where in each version, and what cannot be had.

local t = dofile "tests/integration/harness.lua"
local p = dofile "tests/lua/profile.lua"
local hosts = dofile "tests/lua/cgroup_hosts.lua"
local Steps = require "sandbox.plan.steps"
local cgroups = require "sandbox.plan.cgroups"
local limits = require "sandbox.plan.cgroup_limits"

local C = "/sys/fs/cgroup"
local SESSION = "/user.slice/user-0.slice/session-1.scope"

-- The plan's context after the cgroups' part: { steps, faults, cgroup }.
local function plan(described, body, options)
  local c = { spec = p.spec(body), options = options or {}, faults = {}, steps = Steps.new(), ids = { userns = true },
    facts = { cgroups = hosts.layout(described), uid = described.uid, user = "ann",
      stat = function(_, path) return path ~= "/none" and { type = path:find "^/dev/" and "block" or "directory" } or nil end,
      disk = function(_, path) return path ~= "/tmp" and "254:0" or nil end } }
  function c:fault(path, message, hint) self.faults[#self.faults + 1] = { path = path, message = message, hint = hint } end
  cgroups.plan(c)
  cgroups.enter(c)
  return c
end

-- "file = text" of each file that is written, relative to the container's cgroup, in order.
local function written(described, body)
  local c = plan(described, body)
  t.equal(c.faults, {}, body)
  local out = {}
  for _, step in ipairs(c.steps.list) do
    local file = step.op == "writefile" and step.args[1]:match "%${name}/(.*)"
    if file and file ~= "cgroup.procs" then out[#out + 1] = file .. " = " .. step.args[2] end
  end
  return out
end

local function fault(described, body)
  local c = plan(described, body)
  t.equal(#c.faults, 1, body)
  return c.faults[1].path .. ": " .. c.faults[1].message .. " [" .. c.faults[1].hint .. "]"
end

local v1, hybrid, v2 = hosts.v1(0), hosts.hybrid(0), hosts.v2(0, SESSION)
local ALL = "limits = { pids = false, %s }"

-- Each limit in version 1 and 2.
local CASES = {
  { 'memory = "64M"', { "memory.limit_in_bytes = 67108864", "memory.memsw.limit_in_bytes = 67108864" },
    { "memory.max = 67108864", "memory.swap.max = 0" } },
  { 'memory = "64M", swap = "16M"', { "memory.limit_in_bytes = 67108864", "memory.memsw.limit_in_bytes = 83886080" },
    { "memory.max = 67108864", "memory.swap.max = 16777216" } },
  { 'memory = "64M", swap = false', { "memory.limit_in_bytes = 67108864" }, { "memory.max = 67108864" } },
  { "cpus = 1.5", { "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 150000" }, { "cpu.max = 150000 100000" } },
  { "cpus = 0.01", { "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 1000" }, { "cpu.max = 1000 100000" } },
  { "cpu_weight = 100", { "cpu.shares = 1024" }, { "cpu.weight = 100" } },
  { "cpu_weight = 1", { "cpu.shares = 10" }, { "cpu.weight = 1" } },
  { "cpu_weight = 10000", { "cpu.shares = 102400" }, { "cpu.weight = 10000" } },
  { 'cpuset = "3,0-1"', { "cpuset.cpus = 0-1,3" }, { "cpuset.cpus = 0-1,3" } },
  { 'io = { ["/srv"] = { read = "1M", write_ops = 50 } }',
    { "blkio.throttle.read_bps_device = 254:0 1048576", "blkio.throttle.write_iops_device = 254:0 50" },
    { "io.max = 254:0 rbps=1048576 wiops=50" } },
  { 'hugetlb = { ["2M"] = "8M", ["1G"] = "1G" }',
    { "hugetlb.1GB.limit_in_bytes = 1073741824", "hugetlb.1GB.rsvd.limit_in_bytes = 1073741824",
      "hugetlb.2MB.limit_in_bytes = 8388608", "hugetlb.2MB.rsvd.limit_in_bytes = 8388608" },
    { "hugetlb.1GB.max = 1073741824", "hugetlb.1GB.rsvd.max = 1073741824", "hugetlb.2MB.max = 8388608",
      "hugetlb.2MB.rsvd.max = 8388608" } },
  { "memory = false, cpus = false, io = {}, oom_group = false", {}, {} },
}

t.test("each limit, in both versions", function()
  for _, case in ipairs(CASES) do
    local body = ALL:format(case[1])
    t.equal(written(v1, body), case[2], "version 1: " .. case[1])
    t.equal(written(v2, body), case[3], "version 2: " .. case[1])
  end
  t.equal(written(v2, ALL:format 'memory_high = "1G", oom_group = true'), { "memory.high = 1073741824",
    "memory.oom.group = 1" })
  t.equal(written(v2, ALL:format 'swap = "1M"'), { "memory.swap.max = 1048576" })
end)

t.test("pids: luge's own PID 1 is added, the default is 1024", function()
  t.equal(written(v1, ""), { "pids.max = 1025" })
  t.equal(written(v2, "limits = { pids = 5 }"), { "pids.max = 6" })
  t.equal(written(v2, "init = false, limits = { pids = 5 }"), { "pids.max = 5" })
  t.equal(written(v2, "limits = { pids = false }"), {})
  t.equal(written(v2, "limits = { pids = 'unlimited' }"), {})
end)

t.test("what version 1 cannot do is no weaker limit", function()
  t.contains(fault(v1, ALL:format 'memory_high = "1G"'), "limits.memory_high: cgroup v1 has no such limit")
  t.contains(fault(v1, ALL:format "oom_group = true"), "limits.oom_group: cgroup v1 kills one process at a time")
  t.contains(fault(v1, ALL:format 'swap = "1M"'), "limits swap only together with memory [write limits.memory too")
  local c = plan(v1, ALL:format "oom_group = optional(true)")
  t.equal(c.faults, {})
  t.contains(c.cgroup.checks[1].got, "none: cgroup v1 kills one process")
end)

t.test("values that the host does not have", function()
  t.contains(fault(v1, ALL:format 'cpuset = "2-4"'), "CPU 4 is not among those of this host: 0-3")
  t.contains(fault(v2, ALL:format 'io = { ["/none"] = { read = 1 } }'), "/none does not exist")
  t.contains(fault(v2, ALL:format 'io = { ["/tmp"] = { read = 1 } }'), "/tmp lies on no disk")
  t.equal(limits.ranges { 5, 0, 1, 2, 7 }, "0-2,5,7")
end)

local function ops(c, where)
  local out = {}
  for _, step in ipairs(c.steps.list) do
    if step.where == where then out[#out + 1] = step.op end
  end
  return out
end

t.test("hybrid: each limit where its controller is, born in the one, put into the others", function()
  local c = plan(hybrid, 'limits = { memory = "64M", hugetlb = { ["2M"] = "2M" } }')
  t.equal(c.faults, {})
  t.equal({ c.cgroup.attached, c.cgroup.fd ~= nil }, { true, true })
  t.equal(c.cgroup.dirs, { memory = { version = 1, path = C .. "/memory/luge/${name}" },
    pids = { version = 1, path = C .. "/pids/luge/${name}" }, hugetlb = { version = 2, path = C .. "/unified/luge/${name}" } })
  local opened = {}
  for _, step in ipairs(c.steps.list) do
    if step.op == "open" and step.args[1]:find "/tasks$" then opened[step.save] = step.args[1] end
    if step.where == "guest" then
      t.equal({ step.op, step.args[2] }, { "write", "0" })
      opened[#opened + 1] = opened[step.args[1]]
      opened[step.args[1]] = nil
    end
  end
  t.equal(opened, { C .. "/memory/luge/${name}/tasks", C .. "/pids/luge/${name}/tasks" })
end)

t.test("version 2: one directory for all, none entered afterwards", function()
  local c = plan(v2, 'limits = { memory = "64M", cpus = 1, cpuset = "0" }')
  t.equal({ ops(c, "attach"), c.cgroup.attached }, { {} })
  t.equal(ops(c, "host"), { "note_lock", "make_cgroup", "writefile", "writefile", "writefile", "writefile", "writefile",
    "note_lock", "open" })
  local make = c.steps.list[2]
  t.equal(make.args, { C .. "/luge/${name}", { above = true, give = {
    { dir = C, controllers = { "cpu", "cpuset" } }, { dir = C .. "/luge", controllers = { "pids", "memory", "cpu", "cpuset" } } } } })
  t.equal(make.undo, { "remove_cgroup", { C .. "/luge/${name}", { above = true } } })
end)

t.test("controllers on one mount share a directory; the cpuset's is filled", function()
  local c = plan(v1, ALL:format "cpus = 1, cpu_weight = 5", { report = true })
  t.equal(c.cgroup.dirs.cpu.path, c.cgroup.dirs.cpuacct.path)
  c = plan(v1, ALL:format 'cpuset = "0"')
  t.equal(c.steps.list[2].args[2], { above = true, cpuset = true })
end)

t.test("the report's figures get directories, a plain run only its limits", function()
  t.equal(ops(plan(hybrid, ""), "guest"), { "write" })
  local c = plan(hybrid, "", { report = true })
  for _, name in ipairs { "memory", "pids", "cpuacct", "io" } do t.ok(c.cgroup.dirs[name], name) end
  t.equal(plan(hosts.session(), "", { report = true }).cgroup.dirs, {}, "nothing may be made")
end)

t.test("a user whose session is not delegated", function()
  t.contains(fault(hosts.session(), ALL:format 'memory = "64M"'), "limits.memory: the memory controller is on cgroup v2 at "
    .. "/sys/fs/cgroup, where user ann may not make a cgroup (luge's own, /sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope"
    .. ", is not delegated) [start luge in a scope of your own: systemd-run")
  t.contains(fault(hosts.hybrid(1000), ALL:format 'memory = "64M"'),
    "the memory controller is on cgroup v1 at /sys/fs/cgroup/memory, where user ann may not")
  t.equal(plan(hosts.session(), "").cgroup.dirs, {}, "the default of pids falls back")
  t.contains(fault(hosts.session(), "limits = { pids = 5 }"), "limits.pids: the pids controller is on cgroup v2")
end)

t.test("a user in a delegated scope", function()
  local c = plan(hosts.scope(), 'limits = { memory = "64M" }')
  t.equal(c.faults, {})
  local dir = C .. hosts.SCOPE
  local seen = {}
  for _, step in ipairs(c.steps.list) do
    if step.op == "writefile" or step.op == "make_cgroup" then
      seen[#seen + 1] = step.args[1] .. (step.op == "writefile" and " = " .. step.args[2] or "")
    end
  end
  t.equal(seen, { dir .. "/luge", dir .. "/luge/cgroup.procs = 0", dir .. "/cgroup.subtree_control = +memory",
    dir .. "/${name}", dir .. "/${name}/memory.max = 67108864", dir .. "/${name}/memory.swap.max = 0" })
  t.equal(plan(hosts.scope(), "").cgroup.dirs, {}, "a default is no reason to move luge")
  t.equal(written(hosts.leaf(), 'limits = { memory = "64M" }'), { "pids.max = 1025", "memory.max = 67108864",
    "memory.swap.max = 0" })
  t.contains(fault(hosts.scope(100), ALL:format 'memory = "64M"'), "holds other processes beside luge")
  t.contains(fault(hosts.scope(), ALL:format "cpus = 1"), "does not have the cpu controller to give")
end)

t.test("a controller that is nowhere", function()
  local bare = hosts.v2(0, SESSION, { files = { [C .. "/cgroup.controllers"] = "cpu pids\n" } })
  t.contains(fault(bare, ALL:format 'memory = "64M"'),
    "limits.memory: the memory controller is missing: no hierarchy that is mounted here has it")
  local none = { uid = 0, files = {}, writable = {}, delegated = {} }
  t.contains(fault(none, ALL:format "cpus = 1"), "the cpu controller is missing: no cgroup hierarchy is mounted here")
  t.equal(plan(none, "").cgroup.dirs, {})
end)

t.test("limits.parent that is not there", function()
  t.contains(fault(v1, ALL:format 'memory = "64M", parent = "/ci"'),
    "/sys/fs/cgroup/memory has no ci: there limits.parent for the memory controller would be [make it first: mkdir")
end)
