-- SPDX-License-Identifier: MIT
-- luge exec with a terminal: its own, in the container's devpts, under the container's protection.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local screens = dofile "tests/integration/screen.lua"(t, box)
local S = require "syscall"
local test = d.test

local SLEEP = { "sleep", "1000" }

local function exec(...) return d.luge("exec", ...) end

-- A screen with `luge exec …` on it.
local function on_screen(how, ...)
  local words = { "luge", "exec", ... }
  for i, word in ipairs(words) do words[i] = d.own(word) end
  words.env = { LUGE_STATE = box.state, TERM = "vt220" }
  local s = screens.new(31, 97)
  s:start_words(words, how)
  return s
end

local function ended(s, code)
  t.equal(s:finish(true).code, code, s.text)
  s:restored()
end

local function over(name)
  d.ok("rm", "-f", "-t", "0", name)
  d.nothing_left()
end

-- The same for every set of streams but three terminals, unless -t asks.
test("by itself on a terminal, not elsewhere; -t anywhere", function()
  d.start("det-t", SLEEP)
  local s = on_screen({}, "det-t", "/bin/sh", "-c", "tty; stty size; stty -a | grep -o ' erase = ..'; echo $TERM; "
    .. "ps -o tty= -p $$; exit 4")
  ended(s, 4)
  local lines = {}
  for line in s.text:gmatch "[^\r\n]+" do lines[#lines + 1] = (line:gsub("^%s+", ""):gsub("%s+$", "")) end
  t.equal(lines, { "/dev/pts/0", "31 97", "erase = ^H", "vt220", "pts/0" })
  for number = 0, 2 do
    local streams = { [0] = { 1, 2 }, { 0, 2 }, { 0, 1 } }
    s = on_screen({ streams = streams[number] }, "det-t", "/bin/sh", "-c", "ls /dev/pts")
    ended(s, 0)
    t.equal((s.text .. s.process.stdout):gsub("\r", ""), "ptmx\n", "without " .. number)
  end
  local r = exec("-t", "det-t", "/bin/sh", "-c", "tty; stty size; echo $TERM; echo err >&2; exit 3")
  t.equal({ r.code, r.stdout, r.stderr }, { 3, "/dev/pts/0\r\n24 80\r\n" .. (os.getenv "TERM" or "xterm") .. "\r\nerr\r\n", "" })
  r = exec("-t", "-e", "TERM=dumb", "det-t", "/bin/sh", "-c", "echo $TERM")
  t.equal(r.stdout, "dumb\r\n")
  over "det-t"
end)

test("the terminal is the container's, not the caller's, and its user owns it", function()
  d.start("det-t", SLEEP)
  local s = on_screen({}, "det-t", "/bin/sh", "-c", "stat -c %d /dev/pts/0; for n in 0 1 2; do stat -Lc %d /proc/self/fd/$n; done;"
    .. "ls /proc/self/fd | wc -w")
  local own = S.fstat(s.slave).dev
  ended(s, 0)
  local device = s.text:match "^(%d+)\r\n"
  t.differs(tonumber(device), own)
  t.equal(s.text, ("%s\r\n"):format(device):rep(4) .. "4\r\n") -- and the directory that ls reads
  if t.root then
    t.equal(exec("-t", "-u", "5:6", "det-t", "/bin/sh", "-c", "stat -c %u /dev/pts/0; : > $(tty) && echo open").stdout, "5\r\nopen\r\n")
  end
  over "det-t"
end)

-- What each command has of its own, and how.
local OWN = { fds = true, pid = true, ppid = true, sid = true, pgid = true, status = true, env = true }
local SAME = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Groups",
  "Cpus_allowed_list", "Umask", "SigBlk", "SigIgn" }

test("sealed as without a terminal", function()
  local bodies = { "", "seccomp = 'ci'", "seccomp = 'strict'", "seccomp = 'compute'", "seccomp = false", "no_new_privs = false",
    "init = false", "namespaces = { pid = 'host' }", "seccomp = { base = 'default', deny = { 'setsid' } }", "capabilities = { 'sys_admin' }" }
  for _, body in ipairs(bodies) do
    d.start("det-t", { "sleep", "1000", body = body })
    local with = t.ok(t.json.decode(exec("-t", "det-t", "/guest", "facts").stdout), body)
    local without = d.json("exec", "det-t", "/guest", "facts")
    for _, field in ipairs(SAME) do t.equal(with.status[field], without.status[field], body .. ": " .. field) end
    for field, value in pairs(without) do
      if not OWN[field] and not field:find "_tty$" then t.equal(with[field], value, body .. ": " .. field) end
    end
    t.equal(exec("-t", "det-t", "/bin/sh", "-c", "true </dev/tty && echo controlled").stdout:sub(-12), "controlled\r\n", body)
    d.ok("rm", "-f", "-t", "0", "det-t")
  end
  d.nothing_left()
end)

