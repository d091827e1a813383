-- SPDX-License-Identifier: MIT
-- `luge attach`: a detached container's output and terminal, for who comes and goes.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local screens = dofile "tests/integration/screen.lua"(t, box)
local S = require "syscall"
local test = d.test

local LEAVE = "\16\17" -- Ctrl-P Ctrl-Q

local function words(...)
  local list = { "luge", "attach", ... }
  for i, word in ipairs(list) do list[i] = d.own(word) end
  list.env = { LUGE_STATE = box.state, TERM = "vt100" }
  return list
end

-- `luge attach NAME` beside, which gets copies when this returns: two pipes of the container's luge.
local function beside(name)
  local luge = d.seen(name).luge
  local function pipes()
    local count = 0
    for _, number in ipairs(S.dir(("/proc/%d/fd"):format(luge))) do
      if (S.readlink(("/proc/%d/fd/%s"):format(luge, number)) or ""):find "^pipe:" then count = count + 1 end
    end
    return count
  end
  local before = pipes()
  local p = t.start(words(name))
  d.until_true("the copies", function() return pipes() >= before + 2 end)
  return p
end

-- A screen with `luge attach …` on it.
local function attached(...)
  local s = screens.new(30, 100)
  s:start_words(words(...))
  screens.until_raw(s)
  return s
end

local function gone(s, code)
  local r = s:finish(true)
  t.equal(r.code, code, s.text)
  s:restored()
end

local function over(...)
  for _, name in ipairs { ... } do d.ok("rm", "-f", "-t", "0", name) end
  d.nothing_left()
end

local SHELL = { words = { "/bin/sh", "-i" }, options = { "-t" }, body = "env = { PS1 = '> ' }" }

-- ---- a terminal ----

test("the terminal of a shell: typed, shown, sized, left and come back to, ended", function()
  d.start("det-a", SHELL)
  local s = attached "det-a"
  s:type "echo me$((6*7)); tty; stty size\r"
  s:expect "me42\r\n/dev/pts/0\r\n30 100\r\n"
  t.must(S.tcsetwinsize(s.slave, { rows = 44, cols = 132 }))
  s:type "trap 'stty size' WINCH; echo se''t\r"
  s:expect "set\r\n"
  t.must(S.tcsetwinsize(s.slave, { rows = 45, cols = 133 }))
  -- The shell looks for signals with each line; this one comes to it by way of two luges.
  local lines = 0
  d.until_true("the signal of the new size", function()
    if s.text:find "45 133\r\n" then return true end
    lines = lines + 1
    if lines % 50 == 1 then s:type "\r" end
    s:pump(0.01)
  end)
  s:type(LEAVE)
  s:expect "det%d+%-a' goes on"
  gone(s, 0)
  t.equal(d.seen "det-a".state, "running")
  s = attached "det-a"
  s:type "exit 7\r"
  gone(s, 7)
  t.contains(d.ok("logs", "det-a"), "me42")
  over "det-a"
end)

test("job control is the container's; Ctrl-C is not luge's", function()
  d.start("det-a", SHELL)
  local s = attached "det-a"
  s:type "sh -c 'echo be''gin; exec sleep 1000'\r"
  s:expect "begin\r\n"
  s:type "\3"
  s:expect "> $"
  s:type "sh -c 'echo be''gin; exec sleep 1000'\r"
  s:expect "begin\r\n"
  s:type "\26"
  s:expect "[Ss]topped"
  s:type "exit; exit 4\r"
  gone(s, 4)
  over "det-a"
end)

test("other keys, none, and what is no key", function()
  d.start("det-a", SHELL)
  local s = attached("--detach-keys", "ctrl-],x", "det-a")
  s:type("echo \16\17; echo on''e\r")
  s:expect "one\r\n"
  s:type "\29x"
  gone(s, 0)
  s = attached("--detach-keys", "", "det-a")
  s:type(LEAVE .. "\21echo tw''o\r")
  s:expect "two\r\n"
  s.process:signal "hup"
  gone(s, 129)
  for _, keys in ipairs { "ctrl-", "ab", "a,", ",", "ctrl-ä" } do
    local r = d.luge("attach", "--detach-keys", keys, "det-a")
    t.equal(r.code, 125, keys)
    t.contains(r.stderr, "keys expected")
  end
  over "det-a"
end)

