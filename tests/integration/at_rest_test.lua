-- SPDX-License-Identifier: MIT
-- SIGKILL of whoever stands around a container that is at rest: each later command answers what is so, nothing leaks, and
-- the log has every line up to the last one.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local screens = dofile "tests/integration/screen.lua"(t, box)
local S = require "syscall"

-- ---- what every command says ----

local function told(words, code, part)
  local r = d.luge(table.unpack(words))
  local what = table.concat(words, " ")
  t.equal(r.code, code, what .. ": " .. r.stderr)
  t.contains(r.stderr, part, what)
  t.lacks(r.stderr, "internal error", what)
end

-- Of a container whose luge was killed; lines: its log.
local function is_lost(name, lines)
  local row = d.seen(name)
  t.equal({ row.state, row.pid, row.exit_code }, { "lost", t.json.null, t.json.null })
  t.equal(d.json("inspect", name).containers[1].state, "lost")
  told({ "wait", name }, 125, "was killed")
  t.equal(d.ok("logs", name), lines, "the log")
  for _, words in ipairs { { "exec", name, "true" }, { "attach", name }, { "stop", name }, { "kill", name } } do
    told(words, 125, "was lost")
  end
  t.contains(d.gc(), name .. ".lock\n")
  t.equal(d.gc(), "", "nothing any more")
  t.equal({ d.seen(name).state, d.ok("logs", name) }, { "lost", lines }, "until somebody has looked")
  d.ok("rm", name)
  t.equal(d.seen(name), nil)
  d.nothing_left()
end

-- Of one that runs on; it is stopped and removed.
local function runs_on(name, lines)
  t.equal(d.seen(name).state, "running")
  t.equal(d.json("inspect", name).containers[1].state, "running")
  t.equal(d.luge("exec", name, "--", "/guest", "exit", "3").code, 3)
  t.equal(d.gc(), "", "it is no rest")
  if lines then t.equal(d.ok("logs", name), lines, "the log") end
  told({ "rm", name }, 125, "is running")
  d.ok("stop", "-t", "0s", name)
  local row = d.seen(name)
  t.equal(row.state, "ended")
  t.equal(d.luge("wait", name).code, row.exit_code)
  if lines then t.equal(d.ok("logs", name), lines, "the log") end
  d.ok("rm", name)
  d.nothing_left()
end

-- ---- the terminal's owner ----

-- A process of its own has a terminal's master side, as a shell's window does, and starts `luge WORDS…` on the other. Its
-- pid and luge's, when `pattern` is on the screen.
local function owner(words, pattern)
  local r, w = S.pipe "cloexec"
  local pid = t.must(S.fork())
  if pid == 0 then
    r:close()
    local screen = screens.new(30, 100)
    words.env.TERM = "vt100"
    screen:start_words(words)
    screen.slave:close()
    screen:expect(pattern)
    S.write(w, tostring(screen.process.pid))
    while true do screen:pump(100) end
  end
  w:close()
  return pid, tonumber(t.must(S.read(r, 20)))
end

local function kill_owner(pid)
  S.kill(pid, "kill")
  S.wait4(pid)
end

local function until_gone(pid)
  d.until_true("luge's end", function() return not S.kill(pid, 0) or d.is_zombie(pid) end)
end

d.test("the owner of a terminal that luge runs on: the container ends with it", function()
  local pid, luge = owner(d.words { shell = "echo re\"\"ady; exec sleep 1000", options = { "-t", "--name", "det-o" } }, "ready")
  t.equal(d.seen("det-o").state, "running")
  kill_owner(pid)
  until_gone(luge)
  t.equal(d.ok("ps", "-a", "-q"), "")
  t.equal(d.gc(), "")
  d.nothing_left()
end)

d.test("a container that takes no notice of its terminal's end is stopped by others", function()
  local pid = owner(d.words { shell = "trap '' HUP; echo re\"\"ady; while :; do sleep 1000; done", options = { "-t", "--name", "det-o" } },
    "ready")
  kill_owner(pid)
  d.ok("stop", "-t", "0s", "det-o")
  t.equal(d.ok("ps", "-a", "-q"), "")
  d.nothing_left()
end)

