-- SPDX-License-Identifier: MIT
-- A group in the foreground is a job of the user's shell: Ctrl-Z stops all of it, fg goes on with it.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local screens = dofile "tests/integration/screen.lua"(t, box)
local S = require "syscall"

local GROUP = [[return group { main = "main", containers = {
  main = container { command = { "/bin/sh", "-c", %q } %s },
  side = container { command = { "/bin/sh", "-c", %q } %s },
} }]]
-- Processes that come and go, below a shell that only waits: dash loses a signal that comes at the end of its vfork(2).
local COUNTS = "trap 'echo %s ended; exit 4' INT TERM; (while :; do sleep 0.01; done) & echo %s up; while :; do wait; done"

local function profile(more)
  return t.profile(GROUP:format(COUNTS:format("main", "main"), more or "", COUNTS:format("side", "side"), more or ""))
end

-- The states of all processes of the group's containers, each once: "T" stopped, "R" any other; those of luge's PID 1 among
-- them. One that waits for a stopped child of its vfork(2), in state D, is none of both.
local function states()
  local seen, list = {}, {}
  local function visit(pid)
    local state = (S.readfile(("/proc/%d/stat"):format(pid)) or ""):match("^.*%) (%a)")
    if state and state ~= "Z" and state ~= "D" then seen[state == "T" and "T" or "R"] = true end
    for child in (S.readfile(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch "%d+" do visit(tonumber(child)) end
  end
  for _, row in ipairs(d.json("ps", "--json").containers) do visit(row.pid) end
  for state in pairs(seen) do list[#list + 1] = state end
  table.sort(list)
  return table.concat(list)
end

local function until_all(state) d.until_true("all in state " .. state, function() return states() == state end) end

-- A shell with job control, as luge's parent, on a screen.
local function shell()
  local s = screens.new(24, 200)
  s:start_words { "/bin/bash", "--norc", "--noediting", "-i", env = { LUGE_STATE = box.state, TERM = "vt100", PS1 = "> " } }
  s:expect "> $"
  return s
end

t.test("Ctrl-Z stops every process of its containers, fg has them go on", function()
  for _, more in ipairs { "", ", init = false", t.root and ", limits = { pids = 50 }" or nil } do
    local s = shell()
    s:type(("%s run --name grp %s\r"):format(t.luge, profile(more)))
    s:expect "main up"
    d.until_true("both", function() return #d.json("ps", "--json").containers == 2 end)
    for _ = 1, 2 do
      s:type "\26"
      s:expect "Stopped"
      s:expect "> $"
      until_all "T"
      local r = d.luge("pause", "grp-main")
      t.contains(r.stderr, "it is paused already")
      s:type "fg\r"
      until_all "R"
    end
    s:type "\3"
    s:expect "main ended"
    s:expect "> $"
    s:type "exit $?\r"
    t.equal(s:finish().code, 4)
    s:restored()
  end
end)

t.test("one that stands still can be stopped, by its luge and by others, and ends with a group that is killed", function()
  for _, act in ipairs { "kill %%1; fg", "luge", "kill -9 %%1" } do
    local s = shell()
    s:type(("%s run --name grp %s\r"):format(t.luge, profile()))
    s:expect "main up"
    d.until_true("both", function() return #d.json("ps", "--json").containers == 2 end)
    s:type "\26"
    s:expect "Stopped"
    until_all "T"
    if act == "luge" then
      d.ok("stop", "grp-main")
      act = "fg"
    end
    s:type((act:gsub("%%%%", "%%")) .. "\r")
    d.until_true("the end of all", function() return #d.json("ps", "--json").containers == 0 end)
    s:type "exit 0\rexit 0\r" -- the shell asks again where it has not heard of the end yet
    t.equal(s:finish(true).code, 0)
    d.reap()
    box.nothing_left()
    s:restored()
  end
end)

t.test("where no shell could let it go on, Ctrl-Z stops nothing", function()
  local s = screens.new(24, 100)
  s:start { profile = profile() }
  s:expect "main up"
  s:type "\26"
  s.process:signal "int"
  s:expect "main ended"
  t.equal(s:finish().code, 4)
  s:restored()
end)
