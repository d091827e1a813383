-- SPDX-License-Identifier: MIT
-- 1,000 containers at once, with limits of memory and processes: the time to start and stop all, to measure all, and
-- what each costs while it rests. Usage: many.lua LUGE DIRECTORY [COUNT]

local S = require "syscall"
local json = require "luge.json"
local crowd = dofile "tests/integration/crowd.lua"

local LUGE, DIR, COUNT = arg[1], arg[2], tonumber(arg[3] or 1000)

local function field(pid, file, name)
  local text = S.readfile(("/proc/%d/%s"):format(pid, file))
  return text and tonumber(text:match("\n" .. name .. ":%s*(%d+)"))
end

-- Kilobytes that only this process has.
local function private(pid)
  local clean, dirty = field(pid, "smaps_rollup", "Private_Clean"), field(pid, "smaps_rollup", "Private_Dirty")
  return clean and dirty and clean + dirty or 0
end

local function available()
  local text = assert(S.readfile "/proc/meminfo")
  return tonumber(text:match("MemAvailable:%s*(%d+)"))
end

local function read_stats()
  local r, w = S.pipe "cloexec"
  local began = S.clock_gettime "monotonic"
  local pid = assert(S.fork())
  if pid == 0 then
    S.dup3(w, 1)
    S.execve(LUGE, { "luge", "stats", "--once", "--json" }, { "PATH=/usr/bin:/bin" })
    S.exit(127)
  end
  w:close()
  local parts = {}
  repeat
    parts[#parts + 1] = r:read(65536)
  until parts[#parts] == ""
  S.wait4(pid)
  return #assert(json.decode(table.concat(parts))).containers, S.clock_gettime "monotonic" - began
end

-- /rest waits for the end of its input, which never comes while we hold this open.
local never = DIR .. "/never"
S.unlink(never)
assert(S.mknod(never, "0600", "fifo"))
local held = assert(S.open(never, "rdwr, cloexec"))

local profile = DIR .. "/many.lua"
local file = assert(io.open(profile, "w"))
file:write(('return container { root = "%s/root", command = { "/rest" }, stdin = "%s",\n'):format(DIR, never)
  .. '  limits = { memory = "32M", pids = 16 } }\n')
file:close()

local before = available()
local c = crowd.start(LUGE, profile, COUNT, { "PATH=/usr/bin:/bin" })
local used = before - available()
local listed, took = read_stats()
local sample, n = 0, 0
for i = 1, #c.pids, math.max(1, #c.pids // 20) do
  sample, n = sample + private(c.pids[i]), n + 1
end
crowd.stop(c)
held:close()
print(("%d containers at once, with limits of memory and processes"):format(COUNT))
print(("  started in %.1f s (%.1f ms each), %d listed and measured in %.2f s, stopped in %.1f s"):format(c.started_s,
  c.started_s / COUNT * 1000, listed, took, c.stopped_s))
print(("  memory for each: %d KiB of the machine's, of which %d KiB are luge's own"):format(used // COUNT, sample // n))
local all_ended = (c.codes[143] or 0) == COUNT
print(("  %s"):format(all_ended and "each was ended by TERM" or "NOT ALL WERE ENDED BY TERM"))
os.exit(listed == COUNT and all_ended and 0 or 1)