test("given back when the container is killed, its luge is, or this luge's terminal goes", function()
  d.start("det-a", SHELL)
  local s = attached "det-a"
  d.ok("kill", "det-a")
  gone(s, 137)
  d.ok("rm", "det-a")
  d.start("det-a", SHELL)
  s = attached "det-a"
  d.lose "det-a"
  local r = s:finish(true)
  t.equal(r.code, 125)
  t.contains(s.text, "its luge is gone")
  s:restored()
  d.ok("rm", "det-a")
  d.start("det-a", SHELL)
  s = attached "det-a"
  s.master:close()
  s.slave:close()
  t.equal(s.process:wait().code, 129)
  t.equal(d.seen "det-a".state, "running")
  over "det-a"
end)

test("stopped from outside the modes are the caller's, and raw again when it goes on", function()
  d.start("det-a", SHELL)
  local s = attached "det-a"
  s.process:signal "tstp"
  d.until_true("a stopped luge", function() return S.wait4(s.process.pid, "nohang, untraced") == s.process.pid end)
  t.equal(S.tcgetattr(s.slave), s.modes)
  s.process:signal "cont"
  screens.until_raw(s)
  s:type "echo again\r"
  s:expect "again\r\n"
  s:type(LEAVE)
  gone(s, 0)
  over "det-a"
end)

test("several at once: all see it, each may type, the last size counts, one leaves alone", function()
  d.start("det-a", SHELL)
  local one, two = attached "det-a", attached "det-a"
  one:type "echo fr''om one\r"
  for _, s in ipairs { one, two } do s:expect "from one\r\n" end
  two:type "echo fr''om two\r"
  for _, s in ipairs { one, two } do s:expect "from two\r\n" end
  two:type "trap 'stty size' WINCH; echo se''t\r"
  two:expect "set\r\n"
  t.must(S.tcsetwinsize(two.slave, { rows = 20, cols = 50 }))
  two:type "\r"
  one:expect "20 50\r\n"
  one:type(LEAVE)
  gone(one, 0)
  two:type "exit 3\r"
  gone(two, 3)
  over "det-a"
end)

test("through a pipe: the keys count, its end is not the terminal's", function()
  d.start("det-a", SHELL)
  local w = words "det-a"
  w.stdin = "echo pi''ped\n" .. LEAVE
  local r = t.run(w)
  t.equal(r.code, 0, r.stderr)
  w = words "det-a"
  w.stdin = "echo la''st\n"
  local p = t.start(w)
  p:await("last\r\n", "stdout")
  t.equal(d.seen "det-a".state, "running")
  d.ok("kill", "det-a")
  t.equal(p:wait().code, 137)
  over "det-a"
end)

-- ---- streams ----

local SAYS = "trap 'echo got term; exit 5' TERM; echo out; echo err >&2; while :; do sleep 0.02; done"

test("without a terminal: both streams, apart, and signals", function()
  local gate = t.dir "0777"
  t.write(gate .. "/wait", "", "0666")
  d.start("det-s", { body = ("mounts = { bind { %q, '/gate' } }"):format(gate),
    shell = "while [ -e /gate/wait ]; do sleep 0.02; done; " .. SAYS })
  local p = beside "det-s"
  S.unlink(gate .. "/wait")
  p:await("out\n", "stdout")
  p:await("err\n", "stderr")
  p:signal "term"
  local r = p:wait()
  t.equal({ r.code, r.stdout, r.stderr }, { 5, "out\ngot term\n", "err\n" })
  over "det-s"
end)

