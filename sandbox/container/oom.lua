-- SPDX-License-Identifier: MIT
-- sandbox.container.oom: whether the kernel's OOM killer ended the container, or only something in it.
--
-- The cgroup counts kills and does not say whom; a command that ends itself by SIGKILL after a child of its was
-- killed looks the same as one that was killed. The kernel's log names each victim (mm/oom_kill.c, "Killed process",
-- which no rate limit suppresses), so what it has said since the start decides. Where the log cannot be read
-- (kernel.dmesg_restrict without CAP_SYSLOG), or what it says was lost, the count alone does: then the container, out
-- of memory as it was, is said to have ended of it.

local S = require "syscall"

local M = {}

-- PROC_PID_INIT_INO: the log's numbers are those of the first pid namespace.
local FIRST_PIDNS = "pid:[4026531836]"

-- With init the command is the first child of luge's PID 1, and this is called when it has just been executed.
local function command_of(process)
  local children = S.readfile(("/proc/%d/task/%d/children"):format(process.pid, process.pid))
  return children and tonumber(children:match("^%d+"))
end

--- Before the start: remembers how far the log has come, and whose death would be the container's.
function M.begin(run)
  local log = {}
  if S.readlink("/proc/self/ns/pid") == FIRST_PIDNS then
    log.fd = S.open("/dev/kmsg", "rdonly, nonblock, cloexec")
    if log.fd then S.lseek(log.fd, 0, "end") end
  end
  run.started = function(process)
    log.first = process.pid
    if run.spec.init then log.command = command_of(process) else log.command = process.pid end
  end
  return log
end

-- The processes that the log says were killed since then: pid → true; nil where it cannot tell.
local function victims(log)
  if not log.fd then return nil end
  local found
  while true do
    local record, err = S.read(log.fd, 8192)
    if not record then
      log.fd:close()
      log.fd = nil
      return err.AGAIN and found or nil -- else EPIPE: some of it was overwritten
    end
    -- Facility 0 is the kernel's own, which nobody can write: <0-7>,sequence,…;text
    local priority, pid = record:match("^(%d+),[^;]*;[^\n]*Killed process (%d+) ")
    if pid and tonumber(priority) < 8 then
      found = found or {}
      found[tonumber(pid)] = true
    end
  end
end

--- Whether a container that ended by SIGKILL, and in whose cgroup the kernel killed something, ended of that.
function M.ended_it(log)
  local killed = victims(log)
  if not killed or not log.command then return true end
  return killed[log.command] or killed[log.first] or false
end

return M
