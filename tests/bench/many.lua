-- SPDX-License-Identifier: MIT
-- 1,000 containers at once, with limits of memory and processes: the time to start and stop all, to measure all, and
-- what each costs while it rests; then as many detached ones: the time to list and to stop all.
-- Usage: many.lua LUGE DIRECTORY [COUNT]

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
  return tonumber(S.readfile "/proc/meminfo":match("MemAvailable:%s*(%d+)"))
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
print(("%d containers at once, with limits of memory and processes"):format(COUNT))
print(("  started in %.1f s (%.1f ms each), %d listed and measured in %.2f s, stopped in %.1f s"):format(c.started_s,
  c.started_s / COUNT * 1000, listed, took, c.stopped_s))
print(("  memory for each: %d KiB of the machine's, of which %d KiB are luge's own"):format(used // COUNT, sample // n))
local all_ended = (c.codes[143] or 0) == COUNT
print(("  %s"):format(all_ended and "each was ended by TERM" or "NOT ALL WERE ENDED BY TERM"))

local ENV = { "PATH=/usr/bin:/bin", "LUGE_STATE=" .. DIR .. "/detached" }
S.mkdir(DIR .. "/detached", "0700")
before = available()
local good, detached_s = crowd.detached(LUGE, profile, COUNT, ENV)
used = before - available()
sample, n = 0, 0
for i = 1, COUNT, math.max(1, COUNT // 20) do
  local lock = S.readfile(("%s/detached/crowd-%d.lock"):format(DIR, i))
  if lock then sample, n = sample + private(tonumber(lock:match("%d+"))), n + 1 end
end
local ps = {}
for i = 1, 15 do ps[i] = select(2, crowd.luge(LUGE, { "ps" }, ENV)) end
table.sort(ps)
local code, stopped_s = crowd.luge(LUGE, { "stop", "--all" }, ENV)
local removed, removed_s = crowd.luge(LUGE, { "rm", "--all" }, ENV)
held:close()
print(("%d detached containers at once: %d started in %.1f s (%.1f ms each)"):format(COUNT, good, detached_s, detached_s / COUNT * 1000))
print(("  listed by ps in %.0f ms (median of %d; best %.0f), stopped by one command in %.1f s, removed in %.1f s"):format(
  ps[(#ps + 1) // 2] * 1000, #ps, ps[1] * 1000, stopped_s, removed_s))
print(("  memory for each: %d KiB of the machine's, of which %d KiB are the monitor's own"):format(used // COUNT, sample // math.max(n, 1)))
local all_well = listed == COUNT and all_ended and good == COUNT and code == 0 and removed == 0
os.exit(all_well and S.rmdir(DIR .. "/detached") and 0 or 1)
