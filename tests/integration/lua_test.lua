-- SPDX-License-Identifier: MIT
-- luge lua: scripts, their modules, errors and exit codes, and what the prompt shows.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"

local function lua(script, ...)
  return t.run { "luge", "lua", script, ... }
end

local function script(text)
  return t.write(t.dir() .. "/script.lua", text)
end

t.test("a script gets its words as lua(1) gives them", function()
  local path = script "print(arg[-2], arg[-1], arg[0], arg[1], arg[2], #arg, ...)"
  local r = lua(path, "one", "")
  t.equal(r.code, 0)
  t.equal(r.stdout, "luge\tlua\t" .. path .. "\tone\t\t2\tone\t\n")
  t.equal(r.stderr, "")
end)

t.test("a script may start with #! and end with any code", function()
  t.equal(lua(script "#!/usr/bin/env -S luge lua\nos.exit(7)").code, 7)
  t.equal(lua(script "os.exit(true)").code, 0)
  t.equal(lua(script "os.exit(false)").code, 1)
  t.equal(lua(script "return 5").code, 0)
end)

t.test("what a script left open is written out, and its finalizers run, the youngest first", function()
  local path = t.dir() .. "/left"
  local text = ([[left = io.open(%q, "w")
    left:write "written"
    for i = 1, 3 do _G["last" .. i] = setmetatable({}, { __gc = function() print(i) end }) end
    %%s]]):format(path)
  for ending, code in pairs { [""] = 0, ["error 'no'"] = 1, ["os.exit(5, true)"] = 5 } do
    local r = lua(script(text:format(ending)))
    t.equal({ r.code, r.stdout, t.read(path) }, { code, "3\n2\n1\n", "written" }, ending)
    S.unlink(path)
  end
  local r = lua(script(text:format "os.exit(6)")) -- that closes nothing
  t.equal({ r.code, r.stdout, t.read(path) }, { 6, "", "written" })
  local full = t.must(S.open("/dev/full", "wronly, cloexec"))
  r = t.run { "luge", "lua", script "io.write 'lost'", fds = { [1] = full } }
  t.equal({ r.code, r.stderr }, { 125, "luge: standard output: No space left on device\n" })
end)

t.test("the syscall layer and the network are there", function()
  local r = lua(script 'local S = require "syscall" print(S.getpid() > 0, require "netns" == S.nl)')
  t.equal(r.stdout, "true\ttrue\n")
  t.equal(lua(script "print(S, nl, help)").stdout, "nil\tnil\tnil\n")
end)

t.test("require finds files beside the script, after luge's own", function()
  local dir = t.dir()
  t.write(dir .. "/beside.lua", "return { name = ... }")
  t.write(dir .. "/syscall.lua", "error 'the wrong one'")
  t.must(S.mkdir(dir .. "/sub", "0755"))
  t.write(dir .. "/sub/init.lua", "return 'a folder'")
  t.write(dir .. "/wrong.lua", "x x")
  t.write(dir .. "/main.lua", [[
    require "syscall"
    print(require "beside".name, require "sub")
    print(select(2, pcall(require, "nothing")))
    print(select(2, pcall(require, "wrong")))]])
  local r = t.run { "luge", "lua", "main.lua", cwd = dir }
  t.equal(r.stderr, "")
  t.contains(r.stdout, "beside\ta folder\n")
  t.contains(r.stdout, "no file './nothing.lua'")
  t.contains(r.stdout, "error loading module 'wrong':\n\t./wrong.lua:1: syntax error")
  r = t.run { "luge", "lua", dir .. "/main.lua", cwd = "/" }
  t.contains(r.stdout, "beside\ta folder\n")
end)

t.test("the environment changes nothing", function()
  local dir = t.dir()
  t.write(dir .. "/elsewhere.lua", "return 1")
  local r = t.run { "luge", "lua", script 'print(pcall(require, "elsewhere"))',
    env = { LUA_PATH = dir .. "/?.lua", LUA_INIT = "error 'LUA_INIT'", LUA_PATH_5_3 = dir .. "/?.lua" } }
  t.contains(r.stdout, "false")
  t.equal(r.code, 0)
end)

