-- SPDX-License-Identifier: MIT
-- `health`: checks by luge exec, or a newline on a descriptor; what becomes of the states, and that no check holds up the loop.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

-- A body with a check by the shell.
local function checked(script, more, rest)
  return ("health = { command = { '/bin/sh', '-c', %q }, interval = '10ms'%s }%s"):format(script, more and ", " .. more or "",
    rest and ", " .. rest or "")
end

local function state(name) return (d.seen(name) or {}).health end

local function becomes(name, wanted)
  d.until_true(wanted, function() return state(name) == wanted end)
end

local function finish(name)
  d.ok("rm", "-f", "-t", "0", name)
  d.nothing_left()
end

local function check_of(name) return d.json("inspect", name).containers[1].health_check end

local function events(text, kind)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local event = t.json.decode(line)
    if event and event.event == kind then list[#list + 1] = event end
  end
  return list
end

local SLEEP = "exec sleep 1000"

-- ---- states ----

d.test("starting, healthy, unhealthy, and healthy again", function()
  local dir = t.dir "0777"
  d.start("det-h", { shell = SLEEP, body = ("mounts = { bind { %q, '/flags' } }, "):format(dir)
    .. checked("echo looked; test -e /flags/good", "retries = 2, start_period = '1h'") })
  t.equal(state "det-h", "starting")
  d.until_true("a failed check", function() return check_of("det-h").exit_code == 1 end)
  t.equal({ state "det-h", check_of("det-h").failures }, { "starting", 0 }, "it does not count yet")
  t.write(dir .. "/good", "")
  becomes("det-h", "healthy")
  t.matches(d.ok "ps", "running %(healthy%), for ")
  t.equal(check_of("det-h").output, "looked")
  S.unlink(dir .. "/good")
  becomes("det-h", "unhealthy")
  t.ok(check_of("det-h").failures >= 2)
  t.equal({ #d.json("ps", "--json", "--filter", "health=unhealthy").containers, d.seen("det-h").state }, { 1, "running" })
  t.write(dir .. "/good", "")
  becomes("det-h", "healthy")
  t.equal(check_of("det-h").failures, 0)
  finish "det-h"
end)

t.test("events tell each change, and ps knows of one in the foreground", function()
  local p = box.start { shell = "echo up; " .. SLEEP, body = checked("echo no good; exit 3", "start_period = 0, retries = 2"),
    options = { "--status-fd", "1" } }
  p:await '"unhealthy"'
  t.contains(d.ok "ps", "(unhealthy)")
  p:signal "term"
  local r = p:wait()
  t.equal(r.code, 143)
  local list = events(r.stdout, "health")
  t.equal({ #list, list[1].state, list[1].exit_code, list[1].output }, { 1, "unhealthy", 3, "no good" })
  box.nothing_left()
end)

t.test("the check has the container's protection and sees what its command sees", function()
  local p = box.start { shell = "echo x > /tmp/mine; " .. SLEEP, options = { "--status-fd", "1" }, body = checked(
    "read x < /tmp/mine; grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status | tr '\\n' ' '; ls /proc/self/fd | tr '\\n' ' '; id -u; test $x") }
  p:await '"healthy"'
  p:signal "term"
  local r = p:wait()
  local output = events(r.stdout, "health")[1].output
  t.matches(output, "^CapEff:%s+0+ NoNewPrivs:%s+1 Seccomp:%s+2 0 1 2 3 0$")
  box.nothing_left()
end)

t.test("with restart an unhealthy container is started again", function()
  local dir = t.dir "0777"
  local r = box.run { shell = "echo >> /kept/runs; trap 'exit 0' TERM; while test $(wc -l < /kept/runs) -lt 3; do sleep 0.01; done; exit 7",
    body = ("mounts = { bind { %q, '/kept', rw = true } }, "):format(dir)
      .. checked("exit 1", "start_period = 0, retries = 1", "restart = { on = 'failure', delay = 0, max = 2 }"), report = true }
  t.equal({ r.report.restarts, t.read(dir .. "/runs") }, { 2, "\n\n\n" }, r.stderr)
  t.contains(r.stderr, "it was unhealthy, and was stopped")
  t.ok(r.code == 7 or r.report.reason == "unhealthy", r.stderr)
end)

t.test("ended as unhealthy is no success, however politely the command ended", function()
  local r = box.run { shell = "trap 'exit 0' TERM; while :; do sleep 0.01; done", report = true,
    body = checked("exit 1", "start_period = 0, retries = 1", "restart = { on = 'failure', delay = 0, max = 1 }") }
  t.equal({ r.code, r.report.exit_code, r.report.reason, r.report.restarts }, { 124, 124, "unhealthy", 1 }, r.stderr)
  t.contains(r.stderr, "ended with exit code 124: started again")
end)

-- ---- a descriptor ----

t.test("a newline on the descriptor says ready; it is the command's alone", function()
  local p = box.start { shell = "printf partly >&5; ls /proc/self/fd | tr '\\n' ' ' >&2; printf part >&5; sleep 0.1; echo >&5; " .. SLEEP,
    body = "health = { fd = 5 }", options = { "--status-fd", "1" } }
  p:await '"healthy"'
  p:signal "term"
  local r = p:wait()
  t.equal(r.stderr, "0 1 2 3 5 ")
  t.equal(#events(r.stdout, "health"), 1)
  box.nothing_left()
end)

t.test("the descriptor may be any from 3 to 63, with init and without", function()
  for _, number in ipairs { 3, 4, 9, 63 } do
    for _, init in ipairs { "true", "false" } do
      local p = box.start { words = { "/bin/bash", "-c", ("trap 'exit 9' TERM; echo >&%d; while :; do sleep 0.01; done"):format(number) },
        body = ("health = { fd = %d }, init = %s"):format(number, init), options = { "--status-fd", "1" } }
      p:await '"healthy"'
      p:signal "term"
      t.equal(p:wait().code, 9, number .. " " .. init)
      box.nothing_left()
    end
  end
  for _, number in ipairs { 0, 2, 64, -1 } do box.refused({ shell = "true", body = ("health = { fd = %d }"):format(number) }, "health.fd") end
  local r, w = S.pipe()
  box.refused({ shell = "true", body = "health = { fd = 7 }", options = { "--pass-fd", "7" }, fds = { [7] = w } }, "--pass-fd 7")
  r:close()
  w:close()
end)

t.test("closed without a newline, or too late, is unhealthy", function()
  for _, how in ipairs { { "exec 5>&-; ", "'1h'" }, { "", "'50ms'" } } do
    local p = box.start { shell = how[1] .. SLEEP, body = "health = { fd = 5, start_period = " .. how[2] .. " }",
      options = { "--status-fd", "1" } }
    p:await '"unhealthy"'
    p:signal "term"
    p:wait()
    box.nothing_left()
  end
end)

-- ---- wait --condition ----

d.test("wait --condition", function()
  local dir = t.dir "0777"
  d.start("det-h", { shell = SLEEP, body = ("mounts = { bind { %q, '/flags' } }, "):format(dir)
    .. checked("test -e /flags/good", "retries = 1, start_period = '1h'") })
  t.equal(d.luge("wait", "--condition", "running", "det-h").code, 0)
  local waiting = d.beside(d.seen "det-h", "wait", "--condition", "healthy", "det-h")
  t.write(dir .. "/good", "")
  t.equal(waiting:wait().code, 0)
  S.unlink(dir .. "/good")
  becomes("det-h", "unhealthy")
  local r = d.luge("wait", "--condition", "healthy", "det-h")
  t.equal(r.code, 1)
  t.contains(r.stderr, "det-h is unhealthy")
  t.equal(d.luge("wait", "--condition", "odd", "det-h").code, 125)
  d.start("det-n", { shell = SLEEP })
  t.contains(d.luge("wait", "--condition", "healthy", "det-n").stderr, "no health")
  d.ok("rm", "-f", "-t", "0", "det-n")
  d.ok("stop", "-t", "0", "det-h")
  t.equal(d.luge("wait", "--condition", "healthy", "det-h").code, 1)
  d.ok("rm", "det-h")
  d.nothing_left()
end)

-- ---- hostile checks ----

-- The luge answers, whatever its checks do: inspect asks, and fails where it has waited too long.
local function answers(name) d.ok("inspect", name) end

d.test("a check that hangs is killed after its timeout", function()
  d.start("det-h", { shell = SLEEP, body = checked("trap '' TERM INT; while :; do sleep 1; done",
    "timeout = '50ms', retries = 2, start_period = 0") })
  becomes("det-h", "unhealthy")
  t.equal(check_of("det-h").exit_code, 124)
  answers "det-h"
  finish "det-h"
end)

d.test("a check that forks leaves what it left to the container, which ends it", function()
  d.start("det-h", { shell = SLEEP, body = checked("sleep 1000 & sleep 1000 & exit 0", "start_period = 0",
    t.root and "limits = { pids = 20 }") })
  d.until_true("a check", function() return check_of("det-h").checked end)
  answers "det-h"
  if t.root then becomes("det-h", "unhealthy") end -- no room for a check any more
  finish "det-h"
end)

d.test("a check that floods is read and kept in part", function()
  d.start("det-h", { shell = SLEEP, body = checked("yes | head -c 3000000; printf '\\033[31m'; exit 0", "start_period = 0") })
  becomes("det-h", "healthy")
  t.ok(#check_of("det-h").output <= 512)
  t.lacks(check_of("det-h").output, "\27")
  finish "det-h"
  d.start("det-h", { shell = SLEEP, body = checked("exec yes", "timeout = '50ms', retries = 1, start_period = 0") })
  becomes("det-h", "unhealthy")
  answers "det-h"
  finish "det-h"
end)

d.test("a check that cannot be executed fails, and says why", function()
  d.start("det-h", { shell = SLEEP, body = "health = { command = { '/no/such' }, interval = '10ms', start_period = 0, retries = 1 }" })
  becomes("det-h", "unhealthy")
  t.equal(check_of("det-h").exit_code, 127)
  t.contains(check_of("det-h").output, "not found")
  finish "det-h"
end)

d.test("the moment of the end, in the midst of checks", function()
  for _, body in ipairs { checked "exit 0", checked("exec sleep 1000", "timeout = '1h'"), checked("sleep 0.005") } do
    for _ = 1, 4 do
      d.start("det-h", { shell = SLEEP, body = body, options = { "--rm" } })
      S.nanosleep(math.random(0, 40) / 1000)
      d.ok("stop", "det-h")
      d.nothing_left()
      t.equal(box.run({ shell = "sleep 0.03; exit 3", body = body }).code, 3)
    end
  end
end)

d.test("a luge that is killed takes its check along", function()
  d.start("det-h", { shell = SLEEP, body = checked("exec sleep 1000", "timeout = '1h'"), options = { "--rm" } })
  local row = d.seen "det-h"
  d.until_true("a check", function() return #S.dir(("/proc/%d/fd"):format(row.luge)) > 0
    and (S.readfile(("/proc/%d/task/%d/children"):format(row.luge, row.luge)) or ""):match "%d+ %d+" end)
  d.lose "det-h"
  d.reap() -- until a check that was born a moment ago is another program, or dead, it has its parent's lock
  d.ok "gc"
  d.nothing_left()
end)

d.test("a paused container is not judged", function()
  t.needs_root()
  d.start("det-h", { shell = SLEEP, body = checked("exit 0", "timeout = '50ms', retries = 1, start_period = 0") })
  becomes("det-h", "healthy")
  d.ok("pause", "det-h")
  S.nanosleep(0.2)
  t.equal(state "det-h", "healthy")
  d.ok("resume", "det-h")
  becomes("det-h", "healthy")
  finish "det-h"
end)

d.test("without luge's PID 1, and in the host's pid namespace", function()
  local bodies = { "init = false, " }
  if t.root then bodies[2] = "id_map = 'host', namespaces = { pid = 'host' }, " end
  for _, body in ipairs(bodies) do
    d.start("det-h", { shell = SLEEP, body = body .. checked("sleep 0.01; exit 0") })
    becomes("det-h", "healthy")
    finish "det-h"
  end
end)

d.test("many checks leave no descriptor and no process", function()
  d.start("det-h", { shell = SLEEP, body = checked("exit 0", "start_period = 0"), options = { "--rm" } })
  local row = d.seen "det-h"
  local checks, last = 0, nil
  d.until_true("twenty checks", function()
    local at = check_of("det-h").checked
    if at and at ~= last then checks, last = checks + 1, at end
    return checks >= 20
  end)
  t.ok(#S.dir(("/proc/%d/fd"):format(row.luge)) < 30)
  finish "det-h"
end)

t.test("luge exec --timeout", function()
  d.start("det-h", { shell = SLEEP })
  t.equal(d.luge("exec", "--timeout", "50ms", "det-h", "sleep", "1000").code, 124)
  t.equal(d.luge("exec", "--timeout", "1h", "det-h", "sh", "-c", "exit 5").code, 5)
  t.equal(d.luge("exec", "--timeout", "soon", "det-h", "true").code, 125)
  d.ok("rm", "-f", "-t", "0", "det-h")
  d.nothing_left()
end)

t.test("what health must say", function()
  box.refused({ shell = "true", body = "health = {}" }, "needs one of command and fd")
  box.refused({ shell = "true", body = "health = { fd = 3, command = { 'x' } }" }, "needs one of command and fd")
  box.refused({ shell = "true", body = "health = { command = {} }" }, "has no words")
  box.refused({ shell = "true", body = "needs = { db = 'healthy' }" }, "this is none")
end)
