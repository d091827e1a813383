-- SPDX-License-Identifier: MIT
-- Terminals, from both sides: the test has the master of a terminal on which luge runs, and types.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local S = require "syscall"

local screens = dofile "tests/integration/screen.lua"(t, box)
local screen, is_raw, until_raw = screens.new, screens.is_raw, screens.until_raw

-- ---- what the command finds ----

t.test("auto on a terminal: a terminal of its own, of the same size and modes", function()
  local s = screen(31, 97)
  s:start { shell = "tty; stty size; stty -a | grep -o ' erase = ..'; echo $TERM; ps -o tty= -p $$; "
    .. "stat -c %t:%T /dev/console; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo three" }
  t.equal(s:finish().code, 0)
  local lines = {}
  for line in s.text:gmatch "[^\r\n]+" do lines[#lines + 1] = (line:gsub("^%s+", ""):gsub("%s+$", "")) end
  t.equal(lines, { "/dev/pts/0", "31 97", "erase = ^H", "vt100", "pts/0", "88:0", "three" })
  s:restored()
end)

t.test("the terminal is not the caller's: another file system, nothing of it inside", function()
  local s = screen()
  s:start { shell = "stat -c %d /dev/pts/0; ls -1 /dev/pts; for n in 0 1 2; do stat -Lc %d /proc/self/fd/$n; done" }
  s:finish()
  local device = s.text:match "^(%d+)\r\n"
  t.differs(tonumber(device), S.fstat(s.slave).dev)
  t.equal(s.text, ("%s\r\n0\r\nptmx\r\n%s\r\n%s\r\n%s\r\n"):format(device, device, device, device))
  s:restored()
end)

t.test("no terminal unless all three streams are one", function()
  for number = 0, 2 do
    local streams = {}
    for other = 0, 2 do
      if other ~= number then streams[#streams + 1] = other end
    end
    local s = screen()
    s:start { shell = "ls /dev/pts; test -e /dev/console || echo no console; exit 3", streams = streams, stdin = "" }
    t.equal(s:finish().code, 3)
    local said = s.text .. s.process.stdout
    t.contains(said, "no console", "without " .. number)
    t.equal(said:match "[^\r\n]+", "ptmx")
    s:restored()
  end
end)

t.test("false: luge's own terminal, which the command does not control", function()
  local s = screen()
  s:start { shell = "[ -t 1 ] && echo terminal; true </dev/tty || echo not controlled", body = "terminal = false" }
  s:finish()
  t.contains(s.text, "terminal\r\n")
  t.contains(s.text, "not controlled\r\n")
  s:restored()
end)

t.test("luge's own terminal gets its modes back from whoever changed them, however that ended", function()
  local spoil = "stty raw -echo; echo spoilt; kill -9 $$"
  local group = ("return group { main = 'main', containers = { main = container { command = { '/bin/sh', '-c', %q } } } }"):format(spoil)
  for _, how in ipairs { { shell = spoil, body = "terminal = false" }, { profile = t.profile(group) },
    { shell = spoil, body = "terminal = false", streams = { 1 } , stdin = "" } } do
    local s = screen()
    s:start(how)
    t.equal(s:finish().code, 137)
    s:restored()
  end
end)

t.test("true without any terminal: one of 24 by 80, whose output is luge's", function()
  local r = box.succeed { shell = "tty; stty size; echo $TERM", body = "terminal = true", env = { TERM = false } }
  t.equal(r.stdout, "/dev/pts/0\r\n24 80\r\nxterm\r\n")
  r = box.succeed { shell = "echo out; echo err >&2", options = { "-t" } }
  t.equal({ r.stdout, r.stderr }, { "out\r\nerr\r\n", "" })
  r = box.succeed { shell = "tty", options = { "-it" }, body = "init = false" }
  t.equal(r.stdout, "/dev/pts/0\r\n")
end)

t.test("a user of the container owns its terminal", function()
  local uid = t.root and 1234 or 0
  local r = box.succeed { shell = "stat -c %u:%a /dev/pts/0 && : > $(tty) && echo open", options = { "-t" },
    body = ("user = '%d:%d'"):format(uid, uid) }
  t.equal(r.stdout, uid .. ":620\r\nopen\r\n")
end)

t.test("the receipt names it", function()
  local function row(how)
    how.report = true
    for _, entry in ipairs(box.run(how).report.receipt) do
      if entry.field == "terminal" then return { entry.got, entry.ok } end
    end
  end
  t.equal(row { "exit", "0", options = { "-t" } }, { "/dev/pts/0, controlling", true })
  t.equal(row { "exit", "0", options = { "-t" }, body = "init = false" }, { "/dev/pts/0, controlling", true })
  t.equal(row { "exit", "0", body = "" }, { "none", true })
end)

t.test("without a devpts of its own: an error, or with auto luge's own streams", function()
  local body = "mounts = { tmpfs { '/dev/pts' } }"
  box.refused({ "exit", "0", options = { "-t" }, body = body }, "terminal", "no /dev/pts of its own", "devpts { }")
  local s = screen()
  s:start { shell = "echo plain; test -e /dev/console || echo no console", body = body }
  t.equal(s:finish().code, 0)
  t.contains(s.text, "no console")
  s:restored()
  t.equal(box.says { shell = "tty", options = { "-t" }, body = "mounts = { devpts { } }" }, "/dev/pts/0\r")
end)

-- ---- keys and sizes ----

t.test("a new size arrives", function()
  local s = screen(20, 40)
  s:start { shell = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done" }
  s:expect "ready"
  t.must(S.tcsetwinsize(s.slave, { rows = 44, cols = 132 }))
  s:expect "44 132"
  s.process:signal "term"
  t.equal(s:finish().code, 143)
  s:restored()
end)

t.test("Ctrl-C ends the job inside, not luge; the shell has job control", function()
  local s = screen()
  s:start { words = { "/bin/sh", "-i" } }
  s:expect "# $"
  t.lacks(s.text, "job control")
  s:type "sh -c 'echo be''gin; exec sleep 1000'; echo ended $?\r"
  s:expect "begin\r\n"
  s:type "\3"
  s:expect "# $"
  s:type "exit 5\r"
  local r = s:finish()
  t.equal(r.code, 5)
  s:restored()
end)

t.test("Ctrl-Z stops the job inside, fg goes on with it", function()
  local s = screen()
  s:start { words = { "/bin/sh", "-i" } }
  s:expect "# $"
  t.lacks(s.text, "job control")
  s:type "sh -c 'echo on''e; read a; echo two $a'\r"
  s:expect "one\r\n"
  s:type "\26"
  s:expect "# $"
  s:type "jobs\r"
  s:expect "[Ss]topped"
  s:expect "# $"
  s:type "fg\r"
  s:type "three\r"
  s:expect "two three\r\n"
  s:expect "# $"
  s:type "exit 6\r"
  t.equal(s:finish().code, 6)
  s:restored()
end)

t.test("ten million bytes come through as they are, both ways", function()
  local block = {}
  for byte = 0, 255 do block[#block + 1] = string.char(byte) end
  local unit = table.concat(block):rep(256) -- 64 KiB
  local s = screen()
  s:start { shell = "stty raw -echo; echo ready; exec head -c 10485760" }
  s:expect "ready"
  s:pump(0.05)
  s.text = ""
  until_raw(s)
  local sent, got, wanted = 0, 0, 160 * #unit
  local left, expected, position = "", unit .. unit, 0
  local deadline = S.clock_gettime "monotonic" + 120
  while got < wanted do
    if S.clock_gettime "monotonic" > deadline then s:fail(("%d of %d bytes came"):format(got, wanted)) end
    if left == "" and sent < wanted then
      left = unit
      sent = sent + #unit
    end
    local n = left ~= "" and S.write(s.master, left)
    if n then left = left:sub(n + 1) end
    local data = S.read(s.master, 65536)
    if data then
      if got == 0 then data = data:gsub("^\r?\n", "") end
      if expected:sub(position + 1, position + #data) ~= data then s:fail(("differs after %d bytes"):format(got)) end
      position = (position + #data) % #unit
      got = got + #data
    elseif not n then
      S.poll({ { fd = s.master, events = "in" } }, 100)
    end
  end
  t.equal(s:finish().code, 0)
  s:restored()
end)

t.test("what is written last is not lost", function()
  for _ = 1, 20 do
    local r = box.succeed { shell = "seq 1 20000; echo last", options = { "-t" } }
    local n = 0
    for line in r.stdout:gmatch "([^\r\n]+)\r\n" do
      n = n + 1
      if n <= 20000 and tonumber(line) ~= n then error(("line %d is %q"):format(n, line)) end
    end
    t.equal({ n, r.stdout:sub(-6) }, { 20001, "last\r\n" })
  end
end)

t.test("the keys that leave an attached container", function()
  local filter = require("sandbox.container.terminal").key_filter "\16\17"
  local function typed(...)
    local out = {}
    for i, data in ipairs { ... } do
      local passed, detached = filter(data)
      out[i] = passed .. (detached and "!" or "")
    end
    return out
  end
  t.equal(typed("abc", "\16", "x", "a\16", "\16", "b"), { "abc", "", "\16x", "a", "\16", "\16b" })
  t.equal(typed("", "a\16\17b"), { "", "a!" })
  t.equal(typed("\16", "\17"), { "", "!" })
  t.equal(typed "\17", { "\17" })
end)

-- ---- streams that are no terminal ----

t.test("standard input ends as a terminal's does", function()
  local r = box.succeed { shell = "cat; echo ended", options = { "-t" }, stdin = "one\ntwo" }
  t.contains(r.stdout, "two")
  t.contains(r.stdout, "ended\r\n")
  r = box.succeed { shell = "stty -echo; echo ready; cat | wc -l", options = { "-t" } }
  t.contains(r.stdout, "0\r\n", "from /dev/null")
  -- A shell that edits its line sets the modes after the end has come.
  r = box.run { words = { "/bin/sh", "-i" }, options = { "-t" }, stdin = "exit 7\n" }
  t.equal(r.code, 7)
  r = box.run { words = { "/bin/sh", "-i" }, options = { "-t" } }
  t.equal(r.code, 0)
end)

t.test("input from a file, output to a file", function()
  local dir = t.dir "0777"
  local lines = {}
  for i = 1, 3000 do lines[i] = "line " .. i end
  local text = table.concat(lines, "\n") .. "\n"
  t.write(dir .. "/in", text)
  t.write(dir .. "/out", "", "0666")
  local input, output = t.must(S.open(dir .. "/in")), t.must(S.open(dir .. "/out", "wronly"))
  local r = box.run { shell = "stty -echo; cat", options = { "-t" }, fds = { [0] = input, [1] = output } }
  t.equal({ r.code, r.stderr }, { 0, "" })
  local got = t.read(dir .. "/out"):gsub("\r\n", "\n")
  -- What came before the echo was off is there twice.
  t.equal(got:sub(-#text), text)
end)

t.test("stdin from elsewhere: the terminal is for output only, and Ctrl-C stays luge's", function()
  local s = screen()
  s:start { shell = "cat; [ -t 1 ] && echo terminal; exec sleep 1000", body = "terminal = true, stdin = 'null'" }
  s:expect "terminal"
  t.ok(not is_raw(S.tcgetattr(s.slave)), "raw without need")
  s:type "\3"
  t.equal(s:finish().code, 130)
  s:restored()
end)

t.test("a reader that stops makes the container wait, one that goes ends it", function()
  local r, w = S.pipe "cloexec"
  local p = box.start { shell = "yes", options = { "-t" }, fds = { [1] = w } }
  w:close()
  t.must(S.poll({ { fd = r, events = "in" } }, 30000))
  local function used() -- ticks of luge: utime, the 14th field of its stat
    return tonumber(S.readfile(("/proc/%d/stat"):format(p.pid)):match("%) " .. ("%S+ "):rep(11) .. "(%d+)"))
  end
  local function settle()
    local last
    repeat
      last = used()
      S.poll({}, 300)
    until used() == last
    return last
  end
  settle() -- nothing is done any more: a loop would go on for ever, and the harness end it
  r:close()
  local result = p:wait()
  t.ok(not result.timed_out, "it went on without a reader")
  t.equal(result.code, 129, "HUP ended it")
  box.nothing_left()
end)

t.test("limits.output counts what comes out of the terminal", function()
  local r = box.run { shell = "trap '' HUP TERM; seq 1 100000", options = { "-t" },
    body = "limits = { output = '10K' }, stop = { signal = 'TERM', grace = '200ms' }", report = true }
  t.equal({ r.code, #r.stdout, r.report.reason }, { 124, 10240, "output" })
  t.contains(r.stderr, "more than 10240 bytes")
end)

-- ---- the terminal is given back ----

t.test("restored after every ending", function()
  local endings = {
    { "exit", { shell = "echo ready; exit 3" }, 3 },
    { "a signal", { shell = "echo ready; kill -9 $$" }, 137 },
    { "PID 1", { shell = "echo ready; kill -9 $$", body = "init = false" } },
    { "time is up", { shell = "echo ready; sleep 1000", body = "limits = { wall = '300ms' }" }, 124 },
    { "too much output", { shell = "yes", body = "limits = { output = '5K' }" }, 124 },
    { "no command", { words = { "/nowhere/to/be/found" } }, 127 },
    { "a step fails", { shell = ":", body = "cwd = '/nowhere'" }, 125 },
    { "TERM", { shell = "echo ready; sleep 1000" }, 143, "term" },
    { "HUP", { shell = "echo ready; sleep 1000" }, 129, "hup" },
    { "the container is killed", { shell = "echo ready; sleep 1000" }, 137, function(s)
      local child = t.must(S.readfile(("/proc/%d/task/%d/children"):format(s.process.pid, s.process.pid))):match "%d+"
      t.must(S.kill(tonumber(child), "kill"))
    end },
  }
  for _, case in ipairs(endings) do
    local what, how, code, act = table.unpack(case, 1, 4)
    local s = screen()
    s:start(how)
    if act then
      s:expect "ready"
      until_raw(s)
      if type(act) == "string" then s.process:signal(act) else act(s) end
    end
    local r = s:finish()
    if code then t.equal(r.code, code, what .. ": " .. s.text) end
    s:restored(what)
  end
end)

-- A shell with job control as luge's parent would be: it says how luge stopped, and has it go on when told.
t.test("stopped from outside the modes are the caller's, and raw again when it goes on", function()
  local s = screen()
  local p = s:start { shell = "echo ready; read a; echo got $a" }
  s:expect "ready"
  until_raw(s)
  for _ = 1, 2 do
    p:signal "tstp"
    local status = select(2, S.waitid("pidfd", p.pidfd, "stopped, nowait")) or true
    t.ok(status)
    t.equal(S.tcgetattr(s.slave), s.modes, "while it is stopped")
    t.must(S.tcsetwinsize(s.slave, { rows = 11, cols = 22 }))
    p:signal "cont"
    until_raw(s)
  end
  s:type "it\r"
  s:expect "got it"
  t.equal(s:finish().code, 0)
  s:restored()
end)

t.test("in the background of a shell it leaves the terminal alone, until it is called to the front", function()
  local s = screen()
  local profile = t.profile(box.text 'command = { "/bin/sh", "-c", "echo ready; read a; echo got $a" }')
  s.process = t.start { "/bin/sh", "-i", env = { LUGE_STATE = box.state, PS1 = "outer> ", TERM = "vt100" },
    before = function() s:give { 0, 1, 2 } end }
  s:expect "outer> $"
  s:type(("%s run %s &\r"):format(t.luge, profile))
  s:expect "ready\r+\n" -- the modes are the shell's: both terminals add a carriage return
  t.equal(S.tcgetattr(s.slave), s.modes, "in the background")
  s:type "fg\r"
  until_raw(s)
  s:type "it\r"
  s:expect "got it\r\n"
  s:expect "outer> $"
  t.equal(S.tcgetattr(s.slave), s.modes, "after it")
  s:type "exit 9\r"
  t.equal(s:finish().code, 9)
  s:restored()
end)

t.test("without a controlling terminal", function()
  local s = screen()
  s:start { words = { "/bin/sh", "-i" }, controlling = false }
  s:expect "# $"
  t.lacks(s.text, "job control")
  s:type "tty; exit 4\r"
  s:expect "/dev/pts/0"
  t.equal(s:finish().code, 4)
  s:restored()
end)

t.test("a terminal that hangs up ends it", function()
  for _, controlling in ipairs { true, false } do
    local s = screen()
    local p = s:start { shell = "echo ready; exec sleep 1000", controlling = controlling, timeout = 20 }
    s:expect "ready"
    s.slave:close()
    s.master:close()
    local r = p:wait()
    t.ok(not r.timed_out, "it went on without its terminal")
    t.equal(r.code, 129)
    box.nothing_left()
  end
end)

-- ---- programs ----

t.test("less and vi draw and leave", function()
  local s = screen(24, 80)
  s:start { shell = "seq 1 100 | less; echo left $?", env = { TERM = "xterm" }, body = "env = { LESS = '' }" }
  s:expect "\r\n23.*:"
  s:type "q"
  s:expect "left 0"
  t.equal(s:finish().code, 0)
  s:restored()
  s = screen(24, 80)
  s:start { shell = "vi -u NONE /tmp/text; cat /tmp/text", env = { TERM = "xterm" } }
  s:expect "~"
  s:type "ihello there\27:wq\r"
  t.equal(s:finish().code, 0)
  t.contains(s.text, "hello there\r\n")
  s:restored()
end)

t.test("in script", function()
  local words = table.concat(box.words { shell = "tty; stty size" }, "' '", 2)
  local r = t.succeed { "script", "-qec", ("'%s' '%s'"):format(t.luge, words), "/dev/null",
    env = { LUGE_STATE = box.state }, stdin = "" }
  t.contains(r.stdout, "/dev/pts/0\r\n")
  box.nothing_left()
end)

t.test("in tmux", function()
  local dir = t.dir "0700"
  local words = table.concat(box.words { shell = "tty; stty size; read a; echo got $a; read b" }, "' '", 2)
  local function tmux(...)
    local command = { "tmux", "-S", dir .. "/socket", "-f", "/dev/null", ... }
    command.env = { LUGE_STATE = box.state, SHELL = "/bin/sh" }
    return t.succeed(command).stdout
  end
  tmux("new-session", "-d", "-x", "91", "-y", "33", ("exec '%s' '%s'"):format(t.luge, words))
  local function wait_for(text)
    local deadline = S.clock_gettime "monotonic" + 30
    repeat
      if S.clock_gettime "monotonic" > deadline then error(text .. " never came: " .. tmux("capture-pane", "-p")) end
      S.poll({}, 50)
    until tmux("capture-pane", "-p"):find(text, 1, true)
  end
  wait_for "/dev/pts/0"
  wait_for(" 91")
  tmux("send-keys", "word", "Enter")
  wait_for "got word"
  tmux "kill-server"
  local deadline = S.clock_gettime "monotonic" + 30
  while #S.dir(box.state) > 0 and S.clock_gettime "monotonic" < deadline do S.poll({}, 50) end
  while S.clock_gettime "monotonic" < deadline and S.wait4(-1, "nohang") ~= nil do S.poll({}, 20) end -- the server is the subreaper's
  box.nothing_left()
end)