t.test("an error ends with a traceback of the script alone, and 1", function()
  local path = script "local function f()\n  error 'broken'\nend\nf()\n"
  local r = lua(path)
  t.equal(r.code, 1)
  t.contains(r.stderr, "luge: " .. path .. ":2: broken\nstack traceback:\n")
  t.contains(r.stderr, path .. ":4: in main chunk")
  t.lacks(r.stderr, "xpcall")
  t.lacks(r.stderr, "sandbox")
end)

t.test("errors that are objects are told", function()
  local r = lua(script [[
    local S = require "syscall"
    assert(S.connect(S.socket("unix", "stream"), { family = "unix", path = "/no/such" }))]])
  t.equal(r.code, 1)
  t.contains(r.stderr, "luge: No such file or directory (ENOENT)\nstack traceback:")
  t.contains(lua(script "error { code = 5 }").stderr, "luge: { code = 5 }")
  t.contains(lua(script "error(nil)").stderr, "luge: nil")
  t.contains(lua(script 'error(setmetatable({}, { __tostring = function() return "mine" end }))').stderr,
    "luge: mine")
end)

t.test("wrong scripts and words have one message", function()
  local r = lua "/no/such/script.lua"
  t.equal(r.code, 1)
  t.contains(r.stderr, "luge: cannot open /no/such/script.lua: No such file or directory\n")
  r = lua(script "x x")
  t.equal(r.code, 1)
  t.matches(r.stderr, "^luge: [^\n]*script.lua:1: syntax error near 'x'\n$")
  r = lua(script(string.dump(function() end)))
  t.equal(r.code, 1)
  t.contains(r.stderr, "attempt to load a binary chunk")
  r = lua "-e"
  t.equal(r.code, 125)
  t.contains(r.stderr, "-e is no option")
end)

t.test("standard input is a script for - and where it is no terminal", function()
  local r = t.run { "luge", "lua", "-", "word", stdin = "#!skipped\nprint(arg[0], ...)\nos.exit(3)" }
  t.equal(r.stdout, "-\tword\n")
  t.equal(r.code, 3)
  r = t.run { "luge", "lua", "-", stdin = "error 'here'" }
  t.contains(r.stderr, "luge: stdin:1: here")
  t.equal(r.code, 1)
end)

-- What the prompt answers to lines; the prompts themselves taken away.
local function prompt(lines)
  local r = t.run { "luge", "lua", script 'require("sandbox.cli.prompt").run()', stdin = lines }
  t.equal(r.code, 0)
  local answers = r.stdout:gsub("^[^\n]*\n", ""):gsub("\n$", "")
  return answers:gsub("^[> ]*> ", ""):gsub("\n[> ]*> ", "\n"), r.stderr
end

t.test("the prompt shows values", function()
  t.equal(prompt "1 + 1\n", "2\n")
  t.equal(prompt "= 1, nil, true\n", "1, nil, true\n")
  t.equal(prompt "'a\\nb\\0é'\n", '"a\\nb\\x00é"\n')
  t.equal(prompt "{ 3, b = 1, a = { 'x' }, [true] = 0, ['end'] = 1 }\n",
    '{ 3, a = { "x" }, b = 1, ["end"] = 1, [true] = 0 }\n')
  t.equal(prompt "x = {} x.x = x\nx\n", "{ x = { already shown } }\n")
  t.equal(prompt "S.connect(S.socket('unix', 'stream'), { family = 'unix', path = '/no/such' })\n",
    "nil, No such file or directory (ENOENT)\n")
  local wide = prompt "S.c.CLONE\n"
  t.contains(wide, "{\n  CHILD_CLEARTID = 2097152,\n")
  t.contains(wide, "  VM = 256\n}")
end)

t.test("the prompt takes statements of several lines and goes on after errors", function()
  t.equal(prompt "for i = 1, 2 do\nprint(i)\nend\n", "1\n2\n")
  local answers, errors = prompt "x x\nerror 'oops'\n7\n"
  t.equal(answers, "7\n")
  t.contains(errors, "syntax error near 'x'")
  t.contains(errors, "luge: prompt:1: oops")
end)