d.test("the owner of a terminal from which a container is attached to: the container goes on", function()
  d.start("det-o", { shell = "echo re\"\"ady; while read line; do echo got $line; done", options = { "-t" } })
  local words = { "luge", "attach", d.own "det-o", env = { LUGE_STATE = box.state } }
  local log = d.until_true("the first line", function()
    local text = d.ok("logs", "det-o")
    return text:find "ready" and text
  end)
  -- What the container wrote before is not shown again: the command's echo is.
  local r, w = S.pipe "cloexec"
  local pid = t.must(S.fork())
  if pid == 0 then
    local screen = screens.new(30, 100)
    words.env.TERM = "vt100"
    screen:start_words(words)
    screen.slave:close()
    screens.until_raw(setmetatable({ slave = screen.master }, { __index = screen }))
    screen:type "hello\n"
    screen:expect "got hello"
    S.write(w, tostring(screen.process.pid))
    while true do screen:pump(100) end
  end
  local luge = tonumber(t.must(S.read(r, 20)))
  kill_owner(pid)
  until_gone(luge)
  t.equal(d.ok("logs", "det-o"), log .. "hello\r\ngot hello\r\n")
  runs_on "det-o"
end)

-- ---- the container's luge ----

d.test("the luge of a terminal that others are attached to: they are told, and given their terminal back", function()
  d.start("det-m", { shell = "echo one; while read line; do echo got $line; done", options = { "-t" } })
  local screen = screens.new(30, 100)
  screen:start_words { "luge", "attach", d.own "det-m", env = { LUGE_STATE = box.state, TERM = "vt100" } }
  screens.until_raw(screen)
  screen:type "two\n"
  screen:expect "got two"
  d.lose "det-m"
  local r = screen:finish(true)
  t.equal(r.code, 125, screen.text)
  t.contains(screen.text, "its luge is gone")
  screen:restored()
  is_lost("det-m", "one\r\ntwo\r\ngot two\r\n")
end)

