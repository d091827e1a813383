-- SPDX-License-Identifier: MIT
-- Detached containers when something is killed, or somebody prepared their state: each command is right afterwards, and
-- nothing is left.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local SLEEP = { "sleep", "1000" }

local function gone(pid) return not S.kill(pid, 0) or d.is_zombie(pid) end

d.test("a container whose luge was killed is lost, and says so to every command", function()
  d.start("det-l", SLEEP)
  local waits = d.beside(d.seen "det-l", "wait", "det-l")
  local row = d.lose "det-l"
  d.until_true("the end of PID 1", function() return gone(row.pid) end)
  local r = waits:wait()
  t.equal(r.code, 125)
  t.contains(r.stderr, "was killed")
  t.equal(d.ok("ps", "-q"), "")
  row = d.seen "det-l"
  t.equal({ row.state, row.pid, row.exit_code, row.argv[2] }, { "lost", t.json.null, t.json.null, "sleep" })
  t.equal(d.json("inspect", "det-l").containers[1].state, "lost")
  t.equal(d.luge("wait", "det-l").code, 125)
  for _, command in ipairs { "stop", "kill", "pause", "resume", "top" } do
    r = d.luge(command, "det-l")
    t.equal(r.code, 125)
    t.contains(r.stderr, "was lost")
  end
  t.contains(d.gc(), "det-l.lock\n")
  t.equal(d.gc(), "", "nothing any more")
  t.equal(d.seen("det-l").state, "lost", "until somebody has looked")
  t.equal(d.run("det-l", SLEEP).code, 125)
  t.equal(d.ok("rm", "det-l"), "")
  d.nothing_left()
end)

d.test("rm and --replace take away what a killed luge left, without gc", function()
  d.start("det-l", SLEEP)
  d.lose "det-l"
  t.equal(d.ok("rm", "det-l"), "")
  d.nothing_left()
  d.start("det-l", SLEEP)
  d.lose "det-l"
  d.start("det-l", { "exit", "0", options = { "--replace" } })
  t.equal(d.luge("wait", "det-l").code, 0)
  d.ok("rm", "det-l")
  d.start("det-l", { "sleep", "1000", options = { "--rm" } })
  d.lose "det-l"
  d.ok "gc"
  d.nothing_left()
end)

d.test("a paused container whose luge was killed is thawed and ended", function()
  t.needs_root()
  for _, how in ipairs { "gc", "rm" } do
    d.start("det-z", { shell = "sleep 1000 & sleep 1000", options = { "--rm" } })
    d.ok("pause", "det-z")
    local row = d.lose "det-z"
    if how == "gc" then d.ok "gc" else d.ok("rm", "det-z") end
    d.until_true("the end of PID 1", function() return gone(row.pid) end)
    d.nothing_left()
  end
end)

d.test("a command that is PID 1 and shed its signal is killed by gc", function()
  d.start("det-s", { words = { "setpriv", "--pdeathsig", "clear", "sleep", "1000" }, body = "init = false", options = { "--rm" } })
  local row = d.until_true("sleep", function()
    local seen = d.seen "det-s"
    return (S.readfile(("/proc/%d/comm"):format(seen.pid)) or "") == "sleep\n" and seen
  end)
  d.lose "det-s"
  S.nanosleep(0.05)
  t.ok(not gone(row.pid), "it outlives its luge")
  d.ok "gc"
  d.until_true("its end", function() return gone(row.pid) end)
  d.nothing_left()
end)

d.test("the age of a process, not its number alone, says who is killed", function()
  d.start("det-s", { words = { "setpriv", "--pdeathsig", "clear", "sleep", "1000" }, body = "init = false", options = { "--rm" } })
  local row = d.seen "det-s"
  d.until_true("sleep", function() return (S.readfile(("/proc/%d/comm"):format(row.pid)) or "") == "sleep\n" end)
  d.lose "det-s"
  local path = box.state .. d.own "/det-s.lock"
  local note = t.read(path)
  local pid, age, boot = t.matches(note, "\nprocess (%d+) (%d+) (%S+)\n")
  for _, forged in ipairs { { pid, age + 1, boot }, { pid, age, "another-boot" } } do
    t.write(path, ("luge 1\nprocess %s %s %s\n"):format(table.unpack(forged)), "0600")
    d.ok "gc"
    t.ok(not gone(row.pid), "it is not the process that was noted")
  end
  t.write(path, note, "0600")
  d.ok "gc"
  d.until_true("its end", function() return gone(row.pid) end)
  d.nothing_left()
end)

