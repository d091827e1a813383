-- SPDX-License-Identifier: MIT
-- Programs that will not end, and luge killed at any moment: nothing is left, and the end is on time.

local A = dofile "tests/security/attack.lua"
local t = A.t
local S = require "syscall"

-- Processes other than ours that have the word in their command line or run an image of luge's.
local function processes(word)
  local found = {}
  for _, name in ipairs(S.dir "/proc") do
    if name:find "^%d+$" and tonumber(name) ~= S.getpid() then
      local line = t.read("/proc/" .. name .. "/cmdline")
      if line and line:find(word, 1, true) then found[#found + 1] = name .. " " .. line:gsub("%z", " ") end
    end
  end
  return found
end

-- The kernel takes a container down a moment after its PID 1: at most ten seconds.
local function nothing_left(side, word, ranges)
  local found
  for _ = 1, 200 do
    found = processes(word)
    if #found == 0 then break end
    S.nanosleep(0.05)
  end
  t.equal(found, {}, "processes left")
  t.lacks(t.read "/proc/self/mountinfo", side.dir, "mounts left")
  if not ranges then t.equal(S.dir(side.state), {}, "state left") end
end

-- ---- SIGKILL at any moment ----

local KILLS = t.soak and 10000 or 20

A.each("luge killed at any moment leaves nothing", function(side)
  local root = side:folder "root"
  t.write(root .. "/guest", t.read(side.guest), "0755")
  local word = "marker" .. S.getpid()
  local dir = side:folder("dir", "0755")
  local mounts = ("bind { %q, '/d', rw = true }, tmpfs { '/t' },"):format(dir)
  local began = S.clock_gettime "monotonic"
  side:run({ mounts = mounts }, "/guest", "print", word)
  local whole = S.clock_gettime "monotonic" - began
  math.randomseed(S.getpid())
  for _ = 1, KILLS do
    local p = side:start({ mounts = mounts }, "/guest", "sleep", "100", word)
    S.nanosleep(math.random() * whole * 1.5)
    p:kill()
    t.equal(p:wait().signal, 9)
  end
  nothing_left(side, word, true)
  -- The next start clears away what a lock was.
  t.equal(side:run({}, "/guest", "print", "ran").stdout, "ran\n")
  nothing_left(side, word)
end)

A.each("killed while the container runs, with and without init", function(side)
  for _, init in ipairs { "true", "false" } do
    local word = "marker" .. init .. S.getpid()
    local p = side:start({ fields = "init = " .. init }, "/guest", "ignore-signals", "100", word)
    p:await "ready"
    t.ok(#processes(word) >= 2, "it does not show")
    p:kill()
    p:wait()
    nothing_left(side, word, true)
    side:collect()
  end
end)

-- ---- ends on time ----

local function ends(side, fields, ...)
  local r = side:run({ fields = fields .. ", limits = { wall = '300ms', processes = 64 }, stop = { grace = '300ms' }",
    report = true, timeout = 20 }, ...)
  t.equal(r.code, 124)
  t.equal(r.report.reason, "wall")
  nothing_left(side, side.guest)
end

-- Alone it would go on.
A.each("a program that ignores every signal", function(side)
  local p = t.start { side.guest, "ignore-signals", "60", uid = side.uid, cwd = side.dir }
  p:await "ready"
  for _, name in ipairs { "term", "int", "hup", "quit" } do p:signal(name) end
  t.equal(p:pump(0.3), false, "the attack itself")
  p:kill()
  p:wait()
  for _, init in ipairs { "true", "false" } do ends(side, "init = " .. init, "/guest", "ignore-signals") end
end)

A.each("a fork bomb", function(side)
  for _, init in ipairs { "true", "false" } do ends(side, "init = " .. init, "/guest", "bomb") end
end)

A.each("programs that stop themselves, or all they can", function(side)
  ends(side, "init = true", "/bin/sh", "-c", "kill -STOP $$; sleep 60")
  ends(side, "init = true", "/bin/sh", "-c", "trap '' TERM INT HUP; while :; do kill -STOP -1; sleep 0.01; done")
  ends(side, "init = true", "/bin/sh", "-c", "setsid sleep 60 & setsid sleep 60 & setsid sh -c 'trap \"\" TERM; sleep 60'")
end)

A.each("a program that sheds its parent-death signal", function(side)
  -- PR_SET_PDEATHSIG 0: PID 1 still watches luge's pipe.
  local prctl = tostring(S.seccomp_resolve "prctl")
  A.works(side:try({}, "syscall", prctl, "1", "0"))
  local word = "shed" .. S.getpid()
  local p = side:start({}, "/bin/sh", "-c", "/guest try syscall " .. prctl .. " 1 0; echo ready; exec /guest sleep 100 " .. word)
  p:await "ready"
  p:kill()
  p:wait()
  nothing_left(side, word, true)
  side:collect()
end)

-- ---- what the process may not raise again ----

A.each("limits hold inside", function(side)
  local fields = "limits = { processes = 20, open_files = 32, file_size = '1M', core = 0 }"
  local free = side:facts({}).limits
  t.ok(free.open_files[1] == "unlimited" or free.open_files[1] > 32)
  local limits = side:facts({ fields = fields }).limits
  t.equal(limits.open_files, { 32, 32 })
  t.equal(limits.core, { 0, 0 })
  local r = side:run({ fields = fields }, "/bin/sh", "-c", "ulimit -n 1000 || echo refused; ulimit -Hn")
  t.contains(r.stdout, "32")
  t.lacks(r.stdout, "1000\n")
  t.equal(t.json.decode(side:run({}, "/guest", "fork", "40").stdout).forked, 40)
  local made = t.json.decode(side:run({ fields = fields }, "/guest", "fork", "40").stdout)
  t.ok(made.forked < 20, "forked " .. made.forked)
  t.equal(made.errno, "EAGAIN")
  nothing_left(side, side.guest, true)
end)

A.each("a flood of output ends with its reader", function(side)
  local r = side:run({ timeout = 20 }, "/bin/sh", "-c", "/guest flood 50000000 | head -c 10")
  t.equal(#r.stdout, 10)
end)
