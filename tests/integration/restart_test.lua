-- SPDX-License-Identifier: MIT
-- `restart`: a container is started again, afresh, as often as its policy says; whoever stops it ends it for good.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local function policy(text) return "restart = { " .. text .. " }" end

local FAST = 'on = "always", delay = "1ms"'
local FOR_EVER = 'on = "always", delay = "1h"' -- ends, and then waits

local function events_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = t.ok(t.json.decode(line), line) end
  return list
end

-- ---- in the foreground ----

t.test("a failure is tried again, max times, and the report says how often", function()
  local r = box.run { shell = "echo run; exit 3", body = policy 'max = 3, delay = "1ms"', report = true }
  t.equal({ r.code, r.stdout, r.report.restarts, r.report.reason, r.report.exit_code }, { 3, ("run\n"):rep(4), 3, "exit", 3 })
  local _, said = r.stderr:gsub("ended with exit code 3: started again in ", "")
  t.equal(said, 3, r.stderr)
  t.contains(r.stderr, "(3 of 3)")
end)

t.test("a good end is the end of a policy for failures, not of one for always", function()
  local r = box.run { shell = "echo run", body = policy 'on = "failure", delay = 0', report = true }
  t.equal({ r.code, r.stdout, r.report.restarts }, { 0, "run\n", 0 })
  r = box.run { shell = "echo run", body = policy 'on = "always", max = 2, delay = 0', report = true }
  t.equal({ r.code, r.stdout, r.report.restarts }, { 0, "run\nrun\nrun\n", 2 })
  t.equal(box.run({ shell = "echo run", body = 'restart = false' }).stdout, "run\n")
  t.equal(box.run({ shell = "echo run; exit 1", body = 'restart = "failure"', options = { "--set", "restart.max=1", "--set",
    "restart.delay=0s" } }).stdout, "run\nrun\n", "the short form")
end)

t.test("each run is a new container, and what is kept is kept", function()
  local dir = t.dir "0777"
  local r = box.run { body = ("mounts = { bind { %q, '/kept', rw = true } }, "):format(dir) .. policy 'max = 2, delay = 0',
    shell = [[test -e /tmp/mine && exit 99; echo > /tmp/mine; sleep 1000 & set -- /proc/[0-9]*; echo $$ $#
      echo >> /kept/runs; test $(wc -l < /kept/runs) = 3]] }
  t.equal(r.code, 0, r.stderr)
  local first = r.stdout:match "[^\n]*\n"
  t.equal(r.stdout, first:rep(3), "process ids begin again, and nothing runs on")
end)

t.test("what keep copies out is that of the last run; what was there before stays", function()
  local to = t.dir "0777"
  t.write(to .. "/old", "old")
  local dir = t.dir "0777"
  local r = box.run { shell = "echo >> /kept/runs; wc -l < /kept/runs | tee /tmp/log > /tmp/old; exit 1",
    body = ("mounts = { bind { %q, '/kept', rw = true } }, keep = { artifacts = { '/tmp/log', '/tmp/old' }, to = %q }, ")
      :format(dir, to) .. policy 'max = 2, delay = 0' }
  t.equal({ t.read(to .. "/log"), t.read(to .. "/old") }, { "3\n", "old" }, r.stderr)
  local _, said = r.stderr:gsub("keep: old: it is there already", "")
  t.equal(said, 3)
  t.lacks(r.stderr, "keep: log")
end)

t.test("hooks run around each of the runs", function()
  local hook = t.write(t.dir "0755" .. "/hook.lua", "io.stderr:write('hook\\n')", "0644")
  local r = box.run { shell = "exit 1", body = ("hooks = { prepare = %q, stopped = %q }, "):format(hook, hook)
    .. policy 'max = 2, delay = 0' }
  local _, count = r.stderr:gsub("hook\n", "")
  t.equal({ r.code, count }, { 1, 6 }, r.stderr)
end)

