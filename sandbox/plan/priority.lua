-- SPDX-License-Identifier: MIT
-- sandbox.plan.priority: how the kernel prefers the container: niceness, policy, processors, who dies first.
--
-- What an ordinary process may set for itself is a sealing step. What takes a capability over the machine, which
-- the container's own root never has, luge does to the child from outside; without it the plan is a fault.

local list = require "sandbox.plan.list"

local M = {}

-- The lowest priority of these policies.
local REAL_TIME = { fifo = 1, rr = 1 }

-- optional(…): the kernel's refusal is accepted, so the step is tried all the same.
local function refused(c, why, message, hint)
  if c.spec.optional[why] then return false end
  c:fault(why, message, hint)
  return true
end

-- RLIMIT_NICE holds 20 minus the lowest niceness that may be taken (kernel/sched/syscalls.c, can_nice).
local function nice(c, value)
  local facts, why = c.facts, "limits.nice"
  local ceiling = facts:rlimit("nice").soft
  if value >= facts.nice or ceiling == "unlimited" or 20 - value <= ceiling then
    return c.steps:add("seal", why, "setpriority", { "process", 0, value })
  elseif facts.sys_nice then
    return c.steps:add("attach", why, "setpriority", { "process", "$child", value })
  elseif not refused(c, why, ("%d is below the niceness %d that luge runs with, and RLIMIT_NICE allows %s"):format(value,
    facts.nice, ceiling > 0 and ("%d at the lowest"):format(20 - ceiling) or "none lower"),
    "ask for " .. facts.nice .. " or more, or run luge as root with CAP_SYS_NICE") then
    c.steps:add("seal", why, "setpriority", { "process", 0, value })
  end
end

local function scheduler(c, asked)
  local facts, why = c.facts, "limits.scheduler"
  local how = type(asked) == "table" and asked or { policy = asked }
  local priority = how.priority or REAL_TIME[how.policy] or 0
  local ceiling = REAL_TIME[how.policy] and facts:rlimit("rtprio").soft or "unlimited"
  if how.priority and not REAL_TIME[how.policy] then
    return c:fault(why, ("the policy '%s' has no priority"):format(how.policy), 'leave priority out, or choose "fifo" or "rr"')
  elseif ceiling == "unlimited" or priority <= ceiling then
    return c.steps:add("seal", why, "sched_setscheduler", { 0, how.policy, priority })
  elseif facts.sys_nice then
    return c.steps:add("attach", why, "sched_setscheduler", { "$child", how.policy, priority })
  elseif not refused(c, why, ("'%s' at priority %d is a real-time policy, and RLIMIT_RTPRIO allows %s"):format(how.policy,
    priority, ceiling > 0 and "up to " .. ceiling or "none"),
    'choose "other", "batch" or "idle", or run luge as root with CAP_SYS_NICE') then
    c.steps:add("seal", why, "sched_setscheduler", { 0, how.policy, priority })
  end
end

-- The kernel would leave out in silence those that luge may not use.
local function affinity(c, asked)
  local why, kept, missing = "limits.affinity", {}, {}
  for _, cpu in ipairs(asked) do
    local known = list.has(c.facts.own_cpus, cpu) and kept or missing
    known[#known + 1] = cpu
  end
  if #missing > 0 and refused(c, why, ("luge itself may not run on CPU %s, only on %s"):format(table.concat(missing, ", "),
    table.concat(c.facts.own_cpus, ", ")), "ask for some of these, or give luge more (taskset, cpuset)") then
    return
  end
  if #kept > 0 then c.steps:add("seal", why, "sched_setaffinity", { 0, kept }) end
end

-- By luge: the child is not dumpable any more once it has changed its ids, and its files in /proc are closed to it.
local function oom_score(c, value)
  local facts, why = c.facts, "limits.oom_score"
  if value < facts.oom_score and not facts.sys_resource and refused(c, why,
    ("%d is below the %d that luge runs with, which takes CAP_SYS_RESOURCE"):format(value, facts.oom_score),
    "ask for " .. facts.oom_score .. " or more, or give luge that capability") then
    return
  end
  c.steps:add("attach", why, "writefile", { "/proc/${child}/oom_score_adj", tostring(value) })
end

--- Adds the steps of those of these limits that the profile writes.
function M.add(c, limits)
  if limits.nice then nice(c, limits.nice) end
  if limits.affinity then affinity(c, limits.affinity) end
  if limits.scheduler then scheduler(c, limits.scheduler) end
  if limits.oom_score then oom_score(c, limits.oom_score) end
end

return M
