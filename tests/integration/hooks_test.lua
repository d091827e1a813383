-- SPDX-License-Identifier: MIT
-- `hooks`: scripts in four places of a run, what they are told, and what becomes of a start when one fails.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local PLACES = { "prepare", "guest", "started", "stopped" }

-- A profile whose hooks are the scripts of `scripts` (place → text), in the directory of the profile; its path, its
-- directory. What the scripts and the command are to write to lies in /out, outside `OUT`.
local function profile(scripts, body)
  local dir, out = t.dir "0755", t.dir "0777"
  local lines = {}
  for place, text in pairs(scripts) do
    t.write(("%s/%s.lua"):format(dir, place), text:gsub("OUT", out), "0644")
    lines[#lines + 1] = ("%s = %q,"):format(place, place .. ".lua")
  end
  local text = ("return container { mounts = { bind { %q, '/guest' }, bind { %q, '/out', rw = true } },\nhooks = { %s %s },\n%s }\n"):format(
    t.guest, out, table.concat(lines, " "), scripts.timeout or "", body or "")
  return t.write(dir .. "/profile.lua", text, "0644"), dir, out
end

local function with(scripts, timeout)
  return setmetatable(scripts, { __index = { timeout = timeout and ("timeout = %q"):format(timeout) } })
end

local APPEND = [[
local S = require "syscall"
local path = container.hook == "guest" and "/out/log" or "OUT/log"
local fd = assert(S.open(path, "creat, append, wronly", "0666"))
S.write(fd, container.hook .. "\n")
]]

local function all(text)
  local scripts = {}
  for _, place in ipairs(PLACES) do scripts[place] = text end
  return scripts
end

-- ---- where and what ----

t.test("each in its place, around the command", function()
  local path, _, out = profile(all(APPEND))
  box.succeed { profile = path, shell = "sleep 0.2; echo command >> /out/log" }
  local lines = {}
  for line in t.read(out .. "/log"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  t.equal({ lines[1], lines[2], #lines, lines[5] }, { "prepare", "guest", 5, "stopped" })
  table.sort(lines)
  t.equal(lines, { "command", "guest", "prepare", "started", "stopped" })
end)

t.test("the umask is the caller's, inside the profile's", function()
  local path, _, out = profile(all([[
    local hook = container.hook
    io.open((hook == "guest" and "/out/" or "OUT/") .. hook, "w"):close()
  ]]), 'umask = "007"')
  box.succeed { profile = path, shell = "sleep 0.2", before = function() S.umask "027" end }
  local modes = {}
  for _, place in ipairs(PLACES) do modes[place] = ("%o"):format(t.must(S.stat(out .. "/" .. place)).perm) end
  t.equal(modes, { prepare = "640", guest = "660", started = "640", stopped = "640" })
end)

t.test("what they are told: an argument and a global, a copy for each", function()
  local path, _, out = profile(all([[
    local own = ...
    assert(own == container)
    local hook = container.hook
    local S = require "syscall"
    if hook == "started" then container.there = S.stat(container.root .. "/guest") ~= nil end
    for _, path in pairs(container.cgroups) do container.in_cgroup = hook ~= "guest" and S.stat(path) ~= nil end
    local fd = assert(S.open((hook == "guest" and "/out/" or "OUT/") .. hook, "creat, wronly", "0666"))
    container.pid_here = S.getpid()
    S.write(fd, require("luge.json").encode(container))
  ]]), t.root and "limits = { pids = 50 }" or "")
  local r = box.run { profile = path, options = { "--name", "hk-facts" }, shell = "sleep 0.3; exit 6" }
  t.equal(r.code, 6, r.stderr)
  local told = {}
  for _, place in ipairs(PLACES) do
    local facts = t.ok(t.json.decode(t.read(out .. "/" .. place) or ""), place)
    told[place] = facts
    t.equal({ facts.hook, facts.name, facts.hostname, facts.profile, facts.argv },
      { place, "hk-facts", "hk-facts", "profile", { "/bin/sh", "-c", "sleep 0.3; exit 6" } })
    t.equal(facts.user.uid, 0)
  end
  t.equal(told.guest.pid_here, 1, "a pid namespace of its own")
  t.ok(told.started.pid > 1 and told.started.there)
  t.equal(told.stopped.pid, told.started.pid)
  t.equal({ told.stopped.reason, told.stopped.exit_code, told.stopped.signal }, { "exit", 6, false })
  t.ok(told.stopped.wall_s > 0.2)
  t.equal({ told.prepare.pid, told.guest.pid, told.started.reason }, {})
  if t.root then
    t.ok(told.prepare.in_cgroup and told.started.in_cgroup and told.stopped.in_cgroup, "its cgroups are there")
    t.equal({ told.prepare.uids[1][1], told.prepare.uids[1][3] }, { 0, 65536 })
  end
end)

t.test("started is told of the links that the container has on the host", function()
  t.needs_root()
  local path, _, out = profile({ started = [[
    local S = require "syscall"
    local link = container.network[1]
    assert(link.name == "eth0" and S.stat("/sys/class/net/" .. link.link))
    S.write(assert(S.open("OUT/told", "creat, wronly", "0666")), link.link)
  ]] }, "network = { interfaces = { veth {} } }")
  local r = box.run { profile = path, words = { "/guest", "sleep", "1" }, timeout = 60 }
  t.equal(r.code, 0, r.stderr)
  t.matches(t.read(out .. "/told"), "^%g+$")
end)

t.test("the guest's is the container's root, with its mounts, before the seal", function()
  local path, _, out = profile({ guest = [[
    local S = require "syscall"
    assert(S.getuid() == 0 and S.geteuid() == 0)
    assert(S.mount { source = "none", target = "/tmp", type = "tmpfs", data = "size=1M" })
    S.write(assert(S.open("/tmp/made", "creat, wronly", "0644")), "by the hook")
    assert(not S.stat "OUT")
    print "on the container's stdout"
  ]] }, "user = '0:0'")
  local r = box.succeed { profile = path, shell = "cat /tmp/made; mount -t tmpfs none /mnt 2>&1 || echo sealed" }
  t.contains(r.stdout, "on the container's stdout\nby the hook")
  t.contains(r.stdout, "sealed")
  t.ok(out)
end)

t.test("several for one place, in their order; a parent's are replaced; false takes all away", function()
  local dir = t.dir()
  for i = 1, 3 do t.write(("%s/%d.lua"):format(dir, i), ("io.stderr:write '%d '"):format(i)) end
  t.write(dir .. "/parent.lua", "return container { hooks = { prepare = { '1.lua', '2.lua' }, stopped = '3.lua' } }")
  local function says(body)
    local path = t.write(dir .. "/child.lua", ("return container { profile './parent.lua', command = { 'true' }, %s }"):format(body))
    return box.succeed { profile = path }.stderr
  end
  t.equal(says "", "1 2 3 ")
  t.equal(says "hooks = { prepare = '3.lua' }", "3 3 ")
  t.equal(says "hooks = { prepare = append { '3.lua' } }", "1 2 3 3 ")
  t.equal(says "hooks = false", "")
end)

t.test("a relative path starts beside the file that wrote it, wherever luge is called", function()
  local path = profile { prepare = "io.stderr:write(require('syscall').getcwd())" }
  local r = box.succeed { profile = path, words = { "/guest", "exit", "0" }, cwd = "/" }
  t.equal(r.stderr, path:match "^(.*)/")
end)

t.test("luge plan shows each as a step, check --pure refuses them", function()
  local path, dir = profile(all "")
  local text = t.succeed { "luge", "plan", path, "--", "true" }.stdout
  local position = 0
  for _, part in ipairs { "-- host", ('$hook.prepare1 = S.read_script("%s/prepare.lua")'):format(dir), "S.run_script($hook.prepare1", "-- clone",
    "-- guest", "S.run_script($hook.guest1", "-- seal", "-- started", "S.run_script($hook.started1", "-- stopped", "S.run_script($hook.stopped1" } do
    position = t.ok(text:find(part, position + 1, true), part)
  end
  t.contains(text, "hooks.stopped " .. dir .. "/profile.lua:2")
  t.equal(t.run({ "luge", "check", path }).code, 0)
  local r = t.run { "luge", "check", "--pure", path }
  t.equal(r.code, 1)
  t.contains(r.stderr, "has hooks")
  t.equal(t.run({ "luge", "check", "--pure", "--set", "hooks=false", path }).code, 0)
end)

-- ---- what goes wrong ----

t.test("an error stops the start, at its line, and nothing is left", function()
  for _, place in ipairs { "prepare", "guest", "started" } do
    for text, words in pairs {
      ["local x = 1\nerror 'broken'"] = ":2: broken",
      ["\n\nassert(require('syscall').open '/no/such')"] = ":3: No such file or directory",
      ["local function f() return nil + 1 end\nf()"] = ":1: attempt to perform arithmetic",
      ["error { }"] = ":1: table",
      -- Of its own namespace's PID 1, which the guest's is, the kernel takes no signal.
      [place == "guest" and "os.exit(9)" or "local S = require 'syscall' S.kill(S.getpid(), 'kill') S.nanosleep(5)"] =
        place == "guest" and "ended with exit code 9" or "ended by signal 9",
      ["os.exit(7)"] = "ended with exit code 7",
    } do
      local path, dir = profile { [place] = text }
      local r = box.run { profile = path, words = { "/guest", "exit", "0" }, report = true }
      t.equal(r.code, 125, place .. ": " .. text)
      t.contains(r.stderr, ("luge: %s/profile.lua:2: hooks.%s: %s/%s.lua"):format(dir, place, dir, place))
      t.contains(r.stderr, words)
      t.equal(r.report.reason, "setup")
      t.equal(t.row(r.report, "hooks." .. place).ok, false)
    end
  end
end)

t.test("one that takes too long is ended where it is", function()
  for _, place in ipairs { "prepare", "guest", "started" } do
    for _, text in ipairs { "\nwhile true do end", "\nrequire('syscall').nanosleep(1000)",
      "\npcall(function() while true do end end) while true do end" } do
      local path = profile(with({ [place] = text }, "200ms"))
      local r = box.run { profile = path, words = { "/guest", "sleep", "1000" }, options = { "--set", "stop.grace=100ms" } }
      t.equal(r.code, 125, place)
      t.contains(r.stderr, place .. ".lua:2: its time was up")
    end
    -- What catches everything is killed.
    local path = profile(with({ [place] = "local S = require 'syscall' S.sigaction('alrm', 'ignore') while true do S.nanosleep(9) end" }, "200ms"))
    local r = box.run { profile = path, words = { "/guest", "sleep", "1000" }, options = { "--set", "stop.grace=100ms" } }
    t.equal(r.code, 125, place)
    t.contains(r.stderr, place .. ".lua: it was not over in 0.2s")
  end
end)

t.test("after stopped nothing changes: told, and an event of the report", function()
  local path, dir = profile { stopped = "error 'too late'" }
  local r = box.run { profile = path, words = { "/guest", "exit", "9" }, report = true }
  t.equal(r.code, 9)
  t.contains(r.stderr, ("hooks.stopped: %s/stopped.lua:1: too late"):format(dir))
  t.equal(r.report.reason, "exit")
  t.equal(r.report.events, { { event = "hook_failed", hook = "stopped", message = dir .. "/stopped.lua:1: too late" } })
  t.equal(t.row(r.report, "hooks.stopped").ok, false)
end)

t.test("stopped hears of a start that failed, from prepare on", function()
  local told = "io.stderr:write('reason ', container.reason, ' ', container.exit_code, ' ', tostring(container.pid))"
  local path = profile { stopped = told, prepare = "error 'no'" }
  t.contains(box.run({ profile = path, words = { "/guest", "exit", "0" } }).stderr, "reason setup 125 false")
  path = profile { stopped = told, guest = "error 'no'" }
  t.matches(box.run({ profile = path, words = { "/guest", "exit", "0" } }).stderr, "reason setup 125 %d+")
  path = profile { stopped = told }
  t.matches(box.run({ profile = path, words = { "/no/such" } }).stderr, "reason setup 127 %d+")
  t.matches(box.run({ profile = path, words = { "/guest", "raise", "9" } }).stderr, "reason signal 137 %d+")
  -- Before it, nothing was there to hear of.
  local p = box.start { profile = path, words = { "/guest", "sleep", "1000" }, options = { "--name", "hk-taken" } }
  d.until_true("the container", function() return S.stat(box.state .. "/hk-taken.sock") end)
  local r = t.run(box.words { profile = path, words = { "/guest", "exit", "0" }, options = { "--name", "hk-taken" } })
  t.equal(r.code, 125)
  t.lacks(r.stderr, "reason")
  p:signal "term"
  p:wait()
  box.nothing_left()
end)

t.test("what is no script is a fault of the profile, and nothing is started", function()
  local path, dir = profile { prepare = "x = = 1" }
  box.refused({ profile = path, words = { "true" } }, "hooks.prepare", "prepare.lua:1: unexpected symbol near '='")
  S.unlink(dir .. "/prepare.lua")
  box.refused({ profile = path, words = { "true" } }, dir .. "/prepare.lua", "No such file", "beside the file")
  S.mkdir(dir .. "/prepare.lua", "0755")
  box.refused({ profile = path, words = { "true" } }, "no regular file")
  S.rmdir(dir .. "/prepare.lua")
  t.must(S.mknod(dir .. "/prepare.lua", "0644", "fifo"))
  box.refused({ profile = path, words = { "true" } }, "no regular file")
  for body, words in pairs { ["hooks = { before = 'x.lua' }"] = "no such field", ["hooks = { prepare = 1 }"] = "is no path",
    ["hooks = { prepare = 'x.lua', timeout = 'soon' }"] = "is no duration", ["hooks = 'x.lua'"] = "no table" } do
    box.refused({ body = body, words = { "true" } }, words)
  end
end)

-- ---- apart from luge ----

t.test("what a script starts ends with it, in whatever group it is", function()
  local DAEMON = [[
    local S = require "syscall"
    if S.fork() == 0 then
      S.setsid()
      if S.fork() == 0 then S.prctl("set_name", "luge-hook-left") S.nanosleep(1000) end
      S.exit(0)
    end
  ]]
  for _, place in ipairs(PLACES) do
    local path = profile { [place] = DAEMON }
    local r = box.run { profile = path, shell = "for p in /proc/[0-9]*; do cat $p/comm; done" }
    t.equal(r.code, 0, r.stderr)
    if place == "guest" then t.lacks(r.stdout, "luge-hook-left") end
    for _, pid in ipairs(S.dir "/proc") do
      t.lacks(S.readfile("/proc/" .. pid .. "/comm") or "", "luge-hook-left", place)
    end
  end
end)

t.test("luge's own state is not theirs to spoil", function()
  local path, _, out = profile(all [[
    local S = require "syscall"
    for name in pairs(S) do S[name] = nil end
    for name in pairs(package.loaded) do if name ~= "_G" then package.loaded[name] = nil end end
    string.format, table.concat, pairs, require, error = nil
  ]])
  local r = box.run { profile = path, words = { "/guest", "exit", "4" }, report = true }
  t.equal({ r.code, r.stderr }, { 4, "" })
  t.ok(out)
  for _, place in ipairs(PLACES) do t.equal(t.row(r.report, "hooks." .. place).got, "ended well") end
end)

t.test("the guest's memory is limited", function()
  local path = profile { guest = "local list = {} for i = 1, 1000 do list[i] = ('x'):rep(1 << 20) .. i end" }
  local r = box.run { profile = path, words = { "/guest", "exit", "0" } }
  t.equal(r.code, 125)
  t.contains(r.stderr, "not enough memory")
end)

t.test("Ctrl-C while the container is being prepared", function()
  local path, _, out = profile(with({ prepare = "local S = require 'syscall' S.write(assert(S.open('OUT/here', 'creat, wronly', '0666')), 'x')"
    .. " S.nanosleep(1000)", stopped = "io.stderr:write 'stopped\\n'" }, "60s"))
  local p = box.start { profile = path, words = { "/guest", "exit", "0" } }
  d.until_true("the script", function() return S.stat(out .. "/here") end)
  p:signal "int"
  local r = p:wait()
  t.equal(r.code, 130)
  t.contains(r.stderr, "stopped by SIGINT while its prepare hook ran")
  t.contains(r.stderr, "stopped\n")
  box.nothing_left()
end)

t.test("with other namespaces, users and terminals", function()
  for _, body in ipairs { "namespaces = { pid = 'host' }", "init = false", "terminal = true", "capabilities = { 'sys_admin' }", "root = empty {}",
    t.root and "limits = { pids = 5 }" or "", t.root and "id_map = 'host'" or "", t.root and "user = '5:6'" or "" } do
    local path = profile(all "local f = 1", body)
    t.equal(box.run({ profile = path, words = { "/guest", "exit", "3" } }).code, 3, body)
    path = profile({ guest = "error 'here'" }, body)
    local r = box.run { profile = path, words = { "/guest", "exit", "3" } }
    t.equal(r.code, 125, body)
    t.contains(r.stderr .. r.stdout, "guest.lua:1: here", body)
  end
end)

-- ---- detached ----

d.test("detached: started is over when run returns, stopped follows the end", function()
  local path, _, out = profile(all(APPEND))
  local r = d.run("det-h", { profile = path, words = { "/guest", "sleep", "1000" } })
  t.equal({ r.code, r.stderr }, { 0, "" })
  t.equal(t.read(out .. "/log"), "prepare\nguest\nstarted\n")
  d.ok("kill", "det-h")
  d.luge("wait", "det-h")
  t.equal(t.read(out .. "/log"), "prepare\nguest\nstarted\nstopped\n")
  d.ok("rm", "det-h")
  d.nothing_left()
end)

d.test("detached: an error of each, told to the caller or kept in the record", function()
  for _, place in ipairs { "prepare", "guest", "started" } do
    local path = profile { [place] = "error 'no start'" }
    local r = d.run("det-h", { profile = path, words = { "/guest", "sleep", "1000" }, options = { "--set", "stop.grace=100ms" } })
    t.equal({ r.code, r.stdout }, { 125, "" }, place)
    t.contains(r.stderr, place .. ".lua:1: no start")
    d.nothing_left()
  end
  local path = profile { stopped = "error 'at the end'" }
  d.run("det-h", { profile = path, words = { "/guest", "exit", "3" } })
  d.luge("wait", "det-h")
  local row = d.seen "det-h"
  t.equal(row.exit_code, 3)
  t.contains(row.message, "stopped.lua:1: at the end")
  d.ok("rm", "det-h")
  d.nothing_left()
end)

t.test("--status-fd tells of those beside and after the container", function()
  local r_end, w_end = S.pipe "cloexec"
  local path = profile { started = "", stopped = "error 'x'" }
  local r = box.run { profile = path, words = { "/guest", "exit", "0" }, options = { "--status-fd", "9" }, fds = { [9] = w_end } }
  w_end:close()
  t.equal(r.code, 0, r.stderr)
  local events = {}
  for line in (S.read(r_end, 65536) or ""):gmatch "[^\n]+" do
    local event = t.json.decode(line)
    events[#events + 1] = event.event .. (event.hook and " " .. event.hook .. " " .. tostring(event.ok) or "")
  end
  r_end:close()
  t.equal(events, { "created", "hook started true", "started", "hook stopped false", "ended" })
end)