t.test("signals and limits are failures, and each run has the limits anew", function()
  local r = box.run { shell = "echo run; kill -9 $$", body = policy 'max = 1, delay = 0', report = true }
  t.equal({ r.code, r.stdout, r.report.reason, r.report.restarts }, { 137, "run\nrun\n", "signal", 1 })
  r = box.run { shell = "echo run; sleep 1000", body = policy 'max = 1, delay = 0' .. ", limits = { wall = '300ms' }", report = true }
  t.equal({ r.code, r.stdout, r.report.reason, r.report.restarts }, { 124, "run\nrun\n", "wall", 1 })
  r = box.run { shell = "echo run; echo more than that; sleep 1000", body = policy 'max = 1, delay = 0' .. ", limits = { output = 8 }" }
  t.equal({ r.code, r.stdout }, { 124, "run\nmorerun\nmore" })
end)

t.test("without luge's PID 1 as well", function()
  local r = box.run { shell = "echo run; exit 3", body = "init = false, " .. policy 'max = 2, delay = 0' }
  t.equal({ r.code, r.stdout }, { 3, "run\nrun\nrun\n" })
  if t.root then
    r = box.run { shell = "echo run; sleep 1000 & exit 3",
      body = "id_map = 'host', namespaces = { pid = 'host' }, " .. policy 'max = 2, delay = 0' }
    t.equal({ r.code, r.stdout }, { 3, "run\nrun\nrun\n" })
  end
end)

t.test("a first start that fails is not tried again", function()
  local r = box.run { words = { "/no/such/program" }, body = policy(FAST), report = true }
  t.equal({ r.code, r.report.reason, r.report.restarts }, { 127, "setup", 0 })
  t.lacks(r.stderr, "started again")
end)

t.test("a later start that fails is a failure like others", function()
  local dir = t.dir "0777"
  t.write(dir .. "/program", "#!/bin/sh\nrm /kept/program\nexit 3\n", "0755")
  local r = box.run { words = { "/kept/program" }, body = ("mounts = { bind { %q, '/kept', rw = true } }, "):format(dir)
    .. policy 'max = 2, delay = 0', report = true }
  t.equal({ r.code, r.report.reason, r.report.restarts }, { 127, "setup", 2 }, r.stderr)
end)

t.test("events tell of each run", function()
  local r = box.run { shell = "exit 3", body = policy 'max = 1, delay = 0', options = { "--status-fd", "1" } }
  local names = {}
  for i, event in ipairs(events_of(r.stdout)) do names[i] = event.event end
  t.equal(names, { "created", "started", "restarting", "created", "started", "ended" })
  local pause = events_of(r.stdout)[3]
  t.equal({ pause.restarts, pause.exit_code, pause.reason, pause.delay_s }, { 1, 3, "exit", 0 })
end)

