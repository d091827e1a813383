-- SPDX-License-Identifier: MIT
-- The state directory: what killed luges left there is found, however many others run.

local t = dofile "tests/integration/harness.lua"
local S = require "syscall"
local collect = require "sandbox.container.collect"

t.test("locks that nobody holds go in a few starts, though more are held than one start looks at", function()
  local dir, held, left, starts = t.dir "0700", {}, 50, 0
  for i = 1, 100 do held[i] = t.must(S.take_lock(("%s/a%03d.lock"):format(dir, i))) end
  for i = 1, left do t.must(S.take_lock(("%s/z%03d.lock"):format(dir, i))):close() end
  while left > 0 and starts < 50 do
    local pid = t.must(S.fork()) -- each start is another process
    if pid == 0 then S.exit(collect.some(dir, 32)) end
    local _, status = S.wait4(pid)
    left, starts = left - status.status, starts + 1
  end
  t.equal(left, 0, "after " .. starts .. " starts")
  t.equal(#t.must(S.dir(dir)), #held)
end)

-- In a process of its own, which says "took it" through the pipe.
local function take_elsewhere(path)
  local r, w = S.pipe "cloexec"
  local pid = t.must(S.fork())
  if pid == 0 then
    S.write(w, S.take_lock(path) and "took it" or "did not")
    S.exit(0)
  end
  w:close()
  return r, pid
end

t.test("a lock whose holder does not say who it is, or looks only, is waited for", function()
  for _, how in ipairs { "ex", "sh" } do
    local path = t.dir "0700" .. "/x.lock"
    local fd = t.must(S.open(path, "creat, rdwr, cloexec", "0600"))
    t.must(S.flock(fd, how))
    S.write(fd, "luge ")
    local r, pid = take_elsewhere(path)
    t.equal(#t.must(S.poll({ { fd = r, events = "in" } }, 150)), 0, "taken while it is held: " .. how)
    t.equal(S.pread(fd, 100, 0), "luge ", "written to while it is held")
    t.must(S.flock(fd, "un"))
    t.equal(S.read(r, 100), "took it")
    S.wait4(pid)
  end
end)

t.test("the names of a directory: those that end so, all or some counted round", function()
  local place = t.dir()
  for i = 1, 10 do t.write(("%s/c%d.lock"):format(place, i), "") end
  t.write(place .. "/other.json", "")
  local dir = t.must(S.open(place, "rdonly, directory, cloexec"))
  local all = S.names(dir, { ".lock" })
  t.equal({ #all, S.names(dir, { ".json", ".none" }), S.names(dir, { ".none" }), #S.names(dir, { "n", "k" }) },
    { 10, { "other.json" }, {}, 11 })
  local some = {}
  for i = 1, 6 do some[i] = all[(27 + i - 1) % 10 + 1] end
  t.equal(S.names(dir, { ".lock" }, 27, 6), some)
  t.equal(#S.names(dir, { ".lock" }, 3, 100), 10, "no more than there are")
  local many = {}
  for i = 1, 17 do many[i] = ".lock" end
  local ok, words = pcall(S.names, dir, many)
  t.equal(ok, false)
  t.contains(words, "16 endings at most")
end)
