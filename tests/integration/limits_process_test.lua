-- SPDX-License-Identifier: MIT
-- Limits of the process: what holds is read back from the kernel; what luge may not give is a fault before anything
-- starts, whoever runs luge.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

-- In the child that becomes luge: root would get the capabilities back by executing it. An ordinary user has none.
local function drop(...) S.cap_bounding_drop { ... } end

local row = t.row

local function limited(text, how)
  how = how or {}
  how.body, how.report = ("limits = { %s }"):format(text), true
  if not how.shell and not how[1] then how[1] = "facts" end
  local r = box.succeed(how)
  return r.report, r.stdout
end

local NAMES = { open_files = "nofile", file_size = "fsize", core = "core", stack = "stack", address_space = "as",
  locked_memory = "memlock", processes = "nproc" }

t.test("each limit holds inside, and the receipt says so", function()
  local asked = { open_files = 60, file_size = 1 << 20, core = 4096, stack = 1 << 20, address_space = 1 << 30,
    locked_memory = 8192, processes = 40 }
  for field, value in pairs(asked) do
    local report, facts = limited(("%s = %d"):format(field, value))
    local holds = field == "processes" and value + 1 or value -- with luge's PID 1
    t.equal(t.json.decode(facts).limits[field], { holds, holds }, field)
    t.equal(row(report, "limits." .. field), { field = "limits." .. field, asked = tostring(holds), got = tostring(holds),
      ok = true })
  end
end)

-- The hard limit of luge is lowered first, so that the test means the same on every machine.
t.test("above the hard limit: a fault with field, limit and way out, for each of them", function()
  for field, name in pairs(NAMES) do
    local hard = name == "as" and 1 << 40 or name == "stack" and 1 << 23 or 500
    local function lower()
      S.setrlimit(name, hard, hard)
      drop "sys_resource"
    end
    local how = { "exit", "0", body = ("limits = { %s = %d }"):format(field, hard + 1), before = lower }
    box.refused(how, "limits." .. field, tostring(hard + 1), "the hard limit of " .. hard, "= raise it for luge")
    how.body = ("limits = { %s = 'unlimited' }"):format(field)
    box.refused(how, "limits." .. field, "unlimited is above the hard limit of " .. hard)
  end
end)

t.test("optional(…) takes what the hard limit gives, and the report says so", function()
  local function lower() S.setrlimit("nofile", 100, 100) drop "sys_resource" end
  local report = limited("open_files = optional(200)", { "exit", "0", before = lower })
  t.equal(row(report, "limits.open_files"), { field = "limits.open_files", asked = "200 (optional)", got = "100", ok = true })
end)

t.test("priorities that luge may give", function()
  local report = limited "nice = 7, scheduler = 'batch', oom_score = 300, affinity = { 0 }"
  t.equal(row(report, "limits.nice").got, "7")
  t.equal(row(report, "limits.scheduler").got, "batch")
  t.equal(row(report, "limits.oom_score").got, "300")
  t.equal(row(report, "limits.affinity").got, "0")
end)

t.test("root gives the container what its own root could not take", function()
  t.needs_root()
  local report = limited("nice = -5, scheduler = 'fifo'", { "exit", "0" })
  t.equal({ row(report, "limits.nice").got, row(report, "limits.scheduler").got }, { "-5", "fifo" })
  report = limited("scheduler = { policy = 'rr', priority = 3 }", { "exit", "0" })
  t.equal(row(report, "limits.scheduler").got, "rr")
end)

t.test("priorities that luge may not give are faults", function()
  local function weak() drop("sys_nice", "sys_resource") end
  local function refused(text, ...)
    box.refused({ "print", "ran", body = ("limits = { %s }"):format(text), before = weak }, ...)
  end
  refused("nice = -1", "limits.nice: -1 is below the niceness 0", "RLIMIT_NICE", "CAP_SYS_NICE")
  refused("scheduler = 'fifo'", "limits.scheduler", "'fifo' at priority 1", "RLIMIT_RTPRIO allows none", "CAP_SYS_NICE")
  refused("scheduler = { policy = 'rr', priority = 9 }", "limits.scheduler", "'rr' at priority 9")
  refused("oom_score = -1", "limits.oom_score: -1 is below the 0", "CAP_SYS_RESOURCE")
  refused("affinity = { 8000 }", "limits.affinity: luge itself may not run on CPU 8000")
  refused("affinity = '0,8000'", "CPU 8000")
  refused("scheduler = { policy = 'batch', priority = 9 }", "limits.scheduler: the policy 'batch' has no priority")
end)

t.test("a niceness is measured by luge's own", function()
  local function lowered() S.setrlimit("nice", 0, 0) S.setpriority("process", 0, 5) drop("sys_nice", "sys_resource") end
  local how = { "facts", body = "limits = { nice = 5 }", before = lowered }
  t.equal(t.json.decode(box.succeed(how).stdout).nice, 5)
  how.body = "limits = { nice = 4 }"
  box.refused(how, "4 is below the niceness 5")
end)

t.test("what RLIMIT_NICE and RLIMIT_RTPRIO allow needs no capability", function()
  t.needs_root() -- to raise the limits first
  if S.cap_mask(S.capget().effective) & S.cap_mask { "sys_resource" } == 0 then
    t.skip "no-sys-resource: these limits are 0, and raising them takes CAP_SYS_RESOURCE"
  end
  local function raised()
    S.setpriority("process", 0, 5)
    S.setrlimit("nice", 17, 17)
    S.setrlimit("rtprio", 2, 2)
    drop("sys_nice", "sys_resource")
  end
  local report, facts = limited("nice = 3, scheduler = { policy = 'fifo', priority = 2 }", { "facts", before = raised })
  t.equal({ t.json.decode(facts).nice, row(report, "limits.scheduler").got }, { 3, "fifo" })
  box.refused({ "exit", "0", body = "limits = { nice = 2 }", before = raised }, "RLIMIT_NICE allows 3 at the lowest")
  box.refused({ "exit", "0", body = "limits = { scheduler = { policy = 'rr', priority = 3 } }", before = raised },
    "RLIMIT_RTPRIO allows up to 2")
end)

t.test("an affinity that luge has in part", function()
  local report = limited("affinity = optional('0,8000')", { "exit", "0" })
  local r = row(report, "limits.affinity")
  t.equal({ r.asked, r.got, r.ok }, { "0,8000 (optional)", "0", true })
end)

t.test("false leaves what luge runs under", function()
  local function lower() S.setrlimit("nofile", 77, 77) end
  local report, facts = limited("open_files = false, processes = false", { "facts", before = lower })
  t.equal(t.json.decode(facts).limits.open_files, { 77, 77 })
  for _, r in ipairs(report.receipt) do t.differs(r.field, "limits.open_files") end
end)

t.test("wrong values", function()
  for _, field in ipairs { "open_files", "file_size", "core", "stack", "processes", "address_space", "locked_memory" } do
    for _, value in ipairs { "-1", "'many'", "{}", "true", "1.5 .. 'x'" } do
      box.refused({ "exit", "0", body = ("limits = { %s = %s }"):format(field, value) }, "limits." .. field)
    end
  end
  for _, text in ipairs { "nice = 20", "nice = -21", "oom_score = 1001", "scheduler = 'fast'", "affinity = ''", "open_files = 2",
    "processes = 0" } do
    box.refused({ "exit", "0", body = ("limits = { %s }"):format(text) }, "limits." .. text:match "^[%w_]+")
  end
end)
