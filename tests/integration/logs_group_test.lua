-- SPDX-License-Identifier: MIT
-- luge logs --group: what all containers of a group wrote, as one text.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

-- A group "det-g" that was brought up, each container of which reads a FIFO and has its shell do what it reads there. Returns a
-- function do_(container, text), which waits until it was done.
local function bring_up(fields)
  local dir, texts = t.dir "0777", {}
  for _, name in ipairs { "a", "long" } do
    t.must(S.mknod(("%s/%s"):format(dir, name), "0666", "fifo"))
    S.chmod(("%s/%s"):format(dir, name), "0666")
    texts[#texts + 1] = ("%s = container { mounts = { bind { %q, '/io', rw = true } }, %s command = { '/bin/sh', '-c', %q } }"):format(name, dir,
      fields and fields[name] or "", ("exec 9<>/io/%s; while read line <&9; do eval \"$line\"; : > /io/done; done"):format(name))
  end
  local path = t.profile(("return group { containers = { %s } }"):format(table.concat(texts, ",\n")))
  d.ok("up", "--name", "det-g", path)
  return function(name, text)
    local fifo = t.must(S.open(("%s/%s"):format(dir, name), "rdwr, cloexec"))
    S.write(fifo, text .. "\n")
    d.until_true("what was done", function() return S.unlink(dir .. "/done") end)
    -- What was written is in the log when its luge has read it.
    return fifo
  end
end

-- The same, and waits until the log of the container has so many bytes more.
local function logged(name) return d.json("inspect", "det-g-" .. name).containers[1].log.written_bytes end

local function say(do_, name, text, bytes)
  local before = logged(name)
  do_(name, text)
  d.until_true("the log", function() return logged(name) >= before + bytes end)
end

local function take_down()
  d.ok("down", "det-g")
  d.nothing_left()
end

d.test("line by line in the order of times, each with its container's name, stdout and stderr apart", function()
  local do_ = bring_up()
  say(do_, "a", "echo one", 4)
  say(do_, "long", "echo two", 4)
  say(do_, "a", "printf half", 4)
  say(do_, "long", "echo three; echo bad >&2", 10)
  say(do_, "a", "echo ' and half'", 10)
  local r = d.luge("logs", "--group", "det-g")
  t.equal({ r.code, (r.stdout:gsub(" +|", " |")), (r.stderr:gsub(" +|", " |")) }, { 0,
    "det-g-a | one\ndet-g-long | two\ndet-g-a | half and half\ndet-g-long | three\n", "det-g-long | bad\n" })
  -- The names have one width, which is that of the longest.
  t.equal(r.stdout:match("[^\n]+"):find("|", 1, true), r.stdout:match("\n([^\n]+)"):find("|", 1, true))
  local rows = {}
  for line in d.ok("logs", "--group", "det-g", "--json"):gmatch "[^\n]+" do
    local row = t.json.decode(line)
    rows[#rows + 1] = ("%s %s %s"):format(row.container, row.stream, row.text)
  end
  t.equal({ #rows, rows[1], rows[3] }, { 5, "det-g-a stdout one", "det-g-a stdout half and half" })
  t.matches(d.ok("logs", "--group", "det-g", "--timestamps"), "^det%-g%-a +| %d+%-%d%d%-%d%dT[%d:.]+Z one\n")
  t.equal((d.ok("logs", "--group", "det-g", "-n", "1"):gsub(" +|", " |")), "det-g-a | half and half\n", "bad is the last of the other")
  t.equal(d.ok("logs", "--group", "det-g", "--since", "2100-01-01"), "")
  take_down()
end)

d.test("followed until all have ended, also after one has", function()
  local do_ = bring_up()
  say(do_, "a", "echo before", 7)
  local p = t.start { "luge", "logs", "-f", "--group", d.own "det-g", env = { LUGE_STATE = box.state } }
  p:await "before\n"
  say(do_, "long", "echo while", 6)
  p:await "while\n"
  d.luge("kill", "det-g-a")
  d.luge("wait", "det-g-a")
  say(do_, "long", "echo after", 6)
  p:await "after\n"
  do_("long", "printf torn")
  d.luge("stop", "-t", "0", "det-g-long")
  local r = p:wait()
  t.equal({ r.code, (d.plain(r.stdout):gsub(" +|", " |")), r.stderr },
    { 0, "det-g-a | before\ndet-g-long | while\ndet-g-long | after\ndet-g-long | torn\n", "" })
  take_down()
end)

d.test("those without a log are told, and a group that is not there", function()
  local do_ = bring_up { a = "log = false," }
  say(do_, "long", "echo one", 4)
  local r = d.luge("logs", "--group", "det-g")
  t.equal({ r.code, r.stdout }, { 0, "det-g-long | one\n" })
  t.contains(r.stderr, "container 'det-g-a' has no log: log = false")
  r = d.luge("logs", "--group", "det-gg")
  t.equal(r.code, 125)
  t.contains(r.stderr, "no container of a group 'det-gg'")
  t.contains(r.stderr, "did you mean det-g?")
  t.equal(d.luge("logs", "--group", "det-g", "det-g-long").code, 125)
  -- A group's name, or a container's within it, where a container's own is meant.
  for _, words in ipairs { { "logs", "det-g" }, { "stop", "det-g" }, { "exec", "det-g", "true" } } do
    r = d.luge(table.unpack(words))
    t.equal(r.code, 125)
    t.contains(d.plain(r.stderr), "it is a group: luge down det-g, ", words[1])
  end
  t.contains(d.plain(d.luge("logs", "long").stderr), "did you mean det-g-long?")
  t.contains(d.ok("help", "logs"), "--group GROUP")
  t.contains(d.ok("completion", "bash"), "--group")
  take_down()
end)
