-- SPDX-License-Identifier: MIT
-- Many starts and stops beside a container that lives through all of them: nothing grows, neither descriptors and memory
-- of its luge, which is asked each time, nor cgroups, files of state and logs. 20,000 in a soak, which stands for a day, or
-- LUGE_CYCLES.

local t = dofile "tests/integration/harness.lua"
local box = dofile "tests/integration/box.lua"(t)
local d = dofile "tests/integration/detached.lua"(t, box)
local S = require "syscall"

local CYCLES = t.soak and (tonumber(os.getenv "LUGE_CYCLES") or 20000) or 80
-- KiB. Its luge has this much for good when Lua's collector has done its first round (sandbox/container/monitor.lua), which
-- half of the cycles are enough for, and then grows no more: by less than two of the pieces that its heap gets.
local MEMORY_MOST, GRAIN = 2304, 192

-- What is not in any file: of the program's pages those that were written to.
local function private(pid)
  local kib = (S.readfile(("/proc/%d/smaps_rollup"):format(pid)) or ""):match "\nAnonymous:%s*(%d+) kB"
  return t.ok(tonumber(kib), "no memory is told")
end

local function cgroups()
  local count = 0
  for _, at in ipairs(S.dir "/sys/fs/cgroup" or {}) do
    for _, name in ipairs(S.dir(("/sys/fs/cgroup/%s/luge"):format(at)) or {}) do
      if name:find(d.prefix, 1, true) then count = count + 1 end
    end
  end
  return count
end

local function zombies()
  local pid, err = S.wait4(-1, "nohang")
  while pid and pid ~= 0 do pid, err = S.wait4(-1, "nohang") end
  return pid == nil and err.CHILD and 0 or 1
end

-- What may not grow; the luge of the container that stays is known by its row of ps.
local function measure(row)
  return { descriptors = #S.dir(("/proc/%d/fd"):format(row.luge)), files = #S.dir(box.state), cgroups = cgroups(),
    own = #S.dir "/proc/self/fd", alive = zombies() }, private(row.luge)
end

local function cycle(options)
  d.start("det-cycle", { "sleep", "1000", options = options })
  t.equal(d.luge("exec", "det-stays", "--", "/guest", "exit", "3").code, 3)
  d.ok("stop", "-t", "0s", "det-cycle")
  if #options == 0 then d.ok("rm", "det-cycle") end
end

d.test("nothing grows", function()
  d.start("det-stays", { "sleep", "100000" })
  local row = d.seen "det-stays"
  for _ = 1, CYCLES // 2 do cycle {} end
  local before, memory = measure(row)
  for i = 1, CYCLES // 2 do cycle(i % 2 == 0 and { "--rm" } or {}) end
  d.until_true("the end of the last", function() return #S.dir(box.state) <= before.files end)
  local after, memory_after = measure(row)
  t.equal(after, before)
  t.ok(memory_after <= memory + GRAIN, ("its luge has grown from %d to %d KiB"):format(memory, memory_after))
  t.ok(memory_after <= MEMORY_MOST, ("its luge has %d KiB"):format(memory_after))
  d.ok("rm", "-f", "-t", "0s", "det-stays")
  t.equal(d.gc(), "")
  d.nothing_left()
  print(("%d starts and stops: %d descriptors, %d files, %d cgroups, %d KiB before and %d after"):format(CYCLES,
    after.descriptors, after.files, after.cgroups, memory, memory_after))
end)
