-- SPDX-License-Identifier: MIT
-- sandbox.container.cgroup: what a container's cgroups tell of it, and what is done to all of it at once.
--
-- A cgroup table is what the plan made: { dirs = controller → { version =, path = } }, with the paths as the run has
-- them. What a kernel does not count is nil, never 0.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"

local M = {}

--- The cgroups of a run, their paths complete.
function M.of(run, symbols)
  local dirs = {}
  for controller, dir in pairs(run.cgroup.dirs) do
    dirs[controller] = { version = dir.version, path = Steps.resolve(dir.path, symbols) }
  end
  return { dirs = dirs, init = run.spec.init }
end

-- ---- reading ----

-- The text of a controller's file; name2 is its name in version 2, nil where there is none.
local function text_of(cg, controller, name1, name2)
  local dir = cg.dirs[controller]
  local name = dir and (dir.version == 1 and name1 or dir.version == 2 and name2)
  return name and S.readfile(dir.path .. "/" .. name) or nil
end

local function number_of(text) return text and math.tointeger(tonumber((text:match("^%s*(%d+)")))) or nil end

-- The value of a line "key 123".
local function field_of(text, key)
  return text and math.tointeger(tonumber((("\n" .. text):match("\n" .. key .. " (%d+)")))) or nil
end

-- Any directory of version 2: each counts processor time and pressure.
local function v2_path(cg)
  for _, name in ipairs { "base", "memory", "pids", "cpu", "cpuset", "io", "hugetlb", "devices" } do
    local dir = cg.dirs[name]
    if dir and dir.version == 2 then return dir.path end
  end
end

-- Seconds in user and kernel mode of all processes there were.
local function cpu_times(cg)
  local user = number_of(text_of(cg, "cpuacct", "cpuacct.usage_user"))
  local sys = number_of(text_of(cg, "cpuacct", "cpuacct.usage_sys"))
  if user and sys then return user / 1e9, sys / 1e9 end
  local path = v2_path(cg)
  local stat = path and S.readfile(path .. "/cpu.stat")
  user, sys = field_of(stat, "user_usec"), field_of(stat, "system_usec")
  if user and sys then return user / 1e6, sys / 1e6 end
end

--- Seconds of processor time so far, or nil where nobody counts.
function M.cpu_seconds(cg)
  local user, sys = cpu_times(cg)
  return user and user + sys
end

local function sum(text, pattern)
  local total = 0
  for number in text:gmatch(pattern) do total = total + tonumber(number) end
  return math.tointeger(total)
end

local function io_bytes(cg)
  local dir = cg.dirs.io
  if not dir then return nil end
  if dir.version == 2 then
    local text = S.readfile(dir.path .. "/io.stat")
    if text then return sum(text, "rbytes=(%d+)"), sum(text, "wbytes=(%d+)") end
  else
    local text = S.readfile(dir.path .. "/blkio.throttle.io_service_bytes")
    if text then return sum(text, "Read (%d+)"), sum(text, "Write (%d+)") end
  end
end

-- Seconds in which some, and in which all, of the container waited for a resource.
local function pressure(cg)
  local path, found = v2_path(cg), nil
  for _, resource in ipairs(path and { "cpu", "memory", "io" } or {}) do
    local text = S.readfile(("%s/%s.pressure"):format(path, resource))
    local some, full = (text or ""):match("some [^\n]*total=(%d+)"), (text or ""):match("full [^\n]*total=(%d+)")
    if some then
      found = found or {}
      found[resource] = { some_s = some / 1e6, full_s = full and full / 1e6 }
    end
  end
  return found
end

