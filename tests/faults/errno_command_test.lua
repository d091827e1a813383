-- SPDX-License-Identifier: MIT
-- Each system call of the commands on containers fails in turn, as errno_test.lua does it with runs: a command either does
-- what it is for and says so, or ends with 125 and says why. What it has not seen it does not tell as if it had.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local f = dofile "tests/faults/faults.lua"(t)
local sweep = dofile "tests/faults/errno.lua"(t, f)

local PLAIN = t.write(f.scratch .. "/plain.lua", ("return container { mounts = { bind { %q, '/guest' } } }\n"):format(t.guest))
local WHOLE = t.root and t.write(f.scratch .. "/whole.lua",
  ("return container { mounts = { bind { %q, '/guest' } }, limits = { memory = '64M', pids = 32 } }\n"):format(t.guest)) or PLAIN

local LUGE = { ["0x"] = "luge" }
local EXEC = { ["0x"] = "luge", ["0x.1"] = "child", ["0x.1x"] = "stage", ["0x.1x.1"] = "command", ["0x.1x.1x"] = "program" }

f.as_users("exec", function(name, uid)
  local s = f.scenario { name = name, uid = uid, roles = EXEC, keeps = true, words = { "exec", "$name", "--", "/guest", "facts" },
    before = f.started(PLAIN, "--", "/guest", "sleep", "1000") }
  s.after = function()
    local again = s:luge("exec", s.container, "--", "/guest", "exit", "5").code
    s:take_away()
    t.equal(again, 5, "the container")
  end
  sweep(s, { "luge", "child", "stage", "command" }, 50)
end)

f.as_users("stop", function(name, uid)
  local s = f.scenario { name = name, uid = uid, roles = LUGE, words = { "stop", "-t", "0s", "$name" },
    before = f.started(PLAIN, "--", "/guest", "sleep", "1000") }
  function s:judge(r)
    local state = s:seen()
    if r.stdout ~= "" then return "it printed " .. r.stdout end
    if state ~= "ended" and (state ~= "running" or r.code == 0) then return ("it ended with %d and left it %s"):format(r.code, state) end
  end
  s.after = function() s:take_away() end
  sweep(s, { "luge" }, 50)
end)

f.as_users("gc", function(name, uid)
  local s = f.scenario { name = name, uid = uid, roles = LUGE, words = { "gc" } }
  local start = f.started("--rm", uid and PLAIN or WHOLE, "--", "/guest", "sleep", "1000")
  s.before = function()
    start(s)
    local _, row = s:seen()
    S.kill(row.luge, "kill")
    while S.kill(row.luge, 0) and S.wait4(row.luge, "nohang") == false do S.nanosleep(0.001) end
  end
  function s:judge(r)
    if r.code ~= 0 then return nil end
    for _, line in ipairs(f.host(s)) do
      if line:find "^state" or line:find "^range" or line:find "^cgroup" then return "it succeeded and left " .. line end
    end
  end
  sweep(s, { "luge" }, 70)
end)

-- The numbers of processes and times of each start are others.
local function masked(text) return (text:gsub('("[%l]+": )%d[%d.]*', "%1N")) end

f.as_users("ps", function(name, uid)
  local s = f.scenario { name = name, uid = uid, roles = LUGE, words = { "ps", "-a", "--json" } }
  local ended = s.container .. "-ended"
  local start = f.started(PLAIN, "--", "/guest", "sleep", "1000")
  function s.before()
    t.equal(s:luge("run", "-d", "--name", ended, PLAIN, "--", "/guest", "exit", "5").code, 0)
    t.equal(s:luge("wait", ended).code, 5)
    start(s)
  end
  -- What could not be read is shown as that, or the whole fails.
  function s:judge(r)
    if r.code ~= 0 then return r.stdout ~= "" and "it failed and printed " .. r.stdout or nil end
    local expected, rows = t.json.decode(masked(s.expected):gsub(": N", ": 1")), t.json.decode(masked(r.stdout):gsub(": N", ": 1"))
    if not rows or #rows.containers ~= 2 then return "it told " .. r.stdout end
    for i, row in ipairs(rows.containers) do
      local same = t.json.encode(row) == t.json.encode(expected.containers[i])
      if not same and not (row.state == "unknown" and row.message ~= t.json.null) then return "it told " .. r.stdout end
    end
  end
  function s.after()
    s:luge("rm", ended)
    s:take_away()
  end
  sweep(s, { "luge" }, 50)
end)

f.as_users("wait", function(name, uid)
  local s = f.scenario { name = name, uid = uid, roles = LUGE, code = 5, words = { "wait", "$name" },
    before = f.started(PLAIN, "--", "/guest", "exit", "5") }
  function s:judge(r)
    if r.code == 0 then return "it ended with 0" end
    if r.stdout ~= "" then return "it printed " .. r.stdout end
  end
  sweep(s, { "luge" }, 50)
end)
