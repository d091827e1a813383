-- SPDX-License-Identifier: MIT
-- A container with a terminal of its own and the terminal that luge runs on: nothing inside reaches that one.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- A terminal of the host on which luge is started: its master, its slave, and what the child does for it.
local function terminal()
  local master, slave = S.openpty()
  t.must(master, slave)
  return master, slave, function()
    S.setsid()
    S.ioctl(slave, "tiocsctty", 0)
    for number = 0, 2 do S.dup3(slave, number) end
  end
end

-- Starts luge on a terminal and reads it to the end: { code =, said = }.
local function on_terminal(side, how, ...)
  local master, slave, before = terminal()
  how.before = before
  local said, process = "", side:start(how, ...)
  local deadline = S.clock_gettime "monotonic" + 30
  repeat
    local ready = S.poll({ { fd = master, events = "in" }, { fd = process.pidfd, events = "in" } }, 1000)
    local data = #S.poll({ { fd = master, events = "in" } }, 0) > 0 and S.read(master, 65536)
    if data then said = said .. data end
  until not data and #ready > 0 or S.clock_gettime "monotonic" > deadline
  local r = process:wait()
  -- What was typed into it, a reader would find: nothing may be there.
  r.typed = #S.poll({ { fd = slave, events = "in" } }, 0) > 0
  r.said, r.device = said, S.fstat(slave).dev
  master:close()
  slave:close()
  return r
end

local function result(r)
  -- Before it may be what the attack typed, by its echo.
  return t.ok(t.json.decode(r.said:match "{.*}" or ""), "no JSON: " .. r.said)
end

A.each("TIOCSTI is denied on the container's own terminal too", function(side)
  for _, tier in ipairs { "default", "ci" } do
    for _, high in ipairs { "0", "1" } do
      local r = on_terminal(side, { fields = ("seccomp = %q"):format(tier) }, "/guest", "try", "tiocsti", high)
      A.refused(result(r), "EPERM")
      t.ok(not r.typed)
    end
  end
end)

A.each("without the filter it reaches the container's own, never luge's", function(side)
  local r = on_terminal(side, { fields = "seccomp = false" }, "/guest", "try", "tiocsti")
  local got = result(r)
  -- A kernel may refuse it itself (dev.tty.legacy_tiocsti = 0: EIO).
  t.ok(got.result == 0 or got.errno == "EIO", tostring(got.errno))
  t.ok(not r.typed, "luge's terminal was typed into")
end)

A.each("no descriptor leads to luge's terminal", function(side)
  local r = on_terminal(side, {}, "/bin/sh", "-c",
    "for n in /proc/self/fd/* /proc/1/fd/* /dev/tty /dev/console; do stat -Lc %d $n 2>/dev/null; done; echo end")
  t.contains(r.said, "end")
  local device
  for number in r.said:gmatch "(%d+)\r\n" do
    device = tonumber(number)
    t.differs(device, r.device, "luge's devpts")
  end
  t.ok(device, "nothing was looked at: " .. r.said)
end)

-- The master that luge takes is asked for by a path: what a hostile root has there must not matter.
A.each("a root file system with terminals of its own", function(side)
  local root = side:rootfs("hostile")
  for _, name in ipairs { "dev", "dev/pts" } do
    t.must(S.mkdir(root .. "/" .. name, "0755"))
    if side.uid then t.must(S.chown(root .. "/" .. name, side.uid, side.uid)) end
  end
  local victim = side:file("victim", "as it was")
  t.must(S.symlink(victim, root .. "/dev/pts/ptmx"))
  t.must(S.symlink(victim, root .. "/dev/console"))
  local r = on_terminal(side, { fields = ("root = %q, id_map = 'self'"):format(root) }, "/guest", "facts")
  local facts = result(r)
  t.equal({ r.code, facts.has_tty }, { 0, true })
  t.equal(t.read(victim), "as it was")
  -- A link as a whole directory.
  t.must(S.unlink(root .. "/dev/pts/ptmx"))
  t.must(S.unlink(root .. "/dev/console"))
  t.must(S.rmdir(root .. "/dev/pts"))
  t.must(S.rmdir(root .. "/dev"))
  t.must(S.symlink("/proc/self/fd", root .. "/dev"))
  r = on_terminal(side, { fields = ("root = %q, id_map = 'self'"):format(root) }, "/guest", "facts")
  t.differs(r.code, 0)
end)

-- The modes are set by whoever holds the terminal; what it cannot do is leave luge's in its own.
A.each("what the container makes of its terminal does not stay", function(side)
  local master, slave, before = terminal()
  local modes = S.tcgetattr(slave)
  local process = side:start({ before = before }, "/bin/sh", "-c", "stty raw -echo intr X; kill -9 $$")
  t.equal(process:wait().code, 137)
  t.equal(S.tcgetattr(slave), modes)
  master:close()
  slave:close()
end)
