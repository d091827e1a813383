-- SPDX-License-Identifier: MIT
-- Detached containers: run -d, and the commands on them, while all goes well.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local SLEEP = { "sleep", "1000" }

d.test("closed standard descriptors are nobody else's", function()
  local profile = t.profile(box.text())
  local r = t.run { "/bin/sh", "-c", d.own(("%s run -d --name det-c %s -- /guest sleep 1000 <&- >&-"):format(t.luge, profile)),
    env = { LUGE_STATE = box.state } }
  t.equal({ r.code, r.stdout }, { 125, "" })
  t.contains(r.stderr, "standard output: Bad file descriptor")
  t.equal(d.seen "det-c".state, "running")
  d.ok("rm", "-f", "-t", "0", "det-c")
  d.nothing_left()
end)

d.test("run -d returns when the command runs, and ps, stop and rm go their way", function()
  d.start("det-a", SLEEP)
  local row = d.seen("det-a")
  t.equal({ row.state, row.detached, row.argv, row.exit_code }, { "running", true, { "/guest", "sleep", "1000" }, t.json.null })
  t.ok(S.kill(row.pid, 0) and S.kill(row.luge, 0), "processes of the host")
  t.equal(S.readlink(("/proc/%d/cwd"):format(row.luge)), "/")
  for number = 0, 2 do t.equal(S.readlink(("/proc/%d/fd/%d"):format(row.luge, number)), "/dev/null") end
  t.equal(tonumber(S.readfile(("/proc/%d/stat"):format(row.luge)):match("^.*%) %a %d+ %d+ (%d+)")), row.luge, "its session")
  t.matches(d.ok "ps", "\ndet%-a +profile +running, for %d+s +%d+ +/guest sleep 1000\n")
  t.equal(d.ok("stop", "det-a"), "")
  t.equal(d.ok("ps", "-q"), "", "those that run")
  row = d.seen("det-a")
  t.equal({ row.state, row.exit_code, row.reason, row.signal, row.pid }, { "ended", 143, "stopped", 15, t.json.null })
  t.equal(d.luge("wait", "det-a").code, 143, "also after its end")
  t.equal(d.ok("rm", "det-a"), "")
  t.equal(d.seen("det-a"), nil)
  d.nothing_left()
end)

d.test("a start that fails says so as in the foreground, and leaves nothing", function()
  for _, how in ipairs { { words = { "nonexistent" } }, { words = { "/proc/self/status" } }, { body = "cwd = '/none'" },
    { body = "nonsense = 1" } } do
    how.options = { "--name", "det-f" }
    local front = t.run(d.words(how))
    how.options = {}
    local back = d.run("det-f", how)
    t.differs(front.code, 0)
    t.equal({ back.code, back.stdout }, { front.code, "" })
    t.equal(back.stderr, d.plain(front.stderr):gsub("luge%-test%-%d+%-%d+", function() return back.stderr:match("luge%-test%-%d+%-%d+") end))
    d.nothing_left()
  end
end)

d.test("what ends by itself can be waited for, and keeps its code and reason", function()
  d.start("det-0", { shell = "exit 0" })
  d.start("det-7", { shell = "sleep 0.3; exit 7" })
  d.start("det-k", { shell = "kill -9 $$" })
  t.equal(d.luge("wait", "det-7").code, 7)
  t.equal(d.luge("wait", "det-0", "det-k", "det-7").code, 137, "the first that is not 0")
  d.start("det-w", { "sleep", "1000", options = { "--timeout", "0.2s" } })
  t.equal(d.luge("wait", "det-w").code, 124)
  local row = d.seen("det-w")
  t.equal(row.reason, "wall")
  t.contains(row.message, "time was up")
  t.matches(d.ok("ps", "-a"), "det%-w +profile +ended %(124, wall%)")
  t.equal(d.ok("ps", "-a", "-q", "--filter", "state=ended", "--filter", "name=det-w", "--filter", "name=det-7"), "det-7\ndet-w\n")
  t.equal(d.ok("rm", "-a"), "")
  d.nothing_left()
end)