t.test("the prompt goes on whatever a line did to what it prints with", function()
  local wrong = "setmetatable({}, { __tostring = function() error 'x' end })"
  for _, line in ipairs { wrong, "error(" .. wrong .. ")", "print = nil 1\n2", "io.write, debug, xpcall, pcall, type = nil",
    "io.output(" .. ("%q"):format(t.dir() .. "/output") .. ")", "io.input '/dev/null'",
    "setmetatable({}, { __tostring = function() return {} end })", "setmetatable({}, { __name = {} })" } do
    t.matches(prompt(line .. "\nio.stdout:write 'still here'\n"), "still here", line)
  end
  local _, errors = prompt(wrong .. "\n")
  t.contains(errors, "luge: prompt:1: x\n")
  _, errors = prompt("error(" .. wrong .. ")\n")
  t.contains(errors, "luge: (error object is a table value)\n")
  _, errors = prompt "print = nil\n1\n"
  t.contains(errors, "attempt to call a nil value (global 'print')")
end)

t.test("the prompt documents", function()
  t.contains(prompt "help(S.eventfd)\n", "S.eventfd([initial [, flags]]) -> fd\n")
  t.contains(prompt "help 'S.eventfd'\n", "Source: eventfd(2).")
  t.contains(prompt "help(nl.up)\n", "nl.up(name [, netns]) -> true")
  t.contains(prompt "help()\n", "S.timerfd_settime")
  t.contains(prompt "help()\n", "link:setmtu")
  t.contains(prompt "help(nl.nft.rules)\n", "nl.nft.rules(family, table [, namespace]) -> list")
  t.contains(prompt "help(nl.link('lo').up)\n", "link:up() -> link")
  t.contains(prompt "help(nl.open().batch)\n", "socket:batch(messages) -> true")
  t.contains(prompt "help 'nothing'\n", 'no documentation of "nothing"')
  t.contains(prompt "help 'opne'\n", 'did you mean "open"?')
  t.equal(prompt "help(S.opne)\n", "no such function; help() lists all names\n")
  t.contains(prompt "help(nl)\n", "nl.veth")
  t.lacks(prompt "help(nl)\n", "S.timerfd_settime")
  t.contains(prompt "help(S)\n", "S.timerfd_settime")
  t.equal(prompt "help {}\n", "no documentation of a table; help() lists all names\n")
end)

