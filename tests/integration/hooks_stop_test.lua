-- SPDX-License-Identifier: MIT
-- Who stops a container while one of its hooks runs does not wait for the hook, however long that may; and what hooks print.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local COMMANDS = { { "stop" }, { "kill" }, { "rm", "-f" } }
local CODES = { stop = 143, kill = 137, rm = 143 }

-- A script that says that it is there, and would go on much longer than any test.
local WAITS = [[
local S = require "syscall"
local place = container.hook == "guest" and "/out" or "OUT"
assert(S.open(place .. "/" .. container.hook, "creat, wronly", "0666"))
S.nanosleep(1000)
]]

-- A profile with a script of each place; its path, and the directory to which the scripts write.
local function profile(scripts, body)
  local dir, out, lines = t.dir "0755", t.dir "0777", {}
  for place, text in pairs(scripts) do
    t.write(("%s/%s.lua"):format(dir, place), text:gsub("OUT", out), "0644")
    lines[#lines + 1] = ("%s = %q,"):format(place, place .. ".lua")
  end
  local path = t.write(dir .. "/profile.lua", ("return container { mounts = { bind { %q, '/guest' }, bind { %q, '/out', rw = true } },\n"
    .. "hooks = { %s timeout = '900s' },\n%s }\n"):format(t.guest, out, table.concat(lines, " "), body or ""), "0644")
  return path, out
end

local function wait_for(out, place)
  d.until_true("the hook", function() return S.stat(("%s/%s"):format(out, place)) end)
end

-- ---- stopped by another luge ----

local function words_of(place) return { "/guest", table.unpack(place == "stopped" and { "exit", "0" } or { "sleep", "1000" }) } end

local function stop(command)
  local words = table.move(command, 1, #command, 1, {})
  words[#words + 1] = "det-h"
  local r = d.luge(table.unpack(words))
  t.equal({ r.code, r.stderr, r.held }, { 0, "" }, table.concat(words, " "))
end

for _, place in ipairs { "prepare", "guest", "started" } do
  d.test(("stop, kill and rm -f end a start in its %s hook"):format(place), function()
    for _, command in ipairs(COMMANDS) do
      for _, detached in ipairs { false, true } do
        local path, out = profile { [place] = WAITS }
        local report = t.dir() .. "/report.json"
        local options = { "--name", "det-h", "--report", report, detached and "-d" or nil }
        local p = t.start(d.words { profile = path, words = words_of(place), options = options })
        wait_for(out, place)
        stop(command)
        local r = p:wait()
        t.equal(r.code, CODES[command[1]], place .. " " .. command[1])
        local words = ("stopped while its %s hook ran (%s:2)"):format(place, path)
        t.contains(r.stderr, words)
        local document = t.ok(t.json.decode(t.read(report)))
        t.equal(document.reason, "stopped")
        t.contains(document.message, words)
        t.equal(t.row(document, "hooks." .. place).ok, false)
        if detached and place == "started" and command[1] ~= "rm" then d.luge("rm", "det-h") end
        d.nothing_left()
      end
    end
  end)
end

d.test("stop, kill and rm -f end the stopped hook, and those that would follow it", function()
  for _, command in ipairs(COMMANDS) do
    local path, out = profile { stopped = WAITS }
    local more = t.write(path:gsub("profile", "more"), ("require('syscall').open(%q, 'creat, wronly', '0666')"):format(out .. "/more"), "0644")
    local r = d.run("det-h", { profile = path, words = { "/guest", "exit", "3" },
      options = { "--set", ("hooks.stopped={ %q, %q }"):format((path:gsub("profile", "stopped")), more) } })
    t.equal(r.code, 0, r.stderr)
    wait_for(out, "stopped")
    stop(command)
    t.equal(S.stat(out .. "/more"), nil)
    if command[1] ~= "rm" then
      d.luge("wait", "det-h")
      local row = d.seen "det-h"
      t.equal({ row.state, row.exit_code, row.reason }, { "ended", 3, "exit" })
      t.contains(row.message, "stopped while its stopped hook ran")
      t.contains(row.message, "not run: stopped")
      d.ok("rm", "det-h")
    end
    d.nothing_left()
  end
end)

d.test("while its prepare hook runs a container answers, and refuses what it cannot do yet", function()
  local path, out = profile { prepare = WAITS }
  local p = t.start(d.words { profile = path, words = { "/guest", "exit", "0" }, options = { "--name", "det-h" } })
  wait_for(out, "prepare")
  for _, words in ipairs { { "pause", "det-h" }, { "kill", "-s", "USR1", "det-h" }, { "inspect", "det-h" } } do
    local r = d.luge(table.unpack(words))
    t.equal(r.code, 125, words[1])
    t.contains(r.stderr, "it is being prepared")
  end
  local waiting = d.beside(d.seen "det-h", "wait", "det-h")
  d.ok("kill", "-s", "TERM", "det-h")
  t.equal(waiting:wait().code, 143)
  t.equal(p:wait().code, 143)
  d.nothing_left()
end)

d.test("a container that restarts is stopped for good in the hook of its second run", function()
  local path, out = profile({ prepare = [[
    local S = require "syscall"
    if S.stat "OUT/first" then assert(S.open("OUT/prepare", "creat, wronly", "0666")) S.nanosleep(1000) end
    assert(S.open("OUT/first", "creat, wronly", "0666"))
  ]] }, "restart = { on = 'always', delay = '1ms' }")
  t.equal(d.run("det-h", { profile = path, words = { "/guest", "exit", "1" } }).code, 0)
  wait_for(out, "prepare")
  d.ok("stop", "det-h")
  local row = d.seen "det-h"
  t.equal({ row.state, row.reason, row.exit_code }, { "ended", "stopped", 143 })
  d.ok("rm", "det-h")
  d.nothing_left()
end)

-- ---- interrupted ----

d.test("Ctrl-C while it is prepared: run, run -d and up end with the signal's code", function()
  for _, place in ipairs { "prepare", "guest", "started" } do
    local path, out = profile { [place] = WAITS }
    local group = t.write(path:gsub("profile", "group"), ("return group { containers = { one = container { profile %q, command = { '/guest', 'sleep', '1000' } } } }")
      :format(path), "0644")
    local runs = { { "run", "--name", "det-h", path, "--", "/guest", "sleep", "1000" },
      { "run", "-d", "--name", "det-h", path, "--", "/guest", "sleep", "1000" }, { "up", "--name", "det-h", group } }
    for i, words in ipairs(runs) do
      for name, code in pairs { int = 130, term = 143 } do
        S.unlink(("%s/%s"):format(out, place))
        table.insert(words, 1, "luge")
        words.env = { LUGE_STATE = box.state }
        for n, word in ipairs(words) do words[n] = d.own(word) end
        local p = t.start(words)
        wait_for(out, place)
        p:signal(name)
        local r = p:wait()
        t.equal({ r.code, r.stdout }, { code, "" }, ("%d %s %s"):format(i, place, name))
        t.contains(r.stderr, place == "started" and i == 1 and "" or "while its " .. place .. " hook ran")
        table.remove(words, 1)
        d.nothing_left()
      end
    end
  end
end)

d.test("whoever started it is killed while it is prepared: the start is given up", function()
  local path, out = profile { prepare = WAITS }
  local p = t.start(d.words { profile = path, words = { "/guest", "exit", "0" }, options = { "-d", "--name", "det-h" } })
  wait_for(out, "prepare")
  p:signal "kill"
  p:wait()
  d.nothing_left()
end)

-- ---- what they print ----

local PRINTS = "print(container.hook .. ' out') io.stderr:write(container.hook .. ' err\\n') io.stdout:flush()"

d.test("what the hooks of a detached container print is in its log", function()
  local path = profile { prepare = PRINTS, guest = PRINTS, started = PRINTS, stopped = PRINTS }
  t.equal(d.run("det-h", { profile = path, shell = "echo command; exec /guest sleep 1000" }).stderr, "")
  d.ok("stop", "det-h")
  local by_stream = {}
  for line in d.ok("logs", "--json", "det-h"):gmatch "[^\n]+" do
    local row = t.json.decode(line)
    by_stream[row.stream] = (by_stream[row.stream] or "") .. row.text .. "\n"
  end
  t.equal(by_stream.stdout, "command\n")
  local lines = {}
  for line in by_stream.hook:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  t.equal(table.concat(lines, ", "), "guest err, guest out, prepare err, prepare out, started err, started out, stopped err, stopped out")
  local r = d.luge("logs", "det-h")
  t.equal(r.stdout, "command\n")
  t.contains(r.stderr, "stopped out\n")
  t.contains(d.luge("logs", "-t", "-n", "1", "det-h").stderr, "Z stopped ")
  d.ok("rm", "det-h")
  d.nothing_left()
end)

d.test("of a start that fails the caller hears what its hooks printed; without a log nobody else does", function()
  for _, body in ipairs { "", "log = false" } do
    local path = profile({ prepare = PRINTS, guest = PRINTS .. " error 'no'" }, body)
    local r = d.run("det-h", { profile = path, words = { "/guest", "exit", "0" } })
    t.equal(r.code, 125)
    for _, words in ipairs { "prepare out\n", "prepare err\n", "guest out\n", "guest err\n", "guest.lua:1: no" } do
      t.contains(r.stderr, words)
    end
    d.nothing_left()
  end
  local path = profile({ prepare = PRINTS, started = PRINTS }, "log = false")
  t.equal(d.run("det-h", { profile = path, words = { "/guest", "sleep", "1000" } }).stderr, "")
  d.ok("rm", "-f", "det-h")
  d.nothing_left()
end)

d.test("in the foreground they print to stderr, and a torrent holds nobody up", function()
  local path = profile { prepare = PRINTS, started = PRINTS }
  local r = box.run { profile = path, words = { "/guest", "sleep", "0.3" } }
  t.contains(r.stderr, "prepare out\n")
  t.contains(r.stderr, "started err\n")
  path = profile { prepare = "for i = 1, 20000 do print(('x'):rep(100)) end", started = "for i = 1, 20000 do print(('y'):rep(100)) end" }
  t.equal(d.run("det-h", { profile = path, words = { "/guest", "sleep", "1000" } }).code, 0)
  t.equal(select(2, d.luge("logs", "det-h").stderr:gsub("%f[xy][xy]+\n", "")), 40000)
  d.ok("rm", "-f", "det-h")
  d.nothing_left()
end)
