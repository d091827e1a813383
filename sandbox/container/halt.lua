-- SPDX-License-Identifier: MIT
-- sandbox.container.halt: stops the processes of a container in the foreground as a shell stops a job, by signals: every user may,
-- and no cgroup is needed. `luge pause` takes the freezer, which nothing inside can tell.

local S = require "syscall"
local processes = require "sandbox.container.processes"

local M = {}

-- A process that sleeps where no signal reaches it, as one does that waits for a vfork(2), is not waited for longer.
local ROUNDS, PAUSE = 50, 0.001

local STATE = 3 -- of proc(5)

local function state_of(pid) return (processes.fields(pid) or {})[STATE] or "Z" end

-- Stops one that is not stopped yet, of which we have a descriptor: its number may be another's soon.
local function stop(pid, stopped)
  local pidfd = S.pidfd_open(pid)
  local state = state_of(pid)
  -- What a shell inside has stopped goes on when that shell says so.
  if pidfd and state ~= "Z" and state ~= "T" and S.pidfd_send_signal(pidfd, "stop") then stopped[#stopped + 1] = pidfd end
end

-- Whether none of them runs any more: one that is about to stop may have a child yet that nobody sees.
local function is_still(pids)
  for pid in pairs(pids) do
    local state = state_of(pid)
    if state ~= "T" and state ~= "Z" then return false end
  end
  return true
end

--- Stops all of the container of `watch`: its first process, and whatever is below it when nobody is born any more.
function M.stop(watch)
  if watch.gone or watch.paused or watch.stopping then return end
  local stopped, seen, root = {}, {}, watch.process.pid
  watch.paused, watch.halted = "halted", stopped
  if watch.health then watch.health.was_paused = true end
  seen[root] = true
  stop(root, stopped)
  for _ = 1, ROUNDS do
    local was_still, fresh = is_still(seen), false
    for pid in pairs(processes.below(root)) do
      if not seen[pid] then
        seen[pid], fresh = true, true
        stop(pid, stopped)
      end
    end
    if was_still and not fresh then return end
    if not fresh then S.nanosleep(PAUSE) end
  end
end

--- Lets go on what M.stop has stopped.
function M.go(watch)
  local stopped = watch.halted
  watch.paused, watch.halted = nil, nil
  for i = #stopped, 1, -1 do
    S.pidfd_send_signal(stopped[i], "cont")
    stopped[i]:close()
  end
end

return M
