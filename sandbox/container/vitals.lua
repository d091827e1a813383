-- SPDX-License-Identifier: MIT
-- sandbox.container.vitals: how it goes with a container that may be started again or has a health check, in the file of its lock.
--
-- One line of fixed width, "life RESTARTS STATE HEALTH", written over in place, so that a reader finds the old words or the
-- new ones. It is believed only while the lock is held (sandbox.container.list).

local S = require "syscall"

local M = {}

local FORM = "life %08d %-10s %-9s\n"
local PATTERN = "\nlife (%d+) (%l+) +(%S+) *\n"
local HEAD = 512 -- the lines before it: a pid, a profile, a group

local STATES = { running = true, restarting = true }
local HEALTH = { starting = true, healthy = true, unhealthy = true }

--- The line of a container. state: "running" or "restarting"; health: "starting", "healthy", "unhealthy" or nil.
function M.line(restarts, state, health) return FORM:format(restarts, state, health or "-") end

--- What a lock's file says: { restarts =, restarting = boolean, health = }; nil of a container without the line.
function M.parse(text)
  local restarts, state, health = text:match(PATTERN)
  if not restarts or not STATES[state] then return nil end
  return { restarts = tonumber(restarts), restarting = state == "restarting", health = HEALTH[health] and health or nil }
end

-- Where the line stands in the file.
local function place(lock)
  local text = S.pread(lock, HEAD, 0) or ""
  return text:find("\nlife ", 1, true)
end

--- Notes the state of a run.
function M.write(run)
  local lock = run.symbols["lock.name"]
  local at = place(lock)
  if at then S.pwrite(lock, M.line(run.restarts or 0, run.pausing and "restarting" or "running", run.health_state), at) end
end

--- Forgets what was noted of a run that has ended and left nothing: processes and cgroups.
function M.trim(run)
  local lock = run.symbols["lock.name"]
  local at = place(lock)
  if at then S.ftruncate(lock, at + #M.line(0, "running")) end
end

return M
