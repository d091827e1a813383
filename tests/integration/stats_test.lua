-- SPDX-License-Identifier: MIT
-- luge stats: what running containers use, beside what was asked for and what the programs do.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"
local layout = require("sandbox.plan.cgroup_layout").gather()

local ENV = { LUGE_STATE = box.state }

local function stats(...)
  return t.decoded { "luge", "stats", "--once", "--json", ..., env = ENV }
end

local function usable(controller)
  local hierarchy = layout:find(controller)
  return hierarchy and layout:place(hierarchy, nil, S.geteuid()) ~= nil
end

local function start(name, how)
  how.options = { "--name", name }
  local p = box.start(how)
  p:await "ready"
  return p
end

-- The three processes of the command, which the figures count; luge's own PID 1 is none of them.
local THREE = "sleep 1000 & sleep 1000 & echo ready; wait"

t.test("containers are listed by name, with what they use", function()
  local b, a = start("b", { shell = THREE }), start("a", { shell = "echo ready; exec sleep 1000" })
  local seen = stats()
  t.equal(seen.schema, 1)
  t.equal({ #seen.containers, seen.containers[1].name, seen.containers[2].name }, { 2, "a", "b" })
  t.equal({ seen.containers[1].pids, seen.containers[2].pids }, { 1, 3 })
  for _, row in ipairs(seen.containers) do
    t.ok(row.cpu_s >= 0 and row.cpu_s < 60 and row.uptime_s >= 0 and row.uptime_s < 120, "times")
    t.ok(S.kill(row.pid, 0), "a process of the host")
    t.equal(row.pids_limit, usable "pids" and 1024 or t.json.null)
  end
  t.equal(#stats("b").containers, 1)
  for _, p in ipairs { a, b } do p:signal "term" p:wait() end
  t.equal(#stats().containers, 0)
  box.nothing_left()
end)

t.test("processor time is counted", function()
  local p = start("busy", { shell = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000" })
  t.ok(stats("busy").containers[1].cpu_s > 0.02, "cpu_s")
  p:signal "term"
  p:wait()
end)

t.test("limits and peaks of the cgroups", function()
  t.needs_root()
  if not usable "memory" then t.skip "no-memory-controller: the host has no memory controller that luge can use" end
  local p = start("fat", { shell = "head -c 8000000 /dev/zero > /tmp/f; rm /tmp/f; echo ready; exec sleep 1000",
    body = "limits = { memory = '64M', pids = 7 }" })
  local row = stats("fat").containers[1]
  t.equal({ row.memory_limit_bytes, row.pids_limit, row.pids }, { 64 << 20, 7, 1 })
  t.ok(row.memory_peak_bytes >= 8000000, "the peak holds the file that is gone")
  t.ok(row.memory_bytes > 0 and row.memory_bytes < row.memory_peak_bytes, "what is used now")
  t.equal({ row.oom_kill, row.pids_refused }, { 0, 0 })
  p:signal "term"
  p:wait()
end)

t.test("a table for people, again until the container has ended", function()
  local p = start("seen", { shell = "echo ready; read line; exec sleep 0.5", stdin = "", keep_input = true })
  local watch = t.start { "luge", "stats", "seen", env = ENV, timeout = 30 }
  watch:await "NAME.-\nseen .-\nNAME.-\nseen "
  p:close_input()
  t.equal(p:wait().code, 0)
  local r = watch:wait()
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.matches(r.stdout, "^NAME +PID +CPU %% +CPU s +MEMORY +PIDS +READ +WRITTEN +THROTTLED\n")
  t.lacks(r.stdout, "\27", "no terminal, no escapes")
end)

t.test("it ends when nobody reads its tables, and where they cannot be written", function()
  local p = start("kept", { shell = "echo ready; exec sleep 1000" })
  for _, options in ipairs { "", "--json" } do
    local r = t.run { "/bin/sh", "-c", ("{ %q stats %s; echo $? >&2; } | head -n 1"):format(t.luge, options), env = ENV, timeout = 20 }
    t.equal({ r.code, r.stderr }, { 0, "0\n" }, options)
    r = t.run { "/bin/sh", "-c", ("exec %q stats %s > /dev/full"):format(t.luge, options), env = ENV, timeout = 20 }
    t.equal({ r.code, r.stderr }, { 125, "luge: standard output: No space left on device\n" }, options)
  end
  p:signal "term"
  p:wait()
end)

t.test("a name that nobody has", function()
  local p = start("web", { shell = "echo ready; exec sleep 1000" })
  local r = t.run { "luge", "stats", "--once", "wen", env = ENV }
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.equal(r.stderr, "luge: no container 'wen' is running\n      = did you mean web?\n")
  p:signal "term"
  p:wait()
  r = t.run { "luge", "stats", "web", env = ENV }
  t.equal(r.code, 125)
  t.contains(r.stderr, "none is")
end)

t.test("a killed luge's container is not listed", function()
  local p = start("gone", { shell = "echo ready; exec sleep 1000" })
  p:kill()
  p:wait()
  S.wait4(-1) -- its PID 1 ends with it, and is the test's child then
  t.equal(#stats().containers, 0)
  box.succeed { "exit", "0" } -- the next start takes away what is left
end)
