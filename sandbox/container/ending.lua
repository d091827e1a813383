-- SPDX-License-Identifier: MIT
-- sandbox.container.ending: how a container ended: the reason and the exit code of what the monitor saw.

local S = require "syscall"

local M = {}

-- ---- signals ----

--- "RTMIN+3" counts from the first real-time signal that the C library leaves free.
function M.signal_number(signal)
  local above = signal:match("^RTMIN%+(%d+)$")
  return above and 34 + tonumber(above) or signal
end

--- The number of a signal by its name.
function M.number_of(signal) return S.c.SIG[signal] or M.signal_number(signal) end

--- The error of a start that somebody ended, by a signal of that number; told: its name where luge itself got it.
function M.stopped_error(number, told)
  return { text = told and "stopped by SIG" .. told or "stopped", stopped_by = number }
end

-- ---- the outcome ----

-- How the container ended: the stage's word where it stayed as PID 1, else the exit status.
local function ending(self, status)
  if self.ended and self.ended.kind == "exit" then return { code = self.ended.code } end
  if self.ended then return { signal = self.ended.signal, core = self.ended.core } end
  if status.code == "exited" then return { code = status.status } end
  return { signal = status.status, core = status.code == "dumped" }
end

local SIGKILL, SIGSYS = 9, 31

-- Luge stopped the container for these.
local STOPPED = { wall = 124, cpu_time = 124, output = 124, unhealthy = 124 }

-- Whether the command failed with no room left where it could write. Who was killed did not fail by itself.
local function lacked_room(self, outcome)
  local disk = outcome.code ~= 0 and outcome.signal ~= SIGKILL and self.process.disk
  local room = disk and S.fstatfs(disk)
  return room and (room.bavail == 0 or room.ffree == 0)
end

--- Gives the outcome of a start that failed its reason, and its exit code where that is not luge's own.
function M.judge_failure(outcome)
  local stopped_by = rawget(outcome.err, "stopped_by")
  outcome.reason_name = stopped_by and "stopped" or "setup"
  if stopped_by then outcome.exit_code, outcome.cut = 128 + stopped_by, outcome end
  return outcome
end

--- The outcome of a container (monitor.watch), whose process has the exit status `status` of waitid(2).
function M.outcome_of(self, status)
  local outcome = self.setup or ending(self, status)
  if not outcome.failed and self.run.spec.init and not self.ended and outcome.code then
    outcome = { failed = true, index = 0, err = { text = self.started and "PID 1 ended without a word of the command's end"
      or "the stage ended without a word" } }
  end
  outcome.rusage = status.rusage
  if outcome.failed then return M.judge_failure(outcome) end
  local reason = self.reason
  if not reason and self.cpu_time and self.cpu_time:ended(outcome) then reason = "cpu_time" end
  if not reason and outcome.signal == SIGSYS then reason = "seccomp" end
  if not reason and outcome.signal and (self.asked or self.sent[outcome.signal]) then reason = "stopped" end
  if not reason and lacked_room(self, outcome) then reason = "disk" end
  outcome.reason_name = reason or (outcome.signal and "signal" or "exit")
  outcome.exit_code = STOPPED[reason] or outcome.code or 128 + outcome.signal
  -- Stopped in its `started` hook, the start has failed, however well the command may have ended.
  outcome.cut = self.hook_cut
  if self.hook_cut and outcome.code then
    outcome.reason_name, outcome.exit_code = "stopped", 128 + self.hook_cut.err.stopped_by
  end
  return outcome
end

return M
