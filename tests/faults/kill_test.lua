-- SPDX-License-Identifier: MIT
-- SIGKILL of luge, of its child, of PID 1 and of the command, before and after each system call of a run: the container
-- dies, the commands that look at it say what is so, and `luge gc` leaves the host as before. `make soak` tries every
-- point, otherwise every n-th.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local f = dofile "tests/faults/faults.lua"(t)

-- trace.c's roles. The child becomes the stage, which is PID 1, whose child becomes the command.
local RUN = { ["0x"] = "luge", ["0x.1"] = "child", ["0x.1x"] = "stage", ["0x.1x.1"] = "command", ["0x.1x.1x"] = "program" }
local DETACHED = { ["0x"] = "caller", ["0x.1"] = "monitor", ["0x.1.1"] = "child", ["0x.1.1x"] = "stage",
  ["0x.1.1x.1"] = "command", ["0x.1.1x.1x"] = "program" }

-- In the script's own directory, where profiles outlive their test.
local function profile(name, fields)
  return t.write(f.scratch .. "/" .. name, ("return container { mounts = { bind { %q, '/guest' } }%s }\n"):format(t.guest, fields or ""))
end

local PLAIN = profile "plain.lua"
local WHOLE = t.root and profile("whole.lua", ", limits = { memory = '64M', pids = 32 }") or PLAIN

local LUGE = { luge = true, caller = true, monitor = true }

-- Whether the run may end so, where a process of this name was killed.
local function right_code(s, call, r)
  if call.name == "luge" or call.name == "caller" then return r.code == 137 end
  -- The caller hears of its monitor's end, unless the command ran before.
  if call.name == "monitor" then return r.code == 125 and r.stderr ~= "" or r.code == 0 end
  if s.detached then return r.code == 0 or r.code == 125 and r.stderr ~= "" or r.code == 137 end
  return r.code == 137 or r.code == 125 and r.stderr:find("^luge: ") or r.code == 0 and r.stdout == s.expected
end

-- Words where a point went wrong.
local function try(s, call, where)
  local r = s:trace("--kill", call.role, tostring(call.index), where)
  s.tried = s.tried + 1
  local at = ("%s: killed %s %s"):format(s.name, where == "entry" and "before" or "after", f.describe(call))
  if r.hung[1] then
    s:settle()
    return ("%s: hangs: %s"):format(at, table.concat(r.hung, ", "))
  end
  if not r.hit then
    local why = s:settle()
    return why and ("%s: %s"):format(at, why)
  end
  s.hits = (s.hits or 0) + 1
  local wrong = not right_code(s, call, r) and ("ended with %d: %s"):format(r.code, r.stderr)
  if not LUGE[call.name] and not s.detached and not wrong and #S.dir(s.state) > 0 then wrong = "state was left without gc" end
  wrong = s:settle() or wrong
  return wrong and ("%s: %s"):format(at, wrong)
end

-- Kills at a sample of the calls of these processes.
local function sweep(s, names, most)
  local points, faults = {}, {}
  local calls = s:count()
  for _, call in ipairs(f.of(calls, names)) do
    points[#points + 1] = { call, "entry" }
    points[#points + 1] = { call, "exit" }
  end
  for _, point in ipairs(f.sample(points, most)) do
    local fault = try(s, table.unpack(point))
    if fault then faults[#faults + 1] = fault end
  end
  f.conclude(s, table.concat(names, ", "), faults)
  t.ok((s.hits or 0) * 10 >= s.tried * 9, "too many points were not met: " .. (s.hits or 0))
end

local ALL = { "luge", "child", "stage", "command" }

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
  local s = f.scenario { name = "background", roles = DETACHED, detached = true,
    words = { "run", "-d", "--name", "$name", WHOLE, "--", "/guest", "exit", "0" } }
  sweep(s, { "caller", "monitor", "child", "stage", "command" }, 160)
end)

-- ---- commands on a container that runs ----

local function start(s)
  local r = s:luge("run", "-d", "--name", s.container, PLAIN, "--", "/guest", "sleep", "1000")
  t.equal({ r.code, r.stderr }, { 0, "" })
end

local function state_of(s)
  local row = t.json.decode(s:luge("ps", "-a", "--json").stdout).containers[1]
  return row and row.state, row
end

local function take_away(s) s:luge("rm", "-f", "-t", "0s", s.container) end

-- Each as this user, and as root also as an ordinary one.
local function as_users(name, body)
  local word = name:match "^%l+"
  t.test(name, function() body(word) end)
  t.test(name .. ", as an ordinary user", function()
    t.needs_root()
    body(word .. "-user", 65534)
  end)
end

as_users("exec: the container stays as it was", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, before = start, roles = { ["0x"] = "luge", ["0x.1"] = "child",
    ["0x.1x"] = "stage", ["0x.2"] = "command", ["0x.1x.1"] = "command" }, words = { "exec", "$name", "--", "/guest", "exit", "0" } }
  s.after = function()
    local state, row = state_of(s)
    local again = s:luge("exec", s.container, "--", "/guest", "exit", "5").code
    local pids = row and t.json.decode(s:luge("top", "--json", s.container).stdout).containers[1].processes
    take_away(s)
    t.equal({ state, again, pids and #pids }, { "running", 5, 1 }, s.name)
  end
  sweep(s, { "luge", "child", "stage", "command" }, 80)
end)

as_users("stop: it runs or has ended, and nothing between", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, before = start, roles = { ["0x"] = "luge" },
    words = { "stop", "-t", "0s", "$name" } }
  s.after = function()
    local state = state_of(s)
    take_away(s)
    t.ok(state == "running" or state == "ended", s.name .. ": " .. tostring(state))
  end
  sweep(s, { "luge" }, 40)
end)

as_users("gc: it can be killed itself, and called again", function(name, uid)
  local s = f.scenario { name = name, uid = uid, detached = true, roles = { ["0x"] = "luge" }, words = { "gc" } }
  s.before = function()
    local r = s:luge("run", "-d", "--rm", "--name", s.container, uid and PLAIN or WHOLE, "--", "/guest", "sleep", "1000")
    t.equal({ r.code, r.stderr }, { 0, "" })
    local _, row = state_of(s)
    S.kill(row.luge, "kill")
    while S.kill(row.luge, 0) and S.wait4(row.luge, "nohang") == false do S.nanosleep(0.001) end
  end
  sweep(s, { "luge" }, 80)
end)
