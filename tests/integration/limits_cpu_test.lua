-- SPDX-License-Identifier: MIT
-- limits.cpu_time: the whole container's, however it is spread over processes. The guest measures what it uses by its
-- own clock, so that a busy machine changes nothing. LUGE_SOAK=1 repeats what must never be misreported 200 times.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local ROUNDS = t.soak and 200 or 5

local function limited(limit, how)
  how.body = ("limits = { cpu_time = '%s', %s }, stop = { grace = '%s' } %s"):format(limit, how.limits or "",
    how.grace or "5s", how.more or "")
  how.report = true
  how.timeout = how.timeout or 60
  return box.run(how)
end

local function ended(r) return { r.code, r.report.reason, r.report.exit_code } end

local STOPPED = { 124, "cpu_time", 124 }

t.test("less is fine, more is stopped: every time", function()
  for round = 1, ROUNDS do
    local r = limited("300ms", { "burn", "200", "7" })
    t.equal(ended(r), { 7, "exit", 7 }, "round " .. round)
    t.equal(r.stderr, "")
    r = limited("300ms", { "spin" })
    t.equal(ended(r), STOPPED, "round " .. round)
    t.contains(r.stderr, "limits.cpu_time: 0.3s of CPU time were used up; the container was stopped")
    t.ok(r.report.figures.user_s + r.report.figures.sys_s >= 0.28, "it had its time")
  end
end)

t.test("without PID 1 of luge's", function()
  t.equal(ended(limited("300ms", { "spin", more = ", init = false" })), STOPPED)
  t.equal(ended(limited("300ms", { "burn", "200", more = ", init = false" })), { 0, "exit", 0 })
end)

t.test("in the host's pid namespace", function()
  t.equal(ended(limited("300ms", { shell = "/guest spin & /guest spin & wait", more = ", namespaces = { pid = 'host' }" })), STOPPED)
  t.equal(ended(limited("300ms", { shell = "(setsid /guest spin &) ; sleep 60", more = ", namespaces = { pid = 'host' }" })), STOPPED)
end)

t.test("time that passes is not time that is used", function()
  t.equal(ended(limited("200ms", { shell = "sleep 1; exit 5" })), { 5, "exit", 5 })
end)

t.test("processes at once, and one after the other, count together", function()
  t.equal(ended(limited("600ms", { shell = "for i in 1 2 3 4; do /guest burn 100 & done; wait" })), { 0, "exit", 0 })
  t.equal(ended(limited("600ms", { shell = "for i in 1 2 3 4; do /guest burn 300 & done; wait; sleep 60" })), STOPPED)
  t.equal(ended(limited("600ms", { "brood", "20", "10" })), { 0, "exit", 0 })
  t.equal(ended(limited("600ms", { "brood", "10000", "10" })), STOPPED)
end)

t.test("orphans, and families of many levels", function()
  t.equal(ended(limited("300ms", { shell = "(setsid /guest spin &); sleep 60" })), STOPPED)
  t.equal(ended(limited("300ms", { shell = "sh -c 'sh -c \"sh -c \\\"/guest spin & wait\\\" & wait\" & wait' & wait" })), STOPPED)
end)

-- Their time is in no parent's sum; luge counts what it sees of them. Each is bound by RLIMIT_CPU besides.
t.test("children that nobody waits for", function()
  t.equal(ended(limited("500ms", { "brood", "100", "1000", "ignore" })), STOPPED)
  local facts = t.json.decode(limited("90s", { "facts" }).stdout)
  t.equal(facts.limits.cpu_time, { 91, 96 })
end)

t.test("TERM comes first, and its handler has the grace", function()
  local r = limited("300ms", { shell = "trap 'echo bye; exit 3' TERM; while :; do :; done" })
  t.equal({ ended(r), r.stdout }, { STOPPED, "bye\n" })
end)

t.test("KILL follows for who ignores TERM", function()
  local r = limited("300ms", { shell = "trap '' TERM; while :; do :; done", grace = "300ms" })
  t.equal({ ended(r), r.report.signal }, { STOPPED, 9 })
end)

-- Waits until the first process of the container of `luge` has ended, which luge has not heard of yet.
local function await_end(luge)
  local children = ("/proc/%d/task/%d/children"):format(luge, luge)
  for _ = 1, 3000 do
    local pid = (S.readfile(children) or ""):match "%d+"
    if not pid or (S.readfile("/proc/" .. pid .. "/stat") or ""):find "%) Z " then return end
    S.nanosleep(0.01)
  end
  error "the kernel's limit never ended it"
end

-- Luge is stopped, so that only the kernel is left to see the time: SIGXCPU, or KILL where that is ignored.
t.test("what RLIMIT_CPU ended is told as cpu_time", function()
  for _, case in ipairs { { "spin", "5s", 24 }, { "ignore-xcpu", "200ms", 9 } } do
    local report = t.dir() .. "/report.json"
    local shell = case[1] == "spin" and "echo ready; exec /guest spin" or "trap '' XCPU; echo ready; while :; do :; done"
    local process = box.start { shell = shell, options = { "--report", report },
      body = ("limits = { cpu_time = '500ms' }, stop = { grace = %q }"):format(case[2]) }
    process:await "ready"
    process:signal "stop"
    await_end(process.pid)
    process:signal "cont"
    local r = process:wait()
    box.nothing_left()
    r.report = t.json.decode(t.read(report))
    t.equal({ ended(r), r.report.signal }, { STOPPED, case[3] }, case[1])
  end
end)

t.test("the same signals from elsewhere are signals", function()
  for _, number in ipairs { 24, 9 } do
    t.equal(ended(limited("20s", { "raise", tostring(number) })), { 128 + number, "signal", 128 + number })
  end
end)

t.test("the first of several limits is the reason", function()
  t.equal(ended(limited("20s", { "spin", limits = "wall = '300ms'" })), { 124, "wall", 124 })
  t.equal(ended(limited("200ms", { "spin", limits = "wall = '20s'" })), STOPPED)
  t.equal(ended(limited("20s", { shell = "/guest flood 2000; exec /guest spin", limits = "output = 1000" })), { 124, "output", 124 })
end)

t.test("luge's own hard limit stays", function()
  local r = limited("90s", { "facts", before = function() S.setrlimit("cpu", 60, 60) end })
  t.equal(t.json.decode(r.stdout).limits.cpu_time, { 60, 60 })
end)

t.test("the receipt and a container that only waits", function()
  local r = limited("100s", { "exit", "0" })
  for _, row in ipairs(r.report.receipt) do
    if row.field == "limits.cpu_time" then
      t.equal(row, { field = "limits.cpu_time", asked = "100s", got = "101s for each process", ok = true })
      return
    end
  end
  error "no row limits.cpu_time"
end)

t.test("wrong values", function()
  for _, value in ipairs { "0", "'50ms'", "-1", "'1 minute'", "{}", "true", "0/0", "1/0" } do
    box.refused({ "exit", "0", body = ("limits = { cpu_time = %s }"):format(value) }, "limits.cpu_time")
  end
end)
