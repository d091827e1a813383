-- SPDX-License-Identifier: MIT
-- sandbox.container.hook_loop: runs the scripts beside which nothing else of a container runs: those of `prepare`, before its
-- first process, and those of `stopped`, after its last.
--
-- Its luge answers meanwhile: who stops or kills the container, sends luge a signal, or waited for the start and is gone,
-- ends the script, and so the start, or what is left of the end.

local S = require "syscall"
local Steps = require "sandbox.plan.steps"
local control = require "sandbox.container.control"
local ending = require "sandbox.container.ending"
local loop = require "sandbox.container.loop"
local monitor = require "sandbox.container.monitor"

-- What the socket's server and the signals find in place of a monitor.Watch.
local Wait = setmetatable({ round = monitor.round }, { __index = loop })
Wait.__index = Wait

local ABSENT = { host = "it is being prepared: its command does not run yet", stopped = "it has ended: its stopped hook runs" }

function Wait:cut(signal, told)
  self.stopped_by, self.told = self.stopped_by or signal, self.told or told
end

--- Somebody stops the container.
function Wait:stop() self:cut(ending.number_of(self.run.spec.stop.signal)) end

--- Somebody's signal, by name. Words where there is nobody to get it.
function Wait:signal(name)
  if not monitor.ENDS[name] then return self.absent end
  self:cut(ending.number_of(name))
end

function Wait:freeze() return nil, { text = self.absent } end

function Wait:signal_arrived()
  local info = S.signalfd_read(self.signals)
  local name = info and monitor.signal_name(info)
  if name == "HUP" or monitor.ENDS[name] then self:cut(ending.number_of(name), name) end
end

local function begin(run, step, running)
  local self = setmetatable({ run = run, signals = run.signals, absent = ABSENT[step.where], gone = step.where == "stopped" }, Wait)
  loop.begin(self)
  run.watch = self
  self:listen(running.pidfd, function() self.over = true end)
  self:listen(run.signals, self.signal_arrived)
  self:listen(run.symbols.control, function() control.accept(self) end)
  if run.server then control.move(self) end
  -- A group that ends stops its containers, and has those that have ended clean up.
  if run.attend and not self.gone then run.attend(self) end
  if run.hook_output then run.hook_output:listen(self) end
  return self
end

--- Runs the script of a step to its end: true, or nil and the error, of one that was stopped with stopped_by = the number of
-- the signal that asked for it, told = its name where luge itself got it.
return function(run, step, symbols)
  local args = Steps.resolve(step.args, symbols)
  local running, err = S.start_script(args[1], args[2])
  if not running then return nil, err end
  local watched = run.watch
  local self = begin(run, step, running)
  repeat self:round() until self.over or self.stopped_by
  local ok
  ok, err = S.end_script(running)
  if run.hook_output then run.hook_output:read() end
  run.watch = watched or self
  if not self.stopped_by then return ok, err end
  return nil, ending.stopped_error(self.stopped_by, self.told)
end
