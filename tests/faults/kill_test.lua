-- SPDX-License-Identifier: MIT
-- SIGKILL of luge, of its child, of PID 1 and of the command, before and after each system call of a run: the container
-- dies, the commands that look at it say what is so, and `luge gc` leaves the host as before. `make soak` tries every
-- point, otherwise every n-th.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local f = dofile "tests/faults/faults.lua"(t)
local sweep = dofile "tests/faults/kill.lua"(t, f)

local RUN, ALL, profile = f.RUN, f.ALL, f.profile
local PLAIN = profile "plain.lua"
local WHOLE = t.root and profile("whole.lua", ", limits = { memory = '64M', pids = 32 }") or PLAIN

t.test("a run in the foreground", function()
  local s = f.scenario { name = "run", roles = RUN, words = { "run", "--name", "$name", WHOLE, "--", "/guest", "exit", "0" } }
  sweep(s, ALL, 160)
  s:all_undone(WHOLE)
end)

t.test("a run as an ordinary user", function()
  t.needs_root()
  local s = f.scenario { name = "user", uid = 65534, roles = RUN,
    words = { "run", "--name", "$name", PLAIN, "--", "/guest", "exit", "0" } }
  sweep(s, ALL, 100)
end)

t.test("a run in the background", function()
  local s = f.scenario { name = "background", roles = f.DETACHED, detached = true,
    words = { "run", "-d", "--name", "$name", WHOLE, "--", "/guest", "exit", "0" } }
  sweep(s, { "caller", "monitor", "child", "stage", "command" }, 160)
end)

-- ---- commands on a container that runs ----

local start = f.started(PLAIN, "--", "/guest", "sleep", "1000")

f.as_users("exec: the container stays as it was", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, before = start, roles = { ["0x"] = "luge", ["0x.1"] = "child",
    ["0x.1x"] = "stage", ["0x.2"] = "command", ["0x.1x.1"] = "command" }, words = { "exec", "$name", "--", "/guest", "exit", "0" } }
  s.after = function()
    local state, row = s:seen()
    local again = s:luge("exec", s.container, "--", "/guest", "exit", "5").code
    local pids = row and t.json.decode(s:luge("top", "--json", s.container).stdout).containers[1].processes
    s:take_away()
    t.equal({ state, again, pids and #pids }, { "running", 5, 1 }, s.name)
  end
  sweep(s, { "luge", "child", "stage", "command" }, 80)
end)

f.as_users("stop: it runs or has ended, and nothing between", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, before = start, roles = { ["0x"] = "luge" },
    words = { "stop", "-t", "0s", "$name" } }
  s.after = function()
    local state = s:seen()
    s:take_away()
    t.ok(state == "running" or state == "ended", s.name .. ": " .. tostring(state))
  end
  sweep(s, { "luge" }, 40)
end)

f.as_users("gc: it can be killed itself, and called again", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, roles = { ["0x"] = "luge" }, words = { "gc" } }
  s.before = function()
    local r = s:luge("run", "-d", "--rm", "--name", s.container, uid and PLAIN or WHOLE, "--", "/guest", "sleep", "1000")
    t.equal({ r.code, r.stderr }, { 0, "" })
    local _, row = s:seen()
    S.kill(row.luge, "kill")
    while S.kill(row.luge, 0) and S.wait4(row.luge, "nohang") == false do S.nanosleep(0.001) end
  end
  sweep(s, { "luge" }, 80)
end)
