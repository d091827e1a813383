-- SPDX-License-Identifier: MIT
-- sandbox.container.restart: `restart`: the luge that watches a container starts it again when it has ended.
--
-- Between two runs nothing of the container is there but its name, the lock and the socket at which its luge answers, and
-- its range of ids: nobody takes the name, and who stops or removes it ends the pause. Everything else is undone and done
-- again: a run finds nothing of the one before but what the profile keeps on the host.

local S = require "syscall"
local loop = require "sandbox.container.loop"
local monitor = require "sandbox.container.monitor"
local must = require "sandbox.must"
local vitals = require "sandbox.container.vitals"

local M = {}

local LONGEST = 60 -- seconds: pauses grow up to this
local GOOD_RUN = 10 -- seconds: who has run so long begins with the shortest pause again

-- ---- whether ----

local SIGINT, SIGQUIT = 2, 3

-- A Ctrl-C in the container's own terminal is known by what it did.
local function typed(run, outcome)
  local signal = outcome.signal or (outcome.exit_code or 0) - 128
  return type(run.terminal) == "table" and (signal == SIGINT or signal == SIGQUIT)
end

local function is_wanted(run, outcome)
  local policy, watch = run.spec.restart, run.watch
  -- Who never ran has a fault that a second start would not mend.
  if outcome.failed and (run.restarts == 0 or not watch) then return false end
  if watch.asked or watch.final or outcome.reason_name == "stopped" or typed(run, outcome) then return false end
  if policy.max and run.restarts >= policy.max then return false end
  return policy.on == "always" or outcome.failed or outcome.exit_code ~= 0
end

-- ---- the pause ----

-- What the socket's server and the signals find in place of a monitor.Watch.
local Pause = setmetatable({ round = monitor.round }, { __index = loop })
Pause.__index = Pause

function Pause:stop() self.over = true end

local ENDS = monitor.ENDS

function Pause:signal(name)
  if ENDS[name] then self.over = true end
end

function Pause:freeze() return nil, { text = "it is between two runs" } end -- luacheck: ignore self

function Pause:signal_arrived()
  local info = S.signalfd_read(self.signals)
  local name = info and monitor.signal_name(info)
  if name == "HUP" or ENDS[name] then self.over = true end
end

-- Waits so long; true when it was not ended meanwhile.
local function pause(run, signals, seconds, outcome)
  local self = setmetatable({ run = run, signals = signals, absent = "it has ended, and is started again in a moment" }, Pause)
  loop.begin(self)
  local timer = loop.new_timer(self, function() self.done = true end)
  loop.arm(timer, seconds)
  run.watch = self
  self:listen(signals, self.signal_arrived)
  local control = require "sandbox.container.control"
  self:listen(run.symbols.control, function() control.accept(self) end)
  if run.server then control.move(self, outcome) end
  if run.attend then run.attend(self) end
  run.events { event = "restarting", restarts = run.restarts + 1, delay_s = seconds,
    exit_code = outcome.exit_code or must.FAILED, reason = outcome.reason_name or "setup" }
  repeat self:round() until self.done or self.over
  timer:close()
  return not self.over
end

-- ---- the next run ----

-- The name, and the range of ids, whose lock ends with luge.
local function is_held(step) return step.where == "host" and (step.why == "name" or step.op == "take_slot") end

-- Takes back everything but what is held.
local function clear(run, undo, plan, launch)
  if type(run.terminal) == "table" then run.terminal:close() end
  local kept, rest = {}, {}
  for i, step in ipairs(undo) do
    table.insert(plan.held[step] and kept or rest, step)
    undo[i] = nil
  end
  launch.undo_all(rest, run.symbols)
  table.move(kept, 1, #kept, 1, undo)
  vitals.trim(run)
end

-- What is held is ours still: its steps are not taken again, and what undoes them is in the journal already.
local function split(plan, steps)
  plan.steps, plan.held, plan.saved = {}, {}, { "caller" }
  for _, step in ipairs(steps) do
    if is_held(step) then
      if step.undo then plan.held[step] = true end
      if step.save then table.insert(plan.saved, (step.save:sub(2))) end
    else
      table.insert(plan.steps, step)
    end
  end
end

local function say(run, outcome, seconds)
  local explain, tell = require "sandbox.container.explain", require "sandbox.container.tell"
  if outcome.failed or outcome.reason_name ~= "exit" then explain.show(run, outcome, tell.stderr) end
  for _, text in ipairs(outcome.kept and outcome.kept.failed or {}) do tell.complain("keep: " .. text) end
  for _, text in ipairs(outcome.hooks or {}) do tell.complain("hooks.stopped: " .. text) end
  local max = run.spec.restart.max
  tell.complain(("%s ended with exit code %d: started again in %gs (%d%s)"):format(run.name,
    outcome.exit_code or must.FAILED, seconds, run.restarts + 1, max and " of " .. max or ""))
end

-- What the last run held and the next one makes anew. The descriptors among it go with the tables that held them.
local function forget(run, plan)
  local symbols = run.symbols
  run.steps, run.terminal, run.output, run.found_user = plan.steps, plan.terminal, nil, nil
  if run.cut then require("sandbox.container.network").forget(run) end
  run.symbols = require("sandbox.container.launch").symbols_of(run)
  for _, name in ipairs(plan.saved) do run.symbols[name] = symbols[name] end
  collectgarbage()
end

--- The container is there again.
function M.resumed(run)
  run.pausing = nil
  vitals.write(run)
end

--- Runs a container again as often as its policy says. outcome: of the first run; undo: the journal, with what that run left in
-- it; plan: { terminal = of the first start }. Returns the outcome of the last run.
function M.loop(run, outcome, undo, signals, plan)
  local launch = require "sandbox.container.launch"
  local grown = 0
  run.restarts = 0
  while is_wanted(run, outcome) do
    if not plan.steps then split(plan, run.steps) end
    if (outcome.wall_s or 0) >= GOOD_RUN then grown = 0 end
    local policy = run.spec.restart
    run.pausing, run.health_state = true, nil
    vitals.write(run)
    local seconds = math.min(policy.delay * 2 ^ math.min(grown, 30), math.max(LONGEST, policy.delay))
    clear(run, undo, plan, launch)
    say(run, outcome, seconds)
    if not pause(run, signals, seconds, outcome) then
      outcome.reason_name = outcome.failed and outcome.reason_name or "stopped"
      return outcome
    end
    grown, run.restarts = grown + 1, run.restarts + 1
    forget(run, plan)
    vitals.write(run)
    outcome = launch.supervise(run, run.symbols, undo, signals)
  end
  return outcome
end

return M