test("a shell: sizes, Ctrl-C, Ctrl-Z and fg inside", function()
  d.start("det-t", SLEEP)
  local s = on_screen({}, "-e", "PS1=> ", "det-t", "/bin/sh", "-i")
  s:expect "> $"
  t.lacks(s.text, "job control")
  s:type "sh -c 'echo be''gin; exec sleep 1000'\r"
  s:expect "begin\r\n"
  s:type "\3"
  s:expect "> $"
  s:type "sh -c 'echo on''e; read a; echo two $a'\r"
  s:expect "one\r\n"
  s:type "\26"
  s:expect "[Ss]topped"
  s:type "fg\rthree\r"
  s:expect "two three\r\n"
  s:type "trap 'stty size' WINCH; echo se''t\r"
  s:expect "set\r\n"
  t.must(S.tcsetwinsize(s.slave, { rows = 44, cols = 132 }))
  s:type "\r"
  s:expect "44 132\r\n"
  s:type "exit 6\r"
  ended(s, 6)
  over "det-t"
end)

test("its modes are given back on every way out", function()
  local function start(...)
    d.start("det-t", SLEEP)
    local s = on_screen({}, "det-t", ...)
    return s
  end
  local SHELL = { "/bin/sh", "-c", "echo ready; sleep 1000" }
  for what, act in pairs {
    ["TERM"] = function(s) s.process:signal "term" return 143 end,
    ["HUP"] = function(s) s.process:signal "hup" return 129 end,
    ["the container is killed"] = function() d.ok("kill", "det-t") return 137 end,
    ["its luge is killed"] = function() d.lose "det-t" return 137 end,
  } do
    local s = start(table.unpack(SHELL))
    s:expect "ready"
    screens.until_raw(s)
    local code = act(s)
    local r = s:finish(true)
    t.equal(r.code, code, what .. ": " .. s.text)
    s:restored(what)
    d.luge("rm", "-f", "-t", "0", "det-t")
  end
  local s = start "/no/such/program"
  ended(s, 127)
  d.luge("rm", "-f", "-t", "0", "det-t")
  s = start(table.unpack(SHELL))
  s:expect "ready"
  s.master:close()
  s.slave:close()
  t.equal(s.process:wait().code, 129, "hung up")
  over "det-t"
end)

test("bytes pass both ways; what is written last is not lost; standard input ends", function()
  d.start("det-t", SLEEP)
  local r = exec("-t", "det-t", "/bin/sh", "-c", "stty -opost; seq 1 100000")
  local count = select(2, r.stdout:gsub("\n", ""))
  t.equal({ r.code, count, r.stdout:sub(-7) }, { 0, 100000, "100000\n" })
  r = t.run { "luge", "exec", "-t", d.own "det-t", "/bin/sh", "-c", "stty -echo; echo ready; cat; echo ended", stdin = "a\nb\n",
    env = { LUGE_STATE = box.state } }
  t.contains(r.stdout, "a\r\nb\r\n")
  t.contains(r.stdout, "ended\r\n")
  over "det-t"
end)

test("a container without a devpts of its own: said, or its caller's streams", function()
  d.start("det-t", { "sleep", "1000", body = "mounts = { tmpfs { '/dev/pts' } }" })
  local r = exec("-t", "det-t", "true")
  t.equal(r.code, 125)
  t.contains(r.stderr, "no /dev/pts of its own")
  local s = on_screen({}, "det-t", "/bin/sh", "-c", "[ -t 0 ] && echo plain")
  ended(s, 0)
  t.contains(s.text, "plain")
  over "det-t"
end)

test("limits.output is the container's own: what exec writes goes to its caller and does not count", function()
  d.start("det-t", { "sleep", "1000", body = "limits = { output = 1000 }" })
  t.equal(#exec("det-t", "/bin/sh", "-c", "seq 1 10000").stdout, 48894)
  t.equal(#exec("-t", "det-t", "/bin/sh", "-c", "stty -opost; seq 1 10000").stdout, 48894)
  t.equal(d.seen "det-t".state, "running")
  t.equal(d.ok("logs", "det-t"), "")
  over "det-t"
end)
