-- SPDX-License-Identifier: MIT
-- rehearsal.lua: `luge run default -- true` with a kernel that only nods: nothing is made, and no process begins.
--
-- The build runs it to see what a start uses (runtime/pack.c). `luge lua` runs it too; its exit code is that of the run.

local S = require "syscall"
local C = require "luge.stage"
local Steps = require "sandbox.plan.steps"
local collect = require "sandbox.container.collect"
local launch = require "sandbox.container.launch"
local state = require "sandbox.container.state"

local STATE = "/nonexistent"
local NOBODY = 1 << 22 -- the number of no process: PID_MAX_LIMIT of the kernel

-- What every step gives: a descriptor on which nothing happens.
local nothing = assert(S.eventfd(0, "cloexec"))
local function nod() return nothing:getfd() end

local nodding = setmetatable({}, { __index = function() return nod end })
local run_step, undo_step = Steps.run, Steps.undo
function Steps.run(_, step, symbols) return run_step(nodding, step, symbols) end
function Steps.undo(_, undo, symbols) return undo_step(nodding, undo, symbols) end

function state.directory() return STATE end
function state.ranges() return STATE end
function collect.some() end
function collect.name() return true end

-- The stage's words, as if it had run, and the end of its process.
local function say(descriptor, kind)
  for number, name in pairs(C.messages) do
    if name == kind then assert(S.write(descriptor, ("<i4i4i4i4"):pack(number, 0, 0, 0))) end
  end
end

local status
local channels = launch.channels
function launch.channels(...)
  local c = channels(...)
  status = c.status_write
  return c
end

function S.clone3_exec()
  say(status, "started")
  say(status, "exit")
  local process, other = S.pipe "cloexec"
  other:close()
  return NOBODY, process
end
function S.clone3_executed() return true end
function S.pidfd_send_signal() return true end
function S.waitid() return { pid = NOBODY, code = "exited", status = 0, rusage = S.getrusage "self" } end

S.exit(require("sandbox.cli").main { "run", "default", "--", "true" })