d.test("with --rm nothing is left, nobody need ask", function()
  d.start("det-r", { "exit", "3", options = { "--rm" } })
  d.start("det-s", { shell = "read line < /tmp/never || sleep 0.3; exit 4", options = { "--rm" } })
  t.equal(d.luge("wait", "det-s").code, 4)
  d.nothing_left()
end)

d.test("kill: signals that a fault raises reach the command as well", function()
  local file = t.dir() .. "/out"
  d.start("det-f", { shell = [[for s in SEGV BUS FPE ILL TRAP SYS; do trap "echo $s >> /dir/out" $s; done; echo ready >> /dir/out
    while :; do sleep 0.01; done]], body = ("mounts = { bind { %q, '/dir', rw = true } }, init = true"):format(file:sub(1, -5)) })
  local expected = "ready\n"
  d.until_true("the traps", function() return S.readfile(file) == expected end)
  for _, name in ipairs { "SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS" } do
    t.equal(d.ok("kill", "-s", name, "det-f"), "")
    expected = expected .. name .. "\n"
    d.until_true(name, function() return S.readfile(file) == expected end)
  end
  d.ok("rm", "-f", "-t", "0", "det-f")
  d.nothing_left()
end)

d.test("kill sends the command its signal; stop has its grace", function()
  d.start("det-k", { shell = "trap 'exit 9' USR1; while :; do sleep 0.02; done" })
  t.equal(d.ok("kill", "-s", "USR1", "det-k"), "")
  t.equal(d.luge("wait", "det-k").code, 9)
  d.start("det-s", { shell = "trap '' TERM; while :; do sleep 0.02; done" })
  t.equal(d.ok("stop", "-t", "100ms", "det-s"), "")
  t.equal(d.luge("wait", "det-s").code, 137)
  d.start("det-q", { shell = "trap 'exit 5' QUIT; while :; do sleep 0.02; done", body = "stop = { signal = 'QUIT' }" })
  t.equal(d.ok("stop", "det-q"), "")
  t.equal(d.seen("det-q").exit_code, 5, "the profile's signal")
  d.start("det-9", SLEEP)
  t.equal(d.ok("kill", "det-9"), "")
  t.equal(d.luge("wait", "det-9").code, 137)
  d.ok("rm", "det-k", "det-s", "det-q", "det-9")
  d.nothing_left()
end)

d.test("of several --replace at once, who comes too late is not told to say it", function()
  local started = {}
  for i = 1, 6 do
    started[i] = t.start(d.words { "sleep", "1000", options = { "-d", "--replace", "--name", "det-o" } })
  end
  local won = 0
  for _, process in ipairs(started) do
    local r = process:wait()
    if r.code == 0 then won = won + 1 end
    t.lacks(r.stderr, "say --replace")
  end
  t.ok(won > 0, "none came through")
  d.ok("rm", "-f", "-t", "0", "det-o")
  d.nothing_left()
end)

