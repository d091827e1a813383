-- SPDX-License-Identifier: MIT
-- sandbox.container.monitor: watches one container until it ends.
--
-- One epoll loop over the child's channel (what went wrong before the stage), the stage's messages, the pidfd,
-- luge's own signals and a timer. It says how the container ended and why.

local S = require "syscall"
local ending = require "sandbox.container.ending"
local loop = require "sandbox.container.loop"
local must = require "sandbox.must"
local orders = require "sandbox.container.orders"

local M = {}

-- Passed on to the container; luge itself lives until the container has ended. Whatever somebody may send on purpose: left
-- out are faults, what luge's own limits send it, and what stops and continues a job. RTMIN is the first that the C library
-- leaves to programs.
local RTMIN, RTMAX = 34, 64
local FORWARDED = { "hup", "int", "quit", "term", "usr1", "usr2", "winch", "alrm", "pwr", "vtalrm", "prof", "stkflt", "io" }
for number = RTMIN, RTMAX do FORWARDED[#FORWARDED + 1] = number end

--- The name of a signal that was read, as profiles and `luge kill` spell it.
function M.signal_name(info)
  return type(info.name) == "string" and info.name:upper() or ("RTMIN+%d"):format(info.signo - RTMIN)
end

--- Blocks the signals that luge passes on; returns the descriptor they are read from.
function M.block_signals()
  -- Ignored, as a caller may leave it, the kernel would reap the container before we hear how it ended.
  S.sigaction("chld", "default")
  must("luge's own signals", S.sigprocmask("block", FORWARDED))
  return must("luge's own signals", S.signalfd(FORWARDED, "nonblock"))
end

local Watch = setmetatable({}, { __index = loop })
Watch.__index = Watch

function Watch:send(signal)
  S.pidfd_send_signal(self.process.pidfd, signal)
end

-- Ends a start that is still in its guest steps, one of which is a script: nobody is there yet who could be asked to end.
-- False where there is none, or the child has become the stage, which passes signals on.
local function cut_start(self, signal, told)
  if self.gone or not self.run.spec.hooks.guest then return false end
  local channel = self.process.channels.here
  while not self.is_stage and #(S.poll({ { fd = channel, events = "in" } }, 0) or {}) > 0 do self:channel_readable() end
  if self.is_stage then return false end
  local index = self.process.in_hook or 0
  self.setup = self.setup or { failed = true, index = index, err = ending.stopped_error(ending.number_of(signal), told),
    step = self.run.steps[index] }
  self.final, self.cut = true, true
  self:thaw()
  self:send("kill")
  return true
end

-- The container has ended and somebody wants all of it to end: what it wrote waits for its reader so many seconds more, and no
-- longer than it might have run.
local function hurry(self, seconds)
  local now, wall = S.clock_gettime "monotonic", self.run.spec.limits.wall
  if wall then seconds = math.min(seconds, self.began + wall - now) end
  if self.gives_up and self.gives_up <= now + seconds then return end
  self.gives_up = now + seconds
  if seconds <= 0 then self.given_up = true else loop.arm(self.timer, seconds) end
end

-- The polite signal first, KILL after the grace. Who asks again may shorten it.
function Watch:stop(reason, grace)
  if reason == "stopped" and (self.cut or cut_start(self, self.run.spec.stop.signal)) then return end
  self.reason = self.reason or reason
  if reason == "stopped" then
    self.final = true
    if self.hook then require("sandbox.container.hooks").cut(self, ending.number_of(self.run.spec.stop.signal)) end
  end
  if self.gone then return reason == "stopped" and hurry(self, grace or self.run.spec.stop.grace) end
  local ends = S.clock_gettime("monotonic") + (grace or self.run.spec.stop.grace)
  if self.stopping and self.stopping <= ends then return end
  if not self.stopping then
    self:thaw()
    self:send(ending.signal_number(self.run.spec.stop.signal))
    -- A stopped process handles no signal until it goes on.
    self:send("cont")
  end
  self.stopping = ends
  loop.arm(self.timer, ends - S.clock_gettime("monotonic"))
end

-- Who sends one of these wants no further run.
local ENDS = { KILL = true, TERM = true, INT = true, QUIT = true }
M.ENDS = ENDS

--- Somebody's signal, by name. Paused, the container gets it when it goes on; KILL does not wait.
function Watch:signal(name)
  if ENDS[name] and (self.cut or cut_start(self, name)) then return end
  self.final = self.final or ENDS[name]
  if self.gone then return ENDS[name] and hurry(self, name == "KILL" and 0 or self.run.spec.stop.grace) end
  self.sent[ending.number_of(name)] = true
  if name == "KILL" then self:thaw() end
  self:send(ending.signal_number(name))
end

--- Stops every process of the container where it is, or lets them go on. True when it is so, false when it is not so
-- yet, or nil and the error.
function Watch:freeze(wanted)
  if self.gone then return nil, { text = "it has ended" } end
  if not wanted and not self.paused then return nil, { text = "it is not paused" } end
  if (self.paused == "frozen" or self.paused == "halted") and wanted then return nil, { text = "it is paused already" } end
  if wanted and self.stopping then return nil, { text = "it is being stopped" } end
  if self.health then self.health.was_paused = true end
  if self.paused == "halted" then
    require("sandbox.container.halt").go(self)
    return true
  end
  local cgroup = require "sandbox.container.cgroup"
  local done, err = cgroup.set_frozen(cgroup.of(self.run, self.run.symbols), wanted)
  if done == nil then return nil, err end
  self.paused = wanted and (done and "frozen" or "freezing") or not done and "thawing" or nil
  if done and self.run.changed then self.run.changed(wanted and "paused" or "running") end
  return done
end

-- What is frozen handles no signal, in version 1 not even KILL.
function Watch:thaw()
  if self.paused then self:freeze(false) end
end

function Watch:timer_expired()
  if self.gone then
    if not self.gives_up then self.reason = self.reason or "wall" end
    self.given_up = true
  elseif self.stopping then
    self:thaw()
    self:send("kill")
  else
    self:stop("wall")
  end
end

-- The first Ctrl-C is passed on, the second stops, the third kills; from a raw terminal none comes here.
function Watch:interrupt()
  self.interrupts = (self.interrupts or 0) + 1
  self.asked = true
  if self.gone then
    self.given_up = true
  elseif self.cut or cut_start(self, "INT", "INT") then
    return
  elseif self.interrupts == 1 then
    if not (self.has_terminal and self.run.terminal:interrupt()) then self:send("int") end
  elseif self.interrupts == 2 then
    self:stop("stopped")
  else
    self.reason = self.reason or "stopped"
    self:send("kill")
  end
end

function Watch:signal_arrived()
  local info = S.signalfd_read(self.signals)
  if not info then return end
  local terminal = self.run.terminal
  if info.name == "winch" and terminal then return terminal:resize() end
  if info.name == "int" then
    self:thaw()
    self:interrupt()
  else
    if info.name == "term" or info.name == "hup" or info.name == "quit" then
      if self.cut or cut_start(self, M.signal_name(info), M.signal_name(info)) then return end
      self:thaw()
      self.asked, self.given_up = true, self.gone
    end
    self:send(info.name)
    if self.asked then self:send("cont") end -- a stopped process handles no signal until it goes on
  end
end

--- One message of the child, or nil at the end of file: what went wrong before it became the stage, or false for what it
-- handed over: the file system of limits.disk, both ends of the terminal, the user where the container's files name
-- another than the plan expects, the hook that it runs.
function M.hear_child(process, steps)
  local message, err = S.recvmsg(process.channels.here, { size = 65536, max_fds = 2 })
  if not message and not err.CONNRESET then must.fail("what luge's child says", err) end
  local data = message and message.data
  if not data or data == "" then return nil end
  if data == "disk" then
    process.disk = message.fds[1]
    return false
  elseif data == "terminal" then
    process.terminal = message.fds
    return false
  elseif data:find("^user ") then
    process.found_user = require("luge.json").decode(data:sub(6))
    return false
  end
  if data:find("^hook ") then
    process.in_hook = tonumber(data:sub(6))
    return false
  end
  local index, number, text = ("<i4i4s4"):unpack(data)
  err = number > 0 and S.error(number) or {}
  if text ~= "" then err.text = text end
  return { failed = true, index = index, err = err, step = steps[index] }
end

-- A failure that luge itself found at the last step of a field.
local function setup_failure(steps, why, err)
  local index
  for i, step in ipairs(steps) do
    if step.why == why and step.where == "guest" then index = i end
  end
  return { failed = true, index = index, err = err, step = steps[index] }
end

--- What the child said went wrong, or nil: the end of file says that it became the stage.
function M.child_failure(process, steps)
  local said
  repeat said = M.hear_child(process, steps) until said ~= false
  return said
end

-- The terminal, once the child has handed it over.
function Watch:take_terminal()
  local ends = self.process.terminal
  if not ends or self.has_terminal then return end
  self.has_terminal = true
  local ok, err = self.run.terminal:begin(self, ends[1], ends[2])
  if ok then return end
  self.setup = setup_failure(self.run.steps, "terminal", err)
  self:send("kill")
end

-- True when there may be more.
function Watch:channel_readable()
  local said = M.hear_child(self.process, self.run.steps)
  if said == false then
    self:take_terminal()
    return true
  end
  self.setup, self.is_stage = said or self.setup, true
  S.epoll_ctl(self.poll, "del", self.process.channels.here)
end

-- What the child hands over, it hands over before it is sealed.
local function lacks_something(self)
  return self.run.spec.limits.disk and not self.process.disk or self.run.terminal and not self.has_terminal
end

--- What the stage said went wrong, as M.child_failure.
function M.stage_failure(steps, message)
  local index = message.index
  local err = message.errno > 0 and S.error(message.errno) or {}
  return { failed = true, index = index, step = steps[index], err = err, reason = message.reason,
    exit_code = message.exit_code }
end

--- What the stage said went wrong, when it has ended; nil where it said nothing of the kind.
function M.last_word(process, steps)
  local data = S.read(process.channels.status_read, orders.MESSAGE_SIZE)
  local message = data and orders.decode_status(data)
  return message and message.kind == "error" and M.stage_failure(steps, message) or nil
end

function Watch:sealed()
  while lacks_something(self) and self:channel_readable() do end
  if self.run.sealed then self.run.sealed(self.process, self.run.symbols) end
  must("the word to go on", S.write(self.process.channels.go_write, "g"))
end

--- The start is over.
function Watch:is_up()
  self.run.events { event = "started" }
  if self.run.spec.health then self.health = require("sandbox.container.health").start(self) end
  if self.run.server then require("sandbox.container.control").changed(self) end
end

local function has_hooks(run) return run.spec.hooks and run.spec.hooks.started end

function Watch:message(message)
  if message.kind == "error" then
    self.setup = M.stage_failure(self.run.steps, message)
  elseif message.kind == "sealed" then
    self:sealed()
  elseif message.kind == "started" then
    self.started = S.clock_gettime "realtime"
    if self.run.own_firewall then require("sandbox.container.own_firewall").attach(self) end
    if self.run.started then self.run.started(self.process) end
    if has_hooks(self.run) then return require("sandbox.container.hooks").started(self, function() self:is_up() end) end
    self:is_up()
  else
    self.ended = message
  end
end

-- Without luge's PID 1 nobody says that the command was executed: the stage's end of the pipe closes then, as it does
-- when the stage, or what should become it, fails; but then there was a word before.
function Watch:status_ended()
  if self.run.spec.init or self.setup or self.started then return end
  self.setup = M.child_failure(self.process, self.run.steps)
  if not self.setup then self:message { kind = "started" } end
end

function Watch:status_readable()
  local data = must("what the stage says", S.read(self.process.channels.status_read, orders.MESSAGE_SIZE))
  if data == "" then
    S.epoll_ctl(self.poll, "del", self.process.channels.status_read)
    self.status_closed = true
    self:status_ended()
    return
  end
  local message = orders.decode_status(data)
  if message then self:message(message) end
end

local function begin(self)
  local process = self.process
  self:listen(process.channels.here, self.channel_readable)
  self:listen(process.channels.status_read, self.status_readable)
  self:listen(self.signals, self.signal_arrived)
  self:listen(process.pidfd, function()
    self.gone = true
    S.epoll_ctl(self.poll, "del", process.pidfd)
  end)
  self:listen(self.run.symbols.control, function() require("sandbox.container.control").accept(self) end)
  if self.run.server then require("sandbox.container.control").move(self) end
  if self.run.attend then self.run.attend(self) end
  if self.run.hook_output then self.run.hook_output:listen(self) end
end

-- The collector is stopped for the start, and goes on being: a whole round at once, of half a millisecond, whenever there is
-- so much more in use. In small steps, as is usual, it would let megabytes come together first.
local GARBAGE_KIB = 128

local function collect_later(self)
  local used = collectgarbage "count"
  self.collect_at = self.collect_at or used + GARBAGE_KIB
  if used < self.collect_at then return end
  collectgarbage()
  self.collect_at = collectgarbage "count" + GARBAGE_KIB
end

--- Waits for events and handles them.
function Watch:round()
  loop.round(self)
  collect_later(self)
end

-- For whoever has another loop with the same handlers (sandbox.container.restart).
M.round = Watch.round

-- What the container wrote may still wait for its reader: as long as the container might have run, or a moment where
-- somebody has ended it.
local LAST_WORDS = 1 -- second
local function finish_output(self)
  if self.reason == "stopped" or self.sent[ending.number_of "KILL"] then
    hurry(self, math.max(LAST_WORDS, (self.stopping or 0) - S.clock_gettime "monotonic"))
  elseif self.stopping and self.reason ~= "wall" then
    local wall = self.run.spec.limits.wall
    if wall then
      loop.arm(self.timer, wall - (S.clock_gettime("monotonic") - self.began))
    else
      S.timerfd_settime(self.timer, nil, {})
    end
  end
  if self.has_terminal then self.run.terminal:finish() end
  self.run.output:finish(self)
end

local function until_gone(self)
  repeat self:round() until self.gone
  if self.health then self.health:finish() end
  -- What was said before the end may still lie in the pipes.
  self.setup = M.child_failure(self.process, self.run.steps) or self.setup
  self:take_terminal()
  while not self.status_closed do self:status_readable() end
  if self.hook then require("sandbox.container.hooks").finish(self) end
  -- What goes on writing would have no end.
  if self.run.spec.namespaces.pid == "host" then S.end_orphans(self.process.pid) end
  if self.run.output then finish_output(self) end
end

--- Waits for the end; returns the outcome: { reason_name =, exit_code =, code = or signal =, rusage =, wall_s = }.
function M.watch(run, process, signals)
  local self = setmetatable({ run = run, process = process, signals = signals, sent = {}, happened = {} }, Watch)
  run.watch, run.cut = self, nil
  self.began, self.luge = S.clock_gettime("monotonic"), S.getpid()
  loop.begin(self)
  self.timer = loop.new_timer(self, self.timer_expired)
  if run.spec.limits.wall then loop.arm(self.timer, run.spec.limits.wall) end
  if run.pausing then require("sandbox.container.restart").resumed(run) end
  run.events { event = "created", pid = process.pid }
  begin(self)
  if run.output then run.output:attach(self) end
  if run.firewall then
    require("sandbox.container.egress").attach(self)
    require("sandbox.container.forwarding").attach(self)
  end
  if run.spec.limits.cpu_time then self.cpu_time = require("sandbox.container.cpu_time").attach(self) end
  if run.symbols["net.helper"] then require("sandbox.container.helper").attach(self, run.symbols["net.helper"]) end
  until_gone(self)
  local status = must("the container's end", S.waitid("pidfd", process.pidfd, "exited"))
  run.process = nil
  local outcome = ending.outcome_of(self, status)
  outcome.wall_s = S.clock_gettime("monotonic") - self.began
  outcome.events = self.happened
  return outcome
end

return M