t.test("functions that share a text have all of it", function()
  local names = {}
  for name, text in pairs(require "syscall.docs") do
    -- A line for each function, a sentence at least: one line alone ends with its source.
    if not text:find "\n" and not text:find "%(2%)%.$" and not text:find "%(7%)%.$" then names[#names + 1] = name end
  end
  t.equal(names, {})
  t.contains(prompt "help(nl.nft)\n", "Puts one table in place")
end)

t.test("the prompt is left by exit() as by Ctrl-D", function()
  for _, word in ipairs { "exit()", "quit()" } do t.equal(prompt("1\n" .. word .. "\n2\n"), "1\n") end
end)

-- A prompt on a terminal of its own, and the master.
local function on_terminal()
  local master = t.must(S.open("/dev/ptmx", "rdwr, noctty"))
  t.must(S.unlockpt(master))
  local terminal = t.must(S.ptpeer(master, "rdwr, noctty"))
  local process = t.start { "luge", "lua", timeout = 20, before = function()
    S.setsid()
    S.dup3(terminal, 0)
    S.ioctl(0, "tiocsctty")
  end }
  process:await "S is the syscall layer"
  return process, master
end

t.test("on a terminal luge lua is a prompt", function()
  local process, master = on_terminal()
  S.write(master, "'on ' .. 'a terminal'\n")
  process:await '"on a terminal"'
  S.write(master, "\4") -- Ctrl-D
  t.equal(process:wait().code, 0)
end)

t.test("a file that was left open at the prompt is written out", function()
  local path, process, master = t.dir() .. "/left", on_terminal()
  S.write(master, ("left = io.open(%q, 'w') left:write 'written'\n'opened'\n"):format(path))
  process:await '"opened"'
  S.write(master, "\4")
  t.equal({ process:wait().code, t.read(path) }, { 0, "written" })
end)

local CTRL_C, CTRL_D = "\3", "\4"

-- Until the process waits in the kernel, where it does and is not on the way only.
local function await_sleep(process, text)
  if text:find "while true" then return end
  t.until_true("the sleep of " .. text, function() return t.read(("/proc/%d/stat"):format(process.pid)):find "%) S " end)
end

-- Each says so when it begins not to end.
local ENDLESS = {
  "print 'on' while true do end",
  "print 'on' S.nanosleep(50)",
  "print 'on' return io.read()",
  "pcall(function() print 'on' while true do end end) error 'once more interrupted!'",
}

t.test("Ctrl-C ends what runs at the prompt, not the prompt", function()
  local process, master = on_terminal()
  for i, line in ipairs(ENDLESS) do
    S.write(master, line .. "\n")
    t.until_true("line " .. i, function()
      process:pump(0.1)
      return select(2, process.stdout:gsub("on\n", "")) == i
    end)
    await_sleep(process, line)
    S.write(master, CTRL_C)
    t.until_true("the end of line " .. i, function()
      process:pump(0.1)
      return select(2, process.stderr:gsub("interrupted!\n", "")) == i
    end)
  end
  S.write(master, "'still ' .. 'here'\n")
  process:await '"still here"'
  S.write(master, CTRL_D)
  t.equal(process:wait().code, 0)
end)

-- How a script ends that gets these signals, each once it has said "on" once more.
local function interrupted(text, ...)
  local process = t.start { "luge", "lua", script('S = require "syscall"\n' .. text), timeout = 20 }
  for i, name in ipairs { ... } do
    process:await(("on %d"):format(i))
    await_sleep(process, text)
    process:signal(name)
  end
  return process:wait()
end

t.test("a first SIGINT ends a script by an error, a second one its process", function()
  local sigint = S.c.SIG.INT
  for _, text in ipairs { "while true do end", "S.nanosleep(50)", "S.read(S.pipe(), 1)", "S.poll({}, 50000)" } do
    local r = interrupted("print 'on 1'\n" .. text, "int")
    t.equal(r.code, 1, text)
    t.matches(r.stderr, "^luge: [^\n]*interrupted!\nstack traceback:\n", text)
    t.matches(r.stderr, "script.lua:[23]: in main chunk\n$", text)
    t.lacks(r.stderr, "interruptible", text)
  end
  t.equal(interrupted("pcall(function() print 'on 1' while true do end end) print 'on 2' while true do end", "int", "int").signal,
    sigint)
  t.equal(interrupted("print 'on 1' S.nanosleep(50)", "term").signal, S.c.SIG.TERM)
end)

t.test("a script may have a way of its own with SIGINT", function()
  local sigint = S.c.SIG.INT
  t.equal(interrupted("S.sigaction('int', 'default') print 'on 1' S.nanosleep(50)", "int").signal, sigint)
  t.equal(interrupted("S.sigaction('int', 'ignore') print 'on 1' print 'on 2' while true do end", "int", "term").signal,
    S.c.SIG.TERM)
  local r = interrupted("S.sigprocmask('block', 'int') local fd = S.signalfd 'int' print 'on 1' print(S.signalfd_read(fd).name)",
    "int")
  t.equal({ r.code, r.stdout }, { 0, "on 1\nint\n" })
  -- Whoever starts luge may have it ignored.
  r = t.run { "luge", "lua", script "S = require 'syscall' S.kill(S.getpid(), 'int') print(S.sigaction 'int')",
    before = function() S.sigaction("int", "ignore") end }
  t.equal({ r.code, r.stdout }, { 0, "ignore\n" })
end)

t.test("SIGINT ends a copy of the script or the prompt as any process", function()
  for _, fork in ipairs { "S.fork()", "S.clone3 { exit_signal = 'chld' }" } do
    local r = interrupted(([[
      local pid = %s
      if pid == 0 then S.kill(S.getpid(), "int") print "no" S.exit(0) end
      local _, ended = S.wait4(pid)
      print(ended.signal, S.sigaction "int")]]):format(fork))
    t.equal({ r.code, r.stdout }, { 0, "int\thandler\n" }, fork)
  end
end)

t.test("a program that a script executes has SIGINT's default action", function()
  local r = interrupted([[
    local pid = S.fork()
    if pid == 0 then S.execve("/bin/sh", { "sh", "-c", "echo on 1; kill -INT $$; echo no" }, {}) end
    local _, ended = S.wait4(pid)
    print(ended.signal)]])
  t.equal({ r.code, r.stdout }, { 0, "on 1\nint\n" })
end)