test("on a terminal the keys are looked for, what is typed goes nowhere, Ctrl-C is passed on", function()
  d.start("det-s", { shell = "trap 'echo got int' INT; echo ready; while :; do sleep 0.02; done" })
  local function start()
    local s = screens.new()
    s:start_words(words "det-s")
    d.until_true("keys without echo", function() return S.tcgetattr(s.slave).lflag & S.c.LFLAG.ICANON == 0 end)
    return s
  end
  local s = start()
  s:type("abc" .. LEAVE)
  s:expect "goes on"
  gone(s, 0)
  t.lacks(s.text, "abc")
  s = start()
  s:type "\3"
  s:expect "got int\r\n"
  s.process:signal "hup"
  gone(s, 129)
  t.equal(d.seen "det-s".state, "running")
  over "det-s"
end)

test("a closed reader is no error, and ends nothing", function()
  d.start("det-s", { shell = "while :; do echo line; sleep 0.02; done" })
  local r, w = S.pipe "cloexec"
  local list = words "det-s"
  list.fds = { [1] = w }
  local p = t.start(list)
  w:close()
  t.must(S.read(r, 10))
  r:close()
  local result = p:wait()
  t.equal({ result.code, result.stderr }, { 0, d.own "luge: the container 'det-s' goes on\n" })
  t.equal(d.seen "det-s".state, "running")
  over "det-s"
end)

test("who is stopped holds up nobody: the log is whole, the other sees all, the loss is told", function()
  local gate = t.dir "0777"
  t.write(gate .. "/wait", "", "0666")
  d.start("det-s", { body = ("mounts = { bind { %q, '/gate' } }, log = { size = '50M' }"):format(gate),
    shell = "while [ -e /gate/wait ]; do sleep 0.02; done; seq 1 200000; echo end; while [ ! -e /gate/end ]; do sleep 0.02; done" })
  local slow = beside "det-s"
  slow:signal "stop"
  S.unlink(gate .. "/wait")
  d.until_true("the end of the output", function() return d.ok("logs", "-n", "1", "det-s") == "end\n" end)
  local count = select(2, d.ok("logs", "det-s"):gsub("\n", ""))
  t.equal(count, 200001)
  slow:signal "cont"
  t.write(gate .. "/end", "")
  local r = slow:wait()
  t.equal(r.code, 0)
  t.matches(r.stderr, "%d+ bytes of the output are missing here")
  local missing = tonumber(r.stderr:match "(%d+) bytes")
  t.equal(#r.stdout + missing, 1288895 + 4)
  over "det-s"
end)

test("one that is started again is left: its next run has a terminal of its own", function()
  d.start("det-r", { words = { "/bin/sh", "-i" }, options = { "-t" }, body = "restart = { on = 'failure', delay = '10ms', max = 5 }" })
  local s = attached "det-r"
  s:type "exit 4\r"
  s:expect "is started again"
  gone(s, 4)
  d.ok("wait", "--condition", "running", "det-r")
  s = attached "det-r"
  s:type "echo an''ew; exit 0\r"
  s:expect "anew\r\n"
  gone(s, 0)
  over "det-r"
end)

-- ---- refusals ----

test("what cannot be attached to", function()
  local function refused(name, ...)
    local r = d.luge("attach", name)
    t.equal(r.code, 125, r.stderr)
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
  end
  refused("det-none", "no container 'det-none'")
  d.start("det-q", { "sleep", "1000", body = "log = false" })
  refused("det-q", "goes nowhere (log = false)")
  over "det-q"
  local p = t.start(d.words { "sleep", "1000", options = { "--name", d.own "det-f" } })
  d.until_true("the container", function() return (d.seen "det-f" or {}).state == "running" end)
  refused("det-f", "in the foreground")
  p:signal "term"
  p:wait()
  d.start("det-e", { "exit", "0" })
  d.luge("wait", "det-e")
  refused("det-e", "has ended", "luge logs")
  over "det-e"
end)

test("a terminal and no log", function()
  d.start("det-n", { words = { "/bin/sh", "-i" }, options = { "-t" }, body = "log = false" })
  local s = attached "det-n"
  s:type "echo un''logged; exit 6\r"
  s:expect "unlogged\r\n"
  gone(s, 6)
  over "det-n"
end)