t.test("pauses grow to a minute", function()
  local r = box.run { shell = "exit 3", body = policy 'max = 4, delay = "1ms"', options = { "--status-fd", "1" } }
  local pauses = {}
  for _, event in ipairs(events_of(r.stdout)) do pauses[#pauses + 1] = event.delay_s end
  t.equal(pauses, { 0.001, 0.002, 0.004, 0.008 })
  local p = box.start { shell = "exit 3", body = policy 'delay = "45s"', options = { "--status-fd", "1" } }
  p:await '"delay_s":45.0'
  p:signal "term"
  t.equal(p:wait().code, 3)
  box.nothing_left()
end)

t.test("INT, TERM, HUP and QUIT end it for good, while it runs and in the pause", function()
  for _, name in ipairs { "int", "term", "hup", "quit" } do
    local p = box.start { shell = "echo up; exec sleep 1000", body = policy(FAST) }
    p:await "up\n"
    p:signal(name)
    local r = p:wait()
    t.equal({ r.code, r.stdout }, { 128 + S.c.SIG[name:upper()], "up\n" }, name)
    box.nothing_left()
    p = box.start { shell = "exit 5", body = policy(FOR_EVER) }
    p:await("started again", "stderr")
    p:signal(name)
    t.equal(p:wait().code, 5, name)
    box.nothing_left()
  end
end)

t.test("a Ctrl-C in a terminal of its own ends it too", function()
  local r = box.run { words = { "sh", "-c", "kill -INT $$" }, body = policy 'max = 3, delay = 0, on = "always"', options = { "-t" },
    report = true }
  t.equal({ r.code, r.report.restarts }, { 130, 0 })
  r = box.run { shell = "echo run; exit 1", body = policy 'max = 2, delay = 0', options = { "-t" }, report = true }
  t.equal({ r.code, r.report.restarts, r.stdout }, { 1, 2, ("run\r\n"):rep(3) }, "a terminal for each run")
end)

-- ---- detached ----

d.test("detached: ps and inspect count, wait waits for the last run, logs have all", function()
  d.start("det-r", { shell = "echo run; exit 3", body = policy 'max = 3, delay = "50ms"' })
  t.equal(d.luge("wait", "det-r").code, 3)
  local row = d.seen "det-r"
  t.equal({ row.state, row.exit_code, row.restarts }, { "ended", 3, 3 })
  t.equal(d.json("inspect", "det-r").containers[1].restarts, 3)
  t.equal(d.ok("logs", "det-r"), ("run\n"):rep(4))
  d.ok("rm", "det-r")
  d.nothing_left()
end)

d.test("detached: a command joins the run that there is", function()
  d.start("det-r", { shell = "echo up; exec sleep 1000", body = policy(FAST) })
  for run = 0, 2 do
    d.until_true("a run", function() return d.luge("exec", "det-r", "/guest", "exit", "7").code == 7 end)
    local pid = d.seen("det-r").pid
    d.ok("exec", "det-r", "/guest", "exit", "0")
    t.equal(d.seen("det-r").restarts, run)
    d.luge("exec", "det-r", "/bin/sh", "-c", "kill -9 2")
    d.until_true("the next run", function()
      local row = d.seen "det-r"
      return row.state == "running" and row.pid ~= pid
    end)
  end
  d.ok("rm", "-f", "-t", "0", "det-r")
  d.nothing_left()
end)

d.test("detached: one that waits for its next run is seen, and its name is taken", function()
  d.start("det-r", { shell = "exit 3", body = policy(FOR_EVER) })
  local row = d.until_true("the pause", function()
    local seen = d.seen "det-r"
    return seen.state == "restarting" and seen
  end)
  t.equal({ row.pid, row.restarts, #row.argv }, { t.json.null, 0, 3 })
  t.matches(d.ok "ps", "det%-r +profile +restarting, for ")
  t.equal(#d.json("ps", "--json", "--filter", "state=restarting").containers, 1)
  t.equal(d.json("inspect", "det-r").containers[1].state, "restarting")
  t.contains(d.luge("exec", "det-r", "true").stderr, "is between two runs")
  t.equal(d.luge("top", "det-r").code, 125)
  t.equal(d.luge("pause", "det-r").code, 125)
  t.equal(d.luge("stats", "--once").code, 0)
  t.equal(d.ok "gc", "", "nothing to take away")
  t.equal(d.run("det-r", { "exit", "0" }).code, 125, "the name is taken")
  local waiting = d.beside(row, "wait", "det-r")
  d.ok("stop", "det-r")
  t.equal(waiting:wait().code, 3)
  row = d.seen "det-r"
  t.equal({ row.state, row.exit_code, row.reason, row.restarts }, { "ended", 3, "stopped", 0 })
  d.ok("rm", "det-r")
  d.nothing_left()
end)

d.test("detached: stop, kill and rm end it for good, also between two runs", function()
  for _, words in ipairs { { "stop" }, { "stop", "-t", "0" }, { "kill" }, { "kill", "-s", "TERM" }, { "rm", "-f" } } do
    for _, when in ipairs { "running", "restarting" } do
      d.start("det-r", { shell = when == "running" and "exec sleep 1000" or "exit 3", body = policy(FOR_EVER) })
      d.until_true(when, function() return d.seen "det-r".state == when end)
      local command = table.move(words, 1, #words, 1, {})
      command[#command + 1] = "det-r"
      d.ok(table.unpack(command))
      if words[1] ~= "rm" then
        d.luge("wait", "det-r")
        t.equal({ d.seen "det-r".state, d.seen "det-r".restarts }, { "ended", 0 }, table.concat(words, " ") .. " " .. when)
        d.ok("rm", "det-r")
      end
      d.nothing_left()
    end
  end
end)

d.test("detached: HUP by kill is the command's, and no end", function()
  d.start("det-r", { shell = "trap 'echo again; exit 4' HUP; echo up; while :; do sleep 0.01; done", body = policy(FAST) })
  d.until_true("the first run", function() return d.ok("logs", "det-r") == "up\n" end)
  d.ok("kill", "-s", "HUP", "det-r")
  d.until_true("the second", function() return d.ok("logs", "det-r") == "up\nagain\nup\n" end)
  d.ok("rm", "-f", "det-r")
  d.nothing_left()
end)

d.test("detached: clients wait through the runs, and descriptors do not grow", function()
  d.start("det-r", { shell = "sleep 0.01; exit 3", body = policy 'on = "always", delay = 0', options = { "--rm" } })
  local row = d.seen "det-r"
  local function descriptors() return #S.dir(("/proc/%d/fd"):format(row.luge)) end
  local waiting = d.beside(row, "wait", "det-r")
  d.until_true("thirty runs", function() return t.ok(d.seen "det-r", "it is always seen").restarts >= 30 end)
  -- A start has some more for a moment, those of its mounts.
  d.until_true("a handful of descriptors", function() return descriptors() < 30 end)
  t.equal(d.luge("ps", "-q").stdout, "det-r\n")
  d.ok("stop", "det-r")
  t.ok(waiting:wait().code ~= 0)
  d.nothing_left()
end)

d.test("detached: one whose next run is on its way is seen, logged, and stopped for good", function()
  local dir = t.dir "0755"
  -- Of the second start the script waits: its luge is between the pause and the container.
  t.write(dir .. "/slow.lua", ([[
    local S, here = require "syscall", %q
    if not S.stat(here .. "/first") then return S.open(here .. "/first", "creat, wronly, cloexec", "0644") end
    S.open(here .. "/waits", "creat, wronly, cloexec", "0644")
    while not S.stat(here .. "/go") do S.nanosleep(0.002) end]]):format(dir), "0644")
  local body = policy(FAST) .. (", hooks = { prepare = %q }"):format(dir .. "/slow.lua")
  d.start("det-r", { shell = "echo run; exit 3", body = body })
  d.until_true("the second start", function() return S.stat(dir .. "/waits") end)
  local row = d.seen "det-r"
  t.ok(row, "ps does not know it")
  t.equal({ row.state, row.pid, row.restarts }, { "restarting", t.json.null, 1 })
  t.equal(d.ok("logs", "det-r"), "run\n")
  t.write(dir .. "/go", "")
  d.ok("stop", "det-r")
  t.equal(d.seen "det-r".state, "ended")
  d.ok("rm", "det-r")
  d.nothing_left()
end)

d.test("detached: a luge that is killed in a run or a pause leaves nothing that gc does not take", function()
  for _, when in ipairs { "running", "restarting" } do
    d.start("det-r", { shell = when == "running" and "exec sleep 1000" or "exit 3", body = policy(FOR_EVER) })
    d.until_true(when, function() return d.seen "det-r".state == when end)
    d.lose "det-r"
    t.equal(d.seen "det-r".state, "lost", when)
    d.ok "gc"
    d.ok("rm", "det-r")
    d.nothing_left()
  end
end)