d.test("PID 1 killed from outside is an end like others", function()
  d.start("det-k", SLEEP)
  S.kill(d.seen("det-k").pid, "kill")
  t.equal(d.luge("wait", "det-k").code, 137)
  local row = d.seen "det-k"
  t.equal({ row.state, row.signal, row.reason }, { "ended", 9, "signal" })
  d.ok("rm", "det-k")
  d.nothing_left()
end)

d.test("TERM to the luge in the background stops its container", function()
  d.start("det-t", SLEEP)
  S.kill(d.seen("det-t").luge, "term")
  t.equal(d.luge("wait", "det-t").code, 143)
  d.ok("rm", "det-t")
  d.nothing_left()
end)

d.test("a caller that is killed before the container runs takes the start with it", function()
  -- Where in the start the kill meets it is chance: it may come too late, and then the container runs.
  local p = t.start(d.words { "sleep", "1000", options = { "-d", "--name", "det-c" } })
  p:kill()
  p:wait()
  d.until_true("an end, or a container", function()
    local seen = d.seen "det-c"
    return not seen and #S.dir(box.state) == 0 or seen and seen.state == "running"
  end)
  d.luge("rm", "-f", "det-c") -- where it was too late
  d.nothing_left()
end)

d.test("a caller that is killed while the command was executed, and it not told, takes the start with it", function()
  local dir = t.dir()
  local hook = t.write(dir .. "/hook.lua", ([[
    local S = require "syscall"
    S.open(%q, "creat, wronly"):close()
    while true do S.nanosleep(1) end
  ]]):format(dir .. "/runs"))
  local p = t.start(d.words { "sleep", "1000", body = ("hooks = { started = %q }"):format(hook), options = { "-d", "--name", "det-h" } })
  d.until_true("the hook", function() return S.lstat(dir .. "/runs") end)
  p:kill()
  p:wait()
  d.until_true("its end", function() return not d.seen "det-h" and #S.dir(box.state) == 0 end)
  d.nothing_left()
end)

-- ---- what a kill between two calls leaves ----

d.test("a record that was not renamed yet goes with its lock", function()
  t.write(box.state .. d.own "/det-n.lock", "luge 1\n", "0600")
  t.write(box.state .. d.own "/det-n.json.new", "{", "0600")
  t.equal(d.gc(), "det-n.lock\n")
  t.write(box.state .. d.own "/det-n.lock", "luge 1\n", "0600")
  t.write(box.state .. d.own "/det-n.json.new", "{", "0600")
  d.start("det-n", { "exit", "0", options = { "--rm" } })
  d.luge("wait", "det-n")
  d.nothing_left()
end)

d.test("a log whose first line was not written yet is removed", function()
  t.must(S.mkdir(box.state .. d.own "/det-n.log", "0700"))
  t.write(box.state .. d.own "/det-n.log/1", "", "0600")
  t.equal(d.gc(), "det-n.log\n")
  -- What is no log of ours stays.
  t.must(S.mkdir(box.state .. d.own "/det-n.log", "0700"))
  t.write(box.state .. d.own "/det-n.log/1", "something else", "0600")
  t.equal(d.gc(), "")
  t.remove_tree(box.state .. d.own "/det-n.log")
  d.nothing_left()
end)

-- ---- a prepared state directory ----

local function state(name) return box.state .. "/" .. d.own(name) end

local function forged(text) t.write(state "det-x.json", d.own(text), "0600") end

d.test("a record that cannot be believed is shown as such, and can be removed", function()
  for _, text in ipairs { "", "{", "[]", "null", "5", '{"schema":1}', '{"schema":2,"name":"det-x"}', "\0\1\2",
    '{"schema":1,"name":"other","argv":[],"state":"ended","created":1,"luge":1}',
    '{"schema":1,"name":"det-x","argv":[{}],"state":"ended","created":1,"luge":1}',
    '{"schema":1,"name":"det-x","argv":["x"],"state":"ended","created":"now","luge":1}',
    ('{"a":'):rep(100) .. "1" .. ("}"):rep(100), (" "):rep(2 << 20) } do
    forged(text)
    local row = d.seen "det-x"
    t.equal(row.state, "unknown", text:sub(1, 40))
    t.contains(row.message, "det-x.json")
    t.matches(d.ok("ps", "-a"), "det%-x +%- +unknown")
    t.equal(d.luge("wait", "det-x").code, 125)
    t.equal(d.luge("stop", "det-x").code, 125)
    t.equal(d.json("inspect", "det-x").containers[1].state, "unknown")
    d.ok("rm", "det-x")
  end
  d.nothing_left()
end)

d.test("a forged record names no process that is killed, and no terminal hears it", function()
  local victim = t.start { "sleep", "1000" }
  forged(('{"schema":1,"name":"det-x","argv":["\\u001b[31mx"],"state":"running","created":1,"luge":%d,"pid":%d}')
    :format(victim.pid, victim.pid))
  t.lacks(d.ok("ps", "-a"), "\27")
  t.equal(d.seen("det-x").state, "lost")
  d.luge("stop", "det-x")
  d.luge("kill", "det-x")
  d.ok "gc"
  d.ok("rm", "-f", "det-x")
  t.equal(S.kill(victim.pid, 0), true)
  victim:kill()
  victim:wait()
  d.nothing_left()
end)

d.test("links and FIFOs in place of records and sockets lead nowhere", function()
  local outside = t.dir()
  t.write(outside .. "/record", d.own '{"schema":1,"name":"det-x","argv":["x"],"state":"ended","created":1,"luge":1}')
  t.must(S.symlink(outside .. "/record", state "det-x.json"))
  t.equal(d.seen("det-x").state, "unknown")
  d.ok("rm", "det-x")
  t.ok(t.read(outside .. "/record"), "the link went, not what it names")
  t.must(S.mknod(state "det-x.json", "0600", "fifo"))
  t.equal(d.seen("det-x").state, "unknown")
  d.ok("rm", "det-x")
  t.must(S.symlink(outside .. "/made", state "det-x.json.new"))
  t.must(S.symlink(outside .. "/made", state "det-x.sock"))
  d.start("det-x", SLEEP)
  d.ok("rm", "-f", "det-x")
  t.equal(S.lstat(outside .. "/made"), nil)
  d.nothing_left()
end)

d.test("a socket that somebody else listens at is not asked", function()
  t.needs_root()
  d.start("det-x", SLEEP)
  local row = d.seen "det-x"
  S.rename(state "det-x.sock", state "kept")
  t.must(S.chmod(box.state, "0711"))
  local path = t.dir "0777" .. "/sock"
  local r, w = S.pipe()
  local pid = t.must(S.fork())
  if pid == 0 then
    S.setresuid(65534, 65534, 65534)
    local listening = S.listen_at(path)
    S.write(w, listening and "y" or "n")
    S.nanosleep(100)
    S.exit(0)
  end
  t.equal(S.read(r, 1), "y")
  t.must(S.rename(path, state "det-x.sock"))
  t.must(S.chmod(box.state, "0700"))
  local said = d.luge("stop", "det-x")
  S.kill(pid, "kill")
  S.wait4(pid)
  t.equal(said.code, 125)
  t.contains(said.stderr, "belongs to user 65534")
  t.ok(not gone(row.luge))
  S.unlink(state "det-x.sock")
  S.rename(state "kept", state "det-x.sock")
  d.ok("rm", "-f", "det-x")
  d.nothing_left()
end)