--- What it has used: memory_peak_bytes, pids_peak (luge's own PID 1 not counted), user_s, sys_s, nr_throttled,
-- throttled_s, io_read_bytes, io_write_bytes, pressure.
function M.figures(cg)
  local user, sys = cpu_times(cg)
  local read, written = io_bytes(cg)
  local stat = text_of(cg, "cpu", "cpu.stat", "cpu.stat")
  local throttled, v2_throttled = field_of(stat, "throttled_time"), field_of(stat, "throttled_usec")
  local pids = number_of(text_of(cg, "pids", "pids.peak", "pids.peak"))
  return {
    memory_peak_bytes = number_of(text_of(cg, "memory", "memory.max_usage_in_bytes", "memory.peak")),
    pids_peak = pids and pids - (cg.init and 1 or 0),
    user_s = user, sys_s = sys,
    nr_throttled = field_of(stat, "nr_throttled"),
    throttled_s = throttled and throttled / 1e9 or v2_throttled and v2_throttled / 1e6 or nil,
    io_read_bytes = read, io_write_bytes = written,
    pressure = pressure(cg),
  }
end

-- No limit is "max" in version 2, and nearly 2^63 in version 1.
local UNLIMITED = 1 << 62

local function limit_of(text)
  local number = number_of(text)
  return number and number < UNLIMITED and number or nil
end

--- What it uses now, and may: memory_bytes, memory_limit_bytes, pids, pids_limit (luge's own PID 1 not counted).
function M.usage(cg)
  local own = cg.init and 1 or 0
  local pids = number_of(text_of(cg, "pids", "pids.current", "pids.current"))
  local most = limit_of(text_of(cg, "pids", "pids.max", "pids.max"))
  return {
    memory_bytes = number_of(text_of(cg, "memory", "memory.usage_in_bytes", "memory.current")),
    memory_limit_bytes = limit_of(text_of(cg, "memory", "memory.limit_in_bytes", "memory.max")),
    pids = pids and pids - own, pids_limit = most and most - own,
  }
end

--- What happened that its command may have survived: oom_kill processes killed by the kernel for want of memory,
-- pids_refused processes that could not be born.
function M.events(cg)
  return {
    oom_kill = field_of(text_of(cg, "memory", "memory.oom_control", "memory.events"), "oom_kill"),
    pids_refused = field_of(text_of(cg, "pids", "pids.events", "pids.events"), "max"),
  }
end

-- ---- doing ----

--- Kills every process of the container, wherever it has gone: nobody leaves a cgroup by himself.
function M.kill(cg)
  local path = v2_path(cg)
  local dir = path and { path = path } or cg.dirs.pids or select(2, next(cg.dirs))
  if not dir then return S.failure("NOENT", "the container has no cgroup") end
  return S.kill_cgroup(dir.path)
end

--- Stops every process of the container where it is, or lets them go on: true when it is so, false when the kernel is
-- still at it, which calls for asking again. Version 1 has a controller for it, version 2 a file in each cgroup.
function M.set_frozen(cg, frozen)
  local v1, path = cg.dirs.freezer, v2_path(cg)
  if not v1 and not path then return S.failure("NOENT", "the container has no cgroup that can be frozen") end
  local file, text = (path or v1.path) .. "/cgroup.freeze", frozen and "1" or "0"
  local said, pattern = (path or v1.path) .. "/cgroup.events", "frozen " .. text
  if not path then
    file, text = v1.path .. "/freezer.state", frozen and "FROZEN" or "THAWED"
    said, pattern = file, "^" .. text
  end
  local ok, err, number = S.writefile(file, text)
  if not ok then return nil, err, number end
  return (S.readfile(said) or ""):find(pattern) ~= nil
end

-- ---- a run ----

local KILL = 9

--- Before the container is made: what its end will be judged by.
function M.begin(run, symbols)
  local counted = { run = run, symbols = symbols }
  if run.cgroup.dirs.memory then counted.log = require("sandbox.container.oom").begin(run) end
  return counted
end

-- Luge's own word (time was up, somebody asked) comes before the kernel's.
local function judge(counted, outcome, events)
  if outcome.signal ~= KILL or outcome.reason_name ~= "signal" or (events.oom_kill or 0) == 0 then return end
  if require("sandbox.container.oom").ended_it(counted.log) then outcome.reason_name = "memory" end
end

--- After its end, while its cgroups are still there: the reason, and for the report figures and events.
function M.finish(counted, outcome)
  local cg = M.of(counted.run, counted.symbols)
  local events = M.events(cg)
  judge(counted, outcome, events)
  if not counted.run.report then return end
  outcome.figures, outcome.events = M.figures(cg), outcome.events or {}
  local killed = (events.oom_kill or 0)
  if killed > 0 then outcome.events[#outcome.events + 1] = { event = "oom_kill", count = killed } end
  if (events.pids_refused or 0) > 0 then
    outcome.events[#outcome.events + 1] = { event = "pids_refused", count = events.pids_refused }
  end
end

return M
