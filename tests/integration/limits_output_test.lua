-- SPDX-License-Identifier: MIT
-- limits.output: exactly so many bytes pass, whatever the container or the reader does; without the limit no pipe is
-- in between. LUGE_SOAK=1 repeats what must never be misreported 200 times.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local detached = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local ROUNDS = t.soak and 200 or 10

local function limited(limit, how)
  how.body = ("limits = { output = %s, %s }, stop = { grace = '5s' } %s"):format(limit, how.limits or "", how.more or "")
  how.report = true
  how.timeout = how.timeout or 30
  return box.run(how)
end

local function ended(r) return { r.code, r.report.reason, r.report.exit_code } end

t.test("N bytes are fine, one more is stopped, N have passed: every time", function()
  for round = 1, ROUNDS do
    for _, n in ipairs { 1, 4096, 65536, 200001 } do
      local r = limited(n, { "flood", tostring(n) })
      t.equal(ended(r), { 0, "exit", 0 }, ("round %d, %d of %d"):format(round, n, n))
      t.equal(#r.stdout, n)
      t.equal(r.stderr, "")
      r = limited(n, { "flood", tostring(n + 1) })
      t.equal(ended(r), { 124, "output", 124 }, ("round %d, %d of %d"):format(round, n + 1, n))
      t.equal(r.stdout, ("x"):rep(n))
      t.contains(r.stderr, ("limits.output: it wrote more than %d bytes; the container was stopped"):format(n))
    end
  end
end)

t.test("stdout and stderr count together", function()
  for _ = 1, ROUNDS do
    local r = limited(1000, { shell = "/guest flood 600; /guest flood 400 2" })
    t.equal({ ended(r), #r.stdout, #r.stderr }, { { 0, "exit", 0 }, 600, 400 })
    r = limited(999, { shell = "/guest flood 600; /guest flood 400 2; sleep 60" })
    t.equal(ended(r), { 124, "output", 124 })
    t.equal(#r.stdout, 600)
    t.matches(r.stderr, "^" .. ("x"):rep(399) .. "luge: ")
  end
end)

t.test("a limit of nothing", function()
  t.equal(ended(limited(0, { "exit", "4" })), { 4, "exit", 4 })
  local r = limited(0, { "print", "a" })
  t.equal({ ended(r), r.stdout }, { { 124, "output", 124 }, "" })
end)

t.test("every byte passes as it is", function()
  local random = t.must(S.open("/dev/urandom", "rdonly"))
  local text = ""
  while #text < 300000 do text = text .. t.must(S.read(random, 65536)) end
  random:close()
  for _, more in ipairs { "", ", init = false" } do
    local r = limited("'1M'", { "copy", stdin = text, more = more })
    t.equal({ r.code, r.stdout == text }, { 0, true })
  end
end)

t.test("the limit is the container's, the report's row says so", function()
  local r = limited("'1K'", { "exit", "0" })
  for _, row in ipairs(r.report.receipt) do
    if row.field == "limits.output" then
      t.matches(row.asked, "^1024 bytes through pipe:%[%d+%]$")
      t.equal(row.ok, true)
      return
    end
  end
  error "no row limits.output"
end)

t.test("without the limit there is no pipe in between", function()
  local path = t.write(t.dir() .. "/err", "")
  local file = t.must(S.open(path, "wronly, append"))
  local how = { shell = "/guest facts", fds = { [2] = file } }
  t.equal(t.json.decode(box.succeed(how).stdout).fds["2"], path)
  how.body = "limits = { output = '1M' }"
  t.matches(t.json.decode(box.succeed(how).stdout).fds["2"], "^pipe:")
  file:close()
end)

t.test("the container can open its own /dev/stdout", function()
  for _, more in ipairs { "", ", user = '7:8'" } do
    local r = limited("'1K'", { shell = "echo out > /dev/stdout; echo err > /dev/stderr", more = more })
    t.equal({ r.code, r.stdout, r.stderr }, { 0, "out\n", "err\n" })
  end
end)

-- ---- where it goes ----

-- The command line of a run as a shell's words; t.profile goes with the test.
local function shell_words(limit, guest)
  local profile = t.profile(box.text(("limits = { output = %s }"):format(limit)))
  return ("%s run %s -- %s"):format(t.luge, profile, guest)
end

local function by_shell(script)
  local r = t.run { "sh", "-c", script, env = { LUGE_STATE = box.state }, timeout = 30 }
  box.nothing_left()
  return r
end

t.test("stdout and stderr that are one file keep their order", function()
  local script = "/bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done'"
  local expected = ""
  for i = 1, 9 do expected = expected .. ("o%d\ne%d\n"):format(i, i) end
  t.equal(by_shell(shell_words("'1M'", script) .. " 2>&1").stdout, expected)
  local dir = t.dir()
  by_shell(("echo first > %s/f; "):format(dir) .. shell_words("'1M'", script) .. (" >> %s/f 2>&1"):format(dir))
  t.equal(t.read(dir .. "/f"), "first\n" .. expected)
end)

t.test("a reader that goes ends the container as it would without luge", function()
  local r = by_shell("{ " .. shell_words("'1G'", "/bin/sh -c 'while :; do echo y; done'")
    .. "; echo code $? >&2; } | head -n 2")
  t.equal({ r.stdout, r.stderr }, { "y\ny\n", "code 141\n" })
  -- Gone before anything was written.
  r = by_shell("{ " .. shell_words("'1G'", "/bin/sh -c 'sleep 0.3; while :; do echo y; done'") .. "; echo code $? >&2; } | true")
  t.equal(r.stderr, "code 141\n")
end)

t.test("stop, rm -f and kill end a container whose reader stands still", function()
  local function state_of(pid) return (S.readfile(("/proc/%d/stat"):format(pid)) or ""):match "^.*%) (%a)" end
  -- The first ends with more written than its pipe takes, the second would write for ever.
  for bytes, ways in pairs { [120000] = { { "stop", "-t", "0s" }, { "stop", "-t", "1s" }, { "kill", "-s", "KILL" },
    { "rm", "-f", "-t", "0s" } }, [1 << 40] = { { "stop", "-t", "0s" }, { "kill", "-s", "KILL" } } } do
    for _, words in ipairs(ways) do
      local read, write = S.pipe()
      local events, tell = S.pipe()
      local run = box.start { "flood", tostring(bytes), body = "limits = { output = '1T' }", timeout = 30,
        options = { "--name", "unread", "--status-fd", "9" }, fds = { [1] = write, [9] = tell } }
      local pid = t.json.decode(t.matches(S.read(events, 4096), "^[^\n]*")).pid
      detached.until_true("all that can be is written", function()
        return #t.must(S.poll({ { fd = write, events = "out" } }, 0)) == 0 and (bytes > 120000 or state_of(pid) == "Z")
      end)
      t.run { "luge", words[1], words[2], words[3], words[4] or "unread", words[4] and "unread", timeout = 20,
        env = { LUGE_STATE = box.state } }
      t.ok(not run:wait().timed_out, table.concat(words, " ") .. ": it goes on")
      for _, fd in ipairs { read, write, events, tell } do fd:close() end
      box.nothing_left()
    end
  end
end)

t.test("a place that is full is told, and ends the stream", function()
  local full = t.must(S.open("/dev/full", "wronly"))
  local r = limited("'1M'", { "flood", "900000", fds = { [1] = full } })
  full:close()
  t.equal({ r.code, r.report.signal }, { 141, 13 })
  t.contains(r.stderr, "luge: stdout: No space left on device")
end)

t.test("a stdout that is closed", function()
  local r = by_shell(shell_words("'1M'", "/guest print a") .. " >&-; echo code $? >&2")
  t.contains(r.stderr, "code ")
end)

t.test("sockets", function()
  local here, there = S.socketpair("unix", "stream")
  local r = limited(70000, { "flood", "70001", fds = { [1] = there } })
  there:close()
  local got = 0
  for data in function() local d = S.read(here) return d ~= "" and d or nil end do got = got + #data end
  t.equal({ ended(r), got }, { { 124, "output", 124 }, 70000 })
end)

t.test("a terminal outside is a pipe inside, and gets the same bytes", function()
  local master, slave = S.openpty()
  local process = box.start { shell = "test -t 1 && echo tty || echo pipe; /guest flood 5000", fds = { [1] = slave, [2] = slave },
    body = "limits = { output = 2000 }, stop = { grace = '5s' }" }
  local text = ""
  while not text:find "stopped" do text = text .. t.must(S.read(master, 4096)) end
  local r = process:wait()
  slave:close()
  master:close()
  box.nothing_left()
  t.equal(r.code, 124)
  t.matches(text, "^pipe\r\n" .. ("x"):rep(2000 - 5) .. "luge: ")
end)

-- ---- readers that are slow or stuck ----

-- A pipe that takes no more.
local function full_pipe()
  local read, write = S.pipe "nonblock"
  local n = 0
  while true do
    local put = S.write(write, ("f"):rep(4096))
    if not put then break end
    n = n + put
  end
  S.fcntl(read, "setfl", 0)
  S.fcntl(write, "setfl", 0)
  return read, write, n
end

local function read_all(fd)
  local parts = {}
  repeat
    local data = t.must(S.read(fd))
    parts[#parts + 1] = data
  until data == ""
  return table.concat(parts)
end

t.test("a stuck reader of stdout holds up neither stderr nor the wall", function()
  local read, write = full_pipe()
  local r = limited("'10M'", { shell = "/guest flood 900000 & /guest flood 300000 2; wait", fds = { [1] = write },
    limits = "wall = '2s'" })
  t.equal(ended(r), { 124, "wall", 124 })
  t.matches(r.stderr, "^" .. ("x"):rep(300000):sub(1, 100))
  t.equal(#r.stderr:match "^x*", 300000)
  write:close()
  read:close()
end)

t.test("what was written before the end waits for a slow reader", function()
  for _, case in ipairs { { 60000, 60000, { 0, "exit", 0 } }, { 60000, 60001, { 124, "output", 124 } },
    { 200000, 200001, { 124, "output", 124 } } } do
    local read, write, before = full_pipe()
    local report = t.dir() .. "/r.json"
    local process = box.start { "flood", tostring(case[2]), fds = { [1] = write }, options = { "--report", report },
      body = ("limits = { output = %d }, stop = { grace = '200ms' }"):format(case[1]) }
    write:close()
    S.nanosleep(0.6) -- the container is long over, its grace too
    local text = read_all(read)
    read:close()
    local r = process:wait()
    box.nothing_left()
    r.report = t.json.decode(t.read(report))
    t.equal(ended(r), case[3])
    t.equal(#text, before + case[1])
  end
end)

t.test("time that is up while the reader is slow", function()
  local read, write = full_pipe()
  local r = limited("'1M'", { "flood", "1000", fds = { [1] = write }, limits = "wall = '400ms'" })
  t.equal(ended(r), { 124, "wall", 124 })
  write:close()
  read:close()
end)

t.test("a signal to luge ends the wait for a reader", function()
  for _, signal in ipairs { "term", "int", "hup" } do
    local read, write = full_pipe()
    local status_read, status_write = S.pipe()
    local process = box.start { "flood", "1000", fds = { [1] = write, [9] = status_write }, options = { "--status-fd", "9" },
      body = "limits = { output = '1M' }" }
    status_write:close()
    while not (S.read(status_read) or ""):find "started" do end
    S.nanosleep(0.2)
    process:signal(signal)
    t.ok(not process:wait().timed_out, signal)
    box.nothing_left()
    for _, fd in ipairs { read, write, status_read } do fd:close() end
  end
end)

-- ---- containers that behave badly ----

t.test("who closes its output, or leaves it open behind", function()
  t.equal(ended(limited("'1K'", { shell = "exec >&- 2>&-; sleep 0.2; exit 3" })), { 3, "exit", 3 })
  for _, more in ipairs { "", ", init = false" } do
    local r = limited("'1K'", { "linger", more = more })
    t.equal({ ended(r), r.stdout, r.held }, { { 0, "exit", 0 }, "left\n" })
  end
end)

t.test("who leaves it open in the host's pid namespace", function()
  local r = limited("'1K'", { "linger", more = ", namespaces = { pid = 'host' }" })
  t.equal({ ended(r), r.stdout, r.held }, { { 0, "exit", 0 }, "left\n" })
end)

t.test("who stops itself in the middle of its output", function()
  local r = limited("'1K'", { shell = "echo before; kill -STOP $$; echo after", limits = "wall = '300ms'" })
  t.equal({ ended(r), r.stdout }, { { 124, "wall", 124 }, "before\n" })
  r = limited(7, { shell = "(echo 12345678; kill -STOP $PPID) & sleep 60" })
  t.equal({ ended(r), r.stdout }, { { 124, "output", 124 }, "1234567" })
end)

t.test("a handler of TERM that writes on is not held up, nor heard", function()
  local r = limited(100, { shell = "trap '/guest flood 500000; /guest flood 500000 2; exit 0' TERM; /guest flood 101; "
    .. "while :; do sleep 0.05; done", timeout = 4 }) -- the grace is longer
  t.equal({ ended(r), r.stdout }, { { 124, "output", 124 }, ("x"):rep(100) })
end)

t.test("a flood that ignores TERM is killed after the grace", function()
  local r = limited("'1M'", { shell = "trap '' TERM; while :; do /guest flood 1000000; done", more = ", stop = { grace = '300ms' }" })
  t.equal({ ended(r), #r.stdout, r.report.signal }, { { 124, "output", 124 }, 1 << 20, 9 })
end)

t.test("floods on both streams at once", function()
  local r = limited("'1M'", { shell = "while :; do /guest flood 100000 2; done & while :; do /guest flood 100000; done" })
  t.equal(ended(r), { 124, "output", 124 })
  t.equal(#r.stdout + #r.stderr:match "^x*", 1 << 20)
end)

t.test("wrong values", function()
  for _, value in ipairs { "-1", "'1 MB'", "{}", "true", "0/0", "1/0" } do
    box.refused({ "exit", "0", body = ("limits = { output = %s }"):format(value) }, "limits.output")
  end
end)

t.test("what outlives the command and writes on does not hold luge up", function()
  for _, reader in ipairs { "", " | head -c 100000" } do
    local r = limited("'1G'", { shell = "yes" .. reader .. " & exit 5", more = ", init = false, namespaces = { pid = 'host' }" })
    t.equal(r.code, 5, r.stderr)
  end
end)
