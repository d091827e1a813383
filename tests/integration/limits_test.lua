-- SPDX-License-Identifier: MIT
-- The wall limit: TERM, the grace, KILL; what programs do that would not be stopped; what the report says.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)

local function run(how)
  how.report = true
  how.timeout = how.timeout or 30
  return box.run(how)
end

t.test("time that is up: 124, the reason, the words", function()
  for _, body in ipairs { "", "init = false, " } do
    local r = run { "sleep", "1000", body = body .. "limits = { wall = '300ms' }" }
    t.equal({ r.code, r.report.reason, r.report.exit_code }, { 124, "wall", 124 }, body)
    t.contains(r.stderr, "limits.wall: time was up after 0.3s")
    t.ok(r.report.figures.wall_s >= 0.3)
  end
  local r = run { "sleep", "1000", options = { "--timeout", "200ms" } }
  t.equal(r.code, 124)
  t.contains(r.stderr, "--timeout: limits.wall")
end)

t.test("a command that ends in time is not touched", function()
  local r = run { "exit", "7", body = "limits = { wall = '20s' }" }
  t.equal({ r.code, r.report.reason, r.stderr }, { 7, "exit", "" })
end)

t.test("TERM comes first, and its handler has the grace", function()
  local r = run { shell = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done",
    body = "limits = { wall = '300ms' }, stop = { grace = '20s' }" }
  t.equal({ r.code, r.stdout, r.report.reason }, { 124, "bye\n", "wall" })
end)

t.test("another signal first, when the profile says so", function()
  local r = run { shell = "trap 'echo int; exit 3' INT; while :; do sleep 0.05; done",
    body = "limits = { wall = '300ms' }, stop = { signal = 'INT', grace = '20s' }" }
  t.equal({ r.code, r.stdout }, { 124, "int\n" })
end)

t.test("KILL follows for who ignores TERM", function()
  for _, body in ipairs { "", "init = false, " } do
    local r = run { "ignore-signals", body = body .. "limits = { wall = '300ms' }, stop = { grace = '300ms' }" }
    t.equal({ r.code, r.report.reason, r.report.signal }, { 124, "wall", 9 }, body)
  end
end)

t.test("KILL for a whole family that ignores everything", function()
  local r = run { shell = "trap '' TERM INT HUP; (trap '' TERM; setsid sleep 1000 & sleep 1000 & wait) & sleep 1000 & wait",
    body = "limits = { wall = '300ms' }, stop = { grace = '300ms' }" }
  t.equal({ r.code, r.held }, { 124 })
end)

t.test("who has stopped itself is ended in time", function()
  local r = run { shell = "kill -STOP $$; echo woken", body = "limits = { wall = '300ms' }, stop = { grace = '5s' }" }
  t.equal({ r.code, r.report.reason }, { 124, "wall" })
  r = run { shell = "trap 'echo handled; exit 0' TERM; kill -STOP $$; while :; do sleep 0.05; done",
    body = "limits = { wall = '300ms' }, stop = { grace = '20s' }" }
  t.equal(r.stdout, "handled\n", "CONT comes after TERM")
end)

t.test("who stops PID 1, or tries to, is ended in time", function()
  local r = run { shell = "kill -STOP 1; kill -9 1; kill -TERM 1; sleep 1000",
    body = "limits = { wall = '500ms' }, stop = { grace = '300ms' }" }
  t.ok(r.code == 124 or r.code == 143, "ended with " .. r.code)
end)

t.test("who spins or floods is ended in time", function()
  t.equal(run({ "spin", body = "limits = { wall = '300ms' }, stop = { grace = '300ms' }" }).code, 124)
  t.equal(run({ shell = "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
    body = "limits = { wall = '300ms' }, stop = { grace = '1s' }" }).code, 124)
end)

t.test("a fork bomb is held and ended", function()
  local r = run { shell = "f() { f | f & }; f; sleep 1000", timeout = 60,
    body = "user = '1000:1000', limits = { wall = '1s', processes = 50 }, stop = { grace = '500ms' }" }
  t.ok(r.code == 124 or r.report.reason == "exit", r.code .. " " .. r.report.reason)
end)

t.test("children that are left do not lengthen the run", function()
  local r = run { shell = "(trap '' TERM HUP; sleep 1000) & echo done", body = "limits = { wall = '20s' }" }
  t.equal({ r.code, r.stdout, r.held }, { 0, "done\n" })
end)

t.test("a limit of file size ends with XFSZ", function()
  local r = run { "flood", "1", body = "limits = { file_size = '64K' }", words = { "/bin/sh", "-c",
    "exec dd if=/dev/zero of=/tmp/f bs=64k count=4" } }
  t.equal({ r.code, r.report.reason, r.report.signal }, { 128 + 25, "signal", 25 })
end)

t.test("memory that one process may not have", function()
  local r = run { "eat", "400", body = "limits = { address_space = '128M' }" }
  t.equal(r.code, 1)
  t.contains(r.stdout, "ENOMEM")
end)

t.test("wrong values", function()
  for _, value in ipairs { "'10 minutes'", "-1", "0", "'1y'", "{}", "true", "0/0", "1/0" } do
    box.refused({ "exit", "0", body = ("limits = { wall = %s }"):format(value) }, "limits.wall")
  end
end)
