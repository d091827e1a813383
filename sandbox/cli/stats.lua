-- SPDX-License-Identifier: MIT
-- sandbox.cli.stats: `luge stats`: what running containers use, as the kernel counts it.
--
-- From the container's cgroups, where it has them; what they do not count comes from /proc, of the processes that are
-- there now, and what neither tells is no figure at all.

local S = require "syscall"
local cgroup = require "sandbox.container.cgroup"
local cli = require "sandbox.cli"
local columns = require "sandbox.cli.columns"
local containers_of = require "sandbox.cli.containers"
local json = require "luge.json"
local list = require "sandbox.container.list"
local processes = require "sandbox.container.processes"

local M = {}

local INTERVAL = 1 -- seconds between two tables

-- ---- figures ----

local function of_processes(container)
  local found, pids, ticks, resident = processes.below(container.luge), 0, 0, 0
  for _, process in pairs(found) do
    pids, resident = pids + process.threads, resident + process.resident
    ticks = ticks + process.own + process.waited
  end
  return { pids = pids - (container.cgroup.init and 1 or 0), cpu_s = ticks * processes.TICK, resident_bytes = resident }
end

local function measure(container)
  local cg = container.cgroup
  local usage, figures, events = cgroup.usage(cg), cgroup.figures(cg), cgroup.events(cg)
  local cpu, seen = cgroup.cpu_seconds(cg), nil
  if not cpu or not usage.memory_bytes or not usage.pids then seen = of_processes(container) end
  return {
    name = container.name, pid = container.pid, uptime_s = S.clock_gettime "realtime" - container.created,
    cpu_s = cpu or seen.cpu_s, pids = usage.pids or seen.pids, pids_limit = usage.pids_limit,
    memory_bytes = usage.memory_bytes, memory_limit_bytes = usage.memory_limit_bytes,
    memory_peak_bytes = figures.memory_peak_bytes, resident_bytes = seen and seen.resident_bytes,
    pids_peak = figures.pids_peak, io_read_bytes = figures.io_read_bytes, io_write_bytes = figures.io_write_bytes,
    nr_throttled = figures.nr_throttled, throttled_s = figures.throttled_s, oom_kill = events.oom_kill,
    pids_refused = events.pids_refused, pressure = figures.pressure, at = S.clock_gettime "monotonic",
  }
end

-- The share of one CPU: since the sample before, or since the container's start.
local function cpu_percent(now, before)
  local used, time = now.cpu_s - (before and before.cpu_s or 0), before and now.at - before.at or now.uptime_s
  return time > 0 and math.max(0, used / time * 100) or nil
end

local function sample(containers, before)
  local rows = {}
  for i, container in ipairs(containers) do
    local row = measure(container)
    row.cpu_percent = cpu_percent(row, before[row.name])
    rows[i] = row
  end
  return rows
end

local function by_name(rows)
  local map = {}
  for _, row in ipairs(rows) do map[row.name] = row end
  return map
end

-- ---- shown ----

local function size(bytes)
  if not bytes then return "-" end
  for _, unit in ipairs { "", "K", "M", "G" } do
    if bytes < 1000 then return (unit == "" and "%d" or bytes < 10 and "%.1f%s" or "%.0f%s"):format(bytes, unit) end
    bytes = bytes / 1024
  end
  return ("%.1fT"):format(bytes)
end

local function of(value, limit)
  return limit and ("%s / %s"):format(value, limit) or tostring(value)
end

local COLUMNS = {
  { "NAME", function(r) return cli.printable(r.name) end, left = true },
  { "PID", function(r) return r.pid end },
  { "CPU %", function(r) return r.cpu_percent and ("%.1f"):format(r.cpu_percent) or "-" end },
  { "CPU s", function(r) return ("%.2f"):format(r.cpu_s) end },
  { "MEMORY", function(r)
    return of(size(r.memory_bytes or r.resident_bytes), r.memory_limit_bytes and size(r.memory_limit_bytes))
  end },
  { "PIDS", function(r) return of(r.pids, r.pids_limit) end },
  { "READ", function(r) return size(r.io_read_bytes) end },
  { "WRITTEN", function(r) return size(r.io_write_bytes) end },
  { "THROTTLED", function(r) return r.throttled_s and ("%.1fs"):format(r.throttled_s) or "-" end },
}

local FIELDS = { "name", "pid", "uptime_s", "cpu_s", "cpu_percent", "memory_bytes", "memory_limit_bytes",
  "memory_peak_bytes", "resident_bytes", "pids", "pids_limit", "pids_peak", "pids_refused", "oom_kill", "io_read_bytes",
  "io_write_bytes", "nr_throttled", "throttled_s", "pressure" }

local function document(rows, pretty)
  local containers = {}
  for i, row in ipairs(rows) do
    containers[i] = {}
    for _, field in ipairs(FIELDS) do
      local value = row[field]
      containers[i][field] = value == nil and json.null or value
    end
  end
  return json.encode({ schema = 1, containers = json.array(containers) }, { pretty = pretty }) .. "\n"
end

-- ---- the command ----

-- False when it could not be written; sandbox.cli says why.
local function show(rows, options, again)
  local text = options.json and document(rows, options.once)
    or (again and S.isatty(1) and "\27[H\27[J" or "") .. columns.text(COLUMNS, rows)
  return io.write(text) and cli.flush()
end

function M.run(options, names)
  local directory = containers_of.directory()
  if not directory then return containers_of.FAILED end
  local before, first = {}, true
  while true do
    local found, missing = containers_of.chosen(list.running(directory), names)
    -- One that has ended since ends the watching of it.
    if missing then return first and containers_of.no_such(missing, list.running(directory), true) or 0 end
    local rows = sample(found, before)
    local shown = show(rows, options, not options.once)
    if options.once or not shown then return 0 end
    before, first = by_name(rows), false
    S.nanosleep(INTERVAL)
  end
end

return M
