-- SPDX-License-Identifier: MIT
-- sandbox.container.cpu_time: `limits.cpu_time`: the processor time of the whole container, watched by luge.
--
-- A cgroup counts it exactly. Without one it is the sum over the container's processes, which /proc tells in ticks of
-- 10 ms: what each used itself and what it had from children that it waited for. The time of a child that nobody waits
-- for (its parent ignores SIGCHLD) is not in the parent's: it counts as far as luge saw it while it lived. RLIMIT_CPU,
-- which the plan sets besides, bounds each such process, not their sum.
--
-- Luge looks again when the limit could have been reached at the earliest, with every processor busy, and less often
-- where nothing was used since it last looked.

local S = require "syscall"
local loop = require "sandbox.container.loop"
local processes = require "sandbox.container.processes"

local M = {}

local SHORTEST, LONGEST_IDLE = 0.02, 0.25

local Meter = {}
Meter.__index = Meter

-- Every process of the container is below luge: PID 1, and in the host's pid namespace what lost its parent.
--- Processes come and go while luge looks, so that one look may miss some: either sum is at most what was used, and
-- the greatest ever seen counts.
function Meter:sum()
  local found, tree, own = processes.below "self", 0, 0
  -- A parent was read before its children, so that none of them is in its sum as well.
  for _, process in pairs(found) do tree = tree + process.own + process.waited end
  for pid, last in pairs(self.known) do
    local now = found[pid] or processes.read(pid)
    if now and now.started == last.started then
      found[pid] = now
    else
      self.gone = self.gone + last.own
    end
  end
  self.known = found
  for _, process in pairs(found) do own = own + process.own end
  return math.max(tree, own + self.gone) * processes.TICK
end

function Meter:read()
  local seconds = require("sandbox.container.cgroup").cpu_seconds(self.cgroup) or self:sum()
  self.used = math.max(self.used, seconds)
  return self.used
end

-- The time until the limit can be reached at the earliest.
local function pause(self, was)
  local idle = self.used == was
  self.shortest = idle and math.min(self.shortest * 2, LONGEST_IDLE) or SHORTEST
  return math.max((self.limit - self.used) / self.cpus, self.shortest)
end

function Meter:look(watch)
  if watch.gone then return end
  local was = self.used
  if self:read() >= self.limit then
    watch:stop("cpu_time")
  else
    loop.arm(self.timer, pause(self, was))
  end
end

local SIGKILL, SIGXCPU = 9, 24

--- Whether the kernel's limit of one process was what ended the command: the signal alone does not tell.
function Meter:ended(outcome)
  if outcome.signal ~= SIGXCPU and outcome.signal ~= SIGKILL then return false end
  local usage = outcome.rusage
  return math.max(self.used, usage and usage.utime + usage.stime or 0) >= self.limit
end

--- Begins to watch the processor time, in the loop of `watch`.
function M.attach(watch)
  local run = watch.run
  local limits = run.spec.limits
  local self = setmetatable({ run = run, limit = limits.cpu_time, used = 0, known = {}, gone = 0, shortest = SHORTEST,
    cgroup = require("sandbox.container.cgroup").of(run, run.symbols),
    cpus = limits.affinity and #limits.affinity or #S.sched_getaffinity(0) }, Meter)
  self.timer = loop.new_timer(watch, function() self:look(watch) end)
  loop.arm(self.timer, math.max(self.limit / self.cpus, SHORTEST))
  return self
end

return M