d.test("the luge of a container that writes: its log has what it had written", function()
  local out = t.dir "0777"
  d.start("det-m", { shell = "i=0; while :; do i=$((i+1)); echo line $i; echo $i > /out/last; sleep 0.01; done",
    body = ("mounts = { bind { %q, '/out', rw = true } }"):format(out) })
  d.until_true("20 lines", function() return #d.ok("logs", "det-m") > 20 * #"line 1\n" end)
  local seen = d.ok("logs", "det-m")
  d.lose "det-m"
  local all = d.ok("logs", "det-m")
  t.equal(all:sub(1, #seen), seen, "what was there once is there still")
  local n = 0
  for line in all:gmatch "[^\n]+" do
    n = n + 1
    t.equal(line, "line " .. n)
  end
  t.equal(all:sub(-1), "\n", "the last line is whole")
  is_lost("det-m", all)
end)

-- ---- the runner of a group ----

d.test("the luge that runs a group: its containers end, and no command knows them any more", function()
  local path = t.profile(("return group { main = 'main', containers = {\n" ..
    "main = container { mounts = { bind { %q, '/guest' } }, command = { '/guest', 'sleep', '1000' }, needs = { db = 'started' } },\n" ..
    "db = container { mounts = { bind { %q, '/guest' } }, command = { '/guest', 'sleep', '1000' } } } }\n"):format(t.guest, t.guest))
  local p = t.start { "luge", "run", path, env = { LUGE_STATE = box.state } }
  local rows = d.until_true("both", function()
    local list = d.json("ps", "--json").containers
    return #list == 2 and list
  end)
  p:kill()
  p:wait()
  for _, row in ipairs(rows) do until_gone(row.pid) end
  d.until_true("the end of their luges", function()
    return until_gone(rows[1].luge) == nil and until_gone(rows[2].luge) == nil
  end)
  for _, row in ipairs(rows) do
    told({ "wait", row.name }, 125, "no container")
    told({ "exec", row.name, "true" }, 125, "no container")
  end
  d.ok "gc"
  t.equal(d.ok("ps", "-a", "-q"), "")
  d.nothing_left()
end)

-- ---- a hook ----

-- A profile with a hook that notes its process and waits, and where it notes it.
local function hooked(place)
  local dir, out = t.dir "0755", t.dir "0777"
  t.write(dir .. "/hook.lua", ([[
    local S = require "syscall"
    local fd = S.open("%s/pid", "creat, wronly", "0666")
    S.write(fd, tostring(S.getpid()))
    S.rename("%s/pid", "%s/hook")
    S.nanosleep(1000)]]):format(out, out, out), "0644")
  return t.write(dir .. "/profile.lua", ("return container { mounts = { bind { %q, '/guest' } }, hooks = { %s = 'hook.lua', timeout = '1h' } }\n")
    :format(t.guest, place), "0644"), out .. "/hook"
end

local function hook_process(path)
  return d.until_true("the hook", function() return tonumber(t.read(path) or "") end)
end

for _, place in ipairs { "prepare", "started" } do
  d.test("a hook that is killed while it runs: " .. place, function()
    local profile, path = hooked(place)
    local p = t.start(d.words { profile = profile, words = { "/guest", "sleep", "1000" }, options = { "-d", "--name", "det-h" } })
    local pid = hook_process(path)
    S.kill(pid, "kill")
    local r = p:wait()
    t.equal(r.code, 125, r.stderr)
    t.contains(r.stderr, "hooks." .. place)
    until_gone(pid)
    d.luge("rm", "det-h")
    t.equal(d.gc(), "")
    d.nothing_left()
  end)

  d.test("luge killed while a hook runs, which ends with it: " .. place, function()
    local profile, path = hooked(place)
    local p = t.start(d.words { profile = profile, words = { "/guest", "sleep", "1000" }, options = { "--name", "det-h" } })
    local pid = hook_process(path)
    p:kill()
    p:wait()
    until_gone(pid)
    d.reap()
    t.equal(d.luge("stop", "det-h").code, 125)
    d.ok "gc"
    t.equal(d.ok("ps", "-a", "-q"), "")
    d.nothing_left()
  end)
end

-- ---- a health check ----

local function checked()
  local out = t.dir "0777"
  return { "sleep", "1000", body = ([[mounts = { bind { %q, '/out', rw = true } },
    health = { command = { '/bin/sh', '-c', 'echo x >> /out/begun; exec sleep 1000' }, interval = "1h", timeout = '1h', retries = 1, start_period = 0 }]])
    :format(out) }, out .. "/begun"
end

-- The `luge exec` that is the check, a child of the container's luge that is not the container.
local function check_process(row, path)
  d.until_true("the check", function() return t.read(path) end)
  for pid in S.readfile(("/proc/%d/task/%d/children"):format(row.luge, row.luge)):gmatch "%d+" do
    if tonumber(pid) ~= row.pid then return tonumber(pid) end
  end
  error "no check runs"
end

d.test("a health check that is killed is a failed one, and the container goes on", function()
  local how, path = checked()
  d.start("det-c", how)
  local row = d.seen "det-c"
  local check = check_process(row, path)
  local command = d.until_true("its command", function()
    for pid in S.readfile(("/proc/%d/task/%d/children"):format(check, check)):gmatch "%d+" do
      if S.readfile(("/proc/%s/comm"):format(pid)) == "sleep\n" then return tonumber(pid) end
    end
  end)
  S.kill(check, "kill")
  -- It comes to us, who alone can reap it: the end of the container waits for that.
  d.until_true("the command's end", function() return S.wait4(command, "nohang") == command end)
  d.until_true("the failure", function() return d.seen("det-c").health == "unhealthy" end)
  runs_on "det-c"
end)

d.test("the container's luge killed while a health check runs", function()
  local how, path = checked()
  d.start("det-c", how)
  local pid = check_process(d.seen "det-c", path)
  d.lose "det-c"
  until_gone(pid)
  is_lost("det-c", "")
end)