d.test("a name is one container's, running or ended, until --replace", function()
  d.start("det-n", SLEEP)
  local luge = d.seen("det-n").luge
  for _, options in ipairs { {}, { "-d" } } do
    local r = t.run(d.words { "exit", "0", options = table.move(options, 1, #options, 3, { "--name", "det-n" }) })
    t.equal({ r.code, r.stdout }, { 125, "" })
    t.contains(r.stderr, "held by process " .. luge)
    t.contains(r.stderr, "--replace")
  end
  local r = d.luge("rm", "det-n")
  t.equal(r.code, 125)
  t.contains(r.stderr, "luge rm -f det-n")
  d.start("det-n", { "sleep", "1000", options = { "--replace" } })
  t.differs(d.seen("det-n").luge, luge)
  d.ok("stop", "det-n")
  r = d.run("det-n", SLEEP)
  t.equal(r.code, 125)
  t.contains(r.stderr, "a container that has ended has it still")
  t.contains(r.stderr, "luge rm")
  d.start("det-n", { "sleep", "1000", options = { "--replace" } })
  t.equal(d.ok("rm", "-f", "det-n"), "")
  d.nothing_left()
end)

d.test("of many that want one name at once exactly one wins", function()
  local running = {}
  for i = 1, 8 do running[i] = t.start(d.words { "sleep", "1000", options = { "-d", "--name", "det-1" } }) end
  local won = 0
  for _, p in ipairs(running) do
    local r = p:wait()
    if r.code == 0 then won = won + 1 else t.equal(r.code, 125, r.stderr) end
  end
  t.equal(won, 1)
  t.equal(d.ok("ps", "-q"), "det-1\n")
  d.ok("rm", "-f", "det-1")
  d.nothing_left()
end)

d.test("pause holds every process, resume and stop let them go on", function()
  t.needs_root()
  d.start("det-p", { shell = "sleep 1000 & while :; do :; done" })
  local row = d.seen("det-p")
  local function used()
    local ticks = 0
    for _, process in pairs(require("sandbox.container.processes").below(row.pid)) do ticks = ticks + process.own end
    return ticks
  end
  d.until_true("work", function() return used() > 2 end)
  t.equal(d.ok("pause", "det-p"), "")
  t.equal(d.seen("det-p").state, "paused")
  local before = used()
  S.nanosleep(0.2)
  t.equal(used(), before, "a paused container uses no processor time")
  t.contains(d.luge("pause", "det-p").stderr, "paused already")
  t.equal(d.ok("resume", "det-p"), "")
  t.equal(d.seen("det-p").state, "running")
  d.until_true("more work", function() return used() > before end)
  t.contains(d.luge("resume", "det-p").stderr, "it is not paused")
  for _, how in ipairs { { "stop", "det-p" }, { "kill", "det-p" }, { "rm", "-f", "det-p" } } do
    d.ok("pause", "det-p")
    t.equal(d.ok(table.unpack(how)), "")
    if how[1] ~= "rm" then
      t.differs(d.luge("wait", "det-p").code, 0)
      d.start("det-p", { "sleep", "1000", options = { "--replace" } })
    end
  end
  d.nothing_left()
end)

d.test("pause without a cgroup says why not", function()
  t.needs_user()
  d.start("det-p", SLEEP)
  local r = d.luge("pause", "det-p")
  t.equal(r.code, 125)
  t.contains(r.stderr, "no cgroup that can be frozen")
  t.contains(r.stderr, "      = ")
  d.ok("rm", "-f", "det-p")
end)

d.test("top shows the processes inside and outside", function()
  d.start("det-t", { shell = "sleep 1000 & exec sleep 2000" })
  local rows = d.until_true("two processes", function()
    local found = d.json("top", "--json", "det-t").containers[1].processes
    return #found == 2 and found[1].command == "sleep 2000" and found[2].command == "sleep 1000" and found
  end)
  for _, row in ipairs(rows) do
    t.equal(row.user, 0, "container root")
    t.ok(row.inside > 1 and row.inside < 10 and row.resident_bytes > 0 and row.cpu_s >= 0 and S.kill(row.pid, 0))
  end
  t.matches(d.ok("top", "det-t"), "^ *PID +INSIDE +USER .-\n *%d+ +%d+ +0 .- sleep 2000\n")
  d.ok("rm", "-f", "det-t")
end)

d.test("inspect shows the spec of one that runs, and the record of one that has ended", function()
  d.start("det-i", { "sleep", "1000", body = "annotations = { team = 'x' }", options = { "-e", "A=\255b" } })
  local doc = d.json("inspect", "det-i")
  local row = doc.containers[1]
  t.equal({ doc.schema, #doc.containers, row.name, row.state, row.spec.annotations.team }, { 1, 1, "det-i", "running", "x" })
  t.equal({ row.user.uid, row.environment.container }, { 0, "luge" })
  d.ok("stop", "det-i")
  row = d.json("inspect", "det-i").containers[1]
  t.equal({ row.state, row.exit_code, row.spec }, { "ended", 143, nil })
  t.ok(row.wall_s > 0 and row.ended >= row.created)
  d.ok("rm", "det-i")
end)

d.test("a container in the foreground answers as well, and leaves no record", function()
  local p = t.start(d.words { "sleep", "1000", options = { "--name", "det-g" } })
  local row = d.until_true("the container", function()
    local seen = d.seen("det-g")
    return seen and #seen.argv == 3 and seen.argv[1] == "/guest" and seen
  end)
  t.equal({ row.detached, row.state, row.profile }, { false, "running", "profile" })
  local waits = d.beside(row, "wait", "det-g")
  d.ok("stop", "det-g")
  t.equal({ p:wait().code, waits:wait().code }, { 143, 143 })
  d.nothing_left()
end)

d.test("names that nobody has, and wrong use", function()
  d.start("det-web", SLEEP)
  local function refused(words, ...)
    local r = d.luge(table.unpack(words))
    t.equal({ r.code, r.stdout }, { 125, "" }, table.concat(words, " "))
    for _, part in ipairs { ... } do t.contains(r.stderr, part) end
    t.lacks(r.stderr, "traceback")
  end
  for _, command in ipairs { "stop", "kill", "pause", "resume", "rm", "wait", "top", "inspect" } do
    refused({ command, "det-wen" }, "no container 'det-wen'", "did you mean det-web?")
    refused({ command, "../det-web" }, "no container")
    refused({ command }, "which container?")
    refused({ command, "--all", "det-web" }, "--all, or names")
  end
  refused({ "kill", "-s", "NONE", "det-web" }, "no signal has that name")
  refused({ "kill", "-s", "STOP", "det-web" }, "pause")
  refused({ "stop", "-t", "soon", "det-web" }, "a duration expected")
  refused({ "ps", "--filter", "state=up" }, "the states are")
  refused({ "ps", "--filter", "color=red" }, "expected")
  d.ok("stop", "det-web")
  refused({ "stop", "det-web" }, "has ended")
  refused({ "top", "det-web" }, "has ended")
  d.ok("rm", "det-web")
  d.nothing_left()
end)

d.test("completion offers the containers that a command takes", function()
  d.start("det-run", SLEEP)
  d.start("det-end", { "exit", "0" })
  d.luge("wait", "det-end")
  local script = t.write(t.dir() .. "/completion", d.ok("completion", "bash"))
  local function offers(command, word)
    local r = t.succeed { "bash", "-c", [[PATH=${2%/*}:$PATH; . "$1"; COMP_WORDS=(luge "$3" "$4"); COMP_CWORD=2; _luge
      printf '%s ' "${COMPREPLY[@]}"]], "bash", script, t.luge, command, d.own(word), env = { LUGE_STATE = box.state } }
    return d.plain(r.stdout)
  end
  t.equal({ offers("stop", "det-"), offers("rm", "det-"), offers("wait", "det-e"), offers("run", "def") },
    { "det-run ", "det-end det-run ", "det-end ", "default " })
  t.contains(offers("stop", "--"), "--time")
  d.ok("rm", "-f", "det-run", "det-end")
  d.nothing_left()
end)

d.test("a report is written, and events are told, of a detached one too", function()
  local dir = t.dir()
  d.start("det-e", { shell = "exit 3", options = { "--report", dir .. "/report.json" } })
  t.equal(d.luge("wait", "det-e").code, 3)
  local report = d.until_true("the report", function() return t.json.decode(t.read(dir .. "/report.json") or "") end)
  t.equal({ d.plain(report.name), report.exit_code, report.reason }, { "det-e", 3, "exit" })
  d.ok("rm", "det-e")
  d.nothing_left()
end)

d.test("a state directory named from where the caller is", function()
  local dir = t.dir "0700"
  local function luge(...) return t.run { "luge", cwd = dir, env = { LUGE_STATE = "st" }, ... } end
  t.equal(luge("run", "-d", "--name", d.own "det-rel", "default", "--", "sh", "-c", "exit 3").code, 0)
  t.equal(luge("wait", d.own "det-rel").code, 3)
  t.equal(luge("rm", d.own "det-rel").code, 0)
  t.equal(S.dir(dir .. "/st"), {})
end)

d.test("what the caller had open is not held by the luge in the background", function()
  local r, w = S.pipe "cloexec"
  local how = { "luge", "run", "-d", "--name", d.own "det-fd", "default", "--", "sleep", "1000", env = { LUGE_STATE = box.state } }
  how.fds = { [9] = w }
  t.succeed(how)
  w:close()
  t.equal(#t.must(S.poll({ { fd = r, events = "in" } }, 5000)), 1, "the pipe has no end")
  d.ok("rm", "-f", "det-fd")
end)

d.test("a signal that does not end it does not let a paused container go on", function()
  t.needs_root()
  d.start("det-still", { shell = "trap 'echo usr1 >/tmp/usr1' USR1; while :; do sleep 0.05; done" })
  d.ok("pause", "det-still")
  local luge = d.seen("det-still").luge
  t.must(S.kill(luge, "usr1"))
  t.must(S.kill(luge, "winch"))
  S.nanosleep(0.2)
  t.equal(d.seen("det-still").state, "paused")
  d.ok("resume", "det-still")
  d.ok("rm", "-f", "det-still")
end)

d.test("a signal that was sent is the reason only when it was the end", function()
  d.start("det-hup", { shell = "trap 'touch /tmp/hup' HUP; while [ ! -e /tmp/hup ]; do sleep 0.02; done; kill -SEGV $$" })
  d.ok("kill", "-s", "HUP", "det-hup")
  t.equal(d.luge("wait", "det-hup").code, 128 + 11)
  t.equal(d.seen("det-hup").reason, "signal")
  d.ok("rm", "det-hup")
end)

local COUNT = t.soak and 1000 or 50

d.test("a crowd of detached containers, stopped by one command", function()
  local profile = t.profile(box.text("command = { '/guest', 'sleep', '1000' }"))
  local running = {}
  for i = 1, COUNT do
    running[#running + 1] = t.start { "luge", "run", "-d", "--name", d.own("det-" .. i), profile, env = { LUGE_STATE = box.state } }
    if #running == 8 or i == COUNT then
      for _, p in ipairs(running) do
        local r = p:wait()
        t.equal(r.code, 0, r.stderr)
      end
      running = {}
    end
  end
  t.equal(#d.json("ps", "--json").containers, COUNT)
  t.equal(d.ok("stop", "--all"), "")
  for _, row in ipairs(d.json("ps", "-a", "--json").containers) do t.equal({ row.state, row.exit_code }, { "ended", 143 }, row.name) end
  t.equal(d.ok("rm", "-a"), "")
  d.nothing_left()
end)

d.test("a disk that is full: the exit code is told all the same", function()
  t.needs_root()
  local dir = t.dir "0700"
  t.must(S.mount { source = "luge-test-full", target = dir, type = "tmpfs", data = "size=200k,mode=0700" })
  local ok, message = pcall(function()
    local function luge(...)
      local words = { "luge", ... }
      words.env = { LUGE_STATE = dir }
      return t.run(words)
    end
    t.equal(luge("run", "-d", "--name", d.own "det-full", "default", "--", "sh", "-c",
      "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done").code, 0)
    d.until_true("its trap", function() return luge("logs", d.own "det-full").stdout == "ready\n" end)
    local full = t.must(S.open(dir .. "/full", "creat, wronly"))
    while S.write(full, ("x"):rep(4096)) do end
    full:close()
    t.equal(luge("kill", "-s", "TERM", d.own "det-full").code, 0)
    t.equal(luge("wait", d.own "det-full").code, 6)
    local rows = t.json.decode(luge("ps", "-a", "--json").stdout).containers
    t.equal({ #rows, rows[1].state, rows[1].exit_code }, { 1, "ended", 6 })
    t.equal(luge("rm", d.own "det-full").code, 0)
    t.equal(S.dir(dir), { "full" })
  end)
  S.umount(dir, "detach")
  if not ok then error(message, 0) end
end)
