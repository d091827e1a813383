-- SPDX-License-Identifier: MIT
-- Signals: which luge passes on, Ctrl-C once, twice and three times, and a luge that is killed.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

t.test("signals are passed on to the command", function()
  for name, number in pairs { hup = 1, int = 2, quit = 3, usr1 = 10, usr2 = 12, alrm = 14, term = 15, winch = 28 } do
    for _, body in ipairs { "", "init = false" } do
      local p = box.start { "await-signal", body = body }
      p:await "ready"
      p:signal(name)
      local r = p:wait()
      t.equal({ r.code, r.stdout }, { number, "ready\n" .. name:upper() .. "\n" }, name .. " " .. body)
      t.equal(r.stderr, "")
    end
  end
  box.nothing_left()
end)

t.test("any other that somebody may send is passed on too, and what it does is told", function()
  for name, number in pairs { pwr = 30, prof = 27, vtalrm = 26, io = 29, [34] = 34, [37] = 37, [64] = 64 } do
    local path = t.dir() .. "/report"
    local p = box.start { shell = "echo ready; exec sleep 1000", options = { "--report", path } }
    p:await "ready"
    p:signal(name)
    t.equal(p:wait().code, 128 + number, name)
    t.equal(t.json.decode(t.read(path)).signal, number)
  end
  box.nothing_left()
end)

t.test("a command that a passed signal ends: 128 and its number, the reason stopped", function()
  local dir = t.dir()
  for name, number in pairs { term = 15, hup = 1, int = 2 } do
    local p = box.start { shell = "echo ready; exec sleep 1000", options = { "--report", dir .. "/" .. name } }
    p:await "ready"
    p:signal(name)
    t.equal(p:wait().code, 128 + number, name)
    local report = t.json.decode(t.read(dir .. "/" .. name))
    t.equal({ report.signal, report.exit_code }, { number, 128 + number })
    t.equal(report.reason, "stopped", name)
  end
  box.nothing_left()
end)

t.test("the first Ctrl-C is passed on, the second stops, the third kills", function()
  local p = box.start { shell = "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.02; done",
    body = "stop = { grace = '60s' }", timeout = 30 }
  p:await "ready"
  p:signal "int"
  p:await "int\n"
  p:signal "int"
  p:await "term\n"
  p:signal "int"
  local r = p:wait()
  t.equal({ r.code, r.stdout, r.timed_out }, { 137, "ready\nint\nterm\n" })
  box.nothing_left()
end)

t.test("the grace after the second Ctrl-C ends in KILL", function()
  local p = box.start { "ignore-signals", body = "stop = { grace = '300ms' }", timeout = 30 }
  p:await "ready"
  p:signal "int"
  -- Two of one signal are one as long as the first was not read.
  while S.readfile(("/proc/%d/status"):format(p.pid)):match "ShdPnd:%s*(%x+)" ~= "0000000000000000" do S.nanosleep(0.01) end
  p:signal "int"
  local r = p:wait()
  t.equal({ r.code, r.timed_out }, { 137 })
  box.nothing_left()
end)

t.test("TERM waits for the command, however often it comes", function()
  local p = box.start { shell = "trap 'echo got' TERM; echo ready; i=0; "
    .. "while [ $i -lt 20 ]; do sleep 0.02; i=$((i + 1)); done; exit 5" }
  p:await "ready"
  for _ = 1, 3 do p:signal "term" end
  local r = p:wait()
  t.equal(r.code, 5)
  t.contains(r.stdout, "got\n")
end)

-- Reaps what a killed luge left to us; false when it still runs after ten seconds.
local function all_end()
  for _ = 1, 1000 do
    if S.wait4(-1, "nohang") == nil then return true end
    S.nanosleep(0.01)
  end
  return false
end

t.test("a luge that is killed takes its container along", function()
  for _, body in ipairs { "", "init = false" } do
    local p = box.start { shell = "trap '' TERM HUP INT; echo ready; setsid sleep 1000 & sleep 1000", body = body }
    p:await "ready"
    p:kill()
    local r = p:wait()
    t.equal({ r.signal, r.held }, { 9 }, "what it left holds no output open")
    t.ok(all_end(), "PID 1 has ended")
    -- What a killed luge leaves are files whose lock nobody holds: the next start takes them away.
    t.equal(t.run(box.words { "exit", "0" }).code, 0)
    box.nothing_left()
  end
end)

t.test("a luge that is killed while it starts leaves nothing that runs", function()
  for i = 0, 20 do
    local p = box.start { "sleep", "1000" }
    S.nanosleep(i * 0.0015)
    p:kill()
    local r = p:wait()
    t.equal({ r.signal, r.held }, { 9 })
    t.ok(all_end(), "what it started has ended")
  end
  t.equal(t.run(box.words { "exit", "0" }).code, 0)
  box.nothing_left()
end)

t.test("a stop of luge itself does not hold the container", function()
  local p = box.start { shell = "echo ready; read x; exit 4", stdin = "", keep_input = true }
  p:await "ready"
  p:signal "stop"
  p:signal "cont"
  p:close_input()
  t.equal(p:wait().code, 4)
  box.nothing_left()
end)

t.test("what is inside cannot end luge's PID 1", function()
  -- What it is sent is passed on.
  local r = box.run { shell = "trap : TERM SEGV; kill -9 1; kill -TERM 1; kill -SEGV 1; sleep 0.1; echo still here", body = "" }
  t.equal({ r.code, r.stdout }, { 0, "still here\n" })
end)
